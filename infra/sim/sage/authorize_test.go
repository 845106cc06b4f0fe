package sagesim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"connectorvault/infra/sim/engine/enginetest"
	sagesim "connectorvault/infra/sim/sage"
)

func authorizeQuery(extra ...string) url.Values {
	query := url.Values{
		"client_id": {sagesim.SeedClientID}, "redirect_uri": {seededCallback}, "response_type": {"code"}, "scope": {"full_access"},
		"state": {"st/ate+1"}, "filter": {"apiv3.1"},
	}
	for i := 0; i < len(extra); i += 2 {
		query.Set(extra[i], extra[i+1])
	}
	return query
}

func (f *front) authorize(query url.Values) answer {
	f.t.Helper()
	return f.send(http.MethodGet, f.sim.Endpoints().Authorize+"?"+query.Encode(), nil, "")
}

// webForm is a form as a client without scripts sees it.
type webForm struct {
	method, action string
	fields         url.Values          // hidden ones, and the first option of each select
	options        map[string][]string // of each select
	buttons        []string            // values of "decision"
}

func readForm(t *testing.T, a answer) webForm {
	t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	form := webForm{fields: url.Values{}, options: map[string][]string{}}
	attribute := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	selecting := ""
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "form":
			form.method, form.action = attribute(n, "method"), attribute(n, "action")
		case "input":
			form.fields.Add(attribute(n, "name"), attribute(n, "value"))
		case "select":
			selecting = attribute(n, "name")
		case "option":
			if form.options[selecting] == nil {
				form.fields.Set(selecting, attribute(n, "value"))
			}
			form.options[selecting] = append(form.options[selecting], attribute(n, "value"))
		case "button":
			form.buttons = append(form.buttons, attribute(n, "value"))
		}
	}
	if form.method == "" {
		t.Fatalf("no form in %d %.300s", a.status, a.body)
	}
	return form
}

// submit presses a button of a form.
func (f *front) submit(form webForm, decision string) answer {
	f.t.Helper()
	at := f.base + form.action
	if form.method == "get" {
		return f.send(http.MethodGet, at+"?"+form.fields.Encode(), nil, "")
	}
	form.fields.Set("decision", decision)
	return f.send(http.MethodPost, at, formHeader(), form.fields.Encode())
}

func wantCallback(t *testing.T, a answer) url.Values {
	t.Helper()
	wantStatus(t, a, http.StatusFound)
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if got := at.Scheme + "://" + at.Host + at.Path; got != seededCallback {
		t.Fatalf("called back at %s", got)
	}
	return at.Query()
}

func TestAuthorizeByForms(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	chooser := readForm(t, f.authorize(authorizeQuery()))
	if !slices.Equal(chooser.options["country"], []string{"GB", "IE", "CA", "US", "DE", "ES", "FR"}) {
		t.Fatalf("countries %q", chooser.options["country"])
	}
	chooser.fields.Set("country", "IE")
	consent := readForm(t, f.submit(chooser, ""))
	if got := consent.fields.Get("user"); got != sagesim.UserIE {
		t.Fatalf("the first user is %s", got)
	}
	a := f.submit(consent, "allow")
	back := wantCallback(t, a)
	if back.Get("country") != "IE" || back.Get("state") != "st/ate+1" || !strings.HasPrefix(back.Get("code"), "IE/") {
		t.Fatalf("callback %v", back)
	}
	if !strings.Contains(a.header.Get("Location"), "?code=IE%2F") {
		t.Errorf("the slash of the code is not escaped: %s", a.header.Get("Location"))
	}
	got := f.post("/token", codeForm(back.Get("code")))
	wantStatus(t, got, http.StatusOK)
	if set := decode[tokens](t, got); set.RequestedBy != sagesim.UserIE || set.Scope != "full_access" {
		t.Errorf("tokens of %s with scope %s", set.RequestedBy, set.Scope)
	}
	if strings.Contains(f.log.String(), "code=") || strings.Contains(f.log.String(), back.Get("code")) {
		t.Error("the log has the code")
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(sagesim.Fault{Name: sagesim.FaultAuthorizeError, Error: "temporarily_unavailable", User: sagesim.UserGBSingle})
	consent := readForm(t, f.authorize(authorizeQuery("country", "gb")))
	choose := func(user string) answer {
		consent.fields.Set("user", user)
		return f.submit(consent, "allow")
	}
	tests := []struct {
		name, code, reason string
		answer             answer
	}{
		{"denied", "access_denied", "", f.submit(consent, "deny")},
		{"country of another", "Invalid request", "Email already in use", choose(sagesim.UserUS)},
		{"unknown user", "Invalid request", "Unknown user", choose("nobody")},
		{"switch", "temporarily_unavailable", "", choose(sagesim.UserGBSingle)},
		{"response type", "unsupported_response_type", "", f.authorize(authorizeQuery("response_type", "token"))},
		{"scope", "invalid_scope", "", f.authorize(authorizeQuery("scope", "everything"))},
		{"filter", "invalid_request", "", f.authorize(authorizeQuery("filter", "apiv3"))},
		{"country", "invalid_request", "", f.authorize(authorizeQuery("country", "AT"))},
		{"method without challenge", "invalid_request", "", f.authorize(authorizeQuery("code_challenge_method", "S256"))},
		{"short challenge", "invalid_request", "", f.authorize(authorizeQuery("code_challenge", "abc"))},
		{"method", "invalid_request", "", f.authorize(authorizeQuery("code_challenge", strings.Repeat("a", 43), "code_challenge_method", "S512"))},
		{"repeated", "invalid_request", "", f.send(http.MethodGet, f.base+"/oauth2/auth/central?"+authorizeQuery().Encode()+"&state=2", nil, "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			back := wantCallback(t, test.answer)
			if back.Get("error") != test.code || back.Get("reason") != test.reason || back.Get("state") != "st/ate+1" || back.Has("code") {
				t.Errorf("callback %v", back)
			}
		})
	}
	wantStatus(t, f.authorize(authorizeQuery("country", "GB", "filter", "anything")), http.StatusOK) // ignored beside a country
}

func TestAuthorizeErrorPages(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(sagesim.Fault{Name: sagesim.FaultStrictApps})
	for name, query := range map[string]url.Values{
		"unknown client":  authorizeQuery("client_id", "nobody/knows"),
		"no client":       authorizeQuery("client_id", ""),
		"no redirect":     authorizeQuery("redirect_uri", ""),
		"other path":      authorizeQuery("redirect_uri", "http://127.0.0.1:4711/oauth/sage/Callback"),
		"query":           authorizeQuery("redirect_uri", seededCallback+"?a=b"),
		"other host":      authorizeQuery("redirect_uri", "http://localhost:4711/oauth/sage/callback"),
		"https":           authorizeQuery("redirect_uri", "https://127.0.0.1:4711/oauth/sage/callback"),
		"user":            authorizeQuery("redirect_uri", "http://u@127.0.0.1:4711/oauth/sage/callback"),
		"foreign":         authorizeQuery("redirect_uri", "https://example.com/oauth/sage/callback"),
		"repeated client": {"client_id": {sagesim.SeedClientID, sagesim.SeedClientID}, "redirect_uri": {seededCallback}, "response_type": {"code"}},
	} {
		a := f.authorize(query)
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s: %d, location %q", name, a.status, a.header.Get("Location"))
		}
	}
	wantStatus(t, f.send(http.MethodPut, f.base+"/oauth2/auth/central", nil, ""), http.StatusMethodNotAllowed)
}

func TestRegisteredCallbacksAreComparedExactly(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.control(http.MethodPost, "/_sim/apps", `{"redirect_uris":["https://vault.example.com/oauth/sage/callback"]}`)
	wantStatus(t, a, http.StatusOK)
	app := decode[sagesim.App](t, a)
	if strings.Count(app.ClientID, "/") != 1 || app.ClientSecret == "" || app.SubscriptionKey == "" || app.SignatureSecret == "" {
		t.Fatalf("registered %+v", app)
	}
	for uri, status := range map[string]int{
		"https://vault.example.com/oauth/sage/callback":  http.StatusOK,
		"https://vault.example.com/oauth/sage/callback/": http.StatusBadRequest,
		"https://Vault.example.com/oauth/sage/callback":  http.StatusBadRequest,
		seededCallback: http.StatusBadRequest,
	} {
		if a := f.authorize(authorizeQuery("client_id", app.ClientID, "redirect_uri", uri)); a.status != status {
			t.Errorf("%s: %d", uri, a.status)
		}
	}
	list := f.control(http.MethodGet, "/_sim/apps", "")
	for _, secret := range []string{app.ClientSecret, app.SubscriptionKey, app.SignatureSecret, sagesim.SeedSignatureSecret} {
		if strings.Contains(list.body, secret) {
			t.Error("the list of applications shows a secret")
		}
	}
}

func TestUnknownApplicationIsTakenAtItsFirstUse(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	const client, callback = "11111111-1111-4111-8111-111111111111/22222222-2222-4222-8222-222222222222", "http://127.0.0.1:5001/back"
	wantStatus(t, f.authorize(authorizeQuery("client_id", client, "redirect_uri", callback)), http.StatusOK)
	wantStatus(t, f.authorize(authorizeQuery("client_id", client, "redirect_uri", "http://127.0.0.1:6002/back")), http.StatusOK) // another port
	wantStatus(t, f.authorize(authorizeQuery("client_id", client, "redirect_uri", "http://127.0.0.1:5001/other")), http.StatusBadRequest)
	code, _ := f.authorization(`{"client_id":"` + client + `","redirect_uri":"` + callback + `","user":"owner.fr.one@example.com"}`)
	form := codeForm(code)
	form.Set("client_id", client)
	form.Set("client_secret", "first")
	form.Set("redirect_uri", callback)
	a := f.post("/token", form)
	wantStatus(t, a, http.StatusOK)
	again := refreshForm(decode[tokens](t, a).Refresh)
	again.Set("client_id", client)
	again.Set("client_secret", "second")
	wantTokenError(t, f.post("/token", again), http.StatusBadRequest, "invalid_client")
	again.Set("client_secret", "first")
	wantStatus(t, f.post("/token", again), http.StatusOK)
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	verifier := strings.Repeat("v-e.r_i~", 6)
	sum := sha256.Sum256([]byte(verifier))
	hashed := base64.RawURLEncoding.EncodeToString(sum[:])
	code := func(challenge ...string) string {
		consent := readForm(t, f.authorize(authorizeQuery(append(challenge, "country", "GB")...)))
		return wantCallback(t, f.submit(consent, "allow")).Get("code")
	}
	exchange := func(code, verifier string) answer {
		form := codeForm(code)
		if verifier != "" {
			form.Set("code_verifier", verifier)
		}
		return f.post("/token", form)
	}
	s256 := code("code_challenge", hashed, "code_challenge_method", "S256")
	for _, wrong := range []string{"", hashed, strings.Repeat("w", 43), verifier[:42]} {
		wantTokenError(t, exchange(s256, wrong), http.StatusBadRequest, "invalid_grant")
	}
	wantStatus(t, exchange(s256, verifier), http.StatusOK) // a verifier that does not fit spends nothing
	for _, method := range []string{"plain", ""} {
		plain := code("code_challenge", verifier, "code_challenge_method", method)
		wantTokenError(t, exchange(plain, strings.Repeat("w", 43)), http.StatusBadRequest, "invalid_grant")
		wantStatus(t, exchange(plain, verifier), http.StatusOK)
	}
	wantTokenError(t, exchange(code(), verifier), http.StatusBadRequest, "invalid_grant") // the challenge was lost on the way
}

func TestCodes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	spoiled := func(name, value string) url.Values {
		form := codeForm(f.code())
		form.Set(name, value)
		return form
	}
	wantTokenError(t, f.post("/token", spoiled("redirect_uri", "http://127.0.0.1:4712/oauth/sage/callback")), http.StatusBadRequest, "invalid_grant")
	wantTokenError(t, f.post("/token", spoiled("code", "GB/00")), http.StatusBadRequest, "invalid_grant")
	other := spoiled("client_id", sagesim.SeedOtherClientID)
	other.Set("client_secret", sagesim.SeedOtherClientSecret)
	wantTokenError(t, f.post("/token", other), http.StatusBadRequest, "invalid_grant")

	inTime, late := f.code(), f.code()
	f.clock.Step(59 * time.Second)
	wantStatus(t, f.post("/token", codeForm(inTime)), http.StatusOK)
	wantTokenError(t, f.post("/token", codeForm(inTime)), http.StatusBadRequest, "invalid_grant") // once
	f.clock.Step(time.Second)
	wantTokenError(t, f.post("/token", codeForm(late)), http.StatusBadRequest, "invalid_grant")
	items, counters := f.ledger("?outcome=expired")
	if len(items) != 1 || items[0].GrantType != "authorization_code" || counters.Reuses != 1 || counters.Issued != 1 {
		t.Errorf("ledger %+v %+v", items, counters)
	}
}

func TestAuthorizationShortcutChecksLikeThePage(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, bad := range []string{
		`{"client_id":"` + sagesim.SeedClientID + `","redirect_uri":"https://example.com/"}`,
		`{"client_id":"` + sagesim.SeedClientID + `","redirect_uri":"` + seededCallback + `","user":"` + sagesim.UserGB + `","country":"US"}`,
		`{"client_id":"` + sagesim.SeedClientID + `","redirect_uri":"` + seededCallback + `","scope":"x"}`,
		`{"misspelt":1}`,
	} {
		wantStatus(t, f.control(http.MethodPost, "/_sim/authorizations", bad), http.StatusBadRequest)
	}
	wantStatus(t, f.control(http.MethodPost, "/_sim/authorizations", `{"client_id":"x","redirect_uri":"http://127.0.0.1/","user":"nobody"}`), http.StatusNotFound)
	code, location := f.authorization(`{"client_id":"` + sagesim.SeedClientID + `","redirect_uri":"` + seededCallback + `","country":"ca","state":"s","scope":"readonly","label":"one"}`)
	if location != seededCallback+"?code="+url.QueryEscape(code)+"&country=CA&state=s" {
		t.Errorf("location %s", location)
	}
	wantStatus(t, f.post("/token", codeForm(code)), http.StatusOK)
	if family := f.family("one"); family.User != sagesim.UserCA || family.Scope != "readonly" || family.Current != 1 {
		t.Errorf("family %+v", family)
	}
}

func TestIndexAndSecondOpening(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	first, second := openFront(t, state, at), openFront(t, state, at)
	for _, f := range []*front{first, second} {
		a := f.send(http.MethodGet, f.base+"/", nil, "")
		if a.status != http.StatusOK || strings.Count(a.body, sagesim.UserGB) != 4 || !strings.Contains(a.body, "subscription lapsed") {
			t.Errorf("index %d: %d", a.status, strings.Count(a.body, sagesim.UserGB))
		}
	}
}
