package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectorvault/infra/local/program"
	"connectorvault/shared/bundle"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/store/secretstest"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// A month of refreshes, each as soon as the token before it has ended, with a Secrets Manager that keeps its quotas.
//
// Fails when token sets are written to the secret store: the hundredth version of a day is refused.
func TestMonth(t *testing.T) {
	days := of(3, 30)
	if testing.Short() {
		days = 1 // the quota is a day's
	}
	each(t, fmt.Sprintf("8 %d days of refreshes", days), func(b *bed) result { return month(b, days) })
}

func month(b *bed, days int) (r result) {
	e := b.seed(1, 0)[0]
	fake := secretstest.New(b.T, secretstest.Options{})
	slow := secretsstore.New(fake.Client(), "vault")
	app, _, err := b.vault.App(b.Context(), program.Tenant, "sage", record.Production)
	b.ok(err)
	for _, name := range []string{keyring.Name(program.Tenant), vault.AppSecret(program.Tenant, "sage", record.Production, app.Version)} {
		text, err := b.secrets.GetSecret(b.Context(), name)
		b.ok(err)
		b.ok(slow.PutSecret(b.Context(), name, text))
	}
	secretCalls := map[string]int{}
	counted := &countingItems{Items: b.items, calls: map[string]int{}}
	service := b.bundle(func(p *bundle.Parts) {
		p.Items, p.Secrets = counted, &countingSecrets{Secrets: slow, calls: secretCalls}
	}).Refresh()
	const aDay = 288
	failed := 0
	for range days * aDay {
		_, err := b.clock.Advance(access)
		b.ok(err)
		fake.Step(access)
		answer, err := service.Do(b.Context(), tokens.Call{Op: tokens.Refresh, Tenant: program.Tenant, Entry: e.id})
		if err != nil || answer.Outcome != tokens.Success {
			failed++
			r.want(failed > 3, "a refresh: %s %v %v", answer.Outcome, answer.Err(), err)
		}
	}
	refreshes := days * aDay
	wrong := b.healthy(b.ledger(), e, int64(refreshes)+1)
	r.want(wrong == "" && failed == 0, "%d of %d refreshes failed; %s", failed, refreshes, wrong)
	r.want(secretCalls["PutSecret"]+secretCalls["CreateSecret"] == 0, "secrets were written: %v", secretCalls)
	r.figure("%d refreshes, %d failed; Secrets Manager: %s; DynamoDB: %s", refreshes, failed, counts(secretCalls), counts(counted.calls))
	return r
}

// counts shows how often what was called.
func counts(calls map[string]int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		out = append(out, fmt.Sprintf("%s %d", name, calls[name]))
	}
	return strings.Join(out, ", ")
}

// countingItems counts by the request that each call is on DynamoDB.
type countingItems struct {
	store.Items
	mu    sync.Mutex
	calls map[string]int // guarded by mu
}

func (c *countingItems) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[name]++
}

// Get implements store.Items.
func (c *countingItems) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	c.count("GetItem of " + string(table))
	return c.Items.Get(ctx, table, key)
}

// GetMany implements store.Items.
func (c *countingItems) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	c.count("BatchGetItem of " + string(table))
	return c.Items.GetMany(ctx, table, keys)
}

// Query implements store.Items.
func (c *countingItems) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	c.count("Query of " + string(q.Table))
	return c.Items.Query(ctx, q)
}

// Apply implements store.Items.
func (c *countingItems) Apply(ctx context.Context, ops ...store.Op) error {
	name := map[store.Verb]string{store.Put: "PutItem", store.Update: "UpdateItem", store.Delete: "DeleteItem"}[ops[0].Verb]
	if len(ops) > 1 {
		name = "TransactWriteItems"
	}
	c.count(name + " of " + string(ops[0].Table))
	return c.Items.Apply(ctx, ops...)
}

// countingSecrets counts calls of the secret store.
type countingSecrets struct {
	store.Secrets
	calls map[string]int
}

// GetSecret implements store.Secrets.
func (c *countingSecrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	c.calls["GetSecretValue"]++
	return c.Secrets.GetSecret(ctx, name)
}

// PutSecret implements store.Secrets.
func (c *countingSecrets) PutSecret(ctx context.Context, name string, value secret.Text) error {
	c.calls["PutSecretValue"]++
	return c.Secrets.PutSecret(ctx, name, value)
}

// CreateSecret implements store.Secrets.
func (c *countingSecrets) CreateSecret(ctx context.Context, name string, value secret.Text) (bool, error) {
	c.calls["CreateSecret"]++
	return c.Secrets.CreateSecret(ctx, name, value)
}
