package vault

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// slotGiving bounds how long a call waits for its slot to be given back. Given or not, it runs out.
const slotGiving = time.Second

// slotShare bounds what a process keeps unused to a part of all slots: after a crowd of calls has gone, others have use
// for theirs.
const slotShare = 30

// SlotPool keeps the slots that this process took, so that one call after another uses them. A call needs a slot that is
// held for as long as a call may last; so one that is held for twice as long costs a write and a look in that time, however
// many calls it serves.
//
// A slot is used by one call at a time. After the call it stays with the process, unless slots are scarce or the process
// keeps its share of them: then it is given back, so that a process with a call now and then keeps none from one that
// waits. It is safe for concurrent use.
type SlotPool struct {
	vault        *Vault
	hold, budget time.Duration

	mu    sync.Mutex
	kept  map[Slots][]Slot // guarded by mu; not in use, the one used last is the last
	swept time.Time        // guarded by mu; when what ran out was dropped last
}

// NewSlotPool returns a pool of v that takes slots for hold. A call lasts budget at most: who calls sees to it. hold is
// longer than budget, by what makes a kept slot worth keeping.
func NewSlotPool(v *Vault, hold, budget time.Duration) *SlotPool {
	return &SlotPool{vault: v, hold: hold, budget: budget, kept: map[Slots][]Slot{}, swept: v.Now()}
}

// Enter takes a slot for one call, which ends with leave. ok is false when all are in use. The Hold of s is the pool's.
func (p *SlotPool) Enter(ctx context.Context, s Slots) (leave func(), ok bool, err error) {
	s.Hold = p.hold
	for range 3 {
		slot, taken, err := p.obtain(ctx, s)
		if err != nil || !taken {
			return func() {}, false, err
		}
		if p.left(slot) >= p.budget {
			return sync.OnceFunc(func() { p.leave(ctx, s, slot) }), true, nil
		}
		p.keep(s, slot) // the write took so long that it must be renewed already
	}
	return func() {}, false, nil
}

// left is how long a slot is still ours.
func (p *SlotPool) left(slot Slot) time.Duration { return slot.Until.Sub(p.vault.Now()) }

// obtain returns a kept slot, renewed where it has no time for a call, and otherwise takes one.
func (p *SlotPool) obtain(ctx context.Context, s Slots) (slot Slot, taken bool, err error) {
	for {
		slot, found := p.pick(s)
		if !found {
			return p.vault.TakeSlot(ctx, s)
		}
		if p.left(slot) >= p.budget {
			return slot, true, nil
		}
		renewed, err := p.renew(ctx, s, slot)
		switch {
		case err == nil:
			return renewed, true, nil
		case !errors.Is(err, ErrHeld):
			p.keep(s, slot)
			return Slot{}, false, err
		}
	}
}

// renew looks whether slots have become scarce since, for who renews draws no number and would never hear of it.
func (p *SlotPool) renew(ctx context.Context, s Slots, slot Slot) (Slot, error) {
	crowded, err := p.vault.slotHeld(ctx, s, slot.owner)
	if err != nil {
		return slot, err
	}
	slot.Crowded = crowded
	until := slotEnd(p.vault.Now().Add(p.hold))
	if err := p.vault.RenewSlot(ctx, slot, until); err != nil {
		return slot, err
	}
	slot.Until = until
	return slot, nil
}

// pick takes out a kept slot: the one used last that has time for a call, so that the others run out; or else one that
// has not run out.
func (p *SlotPool) pick(s Slots) (Slot, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	kept := slices.DeleteFunc(p.kept[s], func(slot Slot) bool { return p.left(slot) <= 0 })
	best := len(kept) - 1
	for i, slot := range kept {
		if p.left(slot) >= p.budget {
			best = i
		}
	}
	if best < 0 {
		delete(p.kept, s)
		return Slot{}, false
	}
	slot := kept[best]
	p.kept[s] = slices.Delete(kept, best, best+1)
	return slot, true
}

// sweep drops, once a hold, what ran out, so that what is kept is never more than was taken in two.
func (p *SlotPool) sweep() {
	if now := p.vault.Now(); now.Sub(p.swept).Abs() < p.hold {
		return
	}
	p.swept = p.vault.Now()
	for s, kept := range p.kept {
		kept = slices.DeleteFunc(kept, func(slot Slot) bool { return p.left(slot) <= 0 })
		if p.kept[s] = kept; len(kept) == 0 {
			delete(p.kept, s)
		}
	}
}

func (p *SlotPool) keep(s Slots, slot Slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[s] = append(p.kept[s], slot)
}

// keepUnlessMany keeps a slot that no call uses, where the process does not keep its share already.
func (p *SlotPool) keepUnlessMany(s Slots, slot Slot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept[s]) >= max(1, s.Most/slotShare) {
		return false
	}
	p.kept[s] = append(p.kept[s], slot)
	return true
}

func (p *SlotPool) leave(ctx context.Context, s Slots, slot Slot) {
	if !slot.Crowded && p.keepUnlessMany(s, slot) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), slotGiving)
	defer cancel()
	_ = p.vault.GiveSlot(ctx, slot) // it runs out by itself
}
