package clarasim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
	"connectorvault/infra/sim/engine/enginetest"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestMembers(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	names := func(item map[string]any) string {
		list := make([]string, 0, len(item))
		for name := range item {
			list = append(list, name)
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	for path, want := range map[string]string{
		"/v3/transactions":       "accountingDate amountValue authorizationNumber billingStatement card hasAttachments hasInvoice labels merchant operationDate status transactionLabel type user uuid",
		"/v3/cards":              "alias brand claraStatus lockCode maskedPan periodicity status threshold type user uuid",
		"/v3/users":              "createdAt email erpId fullName lastName location manager mobilePhone name role status taxIdentifier uuid",
		"/v3/billing-statements": "currency statementEndDate statementStartDate totalAmount uuid",
	} {
		item := c.page(path, token).Content[0]
		if got := names(item); got != want || !uuidPattern.MatchString(item["uuid"].(string)) {
			t.Errorf("%s: %s %v", path, got, item["uuid"])
		}
		a := c.get(path+"/"+item["uuid"].(string), token)
		wantStatus(t, a, http.StatusOK)
		one := decode[map[string]any](t, a)
		if one["uuid"] != item["uuid"] {
			t.Errorf("%s: %v", path, one)
		}
		if path == "/v3/billing-statements" {
			want = "currency generatedAt statementEndDate statementStartDate status totalAmount uuid"
		}
		if got := names(one); got != want {
			t.Errorf("%s: one has %s", path, got)
		}
	}
	for path, want := range map[string][2]string{
		"/v2/groups": {"description name status uuid", "description name status uuid"}, "/v2/locations": {"code name status uuid", "code createdAt name status uuid"},
	} {
		list := decode[[]map[string]any](t, c.get(path, token))
		one := decode[map[string]any](t, c.get(path+"/"+list[0]["uuid"].(string), token))
		if names(list[0]) != want[0] || names(one) != want[1] {
			t.Errorf("%s: %s; %s", path, names(list[0]), names(one))
		}
		if n := strings.Count(c.get(path, token).body, "INACTIVE"); n == 0 {
			t.Errorf("%s: all are active", path)
		}
	}
}

// Amounts are numbers with a fraction, whole ones too.
func TestAmounts(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	body := c.get("/v3/transactions?size=100", token).body + c.get("/v3/cards", token).body + c.get("/v3/billing-statements", token).body
	found := regexp.MustCompile(`"(value|threshold|totalAmount)":(-?[0-9][^,}]*)`).FindAllStringSubmatch(body, -1)
	whole, cents := 0, 0
	for _, m := range found {
		switch {
		case regexp.MustCompile(`^[0-9]+\.0$`).MatchString(m[2]):
			whole++
		case regexp.MustCompile(`^[0-9]+\.([0-9]?[1-9])$`).MatchString(m[2]):
			cents++
		default:
			t.Errorf("amount %s", m[0])
		}
	}
	if whole < 20 || cents < 20 {
		t.Errorf("%d whole, %d not", whole, cents)
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	shapes := func() (statuses, attachments map[string]int) {
		statuses, attachments = map[string]int{}, map[string]int{}
		kind := func(v any) string {
			switch v := v.(type) {
			case string:
				return "string"
			case bool:
				return "bool"
			case map[string]any:
				if len(v) == 2 && v["code"] != "" && v["description"] != "" || len(v) == 1 && v["value"] != nil {
					return "object"
				}
			}
			return "neither"
		}
		for _, one := range c.all("/v3/transactions", token) {
			statuses[kind(one["status"])]++
			attachments[kind(one["hasAttachments"])]++
			if kind(one["hasAttachments"]) != kind(one["hasInvoice"]) {
				t.Error("hasInvoice has another shape")
			}
		}
		return statuses, attachments
	}
	for _, test := range []struct {
		shape       string
		status, has []string
	}{
		{"", []string{"string"}, []string{"object"}},
		{clarasim.ShapeString, []string{"string"}, []string{"bool"}},
		{clarasim.ShapeObject, []string{"object"}, []string{"object"}},
		{clarasim.ShapeMixed, []string{"string", "object"}, []string{"bool", "object"}},
	} {
		if test.shape != "" {
			f.fault(clarasim.Fault{Name: clarasim.FaultShapes, Shape: test.shape})
		}
		statuses, attachments := shapes()
		if len(statuses) != len(test.status) || len(attachments) != len(test.has) {
			t.Errorf("%q: %v, %v", test.shape, statuses, attachments)
		}
		for i := range test.status {
			if statuses[test.status[i]] == 0 || attachments[test.has[i]] == 0 {
				t.Errorf("%q: %v, %v", test.shape, statuses, attachments)
			}
		}
	}
	// A filter takes either name whatever the shape.
	f.fault(clarasim.Fault{Name: clarasim.FaultShapes, Shape: clarasim.ShapeObject})
	for _, name := range []string{"RJ", "REJECTED"} {
		p := c.page("/v3/transactions?size=100&status="+name, token)
		for _, one := range p.Content {
			if one["status"].(map[string]any)["code"] != "RJ" {
				t.Errorf("%s: %v", name, one["status"])
			}
		}
		if len(p.Content) == 0 {
			t.Errorf("%s: none", name)
		}
	}
}

// Two simulators that never met agree on what a company owns.
func TestDataIsDetermined(t *testing.T) {
	t.Parallel()
	f, g := newFront(t), newFront(t)
	a, b := f.seeded(), g.seeded()
	aToken, bToken := a.token(), b.token()
	for _, path := range []string{"/v3/transactions?size=100&page=1", "/v3/users", "/v3/cards", "/v2/groups", "/v2/locations", "/v3/billing-statements"} {
		if a.get(path, aToken).body != b.get(path, bToken).body {
			t.Errorf("%s differs", path)
		}
	}
}

func TestReferencesHold(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	users, statements := map[any]bool{}, map[any]bool{}
	for _, u := range c.all("/v3/users", token) {
		users[u["uuid"]] = true
	}
	types := map[any]int{}
	for _, one := range c.all("/v3/transactions", token) {
		types[one["type"]]++
		if u, is := one["user"].(map[string]any); is && !users[u["uuid"]] {
			t.Errorf("nobody is %v", u)
		}
		if system := one["status"] == "SYSTEM_TRANSACTION"; system != (one["card"] == nil) || system != (one["user"] == nil) {
			t.Errorf("%v", one)
		}
		if s, is := one["billingStatement"].(map[string]any); is {
			statements[s["uuid"]] = true
		} else if !strings.HasPrefix(one["operationDate"].(string), "2026-06-") {
			t.Errorf("no statement: %v", one)
		}
	}
	for _, kind := range []string{"PURCHASE", "REFUND", "FEE", "CREDIT", "PAYMENT"} {
		if types[kind] == 0 {
			t.Errorf("no %s", kind)
		}
	}
	for id := range statements {
		wantStatus(t, c.get("/v3/billing-statements/"+id.(string), token), http.StatusOK)
	}
	if len(statements) != 11 {
		t.Errorf("%d statements are named", len(statements))
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	list := c.page("/v3/billing-statements", token).Content
	if len(list) != 6 || list[0]["statementStartDate"] != "2026-05-01" || list[0]["statementEndDate"] != "2026-05-31" || list[5]["statementStartDate"] != "2025-12-01" {
		t.Fatalf("statements %v", list)
	}
	id := list[0]["uuid"].(string)
	rejected := 0
	for _, statement := range list {
		id := statement["uuid"].(string)
		var total float64
		entries := map[any]bool{}
		for _, e := range c.page("/v3/billing-statements/"+id+"/transactions?size=100", token).Content {
			entries[e["uuid"]] = true
			switch amount := e["amount"].(float64); e["type"] {
			case "PURCHASE", "FEE":
				total += amount
			case "REFUND", "CREDIT":
				total -= amount
			}
		}
		if difference := total - statement["totalAmount"].(float64); difference > 0.001 || difference < -0.001 {
			t.Errorf("%v: entries sum to %v", statement, total)
		}
		days := fmt.Sprintf("operationDateRangeStart=%s&operationDateRangeEnd=%s", statement["statementStartDate"], statement["statementEndDate"])
		for _, one := range c.all("/v3/transactions?"+days, token) {
			if one["status"] == "REJECTED" {
				rejected++
			}
			if one["status"] == "REJECTED" == entries[one["uuid"]] || one["billingStatement"].(map[string]any)["uuid"] != id {
				t.Errorf("%v", one)
			}
		}
	}
	if rejected == 0 {
		t.Error("nothing was rejected in half a year")
	}
	f.clock.Step(30 * 24 * time.Hour)
	if list := c.page("/v3/billing-statements", c.token()).Content; len(list) != 6 || list[0]["statementStartDate"] != "2026-06-01" || list[1]["uuid"] != id {
		t.Errorf("a month later: %v", list)
	}
	wantStatus(t, c.get("/v3/billing-statements/"+id, c.token()), http.StatusOK)
}

// Transactions become more, none goes away, and whatever the clock says, there are at least 132.
func TestTransactionsGrow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	before := c.all("/v3/transactions", c.token())
	f.clock.Step(20 * 24 * time.Hour)
	after := c.all("/v3/transactions", c.token())
	if more := len(after) - len(before); more < 5 || more > 44 {
		t.Errorf("%d, then %d", len(before), len(after))
	}
	left := map[any]bool{}
	for _, one := range before {
		left[one["uuid"]] = true
	}
	for _, one := range after {
		delete(left, one["uuid"])
	}
	if len(left) != 0 {
		t.Errorf("%d went away", len(left))
	}
	at := enginetest.NewClock()
	at.Step(-5 * 365 * 24 * time.Hour)
	early := openFront(t, filepath.Join(t.TempDir(), "clara.db"), at).seeded()
	if n := len(early.all("/v3/transactions", early.token())); n < 132 {
		t.Errorf("%d transactions in 2021", n)
	}
}

type attachments struct {
	TransactionUUID string `json:"transactionUuid"`
	Attachments     []struct {
		UUID, FileName, UpdateAt, Format string
		Download                         struct{ URLExpiration, URL string }
	}
}

// attached finds files of each format.
func (c *client) attached(token string) map[string]string {
	c.f.t.Helper()
	found := map[string]string{}
	for _, one := range c.all("/v3/transactions", token) {
		id := one["uuid"].(string)
		if one["hasAttachments"].(map[string]any)["value"] != true {
			continue
		}
		got := decode[attachments](c.f.t, c.get("/v3/transactions/"+id+"/documents", token))
		if got.TransactionUUID != id || len(got.Attachments) == 0 {
			c.f.t.Fatalf("documents %+v", got)
		}
		for _, a := range got.Attachments {
			until, err := time.Parse(time.RFC3339, a.Download.URLExpiration)
			if err != nil || !until.Equal(c.f.clock.Now().Add(12*time.Hour)) || a.FileName == "" || !uuidPattern.MatchString(a.UUID) {
				c.f.t.Fatalf("attachment %+v", a)
			}
			found[a.Format] = a.Download.URL
		}
		if len(found) == 3 {
			break
		}
	}
	return found
}

func fetch(t *testing.T, address string) answer {
	t.Helper()
	a, err := try(t.Context(), &http.Client{}, http.MethodGet, address, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFiles(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	f.sim.ServeFilesAt(f.control)
	found := c.attached(token)
	for format, begins := range map[string]string{"jpeg": "\xff\xd8\xff", "pdf": "%PDF-", "xml": "<?xml"} {
		address := found[format]
		if !strings.HasPrefix(address, f.control+"/files/") {
			t.Fatalf("%s: address %q", format, address)
		}
		a := fetch(t, address) // no certificate, no token
		wantStatus(t, a, http.StatusOK)
		if !strings.HasPrefix(a.body, begins) || a.header.Get("Content-Disposition") == "" || a.body != fetch(t, address).body {
			t.Errorf("%s: %.20q, %v", format, a.body, a.header)
		}
	}
	if n := len(fetch(t, found["jpeg"]).body); n < 20000 {
		t.Errorf("a picture of %d bytes", n)
	}
	// Without files there is an empty list.
	for _, one := range c.all("/v3/transactions", token) {
		if one["hasAttachments"].(map[string]any)["value"] != true {
			a := c.get("/v3/transactions/"+one["uuid"].(string)+"/documents", token)
			if a.body != `{"transactionUuid":"`+one["uuid"].(string)+`","attachments":[]}` {
				t.Errorf("body %s", a.body)
			}
			break
		}
	}
	address, err := url.Parse(found["pdf"])
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(url.Values, *url.URL){
		"later":     func(q url.Values, _ *url.URL) { q.Set("Expires", "9999999999") },
		"format":    func(q url.Values, _ *url.URL) { q.Set("format", "xml") },
		"signature": func(q url.Values, _ *url.URL) { q.Set("Signature", strings.Repeat("0", 64)) },
		"unsigned":  func(q url.Values, _ *url.URL) { q.Del("Signature") },
		"name":      func(_ url.Values, u *url.URL) { u.Path += "x" },
	} {
		changed := *address
		query := changed.Query()
		change(query, &changed)
		changed.RawQuery = query.Encode()
		if a := fetch(t, changed.String()); a.status != http.StatusForbidden || !strings.Contains(a.body, "AccessDenied") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	f.clock.Step(12*time.Hour - time.Second)
	wantStatus(t, fetch(t, found["pdf"]), http.StatusOK)
	f.clock.Step(time.Second)
	wantStatus(t, fetch(t, found["pdf"]), http.StatusForbidden)
	if line := f.lastRequest(); line.Why != "address expired" || line.Endpoint != "files" || strings.Contains(line.Query, address.Query().Get("Signature")) {
		t.Errorf("line %+v", line)
	}
	a, err := try(t.Context(), &http.Client{}, http.MethodPost, found["pdf"], nil, "")
	if err != nil || a.status != http.StatusMethodNotAllowed {
		t.Errorf("%d, %v", a.status, err)
	}
}

// Unless it is said where the control front is, addresses lead to where it was asked last, or else to the API's own front.
func TestWhereFilesAre(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	address := c.attached(token)["pdf"]
	if !strings.HasPrefix(address, f.base+"/files/") {
		t.Fatalf("address %s", address)
	}
	wantStatus(t, c.send(http.MethodGet, strings.TrimPrefix(address, f.base), nil, ""), http.StatusOK)
	f.steer(http.MethodGet, "/_sim/tls", "")
	if address := c.attached(token)["pdf"]; !strings.HasPrefix(address, f.control+"/files/") {
		t.Errorf("address %s", address)
	}
	f.sim.ServeFilesAt("http://files.example")
	f.steer(http.MethodGet, "/_sim/tls", "")
	if address := c.attached(token)["pdf"]; !strings.HasPrefix(address, "http://files.example/files/") {
		t.Errorf("address %s", address)
	}
}
