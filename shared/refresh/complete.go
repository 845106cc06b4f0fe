package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	case r.CodeHash != "" && r.CodeHash != code:
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

// exchange claims the request, spends the code with one POST, and keeps the answer before anything is done with it.
func (s *Service) exchange(ctx context.Context, r record.Request, code secret.Text, owner string) (tokens.Answer, error) {
	entry, err := s.Vault.Entry(ctx, r.Tenant, r.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	adapter, source, err := s.adapter(entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	app, err := s.app(ctx, entry, adapter.Descriptor(), false)
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
	issued, err := s.spend(ctx, until, client{entry, adapter.Descriptor(), source, app}, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Exchange(ctx, code, r.RedirectURI, verifier)
	})
	if err != nil {
		return tokens.Answer{}, s.notExchanged(ctx, r, owner, err)
	}
	if err := s.keepExchanged(ctx, r, owner, issued); err != nil {
		return tokens.Answer{}, err
	}
	return s.activate(ctx, r, entry, adapter, owner, issued)
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
	if err := s.Vault.ReleaseRequest(ctx, r, owner); err != nil {
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
}

// keepExchanged makes the bought tokens durable, in the request or, when the table does not take them, in the rescue queue.
func (s *Service) keepExchanged(ctx context.Context, r record.Request, owner string, issued oauth.Tokens) error {
	set := vault.TokenSet{Access: issued.Access, Refresh: issued.Refresh, Scope: issued.Scope,
		Expires: s.Now().Add(lifetime(issued)).UTC(), Lifetime: lifetime(issued)}
	sealed, err := s.Vault.SealInto(ctx, r, set)
	if err != nil {
		return fmt.Errorf("sealing exchanged tokens: %w", err)
	}
	until := s.Now().Add(identifyBudget + s.StoreBudget)
	err = s.persist(ctx, s.StoreBudget*3/4, func(ctx context.Context) error { return s.Vault.SaveExchanged(ctx, r, owner, until, sealed) }, vault.ErrClaimed)
	if err == nil || errors.Is(err, vault.ErrClaimed) {
		return err
	}
	body, encodeErr := json.Marshal(rescuedExchange{CodeHash: r.CodeHash, Sealed: sealed})
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
	r := record.Request{Tenant: call.Tenant, ID: call.Request, CodeHash: in.CodeHash}
	err := s.persist(ctx, rescuePatience(ctx), func(ctx context.Context) error {
		return s.Vault.SaveExchanged(ctx, r, "rescue", s.Now(), in.Sealed)
	}, vault.ErrClaimed)
	if errors.Is(err, vault.ErrClaimed) {
		return tokens.Answer{Outcome: tokens.LostRace}, nil
	}
	return tokens.Answer{Outcome: tokens.Success}, err
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
	issued := oauth.Tokens{Access: set.Access, Refresh: set.Refresh, Scope: set.Scope, Lifetime: set.Lifetime}
	answer, err := s.activateUntil(ctx, r, entry, adapter, owner, issued, set.Expires)
	return answer, err
}

func (s *Service) activate(ctx context.Context, r record.Request, entry record.Entry, adapter provider.Adapter, owner string, issued oauth.Tokens) (tokens.Answer, error) {
	return s.activateUntil(ctx, r, entry, adapter, owner, issued, s.Now().Add(lifetime(issued)).UTC())
}

// activateUntil identifies the account and puts the tokens in force. What cannot be cured by trying again ends the
// request; otherwise the claim is given back, with the tokens still in it.
func (s *Service) activateUntil(ctx context.Context, r record.Request, entry record.Entry, adapter provider.Adapter, owner string, issued oauth.Tokens, expires time.Time) (tokens.Answer, error) {
	answer, err := s.install(ctx, entry, adapter, r.Claims, issued, expires, &r)
	if err == nil || errors.Is(err, vault.ErrClaimed) {
		return answer, err
	}
	problem := fault.As(err)
	if problem.Kind == fault.Conflict || problem.Kind == fault.Invalid {
		return answer, s.end(ctx, r, owner, problem)
	}
	if releaseErr := s.Vault.ReleaseExchanged(ctx, r, owner); releaseErr != nil {
		s.Logger.WarnContext(ctx, "a claim was not given back and will run out", "tenant", r.Tenant, "entry", r.Entry, "error", releaseErr.Error())
	}
	if problem.Kind == fault.Unavailable || problem.Kind == fault.RateLimited {
		problem.Action = "Consent was given and is kept. Send the same Result URL again, or reload the page, to finish."
	}
	return answer, err
}

// install identifies the account, holds it against the pinned one, and puts the tokens in force as the entry's next
// generation, together with the end of the request that led here, if one did.
func (s *Service) install(ctx context.Context, entry record.Entry, adapter provider.Adapter, claims map[string]string, issued oauth.Tokens, expires time.Time, r *record.Request) (tokens.Answer, error) {
	account, err := s.identify(ctx, entry, adapter, claims, issued.Access)
	if err != nil {
		return tokens.Answer{}, err
	}
	for range 8 {
		before, found, err := s.Vault.Credential(ctx, entry.Tenant, entry.ID)
		if err != nil {
			return tokens.Answer{}, err
		}
		c := record.Credential{Tenant: entry.Tenant, Entry: entry.ID, Provider: entry.Provider}
		prior := (*record.Credential)(nil)
		if found {
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
			return in(c, tokens.Success), nil
		case errors.Is(err, vault.ErrEntryGone):
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
	c.DueAt = s.nextDue(d, entryRef{c.Tenant, c.Entry}, c.Lifetime, expires, now)
	return c, nil
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
	client := provider.Client{HTTP: s.HTTP, Reader: reader, Now: s.Now}
	return identifier.Identify(ctx, entry, claims, func(ctx context.Context, call provider.Call) (provider.Answer, error) {
		answer, _, err := client.Do(ctx, entry, access, call)
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

func name(a record.Account) string {
	if a.Name == "" {
		return a.ID
	}
	return a.Name + " (" + a.ID + ")"
}

// adopt puts a refresh token in force that an owner brings: it is spent once to see that it works.
func (s *Service) adopt(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	adapter, source, err := s.adapter(entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	app, err := s.app(ctx, entry, adapter.Descriptor(), false)
	if err != nil {
		return tokens.Answer{}, err
	}
	if err := s.enoughTime(ctx, false); err != nil {
		return tokens.Answer{}, err
	}
	until := s.Now().Add(s.budget(false) + time.Second)
	issued, err := s.spend(ctx, until, client{entry, adapter.Descriptor(), source, app}, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Refresh(ctx, call.RefreshToken)
	})
	if err != nil {
		return tokens.Answer{}, adoptFault(err)
	}
	if issued.Refresh.IsZero() {
		issued.Refresh = call.RefreshToken
	}
	return s.install(ctx, entry, adapter, call.Claims, issued, s.Now().Add(lifetime(issued)).UTC(), nil)
}

// forget removes an entry with its tokens, all or none. What the provider holds is not ours to remove.
func (s *Service) forget(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	for try := 0; ; try++ {
		entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
		if err != nil {
			return tokens.Answer{}, err
		}
		err = s.Vault.DeleteEntry(ctx, entry)
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return tokens.Answer{Outcome: tokens.Success}, err
		}
	}
}
