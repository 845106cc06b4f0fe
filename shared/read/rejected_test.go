package read_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// refusesAll makes the provider refuse every token, as one does whose subscription has lapsed.
func (b *bench) refusesAll(path string) {
	b.Upstream.Handle(path, func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusUnauthorized, "lapsed") })
}

// bought is how many refresh tokens were spent.
func (b *bench) bought() (n int) {
	for _, form := range b.Upstream.Forms() {
		if form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

func (b *bench) credential() record.Credential { return b.credentialOf(b.entry.ID) }

func (b *bench) credentialOf(entry string) record.Credential {
	b.Helper()
	c, found, err := b.Vault.Credential(b.Context(), bundletest.Tenant, entry)
	b.OK(err)
	if !found {
		b.Fatal("there is no credential")
	}
	return c
}

func TestAProviderThatRefusesEveryTokenCostsOneRefreshInFiveMinutes(t *testing.T) {
	b := newBench(t)
	b.App()
	b.refusesAll("/orders")
	processes := []*read.Service{b.Read, b.NewRead(), b.NewRead()}
	round := func() {
		t.Helper()
		for range 5 {
			for _, p := range processes {
				_, err := p.Read(b.Context(), b.Owner, b.query("orders"))
				f := b.Fault(err, fault.Refused, "provider_refused")
				if f.Provider == nil || f.Provider.Code != "lapsed" || f.Provider.Status != http.StatusUnauthorized {
					t.Fatalf("it hides what the provider said: %+v", f.Provider)
				}
			}
			b.Clock.Add(10 * time.Second) // nobody remembers anything of the read before
		}
	}
	round()
	if calls := len(b.Upstream.Seen("/orders")); b.bought() != 1 || calls != 16 {
		t.Errorf("%d refreshes and %d calls of 15 reads", b.bought(), calls)
	}
	_, err := b.Read.Run(b.Context(), b.Owner, b.query("orders"))
	b.Fault(err, fault.Refused, "provider_refused")
	b.Clock.Add(4*time.Minute + 10*time.Second - time.Millisecond) // 50 seconds of the five minutes are over
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if b.bought() != 1 {
		t.Errorf("%d refreshes within five minutes", b.bought())
	}
	b.Clock.Add(time.Millisecond)
	round()
	if b.bought() != 2 {
		t.Errorf("%d refreshes after five minutes", b.bought())
	}
	b.Upstream.Body("/orders", `{"orders":[]}`)
	for _, p := range processes { // and at once, when the provider does
		_, err := p.Read(b.Context(), b.Owner, b.query("orders"))
		b.OK(err)
	}
	if b.bought() != 2 {
		t.Errorf("%d refreshes", b.bought())
	}
}

// All who hear at once that their token is refused find one new one, and hear of it once.
func TestManyReadsThatAreRefusedAtOnceCostOneRefresh(t *testing.T) {
	b := newBench(t)
	b.App()
	const readers = 6
	var mu sync.Mutex
	arrived, all := 0, make(chan struct{})
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		if arrived++; arrived == readers {
			close(all)
		}
		mu.Unlock()
		<-all
		bundletest.Refuse(w, http.StatusUnauthorized, "lapsed")
	})
	var running sync.WaitGroup
	for i := range readers {
		p := b.Read
		if i%2 == 0 {
			p = b.NewRead()
		}
		running.Go(func() {
			if _, err := p.Read(b.Context(), b.Owner, b.query("orders")); fault.CodeOf(err) != "provider_refused" {
				t.Errorf("the answer is %v", err)
			}
		})
	}
	running.Wait()
	if b.bought() != 1 {
		t.Errorf("%d refreshes", b.bought())
	}
}

func TestATokenThatIsReallyGoneIsReplacedEachTime(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/orders", `{"orders":[]}`)
	for n := 1; n <= 3; n++ {
		set, err := b.Vault.OpenTokens(b.Context(), b.credential())
		b.OK(err)
		b.Upstream.Revoke(set.Access)
		b.read(b.Owner, b.query("orders"))
		if b.bought() != n {
			t.Errorf("%d refreshes; want %d", b.bought(), n)
		}
	}
	// Another entry's trouble is its own.
	b.refusesAll("/people")
	b.fails(b.Owner, b.query("people", personal), fault.Refused, "provider_refused")
	second := b.Active("second")
	c := b.Bench.Connector(second, nil)
	set, err := b.Vault.OpenTokens(b.Context(), b.credentialOf(second.ID))
	b.OK(err)
	b.Upstream.Revoke(set.Access)
	_, err = b.Read.Read(b.Context(), b.Owner, read.Query{Connector: c.ID, Resource: "orders"})
	b.OK(err)
}

// Whether a token was refused lately is asked before it is replaced. Without an answer none is spent.
func TestNoTokenIsSpentWhereNobodyKnowsWhetherItHelps(t *testing.T) {
	b := newBench(t)
	b.App()
	b.refusesAll("/orders")
	b.Store.Fail(func(op string, table store.Table) bool { return op == "get" && table == store.Transient })
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	b.Store.Fail(nil)
	if n := len(b.Calls(tokens.Refresh)); n != 0 {
		t.Errorf("%d refreshes were asked for", n)
	}
	// That it is not noted costs the next one a refresh, and nobody their answer.
	b.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Transient })
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	b.Store.Fail(nil)
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if b.bought() != 2 {
		t.Errorf("%d refreshes", b.bought())
	}
}

// A refusal that a new token does not change is not noted where it is about something else.
func TestARefusalOfAnotherKindIsNoReasonToStopReplacing(t *testing.T) {
	b := newBench(t)
	b.App()
	first := true
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		if first {
			first = false
			bundletest.Refuse(w, http.StatusUnauthorized, "expired")
			return
		}
		bundletest.Refuse(w, http.StatusForbidden, "no_role")
	})
	f := b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if f.Provider.Code != "no_role" {
		t.Errorf("the answer is %+v", f.Provider)
	}
	until, err := b.Vault.Rejected(b.Context(), b.entry.Tenant, b.entry.ID)
	if b.OK(err); !until.IsZero() {
		t.Errorf("it is noted until %s", until)
	}
}

func TestADocumentBehindATokenIsNoWayAroundTheNote(t *testing.T) {
	b := newBench(t)
	b.App()
	b.Upstream.Body("/reports/r-1/place", `{"behind":true}`)
	b.refusesAll("/reports/r-1/bytes")
	for range 4 {
		_, err := b.document(read.Span{})
		b.Fault(err, fault.Refused, "provider_refused")
	}
	if b.bought() != 1 {
		t.Errorf("%d refreshes", b.bought())
	}
	b.Upstream.Handle("/reports/r-1/bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") })
	if part, err := b.document(read.Span{}); err != nil || string(part.Bytes) != "well" {
		t.Errorf("%q, %v", part.Bytes, err)
	}
}
