package read_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

type describe = func(*provider.Descriptor)

// benchOf is a bench of a provider that is changed, with an entry that has a client of its own where there are such.
func benchOf(t *testing.T, o bundletest.Options, members ...any) *bench {
	t.Helper()
	b := &bench{Bench: bundletest.New(t, o)}
	b.entry = b.Active("reader", members...)
	b.connector = b.Bench.Connector(b.entry, nil)
	return b
}

// limited is a bench of a provider that limits an application, and whose entries bring their clients along.
func limited(t *testing.T, limits describe) *bench {
	t.Helper()
	t.Parallel()
	return benchOf(t, bundletest.Options{Describe: []describe{bundletest.OwnClients, limits}}, bundletest.OwnClient("client-7")...)
}

// crowd counts calls that are under way, and holds them up until it is opened, or until there are too many.
type crowd struct {
	testing.TB
	now  atomic.Int32
	most int32
	gate chan struct{}
	open func() // opens the gate
}

func newCrowd(t testing.TB, most int32) *crowd {
	c := &crowd{TB: t, most: most, gate: make(chan struct{})}
	c.open = sync.OnceFunc(func() { close(c.gate) })
	return c
}

func (c *crowd) serve(w http.ResponseWriter, _ *http.Request) {
	now := c.now.Add(1)
	defer c.now.Add(-1)
	if now > c.most {
		c.Errorf("%d calls are under way at once; the provider takes %d", now, c.most)
		c.open()
	}
	<-c.gate
	_, _ = io.WriteString(w, `{"orders":[]}`)
}

func TestAnApplicationsCallsAtOnceAreNeverMoreThanTheProviderTakes(t *testing.T) {
	const most, services, readers = 3, 4, 16
	b := limited(t, bundletest.Limits(most, 0, 0))
	all := [services]*read.Service{}
	for i := range all {
		all[i] = b.NewRead()
	}
	// Half of them read another entry of the same client, another tenant's.
	theirs := b.alien("client-7")
	for round := range 3 {
		c := newCrowd(t, most)
		b.Upstream.Handle("/orders", c.serve)
		refused, served := make(chan *fault.Error, readers), make(chan error, readers)
		for i := range readers {
			go func() {
				service, err := all[i%services], error(nil)
				if i/services%2 == 0 {
					_, err = service.Read(b.Context(), b.Owner, b.query("orders"))
				} else {
					err = theirs(service)
				}
				if err == nil || fault.KindOf(err) != fault.RateLimited {
					served <- err
					return
				}
				refused <- fault.As(err)
			}()
		}
		// Nobody waits: all but those who have a place are sent away while the others are under way.
		for n := 0; n < readers-most; n++ {
			select {
			case f := <-refused:
				if f.Code != "rate_limited" || f.RetryAfter <= 0 || f.Action == "" || !strings.Contains(f.Detail, "3 calls at once") {
					t.Errorf("the answer is %+v", f)
				}
			case err := <-served:
				c.open()
				t.Fatalf("round %d: served before the gate was open: %v", round, err)
			}
		}
		if round == 0 && len(served) != 0 {
			t.Errorf("%d were served", len(served))
		}
		c.open()
		for n := readers - most; n < readers; n++ {
			select {
			case err := <-served:
				b.OK(err)
			case f := <-refused: // a service keeps places for the calls it expects
				if round == 0 {
					t.Errorf("a place stays free: %+v", f)
				}
			}
		}
		if round == 1 {
			b.Clock.Add(2 * time.Minute) // what was kept has run out
		}
	}
}

func TestAPlaceIsGivenBackHoweverACallEnds(t *testing.T) {
	b := limited(t, bundletest.Limits(1, 0, 0))
	well := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"orders":[]}`) }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"orders":[`)
		panic(http.ErrAbortHandler)
	}
	leaving, leave := context.WithCancel(t.Context())
	defer leave()
	for name, trouble := range map[string]struct {
		ctx    context.Context
		answer http.HandlerFunc
	}{
		"refused":     {t.Context(), func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusForbidden, "no") }},
		"unavailable": {t.Context(), func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusBadGateway, "no") }},
		"its limit":   {t.Context(), func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusTooManyRequests, "no") }},
		"its token":   {t.Context(), func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusUnauthorized, "no") }},
		"sent away":   {t.Context(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }},
		"no JSON":     {t.Context(), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
		"too much":    {t.Context(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) }},
		"broken off":  {t.Context(), cut},
		"nobody waits": {leaving, func(_ http.ResponseWriter, r *http.Request) {
			leave()
			<-r.Context().Done()
		}},
	} {
		b.Upstream.Handle("/orders", trouble.answer)
		if _, err := b.Read.Read(trouble.ctx, b.Owner, b.query("orders")); err == nil || strings.Contains(fault.As(err).Detail, "at once") {
			t.Errorf("%s: %v", name, err)
		}
		b.Upstream.Handle("/orders", well)
		if _, err := b.Read.Read(t.Context(), b.Owner, b.query("orders")); err != nil {
			t.Errorf("%s: afterwards there is no place: %v", name, err)
		}
	}
}

// slowly is a network whose documents arrive only when a gate opens.
type slowly struct {
	http.RoundTripper
	reading, gate chan struct{} // reading is closed once somebody waits for a document's bytes
	breaks        bool          // and then it breaks off
}

func (s *slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/bytes") {
		response.Body = &slowBody{ReadCloser: response.Body, slowly: s}
	}
	return response, err
}

type slowBody struct {
	io.ReadCloser
	*slowly
	begun bool
}

func (s *slowBody) Read(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		close(s.reading)
		<-s.gate
	}
	if s.breaks {
		return 0, io.ErrUnexpectedEOF
	}
	return s.ReadCloser.Read(p)
}

func TestAPlaceIsHeldUntilADocumentHasBeenRead(t *testing.T) {
	b := limited(t, bundletest.Limits(1, 0, 0))
	b.Upstream.Body("/orders", `{"orders":[]}`)
	b.Upstream.Body("/reports/r-1/place", `{"behind":true}`) // a call of its own, which has ended before the document's
	b.Upstream.Handle("/reports/r-1/bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all of it") })
	network := b.Upstream.Client.Transport
	for name, breaks := range map[string]bool{"whole": false, "broken off": true} {
		line := &slowly{RoundTripper: network, reading: make(chan struct{}), gate: make(chan struct{}), breaks: breaks}
		b.Upstream.Client.Transport = line
		type answer struct {
			part read.Part
			err  error
		}
		got := make(chan answer, 1)
		go func() {
			part, err := b.document(read.Span{})
			got <- answer{part, err}
		}()
		<-line.reading
		_, err := b.Read.Read(b.Context(), b.Owner, b.query("orders"))
		close(line.gate)
		b.Fault(err, fault.RateLimited, "rate_limited")
		if a := <-got; (a.err != nil) != breaks || !breaks && string(a.part.Bytes) != "all of it" {
			t.Errorf("%s: %q, %v", name, a.part.Bytes, a.err)
		}
		b.read(b.Owner, b.query("orders"))
	}
}

// alien makes a reader of another tenant, whose entry has that client.
func (b *bench) alien(client string) func(*read.Service) error {
	b.Helper()
	e, err := b.Admin.CreateEntry(b.Context(), b.Bench.Alien, "", bundletest.Fields(append(bundletest.OwnClient(client),
		"provider", bundletest.Name, "alias", "theirs", "environment", "test")...))
	b.OK(err)
	b.Install(e, b.Upstream.Issue("acct-alien"), time.Hour)
	c := b.Bench.Connector(e, nil)
	return func(service *read.Service) error {
		_, err := service.Read(b.Context(), b.Bench.Alien, read.Query{Connector: c.ID, Resource: "orders"})
		return err
	}
}

func TestAnApplicationsRateIsSharedByAllWhoUseIt(t *testing.T) {
	b := limited(t, bundletest.Limits(0, 1, 3))
	for _, path := range []string{"/orders", "/people"} {
		b.Upstream.Body(path, `{"orders":[],"people":[]}`)
	}
	alien := b.alien("client-7")
	theirs := func(string) error { return alien(b.Read) }
	second := b.Active("second", bundletest.OwnClient("client-7")...)
	other := b.Active("other", bundletest.OwnClient("client-8")...)
	reads := func(e record.Entry) func(resource string) error {
		c := b.Bench.Connector(e, nil)
		return func(resource string) error {
			_, err := b.NewRead().Read(b.Context(), b.Owner, read.Query{Connector: c.ID, Resource: resource, Personal: true})
			return err
		}
	}
	first, another, apart := reads(b.entry), reads(second), reads(other)
	b.OK(first("orders"))
	b.OK(another("people")) // another operation of another entry
	b.OK(theirs("orders"))  // and of another tenant
	for _, each := range []func(string) error{first, another, theirs} {
		f := b.Fault(each("orders"), fault.RateLimited, "rate_limited")
		if f.RetryAfter <= 0 || f.RetryAfter > time.Second || strings.Contains(f.Detail+f.Action, "client-7") {
			t.Errorf("the answer is %+v", f)
		}
	}
	if n := len(b.Upstream.Seen("/orders")) + len(b.Upstream.Seen("/people")); n != 3 {
		t.Errorf("the provider was called %d times", n)
	}
	b.OK(apart("orders")) // another client's rate is its own
	b.Clock.Add(time.Second)
	b.OK(theirs("orders"))
	b.Fault(first("orders"), fault.RateLimited, "rate_limited")
}

// Two tenants may have registered one application: the provider counts it once.
func TestTheOperatorsApplicationIsOneWhoeverRegisteredIt(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{Describe: []describe{bundletest.Limits(0, 1, 1)}})
	b.Upstream.Body("/orders", `{"orders":[]}`)
	readers := map[string]func() error{}
	for name, of := range map[string]struct {
		who          record.Principal
		side, client string
	}{"ours": {b.Owner, "production", "client-1"}, "theirs": {b.Alien, "production", "client-1"}, "another": {b.Owner, "sandbox", "client-2"}} {
		who, app := of.who, bundletest.AppFields()
		maps.Copy(app, bundletest.Fields("api_environment", of.side, bundletest.FieldClient, of.client))
		_, err := b.Admin.PutApp(b.Context(), who, bundletest.Name, app)
		b.OK(err)
		e, err := b.Admin.CreateEntry(b.Context(), who, "", bundletest.Fields("provider", bundletest.Name, "alias", name, "environment", "test", "api_environment", of.side))
		b.OK(err)
		b.Install(e, b.Upstream.Issue("acct-"+name), time.Hour)
		c := b.Connector(e, nil)
		readers[name] = func() error {
			_, err := b.Read.Read(b.Context(), who, read.Query{Connector: c.ID, Resource: "orders"})
			return err
		}
	}
	b.OK(readers["ours"]())
	b.Fault(readers["theirs"](), fault.RateLimited, "rate_limited")
	b.OK(readers["another"]())
	b.Clock.Add(time.Second)
	b.OK(readers["theirs"]())
	b.Fault(readers["ours"](), fault.RateLimited, "rate_limited")
}

// What a warm read asks of the store beside the provider's call, where nobody has read for a moment.
func TestAWarmReadCostsWhatItsLimitsTakeAndNoMore(t *testing.T) {
	for name, want := range map[string]struct {
		describe []describe
		resource string
		calls    int // of four reads
	}{
		"nothing limits it":              {nil, "orders", 0},
		"its operation has a rate":       {nil, "scarce", 4},
		"its provider has entry secrets": {[]describe{bundletest.OwnClients}, "orders", 0},
		"calls at once are limited":      {[]describe{bundletest.OwnClients, bundletest.Limits(5, 0, 0)}, "orders", 0},
		"calls a second are limited":     {[]describe{bundletest.OwnClients, bundletest.Limits(0, 100, 100)}, "orders", 4},
		"all of it":                      {[]describe{bundletest.OwnClients, bundletest.Limits(5, 100, 100)}, "scarce", 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var members []any
			if want.describe != nil {
				members = bundletest.OwnClient("client-7")
			}
			b := benchOf(t, bundletest.Options{Describe: want.describe}, members...)
			b.Upstream.Body("/"+want.resource, `{"orders":[],"things":[]}`)
			b.read(b.Owner, b.query(want.resource))
			calls, secrets := b.Store.Calls(), len(b.Secrets.Read())
			for range 4 {
				b.Clock.Add(time.Second + time.Millisecond)
				b.read(b.Owner, b.query(want.resource))
			}
			if calls, secrets = b.Store.Calls()-calls, len(b.Secrets.Read())-secrets; calls != want.calls || secrets != 0 {
				t.Errorf("%d calls of the store, %d of the secret store; want %d and none", calls, secrets, want.calls)
			}
		})
	}
}

func TestARunWaitsForItsPlaceInAnApplicationsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := benchOf(t, bundletest.Options{Now: time.Now, Plain: true, Describe: []describe{bundletest.OwnClients, bundletest.Limits(1, 0.5, 1)}},
			bundletest.OwnClient("client-7")...)
		b.pages("/orders", "orders", 4)
		started := time.Now()
		items, end := b.run(b.Context(), b.query("orders"))
		if took := time.Since(started); len(items) != 4 || end.Stopped != nil || took < 5*time.Second || took > 8*time.Second {
			t.Errorf("%d items in %s, stopped %+v", len(items), took, end.Stopped)
		}
	})
}

func TestAStoreThatIsDownLetsNobodyPastTheLimits(t *testing.T) {
	for name, limits := range map[string]describe{"at once": bundletest.Limits(1, 0, 0), "a second": bundletest.Limits(0, 1, 1)} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, limits)
			b.Upstream.Body("/orders", `{"orders":[]}`)
			b.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Transient })
			b.fails(b.Owner, b.query("orders"), fault.Unavailable, "store_unavailable")
			if n := len(b.Upstream.Seen("/orders")); n != 0 {
				t.Errorf("the provider was called %d times", n)
			}
			b.Store.Fail(nil)
			b.read(b.Owner, b.query("orders"))
		})
	}
}
