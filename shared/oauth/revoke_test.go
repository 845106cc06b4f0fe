package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/oauth"
	"connectorvault/shared/oauth/oauthtest"
	"connectorvault/shared/secret"
)

func (e *endpoint) revoker(style oauth.Style) oauth.Client {
	c := e.client(style)
	c.TokenURL, c.RevokeURL = "https://canary.example/never-asked", e.URL+"/revoke?canary=url"
	return c
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, style := range []oauth.Style{oauth.InParams, oauth.InHeader} {
		e := newEndpoint(t, saysJSON(200, `{"success":"ok"}`)) // Sage facts 1.4
		if err := e.revoker(style).Revoke(t.Context(), secret.New(oldToken)); err != nil {
			t.Fatal(err)
		}
		form := url.Values{"token": {oldToken}}
		if style == oauth.InParams {
			form.Set("client_id", clientID)
			form.Set("client_secret", clientSecret)
		}
		r := wantPost(t, e, form)
		if r.URL.Path != "/revoke" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("style %d: %s with %v", style, r.URL.Path, r.Header)
		}
		user, password, basic := r.BasicAuth()
		if basic != (style == oauth.InHeader) || basic && (user != url.QueryEscape(clientID) || password != url.QueryEscape(clientSecret)) {
			t.Errorf("style %d: Basic authentication is %t, or of another", style, basic)
		}
	}
}

// TestRevokeCorpus: what is said of a token to be spent is said in the same way of one to be given back, but that a
// success needs no words.
func TestRevokeCorpus(t *testing.T) {
	t.Parallel()
	for _, answer := range oauthtest.Corpus() {
		t.Run(answer.Name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, answer.ServeHTTP)
			err := e.revoker(oauth.InParams).Revoke(t.Context(), secret.New(oldToken))
			if n := len(e.posts()); n != 1 {
				t.Errorf("%d requests came", n)
			}
			if answer.Status == 200 || answer.Status == 204 {
				if err != nil {
					t.Errorf("a success is %v", err)
				}
				return
			}
			want := answer.Want.Outcome
			if answer.Want.Tokens { // in another 2xx, which is no success here
				want = oauth.Transient
			}
			if answer.Want.Code == "unsupported_token_type" {
				want = oauth.Misconfigured
			}
			f := failureOf(t, err)
			if f.Outcome != want || f.Spent != (want == oauth.Transient) || f.Status != answer.Status || f.RetryAfter != answer.Want.Wait {
				t.Errorf("%+v; want %s", f, want)
			}
		})
	}
}

// TestRevokeAnswers are those that only this endpoint gives (RFC 7009, 2.2).
func TestRevokeAnswers(t *testing.T) {
	t.Parallel()
	const done = oauth.Outcome("")
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		outcome oauth.Outcome
		spent   bool
	}{
		{"200 with nothing", says(200, "", ""), done, false},
		{"200 with an error in it", saysJSON(200, `{"error":"invalid_client"}`), done, false},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, done, false},
		{"202 that has not done it yet", saysJSON(202, `{}`), oauth.Transient, true},
		{"400 of a token that is not known", saysJSON(400, `{"error":"invalid_token","error_description":"canary"}`), done, false},
		{"400 of the same as a form", says(400, "application/x-www-form-urlencoded", "error=invalid_token"), oauth.Transient, true},
		{"400 of a page that says it", says(400, "text/html", `<p>{"error":"invalid_token"}`), oauth.Transient, true},
		{"401 of whoever asks", saysJSON(401, `{"error":"invalid_token"}`), oauth.Transient, true},
		{"403 of whoever asks", saysJSON(403, `{"error":"invalid_token"}`), oauth.Transient, true},
		{"500 that says so", saysJSON(500, `{"error":"invalid_token"}`), oauth.Transient, true},
		{"400 of a grant that is not this client's", saysJSON(400, `{"error":"invalid_grant"}`), oauth.Revoked, false},
		{"401 of a client that is not known", saysJSON(401, `{"error":"invalid_client"}`), oauth.Misconfigured, false},
		{"400 of a kind that is not revoked here", saysJSON(400, `{"error":"unsupported_token_type"}`), oauth.Misconfigured, false},
		{"503 of a kind that is not revoked here", saysJSON(503, `{"error":"unsupported_token_type"}`), oauth.Transient, true},
		{"400 that says the token back", saysJSON(400, `{"error":"`+oldToken+`"}`), oauth.Transient, true},
		{"404 of an endpoint that is not there", says(404, "text/html", "canary"), oauth.Transient, true},
		{"429", says(429, "", ""), oauth.RateLimited, false},
		{"a connection that breaks", hangUp(t), oauth.Transient, true},
	} {
		e := newEndpoint(t, c.answer)
		err := e.revoker(oauth.InHeader).Revoke(t.Context(), secret.New(oldToken))
		if (err == nil) != (c.outcome == done) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			if f := failureOf(t, err); f.Outcome != c.outcome || f.Spent != c.spent {
				t.Errorf("%s: %+v; want %s, spent %t", c.name, f, c.outcome, c.spent)
			}
		}
		if n := len(e.posts()); n != 1 {
			t.Errorf("%s: %d requests", c.name, n)
		}
	}
}

// TestNothingToRevoke: mistakes of ours are no failures of the endpoint's, send nothing, and say nothing.
func TestNothingToRevoke(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{}`))
	for _, address := range []string{"", "/revoke?canary", "https://canary%zz", "canary"} {
		c := e.revoker(oauth.InParams)
		c.RevokeURL = address
		wantMistake(t, c.Revoke(t.Context(), secret.New(oldToken)), "RevokeURL")
	}
	wantMistake(t, e.revoker(oauth.InParams).Revoke(t.Context(), secret.Text{}), "no token")
	if n := len(e.posts()); n != 0 {
		t.Errorf("%d requests came", n)
	}
}

func wantMistake(t *testing.T, err error, says string) {
	t.Helper()
	var f *oauth.Failure
	if err == nil || errors.As(err, &f) || !strings.Contains(err.Error(), says) || strings.Contains(fmt.Sprintf("%+v", err), "canary") {
		t.Errorf("the answer is %v; want an error that says %q", err, says)
	}
}

// A redirect is not followed, and the client's own timeout and the caller's end hold.
func TestRevokeIsOneRequestInItsTime(t *testing.T) {
	t.Parallel()
	elsewhere := newEndpoint(t, saysJSON(200, `{}`))
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if f := failureOf(t, e.revoker(oauth.InParams).Revoke(t.Context(), secret.New(oldToken))); f.Status != 307 || len(elsewhere.posts()) != 0 {
		t.Errorf("%+v, and %d requests elsewhere", f, len(elsewhere.posts()))
	}

	over := make(chan struct{})
	silent := newEndpoint(t, func(http.ResponseWriter, *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	c := silent.revoker(oauth.InParams)
	short, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	if f := failureOf(t, c.Revoke(short, secret.New(oldToken))); f.Outcome != oauth.Transient || f.Status != 0 {
		t.Errorf("%+v; want no answer", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := len(silent.posts())
	f := failureOf(t, silent.revoker(oauth.InParams).Revoke(ctx, secret.New(oldToken)))
	if f.Spent || !errors.Is(f, context.Canceled) || len(silent.posts()) != before {
		t.Errorf("%+v; want nothing sent", f)
	}
}
