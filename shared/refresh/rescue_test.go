package refresh_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// refused is a bed whose process bought a token set that its store did not take.
func refused(b *bed) (*process, tokens.Call) {
	b.Helper()
	b.authorized()
	p := b.process(faults{apply: refuse(wCommit)})
	began := b.now()
	got := p.refresh()
	p.wantOutcome(got, tokens.Transient)
	b.wantFault(got.Err(), fault.Unavailable, "store_unavailable")
	if took := b.now().Sub(began); took > storeBudget {
		b.Errorf("the store was tried for %s; want %s at most", took, storeBudget)
	}
	calls := p.rescues()
	if len(calls) != 1 || calls[0].Op != tokens.Rescue || calls[0].Tenant != tenant || calls[0].Entry != b.entry.ID {
		b.Fatalf("to rescue went %d calls", len(calls))
	}
	if c := b.credential(); c.Lease == nil || c.Intent == nil || c.Generation != 1 {
		b.Fatalf("the credential is %s; want the lease running out", shown(c))
	}
	p.faults.apply = nil
	return p, calls[0]
}

// TestRefusedAnswerIsRescued: the store takes the answer neither at once nor within the budget. It goes to rescue,
// sealed, and is put in force when it comes back.
func TestRefusedAnswerIsRescued(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		got, err := p.do(call)
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		b.wantForce(2)
		before := shown(b.credential())
		got, err = p.do(call) // a queue delivers at least once
		b.ok(err)
		p.wantOutcome(got, tokens.LostRace)
		if after := shown(b.credential()); after != before {
			b.Errorf("the second delivery changed the credential from %s to %s", before, after)
		}
		b.wantPosts(1)
		p.wantOutcome(p.refresh(), tokens.AlreadyFresh)
	})
}

// TestRescueComesWhileASuccessorHoldsOff: the next owner waits one rescue interval and finds the set in force.
func TestRescueComesWhileASuccessorHoldsOff(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		next := b.process(faults{})
		heardOf := make(chan heard, 1)
		go func() { heardOf <- next.hear(b.Context(), b.refreshCall()) }()
		b.pass(leaseLife - 4*time.Second) // the successor has the lease and holds off
		if c := b.credential(); c.Fence != 2 {
			b.Fatalf("the fence is %d; want the successor's", c.Fence)
		}
		_, err := p.do(call)
		b.ok(err)
		h := <-heardOf
		b.ok(h.err)
		p.wantOutcome(h.answer, tokens.LostRace)
		b.wantPosts(1)
		b.wantForce(2)
	})
}

// TestRescueRevives: the successor was told invalid_grant. The rescued set is the only living one, so it ends that too.
func TestRescueRevives(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		b.issuer.next(refuses(400, "invalid_grant"))
		p.wantOutcome(p.refresh(), tokens.RotationUnknown)
		_, err := p.do(call)
		b.ok(err)
		b.wantForce(2)
	})
}

// TestRescueYields to a new authorization, and to deletion.
func TestRescueYields(t *testing.T) {
	t.Run("to a new authorization", func(t *testing.T) {
		bubble(t, func(b *bed) {
			p, call := refused(b)
			b.complete(p, b.begin(), b.issuer.consent(account))
			got, err := p.do(call)
			b.ok(err)
			p.wantOutcome(got, tokens.LostRace)
			b.wantForce(2)
		})
	})
	t.Run("to deletion", func(t *testing.T) {
		bubble(t, func(b *bed) {
			p, call := refused(b)
			_, err := p.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
			b.ok(err)
			got, err := p.do(call)
			b.ok(err)
			p.wantOutcome(got, tokens.LostRace)
		})
	})
}

// TestRescueOutlastsTheStore: a rescued answer that finds the store still down is tried for as long as its call may
// take, so that it is stored before a successor offers the spent token.
func TestRescueOutlastsTheStore(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		up := b.now().Add(40 * time.Second)
		p.faults.apply = func(_ context.Context, _ string, apply func() error) error {
			if b.now().Before(up) {
				return errRefused
			}
			return apply()
		}
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		got, err := p.doUnder(ctx, call)
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		b.wantForce(2)
	})
}

// TestRescueComesAgain: what could not be stored in time is an error, so that the queue keeps the message.
func TestRescueComesAgain(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		p.faults.apply = refuse(wCommit)
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		_, err := p.doUnder(ctx, call)
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		if ctx.Err() != nil {
			b.Error("the call was still trying when its time was over")
		}
		p.faults.apply = nil
		_, err = p.do(call)
		b.ok(err)
		b.wantForce(2)
	})
}

// TestRescuesOfOneEntryAreNotOne: two answers for one entry come back at once, an old one and the living one. They
// are equal in everything but what they carry.
func TestRescuesOfOneEntryAreNotOne(t *testing.T) {
	bubble(t, func(b *bed) {
		p, stale := refused(b)
		_, err := p.do(stale)
		b.ok(err)
		b.pass(5 * time.Minute)
		p.faults.apply = refuse(wCommit)
		p.wantOutcome(p.refresh(), tokens.Transient)
		living := p.rescues()[1]
		p.faults.apply = nil
		p.faults.get = func(_ store.Table, get func() error) error {
			err := get()
			b.pass(time.Second) // long enough for the other to arrive
			return err
		}
		calls := []tokens.Call{stale, living}
		for _, h := range together(2, func(n int) heard {
			b.pass(time.Duration(n) * 100 * time.Millisecond)
			return p.hear(b.Context(), calls[n])
		}) {
			b.ok(h.err)
		}
		p.faults.get = nil
		b.wantForce(3)
	})
}

// TestRescueFails: neither the table nor the queue takes the answer. It is an alarm, and the lease runs out.
func TestRescueFails(t *testing.T) {
	for name, cause := range map[string]error{
		"plainly":      errors.New("the queue refuses"),
		"with a fault": fault.New(fault.Unavailable, "store_unavailable", "The queue does not answer.").Do("Try again."),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.issuer.grace = time.Hour
				b.authorized()
				p := b.process(faults{apply: refuse(wCommit), rescue: func(tokens.Call) error { return cause }})
				_, err := p.do(b.refreshCall())
				b.wantFault(err, fault.Internal, "internal_error")
				if b.logged("level", "ERROR") != 1 {
					b.Errorf("no alarm was logged: %s", b.logs)
				}
				if c := b.credential(); c.Lease == nil || c.Intent == nil || c.Status != record.Active {
					b.Errorf("the credential is %s; want the lease running out", shown(c))
				}
				p.faults = faults{}
				p.wantOutcome(p.refresh(), tokens.Success) // the provider's grace window gives it again
				b.wantForce(2)
			})
		})
	}
}

// TestFrozenOwnerRescues: a process that stood still after the provider's answer finds its own time for storing over.
// The answer is rescued all the same.
func TestFrozenOwnerRescues(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{apply: func(ctx context.Context, write string, apply func() error) error {
			if write != wCommit {
				return apply()
			}
			b.pass(2 * leaseLife)
			return ctx.Err()
		}})
		p.wantOutcome(p.refresh(), tokens.Transient)
		p.faults = faults{}
		_, err := p.do(p.rescues()[0])
		b.ok(err)
		b.wantForce(2)
	})
}

// TestStoreRecoversInTime: a store that refuses for a while is tried again, and nothing goes to rescue.
func TestStoreRecoversInTime(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		n := 0
		p := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wCommit {
				if n++; n < 5 {
					return errRefused
				}
			}
			return apply()
		}})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(2)
		b.wantPosts(1)
		if len(p.rescues()) != 0 {
			b.Error("an answer that was stored went to rescue")
		}
	})
}

// loses carries a write out the first times and answers with an error.
func loses(name string, times int) func(context.Context, string, func() error) error {
	return func(_ context.Context, write string, apply func() error) error {
		err := apply()
		if write == name && err == nil && times > 0 {
			times--
			return errLost
		}
		return err
	}
}

// repeats carries every write out twice and answers as the second went, as a client does that lost the first answer.
func repeats(_ context.Context, _ string, apply func() error) error {
	if err := apply(); err != nil {
		return err
	}
	return apply()
}

// TestAmbiguousWrites: a write that was carried out and seems to have failed is recognised, whichever it is.
func TestAmbiguousWrites(t *testing.T) {
	t.Run("commit answered with an error", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{apply: loses(wCommit, 1)})
			p.wantOutcome(p.refresh(), tokens.Success)
			b.wantForce(2)
			b.wantPosts(1)
		})
	})
	t.Run("lease answered with an error", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{apply: loses(wLease, 1)})
			_, err := p.do(b.refreshCall())
			b.wantFault(err, fault.Unavailable, "store_unavailable")
			b.wantPosts(0)
			p.wantOutcome(p.refresh(), tokens.Success) // once the lease that nobody knew of is over
			b.wantForce(2)
			b.wantPosts(1)
		})
	})
	t.Run("every write repeated by the client", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{apply: repeats})
			p.wantOutcome(p.refresh(), tokens.Success)
			b.wantForce(2)
			b.wantPosts(1)
			b.pass(5 * time.Minute)
			b.issuer.next(refuses(503, ""))
			p.wantOutcome(p.refresh(), tokens.Transient)
			if c := b.credential(); c.Lease != nil || c.Failure == nil || c.Failure.Count != 1 {
				b.Errorf("the credential is %s", shown(c))
			}
			r := b.begin()
			b.complete(p, r, b.issuer.consent(account))
			b.wantForce(3)
			b.wantStage(r, record.Done)
			if _, err := p.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID}); err != nil {
				b.Error(err)
			}
		})
	})
	t.Run("commit lost, and somebody refreshed again since", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			other := b.process(faults{})
			lose := loses(wCommit, 1)
			p := b.process(faults{})
			p.faults.apply = func(ctx context.Context, write string, apply func() error) error {
				err := lose(ctx, write, apply)
				if errors.Is(err, errLost) {
					call := b.refreshCall()
					call.FailedGeneration = 2
					_, _ = other.Do(b.Context(), call)
				}
				return err
			}
			got := p.refresh()
			p.wantOutcome(got, tokens.LostRace)
			if got.Generation != 3 {
				b.Errorf("the answer is %+v", got)
			}
			b.wantForce(3)
		})
	})
}

// TestUnreadableRescue: a message that is no sealed answer is refused without being quoted.
func TestUnreadableRescue(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for _, request := range []string{"", "ar_0000000000000000"} {
			call := tokens.Call{Op: tokens.Rescue, Tenant: tenant, Entry: b.entry.ID, Request: request, Rescued: []byte(`{"generation":"` + canary)}
			if _, err := p.Do(b.Context(), call); err == nil {
				b.Error("a rescued answer that cannot be read is applied")
			} else {
				b.secretFree("an error", err.Error())
			}
		}
	})
}
