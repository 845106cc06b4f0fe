package vault_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

const (
	slotHold   = time.Minute
	slotBudget = 30 * time.Second
)

func slotsOf(most int) vault.Slots {
	return vault.Slots{Partition: "apps", Name: "sage", Most: most, Hold: slotHold}
}

// counting counts what a store is asked.
type counting struct {
	store.Items
	writes, reads, lists atomic.Int64
	broken               atomic.Bool
	slow                 func() // while a write is on its way
}

func (c *counting) Apply(ctx context.Context, ops ...store.Op) error {
	c.writes.Add(1)
	if c.broken.Load() {
		return store.ErrBusy
	}
	if c.slow != nil {
		c.slow()
	}
	return c.Items.Apply(ctx, ops...)
}

func (c *counting) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	c.reads.Add(1)
	return c.Items.Get(ctx, table, key)
}

func (c *counting) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	c.lists.Add(1)
	return c.Items.Query(ctx, q)
}

// asked fails the test unless the store was asked so much since the last time.
func (c *counting) asked(r *rig, writes, reads, lists int64) {
	r.Helper()
	r.same([]int64{c.writes.Swap(0), c.reads.Swap(0), c.lists.Swap(0)}, []int64{writes, reads, lists})
}

func countingRig(t *testing.T) (*rig, *counting) {
	t.Helper()
	var count *counting
	r := newRig(t, func(items store.Items) store.Items {
		count = &counting{Items: items}
		return count
	})
	return r, count
}

func (r *rig) takeSlot(s vault.Slots) vault.Slot {
	r.Helper()
	slot, taken, err := r.TakeSlot(r.Context(), s)
	r.ok(err)
	if !taken {
		r.Fatal("no slot is to be had")
	}
	return slot
}

func (r *rig) noSlot(s vault.Slots) {
	r.Helper()
	_, taken, err := r.TakeSlot(r.Context(), s)
	r.ok(err)
	if taken {
		r.Fatal("there was one slot more")
	}
}

func (r *rig) enter(p *vault.SlotPool, s vault.Slots) (leave func()) {
	r.Helper()
	leave, ok, err := p.Enter(r.Context(), s)
	r.ok(err)
	if !ok {
		r.Fatal("no slot is to be had")
	}
	return leave
}

func (r *rig) noEntry(p *vault.SlotPool, s vault.Slots) {
	r.Helper()
	leave, ok, err := p.Enter(r.Context(), s)
	r.ok(err)
	if ok {
		r.Fatal("there was one slot more")
	}
	leave()
}

func (r *rig) slotItems(s vault.Slots) int {
	r.Helper()
	items, _, err := r.engine.Query(r.Context(), store.Query{Table: store.Transient, Partition: s.Partition, Prefix: "slot#", Limit: 1000})
	r.ok(err)
	return len(items)
}

// The first that are taken cost one write; the last ones a listing more; and the one after the last is refused.
func TestSlotsAreTakenOneByOne(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(5)
	first := r.takeSlot(s)
	count.asked(r, 1, 0, 0)
	r.same(first.Crowded, false)
	r.same(first.Until, r.clock.Now().Add(slotHold))
	var last vault.Slot
	for range 4 {
		last = r.takeSlot(s)
	}
	count.asked(r, count.writes.Load(), 0, count.lists.Load())
	r.noSlot(s)
	count.asked(r, 3, 0, 1)
	r.ok(r.GiveSlot(r.Context(), last))
	again := r.takeSlot(s)
	r.noSlot(s)
	r.ok(r.GiveSlot(r.Context(), last)) // long given, and somebody else's now
	r.noSlot(s)
	r.is(r.RenewSlot(r.Context(), last, r.clock.Now().Add(time.Hour)), vault.ErrHeld)
	r.ok(r.RenewSlot(r.Context(), again, r.clock.Now().Add(time.Hour)))
	r.clock.Add(slotHold)
	r.same(r.takeSlot(s).Until, r.clock.Now().Add(slotHold))
	for range 3 {
		r.takeSlot(s)
	}
	r.noSlot(s) // the renewed one lives
	r.same(r.slotItems(s), 5)
}

func TestCrowdedSlotSaysSo(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(2)
	r.same(r.takeSlot(s).Crowded, false)
	for range 40 { // one of two numbers is taken, so half of the looks meet it
		slot := r.takeSlot(s)
		r.ok(r.GiveSlot(r.Context(), slot))
		if slot.Crowded {
			return
		}
	}
	t.Error("a slot that was hard to find does not say so")
}

// A slot runs out to the millisecond, on its owner's side too.
func TestSlotRunsOut(t *testing.T) {
	each(t, func(r *rig) {
		r.clock.Add(300 * time.Microsecond)
		s := slotsOf(1)
		slot := r.takeSlot(s)
		r.clock.Add(slot.Until.Sub(r.clock.Now()) - time.Microsecond)
		r.noSlot(s)
		r.clock.Add(time.Microsecond)
		next := r.takeSlot(s)
		r.same(next.Crowded, false)
		r.is(r.RenewSlot(r.Context(), slot, r.clock.Now().Add(slotHold)), vault.ErrHeld)
		r.ok(r.GiveSlot(r.Context(), slot)) // which takes nothing from its new owner
		r.noSlot(s)
		r.clock.Add(slotHold)
		r.ok(r.RenewSlot(r.Context(), next, r.clock.Now().Add(slotHold))) // it ran out, and nobody took it
		r.noSlot(s)
		r.ok(r.GiveSlot(r.Context(), next))
		r.is(r.RenewSlot(r.Context(), next, r.clock.Now().Add(slotHold)), vault.ErrHeld) // given is given
		r.ok(r.GiveSlot(r.Context(), next))
		r.takeSlot(s)
	})
}

func TestSlotsAreApart(t *testing.T) {
	each(t, func(r *rig) {
		s := slotsOf(1)
		named, longer, foreign := s, s, s
		named.Name, longer.Name, foreign.Partition = "sage#000", "sag", tenant
		for _, slots := range []vault.Slots{s, named, longer, foreign} {
			r.takeSlot(slots)
			r.noSlot(slots)
		}
		r.noSlot(vault.Slots{Partition: "apps", Name: "none", Hold: slotHold})
	})
}

// More slots than one page of a listing holds, and numbers of more than three digits.
func TestManySlots(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(1100)
	for i := range 1100 {
		if i == 1042 {
			continue
		}
		r.ok(r.engine.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Transient,
			Key: store.Key{Partition: s.Partition, Sort: fmt.Sprintf("slot#sage#%03d", i)},
			Set: store.Attrs{"owner": "x", "until": r.clock.Now().Add(time.Hour).UnixMilli()}}))
	}
	r.takeSlot(s)
	r.noSlot(s)
}

// Slots that nobody took for long are gone from the store, and none while it is held.
func TestSlotsEndByThemselves(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(1)
	slot := r.takeSlot(s)
	r.ok(r.RenewSlot(t.Context(), slot, r.clock.Now().Add(2*slotHold)))
	r.clock.Add(2*slotHold - time.Second)
	n, err := r.engine.Purge(t.Context())
	r.ok(err)
	r.same(n, 0)
	r.clock.Add(5 * time.Minute)
	n, err = r.engine.Purge(t.Context())
	r.ok(err)
	r.same(n, 1)
	r.takeSlot(s)
}

// What a busy process costs: a write to begin with, and then one a budget, with a look at a neighbour.
func TestWarmPoolWritesLittle(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(1_000_000) // so many that nobody meets
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	call := func() {
		t.Helper()
		leave := r.enter(p, s)
		r.clock.Add(time.Second)
		leave()
	}
	call()
	count.asked(r, 1, 0, 0)
	for range 30 {
		call()
	}
	count.asked(r, 0, 0, 0)
	call()
	count.asked(r, 1, 1, 0)
	for range 600 {
		call()
	}
	writes := count.writes.Load()
	if writes < 18 || writes > 20 {
		t.Errorf("%d writes in ten minutes; want one in thirty seconds", writes)
	}
	r.same(r.slotItems(s), 1)
}

// A kept slot is one call's at a time, and as many are held as calls there were at once.
func TestPoolOfManyCalls(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(1_000_000)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	for range 3 {
		var leaves []func()
		for range 8 {
			leaves = append(leaves, r.enter(p, s))
		}
		for _, leave := range leaves {
			leave()
			leave() // again, which is one time too many
		}
	}
	count.asked(r, 8, 0, 0)
	r.same(r.slotItems(s), 8)
	var leaves []func()
	for range 9 {
		leaves = append(leaves, r.enter(p, s))
	}
	count.asked(r, 1, 0, 0) // no slot was there twice
	for _, leave := range leaves {
		leave()
	}

	// One goes on; the others run out, and are not renewed for nobody.
	for range 12 {
		r.enter(p, s)()
		r.clock.Add(10 * time.Second)
	}
	count.asked(r, 2, 2, 0) // after 40 seconds and after 80
	r.enter(p, s)
	r.enter(p, s) // which takes one anew, for the others are over
	count.asked(r, 2, 1, 0)
}

// A slot that was hard to find is given back at once, before leave returns, and also when the caller is gone.
func TestCrowdedSlotIsGivenBack(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	given, kept := 0, 0
	for i := 0; i < 40 && (given == 0 || kept == 0); i++ {
		s := slotsOf(2)
		s.Name = fmt.Sprint(i)
		r.takeSlot(s) // of two, so that half of the looks meet it
		ctx, cancel := context.WithCancel(t.Context())
		count.writes.Store(0)
		leave, ok, err := p.Enter(ctx, s)
		r.ok(err)
		r.same(ok, true)
		crowded := count.writes.Load() > 1
		r.noSlot(s)
		cancel()
		leave()
		if crowded {
			given++
			r.takeSlot(s)
		} else {
			kept++
			r.noSlot(s)
		}
	}
	if given == 0 || kept == 0 {
		t.Errorf("%d were given back and %d kept; want some of each", given, kept)
	}
}

// The slot that was used last is not the one to take when it has no time for a call and another one has.
// A crowd of calls in one process leaves a few slots with it, not all that it had.
func TestPoolKeepsFewOfACrowd(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(items store.Items) store.Items { return items })
	s := slotsOf(150)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	var leaves []func()
	for range 60 {
		leaves = append(leaves, r.enter(p, s))
	}
	for _, leave := range leaves {
		leave()
	}
	if held := r.slotItems(s); held < 1 || held > 5 {
		t.Errorf("after the crowd has gone the process holds %d of 150", held)
	}
}

func TestPoolPrefersWhatNeedsNoWrite(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(1_000_000)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	old := r.enter(p, s)
	r.clock.Add(20 * time.Second)
	r.enter(p, s)()
	old()
	count.asked(r, 2, 0, 0)
	r.clock.Add(15 * time.Second)
	r.enter(p, s)
	count.asked(r, 0, 0, 0)
	r.enter(p, s)
	count.asked(r, 1, 1, 0)
}

// What nobody uses any more is forgotten, under however many names it was.
func TestPoolForgets(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	for i := range 20 {
		s := slotsOf(1000)
		s.Name = fmt.Sprint(i)
		r.enter(p, s)()
		r.enter(p, s)()
	}
	r.same(p.Kept(), [2]int{20, 20})
	r.clock.Add(slotHold)
	r.enter(p, slotsOf(1000))()
	r.same(p.Kept(), [2]int{1, 1})
}

// One that ran out since anybody looked is not worth a look at its neighbours: another is taken.
func TestPoolLeavesWhatRanOut(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s, another := slotsOf(1_000_000), slotsOf(1_000_000)
	another.Name = "another"
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	r.clock.Add(50 * time.Second)
	r.enter(p, s)()
	r.clock.Add(50 * time.Second)
	r.enter(p, another)() // which looks through everything that is kept
	r.clock.Add(15 * time.Second)
	count.asked(r, 2, 0, 0)
	r.enter(p, s)()
	count.asked(r, 1, 0, 0)
}

// A slot of its own, and one that ran out, make no crowd.
func TestRenewingSeesOthersThatLive(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(1)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	for range 10 {
		r.enter(p, s)()
		r.noSlot(s)
		r.clock.Add(slotHold - slotBudget + time.Second)
	}
	s = slotsOf(4)
	s.Name = "another"
	for range 4 {
		r.takeSlot(s)
	}
	r.clock.Add(slotHold)
	for range 20 {
		r.enter(p, s)()
		r.same(r.slotItems(s), 5)
		r.clock.Add(slotHold - slotBudget + time.Second)
	}
}

// A process that is always busy notices that slots have become scarce, and then keeps none.
func TestRenewingNoticesACrowd(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(4)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	r.enter(p, s)()
	for range 3 {
		r.takeSlot(vault.Slots{Partition: s.Partition, Name: s.Name, Most: s.Most, Hold: time.Hour})
	}
	r.noSlot(s)
	for range 40 {
		r.clock.Add(slotHold - slotBudget + time.Second)
		leave := r.enter(p, s)
		r.noSlot(s)
		leave()
		if r.slotItems(s) == 3 {
			return
		}
	}
	t.Error("a full house, and a process kept its slot for twenty minutes")
}

// A slot that somebody took after it ran out is not renewed.
func TestPoolLosesWhatRanOut(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(1)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	r.enter(p, s)()
	r.noSlot(s) // kept, not given
	r.clock.Add(slotHold)
	other := r.takeSlot(s)
	r.noEntry(p, s)
	r.ok(r.GiveSlot(t.Context(), other))
	r.enter(p, s)()

	// As is one whose time the two see otherwise.
	r.clock.Add(slotHold)
	r.takeSlot(s)
	r.clock.Add(-2 * time.Second)
	r.noEntry(p, s)
}

// A clock that steps back leaves everything held for longer, and one that steps on lets everything run out.
func TestSlotsAndClockSteps(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	s := slotsOf(3)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	leaves := []func(){r.enter(p, s), r.enter(p, s), r.enter(p, s)}
	r.clock.Add(-24 * time.Hour)
	r.noSlot(s)
	r.noEntry(p, s)
	for _, leave := range leaves {
		leave()
	}
	r.clock.Add(72 * time.Hour)
	for range 3 {
		r.takeSlot(s)
	}
	r.noEntry(p, s)
}

// A write that took longer than it may leaves too little of the slot: it is renewed before the call, and when that takes
// as long, there is no call.
func TestSlotThatCameLate(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(1_000_000)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	count.slow = func() {
		count.slow = nil
		r.clock.Add(slotHold - slotBudget + time.Second)
	}
	began := r.clock.Now()
	r.enter(p, s)
	count.asked(r, 2, 1, 0)
	r.same(r.slotItems(s), 1)
	r.same(r.clock.Now().Sub(began) < slotHold, true)

	count.slow = func() { r.clock.Add(slotHold - slotBudget + time.Second) }
	r.noEntry(p, s)
}

func TestSlotsWithoutAStore(t *testing.T) {
	t.Parallel()
	r, count := countingRig(t)
	s := slotsOf(1_000_000)
	p := vault.NewSlotPool(r.Vault, slotHold, slotBudget)
	r.enter(p, s)()
	count.broken.Store(true)
	if _, taken, err := r.TakeSlot(t.Context(), s); taken || !errors.Is(err, store.ErrBusy) {
		t.Errorf("taken %v, %v", taken, err)
	}
	r.enter(p, s)() // what is kept serves on
	r.clock.Add(slotHold - slotBudget + time.Second)
	leave, ok, err := p.Enter(t.Context(), s)
	if ok || !errors.Is(err, store.ErrBusy) {
		t.Errorf("entered %v, %v", ok, err)
	}
	leave()
	count.broken.Store(false)
	count.writes.Store(0)
	r.enter(p, s)()
	r.same(r.slotItems(s), 1) // the same slot, which was not forgotten
}

func TestSlotsWithoutRandomness(t *testing.T) {
	t.Parallel()
	r, _ := countingRig(t)
	cfg := r.Config
	cfg.Random = failing{}
	v := vault.New(cfg)
	if _, taken, err := v.TakeSlot(t.Context(), slotsOf(1)); taken || err == nil {
		t.Errorf("taken %v, %v", taken, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errLost }

// An ambiguous write is either seen to have succeeded, or leaves a slot that runs out; never two.
func TestAmbiguousSlotWrites(t *testing.T) {
	t.Parallel()
	var lossy *forgetful
	r := newRig(t, func(items store.Items) store.Items {
		lossy = &forgetful{Items: items}
		return lossy
	})
	s := slotsOf(1)
	lossy.losesNext()
	if _, taken, err := r.TakeSlot(t.Context(), s); taken || !errors.Is(err, errLost) {
		t.Fatalf("taken %v, %v", taken, err)
	}
	r.noSlot(s)
	r.clock.Add(slotHold)
	slot := r.takeSlot(s)
	lossy.losesNext()
	r.is(r.GiveSlot(t.Context(), slot), errLost)
	r.ok(r.GiveSlot(t.Context(), slot))
	r.takeSlot(s)
}

func BenchmarkTakeSlot(b *testing.B) {
	for _, used := range []int{0, 75, 149} {
		b.Run(fmt.Sprint(used, " of 150 in use"), func(b *testing.B) {
			v := benchVault(b)
			s := slotsOf(150)
			for range used {
				if _, taken, err := v.TakeSlot(b.Context(), s); err != nil || !taken {
					b.Fatal(taken, err)
				}
			}
			for b.Loop() {
				slot, taken, err := v.TakeSlot(b.Context(), s)
				if err != nil || !taken {
					b.Fatal(taken, err)
				}
				if err := v.GiveSlot(b.Context(), slot); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWarmPool(b *testing.B) {
	v := benchVault(b)
	p := vault.NewSlotPool(v, slotHold, slotBudget)
	s := slotsOf(150)
	for b.Loop() {
		leave, ok, err := p.Enter(b.Context(), s)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		leave()
	}
}

func benchVault(b *testing.B) *vault.Vault {
	b.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := sqlitestore.Open(b.Context(), sqlitestore.Config{Path: filepath.Join(b.TempDir(), "vault.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return vault.New(vault.Config{Items: s, Now: func() time.Time { return now }, Random: rand.Reader})
}
