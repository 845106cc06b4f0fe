package vault_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

const (
	tenant = "t_0000000000000001"
	other  = "t_0000000000000002"
)

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

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// repeating is a store whose client loses the answer of every conditional write that succeeded, and sends it again: the
// caller hears how the second one went (local parts, trap 1).
type repeating struct{ store.Items }

func (r repeating) Apply(ctx context.Context, ops ...store.Op) error {
	err := r.Items.Apply(ctx, ops...)
	conditional := slices.ContainsFunc(ops, func(op store.Op) bool { return op.If != nil })
	if err != nil || !conditional {
		return err
	}
	return r.Items.Apply(ctx, ops...)
}

var errLost = errors.New("the answer was lost")

// forgetful is a store that carries out the next writes and answers them with an error.
type forgetful struct {
	store.Items
	mu   sync.Mutex
	lose int // guarded by mu; so many answers
}

func (f *forgetful) Apply(ctx context.Context, ops ...store.Op) error {
	err := f.Items.Apply(ctx, ops...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.lose > 0 {
		f.lose--
		return errLost
	}
	return err
}

func (f *forgetful) losesNext() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = 1
}

// rig is a vault on an embedded store.
type rig struct {
	*testing.T
	*vault.Vault
	clock  *clock
	engine *sqlitestore.Store
}

func newRig(t *testing.T, wrap func(store.Items) store.Items) *rig {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{
		Path: filepath.Join(t.TempDir(), "vault.db"), Now: c.Now, MasterKey: make([]byte, sqlitestore.KeySize),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	sealer := keyring.New(keyring.Config{Secrets: s, Now: c.Now, Random: rand.Reader})
	for _, name := range []string{tenant, other} {
		if err := sealer.Create(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return &rig{T: t, clock: c, engine: s, Vault: vault.New(vault.Config{
		Items: wrap(s), Due: s, Sealer: sealer, Now: c.Now, Random: rand.Reader,
	})}
}

func plain(items store.Items) store.Items { return items }

func repeats(items store.Items) store.Items { return repeating{items} }

// each runs a test on a store that behaves, and on one whose client repeats.
func each(t *testing.T, test func(*rig)) {
	t.Parallel()
	for name, wrap := range map[string]func(store.Items) store.Items{"plain": plain, "repeating": repeats} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newRig(t, wrap))
		})
	}
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected: %v", err)
	}
}

func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("the answer is %v; want %v", err, want)
	}
}

func (r *rig) fault(err error, kind fault.Kind, code string) {
	r.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		r.Fatalf("the answer is %v; want %v %s", err, kind, code)
	}
	if e.Detail == "" || e.Action == "" {
		r.Errorf("%s says nothing to a person: %+v", code, e)
	}
}

func (r *rig) same(got, want any) {
	r.Helper()
	if !reflect.DeepEqual(got, want) {
		r.Fatalf("got %+v; want %+v", got, want)
	}
}

func (r *rig) id(prefix string) string {
	r.Helper()
	id, err := ident.New(rand.Reader, prefix)
	r.ok(err)
	return id
}

// newEntry is a record that is not stored yet.
func (r *rig) newEntry(alias string) record.Entry {
	r.Helper()
	now := r.clock.Now()
	return record.Entry{
		Tenant: tenant, ID: r.id(ident.Entry), Provider: "amazon", Alias: alias, Environment: "production", APIEnvironment: record.Production,
		Settings: map[string]string{"region": "eu"}, CreatedBy: "key_1", CreatedAt: now, UpdatedAt: now,
	}
}

// entry makes and stores one, and returns it as it is read.
func (r *rig) entry(alias string) record.Entry {
	r.Helper()
	made, err := r.CreateEntry(r.Context(), r.newEntry(alias), nil)
	r.ok(err)
	read, err := r.Entry(r.Context(), tenant, made.ID)
	r.ok(err)
	return read
}

func (r *rig) newConnector(entry record.Entry, name string) record.Connector {
	r.Helper()
	now := r.clock.Now()
	return record.Connector{
		Tenant: tenant, ID: r.id(ident.Connector), Name: name, Entry: entry.ID, Provider: entry.Provider,
		Settings: map[string][]string{"marketplaces": {"A1PA6795UKMFR9"}}, CreatedBy: "key_1", CreatedAt: now, UpdatedAt: now,
	}
}

func (r *rig) connector(entry record.Entry, name string) record.Connector {
	r.Helper()
	made, err := r.CreateConnector(r.Context(), r.newConnector(entry, name), nil)
	r.ok(err)
	read, err := r.Connector(r.Context(), tenant, made.ID)
	r.ok(err)
	return read
}

// together runs work n times at once and returns what each answered.
func together(n int, work func(i int) error) []error {
	answers := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { answers[i] = work(i) })
	}
	running.Wait()
	return answers
}

// wantOne fails the test unless exactly one answer is nil and every other one is a refusal as told.
func (r *rig) wantOne(answers []error, refusal func(error) bool) {
	r.Helper()
	won := 0
	for _, err := range answers {
		switch {
		case err == nil:
			won++
		case !refusal(err):
			r.Errorf("an answer is %v", err)
		}
	}
	if won != 1 {
		r.Errorf("%d of %d succeeded; want one", won, len(answers))
	}
}

func (r *rig) everyItem(look func(store.Table, store.Item)) {
	r.Helper()
	for _, partition := range r.partitions() {
		for _, table := range store.Tables() {
			for after, more := "", true; more; {
				items, next, err := r.engine.Query(r.Context(), store.Query{Table: table, Partition: partition, After: after, Limit: 100})
				r.ok(err)
				for _, item := range items {
					look(table, item)
					after = item.Key.Sort
				}
				more = next
			}
		}
	}
}

// partitions are the tenant's own and those of its entries.
func (r *rig) partitions() []string {
	r.Helper()
	out := []string{tenant}
	page, err := r.Entries(r.Context(), tenant, "", 100, func(record.Entry) bool { return true })
	r.ok(err)
	for _, e := range page.Items {
		out = append(out, fmt.Sprintf("%s#%s", tenant, e.ID))
	}
	return out
}
