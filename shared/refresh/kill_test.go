package refresh_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// diesAfter, diesBefore: the process ends right after, or right before, a write reaches the store.
func (p *process) diesAfter(write string) {
	p.faults.apply = func(_ context.Context, name string, apply func() error) error {
		err := apply()
		if name == write {
			return p.die()
		}
		return err
	}
}

func (p *process) diesBefore(write string) {
	p.faults.apply = func(_ context.Context, name string, apply func() error) error {
		if name == write {
			return p.die()
		}
		return apply()
	}
}

// killPoints are the moments right after each step of the cycle.
var killPoints = []struct {
	name   string
	at     func(*process)
	leased bool // the lease was taken
	spent  bool // the provider has seen the token, and its answer is lost
	stored bool
}{
	{name: "strong read", at: func(p *process) {
		p.faults.get = func(table store.Table, get func() error) error {
			err := get()
			if table == store.Credentials {
				return p.die()
			}
			return err
		}
	}},
	{name: "before the lease", at: func(p *process) { p.diesBefore(wLease) }},
	{name: "lease and intent written", at: func(p *process) { p.diesAfter(wLease) }, leased: true},
	{name: "before the POST", at: func(p *process) {
		p.faults.trip = func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { return nil, p.die() }
	}, leased: true},
	{name: "POST sent, answer lost", at: func(p *process) {
		p.faults.trip = func(_ *http.Request, trip func() (*http.Response, error)) (*http.Response, error) {
			_, _ = trip() //nolint:bodyclose // nobody is there to read it
			return nil, p.die()
		}
	}, leased: true, spent: true},
	{name: "answer received, not stored", at: func(p *process) { p.diesBefore(wCommit) }, leased: true, spent: true},
	{name: "stored, not answered", at: func(p *process) { p.diesAfter(wCommit) }, stored: true},
}

// TestKilledAfterEachStep kills the owner of a refresh at every step and lets another process take over, against a
// provider that revokes everything on reuse, one with a grace window, and one that does not rotate.
func TestKilledAfterEachStep(t *testing.T) {
	providers := []struct {
		name    string
		rotates bool
		grace   time.Duration
	}{
		{"single use", true, 0},
		{"single use with grace", true, 2 * time.Minute},
		{"not rotating", false, 0},
	}
	for _, provider := range providers {
		for _, point := range killPoints {
			t.Run(provider.name+"/"+point.name, func(t *testing.T) {
				bubble(t, func(b *bed) {
					b.issuer.rotates, b.issuer.grace = provider.rotates, provider.grace
					b.authorized()
					owner, next := b.process(faults{}), b.process(faults{})
					point.at(owner)
					began := b.now()
					owner.dies(b.refreshCall())
					got := next.refresh()
					switch {
					case point.stored:
						next.wantOutcome(got, tokens.AlreadyFresh)
						b.wantForce(2)
						b.wantPosts(1)
					case point.spent && provider.rotates && provider.grace == 0:
						b.wantRotationUnknown(next, got)
						b.wantPosts(2)
					default:
						next.wantOutcome(got, tokens.Success)
						b.wantForce(2)
						b.wantReuses(0)
						b.wantPosts(map[bool]int{false: 1, true: 2}[point.spent])
					}
					if point.leased {
						b.wantNoPostWithin(began, provider.rotates)
					}
				})
			})
		}
	}
}

// wantNoPostWithin fails the test when a successor asked the provider while the dead owner's lease was alive, or,
// where that matters, before its answer had the time to arrive from rescue.
func (b *bed) wantNoPostWithin(began time.Time, rotates bool) {
	b.Helper()
	earliest := began.Add(leaseLife)
	if rotates {
		earliest = earliest.Add(rescueInterval)
	}
	posts := b.issuer.posted()
	if last := posts[len(posts)-1].at; last.Before(earliest) {
		b.Errorf("the token was offered %s after the owner began; want %s at least", last.Sub(began), earliest.Sub(began))
	}
}

// wantRotationUnknown fails the test unless the entry asks for a new authorization, with the cause, and its token is
// never offered again.
func (b *bed) wantRotationUnknown(p *process, got tokens.Answer) {
	b.Helper()
	p.wantOutcome(got, tokens.RotationUnknown)
	b.wantFault(got.Err(), fault.ReauthRequired, "reauthorization_required")
	c := b.credential()
	if c.Status != record.Reauth || c.Cause != record.RotationUnknown || c.Generation != 1 || c.Lease != nil || !c.DueAt.IsZero() {
		b.Fatalf("the credential is %s", shown(c))
	}
	if c.Failure == nil || c.Failure.Outcome != string(tokens.RotationUnknown) {
		b.Errorf("the failure noted is %+v", c.Failure)
	}
	before, _, _ := b.issuer.counts()
	for _, call := range []tokens.Call{{}, {Force: true}, {FailedGeneration: 1}, {Op: tokens.Due}} {
		call.Tenant, call.Entry = tenant, b.entry.ID
		if call.Op == "" {
			call.Op = tokens.Refresh
		}
		again, err := b.process(faults{}).do(call)
		b.ok(err)
		if call.Op == tokens.Refresh {
			p.wantOutcome(again, tokens.RotationUnknown)
		}
		b.pass(time.Hour)
	}
	b.wantPosts(before)
}

// TestOwnersThatDieInARow: three die one after the other, and the fourth still recovers what a grace window gives.
func TestOwnersThatDieInARow(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.grace = 10 * time.Minute
		b.authorized()
		for range 3 {
			owner := b.process(faults{})
			owner.diesBefore(wCommit)
			owner.dies(b.refreshCall())
		}
		next := b.process(faults{})
		next.wantOutcome(next.refresh(), tokens.Success)
		b.wantForce(2)
		if fence := b.credential().Fence; fence != 4 {
			b.Errorf("the fence is %d; want 4", fence)
		}
	})
}

// TestAnIndefiniteAnswerKeepsTheIntent: what says nothing about the token does not make its fate known. Only then is
// the later invalid_grant called by its name.
func TestAnIndefiniteAnswerKeepsTheIntent(t *testing.T) {
	for name, between := range map[string]behaviour{
		"rate limited":   refuses(http.StatusTooManyRequests, ""),
		"misconfigured":  refuses(http.StatusBadRequest, "invalid_request"),
		"invalid client": refuses(http.StatusUnauthorized, "invalid_client"),
		"server error":   refuses(http.StatusInternalServerError, ""),
		"broken":         breaks,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.authorized()
				owner, next := b.process(faults{}), b.process(faults{})
				owner.diesBefore(wCommit)
				owner.dies(b.refreshCall())
				b.issuer.next(between)
				if got := next.refresh(); got.Fault == nil {
					b.Fatalf("the answer is %+v", got)
				}
				if c := b.credential(); c.Intent == nil || c.Lease != nil || c.Status != record.Active {
					b.Fatalf("the credential is %s; want the intent standing", shown(c))
				}
				b.pass(2 * time.Minute)
				b.wantRotationUnknown(next, next.refresh())
			})
		})
	}
}

// TestLostAnswerIsRotationUnknown: the owner lives, but its answer never came.
func TestLostAnswerIsRotationUnknown(t *testing.T) {
	for name, how := range map[string]behaviour{"broke off": breaksAfter, "bad gateway": failsAfter(http.StatusBadGateway), "timeout": hangs} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.authorized()
				p := b.process(faults{})
				b.issuer.next(how)
				p.wantOutcome(p.refresh(), tokens.Transient)
				b.wantPosts(1)
				if c := b.credential(); c.Intent == nil || c.Status != record.Active {
					b.Fatalf("the credential is %s; want the intent standing", shown(c))
				}
				b.pass(2 * time.Minute)
				b.wantRotationUnknown(p, p.refresh())
			})
		})
	}
}

// TestLateAnswer: an owner is held up between the provider's answer and its storing until its lease is over.
func TestLateAnswer(t *testing.T) {
	late := func(b *bed) (gate chan struct{}, answers chan tokens.Answer) {
		gate, answers = make(chan struct{}), make(chan tokens.Answer, 1)
		owner := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wCommit {
				<-gate
			}
			return apply()
		}})
		go func() {
			got, _ := owner.Do(b.Context(), b.refreshCall())
			answers <- got
		}()
		b.pass(time.Second)
		return gate, answers
	}
	t.Run("is stored without a lease", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			gate, answers := late(b)
			b.pass(leaseLife)
			successor := b.process(faults{})
			successor.diesAfter(wLease)
			successor.dies(b.refreshCall())
			close(gate)
			if got := <-answers; got.Outcome != tokens.Success || got.Generation != 2 {
				b.Errorf("the answer is %+v", got)
			}
			b.wantForce(2)
		})
	})
	t.Run("revives what was given up", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			gate, answers := late(b)
			b.pass(leaseLife)
			b.issuer.next(refuses(http.StatusBadRequest, "invalid_grant"))
			next := b.process(faults{})
			next.wantOutcome(next.refresh(), tokens.RotationUnknown)
			close(gate)
			if got := <-answers; got.Outcome != tokens.Success {
				b.Errorf("the answer is %+v", got)
			}
			b.wantForce(2)
		})
	})
	t.Run("yields to a new authorization", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			gate, answers := late(b)
			b.pass(leaseLife)
			next := b.process(faults{})
			b.complete(next, b.begin(), b.issuer.consent(account))
			close(gate)
			if got := <-answers; got.Outcome != tokens.LostRace || got.Generation != 2 || got.Fault != nil {
				b.Errorf("the answer is %+v", got)
			}
			b.wantForce(2)
		})
	})
	t.Run("yields to deletion", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			gate, answers := late(b)
			_, err := b.process(faults{}).do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
			b.ok(err)
			close(gate)
			if got := <-answers; got.Outcome != "" {
				b.Errorf("the answer is %+v", got)
			}
			if _, found, err := b.vault.Credential(b.Context(), tenant, b.entry.ID); found || err != nil {
				b.Errorf("the deleted credential is there again (%v)", err)
			}
		})
	})
}

// TestLateFailureIsFenced: a failure that comes after its lease is over changes nothing, and its caller hears what
// became of the entry instead.
func TestLateFailureIsFenced(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.grace = time.Hour
		b.authorized()
		gate, answers := make(chan struct{}), make(chan tokens.Answer, 1)
		owner := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wFail {
				<-gate
			}
			return apply()
		}})
		b.issuer.next(refuses(http.StatusBadRequest, "invalid_grant"))
		go func() {
			got, _ := owner.Do(b.Context(), b.refreshCall())
			answers <- got
		}()
		b.pass(leaseLife + time.Second)
		successor := b.process(faults{})
		successor.diesAfter(wLease)
		successor.dies(b.refreshCall())
		before := b.credential()
		close(gate)
		b.pass(time.Second)
		if c := b.credential(); shown(c) != shown(before) {
			b.Errorf("a failure without a lease was noted: %s", shown(c))
		}
		if got := <-answers; got.Outcome != tokens.Success { // its own, once the successor's lease was over too
			b.Errorf("the answer is %+v (%v)", got, got.Err())
		}
		b.wantForce(2)
	})
}

// TestDeletedWhileHoldingOff: the entry goes while its successor waits for the dead owner's answer.
func TestDeletedWhileHoldingOff(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		owner, next := b.process(faults{}), b.process(faults{})
		owner.diesBefore(wCommit)
		owner.dies(b.refreshCall())
		b.pass(leaseLife)
		ended := make(chan heard, 1)
		go func() { ended <- next.hear(b.Context(), b.refreshCall()) }()
		b.pass(time.Second)
		_, err := b.process(faults{}).do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
		b.ok(err)
		b.wantFault((<-ended).err, fault.NotFound, "not_found")
		b.wantPosts(1)
	})
}
