// Package authorize is how an account gets connected: it begins authorization requests, walks a browser through them,
// and turns what comes back into a call to the token service.
//
// The argument: a redirect is a message from a stranger. Whoever can make a browser visit our callback, or make a
// person paste a URL, must not be able to connect their account to somebody else's entry, or somebody else's account
// to theirs. So a request is begun by a known principal, bound to one browser by a cookie or to that principal by
// their key, named by a state of which we keep a fingerprint, and completed once. This package checks all of that, and
// neither opens a token nor talks to a provider.
package authorize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// RequestLife is how long an authorization request can be completed.
const RequestLife = 10 * time.Minute

// Outside is the space where visits are parked that no tenant has claimed yet.
const Outside = ident.Outside

// Config is what the service needs.
type Config struct {
	Vault     *vault.Vault
	Provider  func(name string) (provider.Adapter, bool)
	Tokens    tokens.Invoke
	Enabled   func(name string) bool // whether accounts of a provider may be connected here; nil: all may
	PublicURL string                 // where browsers reach us: scheme and host, without a slash at the end
	HTTP      *http.Client           // for requests to ourselves; needed by Reach alone
	Now       func() time.Time
	Random    io.Reader
	Metrics   *metric.Recorder // nil: nothing is counted
}

// Service begins and completes authorization requests. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// RedirectURI is the one redirect URI of a provider, as the operator registers it there.
func RedirectURI(publicURL, provider string) string {
	return publicURL + "/oauth/" + provider + "/callback"
}

// LoginURI is where a provider's own store sends its visitors.
func LoginURI(publicURL, provider string) string { return publicURL + "/oauth/" + provider + "/login" }

// Begin is what a principal asks for.
type Begin struct {
	Mode         record.Mode
	Handle       secret.Text       // Appstore: what the login page showed
	RefreshToken secret.Text       // RefreshToken
	Claims       map[string]string // RefreshToken: what is said of the account besides
}

// Begun is how to go on. Each URL is good for one use, by the one it was given to, until Expires.
type Begun struct {
	Mode            record.Mode
	StartURL        secret.Text // Browser and Appstore: our page that begins the journey
	OAuthRequestURL secret.Text // ResultURL: the provider's consent page
	Expires         time.Time   // RefreshToken: zero, nothing is waiting
}

// Begin makes an authorization request for an entry; an open one is superseded.
func (s *Service) Begin(ctx context.Context, p record.Principal, entryID string, in Begin) (Begun, error) {
	entry, err := s.Vault.EntryFor(ctx, p, entryID)
	if err != nil {
		return Begun{}, err
	}
	if entry.Disabled {
		return Begun{}, vault.EntryDisabled(entry.ID)
	}
	adapter, err := s.adapter(entry.Provider)
	if err != nil {
		return Begun{}, err
	}
	if s.Enabled != nil && !s.Enabled(entry.Provider) {
		return Begun{}, fault.New(fault.Forbidden, "not_licensed", "This deployment does not connect accounts of "+adapter.Descriptor().Title+".").
			Do("Ask the operator to enable the provider.")
	}
	if adapter.Descriptor().OwnGrant {
		return Begun{}, fault.New(fault.Conflict, "no_authorization", "Nobody authorizes an account of "+adapter.Descriptor().Title+": its own client is what connects it.").
			Do("POST …/refresh asks for a token; POST …/credentials brings another client.")
	}
	if !adapter.Descriptor().Mode(in.Mode) {
		return Begun{}, fault.New(fault.Invalid, "invalid_field", fmt.Sprintf("%s cannot be authorized in the mode %q.", adapter.Descriptor().Title, clip(string(in.Mode)))).
			On("mode").Do("Use one of: " + modes(adapter.Descriptor()) + ".")
	}
	if in.Mode == record.RefreshToken { // whoever has such a token has the account already; only an owner brings it here
		if err := access.Need(p, access.AdoptTokens); err != nil {
			return Begun{}, err
		}
	}
	app, err := s.app(ctx, entry, adapter.Descriptor())
	if err != nil {
		return Begun{}, err
	}
	if in.Mode == record.RefreshToken {
		return s.adopt(ctx, p, entry, in)
	}
	if err := s.mayComeBack(entry, adapter, in.Mode); err != nil {
		return Begun{}, err
	}
	r, err := s.newRequest(ctx, p, entry, adapter, in.Mode)
	if err != nil {
		return Begun{}, err
	}
	switch in.Mode {
	case record.ResultURL:
		return s.beginResultURL(ctx, r, entry, app, adapter)
	case record.Appstore:
		return s.beginAppstore(ctx, r, adapter, in.Handle)
	default:
		return s.beginBrowser(ctx, r)
	}
}

// redirectURI is where an entry's consent comes back to: our one address of the provider, or one of the entry's own.
func (s *Service) redirectURI(entry record.Entry, adapter provider.Adapter) string {
	ours := RedirectURI(s.PublicURL, entry.Provider)
	if redirector, ok := adapter.(provider.Redirector); ok {
		return cmp.Or(redirector.RedirectURI(entry), ours)
	}
	return ours
}

// mayComeBack refuses a door that a consent cannot come back through: where the redirect URI is not ours, only a person
// can bring the Result URL.
func (s *Service) mayComeBack(entry record.Entry, adapter provider.Adapter, mode record.Mode) error {
	redirect := s.redirectURI(entry, adapter)
	if mode == record.ResultURL || mode == record.RefreshToken || redirect == RedirectURI(s.PublicURL, entry.Provider) {
		return nil
	}
	return fault.New(fault.Invalid, "invalid_field", "The vault entry's callback URL is not ours, so the browser will not come back to us.").
		On("mode").Do("Use the mode result_url and paste the address that the browser lands on, or set the entry's callback URL to " +
		RedirectURI(s.PublicURL, entry.Provider) + " if that is registered at the provider.")
}

func (s *Service) newRequest(ctx context.Context, p record.Principal, entry record.Entry, adapter provider.Adapter, mode record.Mode) (record.Request, error) {
	id, err := ident.New(s.Random, ident.Request)
	if err != nil {
		return record.Request{}, err
	}
	now := s.Now().UTC()
	r := record.Request{Tenant: p.Tenant, ID: id, Entry: entry.ID, Provider: entry.Provider, Principal: p.ID, Mode: mode,
		RedirectURI: s.redirectURI(entry, adapter), Stage: record.Open, CreatedAt: now, Expires: now.Add(RequestLife)}
	if !challenged(entry, adapter) {
		return r, nil
	}
	verifier, err := ident.Secret(s.Random)
	if err != nil {
		return r, err
	}
	r.Challenge = oauth.Challenge(verifier)
	r.Verifier, err = s.Vault.SealVerifier(ctx, r, verifier)
	return r, err
}

// challenged reports whether the consent page of an entry takes a challenge.
func challenged(entry record.Entry, adapter provider.Adapter) bool {
	challenger, some := adapter.(provider.Challenger)
	return adapter.Descriptor().PKCE && (!some || challenger.Challenges(entry))
}

// beginBrowser hands out a start handle. The consent URL is made when it is used, so it never waits in a mail.
func (s *Service) beginBrowser(ctx context.Context, r record.Request) (Begun, error) {
	handle, err := ident.NewTicket(s.Random, r.Tenant, r.ID)
	if err != nil {
		return Begun{}, err
	}
	r.HandleHash = handle.Secret.Fingerprint()
	if err := s.Vault.BeginRequest(ctx, r); err != nil {
		return Begun{}, err
	}
	return Begun{Mode: r.Mode, StartURL: secret.New(s.PublicURL + "/oauth/start/" + handle.Text().Reveal()), Expires: r.Expires}, nil
}

// beginResultURL hands out the consent URL itself. It works in any browser, because only the principal that began can
// complete it.
func (s *Service) beginResultURL(ctx context.Context, r record.Request, entry record.Entry, app record.App, adapter provider.Adapter) (Begun, error) {
	state, err := ident.NewTicket(s.Random, r.Tenant, r.ID)
	if err != nil {
		return Begun{}, err
	}
	r.StateHash = state.Secret.Fingerprint()
	address, err := consentURL(adapter, provider.Consent{Entry: entry, App: app, RedirectURI: r.RedirectURI, State: state.Text(), Challenge: r.Challenge})
	if err != nil {
		return Begun{}, err
	}
	if err := s.Vault.BeginRequest(ctx, r); err != nil {
		return Begun{}, err
	}
	return Begun{Mode: r.Mode, OAuthRequestURL: secret.New(address), Expires: r.Expires}, nil
}

// beginAppstore binds a parked visit to an entry. Only the browser that made the visit can go on.
func (s *Service) beginAppstore(ctx context.Context, r record.Request, adapter provider.Adapter, handle secret.Text) (Begun, error) {
	parked, err := s.parked(ctx, r.Provider, handle)
	if err != nil {
		return Begun{}, err
	}
	if _, ok := adapter.(provider.Storefront); !ok {
		return Begun{}, fmt.Errorf("provider %q has the mode appstore and no storefront", r.Provider)
	}
	if err := s.Vault.TakeParked(ctx, parked); errors.Is(err, vault.ErrClaimed) {
		return Begun{}, handleUnknown()
	} else if err != nil {
		return Begun{}, err
	}
	r.CookieHash, r.Callback, r.CallbackState = parked.CookieHash, parked.Callback, parked.CallbackState
	r.Account, r.Beta = parked.Account, parked.Beta
	return s.beginBrowser(ctx, r)
}

func (s *Service) parked(ctx context.Context, provider string, handle secret.Text) (record.Request, error) {
	ticket, ok := ident.ParseTicket(handle.Reveal(), ident.Request)
	if !ok || ticket.Tenant != Outside {
		return record.Request{}, handleUnknown()
	}
	r, err := s.Vault.Request(ctx, ticket.Tenant, ticket.ID)
	if errors.Is(err, store.ErrNotFound) {
		return r, handleUnknown()
	}
	if err != nil {
		return r, err
	}
	if !matches(r.HandleHash, ticket.Secret) || r.Provider != provider || r.Stage != record.Open || !s.Now().Before(r.Expires) {
		return r, handleUnknown()
	}
	return r, nil
}

func handleUnknown() *fault.Error {
	return fault.New(fault.Invalid, "authorization_request_unknown", "This handle belongs to no waiting visit; it was used, has expired, or is incomplete.").
		On("handle").Do("Open the application in the provider's store again and use the handle that our page then shows.")
}

// adopt hands an owner's own refresh token to the token service.
func (s *Service) adopt(ctx context.Context, p record.Principal, entry record.Entry, in Begin) (Begun, error) {
	if in.RefreshToken.IsZero() {
		return Begun{}, fault.New(fault.Invalid, "invalid_field", "The refresh token is missing.").
			On("refresh_token").Do("Give the refresh token that the provider showed when you authorized your own application.")
	}
	_, err := s.Tokens(ctx, tokens.Call{Op: tokens.Adopt, Tenant: p.Tenant, Entry: entry.ID, RefreshToken: in.RefreshToken,
		Claims: in.Claims, Principal: p.ID})
	return Begun{Mode: in.Mode}, err
}

func (s *Service) adapter(name string) (provider.Adapter, error) {
	adapter, ok := s.Provider(name)
	if !ok {
		return nil, vault.NotFound("provider", name)
	}
	return adapter, nil
}

// app finds the operator's application that consent is given to.
func (s *Service) app(ctx context.Context, entry record.Entry, d *provider.Descriptor) (record.App, error) {
	if !d.UsesApp(entry) {
		return record.App{}, nil
	}
	app, found, err := s.Vault.App(ctx, entry.Tenant, entry.Provider, entry.APIEnvironment)
	if err == nil && !found {
		err = fault.New(fault.Misconfigured, "client_misconfigured",
			fmt.Sprintf("No %s application is registered for %s.", d.Title, entry.APIEnvironment)).
			Do("An owner registers it: PUT /v1/provider-apps/" + d.Name + ".")
	}
	return app, err
}

func consentURL(adapter provider.Adapter, c provider.Consent) (string, error) {
	authorizer, ok := adapter.(provider.Authorizer)
	if !ok {
		return "", fmt.Errorf("provider %q has no consent page", c.Entry.Provider)
	}
	return authorizer.ConsentURL(c)
}

// matches compares a value's fingerprint with a stored one, in constant time. Nothing matches an empty one.
func matches(hash string, value secret.Text) bool {
	return hash != "" && secret.New(hash).Equal(secret.New(value.Fingerprint()))
}

func modes(d *provider.Descriptor) string {
	text := ""
	for i, m := range d.Modes {
		if i > 0 {
			text += ", "
		}
		text += string(m)
	}
	return text
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
