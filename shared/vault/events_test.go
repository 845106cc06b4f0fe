package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// authorizedEvent is one that differs from others by its number.
func authorizedEvent(n int64) record.Event {
	return record.Event{Tenant: tenant, Kind: record.EventAuthorized, Provider: "amazon", APIEnvironment: record.Production,
		Entry: "ve_1", Alias: "shop", Environment: "production", Generation: n}
}

func expiringEvent(at time.Time, days int) record.Event {
	return record.Event{Tenant: tenant, Kind: record.EventExpiring, Provider: "amazon", APIEnvironment: record.Production,
		Horizon: &record.Horizon{Name: record.ClientSecretEnd, At: at}, DaysBefore: days}
}

func (r *rig) publish(e record.Event) bool {
	r.Helper()
	fresh, err := r.Publish(r.Context(), e)
	r.ok(err)
	return fresh
}

// allEvents pages through a tenant's events.
func (r *rig) allEvents(tenant string, limit int) (out []record.Event) {
	r.Helper()
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		page, err := r.Events(r.Context(), tenant, after, limit, func(record.Event) bool { return true })
		r.ok(err)
		if len(page.Items) > limit {
			r.Fatalf("a page of %d by %d", len(page.Items), limit)
		}
		out = append(out, page.Items...)
		after = page.Next
	}
	return out
}

func TestAnEventIsPublishedOnce(t *testing.T) {
	each(t, func(r *rig) {
		first := authorizedEvent(1)
		if !r.publish(first) || r.publish(first) {
			r.Error("an event is not published once")
		}
		got := r.allEvents(tenant, 10)
		if len(got) != 1 {
			r.Fatalf("%d events are listed", len(got))
		}
		want := first
		want.ID, want.At = got[0].ID, r.clock.Now()
		r.same(got[0], want)
		if !strings.HasPrefix(want.ID, "ev_") || len(want.ID) != len("ev_")+16 {
			r.Errorf("its id is %q", want.ID)
		}
		// What it was called then is no part of what it is about; what it is about is.
		renamed := first
		renamed.Alias, renamed.Environment, renamed.Disabled = "renamed", "test", true
		r.clock.Add(time.Hour)
		if r.publish(renamed) {
			r.Error("an entry that was renamed has the event again")
		}
		end := r.clock.Now().Add(30 * 24 * time.Hour)
		others := []record.Event{authorizedEvent(2), expiringEvent(end, 30), expiringEvent(end, 14), expiringEvent(end.Add(time.Millisecond), 14)}
		for _, change := range []func(*record.Event){
			func(e *record.Event) { e.Kind = record.EventRecovered }, func(e *record.Event) { e.Entry = "ve_2" }, func(e *record.Event) { e.Entry = "" },
			func(e *record.Event) { e.Provider = "sage" }, func(e *record.Event) { e.APIEnvironment = record.Sandbox },
		} {
			e := authorizedEvent(1)
			change(&e)
			others = append(others, e)
		}
		for _, change := range []func(*record.Horizon){
			func(h *record.Horizon) { h.Name = record.AuthorizationEnd }, func(h *record.Horizon) { h.Detail = "API v1" },
		} {
			e := expiringEvent(end, 30)
			change(e.Horizon)
			others = append(others, e)
		}
		for i, e := range others {
			if !r.publish(e) || r.publish(e) {
				r.Errorf("event %d is not one of its own", i)
			}
		}
		theirs := first
		theirs.Tenant = other
		if !r.publish(theirs) {
			r.Error("another tenant's event is the same")
		}
		r.same(len(r.allEvents(tenant, 3)), len(others)+1)
		r.same(len(r.allEvents(other, 3)), 1)
	})
}

// TestEventsGrow: each event is later than the one before, whatever the clock says, so that nothing ever appears behind
// the place where a listing was.
func TestEventsGrow(t *testing.T) {
	each(t, func(r *rig) {
		for n := range int64(20) {
			r.publish(authorizedEvent(n))
			switch n % 4 {
			case 1:
				r.clock.Add(-time.Hour)
			case 3:
				r.clock.Add(90 * time.Minute)
			}
		}
		all := r.allEvents(tenant, 7)
		for n, e := range all {
			if e.Generation != int64(n) || n > 0 && !e.At.After(all[n-1].At) {
				r.Fatalf("event %d is %d at %s, after %s", n, e.Generation, e.At, all[max(0, n-1)].At)
			}
		}
		r.same(len(all), 20)
		page, err := r.Events(r.Context(), tenant, vault.EventKey(all[11]), 3, func(e record.Event) bool { return e.Generation%2 == 0 })
		r.ok(err)
		r.same([]int64{page.Items[0].Generation, page.Items[1].Generation, page.Items[2].Generation}, []int64{12, 14, 16})
		for name, at := range map[string]time.Time{"the moment": all[5].At, "just before": all[5].At.Add(-1), "in another zone": all[5].At.In(time.FixedZone("", 7200))} {
			page, err = r.Events(r.Context(), tenant, vault.EventsSince(at), 1, func(record.Event) bool { return true })
			r.ok(err)
			if got := page.Items[0].Generation; got != 5 {
				r.Errorf("since %s of event 5 the first is %d", name, got)
			}
		}
		page, err = r.Events(r.Context(), tenant, vault.EventsSince(all[5].At.Add(1)), 1, func(record.Event) bool { return true })
		r.ok(err)
		r.same(page.Items[0].Generation, int64(6))
	})
}

// TestAFollowerSeesEverything: while many publish at once, each event twice, one who follows sees each once.
func TestAFollowerSeesEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t, repeats)
	const writers, each = 6, 12
	seen, done := []int64{}, make(chan []error)
	go func() {
		done <- together(2*writers, func(w int) error {
			for n := range each {
				if _, err := r.Publish(r.Context(), authorizedEvent(int64(w%writers*100+n))); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	after := ""
	look := func() {
		page, err := r.Events(r.Context(), tenant, after, 5, func(record.Event) bool { return true })
		r.ok(err)
		for _, e := range page.Items {
			seen = append(seen, e.Generation)
			after = vault.EventKey(e)
		}
	}
	var answers []error
	for answers == nil {
		select {
		case answers = <-done:
		default:
			look()
		}
	}
	for _, err := range answers {
		r.ok(err)
	}
	for range writers * each {
		look()
	}
	slices.Sort(seen)
	r.same(len(slices.Compact(slices.Clone(seen))), writers*each)
	r.same(len(seen), writers*each)
}

// between is a store in which something happens right before a reading of one key, once.
type between struct {
	store.Items
	sort string
	do   func()
}

func (b *between) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	if do := b.do; do != nil && key.Sort == b.sort {
		b.do = nil
		do()
	}
	return b.Items.Get(ctx, table, key)
}

// TestAnEventThatComesInBetween: somebody publishes it after it was found to be missing.
func TestAnEventThatComesInBetween(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	cfg := r.Config
	cfg.Items = &between{Items: r.engine, sort: "events", do: func() { r.publish(authorizedEvent(1)) }}
	fresh, err := vault.New(cfg).Publish(t.Context(), authorizedEvent(1))
	r.ok(err)
	if fresh || len(r.allEvents(tenant, 10)) != 1 {
		t.Errorf("it is published %d times, and fresh is %t", len(r.allEvents(tenant, 10)), fresh)
	}
}

// TestAnEventWhoseAnswerWasLost was published, and is not again.
func TestAnEventWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	lossy := &forgetful{}
	r := newRig(t, func(items store.Items) store.Items { lossy.Items = items; return lossy })
	lossy.losesNext()
	if _, err := r.Publish(t.Context(), authorizedEvent(1)); !errors.Is(err, errLost) {
		t.Fatalf("the answer is %v", err)
	}
	if r.publish(authorizedEvent(1)) {
		t.Error("it is published again")
	}
	r.same(len(r.allEvents(tenant, 10)), 1)
}

// TestAnEventComesAfterTheOneBefore also for whoever lists them: one that is not to be seen yet is waited for.
func TestAnEventComesAfterTheOneBefore(t *testing.T) {
	each(t, func(r *rig) {
		r.publish(authorizedEvent(1))
		hidden := store.Key{Partition: tenant, Sort: vault.EventKey(r.allEvents(tenant, 1)[0])}
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: hidden}))
		if _, err := r.Publish(r.Context(), authorizedEvent(2)); err == nil {
			r.Error("the next event overtakes one that nobody can see")
		}
		r.clock.Add(time.Hour)
		if !r.publish(authorizedEvent(2)) {
			r.Error("an event of an hour ago holds up the next")
		}
	})
}

// TestOldEventsGo after thirteen months, with what kept them from coming twice, and none before.
func TestOldEventsGo(t *testing.T) {
	each(t, func(r *rig) {
		for n := range int64(10) {
			r.publish(authorizedEvent(n))
		}
		r.clock.Add(395 * 24 * time.Hour)
		r.publish(authorizedEvent(10))
		r.same(len(r.allEvents(tenant, 100)), 11)
		r.clock.Add(3 * 24 * time.Hour)
		for n := range int64(4) {
			r.publish(authorizedEvent(11 + n))
		}
		all := r.allEvents(tenant, 100)
		if len(all) != 5 || all[0].Generation != 10 {
			r.Errorf("%d events are left, the oldest is %+v", len(all), all[0])
		}
		markers := 0
		r.everyItem(func(_ store.Table, item store.Item) {
			if strings.HasPrefix(item.Key.Sort, "raised#") {
				markers++
			}
		})
		r.same(markers, 5)
	})
}

// TestEventsOfManyAreListedInTime: a filter that likes little answers all the same, with a place to go on from.
func TestEventsOfManyAreListedInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	for n := range int64(130) {
		r.publish(authorizedEvent(n))
	}
	found, pages := 0, 0
	for after := ""; pages == 0 || after != ""; pages++ {
		page, err := r.Events(t.Context(), tenant, after, 4, func(e record.Event) bool { return e.Generation%13 == 0 })
		r.ok(err)
		found, after = found+len(page.Items), page.Next
	}
	r.same(found, 10)
}

// TestNoticesLieWithWhatTheySay: the write that makes something true notes it, and whatever else is written leaves it there.
func TestNoticesLieWithWhatTheySay(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		authorized := record.Notice{Kind: record.EventAuthorized, Generation: 1}
		r.same(c.Notices, []record.Notice{authorized})

		// Degraded is nothing to tell, failing is something to tell later, and it is noted once.
		r.ok(r.Fail(r.Context(), r.acquire(c, "a"), r.failure(), record.Active, "", false))
		r.same(r.credential(e).Notices, []record.Notice{authorized})
		r.clock.Add(time.Hour)
		owed := record.Notice{Kind: record.EventRecovered, Generation: 1}
		for range 2 {
			r.ok(r.Fail(r.Context(), r.acquire(r.credential(e), "a"), r.failure(), record.Active, "", false))
			r.same(r.credential(e).Notices, []record.Notice{authorized, owed})
		}

		// What was told goes, and nothing else; a reading of the past takes nothing away.
		c = r.credential(e)
		at := r.clock.Now().Add(time.Hour)
		r.ok(r.Reschedule(r.Context(), c, at, authorized))
		r.same(r.credential(e).Notices, []record.Notice{owed})
		r.same(r.credential(e).DueAt, at)
		leased := r.acquire(r.credential(e), "a")
		next, err := r.Commit(r.Context(), leased, r.set(leased, 2))
		r.ok(err)
		r.same(next.Notices, []record.Notice{owed})
		r.same(r.credential(e).Notices, []record.Notice{owed})
		r.ok(r.Reschedule(r.Context(), c, at, owed))
		r.same(r.credential(e).Notices, []record.Notice{owed})

		// A commit notes by itself what was failing when it came: the last failure was noted while the token lived.
		r.ok(r.Reschedule(r.Context(), next, at, owed))
		r.ok(r.Fail(r.Context(), r.acquire(r.credential(e), "a"), r.failure(), record.Active, "", false))
		r.clock.Add(2 * time.Hour)
		leased = r.acquire(r.credential(e), "a")
		third, err := r.Commit(r.Context(), leased, r.set(leased, 3))
		r.ok(err)
		r.same(third.Notices, []record.Notice{{Kind: record.EventRecovered, Generation: 2}})
		r.same(r.credential(e), third)
	})
}

// TestALateSuccessLeavesNotices of what it does not know of.
func TestALateSuccessLeavesNotices(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		r.ok(r.Reschedule(r.Context(), c, c.DueAt, c.Notices...))
		late := r.acquire(r.credential(e), "late")
		r.clock.Add(time.Minute)
		next := r.acquire(r.credential(e), "next")
		r.ok(r.Fail(r.Context(), next, r.failure(), record.Reauth, record.RotationUnknown, false))
		if due := r.credential(e).DueAt; !due.Equal(r.clock.Now().Add(vault.NoticePause)) {
			r.Errorf("the schedule comes by at %s", due)
		}
		_, err := r.Commit(r.Context(), late, r.set(late, 2))
		r.ok(err)
		r.same(r.credential(e).Notices, []record.Notice{{Kind: record.EventReauth, Generation: 1, Cause: record.RotationUnknown},
			{Kind: record.EventRecovered, Generation: 1}})
	})
}

// TestTheEndOfARefreshTokenIsKept with the set that it came with.
func TestTheEndOfARefreshTokenIsKept(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		first := r.firstOf(e)
		first.RefreshExpires = r.clock.Now().Add(31 * 24 * time.Hour)
		r.ok(r.Authorize(r.Context(), nil, first, nil))
		r.same(r.credential(e).RefreshExpires, first.RefreshExpires)
		for n, want := range []time.Time{r.clock.Now().Add(40 * 24 * time.Hour), {}} {
			leased := r.acquire(r.credential(e), fmt.Sprint("owner", n))
			set := r.set(leased, leased.Generation+1)
			set.RefreshExpires = want
			_, err := r.Commit(r.Context(), leased, set)
			r.ok(err)
			r.same(r.credential(e).RefreshExpires, want)
		}
	})
}

// TestHorizons are those of the entry: the application's only where it is used, and what its provider has announced.
func TestHorizons(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.authorized(e)
		ends := r.clock.Now().Add(180 * 24 * time.Hour)
		r.ok(r.PutApp(r.Context(), "", record.App{Tenant: tenant, Provider: "amazon", APIEnvironment: record.Production, SecretExpires: ends}))
		announced := []record.Horizon{{Name: record.RetirementEnd, At: ends, Detail: "API v1"}}
		names := func(s vault.EntryState) (out []string) {
			for _, h := range s.Horizons() {
				out = append(out, h.Name)
			}
			return out
		}
		for usesApp, want := range map[bool][]string{
			true: {"authorization", "client_secret", "retirement"}, false: {"authorization", "retirement"},
		} {
			r.Vault = vault.New(r.Config)
			r.Dates = func(asked record.Entry) (bool, []record.Horizon) {
				if asked.ID != e.ID {
					r.Errorf("asked for is %s", asked.ID)
				}
				return usesApp, announced
			}
			one, err := r.EntryState(r.Context(), tenant, e.ID)
			r.ok(err)
			r.same(names(one), want)
			page, err := r.EntryStates(r.Context(), tenant, "", 10, func(vault.EntryState) bool { return true })
			r.ok(err)
			r.same(names(page.Items[0]), want)
		}
	})
}
