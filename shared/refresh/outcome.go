package refresh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// assumedLifetime is taken when an answer does not say how long its token lives. RFC 6749 only recommends saying.
const assumedLifetime = 5 * time.Minute

// commit makes a bought answer durable (step 4) and only then answers (step 5).
func (s *Service) commit(ctx context.Context, leased record.Credential, as client, old vault.TokenSet, issued oauth.Tokens, started time.Time) (tokens.Answer, error) {
	set := vault.TokenSet{Access: issued.Access, Refresh: issued.Refresh, Scope: issued.Scope}
	if set.Refresh.IsZero() {
		set.Refresh = old.Refresh // not rotated: the old one stays in force
	}
	sealed, err := s.Vault.SealTokens(ctx, leased, leased.Generation+1, set)
	if err != nil {
		return tokens.Answer{}, fmt.Errorf("sealing a fresh token set: %w", err)
	}
	id, err := ident.New(s.Random, "commit_")
	if err != nil {
		return tokens.Answer{}, err
	}
	next := vault.NewSet{Sealed: sealed, Lifetime: lifetime(issued), Expires: started.Add(lifetime(issued)).UTC(),
		RefreshExpires: refreshEnds(as.adapter.Descriptor(), issued, started), Commit: id}
	next.DueAt = s.nextDue(as, leased, next)
	took := s.Now().Sub(started)

	stored, err := s.store(ctx, leased, next)
	switch {
	case err == nil:
		s.Logger.InfoContext(ctx, "token refreshed", "tenant", leased.Tenant, "entry", leased.Entry, "provider", leased.Provider,
			"generation", stored.Generation, "outcome", string(tokens.Success))
		if len(stored.Notices) > 0 {
			s.settle(ctx, stored.Tenant, stored.Entry)
		}
		return tokens.Answer{Outcome: tokens.Success, Generation: stored.Generation, Expires: stored.Expires, Took: took}, nil
	case errors.Is(err, vault.ErrOvertaken):
		return s.overtaken(ctx, leased)
	default:
		return s.toRescue(ctx, leased, next, err)
	}
}

func lifetime(issued oauth.Tokens) time.Duration {
	if issued.Lifetime <= 0 {
		return assumedLifetime
	}
	return issued.Lifetime
}

// refreshEnds is when a refresh token ends unless it is used before: as the answer says, or else as its provider does. The
// zero time when neither does.
func refreshEnds(d *provider.Descriptor, issued oauth.Tokens, at time.Time) time.Time {
	life := cmp.Or(issued.RefreshLifetime, d.RefreshLife)
	if life <= 0 {
		return time.Time{}
	}
	return at.Add(life).UTC()
}

// nextDue is when the schedule looks at an entry that gets a new set. Where there is something to tell of it, it comes by
// soon, should this process not get to tell it.
func (s *Service) nextDue(as client, before record.Credential, set vault.NewSet) time.Time {
	now := s.Now()
	if len(before.Notices) > 0 || before.HealthAt(now) == record.Failing {
		return now.Add(vault.NoticePause)
	}
	after := before
	after.Lifetime, after.Expires, after.RefreshExpires, after.Refreshed, after.Failure = set.Lifetime, set.Expires, set.RefreshExpires, now, nil
	return s.keepLook(as.state(after), before)
}

// store tries the one conditional write until it is decided or the budget is spent.
func (s *Service) store(ctx context.Context, c record.Credential, next vault.NewSet) (stored record.Credential, err error) {
	err = s.persist(ctx, s.StoreBudget*3/4, func(ctx context.Context) error { // the rest of the budget is the rescue queue's
		stored, err = s.Vault.Commit(ctx, c, next)
		return err
	}, vault.ErrOvertaken)
	return stored, err
}

// persist repeats a write that must not be lost, until it is carried out, decided otherwise, or the budget is spent.
func (s *Service) persist(ctx context.Context, budget time.Duration, write func(context.Context) error, decided error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := write(ctx)
		if err == nil || errors.Is(err, decided) || fault.IsNewer(err) { // waiting makes no newer version of this one
			return err
		}
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// rescuedSet is a sealed answer on its way through the rescue queue.
type rescuedSet struct {
	Generation int64        `json:"generation"` // that it follows
	Set        vault.NewSet `json:"set"`
	Schema     int64        `json:"schema,omitempty"`
}

// fromRescue refuses a sealed answer that a newer version sent to rescue: what this one does not know of it would be lost.
func fromRescue(number int64) error {
	if schema.Rescued.Newer(number) {
		return fault.Newer(string(schema.Rescued), number, schema.Of(schema.Rescued).Reads)
	}
	return nil
}

// toRescue keeps an answer that the table does not take. The lease is left to run out: until then nobody asks again.
func (s *Service) toRescue(ctx context.Context, c record.Credential, next vault.NewSet, cause error) (tokens.Answer, error) {
	body, err := json.Marshal(rescuedSet{Generation: c.Generation, Set: next, Schema: schema.Rescued.Carried()})
	if err != nil {
		return tokens.Answer{}, errors.New("encoding a sealed answer failed")
	}
	err = s.sendToRescue(ctx, tokens.Call{Op: tokens.Rescue, Tenant: c.Tenant, Entry: c.Entry, Rescued: body}, cause)
	if fault.KindOf(err) != fault.Unavailable {
		return tokens.Answer{}, err
	}
	return tokens.Answer{Outcome: tokens.Transient, Generation: c.Generation, Expires: c.Expires, Fault: fault.As(err)}, nil
}

// sendToRescue always returns an error: that the answer is kept safe, or, as Internal, that it is lost.
func (s *Service) sendToRescue(ctx context.Context, call tokens.Call, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.StoreBudget/4)
	defer cancel()
	if err := s.Rescue(ctx, call); err != nil {
		s.Metrics.Count(ctx, metric.TokenLost, metric.About{Tenant: call.Tenant, Entry: call.Entry})
		s.Logger.ErrorContext(ctx, "a fresh token set could be neither stored nor rescued", "tenant", call.Tenant, "entry", call.Entry,
			"error", errors.Join(cause, err).Error())
		// Whatever kind of trouble the queue had, to the caller it is not "kept safe".
		return fault.Wrap(err, fault.Internal, "internal_error", "A fresh token could not be kept.").
			Do("Try again; if it stays, give the operator the request id.")
	}
	s.Metrics.Count(ctx, metric.TokenRescued, metric.About{Tenant: call.Tenant, Entry: call.Entry})
	s.Logger.WarnContext(ctx, "a fresh token set went to rescue", "tenant", call.Tenant, "entry", call.Entry)
	return fault.Wrap(cause, fault.Unavailable, "store_unavailable", "The vault's store does not answer now; the fresh token is kept safe.").
		Do("Try again in a moment.").After(s.RescueInterval)
}

// rescuePatience is how long a rescued answer is tried for: as long as the call may last. A store that comes back finds
// the answer waiting, before anybody takes the lease and offers the spent token again.
func rescuePatience(ctx context.Context) time.Duration {
	const longest, left = 50 * time.Second, 3 * time.Second
	deadline, ok := ctx.Deadline()
	if !ok {
		return longest
	}
	return min(longest, time.Until(deadline)-left)
}

// rescued applies a sealed answer that comes back from the rescue queue, under the condition it always had.
func (s *Service) rescued(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	if call.Request != "" {
		return s.rescuedRequest(ctx, call)
	}
	var in rescuedSet
	if err := json.Unmarshal(call.Rescued, &in); err != nil {
		return tokens.Answer{}, errors.New("a rescued answer cannot be read")
	}
	if err := fromRescue(in.Schema); err != nil {
		return tokens.Answer{}, err
	}
	var stored record.Credential
	err := s.persist(ctx, rescuePatience(ctx), func(ctx context.Context) error {
		c, found, err := s.Vault.Credential(ctx, call.Tenant, call.Entry)
		if err == nil && (!found || c.Generation != in.Generation) {
			return vault.ErrOvertaken
		}
		if err == nil {
			stored, err = s.Vault.Commit(ctx, c, in.Set)
		}
		return err
	}, vault.ErrOvertaken)
	if errors.Is(err, vault.ErrOvertaken) {
		return tokens.Answer{Outcome: tokens.LostRace}, nil
	}
	if err != nil {
		return tokens.Answer{}, err
	}
	s.Logger.InfoContext(ctx, "a rescued token set is in force", "tenant", call.Tenant, "entry", call.Entry, "generation", stored.Generation)
	if len(stored.Notices) > 0 {
		s.settle(ctx, stored.Tenant, stored.Entry)
	}
	return tokens.Answer{Outcome: tokens.Success, Generation: stored.Generation, Expires: stored.Expires}, nil
}

// overtaken answers with what is in force instead of what was bought.
func (s *Service) overtaken(ctx context.Context, c record.Credential) (tokens.Answer, error) {
	now, found, err := s.Vault.Credential(ctx, c.Tenant, c.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if !found {
		return tokens.Answer{}, vault.NotFound("vault entry", c.Entry)
	}
	return in(now, tokens.LostRace), nil
}

// failed notes what a refusal means, under the fence. prior is the intent that the lease found standing.
func (s *Service) failed(ctx context.Context, leased record.Credential, d *provider.Descriptor, prior *record.Intent, cause error) (tokens.Answer, error) {
	var refusal *oauth.Failure
	if !errors.As(cause, &refusal) {
		refusal = &oauth.Failure{Outcome: oauth.Transient, Spent: true}
	}
	if refusal.Outcome == oauth.Revoked {
		// Before a grant is called gone, somebody else may have rotated it.
		now, found, err := s.Vault.Credential(ctx, leased.Tenant, leased.Entry)
		if err == nil && found && now.Generation != leased.Generation {
			return in(now, tokens.LostRace), nil
		}
	}
	known := broken(cause)
	note := s.note(leased, refusal, known)
	// What a dead owner left open stays open until an answer is about the token: a provider that is busy, or refuses
	// our application, has said nothing of it.
	open := prior != nil && prior.Generation == leased.Generation
	status, why := leased.Status, record.Cause("")
	if refusal.Outcome == oauth.Revoked {
		status, why = record.Reauth, record.Revoked
		if ended(leased.AuthorizationExpires, s.Now()) || ended(leased.RefreshExpires, s.Now()) {
			why = record.AuthorizationExpired
		}
		if d.Rotates && open {
			why, note.Outcome = record.RotationUnknown, string(tokens.RotationUnknown)
		}
	}
	note.Unsure = d.Rotates && status == record.Active && (refusal.Spent || open)
	err := s.Vault.Fail(ctx, leased, note, status, why, note.Unsure)
	if errors.Is(err, vault.ErrFenced) {
		s.Metrics.Count(ctx, metric.FenceRejected, metric.About{Tenant: leased.Tenant, Entry: leased.Entry})
		return tokens.Answer{}, vault.ErrHeld // the entry is somebody else's by now: wait for what comes of it
	}
	s.logFailure(ctx, leased, note, cause)
	answer := tokens.Answer{Outcome: tokens.Outcome(note.Outcome), Generation: leased.Generation, Expires: leased.Expires,
		Fault: failureFault(note, note.RetryAt.Sub(s.Now()))}
	if known != nil {
		said := *known
		answer.Fault = said.After(note.RetryAt.Sub(s.Now()))
	}
	if status == record.Reauth {
		leased.Status, leased.Cause = status, why
		answer.Fault = vault.Reauthorize(leased)
	}
	if status == record.Reauth && err == nil {
		s.countEnded(ctx, leased, why)
		s.settle(ctx, leased.Tenant, leased.Entry)
	}
	return answer, err
}

func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// note says what happened, and when to try again: as the provider asked, or after a pause that grows with the failures in a
// row. known is what the transport knows of an answer that did not come, and may be nil.
func (s *Service) note(c record.Credential, refusal *oauth.Failure, known *fault.Error) record.Failure {
	outcome, code := refusal.Outcome, refusal.Code
	if known != nil {
		code = known.Code
		if known.Kind == fault.Misconfigured {
			outcome = oauth.Misconfigured
		}
	}
	note := record.Failure{Outcome: string(outcome), Code: code, Status: refusal.Status,
		RequestID: refusal.RequestID, At: s.Now().UTC(), Count: 1}
	if c.Failure != nil {
		note.Count = c.Failure.Count + 1
	}
	wait := min(time.Second<<min(note.Count-1, 6), time.Minute)
	switch outcome {
	case oauth.Transient, oauth.Revoked:
	case oauth.Misconfigured:
		wait = max(wait, 10*time.Second)
	case oauth.RateLimited:
		wait = max(wait, 5*time.Second)
	}
	if refusal.RetryAfter > 0 {
		wait = refusal.RetryAfter
	}
	if refusal.Outcome != oauth.Revoked {
		note.RetryAt = note.At.Add(wait)
	}
	return note
}

func (s *Service) logFailure(ctx context.Context, c record.Credential, note record.Failure, cause error) {
	level := s.Logger.WarnContext
	if note.Outcome == string(tokens.Misconfigured) {
		level = s.Logger.ErrorContext // an alarm: every entry of the application is affected
	}
	level(ctx, "token not refreshed", "tenant", c.Tenant, "entry", c.Entry, "provider", c.Provider, "generation", c.Generation,
		"outcome", note.Outcome, "status", note.Status, "code", note.Code, "request_id", note.RequestID, "error", cause.Error())
}
