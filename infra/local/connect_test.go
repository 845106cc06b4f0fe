package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whoever begins in a browser finishes in that browser, and is told so.
func TestBrowserDoor(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("browser")
	begun := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "browser"})
	startURL := begun.text(t, "start_url")

	b := newBrowser(t)
	b.open(startURL)
	policy := b.last.Header.Get("Content-Security-Policy")
	consent, _ := url.Parse(v.sims.Amazon.Consent)
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' http://" + consent.Host} {
		if !strings.Contains(policy, part) {
			t.Errorf("the start page's policy has no %q: %s", part, policy)
		}
	}
	if len(b.last.Cookies()) > 0 {
		t.Error("looking at the start page sets a cookie")
	}
	b.open(startURL) // looking again uses nothing up
	consentURL := b.submit("")
	if b.last.StatusCode != http.StatusSeeOther || !strings.HasPrefix(consentURL, v.sims.Amazon.Consent) {
		t.Fatalf("Continue answers %d to %s", b.last.StatusCode, consentURL)
	}
	cookie := b.last.Cookies()[0]
	if cookie.Name != "vault-oauth" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("the cookie is %v", cookie)
	}
	b.open(consentURL)
	back := b.submit("")

	stranger := newBrowser(t)
	stranger.open(back)
	if stranger.last.StatusCode != http.StatusForbidden || !strings.Contains(string(stranger.body), "browser_mismatch") {
		t.Errorf("another browser completes it: %d %.300s", stranger.last.StatusCode, stranger.body)
	}
	if n := v.posts("authorization_code"); n != 0 {
		t.Errorf("the token endpoint heard %d times of another browser's visit", n)
	}
	pasted := v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": back})
	if pasted.status != http.StatusConflict || pasted.text(t, "code") != "authorization_request_mode" {
		t.Errorf("a browser's result can be pasted: %d %s", pasted.status, pasted.body)
	}

	b.open(back)
	if b.last.StatusCode != http.StatusOK || !strings.Contains(string(b.body), "is connected") {
		t.Fatalf("the callback answers %d %.400s", b.last.StatusCode, b.body)
	}
	b.open(back) // reloading the page gives the same
	if b.last.StatusCode != http.StatusOK || v.posts("authorization_code") != 1 {
		t.Errorf("reloading answers %d, after %d exchanges", b.last.StatusCode, v.posts("authorization_code"))
	}
	got := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).json(t)
	if got["status"] != "active" || got["identity"] != "verified" {
		t.Errorf("the entry is %v, %v", got["status"], got["identity"])
	}
	used := newBrowser(t)
	used.open(startURL)
	if used.last.StatusCode != http.StatusGone {
		t.Errorf("the start link opens again: %d", used.last.StatusCode)
	}
}

// Another site can neither press Continue nor read anything.
func TestContinueIsOurs(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	begun := v.must(200, "POST", "/v1/vault-entries/"+v.entry("csrf")+"/authorize", object{"mode": "browser"})
	address := begun.text(t, "start_url")
	for name, header := range map[string]map[string]string{
		"a foreign Origin":   {"Origin": "https://evil.example"},
		"an opaque Origin":   {"Origin": "null"},
		"a cross-site fetch": {"Sec-Fetch-Site": "cross-site"},
		"a same-site fetch":  {"Sec-Fetch-Site": "same-site"},
	} {
		a, err := v.try(header, "POST", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, cookie %q", name, a.status, a.header.Get("Set-Cookie"))
		}
	}
	a, err := v.try(map[string]string{"Origin": v.url, "Sec-Fetch-Site": "same-origin"}, "POST", address, nil)
	if err != nil || a.status != http.StatusSeeOther {
		t.Errorf("our own page's Continue: %d %v", a.status, err)
	}
}

// The callback of the Result URL door exchanges nothing, and shows nothing of the code.
func TestResultURLDoor(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("pasted")
	result := v.consent(entry)
	b := newBrowser(t)
	b.open(result)
	if b.last.StatusCode != http.StatusOK || !strings.Contains(string(b.body), "Result URL") {
		t.Fatalf("the callback answers %d %.300s", b.last.StatusCode, b.body)
	}
	u, _ := url.Parse(result)
	for _, secret := range []string{u.Query().Get("spapi_oauth_code"), u.Query().Get("state")} {
		if secret == "" || strings.Contains(string(b.body), secret) {
			t.Errorf("the page shows %q", secret)
		}
	}
	if n := v.posts(""); n != 0 {
		t.Errorf("the callback made %d calls of the token endpoint", n)
	}
	first := v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
	again := v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": " " + result + "\n"})
	if first.text(t, "status") != "active" || string(first.body) != string(again.body) {
		t.Errorf("validating again gives another answer:\n%s\n%s", first.body, again.body)
	}
	if n := v.posts("authorization_code"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// Every wrong Result URL has its own code, says what to do, changes nothing and reaches no token endpoint.
func TestBadResultURLs(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry, other := v.entry("bad results"), v.entry("another")
	superseded := v.consent(entry)
	good := v.consent(entry)
	foreignState := v.consent(other)
	with := func(change func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	query := func(name, value string) string {
		return with(func(u *url.URL) { q := u.Query(); q.Set(name, value); u.RawQuery = q.Encode() })
	}
	code := func() string { u, _ := url.Parse(good); return u.Query().Get("spapi_oauth_code") }()
	before := v.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	cases := []struct{ name, url, code string }{
		{"empty", "", "result_url_empty"},
		{"only spaces", " \n ", "result_url_empty"},
		{"not a URL", "I pressed confirm", "result_url_malformed"},
		{"no scheme", strings.TrimPrefix(good, "http://"), "result_url_malformed"},
		{"a broken escape", good + "&x=%zz", "result_url_malformed"},
		{"a control character", strings.Replace(good, "state=", "sta\tte=", 1), "result_url_malformed"},
		{"too long", good + "&x=" + strings.Repeat("a", 9000), "result_url_malformed"},
		{"another host", with(func(u *url.URL) { u.Host = "vault.example" }), "result_url_foreign"},
		{"another port", with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "result_url_foreign"},
		{"another scheme", with(func(u *url.URL) { u.Scheme = "https" }), "result_url_foreign"},
		{"another path", with(func(u *url.URL) { u.Path = "/oauth/amazon/callback/" }), "result_url_foreign"},
		{"a host that only looks right", strings.Replace(good, "127.0.0.1", "127.0.0.1.evil.example", 1), "result_url_foreign"},
		{"userinfo", with(func(u *url.URL) { u.User = url.User("127.0.0.1") }), "result_url_userinfo"},
		{"a fragment", good + "#top", "result_url_fragment"},
		{"an empty fragment", good + "#", "result_url_fragment"},
		{"a duplicate state", good + "&state=x", "result_url_duplicate_parameter"},
		{"a duplicate code", good + "&spapi_oauth_code=x", "result_url_duplicate_parameter"},
		{"a duplicate of something else", good + "&a=1&a=1", "result_url_duplicate_parameter"},
		{"cut off before the code", with(func(u *url.URL) { q := u.Query(); q.Del("spapi_oauth_code"); u.RawQuery = q.Encode() }), "result_url_incomplete"},
		{"cut off before everything", with(func(u *url.URL) { u.RawQuery = "" }), "result_url_incomplete"},
		{"cut off in the state", query("state", "abc"), "authorization_request_unknown"},
		{"another entry's state", foreignState, "authorization_request_unknown"},
		{"an invented state", query("state", strings.Repeat("0", 75)), "authorization_request_unknown"},
		{"superseded", superseded, "authorization_request_superseded"},
	}
	for _, c := range cases {
		a := v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": c.url})
		checkProblem(t, c.name, a, c.code)
		if strings.Contains(string(a.body), code) {
			t.Errorf("%s: the answer quotes the code", c.name)
		}
	}
	for name, body := range map[string]any{"no body": nil, "no object": "[]", "a number": object{"result_url": 7}, "a misspelt member": object{"resultUrl": good}} {
		if a := v.do("POST", "/v1/vault-entries/"+entry+"/validate", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if after := v.must(200, "GET", "/v1/vault-entries/"+entry, nil); string(after.body) != string(before.body) {
		t.Errorf("the entry changed:\n%s\n%s", before.body, after.body)
	}
	if n := v.posts(""); n != 0 {
		t.Fatalf("the token endpoint heard %d times", n)
	}

	// The good one still works, and after it the same state with another code does not.
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": good})
	a := v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": query("spapi_oauth_code", "ANanother")})
	checkProblem(t, "used with another code", a, "authorization_request_used")
	if n := v.posts(""); n != 1 {
		t.Errorf("%d calls of the token endpoint, want the one exchange", n)
	}
}

func TestExpiredRequest(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("late")
	result := v.consent(entry)
	v.advance(11 * time.Minute)
	checkProblem(t, "expired", v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result}), "authorization_request_expired")
	if n := v.posts(""); n != 0 {
		t.Errorf("the token endpoint heard %d times", n)
	}
	if s := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "status"); s != "pending" {
		t.Errorf("the entry is %s", s)
	}
}

// checkProblem holds an answer against what every refusal owes its reader.
func checkProblem(t *testing.T, name string, a answer, code string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Code, Action string
		Status                            int
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Errorf("%s: %v: %.200s", name, err, a.body)
		return
	}
	switch {
	case p.Code != code:
		t.Errorf("%s: code %q, want %q: %s", name, p.Code, code, a.body)
	case a.status < 400 || a.status > 499 || p.Status != a.status:
		t.Errorf("%s: status %d, in the document %d", name, a.status, p.Status)
	case p.Detail == "" || p.Action == "" || p.Title == "" || p.Type == "":
		t.Errorf("%s: something is not said: %s", name, a.body)
	case a.header.Get("Content-Type") != "application/problem+json":
		t.Errorf("%s: content type %q", name, a.header.Get("Content-Type"))
	}
}

// However many validate one Result URL at once, in two processes, there is one exchange and one answer.
func TestHundredValidations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	second := spawn(t, dir)
	v.app()
	entry := v.entry("crowd")
	result := v.consent(entry)
	answers := make([]answer, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			through := v
			if i%2 == 1 { // each with its own key: the owner is one
				through = second
			}
			a, err := through.try(map[string]string{"Authorization": "Bearer " + through.key}, "POST",
				through.url+"/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
			if err != nil {
				t.Error(err)
			}
			answers[i] = a
		})
	}
	all.Wait()
	for i, a := range answers {
		if a.status != http.StatusOK || string(a.body) != string(answers[0].body) {
			t.Fatalf("answer %d: %d %.300s\nthe first: %.300s", i, a.status, a.body, answers[0].body)
		}
	}
	if n := v.posts("authorization_code"); n != 1 {
		t.Errorf("%d exchanges at the token endpoint, want 1", n)
	}
}

// A first exchange that fails can be tried again, or says that the code is spent.
func TestFirstExchangeFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  object
		status int
		code   string
		again  int // what the same Result URL gives then
		says   string
	}{
		{"500", object{"name": "error_500", "endpoint": "token", "times": 1}, 503, "provider_unavailable", 200, ""},
		{"the identification fails", object{"name": "error_503", "endpoint": "api", "times": 1}, 503, "provider_unavailable", 200, ""},
		{"the answer is lost", object{"name": "drop", "endpoint": "token", "times": 1}, 503, "provider_unavailable", 409, "authorization_code_spent"},
		{"the answer is garbled", object{"name": "garbled", "endpoint": "token", "times": 1}, 503, "provider_unavailable", 409, "authorization_code_spent"},
		{"the secret is wrong", object{"name": "secret_expired", "endpoint": "token", "times": 2}, 502, "client_misconfigured", 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := start(t, t.TempDir())
			v.app()
			entry := v.entry("first try")
			result := v.consent(entry)
			v.fault(c.fault)
			validate := func() answer {
				return v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
			}
			first := validate()
			if first.status != c.status || first.text(t, "code") != c.code || first.text(t, "action") == "" {
				t.Fatalf("the first try: %d %s", first.status, first.body)
			}
			if s := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "status"); s != "pending" {
				t.Errorf("after it the entry is %s", s)
			}
			v.sim("DELETE", "/_sim/faults", nil)
			second := validate()
			if second.status != c.again {
				t.Fatalf("the second try: %d %s", second.status, second.body)
			}
			if c.says == "" {
				return
			}
			checkProblem(t, "the second try", second, c.says)
			if !strings.Contains(second.text(t, "action"), "/authorize") {
				t.Errorf("how to begin anew is not said: %s", second.body)
			}
			v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": v.consent(entry)})
		})
	}
}

// An account that was identified once stays: consent of another one is refused and changes nothing.
func TestPinnedAccount(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.connected("pinned")
	before := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).json(t)
	begun := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "result_url"})
	b := newBrowser(t)
	b.open(begun.text(t, "oauth_request_url"))
	values, action := b.form("")
	values.Set("account", otherAccount(t, b, values.Get("account"), "North America"))
	target, _ := b.at.Parse(action)
	request, _ := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.send(request)
	a := v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": b.last.Header.Get("Location")})
	checkProblem(t, "another account", a, "account_mismatch")
	after := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).json(t)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the entry changed: %s", diff)
	}
}

func otherAccount(t *testing.T, b *browser, not, label string) string {
	t.Helper()
	for n := range b.page.Descendants() {
		if n.Data == "option" && attribute(n, "value") != not && n.FirstChild != nil && strings.Contains(n.FirstChild.Data, label) {
			return attribute(n, "value")
		}
	}
	t.Fatalf("the consent page offers no other account of %s: %.2000s", label, b.body)
	return ""
}

// An owner's own refresh token, of a private application, is proved before it is kept.
func TestOwnRefreshToken(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("private")
	bad := v.do("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "refresh_token", "refresh_token": "Atzr|nonsense", "selling_partner_id": "A1SYNSELLERNA1"})
	checkProblem(t, "a bad token", bad, "refresh_token_refused")
	var token struct {
		RefreshToken string `json:"refresh_token"`
		Seller       string `json:"selling_partner_id"`
	}
	a := v.sim("POST", "/_sim/self-authorizations", object{"application_id": "amzn1.sp.solution.5eed0000-0000-4000-8000-000000000001", "selling_partner_id": "A1SYNSELLERNA1", "region": "na"})
	if err := json.Unmarshal(a.body, &token); err != nil {
		t.Fatal(err)
	}
	done := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "refresh_token", "refresh_token": token.RefreshToken, "selling_partner_id": token.Seller})
	if strings.Contains(string(done.body), token.RefreshToken) {
		t.Error("the answer quotes the token")
	}
	if s := v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "status"); s != "active" {
		t.Errorf("the entry is %s", s)
	}
	v.must(200, "GET", fmt.Sprintf("/v1/connectors/%s/orders", v.connector(entry)), nil)
}

// A page speaks to a person: it tells nobody to send requests.
func TestPagesSpeakToPeople(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("a person's")
	begun := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "browser"})
	b := newBrowser(t)
	b.open(begun.text(t, "start_url"))
	b.open(b.submit(""))
	back := b.submit("")
	v.fault(object{"name": "error_500", "endpoint": "token", "times": 1})
	b.open(back)
	if b.last.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b.body), "Reload this page") {
		t.Errorf("a failing exchange: %d %s", b.last.StatusCode, b.body)
	}
	for _, address := range []string{back, v.url + "/oauth/start/nonsense", v.url + "/oauth/amazon/callback?state=x&spapi_oauth_code=y&selling_partner_id=A1",
		v.url + "/oauth/amazon/callback"} {
		b.open(address)
		if strings.Contains(string(b.body), "POST ") || strings.Contains(string(b.body), "{id}") {
			t.Errorf("the page at %s: %s", address, b.body)
		}
	}
}
