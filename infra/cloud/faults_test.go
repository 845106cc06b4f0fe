package cloud_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectorvault/infra/cloud/rights"
	sagesim "connectorvault/infra/sim/sage"
)

// eventually asks until something is so, and fails the test when it never is.
func (b *bed) eventually(what string, so func() bool) bool {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if so() {
			return true
		}
		select {
		case <-b.Context().Done():
			return false
		case <-time.After(500 * time.Millisecond):
		}
	}
	b.keep()
	b.Errorf("it never came to be that %s", what)
	return false
}

// stores reports whether calls write a set of tokens, or anything else of a credential.
func stores(calls []rights.Call) bool {
	for _, c := range calls {
		if c == (rights.Call{Action: "dynamodb:UpdateItem", Resource: "CredentialsTable.Arn"}) {
			return true
		}
	}
	return false
}

// offers are the calls of Sage's token endpoint with refresh tokens of an entry.
func (b *bed) offers(entry string) []sagesim.TokenCall {
	b.Helper()
	calls, err := b.sage.TokenCalls(b.Context(), sagesim.TokenCallFilter{Label: entry})
	b.ok(err)
	var out []sagesim.TokenCall
	for _, c := range calls {
		if c.GrantType == "refresh_token" {
			out = append(out, c)
		}
	}
	return out
}

// dead lets the tokens of all entries end, and lets new ones live as long as the provider says.
func (b *bed) dead() {
	b.pass(time.Hour)
	b.life.Store(0)
}

// An instance of the token service is killed with the provider's answer in its hands, before anything of it is stored. Where
// the provider gives the successor back, the entry goes on as if nothing had happened; where it does not, the entry asks for a
// new authorization; and in neither case is the spent token offered more than once again. At Amazon nothing is spent at all.
func killed(b *bed) {
	b.life.Store(5)
	owner := b.tenant("Killed")
	owner.app()
	lucky, luckyBooks := owner.books("with a grace window", sagesim.UserGB, sagesim.BusinessGB)
	lost, lostBooks := owner.books("without", sagesim.UserGBSingle, sagesim.BusinessGBSingle)
	_, orders := owner.seller("shop")
	_, err := b.sage.SetFault(b.Context(), sagesim.Fault{Name: sagesim.FaultGrace, GraceSeconds: 600, Label: lucky})
	b.ok(err)
	b.dead()
	b.spent.Clear()

	var kills atomic.Int64
	b.set(func(function, instance string, calls []rights.Call) bool {
		if _, spent := b.spent.Load(instance); function != "refresh" || !spent || !stores(calls) || kills.Load() >= 3 {
			return true
		}
		kills.Add(1)
		b.fleet.Kill(instance)
		return false
	})
	first := make([]answer, 3)
	paths := []string{luckyBooks + "/contacts?limit=1", lostBooks + "/contacts?limit=1", orders + "/orders?limit=1"}
	var asking sync.WaitGroup
	for i, path := range paths {
		asking.Go(func() { first[i] = owner.send("GET", "/v1/connectors/"+path, nil) })
	}
	asking.Wait()
	if kills.Load() != 3 {
		b.Errorf("%d instances were killed", kills.Load())
	}
	for i, a := range first {
		if a.status < 500 && a.status != http.StatusTooManyRequests {
			b.Errorf("%s: with its instance dead a reader hears %v", paths[i], a)
		}
	}
	last := make([]answer, 3)
	for i, path := range paths {
		want := http.StatusOK
		if i == 1 {
			want = http.StatusConflict
		}
		asking.Go(func() {
			b.eventually(path+" is answered", func() bool {
				last[i] = owner.send("GET", "/v1/connectors/"+path, nil)
				return last[i].status == want
			})
		})
	}
	asking.Wait()
	if last[1].code() != "reauthorization_required" || owner.status(lost) != "reauthorization_required" {
		b.Errorf("of a lost token a reader hears %v; the entry is %s", last[1], owner.status(lost))
	}
	if shown := owner.must("GET", "/v1/vault-entries/"+lost, nil); !strings.Contains(string(shown.body), "rotation_unknown") {
		b.Errorf("what became of a token that was lost with its owner is not said by its name: %v", shown)
	}
	for entry, what := range map[string]string{lucky: "with a grace window", lost: "without"} {
		if n := len(b.offers(entry)); n != 2 {
			b.Errorf("%s: the spent token was offered %d times in all, want 2: %+v", what, n, b.offers(entry))
		}
	}
	b.Logf("3 instances killed with a bought token in their hands: 2 entries go on, 1 asks for a new authorization, no token offered a third time")
	b.unseen(owner.key)
	b.knownWays()
}

const (
	callers = 12 // ask at once in a stampede
	racers  = 4  // have to want the lease at once
)

// Twelve callers ask at once for an entry whose token is dead, and the token is spent once: first at a token endpoint that
// takes its time, by as many instances as have to be started; and then by the same ones, of which the first write waits until
// four of them have seen no lease and want it.
func stampede(b *bed) {
	b.life.Store(5)
	owner := b.tenant("Stampede")
	entry, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	b.pass(time.Hour)
	_, err := b.sage.SetFault(b.Context(), sagesim.Fault{Name: sagesim.FaultSlow, Endpoint: "token", DelayMS: 6000})
	b.ok(err)
	b.life.Store(12)
	slow := b.rush(owner, entry, books, 1)
	b.ok(b.sage.ClearFaults(b.Context()))
	b.dead()
	var racing atomic.Int64
	gate := make(chan struct{})
	b.set(func(function, _ string, calls []rights.Call) bool {
		if function == "refresh" && stores(calls) {
			if racing.Add(1) == racers {
				close(gate)
			}
			select {
			case <-gate:
			case <-time.After(5 * time.Second):
			}
		}
		return true
	})
	b.rush(owner, entry, books, 2)
	if racing.Load() < racers {
		b.Errorf("only %d wrote for the lease at once", racing.Load())
	}
	reads, refreshes := len(b.fleet.Starts("ReadFunction")), len(b.fleet.Starts("RefreshFunction"))
	if reads < callers || refreshes < 4 {
		b.Errorf("only %d instances of read and %d of refresh were there at once", reads, refreshes)
	}
	b.Logf("twice %d callers, %d instances of read, %d of refresh; a token endpoint that takes 6 s, answered within %s: 2 calls of the token endpoint", callers, reads, refreshes, slow)
	b.unseen(owner.key)
	b.knownWays()
}

// rush lets everybody ask at once. Until now the token was spent spent-1 times.
func (b *bed) rush(owner *client, entry, books string, spent int) time.Duration {
	b.Helper()
	answers := make([]answer, callers)
	var asking sync.WaitGroup
	began := make(chan struct{})
	for i := range callers {
		asking.Go(func() {
			<-began
			answers[i] = owner.send("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil)
		})
	}
	from := time.Now()
	close(began)
	asking.Wait()
	took := time.Since(from)
	for _, a := range answers {
		if a.status != http.StatusOK {
			b.Errorf("a caller hears %v", a)
		}
	}
	if offers := b.offers(entry); len(offers) != spent {
		b.Errorf("tokens were offered %d times, want %d", len(offers), spent)
	}
	if got := owner.generation(entry); got != spent+1 {
		b.Errorf("generation %d, want %d", got, spent+1)
	}
	return took.Round(100 * time.Millisecond)
}

// The table refuses every write of a credential while a bought token is to be stored. The sealed answer goes into the rescue
// queue, and from there into the table when it is back.
func away(b *bed) {
	b.life.Store(5)
	owner := b.tenant("Away")
	entry, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	b.dead()
	b.spent.Clear()
	var refused atomic.Int64
	b.set(func(function, instance string, calls []rights.Call) bool {
		_, spent := b.spent.Load(instance)
		if function == "refresh" && spent && stores(calls) {
			refused.Add(1)
			return false
		}
		return true
	})
	got := owner.send("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil)
	if got.status == http.StatusOK || refused.Load() == 0 {
		b.Errorf("with the table away a reader hears %v after %d refused writes", got, refused.Load())
	}
	if !b.eventually("the answer is in the rescue queue", func() bool { return b.waiting("RescueQueue", "ApproximateNumberOfMessages") == 1 }) {
		return
	}
	b.set(nil)
	b.feed("RescueQueue")
	b.eventually("the rescued answer is stored", func() bool { return owner.generation(entry) == 2 })
	if got := owner.send("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil); got.status != http.StatusOK {
		b.Errorf("afterwards a reader hears %v", got)
	}
	if offers := b.offers(entry); len(offers) != 1 {
		b.Errorf("the token was offered %d times", len(offers))
	}
	b.Logf("%d writes refused, the answer rescued over the queue, 1 call of the token endpoint", refused.Load())
	b.unseen(owner.key)
	b.knownWays()
}
