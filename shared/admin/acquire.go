package admin

import (
	"context"
	"errors"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// createdBefore is the entry that an earlier try of a request made. That try may have died before the provider was asked.
func (s *Service) createdBefore(ctx context.Context, p record.Principal, id string, repeat *vault.Once) (record.Entry, error) {
	made, err := s.Vault.Entry(ctx, p.Tenant, id)
	if err != nil {
		return made, err
	}
	_, connected, err := s.Vault.Credential(ctx, p.Tenant, id)
	if err != nil || connected {
		return made, err
	}
	return made, s.connect(ctx, p, made, repeat)
}

// connect gets the first token of an entry that needs nobody's consent. Where that is refused nothing was made, so a repeat
// of the request tries again.
func (s *Service) connect(ctx context.Context, p record.Principal, made record.Entry, repeat *vault.Once) error {
	err := s.acquire(ctx, made)
	if err == nil {
		return nil
	}
	return errors.Join(refusedClient(err), s.Vault.GiveUp(ctx, p.Tenant, repeat))
}

// acquire gets the first token of an entry whose own client is the account: there is nobody to consent, so making the entry
// is what connects it. Where the provider refuses it, nothing is left behind; where it cannot answer, the entry stays, pending.
func (s *Service) acquire(ctx context.Context, e record.Entry) error {
	adapter, err := s.Adapter(e.Provider)
	if err != nil || !adapter.Descriptor().OwnGrant {
		return err
	}
	answer, err := s.Tokens(ctx, tokens.Call{Op: tokens.Acquire, Tenant: e.Tenant, Entry: e.ID})
	if err == nil {
		err = answer.Err()
	}
	if err == nil {
		return nil
	}
	if passing(err) {
		return nil // it is tried again by POST …/refresh, and by whoever reads
	}
	if _, gone := s.Tokens(ctx, tokens.Call{Op: tokens.Forget, Tenant: e.Tenant, Entry: e.ID}); gone != nil && fault.KindOf(gone) != fault.NotFound {
		return gone
	}
	return err
}

// mayTouch refuses who may not make, change or delete entries of a provider. Which one it is says the request, or the
// entry, so the route's right does not settle it.
func mayTouch(p record.Principal, d *provider.Descriptor) error {
	if !d.OwnerOnly {
		return nil
	}
	return access.Need(p, access.GuardedEntries)
}
