// Package bundle puts the use cases together from their parts.
//
// The argument: the same code runs as many Lambdas and as one program, which differ in what lies below (storage, clock,
// how the token service is reached) and in nothing above. So what is above is wired here once, each part lazily, and
// what is below is brought along by whoever runs it.
package bundle

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/authorize"
	"connectorvault/shared/keyring"
	"connectorvault/shared/metered"
	"connectorvault/shared/metric"
	"connectorvault/shared/outbound"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/store"
	"connectorvault/shared/tenants"
	"connectorvault/shared/tokens"
	"connectorvault/shared/trace"
	"connectorvault/shared/traced"
	"connectorvault/shared/transport"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// Parts is what lies below the use cases. Items, Secrets, Catalog, Now, Random and Logger are always needed.
type Parts struct {
	Items   store.Items
	Due     store.DueIndex // token service only
	Secrets store.Secrets
	Catalog *catalog.Catalog
	HTTP    *http.Client // for providers' APIs; nil: Client()
	Now     func() time.Time
	Random  io.Reader
	Logger  *slog.Logger
	Metrics *metric.Recorder // nil: nothing is counted
	Tracer  trace.Tracer     // nil: nobody looks

	Webhooks outbound.Rules // what endpoints of webhooks may be; admin

	PublicURL string        // where browsers reach us; admin, validate, callback
	Invoke    tokens.Invoke // the token service; all but itself
	Nudge     tokens.Nudge  // likewise, without waiting; read
	// Enqueue takes calls for later into the queue of a provider's due entries; token service.
	Enqueue func(ctx context.Context, provider string, calls []tokens.Call) error

	Rescue   func(context.Context, tokens.Call) error
	Notices  map[string]string                              // queues that providers write to about client secrets: ARN → provider; token service
	Announce func(context.Context, []webhook.Message) error // to the queue of webhooks; token service and admin

	Forms    store.Forms   // nil: those of this version; tests run others beside it
	Recovery time.Duration // how far back the tables can be restored; 0 = not at all

	// The token service's budgets; 0 = its own.
	PostTimeout    time.Duration
	StoreBudget    time.Duration
	RescueInterval time.Duration
}

// Bundle makes the use cases. Each call makes a new one, so a caller keeps what it gets.
type Bundle struct {
	Parts
	Vault   *vault.Vault
	Keyring *keyring.Sealer
}

// New returns a Bundle.
func New(p Parts) *Bundle {
	if p.HTTP == nil {
		p.HTTP = transport.Client()
	}
	p.Invoke, p.Nudge = tokens.OnBehalf(p.Invoke), tokens.NudgeOnBehalf(p.Nudge)
	p.Items, p.Secrets = traced.Items(p.Items, p.Tracer), metered.Secrets(traced.Secrets(p.Secrets, p.Tracer), p.Metrics)
	ring := keyring.New(keyring.Config{Secrets: p.Secrets, Now: p.Now, Random: p.Random})
	v := vault.New(vault.Config{Items: p.Items, Due: p.Due, Sealer: metered.Sealer(ring, p.Metrics, read.CursorPurpose), Now: p.Now, Random: p.Random, Dates: dates(p.Catalog), Forms: p.Forms})
	return &Bundle{Parts: p, Vault: v, Keyring: ring}
}

// dates lets the vault show what adapters know of an entry's dates.
func dates(c *catalog.Catalog) func(record.Entry) (bool, []record.Horizon) {
	return func(entry record.Entry) (usesApp bool, announced []record.Horizon) {
		adapter, ok := c.Adapter(entry.Provider)
		if !ok {
			return true, nil
		}
		return provider.Dates(adapter, entry)
	}
}

// Admin makes the admin use case.
func (b *Bundle) Admin() *admin.Service {
	return admin.New(admin.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Catalog.Adapter, Providers: b.adapters, Enabled: b.Catalog.Enabled,
		RedirectURI: func(provider string) string { return authorize.RedirectURI(b.PublicURL, provider) }, Reach: b.Authorize().Reach,
		Tokens: b.Invoke, Announce: b.Announce, Webhooks: b.Webhooks, Now: b.Now, Random: b.Random})
}

func (b *Bundle) adapters() []provider.Adapter {
	var out []provider.Adapter
	for _, name := range b.Catalog.Names() {
		adapter, _ := b.Catalog.Adapter(name)
		out = append(out, adapter)
	}
	return out
}

// Authorize makes the use case of connecting accounts.
func (b *Bundle) Authorize() *authorize.Service {
	return authorize.New(authorize.Config{Vault: b.Vault, Provider: b.Catalog.Adapter, Tokens: b.Invoke, PublicURL: b.PublicURL, HTTP: b.HTTP, Enabled: b.Catalog.Enabled,
		Now: b.Now, Random: b.Random, Metrics: b.Metrics})
}

// Read makes the use case of reading.
func (b *Bundle) Read() *read.Service {
	return read.New(read.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Catalog.Adapter, Tokens: b.Invoke, Nudge: b.Nudge, HTTP: b.HTTP,
		Now: b.Now, Random: b.Random, Logger: b.Logger, Metrics: b.Metrics, Tracer: b.Tracer})
}

// Refresh makes the token service.
func (b *Bundle) Refresh() *refresh.Service {
	return refresh.New(refresh.Config{Vault: b.Vault, Secrets: b.Secrets, Provider: b.Catalog.Adapter, HTTP: b.HTTP, Now: b.Now,
		Random: b.Random, Logger: b.Logger, Metrics: b.Metrics, Tracer: b.Tracer, Rescue: b.Rescue, Enqueue: b.Enqueue, Announce: b.Announce, Notices: b.Notices,
		PostTimeout: b.PostTimeout, StoreBudget: b.StoreBudget, RescueInterval: b.RescueInterval})
}

// Tenants makes the use case of tenants: made and deleted by whoever runs the bundle.
func (b *Bundle) Tenants() *tenants.Service {
	return tenants.New(tenants.Config{Vault: b.Vault, Keyring: b.Keyring, Secrets: b.Secrets, Tokens: b.Invoke, Now: b.Now, Random: b.Random,
		Logger: b.Logger, Recovery: b.Recovery})
}
