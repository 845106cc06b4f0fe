package sage_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/resource"
)

// byPath are the operations that read, the file of an attachment included, by path with {key} for the item.
func byPath(t *testing.T) map[string]resource.Operation {
	t.Helper()
	all := map[string]resource.Operation{}
	for _, op := range everyOperation() {
		path := strings.ReplaceAll(op.Path, "{item}", "{key}")
		if _, twice := all[path]; twice {
			t.Errorf("%s is there twice", path)
		}
		all[path] = op
	}
	a := sage.New(sage.Options{})
	res, _ := a.Descriptor().Resource("attachments")
	doc, err := a.Locate(t.Context(), session(shared(), account(), connectorOf(business), nil).Target, res, "x", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	all[strings.ReplaceAll(doc.Call.Op.Path, "{item}", "{key}")] = doc.Call.Op
	return all
}

// parameters are everything that may be said to an operation, paging included.
func parameters(op resource.Operation) []string {
	var names []string
	for _, f := range op.Filters {
		names = append(names, f.Name)
	}
	for _, name := range []string{op.Paging.Param, op.Paging.Size} {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// The table is Sage's list of operations, both ways, but for what is Sage's and not in its list, and for the one
// parameter that changes what it reads.
func TestTheTableIsSages(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(sage.DataDir(), "sage-v3.1-operations.json"))
	if err != nil {
		t.Skip("Sage's list of operations does not lie beside the project; the table is counted")
	}
	var file struct {
		Paths []struct {
			Path string
			Ops  map[string]struct {
				ID    string `json:"operationId"`
				Query []string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	ours := byPath(t)
	listed := 0
	for _, p := range file.Paths {
		get, reads := p.Ops["get"]
		if !reads {
			continue
		}
		listed++
		op, there := ours[p.Path]
		if !there {
			t.Errorf("%s is not there", p.Path)
			continue
		}
		delete(ours, p.Path)
		if op.ID != get.ID {
			t.Errorf("%s is called %s, Sage calls it %s", p.Path, op.ID, get.ID)
		}
		want := slices.DeleteFunc(slices.Sorted(slices.Values(get.Query)), func(name string) bool { return name == "mark_as_sent" })
		if got := parameters(op); !slices.Equal(got, want) {
			t.Errorf("%s takes %v, Sage says %v", op.ID, got, want)
		}
	}
	if listed < 160 {
		t.Errorf("only %d operations are listed, which is too few to be all", listed)
	}
	want := []string{"/businesses", "/businesses/lead", "/businesses/{key}", "/user"}
	if got := slices.Sorted(maps.Keys(ours)); !slices.Equal(got, want) {
		t.Errorf("beside Sage's list there are %v, want %v", got, want)
	}
}

// The same without Sage's list: how much there is, and of the core what.
func TestTheTable(t *testing.T) {
	t.Parallel()
	ours := byPath(t)
	kinds := map[string]int{}
	filters := 0
	for _, op := range ours {
		switch {
		case op.Paging.Param != "":
			kinds["pages"]++
		case strings.Contains(op.Path, "{item}"):
			kinds["items"]++
		default:
			kinds["singles"]++
		}
		filters += len(op.Filters)
	}
	want := map[string]int{"pages": 79, "items": 80, "singles": 9}
	if !maps.Equal(kinds, want) || len(ours) != 168 {
		t.Errorf("there are %d operations: %v, want %v", len(ours), kinds, want)
	}
	if filters != 460 {
		t.Errorf("there are %d filters", filters)
	}
	for path, want := range map[string]string{
		"/contacts":                "attributes contact_type_id context_date deleted_since email exclude_system filter_inactive_contacts items_per_page nested_attributes page search show_balance show_unfinished_recurring_invoices_status updated_or_created_since",
		"/sales_invoices":          "attributes contact_id deleted_since from_date has_attachments items_per_page page search show_payments_allocations sort status_id to_date updated_or_created_since",
		"/sales_quotes":            "attributes contact_id from_date has_attachments items_per_page page search sort status_id to_date updated_or_created_since",
		"/ledger_entries":          "attributes from_date items_per_page journal_code_id ledger_account_id page to_date transaction_id transaction_type_id updated_or_created_since",
		"/transactions":            "attributes from_date has_attachments items_per_page page to_date transaction_type_id updated_from_date updated_or_created_since updated_to_date",
		"/tax_rates/{key}":         "attributes date",
		"/financial_settings":      "",
		"/user":                    "",
		"/businesses":              "page",
		"/purchase_invoices/{key}": "attributes nested_attributes show_analysis_types show_corrections show_payments_allocations",
	} {
		if got := strings.Join(parameters(ours[path]), " "); got != want {
			t.Errorf("%s takes\n%s, want\n%s", path, got, want)
		}
	}
}

// Reading changes nothing: no parameter does.
func TestNothingIsMarkedAsSent(t *testing.T) {
	t.Parallel()
	for _, op := range everyOperation() {
		if op.Method != "" || slices.Contains(parameters(op), "mark_as_sent") {
			t.Errorf("%s changes what it reads", op.ID)
		}
	}
}

// A resource goes by its path, and by the names of Sage's operations.
func TestNames(t *testing.T) {
	t.Parallel()
	d := sage.New(sage.Options{}).Descriptor()
	for alias, want := range map[string]string{
		"contacts": "contacts", "get-contacts": "contacts", "get-contacts-key": "contacts",
		"sales-invoices": "sales-invoices", "get-sales-invoices-key": "sales-invoices",
		"get-eu-goods-services-types": "eu-goods-services-types", "get-countries-of-registration-key": "countries-of-registration",
		"business-settings": "business-settings", "get-business-settings": "business-settings",
		"get-bank-accounts-key-bank-feed": "bank-feed", "get-attachments-key-file": "attachments",
		"businesses": "businesses", "get-businesses-key": "businesses", "get-businesses-lead": "lead-business", "get-user": "user",
	} {
		if res, ok := d.Resource(alias); !ok || res.Name != want {
			t.Errorf("%s leads to %q", alias, res.Name)
		}
	}
	for _, none := range []string{"", "getContacts", "post-contacts", "get-business-settings-key", "journals-reissue"} {
		if res, ok := d.Resource(none); ok {
			t.Errorf("%q leads to %q", none, res.Name)
		}
	}
}

var idShape = regexp.MustCompile(`^get[A-Z][A-Za-z]+$`)

func TestOperationsAreNamedAsSages(t *testing.T) {
	t.Parallel()
	for _, op := range everyOperation() {
		if !idShape.MatchString(op.ID) {
			t.Errorf("%s is no operation of Sage's", op.ID)
		}
	}
}

// Titles are for people.
func TestTitles(t *testing.T) {
	t.Parallel()
	d := sage.New(sage.Options{}).Descriptor()
	for name, want := range map[string]string{"contacts": "Contacts", "cis-settings": "CIS settings", "eu-sales-descriptions": "EU sales descriptions",
		"coa-accounts": "Chart of accounts: accounts", "datev-settings": "DATEV settings"} {
		if res, _ := d.Resource(name); res.Title != want {
			t.Errorf("%s is headed %q", name, res.Title)
		}
	}
}

// A filter that is true or false, or one of a few, is refused before Sage is asked.
func TestFilterValues(t *testing.T) {
	t.Parallel()
	for query, good := range map[string]bool{
		"contacts?exclude_system=true":             true,
		"contacts?exclude_system=yes":              false,
		"contacts?attributes=name,email":           true,
		"contacts?attributes=name&attributes=all":  true,
		"contacts?attributes=":                     false,
		"contacts?search=a,b":                      true,
		"contacts?search=a&search=b":               false,
		"sales-invoices?sort=date:desc":            true,
		"sales-invoices?has_attachments=1":         false,
		"contacts?context_date=2026-11-20":         true,
		"contacts?sort=name":                       false,
		"contacts?items_per_page=200":              true,
		"contacts?items_per_page=201":              false,
		"contacts?items_per_page=0":                false,
		"ledger-accounts?visible_in=banking":       true,
		"ledger-accounts?visible_in=everywhere":    false,
		"ledger-accounts?deleted_since=2026-01-01": false,
		"tax-rates?usage=sales":                    true,
		"tax-rates?usage=both":                     false,
		"businesses?items_per_page=1":              false,
		"user?attributes=all":                      false,
	} {
		name, raw, _ := strings.Cut(query, "?")
		params, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = resource.Build(list(t, name), "https://api.example/v3.1", params)
		if (err == nil) != good || err != nil && fault.CodeOf(err) != "invalid_field" {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// Pages follow the links, whatever else is in them, and money comes through as it was written (Sage facts 2.3, 2.4).
func TestPages(t *testing.T) {
	t.Parallel()
	op := list(t, "contacts")
	const first = `{"$total":3,"$page":1,"$next":"/contacts?page=2&items_per_page=1&attributes=all","$back":null,"$itemsPerPage":1,
		"$items":[{"id":"c1","balance":"-430035.84","credit_limit":2000.0,"nominal_code":null,"n":1e2,"big":12345678901234567890.10}]}`
	items, next, err := resource.Page(op, []byte(first))
	if err != nil || next != "2" || len(items) != 1 ||
		string(items[0]) != `{"id":"c1","balance":"-430035.84","credit_limit":2000.0,"nominal_code":null,"n":1e2,"big":12345678901234567890.10}` {
		t.Fatalf("got %s and %q, %v", items, next, err)
	}
	resource.StripPage(op, items)
	if got := string(items[0]); !strings.Contains(got, `"balance":"-430035.84","credit_limit":2000.0,"nominal_code":null,"n":1e2,"big":12345678901234567890.10`) {
		t.Errorf("taking personal data out left %s", got)
	}
	params, err := resource.Advance(op, url.Values{"attributes": {"all"}, "items_per_page": {"1"}}, next)
	if err != nil {
		t.Fatal(err)
	}
	u, err := resource.Build(op, "https://api.accounting.sage.com/v3.1", params)
	if err != nil || u.String() != "https://api.accounting.sage.com/v3.1/contacts?attributes=all&items_per_page=1&page=2" {
		t.Errorf("the next page is at %s, %v", u, err)
	}
	last := `{"$total":1,"$page":1,"$next":null,"$back":null,"$itemsPerPage":20,"$items":[]}`
	if items, next, err := resource.Page(op, []byte(last)); err != nil || next != "" || items == nil || len(items) != 0 {
		t.Errorf("the last page is %v and %q, %v", items, next, err)
	}
	// A page beyond the end is the last one again, whose link would lead nowhere.
	if _, err := resource.Advance(op, url.Values{"page": {"4"}}, "4"); fault.CodeOf(err) != "provider_unavailable" {
		t.Errorf("a page that follows itself: %v", err)
	}
}

// One item, and one of a kind, are the answer itself.
func TestItems(t *testing.T) {
	t.Parallel()
	res, _ := sage.New(sage.Options{}).Descriptor().Resource("contacts")
	for _, op := range []resource.Operation{*res.Item, list(t, "financial-settings"), list(t, "lead-business")} {
		items, next, err := resource.Page(op, []byte(`{"id":"x","$items":[1]}`))
		if err != nil || next != "" || len(items) != 1 || string(items[0]) != `{"id":"x","$items":[1]}` {
			t.Errorf("%s: %s, %q, %v", op.ID, items, next, err)
		}
	}
}
