package refresh_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"connectorvault/shared/planner"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/tokens"
)

func (p *process) due() tokens.Answer {
	p.Helper()
	got, err := p.do(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: p.entry.ID})
	p.ok(err)
	return got
}

// TestKeepsWarmWhatIsRead: an entry that was read in this token's life gets its next one before the old one ends.
func TestKeepsWarmWhatIsRead(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		for generation := int64(2); generation < 6; generation++ {
			b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, generation))
			c := b.credential()
			p.wantOutcome(p.due(), tokens.AlreadyFresh) // the index may run ahead
			b.pass(c.DueAt.Sub(b.now()))
			p.wantOutcome(p.due(), tokens.Success)
			// As soon as it has not enough life, which is when a reader would have it replaced, and long before it ends.
			if left, enough := c.Expires.Sub(b.now()), refresh.Margin(c.Lifetime, 5*time.Minute); left > enough || left < enough/2-time.Second {
				b.Errorf("the entry was refreshed %s before its token's end", left)
			}
			b.wantForce(generation + 1)
		}
		b.wantPosts(5)
	})
}

// TestLetsTheUnusedSleep, for a day at a time, and keeps their refresh token alive: at about half its life, every time.
func TestLetsTheUnusedSleep(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		for n := range 3 {
			refreshed, looks := b.credential().Refreshed, 0
			for ; b.credential().Refreshed.Equal(refreshed); looks++ {
				b.wantPosts(n + 1)
				if next := b.credential().DueAt; looks > 0 && (!next.After(b.now()) || next.After(b.now().Add(24*time.Hour))) {
					b.Fatalf("the schedule looks again at %s; now it is %s", next, b.now())
				}
				b.pass(b.credential().DueAt.Sub(b.now()))
				p.due()
			}
			if at := b.now().Sub(refreshed); at < refreshLife*45/100-time.Second || at > refreshLife/2 {
				b.Errorf("the refresh token is used %s after it came; want about half of %s", at, refreshLife)
			}
			if looks > 19 {
				b.Errorf("the schedule looked %d times in half the life of an unused token", looks)
			}
			b.wantPosts(n + 2)
			b.wantForce(int64(n) + 3)
		}
	})
}

// TestUnusedTokensThatDoNotDie are looked at once a day all the same, for dates that come nearer, and never refreshed.
func TestUnusedTokensThatDoNotDie(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		a, _ := p.Provider("fake")
		a.Descriptor().RefreshLife = 0
		p.wantOutcome(p.refresh(), tokens.Success)
		for range 40 {
			b.pass(b.credential().DueAt.Sub(b.now()))
			p.wantOutcome(p.due(), tokens.AlreadyFresh)
			if next := b.credential().DueAt; !next.After(b.now()) || next.After(b.now().Add(24*time.Hour)) {
				b.Fatalf("the schedule looks again at %s; now it is %s", next, b.now())
			}
		}
		b.wantPosts(1)
		p.wantOutcome(p.refresh(), tokens.Success)
	})
}

// TestDueLetsBe what is gone, waits for a person, or was switched off. The clocks of the last are watched all the same.
func TestDueLetsBe(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		p.wantOutcome(p.due(), tokens.AlreadyFresh) // never authorized
		b.authorized()
		b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
		b.disable(true)
		for range 3 {
			b.pass(b.credential().DueAt.Sub(b.now()))
			p.wantOutcome(p.due(), tokens.AlreadyFresh)
		}
		b.wantPosts(0)
		if next := b.credential().DueAt; !next.After(b.now()) || next.After(b.now().Add(24*time.Hour)) {
			b.Errorf("the schedule looks at a disabled entry at %s; now it is %s", next, b.now())
		}
	})
}

// disable switches the entry off, or on again.
func (b *bed) disable(off bool) {
	b.Helper()
	before, err := b.vault.Entry(b.Context(), tenant, b.entry.ID)
	b.ok(err)
	after := before
	after.Disabled = off
	_, err = b.vault.UpdateEntry(b.Context(), before, after)
	b.ok(err)
}

// TestDueHonoursBackoff: the schedule does not ask again before a failure's pause is over, and then it does.
func TestDueHonoursBackoff(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
		p := b.process(faults{})
		b.issuer.next(says(429, "text/plain", "", "Retry-After", "60"))
		p.wantOutcome(p.due(), tokens.RateLimited)
		for range 5 {
			b.pass(10 * time.Second)
			p.due()
		}
		b.wantPosts(1)
		b.pass(11 * time.Second)
		p.wantOutcome(p.due(), tokens.Success)
		b.wantForce(2)
	})
}

// TestRaceOfDueAndReaders: the schedule and a crowd of readers together make one call.
func TestRaceOfDueAndReaders(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
		one, two := b.process(faults{}), b.process(faults{})
		b.issuer.next(after(2*time.Second, normally))
		for _, h := range together(40, func(n int) heard {
			if n%2 == 0 {
				return one.hear(b.Context(), tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: b.entry.ID})
			}
			return two.hear(b.Context(), b.refreshCall())
		}) {
			b.ok(h.err)
			if h.answer.Generation != 2 {
				b.Errorf("an answer is %+v", h.answer)
			}
		}
		b.wantPosts(1)
	})
}

// plan has the planner look once, and counts what it passed on.
func (p *process) plan() int {
	p.Helper()
	plan, err := planner.New(planner.Config{Vault: p.Vault, Providers: []string{"fake"}, Workers: func(string) int { return 1 },
		Waiting: func(context.Context, string) (int, error) { return 0, nil }, Send: p.Enqueue, Now: p.Now, Logger: p.Logger, Metrics: p.Metrics}).Plan(p.Context())
	p.ok(err)
	return plan.Providers["fake"].Planned
}

// TestNothingAsleepIsPlanned: entries that are not due cost the planner nothing.
func TestNothingAsleepIsPlanned(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		if found := p.plan(); found != 0 {
			b.Errorf("%d were found", found)
		}
		b.pass(5 * time.Minute)
		if found := p.plan(); found != 1 {
			b.Errorf("%d were found", found)
		}
	})
}

// TestDueIsSpread: entries that were refreshed together do not come due together.
func TestDueIsSpread(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		times := map[time.Time]bool{}
		for n := range 30 {
			b.entry = b.newEntry(fmt.Sprint("entry-", n))
			b.issuer.lifetime = time.Hour
			b.authorized()
			call := b.refreshCall()
			call.Force = true
			_, err := p.do(call)
			b.ok(err)
			c := b.credential()
			times[c.DueAt] = true
			if c.DueAt.Before(c.Expires.Add(-5*time.Minute)) || c.DueAt.After(c.Expires.Add(-2*time.Minute)) {
				b.Errorf("an entry is due at %s, refreshed at %s, and its token ends at %s", c.DueAt, c.Refreshed, c.Expires)
			}
		}
		if len(times) < 20 {
			b.Errorf("30 entries come due at %d moments", len(times))
		}
	})
}

// TestAMonthUnused: with the schedule alone, an entry that nobody reads outlives its refresh token's 31 days, a day of
// trouble at the provider included.
func TestAMonthUnused(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for day := range 70 {
			for range 4 {
				b.pass(6 * time.Hour)
				if day >= 15 && day < 17 {
					b.issuer.next(refuses(503, ""))
				}
				p.plan()
			}
			for _, page := range p.queued {
				for _, call := range page {
					_, err := p.do(call)
					b.ok(err)
				}
			}
			p.queued = nil
		}
		if c := b.credential(); c.Status != record.Active || b.now().Sub(c.Refreshed) > 16*24*time.Hour {
			b.Errorf("the credential is %s", shown(c))
		}
		b.wantForce(b.credential().Generation)
	})
}
