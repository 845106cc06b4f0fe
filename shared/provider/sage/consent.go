package sage

import (
	"net/url"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// claimCountry is the callback's word for where consent was given.
const claimCountry = "country"

var countryShape = provider.NewShape(`^[A-Za-z]{2}$`)

// ConsentURL implements provider.Authorizer: the parameters of Sage facts 1.2. filter names the API's version and is
// ignored beside a country; the older version has none, and no challenge either.
func (a *Adapter) ConsentURL(c provider.Consent) (string, error) {
	id := clientID(c.Entry, c.App)
	if id == "" {
		return "", fault.New(fault.Misconfigured, "client_misconfigured", "No Sage application is registered that this vault entry could use.").
			Do("Register one with PUT /v1/provider-apps/sage, or give the vault entry an application of its own.")
	}
	query := url.Values{
		"response_type": {"code"},
		"client_id":     {id},
		"redirect_uri":  {c.RedirectURI},
		"scope":         {c.Entry.Settings[settingScope]},
		"state":         {c.State.Reveal()},
	}
	if country := c.Entry.Settings[settingCountry]; country != "" {
		query.Set("country", strings.ToLower(country))
	}
	if !isLegacy(c.Entry) {
		query.Set("filter", "apiv3.1")
		if c.Challenge != "" {
			query.Set("code_challenge", c.Challenge)
			query.Set("code_challenge_method", "S256")
		}
	}
	address, err := oauth.Query(a.endpoints.authorize(), query)
	if err != nil {
		return "", fault.New(fault.Internal, "internal_error", "The address of Sage's consent page cannot be formed.")
	}
	return address, nil
}

// Challenges implements provider.Challenger: the older API's page is not known to take a challenge.
func (a *Adapter) Challenges(entry record.Entry) bool { return !isLegacy(entry) }

// ParseCallback implements provider.Authorizer. The code begins with the country and a slash, which are a part of it
// (Sage facts 1.3).
func (a *Adapter) ParseCallback(query url.Values) (provider.Callback, error) {
	callback := provider.Callback{
		State:  secret.New(query.Get("state")),
		Code:   secret.New(query.Get("code")),
		Claims: map[string]string{},
		Denied: denial(query),
	}
	if callback.State.IsZero() {
		return provider.Callback{}, incomplete("state", "The address holds no state.").
			Do("Copy the whole address from the browser after Sage has sent it back, or begin again.")
	}
	if callback.Denied != "" {
		return callback, nil
	}
	if callback.Code.IsZero() {
		return provider.Callback{}, incomplete("code", "The address holds no code.").
			Do("Copy the whole address from the browser after you have allowed access at Sage.")
	}
	if strings.Contains(callback.Code.Reveal(), "%") {
		// Sage's codes have a slash, which some pages encode a second time when the address is copied from them.
		return provider.Callback{}, fault.New(fault.Invalid, "result_url_malformed", "The code in the address is encoded twice.").
			On("code").Do("Copy the address from the browser's address bar, not from a page that shows it.")
	}
	if given := query.Get(claimCountry); given != "" {
		if !countryShape.MatchString(given) {
			return provider.Callback{}, fault.New(fault.Invalid, "result_url_malformed", "The country is not a country code.").
				On(claimCountry).Do("Begin again and copy the address as Sage formed it.")
		}
		callback.Claims[claimCountry] = strings.ToUpper(given)
	}
	return callback, nil
}

// denial is Sage's reason for sending no code; "" when it sent none. Sage sends sentences too, such as "Invalid
// request" with reason "Email already in use" to whoever signs in with the wrong kind of user (Sage facts 1.3). The
// query may be anybody's, so what is kept of it is a name.
func denial(query url.Values) string {
	said := query.Get("error")
	if said == "" {
		return ""
	}
	denied := identifier(said)
	if denied == "" {
		denied = "unknown_error"
	}
	if reason := identifier(query.Get("reason")); reason != "" {
		denied += "." + reason
	}
	return denied
}

// identifier makes a name of a sentence: lower case, with an underscore for whatever is neither letter nor digit.
func identifier(text string) string {
	const most = 64
	var out strings.Builder
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		if out.Len() > 0 {
			out.WriteByte('_')
		}
		out.WriteString(word)
		if out.Len() >= most {
			return out.String()[:most]
		}
	}
	return out.String()
}

func incomplete(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "result_url_incomplete", detail).On(field)
}
