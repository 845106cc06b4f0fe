package providertest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
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
		consentURL(t, h, e, address, state, redirect)
	}
	redirects(t, h)
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

func consentURL(t *testing.T, h Harness, e record.Entry, address, state, redirect string) {
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
	takes := h.Adapter.Descriptor().PKCE
	if challenger, ok := h.Adapter.(provider.Challenger); ok {
		takes = takes && challenger.Challenges(e)
	}
	if pkce := query.Get("code_challenge"); (pkce == "challenge" && query.Get("code_challenge_method") == "S256") != takes {
		t.Errorf("the consent page is told the challenge %q", pkce)
	}
	for name, value := range h.App.Secrets {
		if strings.Contains(address, value.Reveal()) {
			t.Errorf("the consent page is told %s", name)
		}
	}
}

// redirects asks a Redirector for the entries' own addresses.
func redirects(t *testing.T, h Harness) {
	t.Helper()
	redirector, ok := h.Adapter.(provider.Redirector)
	if !ok {
		return
	}
	for _, e := range normalized(t, h) {
		address := redirector.RedirectURI(e)
		u, err := url.Parse(address)
		if address != "" && (err != nil || !u.IsAbs() || u.Host == "" || u.User != nil || strings.ContainsAny(address, "?# ")) {
			t.Errorf("%v comes back at %q", e.Settings, address)
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
	for _, e := range normalized(t, h) {
		posts.Store(0)
		client := source.TokenClient(e, credentials(h, e))
		if client.HTTP == nil || client.TokenURL == "" || client.ID == "" || client.Secret.Reveal() != canary {
			t.Fatalf("the client has no HTTP client, address, id or secret: %+v", client)
		}
		for _, address := range []string{client.TokenURL, client.RevokeURL} {
			if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" && !strings.HasPrefix(u.Host, "127.0.0.1")) {
				t.Errorf("tokens are sent to %q", address)
			}
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
		for _, op := range operations(h) {
			signs(t, h, e, reader, op)
		}
		if got := reader.Resolve("$no-such-default", provider.Target{Entry: e, Account: h.Account}, now()); got != nil {
			t.Errorf("an unknown default is %v", got)
		}
	}
	judges(t, reader)
	if id, rate := reader.Meta(http.Header{}); id != "" || rate != 0 {
		t.Errorf("no header says %q and %v", id, rate)
	}
}

// signs puts the headers on a call of every operation. It may refuse a session that lacks something, and says what.
func signs(t *testing.T, h Harness, e record.Entry, reader provider.Reader, op resource.Operation) {
	t.Helper()
	sign := func(on provider.Session) (*http.Request, error) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/path?a=b", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json")
		return r, reader.Sign(r, on, provider.Call{Op: op, Params: url.Values{}}, now())
	}
	r, err := sign(session(h, e))
	if err != nil {
		t.Errorf("%s is not signed: %v", op.ID, err)
		return
	}
	if r.URL.String() != "https://api.example/path?a=b" || r.Body != nil || r.ContentLength != 0 || r.Header.Get("Accept") != "application/json" {
		t.Errorf("signing %s changed the request: %s %v", op.ID, r.URL, r.Header)
	}
	if !strings.Contains(fmt.Sprint(r.Header), canary) {
		t.Errorf("the token is in no header of %s", op.ID)
	}
	// A connector that is nobody's, an account that is not known, secrets that are not there.
	lacking := session(h, e)
	lacking.Connector, lacking.Account, lacking.Secrets = record.Connector{ID: "con_1"}, record.Account{}, nil
	if _, err := sign(lacking); err != nil {
		explained(t, "a session that lacks something", err)
	}
	confirms(t, h, e, reader, op)
}

// confirms asks whether an answer that says nothing of whom it is for is passed on; if not, that is a refusal.
func confirms(t *testing.T, h Harness, e record.Entry, reader provider.Reader, op resource.Operation) {
	t.Helper()
	confirmer, ok := reader.(provider.Confirmer)
	if !ok {
		return
	}
	if err := confirmer.Confirm(session(h, e), provider.Call{Op: op}, http.Header{}); err != nil {
		explained(t, "an answer that says nothing", err)
		if fault.KindOf(err) != fault.Refused {
			t.Errorf("an answer to %s that says nothing is a case of %s", op.ID, fault.KindOf(err))
		}
	}
}

// explained holds an error to what a caller needs of it.
func explained(t *testing.T, of string, err error) {
	t.Helper()
	f := fault.As(err)
	if f.Kind == fault.Internal || f.Code == "" || f.Detail == "" || f.Action == "" {
		t.Errorf("%s is met with %+v", of, f)
	}
	if text := formatted(err); strings.Contains(text, canary) || strings.Contains(text, readCanary) {
		t.Errorf("%s is met with an error that says a secret: %v", of, err)
	}
}

// connector checks the harness's, twice: what is stored is taken again.
func connector(t *testing.T, h Harness) {
	checker, ok := h.Adapter.(provider.ConnectorChecker)
	if !ok {
		t.Skip("connectors have no settings")
	}
	for _, e := range normalized(t, h) {
		for _, account := range []*record.Account{nil, &h.Account} {
			c := h.Connector
			c.Settings = maps.Clone(c.Settings)
			if err := checker.CheckConnector(e, account, &c); err != nil {
				t.Fatalf("the harness's connector is refused for %v: %v", e.Settings, err)
			}
			once := maps.Clone(c.Settings)
			if err := checker.CheckConnector(e, account, &c); err != nil || !reflect.DeepEqual(once, c.Settings) {
				t.Errorf("%v became %v the second time, %v", once, c.Settings, err)
			}
		}
	}
}

// documents asks where those lie, of a provider that does not answer. Who needs no answer says one place, and gives none
// of what is personal to those who may not see it.
func documents(t *testing.T, h Harness) {
	librarian, ok := h.Adapter.(provider.Librarian)
	if !ok {
		t.Skip("there are no documents")
	}
	silent := func(context.Context, provider.Call) (provider.Answer, error) {
		return provider.Answer{}, fault.New(fault.Unavailable, "provider_unavailable", "The provider does not answer.").Do("Try again.")
	}
	for _, e := range normalized(t, h) {
		target := provider.Target{Entry: e, Account: h.Account, Connector: h.Connector}
		for _, res := range h.Adapter.Descriptor().Resources {
			if !res.Document {
				continue
			}
			for _, personal := range []bool{false, true} {
				doc, err := librarian.Locate(context.Background(), target, res, "item", personal, silent)
				switch {
				case err != nil:
					explained(t, "the document of "+res.Name, err)
				case doc.URL.IsZero() == (doc.Call == nil):
					t.Errorf("the document of %s lies in one place too many, or nowhere", res.Name)
				case doc.Personal && !personal:
					t.Errorf("the personal document of %s is shown to whoever asks", res.Name)
				case doc.Call != nil:
					fetchable(t, h, e, *doc.Call)
				}
			}
		}
	}
}

func fetchable(t *testing.T, h Harness, e record.Entry, call provider.Call) {
	t.Helper()
	reader, ok := h.Adapter.(provider.Reader)
	if !ok || call.Accept == "" || call.Op.Method != "" && call.Op.Method != http.MethodGet {
		t.Errorf("%s fetches no document", call.Op.ID)
		return
	}
	if _, err := resource.Build(call.Op, reader.BaseURL(e), call.Params); err != nil {
		t.Errorf("%s cannot be called: %v", call.Op.ID, err)
	}
	signs(t, h, e, reader, call.Op)
}

// horizon asks a Watcher for dates, which do not move by themselves.
func horizon(t *testing.T, h Harness) {
	watcher, ok := h.Adapter.(provider.Watcher)
	if !ok {
		t.Skip("nothing is announced")
	}
	for _, e := range normalized(t, h) {
		dates := watcher.Horizon(e)
		for _, d := range dates {
			if !slices.Contains([]string{record.RetirementEnd, record.CertificateEnd, record.ProjectEnd}, d.Name) || d.At.IsZero() || d.Detail == "" {
				t.Errorf("%+v says not what ends, or when", d)
			}
		}
		if !reflect.DeepEqual(dates, watcher.Horizon(e)) {
			t.Errorf("the horizon of %v moves", e.Settings)
		}
	}
}

// judges asks for a judgement of every status with bodies of every kind.
func judges(t *testing.T, reader provider.Reader) {
	t.Helper()
	bodies := []string{"", "null", "[]", "0", `""`, "{", "<html>x</html>", `{"errors":[]}`, `{"errors":null}`, `{"error":"x","message":"y"}`,
		`[{"$severity":"error","$message":"x"}]`, `{"errors":[{"code":1,"message":{},"details":[]}]}`, strings.Repeat("[", 5000), "\xff\xfe"}
	_, dials := reader.(provider.Dialer)
	for status := 400; status < 600; status++ {
		for _, body := range bodies {
			verdict := reader.Judge(status, http.Header{}, []byte(body))
			f := verdict.Fault
			if f == nil || f.Code == "" || f.Detail == "" || f.Kind == fault.Internal || f.Provider == nil || f.Provider.Status != status {
				t.Fatalf("%d with %.20q is judged %+v", status, body, f)
			}
			switch {
			case status == http.StatusTooManyRequests && f.Kind != fault.RateLimited,
				status >= 500 && f.Kind != fault.Unavailable && !(dials && noCertificate(status) && f.Kind == fault.Misconfigured),
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
