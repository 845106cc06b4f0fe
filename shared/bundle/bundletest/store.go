package bundletest

import (
	"context"
	"errors"
	"sync"

	"connectorvault/shared/admin"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// ErrStore is what a store says that was told to fail.
var ErrStore = errors.New("the store is down, at 10.0.0.7")

// Items is a store that a test can look into and hold up.
type Items struct {
	store.Items
	mu    sync.Mutex
	calls int                                     // of any kind; guarded by mu
	gets  map[store.Table]int                     // guarded by mu
	after func(table store.Table, key store.Key)  // after each Get, before its answer is given; guarded by mu
	fails func(op string, table store.Table) bool // guarded by mu
}

// Get implements store.Items.
func (i *Items) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	i.mu.Lock()
	if i.gets == nil {
		i.gets = map[store.Table]int{}
	}
	i.gets[table]++
	i.calls++
	after, fails := i.after, i.fails
	i.mu.Unlock()
	if fails != nil && fails("get", table) {
		return store.Item{}, ErrStore
	}
	item, err := i.Items.Get(ctx, table, key)
	if after != nil {
		after(table, key)
	}
	return item, err
}

// Apply implements store.Items.
func (i *Items) Apply(ctx context.Context, ops ...store.Op) error {
	i.mu.Lock()
	fails := i.fails
	i.calls++
	i.mu.Unlock()
	for _, op := range ops {
		if fails != nil && fails("apply", op.Table) {
			return ErrStore
		}
	}
	return i.Items.Apply(ctx, ops...)
}

// GetMany implements store.Items.
func (i *Items) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	i.count()
	return i.Items.GetMany(ctx, table, keys)
}

// Query implements store.Items.
func (i *Items) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	i.count()
	return i.Items.Query(ctx, q)
}

func (i *Items) count() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls++
}

// Calls says how often the store was called, for whatever.
func (i *Items) Calls() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls
}

// Gets says how often a table was read by key.
func (i *Items) Gets(table store.Table) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gets[table]
}

// AfterGet runs hold after each Get, before its answer is given. nil ends it.
func (i *Items) AfterGet(hold func(table store.Table, key store.Key)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.after = hold
}

// Fail makes operations ("get", "apply") fail. nil ends it.
func (i *Items) Fail(when func(op string, table store.Table) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails = when
}

// Secrets is a secret store that counts, and that can be down or held up.
type Secrets struct {
	store.Secrets
	mu     sync.Mutex
	gets   []string                    // guarded by mu
	before func(op, name string) error // before each operation; guarded by mu
	page   int                         // names of a page of ListSecrets; 0 = the engine's; guarded by mu
}

func (s *Secrets) begin(op, name string) error {
	s.mu.Lock()
	before := s.before
	if op == "get" {
		s.gets = append(s.gets, name)
	}
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(op, name)
}

// GetSecret implements store.Secrets.
func (s *Secrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	if err := s.begin("get", name); err != nil {
		return secret.Text{}, err
	}
	return s.Secrets.GetSecret(ctx, name)
}

// PutSecret implements store.Secrets.
func (s *Secrets) PutSecret(ctx context.Context, name string, value secret.Text) error {
	if err := s.begin("put", name); err != nil {
		return err
	}
	return s.Secrets.PutSecret(ctx, name, value)
}

// DeleteSecret implements store.Secrets.
func (s *Secrets) DeleteSecret(ctx context.Context, name string) error {
	if err := s.begin("delete", name); err != nil {
		return err
	}
	return s.Secrets.DeleteSecret(ctx, name)
}

// ListSecrets implements store.Secrets.
func (s *Secrets) ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error) {
	if err := s.begin("list", cursor); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	page := s.page
	s.mu.Unlock()
	names, next, err = s.Secrets.ListSecrets(ctx, prefix, cursor)
	if page > 0 && len(names) > page {
		names = names[:page]
		next = names[page-1] // as the embedded store has it
	}
	return names, next, err
}

// Names lists every secret there is.
func (s *Secrets) Names(ctx context.Context) (names []string) {
	for cursor := ""; ; {
		page, next, err := s.Secrets.ListSecrets(ctx, "", cursor)
		names = append(names, page...)
		if cursor = next; err != nil || next == "" {
			return names
		}
	}
}

// Page makes ListSecrets give so many names at a time.
func (s *Secrets) Page(names int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = names
}

// Before runs hold before each operation ("get", "put", "delete", "list"), which fails with its error. Of "list" the name
// is the cursor. nil ends it.
func (s *Secrets) Before(hold func(op, name string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = hold
}

// Read lists the secrets that were read, once per reading.
func (s *Secrets) Read() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.gets...)
}

// Down switches reading and writing off and on.
func (s *Secrets) Down(down bool) {
	if !down {
		s.Before(nil)
		return
	}
	s.Before(func(op, _ string) error {
		if op == "get" || op == "put" {
			return ErrStore
		}
		return nil
	})
}

// Fields makes a request's members from names and values. A value that is a string is sent as one; anything else must
// be JSON in a json.RawMessage.
func Fields(pairs ...any) admin.Fields {
	out := admin.Fields{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = raw(pairs[i+1])
	}
	return out
}

// Settings is a change of a connector's settings: one setting with its values.
func Settings(name string, values ...string) admin.ConnectorInput {
	return admin.ConnectorInput{Settings: map[string][]string{name: values}}
}
