package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/store"
)

// Attributes of a slot.
const (
	attrSlotOwner = "owner"
	attrSlotUntil = "until"
)

// slotKept is how much longer than it runs a slot's item stays, so that no engine's clock removes one that is in use.
const slotKept = time.Minute

// How often TakeSlot tries to write: so often a number drawn blindly, and so often one that was seen free.
const (
	slotProbes = 3
	slotPicks  = 3
)

// Slots names calls at once that callers of one application share, on whatever machine they are: a provider that takes
// Most calls at once of an application has as many slots, and who calls holds one.
type Slots struct {
	Partition string        // outside every tenant where an application serves several
	Name      string        // of the application
	Most      int           // how many there are
	Hold      time.Duration // how long one is held; a call ends before, or shares its slot with another's
}

// Slot is one slot that is held until its time, or until it is given back.
type Slot struct {
	Until   time.Time
	Crowded bool // others were in use where it was looked for: who has no need of it now gives it back

	key   store.Key
	owner string
}

func (s Slots) prefix() string { return "slot#" + s.Name + "#" }

func (s Slots) key(number int) store.Key {
	return store.Key{Partition: s.Partition, Sort: fmt.Sprintf("%s%03d", s.prefix(), number)}
}

// TakeSlot takes one of the slots until now+Hold. taken is false when all are in use, or when others were faster each
// time that one was seen free.
//
// A slot is an item of its own, and taking it one conditional write: it is not there, or has run out. So there are never
// more than Most, and the slot of a process that died is free again by itself. As long as few are in use a number drawn
// blindly is a free one; only where several are not, all are listed.
func (v *Vault) TakeSlot(ctx context.Context, s Slots) (slot Slot, taken bool, err error) {
	if s.Most < 1 {
		return Slot{}, false, nil
	}
	owner, err := ident.New(v.Random, "")
	if err != nil {
		return Slot{}, false, err
	}
	slot.owner = owner
	numbers := make([]int, s.Most)
	for i := range numbers {
		numbers[i] = i
	}
	if taken, err = v.takeAny(ctx, s, &slot, numbers, slotProbes); taken || err != nil {
		return slot, taken, err
	}
	if numbers, err = v.freeSlots(ctx, s); err != nil {
		return Slot{}, false, err
	}
	taken, err = v.takeAny(ctx, s, &slot, numbers, slotPicks)
	return slot, taken, err
}

// takeAny tries numbers in random order, so many of them at most.
func (v *Vault) takeAny(ctx context.Context, s Slots, slot *Slot, numbers []int, tries int) (taken bool, err error) {
	for range min(tries, len(numbers)) {
		i, err := v.intn(len(numbers))
		if err != nil {
			return false, err
		}
		slot.key = s.key(numbers[i])
		numbers = slices.Delete(numbers, i, i+1)
		now := v.Now()
		slot.Until = slotEnd(now.Add(s.Hold))
		err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: slot.key,
			If:  store.Any(store.Absent(), store.AtMost(attrSlotUntil, milli(now))),
			Set: slotAttrs(slot.owner, slot.Until)})
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) {
			return err == nil, err
		}
		slot.Crowded = true
	}
	return false, nil
}

// slotEnd is a time as the item keeps it, so that nobody holds a slot longer than others see.
func slotEnd(until time.Time) time.Time { return fromMilli(milli(until)) }

func slotAttrs(owner string, until time.Time) store.Attrs {
	return store.Attrs{attrSlotOwner: owner, attrSlotUntil: milli(until), store.AttrExpires: unix(until.Add(slotKept))}
}

// freeSlots lists the numbers that nobody holds.
func (v *Vault) freeSlots(ctx context.Context, s Slots) ([]int, error) {
	held := map[store.Key]bool{}
	now := milli(v.Now())
	q := store.Query{Table: store.Transient, Partition: s.Partition, Prefix: s.prefix(), Limit: 1000}
	for more := true; more; {
		items, next, err := v.Items.Query(ctx, q)
		if err != nil {
			return nil, storeFault(err)
		}
		for _, item := range items {
			held[item.Key] = item.Attrs.Int(attrSlotUntil) > now
			q.After = item.Key.Sort
		}
		more = next && len(items) > 0
	}
	var free []int
	for number := range s.Most {
		if !held[s.key(number)] {
			free = append(free, number)
		}
	}
	return free, nil
}

// RenewSlot holds a slot on until another time, also one that ran out and that nobody took since. ErrHeld when somebody
// else has it, or it was given back.
func (v *Vault) RenewSlot(ctx context.Context, slot Slot, until time.Time) error {
	err := v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: slot.key,
		If: store.Equal(attrSlotOwner, slot.owner), Set: slotAttrs(slot.owner, until)})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return ErrHeld
	}
	return err
}

// GiveSlot gives a slot back. One that ran out, or that somebody else has by now, needs no giving.
func (v *Vault) GiveSlot(ctx context.Context, slot Slot) error {
	err := v.apply(ctx, store.Op{Verb: store.Delete, Table: store.Transient, Key: slot.key,
		If: store.Equal(attrSlotOwner, slot.owner)})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// slotHeld looks at one slot drawn blindly, and says whether somebody other than owner holds it.
func (v *Vault) slotHeld(ctx context.Context, s Slots, owner string) (bool, error) {
	number, err := v.intn(s.Most)
	if err != nil {
		return false, err
	}
	attrs, err := v.get(ctx, store.Transient, s.key(number))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return attrs.Int(attrSlotUntil) > milli(v.Now()) && attrs.String(attrSlotOwner) != owner, err
}

// intn draws a number below n.
func (v *Vault) intn(n int) (int, error) {
	var b [8]byte
	if _, err := io.ReadFull(v.Random, b[:]); err != nil {
		return 0, fmt.Errorf("drawing a number: %w", err)
	}
	return int(binary.BigEndian.Uint64(b[:]) % uint64(n)), nil // n is small: no number is drawn noticeably more often
}
