package sage

import (
	"fmt"
	"net/url"
	"strings"

	"connectorvault/shared/record"
)

// The standard addresses (Sage facts 1.1, 3.1).
const (
	authorizePath = "/oauth2/auth/central"
	tokenPath     = "/token"
	revokePath    = "/revoke"
	apiPath       = "/v3.1"

	authorizeAddress = "https://www.sageone.com" + authorizePath
	tokenAddress     = "https://oauth.accounting.sage.com" + tokenPath
	revokeAddress    = "https://oauth.accounting.sage.com" + revokePath
	apiAddress       = "https://api.accounting.sage.com" + apiPath

	legacyTokenPath  = "/oauth2/token" //nolint:gosec // the path of a token endpoint is no token
	legacyAPIAddress = "https://api.columbus.sage.com"
	legacyAPIPath    = "/sageone/accounts/v3" // after the country's segment
)

// country is where the older API serves a country. Sage's own samples differ in two things (Sage facts 3.1). For
// the US and Canada two of them name a host a country and two one host for both; the latter is taken, since Europe has
// the same. For GB one of them says gb in the API's path, and the others uki, which is taken.
type country struct {
	token   string // address of the token endpoint
	segment string // of the API's path
}

// countries are those that Sage Accounting knows, by ISO 3166-1.
func countries() map[string]country {
	const (
		isles   = "https://app.sageone.com/oauth2/token"
		america = "https://oauth.na.sageone.com/token"
		europe  = "https://oauth.eu.sageone.com/token"
	)
	return map[string]country{
		"GB": {isles, "uki"}, "IE": {isles, "uki"},
		"US": {america, "us"}, "CA": {america, "ca"},
		"DE": {europe, "de"}, "ES": {europe, "es"}, "FR": {europe, "fr"},
	}
}

// Endpoints replaces Sage's addresses, for a simulator or a proxy. What is empty stays Sage's own.
//
// An address without a path gets the standard one; with a path it is used as given. LegacyToken serves all countries;
// LegacyAPI is followed by the country's path.
type Endpoints struct {
	Authorize   string `json:"authorize,omitempty"`
	Token       string `json:"token,omitempty"`
	Revoke      string `json:"revoke,omitempty"`
	API         string `json:"api,omitempty"`
	LegacyToken string `json:"legacy_token,omitempty"`
	LegacyAPI   string `json:"legacy_api,omitempty"`
}

// Validate reports an address that is not an absolute http or https URL.
func (e Endpoints) Validate() error {
	for _, at := range []struct{ name, address string }{
		{"authorize", e.Authorize}, {"token", e.Token}, {"revoke", e.Revoke}, {"api", e.API},
		{"legacy_token", e.LegacyToken}, {"legacy_api", e.LegacyAPI},
	} {
		if at.address == "" {
			continue
		}
		u, err := url.Parse(at.address)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("sage endpoints: %s is not an http or https address", at.name)
		}
	}
	return nil
}

func (e Endpoints) authorize() string { return orElse(e.Authorize, authorizePath, authorizeAddress) }

// revoke is where tokens are revoked; "" where tokens come from a place of one's own that was not said to revoke: what a
// stand-in issued is not sent to Sage.
func (e Endpoints) revoke() string {
	if e.Revoke == "" && e.Token != "" {
		return ""
	}
	return orElse(e.Revoke, revokePath, revokeAddress)
}

func (e Endpoints) token(entry record.Entry) string {
	if isLegacy(entry) {
		return orElse(e.LegacyToken, legacyTokenPath, countries()[entry.Settings[settingCountry]].token)
	}
	return orElse(e.Token, tokenPath, tokenAddress)
}

func (e Endpoints) api(entry record.Entry) string {
	if !isLegacy(entry) {
		return orElse(e.API, apiPath, apiAddress)
	}
	base := e.LegacyAPI
	if base == "" {
		base = legacyAPIAddress
	}
	return strings.TrimSuffix(base, "/") + "/" + countries()[entry.Settings[settingCountry]].segment + legacyAPIPath
}

// orElse is an address that replaces the standard one, with the standard path when it has none.
func orElse(address, path, standard string) string {
	if address == "" {
		return standard
	}
	u, err := url.Parse(address)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return address
	}
	u.Path = path
	return u.String()
}
