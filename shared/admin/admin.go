// Package admin keeps a tenant's records: provider apps, vault entries and connectors.
//
// The argument: these are what people type, so this is where input is checked: every field, before anything is
// written, with an answer that names the field. What needs a token, a client secret or a provider is asked of others.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"connectorvault/shared/fault"
	"connectorvault/shared/outbound"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// Config is what the service needs.
type Config struct {
	Vault     *vault.Vault
	Secrets   store.Secrets // written to, never read from
	Provider  func(name string) (provider.Adapter, bool)
	Providers func() []provider.Adapter // all, in the order to show
	Tokens    tokens.Invoke
	Announce  func(ctx context.Context, messages []webhook.Message) error // to the queue of webhooks
	Webhooks  outbound.Rules                                              // what their endpoints may be
	Enabled   func(name string) bool                                      // whether accounts of a provider may be connected here; nil: all may

	RedirectURI func(provider string) string                     // our callback address; needed by Preflight
	Reach       func(ctx context.Context, provider string) error // whether that leads here; likewise

	Now    func() time.Time
	Random io.Reader
}

// Service keeps records. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// Adapter finds a provider; not_found when there is none of that name.
func (s *Service) Adapter(name string) (provider.Adapter, error) {
	adapter, ok := s.Provider(name)
	if !ok {
		return nil, vault.NotFound("provider", clip(name))
	}
	return adapter, nil
}

// known is where a request names its provider in the body.
func (s *Service) known(name string) (provider.Adapter, error) {
	if name == "" {
		return nil, missing("provider").Do("Name the provider: one of " + s.names() + ".")
	}
	adapter, ok := s.Provider(name)
	if !ok {
		return nil, invalid("provider", fmt.Sprintf("There is no provider %q.", clip(name))).Do("Use one of: " + s.names() + ".")
	}
	return adapter, nil
}

func (s *Service) names() string {
	var names []string
	for _, adapter := range s.Providers() {
		names = append(names, adapter.Descriptor().Name)
	}
	return strings.Join(names, ", ")
}

// Fields are the members of a request that the provider defines.
type Fields map[string]json.RawMessage

// text takes a field that is a string; "" when it is absent or null.
func (f Fields) text(name string) (string, error) {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", invalid(name, name+" is not a string.").Do("Send it as a JSON string.")
	}
	return value, nil
}

// unknown refuses members that nobody knows: a misspelt one would be silently without effect.
func (f Fields) unknown(known []string) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if !slices.Contains(known, name) {
			return invalid(clip(name), fmt.Sprintf("There is no field %q here.", clip(name))).
				Do("Leave it out, or use one of: " + strings.Join(known, ", ") + ".")
		}
	}
	return nil
}

func names(fields []provider.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// label checks a name that people give: 1 to most characters of anything that prints.
func label(field, value string, most int) error {
	trimmed := strings.TrimSpace(value)
	switch n := len([]rune(value)); {
	case trimmed == "":
		return missing(field).Do(fmt.Sprintf("Give 1 to %d characters.", most))
	case trimmed != value:
		return invalid(field, field+" begins or ends with a space.").Do("Remove it.")
	case n > most:
		return invalid(field, fmt.Sprintf("%s has %d characters.", field, n)).Do(fmt.Sprintf("Use at most %d.", most))
	case strings.ContainsFunc(value, misleads):
		return invalid(field, field+" has characters that do not print.").Do("Use letters, digits, spaces and punctuation.")
	default:
		return nil
	}
}

// misleads reports characters that do not print, and those that turn the direction of writing around: the start page
// of an authorization shows these names to a person, who must read there what was typed here.
func misleads(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// slug checks a word that stands in keys.
func slug(field, value string, most int) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	switch {
	case value == "":
		return missing(field).Do("Give a word such as production or test.")
	case len(value) > most || strings.Trim(value, letters) != "":
		return invalid(field, fmt.Sprintf("%s is not 1 to %d letters, digits, dots, dashes or underscores.", field, most)).
			Do("Use a word such as production or test.")
	default:
		return nil
	}
}

func side(value string) (record.APIEnvironment, error) {
	switch env := record.APIEnvironment(value); env {
	case "":
		return record.Production, nil
	case record.Production, record.Sandbox:
		return env, nil
	default:
		return "", invalid("api_environment", fmt.Sprintf("api_environment cannot be %q.", clip(value))).Do("Use production or sandbox.")
	}
}

func missing(field string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", field+" is missing.").On(field)
}

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(field)
}

func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Refresh refreshes an entry's token now, because a person asked.
func (s *Service) Refresh(ctx context.Context, p record.Principal, id string) (tokens.Answer, error) {
	if _, err := s.Vault.Entry(ctx, p.Tenant, id); err != nil {
		return tokens.Answer{}, err
	}
	answer, err := s.Tokens(ctx, tokens.Call{Op: tokens.Refresh, Tenant: p.Tenant, Entry: id, Force: true})
	if err != nil {
		return answer, err
	}
	return answer, answer.Err()
}
