package sage_test

import (
	"encoding/json"
	"strings"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
)

func addresses(a *sage.Adapter, e record.Entry) [3]string {
	client := a.TokenClient(e, app())
	return [3]string{client.TokenURL, client.RevokeURL, a.BaseURL(e)}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	replaced := sage.Options{Endpoints: sage.Endpoints{Authorize: "http://127.0.0.1:1", Token: "http://127.0.0.1:1", Revoke: "http://127.0.0.1:1/", API: "http://127.0.0.1:1",
		LegacyToken: "http://127.0.0.1:2", LegacyAPI: "http://127.0.0.1:2/"}}
	paths := sage.Options{Endpoints: sage.Endpoints{Token: "http://127.0.0.1:1/t", Revoke: "http://127.0.0.1:1/r", API: "http://127.0.0.1:1/a",
		LegacyToken: "http://127.0.0.1:2/legacy/token", LegacyAPI: "http://127.0.0.1:2/legacy"}}
	const isles, america, europe = "https://app.sageone.com/oauth2/token", "https://oauth.na.sageone.com/token", "https://oauth.eu.sageone.com/token"
	tests := map[string]struct {
		options sage.Options
		profile string
		country string
		want    [3]string
	}{
		"v3.1":                   {sage.Options{}, "v3.1", "", [3]string{"https://oauth.accounting.sage.com/token", "https://oauth.accounting.sage.com/revoke", "https://api.accounting.sage.com/v3.1"}},
		"v3.1, any country":      {sage.Options{}, "v3.1", "FR", [3]string{"https://oauth.accounting.sage.com/token", "https://oauth.accounting.sage.com/revoke", "https://api.accounting.sage.com/v3.1"}},
		"v3.1, replaced":         {replaced, "v3.1", "GB", [3]string{"http://127.0.0.1:1/token", "http://127.0.0.1:1/revoke", "http://127.0.0.1:1/v3.1"}},
		"v3.1, with paths":       {paths, "v3.1", "", [3]string{"http://127.0.0.1:1/t", "http://127.0.0.1:1/r", "http://127.0.0.1:1/a"}},
		"GB":                     {sage.Options{}, "legacy_v3", "GB", [3]string{isles, "", "https://api.columbus.sage.com/uki/sageone/accounts/v3"}},
		"IE":                     {sage.Options{}, "legacy_v3", "IE", [3]string{isles, "", "https://api.columbus.sage.com/uki/sageone/accounts/v3"}},
		"US":                     {sage.Options{}, "legacy_v3", "US", [3]string{america, "", "https://api.columbus.sage.com/us/sageone/accounts/v3"}},
		"CA":                     {sage.Options{}, "legacy_v3", "CA", [3]string{america, "", "https://api.columbus.sage.com/ca/sageone/accounts/v3"}},
		"DE":                     {sage.Options{}, "legacy_v3", "DE", [3]string{europe, "", "https://api.columbus.sage.com/de/sageone/accounts/v3"}},
		"ES":                     {sage.Options{}, "legacy_v3", "ES", [3]string{europe, "", "https://api.columbus.sage.com/es/sageone/accounts/v3"}},
		"FR":                     {sage.Options{}, "legacy_v3", "FR", [3]string{europe, "", "https://api.columbus.sage.com/fr/sageone/accounts/v3"}},
		"legacy, replaced":       {replaced, "legacy_v3", "CA", [3]string{"http://127.0.0.1:2/oauth2/token", "", "http://127.0.0.1:2/ca/sageone/accounts/v3"}},
		"legacy, with own paths": {paths, "legacy_v3", "IE", [3]string{"http://127.0.0.1:2/legacy/token", "", "http://127.0.0.1:2/legacy/uki/sageone/accounts/v3"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := sage.New(test.options)
			e := shared("profile", test.profile, "country_code", test.country)
			if err := a.Normalize(&e); err != nil {
				t.Fatal(err)
			}
			if got := addresses(a, e); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestConsentPage(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                          "https://www.sageone.com/oauth2/auth/central?",
		"http://127.0.0.1:1":        "http://127.0.0.1:1/oauth2/auth/central?",
		"http://127.0.0.1:1/choose": "http://127.0.0.1:1/choose?",
	} {
		a := sage.New(sage.Options{Endpoints: sage.Endpoints{Authorize: given}})
		got, err := a.ConsentURL(provider.Consent{Entry: shared(), App: app().App})
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("with %q it is %s, %v", given, got, err)
		}
	}
}

func TestEndpointsFromJSON(t *testing.T) {
	t.Parallel()
	const text = `{"authorize":"http://a.example","token":"http://b.example","revoke":"http://c.example","api":"http://d.example","legacy_token":"http://e.example","legacy_api":"http://f.example"}`
	var got sage.Endpoints
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := sage.Endpoints{Authorize: "http://a.example", Token: "http://b.example", Revoke: "http://c.example", API: "http://d.example", LegacyToken: "http://e.example", LegacyAPI: "http://f.example"}
	if got != want || got.Validate() != nil {
		t.Errorf("got %+v, %v", got, got.Validate())
	}
}

func TestValidateEndpoints(t *testing.T) {
	t.Parallel()
	if err := (sage.Endpoints{}).Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"127.0.0.1:1", "ftp://a.example", "https:///v3.1", "https://user@a.example", "https://a.example/%zz", "https://a.example/?x=1", "https://a.example/#x", "/v3.1"} {
		for name, e := range map[string]sage.Endpoints{"authorize": {Authorize: bad}, "token": {Token: bad}, "revoke": {Revoke: bad}, "api": {API: bad},
			"legacy_token": {LegacyToken: bad}, "legacy_api": {LegacyAPI: bad}} {
			if err := e.Validate(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: %v", name, bad, err)
			}
		}
	}
}

// What a stand-in issued is revoked there, or nowhere: never at Sage.
func TestTokensOfAStandInAreNotSentToSage(t *testing.T) {
	t.Parallel()
	entry := record.Entry{Settings: map[string]string{"profile": "v3.1"}}
	for want, at := range map[string]sage.Endpoints{"https://oauth.accounting.sage.com/revoke": {}, "": {Token: "http://127.0.0.1:1"},
		"http://127.0.0.1:2/revoke": {Token: "http://127.0.0.1:1", Revoke: "http://127.0.0.1:2"}} {
		if got := sage.New(sage.Options{Endpoints: at}).TokenClient(entry, provider.AppCredentials{}).RevokeURL; got != want {
			t.Errorf("%+v: revoked at %q; want %q", at, got, want)
		}
	}
}
