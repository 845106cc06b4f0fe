package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

func rejectedKey(tenant, entry string) store.Key {
	return store.Key{Partition: tenant + "#" + entry, Sort: "rejected"}
}

// NoteRejected notes that an entry's provider refuses even a token that it has just issued: until then nobody refreshes
// again because a token was refused. A subscription that lapsed looks like that, and without the note every read would
// spend a refresh token. A time that is over takes the note back.
func (v *Vault) NoteRejected(ctx context.Context, tenant, entry string, until time.Time) error {
	if !until.After(v.Now()) {
		return v.apply(ctx, store.Op{Verb: store.Delete, Table: store.Transient, Key: rejectedKey(tenant, entry)})
	}
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: rejectedKey(tenant, entry),
		Set: store.Attrs{"until": milli(until), store.AttrExpires: unix(until) + 1}})
}

// Rejected returns until when NoteRejected said so; the zero time when there is no such note, or its time is over.
func (v *Vault) Rejected(ctx context.Context, tenant, entry string) (until time.Time, err error) {
	attrs, err := v.get(ctx, store.Transient, rejectedKey(tenant, entry))
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if until = fromMilli(attrs.Int("until")); err != nil || !until.After(v.Now()) {
		return time.Time{}, err
	}
	return until, nil
}

func refusedKey(app record.App) store.Key {
	return store.Key{Partition: app.Tenant, Sort: "refused#" + app.Provider + "#" + string(app.APIEnvironment) + "#" + app.Version}
}

// NoteRefusedSecret notes that a provider does not take the client secret of an application that is in force, until a time.
func (v *Vault) NoteRefusedSecret(ctx context.Context, app record.App, until time.Time) error {
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: refusedKey(app), Set: store.Attrs{store.AttrExpires: unix(until)}})
}

// SecretRefused reports whether that was noted of an application as it stands.
func (v *Vault) SecretRefused(ctx context.Context, app record.App) (bool, error) {
	attrs, err := v.get(ctx, store.Transient, refusedKey(app))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && unix(v.Now()) < attrs.Int(store.AttrExpires), err
}
