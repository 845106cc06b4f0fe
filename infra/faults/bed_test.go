package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/program"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/admin"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// engine is where the items lie.
type engine string

const (
	onSQLite   engine = "sqlite"
	onDynamoDB engine = "dynamodb"
)

// engines are those that the cases run on; under -short the one that every machine has.
func engines() []engine {
	if testing.Short() {
		return []engine{onSQLite}
	}
	return []engine{onSQLite, onDynamoDB}
}

// access is how long the simulated provider's access tokens live.
const access = 300 * time.Second

// never is a worker's pause that outlasts every case: it does not look at the schedule and the queues.
const never = time.Hour

// beyond is a step that no lease outlives.
const beyond = time.Minute

// bed is a provider, a store, and as many processes of the program as a case starts.
type bed struct {
	*testing.T
	engine    engine
	dir       string
	clock     *clock.Clock
	simulator *sagesim.Simulator
	base      string // of the simulator
	token     string // its token endpoint
	endpoints string // the file that leads the program there
	catalog   *catalog.Catalog
	dynamodb  *program.DynamoDB
	items     vaultItems
	secrets   *sqlitestore.Store
	queue     *sqlitestore.Queue
	vault     *vault.Vault // to look with
	admin     *admin.Service
	client    *http.Client
	aliases   atomic.Int64
}

// vaultItems is what both engines are.
type vaultItems interface {
	store.Items
	store.DueIndex
}

// entry is an authorized vault entry with a connector.
type entry struct {
	id, connector string
}

func newBed(t *testing.T, e engine) *bed {
	t.Helper()
	b := &bed{T: t, engine: e, dir: t.TempDir(), client: loopback(200)}
	t.Cleanup(b.client.CloseIdleConnections)
	if e == onDynamoDB {
		b.dynamodb = newTables(t)
	}
	var err error
	b.clock, err = clock.Open(filepath.Join(b.dir, "clock"))
	b.ok(err)
	b.secrets, b.queue, err = sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: b.dir, Now: b.clock.Now, Random: rand.Reader})
	b.ok(err)
	t.Cleanup(func() { _, _ = b.queue.Close(), b.secrets.Close() })
	b.items = b.secrets
	if b.dynamodb != nil {
		b.items = b.dynamodb.Store()
	}
	b.provider()
	made := b.bundle(nil)
	b.vault, b.admin = made.Vault, made.Admin()
	b.ok(made.Keyring.Create(t.Context(), program.Tenant))
	b.ok(b.vault.CreateTenant(t.Context(), record.Tenant{ID: program.Tenant, Name: "This machine", CreatedAt: b.clock.Now().UTC()}))
	b.application()
	return b
}

// newTables makes tables on a real engine: the small one where it is, Amazon's own otherwise.
func newTables(t *testing.T) *program.DynamoDB {
	t.Helper()
	e := dynamotest.Dynoxide
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		e = dynamotest.Local // the other is not made for this machine
	}
	return &program.DynamoDB{URL: *e.Client(t).Options().BaseEndpoint, Tables: e.Tables(t)}
}

// provider starts the simulated one, strict: a refresh token that is offered again ends its family.
func (b *bed) provider() {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.ok(err)
	b.base = "http://" + listener.Addr().String()
	b.simulator, err = sagesim.New(sagesim.Config{StatePath: filepath.Join(b.dir, "sage-simulator.db"), Now: b.clock.Now, Random: rand.Reader,
		BaseURL: func() string { return b.base }, Logger: slog.New(slog.DiscardHandler)})
	b.ok(err)
	server := &http.Server{Handler: b.simulator.Handler(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _, _ = server.Close(), b.simulator.Close() })
	addresses := b.simulator.Endpoints()
	b.token = addresses.Token
	text, err := json.Marshal(map[string]any{"sage": addresses})
	b.ok(err)
	b.endpoints = filepath.Join(b.dir, "endpoints.json")
	b.ok(os.WriteFile(b.endpoints, text, 0o600))
	var options catalog.Options
	b.ok(json.Unmarshal(text, &options))
	options.HTTP = b.client
	b.catalog = catalog.New(options)
	b.fault(sagesim.Fault{Name: sagesim.FaultFamilyRevocation})
}

// owner is who owns the vault.
var owner = record.Principal{Tenant: program.Tenant, ID: "owner", Role: record.Owner, PersonalData: true}

// application registers the simulator's own.
func (b *bed) application() {
	b.Helper()
	_, err := b.admin.PutApp(b.Context(), owner, "sage", fields(b, map[string]any{
		"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret}))
	b.ok(err)
}

// fields makes the members of a request.
func fields(b *bed, members map[string]any) admin.Fields {
	b.Helper()
	out := admin.Fields{}
	for name, value := range members {
		text, err := json.Marshal(value)
		b.ok(err)
		out[name] = text
	}
	return out
}

// seed makes n authorized entries whose access tokens have so much life left; 0 and less is none.
func (b *bed) seed(n int, left time.Duration) []entry {
	b.Helper()
	out := make([]entry, n)
	b.together(n, 8, func(i int) { out[i] = b.entry(left) })
	return out
}

// entry makes one. Its name is the label of its tokens' family at the simulator.
func (b *bed) entry(left time.Duration) entry {
	b.Helper()
	ctx, now := b.Context(), b.clock.Now().UTC()
	e, err := b.admin.CreateEntry(ctx, owner, "", fields(b, map[string]any{
		"provider": "sage", "alias": fmt.Sprintf("entry %d", b.aliases.Add(1)), "environment": "test", "provider_app": true}))
	b.ok(err)
	grant, err := b.simulator.Grant(ctx, sagesim.GrantRequest{Label: e.ID})
	b.ok(err)
	c := record.Credential{Tenant: e.Tenant, Entry: e.ID, Provider: e.Provider, Status: record.Active, Generation: 1, Lifetime: access,
		Expires: now.Add(left), Refreshed: now, Authorized: now, Commit: "commit_" + rand.Text(),
		Account: &record.Account{ID: e.ID, Identity: record.Verified,
			Members: []record.Member{{Kind: "business", ID: sagesim.BusinessGB, Country: "GB", Active: true}}}}
	c.Sealed, err = b.vault.SealTokens(ctx, c, 1, vault.TokenSet{Access: secret.New(grant.AccessToken), Refresh: secret.New(grant.RefreshToken)})
	b.ok(err)
	b.ok(b.vault.Authorize(ctx, nil, c, nil))
	made, err := b.admin.CreateConnector(ctx, owner, "", admin.ConnectorInput{Name: &e.ID, Entry: &e.ID,
		Settings: admin.ConnectorSettings{"business": {sagesim.BusinessGB}}})
	b.ok(err)
	return entry{id: e.ID, connector: made.ID}
}

// fault turns a switch of the simulator on.
func (b *bed) fault(f sagesim.Fault) {
	b.Helper()
	_, err := b.simulator.SetFault(b.Context(), f)
	b.ok(err)
}

// clear turns a switch off, and lets go of what it holds.
func (b *bed) clear(name string) { b.Helper(); b.ok(b.simulator.ClearFault(b.Context(), name)) }

// pass lets time go by for everybody.
func (b *bed) pass(d time.Duration) {
	b.Helper()
	_, err := b.clock.Advance(d)
	b.ok(err)
}

func (b *bed) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected: %v", err)
	}
}

// eventually waits for something that must come.
func (b *bed) eventually(what string, holds func() bool) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("it never came that %s", what)
		}
	}
}

// together runs work n times, so many at once. work may end the test.
func (b *bed) together(n, atOnce int, work func(i int)) {
	b.Helper()
	var running sync.WaitGroup
	var next atomic.Int64
	for range min(n, atOnce) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	running.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func (b *bed) credential(e entry) record.Credential {
	b.Helper()
	c, found, err := b.vault.Credential(context.WithoutCancel(b.Context()), program.Tenant, e.id)
	b.ok(err)
	if !found {
		b.Fatal("the entry has no credential")
	}
	return c
}
