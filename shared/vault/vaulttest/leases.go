package vaulttest

import (
	"fmt"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// leaseRace: only one of fifty that saw the same gets it, and its intent is the one that is written.
func leaseRace(r *rig) {
	e, _ := r.authorized()
	for round, goes := range []delivery{plainly, twice} {
		seen := r.credential(e)
		leases := make([]record.Credential, 50)
		winner := r.one(together(len(leases), func(i int) (err error) {
			leases[i], err = r.tryAcquire(r.process(goes), seen, fmt.Sprint("owner", i))
			return err
		}), vault.ErrHeld)
		now := r.clock.Now()
		want := seen
		want.Fence = int64(round) + 1
		want.Lease = &record.Lease{Owner: fmt.Sprint("owner", winner), Until: now.Add(leaseTime), Fence: want.Fence}
		want.Intent = &record.Intent{Generation: 1, Hash: fmt.Sprint("hash of owner", winner), At: now, Fence: want.Fence}
		r.stands(r.credential(e), want)
		r.stands(leases[winner], want)
		r.clock.add(leaseTime)
	}
}

// leaseLives: to the millisecond, and for its owner too.
func leaseLives(r *rig) {
	e, _ := r.authorized()
	for fence := range int64(3) {
		leased := r.acquire(e, "owner")
		r.same(leased.Fence, fence+1)
		r.clock.add(leaseTime - time.Millisecond)
		before := r.snapshot()
		for i, owner := range []string{"owner", "another"} {
			_, err := r.tryAcquire(r.process(deliveries[i]), leased, owner)
			r.is(err, vault.ErrHeld)
		}
		r.unchanged(before)
		r.clock.add(time.Millisecond)
	}
	r.ok(r.Fail(r.Context(), r.acquire(e, "owner"), r.failure(), record.Active, "", true))
	last := r.acquire(e, "another") // a lease that was ended is over at once
	r.same(last.Fence, int64(5))
	if last.Failure == nil {
		r.Error("a lease ends the failure that was noted before it")
	}
}

// leaseOfStale: who acts on what it read must not have missed anything.
func leaseOfStale(r *rig) {
	for name, happens := range map[string]func(r *rig, e record.Entry){
		"a lease was had and ended": func(r *rig, e record.Entry) {
			r.ok(r.Fail(r.Context(), r.acquire(e, "other"), r.failure(), record.Active, "", false))
		},
		"a lease was had and ran out": func(r *rig, e record.Entry) {
			r.acquire(e, "other")
			r.clock.add(time.Hour)
		},
		"a set was stored": func(r *rig, e record.Entry) {
			c := r.credential(e) // without a lease, as a rescue may: the fence stands where it stood
			_, err := r.Commit(r.Context(), c, r.bought(c, "second"))
			r.ok(err)
		},
		"it was authorized anew": func(r *rig, e record.Entry) { r.authorizeAnew(e) },
		"it was deleted":         func(r *rig, e record.Entry) { r.remove(e) },
	} {
		r.sub(name, func(r *rig) {
			e, seen := r.authorized()
			happens(r, e)
			before := r.snapshot()
			for _, goes := range deliveries {
				p := r.process(goes)
				r.is(insist(func() error {
					_, err := r.tryAcquire(p, seen, "owner")
					return err
				}), vault.ErrHeld)
				r.unchanged(before)
			}
		})
	}
	r.sub("of another tenant", func(r *rig) {
		_, seen := r.authorized()
		before := r.snapshot()
		seen.Tenant = r.stranger
		_, err := r.tryAcquire(r.Vault, seen, "owner")
		r.is(err, vault.ErrHeld)
		r.unchanged(before)
	})
}

// leaseLost: a lease that nobody knows to have runs out, and what it noted says that the token may have been sent.
func leaseLost(r *rig) {
	for _, goes := range []delivery{unheard, doubtful} {
		e, seen := r.authorized()
		p := r.process(goes)
		_, err := r.tryAcquire(p, seen, "owner")
		r.is(err, errLost)
		now := r.credential(e)
		if now.Lease == nil || now.Lease.Owner != "owner" || now.Intent == nil || now.Intent.Fence != 1 || now.Fence != 1 {
			r.Fatalf("the entry is %+v", now)
		}
		for _, c := range []record.Credential{seen, now} {
			_, err = r.tryAcquire(p, c, "owner")
			r.is(err, vault.ErrHeld)
		}
		r.clock.add(leaseTime)
		r.same(r.acquire(e, "next").Fence, int64(2))
	}
	e, seen := r.authorized()
	p := r.process(unsent)
	_, err := r.tryAcquire(p, seen, "owner")
	r.is(err, errLost)
	r.same(r.credential(e), seen)
	leased, err := r.tryAcquire(p, seen, "owner")
	r.ok(err)
	r.same(leased.Fence, int64(1))
}
