package authorize

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// Journey is what the start page tells a person before they go on: what is about to be connected, for whom.
type Journey struct {
	Tenant      string // its name
	Entry       record.Entry
	Principal   string // who began: the label of a key
	Title       string // the provider's
	ConsentHost string // scheme and host that the browser goes on to, for the page's policy
}

// Journey reads what a start handle stands for, and uses nothing up.
func (s *Service) Journey(ctx context.Context, handle, cookie secret.Text) (Journey, error) {
	r, entry, app, adapter, err := s.started(ctx, handle, cookie)
	if err != nil {
		return Journey{}, err
	}
	address, err := s.next(r, entry, app, adapter, secret.New("state"))
	if err != nil {
		return Journey{}, err
	}
	host, err := origin(address)
	if err != nil {
		return Journey{}, err
	}
	j := Journey{Entry: entry, Title: adapter.Descriptor().Title, ConsentHost: host, Principal: r.Principal, Tenant: r.Tenant}
	if tenant, err := s.Vault.Tenant(ctx, r.Tenant); err == nil && tenant.Name != "" {
		j.Tenant = tenant.Name
	}
	if key, err := s.Vault.Key(ctx, r.Tenant, r.Principal); err == nil && key.Label != "" {
		j.Principal = key.Label
	}
	if token, err := s.Vault.ConnectorToken(ctx, r.Tenant, r.Principal); err == nil && token.Label != "" {
		j.Principal = token.Label
	}
	return j, nil
}

// Start uses a start handle up: it makes the state and the cookie, and returns where the browser goes.
func (s *Service) Start(ctx context.Context, handle, cookie secret.Text) (address, newCookie secret.Text, err error) {
	about := &metric.About{}
	defer func() { s.counted(ctx, metric.Start, about, err) }()
	r, entry, app, adapter, err := s.started(ctx, handle, cookie)
	if err != nil {
		return address, newCookie, err
	}
	about.Tenant, about.Entry = r.Tenant, r.Entry
	state, err := ident.NewTicket(s.Random, r.Tenant, r.ID)
	if err != nil {
		return address, newCookie, err
	}
	if newCookie, err = ident.Secret(s.Random); err != nil {
		return address, newCookie, err
	}
	next, err := s.next(r, entry, app, adapter, state.Text())
	if err != nil {
		return address, newCookie, err
	}
	err = s.Vault.StartRequest(ctx, r, state.Secret.Fingerprint(), newCookie.Fingerprint())
	return secret.New(next), newCookie, startFault(err)
}

// next is where the browser goes from our start page.
func (s *Service) next(r record.Request, entry record.Entry, app record.App, adapter provider.Adapter, state secret.Text) (string, error) {
	if r.Mode != record.Appstore {
		return consentURL(adapter, provider.Consent{Entry: entry, App: app, RedirectURI: r.RedirectURI, State: state, Challenge: r.Challenge})
	}
	storefront, ok := adapter.(provider.Storefront)
	if !ok {
		return "", fmt.Errorf("provider %q has no storefront", r.Provider)
	}
	login := provider.Login{Callback: r.Callback, State: r.CallbackState, Account: r.Account, Beta: r.Beta}
	return storefront.ContinueURL(login, r.RedirectURI, state)
}

// started finds the request of a start handle that can still be used, by this browser.
func (s *Service) started(ctx context.Context, handle, cookie secret.Text) (r record.Request, entry record.Entry, app record.App, adapter provider.Adapter, err error) {
	ticket, ok := ident.ParseTicket(handle.Reveal(), ident.Request)
	if !ok || ticket.Tenant == Outside {
		return r, entry, app, adapter, startUnknown()
	}
	r, err = s.Vault.Request(ctx, ticket.Tenant, ticket.ID)
	if errors.Is(err, store.ErrNotFound) {
		err = startUnknown()
	}
	if err != nil {
		return r, entry, app, adapter, err
	}
	switch {
	case !matches(r.HandleHash, ticket.Secret):
		err = startUnknown()
	case r.Stage != record.Open:
		err = startUsed()
	case !s.Now().Before(r.Expires):
		err = startExpired()
	case r.Mode == record.Appstore && !matches(r.CookieHash, cookie):
		err = otherBrowser()
	}
	if err != nil {
		return r, entry, app, adapter, err
	}
	if entry, err = s.Vault.Entry(ctx, r.Tenant, r.Entry); err != nil {
		return r, entry, app, adapter, err
	}
	if entry.Disabled {
		return r, entry, app, adapter, vault.EntryDisabled(entry.ID)
	}
	if adapter, err = s.adapter(r.Provider); err != nil {
		return r, entry, app, adapter, err
	}
	app, err = s.app(ctx, entry, adapter.Descriptor())
	return r, entry, app, adapter, err
}

// Returned is what a redirect led to.
type Returned struct {
	Entry record.Entry
	Mode  record.Mode
	// Done: the entry is authorized. Otherwise the person is to copy the address and have it validated.
	Done bool
}

// Return takes a browser that comes back from the provider. In browser mode it completes the request, if it is the
// browser that began; in Result URL mode it completes nothing.
func (s *Service) Return(ctx context.Context, providerName string, query url.Values, cookie secret.Text) (returned Returned, err error) {
	about := &metric.About{}
	defer func() {
		if returned.Done || err != nil { // what is to be pasted has used nothing up
			s.counted(ctx, metric.Callback, about, err)
		}
	}()
	adapter, err := s.adapter(providerName)
	if err != nil {
		return Returned{}, err
	}
	callback, err := parseCallback(adapter, query)
	if err != nil {
		return Returned{}, onPage(err)
	}
	r, err := s.requestOf(ctx, callback.State, providerName)
	if err != nil {
		return Returned{}, onPage(err)
	}
	about.Tenant, about.Entry = r.Tenant, r.Entry
	entry, err := s.Vault.Entry(ctx, r.Tenant, r.Entry)
	if err != nil {
		return Returned{}, err
	}
	if entry.Disabled {
		return Returned{}, vault.EntryDisabled(entry.ID)
	}
	pasting := r.Mode == record.ResultURL
	if !pasting && !matches(r.CookieHash, cookie) {
		return Returned{}, otherBrowser()
	}
	if callback.Denied != "" { // also when pasting: there is nothing to copy
		return Returned{}, onPage(s.denied(ctx, r, callback))
	}
	if pasting {
		return Returned{Entry: entry, Mode: r.Mode}, nil
	}
	if err := s.complete(ctx, r, callback); err != nil {
		return Returned{}, onPage(err)
	}
	return Returned{Entry: entry, Mode: r.Mode, Done: true}, nil
}

func (s *Service) complete(ctx context.Context, r record.Request, callback provider.Callback) error {
	_, err := s.Tokens(ctx, tokens.Call{Op: tokens.Complete, Tenant: r.Tenant, Entry: r.Entry, Request: r.ID,
		Code: callback.Code, Claims: callback.Claims})
	return err
}

// denied has it written down that consent was denied, and says so.
func (s *Service) denied(ctx context.Context, r record.Request, callback provider.Callback) error {
	problem := denied(r, callback)
	if _, err := s.Tokens(ctx, tokens.Call{Op: tokens.Deny, Tenant: r.Tenant, Entry: r.Entry, Request: r.ID, Reason: problem.Code}); err != nil {
		return err
	}
	return problem
}

// Visit is a parked visit of the provider's store.
type Visit struct {
	Title  string      // the provider's
	Handle secret.Text // to be given to POST …/authorize
	Cookie secret.Text // of the browser that may go on
}

// Login takes a visitor that the provider's own store sends, and parks the visit until a principal of ours asks for it.
func (s *Service) Login(ctx context.Context, providerName string, query url.Values) (Visit, error) {
	adapter, err := s.adapter(providerName)
	if err != nil {
		return Visit{}, err
	}
	storefront, ok := adapter.(provider.Storefront)
	if !ok {
		return Visit{}, fault.New(fault.NotFound, "not_found", adapter.Descriptor().Title+" has no store of its own.").
			Do("Begin with POST /v1/vault-entries/{id}/authorize.")
	}
	if name := duplicate(query); name != "" {
		return Visit{}, duplicated(name)
	}
	login, err := storefront.ParseLogin(query)
	if err != nil {
		return Visit{}, err
	}
	id, err := ident.New(s.Random, ident.Request)
	if err != nil {
		return Visit{}, err
	}
	handle, err := ident.NewTicket(s.Random, Outside, id)
	if err != nil {
		return Visit{}, err
	}
	cookie, err := ident.Secret(s.Random)
	if err != nil {
		return Visit{}, err
	}
	now := s.Now().UTC()
	err = s.Vault.ParkRequest(ctx, record.Request{Tenant: Outside, ID: id, Provider: providerName, Mode: record.Appstore,
		HandleHash: handle.Secret.Fingerprint(), CookieHash: cookie.Fingerprint(), Callback: login.Callback,
		CallbackState: login.State, Account: login.Account, Beta: login.Beta, CreatedAt: now, Expires: now.Add(RequestLife)})
	return Visit{Title: adapter.Descriptor().Title, Handle: handle.Text(), Cookie: cookie}, err
}

func origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", errors.New("a consent URL has no host")
	}
	return u.Scheme + "://" + u.Host, nil
}
