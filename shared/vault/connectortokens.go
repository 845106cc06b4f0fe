package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// TokenMark begins every connector token, so that a scanner of source code recognises a leaked one.
const TokenMark = "cvt_"

// MostTokenConnectors is how many connectors the holder of a connector token can bring an entry to. A use is an entry; an
// account with several businesses takes a connector for each.
const MostTokenConnectors = 100

// attrTaken is how many uses of a connector token are taken. It counts up to the token's Uses, which never change.
const attrTaken = "taken"

func connectorTokenKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "token#" + id}
}

// ConnectorTokenPrefix is what begins the sort keys of connector tokens.
const ConnectorTokenPrefix = "token#"

// connectorTokenDoc is a ConnectorToken with the fingerprint that its JSON form leaves out.
type connectorTokenDoc struct {
	record.ConnectorToken
	Hash string `json:"hash"`
}

// CreateConnectorToken stores a token and returns the text that its holder shows; it cannot be had again. A repeat of the
// request is told which token the first try made.
func (v *Vault) CreateConnectorToken(ctx context.Context, t record.ConnectorToken, once *Once) (record.ConnectorToken, secret.Text, error) {
	id, err := ident.New(v.Random, ident.Token)
	if err != nil {
		return t, secret.Text{}, err
	}
	ticket, err := ident.NewTicket(v.Random, t.Tenant, id)
	if err != nil {
		return t, secret.Text{}, err
	}
	t.ID, t.Hash, t.CreatedAt, t.UsesLeft = id, ticket.Secret.Fingerprint(), v.Now().UTC(), t.Uses
	doc, err := encode(connectorTokenDoc{ConnectorToken: t, Hash: t.Hash})
	if err != nil {
		return t, secret.Text{}, err
	}
	ops := []store.Op{{Verb: store.Put, Table: store.Records, Key: connectorTokenKey(t.Tenant, id), If: store.Absent(),
		Set: store.Attrs{attrDoc: doc, attrTenant: t.Tenant, attrTaken: int64(0)}}}
	if once != nil {
		ops = append(ops, once.op(v.Now(), t.Tenant, id))
	}
	if err := v.applyAudited(ctx, t.Tenant, tokenSubject(id), tokenCreated(t), ops...); err != nil {
		return t, secret.Text{}, v.notMade(ctx, t.Tenant, once, err, ConnectorTokenShownOnce)
	}
	body := TokenMark + ticket.Text().Reveal()
	return t, secret.New(body + checksum(body)), nil
}

// ConnectorTokenShownOnce is the answer to a repeat of the request that made a connector token.
func ConnectorTokenShownOnce(id string) *fault.Error {
	return fault.New(fault.Conflict, "connector_token_shown_once", fmt.Sprintf("This request has made the connector token %q, and a token is shown once.", id)).
		On("Idempotency-Key").Do("If its text was lost, revoke it (DELETE /v1/connector-tokens/" + id + ") and make another under a fresh Idempotency-Key.")
}

// ConnectorTokenText is how a connector token's text begins, and all of it that is no secret.
func ConnectorTokenText(tenant, id string) string {
	return TokenMark + strings.TrimPrefix(tenant, ident.Tenant) + strings.TrimPrefix(id, ident.Token)
}

// AuthenticateConnectorToken finds the principal of a connector token's text; ok is false for anything but a living one.
func (v *Vault) AuthenticateConnectorToken(ctx context.Context, text secret.Text) (p record.Principal, ok bool, err error) {
	ticket, wellFormed := parseMarked(text, TokenMark, ident.Token)
	if !wellFormed {
		return p, false, nil
	}
	t, err := v.ConnectorToken(ctx, ticket.Tenant, ticket.ID)
	if fault.KindOf(err) == fault.NotFound {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	if !secret.New(t.Hash).Equal(secret.New(ticket.Secret.Fingerprint())) || !t.Living(v.Now()) {
		return p, false, nil
	}
	return record.Principal{Tenant: t.Tenant, ID: t.ID, Role: record.TokenHolder}, true, nil
}

// ConnectorToken reads a connector token; not_found when the tenant has none of that id.
func (v *Vault) ConnectorToken(ctx context.Context, tenant, id string) (record.ConnectorToken, error) {
	attrs, err := v.get(ctx, store.Records, connectorTokenKey(tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return record.ConnectorToken{}, NotFound("connector token", id)
	}
	if err != nil {
		return record.ConnectorToken{}, err
	}
	return connectorTokenOf(tenant, attrs)
}

func connectorTokenOf(tenant string, attrs store.Attrs) (record.ConnectorToken, error) {
	var doc connectorTokenDoc
	err := decode(attrs, &doc)
	t := doc.ConnectorToken
	t.Tenant, t.Hash, t.UsesLeft = tenant, doc.Hash, t.Uses-attrs.Int(attrTaken)
	return t, err
}

// ConnectorTokens lists a tenant's connector tokens, by id.
func (v *Vault) ConnectorTokens(ctx context.Context, tenant, after string, limit int) (Page[record.ConnectorToken], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: ConnectorTokenPrefix, After: after}
	return list(ctx, v, q, limit, func(item store.Item) (record.ConnectorToken, bool, error) {
		t, err := connectorTokenOf(tenant, item.Attrs)
		return t, true, err
	})
}

// RevokeConnectorToken ends a connector token for good. What was made with it stays.
func (v *Vault) RevokeConnectorToken(ctx context.Context, t record.ConnectorToken) error {
	t.Revoked = true
	doc, err := encode(connectorTokenDoc{ConnectorToken: t, Hash: t.Hash})
	if err != nil {
		return err
	}
	err = v.applyAudited(ctx, t.Tenant, tokenSubject(t.ID), tokenRevoked(t), store.Op{Verb: store.Update, Table: store.Records, Key: connectorTokenKey(t.Tenant, t.ID), If: store.Exists(),
		Set: store.Attrs{attrDoc: doc, attrRevoked: true}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil // it is gone
	}
	return err
}

// takenUse is the write that takes a use of the connector token that an entry is made with; nothing for an entry that is
// made without. When the token ends is no part of its condition, because it never changes: what is read now is what the
// condition would see.
func (v *Vault) takenUse(ctx context.Context, e record.Entry) ([]store.Op, error) {
	if e.ConnectorToken == "" {
		return nil, nil
	}
	t, err := v.ConnectorToken(ctx, e.Tenant, e.ConnectorToken)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return nil, ConnectorTokenEnded()
	case err != nil:
		return nil, err
	case !v.Now().Before(t.Expires):
		return nil, ConnectorTokenEnded()
	}
	return []store.Op{{Verb: store.Update, Table: store.Records, Key: connectorTokenKey(t.Tenant, t.ID),
		If: store.All(store.Lacks(attrRevoked), store.Less(attrTaken, t.Uses)), Add: map[string]int64{attrTaken: 1}}}, nil
}

// returnedUse is the write that gives a connector token its use back; nothing for an entry that was made without one.
// Revoked or expired, a token is counted right all the same. Records of tokens stay as long as their tenant does.
func returnedUse(e record.Entry) []store.Op {
	if e.ConnectorToken == "" {
		return nil
	}
	return []store.Op{{Verb: store.Update, Table: store.Records, Key: connectorTokenKey(e.Tenant, e.ConnectorToken),
		If: store.Exists(), Add: map[string]int64{attrTaken: -1}}}
}

// useRefused says why a use was not to be had.
func useRefused(token store.Attrs) *fault.Error {
	if token == nil || token.Bool(attrRevoked) {
		return ConnectorTokenEnded()
	}
	return ConnectorTokenUsedUp()
}

// takesConnector is when an entry takes another connector.
func takesConnector(c record.Connector) *store.Cond {
	if ident.Valid(c.CreatedBy, ident.Token) {
		return store.Less(attrConnectors, MostTokenConnectors)
	}
	return store.Exists()
}

func tooManyConnectors() *fault.Error {
	return fault.New(fault.Conflict, "connector_token_used_up",
		fmt.Sprintf("The vault entry has %d connectors, and the holder of a connector token brings it to no more.", MostTokenConnectors)).
		Do("An owner or admin makes more.")
}

// ConnectorTokenEnded is the answer to what is asked with a connector token that is revoked or expired. As a rule the
// gateway has refused it before; it keeps the authorizer's answer for a minute.
func ConnectorTokenEnded() *fault.Error {
	return fault.New(fault.Forbidden, "connector_token_ended", "The connector token is revoked or has expired.").
		Do("Ask whoever gave it to you for another. What was connected with it stays connected.")
}

// ConnectorTokenUsedUp is the answer when a connector token's uses are all taken.
func ConnectorTokenUsedUp() *fault.Error {
	return fault.New(fault.Conflict, "connector_token_used_up", "The connector token has no use left.").
		Do("Go on with a vault entry that you made with it, delete one that was never authorized, or ask for another token.")
}

// EntryFor reads an entry for a principal; not_found when there is none for them, in the same words as when there is none.
func (v *Vault) EntryFor(ctx context.Context, p record.Principal, id string) (record.Entry, error) {
	e, err := v.Entry(ctx, p.Tenant, id)
	if err == nil && !p.MaySee(e) {
		return record.Entry{}, NotFound("vault entry", id)
	}
	return e, err
}

// EntryStateFor is EntryFor with the entry's state.
func (v *Vault) EntryStateFor(ctx context.Context, p record.Principal, id string) (EntryState, error) {
	state, err := v.EntryState(ctx, p.Tenant, id)
	if err == nil && !p.MaySee(state.Entry) {
		return EntryState{}, NotFound("vault entry", id)
	}
	return state, err
}
