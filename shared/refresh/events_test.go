package refresh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/planner"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

const day = 24 * time.Hour

// events are all that were published, the oldest first.
func (b *bed) events() []record.Event {
	b.Helper()
	page, err := b.vault.Events(b.Context(), tenant, "", 1000, func(record.Event) bool { return true })
	b.ok(err)
	text, err := json.Marshal(page.Items)
	b.ok(err)
	b.secretFree("an event", string(text))
	return page.Items
}

// told says an event in a few words.
func told(e record.Event) string {
	switch e.Kind {
	case record.EventExpiring:
		return fmt.Sprintf("%s in %d", e.Horizon.Name, e.DaysBefore)
	case record.EventReauth:
		return fmt.Sprintf("%s %d %s", e.Kind, e.Generation, e.Cause)
	default:
		return fmt.Sprintf("%s %d", e.Kind, e.Generation)
	}
}

func (b *bed) wantEvents(want ...string) {
	b.Helper()
	got := []string{}
	for _, e := range b.events() {
		got = append(got, told(e))
	}
	if !slices.Equal(got, want) {
		b.Errorf("the events are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// wantNothingOwed fails the test when a notice lies in the credential that should have been told.
func (b *bed) wantNothingOwed() {
	b.Helper()
	c := b.credential()
	for _, n := range c.Notices {
		if n.Kind != record.EventRecovered || c.Generation > n.Generation {
			b.Errorf("the credential still holds %+v", n)
		}
	}
}

// schedule lets time pass until a moment, and does what the schedule would: nothing while the entry sleeps, then what it
// is woken for. It returns how often that was.
func (p *process) schedule(until time.Time) (wakes int) {
	p.Helper()
	for {
		next := p.credential().DueAt
		if soon := p.now().Add(planner.Interval); next.Before(soon) && !next.IsZero() {
			next = soon // the planner looks once a minute
		}
		if next.IsZero() || next.After(until) {
			p.pass(until.Sub(p.now()))
			return wakes
		}
		p.pass(next.Sub(p.now()))
		wakes++
		_, _ = p.do(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: p.entry.ID})
	}
}

// secretEnds registers the application anew, with a date.
func (b *bed) secretEnds(at time.Time) {
	b.Helper()
	app, _, err := b.vault.App(b.Context(), tenant, "fake", record.Production)
	b.ok(err)
	before := app.Version
	app.Version, app.SecretExpires = b.id("v_"), at.UTC()
	b.ok(b.putAppSecret(app.Version, firstSecret))
	b.ok(b.vault.PutApp(b.Context(), before, app))
}

// yearly is a process whose provider's consents end after a year.
func (b *bed) yearly() *process {
	b.Helper()
	p := b.process(faults{})
	a, _ := p.Provider("fake")
	a.Descriptor().AuthorizationLife = 365 * day
	return p
}

// endOfEntry makes an entry that is of no use: its grant is revoked.
func (b *bed) endOfEntry(p *process) {
	b.Helper()
	b.issuer.revoke(b.inForce().Refresh)
	p.wantOutcome(p.refresh(), tokens.Revoked)
}

// TestEventsOfAStatus: what a status change means is told once, in its order, and to what it belongs.
func TestEventsOfAStatus(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.pass(time.Hour)
		b.endOfEntry(p)
		b.pass(time.Hour)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.wantEvents("authorized 1", "reauthorization_required 1 revoked", "authorized 2", "recovered 1")
		for i, e := range b.events() {
			if e.Entry != b.entry.ID || e.Alias != "shop" || e.Environment != "production" || e.Provider != "fake" || e.APIEnvironment != record.Production ||
				e.ID == "" || e.At.IsZero() {
				b.Errorf("event %d is %+v", i, e)
			}
		}
		b.wantNothingOwed()
		if warm := p.WarmAt(b.credential()); !b.credential().DueAt.Equal(warm) {
			b.Errorf("with everything told the schedule looks at %s; want %s", b.credential().DueAt, warm)
		}
		if b.logged("msg", "an entry must be authorized again") != 1 || b.logged("msg", "an entry works again") != 1 || b.logged("level", "ERROR") != 1 {
			b.Errorf("the log is %s", b.logs)
		}
	})
}

// TestDegradedIsNoEvent: while the old token lives nobody is without one, so there is nothing to recover from.
func TestDegradedIsNoEvent(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.grace = time.Hour
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(refuses(503, ""))
		p.wantOutcome(p.refresh(), tokens.Transient)
		if c := b.credential(); c.HealthAt(b.now()) != record.Degraded {
			b.Fatalf("the health is %s", c.HealthAt(b.now()))
		}
		b.pass(10 * time.Second)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantEvents()
		// And when there is none any more, there is.
		b.pass(time.Hour)
		b.issuer.next(refuses(503, ""), refuses(503, ""))
		p.wantOutcome(p.refresh(), tokens.Transient)
		b.pass(10 * time.Second)
		p.wantOutcome(p.refresh(), tokens.Transient)
		b.wantEvents()
		b.pass(10 * time.Second)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantEvents("recovered 2")
		b.wantNothingOwed()
	})
}

// TestDegradedThatBecameFailing by itself: the last failure was noted while the token lived, and the token died since.
func TestDegradedThatBecameFailing(t *testing.T) {
	bubbleNamed(t, "refreshed", func(b *bed) {
		b.issuer.grace = time.Hour
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(refuses(503, ""))
		p.wantOutcome(p.refresh(), tokens.Transient)
		b.pass(10 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantEvents("recovered 1")
	})
	bubbleNamed(t, "authorized anew", func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(refuses(503, ""))
		p.wantOutcome(p.refresh(), tokens.Transient)
		b.pass(10 * time.Minute)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.wantEvents("authorized 2", "recovered 1")
	})
}

// TestARescueTellsWhatItMended: a set that comes back from the queue says the same as one that was stored at once.
func TestARescueTellsWhatItMended(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		b.pass(time.Hour)
		b.issuer.next(refuses(429, ""))
		owner := b.process(faults{apply: refuse(wCommit)})
		owner.wantOutcome(owner.refresh(), tokens.RateLimited)
		b.pass(time.Minute)
		owner.wantOutcome(owner.refresh(), tokens.Transient)
		b.wantEvents()
		_, err := b.process(faults{}).do(owner.rescues()[0])
		b.ok(err)
		b.wantForce(2)
		b.wantEvents("recovered 1")
		b.wantNothingOwed()
	})
}

// TestKilledBeforeTelling kills the process between a status and its event, and between the event and the end of its
// notice. The schedule of another one tells what was left, once.
func TestKilledBeforeTelling(t *testing.T) {
	changes := []struct {
		name, write string
		do          func(b *bed) tokens.Call
		want        []string
	}{
		{"authorized", wAuthorize, func(b *bed) tokens.Call { return b.completion(b.begin(), b.issuer.consent(account)) }, []string{"authorized 1"}},
		{"reauthorization", wFail, func(b *bed) tokens.Call {
			b.authorized()
			b.issuer.revoke(b.inForce().Refresh)
			return b.refreshCall()
		}, []string{"reauthorization_required 1 revoked"}},
		{"recovered", wCommit, func(b *bed) tokens.Call {
			b.authorized()
			b.pass(time.Hour)
			b.issuer.next(refuses(429, ""))
			_ = b.process(faults{}).refresh()
			b.pass(time.Minute)
			return b.refreshCall()
		}, []string{"recovered 1"}},
	}
	points := map[string]func(p *process, write string){
		"status written":       func(p *process, write string) { p.diesAfter(write) },
		"before the event":     func(p *process, _ string) { p.diesBefore(wEvent) },
		"event written":        func(p *process, _ string) { p.diesAfter(wEvent) },
		"before the notice":    func(p *process, _ string) { p.diesBefore(wDue) },
		"notice taken away":    func(p *process, _ string) { p.diesAfter(wDue) },
		"store refuses events": func(p *process, _ string) { p.faults.apply = refuse(wEvent) },
	}
	for _, change := range changes {
		for name, at := range points {
			t.Run(change.name+"/"+name, func(t *testing.T) {
				bubble(t, func(b *bed) {
					call := change.do(b)
					dying := b.process(faults{})
					at(dying, change.write)
					if name == "store refuses events" {
						if _, err := dying.do(call); err != nil { // nobody who asked for a token hears of it
							b.Errorf("the answer is %v", err)
						}
						b.wantEvents()
					} else {
						dying.dies(call)
					}
					next := b.process(faults{})
					if due := b.credential().DueAt; name != "notice taken away" && (due.IsZero() || due.After(b.now().Add(vault.NoticePause))) {
						b.Errorf("the schedule comes by at %s; now it is %s", due, b.now())
					}
					next.schedule(b.now().Add(5 * time.Minute))
					b.wantEvents(change.want...)
					b.wantNothingOwed()
					if c := b.credential(); c.DueAt.IsZero() != (c.Status == record.Reauth) {
						b.Errorf("the credential is %s", shown(c))
					}
				})
			})
		}
	}
}

// TestLeftNoticesAreToldByTheNextRefresh, too: a reader comes before the schedule.
func TestLeftNoticesAreToldByTheNextRefresh(t *testing.T) {
	bubble(t, func(b *bed) {
		dying := b.process(faults{})
		dying.diesAfter(wAuthorize)
		dying.dies(b.completion(b.begin(), b.issuer.consent(account)))
		next := b.process(faults{})
		call := b.refreshCall()
		call.Force = true
		_, err := next.do(call)
		b.ok(err)
		b.wantEvents("authorized 1")
		b.wantNothingOwed()
	})
}

// TestALateSuccessTakesNoNoticeAway: it does not know of the failure that another one noted meanwhile, and both are told.
func TestALateSuccessTakesNoNoticeAway(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		gate, answers := make(chan struct{}), make(chan tokens.Answer, 1)
		owner := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wEvent {
				return errRefused // it knows now that its set is a recovery, and would tell of it itself
			}
			if write == wCommit {
				<-gate
			}
			return apply()
		}})
		go func() {
			got, _ := owner.Do(b.Context(), b.refreshCall())
			answers <- got
		}()
		b.pass(leaseLife + time.Second)
		b.issuer.next(refuses(http.StatusBadRequest, "invalid_grant"))
		next := b.process(faults{apply: refuse(wEvent)})
		next.wantOutcome(next.refresh(), tokens.RotationUnknown)
		close(gate)
		<-answers
		b.wantForceWithNotices(2)
		sound := b.process(faults{})
		sound.schedule(b.now().Add(10 * time.Minute))
		b.wantEvents("reauthorization_required 1 rotation_unknown", "recovered 1")
		b.wantNothingOwed()
	})
}

func (b *bed) wantForceWithNotices(generation int64) {
	b.Helper()
	if c := b.credential(); c.Generation != generation || c.Status != record.Active || len(c.Notices) == 0 {
		b.Fatalf("the credential is %s", shown(c))
	}
}

// TestProcessesTellOnce: however many find the same out at once, it is one event and one line of the log.
func TestProcessesTellOnce(t *testing.T) {
	loopback(t, func(b *bed) {
		for _, alias := range []string{"second", "third", "fourth"} {
			b.newEntry(alias)
		}
		b.secretEnds(b.now().Add(10 * day))
		mute := b.process(faults{apply: refuse(wEvent)})
		b.complete(mute, b.begin(), b.issuer.consent(account))
		b.clock.add(2 * time.Minute)
		processes := together(8, func(int) *process { return b.process(faults{}) })
		for _, h := range together(8, func(n int) heard {
			return processes[n].hear(b.Context(), tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: b.entry.ID})
		}) {
			b.ok(h.err)
		}
		b.wantEvents("authorized 1", "client_secret in 14")
		if n := b.logged("msg", "a date comes near"); n != 1 {
			b.Errorf("it was logged %d times", n)
		}
		b.wantNothingOwed()
	})
}

// TestEventsCostNoRefresh: when events cannot be published, nothing else is held up by it, however slow the store is with them.
func TestEventsCostNoRefresh(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		b.secretEnds(b.now().Add(5 * day))
		b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
		p := b.process(faults{apply: refuse(wEvent)})
		p.wantOutcome(p.due(), tokens.Success)
		b.wantForce(2)
		b.pass(b.credential().DueAt.Sub(b.now()))
		p.wantOutcome(p.due(), tokens.AlreadyFresh)
		if due := b.credential().DueAt; due.After(b.now().Add(vault.NoticePause)) {
			b.Errorf("the schedule comes back at %s; now it is %s", due, b.now())
		}
		b.pass(time.Hour)
		b.issuer.next(refuses(503, ""))
		_ = p.refresh()
		b.pass(time.Minute)
		slow := b.process(faults{apply: func(ctx context.Context, write string, apply func() error) error {
			if write == wEvent {
				<-ctx.Done()
				return ctx.Err()
			}
			return apply()
		}})
		began := b.now()
		slow.wantOutcome(slow.refresh(), tokens.Success)
		if took := b.now().Sub(began); took > 4*time.Second {
			b.Errorf("the answer took %s", took)
		}
		b.process(faults{}).schedule(b.now().Add(10 * time.Minute))
		b.wantEvents("recovered 2", "client_secret in 7")
	})
}
