package provider_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

const canary = "canary-token-7f3a"

// reader is the least that a provider's reader can be.
type reader struct{ base string }

func (r reader) BaseURL(record.Entry) string { return r.base }

func (reader) Resolve(string, provider.Target, time.Time) []string { return nil }

func (reader) Sign(r *http.Request, on provider.Session, _ provider.Call, now time.Time) error {
	r.Header.Set("X-Token", on.Access.Reveal())
	r.Header.Set("X-Date", now.UTC().Format(time.RFC3339))
	return nil
}

func (reader) Judge(status int, header http.Header, body []byte) provider.Verdict {
	if status == http.StatusTeapot {
		return provider.Verdict{} // an adapter that knows nothing of it
	}
	return provider.Verdict{TokenRejected: status == http.StatusForbidden,
		Fault: fault.New(fault.Refused, "provider_refused", "refused: "+string(body)).
			Said(fault.Provider{Status: status, Code: string(body), Message: string(body), Details: string(body), RequestID: header.Get("X-Id")})}
}

func (reader) Meta(h http.Header) (string, float64) { return h.Get("X-Id"), 0.5 }

func read() provider.Call {
	return provider.Call{Op: resource.Operation{ID: "read", Path: "/read", Filters: []resource.Filter{{Name: "q"}}}, Params: url.Values{"q": {"a b"}}}
}

func serve(t *testing.T, handler http.HandlerFunc) (provider.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	return provider.Client{HTTP: server.Client(), Reader: reader{server.URL}, Now: now}, server
}

func TestClientCalls(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	client, server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(context.Background())
		w.Header().Set("X-Id", "R1")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	answer, verdict, err := client.Do(t.Context(), session(secret.New(canary)), read())
	if err != nil || verdict.Fault != nil {
		t.Fatal(err, verdict)
	}
	if string(answer.Body) != `{"ok":true}` || answer.Status != 200 || answer.RequestID != "R1" || answer.Rate != 0.5 {
		t.Errorf("got %+v", answer)
	}
	if seen.Method != http.MethodGet || seen.URL.RequestURI() != "/read?q=a%20b" || seen.Header.Get("Accept") != "application/json" {
		t.Errorf("asked %s %s", seen.Method, seen.URL)
	}
	if seen.Header.Get("X-Token") != canary || seen.Header.Get("X-Date") != "2026-11-20T12:00:00Z" {
		t.Errorf("signed with %v", seen.Header)
	}
	if seen.ContentLength != 0 || seen.Header.Get("Content-Length") != "" || seen.Header.Get("Content-Type") != "" {
		t.Error("a GET had a body")
	}
	elsewhere := read()
	elsewhere.Base, elsewhere.Access = server.URL+"/other", secret.New("restricted")
	if _, _, err := client.Do(t.Context(), session(secret.New(canary)), elsewhere); err != nil {
		t.Fatal(err)
	}
	if seen.URL.Path != "/other/read" || seen.Header.Get("X-Token") != "restricted" {
		t.Errorf("asked %s with %s", seen.URL, seen.Header.Get("X-Token"))
	}
}

func TestClientSendsBodies(t *testing.T) {
	t.Parallel()
	var method, kind, body string
	client, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		method, kind, body = r.Method, r.Header.Get("Content-Type"), string(raw)
	})
	call := provider.Call{Op: resource.Operation{ID: "make", Method: "POST", Path: "/make"}, Body: []byte(`{"a":1}`)}
	if _, _, err := client.Do(t.Context(), session(secret.Text{}), call); err != nil {
		t.Fatal(err)
	}
	if method != "POST" || kind != "application/json" || body != `{"a":1}` {
		t.Errorf("sent %s %s %s", method, kind, body)
	}
}

func TestClientRefusesBeforeCalling(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("called") })
	call := read()
	call.Params = url.Values{"other": {"x"}}
	_, _, err := client.Do(t.Context(), session(secret.New(canary)), call)
	if problem := fault.As(err); problem.Code != "invalid_field" || problem.Field != "other" {
		t.Errorf("got %v", err)
	}
}

// An account's token has no business at an operation that takes the application's.
func TestClientKeepsTheAccountsTokenFromGrantlessOperations(t *testing.T) {
	t.Parallel()
	var token string
	client, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { token = r.Header.Get("X-Token") })
	call := read()
	call.Op.Grantless = "scope"
	if _, _, err := client.Do(t.Context(), session(secret.New(canary)), call); fault.CodeOf(err) != "provider_refused" || token != "" {
		t.Errorf("got %v with %q", err, token)
	}
	call.Access = secret.New("own")
	if _, _, err := client.Do(t.Context(), session(secret.New(canary)), call); err != nil || token != "own" {
		t.Errorf("got %v with %q", err, token)
	}
}

// A provider that says our token back must not make us say it on.
func TestClientTakesTheTokenOutOfRefusals(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Id", r.Header.Get("X-Token"))
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no: "+r.Header.Get("X-Token"))
	})
	_, verdict, err := client.Do(t.Context(), session(secret.New(canary)), read())
	if err == nil || !verdict.TokenRejected {
		t.Fatalf("got %v, %+v", err, verdict)
	}
	said := fault.As(err).Provider
	if text := fmt.Sprintf("%v %+v %#v %+v", err, verdict, *said, *said); strings.Contains(text, canary) {
		t.Errorf("said the token: %s", text)
	}
	if said.Status != http.StatusForbidden || !strings.Contains(said.Message, secret.Placeholder) {
		t.Errorf("got %+v", *said)
	}
}

func TestClientJudgesEvenWithoutAJudgement(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	_, verdict, err := client.Do(t.Context(), session(secret.New(canary)), read())
	if fault.CodeOf(err) != "provider_unavailable" || verdict.Fault == nil || verdict.Fault.Provider.Status != http.StatusTeapot {
		t.Errorf("got %v, %+v", err, verdict)
	}
}

func TestClientReadsNoMoreOfARefusalThanItNeeds(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
	})
	_, _, err := client.Do(t.Context(), session(secret.New(canary)), read())
	if got := len(fault.As(err).Provider.Message); got != 64<<10 {
		t.Errorf("read %d bytes", got)
	}
}

func TestClientTakesNoRedirect(t *testing.T) {
	t.Parallel()
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token was taken elsewhere") }))
	defer foreign.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, foreign.URL, status) })
		_, _, err := client.Do(t.Context(), session(secret.New(canary)), read())
		if problem := fault.As(err); problem.Kind != fault.Refused || problem.Provider.Status != status || strings.Contains(err.Error(), foreign.URL) {
			t.Errorf("%d: got %v", status, err)
		}
	}
}

func TestClientCapsAnswers(t *testing.T) {
	t.Parallel()
	compressed := func(n int) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(bytes.Repeat([]byte(" "), n))
		_ = z.Close()
		return out.Bytes()
	}
	tests := map[string]struct {
		body []byte
		gzip bool
		ok   bool
	}{
		"just fits":               {bytes.Repeat([]byte(" "), 1000), false, true},
		"a byte more":             {bytes.Repeat([]byte(" "), 1001), false, false},
		"fits decompressed":       {compressed(1000), true, true},
		"small until it inflates": {compressed(1 << 20), true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.gzip {
					w.Header().Set("Content-Encoding", "gzip")
				}
				_, _ = w.Write(test.body)
			})
			client.MaxBody = 1000
			answer, _, err := client.Do(t.Context(), session(secret.New(canary)), read())
			if test.ok && (err != nil || len(answer.Body) != 1000) {
				t.Errorf("got %d bytes, %v", len(answer.Body), err)
			}
			if !test.ok && fault.KindOf(err) != fault.TooLarge {
				t.Errorf("got %d bytes, %v", len(answer.Body), err)
			}
		})
	}
}

func TestClientWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	slow := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}
	dropped := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	tests := map[string]struct {
		handler http.HandlerFunc
		change  func(*provider.Client)
		cancel  bool
		words   string
		cause   error
	}{
		"the client's timeout": {handler: slow, change: func(c *provider.Client) { c.HTTP.Timeout = 20 * time.Millisecond }, words: "in time", cause: context.DeadlineExceeded},
		"the caller gave up":   {handler: slow, cancel: true, words: "in time", cause: context.Canceled},
		"half an answer":       {handler: broken, words: "did not arrive"},
		"a dropped connection": {handler: dropped, words: "did not arrive"},
		"a host with no name":  {handler: dropped, change: withDialError(&net.DNSError{Err: "no such host", Name: "secret.host"}), words: "no address"},
		"not TLS at all": {change: func(c *provider.Client) {
			c.Reader = reader{"https" + strings.TrimPrefix(c.Reader.BaseURL(record.Entry{}), "http")}
		}, handler: dropped, words: "did not arrive"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := serve(t, test.handler)
			if test.change != nil {
				test.change(&client)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.cancel {
				cancel()
			}
			call := read()
			call.Params = url.Values{"q": {"page-" + canary}}
			_, _, err := client.Do(ctx, session(secret.New(canary)), call)
			problem := fault.As(err)
			if problem.Kind != fault.Unavailable || problem.Code != "provider_unavailable" || !strings.Contains(problem.Detail, test.words) {
				t.Errorf("got %v", err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("got the cause %v, want %v", errors.Unwrap(err), test.cause)
			}
			if text := fmt.Sprintf("%v %+v %q", err, problem, errors.Unwrap(err)); strings.Contains(text, canary) || strings.Contains(text, "127.0.0.1") || strings.Contains(text, "secret.host") {
				t.Errorf("says too much: %s", text)
			}
		})
	}
}

func withDialError(err error) func(*provider.Client) {
	return func(c *provider.Client) {
		c.HTTP = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}}
	}
}

func TestClientNamesAnUntrustedCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake that we break off
	server.StartTLS()
	defer server.Close()
	client := provider.Client{HTTP: &http.Client{Transport: &http.Transport{}}, Reader: reader{server.URL}}
	_, _, err := client.Do(t.Context(), session(secret.New(canary)), read())
	if problem := fault.As(err); problem.Kind != fault.Unavailable || !strings.Contains(problem.Detail, "prove who it is") {
		t.Errorf("got %v", err)
	}
}

// session is on an entry's behalf, with a token.
func session(access secret.Text) provider.Session { return provider.Session{Access: access} }

// An adapter keeps the beginning of what a provider said. When that ends within the token that the provider said back,
// what is there of it goes too.
func TestPartOfATokenIsTakenOut(t *testing.T) {
	t.Parallel()
	token := "eyJhbGciOiJSUzUxMiJ9." + strings.Repeat("canary", 200)
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no: "+r.Header.Get("X-Token")[:500]+"… and "+r.Header.Get("X-Token")[:20]+" too")
	})
	_, _, err := client.Do(t.Context(), session(secret.New(token)), read())
	problem := fault.As(err)
	if text := fmt.Sprintf("%v %+v", problem, problem.Provider); strings.Contains(text, "canary") || strings.Contains(text, "eyJhbGci") ||
		problem.Provider.Message != "no: [secret]… and [secret] too" {
		t.Errorf("the answer is %+v", problem.Provider)
	}
}
