package refresh

import (
	"context"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// grantMargin is how much life a kept token of an application's own must have to be used.
const grantMargin = time.Minute

// grant makes sure that a token of the application's own is kept, for a scope. Nothing is spent by asking, so two who
// ask at once both get one, and the later is kept.
func (s *Service) grant(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	as, err := s.client(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	kept, found, err := s.Vault.KeptGrant(ctx, as.app.App, call.Scope)
	if err != nil {
		return tokens.Answer{}, err
	}
	if found && !call.Force && s.Now().Add(grantMargin).Before(kept.Expires) {
		return tokens.Answer{Outcome: tokens.AlreadyFresh, Expires: kept.Expires}, nil
	}
	set, err := s.newGrant(ctx, as, call.Scope)
	if err != nil {
		return tokens.Answer{}, err
	}
	return tokens.Answer{Outcome: tokens.Success, Expires: set.Expires}, nil
}

// newGrant asks for a token of the application's own and keeps it.
func (s *Service) newGrant(ctx context.Context, as client, scope string) (vault.TokenSet, error) {
	if err := s.enoughTime(ctx, false); err != nil {
		return vault.TokenSet{}, err
	}
	issued, err := s.spend(ctx, s.Now().Add(s.budget(false)+time.Second), as, metric.ClientCredentials, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.ClientCredentials(ctx, scope)
	})
	if err != nil {
		return vault.TokenSet{}, adoptFault(err)
	}
	set := vault.TokenSet{Access: issued.Access, Lifetime: lifetime(issued), Expires: s.Now().Add(lifetime(issued)).UTC()}
	if err := s.Vault.KeepGrant(ctx, as.app.App, scope, set); err != nil {
		return set, fault.Wrap(err, fault.Unavailable, "store_unavailable", "The vault's store does not answer now.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
	return set, nil
}
