package vault_test

import (
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"connectorvault/shared/vault"
)

// bucket is the textbook's token bucket, in whole microseconds: it fills by one a microsecond, and a token costs the
// time that it takes to drip. It shares no formula with what it tests.
type bucket struct {
	cost, size, level int64
	seen              time.Time
}

func newBucket(b vault.Bucket, now time.Time) *bucket {
	cost := int64(1e6 / b.Rate)
	return &bucket{cost: cost, size: cost * int64(b.Burst), level: cost * int64(b.Burst), seen: now}
}

func (b *bucket) take(now time.Time) time.Duration {
	b.level = min(b.size, b.level+now.Sub(b.seen).Microseconds())
	b.seen = now
	if b.level >= b.cost {
		b.level -= b.cost
		return 0
	}
	return time.Duration(b.cost-b.level) * time.Microsecond
}

func (r *rig) take(b vault.Bucket) time.Duration {
	r.Helper()
	wait, err := r.Take(r.Context(), b)
	r.ok(err)
	return wait
}

// On a plain store only: a repeated write costs a token more, which the reference does not know of.
func TestTakeIsATokenBucket(t *testing.T) {
	t.Parallel()
	random := mrand.New(mrand.NewPCG(7, 7))
	for i, b := range []vault.Bucket{
		{Rate: 1, Burst: 1}, {Rate: 0.5, Burst: 1}, {Rate: 5, Burst: 10}, {Rate: 0.0167, Burst: 20}, {Rate: 100, Burst: 3}, {Rate: 2, Burst: 30},
	} {
		r := newRig(t, plain)
		b.Tenant, b.Name = tenant, fmt.Sprint("bucket", i)
		reference := newBucket(b, r.clock.Now())
		for step := range 300 {
			switch random.IntN(10) {
			case 0:
				r.ok(r.Drain(t.Context(), b))
				reference.level, reference.seen = 0, r.clock.Now()
			case 1:
				r.clock.Add(time.Duration(float64(time.Second) / b.Rate * float64(random.IntN(b.Burst+2))))
			case 2, 3, 4:
				r.clock.Add(time.Duration(random.Int64N(int64(float64(time.Second) / b.Rate))).Truncate(time.Microsecond))
			}
			got, want := r.take(b), reference.take(r.clock.Now())
			if got != want {
				t.Fatalf("%+v, step %d: the wait is %v; want %v", b, step, got, want)
			}
			if got > 0 && random.IntN(3) == 0 { // the wait that is told is long enough, and no longer than that
				r.clock.Add(got - time.Microsecond)
				if w := r.take(b); w != time.Microsecond {
					t.Fatalf("%+v, step %d: a microsecond before its time the wait is %v", b, step, w)
				}
				reference.take(r.clock.Now())
				r.clock.Add(time.Microsecond)
				if w := r.take(b); w != 0 {
					t.Fatalf("%+v, step %d: at its time the wait is %v", b, step, w)
				}
				reference.take(r.clock.Now())
			}
		}
	}
}

func TestBucketsAreApart(t *testing.T) {
	each(t, func(r *rig) {
		b := vault.Bucket{Tenant: tenant, Name: "orders", Rate: 0.1, Burst: 1}
		r.same(r.take(b), time.Duration(0))
		r.same(r.take(b), 10*time.Second)
		named, foreign := b, b
		named.Name, foreign.Tenant = "reports", other
		r.same(r.take(named), time.Duration(0))
		r.same(r.take(foreign), time.Duration(0))
	})
}

func TestDrain(t *testing.T) {
	each(t, func(r *rig) {
		b := vault.Bucket{Tenant: tenant, Name: "orders", Rate: 0.5, Burst: 10}
		r.ok(r.Drain(r.Context(), b)) // one that nobody has drawn from
		r.same(r.take(b), 2*time.Second)
		r.clock.Add(2 * time.Second)
		r.same(r.take(b), time.Duration(0))
		if r.take(b) == 0 {
			r.Error("a drained bucket gave two tokens after the time of one")
		}
		r.clock.Add(time.Hour)
		r.same(r.take(b), time.Duration(0))
	})
}

// A crowd at one moment gets the burst and nothing more.
func TestCrowdGetsTheBurst(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	b := vault.Bucket{Tenant: tenant, Name: "orders", Rate: 1, Burst: 12}
	granted := make([]bool, 60)
	for _, err := range together(len(granted), func(i int) error {
		wait, err := r.Take(t.Context(), b)
		granted[i] = wait == 0
		return err
	}) {
		r.ok(err)
	}
	n := 0
	for _, g := range granted {
		if g {
			n++
		}
	}
	if n != 12 {
		t.Errorf("%d of a crowd were granted; want 12", n)
	}
}

// A store that repeats never grants more than the bucket holds.
func TestRepeatedTakesGrantNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, repeats)
	b := vault.Bucket{Tenant: tenant, Name: "orders", Rate: 1, Burst: 10}
	n := 0
	for range 20 {
		if r.take(b) == 0 {
			n++
		}
	}
	if n < 5 || n > 10 {
		t.Errorf("%d were granted; want at least half of 10 and no more", n)
	}
}

// A bucket that is full again is forgotten by itself.
func TestBucketsEndByThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	b := vault.Bucket{Tenant: tenant, Name: "orders", Rate: 0.1, Burst: 3}
	for range 3 {
		r.same(r.take(b), time.Duration(0))
	}
	r.clock.Add(29 * time.Second)
	n, err := r.engine.Purge(t.Context())
	r.ok(err)
	r.same(n, 0)
	r.clock.Add(5 * time.Minute)
	n, err = r.engine.Purge(t.Context())
	r.ok(err)
	r.same(n, 1)
	r.same(r.take(b), time.Duration(0))
}

func TestNotesOfUse(t *testing.T) {
	each(t, func(r *rig) {
		used := func(entry string) int64 {
			n, err := r.UsedGeneration(r.Context(), tenant, entry)
			r.ok(err)
			return n
		}
		r.same(used("ve_1"), int64(0))
		r.ok(r.NoteUse(r.Context(), tenant, "ve_1", 3))
		r.ok(r.NoteUse(r.Context(), tenant, "ve_1", 3))
		r.same(used("ve_1"), int64(3))
		r.same(used("ve_2"), int64(0))
		r.ok(r.NoteUse(r.Context(), tenant, "ve_1", 4))
		r.same(used("ve_1"), int64(4))
		r.clock.Add(48 * time.Hour)
		n, err := r.engine.Purge(r.Context())
		r.ok(err)
		r.same(n, 1)
		r.same(used("ve_1"), int64(0))
	})
}
