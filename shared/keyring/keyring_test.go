package keyring_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/keyring"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
)

// counting counts what reaches the secret store, and fails or waits when told to.
type counting struct {
	store.Secrets
	mu    sync.Mutex
	reads int           // guarded by mu
	fail  error         // guarded by mu
	gate  chan struct{} // a read waits until it is closed; nil: at once
}

func (c *counting) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	c.mu.Lock()
	c.reads++
	err := c.fail
	c.mu.Unlock()
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return secret.Text{}, ctx.Err()
		}
	}
	if err != nil {
		return secret.Text{}, err
	}
	return c.Secrets.GetSecret(ctx, name)
}

func (c *counting) breaks(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// rig is a secret store under a clock that is moved by hand, with as many sealers as a test makes.
type rig struct {
	*testing.T
	secrets *counting
	now     time.Time
}

const tenant = "t_0000000000000001"

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &rig{T: t, secrets: &counting{Secrets: s}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := r.sealer().Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	return r
}

// sealer is a process of its own: its cache is empty.
func (r *rig) sealer() *keyring.Sealer {
	return keyring.New(keyring.Config{Secrets: r.secrets, Now: func() time.Time { return r.now }, Random: rand.Reader})
}

var binding = seal.Binding{Purpose: "tokens", Tenant: tenant, Record: "ve_1", Provider: "amazon", Generation: 1}

func (r *rig) seal(s *keyring.Sealer) []byte {
	r.Helper()
	sealed, err := s.Seal(r.Context(), binding, []byte("plain"))
	if err != nil {
		r.Fatalf("sealing: %v", err)
	}
	return sealed
}

func (r *rig) wantOpens(s *keyring.Sealer, sealed []byte) {
	r.Helper()
	plain, err := s.Open(r.Context(), binding, sealed)
	if err != nil || string(plain) != "plain" {
		r.Fatalf("opening: %q, %v", plain, err)
	}
}

func (r *rig) wantReads(want int, when string) {
	r.Helper()
	if r.secrets.reads != want {
		r.Errorf("%s: the secret store was read %d times; want %d", when, r.secrets.reads, want)
	}
}

// keyOf is the id of the key that a value is sealed under (the form is that of package seal).
func keyOf(sealed []byte) string { return string(sealed[2 : 2+sealed[1]]) }

func TestCreateKeepsTheFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed := r.seal(r.sealer())
	if err := r.sealer().Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	r.wantOpens(r.sealer(), sealed)
}

func TestCacheLives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sealer()
	for range 5 {
		r.wantOpens(s, r.seal(s))
	}
	r.wantReads(1, "in one life")
	r.now = r.now.Add(keyring.Life - 1)
	r.seal(s)
	r.wantReads(1, "at the life's end")
	r.now = r.now.Add(1)
	r.seal(s)
	r.seal(s)
	r.wantReads(2, "after it")
}

func TestTenantsHaveTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := binding
	other.Tenant = "t_0000000000000002"
	s := r.sealer()
	if _, err := s.Seal(t.Context(), other, []byte("x")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a tenant without a ring: %v; want ErrNotFound", err)
	}
	if err := s.Create(t.Context(), other.Tenant); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), other, r.seal(s)); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("another tenant's value: %v; want ErrUnknownKey", err)
	}
}

// While the secret store is out, a ring serves for one more life, and no longer.
func TestOldRingOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sealer()
	sealed := r.seal(s)
	outage := errors.New("the secret store is out")
	r.secrets.breaks(outage)
	r.now = r.now.Add(2*keyring.Life - 1)
	r.wantOpens(s, sealed)
	r.seal(s)
	r.now = r.now.Add(1)
	if _, err := s.Open(t.Context(), binding, sealed); !errors.Is(err, outage) {
		t.Errorf("after two lives: %v; want the outage", err)
	}
	if _, err := r.sealer().Open(t.Context(), binding, sealed); !errors.Is(err, outage) {
		t.Errorf("with an empty cache: %v; want the outage", err)
	}
	r.secrets.breaks(nil)
	r.wantOpens(s, sealed)
}

// A ring that was destroyed is no outage: it is felt within one life.
func TestDestroyedRingIsFelt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sealer()
	sealed := r.seal(s)
	if err := r.secrets.DeleteSecret(t.Context(), keyring.Name(tenant)); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(keyring.Life)
	if _, err := s.Open(t.Context(), binding, sealed); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after a life: %v; want ErrNotFound", err)
	}
}

// A new key is spread unused for twice the cache's life; then it seals, and the old one still opens.
func TestRotationSpreadsTheKeyUnused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rotating, cached := r.sealer(), r.sealer()
	before := r.seal(rotating)
	r.seal(cached)
	if err := rotating.Rotate(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{0, keyring.Life, keyring.Life - 1} {
		r.now = r.now.Add(wait)
		for _, s := range []*keyring.Sealer{rotating, cached, r.sealer()} {
			if keyOf(r.seal(s)) != keyOf(before) {
				t.Fatalf("a key seals before every cache has seen it")
			}
		}
	}
	r.now = r.now.Add(1)
	fresh := r.sealer()
	after := r.seal(fresh)
	if keyOf(after) == keyOf(before) {
		t.Fatal("the new key does not seal when its time has come")
	}
	for _, s := range []*keyring.Sealer{rotating, cached, fresh, r.sealer()} {
		r.wantOpens(s, before)
		r.wantOpens(s, after)
	}
}

// Whatever order two processes' clocks and caches are in, what one seals the other opens: the cache is the oldest it may be.
func TestRotationUnderTheOldestCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cached := r.sealer()
	r.seal(cached)
	if err := r.sealer().Rotate(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(2*keyring.Life - 1)
	r.secrets.breaks(errors.New("out"))
	old := r.seal(cached) // from a cache of almost two lives
	r.secrets.breaks(nil)
	r.now = r.now.Add(1)
	fresh := r.sealer()
	r.wantOpens(fresh, old)
	r.wantOpens(cached, r.seal(fresh))
}

func TestRotateTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := map[string]bool{}
	var all [][]byte
	for range 3 {
		sealed := r.seal(r.sealer())
		all = append(all, sealed)
		seen[keyOf(sealed)] = true
		if err := r.sealer().Rotate(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(2 * keyring.Life)
	}
	if len(seen) != 3 {
		t.Errorf("three rotations used %d keys", len(seen))
	}
	for _, sealed := range all {
		r.wantOpens(r.sealer(), sealed)
	}
	if err := r.sealer().Rotate(t.Context(), "t_none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("rotating no ring: %v; want ErrNotFound", err)
	}
}

// A value under a key that the cache does not have fetches the ring once more, each time it is tried.
func TestUnknownKeyFetchesOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cached := r.sealer()
	r.seal(cached)
	r.wantReads(1, "at first")
	maker := r.sealer()
	if err := maker.Rotate(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(keyring.Life - 1) // the cache is still young
	now := r.now
	r.now = r.now.Add(2 * keyring.Life)
	sealed := r.seal(maker) // by a clock that is ahead
	r.now = now
	r.secrets.reads = 0
	r.wantOpens(cached, sealed)
	r.wantReads(1, "for a key that is in the store")
	r.wantOpens(cached, sealed)
	r.wantReads(1, "for a key that is now known")

	foreign := append([]byte{1, 3}, "k_x and no ciphertext at all"...)
	if _, err := cached.Open(t.Context(), binding, foreign); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("a key that nobody has: %v; want ErrUnknownKey", err)
	}
	r.wantReads(2, "for a key that nobody has")
	moved := binding
	moved.Generation = 2
	if _, err := cached.Open(t.Context(), moved, sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("a value in another place: %v; want ErrSealed", err)
	}
	r.wantReads(2, "for a known key")
}

func TestUnreadableRingIsNotQuoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.secrets.PutSecret(t.Context(), keyring.Name(tenant), secret.New(`[{"id": "canary`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sealer().Seal(t.Context(), binding, nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the answer is %v", err)
	}
}

// memory is a secret store for a bubble: it starts no goroutines of its own.
type memory map[string]secret.Text

func (m memory) GetSecret(_ context.Context, name string) (secret.Text, error) {
	text, ok := m[name]
	if !ok {
		return text, store.ErrNotFound
	}
	return text, nil
}

func (m memory) PutSecret(_ context.Context, name string, value secret.Text) error {
	m[name] = value
	return nil
}

func (m memory) CreateSecret(ctx context.Context, name string, value secret.Text) (bool, error) {
	if _, exists := m[name]; exists {
		return true, nil
	}
	return false, m.PutSecret(ctx, name, value)
}

func (m memory) DeleteSecret(_ context.Context, name string) error {
	delete(m, name)
	return nil
}

func (m memory) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return nil, "", errors.New("nobody lists here")
}

// A crowd with an empty cache fetches once, and the first one's leaving costs the others nothing.
func TestCrowdFetchesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secrets := &counting{Secrets: memory{}}
		s := keyring.New(keyring.Config{Secrets: secrets, Now: time.Now, Random: rand.Reader})
		if err := s.Create(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		secrets.gate = make(chan struct{})
		first, leave := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i := range 20 {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			running.Go(func() {
				if _, err := s.Seal(ctx, binding, []byte("x")); err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			})
			synctest.Wait() // in order: the first one's call is the one that runs
		}
		leave()
		synctest.Wait()
		close(secrets.gate)
		running.Wait()
		if secrets.reads != 1 {
			t.Errorf("the secret store was read %d times", secrets.reads)
		}
	})
}

// A secret store that does not answer holds a caller up for a bounded time.
func TestFetchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secrets := &counting{Secrets: memory{}, gate: make(chan struct{})}
		s := keyring.New(keyring.Config{Secrets: secrets, Now: time.Now, Random: rand.Reader})
		if _, err := s.Seal(t.Context(), binding, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the answer is %v; want DeadlineExceeded", err)
		}
	})
}
