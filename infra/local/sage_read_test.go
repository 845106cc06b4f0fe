package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sagesim "connectorvault/infra/sim/sage"
)

// raw is a page with its items as bytes.
type raw struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next_cursor"`
	Meta  struct {
		RequestID string    `json:"request_id"`
		FetchedAt time.Time `json:"fetched_at"`
		Items     int       `json:"items"`
		Pages     int       `json:"pages"`
		Omitted   []string  `json:"omitted"`
	} `json:"meta"`
	Stopped json.RawMessage `json:"stopped"`
}

func (v *vault) raw(path string) raw {
	v.t.Helper()
	var page raw
	if err := json.Unmarshal(v.must(200, "GET", path, nil).body, &page); err != nil {
		v.t.Fatal(err)
	}
	return page
}

// envelope is a list as Sage sends it.
type envelope struct {
	Total int               `json:"$total"`
	Items []json.RawMessage `json:"$items"`
}

func (c call) envelope(t *testing.T) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(c.answer, &e); err != nil {
		t.Fatalf("%s: %v", c.path, err)
	}
	return e
}

func idOf(t *testing.T, item []byte) string {
	t.Helper()
	var o struct{ ID string }
	if err := json.Unmarshal(item, &o); err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func texts(items []json.RawMessage) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = string(item)
	}
	return out
}

// Lists are read page by page to their end, in one run, and item by item, under either name; every item comes once, as
// many as Sage says there are, and byte for byte as Sage sent it.
func TestSageLists(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGBSecond)
	for _, c := range []struct {
		name, path, alias string
		limit             int
		least             int
		from              string // the date of the oldest, where there are very many
	}{
		{"contacts", "contacts", "get-contacts", 20, 45, ""},
		{"sales-invoices", "sales_invoices", "get-sales-invoices", 50, 60, ""},
		{"purchase-invoices", "purchase_invoices", "get-purchase-invoices", 50, 40, ""},
		{"ledger-entries", "ledger_entries", "get-ledger-entries", 200, 250, "2026-05-01"},
		{"ledger-accounts", "ledger_accounts", "get-ledger-accounts", 7, 8, ""},
		{"products", "products", "get-products", 10, 20, ""},
		{"bank-accounts", "bank_accounts", "get-bank-accounts", 1, 2, ""},
		{"tax-rates", "tax_rates", "get-tax-rates", 2, 3, ""},
		{"journals", "journals", "get-journals", 30, 2, ""},
		{"transactions", "transactions", "get-transactions", 200, 100, "2026-05-01"},
		{"contact-payments", "contact_payments", "get-contact-payments", 60, 10, ""},
		{"other-payments", "other_payments", "get-other-payments", 60, 2, ""},
		{"attachments", "attachments", "get-attachments", 9, 20, ""},
	} {
		filters := "?attributes=all&personal_data=true"
		if c.from != "" {
			filters += "&from_date=" + c.from
		}
		query := fmt.Sprintf("%s&limit=%d", filters, c.limit)
		var pages, sent []string
		cursor, total := "", -1
		for n := 0; ; n++ {
			page := v.raw(base + "/" + c.name + query + cursor)
			last := w.last(t, "/v3.1/"+c.path)
			there := last.envelope(t)
			if total < 0 {
				total = there.Total
			}
			if page.Meta.RequestID == "" || page.Meta.RequestID != last.said.Get("X-Request-Id") || page.Meta.FetchedAt.IsZero() {
				t.Errorf("%s: meta is %+v, Sage said %s", c.name, page.Meta, last.said.Get("X-Request-Id"))
			}
			pages, sent = append(pages, texts(page.Items)...), append(sent, texts(there.Items)...)
			if page.Next == nil {
				break
			}
			if n > 60 || len(page.Items) != c.limit {
				t.Fatalf("%s: page %d has %d items, and there is another", c.name, n, len(page.Items))
			}
			if cursor = "&cursor=" + url.QueryEscape(*page.Next); n%2 == 1 { // a cursor may stand alone as well
				query = "?personal_data=true"
			}
		}
		if diff := cmp.Diff(sent, pages); diff != "" {
			t.Errorf("%s: not byte for byte as Sage sent it (-sent +shown):\n%.2000s", c.name, diff)
		}
		ids := map[string]bool{}
		for _, item := range pages {
			ids[idOf(t, []byte(item))] = true
		}
		if len(ids) != total || len(pages) != total || total < c.least {
			t.Errorf("%s: %d items, %d different, Sage counts %d; at least %d were expected", c.name, len(pages), len(ids), total, c.least)
		}

		run := v.with(map[string]string{"Authorization": "Bearer " + v.key, "Accept": "application/x-ndjson"}, "GET", base+"/"+c.alias+filters+fmt.Sprintf("&limit=%d", c.limit), nil)
		lines := strings.Split(strings.TrimSpace(string(run.body)), "\n")
		var end raw
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pages, lines[:len(lines)-1]); diff != "" || end.Next != nil || end.Stopped != nil || end.Meta.Items != total {
			t.Errorf("%s as a run of pages: %s\n%.1000s", c.name, lines[len(lines)-1], diff)
		}

		one := idOf(t, []byte(pages[0]))
		for _, path := range []string{"/" + c.name + "/" + one, "/" + c.alias + "-key/" + one, "/" + c.name + "?item=" + one} {
			if strings.Contains(path, "?") {
				path += "&personal_data=true"
			} else {
				path += "?personal_data=true"
			}
			page := v.raw(base + path)
			if len(page.Items) != 1 || page.Next != nil || !bytes.Equal(page.Items[0], w.last(t, "/v3.1/"+c.path).answer) || idOf(t, page.Items[0]) != one {
				t.Errorf("%s: %.300s", path, page.Items)
			}
		}
	}
	for _, c := range w.heard("/v3.1") {
		scoped := c.path != "/v3.1/user" && !strings.HasPrefix(c.path, "/v3.1/businesses")
		if got := c.header.Get("X-Business"); scoped && got != sagesim.BusinessGBSecond || !scoped && got != "" {
			t.Fatalf("%s was asked for the business %q", c.path, got)
		}
	}
}

// Amounts are the strings that Sage sends. Nothing of a number is lost or added.
func TestSageDecimals(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGB)
	amount := regexp.MustCompile(`"total_amount":("-?\d+\.\d+")`)
	body := v.must(200, "GET", base+"/sales-invoices?limit=200&attributes=total_amount,exchange_rate", nil).body
	shown, sent := amount.FindAll(body, -1), amount.FindAll(w.last(t, "/v3.1/sales_invoices").answer, -1)
	if len(shown) < 60 || !cmp.Equal(shown, sent) {
		t.Errorf("%d amounts were sent, %d shown", len(sent), len(shown))
	}
	if asked := w.last(t, "/v3.1/sales_invoices").query; asked.Get("attributes") != "total_amount,exchange_rate" {
		t.Errorf("Sage was asked for %v", asked)
	}
	// The same attributes, each for itself: Sage wants them joined.
	again := v.must(200, "GET", base+"/sales-invoices?limit=200&attributes=total_amount&attributes=exchange_rate", nil).body
	if asked := w.last(t, "/v3.1/sales_invoices").query; len(asked["attributes"]) != 1 || asked.Get("attributes") != "total_amount,exchange_rate" {
		t.Errorf("Sage was asked for %v", asked)
	}
	if !cmp.Equal(amount.FindAll(again, -1), sent) {
		t.Error("the amounts are others")
	}
	short := v.list(base + "/sales-invoices?limit=1")
	if diff := cmp.Diff([]string{"$path", "displayed_as", "id"}, sortedKeys(short.Items[0])); diff != "" {
		t.Errorf("a list without attributes: %s", diff)
	}
}

func sortedKeys(o map[string]any) []string {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// The page size is 1 to 200, and how pages follow each other is ours.
func TestSagePageSize(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGB)
	for _, limit := range []int{1, 200} {
		l := v.raw(fmt.Sprintf("%s/ledger-entries?limit=%d", base, limit))
		if len(l.Items) != limit || l.Next == nil || w.last(t, "/v3.1/ledger_entries").query.Get("items_per_page") != fmt.Sprint(limit) {
			t.Errorf("limit %d gives %d items", limit, len(l.Items))
		}
	}
	before := len(w.heard("/v3.1"))
	for _, c := range []struct{ query, code, field string }{
		{"limit=201", "invalid_field", "limit"}, {"limit=0", "invalid_field", "limit"}, {"limit=-1", "invalid_field", "limit"}, {"limit=ten", "invalid_field", "limit"},
		{"limit=1&limit=2", "invalid_field", "limit"}, {"items_per_page=5", "invalid_field", "items_per_page"}, {"page=2", "invalid_field", "page"},
		{"colour=red", "invalid_field", "colour"}, {"Contact_ID=1", "invalid_field", "Contact_ID"}, {"cursor=AAAA", "invalid_cursor", ""},
		{"personal_data=maybe", "invalid_field", "personal_data"},
	} {
		a := v.do("GET", base+"/ledger-entries?"+c.query, nil)
		checkProblem(t, c.query, a, c.code)
		if field := a.text(t, "field"); c.field != "" && field != c.field {
			t.Errorf("%s: field %q", c.query, field)
		}
	}
	for _, c := range []struct{ path, code string }{
		{"/poems", "unknown_resource"}, {"/sales_invoices", "unknown_resource"}, {"/get-poems", "unknown_resource"}, {"/Contacts", "unknown_resource"},
		{"/contacts/1/document?personal_data=true", "unknown_resource"}, {"/bank-feed", "invalid_request"}, {"/user/1?personal_data=true", "invalid_request"},
		{"/business-settings/1", "invalid_request"}, {"/sales-invoices/1?mark_as_sent=true", "invalid_field"}, {"/businesses?limit=5", "invalid_field"},
		{"/journals?contact_id=1", "invalid_field"}, {"/tax-rates?usage=everything", "invalid_field"}, {"/products?active=perhaps", "invalid_field"},
	} {
		checkProblem(t, c.path, v.do("GET", base+c.path, nil), c.code)
	}
	page := v.raw(base + "/contacts?limit=5&contact_type_id=VENDOR")
	for name, query := range map[string]string{"another filter": "contact_type_id=CUSTOMER&limit=5&", "another size": "contact_type_id=VENDOR&limit=6&"} {
		checkProblem(t, "a cursor beside "+name, v.do("GET", base+"/contacts?"+query+"cursor="+url.QueryEscape(*page.Next), nil), "invalid_cursor")
	}
	checkProblem(t, "a cursor of another list", v.do("GET", base+"/products?cursor="+url.QueryEscape(*page.Next), nil), "invalid_cursor")
	if n := len(w.heard("/v3.1")) - before; n != 1 {
		t.Errorf("%d calls reached Sage, want the one good one", n)
	}
	if a := v.do("POST", base+"/contacts", object{"name": "x"}); a.status < 400 {
		t.Errorf("a contact was made: %d %s", a.status, a.body)
	}
}

// Filters are the provider's own, and filter.
func TestSageFilters(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGB)
	total := func(path string) int {
		t.Helper()
		v.must(200, "GET", base+"/"+path, nil)
		resource, _, _ := strings.Cut(path, "?")
		return w.last(t, "/v3.1/"+strings.ReplaceAll(resource, "-", "_")).envelope(t).Total
	}
	all := total("contacts?limit=1")
	vendors, customers := total("contacts?limit=1&contact_type_id=VENDOR"), total("contacts?limit=1&contact_type_id=CUSTOMER")
	if vendors == 0 || customers == 0 || vendors >= all || customers >= all {
		t.Errorf("of %d contacts %d are vendors and %d customers", all, vendors, customers)
	}
	invoices := total("sales-invoices?limit=1")
	for query, path := range map[string]string{
		"one state": "sales-invoices?limit=1&status_id=PAID", "a month": "sales-invoices?limit=1&from_date=2024-02-01&to_date=2024-02-29",
		"what changed": "sales-invoices?limit=1&updated_or_created_since=2025-06-01T00:00:00Z", "words": "sales-invoices?limit=1&search=SI-1",
	} {
		if n := total(path); n <= 0 || n >= invoices {
			t.Errorf("%s: %d of %d invoices", query, n, invoices)
		}
	}
	if n := total("contacts?limit=1&deleted_since=2024-01-01"); n == 0 || n == all {
		t.Errorf("%d deleted contacts, beside %d that are not", n, all)
	}
	page := v.list(base + "/sales-invoices?limit=200&status_id=PAID&attributes=status,date&sort=date:desc")
	previous := "9999"
	for _, item := range page.Items {
		status, _ := item["status"].(object)
		date := fmt.Sprint(item["date"])
		if status["id"] != "PAID" || date > previous {
			t.Fatalf("of paid invoices, the newest first: %v after %s", item, previous)
		}
		previous = date
	}
	// What a filter holds arrives as it was given, whatever characters it is made of.
	v.must(200, "GET", base+"/contacts?limit=1&search="+url.QueryEscape("Søren & Co = 100% + möre"), nil)
	if got := w.last(t, "/v3.1/contacts").query.Get("search"); got != "Søren & Co = 100% + möre" {
		t.Errorf("Sage was asked for %q", got)
	}
	// A filter stays in force from page to page.
	first := v.raw(base + "/contacts?limit=5&contact_type_id=VENDOR")
	v.raw(base + "/contacts?cursor=" + url.QueryEscape(*first.Next))
	if q := w.last(t, "/v3.1/contacts").query; q.Get("contact_type_id") != "VENDOR" || q.Get("items_per_page") != "5" || q.Get("page") != "2" {
		t.Errorf("the second page was asked for with %v", q)
	}
}

// Everything that GET /v1/providers/sage names can be read, under each of its names; and without personal_data=true nothing
// of any answer is a person's.
func TestSageEverything(t *testing.T) {
	t.Parallel()
	v, _, _, base := books(t, sagesim.BusinessGB)
	var p struct {
		Resources []struct {
			Name    string
			Aliases []string
			List    *struct {
				Filters []struct{ Name string }
			}
		}
	}
	if err := json.Unmarshal(v.must(200, "GET", "/v1/providers/sage", nil).body, &p); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	personal := personsOf(t, v, base)
	for _, r := range p.Resources {
		names[r.Name] = true
		if r.List == nil {
			continue
		}
		query := "?"
		if slices.ContainsFunc(r.List.Filters, func(f struct{ Name string }) bool { return f.Name == "attributes" }) {
			query += "attributes=all"
		}
		whole := v.do("GET", base+"/"+r.Name+query+"&personal_data=true", nil)
		if whole.status != http.StatusOK || len(whole.json(t)["items"].([]any)) == 0 {
			t.Errorf("%s: %d %.300s", r.Name, whole.status, whole.body)
		}
		plain := v.do("GET", base+"/"+r.Name+query, nil)
		if plain.status == http.StatusForbidden {
			checkProblem(t, r.Name, plain, "personal_data_not_granted")
		} else if plain.status != http.StatusOK {
			t.Errorf("%s: %d %.300s", r.Name, plain.status, plain.body)
		}
		for _, text := range personal {
			if bytes.Contains(plain.body, []byte(text)) {
				t.Errorf("%s shows %q without personal_data=true", r.Name, text)
			}
		}
	}
	for _, want := range []string{"contacts", "sales-invoices", "ledger-entries", "ledger-accounts", "purchase-invoices", "products", "bank-accounts", "tax-rates",
		"journals", "transactions", "contact-payments", "attachments", "business-settings", "financial-settings", "currencies", "countries", "businesses",
		"lead-business", "user"} {
		if !names[want] {
			t.Errorf("%s cannot be read", want)
		}
	}
	if len(names) < 85 {
		t.Errorf("%d resources", len(names))
	}
	for _, whole := range []string{"user", "contact-persons", "addresses"} {
		checkProblem(t, whole, v.do("GET", base+"/"+whole, nil), "personal_data_not_granted")
		v.must(200, "GET", base+"/"+whole+"?personal_data=true", nil)
	}
}

// personsOf are names, addresses and numbers of a business's contacts.
func personsOf(t *testing.T, v *vault, base string) []string {
	t.Helper()
	var out []string
	for _, c := range v.list(base + "/contacts?limit=200&attributes=all&personal_data=true").Items {
		person, _ := c["main_contact_person"].(object)
		address, _ := c["main_address"].(object)
		account, _ := c["bank_account_details"].(object)
		for _, value := range []any{c["name"], c["displayed_as"], c["email"], person["name"], person["email"], person["telephone"], address["address_line_1"],
			address["postal_code"], account["account_number"]} {
			text, _ := value.(string)
			if text != "" && text != "Cash Sales" {
				out = append(out, text)
			}
		}
		if c["reference"] == "" || c["id"] == "" {
			t.Errorf("a contact without id or reference: %v", c)
		}
	}
	if len(out) < 200 {
		t.Fatalf("only %d personal things were found: the test would show nothing", len(out))
	}
	return out
}

// What a contact keeps without personal_data=true is what bookkeeping knows it by.
func TestSageContactWithoutPerson(t *testing.T) {
	t.Parallel()
	v, _, _, base := books(t, sagesim.BusinessGB)
	c := v.list(base + "/contacts?limit=1&attributes=all").Items[0]
	for _, name := range []string{"id", "reference", "credit_limit", "contact_types", "created_at"} {
		if _, there := c[name]; !there {
			t.Errorf("%s is left out: %v", name, sortedKeys(c))
		}
	}
	for _, name := range []string{"name", "displayed_as", "email", "main_address", "main_contact_person", "bank_account_details", "tax_number", "notes"} {
		if _, there := c[name]; there {
			t.Errorf("%s is there", name)
		}
	}
	invoice := v.list(base + "/sales-invoices?limit=1&attributes=all").Items[0]
	contact, _ := invoice["contact"].(object)
	if contact["id"] == nil || contact["displayed_as"] != nil || invoice["contact_name"] != nil || invoice["total_amount"] == nil {
		t.Errorf("an invoice: %v", invoice)
	}
	asked := v.list(base + "/sales-invoices?limit=1&attributes=all&personal_data=true").Items[0]
	contact, _ = asked["contact"].(object)
	if contact["displayed_as"] == nil || asked["contact_name"] == nil {
		t.Errorf("asked for, an invoice: %v", asked)
	}
}

// What belongs to the user or is one of a kind is read too: as a list of one, without a business where there is none to name.
func TestSageSingles(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGBThird)
	for _, name := range []string{"business-settings", "financial-settings", "invoice-settings", "email-settings", "cis-settings", "datev-settings", "migrations"} {
		l := v.raw(base + "/" + name)
		path := "/v3.1/" + strings.ReplaceAll(name, "-", "_")
		if c := w.last(t, path); len(l.Items) != 1 || l.Next != nil || c.header.Get("X-Business") != sagesim.BusinessGBThird {
			t.Errorf("%s: %s, asked for %q", name, l.Items, c.header.Get("X-Business"))
		}
	}
	if l := v.list(base + "/businesses"); len(l.Items) != 3 || l.Next != nil {
		t.Errorf("businesses: %v", l.Items)
	}
	if l := v.list(base + "/businesses/" + sagesim.BusinessGBSecond); len(l.Items) != 1 || l.Items[0]["id"] != sagesim.BusinessGBSecond {
		t.Errorf("one business: %v", l.Items)
	}
	if l := v.list(base + "/lead-business"); len(l.Items) != 1 || l.Items[0]["id"] != sagesim.BusinessGB {
		t.Errorf("the lead business: %v", l.Items)
	}
	if l := v.list(base + "/user?personal_data=true"); len(l.Items) != 1 || l.Items[0]["id"] != sagesim.UserGB {
		t.Errorf("the user: %v", l.Items)
	}
	for _, path := range []string{"/v3.1/businesses", "/v3.1/user"} {
		if got := w.last(t, path).header.Get("X-Business"); got != "" {
			t.Errorf("%s was asked for the business %s", path, got)
		}
	}
	if l := v.list(base + "/currencies/GBP"); l.Items[0]["id"] != "GBP" {
		t.Errorf("a currency: %v", l.Items)
	}
	account := v.list(base + "/bank-accounts?limit=1").Items[0]["id"].(string)
	if l := v.list(base + "/bank-feed/" + account); len(l.Items) != 1 || l.Items[0]["status"] == nil {
		t.Errorf("a bank feed: %v", l.Items)
	}
	refused(t, "an item that is not there", v.do("GET", base+"/contacts/"+strings.Repeat("0", 32), nil), 404, "provider_refused")
}

// The file of an attachment is read in ranges, and counts as personal data whatever is in it.
func TestSageAttachments(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGBSecond)
	small, big := "", ""
	for _, item := range v.list(base + "/attachments?limit=200&attributes=file_size").Items {
		if size, _ := item["file_size"].(float64); size > 4<<20 {
			big = item["id"].(string)
		} else if small == "" {
			small = item["id"].(string)
		}
	}
	if small == "" || big == "" {
		t.Fatal("there is no small and no big file")
	}
	path := base + "/attachments/" + small + "/document"
	checkProblem(t, "without personal_data", v.do("GET", path, nil), "personal_data_not_granted")
	path += "?personal_data=true"
	whole := v.must(200, "GET", path, nil)
	last := w.last(t, "/v3.1/attachments/"+small+"/file")
	if !bytes.HasPrefix(whole.body, []byte("%PDF")) || !bytes.Equal(whole.body, last.answer) || last.header.Get("X-Business") != sagesim.BusinessGBSecond {
		t.Errorf("%d bytes, of %d that Sage sent to the business %s", len(whole.body), len(last.answer), last.header.Get("X-Business"))
	}
	if whole.header.Get("Content-Disposition") != "attachment" || whole.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a browser is told %v", whole.header)
	}
	ranged := func(address, span string) answer {
		t.Helper()
		return v.with(map[string]string{"Authorization": "Bearer " + v.key, "Range": span}, "GET", address, nil)
	}
	n := len(whole.body)
	for span, want := range map[string]struct {
		status int
		bytes  []byte
		says   string
	}{
		"bytes=10-19":                        {206, whole.body[10:20], "bytes 10-19/*"},
		"bytes=0-":                           {206, whole.body, fmt.Sprintf("bytes 0-%d/%d", n-1, n)},
		fmt.Sprintf("bytes=%d-", n-5):        {206, whole.body[n-5:], fmt.Sprintf("bytes %d-%d/%d", n-5, n-1, n)},
		fmt.Sprintf("bytes=%d-%d", n-5, n+9): {206, whole.body[n-5:], fmt.Sprintf("bytes %d-%d/%d", n-5, n-1, n)},
		fmt.Sprintf("bytes=%d-", n+100):      {416, nil, fmt.Sprintf("bytes */%d", n)},
	} {
		a := ranged(path, span)
		if a.status != want.status || !bytes.Equal(a.body, want.bytes) || a.header.Get("Content-Range") != want.says {
			t.Errorf("%s: %d, %d bytes, %s; want %d, %d, %s", span, a.status, len(a.body), a.header.Get("Content-Range"), want.status, len(want.bytes), want.says)
		}
	}
	checkProblem(t, "a range of something else", ranged(path, "lines=1-2"), "invalid_field")

	address := base + "/attachments/" + big + "/document?personal_data=true"
	first := ranged(address, "bytes=0-")
	if first.status != 206 || len(first.body) != 4<<20 || first.header.Get("Content-Range") != fmt.Sprintf("bytes 0-%d/*", 4<<20-1) {
		t.Fatalf("the first part: %d, %d bytes, %s", first.status, len(first.body), first.header.Get("Content-Range"))
	}
	second := ranged(address, fmt.Sprintf("bytes=%d-", 4<<20))
	together := append(first.body, second.body...)
	if second.status != 206 || !strings.HasSuffix(second.header.Get("Content-Range"), fmt.Sprintf("/%d", len(together))) ||
		!bytes.Equal(together, w.last(t, "/v3.1/attachments/"+big+"/file").answer) {
		t.Errorf("both parts: %d, %d bytes, %s", second.status, len(together), second.header.Get("Content-Range"))
	}
	refused(t, "the file of nothing", v.do("GET", base+"/attachments/"+strings.Repeat("0", 32)+"/document?personal_data=true", nil), 404, "provider_refused")
}

// An answer for another business, or for nobody knows which, is not passed on: not as a page, not as a run, not as a file, and
// nothing of it is in the refusal.
func TestSageEcho(t *testing.T) {
	t.Parallel()
	v, w, _, base := books(t, sagesim.BusinessGBSecond)
	file := v.list(base + "/attachments?limit=1").Items[0]["id"].(string)
	for _, name := range []string{"wrong_echo", "missing_echo"} {
		v.sageFault(object{"name": name, "endpoint": "api"})
		before := w.last(t, "/v3.1")
		for what, path := range map[string]string{"a list": "/contacts?attributes=all&personal_data=true", "an alias": "/get-products", "a single": "/business-settings",
			"a static list": "/currencies", "a file": "/attachments/" + file + "/document?personal_data=true"} {
			a := v.do("GET", base+path, nil)
			refused(t, name+", "+what, a, 502, "business_mismatch")
			if bytes.Contains(a.body, []byte("$items")) || bytes.Contains(a.body, []byte("displayed_as")) || bytes.Contains(a.body, []byte("%PDF")) {
				t.Errorf("%s, %s: something of the answer is passed on: %s", name, what, a.body)
			}
			if id := a.json(t)["provider"]; id == nil {
				t.Errorf("%s, %s: Sage's request id is not said: %s", name, what, a.body)
			}
		}
		run := v.with(map[string]string{"Authorization": "Bearer " + v.key, "Accept": "application/x-ndjson"}, "GET", base+"/contacts", nil)
		refused(t, name+", a run of pages", run, 502, "business_mismatch")
		v.must(200, "GET", base+"/businesses", nil) // which is about no business
		if w.last(t, "/v3.1").path == before.path {
			t.Error("Sage was not asked")
		}
		v.sageWell()
		v.must(200, "GET", base+"/contacts?limit=1", nil)
	}
	if n := len(v.ledger("refresh_token")); n != 0 {
		t.Errorf("%d refreshes, for answers that were no token's fault", n)
	}
}

// Whichever business leads, a connector reads its own.
func TestSageLeadIsNeverRead(t *testing.T) {
	t.Parallel()
	v, _, entry, second := books(t, sagesim.BusinessGBSecond)
	lead := v.sageConnector(entry, sagesim.BusinessGB)
	first := func(base string) string { return string(v.raw(base + "/contacts?limit=1").Items[0]) }
	ofLead, ofSecond := first(lead), first(second)
	if ofLead == ofSecond {
		t.Fatal("two businesses have the same contacts: the test would show nothing")
	}
	v.sageSim("POST", "/_sim/businesses", object{"id": sagesim.BusinessGBThird, "lead": true})
	if first(lead) != ofLead || first(second) != ofSecond {
		t.Error("another lead business changed what connectors read")
	}
	// A check of the entry names a business too, and one whose subscription is active.
	got := v.must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil).json(t)
	if got["works"] != true {
		t.Errorf("it does not work: %v", got)
	}
	for _, r := range got["reads"].([]any) {
		if r := r.(object); r["allowed"] != true {
			t.Errorf("%v", r)
		}
	}
	v.sageFault(object{"name": "access_denied", "endpoint": "api", "operation": "sales_invoices"})
	reads := fmt.Sprint(v.must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil).json(t)["reads"])
	if !strings.Contains(reads, "allowed:false") || !strings.Contains(reads, "resource:sales-invoices") || strings.Count(reads, "allowed:true") != 4 {
		t.Errorf("without the right to invoices: %s", reads)
	}
}
