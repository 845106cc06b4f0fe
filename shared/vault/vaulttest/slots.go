package vaulttest

import (
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"connectorvault/shared/vault"
)

const (
	slotHold   = time.Minute
	slotBudget = 30 * time.Second
)

func (r *rig) slots(most int) vault.Slots {
	return vault.Slots{Partition: r.tenant, Name: "app", Most: most, Hold: slotHold}
}

// stage is where calls are made. It counts who is on it, and lets time pass only as far as every call has time for.
type stage struct {
	*rig

	slots vault.Slots

	mu    sync.Mutex
	pools []*vault.SlotPool // one a process; guarded by mu
	calls map[int]time.Time // since when each call is on, or about to be; guarded by mu
	dead  map[int]time.Time // until when a call may be on whose process died; guarded by mu
	on    int               // guarded by mu
	last  int               // number of the last call; guarded by mu
}

func newStage(r *rig, most, processes int) *stage {
	s := &stage{rig: r, slots: r.slots(most), calls: map[int]time.Time{}, dead: map[int]time.Time{}}
	for range processes {
		s.pools = append(s.pools, vault.NewSlotPool(r.process(plainly), slotHold, slotBudget))
	}
	return s
}

// call makes a call of a process, during which work is done. It returns false when there was no slot for it.
func (s *stage) call(process int, dies bool, work func()) (made bool, err error) {
	s.mu.Lock()
	s.last++
	call, pool := s.last, s.pools[process]
	s.calls[call] = s.clock.Now()
	s.mu.Unlock()

	leave, ok, err := pool.Enter(s.Context(), s.slots)
	if ok {
		s.enter()
		work()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ok && dies { // what its provider was asked may go on until its time is over
		s.dead[call] = s.calls[call].Add(slotBudget)
		s.pools[process] = vault.NewSlotPool(s.process(deliveries[call%len(deliveries)]), slotHold, slotBudget)
	}
	if ok {
		s.on--
	}
	delete(s.calls, call)
	if ok && !dies {
		leave()
	}
	return ok, err
}

// enter checks that a call is not one too many.
func (s *stage) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on++
	if now := s.on + len(s.dead); now > s.slots.Most {
		s.Errorf("%d calls at once; want %d at most", now, s.slots.Most)
	}
}

// pass lets time pass, if no call that is on would outlast its budget.
func (s *stage) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	then := s.clock.Now().Add(d)
	for _, since := range s.calls {
		if then.Sub(since) >= slotBudget {
			return
		}
	}
	s.clock.add(d)
	for call, until := range s.dead {
		if !until.After(then) {
			delete(s.dead, call)
		}
	}
}

// slotsAtOnce: processes with pools, on wires that lose answers, which die with slots in their hands and make room for new
// ones, while time passes. There are never more calls than slots; and when all is over, every slot is to be had again.
func slotsAtOnce(r *rig) {
	const most, processes, callers, rounds = 5, 4, 4, 15
	s := newStage(r, most, processes)
	s.fill(most)
	for _, err := range together(processes*callers, func(i int) error {
		random := mrand.New(mrand.NewPCG(3, uint64(i)))
		for range rounds {
			made, err := s.call(i%processes, random.IntN(12) == 0, func() {
				s.pass(time.Duration(random.IntN(10_000)) * time.Millisecond)
				select { // long enough to meet others
				case <-r.Context().Done():
				case <-time.After(time.Millisecond):
				}
			})
			if err != nil && !errors.Is(err, errLost) {
				return err
			}
			if !made {
				s.pass(time.Duration(random.IntN(10_000)) * time.Millisecond)
			}
		}
		return nil
	}) {
		r.ok(err)
	}
	r.clock.add(slotHold)
	r.takeAll(s.slots)
}

// fill makes as many calls at once as there are slots, and sees the next one turned away.
func (s *stage) fill(slots int) {
	s.Helper()
	made, err := s.call(slots%len(s.pools), false, func() {
		if slots > 0 {
			s.fill(slots - 1)
		}
	})
	s.ok(err)
	if made != (slots > 0) {
		s.Errorf("with %d of %d calls to go, made is %v", slots, s.slots.Most, made)
	}
}

// takeAll takes every slot, and checks that there is none left.
func (r *rig) takeAll(s vault.Slots) []vault.Slot {
	r.Helper()
	var all []vault.Slot
	for range s.Most {
		slot, taken, err := r.TakeSlot(r.Context(), s)
		r.ok(err)
		if !taken {
			r.Fatalf("%d slots were to be had; want %d", len(all), s.Most)
		}
		all = append(all, slot)
	}
	r.noSlot(s)
	return all
}

func (r *rig) noSlot(s vault.Slots) {
	r.Helper()
	_, taken, err := r.TakeSlot(r.Context(), s)
	r.ok(err)
	if taken {
		r.Fatal("there was one slot more")
	}
}

// slotsGoWrong: whatever becomes of a write of a slot, its owner has it, or it is free, or it runs out.
func slotsGoWrong(r *rig) {
	for _, goes := range deliveries {
		r.sub(fmt.Sprint("taking ", goes), func(r *rig) { takingGoes(r, goes) })
		r.sub(fmt.Sprint("giving ", goes), func(r *rig) { givingGoes(r, goes) })
		r.sub(fmt.Sprint("renewing ", goes), func(r *rig) { renewingGoes(r, goes) })
	}
}

func takingGoes(r *rig, goes delivery) {
	s := r.slots(1)
	_, taken, err := r.process(goes).TakeSlot(r.Context(), s)
	if taken != goes.heard() || (err == nil) != goes.heard() {
		r.Fatalf("taken is %v, %v", taken, err)
	}
	if goes.carriedOut() {
		r.noSlot(s)
		r.clock.add(slotHold - time.Millisecond)
		r.noSlot(s)
		r.clock.add(time.Millisecond)
	}
	r.takeAll(s)
}

func givingGoes(r *rig, goes delivery) {
	s := r.slots(3)
	slot := r.takeAll(s)[1]
	p := r.process(goes)
	r.ok(insist(func() error { return p.GiveSlot(r.Context(), slot) }))
	r.takeOne(s)
	r.ok(p.GiveSlot(r.Context(), slot)) // late, and it is another's now
	r.is(p.RenewSlot(r.Context(), slot, r.clock.Now().Add(time.Hour)), vault.ErrHeld)
	r.noSlot(s)
}

func renewingGoes(r *rig, goes delivery) {
	s := r.slots(2)
	slot := r.takeAll(s)[0]
	r.clock.add(slotHold - time.Millisecond)
	p := r.process(goes)
	r.ok(insist(func() error { return p.RenewSlot(r.Context(), slot, r.clock.Now().Add(slotHold)) }))
	r.noSlot(s)
	r.clock.add(slotHold - time.Millisecond)
	r.takeOne(s) // the other one, which ran out
	r.clock.add(time.Millisecond)
	r.takeOne(s)
	r.is(p.RenewSlot(r.Context(), slot, r.clock.Now().Add(time.Hour)), vault.ErrHeld)
}

// slotsOfACrowd: all at one moment, and each slot to one.
func slotsOfACrowd(r *rig) {
	s := r.slots(7)
	for range 3 {
		var got atomic.Int64
		for _, err := range together(40, func(int) error {
			_, taken, err := r.process(twice).TakeSlot(r.Context(), s)
			if taken {
				got.Add(1)
			}
			return err
		}) {
			r.ok(err)
		}
		if got.Load() > int64(s.Most) {
			r.Errorf("a crowd got %d slots; want %d at most", got.Load(), s.Most)
		}
		for range int64(s.Most) - got.Load() { // those that were looked for where others were faster
			_, taken, err := r.TakeSlot(r.Context(), s)
			r.ok(err)
			r.same(taken, true)
		}
		r.noSlot(s)
		r.clock.add(slotHold)
	}
}

// takeOne takes the only slot there is.
func (r *rig) takeOne(s vault.Slots) {
	r.Helper()
	_, taken, err := r.TakeSlot(r.Context(), s)
	r.ok(err)
	if !taken {
		r.Fatal("no slot is to be had")
	}
	r.noSlot(s)
}
