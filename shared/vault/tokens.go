package vault

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
)

// TokenSet is what is sealed into a credential.
type TokenSet struct {
	Access  secret.Text
	Refresh secret.Text
	Scope   string
	// Of the access token; only in a set that is sealed into a request, where no credential keeps them.
	Lifetime time.Duration
	Expires  time.Time
	// What the token endpoint said besides, for the identification of the account; likewise.
	Claims map[string]string
	// Of the refresh token; 0 when it was not said. Likewise.
	RefreshLifetime time.Duration
}

type tokenSetJSON struct {
	Access   string        `json:"access"`
	Refresh  string        `json:"refresh,omitempty"`
	Scope    string        `json:"scope,omitempty"`
	Lifetime time.Duration `json:"lifetime,omitempty"`
	Expires  time.Time     `json:"expires,omitzero"`

	Claims          map[string]string `json:"claims,omitempty"`
	RefreshLifetime time.Duration     `json:"refresh_lifetime,omitempty"`
	Schema          int64             `json:"schema,omitempty"`
}

func tokenBinding(c record.Credential, generation int64) seal.Binding {
	return seal.Binding{Purpose: "tokens", Tenant: c.Tenant, Record: c.Entry, Provider: c.Provider, Generation: generation}
}

func requestBinding(r record.Request, purpose string) seal.Binding {
	return seal.Binding{Purpose: purpose, Tenant: r.Tenant, Record: r.ID, Provider: r.Provider}
}

// SealTokens seals a set for a generation of an entry.
func (v *Vault) SealTokens(ctx context.Context, c record.Credential, generation int64, set TokenSet) ([]byte, error) {
	return v.sealSet(ctx, tokenBinding(c, generation), set)
}

// OpenTokens opens the set in force.
func (v *Vault) OpenTokens(ctx context.Context, c record.Credential) (TokenSet, error) {
	return v.openSet(ctx, tokenBinding(c, c.Generation), c.Sealed)
}

// SealInto seals a freshly exchanged set into its authorization request, before anybody knows whose account it is.
func (v *Vault) SealInto(ctx context.Context, r record.Request, set TokenSet) ([]byte, error) {
	return v.sealSet(ctx, requestBinding(r, "request-tokens"), set)
}

// OpenFrom opens what SealInto sealed.
func (v *Vault) OpenFrom(ctx context.Context, r record.Request) (TokenSet, error) {
	return v.openSet(ctx, requestBinding(r, "request-tokens"), r.Sealed)
}

// SealVerifier seals a PKCE verifier into its request.
func (v *Vault) SealVerifier(ctx context.Context, r record.Request, verifier secret.Text) ([]byte, error) {
	return v.Sealer.Seal(ctx, requestBinding(r, "verifier"), []byte(verifier.Reveal()))
}

// OpenVerifier opens what SealVerifier sealed; the zero Text when the request has none.
func (v *Vault) OpenVerifier(ctx context.Context, r record.Request) (secret.Text, error) {
	if len(r.Verifier) == 0 {
		return secret.Text{}, nil
	}
	b, err := v.Sealer.Open(ctx, requestBinding(r, "verifier"), r.Verifier)
	return secret.New(string(b)), err
}

func (v *Vault) sealSet(ctx context.Context, b seal.Binding, set TokenSet) ([]byte, error) {
	plain, err := json.Marshal(tokenSetJSON{Access: set.Access.Reveal(), Refresh: set.Refresh.Reveal(), Scope: set.Scope,
		Lifetime: set.Lifetime, Expires: set.Expires, Claims: set.Claims, RefreshLifetime: set.RefreshLifetime, Schema: schema.TokenSet.Carried()})
	if err != nil {
		return nil, errors.New("encoding a token set failed")
	}
	return v.Sealer.Seal(ctx, b, plain)
}

// openSet drops the decoder's error: it can quote its input.
func (v *Vault) openSet(ctx context.Context, b seal.Binding, sealed []byte) (TokenSet, error) {
	plain, err := v.Sealer.Open(ctx, b, sealed)
	if err != nil {
		return TokenSet{}, err
	}
	var in tokenSetJSON
	if err := json.Unmarshal(plain, &in); err != nil {
		return TokenSet{}, errors.New("a token set cannot be read")
	}
	if schema.TokenSet.Newer(in.Schema) {
		return TokenSet{}, fault.Newer(string(schema.TokenSet), in.Schema, schema.Of(schema.TokenSet).Reads)
	}
	return TokenSet{Access: secret.New(in.Access), Refresh: secret.New(in.Refresh), Scope: in.Scope,
		Lifetime: in.Lifetime, Expires: in.Expires, Claims: in.Claims, RefreshLifetime: in.RefreshLifetime}, nil
}
