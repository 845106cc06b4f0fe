package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

const (
	maxLabel  = 128
	maxKeyAge = 10 * 366 // days
	// MaxKeyConnectors is how many connectors a key can be for: they travel with each of its requests.
	MaxKeyConnectors = 50
)

// KeyInput is what a request says of a new key.
type KeyInput struct {
	Role          string   `json:"role"`
	Label         string   `json:"label"`
	PersonalData  bool     `json:"personal_data,omitempty"`
	Connectors    []string `json:"connectors,omitempty"`
	ExpiresAt     *string  `json:"expires_at,omitempty"`
	ExpiresInDays *int     `json:"expires_in_days,omitempty"`
}

// CreateKey makes a key of the caller's tenant and returns its text, which cannot be had again. A repeat under the same
// idempotency key is told which key the first try made.
func (s *Service) CreateKey(ctx context.Context, p record.Principal, idempotencyKey string, in KeyInput) (record.APIKey, secret.Text, error) {
	repeat, err := vault.NewOnce(p, idempotencyKey, "POST /v1/keys", in)
	if err != nil {
		return record.APIKey{}, secret.Text{}, err
	}
	if id, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || id != "" {
		if err == nil {
			err = vault.KeyShownOnce(id)
		}
		return record.APIKey{}, secret.Text{}, err
	}
	key := record.APIKey{Tenant: p.Tenant, Role: record.Role(in.Role), Label: in.Label, PersonalData: in.PersonalData, CreatedBy: p.ID}
	if err := s.checkKey(ctx, p, &key, in); err != nil {
		return key, secret.Text{}, err
	}
	return s.Vault.CreateKeyOnce(ctx, key, repeat)
}

func (s *Service) checkKey(ctx context.Context, p record.Principal, key *record.APIKey, in KeyInput) error {
	if err := keyRole(key.Role); err != nil {
		return err
	}
	if err := label("label", key.Label, maxLabel); err != nil {
		return err
	}
	// The grant is apart from the roles: it is passed on by those who have it, and does not come from nowhere.
	if key.PersonalData && !p.PersonalData {
		return fault.New(fault.Forbidden, "personal_data_not_granted", "This key may not see personal data, so it cannot make one that may.").
			On("personal_data").Do("Leave personal_data out, or use a key that has the grant.")
	}
	var err error
	if key.Expires, err = s.keyEnd(in); err != nil {
		return err
	}
	key.Connectors, err = s.keyConnectors(ctx, p, key.Role, in.Connectors)
	return err
}

func keyRole(role record.Role) error {
	var names []string
	for _, r := range access.Roles() {
		names = append(names, string(r))
	}
	use := "Use one of: " + strings.Join(names, ", ") + "."
	switch {
	case role == "":
		return missing("role").Do(use)
	case !slices.Contains(access.Roles(), role):
		return invalid("role", fmt.Sprintf("There is no role %q.", clip(string(role)))).Do(use)
	default:
		return nil
	}
}

// keyEnd is when a new key ends; the zero time when it does not.
func (s *Service) keyEnd(in KeyInput) (time.Time, error) {
	switch {
	case in.ExpiresAt != nil && in.ExpiresInDays != nil:
		return time.Time{}, invalid("expires_at", "Both expires_at and expires_in_days are given.").Do("Give one of them.")
	case in.ExpiresInDays != nil:
		if days := *in.ExpiresInDays; days < 1 || days > maxKeyAge {
			return time.Time{}, invalid("expires_in_days", fmt.Sprintf("expires_in_days is not a whole number from 1 to %d.", maxKeyAge)).
				Do("Give such a number, or leave it out.")
		}
		return s.Now().UTC().Truncate(time.Second).AddDate(0, 0, *in.ExpiresInDays), nil
	case in.ExpiresAt == nil:
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, *in.ExpiresAt)
	if err != nil {
		return at, invalid("expires_at", "expires_at is not a time.").Do("Send it as 2027-05-20T12:00:00Z.")
	}
	if !at.After(s.Now()) {
		return at, invalid("expires_at", "expires_at is over.").Do("Give a time that is still to come.")
	}
	return at.UTC(), nil
}

// keyConnectors are the connectors that a new key is for. They must be there: a key for a misspelt one would be for
// nothing.
func (s *Service) keyConnectors(ctx context.Context, p record.Principal, role record.Role, ids []string) ([]string, error) {
	switch {
	case ids == nil:
		return nil, nil
	case role != record.Reader:
		return nil, invalid("connectors", "Only a reader can be kept to some connectors.").Do("Leave connectors out, or make the key a reader's.")
	case len(ids) == 0:
		return nil, invalid("connectors", "connectors names none.").Do("Name those that the key is for, or leave connectors out to mean all.")
	case len(ids) > MaxKeyConnectors:
		return nil, invalid("connectors", fmt.Sprintf("More than %d connectors are named.", MaxKeyConnectors)).Do("Make several keys.")
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, id := range ids {
		if !ident.Valid(id, ident.Connector) {
			return nil, vault.NotFound("connector", clip(id)).On("connectors")
		}
		if _, err := s.Vault.Connector(ctx, p.Tenant, id); err != nil {
			if fault.KindOf(err) == fault.NotFound {
				return nil, vault.NotFound("connector", id).On("connectors")
			}
			return nil, err
		}
	}
	return ids, nil
}

// Key finds a key of the caller's tenant, with its last use.
func (s *Service) Key(ctx context.Context, p record.Principal, id string) (record.APIKey, error) {
	key, err := s.Vault.Key(ctx, p.Tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return key, vault.NotFound("key", id)
	}
	if err != nil {
		return key, err
	}
	one := []record.APIKey{key}
	err = s.Vault.WithLastUse(ctx, p.Tenant, one)
	return one[0], err
}

// ListKeys lists keys by id, with their last use.
func (s *Service) ListKeys(ctx context.Context, p record.Principal, after string, limit int) (vault.Page[record.APIKey], error) {
	page, err := s.Vault.Keys(vault.Showing(ctx), p.Tenant, after, limit)
	if err != nil {
		return page, err
	}
	return page, s.Vault.WithLastUse(ctx, p.Tenant, page.Items)
}

// RevokeKey ends a key for good. The last one of an owner stays, unless the caller does not need it: somebody who comes
// with an issuer's token.
func (s *Service) RevokeKey(ctx context.Context, p record.Principal, id string) error {
	key, err := s.Vault.Key(ctx, p.Tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return vault.NotFound("key", id)
	}
	if err != nil {
		return err
	}
	if key.Revoked {
		return nil
	}
	if strings.HasPrefix(p.ID, ident.Subject) {
		return s.Vault.RevokeKey(ctx, p.Tenant, id)
	}
	return s.Vault.RevokeKeyBut(ctx, key)
}
