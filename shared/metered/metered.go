// Package metered counts the failures of what the vault stands on: the secret store, and sealing.
//
// The argument: when a keyring cannot be fetched, or a token set does not open, every caller hears of it in other words, and a
// caller who goes on with what it remembers says nothing at all. Counting where callers are would miss some and count others
// twice; so it is done where all of them pass, by something that changes no answer.
package metered

import (
	"context"
	"errors"

	"connectorvault/shared/metric"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// Secrets returns s, with its failures counted. That there is no such secret is none.
func Secrets(s store.Secrets, to *metric.Recorder) store.Secrets {
	if s == nil || to == nil {
		return s
	}
	return &secrets{s, to}
}

type secrets struct {
	store.Secrets
	to *metric.Recorder
}

// Unwrap is the store whose failures are counted.
func (s *secrets) Unwrap() store.Secrets { return s.Secrets }

func (s *secrets) count(ctx context.Context, err error) {
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, context.Canceled):
	case errors.Is(err, store.ErrBusy):
		s.to.Count(ctx, metric.SecretStoreBusy, metric.About{})
	default:
		s.to.Count(ctx, metric.SecretStoreError, metric.About{})
	}
}

// GetSecret implements [store.Secrets].
func (s *secrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	value, err := s.Secrets.GetSecret(ctx, name)
	s.count(ctx, err)
	return value, err
}

// PutSecret implements [store.Secrets].
func (s *secrets) PutSecret(ctx context.Context, name string, value secret.Text) error {
	err := s.Secrets.PutSecret(ctx, name, value)
	s.count(ctx, err)
	return err
}

// CreateSecret implements [store.Secrets].
func (s *secrets) CreateSecret(ctx context.Context, name string, value secret.Text) (exists bool, err error) {
	exists, err = s.Secrets.CreateSecret(ctx, name, value)
	s.count(ctx, err)
	return exists, err
}

// DeleteSecret implements [store.Secrets].
func (s *secrets) DeleteSecret(ctx context.Context, name string) error {
	err := s.Secrets.DeleteSecret(ctx, name)
	s.count(ctx, err)
	return err
}

// ListSecrets implements [store.Secrets].
func (s *secrets) ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error) {
	names, next, err = s.Secrets.ListSecrets(ctx, prefix, cursor)
	s.count(ctx, err)
	return names, next, err
}

// Keeper seals, and authenticates what is kept in the clear.
type Keeper interface {
	seal.Sealer
	seal.MACer
}

// Sealer returns k, with what does not open counted. fromOutside are the purposes of what callers bring back themselves: that one of
// those does not open says something of the caller.
func Sealer(k Keeper, to *metric.Recorder, fromOutside ...string) Keeper {
	if to == nil {
		return k
	}
	outside := map[string]bool{}
	for _, purpose := range fromOutside {
		outside[purpose] = true
	}
	return &sealer{k, to, outside}
}

type sealer struct {
	Keeper
	to      *metric.Recorder
	outside map[string]bool // purpose → whether it is; written once
}

// Open implements [seal.Sealer].
func (s *sealer) Open(ctx context.Context, b seal.Binding, sealed []byte) ([]byte, error) {
	plain, err := s.Keeper.Open(ctx, b, sealed)
	if (errors.Is(err, seal.ErrSealed) || errors.Is(err, seal.ErrUnknownKey)) && !s.outside[b.Purpose] {
		s.to.Count(ctx, metric.SealError, metric.About{Tenant: b.Tenant, Entry: entryOf(b)})
	}
	return plain, err
}

// entryOf is the entry whose tokens it is, where it is one.
func entryOf(b seal.Binding) string {
	if b.Purpose == "tokens" {
		return b.Record
	}
	return ""
}
