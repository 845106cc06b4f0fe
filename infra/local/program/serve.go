// Package program runs the whole bundle in one process: every function behind a stand-in for API Gateway, EventBridge
// and the queues.
//
// The argument: whoever wants to see the product fail must run the very program that people run, with a hand between
// its parts. So the program is a package, its flags are a struct, and what can be put in between is a hook there, which
// no flag reaches.
package program

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/local/owners"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/audit"
	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tenants"
)

// tokenTime is how long one call of the token service may take, as its Lambda's timeout.
const tokenTime = 60 * time.Second

// Housekeeping: how often other processes' locks and deletions that were begun are looked at, and how often what has ended is removed.
const (
	watchEvery = 2 * time.Second
	purgeEvery = 10 * time.Minute
)

// Run runs everything until ctx ends, and returns when what had begun is finished.
func Run(ctx context.Context, o Options, stdout, stderr io.Writer) error {
	began := time.Now()
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Operator}) // who starts it; requests have their own
	logger := newLogger(stderr, o.Verbose)
	replace, err := readEndpoints(o.Endpoints)
	if err != nil {
		return err
	}
	listener, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()

	if err := makeFolder(o.Data); err != nil {
		return err
	}
	steps, err := clock.Open(filepath.Join(o.Data, "clock"))
	if err != nil {
		return err
	}
	vaultStore, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: o.Data, Now: steps.Now, Random: rand.Reader})
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be used: %w", o.Data, err)
	}
	defer func() { _ = vaultStore.Close(); _ = queue.Close() }()

	sims, err := startSimulators(o, steps.Now, sendNotice(vaultStore, queue), logger)
	if err != nil {
		return err
	}
	defer sims.close()
	endpoints, err := replace(sims.endpoints)
	if err != nil {
		return err
	}

	p := &program{options: o, controls: sims.controls, logger: logger, clock: steps, store: vaultStore, queue: queue, url: "http://" + listener.Addr().String()}
	if o.Metrics != "" {
		metrics, err := os.OpenFile(o.Metrics, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("the metrics' file cannot be written: %w", err)
		}
		defer func() { _ = metrics.Close() }()
		p.metrics = metrics
	}
	issuers, err := readIssuers(o.OIDC, steps.Now)
	if err != nil {
		return err
	}
	if err := p.assemble(ctx, endpoints, issuers); err != nil {
		return err
	}
	owner, err := owners.Mint(ctx, p.bundle.Vault, Tenant, filepath.Join(o.Data, "processes"))
	if err != nil {
		return err
	}
	defer func() {
		if err := owner.Close(context.WithoutCancel(ctx)); err != nil {
			logger.Warn("the owner's key was not revoked; the next start does it", "error", err.Error())
		}
	}()
	return p.run(ctx, listener, owner, endpoints, began, stdout)
}

// program is the running bundle.
type program struct {
	controls map[string]string
	options  Options
	logger   *slog.Logger
	clock    *clock.Clock
	store    *sqlitestore.Store
	queue    *sqlitestore.Queue
	url      string
	bundle   *bundle.Bundle
	tokens   *refresh.Service
	tenants  *tenants.Service
	service  gateway.Function // the token service's function
	notify   gateway.Function // what delivers webhooks
	planner  gateway.Function // what finds due entries
	gateway  *gateway.Gateway
	nudges   sync.WaitGroup
	metrics  io.Writer // nil: nobody wants them
	worker   *worker.Worker
	owner    *owners.Owner
	// still is held for reading by what goes on while nobody waits for it, and whole by whoever steps the clock: a call that is
	// under way while an hour passes would be an hour late.
	still sync.RWMutex
	hand  sync.Mutex // held by POST /local/schedule
}

// run serves until ctx ends. Then no new request is taken, and what has begun is finished: a token that was bought is
// stored before the process goes.
func (p *program) run(ctx context.Context, listener net.Listener, owner *owners.Owner, endpoints catalog.Options, began time.Time, stdout io.Writer) error {
	o := p.options
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	p.owner = owner
	p.worker = worker.New(worker.Config{Queue: p.queue, Providers: p.bundle.Catalog.Names(), Planner: p.unstepped(p.planner), Invoke: p.unstepped(p.service),
		Notify: p.unstepped(p.notify), Now: p.clock.Now, Logger: p.logger, Tick: o.Tick, Open: p.store.GetSecret, Done: p.store.DeleteSecret})
	if !o.ByHand {
		working.Go(func() { p.worker.Run(background) })
		working.Go(func() { p.housekeep(background) })
	}

	readyFile := o.ReadyFile
	if readyFile == "" {
		readyFile = filepath.Join(o.Data, "ready.json")
	}
	err := writeReady(readyFile, Ready{URL: p.url, OwnerKey: owner.Key.Reveal(), Simulators: endpoints, Controls: p.controls})
	if err == nil {
		_, _ = fmt.Fprintf(stdout, "Connector Vault serves %s after %d ms.\nThe owner's key lies in %s; send it as Authorization: Bearer <key>.\n",
			p.url, time.Since(began).Milliseconds(), readyFile)
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	stop()
	return errors.Join(err, p.finish(ctx, server, &working))
}

// finish waits for what has begun.
func (p *program) finish(ctx context.Context, server *http.Server, working *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTime+5*time.Second)
	defer cancel()
	// From above to below: whoever can still ask something of the next is waited for first.
	err := errors.Join(server.Shutdown(ctx), p.gateway.Drain(ctx))
	done := make(chan struct{})
	go func() { working.Wait(); p.nudges.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, p.tokens.Drain(ctx))
}

// housekeep revokes the keys of processes that are gone, ends the deletion of tenants, and removes what has ended.
func (p *program) housekeep(ctx context.Context) {
	watch, purge := time.NewTicker(watchEvery), time.NewTicker(purgeEvery)
	defer watch.Stop()
	defer purge.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-watch.C:
			err = p.watch(ctx)
		case <-purge.C:
			_, err = p.store.Purge(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.logger.Warn("housekeeping failed and is repeated", "error", err.Error())
		}
	}
}

// watch is what housekeeping does every few seconds.
func (p *program) watch(ctx context.Context) error {
	_, err := p.tenants.Finish(ctx)
	return errors.Join(p.owner.Sweep(ctx), err)
}

// unstepped keeps the clock from being stepped while a function works.
func (p *program) unstepped(function gateway.Function) gateway.Function {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		p.still.RLock()
		defer p.still.RUnlock()
		return function(ctx, payload)
	}
}

// atRest does something once whatever goes on by itself has finished, and before any of it begins again.
func (p *program) atRest(do func() error) error {
	p.still.Lock()
	defer p.still.Unlock()
	return do()
}

// handler adds to the gateway what only this program has.
func (p *program) handler() http.Handler {
	if !p.options.Clock {
		return p.gateway
	}
	mux := http.NewServeMux()
	mux.Handle("/", p.gateway)
	mux.HandleFunc("POST /local/clock", p.owners(p.stepClock))
	if p.options.ByHand {
		mux.HandleFunc("POST /local/schedule", p.owners(p.doWhatIsDue))
	}
	return mux
}

// owners lets those alone ask for something who may change what is everybody's.
func (p *program) owners(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		identity, status := p.gateway.Identify(r.Context(), r.Header)
		if status == http.StatusOK && identity["role"] != string(record.Owner) {
			status = http.StatusForbidden
		}
		if status != http.StatusOK {
			write(w, status, map[string]string{"message": http.StatusText(status)})
			return
		}
		next(w, r)
	}
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// stepClock answers POST /local/clock {"advance": "3600s"}. When it answers, every process on the folder has taken the step;
// and nothing that this one does by itself was under way meanwhile.
func (p *program) stepClock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Advance string `json:"advance"`
	}
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&in)
	step, parseErr := time.ParseDuration(in.Advance)
	if err != nil || parseErr != nil || step <= 0 || step > 10*365*24*time.Hour {
		write(w, http.StatusBadRequest, map[string]string{"code": "invalid_field", "field": "advance",
			"detail": `advance is a duration above 0 and below ten years, such as "3600s".`})
		return
	}
	var now time.Time
	err = p.atRest(func() error {
		now, err = p.clock.Advance(step)
		return err
	})
	if err != nil {
		p.logger.Error("the clock was not stepped", "error", err.Error())
		write(w, http.StatusInternalServerError, map[string]string{"message": "Internal Server Error"})
		return
	}
	write(w, http.StatusOK, map[string]string{"now": now.UTC().Format(time.RFC3339Nano)})
}

// doWhatIsDue answers POST /local/schedule, once everything is done that would be done by itself by now: what reads left to be
// done behind them, the housekeeping, the schedule, and the queues.
func (p *program) doWhatIsDue(w http.ResponseWriter, r *http.Request) {
	p.hand.Lock() // one at a time
	defer p.hand.Unlock()
	err := p.atRest(func() error { return p.watch(r.Context()) })
	if err == nil {
		err = p.worker.Once(r.Context())
	}
	if err != nil {
		p.logger.Error("what was due is not all done", "error", err.Error())
		write(w, http.StatusInternalServerError, map[string]string{"message": "Internal Server Error"})
		return
	}
	write(w, http.StatusOK, map[string]string{"now": p.clock.Now().UTC().Format(time.RFC3339Nano)})
}

func newLogger(stderr io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
}

func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use; stop what uses it, or choose another with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	default:
		return listener, nil
	}
}
