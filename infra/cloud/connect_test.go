package cloud_test

import (
	"encoding/json"
	"net/http"
	"net/url"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
)

// app registers the seeded application of Amazon.
func (c *client) app() {
	c.Helper()
	c.must("PUT", "/v1/provider-apps/amazon", object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID,
		"client_secret": amazonsim.SeededClientSecret})
}

// seller connects an account of Amazon by its refresh token, and returns the entry and a connector of it.
func (c *client) seller(alias string) (entry, connector string) {
	c.Helper()
	token, err := c.amazon.SelfAuthorize(c.Context(), amazonsim.SelfAuthorization{ApplicationID: amazonsim.SeededApplicationID,
		SellerID: amazonsim.SellerNorthAmerica, Region: "na"})
	c.ok(err)
	entry = c.must("POST", "/v1/vault-entries", object{"provider": "amazon", "alias": alias, "environment": "production", "region": "na", "marketplace": "US"}).text("id")
	c.must("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "refresh_token", "refresh_token": token, "selling_partner_id": amazonsim.SellerNorthAmerica})
	return entry, c.connector(entry, nil)
}

func (c *client) connector(entry string, settings object) string {
	c.Helper()
	body := object{"name": "of " + entry, "vault_entry": entry}
	if settings != nil {
		body["settings"] = settings
	}
	return c.must("POST", "/v1/connectors", body).text("id")
}

// ledger makes an entry of Sage that waits for its authorization.
func (c *client) ledger(alias string) (entry string) {
	c.Helper()
	return c.must("POST", "/v1/vault-entries", object{"provider": "sage", "alias": alias, "environment": "production", "country_code": "GB",
		"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret, "oauth_callback_url": publicURL + "/oauth/sage/callback"}).text("id")
}

// consent does what a user of Sage does with an address of its consent page, and returns where the browser is sent. In the
// provider's ledger the authorization has the label.
func (c *client) consent(request, user, label string) string {
	c.Helper()
	u, err := url.Parse(request)
	c.ok(err)
	q := u.Query()
	body, err := json.Marshal(object{"client_id": q.Get("client_id"), "redirect_uri": q.Get("redirect_uri"), "scope": q.Get("scope"), "state": q.Get("state"),
		"country": q.Get("country"), "code_challenge": q.Get("code_challenge"), "code_challenge_method": q.Get("code_challenge_method"), "user": user, "label": label})
	c.ok(err)
	browser := c.bed.client("")
	got := browser.at("POST", "https://"+sageConsent+"/_sim/authorizations", string(body), "Content-Type: application/json")
	if got.status != http.StatusOK {
		c.Fatalf("Sage's consent: %v", got)
	}
	return got.text("location")
}

// books connects a user of Sage by pasting the Result URL, and returns the entry and a connector of one business.
func (c *client) books(alias, user, business string) (entry, connector string) {
	c.Helper()
	entry = c.ledger(alias)
	begun := c.must("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "result_url"})
	c.must("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": c.consent(begun.text("oauth_request_url"), user, entry)})
	return entry, c.connector(entry, object{"business": business})
}

// status is that of an entry.
func (c *client) status(entry string) string {
	c.Helper()
	return c.must("GET", "/v1/vault-entries/"+entry, nil).text("status")
}

// generation is that of an entry's tokens.
func (c *client) generation(entry string) int {
	c.Helper()
	var out struct{ Token struct{ Generation int } }
	c.ok(json.Unmarshal(c.must("GET", "/v1/vault-entries/"+entry, nil).body, &out))
	return out.Token.Generation
}
