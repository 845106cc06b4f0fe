package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// identifyBudget is how long finding out whose account it is may take.
const identifyBudget = 10 * time.Second

// complete exchanges an authorization request's code and puts the tokens in force. However often and from wherever it
// is asked, a request leads to one exchange: who does not get the claim waits for what the claimant made of it, and
// who comes after a claimant that died goes on from where that one stopped.
func (s *Service) complete(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	owner, err := ident.New(s.Random, "claim_")
	if err != nil {
		return tokens.Answer{}, err
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 400*time.Millisecond) {
		r, err := s.Vault.Request(ctx, call.Tenant, call.Request)
		if errors.Is(err, store.ErrNotFound) {
			return tokens.Answer{}, RequestUnknown()
		}
		if err != nil {
			return tokens.Answer{}, err
		}
		answer, err := s.advance(ctx, r, call, owner)
		if !errors.Is(err, vault.ErrClaimed) {
			return answer, err
		}
		if err := sleep(ctx, pause); err != nil {
			return tokens.Answer{}, unavailable(err)
		}
	}
}

// advance takes a request as far as it can. vault.ErrClaimed means that it is somebody else's just now: look again.
func (s *Service) advance(ctx context.Context, r record.Request, call tokens.Call, owner string) (tokens.Answer, error) {
	code := call.Code.Fingerprint()
	switch {
	case r.Stage == record.Superseded:
		return tokens.Answer{}, RequestSuperseded(r.Entry)
	case r.CodeHash != "" && !secret.New(r.CodeHash).Equal(secret.New(code)):
		return tokens.Answer{}, RequestUsed(r.Entry)
	case r.Stage == record.Done:
		return s.done(ctx, r)
	case r.Stage == record.Failed:
		return tokens.Answer{}, storedFault(r)
	case r.Stage == record.Exchanged:
		return s.resume(ctx, r, owner)
	case !s.Now().Before(r.Expires):
		return tokens.Answer{}, RequestExpired(r.Entry)
	case r.Stage == record.Open && r.Mode != record.ResultURL:
		return tokens.Answer{}, RequestUnknown() // its browser was never sent to the provider
	default:
		r.CodeHash, r.Claims = code, call.Claims
		return s.exchange(ctx, r, call.Code, owner)
	}
}

// done gives the first result again.
func (s *Service) done(ctx context.Context, r record.Request) (tokens.Answer, error) {
	c, found, err := s.Vault.Credential(ctx, r.Tenant, r.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if !found {
		return tokens.Answer{}, vault.NotFound("vault entry", r.Entry)
	}
	return in(c, tokens.Success), nil
}

func storedFault(r record.Request) error {
	var f fault.Error
	if err := json.Unmarshal(r.Failure, &f); err != nil {
		return errors.New("the failure of an authorization request cannot be read")
	}
	return &f
}

// resume goes on after an exchange whose owner did not get to the end.
func (s *Service) resume(ctx context.Context, r record.Request, owner string) (tokens.Answer, error) {
	if err := s.Vault.ClaimExchanged(ctx, r, owner, s.Now().Add(identifyBudget+s.StoreBudget)); err != nil {
		return tokens.Answer{}, err
	}
	entry, err := s.Vault.Entry(ctx, r.Tenant, r.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	adapter, _, err := s.adapter(entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	set, err := s.Vault.OpenFrom(ctx, r)
	if err != nil {
		return tokens.Answer{}, storeUnavailable(err)
	}
	issued := oauth.Tokens{Access: set.Access, Refresh: set.Refresh, Scope: set.Scope, Lifetime: set.Lifetime,
		RefreshLifetime: set.RefreshLifetime, Claims: set.Claims}
	return s.activate(ctx, r, entry, adapter, owner, issued, set.Expires)
}

// activate identifies the account and puts the tokens in force. What cannot be cured by trying again ends the
// request; otherwise the claim is given back, with the tokens still in it.
func (s *Service) activate(ctx context.Context, r record.Request, entry record.Entry, adapter provider.Adapter, owner string, issued oauth.Tokens, expires time.Time) (tokens.Answer, error) {
	answer, err := s.install(ctx, entry, adapter, r.Claims, issued, expires, &r)
	if err == nil || errors.Is(err, vault.ErrClaimed) {
		return answer, err
	}
	problem := fault.As(err)
	if problem.Kind == fault.Conflict || problem.Kind == fault.Invalid {
		return answer, s.end(ctx, r, owner, problem)
	}
	if releaseErr := s.Vault.ReleaseExchanged(ctx, r, owner, problem.Code); releaseErr != nil {
		s.Logger.WarnContext(ctx, "a claim was not given back and will run out", "tenant", r.Tenant, "entry", r.Entry, "error", releaseErr.Error())
	}
	if problem.Kind == fault.Unavailable || problem.Kind == fault.RateLimited {
		problem.Action = "Consent was given and is kept. Send the same Result URL again, or reload the page, to finish."
	}
	return answer, err
}
