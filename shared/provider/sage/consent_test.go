package sage_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// The consent page is asked exactly this (Sage facts 1.2).
func TestConsentURL(t *testing.T) {
	t.Parallel()
	const state = "state+/= &"
	base := url.Values{"response_type": {"code"}, "client_id": {apiKey}, "redirect_uri": {callback}, "scope": {"readonly"}, "state": {state}}
	with := func(pairs ...string) url.Values {
		all := url.Values{}
		for name, values := range base {
			all[name] = values
		}
		for i := 0; i < len(pairs); i += 2 {
			all.Set(pairs[i], pairs[i+1])
		}
		return all
	}
	tests := map[string]struct {
		entry     record.Entry
		challenge string
		want      url.Values
	}{
		"v3.1":             {own(secretOnly()), "c", with("filter", "apiv3.1", "code_challenge", "c", "code_challenge_method", "S256")},
		"with a country":   {own(secretOnly(), "country_code", "GB", "scope", "full_access"), "c", with("filter", "apiv3.1", "country", "gb", "scope", "full_access", "code_challenge", "c", "code_challenge_method", "S256")},
		"no challenge":     {own(secretOnly()), "", with("filter", "apiv3.1")},
		"the operator's":   {shared(), "", with("filter", "apiv3.1", "client_id", "app/"+apiKey)},
		"the older API":    {own(legacySecrets(), "profile", "legacy_v3", "country_code", "IE"), "c", with("country", "ie")},
		"and the operator": {shared("profile", "legacy_v3", "country_code", "US"), "c", with("country", "us", "client_id", "app/"+apiKey)},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := test.entry
			if err := adapter.Normalize(&e); err != nil {
				t.Fatal(err)
			}
			address, err := adapter.ConsentURL(provider.Consent{Entry: e, App: app().App, RedirectURI: callback, State: secret.New(state), Challenge: test.challenge})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.Query(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if strings.Contains(address, apiKey) {
				t.Errorf("the client id's slash is not escaped: %s", address)
			}
		})
	}
}

func TestConsentNeedsAnApplication(t *testing.T) {
	t.Parallel()
	_, err := sage.New(sage.Options{}).ConsentURL(provider.Consent{Entry: shared(), App: record.App{}, RedirectURI: callback, State: secret.New("s")})
	if problem := fault.As(err); problem.Code != "client_misconfigured" || problem.Kind != fault.Misconfigured || problem.Action == "" {
		t.Errorf("got %v", err)
	}
}

func TestParseCallback(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		query, state, code, denied string
		claims                     map[string]string
	}{
		"success":               {"code=GB%2Fabc%2B%3D&country=GB&state=s", "s", "GB/abc+=", "", map[string]string{"country": "GB"}},
		"no country":            {"code=abc&state=s", "s", "abc", "", map[string]string{}},
		"country lower case":    {"code=ca%2Fabc&country=ca&state=s", "s", "ca/abc", "", map[string]string{"country": "CA"}},
		"more than is known":    {"code=a&state=s&resource_owner_id=x&requested_by_id=y&foo=bar", "s", "a", "", map[string]string{}},
		"an empty error":        {"code=a&state=s&error=", "s", "a", "", map[string]string{}},
		"denied":                {"error=access_denied&state=s", "s", "", "access_denied", map[string]string{}},
		"denied, with a code":   {"error=server_error&state=s&code=a", "s", "a", "server_error", map[string]string{}},
		"a sentence":            {"error=Invalid+request&reason=Email+already+in+use&state=s", "s", "", "invalid_request.email_already_in_use", map[string]string{}},
		"markup":                {"error=%3Cscript%3Ealert(1)&reason=%22%0d%0a%22&state=s", "s", "", "script_alert_1", map[string]string{}},
		"nothing to name":       {"error=%3F%3F&state=s&error_description=no", "s", "", "unknown_error", map[string]string{}},
		"longer than a name":    {"error=" + strings.Repeat("a", 99) + "&state=s", "s", "", strings.Repeat("a", 64), map[string]string{}},
		"many words":            {"error=" + strings.Repeat("ab+", 40) + "&state=s", "s", "", strings.Repeat("ab_", 22)[:64], map[string]string{}},
		"a bad country, denied": {"error=access_denied&country=%2e%2e&state=s", "s", "", "access_denied", map[string]string{}},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			c, err := adapter.ParseCallback(query)
			if err != nil {
				t.Fatal(err)
			}
			if c.State.Reveal() != test.state || c.Code.Reveal() != test.code || c.Denied != test.denied || !reflect.DeepEqual(c.Claims, test.claims) {
				t.Errorf("got state %q, code %q, denied %q, claims %v", c.State.Reveal(), c.Code.Reveal(), c.Denied, c.Claims)
			}
		})
	}
}

func TestParseCallbackRefuses(t *testing.T) {
	t.Parallel()
	adapter := sage.New(sage.Options{})
	for query, want := range map[string][2]string{
		"":                                   {"result_url_incomplete", "state"},
		"code=abc&country=GB":                {"result_url_incomplete", "state"},
		"error=access_denied":                {"result_url_incomplete", "state"},
		"state=s&country=GB":                 {"result_url_incomplete", "code"},
		"state=s&code=":                      {"result_url_incomplete", "code"},
		"state=s&code=a&country=GBR":         {"result_url_malformed", "country"},
		"state=s&code=a&country=%2e%2e":      {"result_url_malformed", "country"},
		"state=s&code=a&country=GB%0d%0aX:+": {"result_url_malformed", "country"},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = adapter.ParseCallback(values)
		if problem := fault.As(err); problem.Code != want[0] || problem.Field != want[1] || problem.Kind != fault.Invalid || problem.Action == "" {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// A code that was encoded once more than Sage did would be refused there, and used up here.
func TestCodeThatIsEncodedTwiceIsRefused(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	_, err := a.ParseCallback(url.Values{"state": {"s"}, "code": {"GB%2Fcanary"}})
	if f := fault.As(err); err == nil || f.Code != "result_url_malformed" || f.Field != "code" || strings.Contains(f.Error(), "canary") {
		t.Errorf("it is met with %v", err)
	}
	if _, err := a.ParseCallback(url.Values{"state": {"s"}, "code": {"GB/canary"}}); err != nil {
		t.Error(err)
	}
}
