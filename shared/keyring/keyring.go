// Package keyring brings tenants' keys from the secret store to the sealer, and keeps them for a while.
//
// The argument: a key is needed for every read, and the secret store is slow, metered and eventually consistent. So
// keys are cached, and everything else follows from the cache: a new key is spread unused for twice the cache's life
// before it seals, a value under an unknown key fetches the ring once more, and destroying a tenant's ring is felt
// everywhere within one life.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"connectorvault/shared/ident"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// Life is how long a fetched ring is used without looking again.
const Life = 10 * time.Minute

// Config is what a Sealer needs.
type Config struct {
	Secrets store.Secrets
	Now     func() time.Time
	Random  io.Reader
}

// Sealer implements seal.Sealer with rings from the secret store.
type Sealer struct {
	cfg    Config
	flight singleflight.Group
	mu     sync.Mutex
	rings  map[string]cached // tenant → ring; guarded by mu
}

type cached struct {
	ring    seal.Keyring
	fetched time.Time
}

var (
	_ seal.Sealer = (*Sealer)(nil)
	_ seal.MACer  = (*Sealer)(nil)
)

// New returns a Sealer with an empty cache.
func New(cfg Config) *Sealer { return &Sealer{cfg: cfg, rings: map[string]cached{}} }

// Name is where a tenant's ring lies in the secret store.
func Name(tenant string) string { return tenant + "/keyring" }

// Create makes a tenant's first ring. A tenant that has one keeps it.
func (s *Sealer) Create(ctx context.Context, tenant string) error {
	ring, err := s.extended(nil, s.cfg.Now())
	if err != nil {
		return err
	}
	if _, err := s.cfg.Secrets.CreateSecret(ctx, Name(tenant), ring); err != nil {
		return fmt.Errorf("creating the keyring: %w", err)
	}
	return nil
}

// Rotate adds a key that begins to seal once every cache must have seen it: after twice the cache's life.
func (s *Sealer) Rotate(ctx context.Context, tenant string) error {
	ring, err := s.fetch(ctx, tenant)
	if err != nil {
		return err
	}
	text, err := s.extended(ring, s.cfg.Now().Add(2*Life))
	if err != nil {
		return err
	}
	if err := s.cfg.Secrets.PutSecret(ctx, Name(tenant), text); err != nil {
		return fmt.Errorf("storing the rotated keyring: %w", err)
	}
	return nil
}

// Destroy removes a tenant's ring for good: what it sealed never opens again. Other processes go on with what they have
// in their caches, for one life, or two where they find the secret store silent. Destroying none is no error.
func (s *Sealer) Destroy(ctx context.Context, tenant string) error {
	if err := s.cfg.Secrets.DeleteSecret(ctx, Name(tenant)); err != nil {
		return fmt.Errorf("destroying the keyring: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rings, tenant)
	return nil
}

func (s *Sealer) extended(ring seal.Keyring, primaryFrom time.Time) (secret.Text, error) {
	id, err := ident.New(s.cfg.Random, "k_")
	if err != nil {
		return secret.Text{}, err
	}
	key, err := seal.NewKey(s.cfg.Random, id, primaryFrom)
	if err != nil {
		return secret.Text{}, err
	}
	return append(ring[:len(ring):len(ring)], key).Encode()
}

// Seal implements seal.Sealer.
func (s *Sealer) Seal(ctx context.Context, b seal.Binding, plaintext []byte) ([]byte, error) {
	ring, err := s.ring(ctx, b.Tenant)
	if err != nil {
		return nil, err
	}
	return ring.Seal(s.cfg.Now(), b, plaintext)
}

// Open implements seal.Sealer.
func (s *Sealer) Open(ctx context.Context, b seal.Binding, sealed []byte) ([]byte, error) {
	ring, err := s.ring(ctx, b.Tenant)
	if err != nil {
		return nil, err
	}
	plaintext, err := ring.Open(b, sealed)
	if !errors.Is(err, seal.ErrUnknownKey) {
		return plaintext, err
	}
	if ring, err = s.fetch(ctx, b.Tenant); err != nil {
		return nil, err
	}
	return ring.Open(b, sealed)
}

// MAC implements seal.MACer.
func (s *Sealer) MAC(ctx context.Context, tenant, keyID string, message []byte) (used string, mac []byte, err error) {
	ring, err := s.ring(ctx, tenant)
	if err != nil {
		return "", nil, err
	}
	used, mac, err = ring.MAC(s.cfg.Now(), tenant, keyID, message)
	if !errors.Is(err, seal.ErrUnknownKey) {
		return used, mac, err
	}
	if ring, err = s.fetch(ctx, tenant); err != nil {
		return "", nil, err
	}
	return ring.MAC(s.cfg.Now(), tenant, keyID, message)
}

// ring returns the tenant's ring, from the cache while it is young. An old one is still better than none, so it
// serves on for one more life when the secret store cannot answer.
func (s *Sealer) ring(ctx context.Context, tenant string) (seal.Keyring, error) {
	s.mu.Lock()
	have, ok := s.rings[tenant]
	s.mu.Unlock()
	age := s.cfg.Now().Sub(have.fetched)
	if ok && age < Life {
		return have.ring, nil
	}
	ring, err := s.fetch(ctx, tenant)
	if err != nil && ok && age < 2*Life && !errors.Is(err, store.ErrNotFound) {
		return have.ring, nil
	}
	return ring, err
}

func (s *Sealer) fetch(ctx context.Context, tenant string) (seal.Keyring, error) {
	got, err, _ := s.flight.Do(tenant, func() (any, error) {
		// Detached: the first caller's leaving must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		text, err := s.cfg.Secrets.GetSecret(ctx, Name(tenant))
		if err != nil {
			return nil, fmt.Errorf("fetching the keyring: %w", err)
		}
		ring, err := seal.Decode(text)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.rings[tenant] = cached{ring: ring, fetched: s.cfg.Now()}
		s.mu.Unlock()
		return ring, nil
	})
	if err != nil {
		return nil, err
	}
	return got.(seal.Keyring), nil
}
