package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/store"
)

// noteKept is how long a note of use stays; longer than any access token lives between two looks of the schedule.
const noteKept = 48 * time.Hour

func useKey(tenant, entry string) store.Key {
	return store.Key{Partition: tenant + "#" + entry, Sort: "use"}
}

// NoteUse notes that a token set was read with. It is written once a set, and tells the schedule that the entry is
// worth keeping warm.
func (v *Vault) NoteUse(ctx context.Context, tenant, entry string, generation int64) error {
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: useKey(tenant, entry),
		Set: store.Attrs{attrGeneration: generation, store.AttrExpires: unix(v.Now().Add(noteKept))}})
}

// UsedGeneration returns the last token set that was read with; 0 when there is no note.
func (v *Vault) UsedGeneration(ctx context.Context, tenant, entry string) (int64, error) {
	attrs, err := v.get(ctx, store.Transient, useKey(tenant, entry))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return attrs.Int(attrGeneration), err
}

func cursorKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "cursor#" + id}
}

// KeepCursor keeps a sealed cursor that is too long to be handed out.
func (v *Vault) KeepCursor(ctx context.Context, tenant, id string, sealed []byte, ends time.Time) error {
	return v.keep(ctx, cursorKey(tenant, id), sealed, ends)
}

// KeptCursor reads what KeepCursor kept; found is false when its time is over.
func (v *Vault) KeptCursor(ctx context.Context, tenant, id string) (sealed []byte, found bool, err error) {
	return v.kept(ctx, cursorKey(tenant, id))
}

func placeKey(tenant, entry, document string) store.Key {
	return store.Key{Partition: tenant + "#" + entry, Sort: "document#" + document}
}

// KeepPlace keeps where a document lies, sealed, for as long as that address works.
func (v *Vault) KeepPlace(ctx context.Context, tenant, entry, document string, sealed []byte, ends time.Time) error {
	return v.keep(ctx, placeKey(tenant, entry, document), sealed, ends)
}

// KeptPlace reads what KeepPlace kept; found is false when its time is over.
func (v *Vault) KeptPlace(ctx context.Context, tenant, entry, document string) (sealed []byte, found bool, err error) {
	return v.kept(ctx, placeKey(tenant, entry, document))
}

func (v *Vault) keep(ctx context.Context, key store.Key, sealed []byte, ends time.Time) error {
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: key,
		Set: store.Attrs{attrSealed: sealed, store.AttrExpires: unix(ends)}})
}

func (v *Vault) kept(ctx context.Context, key store.Key) (sealed []byte, found bool, err error) {
	attrs, err := v.get(ctx, store.Transient, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil || attrs.Int(store.AttrExpires) <= unix(v.Now()) {
		return nil, false, err
	}
	return attrs.Bytes(attrSealed), true, nil
}
