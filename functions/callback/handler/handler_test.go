package handler_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/net/html"

	"connectorvault/functions/callback/handler"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/openapi"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// bench is the callback function over a bundle.
type bench struct {
	*bundletest.Bench
	handler *handler.Handler
	log     *strings.Builder
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{Bench: bundletest.New(t, bundletest.Options{}), log: &strings.Builder{}}
	b.App()
	b.handler = handler.New(handler.Config{Authorize: b.Authorize, PublicURL: bundletest.PublicURL, Logger: slog.New(slog.NewJSONHandler(b.log, nil)), Now: b.Clock.Now})
	return b
}

func (b *bench) send(method, target string, headers ...string) events.APIGatewayV2HTTPResponse {
	b.Helper()
	out, err := b.handler.Handle(b.Context(), b.Event(record.Principal{}, method, target, "", headers...))
	b.OK(err)
	return out
}

// start is the path of a start page of a new request.
func (b *bench) start(entry record.Entry) string {
	b.Helper()
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Browser})
	b.OK(err)
	return strings.TrimPrefix(begun.StartURL.Reveal(), bundletest.PublicURL)
}

// cookie takes the one cookie of an answer apart.
func (b *bench) cookie(out events.APIGatewayV2HTTPResponse) *http.Cookie {
	b.Helper()
	if len(out.Cookies) != 1 {
		b.Fatalf("%d cookies are set", len(out.Cookies))
	}
	c, err := http.ParseSetCookie(out.Cookies[0])
	b.OK(err)
	return c
}

// page fails unless the answer is a page that no other site can use.
func (b *bench) page(out events.APIGatewayV2HTTPResponse, status int, holds string) {
	b.Helper()
	if out.StatusCode != status || !strings.Contains(out.Body, holds) {
		b.Fatalf("the page is %d %s; want %d with %q", out.StatusCode, out.Body, status, holds)
	}
	policy := out.Headers["Content-Security-Policy"]
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action ", "style-src 'sha256-"} {
		if !strings.Contains(policy, part) {
			b.Errorf("the policy lacks %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		b.Errorf("the policy is %s", policy)
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Type": "text/html; charset=utf-8", "Cross-Origin-Opener-Policy": "same-origin"} {
		if out.Headers[name] != want {
			b.Errorf("%s is %q", name, out.Headers[name])
		}
	}
	if policy := out.Headers["Referrer-Policy"]; policy != "no-referrer" && policy != "same-origin" {
		b.Errorf("the referrer policy is %q", policy)
	}
}

// elements are the names of what a page is made of; text of a hostile name must add none.
func (b *bench) elements(page string) map[string]int {
	b.Helper()
	root, err := html.Parse(strings.NewReader(page))
	b.OK(err)
	out := map[string]int{}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			out[n.Data]++
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || strings.Contains(a.Val, "javascript") {
					b.Errorf("the page has %s=%q", a.Key, a.Val)
				}
			}
		}
	}
	return out
}

func TestTheFunctionAnswersItsRoutes(t *testing.T) {
	b := newBench(t)
	n := 0
	for _, r := range route.Table() {
		if _, ok := b.handler.Routes()[r.Key()]; ok != (r.Function == route.Callback) || ok && !r.Open {
			t.Errorf("%s is answered here: %t", r.Key(), ok)
		}
		if r.Function == route.Callback {
			n++
		}
	}
	if n != len(b.handler.Routes()) {
		t.Errorf("%d routes are answered, %d are asked for", len(b.handler.Routes()), n)
	}
}

func TestTheDescriptionOfTheAPIIsServed(t *testing.T) {
	b := newBench(t)
	out := b.send("GET", "/openapi.yaml")
	if out.StatusCode != 200 || out.Headers["Content-Type"] != "application/yaml" || out.Body != string(openapi.Document()) || len(out.Cookies) > 0 {
		t.Errorf("it is %d %v, %.80q", out.StatusCode, out.Headers, out.Body)
	}
	if !strings.HasPrefix(out.Body, "#") || !strings.Contains(out.Body, "\nopenapi: 3.1.0\n") {
		t.Errorf("it begins with %.80q", out.Body)
	}
	b.page(b.send("GET", "/openapi.yaml?version=2"), 400, "version")
}

func TestTheStartPageSaysWhatIsAboutToBeConnected(t *testing.T) {
	b := newBench(t)
	out := b.send("GET", b.start(b.Entry("German store")))
	b.page(out, 200, "German store")
	for _, told := range []string{"Example &amp; Sons", "warehouse key", "production", "Acme", bundletest.ConsentHost} {
		if !strings.Contains(out.Body, told) {
			t.Errorf("the page does not tell %q", told)
		}
	}
	if policy := out.Headers["Content-Security-Policy"]; !strings.Contains(policy, "form-action 'self' "+bundletest.ConsentHost) {
		t.Errorf("the form goes where %s", policy)
	}
	if len(out.Cookies) != 0 {
		t.Error("a cookie is set before anybody pressed Continue")
	}
}

func TestContinueSetsTheCookieAndGoesOn(t *testing.T) {
	b := newBench(t)
	path := b.start(b.Entry("one"))
	out := b.send("POST", path, "origin", bundletest.PublicURL, "sec-fetch-site", "same-origin")
	if out.StatusCode != http.StatusSeeOther || !strings.HasPrefix(out.Headers["Location"], bundletest.ConsentHost+"/authorize?") || out.Body != "" {
		t.Fatalf("the answer is %d %v", out.StatusCode, out.Headers)
	}
	c := b.cookie(out)
	if c.Name != "__Host-vault-oauth" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 || len(c.Value) != 43 {
		t.Errorf("the cookie is %+v", c)
	}
	b.page(b.send("POST", path), 410, "has been used")
}

func TestOverHTTPTheCookieIsNotSecureAndHasAnotherName(t *testing.T) {
	b := newBench(t)
	b.handler = handler.New(handler.Config{Authorize: b.Authorize, PublicURL: "http://127.0.0.1:8080", Logger: slog.New(slog.DiscardHandler), Now: b.Clock.Now})
	c := b.cookie(b.send("POST", b.start(b.Entry("one")), "origin", "http://127.0.0.1:8080"))
	if c.Name != "vault-oauth" || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %+v", c)
	}
}

func TestAnotherSitesRequestIsRefused(t *testing.T) {
	b := newBench(t)
	path := b.start(b.Entry("one"))
	for name, headers := range map[string][]string{
		"a foreign origin":          {"origin", "https://evil.example"},
		"a subdomain":               {"origin", "https://x.vault.example"},
		"another port":              {"origin", "https://vault.example:8443"},
		"http":                      {"origin", "http://vault.example"},
		"a longer host":             {"origin", "https://vault.example.evil.example"},
		"no origin to speak of":     {"origin", "null"},
		"a foreign null":            {"origin", "null", "sec-fetch-site", "cross-site"},
		"cross-site":                {"sec-fetch-site", "cross-site"},
		"same-site":                 {"sec-fetch-site", "same-site", "origin", bundletest.PublicURL},
		"a link that somebody sent": {"sec-fetch-site", "none"},
	} {
		out := b.send("POST", path, headers...)
		if out.StatusCode != http.StatusForbidden || len(out.Cookies) != 0 {
			t.Errorf("%s: %d %v", name, out.StatusCode, out.Cookies)
		}
	}
	// Nothing of that used the link up.
	if out := b.send("POST", path, "origin", "https://VAULT.example"); out.StatusCode != http.StatusSeeOther {
		t.Errorf("our own is %d", out.StatusCode)
	}
}

// What browsers send with a form depends on the page's referrer policy: under "no-referrer" the origin of every POST is
// "null" (Fetch, "append a request Origin header").
func TestWhatBrowsersSendWithOurFormIsTaken(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	for name, headers := range map[string][]string{
		"a browser of today":               {"origin", bundletest.PublicURL, "sec-fetch-site", "same-origin"},
		"one that knows no Sec-Fetch":      {"origin", bundletest.PublicURL},
		"one that keeps the origin back":   {"origin", "null", "sec-fetch-site", "same-origin"},
		"one that says nothing (very old)": {},
	} {
		path := b.start(entry)
		if policy := b.send("GET", path).Headers["Referrer-Policy"]; policy == "no-referrer" {
			t.Error("the page makes browsers keep the form's origin back")
		}
		if out := b.send("POST", path, headers...); out.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d %s", name, out.StatusCode, out.Body)
		}
	}
}

func TestTheWholeJourney(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	out := b.send("POST", b.start(entry), "origin", bundletest.PublicURL)
	consent, err := url.Parse(out.Headers["Location"])
	b.OK(err)
	code := b.Upstream.Consent("acct-1", consent.Query().Get("code_challenge"))
	back := "/oauth/acme/callback?" + url.Values{"state": {consent.Query().Get("state")}, "code": {code}}.Encode()
	c := b.cookie(out)
	for name, headers := range map[string][]string{"none": nil, "another name": {"cookie", "vault-oauth=" + c.Value}, "another value": {"cookie", c.Name + "=x"},
		"two, a wrong one first": {"cookie", c.Name + "=x", "cookie", c.Name + "=" + c.Value}} {
		if out := b.send("GET", back, headers...); out.StatusCode != http.StatusForbidden {
			t.Errorf("with the cookie %s: %d", name, out.StatusCode)
		}
	}
	done := b.send("GET", back, "cookie", "theme=dark", "cookie", c.Name+"="+c.Value)
	b.page(done, 200, "The account is connected")
	for _, hidden := range []string{code, consent.Query().Get("state"), c.Value} {
		if strings.Contains(done.Body, hidden) || strings.Contains(b.log.String(), hidden) {
			t.Errorf("%q is shown or logged", hidden)
		}
	}
	if state, err := b.Vault.EntryState(b.Context(), entry.Tenant, entry.ID); err != nil || state.Status() != record.Active {
		t.Errorf("the entry is %s, %v", state.Status(), err)
	}
}

func TestInResultURLModeThePageSaysHowToCopyAndExchangesNothing(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	consent, err := url.Parse(begun.OAuthRequestURL.Reveal())
	b.OK(err)
	state := consent.Query().Get("state")
	out := b.send("GET", "/oauth/acme/callback?code=canary-code&state="+url.QueryEscape(state))
	b.page(out, 200, "Copy the whole address")
	if !strings.Contains(out.Body, "nobody else") || strings.Contains(out.Body, "canary-code") || strings.Contains(out.Body, state) || len(b.Calls(tokens.Complete)) != 0 {
		t.Errorf("the page is %s", out.Body)
	}
	b.page(b.send("GET", "/oauth/acme/callback?error=access_denied&state="+url.QueryEscape(state)), 409, "Consent was not given")
}

func TestACallbackThatIsWrongIsAPageThatSaysWhy(t *testing.T) {
	b := newBench(t)
	b.Entry("one")
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"":                                {400, "result_url_incomplete"},
		"?code=canary":                    {400, "result_url_incomplete"},
		"?state=canary&code=canary":       {400, "authorization_request_unknown"},
		"?state=a&state=canary&code=x":    {400, "result_url_duplicate_parameter"},
		"?state=%zzcanary":                {400, "invalid_request"},
		"?state=canary&error=canary-html": {400, "authorization_request_unknown"},
	} {
		out := b.send("GET", "/oauth/acme/callback"+query)
		b.page(out, want.status, want.code)
		if strings.Contains(out.Body, "canary") || strings.Contains(b.log.String(), "canary") {
			t.Errorf("%s is said back or logged: %s", query, out.Body)
		}
	}
	b.page(b.send("GET", "/oauth/ghost/callback?state=a&code=b"), 404, "not_found")
	b.page(b.send("GET", "/oauth/start/%3Cscript%3Ealert(1)"), 404, "authorization_request_unknown")
}

func TestNamesThatAreHostileStayText(t *testing.T) {
	b := newBench(t)
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>' style='x`
	entry, err := b.Admin.CreateEntry(b.Context(), b.Owner, "", bundletest.Fields("provider", bundletest.Name, "alias", hostile, "environment", "production"))
	b.OK(err)
	key, _, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: bundletest.Tenant, Role: record.Owner, Label: "</main><form action=//evil>" + hostile})
	b.OK(err)
	mild := b.elements(b.send("GET", b.start(b.Entry("mild"))).Body)
	begun, err := b.Authorize.Begin(b.Context(), record.Principal{Tenant: bundletest.Tenant, ID: key.ID, Role: record.Owner}, entry.ID, authorize.Begin{Mode: record.Browser})
	b.OK(err)
	path := strings.TrimPrefix(begun.StartURL.Reveal(), bundletest.PublicURL)
	out := b.send("GET", path)
	b.page(out, 200, "&lt;script&gt;")
	got := b.elements(out.Body)
	for name, n := range got {
		if mild[name] != n {
			t.Errorf("a name makes %d %s of %d", n, name, mild[name])
		}
	}
	moved := b.send("POST", path, "origin", bundletest.PublicURL)
	consent, err := url.Parse(moved.Headers["Location"])
	b.OK(err)
	c := b.cookie(moved)
	b.Answer(nil)
	// A provider's words in a problem page are text too.
	denied := b.send("GET", "/oauth/acme/callback?error="+url.QueryEscape(hostile)+"&state="+url.QueryEscape(consent.Query().Get("state")), "cookie", c.Name+"="+c.Value)
	b.page(denied, 409, "consent_denied")
	if n := b.elements(denied.Body); n["script"] != 0 || n["img"] != 0 {
		t.Errorf("the page has %v", n)
	}
}

func TestAVisitOfTheStoreShowsAHandleAndSetsACookie(t *testing.T) {
	b := newBench(t)
	query := url.Values{"go_on": {bundletest.StoreHost + "/confirm/1"}, "store_state": {"canary-state"}}
	out := b.send("GET", "/oauth/acme/login?"+query.Encode())
	b.page(out, 200, "appstore")
	if c := b.cookie(out); c.Name != "__Host-vault-oauth" || !c.Secure || !c.HttpOnly {
		t.Errorf("the cookie is %+v", c)
	}
	if strings.Contains(out.Body, "canary") || strings.Contains(out.Body, b.cookie(out).Value) {
		t.Errorf("the page is %s", out.Body)
	}
	query.Set("go_on", "https://evil.example/")
	if out := b.send("GET", "/oauth/acme/login?"+query.Encode()); out.StatusCode != 400 || len(out.Cookies) != 0 || out.Headers["Location"] != "" {
		t.Errorf("a foreign visit is %d %v", out.StatusCode, out.Cookies)
	}
}

func TestAPageOfAnErrorSaysWhenToComeBack(t *testing.T) {
	b := newBench(t)
	path := b.start(b.Entry("one"))
	b.Store.Fail(func(string, store.Table) bool { return true })
	out := b.send("GET", path)
	b.page(out, 503, "store_unavailable")
	if out.Headers["Retry-After"] == "" || strings.Contains(out.Body, "10.0.0.7") {
		t.Errorf("the page is %v %s", out.Headers, out.Body)
	}
}
