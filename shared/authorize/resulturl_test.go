package authorize

import (
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
)

func TestEachWayToPasteAWrongURLHasItsCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "result_url_empty",
		" \t\n ":                           "result_url_empty",
		"spapi_oauth_code=x&state=y":       "result_url_malformed",
		"/oauth/acme/callback?state=x":     "result_url_malformed",
		"https:///oauth/acme/callback":     "result_url_malformed",
		"https:vault.example/callback":     "result_url_malformed",
		"javascript:alert(1)":              "result_url_malformed",
		"data:text/html,hi":                "result_url_malformed",
		"https://vault.example/a b":        "result_url_malformed",
		"https://vault.example/\x00":       "result_url_malformed",
		"https://vault.example/\n?x=1":     "result_url_malformed",
		"https://vaul\u0442.example/":      "result_url_malformed", // a Cyrillic letter that looks like a Latin one
		"https://vault.example/?x=%zz":     "result_url_malformed",
		"https://vault.example/?x=1;y=2":   "result_url_malformed",
		"https://[::1":                     "result_url_malformed",
		"https://user@vault.example/":      "result_url_userinfo",
		"https://a:b@vault.example/":       "result_url_userinfo",
		"https://@vault.example/":          "result_url_userinfo",
		"https://vault.example@evil/":      "result_url_userinfo",
		"https://vault.example/#":          "result_url_fragment",
		"https://vault.example/?x=1#y":     "result_url_fragment",
		"https://vault.example/?x=1#@evil": "result_url_fragment",
		"https://vault.example/?state=" + strings.Repeat("a", maxResultURL): "result_url_malformed",
	} {
		_, _, err := parseResultURL(text)
		f := fault.As(err)
		if err == nil || f.Kind != fault.Invalid || f.Code != want || f.Field != "result_url" || f.Action == "" {
			t.Errorf("%.60q: %v; want %s", text, err, want)
		}
		if strings.Contains(f.Detail+f.Action, "alert") {
			t.Errorf("%.60q is said back: %v", text, err)
		}
	}
	u, query, err := parseResultURL("  https://vault.example/oauth/acme/callback?state=s&code=a%2Bb \n")
	if err != nil || u.Host != "vault.example" || query.Get("code") != "a+b" {
		t.Errorf("a good one is refused: %v %v %v", u, query, err)
	}
}

func TestTheFirstDuplicateIsNamed(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{"a=1&b=2": "", "b=1&a=1&b=2&a=2": "a", "code=1&code=1": "code", "x&x": "x", "x=1&%78=2": "x"} {
		values, err := url.ParseQuery(query)
		if got := duplicate(values); err != nil || got != want {
			t.Errorf("%s: %q %v; want %q", query, got, err, want)
		}
	}
}

// What is accepted is what a browser would show for the same address: nothing that we and another reader could
// understand differently.
func FuzzParseResultURL(f *testing.F) {
	for _, seed := range []string{"https://vault.example/oauth/acme/callback?state=s&code=c", "https://a@b/", "https://b/#", "//b/?x", "https://b/%2f?%",
		"https://b:443/\\evil?x=1", "HTTPS://VAULT.EXAMPLE/", "https://b/?a=1&a=2", "https://[::1]:80/?", "ftp://b", "https://b\u00a0/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, query, err := parseResultURL(text)
		if err != nil {
			problem := fault.As(err)
			if problem.Kind != fault.Invalid || !strings.HasPrefix(problem.Code, "result_url_") || problem.Field != "result_url" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if u.Host == "" || u.Scheme == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" || query == nil {
			t.Fatalf("%q was taken as %#v", text, u)
		}
		if strings.ContainsFunc(strings.TrimSpace(text), unprintable) || len(text) > maxResultURL+64 && len(strings.TrimSpace(text)) > maxResultURL {
			t.Fatalf("%q was taken", text)
		}
	})
}

// silent is a provider whose accounts are connected without a consent page.
type silent struct{ provider.Adapter }

func (silent) Descriptor() *provider.Descriptor {
	return &provider.Descriptor{Name: "silent", Title: "Silent"}
}

// Whoever comes back from a consent page that there is none of is told so; nothing has failed.
func TestNobodyComesBackFromAProviderWithoutAConsentPage(t *testing.T) {
	t.Parallel()
	_, err := parseCallback(silent{}, url.Values{"state": {"x"}})
	if f := fault.As(err); f.Kind != fault.NotFound || f.Code != "not_found" || !strings.Contains(f.Detail, "Silent") {
		t.Errorf("it says %v", err)
	}
}
