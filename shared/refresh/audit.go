package refresh

import (
	"context"
	"errors"
	"strings"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// ownClient is how an entry whose own client is the account gets its first token; no door leads there.
const ownClient record.Mode = "own_client"

// actorOf is on whose behalf a call is carried out.
func actorOf(call tokens.Call) audit.Actor {
	switch {
	case call.By.Kind != "":
		return call.By
	case call.Op == tokens.Due:
		return audit.Actor{Kind: audit.Schedule}
	default:
		return audit.Actor{Kind: audit.TokenService}
	}
}

// attempted writes down an attempt to authorize that failed and left nothing else to tell of it.
func (s *Service) attempted(ctx context.Context, call tokens.Call, mode record.Mode, try func(context.Context, tokens.Call) (tokens.Answer, error)) (tokens.Answer, error) {
	answer, err := try(ctx, call)
	if err == nil || fault.KindOf(err) == fault.NotFound {
		return answer, err
	}
	if noteErr := s.Vault.NoteFailedAuthorization(ctx, call.Tenant, call.Entry, mode, fault.CodeOf(err)); noteErr != nil {
		s.Logger.ErrorContext(ctx, "a failed authorization was not written down", "tenant", call.Tenant, "entry", call.Entry, "error", noteErr.Error())
	}
	return answer, err
}

// deny writes down that consent was denied. The functions that hear of it have no key for audit events, and no right to
// write them.
func (s *Service) deny(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	r, err := s.Vault.Request(ctx, call.Tenant, call.Request)
	if errors.Is(err, store.ErrNotFound) {
		return tokens.Answer{}, RequestUnknown()
	}
	if err != nil {
		return tokens.Answer{}, err
	}
	return tokens.Answer{Outcome: tokens.Success}, s.Vault.DenyRequest(ctx, r, call.Reason)
}

// auditTrims is how often audit events of one tenant are removed, ten at a time, when the schedule comes by: once a day.
const auditTrims = 50

// trimAudit removes audit events that are too old. Each tenant has a keyring, and the schedule passes all of them once a
// day: name is that of a secret.
func (s *Service) trimAudit(ctx context.Context, name string) error {
	tenant, _, _ := strings.Cut(name, "/")
	if name != keyring.Name(tenant) {
		return nil
	}
	for range auditTrims {
		_, more, err := s.Vault.TrimAudit(ctx, tenant)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
