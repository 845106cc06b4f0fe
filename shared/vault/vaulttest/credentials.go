package vaulttest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// situation is what has become of an entry since an owner took its lease, and what that owner may still do.
type situation struct {
	name    string
	happens func(r *rig, e record.Entry, own record.Credential)

	succeeds bool // its success is stored
	fails    bool // its failure is noted
}

// situations are everything that can have become of an entry. In all of them the owner's answer may arrive late.
var situations = []situation{
	{"its lease lives", func(*rig, record.Entry, record.Credential) {}, true, true},
	{"its lease ran out", func(r *rig, _ record.Entry, _ record.Credential) { r.clock.add(time.Hour) }, true, true},
	{"it was put on another time", func(r *rig, _ record.Entry, own record.Credential) {
		r.ok(r.Reschedule(r.Context(), own, r.clock.Now().Add(time.Minute)))
	}, true, true},
	{"it gave up itself", func(r *rig, _ record.Entry, own record.Credential) {
		r.ok(r.Fail(r.Context(), own, r.failure(), record.Active, "", true))
	}, true, false},
	{"another owner is at it", func(r *rig, e record.Entry, _ record.Credential) { r.takeOver(e) }, true, false},
	{"another owner of its name is at it", func(r *rig, e record.Entry, own record.Credential) {
		r.clock.add(time.Hour)
		r.acquire(e, own.Lease.Owner)
	}, true, false},
	{"others came and died", func(r *rig, e record.Entry, _ record.Credential) {
		r.takeOver(e)
		r.takeOver(e)
		r.clock.add(time.Hour)
	}, true, false},
	{"another owner failed", func(r *rig, e record.Entry, _ record.Credential) {
		r.ok(r.Fail(r.Context(), r.takeOver(e), r.failure(), record.Active, "", true))
	}, true, false},
	{"another owner failed without sending", func(r *rig, e record.Entry, _ record.Credential) {
		r.ok(r.Fail(r.Context(), r.takeOver(e), r.failure(), record.Active, "", false))
	}, true, false},
	{"another owner gave the token up", func(r *rig, e record.Entry, _ record.Credential) {
		r.ok(r.Fail(r.Context(), r.takeOver(e), r.failure(), record.Reauth, record.RotationUnknown, false))
	}, true, false},
	{"another owner heard that it was revoked", func(r *rig, e record.Entry, _ record.Credential) {
		r.ok(r.Fail(r.Context(), r.takeOver(e), r.failure(), record.Reauth, record.Revoked, false))
	}, true, false},
	{"another owner stored a set", func(r *rig, e record.Entry, _ record.Credential) {
		taken := r.takeOver(e)
		_, err := r.Commit(r.Context(), taken, r.bought(taken, "other"))
		r.ok(err)
	}, false, false},
	{"another owner stored a set, and the next is at it", func(r *rig, e record.Entry, own record.Credential) {
		_, err := r.Commit(r.Context(), own, r.bought(own, "other")) // under the very lease: a rescue, or a frozen twin
		r.ok(err)
		r.acquire(e, own.Lease.Owner)
	}, false, false},
	{"it was authorized anew", func(r *rig, e record.Entry, _ record.Credential) { r.authorizeAnew(e) }, false, false},
	{"it was authorized anew after the token was given up", func(r *rig, e record.Entry, _ record.Credential) {
		r.ok(r.Fail(r.Context(), r.takeOver(e), r.failure(), record.Reauth, record.RotationUnknown, false))
		r.authorizeAnew(e)
	}, false, false},
	{"it was deleted", func(r *rig, e record.Entry, _ record.Credential) { r.remove(e) }, false, false},
	{"it was deleted while another owner was at it", func(r *rig, e record.Entry, _ record.Credential) {
		r.takeOver(e)
		r.remove(e)
	}, false, false},
}

// takeOver lets the lease run out and takes it for another owner.
func (r *rig) takeOver(e record.Entry) record.Credential {
	r.Helper()
	r.clock.add(leaseTime)
	return r.acquire(e, "another")
}

func (r *rig) authorizeAnew(e record.Entry) {
	r.Helper()
	before := r.credential(e)
	r.ok(r.Authorize(r.Context(), &before, r.authorization(e, &before, "anew"), nil))
}

// eachSituation runs a subtest for every situation that is wanted.
func (r *rig) eachSituation(wanted func(situation) bool, test func(r *rig, s situation)) {
	tried := 0
	for _, s := range situations {
		if wanted(s) {
			tried++
			r.sub(s.name, func(r *rig) { test(r, s) })
		}
	}
	if tried == 0 {
		r.Error("no situation was tried")
	}
}

// in makes an entry that is in a situation. own is the credential as the owner knows it.
func (r *rig) in(s situation) (e record.Entry, own record.Credential) {
	r.Helper()
	e, _ = r.authorized()
	own = r.acquire(e, "owner")
	s.happens(r, e, own)
	return e, own
}

// lateSuccess: with tokens that can be spent once the late answer is the only living one. So it is stored, whoever had the
// lease meanwhile and whatever they noted, and it ends all of that.
func lateSuccess(r *rig) {
	r.eachSituation(func(s situation) bool { return s.succeeds }, func(r *rig, s situation) {
		for _, goes := range deliveries {
			e, own := r.in(s)
			now := r.credential(e)
			set := r.bought(own, "bought")
			var next record.Credential
			p := r.process(goes)
			r.ok(insist(func() (err error) {
				next, err = p.Commit(r.Context(), own, set)
				return err
			}))
			want := r.committed(now, set)
			r.stands(r.credential(e), want)
			r.inForce(e, "bought")
			want.Fence, want.DueAt = next.Fence, next.DueAt // the owner knows the ones of its own time
			r.stands(next, want)
		}
	})
}

// lateSuccessYields: to a newer set, to a new authorization and to deletion, without leaving a trace.
func lateSuccessYields(r *rig) {
	r.eachSituation(func(s situation) bool { return !s.succeeds }, func(r *rig, s situation) {
		_, own := r.in(s)
		before := r.snapshot()
		for _, goes := range deliveries {
			p := r.process(goes)
			set := r.bought(own, "late")
			r.is(insist(func() error {
				_, err := p.Commit(r.Context(), own, set)
				return err
			}), vault.ErrOvertaken)
			r.unchanged(before)
		}
	})
	r.sub("of another tenant", func(r *rig) {
		e, _ := r.authorized()
		foreign := r.acquire(e, "owner")
		before := r.snapshot()
		foreign.Tenant = r.stranger
		_, err := r.Commit(r.Context(), foreign, r.bought(foreign, "foreign"))
		r.is(err, vault.ErrOvertaken)
		r.unchanged(before)
	})
	r.sub("of a generation to come", func(r *rig) {
		e, _ := r.authorized()
		own := r.acquire(e, "owner")
		before := r.snapshot()
		own.Generation++
		_, err := r.Commit(r.Context(), own, r.bought(own, "early"))
		r.is(err, vault.ErrOvertaken)
		r.unchanged(before)
	})
}

// oneAnswer: processes that spent the same token, and were each given another.
func oneAnswer(r *rig) {
	for _, goes := range []delivery{plainly, twice, unheard, doubtful} {
		r.sub(goes.String(), func(r *rig) {
			e, _ := r.authorized()
			own := r.acquire(e, "owner")
			sets := make([]vault.NewSet, 8)
			for i := range sets {
				sets[i] = r.bought(own, fmt.Sprint(i))
			}
			winner := r.one(together(len(sets), func(i int) error {
				p := r.process(goes)
				return insist(func() error {
					_, err := p.Commit(r.Context(), own, sets[i])
					return err
				})
			}), vault.ErrOvertaken)
			r.inForce(e, fmt.Sprint(winner))
			r.stands(r.credential(e), r.committed(own, sets[winner]))
		})
	}
}

// commitAgain: who lost the answer, or was rescued as well, is told that the set is in force; and what came after stays.
func commitAgain(r *rig) {
	e, _ := r.authorized()
	own := r.acquire(e, "owner")
	set := r.bought(own, "bought")
	again := func() {
		r.Helper()
		before := r.snapshot()
		for _, goes := range deliveries {
			p := r.process(goes)
			r.ok(insist(func() error {
				next, err := p.Commit(r.Context(), own, set)
				if err == nil && next.Generation != 2 {
					r.Errorf("it says that generation %d is in force", next.Generation)
				}
				return err
			}))
			r.unchanged(before)
		}
	}
	_, err := r.Commit(r.Context(), own, set)
	r.ok(err)
	again()
	r.acquire(e, "next")
	again()
	r.ok(r.Fail(r.Context(), r.credential(e), r.failure(), record.Reauth, record.RotationUnknown, true))
	again()

	taken := r.acquire(e, "next")
	_, err = r.Commit(r.Context(), taken, r.bought(taken, "third"))
	r.ok(err)
	before := r.snapshot()
	_, err = r.Commit(r.Context(), own, set) // it was in force, and is no more
	r.is(err, vault.ErrOvertaken)
	r.unchanged(before)
}

// sealedSets: what somebody who can write the table puts elsewhere, or puts back, does not open.
func sealedSets(r *rig) {
	e, first := r.authorized()
	own := r.acquire(e, "owner")
	_, err := r.Commit(r.Context(), own, r.bought(own, "second"))
	r.ok(err)
	r.inForce(e, "second")
	other, _ := r.authorized()
	place := func(e record.Entry, sealed []byte) {
		r.Helper()
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Update, Table: store.Credentials,
			Key: store.Key{Partition: e.Tenant + "#" + e.ID, Sort: "credential"}, If: store.Exists(), Set: store.Attrs{"sealed": sealed}}))
	}
	current := r.credential(e).Sealed
	for _, test := range []struct {
		name   string
		entry  record.Entry
		sealed []byte
	}{{"an older generation", e, first.Sealed}, {"another entry", other, first.Sealed}, {"another entry and generation", other, current}} {
		place(test.entry, test.sealed)
		if _, err := r.OpenTokens(r.Context(), r.credential(test.entry)); !errors.Is(err, seal.ErrSealed) {
			r.Errorf("a set of %s: %v; want ErrSealed", test.name, err)
		}
	}
	place(e, current)
	r.inForce(e, "second")

	// One that was sealed for the generation before its own is in force, and opens nowhere.
	own = r.acquire(e, "owner")
	set := r.bought(own, "third")
	set.Sealed, err = r.SealTokens(r.Context(), own, own.Generation, tokensOf("third"))
	r.ok(err)
	_, err = r.Commit(r.Context(), own, set)
	r.ok(err)
	if _, err := r.OpenTokens(r.Context(), r.credential(e)); !errors.Is(err, seal.ErrSealed) {
		r.Errorf("a set of the generation before: %v; want ErrSealed", err)
	}
	foreign := r.credential(e)
	foreign.Tenant = r.stranger
	if _, err := r.OpenTokens(r.Context(), foreign); err == nil {
		r.Error("another tenant opens a set")
	}
}

// endings are the ways in which a lease ends without a set.
var endings = []struct {
	status record.Status
	cause  record.Cause
	keep   bool // the intent
}{
	{record.Active, "", true}, {record.Active, "", false}, {record.Reauth, record.Revoked, false}, {record.Reauth, record.RotationUnknown, true},
}

// fencedFailure: a failure is noted by who holds the lease, or held it last with nothing done since. From anybody else it
// is about the past, and changes nothing.
func fencedFailure(r *rig) {
	r.eachSituation(func(s situation) bool { return s.fails }, func(r *rig, s situation) {
		for i, ending := range endings {
			goes := []delivery{plainly, twice, unsent, plainly}[i]
			e, own := r.in(s)
			want, failure := r.credential(e), r.failure()
			p := r.process(goes)
			r.ok(insist(func() error {
				return p.Fail(r.Context(), own, failure, ending.status, ending.cause, ending.keep)
			}))
			want.Lease, want.Failure, want.Status, want.DueAt = nil, &failure, ending.status, failure.RetryAt
			if ending.cause != "" {
				want.Cause = ending.cause
			}
			if !ending.keep {
				want.Intent = nil
			}
			r.stands(r.credential(e), want)
			r.inForce(e, "first")
		}
	})
	r.eachSituation(func(s situation) bool { return !s.fails }, func(r *rig, s situation) {
		_, own := r.in(s)
		before := r.snapshot()
		for i, ending := range endings {
			p := r.process(deliveries[i])
			r.is(insist(func() error {
				return p.Fail(r.Context(), own, r.failure(), ending.status, ending.cause, ending.keep)
			}), vault.ErrFenced)
			r.unchanged(before)
		}
	})
	r.sub("its answer was lost", func(r *rig) {
		e, _ := r.authorized()
		own := r.acquire(e, "owner")
		p := r.process(unheard)
		r.is(p.Fail(r.Context(), own, r.failure(), record.Active, "", false), errLost)
		noted := r.snapshot()
		r.is(p.Fail(r.Context(), own, r.failure(), record.Active, "", false), vault.ErrFenced) // the lease is over: by that very write
		r.unchanged(noted)
	})
}

// imposters have the fence or the name, and not both, or come from elsewhere.
func imposters(r *rig) {
	e, _ := r.authorized()
	own := r.acquire(e, "owner")
	for name, change := range map[string]func(*record.Credential){
		"another owner": func(c *record.Credential) {
			c.Lease = &record.Lease{Owner: "imposter", Until: c.Lease.Until, Fence: c.Fence}
		},
		"no owner":                  func(c *record.Credential) { c.Lease = &record.Lease{} },
		"an older fence":            func(c *record.Credential) { c.Fence-- },
		"a fence to come":           func(c *record.Credential) { c.Fence++ },
		"an older generation":       func(c *record.Credential) { c.Generation-- },
		"a generation to come":      func(c *record.Credential) { c.Generation++ },
		"the same of other tenants": func(c *record.Credential) { c.Tenant = r.stranger },
	} {
		imposter := own
		change(&imposter)
		before := r.snapshot()
		for _, ending := range endings {
			if err := r.Fail(r.Context(), imposter, r.failure(), ending.status, ending.cause, ending.keep); !errors.Is(err, vault.ErrFenced) {
				r.Errorf("%s: the answer is %v; want ErrFenced", name, err)
			}
		}
		r.unchanged(before)
	}
	r.same(r.credential(e), own)
}

// rescheduling goes by the generation too: whoever raised it has set its own time. It is no failure to come too late, and
// makes nothing of an entry that is gone.
func rescheduling(r *rig) {
	r.eachSituation(func(situation) bool { return true }, func(r *rig, s situation) {
		e, own := r.in(s)
		now, found, err := r.Credential(r.Context(), e.Tenant, e.ID)
		r.ok(err)
		before := r.snapshot()
		for i, at := range []time.Time{r.clock.Now().Add(7 * time.Minute), {}} {
			p := r.process(deliveries[i+1])
			r.ok(insist(func() error { return p.Reschedule(r.Context(), own, at) }))
			if !found || now.Generation != own.Generation {
				r.unchanged(before)
				continue
			}
			want := now
			want.DueAt = at
			r.stands(r.credential(e), want)
		}
	})
}

// dueNow lists the tenant's entries that the planner would find, after the index has caught up with wanted.
func (r *rig) dueNow(wanted ...string) {
	r.Helper()
	wanted = slices.Sorted(slices.Values(wanted))
	var found []string
	for range 500 {
		found = found[:0]
		for n := range vault.DueShards {
			for cursor, begun := "", false; !begun || cursor != ""; begun = true {
				page, next, err := r.DueEntries(r.Context(), vault.DueShard("fake", n), r.Vault.Now(), 50, cursor)
				r.ok(err)
				for _, due := range page {
					if due.Tenant == r.tenant {
						found = append(found, due.Entry)
					}
				}
				cursor = next
			}
		}
		slices.Sort(found)
		if slices.Equal(found, wanted) {
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	r.Fatalf("due are %v; want %v", found, wanted)
}

// dueIndex: every write that changes when an entry is looked at moves it in the index, in the same write.
func dueIndex(r *rig) {
	var ids []string
	var entries []record.Entry
	for range 6 {
		e, _ := r.authorized()
		entries, ids = append(entries, e), append(ids, e.ID)
	}
	r.dueNow()
	r.clock.add(48*time.Minute - time.Second)
	r.dueNow()
	r.clock.add(time.Second)
	r.dueNow(ids...)

	own := r.acquire(entries[0], "owner")
	_, err := r.Commit(r.Context(), own, r.bought(own, "second"))
	r.ok(err)
	r.ok(r.Fail(r.Context(), r.acquire(entries[1], "owner"), r.failure(), record.Active, "", true))
	r.ok(r.Fail(r.Context(), r.acquire(entries[2], "owner"), r.failure(), record.Reauth, record.Revoked, false))
	r.ok(r.Reschedule(r.Context(), r.credential(entries[2]), time.Time{})) // once its owner was told, there is nothing to look at
	r.remove(entries[3])
	r.ok(r.Reschedule(r.Context(), r.credential(entries[4]), time.Time{}))
	late := r.acquire(entries[5], "late") // a lease does not hide an entry: its owner may die
	r.dueNow(ids[5])
	r.clock.add(time.Minute)
	r.dueNow(ids[1], ids[5])
	r.ok(r.Fail(r.Context(), r.acquire(entries[5], "next"), r.failure(), record.Reauth, record.RotationUnknown, false))
	r.dueNow(ids[1])
	_, err = r.Commit(r.Context(), late, r.bought(late, "late"))
	r.ok(err)
	r.clock.add(40 * time.Minute)
	r.dueNow(ids[0], ids[1], ids[5])
}

// deletion: a set that was stored since the entry was read is not removed unseen, and nothing that is removed comes back.
func deletion(r *rig) {
	e, first := r.authorized()
	own := r.acquire(e, "owner")
	_, err := r.Commit(r.Context(), own, r.bought(own, "second"))
	r.ok(err)
	before := r.snapshot()
	for _, generation := range []int64{0, first.Generation, 3} {
		if err := r.DeleteEntry(r.Context(), e, generation); err == nil {
			r.Fatalf("it was deleted as of generation %d", generation)
		}
		r.unchanged(before)
	}
	p := r.process(doubtful)
	r.ok(insist(func() error { return p.DeleteEntry(r.Context(), e, 2) }))
	gone := r.snapshot()
	_, err = r.Commit(r.Context(), own, r.bought(own, "late"))
	r.is(err, vault.ErrOvertaken)
	r.is(r.Fail(r.Context(), own, r.failure(), record.Reauth, record.Revoked, false), vault.ErrFenced)
	r.ok(r.Reschedule(r.Context(), own, r.clock.Now()))
	_, err = r.tryAcquire(r.Vault, own, "owner")
	r.is(err, vault.ErrHeld)
	r.is(r.Authorize(r.Context(), &own, r.authorization(e, &own, "anew"), nil), vault.ErrEntryGone)
	r.unchanged(gone)
	if _, found, err := r.Credential(r.Context(), e.Tenant, e.ID); found || err != nil {
		r.Errorf("found is %v, %v", found, err)
	}
}
