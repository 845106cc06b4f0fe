package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/store"
)

// probeLife is how long a request to ourselves may be on its way.
const probeLife = time.Minute

func probeKey(id string) store.Key { return store.Key{Partition: ident.Outside, Sort: "probe#" + id} }

// NoteProbe notes that a request to ourselves is on its way.
func (v *Vault) NoteProbe(ctx context.Context, id string) error {
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Requests, Key: probeKey(id),
		Set: store.Attrs{store.AttrExpires: unix(v.Now().Add(probeLife))}})
}

// Probed reports whether a request is one that we sent to ourselves.
func (v *Vault) Probed(ctx context.Context, id string) (bool, error) {
	attrs, err := v.get(ctx, store.Requests, probeKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && unix(v.Now()) < attrs.Int(store.AttrExpires), err
}
