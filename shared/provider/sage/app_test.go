package sage_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/secret"
)

func TestValidateApp(t *testing.T) {
	t.Parallel()
	adapter := sage.New(sage.Options{})
	if err := adapter.ValidateApp(map[string]string{"oauth_api_key": apiKey}, map[string]secret.Text{"oauth_api_secret": secret.New("s")}); err != nil {
		t.Errorf("an application of version 3.1 alone is refused: %v", err)
	}
	tests := map[string]struct {
		field, value string
		secret       bool
	}{
		"no key":              {"oauth_api_key", "", false},
		"a key with a space":  {"oauth_api_key", "a b", false},
		"no secret":           {"oauth_api_secret", "", true},
		"a secret with lines": {"oauth_api_secret", "a\r\nb", true},
		"a long secret":       {"oauth_api_secret", strings.Repeat("a", 513), true},
		"a bad signature":     {"signature_secret", "sécret", true},
		"a bad subscription":  {"apim_subscription_key", "a b", true},
		"another field":       {"client_id", "x", false},
		"a secret as a field": {"signature_secret", "x", false},
		"another secret":      {"client_secret", "x", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public, hidden := maps.Clone(app().App.Fields), maps.Clone(app().Secrets)
			if test.secret {
				hidden[test.field] = secret.New(test.value)
			} else {
				public[test.field] = test.value
			}
			problem := fault.As(adapter.ValidateApp(public, hidden))
			if problem.Code != "invalid_field" || problem.Field != test.field || problem.Action == "" {
				t.Errorf("got %+v", *problem)
			}
		})
	}
}

// The id is the application's or the entry's, never one of each.
func TestTokenClient(t *testing.T) {
	t.Parallel()
	transport := &http.Client{}
	adapter := sage.New(sage.Options{HTTP: transport})
	brought := provider.AppCredentials{Secrets: map[string]secret.Text{"oauth_api_secret": secret.New("own-secret")}}
	for name, test := range map[string]struct {
		client     oauth.Client
		id, secret string
	}{
		"the entry's":             {adapter.TokenClient(own(secretOnly()), brought), apiKey, "own-secret"},
		"the operator's":          {adapter.TokenClient(shared(), app()), "app/" + apiKey, "app-secret"},
		"the entry's, app beside": {adapter.TokenClient(own(secretOnly()), provider.AppCredentials{App: app().App, Secrets: brought.Secrets}), apiKey, "own-secret"},
		"the operator's, legacy":  {adapter.TokenClient(shared("profile", "legacy_v3", "country_code", "GB"), app()), "app/" + apiKey, "app-secret"},
	} {
		c := test.client
		if c.ID != test.id || c.Secret.Reveal() != test.secret || c.Style != oauth.InParams || c.HTTP != transport ||
			!slices.Equal(c.Claims, []string{"requested_by_id", "resource_owner_id"}) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
