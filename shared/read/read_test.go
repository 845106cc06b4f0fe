package read_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// bench is a bundle with an active entry and a connector.
type bench struct {
	*bundletest.Bench
	entry     record.Entry
	connector record.Connector
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{Bench: bundletest.New(t, bundletest.Options{})}
	b.entry, b.connector = b.Reader()
	return b
}

func (b *bench) query(resource string, change ...func(*read.Query)) read.Query {
	q := read.Query{Connector: b.connector.ID, Resource: resource}
	for _, c := range change {
		c(&q)
	}
	return q
}

func with(name string, values ...string) func(*read.Query) {
	return func(q *read.Query) {
		if q.Params == nil {
			q.Params = url.Values{}
		}
		q.Params[name] = values
	}
}

func item(id string) func(*read.Query)     { return func(q *read.Query) { q.Item = id } }
func cursor(text string) func(*read.Query) { return func(q *read.Query) { q.Cursor = text } }
func limit(n int) func(*read.Query)        { return func(q *read.Query) { q.Limit = n } }
func personal(q *read.Query)               { q.Personal = true }

func (b *bench) read(p record.Principal, q read.Query) read.Page {
	b.Helper()
	page, err := b.Read.Read(b.Context(), p, q)
	b.OK(err)
	return page
}

func (b *bench) fails(p record.Principal, q read.Query, kind fault.Kind, code string) *fault.Error {
	b.Helper()
	_, err := b.Read.Read(b.Context(), p, q)
	return b.Fault(err, kind, code)
}

// expire steps the clock to when the entry's token is dead.
func (b *bench) expire() { b.Clock.Add(time.Hour + time.Second) }

// pages makes a path that has n pages of one item each, {"id": "1"} first.
func (b *bench) pages(path, list string, n int) {
	b.Upstream.Handle(path, func(w http.ResponseWriter, r *http.Request) {
		at := 1
		_, _ = fmt.Sscanf(r.URL.Query().Get("page_token"), "p%d", &at)
		next := ""
		if at < n {
			next = fmt.Sprintf("p%d", at+1)
		}
		_, _ = fmt.Fprintf(w, `{%q:[{"id":"%d"}],"next":%q}`, list, at, next)
	})
}

func texts(items []json.RawMessage) string {
	var all []string
	for _, i := range items {
		all = append(all, string(i))
	}
	return strings.Join(all, "|")
}

func TestItemsComeBackAsTheProviderSentThem(t *testing.T) {
	b := newBench(t)
	odd := `{"b":1.50,"a": [1,  2], "ü":"\u00e9", "n":12345678901234567890}`
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "up-7")
		w.Header().Set("X-Rate", "0.5")
		_, _ = w.Write([]byte(`{"orders":[` + odd + `]}`))
	})
	page := b.read(b.Owner, b.query("orders", personal))
	if texts(page.Items) != odd || page.Next != nil || page.Meta.RequestID != "up-7" || page.Meta.Rate != 0.5 || !page.Meta.FetchedAt.Equal(b.Clock.Now()) {
		t.Errorf("the page is %s %+v", texts(page.Items), page.Meta)
	}
	if got := b.Upstream.Seen("/orders")[0]; got.URL.Query().Get("marketplaces") != "M1" || got.Header.Get("Authorization") == "" {
		t.Errorf("the call was %s", got.URL)
	}
	b.Upstream.Body("/orders", `{"other":1}`)
	if page := b.read(b.Owner, b.query("orders")); page.Items == nil || len(page.Items) != 0 {
		t.Errorf("a list that is not there is %v", page.Items)
	}
}

func TestACursorGoesOnWhereThePageEnded(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 3)
	var seen []string
	q := b.query("orders", with("status", "open", "late"), limit(10))
	for {
		page := b.read(b.Owner, q)
		seen = append(seen, texts(page.Items))
		if page.Next == nil {
			break
		}
		q.Cursor = *page.Next
		if len(seen) > 1 {
			q.Params, q.Limit = nil, 0 // the filters may be repeated, and need not be
		}
	}
	if strings.Join(seen, ",") != `{"id":"1"},{"id":"2"},{"id":"3"}` {
		t.Errorf("the pages are %v", seen)
	}
	for _, r := range b.Upstream.Seen("/orders") {
		if got := r.URL.Query(); got.Get("status") != "open,late" || got.Get("page_size") != "10" {
			t.Errorf("a page was asked for with %s", r.URL.RawQuery)
		}
	}
}

func TestACursorIsBoundToItsConnectorAndItsQuery(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 3)
	b.pages("/fleeting", "things", 3)
	b.pages("/orders/a/parts", "parts", 3)
	next := *b.read(b.Owner, b.query("orders", with("status", "open"))).Next

	same := b.connector
	b.connector = b.Bench.Connector(b.entry, nil)
	b.fails(b.Owner, b.query("orders", cursor(next)), fault.Invalid, "invalid_cursor")
	b.connector = same
	b.fails(b.Alien, b.query("orders", cursor(next)), fault.NotFound, "not_found")

	parts := *b.read(b.Owner, b.query("parts", item("a"))).Next
	for name, q := range map[string]read.Query{
		"another resource":      b.query("fleeting", cursor(next)),
		"another filter":        b.query("orders", cursor(next), with("status", "late")),
		"a filter more":         b.query("orders", cursor(next), with("status", "open"), with("since", "x")),
		"another limit":         b.query("orders", cursor(next), limit(5)),
		"another item":          b.query("parts", item("b"), cursor(parts)),
		"an item's as a list's": b.query("orders", cursor(parts)),
	} {
		_, err := b.Read.Read(b.Context(), b.Owner, q)
		if fault.CodeOf(err) != "invalid_cursor" || fault.As(err).Field != "cursor" {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.read(b.Owner, b.query("orders", cursor(next), with("status", "open")))
	b.read(b.Owner, b.query("parts", item("a"), cursor(parts)))
}

func TestACursorThatWasChangedIsRefusedAndHoldsNothingToRead(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 3)
	next := *b.read(b.Owner, b.query("orders", with("since", "a-filter-of-the-caller"))).Next
	inside, err := base64.RawURLEncoding.DecodeString(next)
	b.OK(err)
	if strings.Contains(string(inside), "filter") || strings.Contains(string(inside), "listOrders") {
		t.Errorf("the cursor can be read: %q", inside)
	}
	flipped := []byte(next)
	flipped[len(flipped)/2] ^= 1
	for _, forged := range []string{"x", "!!!", next + "A", next[:len(next)-4], string(flipped), strings.Repeat("A", 5000), "h.", "h.h_0000000000000000",
		"h.cursor#h_0000000000000000", "h." + strings.Repeat("0", 500), "\u00e9", "h.h_../../entry"} {
		_, err := b.Read.Read(b.Context(), b.Owner, b.query("orders", cursor(forged)))
		if fault.CodeOf(err) != "invalid_cursor" {
			t.Errorf("%.40q: %v", forged, err)
		}
	}
	if n := len(b.Upstream.Seen("/orders")); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestACursorCarriesNoRights(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[{"id":"1","buyer":{"name":"Ann","id":"b-1"}}],"next":"p2"}`)
	next := *b.read(b.Owner, b.query("orders", personal, with("include", "BUYER", "LINES"))).Next
	page := b.read(b.Clerk, b.query("orders", cursor(next)))
	if got := texts(page.Items); strings.Contains(got, "Ann") || !strings.Contains(got, "b-1") {
		t.Errorf("the page that follows is %s", got)
	}
	seen := b.Upstream.Seen("/orders")
	if got := seen[len(seen)-1].URL.Query().Get("include"); got != "LINES" {
		t.Errorf("the provider was asked to include %q", got)
	}
	b.fails(b.Clerk, b.query("orders", cursor(next), personal), fault.Forbidden, "personal_data_not_granted")

	// What the connector is for may have become less since.
	b.Upstream.Body("/orders", `{"orders":[],"next":"p2"}`)
	next = *b.read(b.Owner, b.query("orders", with("marketplaces", "M2"))).Next
	_, err := b.Admin.UpdateConnector(b.Context(), b.Owner, b.connector.ID, bundletest.Settings("marketplaces", "M1"))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.fails(b.Owner, b.query("orders", cursor(next)), fault.Forbidden, "forbidden")
	_, err = b.Admin.UpdateConnector(b.Context(), b.Owner, b.connector.ID, bundletest.Settings("resources", "scarce"))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.fails(b.Owner, b.query("orders", cursor(next)), fault.Forbidden, "forbidden")
}

func TestACursorOverFourKilobytesBecomesAHandle(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("t", 6000)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page_token") == long {
			_, _ = w.Write([]byte(`{"orders":[{"id":"2"}]}`))
			return
		}
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"1"}],"next":%q}`, long)
	})
	next := *b.read(b.Owner, b.query("orders")).Next
	if len(next) > 100 || !strings.HasPrefix(next, "h.") {
		t.Fatalf("the cursor has %d characters", len(next))
	}
	if page := b.read(b.Owner, b.query("orders", cursor(next))); texts(page.Items) != `{"id":"2"}` {
		t.Errorf("the handle led to %s", texts(page.Items))
	}
	b.read(b.Owner, b.query("orders", cursor(next))) // a handle is no secret of one use: the same page again
	first := b.connector
	b.connector = b.Bench.Connector(b.entry, nil)
	b.fails(b.Owner, b.query("orders", cursor(next)), fault.Invalid, "invalid_cursor")
	b.connector = first
	b.expire()
	b.fails(b.Owner, b.query("orders", cursor(next)), fault.Invalid, "invalid_cursor")
}

func TestACursorEndsWithTheProvidersPageToken(t *testing.T) {
	b := newBench(t)
	b.pages("/fleeting", "things", 3)
	next := *b.read(b.Owner, b.query("fleeting")).Next
	b.Clock.Add(59 * time.Second)
	b.read(b.Owner, b.query("fleeting", cursor(next)))
	b.Clock.Add(time.Second)
	b.fails(b.Owner, b.query("fleeting", cursor(next)), fault.Invalid, "invalid_cursor")
}

func TestAStoreThatIsDownIsNotTheCursorsFault(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 3)
	next := *b.read(b.Owner, b.query("orders")).Next
	b.Secrets.Down(true)
	b.Clock.Add(19*time.Minute + 58*time.Second) // old keys serve a second life
	b.read(b.Owner, b.query("orders"))
	b.Clock.Add(3 * time.Second) // and now are forgotten, while the connector and its token are not
	_, err := b.Read.Read(b.Context(), b.Owner, b.query("orders", cursor(next)))
	if problem := b.Fault(err, fault.Unavailable, "store_unavailable"); problem.RetryAfter == 0 {
		t.Error("nobody is told to try again")
	}
}

func TestFiltersAreCheckedBeforeAnythingIsCalled(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]struct {
		query read.Query
		field string
		code  string
		kind  fault.Kind
	}{
		"an unknown filter":         {b.query("orders", with("colour", "red")), "colour", "invalid_field", fault.Invalid},
		"the provider's page token": {b.query("orders", with("page_token", "p2")), "page_token", "invalid_field", fault.Invalid},
		"the provider's page size":  {b.query("orders", with("page_size", "5")), "page_size", "invalid_field", fault.Invalid},
		"too large a page":          {b.query("orders", limit(51)), "limit", "invalid_field", fault.Invalid},
		"a page size that is fixed": {b.query("people", limit(5), personal), "limit", "invalid_field", fault.Invalid},
		"no such resource":          {b.query("ghosts"), "", "unknown_resource", fault.NotFound},
		"a resource of vendors":     {b.query("for-vendors"), "", "unknown_resource", fault.NotFound},
		"a list that is none":       {b.query("reports"), "", "invalid_request", fault.Invalid},
		"an item that is none":      {b.query("scarce", item("a")), "", "invalid_request", fault.Invalid},
		"an item that is a step":    {b.query("orders", item("..")), "item", "invalid_field", fault.Invalid},
		"no such connector":         {read.Query{Connector: "con_0000000000000000", Resource: "orders"}, "", "not_found", fault.NotFound},
	} {
		_, err := b.Read.Read(b.Context(), b.Owner, want.query)
		problem := fault.As(err)
		if problem.Kind != want.kind || problem.Code != want.code || problem.Field != want.field || problem.Action == "" {
			t.Errorf("%s: %+v", name, problem)
		}
	}
	if len(b.Upstream.Seen("/orders")) != 0 {
		t.Error("the provider was called")
	}
}

func TestAConnectorIsForItsMarketplacesAndResources(t *testing.T) {
	b := newBench(t)
	b.connector = b.Bench.Connector(b.entry, map[string][]string{"marketplaces": {"M2"}, "resources": {"orders"}})
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.read(b.Owner, b.query("orders"))
	if got := b.Upstream.Seen("/orders")[0].URL.Query().Get("marketplaces"); got != "M2" {
		t.Errorf("the marketplaces were %q", got)
	}
	for _, values := range [][]string{{"M1"}, {"M2,M1"}, {"M2", "M1"}, {""}, {"M2,"}} {
		b.fails(b.Owner, b.query("orders", with("marketplaces", values...)), fault.Forbidden, "forbidden")
	}
	b.read(b.Owner, b.query("orders", with("marketplaces", "M2")))
	b.fails(b.Owner, b.query("scarce"), fault.Forbidden, "forbidden")
}

func TestPersonalDataIsLeftOutUnlessGrantedAndAskedFor(t *testing.T) {
	b := newBench(t)
	full := `{"id":"1","buyer":{"name":"Ann","email":"a@x","id":"b-1"},"ship":{"street":"Elm"}}`
	b.Upstream.Body("/orders", `{"orders":[`+full+`]}`)
	b.Upstream.Body("/orders/1", `{"order":`+full+`}`)
	b.Upstream.Body("/people", `{"people":[{"name":"Ann"}]}`)
	b.Upstream.Body("/eager", `{"things":[]}`)
	for name, want := range map[string]struct {
		who   record.Principal
		query read.Query
		code  string // "" = answered
		shown bool
	}{
		"granted and asked for":     {b.Owner, b.query("orders", personal), "", true},
		"granted and not asked for": {b.Owner, b.query("orders"), "", false},
		"not granted":               {b.Clerk, b.query("orders"), "", false},
		"not granted and asked for": {b.Clerk, b.query("orders", personal), "personal_data_not_granted", false},
		"an item":                   {b.Clerk, b.query("orders", item("1")), "", false},
		"an item, granted":          {b.Owner, b.query("orders", item("1"), personal), "", true},
		"personal as a whole":       {b.Owner, b.query("people"), "personal_data_not_granted", false},
		"as a whole, not granted":   {b.Clerk, b.query("people"), "personal_data_not_granted", false},
		"as a whole, asked for":     {b.Owner, b.query("people", personal), "", true},
		"nobody's":                  {record.Principal{Tenant: bundletest.Tenant}, b.query("orders", personal), "personal_data_not_granted", false},
	} {
		page, err := b.Read.Read(b.Context(), want.who, want.query)
		if fault.CodeOf(err) != want.code {
			t.Errorf("%s: %v", name, err)
		}
		got := texts(page.Items)
		for _, private := range []string{"Ann", "a@x", "Elm"} {
			if strings.Contains(got, private) && !want.shown {
				t.Errorf("%s: %s is shown in %s", name, private, got)
			}
		}
		if want.shown != strings.Contains(got, "Ann") || want.code == "" && !want.shown && !strings.Contains(got, "b-1") {
			t.Errorf("%s: the items are %s", name, got)
		}
	}
	// A default that asks for personal data is not sent either, and the answer says so.
	page := b.read(b.Owner, b.query("eager"))
	if got := b.Upstream.Seen("/eager")[0].URL.Query().Get("include"); got != "LINES" || len(page.Meta.Omitted) != 1 || page.Meta.Omitted[0] != "include=BUYER" {
		t.Errorf("include was %q, and omitted %v", got, page.Meta.Omitted)
	}
	b.read(b.Owner, b.query("eager", personal))
	if got := b.Upstream.Seen("/eager")[1].URL.Query().Get("include"); got != "BUYER,LINES" {
		t.Errorf("include was %q", got)
	}
	page = b.read(b.Clerk, b.query("orders", with("include", "BUYER")))
	if len(page.Meta.Omitted) != 1 || b.Upstream.Seen("/orders")[2].URL.Query().Has("include") {
		t.Errorf("omitted is %v", page.Meta.Omitted)
	}
}

func TestWhatIsAskedForIsMadeAndGivesNoPersonalDataAway(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/reports", `{"id":"r-1","buyer":{"name":"Ann"}}`)
	page, err := b.Read.Create(b.Context(), b.Owner, "", b.connector.ID, "reports", []byte(`{"kind":"stock"}`))
	b.OK(err)
	if got := texts(page.Items); got != `{"id":"r-1"}` {
		t.Errorf("the answer is %s", got)
	}
	for body, code := range map[string]string{``: "invalid_field", `{`: "invalid_request", `[]`: "invalid_request", `null`: "invalid_request", `{"kind":"a","colour":1}`: "invalid_field",
		`{"kind":"a","kind":"b"}`: "invalid_field", `{"kind":"a"} x`: "invalid_request"} {
		_, err := b.Read.Create(b.Context(), b.Owner, "", b.connector.ID, "reports", []byte(body))
		if fault.CodeOf(err) != code {
			t.Errorf("%s: %v", body, err)
		}
	}
	_, err = b.Read.Create(b.Context(), b.Owner, "", b.connector.ID, "orders", []byte(`{}`))
	b.Fault(err, fault.Invalid, "invalid_request")
	_, err = b.Read.Create(b.Context(), b.Alien, "", b.connector.ID, "reports", []byte(`{"kind":"stock"}`))
	b.Fault(err, fault.NotFound, "not_found")
	if n := len(b.Upstream.Seen("/reports")); n != 1 {
		t.Errorf("%d reports were asked for", n)
	}
}

func TestARefusalKeepsTheProvidersOwnWords(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusBadRequest, "bad_since") })
	problem := b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if said := problem.Provider; said == nil || said.Status != 400 || said.Code != "bad_since" || said.Details == "" || said.RequestID != "up-1" {
		t.Errorf("the provider said %+v", problem.Provider)
	}
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) })
	b.fails(b.Owner, b.query("orders"), fault.Unavailable, "provider_unavailable")
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	problem = b.fails(b.Owner, b.query("orders"), fault.Unavailable, "provider_unavailable")
	if strings.Contains(problem.Error(), b.Upstream.URL) {
		t.Errorf("the address is told: %v", problem)
	}
}

func TestAnAnswerThatNoAnswerOfOursCanCarryIsRefusedInWords(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"1","text":%q}]}`, strings.Repeat("x", 5<<20))
	})
	problem := b.fails(b.Owner, b.query("orders"), fault.TooLarge, "provider_refused")
	if !strings.Contains(problem.Action, "smaller limit") {
		t.Errorf("what to do is %q", problem.Action)
	}
}

func TestCallersKeepWithinTheRateTogether(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/scarce", `{"things":[]}`)
	elsewhere := b.NewRead() // another instance of the function
	b.read(b.Owner, b.query("scarce"))
	_, err := elsewhere.Read(b.Context(), b.Clerk, b.query("scarce"))
	b.OK(err)
	for _, service := range []*read.Service{b.Read, elsewhere} {
		_, err := service.Read(b.Context(), b.Owner, b.query("scarce"))
		problem := b.Fault(err, fault.RateLimited, "rate_limited")
		if problem.RetryAfter <= 0 || problem.RetryAfter > time.Second || problem.Provider != nil {
			t.Errorf("the 429 is %+v", problem)
		}
	}
	if n := len(b.Upstream.Seen("/scarce")); n != 2 {
		t.Errorf("the provider was called %d times", n)
	}
	b.Clock.Add(time.Second)
	b.read(b.Owner, b.query("scarce"))
	// Another account's rate is its own, and so is another operation's.
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.read(b.Owner, b.query("orders"))
	b.connector = b.Bench.Connector(b.Active("another"), nil)
	b.read(b.Owner, b.query("scarce"))
}

func TestABurstOfCallersGetsNoMoreThanTheBurst(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/scarce", `{"things":[]}`)
	var served, refused atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			_, err := b.Read.Read(b.Context(), b.Owner, b.query("scarce"))
			switch {
			case err == nil:
				served.Add(1)
			case fault.KindOf(err) == fault.RateLimited:
				refused.Add(1)
			default:
				t.Errorf("an answer is %v", err)
			}
		})
	}
	all.Wait()
	if served.Load() != 2 || len(b.Upstream.Seen("/scarce")) != 2 {
		t.Errorf("%d were served, %d refused, %d calls", served.Load(), refused.Load(), len(b.Upstream.Seen("/scarce")))
	}
}

func TestTwoEntriesOfOneAccountShareItsRate(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/scarce", `{"things":[]}`)
	b.read(b.Owner, b.query("scarce"))
	b.read(b.Owner, b.query("scarce"))
	second := b.Entry("second")
	b.Install(second, b.Upstream.Issue("acct-reader"), time.Hour)
	b.connector = b.Bench.Connector(second, nil)
	b.fails(b.Owner, b.query("scarce"), fault.RateLimited, "rate_limited")
}

func TestAProviders429DrainsTheBucketForEverybody(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/scarce", func(w http.ResponseWriter, _ *http.Request) {
		bundletest.Refuse(w, http.StatusTooManyRequests, "quota")
	})
	problem := b.fails(b.Owner, b.query("scarce"), fault.RateLimited, "rate_limited")
	if problem.Provider == nil || problem.Provider.Code != "quota" || problem.RetryAfter != time.Second {
		t.Errorf("the 429 is %+v after %s", problem.Provider, problem.RetryAfter)
	}
	b.Upstream.Body("/scarce", `{"things":[]}`)
	_, err := b.NewRead().Read(b.Context(), b.Owner, b.query("scarce"))
	b.Fault(err, fault.RateLimited, "rate_limited")
	if n := len(b.Upstream.Seen("/scarce")); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
	b.Clock.Add(time.Second)
	b.read(b.Owner, b.query("scarce"))
}

func TestTheRateThatTheProviderSaysIsKept(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/scarce", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Rate", "0.1")
		_, _ = w.Write([]byte(`{"things":[]}`))
	})
	if page := b.read(b.Owner, b.query("scarce")); page.Meta.Rate != 0.1 || page.Meta.Burst != 2 {
		t.Errorf("the page says %+v", page.Meta)
	}
	b.read(b.Owner, b.query("scarce"))
	b.Clock.Add(2 * time.Second) // two more at the stated rate; at the real one, what is left of the burst
	b.read(b.Owner, b.query("scarce"))
	problem := b.fails(b.Owner, b.query("scarce"), fault.RateLimited, "rate_limited")
	if problem.RetryAfter <= time.Second {
		t.Errorf("the wait is %s", problem.RetryAfter)
	}
}

func TestALivingTokenIsServedWhateverTheTrouble(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) { return tokens.Answer{}, fmt.Errorf("down") })
	b.Clock.Add(59 * time.Minute) // one minute of life is left
	for range 20 {
		b.read(b.Owner, b.query("orders"))
	}
	if b.Nudges() != 1 || len(b.Calls("")) != 0 {
		t.Errorf("%d nudges, %d calls", b.Nudges(), len(b.Calls("")))
	}
	b.Clock.Add(59 * time.Second)
	b.read(b.Owner, b.query("orders"))
	b.Clock.Add(time.Second) // and now it is dead
	if _, err := b.Read.Read(b.Context(), b.Owner, b.query("orders")); err == nil {
		t.Error("a dead token was served")
	}
}

func TestANudgeThatWasNotTakenIsRepeated(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.OnNudge(func(context.Context, tokens.Call) error { return fmt.Errorf("throttled") })
	b.Clock.Add(59 * time.Minute)
	b.read(b.Owner, b.query("orders"))
	b.OnNudge(nil)
	b.read(b.Owner, b.query("orders"))
	b.read(b.Owner, b.query("orders"))
	if b.Nudges() != 2 {
		t.Errorf("%d nudges", b.Nudges())
	}
}

func TestADeadTokenIsReplacedBeforeTheCall(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.expire()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := b.Read.Read(b.Context(), b.Owner, b.query("orders")); err != nil {
				t.Errorf("a reader hears %v", err)
			}
		})
	}
	all.Wait()
	if n := len(b.Upstream.Seen("/token")); n != 1 {
		t.Errorf("the refresh token was spent %d times", n)
	}
}

func TestAReaderDoesNotTakeTheTargetOfAnOlderLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Bench: bundletest.New(t, bundletest.Options{Now: time.Now, Plain: true})}
		b.entry, b.connector = b.Reader()
		b.App()
		b.Upstream.Body("/orders", `{"orders":[]}`)
		time.Sleep(time.Hour + time.Second) // the token is dead
		// The first reader waits for a fresh token. Meanwhile a second looks, and is held up with the old one in its hands.
		refreshed, goOn := make(chan bool), make(chan bool)
		var asked, held atomic.Bool
		b.Answer(func(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
			if asked.CompareAndSwap(false, true) {
				<-refreshed
			}
			return b.Tokens.Do(ctx, call)
		})
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := b.Read.Read(t.Context(), b.Owner, b.query("orders")); first <- err }()
		time.Sleep(6 * time.Second) // what the first saw is forgotten
		b.Store.AfterGet(func(table store.Table, _ store.Key) {
			if table == store.Credentials && held.CompareAndSwap(false, true) {
				<-goOn
			}
		})
		go func() { _, err := b.Read.Read(t.Context(), b.Owner, b.query("orders")); second <- err }()
		synctest.Wait()
		close(refreshed)
		time.Sleep(time.Second)
		if len(first) == 0 {
			t.Error("the first reader waits for an older look")
		}
		close(goOn)
		b.OK(<-first)
		b.OK(<-second)
	})
}

func TestARejectedTokenIsReplacedOnce(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/orders", `{"orders":[{"id":"1"}]}`)
	c, _, err := b.Vault.Credential(b.Context(), b.entry.Tenant, b.entry.ID)
	b.OK(err)
	set, err := b.Vault.OpenTokens(b.Context(), c)
	b.OK(err)
	b.Upstream.Revoke(set.Access)
	b.read(b.Owner, b.query("orders"))
	calls := b.Calls(tokens.Refresh)
	if len(calls) != 1 || calls[0].FailedGeneration != c.Generation || len(b.Upstream.Seen("/orders")) != 2 {
		t.Errorf("the calls are %+v; the provider was called %d times", calls, len(b.Upstream.Seen("/orders")))
	}
	// A provider that refuses every token is asked twice, not for ever.
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusUnauthorized, "never") })
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if n := len(b.Upstream.Seen("/orders")); n != 4 || len(b.Calls(tokens.Refresh)) != 2 {
		t.Errorf("the provider was called %d times, the token service %d", n, len(b.Calls(tokens.Refresh)))
	}
}

func TestWhenATokenCannotBeReplacedTheProvidersWordsAreKept(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusUnauthorized, "why_not") })
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{Outcome: tokens.Transient}, nil
	})
	problem := b.fails(b.Owner, b.query("orders"), fault.Unavailable, "provider_unavailable")
	if problem.Provider == nil || problem.Provider.Code != "why_not" {
		t.Errorf("the provider said %+v", problem.Provider)
	}
}

func TestAnEntryThatMustBeAuthorizedAgainSaysSo(t *testing.T) {
	b := newBench(t)
	b.App()
	pending := b.Entry("pending")
	was := b.connector
	b.connector = b.Bench.Connector(pending, nil)
	b.fails(b.Owner, b.query("orders"), fault.ReauthRequired, "reauthorization_required")
	b.connector = was
	c, _, err := b.Vault.Credential(b.Context(), b.entry.Tenant, b.entry.ID)
	b.OK(err)
	leased, err := b.Vault.Acquire(b.Context(), c, "me", b.Clock.Now().Add(time.Minute), record.Intent{})
	b.OK(err)
	b.OK(b.Vault.Fail(b.Context(), leased, record.Failure{Outcome: "revoked"}, record.Reauth, record.Revoked, false))
	b.fails(b.Owner, b.query("orders"), fault.ReauthRequired, "reauthorization_required")
}

func TestATokenThatWasLostInRotationIsUsedToItsEnd(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/orders", `{"orders":[]}`)
	c, _, err := b.Vault.Credential(b.Context(), b.entry.Tenant, b.entry.ID)
	b.OK(err)
	leased, err := b.Vault.Acquire(b.Context(), c, "me", b.Clock.Now().Add(time.Minute), record.Intent{})
	b.OK(err)
	b.OK(b.Vault.Fail(b.Context(), leased, record.Failure{Outcome: "rotation_unknown"}, record.Reauth, record.RotationUnknown, false))
	b.read(b.Owner, b.query("orders"))
	b.Clock.Add(59*time.Minute + 30*time.Second)
	b.read(b.Owner, b.query("orders"))
	if b.Nudges() != 0 {
		t.Error("a token that must not be offered again was asked for")
	}
	b.Clock.Add(time.Minute)
	b.fails(b.Owner, b.query("orders"), fault.ReauthRequired, "reauthorization_required")
}

func TestADisabledEntryIsHonouredAfterFiveSeconds(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.read(b.Owner, b.query("orders"))
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields("disabled", true))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.fails(b.Owner, b.query("orders"), fault.Conflict, "vault_entry_disabled")
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields("disabled", false))
	b.OK(err)
	b.read(b.Owner, b.query("orders")) // a refusal is not remembered
}

func TestAClockThatGoesBackMakesNothingYoung(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.read(b.Owner, b.query("orders"))
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields("disabled", true))
	b.OK(err)
	b.Clock.Add(-time.Minute)
	b.fails(b.Owner, b.query("orders"), fault.Conflict, "vault_entry_disabled")
}

func TestManyReadersLookOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Bench: bundletest.New(t, bundletest.Options{Now: time.Now, Plain: true})}
		b.entry, b.connector = b.Reader()
		b.Upstream.Body("/orders", `{"orders":[]}`)
		before, goOn := b.Store.Gets(store.Credentials), make(chan bool)
		b.Store.AfterGet(func(table store.Table, _ store.Key) {
			if table == store.Credentials {
				<-goOn
			}
		})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := b.Read.Read(t.Context(), b.Owner, b.query("orders")); err != nil {
					t.Errorf("a reader hears %v", err)
				}
			})
		}
		synctest.Wait()
		close(goOn)
		all.Wait()
		if n := b.Store.Gets(store.Credentials) - before; n != 1 {
			t.Errorf("50 readers looked %d times", n)
		}
		used, err := b.Vault.UsedGeneration(t.Context(), b.entry.Tenant, b.entry.ID)
		if err != nil || used != 1 {
			t.Errorf("the use of generation %d was noted, %v", used, err)
		}
	})
}

func TestALookOutlivesTheReaderWhoBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Bench: bundletest.New(t, bundletest.Options{Now: time.Now, Plain: true})}
		b.entry, b.connector = b.Reader()
		b.Upstream.Body("/orders", `{"orders":[]}`)
		ctx, leave := context.WithCancel(t.Context())
		goOn := make(chan bool)
		var held atomic.Bool
		b.Store.AfterGet(func(store.Table, store.Key) {
			if held.CompareAndSwap(false, true) {
				<-goOn
			}
		})
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := b.Read.Read(ctx, b.Owner, b.query("orders")); first <- err }()
		synctest.Wait() // the first is held up in its look
		go func() { _, err := b.Read.Read(t.Context(), b.Owner, b.query("orders")); second <- err }()
		synctest.Wait() // the second waits for that look
		leave()
		close(goOn)
		b.OK(<-second)
		if err := <-first; err == nil {
			t.Error("who has left is answered")
		}
	})
}

func TestATenantSeesNothingOfAnothers(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.read(b.Owner, b.query("orders")) // and is remembered
	b.fails(b.Alien, b.query("orders"), fault.NotFound, "not_found")
	_, err := b.Read.Check(b.Context(), b.Alien, b.entry.ID)
	b.Fault(err, fault.NotFound, "not_found")
	_, err = b.Read.Document(b.Context(), b.Alien, b.query("reports", item("r-1")), read.Span{})
	b.Fault(err, fault.NotFound, "not_found")
	_, err = b.Read.Run(b.Context(), b.Alien, b.query("orders"))
	b.Fault(err, fault.NotFound, "not_found")
}

func TestWhatConcernsNoAccountIsReadWithTheApplicationsOwnToken(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/plans", `{"plans":[{"id":"1"}]}`)
	for range 3 {
		b.read(b.Owner, b.query("plans"))
	}
	if n := len(b.Calls(tokens.Grant)); n != 1 {
		t.Errorf("the application's token was asked for %d times", n)
	}
	c, _, err := b.Vault.Credential(b.Context(), b.entry.Tenant, b.entry.ID)
	b.OK(err)
	set, err := b.Vault.OpenTokens(b.Context(), c)
	b.OK(err)
	for _, r := range b.Upstream.Seen("/plans") {
		if r.Header.Get("Authorization") == "Bearer "+set.Access.Reveal() {
			t.Error("the account's token was sent")
		}
	}
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{Outcome: tokens.Success}, nil
	})
	b.Clock.Add(59*time.Minute + 30*time.Second)
	b.fails(b.Owner, b.query("plans"), fault.Unavailable, "provider_unavailable")
}

func TestACheckSaysWhatMayBeRead(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/orders", `{"orders":[{"buyer":{"name":"Ann"}}]}`)
	b.Upstream.Handle("/scarce", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusForbidden, "no_role") })
	check, err := b.Read.Check(b.Context(), b.Clerk, b.entry.ID)
	b.OK(err)
	if !check.Works || len(check.Reads) != 2 || !*check.Reads[0].Allowed || *check.Reads[1].Allowed || check.Reads[1].Provider.Code != "no_role" {
		t.Errorf("the check found %+v", check)
	}
	if text, err := json.Marshal(check); err != nil || strings.Contains(string(text), "Ann") {
		t.Errorf("the check tells %s, %v", text, err)
	}
	b.Upstream.Handle("/scarce", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	check, err = b.Read.Check(b.Context(), b.Owner, b.entry.ID)
	b.OK(err)
	if check.Reads[1].Allowed != nil {
		t.Errorf("what could not be found out is %+v", check.Reads[1])
	}
	b.expire()
	b.read(b.Owner, b.query("orders")) // and a dead token is replaced for a check too
	_, err = b.Read.Check(b.Context(), b.Owner, b.entry.ID)
	b.OK(err)
	_, err = b.Read.Check(b.Context(), b.Owner, b.Entry("pending").ID)
	b.Fault(err, fault.ReauthRequired, "reauthorization_required")
}
