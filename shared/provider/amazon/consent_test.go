package amazon_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

const applicationID = "amzn1.sp.solution.00000000-0000-4000-8000-000000000001"

func TestConsentURL(t *testing.T) {
	t.Parallel()
	plain := amazon.New(amazon.Options{})
	override := func(address string) *amazon.Adapter {
		return amazon.New(amazon.Options{Endpoints: amazon.Endpoints{Consent: address}})
	}
	for name, test := range map[string]struct {
		adapter  *amazon.Adapter
		settings map[string]string
		draft    bool
		want     string     // up to the query
		hints    url.Values // in place of a host
	}{
		"Germany":       {plain, map[string]string{"marketplace": "DE"}, true, "https://sellercentral-europe.amazon.com/apps/authorize/consent", nil},
		"Britain":       {plain, map[string]string{"marketplace": "UK"}, false, "https://sellercentral-europe.amazon.com/apps/authorize/consent", nil},
		"Sweden":        {plain, map[string]string{"marketplace": "SE"}, false, "https://sellercentral.amazon.se/apps/authorize/consent", nil},
		"only a region": {plain, map[string]string{"region": "fe"}, false, "https://sellercentral.amazon.co.jp/apps/authorize/consent", nil},
		"vendor":        {plain, map[string]string{"marketplace": "DE", "account_type": "vendor"}, false, "https://vendorcentral.amazon.de/apps/authorize/consent", nil},
		"override": {override("http://127.0.0.1:9/"), map[string]string{"marketplace": "DE"}, true, "http://127.0.0.1:9/apps/authorize/consent",
			url.Values{"region": {"eu"}, "account_type": {"seller"}}},
		"override with a path": {override("http://127.0.0.1:9/eu/consent"), map[string]string{"marketplace": "IE", "account_type": "vendor"}, false, "http://127.0.0.1:9/eu/consent",
			url.Values{"region": {"eu"}, "account_type": {"vendor"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.adapter.ConsentURL(provider.Consent{
				Entry: entry(t, test.settings), RedirectURI: "https://vault.example/cb/amazon", State: secret.New("s+t/a=te&x"),
				App: record.App{Draft: test.draft, Fields: map[string]string{"application_id": applicationID, "client_id": "amzn1.application-oa2-client.x"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			base, query, _ := strings.Cut(got, "?")
			if base != test.want {
				t.Errorf("went to %s, want %s", base, test.want)
			}
			want := url.Values{"application_id": {applicationID}, "redirect_uri": {"https://vault.example/cb/amazon"}, "state": {"s+t/a=te&x"}}
			if test.draft {
				want.Set("version", "beta")
			}
			maps.Copy(want, test.hints)
			if query != want.Encode() {
				t.Errorf("asked %s, want %s", query, want.Encode())
			}
		})
	}
}

func TestConsentURLWithoutAPage(t *testing.T) {
	t.Parallel()
	_, err := amazon.New(amazon.Options{}).ConsentURL(provider.Consent{Entry: entry(t, map[string]string{"marketplace": "IE", "account_type": "vendor"})})
	if problem := fault.As(err); problem.Code != "invalid_field" || problem.Field != "marketplace" {
		t.Errorf("got %v", err)
	}
}

func TestParseCallback(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	got, err := adapter.ParseCallback(url.Values{"state": {"s"}, "selling_partner_id": {"A1SYNSELLER0001"}, "spapi_oauth_code": {"RHsyn"}, "mws_auth_token": {"old"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.State.Reveal() != "s" || got.Code.Reveal() != "RHsyn" || len(got.Claims) != 1 || got.Claims["selling_partner_id"] != "A1SYNSELLER0001" || got.Denied != "" {
		t.Errorf("got %+v", got)
	}
	denied, err := adapter.ParseCallback(url.Values{"state": {"s"}, "error": {"access_denied"}})
	if err != nil || denied.Denied != "access_denied" || denied.State.Reveal() != "s" {
		t.Errorf("got %+v, %v", denied, err)
	}
	for name, test := range map[string]struct{ query, code, field, words string }{
		"no state":      {"selling_partner_id=A1&spapi_oauth_code=x", "result_url_incomplete", "state", "whole address"},
		"no code":       {"state=s&selling_partner_id=A1", "result_url_incomplete", "spapi_oauth_code", "Confirm"},
		"no account":    {"state=s&spapi_oauth_code=x", "result_url_incomplete", "selling_partner_id", "whole address"},
		"the Appstore":  {"state=s&amazon_callback_uri=https://x&amazon_state=y&selling_partner_id=A1", "result_url_incomplete", "spapi_oauth_code", "Appstore"},
		"a path":        {"state=s&spapi_oauth_code=x&selling_partner_id=../A1", "result_url_malformed", "selling_partner_id", "Begin again"},
		"only an error": {"error=access_denied", "result_url_incomplete", "state", "whole address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query, _ := url.ParseQuery(test.query)
			_, err := adapter.ParseCallback(query)
			problem := fault.As(err)
			if problem.Kind != fault.Invalid || problem.Code != test.code || problem.Field != test.field || !strings.Contains(problem.Action, test.words) {
				t.Errorf("got %+v", *problem)
			}
		})
	}
}

func login(callback string) url.Values {
	return url.Values{"amazon_callback_uri": {callback}, "amazon_state": {"as"}, "selling_partner_id": {"A1SYN"}, "version": {"beta"}}
}

func TestParseLoginGoesOnToAmazonAlone(t *testing.T) {
	t.Parallel()
	confirm := "/apps/authorize/confirm/" + applicationID
	simulator := amazon.New(amazon.Options{Endpoints: amazon.Endpoints{Consent: "http://127.0.0.1:9"}})
	plain := amazon.New(amazon.Options{})
	for callback, adapter := range map[string]*amazon.Adapter{
		"https://sellercentral.amazon.com" + confirm:        plain,
		"https://sellercentral-europe.amazon.com" + confirm: plain,
		"https://vendorcentral.amazon.de" + confirm:         plain,
		"http://127.0.0.1:9" + confirm:                      simulator,
	} {
		got, err := adapter.ParseLogin(login(callback))
		if err != nil || got != (provider.Login{Callback: callback, State: "as", Account: "A1SYN", Beta: true}) {
			t.Errorf("%s: got %+v, %v", callback, got, err)
		}
	}
	for _, callback := range []string{
		"",
		"http://sellercentral.amazon.com" + confirm,
		"https://sellercentral.amazon.com:8443" + confirm,
		"https://sellercentral.amazon.com.evil.example" + confirm,
		"https://evil.example/sellercentral.amazon.com" + confirm,
		"https://evil.example" + confirm,
		"https://amazon.com" + confirm,
		"https://sellercentral.amazon.com@evil.example" + confirm,
		"https://user@sellercentral.amazon.com" + confirm,
		"https://sellercentral.amazon.com/apps/authorize/confirm/",
		"https://sellercentral.amazon.com/apps/authorize/confirm/../../../evil",
		"https://sellercentral.amazon.com/apps/authorize/confirm/..",
		"https://sellercentral.amazon.com/apps/authorize/confirm/%2e%2e%2fevil",
		"https://sellercentral.amazon.com/apps/authorize/confirm/a/b",
		"https://sellercentral.amazon.com/gp/redirect?to=" + confirm,
		"https://sellercentral.amazon.com" + confirm + "#x",
		"https://sellercentral.amazon.com\\@evil.example" + confirm,
		"//sellercentral.amazon.com" + confirm,
		"javascript:alert(1)",
		"https:sellercentral.amazon.com" + confirm,
		"http://127.0.0.1:9" + confirm,
	} {
		if got, err := plain.ParseLogin(login(callback)); err == nil {
			t.Errorf("%q was taken: %+v", callback, got)
		} else if fault.As(err).Field != "amazon_callback_uri" || fault.CodeOf(err) != "invalid_field" {
			t.Errorf("%q: got %v", callback, err)
		}
		if got, err := plain.ContinueURL(provider.Login{Callback: callback}, "https://vault.example/cb", secret.New("s")); err == nil {
			t.Errorf("%q was gone on to: %s", callback, got)
		}
	}
	// With the consent host replaced, Amazon's own is as foreign as any.
	if _, err := simulator.ParseLogin(login("https://sellercentral.amazon.com" + confirm)); err == nil {
		t.Error("a simulator sent the browser to Amazon")
	}
	if _, err := simulator.ParseLogin(login("https://127.0.0.1:9" + confirm)); err == nil {
		t.Error("another scheme was taken")
	}
}

func TestParseLoginNeedsAState(t *testing.T) {
	t.Parallel()
	query := login("https://sellercentral.amazon.com/apps/authorize/confirm/x")
	query.Del("amazon_state")
	if _, err := amazon.New(amazon.Options{}).ParseLogin(query); fault.As(err).Field != "amazon_state" {
		t.Errorf("got %v", err)
	}
	query = login("https://sellercentral.amazon.com/apps/authorize/confirm/x")
	query.Set("selling_partner_id", "<script>")
	if _, err := amazon.New(amazon.Options{}).ParseLogin(query); fault.As(err).Field != "selling_partner_id" {
		t.Errorf("got %v", err)
	}
}

func TestContinueURL(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	callback := "https://sellercentral.amazon.com/apps/authorize/confirm/" + applicationID
	got, err := adapter.ContinueURL(provider.Login{Callback: callback, State: "a&s", Beta: true}, "https://vault.example/cb", secret.New("our state"))
	if err != nil {
		t.Fatal(err)
	}
	if want := callback + "?amazon_state=a%26s&redirect_uri=https%3A%2F%2Fvault.example%2Fcb&state=our+state&version=beta"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got, err = adapter.ContinueURL(provider.Login{Callback: callback, State: "as"}, "https://vault.example/cb", secret.New("s"))
	if err != nil || strings.Contains(got, "version") {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTokenClient(t *testing.T) {
	t.Parallel()
	own := &http.Client{}
	app := provider.AppCredentials{App: record.App{Fields: map[string]string{"client_id": "C"}}, Secrets: map[string]secret.Text{"client_secret": secret.New("S")}}
	for override, want := range map[string]string{
		"":                         "https://api.amazon.com/auth/o2/token",
		"http://127.0.0.1:9":       "http://127.0.0.1:9/auth/o2/token",
		"http://127.0.0.1:9/token": "http://127.0.0.1:9/token",
	} {
		got := amazon.New(amazon.Options{HTTP: own, Endpoints: amazon.Endpoints{Token: override}}).TokenClient(german(t), app)
		if got.TokenURL != want || got.ID != "C" || got.Secret.Reveal() != "S" || got.Style != oauth.InParams || got.HTTP != own {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	if amazon.New(amazon.Options{}).TokenClient(german(t), app).HTTP.Timeout == 0 {
		t.Error("the default client waits for ever")
	}
}

func TestEndpointsValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		endpoints amazon.Endpoints
		ok        bool
	}{
		"none":         {amazon.Endpoints{}, true},
		"all":          {amazon.Endpoints{Consent: "http://a", Token: "https://b/t", API: map[string]string{"na": "http://c", "eu": "", "fe": "https://d/fe"}}, true},
		"no scheme":    {amazon.Endpoints{Token: "api.amazon.com"}, false},
		"other scheme": {amazon.Endpoints{Consent: "ftp://a"}, false},
		"no host":      {amazon.Endpoints{API: map[string]string{"na": "http://"}}, false},
		"a user":       {amazon.Endpoints{Token: "https://u:p@a"}, false},
		"a region":     {amazon.Endpoints{API: map[string]string{"us": "http://a"}}, false},
	} {
		if err := test.endpoints.Validate(); (err == nil) != test.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
