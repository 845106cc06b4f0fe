package read

import (
	"context"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/tokens"
)

// withGrant gives a call the application's own token, where its operation concerns no account.
func (s *Service) withGrant(ctx context.Context, t *target, call provider.Call) (provider.Call, error) {
	scope := call.Op.Grantless
	if scope == "" || !call.Access.IsZero() {
		return call, nil
	}
	for range 2 {
		app, found, err := s.Vault.App(ctx, t.entry.Tenant, t.entry.Provider, t.entry.APIEnvironment)
		if err != nil {
			return call, err
		}
		if !found {
			break // the token service says it better
		}
		set, found, err := s.Vault.KeptGrant(ctx, app, scope)
		if err != nil {
			return call, err
		}
		if found && s.Now().Add(time.Minute).Before(set.Expires) {
			call.Access = set.Access
			return call, nil
		}
		if _, err := s.Tokens(ctx, tokens.Call{Op: tokens.Grant, Tenant: t.entry.Tenant, Entry: t.entry.ID, Scope: scope}); err != nil {
			return call, err
		}
	}
	return call, fault.New(fault.Unavailable, "provider_unavailable", "There is no token of the application's own.").
		Do("Try again in a moment.").After(2 * time.Second)
}
