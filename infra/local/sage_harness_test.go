package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectorvault/infra/local/clock"
	sagesim "connectorvault/infra/sim/sage"
)

// wire is the simulated Sage with somebody listening on the line: what a program sends and what it is answered can be
// held against what it shows. It shares the state and the clock of a data folder.
type wire struct {
	sim *sagesim.Simulator
	log *buffer // the simulator's

	mu    sync.Mutex
	calls []call // guarded by mu
}

// call is one request that reached the wire, and its answer.
type call struct {
	method, path string
	header       http.Header
	query, form  url.Values
	status       int
	said         http.Header // of the answer
	answer       []byte
}

// listen puts a wire on an address of its own and returns the flags that make a program use it.
func listen(t *testing.T, dir string) (*wire, []string) {
	t.Helper()
	steps, err := clock.Open(filepath.Join(dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{log: &buffer{}}
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	w.sim, err = sagesim.New(sagesim.Config{StatePath: filepath.Join(dir, "sage-simulator.db"), Now: steps.Now,
		BaseURL: func() string { return server.URL }, Logger: slog.New(slog.NewTextHandler(w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sim.Close() })
	body, err := json.Marshal(object{"sage": w.sim.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "endpoints.json")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return w, []string{"--endpoints", file}
}

// tapped starts a program whose Sage is listened to.
func tapped(t *testing.T) (*vault, *wire) {
	t.Helper()
	dir := t.TempDir()
	w, flags := listen(t, dir)
	return start(t, dir, flags...), w
}

// tap notes an answer before it goes on: whoever reads it may ask for it at once.
type tap struct {
	http.ResponseWriter

	wire  *wire
	of    call
	index int // among the wire's calls; -1 = not there yet
}

func (w *tap) note(p []byte) {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	if w.index < 0 {
		w.of.said = w.Header().Clone()
		w.index, w.wire.calls = len(w.wire.calls), append(w.wire.calls, w.of)
	}
	w.wire.calls[w.index].answer = append(w.wire.calls[w.index].answer, p...)
}

func (w *tap) WriteHeader(status int) {
	w.of.status = status
	w.note(nil)
	w.ResponseWriter.WriteHeader(status)
}

func (w *tap) Write(p []byte) (int, error) {
	w.note(p)
	return w.ResponseWriter.Write(p)
}

func (w *wire) serve(out http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		w.sim.Handler().ServeHTTP(out, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	noted := &tap{ResponseWriter: out, wire: w, index: -1,
		of: call{method: r.Method, path: r.URL.Path, header: r.Header.Clone(), query: r.URL.Query(), form: form, status: http.StatusOK}}
	defer noted.note(nil) // a switch may close the connection
	w.sim.Handler().ServeHTTP(noted, r)
}

// heard are the calls to a path and what is below it, the oldest first.
func (w *wire) heard(path string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []call
	for _, c := range w.calls {
		if c.path == path || strings.HasPrefix(c.path, strings.TrimSuffix(path, "/")+"/") {
			found = append(found, c)
		}
	}
	return found
}

// last is the newest call to a path.
func (w *wire) last(t *testing.T, path string) call {
	t.Helper()
	found := w.heard(path)
	if len(found) == 0 {
		t.Fatalf("nothing was asked at %s", path)
	}
	return found[len(found)-1]
}

// sageSim asks the simulator's control API.
func (v *vault) sageSim(method, path string, body any) answer {
	v.t.Helper()
	u, err := url.Parse(v.sims.Sage.Token)
	if err != nil {
		v.t.Fatal(err)
	}
	a, err := v.try(map[string]string{"Content-Type": "application/json"}, method, u.Scheme+"://"+u.Host+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if a.status >= 400 {
		v.t.Fatalf("%s %s: %d: %s", method, path, a.status, a.body)
	}
	return a
}

func (v *vault) sageFault(f object) {
	v.t.Helper()
	v.sageSim("POST", "/_sim/faults", f)
}

func (v *vault) sageWell() {
	v.t.Helper()
	v.sageSim("DELETE", "/_sim/faults", nil)
}

// ledger is what Sage's token endpoints were asked for, of a grant type; "" is all.
func (v *vault) ledger(grant string) []sagesim.TokenCall {
	v.t.Helper()
	var list struct {
		Items []sagesim.TokenCall `json:"items"`
	}
	if err := json.Unmarshal(v.sageSim("GET", "/_sim/token-calls?limit=1000", nil).body, &list); err != nil {
		v.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(c sagesim.TokenCall) bool { return grant != "" && c.GrantType != grant })
}

// reuses counts the credentials that were offered twice.
func (v *vault) reuses() int {
	n := 0
	for _, c := range v.ledger("") {
		if c.Outcome == "reuse" {
			n++
		}
	}
	return n
}

// sageApp registers the simulator's own application as the operator's.
func (v *vault) sageApp() {
	v.t.Helper()
	v.must(200, "PUT", "/v1/provider-apps/sage", object{"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret,
		"signature_secret": sagesim.SeedSignatureSecret, "apim_subscription_key": sagesim.SeedSubscriptionKey})
}

// sageOwn are the fields of an entry with the simulator's application as its own, changed as said; nil takes one away.
func (v *vault) sageOwn(alias string, change object) object {
	fields := object{"provider": "sage", "alias": alias, "environment": "test", "country_code": "GB", "oauth_api_key": sagesim.SeedClientID,
		"oauth_api_secret": sagesim.SeedClientSecret, "oauth_callback_url": v.url + "/oauth/sage/callback"}
	maps.Copy(fields, change)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	return fields
}

// sageShared are the fields of an entry that uses the operator's application.
func sageShared(alias string, change object) object {
	fields := object{"provider": "sage", "alias": alias, "environment": "test", "provider_app": true, "country_code": "GB"}
	maps.Copy(fields, change)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	return fields
}

func (v *vault) sageEntry(fields object) string {
	v.t.Helper()
	return v.must(201, "POST", "/v1/vault-entries", fields).text(v.t, "id")
}

// begin begins in Result URL mode and returns the consent page's address.
func (v *vault) begin(entry string) string {
	v.t.Helper()
	return v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "result_url"}).text(v.t, "oauth_request_url")
}

// validate pastes a Result URL.
func (v *vault) validate(entry, result string) answer {
	v.t.Helper()
	return v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
}

// allow gives consent as a user, "" being the first one offered, and returns where the browser is sent.
func (v *vault) allow(address, user string) string {
	v.t.Helper()
	b := newBrowser(v.t)
	b.open(address)
	return b.signIn(user, "allow")
}

// signIn goes through Sage's pages: the choice of a country when it is there, then the user and a button.
func (b *browser) signIn(user, decision string) string {
	b.t.Helper()
	if values, _ := b.form(""); !b.carries("country") {
		b.open(b.at.Scheme + "://" + b.at.Host + b.at.Path + "?" + values.Encode())
	}
	values, _ := b.form(decision)
	if user != "" {
		values.Set("user", user)
	}
	request, err := http.NewRequest(http.MethodPost, b.at.String(), strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.send(request)
	return b.last.Header.Get("Location")
}

// carries reports whether the page carries a field on rather than asking for it.
func (b *browser) carries(name string) bool {
	for n := range b.page.Descendants() {
		if n.Data == "input" && attribute(n, "name") == name {
			return attribute(n, "type") == "hidden"
		}
	}
	return false
}

// sageConnect authorizes an entry as a user.
func (v *vault) sageConnect(entry, user string) answer {
	v.t.Helper()
	a := v.validate(entry, v.allow(v.begin(entry), user))
	if a.status != http.StatusOK {
		v.t.Fatalf("%d %s", a.status, a.body)
	}
	return a
}

// sageConnector makes a connector of a business and returns its address.
func (v *vault) sageConnector(entry, business string) string {
	v.t.Helper()
	body := object{"name": "books", "vault_entry": entry, "settings": object{"business": business}}
	if business == "" {
		delete(body, "settings")
	}
	return "/v1/connectors/" + v.must(201, "POST", "/v1/connectors", body).text(v.t, "id")
}

// books makes a connected entry of the first British user with a connector of a business, in a program whose Sage is
// listened to.
func books(t *testing.T, business string) (v *vault, w *wire, entry, base string) {
	t.Helper()
	v, w = tapped(t)
	entry = v.sageEntry(v.sageOwn("books", nil))
	v.sageConnect(entry, sagesim.UserGB)
	return v, w, entry, v.sageConnector(entry, business)
}

// shown is an entry as the API shows it.
func (v *vault) shown(entry string) map[string]any {
	v.t.Helper()
	return v.must(200, "GET", "/v1/vault-entries/"+entry, nil).json(v.t)
}

// events are the kinds of an entry's events, the oldest first.
func (v *vault) events(entry string) []string {
	v.t.Helper()
	var kinds []string
	for _, e := range v.list("/v1/events?vault_entry=" + entry).Items {
		kinds = append(kinds, e["kind"].(string))
	}
	return kinds
}

// refused is checkProblem for refusals that the provider or a bad configuration brings, whose status may be a 502 or a 503.
func refused(t *testing.T, name string, a answer, status int, code string) {
	t.Helper()
	var p struct{ Title, Detail, Action, Code string }
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Errorf("%s: %v: %.300s", name, err, a.body)
		return
	}
	if a.status != status || p.Code != code || p.Title == "" || p.Detail == "" || p.Action == "" {
		t.Errorf("%s: %d, want %d %s with words: %s", name, a.status, status, code, a.body)
	}
}
