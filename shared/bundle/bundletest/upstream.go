package bundletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectorvault/shared/oauth"
	"connectorvault/shared/secret"
)

// Issued is a token set that the provider gave out.
type Issued struct {
	Account string
	Access  secret.Text
	Refresh secret.Text
}

// Upstream is the provider: its token endpoint, and whatever of its API a test makes. API paths stand behind a region.
type Upstream struct {
	URL    string
	Client *http.Client

	mu      sync.Mutex
	serial  int                         // guarded by mu
	access  map[string]string           // access token → account; guarded by mu
	refresh map[string]string           // refresh token → account; guarded by mu
	codes   map[string]code             // guarded by mu
	routes  map[string]http.HandlerFunc // by path without the region; guarded by mu
	seen    map[string][]*http.Request  // by path without the region; guarded by mu
	token   http.HandlerFunc            // in place of the token endpoint; guarded by mu
	life    int                         // seconds that an access token lives; guarded by mu
	clients map[string][]string         // client id → secrets, where they are not ClientSecret; guarded by mu
	forms   []url.Values                // that the token endpoint has had; guarded by mu
	revoked []string                    // tokens that were given back; guarded by mu
	revoke  http.HandlerFunc            // in place of the revocation endpoint; guarded by mu
	members map[string][]string         // account → its businesses; guarded by mu
	says    map[string]any              // further members of a token answer; guarded by mu
}

type code struct {
	account, challenge string
}

func newUpstream(t testing.TB, plain bool) *Upstream {
	u := &Upstream{access: map[string]string{}, refresh: map[string]string{}, codes: map[string]code{},
		routes: map[string]http.HandlerFunc{}, seen: map[string][]*http.Request{}, life: 3600,
		clients: map[string][]string{}, members: map[string][]string{}, says: map[string]any{}}
	if plain {
		u.URL, u.Client = "https://api.acme.example", &http.Client{Transport: direct{u}}
		return u
	}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.URL, u.Client = server.URL, server.Client()
	return u
}

// direct is a transport that asks a handler, without a network.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.handler.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// Issue gives out a token set for an account.
func (u *Upstream) Issue(account string) Issued {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.issueLocked(account)
}

func (u *Upstream) issueLocked(account string) Issued {
	u.serial++
	i := Issued{Account: account, Access: secret.New(fmt.Sprintf("canary-access-%d", u.serial)), Refresh: secret.New(fmt.Sprintf("canary-refresh-%d", u.serial))}
	u.access[i.Access.Reveal()], u.refresh[i.Refresh.Reveal()] = account, account
	return i
}

// Revoke makes the provider refuse an access token.
func (u *Upstream) Revoke(access secret.Text) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.access, access.Reveal())
}

// TakeSecret sets the secrets that the token endpoint takes of a client. Of every other one it takes ClientSecret.
func (u *Upstream) TakeSecret(client string, values ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clients[client] = values
}

// SetMembers says which businesses an account has.
func (u *Upstream) SetMembers(account string, businesses ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.members[account] = businesses
}

// Say adds a member to every answer of the token endpoint.
func (u *Upstream) Say(name string, value any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.says[name] = value
}

// Forms are the forms that the token endpoint has had.
func (u *Upstream) Forms() []url.Values {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.forms)
}

// OnRevoke puts something in the place of the revocation endpoint; nil puts it back.
func (u *Upstream) OnRevoke(handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.revoke = handler
}

// Revoked are the tokens that the revocation endpoint was told of, one for each time.
func (u *Upstream) Revoked() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.revoked)
}

// Living are the refresh tokens that the token endpoint would take.
func (u *Upstream) Living() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.refresh))
}

// Consent gives out a code for an account, as the consent page does. challenge is what the consent URL said.
func (u *Upstream) Consent(account, challenge string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.serial++
	c := fmt.Sprintf("canary-code-%d", u.serial)
	u.codes[c] = code{account, challenge}
	return c
}

// Handle answers a path of the API, such as "/orders". The token is looked at before; nil takes the path away.
func (u *Upstream) Handle(path string, handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.routes[path] = handler
}

// Body answers a path with a JSON body.
func (u *Upstream) Body(path, body string) {
	u.Handle(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
}

// Token puts something in the place of the token endpoint; nil puts it back.
func (u *Upstream) Token(handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token = handler
}

// Seen lists the requests that a path has had.
func (u *Upstream) Seen(path string) []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*http.Request(nil), u.seen[path]...)
}

// ServeHTTP implements http.Handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	for _, region := range []string{"/eu", "/na"} {
		path = strings.TrimPrefix(path, region)
	}
	u.mu.Lock()
	u.seen[path] = append(u.seen[path], r.Clone(r.Context()))
	token, revoke, route := u.token, u.revoke, u.routes[path]
	u.mu.Unlock()
	switch {
	case path == "/revoke":
		u.revocation(w, r, revoke)
	case path == "/token" && token != nil:
		token(w, r)
	case path == "/token":
		u.tokens(w, r)
	case strings.HasPrefix(path, "/files/") && route != nil: // presigned: no token is asked for
		route(w, r)
	default:
		u.api(w, r, path, route)
	}
}

func (u *Upstream) api(w http.ResponseWriter, r *http.Request, path string, route http.HandlerFunc) {
	account, ok := u.who(r)
	switch {
	case !ok:
		Refuse(w, http.StatusUnauthorized, "expired")
	case path == "/me":
		u.mu.Lock()
		defer u.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"id": account, "members": u.members[account]})
	case route == nil:
		Refuse(w, http.StatusNotFound, "no_such_thing")
	default:
		route(w, r)
	}
}

func (u *Upstream) who(r *http.Request) (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	account, ok := u.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	return account, ok
}

// Refuse answers with an error of the provider's.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Request-Id", "up-1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%q,"details":"details of %s"}`, code, code)
}

// tokens is the token endpoint: codes are good once and need their verifier, refresh tokens rotate.
func (u *Upstream) tokens(w http.ResponseWriter, r *http.Request) {
	deny := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, code)
	}
	_ = r.ParseForm()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forms = append(u.forms, r.Form)
	if !u.proved(r) {
		deny(http.StatusUnauthorized, "invalid_client")
		return
	}
	var account string
	switch r.FormValue("grant_type") {
	case "authorization_code":
		c, ok := u.codes[r.FormValue("code")]
		delete(u.codes, r.FormValue("code"))
		if !ok || c.challenge != oauth.Challenge(secret.New(r.FormValue("code_verifier"))) {
			deny(http.StatusBadRequest, "invalid_grant")
			return
		}
		account = c.account
	case "refresh_token":
		have, ok := u.refresh[r.FormValue("refresh_token")]
		delete(u.refresh, r.FormValue("refresh_token"))
		if !ok {
			deny(http.StatusBadRequest, "invalid_grant")
			return
		}
		account = have
	default:
		account = "the application"
	}
	issued := u.issueLocked(account)
	w.Header().Set("Content-Type", "application/json")
	out := map[string]any{"access_token": issued.Access.Reveal(), "refresh_token": issued.Refresh.Reveal(), "token_type": "bearer", "expires_in": u.life}
	maps.Copy(out, u.says)
	_ = json.NewEncoder(w).Encode(out)
}

// proved reports whether a client brings its secret. u.mu is held.
func (u *Upstream) proved(r *http.Request) bool {
	taken, named := u.clients[r.FormValue("client_id")]
	if !named {
		taken = []string{ClientSecret}
	}
	return slices.Contains(taken, r.FormValue("client_secret"))
}

// revocation is the revocation endpoint (RFC 7009): it says yes of any token, and one that it knows is dead afterwards.
func (u *Upstream) revocation(w http.ResponseWriter, r *http.Request, instead http.HandlerFunc) {
	_ = r.ParseForm()
	u.mu.Lock()
	u.revoked = append(u.revoked, r.Form.Get("token"))
	proved := u.proved(r)
	if proved && instead == nil {
		delete(u.refresh, r.Form.Get("token"))
	}
	u.mu.Unlock()
	switch {
	case instead != nil:
		instead(w, r)
	case !proved:
		Refuse(w, http.StatusUnauthorized, "invalid_client")
	}
}
