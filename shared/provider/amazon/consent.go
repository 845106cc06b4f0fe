package amazon

import (
	"net/url"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// claimAccount is the callback's word for whose account it is. No operation of Amazon's returns it (Amazon facts 2.1),
// so it is the only word there is, and Identify looks for a way to check it.
const claimAccount = "selling_partner_id"

// accountShape keeps a claim from being anything but an identifier: a merchant token or a vendor group code.
var accountShape = provider.NewShape(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// ConsentURL implements provider.Authorizer. An application that is still a draft needs version=beta, without which
// Amazon answers MD1000 (Amazon facts 2.6).
func (a *Adapter) ConsentURL(c provider.Consent) (string, error) {
	base, err := a.consentBase(c.Entry)
	if err != nil {
		return "", err
	}
	query := url.Values{
		"application_id": {c.App.Fields[appID]},
		"state":          {c.State.Reveal()},
		"redirect_uri":   {c.RedirectURI},
	}
	if c.App.Draft {
		query.Set("version", "beta")
	}
	if a.endpoints.Consent != "" {
		// One address stands in for the hosts of 23 marketplaces, so what the host would have said is said in the query.
		query.Set("region", a.home(c.Entry).Region)
		query.Set("account_type", c.Entry.Settings[settingAccountType])
	}
	address, err := oauth.Query(base, query)
	if err != nil {
		return "", fault.New(fault.Internal, "internal_error", "The address of Amazon's consent page cannot be formed.")
	}
	return address, nil
}

func (a *Adapter) consentBase(entry record.Entry) (string, error) {
	if a.endpoints.Consent != "" {
		return withPath(a.endpoints.Consent, consentPath), nil
	}
	where := a.home(entry)
	host := where.Seller
	if isVendor(entry) {
		host = where.Vendor
	}
	if host == "" {
		return "", invalid(settingMarketplace, "No consent page for vendors is known for "+where.Name+".").
			Do("Choose another marketplace of the same region, or add the host to the adapter's marketplaces.json.")
	}
	return "https://" + host + consentPath, nil
}

// ParseCallback implements provider.Authorizer. Other parameters are ignored, such as the token of the retired MWS.
func (a *Adapter) ParseCallback(query url.Values) (provider.Callback, error) {
	callback := provider.Callback{
		State:  secret.New(query.Get("state")),
		Code:   secret.New(query.Get("spapi_oauth_code")),
		Claims: map[string]string{},
		// Amazon documents no error redirect (Amazon facts 2.6); should one come, it is not an incomplete address.
		Denied: query.Get("error"),
	}
	if callback.State.IsZero() {
		return provider.Callback{}, incomplete("state", "The address holds no state.").
			Do("Copy the whole address from the browser after Amazon has sent it back, or begin again.")
	}
	if callback.Denied != "" {
		return callback, nil
	}
	if callback.Code.IsZero() {
		return provider.Callback{}, missingCode(query)
	}
	account := query.Get(claimAccount)
	if account == "" {
		return provider.Callback{}, incomplete(claimAccount, "The address holds no "+claimAccount+".").
			Do("Copy the whole address from the browser after Amazon has sent it back.")
	}
	if !accountShape.MatchString(account) {
		return provider.Callback{}, fault.New(fault.Invalid, "result_url_malformed", "The "+claimAccount+" is not an identifier.").
			On(claimAccount).Do("Begin again and copy the address as Amazon formed it.")
	}
	callback.Claims[claimAccount] = account
	return callback, nil
}

// missingCode tells an address that was cut short from the visit that the Appstore pays to the login URI, which
// people paste too (Amazon facts 10).
func missingCode(query url.Values) *fault.Error {
	problem := incomplete("spapi_oauth_code", "The address holds no spapi_oauth_code.")
	if query.Has("amazon_callback_uri") {
		return problem.Do("This is the address that the Appstore sends to the login URI; open it in the browser and go on from there.")
	}
	return problem.Do("Copy the whole address from the browser after you have pressed Confirm at Amazon.")
}

func incomplete(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "result_url_incomplete", detail).On(field)
}
