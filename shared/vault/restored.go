package vault

import (
	"context"
	"errors"
	"maps"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// A credential that comes out of a backup holds the refresh token of that day. Where tokens are used once it has been used
// since, and whoever offers it again may end everything that came of the consent, the living token among it. So such a
// credential never comes back as one that the token service would use: the write that brings it back is the write that
// says that a person has to authorize the entry anew.

// PutBack says what became of an entry's credential when its backup was looked at.
type PutBack string

// What can become of it.
const (
	NoBackup   PutBack = "not_in_backup" // there is nothing to put back
	StillThere PutBack = "still_there"   // the one in force is as new or newer, and stays
	Restored   PutBack = "restored"      // as it was
	Distrusted PutBack = "distrusted"    // it is there again, and asks for a new authorization
)

// PutBackCredential puts an entry's credential back from a backup, where what is in force is older or gone. spent says that
// refresh tokens of its provider are used once. A lease and an intent are not put back: their owners are long gone. It
// seals and opens nothing, so whoever restores tables needs no keyring; nothing of it is in the audit trail.
func (v *Vault) PutBackCredential(ctx context.Context, backup store.Items, entry record.Entry, spent bool) (PutBack, error) {
	key := credentialKey(entry.Tenant, entry.ID)
	item, err := store.WithForms(backup, v.Forms).Get(ctx, store.Credentials, key) // one of a newer version is refused, as ever
	if errors.Is(err, store.ErrNotFound) {
		return NoBackup, nil
	}
	if err != nil {
		return "", storeFault(err)
	}
	c, err := credentialOf(entry.Tenant, entry.ID, item.Attrs)
	if err != nil {
		return "", err
	}
	whole := maps.Clone(item.Attrs)
	delete(whole, attrWrite)        // by that id this write is told from the one that the backup saw
	delete(whole, store.AttrSchema) // which the write gives itself
	what := Restored
	op := store.Op{Set: store.Attrs{}, Remove: []string{attrLeaseOwner, attrLeaseUntil, attrIntent}}
	if spent && c.Status != record.Reauth {
		what = Distrusted
		if op, err = v.distrust(c); err != nil {
			return "", err
		}
	}
	for _, name := range op.Remove {
		delete(whole, name)
	}
	maps.Copy(whole, op.Set)
	err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Credentials, Key: key, Set: whole, If: store.Any(store.Absent(), olderThan(c))})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return StillThere, nil
	}
	return what, err
}

// olderThan holds for a credential that the backup's is newer than. The generation alone does not say it: an account that was
// authorized anew after the table was lost begins with 1, and is the only one whose token lives.
func olderThan(c record.Credential) *store.Cond {
	return store.All(store.Less(attrGeneration, c.Generation),
		store.Any(store.Lacks(attrRefreshed), store.AtMost(attrRefreshed, milli(c.Refreshed))))
}

// Distrust has an entry ask for a new authorization, because its credential came out of a backup with everything else. false
// means that it asks for one already, or that another set came into force meanwhile.
func (v *Vault) Distrust(ctx context.Context, c record.Credential) (bool, error) {
	if c.Status == record.Reauth {
		return false, nil
	}
	op, err := v.distrust(c)
	if err != nil {
		return false, err
	}
	op.Verb, op.Table, op.Key = store.Update, store.Credentials, credentialKey(c.Tenant, c.Entry)
	op.If = store.All(store.Equal(attrGeneration, c.Generation), store.Equal(attrStatus, string(c.Status)))
	events := entryReauth(c, record.Failure{Outcome: string(record.RotationUnknown)}, record.Reauth, record.RotationUnknown)
	err = v.applyAudited(ctx, c.Tenant, entrySubject(c.Entry), events, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return false, nil
	}
	return err == nil, err
}

// distrust is the change of a credential whose refresh token may have been spent by somebody who was forgotten. It is what
// [Vault.Fail] writes when an answer was lost, with the fence raised, so that whoever holds a lease learns that it is over.
func (v *Vault) distrust(c record.Credential) (store.Op, error) {
	now := v.Now().UTC()
	note, err := encode(record.Failure{Outcome: string(record.RotationUnknown), At: now, Count: 1})
	if err != nil {
		return store.Op{}, err
	}
	op := store.Op{Remove: []string{attrLeaseOwner, attrLeaseUntil, attrIntent},
		Set: store.Attrs{attrFailure: note, attrStatus: string(record.Reauth), attrCause: string(record.RotationUnknown), attrFence: c.Fence + 1}}
	notice := record.Notice{Kind: record.EventReauth, Generation: c.Generation, Cause: record.RotationUnknown}
	c.Status, c.DueAt = record.Reauth, now.Add(NoticePause)
	err = notify(&op, &c, append([]record.Notice{notice}, recovery(c, now)...)...)
	withDue(&op, c)
	return op, err
}

// ForgetRequests removes a tenant's authorization requests. One that came out of a backup may hold what its code bought, which was
// put in force and used since, and would be put in force again.
func (v *Vault) ForgetRequests(ctx context.Context, tenant string) error {
	for {
		more, err := v.remove(ctx, store.Requests, tenant)
		if err != nil || !more {
			return err
		}
	}
}
