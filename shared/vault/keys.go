package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// keyMark begins every API key, so that a scanner of source code recognises a leaked one.
const keyMark = "cvk_"

func apiKeyKey(tenant, id string) store.Key { return store.Key{Partition: tenant, Sort: "key#" + id} }

// apiKeyDoc is an APIKey with the fingerprint that its JSON form leaves out.
type apiKeyDoc struct {
	record.APIKey
	Hash string `json:"hash"`
}

// CreateKey stores a key and returns the text that its holder shows; it cannot be had again. The text is a mark, the
// key's address, 256 random bits and a checksum.
func (v *Vault) CreateKey(ctx context.Context, key record.APIKey) (record.APIKey, secret.Text, error) {
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
	err = v.applyAudited(ctx, key.Tenant, keySubject(id), keyCreated(key), store.Op{Verb: store.Put, Table: store.Records, Key: apiKeyKey(key.Tenant, id), If: store.Absent(),
		Set: store.Attrs{attrDoc: doc, attrTenant: key.Tenant}})
	body := keyMark + ticket.Text().Reveal()
	return key, secret.New(body + checksum(body)), err
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

// Authenticate finds the principal of a key's text; ok is false for anything but a living key.
func (v *Vault) Authenticate(ctx context.Context, text secret.Text) (p record.Principal, ok bool, err error) {
	body := text.Reveal()
	if len(body) < 8 || !strings.HasPrefix(body, keyMark) {
		return p, false, nil
	}
	body, sum := body[:len(body)-8], body[len(body)-8:]
	ticket, wellFormed := ident.ParseTicket(strings.TrimPrefix(body, keyMark), ident.Key)
	if !wellFormed || sum != checksum(body) {
		return p, false, nil
	}
	key, err := v.Key(ctx, ticket.Tenant, ticket.ID)
	if errors.Is(err, store.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	if !secret.New(key.Hash).Equal(secret.New(ticket.Secret.Fingerprint())) || key.Revoked ||
		!key.Expires.IsZero() && !v.Now().Before(key.Expires) {
		return p, false, nil
	}
	return record.Principal{Tenant: key.Tenant, ID: cmp.Or(key.Subject, key.ID), Role: key.Role, PersonalData: key.PersonalData}, true, nil
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
	key.Revoked = true
	doc, err := encode(apiKeyDoc{APIKey: key, Hash: key.Hash})
	if err != nil {
		return err
	}
	return v.applyAudited(ctx, tenant, keySubject(id), keyRevoked(key), store.Op{Verb: store.Update, Table: store.Records, Key: apiKeyKey(tenant, id),
		Set: store.Attrs{attrDoc: doc, attrTenant: tenant}})
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

// CreateTenant stores a tenant's record. It is no error when there is one already.
func (v *Vault) CreateTenant(ctx context.Context, tenant record.Tenant) error {
	doc, err := encode(tenant)
	if err != nil {
		return err
	}
	err = v.applyAudited(ctx, tenant.ID, tenantSubject(tenant.ID), tenantCreated(tenant), store.Op{Verb: store.Put, Table: store.Records, If: store.Absent(),
		Key: store.Key{Partition: tenant.ID, Sort: "tenant"}, Set: store.Attrs{attrDoc: doc, attrTenant: tenant.ID}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// Tenant reads a tenant's record; store.ErrNotFound when there is none.
func (v *Vault) Tenant(ctx context.Context, id string) (record.Tenant, error) {
	attrs, err := v.get(ctx, store.Records, store.Key{Partition: id, Sort: "tenant"})
	if err != nil {
		return record.Tenant{}, err
	}
	var tenant record.Tenant
	return tenant, decode(attrs, &tenant)
}
