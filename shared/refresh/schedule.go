package refresh

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// due does what the schedule noted for an entry: it publishes what was left to be told, watches the clocks, keeps warm what
// is read, keeps alive what would die unused, and lets everything else sleep.
func (s *Service) due(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	c, found, err := s.Vault.Credential(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if !found || c.DueAt.IsZero() || s.Now().Before(c.DueAt) {
		return in(c, tokens.AlreadyFresh), nil // the index lags behind
	}
	entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	told, untold := s.tell(ctx, entry, c)
	if c.Status != record.Active {
		return in(c, tokens.AlreadyFresh), s.letSleep(ctx, c, told, untold, time.Time{}) // a person is needed, and knows
	}
	adapter, _, err := s.adapter(entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	state, err := s.state(ctx, entry, c, adapter)
	if err != nil {
		return tokens.Answer{}, err
	}
	next := s.nextLook(state) // before the marks are told: one that passes meanwhile brings the schedule back at once
	if untold == nil {
		untold = s.raise(ctx, state, entry.Disabled || c.Failure != nil)
	}
	worth, err := s.worthRefreshing(ctx, entry, c)
	if err != nil {
		return tokens.Answer{}, err
	}
	if !worth {
		return in(c, tokens.AlreadyFresh), s.letSleep(ctx, c, told, untold, next)
	}
	answer, err := s.refresh(ctx, tokens.Call{Op: tokens.Refresh, Tenant: c.Tenant, Entry: c.Entry, FailedGeneration: c.Generation})
	if err != nil && fault.KindOf(err) != fault.Unavailable {
		// It failed before there was a lease to note it under (no application, no refresh token): asking every minute mends nothing.
		err = errors.Join(err, s.raise(ctx, state, true), s.Vault.Reschedule(ctx, c, s.Now().Add(stuckPause)))
	}
	return answer, err
}

// indexed is how exactly the due index keeps times. What is decided by such a time is cut down to it, so that whoever is
// woken for something finds that its time has come.
const indexed = time.Second

// stuckPause is when the schedule looks again at an entry whose refresh cannot even begin.
const stuckPause = time.Hour

// letSleep lets an entry be until a time; the zero time takes it out of the index. What could not be told brings the schedule
// back sooner.
func (s *Service) letSleep(ctx context.Context, c record.Credential, told []record.Notice, untold error, until time.Time) error {
	if untold != nil {
		s.logUntold(ctx, c.Tenant, c.Entry, untold)
		until = s.Now().Add(vault.NoticePause)
	}
	return s.Vault.Reschedule(ctx, c, until, told...)
}

// worthRefreshing reports whether it is time to keep an entry alive, or warm.
func (s *Service) worthRefreshing(ctx context.Context, entry record.Entry, c record.Credential) (bool, error) {
	now := s.Now()
	if entry.Disabled || now.Before(patience(c)) {
		return false, nil
	}
	if alive := keepAlive(c); !alive.IsZero() && !now.Before(alive) {
		return true, nil
	}
	if c.Failure == nil && now.Before(s.warmAt(c)) {
		return false, nil // it was looked at for another reason
	}
	used, err := s.Vault.UsedGeneration(ctx, c.Tenant, c.Entry)
	return used == c.Generation, err
}

// patience is until when the schedule leaves an entry alone whose refreshes fail: as long as everybody does, and after
// some minutes of failures longer, at last for an hour each time. Who reads meanwhile asks for themselves.
func patience(c record.Credential) time.Time {
	const early, longest = 7, time.Hour
	if c.Failure == nil {
		return time.Time{}
	}
	until := c.Failure.RetryAt
	if more := c.Failure.Count - early; more > 0 {
		own := c.Failure.At.Add(min(time.Minute<<min(more, 10), longest))
		if own.After(until) {
			until = own
		}
	}
	return until.Truncate(indexed)
}

// keepAlive is when a refresh token that nobody uses is used to keep it: at about half its life, so that days of trouble
// at the provider are survived. The zero time when unused tokens do not die.
func keepAlive(c record.Credential) time.Time {
	if c.RefreshExpires.IsZero() {
		return time.Time{}
	}
	life := c.RefreshExpires.Sub(c.Refreshed)
	return c.Refreshed.Add(life/2 - spread(c, life/20)).Truncate(indexed)
}

// warmAt is when a token that is used gets its successor: when it has just ceased to have enough life. Not sooner, since each
// token that is replaced before its time is one more call of the token endpoint; and not much later, so that nobody waits.
func (s *Service) warmAt(c record.Credential) time.Time {
	margin := Margin(c.Lifetime, s.MaxMargin)
	return c.Expires.Add(spread(c, margin/2) - margin).Add(indexed).Truncate(indexed) // never before
}

// spread is a part of d that belongs to the entry, so that what happened to many together does not come due together.
func spread(c record.Credential, d time.Duration) time.Duration {
	const parts = 100_000
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.Tenant + c.Entry))
	return d / parts * time.Duration(h.Sum64()%parts)
}

// markSpread is how late after its mark an entry may be looked at.
const markSpread = time.Hour

// nextLook is when the schedule looks at an entry that it lets sleep.
func (s *Service) nextLook(state vault.EntryState) time.Time {
	c, now := *state.Credential, s.Now()
	times := []time.Time{}
	for _, k := range clocks(state) {
		if _, next := k.passed(now); !next.IsZero() {
			times = append(times, lookAt(c, next))
		}
	}
	return s.rest(c, times...)
}

// lookAt is when the schedule looks at an entry for a mark.
func lookAt(c record.Credential, mark time.Time) time.Time {
	return mark.Add(indexed + spread(c, markSpread)).Truncate(indexed) // never before the mark
}

// keepLook is nextLook for an entry that has got a new token set while it waited for a look at another time, which its old
// credential says. A mark that passed before that look came is not told yet, and the new set must not put it off.
func (s *Service) keepLook(state vault.EntryState, old record.Credential) time.Time {
	next, now := s.nextLook(state), s.Now()
	for _, k := range clocks(state) {
		mark, _ := k.passed(now)
		if mark == 0 {
			continue
		}
		due := lookAt(*state.Credential, k.At.Add(-time.Duration(mark)*day))
		if due.Before(old.DueAt) && old.Failure == nil { // failures put looks off, too
			continue // the last look saw it
		}
		if soon := now.Add(vault.NoticePause); due.Before(soon) {
			due = soon
		}
		if due.Before(next) {
			next = due
		}
	}
	return next
}

// rest is how long an entry sleeps: until the next of the times at which something is to be done for it, or, when that is
// far off, for a day at most. Dates come nearer without anything being written to the entry, as when an owner corrects
// the end of an application's secret, or a new version of ours knows of a retirement.
func (s *Service) rest(c record.Credential, times ...time.Time) time.Time {
	now := s.Now()
	next := time.Time{}
	for _, at := range append(times, s.warmAt(c), keepAlive(c), patience(c)) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() && next.Sub(now) <= day {
		return next
	}
	next = now.Truncate(day).Add(spread(c, day).Truncate(indexed)) // the entry's own time of day
	if !next.After(now) {
		next = next.Add(day)
	}
	return next
}
