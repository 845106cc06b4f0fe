package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// exchange claims the request, spends the code with one POST, and keeps the answer before anything is done with it.
func (s *Service) exchange(ctx context.Context, r record.Request, code secret.Text, owner string) (tokens.Answer, error) {
	as, err := s.client(ctx, r.Tenant, r.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	verifier, err := s.Vault.OpenVerifier(ctx, r)
	if err != nil {
		return tokens.Answer{}, err
	}
	// Sealing something now fetches the tenant's keys, so that keeping the answer does not wait for them.
	if _, err := s.Vault.SealInto(ctx, r, vault.TokenSet{}); err != nil {
		return tokens.Answer{}, storeUnavailable(err)
	}
	if err := s.enoughTime(ctx, false); err != nil {
		return tokens.Answer{}, err
	}
	// The claim outlives a rescue too: a code that is offered again may cost the tokens that are on their way.
	until := s.Now().Add(s.budget(true) + time.Second)
	if err := s.Vault.ClaimRequest(ctx, r, owner, until); err != nil {
		return tokens.Answer{}, err
	}
	issued, err := s.spend(ctx, until, as, metric.Exchange, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Exchange(ctx, code, r.RedirectURI, verifier)
	})
	if err != nil {
		return tokens.Answer{}, s.notExchanged(ctx, r, owner, err)
	}
	if err := s.keepExchanged(ctx, r, owner, issued); err != nil {
		return tokens.Answer{}, err
	}
	return s.activate(ctx, r, as.entry, as.adapter, owner, issued, s.Now().Add(lifetime(issued)).UTC())
}

// notExchanged ends the request when its code is worth nothing any more, and gives the claim back otherwise.
func (s *Service) notExchanged(ctx context.Context, r record.Request, owner string, cause error) error {
	var refusal *oauth.Failure
	if !errors.As(cause, &refusal) {
		refusal = &oauth.Failure{Outcome: oauth.Transient, Spent: true}
	}
	s.Logger.WarnContext(ctx, "code not exchanged", "tenant", r.Tenant, "entry", r.Entry, "provider", r.Provider,
		"outcome", string(refusal.Outcome), "status", refusal.Status, "code", refusal.Code, "request_id", refusal.RequestID)
	problem := exchangeFault(r, refusal)
	if refusal.Outcome == oauth.Revoked {
		return s.end(ctx, r, owner, problem)
	}
	if err := s.Vault.ReleaseRequest(ctx, r, owner, problem.Code); err != nil {
		s.Logger.WarnContext(ctx, "a claim was not given back and will run out", "tenant", r.Tenant, "entry", r.Entry, "error", err.Error())
	}
	return problem
}

// end keeps the answer that the request gives from now on, and returns it. Should it not be kept, the next one finds it
// out anew. vault.ErrClaimed when the request is somebody else's by now: then what became of it is the answer.
func (s *Service) end(ctx context.Context, r record.Request, owner string, problem *fault.Error) error {
	answer, err := json.Marshal(problem)
	if err == nil {
		err = s.Vault.FailRequest(ctx, r, owner, answer)
	}
	if errors.Is(err, vault.ErrClaimed) {
		return err
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "the end of an authorization request was not kept", "tenant", r.Tenant, "entry", r.Entry, "error", err.Error())
	}
	return problem
}

// rescuedExchange is a sealed answer to an exchange on its way through the rescue queue.
type rescuedExchange struct {
	CodeHash string `json:"code_hash"`
	Sealed   []byte `json:"sealed"`
	Schema   int64  `json:"schema,omitempty"`
}

// keepExchanged makes the bought tokens durable, in the request or, when the table does not take them, in the rescue queue.
func (s *Service) keepExchanged(ctx context.Context, r record.Request, owner string, issued oauth.Tokens) error {
	set := vault.TokenSet{Access: issued.Access, Refresh: issued.Refresh, Scope: issued.Scope, Expires: s.Now().Add(lifetime(issued)).UTC(),
		Lifetime: lifetime(issued), RefreshLifetime: issued.RefreshLifetime, Claims: issued.Claims}
	sealed, err := s.Vault.SealInto(ctx, r, set)
	if err != nil {
		return fmt.Errorf("sealing exchanged tokens: %w", err)
	}
	until := s.Now().Add(identifyBudget + s.StoreBudget)
	err = s.persist(ctx, s.StoreBudget*3/4, func(ctx context.Context) error { return s.Vault.SaveExchanged(ctx, r, owner, until, sealed) }, vault.ErrClaimed)
	if err == nil || errors.Is(err, vault.ErrClaimed) {
		return err
	}
	body, encodeErr := json.Marshal(rescuedExchange{CodeHash: r.CodeHash, Sealed: sealed, Schema: schema.Rescued.Carried()})
	if encodeErr != nil {
		return errors.New("encoding a sealed answer failed")
	}
	return s.sendToRescue(ctx, tokens.Call{Op: tokens.Rescue, Tenant: r.Tenant, Entry: r.Entry, Request: r.ID, Rescued: body}, err)
}

// rescuedRequest applies exchanged tokens that come back from the rescue queue. Validating again goes on from there.
func (s *Service) rescuedRequest(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	var in rescuedExchange
	if err := json.Unmarshal(call.Rescued, &in); err != nil {
		return tokens.Answer{}, errors.New("a rescued answer cannot be read")
	}
	if err := fromRescue(in.Schema); err != nil {
		return tokens.Answer{}, err
	}
	r := record.Request{Tenant: call.Tenant, ID: call.Request, CodeHash: in.CodeHash}
	err := s.persist(ctx, rescuePatience(ctx), func(ctx context.Context) error {
		return s.Vault.SaveExchanged(ctx, r, "rescue", s.Now(), in.Sealed)
	}, vault.ErrClaimed)
	if errors.Is(err, vault.ErrClaimed) {
		return tokens.Answer{Outcome: tokens.LostRace}, nil
	}
	return tokens.Answer{Outcome: tokens.Success}, err
}
