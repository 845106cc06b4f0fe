package vault

import (
	"context"
	"errors"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

const attrConnectors = "connectors"

func entryKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "entry#" + id}
}

// aliasKey is the item that makes an alias unique within tenant and environment.
func aliasKey(e record.Entry) store.Key {
	return store.Key{Partition: e.Tenant, Sort: "alias#" + e.Environment + "#" + e.Alias}
}

// CreateEntry stores a new entry, its alias, and the note that makes the request repeatable, and takes a use of the connector
// token that it is made with, all or none. alias_taken when another entry of the environment has the alias.
func (v *Vault) CreateEntry(ctx context.Context, e record.Entry, once *Once) (record.Entry, error) {
	doc, err := encode(e)
	if err != nil {
		return e, err
	}
	ops := []store.Op{
		{Verb: store.Put, Table: store.Records, Key: entryKey(e.Tenant, e.ID), If: store.Absent(),
			Set: store.Attrs{attrDoc: doc, attrTenant: e.Tenant, attrRevision: int64(1), attrConnectors: int64(0)}},
		{Verb: store.Put, Table: store.Records, Key: aliasKey(e), If: store.Absent(), Set: store.Attrs{"entry": e.ID}},
	}
	if once != nil {
		ops = append(ops, once.op(v.Now(), e.Tenant, e.ID))
	}
	use, err := v.takenUse(ctx, e)
	if err != nil {
		return e, err
	}
	ops = append(ops, use...)
	err = v.applyAudited(ctx, e.Tenant, entrySubject(e.ID), entryCreated(e), ops...)
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		return e, err
	}
	if once != nil {
		// An earlier try of the same request may have made it: then its alias is taken by itself.
		if id, err := v.earlier(ctx, e.Tenant, once); err != nil || id != "" {
			return v.again(ctx, e.Tenant, id, err)
		}
	}
	if failed.Index == len(ops)-len(use) {
		return e, useRefused(failed.Old)
	}
	return e, aliasTaken(e)
}

func (v *Vault) again(ctx context.Context, tenant, id string, err error) (record.Entry, error) {
	if err != nil {
		return record.Entry{}, err
	}
	return v.Entry(ctx, tenant, id)
}

func aliasTaken(e record.Entry) *fault.Error {
	return fault.New(fault.Conflict, "alias_taken",
		"Another vault entry of the environment "+quote(e.Environment)+" has the alias "+quote(e.Alias)+".").
		On("alias").Do("Choose another alias, or use that entry.")
}

// Entry reads an entry; not_found when the tenant has none of that id.
func (v *Vault) Entry(ctx context.Context, tenant, id string) (record.Entry, error) {
	attrs, err := v.get(ctx, store.Records, entryKey(tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return record.Entry{}, NotFound("vault entry", id)
	}
	if err != nil {
		return record.Entry{}, err
	}
	return entryOf(tenant, attrs)
}

func entryOf(tenant string, attrs store.Attrs) (record.Entry, error) {
	var e record.Entry
	if err := decode(attrs, &e); err != nil {
		return e, err
	}
	e.Tenant, e.Revision, e.Connectors = tenant, attrs.Int(attrRevision), attrs.Int(attrConnectors)
	return e, nil
}

// Entries lists a tenant's entries that keep likes, by id.
func (v *Vault) Entries(ctx context.Context, tenant, after string, limit int, keep func(record.Entry) bool) (Page[record.Entry], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: "entry#", After: after}
	return list(ctx, v, q, limit, func(item store.Item) (record.Entry, bool, error) {
		e, err := entryOf(tenant, item.Attrs)
		return e, err == nil && keep(e), err
	})
}

// UpdateEntry stores a changed entry if nobody changed it since before was read, and moves its alias with it.
func (v *Vault) UpdateEntry(ctx context.Context, before, after record.Entry) (record.Entry, error) {
	return v.UpdateEntryOnce(ctx, before, after, nil, "")
}

// UpdateEntryOnce is UpdateEntry for a change that makes something: the note that makes the request repeatable is stored with
// it. A repeat that comes at the same time hears changed_meanwhile.
func (v *Vault) UpdateEntryOnce(ctx context.Context, before, after record.Entry, once *Once, made string) (record.Entry, error) {
	doc, err := encode(after)
	if err != nil {
		return after, err
	}
	ops := []store.Op{{Verb: store.Update, Table: store.Records, Key: entryKey(after.Tenant, after.ID),
		If:  store.Equal(attrRevision, before.Revision),
		Set: store.Attrs{attrDoc: doc, attrRevision: before.Revision + 1}}}
	if aliasKey(before) != aliasKey(after) {
		ops = append(ops,
			store.Op{Verb: store.Put, Table: store.Records, Key: aliasKey(after), If: store.Absent(), Set: store.Attrs{"entry": after.ID}},
			store.Op{Verb: store.Delete, Table: store.Records, Key: aliasKey(before)})
	}
	if once != nil {
		ops = append(ops, once.op(v.Now(), after.Tenant, made))
	}
	err = v.applyAudited(ctx, after.Tenant, entrySubject(after.ID), entryUpdated(before, after), ops...)
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		after.Revision = before.Revision + 1
		return after, err
	case failed.Index == 1 && aliasKey(before) != aliasKey(after):
		return after, aliasTaken(after)
	case failed.Index > 0:
		return after, changedMeanwhile() // by an earlier try of the same request
	case failed.Old == nil:
		return after, NotFound("vault entry", after.ID)
	default:
		return after, changedMeanwhile()
	}
}

func changedMeanwhile() *fault.Error {
	return fault.New(fault.Conflict, "changed_meanwhile", "Somebody else changed it at the same time.").
		Do("Read it again and repeat the change.")
}

// DeleteEntry removes an entry, its alias, its credential and its open authorization request, all or none. generation is
// that of the credential which was read, 0 when there was none: a token set that was stored since is not removed unseen.
// The connector token that a never authorized entry was made with gets its use back. vault_entry_in_use while a connector uses it. Removing one that is gone is no error: it may be our own success.
func (v *Vault) DeleteEntry(ctx context.Context, e record.Entry, generation int64) error {
	asRead := store.Absent()
	if generation > 0 {
		asRead = store.Any(store.Absent(), store.Equal(attrGeneration, generation))
	}
	ops := []store.Op{
		{Verb: store.Delete, Table: store.Records, Key: entryKey(e.Tenant, e.ID),
			If: store.All(store.Equal(attrRevision, e.Revision), store.Equal(attrConnectors, int64(0)))},
		{Verb: store.Delete, Table: store.Records, Key: aliasKey(e)},
		{Verb: store.Delete, Table: store.Credentials, Key: credentialKey(e.Tenant, e.ID), If: asRead},
		{Verb: store.Delete, Table: store.Requests, Key: openKey(e.Tenant, e.ID)},
	}
	if generation == 0 { // it was never authorized, and the transaction sees to it that it is not now
		ops = append(ops, returnedUse(e)...)
	}
	err := v.applyAudited(ctx, e.Tenant, entrySubject(e.ID), entryDeleted(e), ops...)
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Index == 4 && failed.Old == nil: // there is no such token any more, and nothing to give back
		e.ConnectorToken = ""
		return v.DeleteEntry(ctx, e, generation)
	case failed.Index != 0:
		return changedMeanwhile()
	case failed.Old == nil:
		return nil
	case failed.Old.Int(attrConnectors) > 0:
		return fault.New(fault.Conflict, "vault_entry_in_use", "A connector uses this vault entry.").
			Do("Delete its connectors first.")
	default:
		return changedMeanwhile()
	}
}

func quote(s string) string { return "\"" + s + "\"" }
