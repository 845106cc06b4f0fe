package refresh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// install identifies the account, holds it against the pinned one, and puts the tokens in force as the entry's next
// generation, together with the end of the request that led here, if one did.
func (s *Service) install(ctx context.Context, entry record.Entry, adapter provider.Adapter, claims map[string]string, issued oauth.Tokens, expires time.Time, r *record.Request) (tokens.Answer, error) {
	account, err := s.identify(ctx, entry, adapter, together(claims, issued.Claims), issued.Access)
	if err != nil {
		return tokens.Answer{}, err
	}
	if err := s.reachesMembers(ctx, entry, adapter.Descriptor(), account); err != nil {
		return tokens.Answer{}, err
	}
	givenTo := ""
	if as, err := s.clientOf(ctx, entry); err == nil {
		givenTo = as.fingerprint()
	}
	for range 8 {
		before, found, err := s.Vault.Credential(ctx, entry.Tenant, entry.ID)
		if err != nil {
			return tokens.Answer{}, err
		}
		c := record.Credential{Tenant: entry.Tenant, Entry: entry.ID, Provider: entry.Provider, Client: givenTo}
		if adapter.Descriptor().OwnGrant {
			c.ClientNumber = entry.ClientNumber()
		}
		prior := (*record.Credential)(nil)
		if found {
			if clientMoved(adapter.Descriptor(), entry, before) {
				return in(before, tokens.LostRace), nil
			}
			if mismatch := pinned(before.Account, account); mismatch != nil {
				return tokens.Answer{}, mismatch
			}
			prior = &before
		}
		if c, err = s.nextCredential(ctx, c, before.Generation+1, adapter.Descriptor(), account, issued, expires); err != nil {
			return tokens.Answer{}, err
		}
		err = s.Vault.Authorize(ctx, prior, c, r)
		switch {
		case err == nil:
			s.Logger.InfoContext(ctx, "account authorized", "tenant", c.Tenant, "entry", c.Entry, "provider", c.Provider,
				"generation", c.Generation, "identity", string(account.Identity))
			s.settle(ctx, c.Tenant, c.Entry)
			return in(c, tokens.Success), nil
		case errors.Is(err, vault.ErrEntryGone):
			s.giveBack(ctx, entry, issued.Refresh)
			return tokens.Answer{}, vault.NotFound("vault entry", entry.ID)
		case !errors.Is(err, vault.ErrOvertaken):
			return tokens.Answer{}, err
		}
	}
	return tokens.Answer{}, unavailable(vault.ErrOvertaken)
}

func (s *Service) nextCredential(ctx context.Context, c record.Credential, generation int64, d *provider.Descriptor, account record.Account, issued oauth.Tokens, expires time.Time) (record.Credential, error) {
	now := s.Now().UTC()
	sealed, err := s.Vault.SealTokens(ctx, c, generation, vault.TokenSet{Access: issued.Access, Refresh: issued.Refresh, Scope: issued.Scope})
	if err != nil {
		return c, storeUnavailable(err)
	}
	id, err := ident.New(s.Random, "commit_")
	if err != nil {
		return c, err
	}
	c.Generation, c.Sealed, c.Commit, c.Status, c.Account = generation, sealed, id, record.Active, &account
	c.Lifetime, c.Expires, c.Refreshed, c.Authorized = lifetime(issued), expires, now, now
	if d.AuthorizationLife > 0 {
		c.AuthorizationExpires = now.Add(d.AuthorizationLife)
	}
	c.RefreshExpires = refreshEnds(d, issued, expires.Add(-c.Lifetime))
	c.DueAt = now.Add(vault.NoticePause) // to tell of the authorization, should this process not get to it
	return c, nil
}

// together are the callback's claims and the token endpoint's, whose word counts for more: no browser carried it.
func together(callback, endpoint map[string]string) map[string]string {
	out := maps.Clone(callback)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, endpoint)
	return out
}

// identify asks the provider whose account it is. A provider that cannot say is believed to be what it claims.
func (s *Service) identify(ctx context.Context, entry record.Entry, adapter provider.Adapter, claims map[string]string, access secret.Text) (record.Account, error) {
	identifier, can := adapter.(provider.Identifier)
	reader, reads := adapter.(provider.Reader)
	if !can || !reads {
		return record.Account{Identity: record.Claimed}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, identifyBudget)
	defer cancel()
	on, err := s.session(ctx, entry, adapter.Descriptor(), access)
	if err != nil {
		return record.Account{}, err
	}
	client := provider.Client{HTTP: s.HTTP, Reader: reader, Now: s.Now}
	return identifier.Identify(ctx, entry, claims, func(ctx context.Context, call provider.Call) (provider.Answer, error) {
		answer, _, err := client.Do(ctx, on, call)
		return answer, err
	})
}

// pinned refuses another account than the one the entry belongs to.
func pinned(have *record.Account, now record.Account) *fault.Error {
	if have == nil || have.ID == "" || now.ID == have.ID {
		return nil
	}
	return fault.New(fault.Conflict, "account_mismatch", "Consent was given for another account than the one this vault entry belongs to.").
		Do("Sign in as " + name(*have) + " and authorize again, or make a new vault entry for the other account.")
}

// reachesMembers refuses an authorization that does not reach what the entry's connectors name: they would read nothing
// from then on, or, where a provider answers for whatever it likes best, something else.
func (s *Service) reachesMembers(ctx context.Context, entry record.Entry, d *provider.Descriptor, account record.Account) error {
	if d.Member == "" { // how many there are is no reason: the entry was read before consent was exchanged
		return nil
	}
	reached := func(id string) bool {
		return slices.ContainsFunc(account.Members, func(m record.Member) bool { return m.ID == id })
	}
	for after := ""; ; {
		page, err := s.Vault.Connectors(ctx, entry.Tenant, after, 100, func(c record.Connector) bool { return c.Entry == entry.ID })
		if err != nil {
			return err
		}
		for _, c := range page.Items {
			for _, id := range c.Settings[d.Member] {
				if !reached(id) {
					return fault.New(fault.Conflict, "account_mismatch", "Consent was given by a user who does not reach the "+d.Member+" of the connector "+c.Name+".").
						Do("Sign in as a user who does and authorize again, or delete the connector first.")
				}
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

func name(a record.Account) string {
	if a.Name == "" {
		return a.ID
	}
	return a.Name + " (" + a.ID + ")"
}
