package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectorvault/shared/oauth"
	"connectorvault/shared/oauth/oauthtest"
	"connectorvault/shared/secret"
)

// calls are the ways to ask a token endpoint. An answer means the same to each.
var calls = map[string]func(context.Context, oauth.Client) (oauth.Tokens, error){
	"refresh": func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Refresh(ctx, secret.New(oldToken))
	},
	"exchange": func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Exchange(ctx, secret.New("canary-code"), "https://vault.example/cb", secret.New("canary-verifier"))
	},
	"client credentials": func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.ClientCredentials(ctx, "scope")
	},
}

// TestCorpus: each of the answers means what it is known to mean.
func TestCorpus(t *testing.T) {
	t.Parallel()
	corpus := oauthtest.Corpus()
	if len(corpus) < 75 {
		t.Fatalf("there are %d answers", len(corpus))
	}
	names := map[string]bool{}
	for _, answer := range corpus {
		if names[answer.Name] {
			t.Errorf("%s is there twice", answer.Name)
		}
		names[answer.Name] = true
		t.Run(answer.Name, func(t *testing.T) {
			t.Parallel()
			for name, call := range calls {
				e := newEndpoint(t, answer.ServeHTTP)
				tokens, err := call(t.Context(), e.client(oauth.InParams))
				if answer.Want.Tokens {
					wantTokens(t, name, answer.Want, tokens, err)
				} else {
					wantFailure(t, name, answer, tokens, err)
				}
				if n := len(e.posts()); n != 1 {
					t.Errorf("%s: %d requests came", name, n)
				}
			}
		})
	}
}

func wantTokens(t *testing.T, call string, want oauthtest.Want, got oauth.Tokens, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: the tokens are lost: %v", call, err)
	}
	if got.Access.Reveal() != oauthtest.Access || got.Refresh.Reveal() != want.Refresh && call != "client credentials" || got.Lifetime != want.Lifetime {
		t.Errorf("%s: other tokens, or they live for %s; want %s", call, got.Lifetime, want.Lifetime)
	}
}

func wantFailure(t *testing.T, call string, answer oauthtest.Case, got oauth.Tokens, err error) {
	t.Helper()
	f := failureOf(t, err)
	if !got.Access.IsZero() || !got.Refresh.IsZero() {
		t.Errorf("%s: tokens came with a failure", call)
	}
	want := answer.Want
	if f.Outcome != want.Outcome || f.Spent != want.Spent || f.Code != want.Code || f.Status != answer.Status || f.RetryAfter != want.Wait {
		t.Errorf("%s: %+v; want %+v", call, f, want)
	}
}

// spoken is a transport without a network: it answers at once.
type spoken struct {
	status int
	kind   string
	body   []byte
}

func (s spoken) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: s.status, Header: http.Header{"Content-Type": {s.kind}}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

func (s spoken) outcome(t *testing.T) oauth.Outcome {
	t.Helper()
	c := oauth.Client{HTTP: &http.Client{Transport: s}, TokenURL: "https://provider.example/token", ID: clientID, Secret: secret.New(clientSecret)}
	_, err := c.Refresh(t.Context(), secret.New(oldToken))
	var f *oauth.Failure
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("the answer is %v; want a Failure", err)
	}
	if f == nil {
		return ""
	}
	return f.Outcome
}

// TestNothingShortOfARefusalIsRevoked: whatever is missing from a refusal's end, and wherever it is not a 4xx, the grant
// is not called gone.
func TestNothingShortOfARefusalIsRevoked(t *testing.T) {
	t.Parallel()
	body := []byte(`{"error":"invalid_grant","error_description":"canary"}`)
	for status := 200; status < 600; status++ {
		want := oauth.Transient
		switch {
		case status == 429:
			want = oauth.RateLimited
		case status >= 400 && status < 500:
			want = oauth.Revoked
		}
		if got := (spoken{status, "application/json", body}).outcome(t); got != want {
			t.Errorf("in a %d it is %s; want %s", status, got, want)
		}
	}
	for n := range body {
		for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", ""} {
			if got := (spoken{400, kind, body[:n]}).outcome(t); got != oauth.Transient {
				t.Errorf("%q of it, as %q, is %s", body[:n], kind, got)
			}
		}
	}
}

// FuzzAnswer: no answer is called revoked but one whose whole body is an object with that one error, in a 4xx.
func FuzzAnswer(f *testing.F) {
	for _, answer := range oauthtest.Corpus() {
		if len(answer.Body) < 1<<12 {
			f.Add(answer.Status, answer.Header["Content-Type"], []byte(answer.Body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		if (spoken{status, kind, body}).outcome(t) != oauth.Revoked {
			return
		}
		var said map[string]any
		if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &said); err != nil || said["error"] != "invalid_grant" || status < 400 || status > 499 || status == 429 {
			t.Errorf("%d %q %q is called revoked", status, kind, body)
		}
	})
}

// TestEndlessAnswer: an answer is not read for as long as it goes on.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	const most = 1 << 30
	for _, status := range []int{200, 400} {
		ended := make(chan int, 1)
		e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			sent := 0
			for piece := []byte(strings.Repeat(" ", 1<<16)); sent < most; sent += len(piece) {
				if _, err := w.Write(piece); err != nil {
					break
				}
			}
			ended <- sent
		})
		if f := refused(t.Context(), t, e.client(oauth.InParams)); f.Outcome != oauth.Transient || !f.Spent {
			t.Errorf("%d: %+v", status, f)
		}
		if sent := <-ended; sent >= most {
			t.Errorf("%d: all of it was read", status)
		}
	}
}

// TestAnswersAreAskedForAsJSON: some servers choose the form of their answer by it.
func TestAnswersAreAskedForAsJSON(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"a"}`))
	for name, call := range calls {
		if _, err := call(t.Context(), e.client(oauth.InParams)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, r := range e.posts() {
		if got := r.Header.Values("Accept"); len(got) != 1 || got[0] != "application/json" {
			t.Errorf("the request accepts %q", got)
		}
	}
}

// TestCase holds the collection's own server to what it says it sends.
func TestCase(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	oauthtest.Case{Status: 418, Header: map[string]string{"X-Test": "1"}, Body: "tea"}.ServeHTTP(w, nil)
	if w.Code != 418 || w.Header().Get("X-Test") != "1" || w.Header().Get("Content-Type") != "" || w.Body.String() != "tea" {
		t.Errorf("the answer is %d %v %s", w.Code, w.Header(), w.Body)
	}
}
