package sagesim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/infra/sim/engine/enginetest"
	sagesim "connectorvault/infra/sim/sage"
)

func TestShortShapeAndAttributes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	members := func(item map[string]any) string {
		var names []string
		for name := range item {
			names = append(names, name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	short := f.page("/contacts?items_per_page=1", token, "").Items[0]
	if members(short) != "$path displayed_as id" || short["$path"] != "/contacts/"+short["id"].(string) || len(short["id"].(string)) != 32 {
		t.Errorf("short %v", short)
	}
	if got := members(f.page("/contacts?items_per_page=1&attributes=name,credit_limit,nothing", token, "").Items[0]); got != "$path credit_limit displayed_as id name" {
		t.Errorf("two attributes: %s", got)
	}
	whole := f.page("/contacts?items_per_page=1&attributes=all&nested_attributes=main_address", token, "").Items[0]
	if len(whole) < 40 {
		t.Errorf("all attributes: %d", len(whole))
	}
	if _, isText := whole["credit_limit"].(string); !isText {
		t.Errorf("credit_limit is %v", whole["credit_limit"])
	}
	if f.page("/contacts?items_per_page=1&attributes=all&show_balance=true", token, "").Items[0]["balance"] == nil {
		t.Error("no balance")
	}
	path := short["$path"].(string)
	item := decode[map[string]any](t, f.get(path, token, ""))
	if len(item) != len(whole) || item["id"] != short["id"] {
		t.Errorf("item %v", item)
	}
	if got := members(decode[map[string]any](t, f.get(path+"?attributes=name", token, ""))); got != "$path displayed_as id name" {
		t.Errorf("item with one attribute: %s", got)
	}
	wantRefusal(t, f.get("/contacts/00000000000000000000000000000000", token, ""), http.StatusNotFound, "RecordNotFound")
	digit := "0"
	if strings.HasSuffix(path, digit) {
		digit = "1"
	}
	wantStatus(t, f.get(path[:len(path)-1]+digit, token, ""), http.StatusNotFound)
	other := f.page("/contacts?items_per_page=1", token, sagesim.BusinessGBSecond).Items[0]
	wantStatus(t, f.get(other["$path"].(string), token, ""), http.StatusNotFound) // another business's record
}

func TestPaging(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	first := f.page("/ledger_entries?from_date=2024-01-01&attributes=date%2Cdebit", token, "")
	if first.PerPage != 20 || len(first.Items) != 20 || first.Page != 1 || first.Back != nil || first.Total < 250 {
		t.Errorf("first page %+v", first)
	}
	if first.Next == nil || *first.Next != "/ledger_entries?page=2&items_per_page=20&from_date=2024-01-01&attributes=date%2Cdebit" {
		t.Errorf("$next %v", first.Next)
	}
	second := f.page(*first.Next, token, "")
	if second.Page != 2 || second.Back == nil || *second.Back != "/ledger_entries?page=1&items_per_page=20&from_date=2024-01-01&attributes=date%2Cdebit" || second.Items[0]["debit"] == nil {
		t.Errorf("second page %+v", second)
	}
	last := (first.Total + 199) / 200
	for query, want := range map[string]struct{ page, per, count int }{
		"items_per_page=200": {1, 200, 200}, "items_per_page=201": {1, 200, 200}, "items_per_page=9999": {1, 200, 200}, "items_per_page=0": {1, 1, 1},
		"items_per_page=-3": {1, 1, 1}, "items_per_page=x": {1, 20, 20}, "page=0": {1, 20, 20}, "page=x": {1, 20, 20},
		fmt.Sprintf("items_per_page=200&page=%d", last+7): {last, 200, first.Total - 200*(last-1)}, // beyond the end: the last page
	} {
		got := f.page("/ledger_entries?"+query, token, "")
		if got.Page != want.page || got.PerPage != want.per || len(got.Items) != want.count {
			t.Errorf("%s: page %d, %d of %d", query, got.Page, len(got.Items), got.PerPage)
		}
	}
	if got := f.page(fmt.Sprintf("/ledger_entries?items_per_page=200&page=%d", last), token, ""); got.Next != nil || got.Back == nil {
		t.Errorf("the last page leads to %v", got.Next)
	}
	seen := map[any]bool{}
	for _, item := range f.all("/ledger_entries?items_per_page=200", token, "") {
		seen[item["id"]] = true
	}
	if len(seen) != first.Total {
		t.Errorf("%d different of %d", len(seen), first.Total)
	}
	empty := f.page("/contacts?search=nobody+is+called+that", token, "")
	if empty.Total != 0 || empty.Page != 1 || empty.Items == nil || empty.Next != nil || empty.Back != nil {
		t.Errorf("empty list %+v", empty)
	}
	if a := f.get("/contacts?search=nobody+is+called+that", token, ""); a.body != `{"$total":0,"$page":1,"$next":null,"$back":null,"$itemsPerPage":20,"$items":[]}` {
		t.Errorf("empty list %s", a.body)
	}
}

func TestBusinesses(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	a := f.get("/businesses?attributes=all&items_per_page=1&page=3", token, sagesim.BusinessGBThird)
	wantStatus(t, a, http.StatusOK)
	list := decode[struct {
		Total int              `json:"$total"`
		Per   int              `json:"$items_per_page"`
		Items []map[string]any `json:"$items"`
	}](t, a)
	if list.Total != 3 || list.Per != 2147483647 || len(list.Items) != 3 || list.Items[0]["id"] != sagesim.BusinessGB || strings.Contains(a.body, "itemsPerPage") {
		t.Errorf("businesses %+v", list)
	}
	for _, path := range []string{"/businesses", "/businesses/lead", "/user"} {
		if echo, there := f.get(path, token, sagesim.BusinessGB).header["X-Business"]; there {
			t.Errorf("%s echoes %q", path, echo)
		}
	}
	lead := func() string {
		return decode[map[string]any](t, f.get("/businesses/lead", token, ""))["id"].(string)
	}
	if lead() != sagesim.BusinessGB {
		t.Error("the first business does not lead")
	}
	if got := decode[map[string]any](t, f.get("/businesses/"+sagesim.BusinessGBSecond, token, "")); got["name"] != "Heron Lettings Ltd" || got["subscriptions"] == nil {
		t.Errorf("business %v", got)
	}
	wantStatus(t, f.get("/businesses/"+sagesim.BusinessIE, token, ""), http.StatusNotFound)
	if user := decode[map[string]any](t, f.get("/user", token, "")); user["email"] != "owner.gb.one@example.com" || user["locale"] != "en-GB" {
		t.Errorf("user %v", user)
	}

	change := func(body string) answer { return f.control(http.MethodPost, "/_sim/businesses", body) }
	wantStatus(t, change(`{"id":"`+sagesim.BusinessGBSecond+`","lead":true}`), http.StatusOK)
	if lead() != sagesim.BusinessGBSecond || f.get("/contacts", token, "").header.Get("X-Business") != sagesim.BusinessGBSecond {
		t.Error("the lead business did not change")
	}
	wantStatus(t, change(`{"id":"`+sagesim.BusinessGBSecond+`","removed":true}`), http.StatusOK)
	if lead() != sagesim.BusinessGB {
		t.Error("nobody follows the lead business that was removed")
	}
	wantRefusal(t, f.get("/contacts", token, sagesim.BusinessGBSecond), http.StatusForbidden, "MultiUserAccessDenied")
	wantStatus(t, change(`{"id":"`+sagesim.BusinessGBSecond+`","removed":false,"active":false}`), http.StatusOK)
	wantRefusal(t, f.get("/contacts", token, sagesim.BusinessGBSecond), http.StatusUnauthorized, "AuthorizationFailure")
	added := decode[sagesim.Business](t, change(`{"user":"`+sagesim.UserGB+`","name":"New Ltd"}`))
	wantStatus(t, f.get("/contacts", token, added.ID), http.StatusOK)
	wantStatus(t, change(`{"id":"00"}`), http.StatusNotFound)
	wantStatus(t, change(`{"id":"00","user":"`+sagesim.UserGB+`"}`), http.StatusBadRequest)
	if got := decode[struct{ Items []sagesim.Business }](t, f.control(http.MethodGet, "/_sim/businesses", "")); len(got.Items) != 15 {
		t.Errorf("%d businesses", len(got.Items))
	}
}

func TestBusinessOfARequest(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	bodies := map[string]string{}
	for _, business := range []string{"", sagesim.BusinessGB, sagesim.BusinessGBSecond, sagesim.BusinessGBThird} {
		a := f.get("/sales_invoices", token, business)
		wantStatus(t, a, http.StatusOK)
		bodies[business] = a.body
		if want := max(business, sagesim.BusinessGB); a.header.Get("X-Business") != want {
			t.Errorf("echo %s for %q", a.header.Get("X-Business"), business)
		}
		if len(a.header.Get("X-Request-Id")) != 36 {
			t.Errorf("request id %q", a.header.Get("X-Request-Id"))
		}
	}
	if bodies[""] != bodies[sagesim.BusinessGB] || bodies[""] == bodies[sagesim.BusinessGBSecond] {
		t.Error("without X-Business it is the lead business, with it the one that is named")
	}
	for _, foreign := range []string{sagesim.BusinessIE, "nonsense"} {
		a := f.get("/sales_invoices", token, foreign)
		if got := wantRefusal(t, a, http.StatusForbidden, "MultiUserAccessDenied"); a.header.Get("X-Business") != "" ||
			got != (refusal{"error", "MultiUserAccessDenied", "The current user is not allowed to access that resource with that method.", ""}) {
			t.Errorf("refusal %+v", got)
		}
	}
	lapsed := f.access(sagesim.UserGBLapsed)
	wantStatus(t, f.get("/sales_invoices", lapsed, ""), http.StatusOK)
	if got := wantRefusal(t, f.get("/sales_invoices", lapsed, sagesim.BusinessGBLapsed), http.StatusUnauthorized, "AuthorizationFailure"); got.Message != "No active subscription. (MSE)" {
		t.Errorf("refusal %+v", got)
	}
	wantStatus(t, f.get("/businesses", lapsed, sagesim.BusinessGBLapsed), http.StatusOK) // whose subscriptions say so
}

func TestAPIRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token, readonly := f.access(sagesim.UserGB), f.grant(sagesim.GrantRequest{Scope: "readonly"}).AccessToken
	refreshToken := f.grant(sagesim.GrantRequest{}).RefreshToken
	for name, header := range map[string]http.Header{
		"none": {}, "basic": {"Authorization": {"Basic eDp5"}}, "nonsense": apiHeader("a.b.c", ""), "no dots": apiHeader("abc", ""), "tampered": apiHeader(token[:len(token)-4]+"AAAA", ""),
		"refresh token": apiHeader(refreshToken, ""), "legacy": apiHeader(f.grant(sagesim.GrantRequest{Legacy: true}).AccessToken, ""),
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, f.send(http.MethodGet, f.base+"/v3.1/contacts", header, ""), http.StatusUnauthorized, "AuthorizationFailure")
		})
	}
	for _, path := range []string{"/nothing", "/contacts/", "/contacts//x", "/contacts/x/y", "/contacts/x/file", "/user/x", "/financial_settings/x", "/tax_determinations/x", "/businesses/x/y", "//contacts", "/%zz"} {
		address := f.base + "/v3.1" + path
		if strings.Contains(path, "%zz") {
			continue // no client of Go's sends it
		}
		wantRefusal(t, f.send(http.MethodGet, address, apiHeader(token, ""), ""), http.StatusNotFound, "RecordNotFound")
	}
	id := f.page("/contacts", token, "").Items[0]["id"].(string)
	for _, test := range []struct {
		method, path, token, media, body string
		status                           int
		code                             string
	}{
		{http.MethodPatch, "/contacts", token, "", "", 405, "MethodNotAllowed"},
		{http.MethodDelete, "/contacts", token, "", "", 405, "MethodNotAllowed"},
		{http.MethodPost, "/ledger_entries", token, "application/json", "{}", 405, "MethodNotAllowed"},
		{http.MethodPost, "/countries", token, "application/json", "{}", 405, "MethodNotAllowed"},
		{http.MethodGet, "/sales_invoices/" + id + "/release", token, "", "", 405, "MethodNotAllowed"},
		{http.MethodPost, "/contacts", token, "text/plain", "{}", 415, "UnsupportedMediaType"},
		{http.MethodPost, "/contacts", token, "application/json", "{", 422, "RecordInvalid"},
		{http.MethodPost, "/contacts", token, "application/json", "{}", 422, "RecordInvalid"},
		{http.MethodDelete, "/contacts/" + id, token, "", "", 422, "RecordInvalid"},
		{http.MethodPost, "/contacts", readonly, "application/json", "{}", 403, "MultiUserAccessDenied"},
		{http.MethodGet, "/contacts?updated_or_created_since=yesterday", token, "", "", 422, "RecordInvalid"},
		{http.MethodGet, "/sales_invoices?to_date=2026-13-01", token, "", "", 422, "RecordInvalid"},
	} {
		header := apiHeader(test.token, "")
		header.Set("Content-Type", test.media)
		a := f.send(test.method, f.base+"/v3.1"+test.path, header, test.body)
		wantRefusal(t, a, test.status, test.code)
		if (a.header.Get("Allow") != "") != (test.status == 405) {
			t.Errorf("%s %s: Allow %q", test.method, test.path, a.header.Get("Allow"))
		}
	}
	if got := wantRefusal(t, f.get("/contacts?updated_or_created_since=yesterday", token, ""), 422, "RecordInvalid"); got.Source != "updated_or_created_since" {
		t.Errorf("source %q", got.Source)
	}
	wantStatus(t, f.get("/contacts", readonly, ""), http.StatusOK)
}

func TestFaultsOfTheAPI(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	for _, test := range []struct {
		body   string
		status int
		want   string // in the body
	}{
		{`{"name":"token_expired"}`, 401, "AuthorizationFailure"},
		{`{"name":"subscription_lapsed"}`, 401, "No active subscription. (MSE)"},
		{`{"name":"access_denied"}`, 403, "MultiUserAccessDenied"},
		{`{"name":"throttled","retry_after":7}`, 429, "TooManyRequests"},
		{`{"name":"throttled"}`, 429, "TooManyRequests"},
		{`{"name":"error_500"}`, 500, `"$dataCode":"UnexpectedError","$message":"An unexpected error occurred."`},
		{`{"name":"error_503"}`, 503, "ServiceUnavailable"},
		{`{"name":"html_before"}`, 502, "<html>"},
		{`{"name":"html_after"}`, 200, "<html>"},
		{`{"name":"status","status":525}`, 525, ""},
		{`{"name":"empty"}`, 200, ""},
		{`{"name":"truncated"}`, 200, `{"$total"`},
		{`{"name":"slow","delay_ms":1}`, 200, `{"$total"`},
		{`{"name":"reset"}`, 0, ""},
		{`{"name":"drop_after_commit"}`, 0, ""},
	} {
		t.Run(test.body, func(t *testing.T) {
			limited := strings.Replace(test.body, "{", `{"endpoint":"api","operation":"contacts","business":"`+sagesim.BusinessGB+`","times":1,`, 1)
			wantStatus(t, f.control(http.MethodPost, "/_sim/faults", limited), http.StatusOK)
			wantStatus(t, f.get("/contacts", token, sagesim.BusinessGBSecond), http.StatusOK) // another business
			wantStatus(t, f.get("/products", token, ""), http.StatusOK)                       // another operation
			f.client.CloseIdleConnections()                                                   // a client of Go's repeats a GET when a connection that it had kept breaks
			a, err := f.trySend(http.MethodGet, f.base+"/v3.1/contacts", apiHeader(token, ""), "")
			if (err != nil) != (test.status == 0) || a.status != test.status || !strings.Contains(a.body, test.want) || test.want == "" && a.body != "" {
				t.Errorf("%d %q %v", a.status, a.body, err)
			}
			if strings.Contains(test.body, "truncated") == json.Valid([]byte(a.body)) && strings.HasPrefix(test.want, "{") {
				t.Errorf("body %q", a.body)
			}
			if (a.header.Get("Retry-After") == "7") != strings.Contains(test.body, "retry_after") {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			wantStatus(t, f.get("/contacts", token, ""), http.StatusOK) // it fired once
		})
	}
}

func TestTimeoutOfAllAttributes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	f.fault(sagesim.Fault{Name: sagesim.FaultTimeoutAll})
	wantStatus(t, f.get("/contacts?attributes=all", token, ""), http.StatusGatewayTimeout)
	wantStatus(t, f.get("/contacts?attributes=name", token, ""), http.StatusOK)
}

func TestEchoFaults(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token, single := f.access(sagesim.UserGB), f.access(sagesim.UserDE)
	f.fault(sagesim.Fault{Name: sagesim.FaultWrongEcho})
	if got := f.get("/contacts", token, sagesim.BusinessGB).header.Get("X-Business"); got != sagesim.BusinessGBSecond {
		t.Errorf("echo %q", got)
	}
	if got := f.get("/contacts", single, "").header.Get("X-Business"); len(got) != 32 || got == sagesim.BusinessDE {
		t.Errorf("echo %q", got)
	}
	f.fault(sagesim.Fault{Name: sagesim.FaultMissingEcho})
	if got, there := f.get("/contacts", token, "").header["X-Business"]; there {
		t.Errorf("echo %q", got)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(sagesim.UserGB)
	other := f.grant(sagesim.GrantRequest{ClientID: sagesim.SeedOtherClientID, ClientSecret: sagesim.SeedOtherClientSecret}).AccessToken
	// Under the own limit of 150 first, then under one of 3.
	for _, limit := range []int{150, 3} {
		if limit != 150 {
			f.fault(sagesim.Fault{Name: sagesim.FaultConcurrency, Limit: limit})
		}
		f.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "api", Operation: "contacts"})
		var wait sync.WaitGroup
		for range limit {
			wait.Go(func() {
				a, err := f.trySend(http.MethodGet, f.base+"/v3.1/contacts", apiHeader(token, ""), "")
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%d %v", a.status, err)
				}
			})
		}
		for f.sim.Concurrency().Now < limit {
			<-time.After(time.Millisecond)
		}
		wantRefusal(t, f.get("/products", token, ""), http.StatusTooManyRequests, "TooManyRequests")
		wantStatus(t, f.get("/products", other, ""), http.StatusOK) // the limit is each application's own
		if got := decode[sagesim.Concurrency](t, f.control(http.MethodGet, "/_sim/concurrency", "")); got != (sagesim.Concurrency{Peak: limit, Now: limit, Refused: 1}) {
			t.Errorf("concurrency %+v", got)
		}
		wantStatus(t, f.control(http.MethodDelete, "/_sim/faults?name=hold", ""), http.StatusNoContent)
		wait.Wait()
		wantStatus(t, f.get("/products", token, ""), http.StatusOK)
		wantStatus(t, f.control(http.MethodDelete, "/_sim/concurrency", ""), http.StatusNoContent)
		if got := f.sim.Concurrency(); got != (sagesim.Concurrency{}) {
			t.Errorf("after the reset %+v", got)
		}
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	path, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	sim, err := sagesim.New(sagesim.Config{StatePath: path, Now: at.Now})
	if err != nil {
		t.Fatal(err)
	}
	granted, err := sim.Grant(t.Context(), sagesim.GrantRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Close(); err != nil {
		t.Fatal(err)
	}
	f := openFront(t, path, at)
	wantStatus(t, f.get("/contacts", granted.AccessToken, ""), http.StatusOK)
	f.refresh(granted.RefreshToken)
	if _, err := sagesim.New(sagesim.Config{}); err == nil {
		t.Error("a simulator without a state file")
	}
}
