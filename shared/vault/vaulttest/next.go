package vaulttest

import (
	"context"

	"connectorvault/shared/schema"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// Next is the version after this one as tests play it: the kinds that bump names have a second form, with an attribute that
// the first does not have. Its zero value does not know the second form; that is this version.
type Next struct {
	Writes int64 // 1: it brings the second form in, and still writes the first; 2: it writes the second
}

// Added is the attribute of the second form. What is in it follows from the key, so that it can be told whether it is right.
const Added = "added_by_next"

// added is what an item has in it.
func added(key store.Key) string { return "of " + key.Sort }

// bumped are the kinds that have a second form: some of each way in which records are written.
func bumped(kind schema.Kind) bool {
	switch kind { //nolint:exhaustive // the others have one form
	case schema.Entry, schema.Credential, schema.Request, schema.Event, schema.Key, schema.Once, schema.Note:
		return true
	default:
		return false
	}
}

// IsBumped reports whether what lies under a key has a second form.
func IsBumped(table store.Table, key store.Key) bool {
	kind, known := vault.KindOf(table, key)
	return known && bumped(kind)
}

// Forms are its forms, for vault.Config; nil for this version.
func (n Next) Forms() store.Forms {
	if n.Writes == 0 {
		return nil
	}
	return func(table store.Table, key store.Key) (store.Form, bool) {
		form, known := vault.Forms(table, key)
		if IsBumped(table, key) {
			form.Writes, form.Reads = n.Writes, 2
			form.Steps = map[int64]store.Step{1: Step}
		}
		return form, known
	}
}

// Step makes the second form of the first.
func Step(key store.Key, old store.Attrs) (store.Attrs, error) {
	next := store.Attrs{}
	for name, value := range old {
		next[name] = value
	}
	next[Added] = added(key)
	return next, nil
}

// Items stand below a vault of that version. They write what its code would write: the attribute with every whole item.
func (n Next) Items(items store.Items) store.Items {
	if n.Writes == 0 {
		return items
	}
	return nextItems{items}
}

type nextItems struct{ store.Items }

// Apply implements store.Items.
func (n nextItems) Apply(ctx context.Context, ops ...store.Op) error {
	for i, op := range ops {
		makes := op.Verb == store.Put || op.Verb == store.Update && op.If != nil && op.If.Kind == store.CondAbsent
		if makes && IsBumped(op.Table, op.Key) {
			set := store.Attrs{Added: added(op.Key)}
			for name, value := range op.Set {
				set[name] = value
			}
			ops[i].Set = set
		}
	}
	return n.Items.Apply(ctx, ops...)
}

// Whole says what is wrong with an item in the second form; "" when nothing is, or when it is in the first.
func Whole(table store.Table, item store.Item) string {
	switch {
	case !IsBumped(table, item.Key) || item.Attrs.Int(store.AttrSchema) < 2:
		return ""
	case item.Attrs.String(Added) != added(item.Key):
		return "an attribute of the second form is lost"
	case item.Attrs.Int(store.AttrSchema) > 2:
		return "nobody writes such a form"
	default:
		return ""
	}
}
