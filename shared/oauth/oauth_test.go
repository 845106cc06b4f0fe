package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"connectorvault/shared/oauth"
	"connectorvault/shared/secret"
)

const (
	clientID     = "client id/1"
	clientSecret = "canary-client-secret:&"
	oldToken     = "canary-refresh-old"
)

// endpoint is a token endpoint that does as it is told and remembers what it got.
type endpoint struct {
	*httptest.Server
	answer http.HandlerFunc
	mu     sync.Mutex
	got    []*http.Request // guarded by mu; with their forms parsed
}

func newEndpoint(t *testing.T, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("the form cannot be read: %v", err)
		}
		e.mu.Lock()
		e.got = append(e.got, r)
		e.mu.Unlock()
		e.answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) posts() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got
}

func (e *endpoint) client(style oauth.Style) oauth.Client {
	return oauth.Client{
		HTTP: &http.Client{Transport: e.Client().Transport}, TokenURL: e.URL + "/token?canary=url",
		Style: style, ID: clientID, Secret: secret.New(clientSecret),
	}
}

func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func saysJSON(status int, body string) http.HandlerFunc {
	return says(status, "application/json;charset=UTF-8", body)
}

// wantPost returns the one request that came, and holds it to a form with exactly these fields.
func wantPost(t *testing.T, e *endpoint, form url.Values) *http.Request {
	t.Helper()
	posts := e.posts()
	if len(posts) != 1 {
		t.Fatalf("%d requests came; want exactly one", len(posts))
	}
	r := posts[0]
	if r.Method != http.MethodPost || !reflect.DeepEqual(r.PostForm, form) {
		t.Errorf("%s of %v; want POST of %v", r.Method, r.PostForm, form)
	}
	return r
}

func TestClientSecretGoesWhereTheStyleSays(t *testing.T) {
	t.Parallel()
	for _, style := range []oauth.Style{oauth.InParams, oauth.InHeader} {
		e := newEndpoint(t, saysJSON(200, `{"access_token":"a","token_type":"bearer"}`))
		if _, err := e.client(style).Refresh(t.Context(), secret.New(oldToken)); err != nil {
			t.Fatal(err)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {oldToken}}
		if style == oauth.InParams {
			form.Set("client_id", clientID)
			form.Set("client_secret", clientSecret)
		}
		r := wantPost(t, e, form)
		user, password, basic := r.BasicAuth()
		if basic != (style == oauth.InHeader) {
			t.Errorf("style %d: Basic authentication is %t", style, basic)
		}
		if basic && (user != url.QueryEscape(clientID) || password != url.QueryEscape(clientSecret)) {
			t.Errorf("style %d: the header does not hold id and secret as RFC 6749, 2.3.1 encodes them", style)
		}
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"new-a","refresh_token":"new-r","token_type":"bearer","expires_in":300,
		"refresh_token_expires_in":2678400,"scope":"full_access"}`))
	tokens, err := e.client(oauth.InParams).Exchange(t.Context(), secret.New("the code"), "https://vault.example/cb?x=1", secret.New("the verifier"))
	if err != nil {
		t.Fatal(err)
	}
	wantPost(t, e, url.Values{
		"grant_type": {"authorization_code"}, "code": {"the code"}, "redirect_uri": {"https://vault.example/cb?x=1"},
		"code_verifier": {"the verifier"}, "client_id": {clientID}, "client_secret": {clientSecret},
	})
	if tokens.Access.Reveal() != "new-a" || tokens.Refresh.Reveal() != "new-r" || tokens.Lifetime != 300*time.Second ||
		tokens.RefreshLifetime != 31*24*time.Hour || tokens.Scope != "full_access" {
		t.Errorf("issued: %+v, and perhaps other tokens", tokens)
	}

	plain := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	if _, err := plain.client(oauth.InParams).Exchange(t.Context(), secret.New("c"), "https://vault.example/cb", secret.Text{}); err != nil {
		t.Fatal(err)
	}
	if plain.posts()[0].PostForm.Has("code_verifier") {
		t.Error("a verifier was sent where there is none")
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"own","expires_in":3600}`))
	tokens, err := e.client(oauth.InParams).ClientCredentials(t.Context(), "sellingpartnerapi::notifications")
	if err != nil || tokens.Access.Reveal() != "own" || tokens.Lifetime != time.Hour {
		t.Errorf("issued: %+v, %v", tokens, err)
	}
	wantPost(t, e, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"sellingpartnerapi::notifications"},
		"client_id": {clientID}, "client_secret": {clientSecret},
	})
}

// Which refresh token is in force after an answer: a new one, or the one that was used, which is told by its absence.
func TestRefreshTokenOfTheAnswer(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"access_token":"a"}`:                                             "",
		`{"access_token":"a","refresh_token":""}`:                          "",
		`{"access_token":"a","refresh_token":null}`:                        "",
		`{"access_token":"a","refresh_token":"` + oldToken + `"}`:          "",
		`{"access_token":"a","refresh_token":"canary-refresh-new"}`:        "canary-refresh-new",
		`{"access_token":"a","refresh_token":"` + oldToken + `-and-more"}`: oldToken + "-and-more",
	} {
		e := newEndpoint(t, saysJSON(200, answer))
		tokens, err := e.client(oauth.InParams).Refresh(t.Context(), secret.New(oldToken))
		if err != nil || tokens.Access.Reveal() != "a" || tokens.Refresh.Reveal() != want {
			t.Errorf("%s: another token set, or %v", answer, err)
		}
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		`300`: 300 * time.Second, `"300"`: 300 * time.Second, `0`: 0, `null`: 0, `"soon"`: 0, `""`: 0, `3599.9`: 3599 * time.Second,
		`-5`: 0, `"-5"`: 0, `"1h"`: 0, `true`: 0, `"NaN"`: 0, `"1e3"`: 1000 * time.Second,
	} {
		e := newEndpoint(t, saysJSON(200, `{"access_token":"a","refresh_token_expires_in":`+text+`}`))
		tokens, err := e.client(oauth.InParams).Refresh(t.Context(), secret.New(oldToken))
		if err != nil || tokens.RefreshLifetime != want || tokens.Lifetime != 0 {
			t.Errorf("%s: %v and %v, %v; want %v", text, tokens.RefreshLifetime, tokens.Lifetime, err, want)
		}
	}
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a","refresh_token_expires_in":1e300}`))
	if tokens, err := e.client(oauth.InParams).Refresh(t.Context(), secret.New(oldToken)); err != nil || tokens.RefreshLifetime <= 0 {
		t.Errorf("a lifetime beyond all measure is %v, %v", tokens.RefreshLifetime, err)
	}
}

// refused calls an endpoint and holds what comes back to the rules of every failure.
func refused(ctx context.Context, t *testing.T, c oauth.Client) *oauth.Failure {
	t.Helper()
	tokens, err := c.Refresh(ctx, secret.New(oldToken))
	failure := failureOf(t, err)
	if !reflect.DeepEqual(tokens, oauth.Tokens{}) {
		t.Error("tokens came with a failure")
	}
	return failure
}

// failureOf holds an error to the rules of every failure.
func failureOf(t *testing.T, err error) *oauth.Failure {
	t.Helper()
	var failure *oauth.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("the answer is %v; want a Failure", err)
	}
	var quoting *oauth2.RetrieveError
	if errors.As(err, &quoting) {
		t.Error("the error that quotes bodies is in the chain")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, failure), failure.Code, failure.RequestID} {
		if strings.Contains(text, "canary") {
			t.Errorf("the failure quotes what it must not: %s", text)
		}
	}
	return failure
}

func TestDefiniteRefusals(t *testing.T) {
	t.Parallel()
	for code, outcome := range map[string]oauth.Outcome{
		"invalid_grant": oauth.Revoked, "invalid_client": oauth.Misconfigured, "unauthorized_client": oauth.Misconfigured,
		"invalid_request": oauth.Misconfigured, "unsupported_grant_type": oauth.Misconfigured, "invalid_scope": oauth.Misconfigured,
		"access_denied": oauth.Misconfigured, "slow_down": oauth.RateLimited,
	} {
		for _, status := range []int{400, 401, 403} {
			e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-amzn-RequestId", "req-1")
				saysJSON(status, `{"error":"`+code+`","error_description":"canary description","error_uri":"https://canary"}`)(w, r)
			})
			f := refused(t.Context(), t, e.client(oauth.InParams))
			if f.Outcome != outcome || f.Code != code || f.Status != status || f.Spent || f.RequestID != "req-1" {
				t.Errorf("%d %s: %+v; want %s, not spent", status, code, f, outcome)
			}
			if n := len(e.posts()); n != 1 {
				t.Errorf("%d %s: %d requests", status, code, n)
			}
		}
	}
}

// TestEndpointThatSaysSecretsBack: an error code and a request id go into logs and answers, so what was sent, and what
// does not look like a name, is not taken for one.
func TestEndpointThatSaysSecretsBack(t *testing.T) {
	t.Parallel()
	for _, said := range []string{oldToken, "refused-" + oldToken, clientSecret, strings.Repeat("a", 65), "Atzr|abc", "a b", "<b>"} {
		e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Request-Id", said)
			body, _ := json.Marshal(map[string]string{"error": said})
			saysJSON(400, string(body))(w, r)
		})
		f := refused(t.Context(), t, e.client(oauth.InParams))
		if f.Code != "" || f.RequestID != "" || f.Outcome != oauth.Transient {
			t.Errorf("%q: %+v", said, f)
		}
	}
}

func TestIndefiniteAnswers(t *testing.T) {
	t.Parallel()
	huge := `{"access_token":"` + strings.Repeat("canary", 1<<19) + `"}`
	for name, answer := range map[string]http.HandlerFunc{
		"500":                      says(500, "text/plain", "canary"),
		"502 of a proxy":           says(502, "text/html", "<html>canary</html>"),
		"503":                      saysJSON(503, `{"error":"temporarily_unavailable"}`),
		"500 with invalid_grant":   saysJSON(500, `{"error":"invalid_grant","error_description":"canary"}`),
		"400 of a proxy":           says(400, "text/html", "<html>canary</html>"),
		"400 without a code":       saysJSON(400, `{"message":"canary"}`),
		"400 with its own code":    saysJSON(400, `{"error":"something_new"}`),
		"400 with ServerError":     saysJSON(400, `{"error":"ServerError"}`),
		"400 with broken JSON":     saysJSON(400, `{"error":"invalid_grant`),
		"400 empty":                saysJSON(400, ``),
		"403 bare":                 says(403, "text/plain", "canary"),
		"404":                      saysJSON(404, `{}`),
		"200 HTML":                 says(200, "text/html", "<html>canary</html>"),
		"200 plain text":           says(200, "text/plain", "canary"),
		"200 empty":                saysJSON(200, ``),
		"200 without a token":      saysJSON(200, `{"refresh_token":"canary"}`),
		"200 with an empty token":  saysJSON(200, `{"access_token":"","refresh_token":"canary"}`),
		"200 with broken JSON":     saysJSON(200, `{"access_token":"canary`),
		"200 with an error":        saysJSON(200, `{"error":"invalid_grant"}`),
		"200 of another shape":     saysJSON(200, `["canary"]`),
		"200 oversized":            saysJSON(200, huge),
		"204":                      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"body shorter than stated": shortBody,
	} {
		e := newEndpoint(t, answer)
		f := refused(t.Context(), t, e.client(oauth.InHeader))
		if f.Outcome != oauth.Transient || !f.Spent {
			t.Errorf("%s: %+v; want transient and perhaps spent", name, f)
		}
		if n := len(e.posts()); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

func shortBody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"access_token":"canary"}`)
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "": 0, "-1": 0, "1.5": 0, "soon": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0, "99999999": time.Hour,
	} {
		for _, body := range []string{`{"error":"invalid_grant"}`, `{"error":"slow_down"}`, `<html>`, ``} {
			e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", header)
				w.Header().Set("X-Request-Id", "req-2")
				saysJSON(429, body)(w, r)
			})
			f := refused(t.Context(), t, e.client(oauth.InParams))
			if f.Outcome != oauth.RateLimited || f.Spent || f.RetryAfter != want || f.Status != 429 || f.RequestID != "req-2" {
				t.Errorf("Retry-After %q with %s: %+v; want %v", header, body, f, want)
			}
		}
	}
}

// A redirect is not followed: a POST that is repeated elsewhere hands the token to somebody else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
		e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		c := e.client(oauth.InParams)
		c.HTTP.CheckRedirect = nil // whatever the client says
		f := refused(t.Context(), t, c)
		if f.Outcome != oauth.Transient || !f.Spent || f.Status != status {
			t.Errorf("%d: %+v; want transient and perhaps spent", status, f)
		}
		if len(elsewhere.posts()) != 0 || len(e.posts()) != 1 {
			t.Errorf("%d: %d requests here and %d elsewhere", status, len(e.posts()), len(elsewhere.posts()))
		}
	}
}

// hangUp ends the connection without an answer.
func hangUp(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset
		}
		_ = conn.Close()
	}
}

func TestResetIsPerhapsSpent(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, hangUp(t))
	f := refused(t.Context(), t, e.client(oauth.InParams))
	if f.Outcome != oauth.Transient || !f.Spent || f.Status != 0 {
		t.Errorf("%+v; want transient, perhaps spent, no status", f)
	}
	if len(e.posts()) != 1 {
		t.Errorf("%d requests", len(e.posts()))
	}
}

// A connection that was kept alive breaks: net/http repeats some requests then, and must not repeat this one.
func TestNothingIsRepeatedOnAKeptConnection(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	c := e.client(oauth.InParams)
	if _, err := c.Refresh(t.Context(), secret.New("first")); err != nil {
		t.Fatal(err)
	}
	e.answer = hangUp(t)
	f := refused(t.Context(), t, c)
	if f.Outcome != oauth.Transient || !f.Spent {
		t.Errorf("%+v; want transient and perhaps spent", f)
	}
	if n := len(e.posts()); n != 2 {
		t.Errorf("%d requests for two calls", n)
	}
}

// The caller's time is over while the endpoint thinks: perhaps spent.
func TestCancelledAfterSending(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	e := newEndpoint(t, func(http.ResponseWriter, *http.Request) { cancel(); <-over })
	defer close(over)
	f := refused(ctx, t, e.client(oauth.InParams))
	if f.Outcome != oauth.Transient || !f.Spent || !errors.Is(f, context.Canceled) {
		t.Errorf("%+v; want transient, perhaps spent, because of the context", f)
	}
}

func TestCancelledBeforeSending(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	f := refused(ctx, t, e.client(oauth.InParams))
	if f.Outcome != oauth.Transient || f.Spent || len(e.posts()) != 0 {
		t.Errorf("%+v and %d requests; want transient, not spent, none", f, len(e.posts()))
	}
}

// The client's own timeout, with an endpoint that never answers.
// The context alone ends a request: a client's own timeout would throw away an answer that is on its way.
func TestContextEndsARequest(t *testing.T) {
	t.Parallel()
	slow := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		saysJSON(200, `{"access_token":"a","refresh_token":"b","expires_in":300}`)(w, r)
	})
	patient := slow.client(oauth.InParams)
	patient.HTTP.Timeout = time.Millisecond
	if _, err := patient.Refresh(t.Context(), secret.New(oldToken)); err != nil {
		t.Errorf("an answer that was slower than the client's own timeout is lost: %v", err)
	}
	over := make(chan struct{})
	e := newEndpoint(t, func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	c := e.client(oauth.InParams)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	f := refused(ctx, t, c)
	if f.Outcome != oauth.Transient || f.Spent != (len(e.posts()) == 1) {
		t.Errorf("%+v after %d requests", f, len(e.posts()))
	}
}

// failing is a transport whose connections do not come about.
func failing(err error) http.RoundTripper {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
}

func TestUnreachableIsNotSpent(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	tlsServer := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came") }))
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the handshake that is meant to fail
	tlsServer.StartTLS()
	defer tlsServer.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, test := range map[string]struct {
		url, says string
		transport http.RoundTripper
	}{
		"name":        {e.URL, "cannot be resolved", failing(&net.DNSError{Err: "canary", Name: "canary.example"})},
		"refused":     {closed.URL, "network: dial failed", http.DefaultTransport},
		"certificate": {tlsServer.URL, "not trusted", &http.Transport{}},
		"other":       {e.URL, "the connection broke", failing(errors.New("canary"))},
	} {
		c := oauth.Client{HTTP: &http.Client{Transport: test.transport}, TokenURL: test.url + "/canary", ID: clientID, Secret: secret.New(clientSecret)}
		f := refused(t.Context(), t, c)
		if f.Outcome != oauth.Transient || f.Spent || f.Status != 0 || !strings.Contains(f.Error(), test.says) {
			t.Errorf("%s: %v, spent %t; want transient, not spent, %q", name, f, f.Spent, test.says)
		}
	}
	if len(e.posts()) != 0 {
		t.Errorf("%d requests came", len(e.posts()))
	}
}

// Calls at once do not mix up what they saw.
func TestCallsAtOnceAreApart(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if token := r.PostForm.Get("refresh_token"); strings.HasPrefix(token, "bad") {
			saysJSON(400, `{"error":"invalid_grant"}`)(w, r)
			return
		}
		answer, err := json.Marshal(map[string]any{"access_token": "for " + r.PostForm.Get("refresh_token"), "expires_in": 60})
		if err != nil {
			t.Error(err)
		}
		saysJSON(200, string(answer))(w, r)
	})
	c := e.client(oauth.InParams)
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			name := fmt.Sprintf("good%d", i)
			if i%2 == 0 {
				name = fmt.Sprintf("bad%d", i)
			}
			tokens, err := c.Refresh(t.Context(), secret.New(name))
			var f *oauth.Failure
			switch {
			case i%2 == 0 && (!errors.As(err, &f) || f.Outcome != oauth.Revoked):
				t.Errorf("%s: %v; want revoked", name, err)
			case i%2 != 0 && (err != nil || tokens.Access.Reveal() != "for "+name):
				t.Errorf("%s: another's token, or %v", name, err)
			}
		})
	}
	running.Wait()
	if n.Load() != 40 {
		t.Errorf("%d requests for 40 calls", n.Load())
	}
}

func TestNoTokenNoCall(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	_, err := e.client(oauth.InParams).Refresh(t.Context(), secret.Text{})
	var f *oauth.Failure
	if !errors.As(err, &f) || f.Spent || len(e.posts()) != 0 {
		t.Errorf("%v and %d requests; want a failure and none", err, len(e.posts()))
	}
}

// The example of RFC 7636, appendix B.
func TestChallenge(t *testing.T) {
	t.Parallel()
	got := oauth.Challenge(secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
	if got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("the challenge is %s", got)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	params := url.Values{"state": {"a b&c"}, "version": {"beta"}}
	for base, want := range map[string]string{
		"https://p.example/consent":                 "https://p.example/consent?state=a+b%26c&version=beta",
		"https://p.example/consent?x=1&state=wrong": "https://p.example/consent?state=a+b%26c&version=beta&x=1",
	} {
		if got, err := oauth.Query(base, params); err != nil || got != want {
			t.Errorf("%s becomes %s, %v; want %s", base, got, err, want)
		}
	}
	if _, err := oauth.Query("https://p.example/%zz", params); err == nil {
		t.Error("a URL that is none was accepted")
	}
}
