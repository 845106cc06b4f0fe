package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/seal"
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
		if call.Pending && authorized {
			return tokens.Answer{}, fault.New(fault.Conflict, "vault_entry_authorized", "This vault entry is authorized, and a connector token removes none that is.").
				Do("An owner or admin deletes it.")
		}
		revoke := s.revocation(ctx, entry, c, authorized)
		err = s.Vault.DeleteEntry(ctx, entry, c.Generation)
		if err == nil {
			revoke(ctx)
			s.forgetSecrets(ctx, entry.Tenant, entry.ID, entry.Secrets)
			if entry.Successor != nil {
				s.forgetSecrets(ctx, entry.Tenant, entry.ID, entry.Successor.Secrets)
			}
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

// revoke tells the provider that a refresh token is not needed any more. What the provider does not hear now goes to the
// queue, sealed, with what telling it takes: the entry that had it is gone.
func (s *Service) revoke(ctx context.Context, as client, refresh secret.Text) {
	if as.source.TokenClient(as.entry, as.app).RevokeURL == "" || refresh.IsZero() {
		return
	}
	err := s.tellRevoked(ctx, as, refresh)
	var refusal *oauth.Failure
	if err == nil {
		return
	}
	if !errors.As(err, &refusal) || refusal.Outcome == oauth.Transient || refusal.Outcome == oauth.RateLimited {
		if later := s.keepForRevocation(context.WithoutCancel(ctx), as, refresh); later == nil {
			return
		}
	}
	s.Logger.WarnContext(ctx, "a token that is not needed any more was not revoked at the provider", "tenant", as.entry.Tenant, "entry", as.entry.ID,
		"provider", as.entry.Provider, "error", err.Error())
}

func (s *Service) tellRevoked(ctx context.Context, as client, refresh secret.Text) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeBudget)
	defer cancel()
	return as.source.TokenClient(as.entry, as.app).Revoke(ctx, refresh)
}

// revocationPause is when a revocation that did not come through is tried again first; then as often as the queue has it.
const revocationPause = time.Minute

// pendingRevocation is a revocation on its way through the queue, before it is sealed.
type pendingRevocation struct {
	Entry   record.Entry      `json:"entry"`
	App     record.App        `json:"app"`
	Secrets map[string]string `json:"secrets"`
	Refresh string            `json:"refresh"`
	Schema  int64             `json:"schema,omitempty"`
}

func revocationBinding(tenant, entry string) seal.Binding {
	return seal.Binding{Purpose: "revocation", Tenant: tenant, Record: entry}
}

func (s *Service) keepForRevocation(ctx context.Context, as client, refresh secret.Text) error {
	if s.Enqueue == nil {
		return errors.New("there is no queue")
	}
	pending := pendingRevocation{Entry: as.entry, App: as.app.App, Refresh: refresh.Reveal(), Secrets: map[string]string{}, Schema: schema.Rescued.Carried()}
	for name, value := range as.app.Secrets {
		pending.Secrets[name] = value.Reveal()
	}
	plain, err := json.Marshal(pending)
	if err != nil {
		return errors.New("encoding a revocation failed")
	}
	sealed, err := s.Vault.Sealer.Seal(ctx, revocationBinding(as.entry.Tenant, as.entry.ID), plain)
	if err != nil {
		return err
	}
	body, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	return s.Enqueue(ctx, as.entry.Provider, []tokens.Call{{Op: tokens.Revoke, Tenant: as.entry.Tenant, Entry: as.entry.ID, Rescued: body, NotBefore: s.Now().Add(revocationPause)}})
}

// revokeLater tells the provider what it did not hear when the entry was deleted. An error brings the call back.
func (s *Service) revokeLater(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	var sealed []byte
	if err := json.Unmarshal(call.Rescued, &sealed); err != nil {
		return tokens.Answer{}, errors.New("a revocation cannot be read")
	}
	plain, err := s.Vault.Sealer.Open(ctx, revocationBinding(call.Tenant, call.Entry), sealed)
	if err != nil {
		return tokens.Answer{}, err
	}
	var pending pendingRevocation
	if err := json.Unmarshal(plain, &pending); err != nil {
		return tokens.Answer{}, errors.New("a revocation cannot be read")
	}
	if err := fromRescue(pending.Schema); err != nil {
		return tokens.Answer{}, err
	}
	pending.Entry.Tenant, pending.App.Tenant = call.Tenant, call.Tenant
	adapter, source, err := s.adapter(pending.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	as := client{entry: pending.Entry, adapter: adapter, source: source, app: provider.AppCredentials{App: pending.App, Secrets: map[string]secret.Text{}}}
	for name, value := range pending.Secrets {
		as.app.Secrets[name] = secret.New(value)
	}
	return tokens.Answer{Outcome: tokens.Success}, s.tellRevoked(ctx, as, secret.New(pending.Refresh))
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

// forgetSecrets removes what an entry has no use for in the secret store. What stays behind is found by the search for
// orphans.
func (s *Service) forgetSecrets(ctx context.Context, tenant, entry string, secrets record.SecretGroups) {
	for group, stored := range secrets {
		if err := s.Secrets.DeleteSecret(ctx, vault.GroupSecret(vault.EntrySecret(tenant, entry, stored.Version), group)); err != nil {
			s.Logger.WarnContext(ctx, "a secret that nobody uses any more was not removed and will be", "tenant", tenant, "entry", entry, "error", err.Error())
		}
	}
}
