package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

const canary = "canary-2fd1"

func tokenSet(n int64) vault.TokenSet {
	return vault.TokenSet{Access: secret.New(fmt.Sprint(canary, "-access-", n)), Refresh: secret.New(fmt.Sprint(canary, "-refresh-", n)), Scope: "all"}
}

// firstOf is the credential of a first authorization, not stored yet.
func (r *rig) firstOf(e record.Entry) record.Credential {
	r.Helper()
	now := r.clock.Now()
	c := record.Credential{
		Tenant: tenant, Entry: e.ID, Provider: e.Provider, Status: record.Active, Generation: 1, Lifetime: time.Hour, Expires: now.Add(time.Hour),
		Refreshed: now, Authorized: now, AuthorizationExpires: now.Add(365 * 24 * time.Hour), Commit: r.id("commit_"), DueAt: now.Add(48 * time.Minute),
		Account: &record.Account{ID: "A1SELLER", Name: "Shop", Identity: record.Verified, Members: []record.Member{{Kind: "marketplace", ID: "M1", Active: true}}},
	}
	sealed, err := r.SealTokens(r.Context(), c, 1, tokenSet(1))
	r.ok(err)
	c.Sealed = sealed
	return c
}

// authorized puts a first authorization in force and returns it as it is read.
func (r *rig) authorized(e record.Entry) record.Credential {
	r.Helper()
	r.ok(r.Authorize(r.Context(), nil, r.firstOf(e), nil))
	return r.credential(e)
}

func (r *rig) credential(e record.Entry) record.Credential {
	r.Helper()
	c, found, err := r.Credential(r.Context(), tenant, e.ID)
	r.ok(err)
	if !found {
		r.Fatal("the entry has no credential")
	}
	return c
}

// acquire takes the lease for 30 s, or fails the test.
func (r *rig) acquire(c record.Credential, owner string) record.Credential {
	r.Helper()
	leased, err := r.tryAcquire(c, owner)
	r.ok(err)
	return leased
}

func (r *rig) tryAcquire(c record.Credential, owner string) (record.Credential, error) {
	now := r.clock.Now()
	return r.Acquire(r.Context(), c, owner, now.Add(30*time.Second), record.Intent{Generation: c.Generation, Hash: "hash", At: now})
}

func (r *rig) set(c record.Credential, n int64) vault.NewSet {
	r.Helper()
	sealed, err := r.SealTokens(r.Context(), c, n, tokenSet(n))
	r.ok(err)
	now := r.clock.Now()
	return vault.NewSet{Sealed: sealed, Lifetime: time.Hour, Expires: now.Add(time.Hour), DueAt: now.Add(40 * time.Minute), Commit: r.id("commit_")}
}

func (r *rig) failure() record.Failure {
	now := r.clock.Now()
	return record.Failure{Outcome: "transient", Code: "server_error", Status: 503, RequestID: "r1", At: now, Count: 2, RetryAt: now.Add(time.Minute)}
}

func (r *rig) wantTokens(e record.Entry, generation int64) {
	r.Helper()
	c := r.credential(e)
	if c.Generation != generation {
		r.Fatalf("generation %d is in force; want %d", c.Generation, generation)
	}
	set, err := r.OpenTokens(r.Context(), c)
	r.ok(err)
	if want := tokenSet(generation); !set.Access.Equal(want.Access) || !set.Refresh.Equal(want.Refresh) || set.Scope != "all" {
		r.Fatalf("other tokens than those of generation %d are in force", generation)
	}
}

func TestAuthorizationIsReadAsItWasMade(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		_, found, err := r.Credential(r.Context(), tenant, e.ID)
		r.ok(err)
		if found {
			r.Error("an entry that was never authorized has a credential")
		}
		made := r.firstOf(e)
		r.ok(r.Authorize(r.Context(), nil, made, nil))
		made.Notices = []record.Notice{{Kind: record.EventAuthorized, Generation: 1}}
		r.same(r.credential(e), made)
		r.wantTokens(e, 1)
		many, err := r.CredentialsOf(r.Context(), tenant, []record.Entry{e, r.entry("other")})
		r.ok(err)
		r.same(many, map[string]record.Credential{e.ID: made})
		none, err := r.CredentialsOf(r.Context(), tenant, nil)
		r.ok(err)
		r.same(none, map[string]record.Credential{})
	})
}

func TestAuthorizeNeedsItsEntryAndGeneration(t *testing.T) {
	each(t, func(r *rig) {
		r.is(r.Authorize(r.Context(), nil, r.firstOf(r.newEntry("none")), nil), vault.ErrEntryGone)
		e := r.entry("shop")
		first := r.authorized(e)
		another := r.firstOf(e)
		another.Commit = "another"
		r.is(r.Authorize(r.Context(), nil, another, nil), vault.ErrOvertaken)
		r.same(r.credential(e), first)
		r.ok(r.Authorize(r.Context(), nil, first, nil)) // the same write again is known as its own
		r.same(r.credential(e), first)

		leased := r.acquire(first, "a")
		r.ok(r.Fail(r.Context(), leased, r.failure(), record.Reauth, record.RotationUnknown, true))
		before := r.credential(e)
		second := r.firstOf(e)
		second.Generation = 2
		second.DueAt = time.Time{}
		sealed, err := r.SealTokens(r.Context(), second, 2, tokenSet(2))
		r.ok(err)
		second.Sealed = sealed
		r.ok(r.Authorize(r.Context(), &before, second, nil))
		second.Fence = 1
		second.Notices = []record.Notice{{Kind: record.EventAuthorized, Generation: 1},
			{Kind: record.EventReauth, Generation: 1, Cause: record.RotationUnknown},
			{Kind: record.EventAuthorized, Generation: 2}, {Kind: record.EventRecovered, Generation: 1}}
		r.same(r.credential(e), second) // cause, intent, lease and failure are gone; what is to be told of them is not
		r.wantTokens(e, 2)
		second.Commit = "another"
		r.is(r.Authorize(r.Context(), &before, second, nil), vault.ErrOvertaken)
	})
}

func TestAuthorizeRace(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.wantOne(together(8, func(int) error { return r.Authorize(r.Context(), nil, r.firstOf(e), nil) }),
			func(err error) bool { return errors.Is(err, vault.ErrOvertaken) })
	})
}

func TestLeaseIsExclusive(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		leased := r.acquire(c, "a")
		now := r.clock.Now()
		r.same(leased.Lease, &record.Lease{Owner: "a", Until: now.Add(30 * time.Second), Fence: 1})
		r.same(leased.Intent, &record.Intent{Generation: 1, Hash: "hash", At: now, Fence: 1})
		r.same(r.credential(e), leased)
		for _, seen := range []record.Credential{c, leased} {
			for _, owner := range []string{"a", "b"} {
				_, err := r.tryAcquire(seen, owner)
				r.is(err, vault.ErrHeld)
			}
		}
		r.clock.Add(30*time.Second - time.Millisecond)
		_, err := r.tryAcquire(leased, "b")
		r.is(err, vault.ErrHeld)
		r.clock.Add(time.Millisecond)
		_, err = r.tryAcquire(c, "b") // from a reading before the lease
		r.is(err, vault.ErrHeld)
		taken := r.acquire(leased, "b")
		if taken.Fence != 2 || taken.Lease.Owner != "b" || taken.Intent.Fence != 2 {
			r.Errorf("the next lease is %+v", taken)
		}
		r.same(r.credential(e), taken)
	})
}

func TestLeaseRace(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		for round := range 3 {
			r.wantOne(together(20, func(i int) error {
				_, err := r.tryAcquire(c, fmt.Sprint("owner", i))
				return err
			}), func(err error) bool { return errors.Is(err, vault.ErrHeld) })
			r.clock.Add(time.Minute)
			if c = r.credential(e); c.Fence != int64(round)+1 {
				r.Fatalf("round %d: the fence is %d", round, c.Fence)
			}
		}
	})
}

func TestCommitEndsEverything(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		leased := r.acquire(c, "a")
		r.ok(r.Fail(r.Context(), leased, r.failure(), record.Active, "", true))
		leased = r.acquire(r.credential(e), "b")
		if leased.Failure == nil || leased.Failure.Count != 2 {
			r.Fatalf("the failure is %+v", leased.Failure)
		}
		r.clock.Add(time.Second)
		set := r.set(leased, 2)
		next, err := r.Commit(r.Context(), leased, set)
		r.ok(err)
		want := leased
		want.Generation, want.Sealed, want.Expires, want.DueAt, want.Commit = 2, set.Sealed, set.Expires, set.DueAt, set.Commit
		want.Refreshed, want.Lease, want.Intent, want.Failure = r.clock.Now(), nil, nil, nil
		r.same(next, want)
		r.same(r.credential(e), want)
		r.wantTokens(e, 2)
	})
}

// A success commits on the generation alone: the late answer to a token that can be spent once is the only living one.
func TestLateSuccessCommits(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		late := r.acquire(r.authorized(e), "late")
		r.clock.Add(time.Minute)
		next := r.acquire(r.credential(e), "next")
		_, err := r.Commit(r.Context(), late, r.set(late, 2))
		r.ok(err)
		r.wantTokens(e, 2)
		if c := r.credential(e); c.Lease != nil || c.Intent != nil || c.Fence != 2 {
			r.Errorf("the other's lease and intent stand: %+v", c)
		}
		r.is(r.Fail(r.Context(), next, r.failure(), record.Reauth, record.Revoked, false), vault.ErrFenced)
		_, err = r.Commit(r.Context(), next, r.set(next, 2))
		r.is(err, vault.ErrOvertaken)
		r.wantTokens(e, 2)
		if c := r.credential(e); c.Status != record.Active || c.Failure != nil {
			r.Errorf("the loser left %+v", c)
		}
	})
}

// Even when another owner has given the token up: the answer proves that it was spent by us.
func TestLateSuccessRevivesRotationUnknown(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		late := r.acquire(r.authorized(e), "late")
		r.clock.Add(time.Minute)
		next := r.acquire(r.credential(e), "next")
		r.ok(r.Fail(r.Context(), next, r.failure(), record.Reauth, record.RotationUnknown, false))
		if c := r.credential(e); c.Status != record.Reauth || c.Cause != record.RotationUnknown {
			r.Fatalf("the entry is %+v", c)
		}
		_, err := r.Commit(r.Context(), late, r.set(late, 2))
		r.ok(err)
		if c := r.credential(e); c.Status != record.Active || c.Cause != "" || c.Failure != nil || c.DueAt.IsZero() {
			r.Errorf("the entry is %+v", c)
		}
		r.wantTokens(e, 2)
	})
}

func TestLateSuccessYieldsToANewAuthorizationAndToDeletion(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		first := r.authorized(e)
		late := r.acquire(first, "late")
		second := r.firstOf(e)
		second.Generation = 2
		sealed, err := r.SealTokens(r.Context(), second, 2, tokenSet(2))
		r.ok(err)
		second.Sealed = sealed
		r.ok(r.Authorize(r.Context(), &first, second, nil))
		_, err = r.Commit(r.Context(), late, r.set(late, 2))
		r.is(err, vault.ErrOvertaken)
		r.same(r.credential(e).Commit, second.Commit)

		late = r.acquire(r.credential(e), "late")
		r.ok(r.DeleteEntry(r.Context(), e, 2))
		_, err = r.Commit(r.Context(), late, r.set(late, 3))
		r.is(err, vault.ErrOvertaken)
		r.is(r.Fail(r.Context(), late, r.failure(), record.Active, "", false), vault.ErrFenced)
		r.ok(r.Reschedule(r.Context(), late, r.clock.Now()))
		_, err = r.tryAcquire(late, "late")
		r.is(err, vault.ErrHeld)
		if _, found, err := r.Credential(r.Context(), tenant, e.ID); found || err != nil {
			r.Errorf("a deleted credential is back, or %v", err)
		}
	})
}

func TestCommitRace(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.acquire(r.authorized(e), "a")
		r.wantOne(together(10, func(int) error {
			_, err := r.Commit(r.Context(), c, r.set(c, 2))
			return err
		}), func(err error) bool { return errors.Is(err, vault.ErrOvertaken) })
		r.wantTokens(e, 2)
	})
}

// A commit whose answer was lost is known by its id when it is tried again, also after somebody has written since.
func TestLostAnswerOfCommit(t *testing.T) {
	t.Parallel()
	lossy := &forgetful{}
	r := newRig(t, func(items store.Items) store.Items { lossy.Items = items; return lossy })
	e := r.entry("shop")
	c := r.acquire(r.authorized(e), "a")
	set := r.set(c, 2)
	lossy.losesNext()
	_, err := r.Commit(t.Context(), c, set)
	r.is(err, errLost)
	again, err := r.Commit(t.Context(), c, set)
	r.ok(err)
	r.same(again.Generation, int64(2))
	r.acquire(r.credential(e), "b")
	_, err = r.Commit(t.Context(), c, set)
	r.ok(err)
	if c := r.credential(e); c.Lease == nil || c.Lease.Owner != "b" {
		t.Errorf("the repeat took the next owner's lease: %+v", c)
	}
	foreign := r.set(c, 2)
	_, err = r.Commit(t.Context(), c, foreign)
	r.is(err, vault.ErrOvertaken)
	r.wantTokens(e, 2)
}

// A lease whose answer was lost is held by nobody who knows it, and runs out.
func TestLostAnswerOfAcquire(t *testing.T) {
	t.Parallel()
	lossy := &forgetful{}
	r := newRig(t, func(items store.Items) store.Items { lossy.Items = items; return lossy })
	e := r.entry("shop")
	c := r.authorized(e)
	lossy.losesNext()
	_, err := r.tryAcquire(c, "a")
	r.is(err, errLost)
	_, err = r.tryAcquire(c, "a")
	r.is(err, vault.ErrHeld)
	r.clock.Add(30 * time.Second)
	leased := r.acquire(r.credential(e), "b")
	lossy.losesNext()
	r.is(r.Fail(t.Context(), leased, r.failure(), record.Active, "", false), errLost)
	r.is(r.Fail(t.Context(), leased, r.failure(), record.Active, "", false), vault.ErrFenced) // it is noted, and the lease is over
	if c := r.credential(e); c.Failure == nil || c.Lease != nil {
		t.Errorf("the entry is %+v", c)
	}
}

func TestFailureIsNoted(t *testing.T) {
	each(t, func(r *rig) {
		for _, test := range []struct {
			status     record.Status
			cause      record.Cause
			keepIntent bool
		}{
			{record.Active, "", true}, {record.Active, "", false}, {record.Reauth, record.Revoked, false}, {record.Reauth, record.RotationUnknown, true},
		} {
			e := r.entry(fmt.Sprint("shop", test))
			leased := r.acquire(r.authorized(e), "a")
			failure := r.failure()
			r.ok(r.Fail(r.Context(), leased, failure, test.status, test.cause, test.keepIntent))
			want := leased
			want.Lease, want.Failure, want.Status, want.Cause, want.DueAt = nil, &failure, test.status, test.cause, failure.RetryAt
			if !test.keepIntent {
				want.Intent = nil
			}
			if test.status != record.Active { // it is no use until a person comes, and that is to be told
				want.DueAt = r.clock.Now().Add(vault.NoticePause)
				want.Notices = append(want.Notices, record.Notice{Kind: record.EventReauth, Generation: 1, Cause: test.cause},
					record.Notice{Kind: record.EventRecovered, Generation: 1})
			}
			r.same(r.credential(e), want)
			r.wantTokens(e, 1)
			r.is(r.Fail(r.Context(), leased, failure, test.status, test.cause, test.keepIntent), vault.ErrFenced)
		}
	})
}

// Whose lease is over says nothing about the present.
func TestFailureIsFenced(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		old := r.acquire(r.authorized(e), "a")
		r.clock.Add(time.Minute)
		next := r.acquire(r.credential(e), "a") // the same owner, under another fence
		r.is(r.Fail(r.Context(), old, r.failure(), record.Reauth, record.Revoked, false), vault.ErrFenced)
		r.same(r.credential(e), next)
		imposter := next
		imposter.Lease = &record.Lease{Owner: "b", Fence: next.Fence}
		r.is(r.Fail(r.Context(), imposter, r.failure(), record.Reauth, record.Revoked, false), vault.ErrFenced)
		_, err := r.Commit(r.Context(), next, r.set(next, 2))
		r.ok(err)
		r.is(r.Fail(r.Context(), next, r.failure(), record.Reauth, record.Revoked, false), vault.ErrFenced)
		if c := r.credential(e); c.Status != record.Active || c.Failure != nil {
			r.Errorf("the entry is %+v", c)
		}
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := record.Credential{Expires: now}
	if c.HealthAt(now.Add(time.Hour)) != record.OK {
		t.Error("without a failure the health is not ok")
	}
	c.Failure = &record.Failure{}
	if c.HealthAt(now.Add(-1)) != record.Degraded || c.HealthAt(now) != record.Failing {
		t.Error("a failing refresh is not degraded while the token lives, and failing after")
	}
}

// dueNow walks every shard as the planner does.
func (r *rig) dueNow(limit int) []string {
	r.Helper()
	var ids []string
	for n := range vault.DueShards {
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			page, next, err := r.DueEntries(r.Context(), vault.DueShard("amazon", n), r.Vault.Now(), limit, cursor)
			r.ok(err)
			if len(page) > limit {
				r.Fatalf("a page of %d by %d", len(page), limit)
			}
			for _, d := range page {
				r.same(d.Tenant, tenant)
				ids = append(ids, d.Entry)
			}
			cursor = next
		}
	}
	slices.Sort(ids)
	return ids
}

func TestDueEntries(t *testing.T) {
	each(t, func(r *rig) {
		var all []string
		byID := map[string]record.Entry{}
		for i := range 40 {
			e := r.entry(fmt.Sprint("shop", i))
			r.authorized(e)
			all = append(all, e.ID)
			byID[e.ID] = e
		}
		slices.Sort(all)
		r.same(r.dueNow(10), []string(nil))
		r.clock.Add(48*time.Minute - time.Second)
		r.same(r.dueNow(10), []string(nil))
		r.clock.Add(time.Second)
		r.same(r.dueNow(2), all)
		r.same(r.dueNow(100), all)

		c := r.credential(byID[all[0]])
		r.ok(r.Reschedule(r.Context(), c, r.clock.Now().Add(time.Hour)))
		r.ok(r.Reschedule(r.Context(), r.credential(byID[all[1]]), time.Time{}))
		r.ok(r.DeleteEntry(r.Context(), byID[all[2]], 1))
		leased := r.acquire(r.credential(byID[all[3]]), "a")
		r.ok(r.Fail(r.Context(), leased, r.failure(), record.Reauth, record.Revoked, false))
		leased = r.acquire(r.credential(byID[all[4]]), "a")
		_, err := r.Commit(r.Context(), leased, r.set(leased, 2))
		r.ok(err)
		r.same(r.dueNow(10), all[5:])
		r.clock.Add(time.Hour)
		r.same(r.dueNow(10), append([]string{all[0], all[3], all[4]}, all[5:]...)) // all[3] has something to tell
	})
}

// Whoever raised the generation set its own time; an older look does not put it back.
func TestRescheduleYieldsToANewGeneration(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		old := r.acquire(r.authorized(e), "a")
		next, err := r.Commit(r.Context(), old, r.set(old, 2))
		r.ok(err)
		r.ok(r.Reschedule(r.Context(), old, r.clock.Now()))
		r.same(r.credential(e).DueAt, next.DueAt)
		at := r.clock.Now().Add(5 * time.Minute)
		r.ok(r.Reschedule(r.Context(), next, at))
		next.DueAt = at
		r.same(r.credential(e), next)
	})
}

func TestTokensAreBoundToTheirPlace(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.authorized(e)
		for name, change := range map[string]func(*record.Credential){
			"generation": func(c *record.Credential) { c.Generation++ },
			"entry":      func(c *record.Credential) { c.Entry = "ve_other" },
			"provider":   func(c *record.Credential) { c.Provider = "sage" },
		} {
			moved := c
			change(&moved)
			if _, err := r.OpenTokens(r.Context(), moved); !errors.Is(err, seal.ErrSealed) {
				r.Errorf("under another %s: %v; want ErrSealed", name, err)
			}
		}
		moved := c
		moved.Tenant = other
		if _, err := r.OpenTokens(r.Context(), moved); err == nil {
			r.Error("another tenant opens the tokens")
		}

		req := record.Request{Tenant: tenant, ID: e.ID, Provider: e.Provider}
		set := tokenSet(1)
		set.Lifetime, set.Expires = time.Hour, r.clock.Now()
		sealed, err := r.SealInto(r.Context(), req, set)
		r.ok(err)
		req.Sealed, req.Verifier, c.Sealed = sealed, sealed, sealed
		back, err := r.OpenFrom(r.Context(), req)
		r.ok(err)
		if !back.Access.Equal(set.Access) || !back.Refresh.Equal(set.Refresh) || back.Lifetime != time.Hour || !back.Expires.Equal(set.Expires) {
			r.Error("another set comes out of the request")
		}
		if _, err := r.OpenTokens(r.Context(), c); !errors.Is(err, seal.ErrSealed) {
			r.Errorf("a request's tokens open as an entry's: %v", err)
		}
		if _, err := r.OpenVerifier(r.Context(), req); !errors.Is(err, seal.ErrSealed) {
			r.Errorf("a request's tokens open as its verifier: %v", err)
		}
		req.Verifier, err = r.SealVerifier(r.Context(), req, secret.New("verifier"))
		r.ok(err)
		verifier, err := r.OpenVerifier(r.Context(), req)
		r.ok(err)
		r.same(verifier.Reveal(), "verifier")
		none, err := r.OpenVerifier(r.Context(), record.Request{Tenant: tenant})
		r.ok(err)
		r.same(none.IsZero(), true)
	})
}

// Nothing that the vault stores holds a token.
func TestNoItemHoldsAToken(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.acquire(r.authorized(e), "a")
		_, err := r.Commit(r.Context(), c, r.set(c, 2))
		r.ok(err)
		req := r.begin(r.entry("second"), record.ResultURL)
		r.ok(r.ClaimRequest(r.Context(), req, "a", r.clock.Now().Add(time.Minute)))
		sealed, err := r.SealInto(r.Context(), req, tokenSet(1))
		r.ok(err)
		r.ok(r.SaveExchanged(r.Context(), req, "a", r.clock.Now().Add(time.Minute), sealed))
		items := 0
		r.everyItem(func(table store.Table, item store.Item) {
			items++
			for name, value := range item.Attrs {
				if text := fmt.Appendf(nil, "%v %s", value, value); bytes.Contains(text, []byte(canary)) {
					r.Errorf("%s %s: %s holds a token", table, item.Key.Sort, name)
				}
			}
		})
		if items < 7 {
			r.Errorf("only %d items were looked at", items)
		}
	})
}
