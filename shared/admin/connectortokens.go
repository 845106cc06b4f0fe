package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// How much a connector token can be good for. It is handed on to somebody who has no key, so it is for a task and a time.
const (
	MaxTokenUses  = 1000
	MaxTokenHours = 90 * 24
	maxTokenLabel = 64 // it stands in a sentence of the start page
)

// ConnectorTokenInput is what a request says of a new connector token.
type ConnectorTokenInput struct {
	Label          string   `json:"label,omitempty"`
	Providers      []string `json:"providers"`
	Environment    string   `json:"environment"`
	APIEnvironment string   `json:"api_environment,omitempty"`
	Uses           *int64   `json:"uses"`
	ExpiresAt      *string  `json:"expires_at,omitempty"`
	ExpiresInHours *int     `json:"expires_in_hours,omitempty"`
}

// CreateConnectorToken makes a connector token and returns its text, which cannot be had again. A repeat under the same
// idempotency key is told which token the first try made.
func (s *Service) CreateConnectorToken(ctx context.Context, p record.Principal, idempotencyKey string, in ConnectorTokenInput) (record.ConnectorToken, secret.Text, error) {
	repeat, err := vault.NewOnce(p, idempotencyKey, "POST /v1/connector-tokens", in)
	if err != nil {
		return record.ConnectorToken{}, secret.Text{}, err
	}
	if id, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || id != "" {
		if err == nil {
			err = vault.ConnectorTokenShownOnce(id)
		}
		return record.ConnectorToken{}, secret.Text{}, err
	}
	token := record.ConnectorToken{Tenant: p.Tenant, Label: in.Label, Environment: in.Environment, CreatedBy: p.ID, CreatorRole: p.Role}
	if err := s.checkConnectorToken(p, &token, in); err != nil {
		return token, secret.Text{}, err
	}
	return s.Vault.CreateConnectorToken(ctx, token, repeat)
}

func (s *Service) checkConnectorToken(p record.Principal, token *record.ConnectorToken, in ConnectorTokenInput) error {
	if token.Label != "" {
		if err := label("label", token.Label, maxTokenLabel); err != nil {
			return err
		}
	}
	var err error
	if token.Providers, err = s.tokenProviders(p, in.Providers); err != nil {
		return err
	}
	if err := slug("environment", token.Environment, maxEnvironment); err != nil {
		return err
	}
	if in.APIEnvironment != "" {
		if token.APIEnvironment, err = side(in.APIEnvironment); err != nil {
			return err
		}
	}
	switch {
	case in.Uses == nil:
		return missing("uses").Do("Say how many vault entries can be made with it.")
	case *in.Uses < 1 || *in.Uses > MaxTokenUses:
		return invalid("uses", fmt.Sprintf("uses is not a whole number from 1 to %d.", MaxTokenUses)).Do("Give such a number; make several tokens for more.")
	}
	token.Uses = *in.Uses
	token.Expires, err = s.tokenEnd(in)
	return err
}

// tokenProviders are the providers that a new token names. Nobody hands on what they may not do themselves.
func (s *Service) tokenProviders(p record.Principal, named []string) ([]string, error) {
	if len(named) == 0 {
		return nil, missing("providers").Do("Name what may be connected: one or more of " + s.names() + ".")
	}
	var out []string
	for _, name := range named {
		adapter, ok := s.Provider(name)
		if !ok {
			return nil, invalid("providers", fmt.Sprintf("There is no provider %q.", clip(name))).Do("Use one or more of: " + s.names() + ".")
		}
		if err := mayTouch(p, adapter.Descriptor()); err != nil {
			return nil, err
		}
		out = append(out, adapter.Descriptor().Name)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tokenEnd is when a new token ends. Each does.
func (s *Service) tokenEnd(in ConnectorTokenInput) (time.Time, error) {
	now := s.Now().UTC().Truncate(time.Second)
	latest := now.Add(MaxTokenHours * time.Hour)
	switch {
	case in.ExpiresAt != nil && in.ExpiresInHours != nil:
		return time.Time{}, invalid("expires_at", "Both expires_at and expires_in_hours are given.").Do("Give one of them.")
	case in.ExpiresInHours != nil:
		if hours := *in.ExpiresInHours; hours < 1 || hours > MaxTokenHours {
			return time.Time{}, invalid("expires_in_hours", fmt.Sprintf("expires_in_hours is not a whole number from 1 to %d.", MaxTokenHours)).Do("Give such a number.")
		}
		return now.Add(time.Duration(*in.ExpiresInHours) * time.Hour), nil
	case in.ExpiresAt == nil:
		return time.Time{}, missing("expires_at").Do(fmt.Sprintf("Give expires_at, or expires_in_hours from 1 to %d.", MaxTokenHours))
	}
	at, err := time.Parse(time.RFC3339, *in.ExpiresAt)
	switch {
	case err != nil:
		return at, invalid("expires_at", "expires_at is not a time.").Do("Send it as 2027-05-20T12:00:00Z.")
	case !at.After(s.Now()):
		return at, invalid("expires_at", "expires_at is over.").Do("Give a time that is still to come.")
	case at.After(latest):
		return at, invalid("expires_at", "expires_at is more than 90 days ahead.").Do("Give an earlier one, and make another token then.")
	}
	return at.UTC(), nil
}

// RevokeConnectorToken ends a connector token for good. What was made with it stays.
func (s *Service) RevokeConnectorToken(ctx context.Context, p record.Principal, id string) error {
	token, err := s.Vault.ConnectorToken(ctx, p.Tenant, id)
	if err != nil || token.Revoked {
		return err
	}
	return s.Vault.RevokeConnectorToken(ctx, token)
}

// holding is the connector token that a principal holds; nil for everybody who has a right of their own.
type holding struct{ record.ConnectorToken }

// tokenOf finds the connector token of a principal who holds one.
func (s *Service) tokenOf(ctx context.Context, p record.Principal) (*holding, error) {
	if p.Role != record.TokenHolder {
		return nil, nil //nolint:nilnil // no token, nothing that it would bound
	}
	token, err := s.Vault.ConnectorToken(ctx, p.Tenant, p.ID)
	if fault.KindOf(err) == fault.NotFound || err == nil && !token.Living(s.Now()) {
		err = vault.ConnectorTokenEnded()
	}
	return &holding{token}, err
}

// names reports whether the token is for a provider: it names it, and whoever gave it may connect it.
func (h *holding) names(d *provider.Descriptor) bool {
	return slices.Contains(h.Providers, d.Name) && (!d.OwnerOnly || access.May(h.CreatorRole, access.GuardedEntries))
}

// mayMake refuses who may not make entries of a provider.
func mayMake(p record.Principal, token *holding, d *provider.Descriptor) error {
	switch {
	case token == nil:
		return mayTouch(p, d)
	case !token.names(d):
		return beyond("provider", "This connector token is for other providers than "+d.Name+".", strings.Join(token.Providers, " or "))
	default:
		return nil
	}
}

// mayConnect refuses who may not connect an account of a provider now.
func mayConnect(p record.Principal, token *holding, d *provider.Descriptor) error {
	if err := access.Need(p, access.CreateConnectors); err != nil {
		return err
	}
	if err := mayMake(p, token, d); err != nil {
		return err
	}
	return token.exhausted()
}

// exhausted refuses a token without a use. It is asked again where it counts, in the transaction.
func (h *holding) exhausted() error {
	if h == nil || h.UsesLeft > 0 {
		return nil
	}
	return vault.ConnectorTokenUsedUp()
}

// complete adds to a request what its token says anyway.
func (h *holding) complete(in Fields) Fields {
	if h == nil {
		return in
	}
	out := maps.Clone(in)
	for name, value := range map[string]string{"environment": h.Environment, "api_environment": string(h.APIEnvironment)} {
		if _, given := in[name]; given || value == "" {
			continue
		}
		out[name], _ = json.Marshal(value) // a string: it cannot fail
	}
	return out
}

// bind holds an entry against the token that it is to be made with, and names the token in it.
func (h *holding) bind(e *record.Entry) error {
	switch {
	case h == nil:
		return nil
	case e.Environment != h.Environment:
		return beyond("environment", "This connector token is for another environment.", h.Environment)
	case h.APIEnvironment != "" && e.APIEnvironment != h.APIEnvironment:
		return beyond("api_environment", "This connector token is for the other side of the provider.", string(h.APIEnvironment))
	}
	e.ConnectorToken = h.ID
	return nil
}

func beyond(field, detail, use string) *fault.Error {
	return fault.New(fault.Forbidden, "connector_token_scope", detail).On(field).Do("Use " + use + ", or ask for another token.")
}

// ProvidersFor are the providers that a principal can see.
func (s *Service) ProvidersFor(ctx context.Context, p record.Principal) ([]provider.Adapter, error) {
	token, err := s.tokenOf(ctx, p)
	if err != nil || token == nil {
		return s.Providers(), err
	}
	return slices.DeleteFunc(slices.Clone(s.Providers()), func(a provider.Adapter) bool { return !token.names(a.Descriptor()) }), nil
}

// ProviderFor finds a provider for a principal; not_found when there is none for them.
func (s *Service) ProviderFor(ctx context.Context, p record.Principal, name string) (provider.Adapter, error) {
	token, err := s.tokenOf(ctx, p)
	if err != nil {
		return nil, err
	}
	adapter, err := s.Adapter(name)
	if err == nil && token != nil && !token.names(adapter.Descriptor()) {
		return nil, vault.NotFound("provider", clip(name))
	}
	return adapter, err
}
