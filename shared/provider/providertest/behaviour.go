package providertest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/secret"
)

// application asks ValidateApp: good fields pass, each that is required is missed, and no secret is said.
func application(t *testing.T, h Harness) {
	validator, ok := h.Adapter.(provider.AppValidator)
	if !ok {
		t.Skip("there is no application")
	}
	if err := validator.ValidateApp(h.App.App.Fields, h.App.Secrets); err != nil {
		t.Fatalf("the harness's application is refused: %v", err)
	}
	for _, f := range h.Adapter.Descriptor().AppFields {
		if !f.Required {
			continue
		}
		public, hidden := maps.Clone(h.App.App.Fields), maps.Clone(h.App.Secrets)
		delete(public, f.Name)
		delete(hidden, f.Name)
		err := validator.ValidateApp(public, hidden)
		if problem := fault.As(err); err == nil || problem.Kind != fault.Invalid || problem.Field != f.Name {
			t.Errorf("without %s: %v", f.Name, err)
		}
	}
	public := maps.Clone(h.App.App.Fields)
	public["no_such_field"] = "x"
	err := validator.ValidateApp(public, secrets(h))
	if err == nil || strings.Contains(formatted(err), canary) {
		t.Errorf("an unknown field is met with %v", err)
	}
}

// formatted is everything that printing an error can show.
func formatted(err error) string {
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
	for _, f := range []*fault.Error{fault.As(err)} {
		text += fmt.Sprintf(" %+v", *f)
		if f.Provider != nil {
			text += fmt.Sprintf(" %+v", *f.Provider)
		}
	}
	return text
}

// authorization asks an Authorizer for its consent page and hands it what comes back.
func authorization(t *testing.T, h Harness) {
	authorizer, ok := h.Adapter.(provider.Authorizer)
	if !ok {
		t.Skip("there is no consent")
	}
	const redirect = "https://vault.example/oauth/callback"
	state := "state-" + canary + "+/="
	for _, e := range normalized(t, h) {
		app := h.App.App
		address, err := authorizer.ConsentURL(provider.Consent{Entry: e, App: app, RedirectURI: redirect, State: secret.New(state), Challenge: "challenge"})
		if err != nil {
			t.Fatalf("no consent page for %v: %v", e.Settings, err)
		}
		consentURL(t, h, address, state, redirect)
	}
	code := "code-" + canary
	callback, err := authorizer.ParseCallback(h.Callback(state, code))
	if err != nil || callback.State.Reveal() != state || callback.Code.Reveal() != code || callback.Denied != "" {
		t.Fatalf("state and code did not come through: %+v, %v", callback, err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", callback, callback, callback), canary) {
		t.Error("the callback prints its secrets")
	}
	incomplete(t, h, authorizer, state, code)
}

func consentURL(t *testing.T, h Harness, address, state, redirect string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && !strings.HasPrefix(u.Host, "127.0.0.1")) {
		t.Fatalf("the consent page is at %q", address)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("the consent page's query: %v", err)
	}
	var all []string
	for name, values := range query {
		if len(values) != 1 {
			t.Errorf("the consent page is asked %s %d times", name, len(values))
		}
		all = append(all, values...)
	}
	if !slices.Contains(all, state) || !slices.Contains(all, redirect) {
		t.Errorf("the consent page is not told state and redirect unchanged: %v", query)
	}
	if pkce := query.Get("code_challenge"); (pkce == "challenge" && query.Get("code_challenge_method") == "S256") != h.Adapter.Descriptor().PKCE {
		t.Errorf("the consent page is told the challenge %q", pkce)
	}
	for name, value := range h.App.Secrets {
		if strings.Contains(address, value.Reveal()) {
			t.Errorf("the consent page is told %s", name)
		}
	}
}

// incomplete takes from a good callback what must be there.
func incomplete(t *testing.T, h Harness, authorizer provider.Authorizer, state, code string) {
	t.Helper()
	good := h.Callback(state, code)
	for name, values := range good {
		if !slices.Contains(values, state) && !slices.Contains(values, code) {
			continue
		}
		query := h.Callback(state, code)
		query.Del(name)
		_, err := authorizer.ParseCallback(query)
		if problem := fault.As(err); err == nil || problem.Code != "result_url_incomplete" || problem.Field != name {
			t.Errorf("without %s: %v", name, err)
		} else if strings.Contains(formatted(err), canary) {
			t.Errorf("without %s, the error says the secrets: %v", name, err)
		}
	}
	if _, err := authorizer.ParseCallback(url.Values{}); fault.CodeOf(err) != "result_url_incomplete" {
		t.Errorf("an empty callback is met with %v", err)
	}
}

// tokens spends a refresh token at an endpoint that refuses and says everything back.
func tokens(t *testing.T, h Harness) {
	source, ok := h.Adapter.(provider.TokenSource)
	if !ok {
		t.Skip("there is no token endpoint")
	}
	var posts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":%q}`, string(body)+r.Header.Get("Authorization"))
	}))
	defer server.Close()
	app := h.App
	app.Secrets = secrets(h)
	for _, e := range normalized(t, h) {
		posts.Store(0)
		client := source.TokenClient(e, app)
		if client.HTTP == nil || client.TokenURL == "" {
			t.Fatalf("the client has no HTTP client or no address: %+v", client)
		}
		client.HTTP, client.TokenURL = server.Client(), server.URL
		_, err := client.Refresh(context.Background(), secret.New(canary))
		if err == nil || posts.Load() != 1 {
			t.Errorf("one refresh made %d requests: %v", posts.Load(), err)
		}
		if strings.Contains(formatted(err), canary) || strings.Contains(fmt.Sprintf("%+v %#v", client, client), canary) {
			t.Errorf("a secret is said: %v", err)
		}
	}
}

// reads asks a Reader for everything that the use case of reading counts on.
func reads(t *testing.T, h Harness) {
	reader, ok := h.Adapter.(provider.Reader)
	if !ok {
		t.Skip("there is nothing to read")
	}
	for _, e := range normalized(t, h) {
		base, err := url.Parse(reader.BaseURL(e))
		if err != nil || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
			t.Errorf("%v is read at %q", e.Settings, reader.BaseURL(e))
		}
		probes(t, h, e, reader)
		if got := reader.Resolve("$no-such-default", provider.Target{Entry: e, Account: h.Account}, now()); got != nil {
			t.Errorf("an unknown default is %v", got)
		}
	}
	signs(t, reader)
	judges(t, reader)
	if id, rate := reader.Meta(http.Header{}); id != "" || rate != 0 {
		t.Errorf("no header says %q and %v", id, rate)
	}
}

func signs(t *testing.T, reader provider.Reader) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/path?a=b", nil)
	if err != nil {
		t.Fatal(err)
	}
	reader.Sign(r, secret.New(canary), now())
	if r.URL.String() != "https://api.example/path?a=b" || r.Body != nil || r.ContentLength != 0 {
		t.Errorf("signing changed the request: %s", r.URL)
	}
	if !strings.Contains(fmt.Sprint(r.Header), canary) {
		t.Error("the token is in no header")
	}
}

// judges asks for a judgement of every status with bodies of every kind.
func judges(t *testing.T, reader provider.Reader) {
	t.Helper()
	bodies := []string{"", "null", "[]", "0", `""`, "{", "<html>x</html>", `{"errors":[]}`, `{"errors":null}`, `{"error":"x","message":"y"}`,
		`[{"$severity":"error","$message":"x"}]`, `{"errors":[{"code":1,"message":{},"details":[]}]}`, strings.Repeat("[", 5000), "\xff\xfe"}
	for status := 400; status < 600; status++ {
		for _, body := range bodies {
			verdict := reader.Judge(status, http.Header{}, []byte(body))
			f := verdict.Fault
			if f == nil || f.Code == "" || f.Detail == "" || f.Kind == fault.Internal || f.Provider == nil || f.Provider.Status != status {
				t.Fatalf("%d with %.20q is judged %+v", status, body, f)
			}
			switch {
			case status == http.StatusTooManyRequests && f.Kind != fault.RateLimited,
				status >= 500 && f.Kind != fault.Unavailable,
				verdict.TokenRejected && status >= 500:
				t.Errorf("%d with %.20q is judged %s, token rejected %t", status, body, f.Kind, verdict.TokenRejected)
			case f.Kind == fault.ReauthRequired:
				t.Errorf("%d with %.20q ends the authorization, which only a token endpoint can", status, body)
			}
		}
	}
	if !reader.Judge(http.StatusUnauthorized, http.Header{}, nil).TokenRejected {
		t.Error("a 401 without a reason does not ask for a new token")
	}
}
