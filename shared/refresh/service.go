// Package refresh is the token service: the only code that calls token endpoints, reads client secrets and puts token
// sets in force.
//
// The argument: a refresh token that can be spent once is lost by every shortcut. So one package holds the whole
// cycle, in the order that docs/refresh-cycle.md argues step by step: read, lease with intent, one POST, make the
// answer durable, and only then anything else. What it promises its callers: a call that has begun is finished whatever
// becomes of the caller, and an answer that was bought is stored or in the rescue queue before anybody hears of it.
package refresh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/trace"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// Config is what the token service needs. Every duration has a default.
type Config struct {
	Vault    *vault.Vault
	Secrets  store.Secrets
	Provider func(name string) (provider.Adapter, bool)
	HTTP     *http.Client // for the identification of accounts
	Now      func() time.Time
	Random   io.Reader
	Logger   *slog.Logger
	Metrics  *metric.Recorder // nil: nothing is counted
	Tracer   trace.Tracer     // nil: nobody looks

	// Rescue takes a sealed answer that the table refused; it is given back as a call with op rescue. On AWS a queue.
	Rescue func(ctx context.Context, call tokens.Call) error

	// Notices are the queues that providers write to about client secrets: the queue's ARN → the provider's name. Where a
	// provider has none, its client secrets are replaced by hand.
	Notices map[string]string

	// Enqueue takes calls for later into the queue of a provider's due entries, each to be delivered at its NotBefore.
	Enqueue func(ctx context.Context, provider string, calls []tokens.Call) error

	// Announce takes what webhooks are to be told, all of it or an error. nil: there are no webhooks.
	Announce func(ctx context.Context, messages []webhook.Message) error

	PostTimeout    time.Duration // one POST to a token endpoint; 25 s
	StoreBudget    time.Duration // making the answer durable; 8 s
	RescueInterval time.Duration // how long a dead owner's answer may be on its way; 20 s
	MaxMargin      time.Duration // most life that "enough" asks for; 5 min
}

// Service carries out calls. It is safe for concurrent use.
type Service struct {
	Config
	flight  singleflight.Group
	running tally
	secrets *vault.SecretReader
	works   overlaps
}

// New returns a Service, with defaults filled in.
func New(cfg Config) *Service {
	defaults := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	defaults(&cfg.PostTimeout, 25*time.Second)
	defaults(&cfg.StoreBudget, 8*time.Second)
	defaults(&cfg.RescueInterval, 20*time.Second)
	defaults(&cfg.MaxMargin, 5*time.Minute)
	return &Service{Config: cfg, secrets: &vault.SecretReader{Store: cfg.Secrets, Now: cfg.Now}}
}

// Do carries out one call. Its work is detached from ctx's cancellation, so a caller that leaves changes nothing;
// ctx's deadline still bounds what is begun. Equal calls that run at once are one.
func (s *Service) Do(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	// Everything that tells two calls apart is in the key: of two rescued answers for one entry, one may be the living token.
	key := fmt.Sprintf("%s|%s|%s|%s|%s|%d|%d|%t|%t|%v|%s|%x", call.Op, call.Tenant, call.Entry, call.Request, call.Scope+"|"+call.Provider+"|"+string(call.APIEnvironment), call.FailedGeneration, call.Client, call.Force, call.Pending, call.Claims,
		call.Code.Fingerprint()+call.RefreshToken.Fingerprint(), sha256.Sum256(call.Rescued))
	s.running.begin() // before the work is handed over, so that a Drain never comes between
	flight := s.flight.DoChan(key, func() (any, error) {
		detached := context.WithoutCancel(ctx)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			detached, cancel = context.WithDeadline(detached, deadline)
			defer cancel()
		}
		return s.dispatch(detached, call)
	})
	result := make(chan singleflight.Result, 1)
	go func() {
		defer s.running.end()
		result <- <-flight
	}()
	select {
	case r := <-result:
		if r.Err != nil {
			return tokens.Answer{}, r.Err
		}
		return r.Val.(tokens.Answer), nil
	case <-ctx.Done():
		return tokens.Answer{}, tokens.NotYet(ctx.Err())
	}
}

// Drain waits until every call that has begun is finished, or ctx ends. It is called on shutdown.
func (s *Service) Drain(ctx context.Context) error {
	select {
	case <-s.running.none():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) dispatch(ctx context.Context, call tokens.Call) (answer tokens.Answer, err error) {
	ctx, span := trace.Begin(ctx, s.Tracer, trace.TokenService, trace.OfCall(call.Op))
	defer func() { span.End(cmp.Or(err, answer.Err())) }()
	ctx = audit.WithActor(ctx, actorOf(call))
	if answer, ended, err := s.ended(ctx, call); ended {
		return answer, err
	}
	switch call.Op {
	case tokens.Refresh:
		return s.refresh(ctx, call)
	case tokens.Complete:
		return s.complete(ctx, call)
	case tokens.Adopt:
		return s.attempted(ctx, call, record.RefreshToken, s.adopt)
	case tokens.Acquire:
		return s.attempted(ctx, call, ownClient, s.acquireOwn)
	case tokens.Deny:
		return s.deny(ctx, call)
	case tokens.Try:
		return s.try(ctx, call)
	case tokens.Promote:
		return s.promote(ctx, call)
	case tokens.Forget:
		return s.forget(ctx, call)
	case tokens.Due:
		return s.due(ctx, call)
	case tokens.Grant:
		return s.grant(ctx, call)
	case tokens.Rotate:
		return s.rotateNow(ctx, call)
	case tokens.Rescue:
		return s.rescued(ctx, call)
	case tokens.Revoke:
		return s.revokeLater(ctx, call)
	default:
		return tokens.Answer{}, fault.Unknown("operation " + strconv.Quote(string(call.Op)))
	}
}

// tally counts what is going on. It is no sync.WaitGroup because calls may begin while a shutdown waits for none to be
// left, and a WaitGroup must not be raised from zero meanwhile.
type tally struct {
	mu    sync.Mutex
	n     int           // guarded by mu
	empty chan struct{} // guarded by mu; closed when n falls to zero; nil while nobody waits
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// none returns a channel that is closed once nothing is going on.
func (t *tally) none() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == 0 {
		at := make(chan struct{})
		close(at)
		return at
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	return t.empty
}

// client is who posts for an entry.
type client struct {
	entry   record.Entry
	adapter provider.Adapter
	source  provider.TokenSource
	app     provider.AppCredentials
}

// fingerprint tells one OAuth client from another.
func (c client) fingerprint() string {
	return secret.New(c.source.TokenClient(c.entry, c.app).ID).Fingerprint()
}

// state is what decides on an entry's dates, as the client was read, with a credential.
func (c client) state(credential record.Credential) vault.EntryState {
	state := vault.EntryState{Entry: c.entry, Credential: &credential}
	usesApp, announced := provider.Dates(c.adapter, c.entry)
	if state.Announced = announced; usesApp {
		state.App = &c.app.App
	}
	return state
}

// client finds an entry with its adapter and the application that it uses.
func (s *Service) client(ctx context.Context, tenant, entry string) (client, error) {
	e, err := s.Vault.Entry(ctx, tenant, entry)
	if err != nil {
		return client{}, err
	}
	return s.clientOf(ctx, e)
}

func (s *Service) clientOf(ctx context.Context, entry record.Entry) (client, error) {
	adapter, source, err := s.adapter(entry)
	if err != nil {
		return client{}, err
	}
	app, err := s.credentials(ctx, entry, adapter.Descriptor(), false)
	return client{entry: entry, adapter: adapter, source: source, app: app}, err
}

// adapter finds the entry's adapter and its token endpoint's capability.
func (s *Service) adapter(entry record.Entry) (provider.Adapter, provider.TokenSource, error) {
	adapter, ok := s.Provider(entry.Provider)
	if !ok {
		return nil, nil, fmt.Errorf("no adapter for provider %q", entry.Provider)
	}
	source, ok := adapter.(provider.TokenSource)
	if !ok {
		return nil, nil, fmt.Errorf("provider %q has no token endpoint", entry.Provider)
	}
	return adapter, source, nil
}

// sleep waits, or returns early with ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
