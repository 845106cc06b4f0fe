package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"connectorvault/shared/fault"
	"connectorvault/shared/schema"
)

// AttrSchema is the attribute with the number of the form that an item is in. An item without it is in form 1.
const AttrSchema = schema.Attr

// Form says in which forms a kind of item is written and read.
type Form struct {
	Kind   string
	Writes int64 // the number that new items get; 0: the kind has no forms, since nothing of it outlives a deployment
	Reads  int64 // the highest that is read: Writes, or one more while the next is brought in
	// Steps lead from each form that is still read to the next one: Steps[n] makes form n+1 of form n. A step is a pure
	// function: it changes nothing of what it is given, and calls nobody.
	Steps map[int64]Step
	// Holds names an attribute that stands while somebody is about something with the item, and may be of the version before:
	// its last write must find the form that its first one found. So a write brings such an item into the next form only if it
	// sets one of Frees, which is how something new begins or ends. Others hear ErrBusy. "": nothing holds.
	Holds string
	Frees []string
}

// held reports whether an item has to stay in its form for now.
func (f Form) held(op Op, old Attrs) bool {
	if _, holds := old[f.Holds]; !holds || f.Holds == "" || formOf(old) >= f.Writes || op.Verb != Put && op.Verb != Update {
		return false
	}
	return !slices.ContainsFunc(f.Frees, func(name string) bool { _, sets := op.Set[name]; return sets })
}

// Step makes the next form of an item.
type Step func(key Key, old Attrs) (Attrs, error)

// Forms says which form the item under a key has; ok is false when no kind of this version lies there.
type Forms func(table Table, key Key) (f Form, ok bool)

// unknownKind is what is said of an item that no kind of this version is.
const unknownKind = "such kind of item"

// WithForms puts forms between a vault and its engine: what is above sees each item in the newest form that it reads, and
// what is below gets the number with every write. The numbers are conditions of the same writes and attributes of the same
// items, so nothing is read or written more than without them; only the first change of an item in an older form takes
// a second try.
//
// An item in a newer form is refused with [fault.Newer], read or written, and so is one of an unknown kind. Where a reader
// has asked for it with [Marking], a list has such an item with nothing but its key and [Item.Newer].
func WithForms(items Items, forms Forms) Items { return &formed{items, forms} }

type formed struct {
	items Items
	forms Forms
}

var _ Items = (*formed)(nil)

type markingKey struct{}

// Marking asks that lists read under the context mark what a newer version wrote, and are not refused for it.
func Marking(ctx context.Context) context.Context { return context.WithValue(ctx, markingKey{}, true) }

// form returns an item's form; that of an unknown kind reads nothing.
func (f *formed) form(table Table, key Key) (form Form, known bool) {
	form, known = f.forms(table, key)
	if !known {
		form = Form{Kind: unknownKind, Writes: 1}
	}
	return form, known
}

// formOf is the number of the form that attrs are in.
func formOf(attrs Attrs) int64 { return schema.Found(attrs.Int(AttrSchema)) }

// read brings an item into the form that this version works with.
func (f Form) read(key Key, attrs Attrs) (Attrs, error) {
	if f.Writes == 0 {
		return attrs, nil
	}
	found := formOf(attrs)
	if found > f.Reads {
		return nil, fault.Newer(f.Kind, found, f.Reads)
	}
	for ; found < f.Reads; found++ {
		step := f.Steps[found]
		if step == nil {
			return nil, &Unreadable{Key: key, Why: fmt.Errorf("%s: form %d is not read any more", f.Kind, found)}
		}
		next, err := step(key, maps.Clone(attrs))
		if err != nil {
			return nil, &Unreadable{Key: key, Why: fmt.Errorf("%s: form %d cannot be brought into the next: %w", f.Kind, found, err)}
		}
		attrs = next
		attrs[AttrSchema] = found + 1
	}
	return attrs, nil
}

// Get implements [Items].
func (f *formed) Get(ctx context.Context, table Table, key Key) (Item, error) {
	item, err := f.items.Get(ctx, table, key)
	if err != nil {
		return item, err
	}
	form, _ := f.form(table, key)
	item.Attrs, err = form.read(key, item.Attrs)
	return item, err
}

// GetMany implements [Items].
func (f *formed) GetMany(ctx context.Context, table Table, keys []Key) ([]Item, error) {
	items, err := f.items.GetMany(ctx, table, keys)
	if err != nil {
		return items, err
	}
	return items, f.readAll(ctx, table, items)
}

// Query implements [Items].
func (f *formed) Query(ctx context.Context, q Query) ([]Item, bool, error) {
	items, more, err := f.items.Query(ctx, q)
	if err != nil {
		return items, more, err
	}
	return items, more, f.readAll(ctx, q.Table, items)
}

func (f *formed) readAll(ctx context.Context, table Table, items []Item) (err error) {
	for i := range items {
		found := formOf(items[i].Attrs)
		form, _ := f.form(table, items[i].Key)
		items[i].Attrs, err = form.read(items[i].Key, items[i].Attrs)
		if fault.IsNewer(err) && ctx.Value(markingKey{}) != nil {
			items[i].Newer, err = found, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// formTries bounds how often a write is tried again because an item was brought into another form meanwhile.
const formTries = 8

// Apply implements [Items].
func (f *formed) Apply(ctx context.Context, ops ...Op) error {
	sent := make([]Op, len(ops))
	for i, op := range ops {
		form, known := f.form(op.Table, op.Key)
		if !known {
			return fault.Unknown(unknownKind)
		}
		sent[i] = form.guarded(op)
	}
	for range len(ops) + formTries {
		err := f.items.Apply(ctx, sent...)
		var failed *ConditionFailed
		if !errors.As(err, &failed) || failed.Old == nil || failed.Index >= len(ops) {
			return err
		}
		op := ops[failed.Index]
		form, _ := f.form(op.Table, op.Key)
		if form.Writes == 0 || formOf(failed.Old) == form.Writes {
			return err // the condition that failed is the caller's
		}
		current, err := form.read(op.Key, failed.Old)
		if err != nil {
			return err
		}
		if !op.If.Holds(current) {
			return &ConditionFailed{Index: failed.Index, Old: current}
		}
		if form.held(op, failed.Old) {
			return ErrBusy
		}
		sent[failed.Index] = form.replacing(op, failed.Old, current)
	}
	return ErrBusy
}

// guarded is a write that changes nothing but an item in the form that is written, or none.
func (f Form) guarded(op Op) Op {
	if f.Writes == 0 {
		return op
	}
	inForm := Any(Absent(), Equal(AttrSchema, f.Writes))
	if f.Writes == 1 { // the number may be left out; it is where there is no item, too
		inForm = Any(Lacks(AttrSchema), Equal(AttrSchema, int64(1)))
	}
	switch {
	case op.If == nil:
		op.If = inForm
	case op.If.Kind != CondAbsent:
		op.If = All(op.If, inForm)
	}
	if op.Verb == Put || op.Verb == Update {
		op.Set = numbered(op.Set, f.Writes)
	}
	return op
}

// replacing is a write of an item that is in another form than the one that is written: the whole item as it is to be, on the
// condition that nothing of it was changed since. An item never goes back to an earlier form.
func (f Form) replacing(op Op, old, current Attrs) Op {
	op.If = unchanged(old)
	number := max(f.Writes, formOf(old))
	switch op.Verb {
	case Put:
		op.Set = numbered(op.Set, number)
	case Update:
		op.Set = numbered(updated(current, op), number)
		op.Verb, op.Remove, op.Add = Put, nil, nil
	case Delete, Verify:
	}
	return op
}

// unchanged holds while an item has every attribute that it had.
func unchanged(old Attrs) *Cond {
	all := All()
	for _, name := range slices.Sorted(maps.Keys(old)) {
		all.Of = append(all.Of, Equal(name, old[name]))
	}
	return all
}

// updated is what an update makes of an item.
func updated(attrs Attrs, op Op) Attrs {
	out := maps.Clone(attrs)
	for name, value := range op.Set {
		out[name] = value
	}
	for _, name := range op.Remove {
		delete(out, name)
	}
	for name, n := range op.Add {
		out[name] = out.Int(name) + n
	}
	return out
}

func numbered(attrs Attrs, number int64) Attrs {
	out := make(Attrs, len(attrs)+1)
	for name, value := range attrs {
		out[name] = value
	}
	out[AttrSchema] = number
	return out
}
