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
