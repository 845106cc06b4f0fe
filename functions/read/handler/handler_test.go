package handler_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/read/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
)

// bench is the read function over a bundle with one connector.
type bench struct {
	*bundletest.Bench
	handler *handler.Handler
	log     *strings.Builder
	path    string // of the connector
	entry   record.Entry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{Bench: bundletest.New(t, bundletest.Options{}), log: &strings.Builder{}}
	b.handler = handler.New(handler.Config{Read: b.Read, Logger: slog.New(slog.NewJSONHandler(b.log, nil)), Now: b.Clock.Now})
	entry, connector := b.Reader()
	b.path, b.entry = "/v1/connectors/"+connector.ID, entry
	return b
}

func (b *bench) send(p record.Principal, method, target, body string, headers ...string) events.APIGatewayV2HTTPResponse {
	b.Helper()
	out, err := b.handler.Handle(b.Context(), b.Event(p, method, target, body, headers...))
	b.OK(err)
	return out
}

func (b *bench) get(target string, headers ...string) events.APIGatewayV2HTTPResponse {
	b.Helper()
	return b.send(b.Owner, "GET", b.path+target, "", headers...)
}

func (b *bench) problem(out events.APIGatewayV2HTTPResponse, status int, code, field string) {
	b.Helper()
	var doc struct{ Code, Field, Action string }
	b.OK(json.Unmarshal([]byte(out.Body), &doc))
	if out.StatusCode != status || doc.Code != code || doc.Field != field || doc.Action == "" {
		b.Errorf("the answer is %d %s; want %d %s on %q", out.StatusCode, out.Body, status, code, field)
	}
}

func TestTheFunctionAnswersItsRoutes(t *testing.T) {
	b := newBench(t)
	for _, r := range route.Table() {
		if _, ok := b.handler.Routes()[r.Key()]; ok != (r.Function == route.Read) || ok && r.Open {
			t.Errorf("%s is answered here: %t", r.Key(), ok)
		}
	}
	if out := b.send(record.Principal{}, "GET", b.path+"/orders", ""); out.StatusCode != http.StatusForbidden {
		t.Errorf("nobody hears %d", out.StatusCode)
	}
	if out := b.send(b.Alien, "GET", b.path+"/orders", ""); out.StatusCode != http.StatusNotFound {
		t.Errorf("another tenant hears %d", out.StatusCode)
	}
}

func TestAPageHasItemsCursorAndMeta(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[{"id":"1","x":"<&>"}],"next":"p2"}`)
	out := b.get("/orders?status=open&status=late&limit=5")
	var page struct {
		Items []map[string]any
		Next  *string `json:"next_cursor"`
		Meta  map[string]any
	}
	b.OK(json.Unmarshal([]byte(out.Body), &page))
	if out.StatusCode != 200 || page.Items[0]["x"] != "<&>" || page.Next == nil || page.Meta["fetched_at"] == nil {
		t.Errorf("the page is %s", out.Body)
	}
	if q := b.Upstream.Seen("/orders")[0].URL.Query(); q.Get("status") != "open,late" || q.Get("page_size") != "5" {
		t.Errorf("the query was %v", q)
	}
	b.Upstream.Body("/orders/a b", `{"order":{"id":"a b"}}`)
	b.Upstream.Body("/orders/a/b", `{"order":{"id":"a/b"}}`)
	for _, target := range []string{"/orders/a%20b", "/orders?item=a%2Fb"} {
		if out := b.get(target); out.StatusCode != 200 {
			t.Errorf("%s: %d %s", target, out.StatusCode, out.Body)
		}
	}
}

func TestWhatEveryReadTakesIsChecked(t *testing.T) {
	b := newBench(t)
	for target, want := range map[string][2]string{
		"/orders?limit=0":                            {"invalid_field", "limit"},
		"/orders?limit=-5":                           {"invalid_field", "limit"},
		"/orders?limit=ten":                          {"invalid_field", "limit"},
		"/orders?limit=99999999999999999999":         {"invalid_field", "limit"},
		"/orders?limit=5&limit=6":                    {"invalid_field", "limit"},
		"/orders?cursor=":                            {"invalid_cursor", "cursor"},
		"/orders?cursor=a&cursor=b":                  {"invalid_field", "cursor"},
		"/orders?cursor=a":                           {"invalid_cursor", "cursor"},
		"/orders?personal_data=maybe":                {"invalid_field", "personal_data"},
		"/orders?personal_data=true&personal_data=0": {"invalid_field", "personal_data"},
		"/orders/1?item=2":                           {"invalid_field", "item"},
		"/orders?item=":                              {"invalid_field", "item"},
		"/orders?colour=red":                         {"invalid_field", "colour"},
		"/orders?access_token=canary":                {"invalid_field", "access_token"},
		"/reports/r-1/document?limit=5":              {"invalid_field", "limit"},
		"/reports/r-1/document?colour=red":           {"invalid_field", "colour"},
	} {
		b.problem(b.get(target), 400, want[0], want[1])
	}
	b.problem(b.get("/ghosts"), 404, "unknown_resource", "")
	b.problem(b.send(b.Clerk, "GET", b.path+"/orders?personal_data=true", ""), 403, "personal_data_not_granted", "personal_data")
	b.problem(b.send(b.Owner, "POST", b.path+"/reports?kind=x", `{"kind":"a"}`), 400, "invalid_field", "kind")
	b.problem(b.send(b.Owner, "GET", "/v1/connectors/con_1/orders", ""), 404, "not_found", "")
	if n := len(b.Upstream.Seen("/orders")); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestARateThatIsUsedUpIsA429WithRetryAfter(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/scarce", `{"things":[]}`)
	for range 2 {
		if out := b.get("/scarce"); out.StatusCode != 200 {
			t.Fatalf("%d %s", out.StatusCode, out.Body)
		}
	}
	out := b.get("/scarce")
	b.problem(out, 429, "rate_limited", "")
	if out.Headers["Retry-After"] != "1" {
		t.Errorf("Retry-After is %q", out.Headers["Retry-After"])
	}
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusNotFound, "gone") })
	out = b.get("/orders")
	b.problem(out, 404, "provider_refused", "")
	if !strings.Contains(out.Body, `"code":"gone","details":"details of gone","request_id":"up-1"`) {
		t.Errorf("the provider's words are not in %s", out.Body)
	}
}

func TestLinesComeToWhoAsksForLines(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[{"id":"1"},{"id":"2"}]}`)
	for accept, lines := range map[string]bool{"application/x-ndjson": true, "text/html, Application/X-NDJSON;q=0.5": true, "*/*": false, "": false, "application/json": false} {
		out := b.get("/orders", "accept", accept)
		got := out.Headers["Content-Type"] == "application/x-ndjson"
		if got != lines || got && strings.Count(out.Body, "\n") != 3 {
			t.Errorf("%q: %v %s", accept, out.Headers, out.Body)
		}
	}
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	b.problem(b.get("/orders", "accept", "application/x-ndjson"), 503, "provider_unavailable", "")
}

// An event has at most 6 MB, and quotes count double in it.
func TestTheLargestAnswersFitIntoAnEvent(t *testing.T) {
	b := newBench(t)
	quotes := strings.Repeat(`"",`, (4<<20)/3-50)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"orders":[{"a":[%s1]}]}`, quotes)
	})
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		out := b.get("/orders", "accept", accept)
		event, err := json.Marshal(out)
		b.OK(err)
		if out.StatusCode != 200 || len(event) > 6<<20 {
			t.Errorf("%s: %d, the event has %d bytes", accept, out.StatusCode, len(event))
		}
	}
}

func TestADocumentComesInRanges(t *testing.T) {
	b := newBench(t)
	text := []byte("0123456789\xff\x00")
	b.Upstream.Body("/reports/r-1/place", fmt.Sprintf(`{"url":%q,"life":300}`, b.Upstream.URL+"/files/1?signature=canary"))
	serve := text
	b.Upstream.Handle("/files/1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(serve))
	})
	for header, want := range map[string]struct {
		status int
		ranges string
		body   string
	}{
		"":             {200, "", string(text)},
		"bytes=0-":     {206, "bytes 0-11/12", string(text)},
		"bytes=0-99":   {206, "bytes 0-11/12", string(text)},
		"bytes=2-4":    {206, "bytes 2-4/*", "234"},
		"bytes=11-":    {206, "bytes 11-11/12", "\x00"},
		"bytes=12-":    {416, "bytes */12", ""},
		"bytes=99-100": {416, "bytes */12", ""},
	} {
		out := b.get("/reports/r-1/document", "range", header)
		body, err := base64.StdEncoding.DecodeString(out.Body)
		b.OK(err)
		if out.StatusCode != want.status || out.Headers["Content-Range"] != want.ranges || string(body) != want.body {
			t.Errorf("%q: %d %q %q", header, out.StatusCode, out.Headers["Content-Range"], body)
		}
		if want.status != 416 && (out.Headers["Content-Disposition"] != "attachment" || out.Headers["Accept-Ranges"] != "bytes" || !out.IsBase64Encoded || out.Headers["X-Content-Type-Options"] != "nosniff") {
			t.Errorf("%q: %v", header, out.Headers)
		}
	}
	b.problem(b.get("/reports/r-1/document", "range", "bytes=-5"), 400, "invalid_field", "Range")
	serve = nil
	b.Clock.Add(6 * time.Minute)
	for _, header := range []string{"", "bytes=0-", "bytes=0-5"} { // no range of nothing can be written down
		out := b.get("/reports/r-1/document", "range", header)
		if strings.Contains(out.Headers["Content-Range"], "--") || out.StatusCode != 200 && out.StatusCode != 416 {
			t.Errorf("%q of nothing: %d %q", header, out.StatusCode, out.Headers["Content-Range"])
		}
	}
	b.Upstream.Handle("/files/1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) })
	if out := b.get("/reports/r-1/document", "range", "bytes=5-"); out.StatusCode != 416 || out.Headers["Content-Range"] != "" {
		t.Errorf("an end that nobody said: %d %q", out.StatusCode, out.Headers["Content-Range"])
	}
	if strings.Contains(b.log.String(), "canary") {
		t.Errorf("the log has %s", b.log)
	}
}

func TestSomethingAskedForIsCreated(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/reports", `{"id":"r-1"}`)
	out := b.send(b.Owner, "POST", b.path+"/reports", `{"kind":"stock"}`)
	if out.StatusCode != http.StatusCreated || !strings.Contains(out.Body, `"items":[{"id":"r-1"}]`) {
		t.Errorf("the answer is %d %s", out.StatusCode, out.Body)
	}
	b.problem(b.send(b.Owner, "POST", b.path+"/reports", `{"colour":1}`), 400, "invalid_field", "colour")
}

func TestACheckTellsWhatWorks(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.Upstream.Body("/scarce", `{"things":[]}`)
	out := b.send(b.Owner, "POST", "/v1/vault-entries/"+b.entry.ID+"/check", "")
	if out.StatusCode != 200 || !strings.Contains(out.Body, `"works":true`) {
		t.Errorf("the check is %d %s", out.StatusCode, out.Body)
	}
	b.problem(b.send(b.Alien, "POST", "/v1/vault-entries/"+b.entry.ID+"/check", ""), 404, "not_found", "")
	b.problem(b.send(b.Owner, "POST", "/v1/vault-entries/"+b.Entry("pending").ID+"/check", ""), 409, "reauthorization_required", "")
}
