package amazonsim_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

const callback = "http://127.0.0.1:9999/oauth/callback/amazon"

func consentQuery(changes ...string) url.Values {
	query := url.Values{
		"application_id": {amazonsim.SeededApplicationID}, "state": {"state-1"}, "redirect_uri": {callback},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			query.Del(changes[i])
		} else {
			query.Set(changes[i], changes[i+1])
		}
	}
	return query
}

func (f *front) showConsent(query url.Values) answer {
	f.t.Helper()
	return f.send(http.MethodGet, f.base+"/apps/authorize/consent?"+query.Encode(), nil, "")
}

// confirm sends the consent form as a browser would, and returns the callback's address.
func (f *front) confirm(query url.Values, account string) *url.URL {
	f.t.Helper()
	form := url.Values{"account": {account}, "decision": {"confirm"}, "email": {"any@example.com"}, "password": {"any"}}
	for name, values := range query {
		form[name] = values
	}
	a := f.post("/apps/authorize/consent", form)
	wantStatus(f.t, a, http.StatusFound)
	target, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		f.t.Fatalf("Location: %v", err)
	}
	return target
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

func TestConsentDefaultsOfTheFormSucceed(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	page := f.showConsent(consentQuery())
	wantStatus(t, page, http.StatusOK)
	for _, text := range []string{"This is a simulator", "Confirm", "Cancel", amazonsim.SellerEurope + "@eu"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if got := page.header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
	form := url.Values{"decision": {"confirm"}, "account": {amazonsim.SellerNorthAmerica + "@na"}}
	for _, field := range hiddenField.FindAllStringSubmatch(page.body, -1) {
		form.Set(field[1], field[2])
	}
	a := f.post("/apps/authorize/consent", form)
	wantStatus(t, a, http.StatusFound)
	target, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	query := target.Query()
	if !strings.HasPrefix(target.String(), callback+"?") || query.Get("state") != "state-1" ||
		query.Get("selling_partner_id") != amazonsim.SellerNorthAmerica || query.Get("spapi_oauth_code") == "" {
		t.Fatalf("callback %v", target)
	}
	if query.Has("mws_auth_token") || len(query) != 3 {
		t.Errorf("callback has parameters %v", query)
	}
}

func TestConsentErrors(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	registered := decode[amazonsim.RegisteredApp](t, f.control(http.MethodPost, "/_sim/apps",
		`{"name":"Registered","redirect_uris":["https://vault.example/cb"]}`))
	local := decode[amazonsim.RegisteredApp](t, f.control(http.MethodPost, "/_sim/apps", `{"redirect_uris":["http://127.0.0.1:1/oauth/callback/amazon"]}`))
	bare := decode[amazonsim.RegisteredApp](t, f.control(http.MethodPost, "/_sim/apps", `{"name":"Without URIs"}`))
	tests := []struct {
		name  string
		query url.Values
		code  string // "" = the form is shown
	}{
		{"seeded application", consentQuery(), ""},
		{"client id in place of application id", consentQuery("application_id", amazonsim.SeededClientID), "MD1000"},
		{"malformed application id", consentQuery("application_id", "my-app"), "MD1000"},
		{"draft without version", consentQuery("application_id", amazonsim.DraftApplicationID), "MD1000"},
		{"draft with version", consentQuery("application_id", amazonsim.DraftApplicationID, "version", "beta"), ""},
		{"unknown application is taken on first use", consentQuery("application_id", "amzn1.sp.solution.my-first-app"), ""},
		{"foreign redirect of a seeded application", consentQuery("redirect_uri", "https://evil.example/cb"), "MD5101"},
		{"fragment", consentQuery("redirect_uri", callback+"#x"), "MD5110"},
		{"registered redirect", consentQuery("application_id", registered.ApplicationID, "redirect_uri", "https://vault.example/cb"), ""},
		{"registered redirect by default", consentQuery("application_id", registered.ApplicationID, "redirect_uri", ""), ""},
		{"loopback redirect of a registered application", consentQuery("application_id", registered.ApplicationID), "MD5101"},
		{"prefix of a registered redirect", consentQuery("application_id", registered.ApplicationID, "redirect_uri", "https://vault.example/cb/x"), "MD5101"},
		{"other port than the registered one", consentQuery("application_id", local.ApplicationID), "MD5101"},
		{"no redirect registered", consentQuery("application_id", bare.ApplicationID), "MD5100"},
		{"no state and no login URI", consentQuery("state", ""), "MD9100"},
		{"second question mark", consentQuery("application_id", amazonsim.SeededApplicationID+"?version=beta"), "MD9999"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := f.showConsent(test.query)
			wantStatus(t, a, http.StatusOK)
			shown := strings.Contains(a.body, `value="confirm"`)
			if shown != (test.code == "") || (test.code != "" && !strings.Contains(a.body, "<code>"+test.code+"</code>")) {
				t.Errorf("want code %q; body %.2000s", test.code, a.body)
			}
			if a.header.Get("Location") != "" {
				t.Error("an error page must not send the browser on")
			}
		})
	}
}

func TestConsentOfAnAssistantAndCancelCallNothingBack(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	form := consentQuery()
	form.Set("account", amazonsim.SellerEurope+"@eu+assistant")
	a := f.post("/apps/authorize/consent", form)
	if a.status != http.StatusOK || !strings.Contains(a.body, "SPDC8143") {
		t.Errorf("assistant: %d %.300s", a.status, a.body)
	}
	form.Set("account", amazonsim.SellerEurope+"@eu")
	form.Set("decision", "cancel")
	a = f.post("/apps/authorize/consent", form)
	if a.status != http.StatusOK || a.header.Get("Location") != "" {
		t.Errorf("cancel: %d, Location %q", a.status, a.header.Get("Location"))
	}
	f.fault(amazonsim.Fault{Name: amazonsim.FaultConsentLimit})
	form.Set("decision", "confirm")
	a = f.post("/apps/authorize/consent", form)
	if !strings.Contains(a.body, "CONSENT_LIMIT_REACHED") {
		t.Errorf("limit: %.300s", a.body)
	}
	grants, err := f.sim.Grants(t.Context())
	if err != nil || len(grants) != 0 {
		t.Errorf("grants %v, %v", grants, err)
	}
}

func TestAdoptedApplicationIsBoundToItsFirstClient(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	query := consentQuery("application_id", "amzn1.sp.solution.made-up-0001")
	code := f.confirm(query, amazonsim.SellerEurope+"@eu").Query().Get("spapi_oauth_code")
	exchange := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
		"client_id": {"amzn1.application-oa2-client.mine"}, "client_secret": {"made-up"},
	}
	wantStatus(t, f.post("/auth/o2/token", exchange), http.StatusOK)

	exchange.Set("code", f.confirm(query, amazonsim.SellerEurope+"@eu").Query().Get("spapi_oauth_code"))
	exchange.Set("client_secret", "another")
	wantTokenError(t, f.post("/auth/o2/token", exchange), http.StatusUnauthorized, "invalid_client")
	exchange.Set("client_id", "amzn1.application-oa2-client.other")
	wantTokenError(t, f.post("/auth/o2/token", exchange), http.StatusBadRequest, "invalid_grant")

	query.Set("redirect_uri", "http://127.0.0.1:5/oauth/callback/amazon")
	if a := f.showConsent(query); !strings.Contains(a.body, `value="confirm"`) {
		t.Error("an adopted application is held to the port of its first loopback redirect")
	}
	query.Set("redirect_uri", "https://elsewhere.example/cb")
	if a := f.showConsent(query); !strings.Contains(a.body, "MD5101") {
		t.Error("an adopted application takes any redirect")
	}
	f.fault(amazonsim.Fault{Name: amazonsim.FaultStrictApps})
	a := f.showConsent(consentQuery("application_id", "amzn1.sp.solution.made-up-0002"))
	if !strings.Contains(a.body, "MD1000") {
		t.Error("strict_apps still adopts applications")
	}
}

func TestAppstoreFlow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	login := "http://localhost:8123/oauth/login/amazon"
	store := "/apps/store/" + amazonsim.DraftApplicationID
	page := f.send(http.MethodGet, f.base+store, nil, "")
	if !strings.Contains(page.body, "Authorize now") || strings.Contains(page.body, amazonsim.VendorGroup+"@") {
		t.Fatalf("store page %.3000s", page.body)
	}
	a := f.post(store, url.Values{"login_uri": {login}, "account": {amazonsim.SellerEurope + "@eu"}})
	wantStatus(t, a, http.StatusFound)
	start, err := url.Parse(a.header.Get("Location"))
	if err != nil || !strings.HasPrefix(start.String(), login) {
		t.Fatalf("login address %v, %v", start, err)
	}
	given := start.Query()
	if given.Get("selling_partner_id") != amazonsim.SellerEurope || given.Get("version") != "beta" ||
		given.Get("amazon_callback_uri") != f.base+"/apps/authorize/confirm/"+amazonsim.DraftApplicationID {
		t.Fatalf("login parameters %v", given)
	}
	back := url.Values{"amazon_state": {given.Get("amazon_state")}, "state": {"mine"}, "redirect_uri": {callback}}
	confirm := func() answer {
		return f.send(http.MethodGet, given.Get("amazon_callback_uri")+"?"+back.Encode(), nil, "")
	}
	if a := confirm(); !strings.Contains(a.body, "MD1000") {
		t.Errorf("a draft was confirmed without version=beta: %d", a.status)
	}
	back.Set("version", "beta")
	a = confirm()
	wantStatus(t, a, http.StatusFound)
	end, err := url.Parse(a.header.Get("Location"))
	if err != nil || end.Query().Get("state") != "mine" || end.Query().Get("spapi_oauth_code") == "" {
		t.Fatalf("callback %v, %v", end, err)
	}
	if a := confirm(); !strings.Contains(a.body, "MD9999") {
		t.Error("an amazon_state worked twice")
	}

	a = f.post(store, url.Values{"login_uri": {login}, "account": {amazonsim.SellerEurope + "@eu"}})
	late, _ := url.Parse(a.header.Get("Location"))
	back.Set("amazon_state", late.Query().Get("amazon_state"))
	f.clock.Step(10*time.Minute + time.Second)
	if a := confirm(); !strings.Contains(a.body, "MD9999") {
		t.Error("an amazon_state outlived ten minutes")
	}
}

func TestStateAbsentStartsTheAppstoreFlow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	app := decode[amazonsim.RegisteredApp](t, f.control(http.MethodPost, "/_sim/apps",
		`{"redirect_uris":["https://vault.example/cb"],"login_uri":"https://vault.example/login"}`))
	target := f.confirm(url.Values{"application_id": {app.ApplicationID}}, amazonsim.SellerGlobal+"@fe")
	if target.Host != "vault.example" || target.Path != "/login" || target.Query().Get("amazon_state") == "" {
		t.Fatalf("login address %v", target)
	}
}

func TestRegionalConsentPathOffersItsRegionFirst(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for region, first := range map[string]string{"na": amazonsim.SellerNorthAmerica, "eu": amazonsim.SellerEurope, "fe": amazonsim.SellerFarEast} {
		a := f.send(http.MethodGet, f.base+"/"+region+"/apps/authorize/consent?"+consentQuery().Encode(), nil, "")
		_, list, _ := strings.Cut(a.body, "<option value=\"")
		if !strings.HasPrefix(list, first+"@"+region+"\"") || !strings.Contains(a.body, `action="/`+region+`/apps/authorize/consent"`) {
			t.Errorf("%s: first account %.40s", region, list)
		}
	}
	landed := f.confirm(consentQuery(), amazonsim.SellerNorthAmerica+"@na").Query()
	if landed.Get("selling_partner_id") != amazonsim.SellerNorthAmerica {
		t.Error("the seller may choose an account of any region")
	}
}
