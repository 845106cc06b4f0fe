package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"

	"connectorvault/infra/local/program"
	"connectorvault/shared/store"
)

type object = map[string]any

// world is a running bundle with tenants in it. One is attacked and must stay as it is; one attacks; and one, the arena, has
// people of its own who attack each other.
type world struct {
	secrets *secrets
	dir     string
	url     string
	ready   program.Ready
	client  *http.Client
	log     *buffer
	wire    *wire
	issuer  *issuer
	stop    func() error

	keys  map[string]string // who → the key or token that they show
	names map[string]string // of what there is: "victim.entry" → its id
	was   string            // the victim's state before the first attack
	// strict is another program beside it, which leads no webhook to this machine; its name server is an attacker's.
	strict *world
	late   sync.Map // keys and names that are made while attacks run
}

// buffer collects what is written at once by many.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// launch runs the program, and knows of no tenant but the program's own.
func launch(t *testing.T, s *secrets, o program.Options) *world {
	t.Helper()
	w := &world{secrets: s, dir: t.TempDir(), log: &buffer{}, keys: map[string]string{}, names: map[string]string{},
		client: &http.Client{Timeout: time.Minute, CheckRedirect: stay, Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	w.wire = &wire{secrets: s}
	o.Listen, o.Data, o.Simulators, o.Verbose, o.ReadyFile = "127.0.0.1:0", w.dir, true, true, filepath.Join(w.dir, "ready.json")
	o.Metrics = filepath.Join(w.dir, "metrics")
	o.Hooks.Transport = w.wire.around
	o.Hooks.Items = func(items store.Items) store.Items { return brittle{items, s} }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- program.Run(ctx, o, w.log, w.log) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		body, err := os.ReadFile(o.ReadyFile)
		if err == nil {
			if err := json.Unmarshal(body, &w.ready); err != nil {
				t.Fatal(err)
			}
			break
		}
		if len(ended) > 0 || time.Now().After(deadline) {
			t.Fatalf("the program does not serve:\n%s", w.log)
		}
	}
	w.url = w.ready.URL
	w.names["arena"] = program.Tenant
	w.keys["arena"] = s.plant("the arena's owner's key", w.ready.OwnerKey)
	s.handed(w.ready.OwnerKey, "the file ready.json")
	w.wire.self = strings.TrimPrefix(w.url, "http://")
	return w
}

// end stops the program and takes in what it has written.
func (w *world) end(t *testing.T) {
	t.Helper()
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if w.strict != nil {
		w.strict.end(t)
	}
	w.secrets.saw("the log", []byte(w.log.String()))
	w.secrets.files(t, w.dir)
}

// tick is how soon a queue is looked at, so that nobody waits for it.
const tick = 20 * time.Millisecond

// begin makes the world that most attacks are made in.
func begin(t *testing.T, s *secrets) *world {
	t.Helper()
	i := newIssuer(t)
	w := launch(t, s, program.Options{LoopbackWebhooks: true, Clock: true, OIDC: i.file, Tick: tick})
	w.issuer = i
	w.strict = launch(t, s, program.Options{Tick: tick, Hooks: program.Hooks{Resolver: nameServer(t)}})
	w.tenant(t, "victim", "Victim & Daughters")
	w.tenant(t, "mallory", "Mallory Ltd")
	for _, who := range []string{"victim", "mallory", "arena"} {
		w.furnish(t, who)
	}
	for _, role := range []string{"owner", "admin", "operator", "reader"} {
		w.makeKey(t, "arena", role, object{"role": role, "connectors": map[string][]string{"reader": {w.names["arena.connector"]}}[role]})
	}
	w.makeKey(t, "arena", "reads books", object{"role": "reader", "connectors": []string{w.names["arena.ledger"]}})
	w.names["pasted"] = w.entry(t, "arena", "to be pasted")
	w.names["superseded"] = w.consent(t, w.begin(t, "arena", w.names["pasted"], "result_url"))
	w.names["result"] = w.consent(t, w.begin(t, "arena", w.names["pasted"], "result_url"))
	w.names["foreign result"] = w.consent(t, w.begin(t, "mallory", w.names["mallory.open"], "result_url"))
	w.was = w.state(t, "victim")
	return w
}

// tenant makes a tenant with the command that an operator has.
func (w *world) tenant(t *testing.T, who, name string) {
	t.Helper()
	var out, log bytes.Buffer
	err := program.AskTenants(t.Context(), program.Options{Data: w.dir}, program.TenantRequest{Operation: "create", Name: name}, &out, &log)
	var made struct {
		Tenant string `json:"tenant"`
		Key    string `json:"owner_key"`
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &made)
	}
	if err != nil || made.Key == "" {
		t.Fatalf("%v: %s", err, log.String())
	}
	w.keys[who], w.names[who] = w.secrets.plant(who+"'s owner's key", made.Key), made.Tenant
}

// furnish gives a tenant one of everything.
func (w *world) furnish(t *testing.T, who string) {
	t.Helper()
	s, set := w.secrets, func(name, value string) string { w.names[who+"."+name] = value; return value }
	w.must(t, who, 200, "PUT", "/v1/provider-apps/amazon", object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID,
		"client_secret": s.plant("Amazon's client secret", amazonsim.SeededClientSecret)})
	w.must(t, who, 200, "PUT", "/v1/provider-apps/sage", object{"oauth_api_key": sagesim.SeedClientID,
		"oauth_api_secret": s.plant("Sage's client secret", sagesim.SeedClientSecret), "signature_secret": s.plant("Sage's signature secret", sagesim.SeedSignatureSecret),
		"apim_subscription_key": s.plant("Sage's subscription key", sagesim.SeedSubscriptionKey)})

	entry := set("entry", w.entry(t, who, who+"'s store"))
	w.connect(t, who, entry)
	connector := set("connector", w.must(t, who, 201, "POST", "/v1/connectors", object{"name": who + "'s orders", "vault_entry": entry}).text1("id"))
	set("second", w.must(t, who, 201, "POST", "/v1/connectors", object{"name": who + "'s second", "vault_entry": entry}).text1("id"))
	page := w.must(t, who, 200, "GET", "/v1/connectors/"+connector+"/orders?limit=2", nil)
	set("cursor", page.text1("next_cursor"))
	set("order", page.items(t)[0]["orderId"].(string))

	books := set("books", w.must(t, who, 201, "POST", "/v1/vault-entries", object{"provider": "sage", "alias": who + "'s books", "environment": "test",
		"country_code": "GB", "oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret,
		"oauth_callback_url": w.url + "/oauth/sage/callback"}).text1("id"))
	b := w.browser(t).open(w.begin(t, who, books, "result_url"))
	result := b.press(nil)
	w.plantQuery(result)
	w.must(t, who, 200, "POST", "/v1/vault-entries/"+books+"/validate", object{"result_url": result})
	members := w.must(t, who, 200, "GET", "/v1/vault-entries/"+books, nil).json()["account"].(object)["members"].([]any)
	business := members[0].(object)["id"].(string)
	set("business", business)
	set("ledger", w.must(t, who, 201, "POST", "/v1/connectors", object{"name": who + "'s ledger", "vault_entry": books, "settings": object{"business": business}}).text1("id"))
	w.must(t, who, 200, "GET", "/v1/connectors/"+w.names[who+".ledger"]+"/contacts?limit=1", nil)

	w.furnishClara(t, who)
	hook := w.shown(t, who, "POST", "/v1/webhooks", object{"url": "https://hooks.example.com/" + who, "label": who + "'s hook"}, "secret")
	set("webhook", hook.text1("id"))
	second := w.shown(t, who, "POST", "/v1/webhooks", object{"url": "https://hooks.example.com/" + who + "/second"}, "secret")
	w.shown(t, who, "POST", "/v1/webhooks/"+second.text1("id")+"/rotate-secret", nil, "secret")
	w.makeKey(t, who, who+" reads", object{"role": "reader"})

	token := w.shown(t, who, "POST", "/v1/connector-tokens", object{"providers": []string{"amazon"}, "environment": "test", "uses": 50,
		"expires_in_hours": 24, "label": who + " gave it"}, "token")
	w.keys[who+"'s token"] = token.text1("token")
	set("token", token.text1("id"))

	open := set("open", w.entry(t, who, who+"'s open"))
	w.begin(t, who, open, "browser")
	for _, list := range []string{"vault-entries", "connectors", "connector-tokens", "keys", "events", "audit-events"} {
		if next := w.must(t, who, 200, "GET", "/v1/"+list+"?limit=1", nil); next.json()["next_cursor"] != nil {
			set(list+" cursor", next.text1("next_cursor"))
		}
	}
}

// furnishClara connects a Clara account; its secrets are of its own.
func (w *world) furnishClara(t *testing.T, who string) {
	t.Helper()
	response, err := w.client.Post(w.ready.Controls["clara"]+"/_sim/projects", "application/json", strings.NewReader(`{"country": "mx", "side": "production"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var project object
	if err := json.NewDecoder(response.Body).Decode(&project); err != nil {
		t.Fatal(err)
	}
	credentials, ok := project["credentials"].(object)
	if !ok {
		credentials = project
	}
	for _, name := range []string{"clientSecret", "privateKey"} {
		text, _ := credentials[name].(string)
		if lines := strings.Split(text, "\n"); len(lines) > 2 {
			text = lines[1] // of a PEM file, its first line of secrets
		}
		if w.secrets.plant(who+"'s Clara "+name, text); len(text) < shortest {
			t.Fatalf("Clara's project has no %s", name)
		}
	}
	w.names[who+".cards"] = w.must(t, who, 201, "POST", "/v1/vault-entries",
		object{"provider": "clara", "alias": who + "'s cards", "environment": "test", "country": "mx", "download": project}).text1("id")
}

// entry makes an entry of the American simulated seller.
func (w *world) entry(t *testing.T, who, alias string) string {
	t.Helper()
	return w.must(t, who, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": alias, "environment": "test", "region": "na"}).text1("id")
}

// begin begins an authorization and returns where a browser goes on.
func (w *world) begin(t *testing.T, who, entry, mode string) string {
	t.Helper()
	member := map[string]string{"browser": "start_url", "result_url": "oauth_request_url"}[mode]
	begun := w.quietly(t, w.key(t, who), "POST", "/v1/vault-entries/"+entry+"/authorize", nil, object{"mode": mode})
	address := begun.text1(member)
	if begun.status != 200 || address == "" {
		t.Fatalf("%s cannot begin: %d %s", who, begun.status, begun.body)
	}
	if mode == "browser" {
		w.secrets.plant("a start handle", address[strings.LastIndex(address, "/")+1:])
	}
	w.plantQuery(address)
	return address
}

// plantQuery notes the secrets that an address carries.
func (w *world) plantQuery(address string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	for _, name := range []string{"state", "spapi_oauth_code", "code"} { // amazon_state is Amazon's, and lies with the visit until it goes on
		w.secrets.plant("a "+name, u.Query().Get(name))
	}
}

// consent has somebody consent at the provider, and returns where the browser is sent.
func (w *world) consent(t *testing.T, address string) string {
	t.Helper()
	result := w.browser(t).open(address).press(nil)
	w.plantQuery(result)
	return result
}

// connect authorizes an entry by its Result URL.
func (w *world) connect(t *testing.T, who, entry string) {
	t.Helper()
	w.must(t, who, 200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": w.consent(t, w.begin(t, who, entry, "result_url"))})
}

// makeKey makes a key of somebody's and calls it by a name; its id is "<name>.key".
func (w *world) makeKey(t *testing.T, who, name string, fields object) {
	t.Helper()
	body := object{"label": name}
	for member, value := range fields {
		body[member] = value
	}
	made := w.shown(t, who, "POST", "/v1/keys", body, "key")
	w.keys[name], w.names[name+".key"] = made.text1("key"), made.text1("id")
}

// makeKeyOnce is makeKey for what a single attack needs, while others run.
func (w *world) makeKeyOnce(t *testing.T, who, name string, fields object) {
	t.Helper()
	body := object{"label": name}
	for member, value := range fields {
		body[member] = value
	}
	made := w.shown(t, who, "POST", "/v1/keys", body, "key")
	w.late.Store(name, made.text1("key"))
	w.late.Store(name+".key", made.text1("id"))
}

// keyOf is a key that was made meanwhile, nameOf an id.
func (w *world) keyOf(name string) string {
	v, _ := w.late.Load(name)
	text, _ := v.(string)
	return text
}

func (w *world) nameOf(name string) string { return w.keyOf(name) }

// soonest makes something that ends as soon as it may: in three seconds, or later where it takes longer to make it.
func soonest(t *testing.T, made func(at string) bool) {
	t.Helper()
	for life := 3 * time.Second; life < 3*time.Minute; life *= 2 {
		if made(time.Now().Add(life).UTC().Format(time.RFC3339)) {
			return
		}
	}
	t.Fatal("it cannot be made")
}

// await waits until something is so, and fails when it never is.
func (w *world) await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Error("it never came to be")
}

// shown asks for something that shows a secret this once, and notes it.
func (w *world) shown(t *testing.T, who, method, path string, body any, member string) answer {
	t.Helper()
	got := w.quietly(t, w.key(t, who), method, path, nil, body)
	if got.status > 299 || got.text1(member) == "" {
		t.Fatalf("%s: %s %s: %d %s", who, method, path, got.status, got.body)
	}
	w.secrets.plant("the "+member+" of "+method+" "+path, strings.TrimPrefix(got.text1(member), "whsec_"))
	return got
}

// key is what somebody shows.
func (w *world) key(t *testing.T, who string) string {
	t.Helper()
	if who == "" {
		return ""
	}
	key, ok := w.keys[who]
	if !ok {
		t.Fatalf("nobody is called %q", who)
	}
	return key
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text is all of it.
func (a answer) text() string { return fmt.Sprintf("%d %v %s", a.status, a.header, a.body) }

// json is the body as an object; without members when it is none.
func (a answer) json() object {
	var out object
	_ = json.Unmarshal(a.body, &out) // pages and documents are none
	return out
}

// text1 is one member.
func (a answer) text1(name string) string {
	text, _ := a.json()[name].(string)
	return text
}

func (a answer) items(t *testing.T) []object {
	t.Helper()
	var list struct{ Items []object }
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("no list, or an empty one: %v %.300s", err, a.body)
	}
	return list.Items
}

// ask sends a request and notes what comes back as seen.
func (w *world) ask(t *testing.T, key, method, path string, header map[string]string, body any) answer {
	t.Helper()
	got := w.quietly(t, key, method, path, header, body)
	w.secrets.saw("the answer to "+method+" "+path, []byte(got.text()))
	return got
}

// quietly is ask for what shows a secret because it is asked for.
func (w *world) quietly(t *testing.T, key, method, path string, header map[string]string, body any) answer {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, w.url+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	for name, value := range header {
		if request.Header.Set(name, value); name == "Host" {
			request.Host = value
		}
	}
	response, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, got}
}

// must is ask, for what has to succeed.
func (w *world) must(t *testing.T, who string, want int, method, path string, body any) answer {
	t.Helper()
	got := w.ask(t, w.key(t, who), method, path, nil, body)
	if got.status != want {
		t.Fatalf("%s: %s %s: %d, want %d: %.600s", who, method, path, got.status, want, got.body)
	}
	return got
}

// collections are the lists that a tenant has. What looks at them changes nothing but when a key was used.
var collections = []string{"provider-apps", "vault-entries", "connectors", "connector-tokens", "keys", "webhooks", "events", "audit-events"}

var moving = regexp.MustCompile(`"last_used_at":("[^"]*"|null)|"used_at":("[^"]*"|null)`)

// refreshing is what an ordinary refresh changes.
var refreshing = regexp.MustCompile(`"token":\{[^}]*\}|"horizon":\[[^\]]*\]`)

// state is all that a tenant has, as its owner sees it.
func (w *world) state(t *testing.T, who string) string {
	t.Helper()
	var all strings.Builder
	for _, list := range collections {
		body := moving.ReplaceAll(w.quietly(t, w.key(t, who), "GET", "/v1/"+list, nil, nil).body, nil)
		if list == "vault-entries" { // below they are held whole
			body = refreshing.ReplaceAll(body, nil)
		}
		all.Write(body)
		all.WriteByte('\n')
	}
	for _, name := range []string{"entry", "books", "cards", "open"} {
		body := w.quietly(t, w.key(t, who), "GET", "/v1/vault-entries/"+w.names[who+"."+name], nil, nil).body
		if name == "books" { // Sage's tokens live five minutes: the schedule may replace one before the last attack
			body = refreshing.ReplaceAll(body, nil)
		}
		all.Write(body)
	}
	return all.String()
}

// unharmed holds what the victim has against what it had.
func (w *world) unharmed(t *testing.T) {
	t.Helper()
	if is := w.state(t, "victim"); is != w.was {
		t.Errorf("the victim had\n%s\nand has\n%s", w.was, is)
	}
}

// wire is all that the program sends to providers, and what they answer.
type wire struct {
	secrets *secrets
	self    string

	mu   sync.Mutex
	sent []sent // guarded by mu
}

type sent struct {
	host, method, path, query string
	secret                    bool   // a client secret, token or key was in it
	code                      string // that was exchanged
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// around notes what goes by. What it is that makes a request worth something is planted.
func (w *wire) around(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		var form url.Values
		if r.Body != nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			form, _ = url.ParseQuery(string(body))
		}
		noted := sent{r.URL.Host, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, false, form.Get("code")}
		for what, value := range map[string]string{"a client secret": form.Get("client_secret"), "a refresh token": form.Get("refresh_token"), "a code": form.Get("code"),
			"a token of Amazon's": r.Header.Get("X-Amz-Access-Token"), "a token": strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")} {
			if len(value) >= shortest {
				w.secrets.plant(what+" that was sent", value)
				noted.secret = true
			}
		}
		w.mu.Lock()
		w.sent = append(w.sent, noted)
		w.mu.Unlock()
		response, err := next.RoundTrip(r)
		if err != nil || form == nil {
			return response, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body = io.NopCloser(bytes.NewReader(body))
		var tokens map[string]any
		if json.Unmarshal(body, &tokens) == nil {
			for _, name := range []string{"access_token", "refresh_token"} {
				if text, _ := tokens[name].(string); text != "" {
					w.secrets.plant("the "+name+" of a token endpoint", text)
				}
			}
		}
		return response, err
	})
}

// exchanges counts how often a code was offered at a token endpoint.
func (w *wire) exchanges(code string) int {
	n := 0
	for _, c := range w.all() {
		if c.code == code && code != "" {
			n++
		}
	}
	return n
}

// all is what has been sent so far.
func (w *wire) all() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// astray looks at everything that the program has sent: to providers alone, and nothing that leaves their APIs by a trick
// of the path.
func (w *world) astray(t *testing.T) {
	hosts := map[string]bool{w.wire.self: true}
	for _, address := range append([]string{w.ready.Simulators.Amazon.Token, w.ready.Simulators.Sage.Token, w.ready.Simulators.Sage.API, w.ready.Simulators.Sage.Revoke,
		w.ready.Simulators.Sage.LegacyToken, w.ready.Simulators.Sage.LegacyAPI}, w.ready.Simulators.Amazon.API["na"]) {
		if u, err := url.Parse(address); err == nil {
			hosts[u.Host] = true
		}
	}
	calls := w.wire.all()
	if len(calls) < 20 {
		t.Errorf("only %d requests went by", len(calls))
	}
	for _, c := range calls {
		decoded, err := url.PathUnescape(c.path)
		segments := strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' })
		if !hosts[c.host] || c.host == w.wire.self && c.secret {
			t.Errorf("%s %s was asked of %s, a secret with it: %t", c.method, c.path, c.host, c.secret)
		}
		if err != nil || slices.Contains(segments, "..") || slices.Contains(segments, ".") {
			t.Errorf("%s was asked for", c.path)
		}
	}
}

// brittle panics with a secret in its hands when one entry is read.
type brittle struct {
	store.Items
	secrets *secrets
}

// fragile is an entry that nobody has, and whoever asks for it makes the program panic.
const fragile = "ve_00000000000pan1c"

func (b brittle) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	if strings.HasSuffix(key.Sort, fragile) {
		panic(b.secrets.plant("what somebody panicked with", "canary-of-a-panic-5b1d9c"))
	}
	return b.Items.Get(ctx, table, key)
}
