package sagesim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bench is a simulator that is asked without a network.
type bench struct {
	t     testing.TB
	sim   *Simulator
	serve http.Handler
	token string
}

func newBench(t testing.TB, user string) *bench {
	t.Helper()
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	sim, err := New(Config{StatePath: filepath.Join(t.TempDir(), "sim.db"), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	granted, err := sim.Grant(context.Background(), GrantRequest{User: user})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, sim, sim.Handler(), granted.AccessToken}
}

func (b *bench) get(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v3.1"+path, nil)
	r.Header.Set("Authorization", "Bearer "+b.token)
	w := httptest.NewRecorder()
	b.serve.ServeHTTP(w, r)
	return w
}

func (b *bench) decode(path string, into any) {
	b.t.Helper()
	w := b.get(path)
	if w.Code != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		b.t.Fatalf("%s: %v", path, err)
	}
}

// Every collection answers, whole and record by record, and every reference in it that looks like a path leads somewhere.
func TestEveryCollectionAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, UserGB)
	for name, res := range resources {
		var list struct {
			Items []map[string]any `json:"$items"`
		}
		b.decode("/"+name+"?attributes=all", &list)
		if len(list.Items) == 0 {
			t.Errorf("%s is empty", name)
			continue
		}
		var short struct {
			Items []map[string]any `json:"$items"`
		}
		b.decode("/"+name, &short)
		for i, item := range short.Items {
			if len(item) != 3 || item["displayed_as"] != list.Items[i]["displayed_as"] || item["id"] != list.Items[i]["id"] {
				t.Errorf("%s: %v in short is %v", name, list.Items[i]["displayed_as"], item)
			}
		}
		item := list.Items[0]
		if item["id"] == "" || item["displayed_as"] == "" || item["$path"] != "/"+name+"/"+item["id"].(string) {
			t.Errorf("%s: %v", name, item)
		}
		if res.noItems {
			continue
		}
		var one map[string]any
		b.decode(item["$path"].(string), &one)
		if len(one) != len(item) || one["id"] != item["id"] {
			t.Errorf("%s: the record differs from the list", name)
		}
		for _, path := range references(item) {
			collection, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
			if resources[collection] == nil {
				continue // the specification has references to what cannot be read
			}
			if got := b.get(path); got.Code != http.StatusOK {
				t.Errorf("%s: %s leads to %d", name, path, got.Code)
			}
		}
	}
	for name := range singletons() {
		var one map[string]any
		b.decode("/"+name, &one)
		if one["$path"] != "/"+name {
			t.Errorf("%s: %v", name, one)
		}
	}
}

func references(v any) []string {
	var paths []string
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if path, is := member.(string); is && name == "$path" {
				paths = append(paths, path)
			}
			paths = append(paths, references(member)...)
		}
	case []any:
		for _, item := range v {
			paths = append(paths, references(item)...)
		}
	}
	return paths
}

// Every GET of Sage's own list answers, every parameter that filters is known, and every method is what it is there.
func TestOperationsOfTheSpecification(t *testing.T) {
	t.Parallel()
	var file struct {
		Paths []struct {
			Path string
			Ops  map[string]struct{ Query []string }
		}
	}
	if err := json.Unmarshal(dataFile(t, "sage-v3.1-operations.json"), &file); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, UserGB)
	seen := map[string]bool{}
	for _, p := range file.Paths {
		operation := strings.TrimPrefix(p.Path, "/")
		name, _, _ := strings.Cut(operation, "/")
		seen[name] = true
		path := p.Path
		if strings.Contains(path, "{key}") {
			var list struct {
				Items []struct {
					ID string `json:"id"`
				} `json:"$items"`
			}
			b.decode("/"+name, &list)
			path = strings.Replace(path, "{key}", list.Items[0].ID, 1)
		}
		route := readRoute(strings.TrimPrefix(path, "/"))
		if route.operation != operation {
			t.Errorf("%s is taken for %s", p.Path, route.operation)
		}
		var methods []string
		for method := range p.Ops {
			methods = append(methods, strings.ToUpper(method))
		}
		slices.Sort(methods)
		allowed := slices.Sorted(slices.Values(route.allowed))
		if !slices.Equal(methods, allowed) {
			t.Errorf("%s takes %v, want %v", p.Path, allowed, methods)
		}
		get, reads := p.Ops["get"]
		if !reads {
			continue
		}
		if w := b.get(path); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", p.Path, w.Code, w.Body)
		}
		checkFilters(t, route, get.Query)
	}
	for name := range resources {
		if !seen[name] {
			t.Errorf("%s is not in the specification", name)
		}
	}
}

// checkFilters compares the filters of a collection with the specification's, both ways.
func checkFilters(t *testing.T, r route, query []string) {
	t.Helper()
	if r.resource == nil || r.key != "" {
		return
	}
	for _, name := range strings.Fields(r.resource.filters) {
		if !slices.Contains(query, name) {
			t.Errorf("%s does not filter by %s", r.operation, name)
		}
	}
	for _, name := range []string{"updated_or_created_since", "deleted_since", "from_date", "to_date", "contact_id", "status_id", "search", "sort", "transaction_type_id", "bank_account_id"} {
		// A chart of accounts has balances of a period; they are not simulated.
		if slices.Contains(query, name) && !r.resource.filtersBy(name) && r.resource.name != "ledger_accounts" {
			t.Errorf("%s filters by %s", r.operation, name)
		}
	}
}

// Records have members that Sage's specification has, and most of them.
func TestMembersOfTheSpecification(t *testing.T) {
	t.Parallel()
	var schemas map[string]map[string]string
	if err := json.Unmarshal(dataFile(t, "sage-v3.1-core-schemas.json"), &schemas); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, UserGB)
	for schema, name := range map[string]string{
		"Contact": "contacts", "SalesInvoice": "sales_invoices", "PurchaseInvoice": "purchase_invoices", "LedgerAccount": "ledger_accounts",
		"LedgerEntry": "ledger_entries", "BankAccount": "bank_accounts", "ContactPayment": "contact_payments", "Product": "products", "Service": "services",
		"TaxRate": "tax_rates", "Transaction": "transactions", "Journal": "journals", "Attachment": "attachments",
	} {
		var list struct {
			Items []map[string]any `json:"$items"`
		}
		b.decode("/"+name+"?attributes=all&show_balance=true&show_payments_allocations=true", &list)
		compareMembers(t, schema, list.Items[0], schemas[schema])
	}
	for schema, name := range map[string]string{"FinancialSettings": "financial_settings", "BusinessSettings": "business_settings"} {
		var one map[string]any
		b.decode("/"+name, &one)
		compareMembers(t, schema, one, schemas[schema])
	}
}

func compareMembers(t *testing.T, schema string, item map[string]any, members map[string]string) {
	t.Helper()
	for name, value := range item {
		kind, known := members[name]
		if !known {
			t.Errorf("%s has no %s", schema, name)
		}
		if _, isText := value.(string); kind == "number:double" && value != nil && !isText {
			t.Errorf("%s: %s is %v", schema, name, value)
		}
	}
	if len(item)*2 < len(members) {
		t.Errorf("%s has %d of %d members", schema, len(item), len(members))
	}
}
