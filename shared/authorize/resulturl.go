package authorize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// maxResultURL is longer than any redirect that arrives: the gateway takes 10,240 bytes of request line and headers.
const maxResultURL = 8 << 10

// Validate completes a request with the URL that the browser landed on. Only the principal that began may, and doing
// it again gives the first result again.
func (s *Service) Validate(ctx context.Context, p record.Principal, entryID string, resultURL secret.Text) (err error) {
	about := &metric.About{}
	defer func() { s.counted(ctx, metric.Validate, about, err) }()
	entry, err := s.Vault.EntryFor(ctx, p, entryID)
	if err != nil {
		return err
	}
	about.Tenant, about.Entry = entry.Tenant, entry.ID
	if entry.Disabled {
		return vault.EntryDisabled(entry.ID)
	}
	adapter, err := s.adapter(entry.Provider)
	if err != nil {
		return err
	}
	u, query, err := parseResultURL(resultURL.Reveal())
	if err != nil {
		return err
	}
	if err := s.ours(ctx, u, query, entry, adapter); err != nil {
		return err
	}
	callback, err := parseCallback(adapter, query)
	if err != nil {
		return err
	}
	r, err := s.requestOf(ctx, callback.State, entry.Provider)
	if err != nil {
		return err
	}
	switch {
	case r.Tenant != p.Tenant || r.Entry != entry.ID:
		return unknownRequest()
	case r.Principal != p.ID:
		return fault.New(fault.Forbidden, "forbidden", "Only the key that began this authorization can validate it.").
			Do("Use that key, or begin anew with yours: POST /v1/vault-entries/" + entry.ID + "/authorize.")
	case r.Mode != record.ResultURL:
		return fault.New(fault.Conflict, "authorization_request_mode", "This authorization was begun for a browser and completes there.").
			On("result_url").Do("Finish it in that browser, or begin anew with {\"mode\": \"result_url\"}.")
	case callback.Denied != "":
		return s.denied(ctx, r, callback)
	}
	return s.complete(ctx, r, callback)
}

// parseResultURL takes a pasted URL apart. Every way to be wrong has a code of its own, because each asks the person
// for something else.
func parseResultURL(text string) (*url.URL, url.Values, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil, fault.New(fault.Invalid, "result_url_empty", "The Result URL is empty.").
			On("result_url").Do("Copy the whole address from the browser after giving consent, and paste it.")
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxResultURL || u.Scheme == "" || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(text, unprintable) {
		return nil, nil, malformed("The Result URL is not a URL.")
	}
	if u.User != nil {
		return nil, nil, fault.New(fault.Invalid, "result_url_userinfo", "The Result URL has a user name in it, which no redirect of ours has.").
			On("result_url").Do("Do not use this URL; somebody may have made it. Begin anew and copy the address yourself.")
	}
	if strings.Contains(text, "#") {
		return nil, nil, fault.New(fault.Invalid, "result_url_fragment", "The Result URL has a part after '#', which no redirect of ours has.").
			On("result_url").Do("Copy the address again without changing it; if it still has a '#', begin anew.")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, malformed("The query of the Result URL cannot be read.")
	}
	return u, query, nil
}

// ours holds a Result URL against the callback that its request was begun with, or, when it names none of the entry's,
// against the one that the entry has now: a program may have moved to another address meanwhile.
func (s *Service) ours(ctx context.Context, u *url.URL, query url.Values, entry record.Entry, adapter provider.Adapter) error {
	callback := s.redirectURI(entry, adapter)
	r, err := s.requestOf(ctx, secret.New(query.Get("state")), entry.Provider)
	switch {
	case err != nil && fault.KindOf(err) != fault.Invalid:
		return err
	case err == nil && r.Tenant == entry.Tenant && r.Entry == entry.ID: // the answer below says where it goes
		callback = r.RedirectURI
	}
	want, err := url.Parse(callback)
	if err != nil {
		return fmt.Errorf("our own callback is no URL: %w", err)
	}
	if strings.EqualFold(u.Scheme, want.Scheme) && strings.EqualFold(host(u), host(want)) && path(u) == path(want) {
		return nil
	}
	return fault.New(fault.Invalid, "result_url_foreign", "The Result URL is not the address that this authorization returns to.").
		On("result_url").Do("Paste the address of the page you land on after consent; it begins with " + callback + "?")
}

// host is a URL's host as browsers show it: without the port that its scheme has anyway.
func host(u *url.URL) string {
	usual := map[string]string{"https": ":443", "http": ":80"}[strings.ToLower(u.Scheme)]
	return strings.TrimSuffix(u.Host, usual)
}

// path is a URL's path as browsers show it: one without any is the root.
func path(u *url.URL) string { return cmp.Or(u.EscapedPath(), "/") }

func malformed(detail string) *fault.Error {
	return fault.New(fault.Invalid, "result_url_malformed", detail).
		On("result_url").Do("Copy the whole address from the browser again, and paste it without changes.")
}

// unprintable characters are in no URL that a browser shows; some make one look like another.
func unprintable(r rune) bool { return r <= ' ' || r >= 0x7f }

// parseCallback refuses duplicate parameters before the adapter looks: of two values, we and the provider could each
// take another.
func parseCallback(adapter provider.Adapter, query url.Values) (provider.Callback, error) {
	if name := duplicate(query); name != "" {
		return provider.Callback{}, duplicated(name)
	}
	authorizer, ok := adapter.(provider.Authorizer)
	if !ok {
		return provider.Callback{}, fault.New(fault.NotFound, "not_found", adapter.Descriptor().Title+" has no consent page, so nobody comes back from one.").
			Do("Give the entry's credentials instead; GET /v1/providers/" + adapter.Descriptor().Name + " names them.")
	}
	return authorizer.ParseCallback(query)
}

func duplicate(query url.Values) string {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if len(query[name]) > 1 {
			return name
		}
	}
	return ""
}

func duplicated(name string) *fault.Error {
	return fault.New(fault.Invalid, "result_url_duplicate_parameter", fmt.Sprintf("The URL has the parameter %q more than once.", clip(name))).
		On("result_url").Do("Do not use this URL; somebody may have changed it. Begin anew and copy the address yourself.")
}

// requestOf finds the request that a state names. What is wrong with a state is not said: a guesser would learn from it.
func (s *Service) requestOf(ctx context.Context, state secret.Text, providerName string) (record.Request, error) {
	ticket, ok := ident.ParseTicket(state.Reveal(), ident.Request)
	if !ok || ticket.Tenant == Outside {
		return record.Request{}, unknownRequest()
	}
	r, err := s.Vault.Request(ctx, ticket.Tenant, ticket.ID)
	if errors.Is(err, store.ErrNotFound) {
		return r, unknownRequest()
	}
	if err != nil {
		return r, err
	}
	if !matches(r.StateHash, ticket.Secret) || r.Provider != providerName {
		return r, unknownRequest()
	}
	return r, nil
}
