package refresh

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// How secrets that no record names are looked for: so many pages of the secret store's list at a time, the whole list once
// a day, and nothing is removed that was not seen twice, half a day apart.
const (
	orphanPages = 3
	orphanEvery = 24 * time.Hour
	orphanAge   = 12 * time.Hour
)

// SweepOrphans goes on with the search for secrets that no record names, if it is time, and removes those seen before.
func (s *Service) SweepOrphans(ctx context.Context) (removed int, err error) {
	turn, due, err := s.Vault.OrphanTurn(ctx)
	if errors.Is(err, vault.ErrHeld) {
		return 0, nil // somebody else is at it
	}
	if err != nil || !due {
		return 0, err
	}
	cursor := turn.Cursor
	for range orphanPages {
		names, next, err := s.Secrets.ListSecrets(ctx, ident.Tenant, cursor)
		if err != nil {
			return removed, err
		}
		for _, name := range names {
			if err := s.trimAudit(ctx, name); err != nil {
				return removed, err
			}
			gone, err := s.orphan(ctx, name)
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
		if cursor = next; cursor == "" {
			return removed, s.Vault.EndOrphanTurn(ctx, turn, "", s.Now().Add(orphanEvery))
		}
	}
	return removed, s.Vault.EndOrphanTurn(ctx, turn, cursor, s.Now())
}

// orphan removes a secret that no record has named for long enough.
func (s *Service) orphan(ctx context.Context, name string) (removed bool, err error) {
	orphaned, err := s.Vault.Orphaned(ctx, name)
	if err != nil || !orphaned {
		return false, err
	}
	version, found, err := s.versionOf(ctx, name)
	if err != nil || !found {
		return false, err
	}
	first, err := s.Vault.NoteOrphan(ctx, name, version)
	if err != nil || s.Now().Sub(first) < orphanAge {
		return false, err
	}
	if err := s.Secrets.DeleteSecret(ctx, name); err != nil {
		return false, err
	}
	s.Logger.InfoContext(ctx, "a secret that no record names is removed", "name", name)
	return true, s.Vault.ForgetOrphan(ctx, name, version)
}

// versionOf is the version of what lies under a name now; "" of something that is in no form of ours.
func (s *Service) versionOf(ctx context.Context, name string) (version string, found bool, err error) {
	text, err := s.Secrets.GetSecret(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return "", false, nil // the list lags behind
	}
	if err != nil {
		return "", false, err
	}
	secrets, err := vault.DecodeSecrets(text)
	if err != nil {
		return "", true, nil //nolint:nilerr // nobody can use it, which is no reason to keep it
	}
	return secrets.Version, true, nil
}
