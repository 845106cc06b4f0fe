package refresh_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// TestFourHundredDays: an entry that nobody reads, one that is read every day, and one whose provider is down for forty
// days, with everything that ends in that time, and the schedule alone to look after them.
func TestFourHundredDays(t *testing.T) {
	begin := func(b *bed) (p *process, start time.Time) {
		p = b.yearly()
		start = b.now()
		b.secretEnds(start.Add(180 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		return p, start
	}
	// marksOf are when a date's marks must be told.
	marksOf := func(at time.Time, days ...int) map[int]time.Time {
		out := map[int]time.Time{}
		for _, n := range days {
			out[n] = at.Add(-time.Duration(n) * day)
		}
		return out
	}
	onTime := func(b *bed, horizon string, at time.Time, days ...int) {
		b.Helper()
		for n, mark := range marksOf(at, days...) {
			i := slices.IndexFunc(b.events(), func(e record.Event) bool {
				return e.Horizon != nil && e.Horizon.Name == horizon && e.DaysBefore == n && e.Horizon.At.Equal(at)
			})
			if i < 0 {
				b.Errorf("nobody heard of the mark of %d days before the end of the %s", n, horizon)
				continue
			}
			if late := b.events()[i].At.Sub(mark); late < 0 || late > time.Hour+2*time.Minute {
				b.Errorf("the mark of %d days before the end of the %s was told %s after it", n, horizon, late)
			}
		}
	}
	t.Run("idle", func(t *testing.T) {
		bubble(t, func(b *bed) {
			p, start := begin(b)
			wakes := p.schedule(start.Add(178 * day))
			b.secretEnds(start.Add(358 * day)) // in time: the last mark of the old one never comes
			wakes += p.schedule(start.Add(365 * day))
			b.issuer.revoke(b.inForce().Refresh)
			wakes += p.schedule(start.Add(400 * day))
			b.wantEvents("authorized 1", "client_secret in 30", "client_secret in 14", "client_secret in 7",
				"client_secret in 30", "authorization in 30", "client_secret in 14", "authorization in 14", "client_secret in 7",
				"client_secret in 1", "authorization in 7", "authorization in 1",
				fmt.Sprintf("reauthorization_required %d authorization_expired", b.credential().Generation))
			onTime(b, record.ClientSecretEnd, start.Add(180*day), 30, 14, 7)
			onTime(b, record.ClientSecretEnd, start.Add(358*day), 30, 14, 7, 1)
			onTime(b, record.AuthorizationEnd, b.credential().AuthorizationExpires, 30, 14, 7, 1)
			posts, reuses, _ := b.issuer.counts()
			if posts < 24 || posts > 30 || reuses > 0 {
				b.Errorf("the provider was asked %d times in a year; want once in about fifteen days", posts)
			}
			if wakes < 365 || wakes > 365+3*posts+30 {
				b.Errorf("the schedule looked %d times; want about once a day", wakes)
			}
			if !b.credential().DueAt.IsZero() {
				b.Error("an entry that waits for a person is looked at")
			}
		})
	})
	t.Run("read daily", func(t *testing.T) {
		bubble(t, func(b *bed) {
			p, start := begin(b)
			for n := range 400 {
				if n == 170 {
					b.secretEnds(start.Add(600 * day))
				}
				if n == 340 { // renewed in time
					b.complete(p, b.begin(), b.issuer.consent(account))
				}
				_ = p.refresh()
				b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, b.credential().Generation))
				p.schedule(start.Add(time.Duration(n+1) * day))
			}
			b.wantEvents("authorized 1", "client_secret in 30", "client_secret in 14", "authorization in 30",
				fmt.Sprintf("authorized %d", b.events()[4].Generation))
			if c := b.credential(); c.Status != record.Active || c.Failure != nil {
				b.Errorf("the credential is %s", shown(c))
			}
			// Each day's token gets one successor, that nobody reads, and then there is rest.
			if posts, _, _ := b.issuer.counts(); posts < 780 || posts > 830 {
				b.Errorf("the provider was asked %d times in 400 days; want about twice a day", posts)
			}
		})
	})
	t.Run("down for forty days", func(t *testing.T) {
		bubble(t, func(b *bed) {
			p, start := begin(b)
			p.schedule(start.Add(50 * day))
			down := true
			p.faults.trip = func(_ *http.Request, trip func() (*http.Response, error)) (*http.Response, error) {
				if !down {
					return trip()
				}
				return &http.Response{StatusCode: 503, Body: http.NoBody, Header: http.Header{}}, nil
			}
			before := b.credential()
			if left := before.RefreshExpires.Sub(b.now()); left < 10*day || left > refreshLife {
				b.Fatalf("the refresh token lives %s yet", left)
			}
			asked, _, _ := b.issuer.counts()
			wakes := p.schedule(start.Add(90 * day))
			onTime(b, record.RefreshTokenEnd, before.RefreshExpires, 14, 7, 1)
			b.wantEvents("authorized 1", "refresh_token in 14", "refresh_token in 7", "refresh_token in 1")
			c := b.credential()
			if c.HealthAt(b.now()) != record.Failing || c.Status != record.Active || c.Generation != before.Generation {
				b.Errorf("the credential is %s", shown(c))
			}
			if c.Failure.Count < 500 || c.Failure.Count > 1000 || int64(wakes) > 2*c.Failure.Count+50 {
				b.Errorf("%d tries and %d looks in forty days; want about one try an hour", c.Failure.Count, wakes)
			}
			b.wantPosts(asked)
			down = false
			p.schedule(start.Add(91 * day))
			b.wantForce(before.Generation + 1)
			p.schedule(start.Add(400 * day))
			b.wantEvents("authorized 1", "refresh_token in 14", "refresh_token in 7", "refresh_token in 1", fmt.Sprintf("recovered %d", before.Generation),
				"client_secret in 30", "client_secret in 14", "client_secret in 7", "client_secret in 1",
				"authorization in 30", "authorization in 14", "authorization in 7", "authorization in 1")
			b.wantForce(b.credential().Generation)
			b.wantNothingOwed()
		})
	})
}

// TestOneEventForAnApplication, however many entries use it; it names none of them.
func TestOneEventForAnApplication(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		b.secretEnds(b.now().Add(40 * day))
		for _, alias := range []string{"second", "third", "fourth"} {
			b.complete(p, b.begin(), b.issuer.consent(account))
			b.entry = b.newEntry(alias)
		}
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.pass(11 * day)
		page, err := b.vault.Entries(b.Context(), tenant, "", 10, func(record.Entry) bool { return true })
		b.ok(err)
		for _, e := range page.Items {
			_, err := p.do(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: e.ID})
			b.ok(err)
		}
		b.wantEvents("authorized 1", "authorized 1", "authorized 1", "authorized 1", "client_secret in 30")
		if e := b.events()[4]; e.Entry != "" || e.Alias != "" || e.Environment != "" || e.Provider != "fake" || e.APIEnvironment != record.Production {
			b.Errorf("the event of an application is %+v", e)
		}
	})
}

// TestMarksOfALateStart: who comes under watch with five days left hears of the mark that lies nearest, and of the next.
func TestMarksOfALateStart(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		start := b.now()
		b.secretEnds(start.Add(5 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		p.schedule(start.Add(time.Hour))
		b.wantEvents("authorized 1", "client_secret in 7")
		p.schedule(start.Add(100 * day))
		b.wantEvents("authorized 1", "client_secret in 7", "client_secret in 1")
	})
}

// TestMarksAfterARest of the schedule itself: of the marks that were passed meanwhile the last is told, also when the date
// is over, unless it is history.
func TestMarksAfterARest(t *testing.T) {
	for days, want := range map[int][]string{
		20: {"client_secret in 30"}, 42: {"client_secret in 1"}, 69: {"client_secret in 1"}, 71: {}, 200: {},
	} {
		t.Run(fmt.Sprint(days), func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.process(faults{})
				b.authorized()
				b.secretEnds(b.now().Add(40 * day))
				b.pass(time.Duration(days) * day)
				p.due()
				b.wantEvents(want...)
			})
		})
	}
}

// TestADateThatMoves is another date: its marks count anew, also when it comes nearer while the entry sleeps.
func TestADateThatMoves(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		start := b.now()
		b.secretEnds(start.Add(200 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		p.schedule(start.Add(100 * day))
		b.wantEvents("authorized 1")
		b.secretEnds(start.Add(112 * day)) // an owner looked it up
		p.schedule(start.Add(101 * day))
		b.wantEvents("authorized 1", "client_secret in 14")
		b.secretEnds(start.Add(114 * day)) // and made a new one
		p.schedule(start.Add(102 * day))
		b.wantEvents("authorized 1", "client_secret in 14", "client_secret in 14")
		b.secretEnds(start.Add(114 * day)) // the same date again
		p.schedule(start.Add(103 * day))
		b.wantEvents("authorized 1", "client_secret in 14", "client_secret in 14")
	})
}

// TestTheRefreshTokensClock is no news while the schedule keeps the token alive, also when that is late; it is when
// nothing keeps it.
func TestTheRefreshTokensClock(t *testing.T) {
	t.Run("a schedule that rested", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{})
			b.pass(18 * day) // 13 days left
			p.due()
			b.wantForce(2)
			b.wantEvents()
		})
	})
	t.Run("disabled", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p, start := b.process(faults{}), b.now()
			b.disable(true)
			p.schedule(start.Add(27 * day))
			b.wantEvents("refresh_token in 14", "refresh_token in 7")
			if e := b.events()[0]; !e.Disabled || e.Entry != b.entry.ID {
				b.Errorf("the event is %+v", e)
			}
			b.wantPosts(0)
			b.disable(false) // in time: within a day it is kept alive again
			p.schedule(start.Add(28 * day))
			b.wantForce(2)
			p.schedule(start.Add(60 * day))
			b.wantEvents("refresh_token in 14", "refresh_token in 7")
		})
	})
	t.Run("no application", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p, start := b.process(faults{}), b.now()
			app, _, err := b.vault.App(b.Context(), tenant, "fake", record.Production)
			b.ok(err)
			b.ok(b.store.DeleteSecret(b.Context(), vault.AppSecret(tenant, "fake", record.Production, app.Version)))
			p.schedule(start.Add(32 * day))
			b.wantEvents("refresh_token in 14", "refresh_token in 7", "refresh_token in 1")
			b.wantPosts(0)
		})
	})
	t.Run("as the answer says", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{})
			b.issuer.next(says(200, "application/json", `{"access_token":"a","refresh_token":"b","expires_in":300,"refresh_token_expires_in":864000}`))
			p.wantOutcome(p.refresh(), tokens.Success)
			c := b.credential()
			if got := c.RefreshExpires.Sub(c.Refreshed); got != 10*day {
				b.Errorf("the refresh token ends %s after it came; want ten days", got)
			}
			if at := refresh.KeepAlive(c).Sub(c.Refreshed); at < 4*day || at > 5*day {
				b.Errorf("it is used after %s; want about five days", at)
			}
			b.pass(2 * time.Hour)
			b.issuer.next(says(200, "application/json", `{"access_token":"c","expires_in":300}`))
			p.wantOutcome(p.refresh(), tokens.Success)
			if c := b.credential(); c.RefreshExpires.Sub(c.Refreshed) != refreshLife {
				b.Errorf("an answer that does not say leaves %s", c.RefreshExpires.Sub(c.Refreshed))
			}
		})
	})
}

// TestNoClockOfTheDead: an entry that waits for a person is not warned of besides.
func TestNoClockOfTheDead(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.yearly()
		start := b.now()
		b.secretEnds(start.Add(100 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.pass(time.Hour)
		b.endOfEntry(p)
		if wakes := p.schedule(start.Add(400 * day)); wakes != 0 {
			b.Errorf("it was looked at %d times", wakes)
		}
		b.wantEvents("authorized 1", "reauthorization_required 1 revoked")
	})
}

// watching is a provider that has announced ends of its own.
type watching struct {
	*adapter
	dates []record.Horizon
}

func (w watching) Horizon(record.Entry) []record.Horizon { return w.dates }

// TestAnnouncedDates of a provider are watched; two that end on one day are two.
func TestAnnouncedDates(t *testing.T) {
	bubble(t, func(b *bed) {
		start := b.now()
		end := start.Add(20 * day).UTC()
		p := b.tuned(faults{}, func(cfg *refresh.Config) {
			find := cfg.Provider
			cfg.Provider = func(name string) (provider.Adapter, bool) {
				a, ok := find(name)
				return watching{a.(*adapter), []record.Horizon{{Name: record.RetirementEnd, At: end, Detail: "API v1"},
					{Name: record.RetirementEnd, At: end, Detail: "API v2"}}}, ok
			}
		})
		b.authorized()
		p.schedule(start.Add(10 * day))
		b.wantEvents("retirement in 30", "retirement in 30", "retirement in 14", "retirement in 14")
		if got := b.events(); got[0].Horizon.Detail == got[1].Horizon.Detail || got[0].Entry != b.entry.ID {
			b.Errorf("the events are %+v", got)
		}
	})
}

// TestALongTokenIsNotRefreshedByTheWay: being looked at for a date is no reason to ask for a token.
func TestALongTokenIsNotRefreshedByTheWay(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.lifetime = 20 * day
		p, start := b.process(faults{}), b.now()
		b.secretEnds(start.Add(10 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
		for n := range 13 {
			b.ok(b.vault.NoteUse(b.Context(), tenant, b.entry.ID, 1))
			p.schedule(start.Add(time.Duration(n+1) * day))
		}
		b.wantEvents("authorized 1", "client_secret in 14", "client_secret in 7", "client_secret in 1")
		b.wantPosts(1) // the code's
	})
}

// TestAThousandAreSpread: entries that were authorized together are not looked at together.
func TestAThousandAreSpread(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	now := start.Add(2 * time.Hour) // the tokens are dead, and nobody reads
	s := refresh.New(refresh.Config{Now: func() time.Time { return now }})
	hours, alive, warm := map[int]int{}, map[int64]int{}, map[time.Time]int{}
	for n := range 1000 {
		c := record.Credential{Tenant: tenant, Entry: fmt.Sprintf("ve_%016d", n), Status: record.Active, Lifetime: time.Hour, Refreshed: start,
			Expires: start.Add(time.Hour), RefreshExpires: start.Add(refreshLife)}
		next := s.Rest(c)
		if !next.After(now) || next.After(now.Add(day)) || !next.Equal(s.Rest(c)) {
			t.Fatalf("an entry rests until %s", next)
		}
		hours[next.Hour()]++
		alive[refresh.KeepAlive(c).Unix()/3600]++
		warm[s.WarmAt(c)]++
	}
	for hour := range 24 {
		if hours[hour] < 15 || hours[hour] > 80 {
			t.Errorf("%d of 1000 are looked at between %d and %d o'clock", hours[hour], hour, hour+1)
		}
	}
	for hour, n := range alive {
		if n > 80 {
			t.Errorf("%d of 1000 are kept alive in one hour, %d", n, hour)
		}
	}
	if len(alive) < 30 || len(warm) < 140 {
		t.Errorf("1000 are kept alive in %d hours, and warm at %d seconds", len(alive), len(warm))
	}
}

// TestHorizonIsWhatTheScheduleWatches: an entry is shown with the dates that are watched.
func TestHorizonIsWhatTheScheduleWatches(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.yearly()
		b.secretEnds(b.now().Add(100 * day))
		b.complete(p, b.begin(), b.issuer.consent(account))
		state, err := b.vault.EntryState(b.Context(), tenant, b.entry.ID)
		b.ok(err)
		names := []string{}
		for _, h := range state.Horizons() {
			names = append(names, h.Name)
			if h.At.Before(b.now()) {
				b.Errorf("%s ended at %s", h.Name, h.At)
			}
		}
		if !slices.Equal(names, []string{"authorization", "refresh_token", "client_secret"}) {
			b.Errorf("the horizon is %v", names)
		}
	})
}

// TestNothingPutsAMarkOff: whatever writes an entry while it waits for the look at a mark, the mark is told when it would have
// been, or as soon as somebody is there to look.
func TestNothingPutsAMarkOff(t *testing.T) {
	const soon = time.Hour + 2*time.Minute // as late as a look may be, and the planner
	refreshed := func(b *bed, p *process) {
		b.Helper()
		answer, err := p.do(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: b.entry.ID, Force: true})
		b.ok(err)
		p.wantOutcome(answer, tokens.Success)
	}
	authorized := func(b *bed, p *process) { b.complete(p, b.begin(), b.issuer.consent(account)) }
	for name, c := range map[string]struct {
		at    time.Duration // from the mark on, when it is written
		write func(b *bed, p *process)
		by    time.Duration // from the mark on, by when it is told
	}{
		"a refresh before the mark":            {-2 * time.Hour, refreshed, soon},
		"a refresh between mark and look":      {time.Second, refreshed, soon},
		"a refresh when the look is overdue":   {5 * time.Hour, refreshed, 5*time.Hour + 3*time.Minute},
		"an authorization before the mark":     {-2 * time.Hour, authorized, soon},
		"an authorization after it":            {time.Second, authorized, soon},
		"an authorization that nobody expects": {5 * time.Hour, authorized, 5*time.Hour + 3*time.Minute},
		"a refresh that failed, and one that did not": {0, func(b *bed, p *process) {
			look := b.credential().DueAt
			b.pass(look.Add(-time.Second).Sub(b.now()))
			p.faults.trip = func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				return &http.Response{StatusCode: 503, Body: http.NoBody, Header: http.Header{"Retry-After": {"600"}}}, nil
			}
			_, _ = p.do(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: b.entry.ID, Force: true})
			if due := b.credential().DueAt; !due.After(look) {
				b.Fatalf("the failure puts the look off to %s, from %s", due, look)
			}
			p.faults.trip = nil
			b.pass(time.Minute)
			refreshed(b, p)
		}, soon + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.issuer.lifetime = 20 * day // so that nothing else brings the schedule here
				p := b.process(faults{})
				authorized(b, p)
				mark := b.credential().DueAt.Add(10*day + 5*time.Hour) // five hours after the entry's own time of day
				b.secretEnds(mark.Add(30 * day))
				p.schedule(mark.Add(-3 * time.Hour))
				if due := b.credential().DueAt; due.Before(mark) {
					b.Fatalf("the next look is at %s, before the mark at %s", due, mark)
				}
				b.pass(mark.Add(c.at).Sub(b.now()))
				c.write(b, p)
				p.schedule(mark.Add(2 * day))
				events := b.events()
				i := slices.IndexFunc(events, func(e record.Event) bool { return told(e) == "client_secret in 30" })
				if i < 0 {
					b.Fatal("the mark is not told")
				}
				if late := events[i].At.Sub(mark); late < 0 || late > c.by {
					b.Errorf("the mark is told %s late; want %s at most", late, c.by)
				}
			})
		})
	}
}
