package refresh

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// acquireOwn gets the first token of an entry whose own client is the account: nobody consents, and nothing is spent. What
// the client may read is found out on the way, with the account.
func (s *Service) acquireOwn(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	as, err := s.client(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	issued, err := s.ownToken(ctx, as)
	if err != nil {
		return tokens.Answer{}, err
	}
	return s.install(ctx, as.entry, as.adapter, nil, issued, s.Now().Add(lifetime(issued)).UTC(), nil)
}

// ownToken asks for a token with a client's own credentials, outside the cycle: nothing is spent by it, and a token that
// is lost is asked for again.
func (s *Service) ownToken(ctx context.Context, as client) (oauth.Tokens, error) {
	if err := s.enoughTime(ctx, false); err != nil {
		return oauth.Tokens{}, err
	}
	issued, err := s.spend(ctx, s.Now().Add(s.budget(false)+time.Second), as, metric.ClientCredentials, clientCredentials)
	if err != nil {
		return issued, adoptFault(err)
	}
	return issued, nil
}

// clientCredentials asks for a token with the client's own credentials (RFC 6749, 4.4).
func clientCredentials(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
	return c.ClientCredentials(ctx, "")
}

// try shows whether the client that waits beside an entry's own works, and what it may read. Its token is not kept: it
// has another account's rights until the client is put in force.
func (s *Service) try(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	entry, err := s.waiting(ctx, call)
	if err != nil {
		return tokens.Answer{}, err
	}
	_, _, account, err := s.succeeded(ctx, entry)
	return tokens.Answer{Outcome: tokens.Success, Reads: account.Reads}, err
}

// waiting reads an entry beside whose client the one that is meant waits.
func (s *Service) waiting(ctx context.Context, call tokens.Call) (record.Entry, error) {
	entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
	if err == nil && (entry.Successor == nil || entry.Successor.Number != call.Client) {
		err = fault.New(fault.NotFound, "not_found", "No client of this number waits beside the vault entry's own.").
			Do("See the entry's credentials.")
	}
	return entry, err
}

// succeeded is who an entry's successor is, by a token of its own.
func (s *Service) succeeded(ctx context.Context, entry record.Entry) (as client, issued oauth.Tokens, account record.Account, err error) {
	if as, err = s.clientOf(ctx, entry.Succeeded()); err != nil {
		return as, issued, account, err
	}
	if issued, err = s.ownToken(ctx, as); err != nil {
		return as, issued, account, err
	}
	account, err = s.identify(ctx, as.entry, as.adapter, issued.Claims, issued.Access)
	return as, issued, account, err
}

// promote puts the client that waits beside an entry's own in force. The irreversible step is one write of entry and
// credential: before it the old client is whole, after it the new one is, and a call that dies in between is repeated. It
// answers when no read uses the old client any more.
func (s *Service) promote(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	for range 4 {
		entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
		if err != nil {
			return tokens.Answer{}, err
		}
		if entry.Clients > 0 && entry.ClientNumber() == call.Client {
			return tokens.Answer{Outcome: tokens.AlreadyFresh}, s.outlast(ctx, entry.UpdatedAt)
		}
		if entry, err = s.waiting(ctx, call); err != nil {
			return tokens.Answer{}, err
		}
		answer, err := s.succeed(ctx, entry)
		if !errors.Is(err, vault.ErrOvertaken) {
			return answer, err
		}
	}
	return tokens.Answer{}, unavailable(vault.ErrOvertaken)
}

// succeed is one try at promote. vault.ErrOvertaken when the entry or its credential was changed meanwhile.
func (s *Service) succeed(ctx context.Context, entry record.Entry) (tokens.Answer, error) {
	as, issued, account, err := s.succeeded(ctx, entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	expires := s.Now().Add(lifetime(issued)).UTC()
	before, found, err := s.Vault.Credential(ctx, entry.Tenant, entry.ID)
	if err != nil {
		return tokens.Answer{}, err
	}
	prior := &before
	if !found {
		prior = nil
	}
	c := record.Credential{Tenant: entry.Tenant, Entry: entry.ID, Provider: entry.Provider, Client: as.fingerprint(), ClientNumber: as.entry.ClientNumber()}
	if c, err = s.nextCredential(ctx, c, before.Generation+1, as.adapter.Descriptor(), account, issued, expires); err != nil {
		return tokens.Answer{}, err
	}
	as.entry.UpdatedAt = s.Now().UTC()
	err = s.Vault.Promote(ctx, entry, as.entry, prior, c)
	if errors.Is(err, vault.ErrEntryGone) {
		return tokens.Answer{}, vault.NotFound("vault entry", entry.ID)
	}
	if err != nil {
		return tokens.Answer{}, err
	}
	s.Logger.InfoContext(ctx, "another client of an entry is in force", "tenant", c.Tenant, "entry", c.Entry, "provider", c.Provider,
		"client", c.ClientNumber, "generation", c.Generation)
	s.settle(ctx, c.Tenant, c.Entry)
	if err := s.outlast(ctx, as.entry.UpdatedAt); err != nil {
		return tokens.Answer{}, err
	}
	s.forgetSecrets(ctx, entry.Tenant, entry.ID, entry.Secrets) // nobody reads by them any more
	return in(c, tokens.Success), nil
}

// callBegun is how long a call takes to begin, from when a read has last looked whose certificate it comes with.
const callBegun = time.Second

// outlast waits until no read goes by what was so before a moment.
func (s *Service) outlast(ctx context.Context, moment time.Time) error {
	left := moment.Add(vault.ReadMemory + callBegun).Sub(s.Now())
	if left <= 0 {
		return nil
	}
	if err := sleep(ctx, min(left, vault.ReadMemory+callBegun)); err != nil {
		return tokens.NotYet(err)
	}
	return nil
}

// clientMoved reports whether the token set belongs to another client than the entry's that was read: one of the two was
// read before a client was promoted, and the other after it.
func clientMoved(d *provider.Descriptor, entry record.Entry, c record.Credential) bool {
	return d.OwnGrant && c.ClientNumber != 0 && c.ClientNumber != entry.ClientNumber()
}
