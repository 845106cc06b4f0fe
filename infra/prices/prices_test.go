package prices_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"regexp"
	"strconv"
	"testing"

	"connectorvault/infra/prices"
)

// Every constant of type Item has one price, and no price is of anything else.
func TestEveryItemHasItsPrice(t *testing.T) {
	t.Parallel()
	parsed, err := parser.ParseFile(token.NewFileSet(), "prices.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[prices.Item]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Item" {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				named[prices.Item(value)] = true
			}
		}
		return true
	})
	if len(named) < 15 {
		t.Fatalf("only %d items were found: the search is broken", len(named))
	}
	month := regexp.MustCompile(`^20\d\d-(0[1-9]|1[0-2])$`)
	seen := map[prices.Item]bool{}
	for _, p := range prices.All() {
		if !named[p.Item] || seen[p.Item] {
			t.Errorf("%s is no item, or has two prices", p.Item)
		}
		seen[p.Item] = true
		if p.Service == "" || p.Unit == "" || p.Source == "" || !month.MatchString(p.Looked) || p.USD <= 0 || p.Units < 1 {
			t.Errorf("%s is not stated whole: %+v", p.Item, p)
		}
	}
	if len(seen) != len(named) {
		t.Errorf("%d items and %d prices", len(named), len(seen))
	}
}

// Each price by hand, for an amount at which it is a round sum.
func TestCostOfEachItem(t *testing.T) {
	t.Parallel()
	want := map[prices.Item]struct {
		n float64
		s string
	}{
		prices.LambdaRequests:       {10e6, "$2.00"},
		prices.LambdaGBSeconds:      {400_000, "$5.33"},
		prices.DynamoWrites:         {8e6, "$5.00"},
		prices.DynamoReads:          {8e6, "$1.00"},
		prices.DynamoStorage:        {4, "$1.00"},
		prices.DynamoRecovery:       {5, "$1.00"},
		prices.DynamoRestore:        {20, "$3.00"},
		prices.SQSRequests:          {5e6, "$2.00"},
		prices.Secrets:              {5, "$2.00"},
		prices.SecretCalls:          {1e6, "$5.00"},
		prices.Keys:                 {2, "$2.00"},
		prices.KeyRequests:          {1e6, "$3.00"},
		prices.HTTPRequests:         {3e6, "$3.00"},
		prices.SchedulerInvocations: {2e6, "$2.00"},
		prices.LogIngestion:         {4, "$2.00"},
		prices.LogStorage:           {100, "$3.00"},
		prices.CustomMetrics:        {10, "$3.00"},
		prices.AlarmMetrics:         {70, "$7.00"},
		prices.Dashboards:           {2, "$6.00"},
		prices.DataOut:              {100, "$9.00"},
	}
	for _, p := range prices.All() {
		w, ok := want[p.Item]
		if !ok {
			t.Errorf("%s is not checked", p.Item)
			continue
		}
		bill, err := prices.Cost(prices.Usage{p.Item: w.n})
		if err != nil || len(bill.Lines) != 1 || bill.Total().String() != w.s || bill.Service(p.Service) != bill.Total() {
			t.Errorf("%g of %s: %v %v, not %s", w.n, p.Item, bill, err, w.s)
		}
	}
}

// The lines add up to the total, and the services do, for amounts that are not round.
func TestABillAddsUp(t *testing.T) {
	t.Parallel()
	u := prices.Usage{}
	for i, p := range prices.All() {
		u[p.Item] = float64(i+1) * 1234567.891
	}
	bill, err := prices.Cost(u)
	if err != nil {
		t.Fatal(err)
	}
	var lines, services prices.USD
	for _, line := range bill.Lines {
		lines += line.Cost
	}
	for _, name := range prices.Services() {
		services += bill.Service(name)
	}
	if len(bill.Lines) != len(u) || lines != bill.Total() || services != bill.Total() || lines == 0 {
		t.Errorf("lines %v, services %v, total %v", lines, services, bill.Total())
	}
}

func TestUsageAddsAndMultiplies(t *testing.T) {
	t.Parallel()
	a := prices.Usage{prices.DynamoReads: 2, prices.DynamoWrites: 1}
	b := prices.Usage{prices.DynamoReads: 3, prices.SQSRequests: 4}
	sum := a.Add(b).Times(10)
	if sum[prices.DynamoReads] != 50 || sum[prices.DynamoWrites] != 10 || sum[prices.SQSRequests] != 40 || len(sum) != 3 {
		t.Errorf("%v", sum)
	}
	if a[prices.DynamoReads] != 2 || len(a) != 2 || len(b) != 2 {
		t.Error("adding changed what was added")
	}
}

func TestWhatCannotBePaidFor(t *testing.T) {
	t.Parallel()
	for _, u := range []prices.Usage{
		{"gold": 1},
		{"gold": 0},
		{prices.DynamoReads: 1, "gold": 1},
		{prices.DynamoReads: -1},
		{prices.DynamoReads: math.NaN()},
		{prices.DynamoReads: math.Inf(1)},
		{prices.Dashboards: 1e300},
	} {
		if bill, err := prices.Cost(u); err == nil {
			t.Errorf("%v costs %v", u, bill)
		}
	}
	if bill, err := prices.Cost(prices.Usage{prices.DynamoReads: 0}); err != nil || len(bill.Lines) != 0 {
		t.Errorf("nothing costs %v %v", bill, err)
	}
}

func TestDollars(t *testing.T) {
	t.Parallel()
	for amount, want := range map[prices.USD]string{
		0: "$0.00", 4_999: "$0.00", 5_000: "$0.01", 994_999: "$0.99", 995_000: "$1.00", 1_234_560_000: "$1234.56", -1_250_000: "-$1.25",
	} {
		if got := amount.String(); got != want {
			t.Errorf("%d: %s, not %s", amount, got, want)
		}
	}
}
