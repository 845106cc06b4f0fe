package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	amazonsim "connectorvault/infra/sim/amazon"
)

var handleOnPage = regexp.MustCompile(`<code>([^<]+)</code>`)

// visit presses "Authorize now" in the simulated Appstore and lands on our login page; it returns the handle shown there.
func (v *vault) visit(b *browser) string {
	v.t.Helper()
	base, err := url.Parse(v.sims.Amazon.Consent)
	if err != nil {
		v.t.Fatal(err)
	}
	b.open(base.Scheme + "://" + base.Host + "/apps/store/" + amazonsim.SeededApplicationID)
	values, _ := b.form("")
	values.Set("login_uri", v.url+"/oauth/amazon/login")
	request, err := http.NewRequest(http.MethodPost, b.at.String(), strings.NewReader(values.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.send(request)
	login := b.last.Header.Get("Location")
	b.open(login)
	found := handleOnPage.FindSubmatch(b.body)
	if b.last.StatusCode != http.StatusOK || found == nil {
		v.t.Fatalf("the login page: %d %.500s", b.last.StatusCode, b.body)
	}
	return string(found[1])
}

// A seller who begins in Amazon's own store ends with a connected entry, and only in that browser.
func TestAppstoreDoor(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("from the store")
	b := newBrowser(t)
	handle := v.visit(b)
	path := "/v1/vault-entries/" + entry + "/authorize"
	startURL := v.must(200, "POST", path, object{"mode": "appstore", "handle": handle}).text(t, "start_url")
	checkProblem(t, "the handle again", v.do("POST", path, object{"mode": "appstore", "handle": handle}), "authorization_request_unknown")
	checkProblem(t, "no handle", v.do("POST", path, object{"mode": "appstore"}), "invalid_field")
	checkProblem(t, "a start handle for a visit's", v.do("POST", path, object{"mode": "appstore", "handle": startURL[strings.LastIndex(startURL, "/")+1:]}), "authorization_request_unknown")

	stranger := newBrowser(t)
	stranger.open(startURL)
	if stranger.last.StatusCode != http.StatusForbidden {
		t.Errorf("another browser sees the start page: %d", stranger.last.StatusCode)
	}
	b.open(startURL)
	on := b.submit("")
	if b.last.StatusCode != http.StatusSeeOther || !strings.Contains(on, "/apps/authorize/confirm/"+amazonsim.SeededApplicationID) {
		t.Fatalf("Continue answers %d to %s: %.300s", b.last.StatusCode, on, b.body)
	}
	b.open(on)
	b.open(b.last.Header.Get("Location"))
	if b.last.StatusCode != http.StatusOK || !strings.Contains(string(b.body), "is connected") {
		t.Fatalf("the callback: %d %.500s", b.last.StatusCode, b.body)
	}
	if got := v.must(200, "GET", "/v1/vault-entries/"+entry, nil); got.text(t, "status") != "active" {
		t.Errorf("%s", got.body)
	}
}

// The login URI sends nobody anywhere but to the provider.
func TestLoginURIIsNoOpenRedirect(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	for name, callback := range map[string]string{
		"another host":       "https://evil.example/apps/authorize/confirm/amzn1.sp.solution.x",
		"another path":       v.sims.Amazon.Consent,
		"a script":           "javascript:alert(1)",
		"userinfo":           strings.Replace(v.sims.Amazon.Consent, "http://", "http://a@", 1),
		"a host that starts": "https://sellercentral.amazon.com.evil.example/apps/authorize/confirm/x",
		"nothing":            "",
	} {
		query := url.Values{"amazon_callback_uri": {callback}, "amazon_state": {"s"}, "selling_partner_id": {"A1"}}
		a := v.with(nil, "GET", "/oauth/amazon/login?"+query.Encode(), nil)
		if a.status < 400 || a.status > 499 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %.200s", name, a.status, a.body)
		}
	}
}
