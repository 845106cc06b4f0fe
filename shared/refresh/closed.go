package refresh

import (
	"context"
	"errors"

	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// ended answers calls for a tenant that is being deleted, or was: nothing is refreshed, exchanged or put in force for it
// any more. What is still done for it takes away: its entries are forgotten, and providers are told for as long as there
// is a keyring to open what they are told with. Answers that were bought before and come back from rescue are stored
// where their entry is still there, to be forgotten with it, and dropped where it is not.
func (s *Service) ended(ctx context.Context, call tokens.Call) (answer tokens.Answer, ended bool, err error) {
	if call.Op == tokens.Forget || call.Op == tokens.Rescue {
		return answer, false, nil
	}
	tenant, err := s.Vault.Tenant(ctx, call.Tenant)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !tenant.Closed():
		return answer, false, nil
	case err != nil:
		return answer, true, err
	case call.Op == tokens.Revoke && tenant.DestroyedAt.IsZero():
		return answer, false, nil
	case call.Op == tokens.Revoke:
		s.Logger.InfoContext(ctx, "a revocation of a deleted tenant is dropped", "tenant", call.Tenant, "entry", call.Entry)
		return tokens.Answer{Outcome: tokens.AlreadyFresh}, true, nil
	case call.Op == tokens.Due:
		return tokens.Answer{Outcome: tokens.AlreadyFresh}, true, nil // its time came, and it is over
	default:
		return answer, true, vault.NotFound("vault entry", call.Entry)
	}
}
