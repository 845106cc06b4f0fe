// Package bundletest is a bench for tests of the use cases: all of them, over an embedded store, for a provider that
// exists nowhere.
//
// The argument: what the use cases promise (who may complete an authorization, what a cursor is good for, when a token
// is replaced) holds whatever the provider, so it is tested with one that has every capability and no peculiarity, and
// whose answers a test decides itself. Store, keyring and token service are the real ones; nothing is mocked that
// could be had.
package bundletest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/provider"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// The tenants of a bench. Both have a keyring.
const (
	Tenant = ident.Tenant + "0000000000000001"
	Other  = ident.Tenant + "0000000000000002"
)

// PublicURL is where browsers reach the bundle.
const PublicURL = "https://vault.example"

// Clock is moved by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Bench is everything above the store, wired together.
type Bench struct {
	testing.TB
	Clock    *Clock
	Store    *Items // what the vault reads and writes
	Secrets  *Secrets
	Vault    *vault.Vault
	Adapter  *Adapter
	Upstream *Upstream

	Tokens    *refresh.Service
	Admin     *admin.Service
	Authorize *authorize.Service
	Read      *read.Service

	Owner record.Principal // may do everything, and may see personal data
	Clerk record.Principal // the same tenant's; may not see personal data
	Alien record.Principal // another tenant's owner

	mu     sync.Mutex
	calls  []tokens.Call                                             // guarded by mu
	nudged []tokens.Call                                             // guarded by mu
	invoke func(context.Context, tokens.Call) (tokens.Answer, error) // guarded by mu
	nudge  func(ctx context.Context, call tokens.Call) error         // guarded by mu
	nows   func() time.Time
	log    *slog.Logger
}

// New makes a bench that ends with the test.
func New(t testing.TB, o Options) *Bench {
	t.Helper()
	b := &Bench{TB: t, Clock: &Clock{now: time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)}, nows: o.Now, log: slog.New(slog.DiscardHandler)}
	if o.Log != nil {
		b.log = slog.New(slog.NewJSONHandler(o.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if b.nows == nil {
		b.nows = b.Clock.Now
	}
	engine, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), Now: b.nows,
		MasterKey: make([]byte, sqlitestore.KeySize)})
	b.OK(err)
	t.Cleanup(func() { _ = engine.Close() })
	b.Store, b.Secrets = &Items{Items: engine}, &Secrets{Secrets: engine}
	ring := keyring.New(keyring.Config{Secrets: b.Secrets, Now: b.nows, Random: rand.Reader})
	for _, tenant := range []string{Tenant, Other} {
		b.OK(ring.Create(t.Context(), tenant))
	}
	b.Vault = vault.New(vault.Config{Items: b.Store, Due: engine, Sealer: ring, Now: b.nows, Random: rand.Reader, Dates: b.dates})
	b.Upstream = newUpstream(t, o.Plain)
	b.Adapter = newAdapter(b.Upstream, o)
	b.people()
	b.services()
	return b
}

// people are the keys of a bench, as the authorizer would know them.
func (b *Bench) people() {
	b.Helper()
	b.OK(b.Vault.CreateTenant(b.Context(), record.Tenant{ID: Tenant, Name: "Example & Sons"}))
	mint := func(tenant, label string, personal bool) record.Principal {
		key, _, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: tenant, Role: record.Owner, PersonalData: personal, Label: label})
		b.OK(err)
		return record.Principal{Tenant: tenant, ID: key.ID, Role: key.Role, PersonalData: personal}
	}
	b.Owner, b.Clerk, b.Alien = mint(Tenant, "warehouse key", true), mint(Tenant, "reporting key", false), mint(Other, "other key", true)
}

func (b *Bench) services() {
	b.Tokens = b.NewTokens()
	b.Admin = admin.New(admin.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Provider,
		Providers: func() []provider.Adapter { return []provider.Adapter{b.Adapter} }, Tokens: b.Invoke, Now: b.nows, Random: rand.Reader})
	b.Authorize = authorize.New(authorize.Config{Vault: b.Vault, Provider: b.Provider, Tokens: b.Invoke, PublicURL: PublicURL,
		Now: b.nows, Random: rand.Reader})
	b.Read = b.NewRead()
}

// NewTokens makes a token service that remembers nothing yet, as another instance of the function would be.
func (b *Bench) NewTokens() *refresh.Service {
	return refresh.New(refresh.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Provider, HTTP: b.Upstream.Client, Now: b.nows,
		Random: rand.Reader, Logger: b.log, Rescue: func(context.Context, tokens.Call) error { return errors.New("no rescue here") },
		Notices:     map[string]string{NoticesARN: Name},
		StoreBudget: time.Second, RescueInterval: 10 * time.Millisecond})
}

// NewRead does the same for the read service.
func (b *Bench) NewRead() *read.Service {
	return read.New(read.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Provider, Tokens: b.Invoke, Nudge: b.Nudge,
		HTTP: b.Upstream.Client, Now: b.nows, Random: rand.Reader, Logger: b.log})
}

func (b *Bench) dates(entry record.Entry) (usesApp bool, announced []record.Horizon) {
	adapter, ok := b.Provider(entry.Provider)
	if !ok {
		return true, nil
	}
	return provider.Dates(adapter, entry)
}

// Provider finds the one provider of the bench.
func (b *Bench) Provider(name string) (provider.Adapter, bool) {
	switch name {
	case Name:
		return b.Adapter, true
	case BareName:
		return bare{}, true
	default:
		return nil, false
	}
}

// Invoke is how the other use cases reach the token service. It counts, and obeys Answer.
func (b *Bench) Invoke(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	b.mu.Lock()
	b.calls = append(b.calls, call)
	invoke := b.invoke
	b.mu.Unlock()
	if invoke != nil {
		return invoke(ctx, call)
	}
	return tokens.OnBehalf(b.Tokens.Do)(ctx, call)
}

// Nudge is Invoke for callers who do not wait. Nothing follows from it unless OnNudge says so.
func (b *Bench) Nudge(ctx context.Context, call tokens.Call) error {
	b.mu.Lock()
	b.nudged = append(b.nudged, call)
	nudge := b.nudge
	b.mu.Unlock()
	if nudge != nil {
		return nudge(ctx, call)
	}
	return nil
}

// Answer puts something in the place of the token service; nil puts it back.
func (b *Bench) Answer(invoke func(context.Context, tokens.Call) (tokens.Answer, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.invoke = invoke
}

// OnNudge says what follows from a nudge.
func (b *Bench) OnNudge(nudge func(context.Context, tokens.Call) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nudge = nudge
}

// Calls are the calls that the token service has had so far, of one operation; of all for "".
func (b *Bench) Calls(op tokens.Op) []tokens.Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []tokens.Call
	for _, call := range b.calls {
		if op == "" || call.Op == op {
			out = append(out, call)
		}
	}
	return out
}

// Nudges says how often a fresh token was asked for without waiting.
func (b *Bench) Nudges() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.nudged)
}

// OK ends the test on an error.
func (b *Bench) OK(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected: %v", err)
	}
}

// Fault ends the test unless err has that kind and code, and says something to a person.
func (b *Bench) Fault(err error, kind fault.Kind, code string) *fault.Error {
	b.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind || f.Code != code {
		b.Fatalf("the answer is %v; want %v %s", err, kind, code)
	}
	if f.Detail == "" || f.Action == "" {
		b.Errorf("%s says nothing to a person: %+v", code, f)
	}
	return f
}

// App registers the provider's application.
func (b *Bench) App() {
	b.Helper()
	_, err := b.Admin.PutApp(b.Context(), b.Owner, Name, AppFields())
	b.OK(err)
}

// Entry makes a pending entry. more are further members of the request, names and values.
func (b *Bench) Entry(alias string, more ...any) record.Entry {
	b.Helper()
	in := Fields(append([]any{"provider", Name, "alias", alias, "environment", "production"}, more...)...)
	entry, err := b.Admin.CreateEntry(b.Context(), b.Owner, "", in)
	b.OK(err)
	return entry
}

// Active makes an entry whose token lives an hour from now.
func (b *Bench) Active(alias string, more ...any) record.Entry {
	b.Helper()
	entry := b.Entry(alias, more...)
	b.Install(entry, b.Upstream.Issue("acct-"+alias), time.Hour)
	return entry
}

// Install puts a token set in force as the entry's next generation, and returns the credential as it then stands.
func (b *Bench) Install(entry record.Entry, issued Issued, life time.Duration) record.Credential {
	b.Helper()
	before, found, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	prior := &before
	if !found {
		prior = nil
	}
	now := b.nows().UTC()
	c := record.Credential{Tenant: entry.Tenant, Entry: entry.ID, Provider: entry.Provider, Status: record.Active,
		Generation: before.Generation + 1, Lifetime: life, Expires: now.Add(life), Refreshed: now, Authorized: now,
		Account: &record.Account{ID: issued.Account, Name: "Account " + issued.Account, Identity: record.Verified,
			Members: []record.Member{{Kind: "marketplace", ID: "M1", Active: true}, {Kind: "marketplace", ID: "M2", Active: true}}}}
	c.Sealed, err = b.Vault.SealTokens(b.Context(), c, c.Generation, vault.TokenSet{Access: issued.Access, Refresh: issued.Refresh})
	b.OK(err)
	b.OK(b.Vault.Authorize(b.Context(), prior, c, nil))
	after, _, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	return after
}

// Connector makes a connector on an entry.
func (b *Bench) Connector(entry record.Entry, settings map[string][]string) record.Connector {
	b.Helper()
	name := "for tests"
	c, err := b.Admin.CreateConnector(b.Context(), record.Principal{Tenant: entry.Tenant, ID: b.Owner.ID}, "",
		admin.ConnectorInput{Name: &name, Entry: &entry.ID, Settings: settings})
	b.OK(err)
	return c
}

// Reader makes an active entry with a connector, and returns both.
func (b *Bench) Reader() (record.Entry, record.Connector) {
	b.Helper()
	entry := b.Active("reader")
	return entry, b.Connector(entry, nil)
}

// Text is a secret in a test.
func Text(s string) secret.Text { return secret.New(s) }
