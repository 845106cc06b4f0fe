package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// legacyFields are an own application's for the API before version 3.1.
func (v *vault) legacyFields(alias string, change object) object {
	fields := object{"profile": "legacy_v3", "signature_secret": sagesim.SeedSignatureSecret, "apim_subscription_key": sagesim.SeedSubscriptionKey}
	for name, value := range change {
		fields[name] = value
	}
	return v.sageOwn(alias, fields)
}

// The API before version 3.1 has hosts a country, a subscription key, a site in place of a business, and signatures: all of them
// are sent, and the signature is one that its server accepts, whatever is asked for.
func TestSageLegacy(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	v.sageFault(object{"name": "verify_signature"})
	for _, c := range []struct{ country, segment, user string }{
		{"GB", "uki", sagesim.UserGB}, {"IE", "uki", sagesim.UserIE}, {"US", "us", sagesim.UserUS}, {"FR", "fr", sagesim.UserFR},
	} {
		entry := v.sageEntry(v.legacyFields("legacy "+c.country, object{"country_code": c.country}))
		consent, err := url.Parse(v.begin(entry))
		if err != nil {
			t.Fatal(err)
		}
		if q := consent.Query(); q.Has("filter") || q.Has("code_challenge") || q.Get("country") != strings.ToLower(c.country) {
			t.Errorf("%s: the consent page is asked %v", c.country, q)
		}
		if a := v.validate(entry, v.allow(consent.String(), c.user)); a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", c.country, a.status, a.body)
		}
		e := v.shown(entry)
		account, _ := e["account"].(object)
		site, _ := account["id"].(string)
		if e["status"] != "active" || e["identity"] != "verified" || site == "" || e["profile"] != "legacy_v3" {
			t.Errorf("%s: the entry is %v", c.country, e)
		}
		if text := fmt.Sprint(e["horizon"]); !strings.Contains(text, "retirement") || !strings.Contains(text, "2026-07-31") {
			t.Errorf("%s: the end of the old API is not said: %s", c.country, text)
		}
		base := v.sageConnector(entry, "")
		path := "/legacy/" + c.segment + "/sageone/accounts/v3/contacts"
		nonces, earlier := map[string]bool{}, len(w.heard(path))
		page := v.raw(base + "/contacts?limit=5&attributes=all&personal_data=true")
		for _, query := range []string{"?personal_data=true&cursor=" + url.QueryEscape(*page.Next), "?search=" + url.QueryEscape("a b+c&d=é~*'()/%20"), "?attributes=name,reference",
			"/" + idOf(t, page.Items[0])} {
			v.must(200, "GET", base+"/contacts"+query, nil)
		}
		for _, heard := range w.heard(path)[earlier:] {
			h := heard.header
			if h.Get("X-Site") != site || h.Get("Ocp-Apim-Subscription-Key") != sagesim.SeedSubscriptionKey || h.Get("X-Business") != "" ||
				h.Get("X-Signature") == "" || len(h.Get("X-Nonce")) != 32 || nonces[h.Get("X-Nonce")] {
				t.Errorf("%s: %s is asked for site %q, business %q, with nonce %q and signature %q", c.country, heard.path, h.Get("X-Site"), h.Get("X-Business"),
					h.Get("X-Nonce"), h.Get("X-Signature"))
			}
			nonces[h.Get("X-Nonce")] = true
		}
		if len(nonces) != 5 {
			t.Errorf("%s: %d calls, want 5", c.country, len(nonces))
		}
	}
	for _, exchange := range w.heard("/legacy/token") {
		if exchange.form.Has("code_verifier") {
			t.Error("a verifier was sent for a code that has no challenge")
		}
	}
	if n := len(w.heard("/legacy/token")); n != 4 || len(w.heard("/token")) != 0 {
		t.Errorf("%d exchanges at the old token endpoint and %d at the other", n, len(w.heard("/token")))
	}
}

// Keys that are wrong say so without costing a token, and corrected ones are used at once.
func TestSageLegacyKeys(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	entry := v.sageEntry(v.legacyFields("keys", nil))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, "")
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	patch := func(signature, subscription any) {
		t.Helper()
		v.must(200, "PATCH", "/v1/vault-entries/"+entry, object{"signature_secret": signature, "apim_subscription_key": subscription})
		v.advance(10 * time.Second) // what a read remembers is over
	}
	patch(sagesim.SeedSignatureSecret, "not-a-subscription-key")
	for range 5 {
		a := v.do("GET", base+"/contacts?limit=1", nil)
		refused(t, "a wrong subscription key", a, 502, "client_misconfigured")
		if !strings.Contains(a.text(t, "action"), "apim_subscription_key") {
			t.Errorf("what to do: %s", a.body)
		}
	}
	if n := len(v.ledger("refresh_token")); n != 0 {
		t.Errorf("%d refreshes for a wrong key", n)
	}
	a := v.do("PATCH", "/v1/vault-entries/"+entry, object{"signature_secret": nil, "apim_subscription_key": nil})
	checkProblem(t, "no subscription key", a, "invalid_field")
	checkProblem(t, "another country's hosts, once authorized", v.do("PATCH", "/v1/vault-entries/"+entry, object{"country_code": "US"}), "vault_entry_authorized")

	// Without a signature secret nothing is signed, which today's server does not mind.
	patch(nil, sagesim.SeedSubscriptionKey)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if h := w.last(t, "/legacy/uki").header; h.Get("X-Signature") != "" || h.Get("X-Nonce") != "" {
		t.Error("without a secret it is signed")
	}
	v.sageFault(object{"name": "verify_signature"})
	if a := v.do("GET", base+"/contacts?limit=1", nil); a.status < 400 {
		t.Errorf("an unsigned call where signatures count: %d", a.status)
	}
	patch(sagesim.SeedSignatureSecret, sagesim.SeedSubscriptionKey)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if n := len(v.ledger("refresh_token")); n > 1 {
		t.Errorf("%d refreshes for a wrong signature", n)
	}
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if got := v.must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil).json(t); got["works"] != true {
		t.Errorf("the check: %v", got)
	}
	v.must(http.StatusNoContent, "DELETE", base, nil)
	v.must(http.StatusNoContent, "DELETE", "/v1/vault-entries/"+entry, nil)
	if n := len(w.heard("/revoke")); n != 0 {
		t.Errorf("a revocation endpoint that is not this API's heard %d times", n)
	}
}

// The operator's application brings its keys for the old API too.
func TestSageLegacyProviderApp(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	v.sageFault(object{"name": "verify_signature"})
	v.must(200, "PUT", "/v1/provider-apps/sage", object{"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret})
	entry := v.sageEntry(sageShared("the operator's", object{"profile": "legacy_v3"}))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, "")
	a := v.do("GET", base+"/contacts?limit=1", nil)
	if a.status < 400 || a.text(t, "code") != "client_misconfigured" || !strings.Contains(a.text(t, "action"), "provider app") {
		t.Errorf("an application without a subscription key: %d %s", a.status, a.body)
	}
	if n := len(w.heard("/legacy/uki")); n != 0 {
		t.Errorf("Sage was asked %d times without a key", n)
	}
	v.sageApp()
	v.advance(10 * time.Second)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if h := w.last(t, "/legacy/uki").header; h.Get("Ocp-Apim-Subscription-Key") != sagesim.SeedSubscriptionKey || h.Get("X-Signature") == "" {
		t.Error("the operator's keys are not sent")
	}
	e := v.shown(entry)
	if _, there := e["secrets"]; there || e["provider_app"] != true {
		t.Errorf("the entry: %v", e)
	}
	// Another user's consent is another site's.
	checkProblem(t, "another site", v.validate(entry, v.allow(v.begin(entry), sagesim.UserGBSingle)), "account_mismatch")
	v.must(200, "GET", base+"/contacts?limit=1", nil)
}
