package refresh_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

var (
	appSecretName = vault.AppSecret(tenant, "fake", record.Production, "") // what the name of each version begins with
	keyringName   = tenant + "/keyring"
)

// countFetches counts fetches of the application's secret.
func countFetches(n *int) func(string, func() (secret.Text, error)) (secret.Text, error) {
	return func(name string, fetch func() (secret.Text, error)) (secret.Text, error) {
		if strings.HasPrefix(name, appSecretName) {
			*n++
		}
		return fetch()
	}
}

// lags has no such secret for the first fetches.
func lags(n *int, first int) func(string, func() (secret.Text, error)) (secret.Text, error) {
	return func(name string, fetch func() (secret.Text, error)) (secret.Text, error) {
		if !strings.HasPrefix(name, appSecretName) {
			return fetch()
		}
		if *n++; *n <= first {
			return secret.Text{}, store.ErrNotFound
		}
		return fetch()
	}
}

// failsFor makes the secret store fail for one secret.
func failsFor(broken string) func(string, func() (secret.Text, error)) (secret.Text, error) {
	return func(name string, fetch func() (secret.Text, error)) (secret.Text, error) {
		if name == broken {
			return secret.Text{}, errRefused
		}
		return fetch()
	}
}

type heard struct {
	answer tokens.Answer
	err    error
}

func (p *process) hear(ctx context.Context, call tokens.Call) heard {
	got, err := p.Do(ctx, call)
	return heard{got, err}
}

// TestHundredCallersOneCall: equal calls of one process are one.
func TestHundredCallersOneCall(t *testing.T) {
	loopback(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(after(100*time.Millisecond, normally))
		for _, h := range together(100, func(int) heard { return p.hear(b.Context(), b.refreshCall()) }) {
			b.ok(h.err)
			if h.answer.Generation != 2 || h.answer.Fault != nil {
				b.Fatalf("an answer is %+v", h.answer)
			}
		}
		b.wantPosts(1)
		b.wantForce(2)
	})
}

// TestProcessesShareOneCall: five processes with twenty callers each, on one store: one POST, one generation, and
// everybody has it.
func TestProcessesShareOneCall(t *testing.T) {
	for _, kind := range []struct {
		name string
		run  func(*testing.T, func(*bed))
	}{{"loopback", loopback}, {"bubble", bubble}} {
		t.Run(kind.name, func(t *testing.T) {
			kind.run(t, func(b *bed) {
				b.authorized()
				processes := make([]*process, 5)
				for n := range processes {
					processes[n] = b.process(faults{})
				}
				b.issuer.next(after(150*time.Millisecond, normally))
				seen := map[tokens.Outcome]int{}
				for _, h := range together(100, func(n int) heard { return processes[n%5].hear(b.Context(), b.refreshCall()) }) {
					b.ok(h.err)
					if h.answer.Generation != 2 || h.answer.Fault != nil {
						b.Fatalf("an answer is %+v", h.answer)
					}
					seen[h.answer.Outcome]++
				}
				if seen[tokens.Success]+seen[tokens.LostRace]+seen[tokens.AlreadyFresh] != 100 || seen[tokens.Success] == 0 || seen[tokens.LostRace] == 0 {
					b.Errorf("the outcomes are %v", seen)
				}
				b.wantPosts(1)
				b.wantReuses(0)
				b.wantForce(2)
			})
		})
	}
}

// TestForcedCallersShareOneCall: a hundred readers whose token was refused name the same generation.
func TestForcedCallersShareOneCall(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		one, two := b.process(faults{}), b.process(faults{})
		b.issuer.next(after(time.Second, normally))
		call := b.refreshCall()
		call.FailedGeneration = 1
		for _, h := range together(100, func(n int) heard { return []*process{one, two}[n%2].hear(b.Context(), call) }) {
			b.ok(h.err)
			if h.answer.Generation != 2 {
				b.Fatalf("an answer is %+v", h.answer)
			}
		}
		b.wantPosts(1)
	})
}

// TestWhoWaitedHearsHowItEnded: a failure is everybody's who waited for it, and nobody tries again by himself.
func TestWhoWaitedHearsHowItEnded(t *testing.T) {
	for _, force := range []bool{false, true} {
		bubbleNamed(t, map[bool]string{false: "plain", true: "forced"}[force], func(b *bed) {
			b.authorized()
			one, two := b.process(faults{}), b.process(faults{})
			b.issuer.next(after(3*time.Second, refuses(503, "")))
			call := b.refreshCall()
			call.Force = force
			for _, h := range together(20, func(n int) heard { return []*process{one, two}[n%2].hear(b.Context(), call) }) {
				b.ok(h.err)
				if h.answer.Outcome != tokens.Transient {
					b.Fatalf("an answer is %+v", h.answer)
				}
			}
			b.wantPosts(1)
		})
	}
}

func bubbleNamed(t *testing.T, name string, test func(*bed)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

// TestEveryGenerationIsBoughtOnce: twenty rounds of racing processes against a provider that revokes on reuse.
func TestEveryGenerationIsBoughtOnce(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		processes := []*process{b.process(faults{}), b.process(faults{}), b.process(faults{})}
		for round := range 20 {
			together(12, func(n int) heard { return processes[n%3].hear(b.Context(), b.refreshCall()) })
			b.wantForce(int64(round) + 2)
			b.pass(4*time.Minute + time.Second)
		}
		b.wantPosts(20)
		b.wantReuses(0)
	})
}

// TestALostRacePoisonsNothing: somebody else rotated while the provider answered us with invalid_grant. The loser
// uses the winner's set; neither the entry nor the log says that a grant is gone.
func TestALostRacePoisonsNothing(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p, other := b.process(faults{}), b.process(faults{})
		p.faults.trip = func(_ *http.Request, trip func() (*http.Response, error)) (*http.Response, error) {
			p.faults.trip = nil
			b.complete(other, b.begin(), b.issuer.consent(account))
			return trip()
		}
		noted := false
		p.faults.apply = func(_ context.Context, write string, apply func() error) error {
			noted = noted || write == wFail
			return apply()
		}
		b.issuer.next(normally, refuses(400, "invalid_grant"))
		got := p.refresh()
		if noted {
			b.Error("the loser tried to note a failure before it looked again")
		}
		p.wantOutcome(got, tokens.LostRace)
		if got.Generation != 2 || got.Fault != nil {
			b.Errorf("the answer is %+v", got)
		}
		b.wantForce(2)
		if b.logged("outcome", string(tokens.Revoked)) != 0 {
			b.Error("the log calls a lost race a revoked grant")
		}
	})
}

// TestCallerLeaves: whoever hangs up in the middle of the POST changes nothing: it ends, and its answer is stored.
func TestCallerLeaves(t *testing.T) {
	loopback(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		reached, gate := make(chan struct{}), make(chan struct{})
		b.issuer.next(waitsFor(reached, gate))
		ctx, leave := context.WithCancel(b.Context())
		left := make(chan error, 1)
		go func() { _, err := p.doUnder(ctx, b.refreshCall()); left <- err }()
		<-reached
		leave()
		err := <-left
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		if !errors.Is(err, context.Canceled) {
			b.Errorf("the caller who left hears %v", err)
		}
		drained := make(chan error, 1)
		go func() { drained <- p.Drain(b.Context()) }()
		select {
		case <-drained:
			b.Fatal("a shutdown does not wait for what has begun")
		case <-time.After(20 * time.Millisecond):
		}
		close(gate)
		b.ok(<-drained)
		b.wantForce(2)
		b.wantPosts(1)
	})
}

// TestEverybodyLeaves: the work goes on even when no caller is left.
func TestEverybodyLeaves(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(after(10*time.Second, normally))
		ctx, leave := context.WithCancel(b.Context())
		go func() { b.pass(5 * time.Second); leave() }()
		for _, h := range together(10, func(int) heard { return p.hear(ctx, b.refreshCall()) }) {
			if !errors.Is(h.err, context.Canceled) {
				b.Errorf("a caller who left hears %v", h.err)
			}
		}
		b.ok(p.Drain(b.Context()))
		b.wantForce(2)
	})
}

// TestDrain ends with its context, waits for what has begun, and bears calls that come meanwhile.
func TestDrain(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		b.ok(p.Drain(b.Context()))
		b.issuer.next(after(10*time.Second, normally))
		var calls sync.WaitGroup
		calls.Go(func() { p.hear(b.Context(), b.refreshCall()) })
		b.pass(time.Second)
		short, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		defer cancel()
		if err := p.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("the shutdown ends with %v", err)
		}
		calls.Go(func() { b.ok(p.Drain(b.Context())) })
		for range 50 {
			calls.Go(func() { p.hear(b.Context(), b.refreshCall()) })
		}
		calls.Wait()
		b.wantForce(2)
	})
}

// TestDrainWhileCallsArrive: calls may come out of nothing while a shutdown waits for nothing.
func TestDrainWhileCallsArrive(t *testing.T) {
	loopback(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for range 20 {
			together(4, func(n int) error {
				if n%2 == 0 {
					return p.Drain(b.Context())
				}
				return p.hear(b.Context(), b.refreshCall()).err
			})
		}
	})
}

// TestTooLittleTime: what the caller's deadline would cut off is not begun.
func TestTooLittleTime(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		ctx, cancel := context.WithTimeout(b.Context(), postTimeout+storeBudget-time.Second)
		defer cancel()
		_, err := p.doUnder(ctx, b.refreshCall())
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		_, err = p.doUnder(ctx, tokens.Call{Op: tokens.Adopt, Tenant: tenant, Entry: b.entry.ID, RefreshToken: b.inForce().Refresh})
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		_, err = p.doUnder(ctx, b.completion(b.begin(), b.issuer.consent(account)))
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		_, err = p.doUnder(ctx, tokens.Call{Op: tokens.Grant, Tenant: tenant, Entry: b.entry.ID, Scope: "scope"})
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		b.wantPosts(0)
		if c := b.credential(); c.Lease != nil || c.Intent != nil || c.Fence != 0 {
			b.Errorf("the credential is %s; want no lease taken", shown(c))
		}
		enough, done := context.WithTimeout(b.Context(), postTimeout+storeBudget)
		defer done()
		got, err := p.doUnder(enough, b.refreshCall())
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
	})
}

// TestTooLittleTimeToHoldOff: taking over from the dead takes longer, and is not begun with less.
func TestTooLittleTimeToHoldOff(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.grace = time.Hour
		b.authorized()
		owner, next := b.process(faults{}), b.process(faults{})
		owner.diesBefore(wCommit)
		owner.dies(b.refreshCall())
		b.pass(leaseLife)
		ctx, cancel := context.WithTimeout(b.Context(), postTimeout+storeBudget+time.Second)
		defer cancel()
		_, err := next.doUnder(ctx, b.refreshCall())
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		b.wantPosts(1)
		next.wantOutcome(next.refresh(), tokens.Success)
	})
}

// TestWhoWaitsEndsWithItsDeadline: a caller that waits for somebody else's lease does not wait for ever.
func TestWhoWaitsEndsWithItsDeadline(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		owner, next := b.process(faults{}), b.process(faults{})
		owner.diesAfter(wLease)
		owner.dies(b.refreshCall())
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
		defer cancel()
		_, err := next.doUnder(ctx, b.refreshCall())
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		b.wantPosts(0)
	})
}
