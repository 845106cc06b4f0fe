package refresh

import (
	"context"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// revokeBudget is how long telling a provider that a token is not needed any more may take. Whoever deletes waits for it.
const revokeBudget = 5 * time.Second

// forget removes an entry with its tokens, all or none, and then tells the provider. In this order: an entry whose
// deletion is refused keeps its authorization, and one that is gone is gone whatever the provider says. What the
// provider was not told ends there by itself.
func (s *Service) forget(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	for try := 0; ; try++ {
		entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
		if err != nil {
			return tokens.Answer{}, err
		}
		c, authorized, err := s.Vault.Credential(ctx, call.Tenant, call.Entry)
		if err != nil {
			return tokens.Answer{}, err
		}
		revoke := s.revocation(ctx, entry, c, authorized)
		err = s.Vault.DeleteEntry(ctx, entry, c.Generation)
		if err == nil {
			revoke(ctx)
			s.forgetSecrets(ctx, entry)
		}
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return tokens.Answer{Outcome: tokens.Success}, err
		}
	}
}

// revocation gets everything ready that telling the provider takes, while it is still there. Trouble with it keeps nobody
// from deleting.
func (s *Service) revocation(ctx context.Context, entry record.Entry, c record.Credential, authorized bool) func(context.Context) {
	nothing := func(context.Context) {}
	if !authorized || c.Status != record.Active {
		return nothing
	}
	as, err := s.clientOf(ctx, entry)
	if err != nil || as.source.TokenClient(as.entry, as.app).RevokeURL == "" {
		return nothing
	}
	set, err := s.Vault.OpenTokens(ctx, c)
	if err != nil || set.Refresh.IsZero() {
		return nothing
	}
	return func(ctx context.Context) { s.revoke(ctx, as, set.Refresh) }
}

// revoke tells the provider that a refresh token is not needed any more. It is tried once: a token that nobody keeps is
// nobody's to lose, and it ends by itself.
func (s *Service) revoke(ctx context.Context, as client, refresh secret.Text) {
	oauth := as.source.TokenClient(as.entry, as.app)
	if oauth.RevokeURL == "" || refresh.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeBudget)
	defer cancel()
	if err := oauth.Revoke(ctx, refresh); err != nil {
		s.Logger.WarnContext(ctx, "a token that is not needed any more was not revoked at the provider", "tenant", as.entry.Tenant, "entry", as.entry.ID,
			"provider", as.entry.Provider, "error", err.Error())
	}
}

// giveBack revokes what was bought for an entry that was deleted meanwhile: whoever deleted it did not know of it.
func (s *Service) giveBack(ctx context.Context, entry record.Entry, refresh secret.Text) {
	as, err := s.clientOf(ctx, entry)
	if err != nil {
		s.Logger.WarnContext(ctx, "a token of a deleted entry was not revoked at the provider", "tenant", entry.Tenant, "entry", entry.ID,
			"provider", entry.Provider, "error", err.Error())
		return
	}
	s.revoke(ctx, as, refresh)
}

// forgetSecrets removes what an entry had in the secret store. What stays behind is found by the search for orphans.
func (s *Service) forgetSecrets(ctx context.Context, entry record.Entry) {
	for group := range entry.Secrets {
		err := s.Secrets.DeleteSecret(ctx, vault.GroupSecret(vault.EntrySecret(entry.Tenant, entry.ID), group))
		if err != nil {
			s.Logger.WarnContext(ctx, "a secret of a deleted entry was not removed and will be", "tenant", entry.Tenant, "entry", entry.ID, "error", err.Error())
		}
	}
}
