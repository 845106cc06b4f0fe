package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sagesim "connectorvault/infra/sim/sage"
)

// Whoever brings an application and whoever uses the operator's, by either door, with a country and without one: the
// consent page hears what was chosen, the code goes to the token endpoint as it came, bound to its challenge and to the
// very callback, and the entry knows the user and the businesses.
func TestSageDoors(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	v.sageApp()
	ours := v.url + "/oauth/sage/callback"
	for i, c := range []struct {
		name    string
		fields  func(string, object) object
		change  object
		mode    string
		country string // that the consent page is told
		scope   string
	}{
		{"own fields, browser", v.sageOwn, nil, "browser", "gb", "readonly"},
		{"own fields, browser, no country, everything", v.sageOwn, object{"country_code": nil, "scope": "full_access"}, "browser", "", "full_access"},
		{"own fields, Result URL, UK", v.sageOwn, object{"country_code": "UK", "scope": "readonly"}, "result_url", "gb", "readonly"},
		{"own fields, Result URL", v.sageOwn, nil, "result_url", "gb", "readonly"},
		{"the operator's, browser", sageShared, object{"scope": "full_access"}, "browser", "gb", "full_access"},
		{"the operator's, browser, no country", sageShared, object{"country_code": nil}, "browser", "", "readonly"},
		{"the operator's, Result URL", sageShared, object{"country_code": "gb"}, "result_url", "gb", "readonly"},
		{"the operator's, Result URL, no country", sageShared, object{"country_code": nil}, "result_url", "", "readonly"},
	} {
		entry := v.sageEntry(c.fields(fmt.Sprintf("door %d", i), c.change))
		address, finish := v.door(entry, c.mode)
		u, err := url.Parse(address)
		if err != nil || !strings.HasPrefix(address, v.sims.Sage.Authorize+"?") {
			t.Fatalf("%s: consent is at %s", c.name, address)
		}
		asked := u.Query()
		want := url.Values{"response_type": {"code"}, "client_id": {sagesim.SeedClientID}, "redirect_uri": {ours}, "scope": {c.scope},
			"filter": {"apiv3.1"}, "code_challenge_method": {"S256"}, "state": asked["state"], "code_challenge": asked["code_challenge"]}
		if c.country != "" {
			want.Set("country", c.country)
		}
		if diff := cmp.Diff(want, asked); diff != "" || len(asked.Get("state")) < 32 {
			t.Errorf("%s: the consent page is asked (-want +got):\n%s", c.name, diff)
		}
		back := finish(sagesim.UserGB)
		if !strings.HasPrefix(back, ours+"?") || !strings.Contains(back, "code=GB%2F") {
			t.Errorf("%s: consent leads to %s", c.name, strings.SplitN(back, "code=", 2)[0])
		}
		landed, _ := url.Parse(back)
		sent := w.last(t, "/token").form
		sum := sha256.Sum256([]byte(sent.Get("code_verifier")))
		if sent.Get("grant_type") != "authorization_code" || sent.Get("code") != landed.Query().Get("code") || sent.Get("redirect_uri") != ours ||
			base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
			t.Errorf("%s: the exchange does not fit the consent", c.name)
		}
		if got := w.last(t, "/token").header.Get("Authorization"); got != "" {
			t.Errorf("%s: client credentials travel in a header", c.name)
		}
		checkBritish(t, c.name, v.shown(entry))
	}
	if n, m := len(v.ledger("authorization_code")), v.reuses(); n != 8 || m != 0 {
		t.Errorf("%d exchanges, want 8; %d codes were offered twice", n, m)
	}
}

// checkBritish holds an entry against the first British user.
func checkBritish(t *testing.T, name string, e map[string]any) {
	t.Helper()
	account, _ := e["account"].(object)
	if e["status"] != "active" || e["identity"] != "verified" || e["health"] != "ok" || account["id"] != sagesim.UserGB {
		t.Errorf("%s: the entry is %v, %v, %v, of %v", name, e["status"], e["identity"], e["health"], account["id"])
	}
	if text := fmt.Sprint(account); strings.Contains(text, "@") {
		t.Errorf("%s: the account holds an e-mail address: %s", name, text)
	}
	var ids []string
	members, _ := account["members"].([]any)
	for _, m := range members {
		m, _ := m.(object)
		ids = append(ids, fmt.Sprint(m["id"]))
		if m["kind"] != "business" || m["country"] != "GB" || m["active"] != true || m["name"] == "" {
			t.Errorf("%s: a member is %v", name, m)
		}
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{sagesim.BusinessGB, sagesim.BusinessGBSecond, sagesim.BusinessGBThird}) {
		t.Errorf("%s: the businesses are %v", name, ids)
	}
}

// door begins in a mode. It returns the consent page's address and what finishes the way from there, which returns
// where Sage sent the browser.
func (v *vault) door(entry, mode string) (address string, finish func(user string) string) {
	v.t.Helper()
	begun := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": mode})
	if mode == "result_url" {
		address = begun.text(v.t, "oauth_request_url")
		return address, func(user string) string {
			back := v.allow(address, user)
			if a := v.validate(entry, back); a.status != http.StatusOK {
				v.t.Fatalf("validate: %d %s", a.status, a.body)
			}
			return back
		}
	}
	b := newBrowser(v.t)
	b.open(begun.text(v.t, "start_url"))
	consent, _ := url.Parse(v.sims.Sage.Authorize)
	if policy := b.last.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http://"+consent.Host) {
		v.t.Errorf("the start page's policy does not let its form lead to Sage: %s", policy)
	}
	address = b.submit("")
	return address, func(user string) string {
		b.open(address)
		back := b.signIn(user, "allow")
		b.open(back)
		if b.last.StatusCode != http.StatusOK || !strings.Contains(string(b.body), "is connected") {
			v.t.Fatalf("the callback answers %d %.400s", b.last.StatusCode, b.body)
		}
		return back
	}
}

// A code lives for a minute. One that is older has an error of its own, changes nothing, and one call begins anew.
func TestSageOldCode(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry := v.sageEntry(v.sageOwn("late", nil))
	result := v.allow(v.begin(entry), sagesim.UserGB)
	before := v.shown(entry)
	v.advance(61 * time.Second)
	a := v.validate(entry, result)
	checkProblem(t, "a code older than a minute", a, "authorization_code_spent")
	if !strings.Contains(a.text(t, "action"), "/authorize") || !strings.Contains(a.text(t, "detail"), "expired") {
		t.Errorf("what happened and what to do: %s", a.body)
	}
	if diff := cmp.Diff(before, v.shown(entry)); diff != "" {
		t.Errorf("the entry changed: %s", diff)
	}
	checkProblem(t, "the same again", v.validate(entry, result), "authorization_code_spent")
	if n := len(v.ledger("authorization_code")); n != 1 {
		t.Errorf("the code was offered %d times", n)
	}
	v.sageConnect(entry, sagesim.UserGB)
	// In the browser it is a page that says so.
	second := v.sageEntry(v.sageOwn("late in the browser", nil))
	b := newBrowser(t)
	b.open(v.must(200, "POST", "/v1/vault-entries/"+second+"/authorize", object{"mode": "browser"}).text(t, "start_url"))
	b.open(b.submit(""))
	back := b.signIn("", "allow")
	v.advance(61 * time.Second)
	b.open(back)
	if b.last.StatusCode != http.StatusConflict || !strings.Contains(string(b.body), "authorization_code_spent") || strings.Contains(string(b.body), "POST ") {
		t.Errorf("the page of a late visitor: %d %.600s", b.last.StatusCode, b.body)
	}
}

// A callback URL that is not ours is sent to Sage letter by letter. The browser does not come back to us from there, so
// only the Result URL door is open.
func TestSageForeignCallback(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	key := "0a0a0a0a-0000-4000-8000-000000000001/0a0a0a0a-0000-4000-8000-000000000002"
	callbacks := []string{"https://books.example.com/Return/here", "https://books.example.com", "https://BOOKS.example.com:8443/a%20b"}
	v.sageSim("POST", "/_sim/apps", object{"client_id": key, "client_secret": "the-secret-of-a-foreign-callback", "redirect_uris": callbacks})
	for i, callback := range callbacks {
		entry := v.sageEntry(v.sageOwn(fmt.Sprintf("foreign %d", i), object{"oauth_api_key": key, "oauth_api_secret": "the-secret-of-a-foreign-callback", "oauth_callback_url": callback}))
		a := v.do("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "browser"})
		checkProblem(t, "the browser door of "+callback, a, "invalid_field")
		if a.text(t, "field") != "mode" || !strings.Contains(a.text(t, "action"), "result_url") {
			t.Errorf("%s: what to do is not said: %s", callback, a.body)
		}
		result := v.allow(v.begin(entry), sagesim.UserGB)
		if !strings.HasPrefix(result, callback+"?") {
			t.Fatalf("consent leads to %.60s", result)
		}
		_, query, _ := strings.Cut(result, "?")
		for name, spoilt := range map[string]string{
			"our own callback": v.url + "/oauth/sage/callback?" + query,
			"another path":     "https://books.example.com/elsewhere?" + query,
			"another host":     strings.Replace(strings.ToLower(result), "books.example.com", "books.example.org", 1),
			"http":             strings.Replace(result, "https://", "http://", 1),
		} {
			checkProblem(t, callback+": "+name, v.validate(entry, spoilt), "result_url_foreign")
		}
		if n := len(w.heard("/token")); n != i {
			t.Fatalf("a foreign Result URL reached the token endpoint: %d calls", n)
		}
		// What a browser shows: the host in small letters, and a root path where there was none.
		browser := strings.Replace(result, "BOOKS.", "books.", 1)
		browser = strings.Replace(browser, "example.com?", "example.com/?", 1)
		if a := v.validate(entry, browser); a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", callback, a.status, a.body)
		}
		if sent := w.last(t, "/token").form.Get("redirect_uri"); sent != callback {
			t.Errorf("redirect_uri is sent as %q, want %q", sent, callback)
		}
		if got := v.shown(entry)["oauth_callback_url"]; got != callback {
			t.Errorf("the entry shows %v", got)
		}
	}
}

// What a person did not allow, or Sage did not, changes nothing and says what Sage said.
func TestSageDenied(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry := v.sageEntry(v.sageOwn("denied", nil))
	before := v.shown(entry)
	for _, c := range []struct{ name, user, decision, code string }{
		{"the user says no", sagesim.UserGB, "deny", "access_denied"},
		{"a user of another country", sagesim.UserIE, "allow", "invalid_request.email_already_in_use"},
	} {
		b := newBrowser(t)
		b.open(v.begin(entry))
		a := v.validate(entry, b.signIn(c.user, c.decision))
		checkProblem(t, c.name, a, "consent_denied")
		said, _ := a.json(t)["provider"].(object)
		if said["code"] != c.code {
			t.Errorf("%s: Sage said %v", c.name, said)
		}
		// The same in a browser is a page for a person.
		b = newBrowser(t)
		b.open(v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "browser"}).text(t, "start_url"))
		b.open(b.submit(""))
		b.open(b.signIn(c.user, c.decision))
		if b.last.StatusCode != http.StatusConflict || !strings.Contains(string(b.body), "consent_denied") || strings.Contains(string(b.body), "POST ") {
			t.Errorf("%s: the page: %d %.600s", c.name, b.last.StatusCode, b.body)
		}
	}
	if diff := cmp.Diff(before, v.shown(entry)); diff != "" {
		t.Errorf("the entry changed: %s", diff)
	}
	if n := len(v.ledger("")); n != 0 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
	v.sageConnect(entry, sagesim.UserGB)
}

// An entry stays with its user, and with the businesses that its connectors name. What another consent would change
// is refused, and reads go on.
func TestSageAccountStays(t *testing.T) {
	t.Parallel()
	v, w, entry, base := books(t, sagesim.BusinessGBSecond)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	before := v.shown(entry)

	unused := v.sageEntry(v.sageOwn("without a connector", nil))
	v.sageConnect(unused, sagesim.UserGB)
	checkProblem(t, "another user, of an entry that nothing uses", v.validate(unused, v.allow(v.begin(unused), sagesim.UserGBSingle)), "account_mismatch")
	another := v.validate(entry, v.allow(v.begin(entry), sagesim.UserGBSingle))
	checkProblem(t, "another user", another, "account_mismatch")
	if diff := cmp.Diff(before, v.shown(entry)); diff != "" {
		t.Errorf("another user's consent changed the entry: %s", diff)
	}
	v.advance(6 * time.Minute) // the token that the refused consent must not have replaced
	v.must(200, "GET", base+"/contacts?limit=1", nil)

	v.sageConnect(entry, sagesim.UserGB)
	again := v.shown(entry)
	if g := generation(again); g != generation(before)+2 { // one refresh, one authorization
		t.Errorf("the same user's consent leads from generation %v to %v", generation(before), g)
	}
	v.must(200, "GET", base+"/contacts?limit=1", nil)

	other := v.sageConnector(entry, sagesim.BusinessGB)
	v.sageSim("POST", "/_sim/businesses", object{"id": sagesim.BusinessGBSecond, "removed": true})
	before = v.shown(entry)
	lost := v.validate(entry, v.allow(v.begin(entry), sagesim.UserGB))
	checkProblem(t, "a user who lost a connector's business", lost, "account_mismatch")
	if !strings.Contains(lost.text(t, "detail"), "books") || !strings.Contains(lost.text(t, "detail"), "business") {
		t.Errorf("which connector it is about is not said: %s", lost.body)
	}
	if diff := cmp.Diff(before, v.shown(entry)); diff != "" {
		t.Errorf("the refused consent changed the entry: %s", diff)
	}
	v.must(200, "GET", other+"/contacts?limit=1", nil)
	a := v.do("GET", base+"/contacts?limit=1", nil)
	refused(t, "reading the business that was lost", a, 403, "provider_refused")
	if got := w.last(t, "/v3.1/contacts").header.Get("X-Business"); got != sagesim.BusinessGBSecond {
		t.Errorf("it was asked for as %q", got)
	}

	// Without the connector that names it, the consent is taken, and a new business is found.
	v.must(204, "DELETE", base, nil)
	v.sageSim("POST", "/_sim/businesses", object{"id": "5eedb0000000000000000000000000ff", "user": sagesim.UserGB, "name": "New Heron Ltd"})
	v.sageConnect(entry, sagesim.UserGB)
	text := string(v.must(200, "GET", "/v1/vault-entries/"+entry, nil).body)
	if strings.Contains(text, sagesim.BusinessGBSecond) || !strings.Contains(text, "New Heron Ltd") {
		t.Errorf("the members after the change: %s", text)
	}
	v.must(200, "GET", v.sageConnector(entry, "5eedb0000000000000000000000000ff")+"/contacts?limit=1", nil)
}

func generation(entry map[string]any) float64 {
	token, _ := entry["token"].(object)
	n, _ := token["generation"].(float64)
	return n
}

// Without an application there is nothing to consent to, and an application that Sage does not know says so.
func TestSageWithoutApplication(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry := v.sageEntry(sageShared("no application", nil))
	refused(t, "no application", v.do("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "browser"}), 409, "client_misconfigured")
	checkProblem(t, "a mode that Sage has not", v.do("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "refresh_token", "refresh_token": "x"}), "invalid_field")

	// A wrong secret is found out at the exchange; corrected within the minute, the same Result URL does.
	own := v.sageEntry(v.sageOwn("wrong secret", object{"oauth_api_secret": "not-the-secret-at-all"}))
	result := v.allow(v.begin(own), sagesim.UserGB)
	refused(t, "a wrong secret", v.validate(own, result), 502, "client_misconfigured")
	v.must(200, "PATCH", "/v1/vault-entries/"+own, object{"oauth_api_secret": sagesim.SeedClientSecret})
	if a := v.validate(own, result); a.status != http.StatusOK {
		t.Errorf("with the right secret: %d %s", a.status, a.body)
	}
}

// A first exchange that fails within the code's minute can be tried again, or says that the code is spent.
func TestSageFirstExchangeFails(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	for i, c := range []struct {
		name  string
		fault object
		code  string
		again string // what the same Result URL gives then; "" = the entry
	}{
		{"500", object{"name": "error_500", "endpoint": "token"}, "provider_unavailable", ""},
		{"a gateway's page", object{"name": "html_before", "endpoint": "token"}, "provider_unavailable", ""},
		{"no connection", object{"name": "reset", "endpoint": "token"}, "provider_unavailable", ""},
		{"who signed in is not to be had", object{"name": "error_503", "endpoint": "api", "operation": "user"}, "provider_unavailable", ""},
		{"the businesses are not to be had", object{"name": "html_after", "endpoint": "api", "operation": "businesses"}, "provider_unavailable", ""},
		{"too many calls", object{"name": "throttled", "endpoint": "api", "operation": "businesses", "retry_after": 1}, "rate_limited", ""},
		{"the answer is lost", object{"name": "drop_after_commit", "endpoint": "token"}, "provider_unavailable", "authorization_code_spent"},
		{"the answer is cut off", object{"name": "truncated", "endpoint": "token"}, "provider_unavailable", "authorization_code_spent"},
	} {
		entry := v.sageEntry(v.sageOwn(fmt.Sprintf("first try %d", i), nil))
		result := v.allow(v.begin(entry), sagesim.UserGB)
		c.fault["times"] = 1
		v.sageFault(c.fault)
		first := v.validate(entry, result)
		if first.status < 400 || first.text(t, "code") != c.code || first.text(t, "action") == "" {
			t.Errorf("%s: %d %s", c.name, first.status, first.body)
		}
		if s := v.shown(entry)["status"]; s != "pending" {
			t.Errorf("%s: the entry is %v", c.name, s)
		}
		v.sageWell()
		second := v.validate(entry, result)
		if c.again == "" {
			if second.status != http.StatusOK {
				t.Errorf("%s: the second try: %d %s", c.name, second.status, second.body)
			}
			continue
		}
		checkProblem(t, c.name+": the second try", second, c.again)
		v.sageConnect(entry, sagesim.UserGB)
	}
}

// A user without any business has nothing to read. The consent is kept until there is one.
func TestSageWithoutBusiness(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.sageSim("POST", "/_sim/businesses", object{"id": sagesim.BusinessGBSingle, "removed": true})
	entry := v.sageEntry(v.sageOwn("no business", nil))
	result := v.allow(v.begin(entry), sagesim.UserGBSingle)
	a := v.validate(entry, result)
	refused(t, "a user without a business", a, 502, "provider_refused")
	if !strings.Contains(a.text(t, "detail"), "no business") || v.shown(entry)["status"] != "pending" {
		t.Errorf("%s; the entry is %v", a.body, v.shown(entry)["status"])
	}
	v.sageSim("POST", "/_sim/businesses", object{"id": sagesim.BusinessGBSingle, "removed": false})
	v.advance(2 * time.Minute) // the code is dead by now, and not needed any more
	if a := v.validate(entry, result); a.status != http.StatusOK || len(v.ledger("authorization_code")) != 1 {
		t.Errorf("%d %s, after %d exchanges", a.status, a.body, len(v.ledger("authorization_code")))
	}
}
