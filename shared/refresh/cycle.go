package refresh

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// Margin is how much life "enough" asks of a token: a fifth of its lifetime, at most most. Following the lifetime keeps
// a five-minute token from being refreshed at every read, however long the configured margin.
func Margin(lifetime, most time.Duration) time.Duration { return min(most, lifetime/5) }

// refresh makes sure that a token set with enough life is in force. Numbers are the steps of docs/refresh-cycle.md.
func (s *Service) refresh(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	first := int64(0) // the generation found first; a moved one means that somebody else refreshed
	for n, pause := 0, 50*time.Millisecond; ; n, pause = n+1, min(2*pause, 400*time.Millisecond) {
		entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
		if err != nil {
			return tokens.Answer{}, err
		}
		c, found, err := s.Vault.Credential(ctx, call.Tenant, call.Entry) // step 1
		if err != nil {
			return tokens.Answer{}, err
		}
		if !found && !entry.Disabled && s.ownGrant(entry) {
			return s.acquireOwn(ctx, call)
		}
		if answer, err, ended := s.settled(ctx, entry, c, found, call, first); ended {
			return answer, err
		}
		if first == 0 {
			first = c.Generation
		}
		if c.Lease == nil || !s.Now().Before(c.Lease.Until) {
			answer, err := s.attempt(ctx, entry, c)
			if !errors.Is(err, vault.ErrHeld) {
				return answer, err
			}
		}
		if n == 0 {
			s.Metrics.Count(ctx, metric.LeaseConflict, metric.About{Tenant: call.Tenant, Entry: call.Entry})
		}
		if err := sleep(ctx, pause); err != nil { // somebody else has the lease: wait for what comes of it
			return tokens.Answer{}, unavailable(err)
		}
	}
}

// settled reports whether there is nothing to do, or nothing that can be done.
func (s *Service) settled(ctx context.Context, entry record.Entry, c record.Credential, found bool, call tokens.Call, first int64) (tokens.Answer, error, bool) {
	switch {
	case entry.Disabled:
		return tokens.Answer{}, vault.EntryDisabled(entry.ID), true
	case !found:
		return tokens.Answer{}, vault.NotAuthorized(entry.ID), true
	case c.Status == record.Reauth:
		return tokens.Answer{Outcome: outcomeOf(c.Cause), Generation: c.Generation, Fault: vault.Reauthorize(c)}, nil, true
	case first != 0 && c.Generation != first:
		return in(c, tokens.LostRace), nil, true
	case s.fresh(c, call):
		return in(c, tokens.AlreadyFresh), nil, true
	case s.backingOff(c, call, first) && !s.mended(ctx, entry, c):
		return tokens.Answer{Outcome: tokens.Outcome(c.Failure.Outcome), Generation: c.Generation, Expires: c.Expires,
			Fault: failureFault(*c.Failure, c.Failure.RetryAt.Sub(s.Now()))}, nil, true
	default:
		return tokens.Answer{}, nil, false
	}
}

// in answers with the set in force.
func in(c record.Credential, outcome tokens.Outcome) tokens.Answer {
	return tokens.Answer{Outcome: outcome, Generation: c.Generation, Expires: c.Expires}
}

func (s *Service) fresh(c record.Credential, call tokens.Call) bool {
	if call.FailedGeneration == c.Generation || call.FailedGeneration == 0 && call.Force {
		return false
	}
	return s.Now().Add(Margin(c.Lifetime, s.MaxMargin)).Before(c.Expires)
}

// backingOff reports whether a recent failure says to wait. A person who asks for a refresh by name is let through,
// unless it was the provider that said how long. A caller who waited for somebody else's try hears how it ended.
func (s *Service) backingOff(c record.Credential, call tokens.Call, first int64) bool {
	if c.Failure == nil || !s.Now().Before(c.Failure.RetryAt) {
		return false
	}
	return !call.Force || first != 0 || c.Failure.Outcome == string(tokens.RateLimited)
}

// mended reports whether the client was registered anew since the provider refused it: then there is nothing to wait for.
func (s *Service) mended(ctx context.Context, entry record.Entry, c record.Credential) bool {
	if c.Failure.Outcome != string(tokens.Misconfigured) {
		return false
	}
	adapter, _, err := s.adapter(entry)
	if err != nil {
		return false
	}
	if !adapter.Descriptor().UsesApp(entry) {
		return entry.UpdatedAt.After(c.Failure.At)
	}
	app, found, err := s.Vault.App(ctx, entry.Tenant, entry.Provider, entry.APIEnvironment)
	return err == nil && found && app.UpdatedAt.After(c.Failure.At)
}

// ownGrant reports whether an entry's own client is the account.
func (s *Service) ownGrant(entry record.Entry) bool {
	adapter, _, err := s.adapter(entry)
	return err == nil && adapter.Descriptor().OwnGrant
}

// attempt is steps 2 to 5, for the caller that gets the lease. vault.ErrHeld when it does not.
func (s *Service) attempt(ctx context.Context, entry record.Entry, c record.Credential) (tokens.Answer, error) {
	as, err := s.clientOf(ctx, entry)
	if err != nil {
		if again, _ := s.Vault.Entry(ctx, entry.Tenant, entry.ID); again.Revision > entry.Revision {
			err = vault.ErrHeld // its secrets were changed under our hands; both are read again
		}
		return tokens.Answer{}, err
	}
	if clientMoved(as.adapter.Descriptor(), entry, c) {
		return tokens.Answer{}, vault.ErrHeld // both are read again
	}
	if c.Client != "" && c.Client != as.fingerprint() {
		// Another client would be refused, and the refusal would read as if the authorization were gone.
		return tokens.Answer{Outcome: tokens.Misconfigured, Generation: c.Generation, Expires: c.Expires, Fault: otherClient(entry)}, nil
	}
	set, err := s.Vault.OpenTokens(ctx, c) // also warms the keyring: sealing the answer must not wait for it
	if err != nil {
		return tokens.Answer{}, err
	}
	d := as.adapter.Descriptor()
	op, post := metric.Refresh, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) { return c.Refresh(ctx, set.Refresh) }
	switch {
	case d.OwnGrant:
		op, post = metric.ClientCredentials, clientCredentials
	case set.Refresh.IsZero():
		return tokens.Answer{}, notRefreshable(entry.ID)
	}
	prior, died := c.Intent, c.Lease != nil // a lease that ran out was never ended: its owner died
	holdOff := prior != nil && died && d.Rotates
	if err := s.enoughTime(ctx, holdOff); err != nil {
		return tokens.Answer{}, err
	}
	leased, err := s.acquire(ctx, c, set.Refresh, holdOff) // step 2
	if err != nil {
		return tokens.Answer{}, err
	}
	if holdOff {
		if moved, answer, err := s.holdOff(ctx, leased); moved || err != nil {
			return answer, err
		}
	}
	started := s.Now()
	issued, err := s.spend(ctx, leased.Lease.Until, as, op, post) // step 3
	if err != nil {
		return s.failed(ctx, leased, d, prior, err)
	}
	answer, err := s.commit(ctx, leased, as, set, issued, started) // steps 4 and 5
	if fault.KindOf(err) == fault.NotFound {
		s.revoke(ctx, as, issued.Refresh) // the entry was deleted meanwhile, and this token was not there to be revoked
	}
	return answer, err
}

// acquire takes the lease for as long as the whole attempt may last.
func (s *Service) acquire(ctx context.Context, c record.Credential, spent secret.Text, holdOff bool) (record.Credential, error) {
	owner, err := ident.New(s.Random, "lease_")
	if err != nil {
		return c, err
	}
	now := s.Now()
	return s.Vault.Acquire(ctx, c, owner, now.Add(s.budget(holdOff)+time.Second),
		record.Intent{Generation: c.Generation, Hash: spent.Fingerprint(), At: now.UTC()})
}

// budget is the longest that an attempt lasts. The lease outlives it, so nobody else spends the token meanwhile.
func (s *Service) budget(holdOff bool) time.Duration {
	budget := s.PostTimeout + s.StoreBudget
	if holdOff {
		budget += s.RescueInterval
	}
	return budget
}

// enoughTime refuses to begin what the function's deadline would cut off.
func (s *Service) enoughTime(ctx context.Context, holdOff bool) error {
	deadline, ok := ctx.Deadline()
	if ok && time.Until(deadline) < s.budget(holdOff) {
		return fault.New(fault.Unavailable, "provider_unavailable", "There is not enough time left to refresh the token safely.").
			Do("Try again.").After(time.Second)
	}
	return nil
}

// holdOff waits for the answer that a dead owner may have sent to the rescue queue, and looks again.
func (s *Service) holdOff(ctx context.Context, leased record.Credential) (moved bool, answer tokens.Answer, err error) {
	if err := sleep(ctx, s.RescueInterval); err != nil {
		return false, answer, unavailable(err)
	}
	now, found, err := s.Vault.Credential(ctx, leased.Tenant, leased.Entry)
	switch {
	case err != nil:
		return false, answer, err
	case !found:
		return true, answer, vault.NotFound("vault entry", leased.Entry)
	case now.Generation != leased.Generation:
		return true, in(now, tokens.LostRace), nil
	default:
		return false, answer, nil
	}
}

// spend makes the one POST that spends a token or a code. Its time ends before until, when the lease or claim does,
// with enough left to make the answer durable, however long taking the lease took: whoever comes next must not find
// the token still on its way.
//
// A client that is refused has spent nothing. Its secret may have been changed since it was cached, or be the one of two
// that does not work yet, or any more. Then there is a second POST, in what is left of the same time.
func (s *Service) spend(ctx context.Context, until time.Time, as client, op metric.Operation, post func(context.Context, oauth.Client) (oauth.Tokens, error)) (issued oauth.Tokens, err error) {
	limit := min(s.PostTimeout, until.Sub(s.Now())-s.StoreBudget)
	if limit <= wakeGrace { // the lease came so late that nothing may be begun under it
		return oauth.Tokens{}, &oauth.Failure{Outcome: oauth.Transient}
	}
	measure, stop := context.WithTimeout(ctx, limit)
	defer stop()
	deadline, _ := measure.Deadline()
	ctx, cancel := wakefully(ctx, limit)
	defer cancel()
	if as.adapter.Descriptor().OwnGrant {
		post = ofTheClient(post)
	}
	post = s.counted(as, op, post)
	defer func() { s.countRefused(ctx, as, err) }()
	issued, err = post(ctx, as.source.TokenClient(as.entry, as.app))
	if !rejectedClient(err) || time.Until(deadline) < s.PostTimeout/2 {
		return issued, err
	}
	if fresh, changed := s.changedClient(ctx, as); changed {
		issued, err = post(ctx, as.source.TokenClient(as.entry, fresh))
		if !rejectedClient(err) {
			s.noteWorks(ctx, fresh)
		}
	}
	return issued, err
}

// wakeGrace is what a process that was frozen has, when it goes on, to find the answer that came meanwhile.
// A machine that has just woken up has much to do.
const wakeGrace = time.Second

// wakefully is a timeout for a process that may be frozen in between: a machine that sleeps, a container that is paused.
// When it goes on, its timers have run out and the answer lies in the socket, both at once. So the end of the time is not
// the end, but gives whoever reads a moment: the answer is a token, and there is no other.
func wakefully(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	end := func() { cancel(context.DeadlineExceeded) }
	timer := time.AfterFunc(limit-wakeGrace, func() { time.AfterFunc(wakeGrace, end) })
	return ctx, func() { timer.Stop(); cancel(context.Canceled) }
}

func rejectedClient(err error) bool {
	var failure *oauth.Failure
	return errors.As(err, &failure) && failure.Outcome == oauth.Misconfigured && failure.Code == "invalid_client"
}
