package sage_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	type settings = map[string]string
	with := func(more settings) settings {
		all := settings{"oauth_api_key": apiKey, "oauth_callback_url": callback, "scope": "readonly", "profile": "v3.1"}
		maps.Copy(all, more)
		return all
	}
	tests := map[string]struct {
		given record.Entry
		want  settings
	}{
		"the least":                {own(secretOnly()), with(nil)},
		"everything":               {own(legacySecrets(), "country_code", "IE", "scope", "full_access", "profile", "v3.1", "provider_app", "false"), with(settings{"country_code": "IE", "scope": "full_access"})},
		"UK is GB":                 {own(secretOnly(), "country_code", " uk "), with(settings{"country_code": "GB"})},
		"lower case":               {own(secretOnly(), "country_code", "ca", "scope", " ReadOnly"), with(settings{"country_code": "CA"})},
		"legacy":                   {own(legacySecrets(), "country_code", "de", "profile", "legacy_v3"), with(settings{"country_code": "DE", "profile": "legacy_v3"})},
		"the operator's":           {shared(), settings{"provider_app": "true", "scope": "readonly", "profile": "v3.1"}},
		"the operator's, legacy":   {shared("profile", "legacy_v3", "country_code", "ES"), settings{"provider_app": "true", "scope": "readonly", "profile": "legacy_v3", "country_code": "ES"}},
		"the operator's, callback": {shared("oauth_callback_url", callback), settings{"provider_app": "true", "scope": "readonly", "profile": "v3.1", "oauth_callback_url": callback}},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := test.given
			if err := adapter.Normalize(&e); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(e.Settings, test.want) || e.APIEnvironment != record.Production {
				t.Errorf("got %v %s, want %v", e.Settings, e.APIEnvironment, test.want)
			}
		})
	}
}

func TestNormalizeRefuses(t *testing.T) {
	t.Parallel()
	sandbox := own(secretOnly())
	sandbox.APIEnvironment = record.Sandbox
	sharing := func(name string) record.Entry {
		e := shared()
		e.Secrets = record.SecretGroups{record.ReadSecrets: {Fields: []string{name}}}
		return e
	}
	tests := map[string]struct {
		given record.Entry
		field string
	}{
		"nothing":                          {withSettings(record.Entry{}), "oauth_api_key"},
		"no key":                           {own(secretOnly(), "oauth_api_key", ""), "oauth_api_key"},
		"a key with a space":               {own(secretOnly(), "oauth_api_key", "a b"), "oauth_api_key"},
		"a key with a line":                {own(secretOnly(), "oauth_api_key", "a\nb"), "oauth_api_key"},
		"a long key":                       {own(secretOnly(), "oauth_api_key", strings.Repeat("a", 513)), "oauth_api_key"},
		"no secret":                        {own(nil), "oauth_api_secret"},
		"another secret":                   {own([]string{"signature_secret", "apim_subscription_key"}), "oauth_api_secret"},
		"no callback":                      {own(secretOnly(), "oauth_callback_url", ""), "oauth_callback_url"},
		"unknown country":                  {own(secretOnly(), "country_code", "ZA"), "country_code"},
		"a country's name":                 {own(secretOnly(), "country_code", "France"), "country_code"},
		"unknown scope":                    {own(secretOnly(), "scope", "write"), "scope"},
		"unknown profile":                  {own(secretOnly(), "profile", "v3"), "profile"},
		"no boolean":                       {own(secretOnly(), "provider_app", "yes"), "provider_app"},
		"another setting":                  {own(secretOnly(), "region", "eu"), "region"},
		"a secret among the settings":      {own(secretOnly(), "signature_secret", "s"), "signature_secret"},
		"sandbox":                          {sandbox, "api_environment"},
		"legacy without a country":         {own(legacySecrets(), "profile", "legacy_v3"), "country_code"},
		"legacy without subscription":      {own(secretOnly(), "profile", "legacy_v3", "country_code", "GB"), "apim_subscription_key"},
		"legacy without a secret":          {own([]string{"apim_subscription_key"}, "profile", "legacy_v3", "country_code", "GB"), "oauth_api_secret"},
		"legacy without a callback":        {own(legacySecrets(), "profile", "legacy_v3", "country_code", "GB", "oauth_callback_url", ""), "oauth_callback_url"},
		"the operator's, without country":  {shared("profile", "legacy_v3"), "country_code"},
		"the operator's, with a key":       {shared("oauth_api_key", apiKey), "oauth_api_key"},
		"the operator's, with a secret":    {sharing("oauth_api_secret"), "oauth_api_secret"},
		"the operator's, with signature":   {sharing("signature_secret"), "signature_secret"},
		"the operator's, and subscription": {sharing("apim_subscription_key"), "apim_subscription_key"},
		"the operator's, bad callback":     {shared("oauth_callback_url", "nowhere"), "oauth_callback_url"},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := test.given
			e.Settings = maps.Clone(e.Settings)
			problem := fault.As(adapter.Normalize(&e))
			if problem.Kind != fault.Invalid || problem.Code != "invalid_field" || problem.Field != test.field || problem.Action == "" {
				t.Errorf("got %+v", *problem)
			}
			if !maps.Equal(e.Settings, test.given.Settings) {
				t.Errorf("what was refused is changed: %v", e.Settings)
			}
		})
	}
}

// The callback is compared at Sage letter by letter, so a good one is kept so, and a bad one is said here.
func TestCallbackURL(t *testing.T) {
	t.Parallel()
	adapter := sage.New(sage.Options{})
	for _, good := range []string{
		callback, "https://vault.example", "https://vault.example/", "HTTPS://Vault.Example:443/a/../B//c%2Fd;x=1", "https://[::1]:8443/cb",
		"http://localhost/cb", "http://127.0.0.1:8080/cb", "http://[::1]/cb", "https://www.cloud.example/" + strings.Repeat("a", 2048-26),
	} {
		e := own(secretOnly(), "oauth_callback_url", good)
		if err := adapter.Normalize(&e); err != nil {
			t.Errorf("%.60s: %v", good, err)
			continue
		}
		if got := adapter.RedirectURI(e); got != good {
			t.Errorf("%.60s became %.60s", good, got)
		}
	}
	for _, bad := range []string{
		"vault.example/cb", "//vault.example/cb", "/cb", "https:/cb", "https:vault.example", "https://", "https://:443/cb", "http://vault.example/cb",
		"http://127.0.0.1.example/cb", "http://localhost.example/cb", "http://10.0.0.1/cb", "ftp://vault.example/cb", "javascript:alert(1)",
		"https://user@vault.example/cb", "https://user:word@vault.example/cb", "https://vault.example/cb?", "https://vault.example/cb?a=b",
		"https://vault.example/cb#", "https://vault.example/cb#x", " https://vault.example/cb", "https://vault.example/a b", "https://vault.example\\@other.example/",
		"https://vault.example/\\cb", "https://vault.example/cb\n", "https://vault.exämple/cb", "https://vault.example/" + strings.Repeat("a", 2049-22),
	} {
		e := own(secretOnly(), "oauth_callback_url", bad)
		if problem := fault.As(adapter.Normalize(&e)); problem.Field != "oauth_callback_url" || problem.Kind != fault.Invalid || problem.Action == "" {
			t.Errorf("%.60q is met with %+v", bad, *problem)
		}
	}
}

// An entry that names no callback comes back to ours.
func TestRedirectURI(t *testing.T) {
	t.Parallel()
	if got := sage.New(sage.Options{}).RedirectURI(shared()); got != "" {
		t.Errorf("it comes back at %q", got)
	}
}

// The fields are those that people know, in their order.
func TestFields(t *testing.T) {
	t.Parallel()
	d := sage.New(sage.Options{}).Descriptor()
	var names, secrets, reads, fixed []string
	for _, f := range d.Fields {
		names = append(names, f.Name)
		if f.Secret {
			secrets = append(secrets, f.Name)
		}
		if f.Reads {
			reads = append(reads, f.Name)
		}
		if f.Fixed {
			fixed = append(fixed, f.Name)
		}
	}
	for what, pair := range map[string][2][]string{
		"fields":  {names, {"oauth_api_key", "oauth_api_secret", "signature_secret", "apim_subscription_key", "country_code", "oauth_callback_url", "scope", "profile", "provider_app"}},
		"secrets": {secrets, {"oauth_api_secret", "signature_secret", "apim_subscription_key"}},
		"reads":   {reads, {"signature_secret", "apim_subscription_key"}},
		"fixed":   {fixed, {"oauth_api_key", "profile", "provider_app"}},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s are %v, want %v", what, pair[0], pair[1])
		}
	}
	for i, label := range []string{"OAuth API Key", "OAuth API Secret", "Signature Secret", "APIM Subscription Key", "Country Code", "OAuth Callback URL"} {
		if d.Fields[i].Label != label {
			t.Errorf("%s is called %q", d.Fields[i].Name, d.Fields[i].Label)
		}
	}
	if got := d.Fields[4].Options; !slices.Equal(got, []string{"CA", "DE", "ES", "FR", "GB", "IE", "US"}) {
		t.Errorf("the countries are %v", got)
	}
}

// What the token service and the reader build on.
func TestDescriptor(t *testing.T) {
	t.Parallel()
	d := sage.New(sage.Options{}).Descriptor()
	if !d.Rotates || !d.PKCE || d.CodeLife.Seconds() != 60 || d.RefreshLife.Hours() != 31*24 || d.Concurrent != 150 || d.Rate != 15 || d.Burst != 900 ||
		d.AppFlag != "provider_app" || d.ClientID != "oauth_api_key" || d.Member != "business" || !d.Settings[0].Single ||
		!slices.Equal(d.Modes, []record.Mode{record.Browser, record.ResultURL}) {
		t.Errorf("the descriptor is %+v", *d)
	}
}

// Only entries of the older API have an end, and Sage has announced it.
func TestHorizon(t *testing.T) {
	t.Parallel()
	adapter := sage.New(sage.Options{})
	if dates := adapter.Horizon(shared()); len(dates) > 0 {
		t.Errorf("version 3.1 ends: %v", dates)
	}
	dates := adapter.Horizon(shared("profile", "legacy_v3"))
	if len(dates) != 1 || dates[0].Name != record.RetirementEnd || dates[0].At.Format("2006-01-02") != "2026-07-31" || dates[0].Assumed {
		t.Errorf("the older API ends: %v", dates)
	}
}

// What no form or header takes is refused where it can still be said which field it was.
func TestSecretsThatNoSageKeyCanBeAreRefused(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	for name, value := range map[string]string{"a space": "canary key", "too long": strings.Repeat("c", 513), "not ASCII": "canary-ü", "a line": "canary\nkey"} {
		_, err := a.CheckSecrets(record.Entry{}, map[string]secret.Text{"oauth_api_secret": secret.New("good"), "signature_secret": secret.New(value)}, time.Now())
		f := fault.As(err)
		if err == nil || f.Code != "invalid_field" || f.Field != "signature_secret" || strings.Contains(f.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.CheckSecrets(record.Entry{}, map[string]secret.Text{"oauth_api_secret": secret.New("a~good+secret/=")}, time.Now()); err != nil {
		t.Error(err)
	}
}
