package sage_test

import (
	"net/url"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/providertest"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// What the tests connect. None of it is anybody's.
const (
	apiKey    = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/9a8b7c6d-5e4f-4031-a2b3-c4d5e6f70819"
	callback  = "https://vault.example/oauth/sage/callback"
	business  = "0123456789abcdef0123456789abcdef"
	business2 = "fedcba9876543210fedcba9876543210"
	site      = "ffSite00SyntheticSite00SyntheticSi"
)

// own is an entry with a client of its own; pairs are more settings, secrets the names of its secrets.
func own(secrets []string, pairs ...string) record.Entry {
	return withSettings(record.Entry{Secrets: record.SecretGroups{record.ClientSecrets: {Version: "1", Fields: secrets}}},
		append([]string{"oauth_api_key", apiKey, "oauth_callback_url", callback}, pairs...)...)
}

// shared is an entry that uses the operator's application.
func shared(pairs ...string) record.Entry {
	return withSettings(record.Entry{}, append([]string{"provider_app", "true"}, pairs...)...)
}

func withSettings(e record.Entry, pairs ...string) record.Entry {
	e.Settings = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(e.Settings, pairs[i])
			continue
		}
		e.Settings[pairs[i]] = pairs[i+1]
	}
	return e
}

func secretOnly() []string { return []string{"oauth_api_secret"} }

func legacySecrets() []string { return []string{"apim_subscription_key", "oauth_api_secret"} }

func app() provider.AppCredentials {
	return provider.AppCredentials{
		App: record.App{Fields: map[string]string{"oauth_api_key": "app/" + apiKey}},
		Secrets: map[string]secret.Text{"oauth_api_secret": secret.New("app-secret"), "signature_secret": secret.New("app-signature"),
			"apim_subscription_key": secret.New("app-subscription")},
	}
}

func account() record.Account {
	return record.Account{ID: "c0ffee00c0ffee00c0ffee00c0ffee00", Name: "Synthetic User", Identity: record.Verified, Members: []record.Member{
		{Kind: "business", ID: business2, Name: "Lapsed Example Ltd"},
		{Kind: "business", ID: business, Name: "Example Ltd", Active: true},
	}}
}

func connectorOf(id string) record.Connector {
	return record.Connector{ID: "con_1", Settings: map[string][]string{"business": {id}}}
}

func redirect(state, code string) url.Values {
	return url.Values{"state": {state}, "code": {code}, "country": {"GB"}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sandbox := shared()
	sandbox.APIEnvironment = record.Sandbox
	providertest.Run(t, providertest.Harness{
		Adapter: sage.New(sage.Options{}),
		Entries: []record.Entry{own(secretOnly()), own([]string{"oauth_api_secret", "signature_secret"}, "country_code", "uk", "scope", "full_access"),
			shared(), shared("oauth_callback_url", "http://localhost:8080/oauth/sage/callback", "country_code", "CA")},
		Refused:   []record.Entry{withSettings(record.Entry{}), own(nil), sandbox, shared("oauth_api_key", apiKey), own(secretOnly(), "profile", "v2")},
		App:       app(),
		Callback:  redirect,
		Account:   account(),
		Connector: connectorOf(business),
	})
}

func TestConformanceOfTheLegacyProfile(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		Adapter: sage.New(sage.Options{}),
		Entries: []record.Entry{own(legacySecrets(), "profile", "legacy_v3", "country_code", "GB"), shared("profile", "legacy_v3", "country_code", "us"),
			own(append(legacySecrets(), "signature_secret"), "profile", "legacy_v3", "country_code", "FR")},
		Refused: []record.Entry{own(legacySecrets(), "profile", "legacy_v3"), own(secretOnly(), "profile", "legacy_v3", "country_code", "GB"),
			shared("profile", "legacy_v3")},
		App:      app(),
		Callback: redirect,
		Account:  record.Account{ID: site, Identity: record.Verified},
	})
}
