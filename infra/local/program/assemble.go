package program

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"

	admin "connectorvault/functions/admin/handler"
	authorizer "connectorvault/functions/authorizer/handler"
	callback "connectorvault/functions/callback/handler"
	notifying "connectorvault/functions/notify/handler"
	planning "connectorvault/functions/planner/handler"
	read "connectorvault/functions/read/handler"
	token "connectorvault/functions/refresh/handler"
	validate "connectorvault/functions/validate/handler"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/bundle"
	"connectorvault/shared/ident"
	"connectorvault/shared/issuer"
	"connectorvault/shared/metric"
	"connectorvault/shared/notify"
	"connectorvault/shared/outbound"
	"connectorvault/shared/planner"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/transport"
	"connectorvault/shared/webhook"
)

// assemble makes every function and connects them the way AWS would.
func (p *program) assemble(ctx context.Context, endpoints catalog.Options, issuers *issuer.Verifier) error {
	parts, err := p.parts(endpoints)
	if err != nil {
		return err
	}
	p.bundle = bundle.New(parts)
	b := p.bundle
	if err := b.Keyring.Create(ctx, Tenant); err != nil { // before the record: what is told of it takes a key
		return err
	}
	if err := b.Vault.CreateTenant(ctx, record.Tenant{ID: Tenant, Name: "This machine", CreatedAt: p.clock.Now().UTC()}); err != nil {
		return err
	}
	p.tokens, p.tenants = b.Refresh(), b.Tenants()
	p.service = gateway.JSON(token.New(p.tokens, p.logger).Handle)
	p.notify = gateway.JSON(p.notifying().Handle)
	p.planner = gateway.JSON(p.planning().Handle)
	p.gateway = gateway.New(gateway.Config{
		Functions: map[route.Function]gateway.Function{
			route.Admin: gateway.JSON(admin.New(admin.Config{Admin: b.Admin(), Authorize: b.Authorize(), Vault: b.Vault, PublicURL: p.public(),
				Logger: p.logger, Now: p.clock.Now}).Handle),
			route.Callback: gateway.JSON(callback.New(callback.Config{Authorize: b.Authorize(), PublicURL: p.public(), Logger: p.logger, Now: p.clock.Now}).Handle),
			route.Validate: gateway.JSON(validate.New(validate.Config{Authorize: b.Authorize(), Vault: b.Vault, Logger: p.logger, Now: p.clock.Now}).Handle),
			route.Read:     gateway.JSON(read.New(read.Config{Read: b.Read(), Logger: p.logger, Now: p.clock.Now}).Handle),
		},
		Authorizer: gateway.JSON(p.authorizing(issuers).Handle),
		Now:        p.clock.Now, Random: rand.Reader, Logger: p.logger,
	})
	return nil
}

// parts are what the bundle stands on here, with the hooks around them.
func (p *program) parts(endpoints catalog.Options) (bundle.Parts, error) {
	o := p.options
	client := transport.Client()
	if o.Hooks.Transport != nil {
		client.Transport = o.Hooks.Transport(client.Transport)
	}
	endpoints.HTTP = client
	providers := catalog.New(endpoints)
	if err := providers.Only(o.Providers); err != nil {
		return bundle.Parts{}, err
	}
	parts := bundle.Parts{
		Items: p.store, Due: p.store, Secrets: p.store, Catalog: providers, HTTP: client, Now: p.clock.Now, Random: rand.Reader,
		Logger: p.logger, Metrics: p.counts(providers), PublicURL: p.public(), Invoke: p.invoke, Nudge: p.nudge,
		Rescue: func(ctx context.Context, call tokens.Call) error {
			return worker.Send(ctx, p.queue, worker.Rescue, p.clock.Now(), call)
		},
		Enqueue: func(ctx context.Context, provider string, calls []tokens.Call) error {
			return worker.Send(ctx, p.queue, worker.Due(provider), p.clock.Now(), calls...)
		},
		Notices: map[string]string{worker.ARN(worker.Secrets): amazon.Name},
		Announce: func(ctx context.Context, messages []webhook.Message) error {
			return worker.SendWebhooks(ctx, p.queue, messages...)
		},
		Webhooks:    outbound.Rules{Loopback: o.LoopbackWebhooks},
		PostTimeout: o.PostTimeout, StoreBudget: o.StoreBudget, RescueInterval: o.RescueInterval,
	}
	if o.DynamoDB != nil {
		items := o.DynamoDB.Store()
		parts.Items, parts.Due = items, items
	}
	parts.Forms = o.Hooks.Forms
	if o.Hooks.Items != nil {
		parts.Items = o.Hooks.Items(parts.Items)
	}
	if o.Hooks.Secrets != nil {
		parts.Secrets = o.Hooks.Secrets(parts.Secrets)
	}
	if o.Hooks.Rescue != nil {
		parts.Rescue = o.Hooks.Rescue(parts.Rescue)
	}
	return parts, nil
}

// counts is what counts, if anybody wants to see it.
func (p *program) counts(providers *catalog.Catalog) *metric.Recorder {
	if p.metrics == nil {
		return nil
	}
	return metric.New(metric.Config{Out: p.metrics, Namespace: "ConnectorVault/local", Providers: providers.Names(), Now: p.clock.Now})
}

// authorizing is what tells whose request it is.
func (p *program) authorizing(issuers *issuer.Verifier) *authorizer.Handler {
	h := authorizer.New(p.bundle.Vault, p.logger, authorizer.OfIssuers(p.bundle.Vault, issuers))
	h.Metrics = p.bundle.Metrics
	return h
}

// planning is what finds due entries.
func (p *program) planning() *planning.Handler {
	return planning.New(planner.New(planner.Config{Vault: p.bundle.Vault, Providers: p.bundle.Catalog.Names(),
		Workers: func(string) int { return worker.Refreshes }, Send: p.bundle.Enqueue, Now: p.clock.Now, Logger: p.logger, Metrics: p.bundle.Metrics,
		Waiting: func(ctx context.Context, provider string) (int, error) { return worker.Waiting(ctx, p.queue, provider) }}))
}

// public is where browsers and callers reach the program.
func (p *program) public() string { return cmp.Or(p.options.Hooks.URL, p.url) }

// notifying is what delivers webhooks. It calls nothing but the public internet, and this machine if its user said so.
func (p *program) notifying() *notifying.Handler {
	service := notify.New(notify.Config{Vault: p.bundle.Vault, Jitter: notify.Jitter(rand.Reader), Now: p.clock.Now, Logger: p.logger, Metrics: p.bundle.Metrics,
		HTTP: outbound.Client(outbound.Config{Rules: outbound.Rules{Loopback: p.options.LoopbackWebhooks}, Resolver: p.options.Hooks.Resolver})})
	return notifying.New(notifying.Config{Notify: service, Logger: p.logger,
		Postpone: func(ctx context.Context, receipt string, d time.Duration) error {
			return p.queue.Postpone(ctx, worker.Webhook, receipt, d)
		}})
}

// sendNotice takes what Amazon says of client secrets. The message goes where secrets lie, and its name into the queue.
func sendNotice(secrets store.Secrets, queue *sqlitestore.Queue) func(context.Context, []byte) error {
	return func(ctx context.Context, message []byte) error {
		name, err := ident.New(rand.Reader, "notice/")
		if err != nil {
			return err
		}
		if err := secrets.PutSecret(ctx, name, secret.New(string(message))); err != nil {
			return err
		}
		return queue.Send(ctx, worker.Secrets, 0, sqlitestore.Outgoing{Body: []byte(name)})
	}
}

// invoke calls the token service and waits, as a Lambda invocation would: over bytes, and running on when the caller
// leaves.
func (p *program) invoke(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	payload, err := tokens.Encode(call)
	if err != nil {
		return tokens.Answer{}, err
	}
	type result struct {
		reply []byte
		err   error
	}
	done := make(chan result, 1)
	p.nudges.Add(1)
	go func() {
		defer p.nudges.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTime)
		defer cancel()
		reply, err := p.service(ctx, payload)
		done <- result{reply, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return tokens.Answer{}, got.err
		}
		return tokens.DecodeReply(got.reply)
	case <-ctx.Done():
		return tokens.Answer{}, tokens.NotYet(ctx.Err())
	}
}

// nudge calls the token service and does not wait.
func (p *program) nudge(ctx context.Context, call tokens.Call) error {
	p.nudges.Add(1)
	p.still.RLock()
	go func() {
		defer p.nudges.Done()
		defer p.still.RUnlock()
		if _, err := p.invoke(context.WithoutCancel(ctx), call); err != nil {
			p.logger.Warn("a refresh in the background failed", "entry", call.Entry, "error", err.Error())
		}
	}()
	return nil
}
