package refresh_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

const (
	tenant   = "t_0000000000000001"
	callback = "https://vault.example/oauth/callback"
)

// The token service's budgets, as its defaults have them.
const (
	postTimeout    = 25 * time.Second
	storeBudget    = 8 * time.Second
	rescueInterval = 20 * time.Second
	leaseLife      = postTimeout + storeBudget + time.Second
)

// refreshLife is how long a refresh token of the test's provider lives unused.
const refreshLife = 31 * 24 * time.Hour

// bed is a provider, a store with one authorized entry, and as many processes of the token service as a test makes.
type bed struct {
	*testing.T
	clock  *clock // nil in a bubble, whose own clock it is
	now    func() time.Time
	store  *sqlitestore.Store
	issuer *issuer
	base   string
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	vault  *vault.Vault // to look with
	entry  record.Entry
	logs   *logbook
	over   chan struct{} // closed when the test ends: whoever died may go
	end    func()        // closes over, once
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logbook collects the log, and everything else that is looked through for secrets.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bubble runs a test where time passes only when everybody waits: half a minute costs nothing, and is exact.
func bubble(t *testing.T, test func(*bed)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{T: t, now: time.Now, base: "http://provider.example", issuer: newIssuer(time.Now)}
		lines := &pipes{calls: make(chan net.Conn), over: make(chan struct{})}
		b.dial = lines.dial
		server := &http.Server{Handler: b.issuer, ReadHeaderTimeout: time.Hour, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		go func() { _ = server.Serve(lines) }()
		b.open()
		t.Cleanup(func() { _ = server.Close() })
		test(b)
	})
}

// loopback runs a test over real connections, with a clock that is stepped.
func loopback(t *testing.T, test func(*bed)) {
	t.Helper()
	t.Parallel()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b := &bed{T: t, clock: c, now: c.Now, issuer: newIssuer(c.Now), dial: (&net.Dialer{}).DialContext}
	server := httptest.NewUnstartedServer(b.issuer)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.Start()
	b.base = server.URL
	b.open()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	test(b)
}

// pipes are connections that never leave the process, which a bubble can see somebody wait on.
type pipes struct {
	calls chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.calls <- theirs:
		return ours, nil
	case <-p.over:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.over) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// open makes the store, its tenant, the application and one entry that nobody authorized yet.
func (b *bed) open() {
	b.Helper()
	b.logs, b.over = &logbook{}, make(chan struct{})
	b.end = sync.OnceFunc(func() { close(b.over) })
	s, err := sqlitestore.Open(b.Context(), sqlitestore.Config{Path: filepath.Join(b.TempDir(), "vault.db"), Now: b.now, MasterKey: make([]byte, sqlitestore.KeySize)})
	b.ok(err)
	b.store = s
	b.Cleanup(func() { _ = s.Close() })
	b.Cleanup(func() { b.secretFree("the log", b.logs.String()) })
	sealer := keyring.New(keyring.Config{Secrets: s, Now: b.now, Random: rand.Reader})
	b.ok(sealer.Create(b.Context(), tenant))
	b.vault = vault.New(vault.Config{Items: s, Due: s, Sealer: sealer, Now: b.now, Random: rand.Reader})
	b.register(firstSecret)
	b.entry = b.newEntry("shop")
}

// register is an owner's registering the application with a client secret: the secret first, then the record.
func (b *bed) register(clientSecret string) {
	b.Helper()
	version := b.id("v_")
	b.ok(b.putAppSecret(version, clientSecret))
	before, _, err := b.vault.App(b.Context(), tenant, "fake", record.Production)
	b.ok(err)
	b.ok(b.vault.PutApp(b.Context(), before.Version, record.App{Tenant: tenant, Provider: "fake", APIEnvironment: record.Production, Version: version,
		Fields: map[string]string{"client_id": "client-1"}}))
}

// changeSecret changes the secret of the application under the version that it has, so that nothing tells whoever remembers it.
func (b *bed) changeSecret() {
	b.Helper()
	app, _, err := b.vault.App(b.Context(), tenant, "fake", record.Production)
	b.ok(err)
	b.ok(b.putAppSecret(app.Version, secondSecret))
	b.issuer.takes(secondSecret)
}

func (b *bed) putAppSecret(version, clientSecret string) error {
	text, err := vault.Secrets{Version: version, Fields: map[string]secret.Text{"client_secret": secret.New(clientSecret)}}.Encode()
	if err != nil {
		return err
	}
	return b.store.PutSecret(b.Context(), vault.AppSecret(tenant, "fake", record.Production, version), text)
}

func (b *bed) newEntry(alias string) record.Entry {
	b.Helper()
	e, err := b.vault.CreateEntry(b.Context(), record.Entry{Tenant: tenant, ID: b.id(ident.Entry), Provider: "fake", Alias: alias,
		Environment: "production", APIEnvironment: record.Production, CreatedBy: "key_1", CreatedAt: b.now(), UpdatedAt: b.now()}, nil)
	b.ok(err)
	return e
}

func (b *bed) id(prefix string) string {
	b.Helper()
	id, err := ident.New(rand.Reader, prefix)
	b.ok(err)
	return id
}

func (b *bed) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected: %v", err)
	}
}

// secretFree fails the test when a text shows a token, a code or a client secret.
func (b *bed) secretFree(what, text string) {
	b.Helper()
	if at := strings.Index(text, canary); at >= 0 {
		b.Errorf("%s shows a secret: …%s…", what, text[max(0, at-80):min(len(text), at+80)])
	}
}

// pass lets time go by.
func (b *bed) pass(d time.Duration) {
	if b.clock != nil {
		b.clock.add(d)
		return
	}
	time.Sleep(d)
}

// authorize puts a first token set of the issuer's in force in an entry. It has life left, but not enough.
func (b *bed) authorize(e record.Entry) record.Credential {
	b.Helper()
	access, token := b.issuer.grantTo(account)
	now := b.now().UTC()
	c := record.Credential{Tenant: tenant, Entry: e.ID, Provider: e.Provider, Status: record.Active, Generation: 1, Lifetime: b.issuer.lifetime,
		Expires: now.Add(b.issuer.lifetime / 11), RefreshExpires: now.Add(refreshLife), Refreshed: now, Authorized: now,
		Commit: b.id("commit_"), DueAt: now, Account: &record.Account{ID: account, Identity: record.Verified}}
	sealed, err := b.vault.SealTokens(b.Context(), c, 1, vault.TokenSet{Access: access, Refresh: token})
	b.ok(err)
	c.Sealed = sealed
	b.ok(b.vault.Authorize(b.Context(), nil, c, nil))
	c, _, err = b.vault.Credential(b.Context(), tenant, e.ID)
	b.ok(err)
	b.ok(b.vault.Reschedule(b.Context(), c, now, c.Notices...)) // and was told of long ago
	c.Notices = nil
	return c
}

// authorized is a bed whose entry has been authorized.
func (b *bed) authorized() *bed {
	b.Helper()
	b.authorize(b.entry)
	return b
}

func (b *bed) credential() record.Credential {
	b.Helper()
	c, found, err := b.vault.Credential(b.Context(), tenant, b.entry.ID)
	b.ok(err)
	if !found {
		b.Fatal("the entry has no credential")
	}
	return c
}

// inForce are the tokens in force.
func (b *bed) inForce() vault.TokenSet {
	b.Helper()
	set, err := b.vault.OpenTokens(b.Context(), b.credential())
	b.ok(err)
	return set
}

// wantForce fails the test unless that generation is in force, with nothing open, and the provider takes its refresh token.
func (b *bed) wantForce(generation int64) {
	b.Helper()
	c := b.credential()
	if c.Generation != generation || c.Status != record.Active || c.Cause != "" || c.Lease != nil || c.Intent != nil || c.Failure != nil {
		b.Fatalf("the credential is %s; want generation %d in force, and nothing open", shown(c), generation)
	}
	if !b.issuer.alive(b.inForce().Refresh) {
		b.Fatal("the refresh token in force is not the one that the provider takes: the account is lost")
	}
}

func shown(c record.Credential) string {
	c.Sealed = nil
	text, _ := json.Marshal(c)
	return string(text)
}

func (b *bed) wantPosts(want int) {
	b.Helper()
	if got, _, _ := b.issuer.counts(); got != want {
		b.Errorf("the token endpoint was asked %d times; want %d", got, want)
	}
}

func (b *bed) wantReuses(want int) {
	b.Helper()
	if _, got, _ := b.issuer.counts(); got != want {
		b.Errorf("spent tokens were offered %d times; want %d", got, want)
	}
}

// faults are what goes wrong in one process. Each func stands around the real thing.
type faults struct {
	apply  func(ctx context.Context, write string, apply func() error) error
	get    func(table store.Table, get func() error) error
	trip   func(r *http.Request, trip func() (*http.Response, error)) (*http.Response, error)
	rescue func(call tokens.Call) error
	fetch  func(name string, fetch func() (secret.Text, error)) (secret.Text, error)
}

// process is one process of the token service, with caches and connections of its own.
type process struct {
	*refresh.Service
	*bed
	faults  faults
	dead    atomic.Bool
	died    chan struct{}
	mu      sync.Mutex
	rescued []tokens.Call   // guarded by mu
	queued  [][]tokens.Call // guarded by mu
}

var (
	errDead    = errors.New("this process is dead")
	errRefused = errors.New("the store refuses")
	errLost    = errors.New("the answer was lost")
)

// process starts one.
func (b *bed) process(f faults) *process { return b.tuned(f, func(*refresh.Config) {}) }

func (b *bed) tuned(f faults, tune func(*refresh.Config)) *process {
	b.Helper()
	p := &process{bed: b, faults: f, died: make(chan struct{})}
	line := &http.Transport{DialContext: b.dial}
	b.Cleanup(line.CloseIdleConnections)
	client := &http.Client{Transport: trips{p, line}}
	a := &adapter{base: b.base, http: client, descriptor: &provider.Descriptor{Name: "fake", Title: "Fake", Rotates: b.issuer.rotates,
		AppFields: []provider.Field{{Name: "client_id"}, {Name: "client_secret", Secret: true}}, RefreshLife: refreshLife}}
	items := items{p}
	sealer := keyring.New(keyring.Config{Secrets: items, Now: b.now, Random: rand.Reader})
	cfg := refresh.Config{
		Vault:   vault.New(vault.Config{Items: items, Due: items, Sealer: sealer, Now: b.now, Random: rand.Reader}),
		Secrets: items, HTTP: client, Now: b.now, Random: rand.Reader,
		Provider: func(name string) (provider.Adapter, bool) { return a, name == "fake" },
		Logger:   slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics:  metric.New(metric.Config{Out: b.logs, Namespace: "refresh", Providers: []string{"fake"}, Now: b.now}),
		Rescue:   p.rescue, Enqueue: p.enqueue,
	}
	tune(&cfg)
	p.Service = refresh.New(cfg)
	b.Cleanup(func() {
		b.end()
		_ = p.Drain(context.WithoutCancel(b.Context()))
	})
	return p
}

// die ends the process where it is: whoever gets here, or touches anything afterwards, stays there until the test is over.
func (p *process) die() error {
	if p.dead.CompareAndSwap(false, true) {
		close(p.died)
	}
	<-p.over
	return errDead
}

func (p *process) rescue(_ context.Context, call tokens.Call) error {
	if p.dead.Load() {
		return p.die()
	}
	if p.faults.rescue != nil {
		if err := p.faults.rescue(call); err != nil {
			return err
		}
	}
	body, err := tokens.Encode(call)
	p.secretFree("a rescue message", string(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rescued = append(p.rescued, call)
	return err
}

// rescues are the calls that went to rescue.
func (p *process) rescues() []tokens.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rescued)
}

func (p *process) enqueue(_ context.Context, _ string, calls []tokens.Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = append(p.queued, calls)
	return nil
}

// trips stands around the network.
type trips struct {
	p    *process
	line http.RoundTripper
}

func (t trips) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.p.dead.Load() {
		return nil, t.p.die()
	}
	if t.p.faults.trip == nil {
		return t.line.RoundTrip(r)
	}
	return t.p.faults.trip(r, func() (*http.Response, error) { return t.line.RoundTrip(r) })
}

// items stands around the store.
type items struct{ p *process }

func (i items) Get(ctx context.Context, table store.Table, key store.Key) (item store.Item, err error) {
	if i.p.dead.Load() {
		return item, i.p.die()
	}
	if i.p.faults.get == nil {
		return i.p.store.Get(ctx, table, key)
	}
	err = i.p.faults.get(table, func() error {
		item, err = i.p.store.Get(ctx, table, key)
		return err
	})
	return item, err
}

func (i items) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	return i.p.store.GetMany(ctx, table, keys)
}

func (i items) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	return i.p.store.Query(ctx, q)
}

func (i items) Due(ctx context.Context, shard string, until int64, limit int, cursor string) ([]store.Due, string, error) {
	return i.p.store.Due(ctx, shard, until, limit, cursor)
}

func (i items) Apply(ctx context.Context, ops ...store.Op) error {
	if i.p.dead.Load() {
		return i.p.die()
	}
	if i.p.faults.apply == nil {
		return i.p.store.Apply(ctx, ops...)
	}
	// A fault that holds a write up decides itself whether it arrives all the same.
	apply := func() error { return i.p.store.Apply(context.WithoutCancel(ctx), ops...) }
	return i.p.faults.apply(ctx, writeName(ops), apply)
}

func (i items) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	if i.p.dead.Load() {
		return secret.Text{}, i.p.die()
	}
	fetch := func() (secret.Text, error) { return i.p.store.GetSecret(ctx, name) }
	if i.p.faults.fetch == nil {
		return fetch()
	}
	return i.p.faults.fetch(name, fetch)
}

func (i items) PutSecret(context.Context, string, secret.Text) error { return errRefused }

func (i items) CreateSecret(context.Context, string, secret.Text) (bool, error) {
	return false, errRefused
}

func (i items) DeleteSecret(context.Context, string) error { return errRefused }

func (i items) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return nil, "", errRefused
}

// The writes of the token service, by what they set.
const (
	wLease     = "lease"
	wCommit    = "commit"
	wFail      = "fail"
	wDue       = "reschedule"
	wAuthorize = "authorize"
	wClaim     = "claim"
	wExchanged = "exchanged"
	wResume    = "resume"
	wRelease   = "release"
	wEnd       = "end"
	wForget    = "forget"
	wEvent     = "event"
	wAnnounced = "announced"
	wTold      = "told"
)

func writeName(ops []store.Op) string {
	op := ops[0]
	has := func(name string) bool { _, ok := op.Set[name]; return ok }
	switch {
	case len(ops) > 1 && op.Verb == store.Delete:
		return wForget
	case len(ops) > 1 && op.Table == store.Records && op.Verb == store.Put:
		return wEvent
	case len(ops) > 1 && op.Table == store.Records && ops[1].Table == store.Credentials:
		return wAuthorize
	case op.Table == store.Records && op.Verb == store.Put && has("event"):
		return wAnnounced
	case op.Table == store.Records: // what else moves the head of a chain only tells
		return wTold
	case op.Table == store.Credentials && has("lease_owner"):
		return wLease
	case op.Table == store.Credentials && has("sealed"):
		return wCommit
	case op.Table == store.Credentials && has("failure"):
		return wFail
	case op.Table == store.Credentials:
		return wDue
	case op.Table == store.Requests && has("sealed"):
		return wExchanged
	case op.Table == store.Requests && op.Set["stage"] == string(record.Taken):
		return wClaim
	case op.Table == store.Requests && op.Set["stage"] == string(record.Failed):
		return wEnd
	case op.Table == store.Requests && has("claimed_by"):
		return wResume
	default:
		return wRelease
	}
}

// refuse makes a store refuse some writes.
func refuse(names ...string) func(context.Context, string, func() error) error {
	return func(_ context.Context, write string, apply func() error) error {
		if slices.Contains(names, write) {
			return errRefused
		}
		return apply()
	}
}

// do calls and looks through what comes back for secrets.
func (p *process) do(call tokens.Call) (tokens.Answer, error) {
	p.Helper()
	return p.doUnder(p.Context(), call)
}

func (p *process) doUnder(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	p.Helper()
	got, err := p.Do(ctx, call)
	p.secretFree("an answer", fmt.Sprintf("%+v %v", got, got.Err()))
	if err != nil {
		p.secretFree("an error", err.Error())
	}
	reply, encodeErr := tokens.EncodeReply(got, err)
	p.ok(encodeErr)
	p.secretFree("a reply", string(reply))
	return got, err
}

func (b *bed) refreshCall() tokens.Call {
	return tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: b.entry.ID}
}

// refresh calls for a refresh that is carried out.
func (p *process) refresh() tokens.Answer {
	p.Helper()
	got, err := p.do(p.refreshCall())
	p.ok(err)
	return got
}

func (p *process) wantOutcome(got tokens.Answer, want tokens.Outcome) {
	p.Helper()
	if got.Outcome != want {
		p.Fatalf("the outcome is %s (%v); want %s", got.Outcome, got.Err(), want)
	}
}

// dies calls in the background and waits until the process is dead.
func (p *process) dies(call tokens.Call) {
	p.Helper()
	ctx := p.Context()
	go func() { _, _ = p.Do(ctx, call) }()
	<-p.died
}

func (b *bed) wantFault(err error, kind fault.Kind, code string) *fault.Error {
	b.Helper()
	problem := fault.As(err)
	if err == nil || problem.Kind != kind || problem.Code != code {
		b.Fatalf("the answer is %v; want %v %s", err, kind, code)
	}
	if problem.Detail == "" || problem.Action == "" {
		b.Errorf("%s says nothing to a person: %+v", code, problem)
	}
	return problem
}

// logged counts the log's lines that have a member with a value.
func (b *bed) logged(member, value string) int {
	b.Helper()
	n := 0
	for line := range strings.Lines(b.logs.String()) {
		var in map[string]any
		b.ok(json.Unmarshal([]byte(line), &in))
		if in[member] == value {
			n++
		}
	}
	return n
}

// together runs work n times at once and returns what each answered.
func together[T any](n int, work func(i int) T) []T {
	out := make([]T, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { out[i] = work(i) })
	}
	running.Wait()
	return out
}
