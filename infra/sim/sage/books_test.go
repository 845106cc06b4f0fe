package sagesim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

const dateOnly = "2006-01-02"

func cents(t *testing.T, v any) int64 {
	t.Helper()
	text, isText := v.(string)
	if !isText {
		t.Fatalf("an amount is %v", v)
	}
	whole, part, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if part == "" || len(part) > 2 || part != "0" && strings.HasSuffix(part, "0") {
		t.Fatalf("an amount is %q", text)
	}
	n, err := strconv.ParseInt(whole+(part + "0")[:2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(text, "-") {
		n = -n
	}
	return n
}

func idOf(v any) string {
	o, _ := v.(map[string]any)
	id, _ := o["id"].(string)
	return id
}

func TestBooksHoldTogether(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for user, business := range map[string]string{sagesim.UserGB: sagesim.BusinessGBThird, sagesim.UserFR: sagesim.BusinessFR} {
		token := f.access(user)
		least := map[string]int{"contacts": 45, "sales_invoices": 60, "ledger_entries": 250, "purchase_invoices": 21, "sales_credit_notes": 21, "purchase_credit_notes": 21, "products": 21, "stock_items": 21, "journals": 21, "transactions": 100, "contact_payments": 21, "attachments": 21}
		for name, n := range least {
			if total := f.page("/"+name, token, business).Total; total < n {
				t.Errorf("%s: %d", name, total)
			}
		}
		contacts := map[string]bool{}
		for _, c := range f.all("/contacts?items_per_page=200", token, business) {
			contacts[c["id"].(string)] = true
		}
		states := map[string]int{}
		for _, invoice := range f.all("/sales_invoices?items_per_page=200&attributes=all", token, business) {
			net, tax, total := cents(t, invoice["net_amount"]), cents(t, invoice["tax_amount"]), cents(t, invoice["total_amount"])
			paid, outstanding := cents(t, invoice["total_paid"]), cents(t, invoice["outstanding_amount"])
			state := idOf(invoice["status"])
			states[state]++
			if net+tax != total || !contacts[idOf(invoice["contact"])] || state != "VOID" && paid+outstanding != total || (state == "PAID") != (outstanding == 0 && state != "VOID") {
				t.Errorf("invoice %v: %d+%d=%d, paid %d, open %d, %s", invoice["displayed_as"], net, tax, total, paid, outstanding, state)
			}
			if created := invoice["created_at"].(string); !strings.HasPrefix(created, invoice["date"].(string)) || invoice["updated_at"].(string) < created {
				t.Errorf("invoice made at %s, of %s, changed at %s", created, invoice["date"], invoice["updated_at"])
			}
		}
		if len(states) != 6 {
			t.Errorf("states of invoices %v", states)
		}
		sums, balance := map[string]int64{}, int64(0)
		for _, entry := range f.all("/ledger_entries?items_per_page=200&attributes=all", token, business) {
			debit, credit := cents(t, entry["debit"]), cents(t, entry["credit"])
			sums[idOf(entry["transaction"])] += debit - credit
			balance += debit - credit
			account := entry["ledger_account"].(map[string]any)["displayed_as"].(string)
			source := strings.Split(entry["displayed_as"].(string), "-")[0]
			if side := map[string]bool{"SI": true, "SCN": false, "PI": false, "PCN": true}; strings.HasPrefix(account, "Trade ") && strings.Contains("SI SCN PI PCN", source) && side[source] != (debit > 0) {
				t.Errorf("%v is booked to the wrong side of %s", entry["displayed_as"], account)
			}
		}
		transactions := f.all("/transactions?items_per_page=200&attributes=all", token, business)
		if balance != 0 || len(sums) != len(transactions) {
			t.Errorf("debits less credits %d, in %d of %d transactions", balance, len(sums), len(transactions))
		}
		for i, transaction := range transactions {
			if sums[transaction["id"].(string)] != 0 {
				t.Fatalf("transaction %v does not balance", transaction["displayed_as"])
			}
			if i%100 == 0 { // what it came from is there
				wantStatus(t, f.get(transaction["origin"].(map[string]any)["$path"].(string), token, business), http.StatusOK)
			}
		}
		payment := f.page("/contact_payments?attributes=all&items_per_page=1", token, business).Items[0]
		wantStatus(t, f.get("/transactions/"+idOf(payment["transaction"]), token, business), http.StatusOK)
		invoice := payment["allocated_artefacts"].([]any)[0].(map[string]any)["artefact"].(map[string]any)
		settled := decode[map[string]any](t, f.get(invoice["$path"].(string)+"?show_payments_allocations=true", token, business))
		if settled["total_paid"] != payment["total_amount"] || idOf(settled["payments_allocations"].([]any)[0]) != payment["id"] {
			t.Errorf("payment %v, invoice %v", payment, settled)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	whole := func(path, query string) []map[string]any {
		return f.all("/"+path+"?items_per_page=200&attributes=all&"+query, token, "")
	}
	invoices := whole("sales_invoices", "")
	contact := idOf(invoices[0]["contact"])
	account := idOf(whole("ledger_entries", "from_date=2026-06-01")[0]["ledger_account"])
	transaction := idOf(whole("ledger_entries", "from_date=2026-06-01")[0]["transaction"])
	attachments := whole("attachments", "")
	attachment, withFile := attachments[0], map[string]bool{}
	for _, item := range attachments {
		withFile[idOf(item["attachment_context"])] = true
	}
	type filter struct {
		path, query string
		holds       func(map[string]any) bool
	}
	has := func(name, want string) func(map[string]any) bool {
		return func(item map[string]any) bool { return idOf(item[name]) == want || item[name] == want }
	}
	between := func(name, from, to string) func(map[string]any) bool {
		return func(item map[string]any) bool {
			return item[name].(string)[:len(from)] >= from && item[name].(string)[:len(to)] <= to
		}
	}
	unfiltered := map[string][]map[string]any{}
	for _, test := range []filter{
		{"sales_invoices", "contact_id=" + contact, has("contact", contact)},
		{"sales_invoices", "status_id=PART_PAID", has("status", "PART_PAID")},
		{"sales_invoices", "from_date=2026-01-05&to_date=2026-03-09", between("date", "2026-01-05", "2026-03-09")},
		{"sales_invoices", "search=si-2", func(item map[string]any) bool { return strings.HasPrefix(item["displayed_as"].(string), "SI-2") }},
		{"sales_invoices", "has_attachments=true", func(item map[string]any) bool { return withFile[item["id"].(string)] }},
		{"contacts", "contact_type_id=VENDOR", func(item map[string]any) bool { return strings.Contains(fmt.Sprint(item["contact_types"]), "VENDOR") }},
		{"contacts", "email=contact7@example.com", has("email", "contact7@example.com")},
		{"contacts", "exclude_system=true", func(item map[string]any) bool { return item["system"] == false }},
		{"contacts", "filter_inactive_contacts=true", func(item map[string]any) bool { return item["is_active"] == true }},
		{"ledger_entries", "transaction_type_id=JOURNAL", func(item map[string]any) bool { return strings.HasPrefix(item["description"].(string), "Journal") }},
		{"ledger_entries", "ledger_account_id=" + account, has("ledger_account", account)},
		{"ledger_entries", "transaction_id=" + transaction, has("transaction", transaction)},
		{"ledger_entries", "from_date=2026-06-01", between("date", "2026-06-01", "2026-06-15")},
		{"ledger_accounts", "visible_in=sales", func(item map[string]any) bool { return item["visible_in_sales"] == true }},
		{"ledger_accounts", "not_visible_in=journals", func(item map[string]any) bool { return item["visible_in_journals"] == false }},
		{"ledger_accounts", "ledger_account_type_id=BANK", has("ledger_account_type", "BANK")},
		{"transactions", "transaction_type_id=BANK_TRANSFER", has("transaction_type", "BANK_TRANSFER")},
		{"transactions", "has_attachments=true", has("number_of_attachments", "1")},
		{"transactions", "updated_from_date=2026-05-01&updated_to_date=2026-05-31", between("updated_at", "2026-05-01", "2026-05-31")},
		{"contact_payments", "transaction_type_id=VENDOR_PAYMENT", has("transaction_type", "VENDOR_PAYMENT")},
		{"products", "active=false", func(item map[string]any) bool { return item["active"] == false }},
		{"attachments", "attachment_context_id=" + idOf(attachment["attachment_context"]), has("id", attachment["id"].(string))},
		{"attachments", "attachment_context_type_id=PURCHASE_INVOICE", has("attachment_context_type", "PURCHASE_INVOICE")},
		{"address_regions", "country_id=CA", has("country", "CA")},
		{"stock_movements", "from_date=2026-01-01", between("date", "2026-01-01", "2026-06-15")},
	} {
		if unfiltered[test.path] == nil {
			unfiltered[test.path] = whole(test.path, "")
		}
		all, filtered := unfiltered[test.path], whole(test.path, test.query)
		want := 0
		for _, item := range all {
			if test.holds(item) {
				want++
			}
		}
		for _, item := range filtered {
			if !test.holds(item) {
				t.Errorf("%s?%s lets %v pass", test.path, test.query, item["displayed_as"])
				break
			}
		}
		if len(filtered) != want || want == 0 || want == len(all) {
			t.Errorf("%s?%s: %d of %d, want %d", test.path, test.query, len(filtered), len(all), want)
		}
	}
	// Filters that a collection does not know are ignored: ledger entries have no deleted_since (Sage facts 2.2).
	for _, query := range []string{"nonsense=1", "deleted_since=2026-06-01T00:00:00Z", "contact_id=x", "sort=date:desc"} {
		if a, b := f.page("/ledger_entries?"+query, token, ""), f.page("/ledger_entries", token, ""); a.Total != b.Total || a.Items[0]["id"] != b.Items[0]["id"] {
			t.Errorf("ledger_entries?%s is filtered", query)
		}
	}
}

func TestSinceFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	since := func(path, name, at string) []map[string]any {
		return f.all("/"+path+"?items_per_page=200&attributes=updated_at,deleted_at&"+name+"="+url.QueryEscape(at), token, "")
	}
	stamps := func(items []map[string]any, name string) (latest, before string) {
		for _, item := range items {
			if at, _ := item[name].(string); at > latest {
				latest, before = at, latest
			} else if at > before && at < latest {
				before = at
			}
		}
		return latest, before
	}
	later := func(at string) string {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		return when.Add(time.Second).Format(time.RFC3339)
	}
	for _, path := range []string{"contacts", "sales_invoices", "products"} {
		latest, _ := stamps(since(path, "updated_or_created_since", "2024-01-01T00:00:00Z"), "updated_at")
		if got := since(path, "updated_or_created_since", latest); len(got) == 0 { // it includes its moment
			t.Errorf("%s: nothing was updated at or after %s", path, latest)
		}
		if got := since(path, "updated_or_created_since", later(latest)); len(got) != 0 {
			t.Errorf("%s: %d updated after %s", path, len(got), latest)
		}
		if got := since(path, "updated_or_created_since", strings.Replace(latest, "Z", "+00:00", 1)); len(got) == 0 {
			t.Errorf("%s: nothing with an offset", path)
		}
		deleted := since(path, "deleted_since", "2024-01-01T00:00:00Z")
		latest, before := stamps(deleted, "deleted_at")
		if len(deleted) < 2 || len(since(path, "deleted_since", latest)) != 0 { // it does not include its moment
			t.Errorf("%s: %d deleted", path, len(deleted))
		}
		if got := since(path, "deleted_since", before); len(got) != 1 || got[0]["deleted_at"] != latest {
			t.Errorf("%s: deleted since %s: %v", path, before, got)
		}
		wantStatus(t, f.get(deleted[0]["$path"].(string), token, ""), http.StatusNotFound)
		for _, live := range since(path, "updated_or_created_since", "2024-01-01T00:00:00Z") {
			if live["deleted_at"] != nil {
				t.Errorf("%s: a deleted record is listed", path)
			}
		}
	}
}

func TestSort(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	for _, name := range []string{"created_at", "updated_at", "date", "due_date"} {
		for _, direction := range []string{"", ":asc", ":desc"} {
			items := f.all("/sales_invoices?items_per_page=200&attributes=all&sort="+name+direction, token, "")
			for i := 1; i < len(items); i++ {
				a, b := items[i-1][name].(string), items[i][name].(string)
				if a != b && (a > b) != (direction == ":desc") {
					t.Fatalf("sort=%s%s: %s before %s", name, direction, a, b)
				}
			}
		}
	}
	if a, b := f.page("/sales_invoices?sort=total", token, ""), f.page("/sales_invoices", token, ""); a.Items[0]["id"] != b.Items[0]["id"] {
		t.Error("an unknown order is heeded")
	}
}

// Books follow the clock: they grow, invoices are paid, and whoever reads what changed since the last time sees it.
func TestBooksGrow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	read := func(path string) []map[string]any {
		return f.all(path, f.access(sagesim.UserGB), "")
	}
	before := f.clock.Now()
	old := read("/sales_invoices?items_per_page=200&attributes=status,updated_at")
	f.clock.Step(30 * 24 * time.Hour)
	changed := map[any]bool{}
	for _, item := range read("/sales_invoices?items_per_page=200&updated_or_created_since=" + before.Format(time.RFC3339)) {
		changed[item["id"]] = true
	}
	for _, item := range read("/sales_invoices?items_per_page=200&deleted_since=" + before.Format(time.RFC3339)) {
		changed[item["id"]] = true
	}
	now := map[any]map[string]any{}
	paid, added := 0, 0
	known := map[any]map[string]any{}
	for _, item := range old {
		known[item["id"]] = item
	}
	for _, item := range read("/sales_invoices?items_per_page=200&attributes=status,updated_at") {
		now[item["id"]] = item
		was, there := known[item["id"]]
		if !there {
			added++
		} else if idOf(was["status"]) != idOf(item["status"]) {
			paid++
		} else {
			continue
		}
		if !changed[item["id"]] {
			t.Errorf("%v changed and is not among what changed", item["displayed_as"])
		}
	}
	for id := range known {
		if now[id] == nil && !changed[id] {
			t.Error("a record went away silently")
		}
	}
	if added < 8 || paid < 3 {
		t.Errorf("%d new invoices, %d settled", added, paid)
	}
}

func TestBooksAtTheirBeginning(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, start := range []time.Time{
		time.Date(2023, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC), time.Date(2024, 1, 9, 9, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		f.clock.Step(start.Sub(f.clock.Now()))
		token := f.access(sagesim.UserGB)
		today := start.Format(time.RFC3339)
		for _, path := range []string{"/contacts", "/sales_invoices", "/ledger_entries", "/products", "/bank_accounts"} {
			for _, item := range f.all(path+"?items_per_page=200&attributes=created_at,updated_at", token, "") {
				if item["created_at"].(string) > today || item["updated_at"].(string) > today {
					t.Fatalf("%s at %s: %v", path, today, item)
				}
			}
		}
		wantStatus(t, f.get("/financial_settings", token, ""), http.StatusOK)
	}
}

func TestWirePeculiarities(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	settings := decode[map[string]any](t, f.get("/financial_settings", token, ""))
	if settings["mtd_authenticated_date"] != "" || settings["$path"] != "/financial_settings" || settings["id"] != nil {
		t.Errorf("financial settings %v", settings)
	}
	withoutCode := 0
	for _, account := range f.all("/ledger_accounts?items_per_page=200&attributes=nominal_code", token, "") {
		if account["nominal_code"] == nil {
			withoutCode++
		}
	}
	if withoutCode != 1 {
		t.Errorf("%d ledger accounts without a nominal code", withoutCode)
	}
	if got := decode[map[string]any](t, f.get("/tax_rates/GB_STANDARD", token, "")); got["percentage"] != "20.0" {
		t.Errorf("tax rate %v", got)
	}
	if got := f.page("/tax_rates", f.access(sagesim.UserES), "").Items[0]; got["id"] != "ES_STANDARD" {
		t.Errorf("tax rate %v", got)
	}
	if got := decode[map[string]any](t, f.get("/contact_types/CUSTOMER", token, "")); got["displayed_as"] != "Customer" {
		t.Errorf("contact type %v", got)
	}
	when := f.page("/contacts?attributes=created_at&items_per_page=1", token, "").Items[0]["created_at"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05Z", when); err != nil {
		t.Errorf("created_at %s", when)
	}
	contact := decode[map[string]any](t, f.get(f.page("/contacts?items_per_page=2", token, "").Items[1]["$path"].(string)+"?show_balance=true", token, ""))
	want := int64(0)
	for kind, sign := range map[string]int64{"sales_invoices": 1, "purchase_invoices": -1} {
		for _, invoice := range f.all("/"+kind+"?items_per_page=200&attributes=all&contact_id="+contact["id"].(string), token, "") {
			if state := idOf(invoice["status"]); state != "DRAFT" && state != "PRO_FORMA" {
				want += sign * cents(t, invoice["outstanding_amount"])
			}
		}
	}
	if got := cents(t, contact["balance"]); got != want {
		t.Errorf("balance %d, want %d", got, want)
	}
}

func TestAttachmentFiles(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	large := 0
	for _, item := range f.page("/attachments?attributes=all&items_per_page=6", token, "").Items {
		header := apiHeader(token, "")
		header.Set("Accept", "application/octet-stream")
		a := f.send(http.MethodGet, f.base+"/v3.1"+item["$file_path"].(string), header, "")
		if a.status != http.StatusOK || float64(len(a.body)) != item["file_size"] || !strings.HasPrefix(a.body, "%PDF-1.4") ||
			a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("X-Business") != sagesim.BusinessGB {
			t.Errorf("%v: %d, %d bytes, %v", item["displayed_as"], a.status, len(a.body), a.header)
		}
		if len(a.body) > 4<<20 {
			large++
		}
	}
	if large != 1 {
		t.Errorf("%d files are larger than 4 MiB", large)
	}
	wantStatus(t, f.get("/attachments/00000000000000000000000000000000/file", token, ""), http.StatusNotFound)
	if feed := f.get(f.page("/bank_accounts", token, "").Items[0]["$path"].(string)+"/bank_feed", token, ""); feed.status != http.StatusOK {
		t.Errorf("bank feed %d", feed.status)
	}
	if day := f.page("/journals?attributes=date", token, "").Items[0]["date"].(string); day < "2024-01-01" || day > f.clock.Now().Format(dateOnly) {
		t.Errorf("journal of %s", day)
	}
}
