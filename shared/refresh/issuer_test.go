package refresh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// canary is a part of every token, code and client secret here. Where it shows, a secret has leaked.
const canary = "canary-7c41"

const (
	firstSecret  = canary + "-client-secret-1"
	secondSecret = canary + "-client-secret-2"
	account      = "ACCOUNT-1"
)

// post is one request to the token endpoint.
type post struct {
	at     time.Time
	grant  string
	spends string // the code or refresh token
	secret string
}

// issuer is a provider: a token endpoint, and one operation that tells whose access token it was asked with. Its
// refresh tokens can be spent once, and reuse revokes all that came of the same consent; or, when rotates is false,
// they stay as they are.
type issuer struct {
	rotates  bool
	grace    time.Duration // after being spent, a refresh token still gets its successor for so long
	lifetime time.Duration
	now      func() time.Time

	mu       sync.Mutex
	minted   int                // guarded by mu, as everything below
	secrets  map[string]bool    // that the endpoint takes
	codes    map[string]string  // → account
	families map[string]*family // by every refresh token of theirs
	holders  map[string]string  // access token → account
	posts    []post
	reuses   int // spent tokens that were offered out of grace
	looks    int // questions whose account it is
	script   []behaviour
	lookups  []behaviour
}

// behaviour is how the issuer answers one request; serve answers as it should.
type behaviour func(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter))

// family is the refresh tokens of one consent.
type family struct {
	account string
	current string
	spent   map[string]time.Time
	revoked bool
}

func newIssuer(now func() time.Time) *issuer {
	return &issuer{rotates: true, lifetime: 5 * time.Minute, now: now, secrets: map[string]bool{firstSecret: true},
		codes: map[string]string{}, families: map[string]*family{}, holders: map[string]string{}}
}

func (i *issuer) name(what string) string {
	i.minted++
	return fmt.Sprintf("%s-%s-%d", canary, what, i.minted)
}

// consent is somebody's agreeing: it returns a code.
func (i *issuer) consent(account string) secret.Text {
	i.mu.Lock()
	defer i.mu.Unlock()
	code := i.name("code")
	i.codes[code] = account
	return secret.New(code)
}

// grantTo is an authorization that happened before the test.
func (i *issuer) grantTo(account string) (access, refresh secret.Text) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.newFamily(account)
	return secret.New(i.access(account)), secret.New(f.current)
}

func (i *issuer) newFamily(account string) *family {
	f := &family{account: account, current: i.name("refresh"), spent: map[string]time.Time{}}
	i.families[f.current] = f
	return f
}

func (i *issuer) access(account string) string {
	access := i.name("access")
	i.holders[access] = account
	return access
}

// next says how the next requests to the token endpoint are answered, one after the other.
func (i *issuer) next(script ...behaviour) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.script = append(i.script, script...)
}

// nextLooks says the same of the next questions whose account it is.
func (i *issuer) nextLooks(script ...behaviour) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lookups = append(i.lookups, script...)
}

// takes sets the client secrets that the endpoint takes.
func (i *issuer) takes(secrets ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.secrets = map[string]bool{}
	for _, s := range secrets {
		i.secrets[s] = true
	}
}

// revoke ends a consent, as its owner can at the provider.
func (i *issuer) revoke(refresh secret.Text) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.families[refresh.Reveal()].revoked = true
}

// alive reports whether a refresh token is the one that would be taken now.
func (i *issuer) alive(refresh secret.Text) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.families[refresh.Reveal()]
	return f != nil && !f.revoked && f.current == refresh.Reveal()
}

func (i *issuer) posted() []post {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.posts)
}

func (i *issuer) counts() (posts, reuses, looks int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.posts), i.reuses, i.looks
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, script := i.token, &i.script
	if r.URL.Path != "/token" {
		serve, script = i.account, &i.lookups
	}
	_ = r.ParseForm()
	i.mu.Lock()
	if r.URL.Path == "/token" {
		spends := r.Form.Get("refresh_token") + r.Form.Get("code")
		i.posts = append(i.posts, post{i.now(), r.Form.Get("grant_type"), spends, r.Form.Get("client_secret")})
	} else {
		i.looks++
	}
	var how behaviour
	if len(*script) > 0 {
		how, *script = (*script)[0], (*script)[1:]
	}
	i.mu.Unlock()
	w.Header().Set("X-Request-Id", "request-1")
	if how == nil {
		how = normally
	}
	how(w, r, func(w http.ResponseWriter) { serve(w, r) })
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.secrets[r.Form.Get("client_secret")] {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	f, ok := i.spend(r.Form)
	if !ok {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "no " + r.Form.Get("refresh_token")})
		return
	}
	out := map[string]any{"token_type": "bearer", "expires_in": int(i.lifetime.Seconds()), "access_token": i.access(f.account)}
	if i.rotates || r.Form.Get("grant_type") == "authorization_code" {
		out["refresh_token"] = f.current
	}
	answer(w, http.StatusOK, out)
}

// spend finds what a code or refresh token is good for, and uses it up.
func (i *issuer) spend(form url.Values) (*family, bool) {
	switch form.Get("grant_type") {
	case "client_credentials":
		return &family{account: "application"}, true
	case "authorization_code":
		account, ok := i.codes[form.Get("code")]
		delete(i.codes, form.Get("code"))
		if !ok {
			return nil, false
		}
		return i.newFamily(account), true
	}
	token := form.Get("refresh_token")
	f := i.families[token]
	switch {
	case f == nil || f.revoked:
		return nil, false
	case !i.rotates:
		return f, true
	case token == f.current:
		f.spent[token] = i.now()
		f.current = i.name("refresh")
		i.families[f.current] = f
		return f, true
	case i.now().Sub(f.spent[token]) < i.grace:
		return f, true
	default:
		i.reuses++
		f.revoked = true
		return nil, false
	}
}

func (i *issuer) account(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	holder, ok := i.holders[r.Header.Get("Authorization")]
	if !ok {
		answer(w, http.StatusForbidden, map[string]any{})
		return
	}
	answer(w, http.StatusOK, map[string]any{"id": holder})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// The ways to answer.

func normally(w http.ResponseWriter, _ *http.Request, serve func(http.ResponseWriter)) { serve(w) }

// refuses answers with an OAuth error, and spends nothing.
func refuses(status int, code string) behaviour {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		answer(w, status, map[string]any{"error": code, "error_description": canary + " in a description"})
	}
}

// says answers with any text.
func says(status int, kind, body string, headers ...string) behaviour {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Content-Type", kind)
		for n := 0; n < len(headers); n += 2 {
			w.Header().Set(headers[n], headers[n+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// after is slow, then answers as told.
func after(d time.Duration, then behaviour) behaviour {
	return func(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter)) {
		select {
		case <-time.After(d):
		case <-r.Context().Done(): // nobody waits; it is done all the same
		}
		then(w, r, serve)
	}
}

// hangs takes the request, does what it asks, and never answers.
func hangs(_ http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter)) {
	serve(nobody{http.Header{}})
	<-r.Context().Done()
}

// breaks closes the connection instead of answering; before, and after, the request was carried out.
func breaks(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
	panic(http.ErrAbortHandler)
}

func breaksAfter(_ http.ResponseWriter, _ *http.Request, serve func(http.ResponseWriter)) {
	serve(nobody{http.Header{}})
	panic(http.ErrAbortHandler)
}

// failsAfter carries the request out and answers as something in between that has lost the answer.
func failsAfter(status int) behaviour {
	return func(w http.ResponseWriter, _ *http.Request, serve func(http.ResponseWriter)) {
		serve(nobody{http.Header{}})
		answer(w, status, map[string]any{})
	}
}

// waitsFor does not answer before the gate opens, and tells on reached that it was asked.
func waitsFor(reached chan<- struct{}, gate <-chan struct{}) behaviour {
	return func(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter)) {
		close(reached)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		serve(w)
	}
}

// nobody takes an answer that nobody gets.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

// adapter is the test's provider as one process sees it.
type adapter struct {
	descriptor *provider.Descriptor
	base       string
	http       *http.Client
}

var (
	_ provider.TokenSource = (*adapter)(nil)
	_ provider.Identifier  = (*adapter)(nil)
	_ provider.Reader      = (*adapter)(nil)
)

func (a *adapter) Descriptor() *provider.Descriptor { return a.descriptor }

func (a *adapter) Normalize(*record.Entry) error { return nil }

func (a *adapter) TokenClient(_ record.Entry, app provider.AppCredentials) oauth.Client {
	return oauth.Client{HTTP: a.http, TokenURL: a.base + "/token", Style: oauth.InParams, ID: app.App.Fields["client_id"],
		Secret: app.Secrets["client_secret"]}
}

func (a *adapter) Identify(ctx context.Context, _ record.Entry, claims map[string]string, call provider.Caller) (record.Account, error) {
	got, err := call(ctx, provider.Call{Op: resource.Operation{ID: "getAccount", Path: "/account"}})
	if err != nil {
		return record.Account{}, err
	}
	var who struct{ ID string }
	if err := json.Unmarshal(got.Body, &who); err != nil {
		return record.Account{}, errors.New("an account cannot be read")
	}
	return record.Account{ID: who.ID, Name: claims["name"], Identity: record.Verified}, nil
}

func (a *adapter) BaseURL(record.Entry) string { return a.base }

func (a *adapter) Resolve(string, provider.Target, time.Time) []string { return nil }

func (a *adapter) Sign(r *http.Request, on provider.Session, _ provider.Call, _ time.Time) error {
	r.Header.Set("Authorization", on.Access.Reveal())
	return nil
}

func (a *adapter) Judge(status int, _ http.Header, _ []byte) provider.Verdict {
	said := fault.Provider{Status: status}
	if status == http.StatusConflict {
		return provider.Verdict{Fault: fault.New(fault.Invalid, "region_mismatch", "The account belongs to another region.").On("region").Do("Choose another.").Said(said)}
	}
	return provider.Verdict{Fault: fault.New(fault.Unavailable, "provider_unavailable", "Not now.").Do("Try again.").Said(said)}
}

func (a *adapter) Meta(http.Header) (string, float64) { return "", 0 }

// TestIssuer holds the test's own provider to what the tests lean on.
func TestIssuer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	i := newIssuer(func() time.Time { return now })
	_, first := i.grantTo(account)
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Reveal()}}
	f, ok := i.spend(form)
	if !ok || i.alive(first) || !i.alive(secret.New(f.current)) {
		t.Error("a refresh token is not replaced by its successor")
	}
	i.grace = time.Minute
	if _, ok := i.spend(form); !ok || i.reuses != 0 {
		t.Error("within grace a spent token gets nothing")
	}
	now = now.Add(time.Minute)
	if _, ok := i.spend(form); ok || i.reuses != 1 || i.alive(secret.New(f.current)) {
		t.Error("reuse does not revoke the family")
	}
	if got := slices.Collect(maps.Keys(i.families)); len(got) != 2 {
		t.Errorf("%d refresh tokens were minted; want 2", len(got))
	}
}
