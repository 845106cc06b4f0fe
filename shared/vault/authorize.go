package vault

import (
	"context"
	"errors"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// ErrEntryGone means that the entry was deleted while it was being authorized.
var ErrEntryGone = errors.New("the vault entry is gone")

// Authorize puts a new authorization in force: a credential of generation c.Generation (1 for the first), of which
// before was the state read (nil when there was none). The entry must still exist, the generation must not have moved
// (ErrOvertaken), and the request that led here, if any, is done in the same transaction. It notes that the entry was
// authorized, and, where it was of no use before, that it has recovered.
func (v *Vault) Authorize(ctx context.Context, before *record.Credential, c record.Credential, r *record.Request) error {
	put, err := v.authorization(before, c)
	if err != nil {
		return err
	}
	ops := []store.Op{{Verb: store.Verify, Table: store.Records, Key: entryKey(c.Tenant, c.Entry), If: store.Exists()}, put}
	if r != nil {
		ops = append(ops, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
			If:  store.All(store.Equal(attrStage, string(record.Exchanged)), store.Equal(attrCodeHash, r.CodeHash)),
			Set: store.Attrs{attrStage: string(record.Done)}, Remove: []string{attrSealed}})
	}
	err = v.applyAudited(ctx, c.Tenant, entrySubject(c.Entry), authorizationCompleted(before, c, r), ops...)
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Index == 0:
		return ErrEntryGone
	case failed.Index == 1 && failed.Old.String(attrCommit) == c.Commit:
		return nil // an earlier try of ours, whose answer was lost
	case failed.Index == 1:
		return ErrOvertaken
	default:
		return ErrClaimed // somebody else finished it
	}
}

// Promote puts another client of an entry in force together with its first token, so that nobody ever sees the one with the
// other's: entry is what was read and after what it becomes, before the credential that was read (nil when there was none)
// and c its successor. ErrOvertaken when either was changed meanwhile, ErrEntryGone when the entry was deleted.
func (v *Vault) Promote(ctx context.Context, entry, after record.Entry, before *record.Credential, c record.Credential) error {
	doc, err := encode(after)
	if err != nil {
		return err
	}
	put, err := v.authorization(before, c)
	if err != nil {
		return err
	}
	events := append(entryUpdated(entry, after), authorizationCompleted(before, c, nil)...)
	err = v.applyAudited(ctx, entry.Tenant, entrySubject(entry.ID), events, store.Op{Verb: store.Update, Table: store.Records, Key: entryKey(entry.Tenant, entry.ID),
		If:  store.Equal(attrRevision, entry.Revision),
		Set: store.Attrs{attrDoc: doc, attrRevision: entry.Revision + 1}}, put)
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Index == 0 && failed.Old == nil:
		return ErrEntryGone
	default:
		return ErrOvertaken
	}
}

// authorization is the write that makes c an entry's credential.
func (v *Vault) authorization(before *record.Credential, c record.Credential) (store.Op, error) {
	account, err := encode(c.Account)
	if err != nil {
		return store.Op{}, err
	}
	set := setAttrs(c)
	set[attrTenant], set[attrEntry], set[attrProvider], set[attrAccount] = c.Tenant, c.Entry, c.Provider, account
	set[attrAuthorized], set[attrConsentEnds] = milli(c.Authorized), milli(c.AuthorizationExpires)
	if c.Client != "" {
		set[attrClient] = c.Client
	}
	if c.ClientNumber != 0 {
		set[attrClientNumber] = c.ClientNumber
	}
	put := store.Op{Verb: store.Update, Table: store.Credentials, Key: credentialKey(c.Tenant, c.Entry), If: store.Absent(), Set: set,
		Remove: []string{attrCause, attrLeaseOwner, attrLeaseUntil, attrIntent, attrFailure}}
	notices := []record.Notice{{Kind: record.EventAuthorized, Generation: c.Generation}}
	if before == nil {
		set[attrFence] = int64(0)
	} else {
		put.If = store.Equal(attrGeneration, before.Generation)
		notices = append(notices, recovery(*before, v.Now())...)
	}
	if err := notify(&put, &c, notices...); err != nil {
		return put, err
	}
	withDue(&put, c)
	return put, nil
}
