package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// KeyMark begins every API key, so that a scanner of source code recognises a leaked one.
const KeyMark = "cvk_"

func apiKeyKey(tenant, id string) store.Key { return store.Key{Partition: tenant, Sort: "key#" + id} }

// apiKeyDoc is an APIKey with the fingerprint that its JSON form leaves out.
type apiKeyDoc struct {
	record.APIKey
	Hash string `json:"hash"`
}

// CreateKey stores a key and returns the text that its holder shows; it cannot be had again. The text is a mark, the
// key's address, 256 random bits and a checksum.
func (v *Vault) CreateKey(ctx context.Context, key record.APIKey) (record.APIKey, secret.Text, error) {
	return v.CreateKeyOnce(ctx, key, nil)
}

// CreateKeyOnce is CreateKey for a request that may be repeated. The text of a key is nowhere kept, so a repeat cannot be
// given it again: KeyShownOnce names the key that the first try made.
func (v *Vault) CreateKeyOnce(ctx context.Context, key record.APIKey, once *Once) (record.APIKey, secret.Text, error) {
	id, err := ident.New(v.Random, ident.Key)
	if err != nil {
		return key, secret.Text{}, err
	}
	ticket, err := ident.NewTicket(v.Random, key.Tenant, id)
	if err != nil {
		return key, secret.Text{}, err
	}
	key.ID, key.Hash, key.CreatedAt = id, ticket.Secret.Fingerprint(), v.Now().UTC()
	doc, err := encode(apiKeyDoc{APIKey: key, Hash: key.Hash})
	if err != nil {
		return key, secret.Text{}, err
	}
	ops := []store.Op{{Verb: store.Put, Table: store.Records, Key: apiKeyKey(key.Tenant, id), If: store.Absent(),
		Set: store.Attrs{attrDoc: doc, attrTenant: key.Tenant}}}
	if once != nil {
		ops = append(ops, once.op(v.Now(), key.Tenant, id))
	}
	if err := v.applyAudited(ctx, key.Tenant, keySubject(id), keyCreated(key), ops...); err != nil {
		return key, secret.Text{}, v.notMade(ctx, key.Tenant, once, err, KeyShownOnce)
	}
	body := KeyMark + ticket.Text().Reveal()
	return key, secret.New(body + checksum(body)), nil
}

// notMade looks whether an earlier try of the request is why a credential of ours was not made. Its text was shown then, and
// cannot be again.
func (v *Vault) notMade(ctx context.Context, tenant string, once *Once, err error, shownOnce func(id string) *fault.Error) error {
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		return err
	}
	switch id, earlierErr := v.Earlier(ctx, tenant, once); {
	case earlierErr != nil:
		return earlierErr
	case id != "":
		return shownOnce(id)
	default:
		return changedMeanwhile()
	}
}

// KeyPrefix is how a key's text begins, and all of it that is no secret: whoever finds a text somewhere finds out by it
// which key must be revoked.
func KeyPrefix(tenant, id string) string {
	return KeyMark + strings.TrimPrefix(tenant, ident.Tenant) + strings.TrimPrefix(id, ident.Key)
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

// Authenticate finds the principal of a key's text; ok is false for anything but a living key.
func (v *Vault) Authenticate(ctx context.Context, text secret.Text) (p record.Principal, ok bool, err error) {
	key, ok, err := v.AuthenticateKey(ctx, text)
	if err != nil || !ok {
		return p, false, err
	}
	return PrincipalOf(key), true, nil
}

// PrincipalOf is who shows a key.
func PrincipalOf(key record.APIKey) record.Principal {
	return record.Principal{Tenant: key.Tenant, ID: cmp.Or(key.Subject, key.ID), Role: key.Role, PersonalData: key.PersonalData,
		Connectors: key.Connectors}
}

// AuthenticateKey finds the key of a key's text; ok is false for anything but a living one.
func (v *Vault) AuthenticateKey(ctx context.Context, text secret.Text) (key record.APIKey, ok bool, err error) {
	ticket, wellFormed := parseMarked(text, KeyMark, ident.Key)
	if !wellFormed {
		return key, false, nil
	}
	key, err = v.Key(ctx, ticket.Tenant, ticket.ID)
	if errors.Is(err, store.ErrNotFound) {
		return record.APIKey{}, false, nil
	}
	if err != nil {
		return record.APIKey{}, false, err
	}
	if !secret.New(key.Hash).Equal(secret.New(ticket.Secret.Fingerprint())) || !key.Living(v.Now()) {
		return record.APIKey{}, false, nil
	}
	if closed, err := v.Closed(ctx, key.Tenant); err != nil || closed {
		return record.APIKey{}, false, err
	}
	return key, true, nil
}

// parseMarked takes apart the text of a credential of ours; ok is false where its form or its checksum is not right.
func parseMarked(text secret.Text, mark, prefix string) (ticket ident.Ticket, ok bool) {
	body := text.Reveal()
	if len(body) < 8 || !strings.HasPrefix(body, mark) {
		return ticket, false
	}
	body, sum := body[:len(body)-8], body[len(body)-8:]
	ticket, ok = ident.ParseTicket(strings.TrimPrefix(body, mark), prefix)
	return ticket, ok && sum == checksum(body)
}

// Key reads a key; store.ErrNotFound when there is none.
func (v *Vault) Key(ctx context.Context, tenant, id string) (record.APIKey, error) {
	attrs, err := v.get(ctx, store.Records, apiKeyKey(tenant, id))
	if err != nil {
		return record.APIKey{}, err
	}
	var doc apiKeyDoc
	if err := decode(attrs, &doc); err != nil {
		return record.APIKey{}, err
	}
	doc.APIKey.Tenant, doc.APIKey.Hash = tenant, doc.Hash
	return doc.APIKey, nil
}

// RevokeKey ends a key for good. Revoking an unknown one is no error.
func (v *Vault) RevokeKey(ctx context.Context, tenant, id string) error {
	key, err := v.Key(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if key.Revoked {
		return nil
	}
	op, err := revocation(key)
	if err != nil {
		return err
	}
	err = v.applyAudited(ctx, tenant, keySubject(id), keyRevoked(key), op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil // it is gone
	}
	return err
}

// attrRevoked is there once a key is revoked, beside the record that says so too: conditions look at attributes.
const attrRevoked = "revoked"

func revocation(key record.APIKey) (store.Op, error) {
	key.Revoked = true
	doc, err := encode(apiKeyDoc{APIKey: key, Hash: key.Hash})
	return store.Op{Verb: store.Update, Table: store.Records, Key: apiKeyKey(key.Tenant, key.ID), If: store.Exists(),
		Set: store.Attrs{attrDoc: doc, attrTenant: key.Tenant, attrRevoked: true}}, err
}

// RevokeKeyBut revokes a key unless it is the last one of an owner that lives, or outlasts all the others: then nobody could
// make keys any more, now or when those have ended. The key that remains is part of the write's condition, so of two owners
// who revoke each other, one stays.
func (v *Vault) RevokeKeyBut(ctx context.Context, key record.APIKey) error {
	for try := 0; ; try++ {
		op, err := revocation(key)
		if err != nil {
			return err
		}
		ops := []store.Op{op}
		if key.Role == record.Owner && key.Living(v.Now()) {
			other, found, err := v.anotherOwner(ctx, key)
			if err != nil {
				return err
			}
			if !found || !outlasts(other, key) {
				return fault.New(fault.Conflict, "last_owner_key", "No other key of an owner lasts as long as this one, and without one nobody can make keys.").
					Do("Make another key of an owner first, which ends no earlier or not at all, and use that.")
			}
			ops = append(ops, store.Op{Verb: store.Verify, Table: store.Records, Key: apiKeyKey(other.Tenant, other.ID),
				If: store.All(store.Exists(), store.Lacks(attrRevoked))})
		}
		err = v.applyAudited(ctx, key.Tenant, keySubject(key.ID), keyRevoked(key), ops...)
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) {
			return err
		}
		if failed.Index == 0 {
			return nil // it is gone
		}
		if try == 4 {
			return changedMeanwhile()
		}
	}
}

// outlasts reports whether a key ends no earlier than another one.
func outlasts(key, other record.APIKey) bool {
	return key.Expires.IsZero() || !other.Expires.IsZero() && !key.Expires.Before(other.Expires)
}

// anotherOwner finds the living key of an owner beside one that lasts longest.
func (v *Vault) anotherOwner(ctx context.Context, but record.APIKey) (best record.APIKey, found bool, err error) {
	for after := ""; ; {
		page, err := v.Keys(ctx, but.Tenant, after, 100)
		if err != nil {
			return best, false, err
		}
		for _, key := range page.Items {
			if key.ID == but.ID || key.Role != record.Owner || !key.Living(v.Now()) {
				continue
			}
			if key.Expires.IsZero() {
				return key, true, nil
			}
			if !found || key.Expires.After(best.Expires) {
				best, found = key, true
			}
		}
		if page.Next == "" {
			return best, found, nil
		}
		after = page.Next
	}
}

// KeyShownOnce is the answer to a repeat of the request that made a key.
func KeyShownOnce(id string) *fault.Error {
	return fault.New(fault.Conflict, "key_shown_once", fmt.Sprintf("This request has made the key %q, and a key is shown once.", id)).
		On("Idempotency-Key").Do("If its text was lost, revoke it (DELETE /v1/keys/" + id + ") and make another under a fresh Idempotency-Key.")
}

// How exactly the last use of a key is known, and how long.
const (
	UseNoted = 5 * time.Minute
	useKept  = 400 * 24 * time.Hour
)

const attrUsed = "used" // Unix seconds

func keyUseKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "keyuse#" + id}
}

// NoteKeyUse notes that a key was used, unless that was noted by anybody in the last minutes.
func (v *Vault) NoteKeyUse(ctx context.Context, tenant, id string) error {
	now := v.Now()
	err := v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: keyUseKey(tenant, id),
		If:  store.Any(store.Absent(), store.AtMost(attrUsed, unix(now.Add(-UseNoted)))),
		Set: store.Attrs{attrUsed: unix(now), store.AttrExpires: unix(now.Add(useKept))}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// WithLastUse looks up when keys of a tenant were last used.
func (v *Vault) WithLastUse(ctx context.Context, tenant string, keys []record.APIKey) error {
	const most = 100 // of one look
	for len(keys) > 0 {
		part := keys[:min(len(keys), most)]
		keys = keys[len(part):]
		at := map[string]int{}
		var look []store.Key
		for i, key := range part {
			k := keyUseKey(tenant, key.ID)
			at[k.Sort] = i
			look = append(look, k)
		}
		items, err := v.Items.GetMany(ctx, store.Transient, look)
		if err != nil {
			return storeFault(err)
		}
		for _, item := range items {
			part[at[item.Key.Sort]].LastUsed = time.Unix(item.Attrs.Int(attrUsed), 0).UTC()
		}
	}
	return nil
}

// Keys lists a tenant's keys.
func (v *Vault) Keys(ctx context.Context, tenant, after string, limit int) (Page[record.APIKey], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: "key#", After: after}
	return list(ctx, v, q, limit, func(item store.Item) (record.APIKey, bool, error) {
		var doc apiKeyDoc
		err := decode(item.Attrs, &doc)
		doc.APIKey.Tenant = tenant
		return doc.APIKey, true, err
	})
}
