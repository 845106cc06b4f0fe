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
	i.mu.Unlock()
	for _, op := range ops {
		if fails != nil && fails("apply", op.Table) {
			return ErrStore
		}
	}
	return i.Items.Apply(ctx, ops...)
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

// Secrets is a secret store that counts, and that can be down.
type Secrets struct {
	store.Secrets
	mu   sync.Mutex
	gets []string // guarded by mu
	down bool     // guarded by mu
}

// GetSecret implements store.Secrets.
func (s *Secrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	s.mu.Lock()
	s.gets = append(s.gets, name)
	down := s.down
	s.mu.Unlock()
	if down {
		return secret.Text{}, ErrStore
	}
	return s.Secrets.GetSecret(ctx, name)
}

// PutSecret implements store.Secrets.
func (s *Secrets) PutSecret(ctx context.Context, name string, value secret.Text) error {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return ErrStore
	}
	return s.Secrets.PutSecret(ctx, name, value)
}

// Read lists the secrets that were read, once per reading.
func (s *Secrets) Read() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.gets...)
}

// Down switches the secret store off and on.
func (s *Secrets) Down(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
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
