package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

type listing struct {
	Items []map[string]any `json:"items"`
	Next  *string          `json:"next_cursor"`
	Meta  struct {
		RequestID string    `json:"request_id"`
		FetchedAt time.Time `json:"fetched_at"`
		Rate      float64   `json:"rate"`
		Omitted   []string  `json:"omitted"`
	} `json:"meta"`
}

func (v *vault) list(path string) listing {
	v.t.Helper()
	var l listing
	if err := json.Unmarshal(v.must(200, "GET", path, nil).body, &l); err != nil {
		v.t.Fatal(err)
	}
	return l
}

// ready makes a connected entry with a connector, and a simulator without rates.
func reader(t *testing.T, flags ...string) (v *vault, entry, base string) {
	t.Helper()
	v = start(t, t.TempDir(), flags...)
	v.app()
	entry = v.connected("reads")
	base = "/v1/connectors/" + v.connector(entry)
	return v, entry, base
}

func TestOrdersPageByPage(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	seen := map[string]bool{}
	cursor := ""
	for n := 0; n < 3; n++ {
		l := v.list(base + "/orders?limit=7" + cursor)
		if len(l.Items) == 0 || l.Meta.RequestID == "" || l.Meta.FetchedAt.IsZero() || l.Meta.Rate <= 0 {
			t.Fatalf("page %d: %d items, meta %+v", n, len(l.Items), l.Meta)
		}
		for _, item := range l.Items {
			id, _ := item["orderId"].(string)
			if id == "" || seen[id] {
				t.Fatalf("page %d has %q, empty or again", n, id)
			}
			seen[id] = true
		}
		if l.Next == nil {
			t.Fatalf("page %d is the last", n)
		}
		cursor = "&cursor=" + url.QueryEscape(*l.Next)
	}
	for id := range seen {
		one := v.list(base + "/orders/" + id)
		if len(one.Items) != 1 || one.Items[0]["orderId"] != id {
			t.Fatalf("GET orders/%s: %v", id, one.Items)
		}
		break
	}
}

// A cursor goes on where it was made, and nowhere else.
func TestCursorsAreBound(t *testing.T) {
	t.Parallel()
	v, entry, base := reader(t)
	next := url.QueryEscape(*v.list(base + "/orders?limit=5").Next)
	other := "/v1/connectors/" + v.connector(entry)
	for name, path := range map[string]string{
		"another connector":  other + "/orders?cursor=" + next,
		"another resource":   base + "/inventory?cursor=" + next,
		"another filter":     base + "/orders?limit=6&cursor=" + next,
		"a changed cursor":   base + "/orders?cursor=" + next[:len(next)-4] + "AAAA",
		"a cut cursor":       base + "/orders?cursor=" + next[:len(next)/2],
		"no cursor at all":   base + "/orders?cursor=",
		"an invented handle": base + "/orders?cursor=h.h_0000000000000000",
	} {
		checkProblem(t, name, v.do("GET", path, nil), "invalid_cursor")
	}
	v.must(200, "GET", base+"/orders?cursor="+next, nil)
	v.must(200, "GET", base+"/orders?limit=5&cursor="+next, nil)
}

func TestBadReads(t *testing.T) {
	t.Parallel()
	v, entry, base := reader(t)
	before := v.sim("GET", "/_sim/calls", nil).body
	for _, c := range []struct{ name, path, code string }{
		{"an unknown resource", base + "/poems", "unknown_resource"},
		{"an unknown filter", base + "/orders?colour=red", "invalid_field"},
		{"a limit of nothing", base + "/orders?limit=0", "invalid_field"},
		{"a limit over the provider's", base + "/orders?limit=1000", "invalid_field"},
		{"the provider's own page token", base + "/orders?paginationToken=x", "invalid_field"},
		{"a filter outside its values", base + "/orders?fulfillmentStatuses=LOST", "invalid_field"},
		{"an unknown connector", "/v1/connectors/con_0000000000000000/orders", "not_found"},
		{"no connector id", "/v1/connectors/orders/orders", "not_found"},
		{"personal data that is neither", base + "/orders?personal_data=maybe", "invalid_field"},
		{"an item that does not print", base + "/orders/%00", "invalid_field"},
		{"an item longer than any", base + "/orders/" + strings.Repeat("1", 1100), "invalid_field"},
		{"a document of what has none", base + "/orders/1/document", "unknown_resource"},
	} {
		checkProblem(t, c.name, v.do("GET", c.path, nil), c.code)
	}
	checkProblem(t, "asking orders for an order", v.do("POST", base+"/orders", object{}), "invalid_request")
	checkProblem(t, "a report without a type", v.do("POST", base+"/reports", object{}), "invalid_field")
	checkProblem(t, "a report with a misspelt field", v.do("POST", base+"/reports", object{"reportTyp": "X"}), "invalid_field")
	if after := v.sim("GET", "/_sim/calls", nil).body; !bytes.Equal(before, after) {
		t.Errorf("a bad read reached the provider:\n%s\n%s", before, after)
	}
	v.must(200, "PATCH", "/v1/vault-entries/"+entry, object{"disabled": true})
	v.advance(10 * time.Second) // what a read remembers is over
	checkProblem(t, "a disabled entry", v.do("GET", base+"/orders", nil), "vault_entry_disabled")
}

// However many read at once with an expired token, in two processes, there is one refresh, and each gets data or is
// told to wait.
func TestHundredReadsWithAnExpiredToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	second := spawn(t, dir)
	v.app()
	base := "/v1/connectors/" + v.connector(v.connected("thundering"))
	v.must(200, "GET", base+"/orders?limit=1", nil)
	before := v.posts("refresh_token")
	v.advance(2 * time.Hour)
	statuses := make([]int, 100)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			through := []*vault{v, second}[i%2]
			a, err := through.try(map[string]string{"Authorization": "Bearer " + v.key}, "GET", through.url+base+"/orders?limit=1", nil)
			if err != nil {
				t.Error(err)
				return
			}
			statuses[i] = a.status
			ours := a.status == 429 && strings.Contains(string(a.body), `"rate_limited"`) && a.header.Get("Retry-After") != ""
			if a.status != 200 && !ours {
				t.Errorf("read %d: %d %.300s", i, a.status, a.body)
			}
		})
	}
	all.Wait()
	good := 0
	for _, s := range statuses {
		if s == 200 {
			good++
		}
	}
	if n := v.posts("refresh_token") - before; n != 1 || good == 0 {
		t.Errorf("%d refreshes, want 1; %d reads got data", n, good)
	}
}

// A token that still lives is used while the provider's token endpoint does not answer, and the entry says so.
func TestLivingTokenIsServedInAnOutage(t *testing.T) {
	t.Parallel()
	v, entry, base := reader(t)
	v.must(200, "GET", base+"/marketplaces", nil)
	v.fault(object{"name": "error_500", "endpoint": "token"})
	v.advance(57 * time.Minute) // three minutes are left, less than is enough
	v.must(200, "GET", base+"/marketplaces", nil)
	v.schedule() // the refresh that the read set off has failed by then
	if h := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "health"); h != "degraded" {
		t.Errorf("the health is %s", h)
	}
	v.must(200, "GET", base+"/marketplaces", nil)
	v.advance(4 * time.Minute)
	a := v.do("GET", base+"/marketplaces", nil)
	if a.status != http.StatusServiceUnavailable || a.text(t, "code") != "provider_unavailable" {
		t.Errorf("a dead token in an outage: %d %s", a.status, a.body)
	}
	e := v.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	if e.text(t, "health") != "failing" || e.text(t, "status") != "active" {
		t.Errorf("the entry is %s, %s", e.text(t, "status"), e.text(t, "health"))
	}
	v.sim("DELETE", "/_sim/faults", nil)
	v.advance(time.Minute)
	v.must(200, "GET", base+"/marketplaces", nil)
	if h := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "health"); h != "ok" {
		t.Errorf("after the outage the health is %s", h)
	}
}

// eventually waits for what is under way already and cannot but come.
func (v *vault) eventually(what string, ok func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	v.t.Fatalf("it does not come about that %s\n%s", what, v.log)
}

// A token that the provider refuses before its time is replaced once, unseen by the caller.
func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	v.fault(object{"name": "token_expired", "endpoint": "api", "times": 1})
	before := v.posts("refresh_token")
	v.must(200, "GET", base+"/orders?limit=1", nil)
	if n := v.posts("refresh_token") - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	v.fault(object{"name": "token_expired", "endpoint": "api"})
	if a := v.do("GET", base+"/marketplaces", nil); a.status < 400 {
		t.Errorf("a token that is always refused: %d", a.status)
	}
	if n := v.posts("refresh_token") - before; n > 2 {
		t.Errorf("%d refreshes after one more refusal", n-1)
	}
}

// A revoked grant is named, asks for a person, and is not asked about again.
func TestRevoked(t *testing.T) {
	t.Parallel()
	v, entry, base := reader(t)
	v.sim("POST", "/_sim/revocations", object{"selling_partner_id": "A1SYNSELLERNA1"})
	v.advance(2 * time.Hour)
	a := v.do("GET", base+"/orders", nil)
	checkProblem(t, "a read", a, "reauthorization_required")
	e := v.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	if e.text(t, "status") != "reauthorization_required" || e.text(t, "cause") != "revoked" {
		t.Errorf("the entry is %s", e.body)
	}
	n := v.posts("")
	v.do("GET", base+"/orders", nil)
	v.do("POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	if m := v.posts(""); m != n {
		t.Errorf("the token endpoint was asked %d times more", m-n)
	}
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": v.consent(entry)})
	v.must(200, "GET", base+"/orders", nil)
}

// The schedule keeps warm what is read, and lets the rest sleep.
func TestScheduleKeepsWarmWhatIsRead(t *testing.T) {
	t.Parallel()
	v, used, base := reader(t)
	idle := v.connected("idle")
	v.must(200, "GET", base+"/marketplaces", nil)
	v.advance(59 * time.Minute)
	generation := func(entry string) float64 {
		token, _ := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).json(t)["token"].(object)
		n, _ := token["generation"].(float64)
		return n
	}
	v.schedule()
	if n := generation(used); n != 2 {
		t.Errorf("the used entry was not refreshed: generation %v", n)
	}
	v.advance(2 * time.Hour)
	v.schedule()
	if n := generation(idle); n != 1 {
		t.Errorf("the idle entry was refreshed: generation %v", n)
	}
}

func TestReportAndDocument(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	made := v.must(201, "POST", base+"/reports", object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"})
	var l listing
	if err := json.Unmarshal(made.body, &l); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("%s/reports/%s", base, l.Items[0]["reportId"])
	early := v.do("GET", path+"/document", nil)
	if early.status < 400 || early.status > 499 {
		t.Errorf("the document of a report that is not done: %d %s", early.status, early.body)
	}
	v.advance(time.Minute)
	whole := v.must(200, "GET", path+"/document", nil)
	if len(whole.body) < 100 || !bytes.Contains(whole.body[:200], []byte("\t")) {
		t.Fatalf("the document: %.200q", whole.body)
	}
	header := map[string]string{"Authorization": "Bearer " + v.key, "Range": "bytes=10-19"}
	part := v.with(header, "GET", path+"/document", nil)
	if part.status != http.StatusPartialContent || string(part.body) != string(whole.body[10:20]) || !strings.HasPrefix(part.header.Get("Content-Range"), "bytes 10-19/") {
		t.Errorf("a range: %d %q %s", part.status, part.body, part.header.Get("Content-Range"))
	}
	header["Range"] = fmt.Sprintf("bytes=%d-", len(whole.body)-5)
	tail := v.with(header, "GET", path+"/document", nil)
	if tail.status != http.StatusPartialContent || string(tail.body) != string(whole.body[len(whole.body)-5:]) ||
		tail.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", len(whole.body)-5, len(whole.body)-1, len(whole.body)) {
		t.Errorf("the tail: %d %q %s", tail.status, tail.body, tail.header.Get("Content-Range"))
	}
	header["Range"] = "bytes=99999999-"
	if beyond := v.with(header, "GET", path+"/document", nil); beyond.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("beyond the end: %d", beyond.status)
	}
	header["Range"] = "lines=1-2"
	if bad := v.with(header, "GET", path+"/document", nil); bad.status != http.StatusBadRequest {
		t.Errorf("a range of something else: %d", bad.status)
	}
	v.advance(10 * time.Minute) // the presigned address is over
	if again := v.must(200, "GET", path+"/document", nil); !bytes.Equal(again.body, whole.body) {
		t.Error("the document is another one after its address expired")
	}
}

// A restricted report's document is personal data as a whole.
func TestRestrictedDocument(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	made := v.must(201, "POST", base+"/reports", object{"reportType": "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING"})
	var l listing
	if err := json.Unmarshal(made.body, &l); err != nil {
		t.Fatal(err)
	}
	v.advance(time.Minute)
	path := fmt.Sprintf("%s/reports/%s/document", base, l.Items[0]["reportId"])
	checkProblem(t, "without asking", v.do("GET", path, nil), "personal_data_not_granted")
	v.must(200, "GET", path+"?personal_data=true", nil)
	checkProblem(t, "without asking, after it was read", v.do("GET", path, nil), "personal_data_not_granted")
}

func TestPersonalDataIsLeftOut(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	asked := v.must(200, "GET", base+"/orders?limit=20&includedData=BUYER,RECIPIENT&personal_data=true", nil)
	plain := v.must(200, "GET", base+"/orders?limit=20&includedData=BUYER,RECIPIENT", nil)
	for _, member := range []string{`"buyerName"`, `"buyerEmail"`, `"addressLine1"`} {
		if !bytes.Contains(asked.body, []byte(member)) {
			t.Errorf("asked for, %s is not there", member)
		}
		if bytes.Contains(plain.body, []byte(member)) {
			t.Errorf("not asked for, %s is there", member)
		}
	}
}

func TestRunOfPages(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	v.sim("POST", "/_sim/rates", object{"unlimited": true})
	a := v.with(map[string]string{"Authorization": "Bearer " + v.key, "Accept": "application/x-ndjson"}, "GET", base+"/inventory", nil)
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s %.300s", a.status, a.header.Get("Content-Type"), a.body)
	}
	lines := 0
	var last map[string]any
	for scan := bufio.NewScanner(bytes.NewReader(a.body)); scan.Scan(); lines++ {
		last = nil
		if err := json.Unmarshal(scan.Bytes(), &last); err != nil {
			t.Fatalf("line %d: %v", lines, err)
		}
	}
	meta, _ := last["meta"].(object)
	if _, ok := last["next_cursor"]; !ok || meta["items"] != float64(lines-1) || lines < 2 {
		t.Errorf("the last of %d lines is %v", lines, last)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	v, entry, _ := reader(t)
	v.fault(object{"name": "missing_role", "endpoint": "api", "operation": "searchOrders"})
	got := v.must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil).json(t)
	if got["works"] != true {
		t.Errorf("it does not work: %v", got)
	}
	allowed := map[string]any{}
	for _, r := range got["reads"].([]any) {
		finding, _ := r.(object)
		allowed[finding["resource"].(string)] = finding["allowed"]
	}
	if allowed["orders"] != false || allowed["marketplaces"] != true {
		t.Errorf("what may be read: %v", allowed)
	}
}

// The rate is shared by every connector of the account, and a caller over it hears when to come again.
func TestRateIsShared(t *testing.T) {
	t.Parallel()
	v, entry, base := reader(t)
	other := "/v1/connectors/" + v.connector(entry)
	refused := answer{}
	for n := range 60 {
		path := []string{base, other}[n%2]
		if a := v.do("GET", path+"/marketplaces", nil); a.status == 429 {
			refused = a
			break
		}
	}
	if refused.status != 429 {
		t.Fatal("sixty reads at once were all let through")
	}
	// Finding out whose account it is drew from the provider's bucket and not from ours, so the last word may be the
	// provider's own; what the caller hears is the same.
	if refused.text(t, "code") != "rate_limited" || refused.header.Get("Retry-After") == "" {
		t.Errorf("429 says %s, Retry-After %q", refused.body, refused.header.Get("Retry-After"))
	}
}

// Operations that concern no account are asked with the application's own token, had once.
func TestOperationsOfTheApplication(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	for range 3 {
		v.must(200, "GET", base+"/get-destinations", nil)
	}
	if n := v.posts("client_credentials"); n != 1 {
		t.Errorf("%d tokens were asked for, want 1", n)
	}
}

// Asking for a report again under the same key makes no second one.
func TestReportOnce(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	header := map[string]string{"Authorization": "Bearer " + v.key, "Idempotency-Key": "report-1"}
	body := object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}
	first := v.with(header, "POST", base+"/reports", body)
	again := v.with(header, "POST", base+"/reports", body)
	if first.status != 201 || !bytes.Equal(first.body, again.body) {
		t.Errorf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	body["reportType"] = "GET_FLAT_FILE_OPEN_LISTINGS_DATA"
	checkProblem(t, "the key for another report", v.with(header, "POST", base+"/reports", body), "idempotency_key_reused")

	// One whose answer was lost may have been made; one that was refused was not.
	v.sim("POST", "/_sim/rates", object{"unlimited": true})
	header["Idempotency-Key"] = "report-2"
	v.fault(object{"name": "drop", "endpoint": "api", "operation": "createReport", "times": 1})
	if lost := v.with(header, "POST", base+"/reports", body); lost.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", lost.status, lost.body)
	}
	checkProblem(t, "after a lost answer", v.with(header, "POST", base+"/reports", body), "request_in_progress")
	header["Idempotency-Key"] = "report-3"
	v.fault(object{"name": "missing_role", "endpoint": "api", "operation": "createReport", "times": 1})
	if refused := v.with(header, "POST", base+"/reports", body); refused.status != http.StatusForbidden {
		t.Errorf("%d %s", refused.status, refused.body)
	}
	if a := v.with(header, "POST", base+"/reports", body); a.status != 201 {
		t.Errorf("after a refusal: %d %s", a.status, a.body)
	}
}

// Registering the application again ends the pause that its wrong secret brought.
func TestCorrectedApplicationWaitsForNobody(t *testing.T) {
	t.Parallel()
	v, _, base := reader(t)
	v.must(200, "PUT", "/v1/provider-apps/amazon", object{"application_id": "amzn1.sp.solution.5eed0000-0000-4000-8000-000000000001",
		"client_id": "amzn1.application-oa2-client.5eed0000000040008000000000000001", "client_secret": "amzn1.oa2-cs.v1.wrong-one"})
	v.advance(2 * time.Hour)
	v.must(200, "GET", base+"/orders?limit=1", nil) // by the secret before, which works for a week
	v.advance(7 * 24 * time.Hour)
	for range 3 {
		if a := v.do("GET", base+"/orders?limit=1", nil); a.status != http.StatusBadGateway || a.text(t, "code") != "client_misconfigured" {
			t.Fatalf("a wrong secret: %d %s", a.status, a.body)
		}
	}
	v.app()
	v.must(200, "GET", base+"/orders?limit=1", nil)
}
