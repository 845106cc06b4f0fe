package amazon

import (
	"net/url"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/secret"
)

// ParseLogin implements provider.Storefront: the visit that begins at the Appstore (Amazon facts 2.4). Where the
// browser goes on is what anybody may have written into a link, so only Amazon's own pages are taken; anything else
// would make us a redirector, and one that hands out a state.
func (a *Adapter) ParseLogin(query url.Values) (provider.Login, error) {
	login := provider.Login{
		Callback: query.Get("amazon_callback_uri"),
		State:    query.Get("amazon_state"),
		Account:  query.Get(claimAccount),
		Beta:     query.Get("version") == "beta",
	}
	if login.State == "" {
		return provider.Login{}, invalid("amazon_state", "The visit from the Appstore holds no amazon_state.").
			Do("Begin again from the application's page in the Appstore.")
	}
	if login.Account != "" && !accountShape.MatchString(login.Account) {
		return provider.Login{}, invalid(claimAccount, "The "+claimAccount+" is not an identifier.").
			Do("Begin again from the application's page in the Appstore.")
	}
	if !a.confirms(login.Callback) {
		return provider.Login{}, foreignCallback()
	}
	return login, nil
}

// ContinueURL implements provider.Storefront. The callback was checked when the visit came and has lain in a store
// since: it is checked again.
func (a *Adapter) ContinueURL(login provider.Login, redirectURI string, state secret.Text) (string, error) {
	if !a.confirms(login.Callback) {
		return "", foreignCallback()
	}
	query := url.Values{
		"redirect_uri": {redirectURI},
		"amazon_state": {login.State},
		"state":        {state.Reveal()},
	}
	if login.Beta {
		query.Set("version", "beta")
	}
	address, err := oauth.Query(login.Callback, query)
	if err != nil {
		return "", foreignCallback()
	}
	return address, nil
}

func foreignCallback() *fault.Error {
	return invalid("amazon_callback_uri", "The address to go on to is not a confirmation page of Amazon's.").
		Do("Begin again from the application's page in the Appstore.")
}

// confirms reports whether an address is a confirmation page: on a consent host, by https and without a port, or on
// the host that replaces them, exactly as it is.
func (a *Adapter) confirms(address string) bool {
	u, err := url.Parse(address)
	// A backslash or a control character is read in more than one way by browsers, and has no business here.
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(address, "\\\t\r\n#") {
		return false
	}
	application, standard := strings.CutPrefix(u.EscapedPath(), confirmPath)
	if !standard || application == "" || application == "." || application == ".." || strings.ContainsAny(application, "/%") {
		return false
	}
	if a.endpoints.Consent == "" {
		return u.Scheme == "https" && a.places.hosts(u.Host)
	}
	own, err := url.Parse(a.endpoints.Consent)
	return err == nil && u.Scheme == own.Scheme && u.Host == own.Host
}
