package refresh

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// SweepInterval is how often the schedule looks. An entry is due that much before its token has too little life.
const SweepInterval = time.Minute

// sweepPage is how many due entries are read, and passed on, at a time.
const sweepPage = 100

// Sweep finds what is due and passes it on, a page at a time; what follows is for whoever takes the calls. It reads
// the due index only, so it costs the same whether ten entries sleep or ten thousand. found counts what was passed
// on, also when it ends with an error: one shard's trouble does not keep the others waiting.
func (s *Service) Sweep(ctx context.Context) (found int, err error) {
	var problems []error
	for n := range vault.DueShards {
		count, err := s.sweepShard(ctx, vault.DueShard(n))
		found += count
		if err != nil {
			problems = append(problems, err)
		}
	}
	return found, errors.Join(problems...)
}

func (s *Service) sweepShard(ctx context.Context, shard string) (found int, err error) {
	for cursor := ""; ; {
		due, next, err := s.Vault.DueEntries(ctx, shard, sweepPage, cursor)
		if err != nil {
			return found, err
		}
		calls := make([]tokens.Call, len(due))
		for i, d := range due {
			calls[i] = tokens.Call{Op: tokens.Due, Tenant: d.Tenant, Entry: d.Entry}
		}
		if len(calls) > 0 {
			if err := s.Enqueue(ctx, calls); err != nil {
				return found, err
			}
		}
		found += len(calls)
		if next == "" {
			return found, nil
		}
		cursor = next
	}
}

// due does what the schedule noted for an entry: it keeps warm what is read, keeps alive what would die unused, and
// lets everything else sleep.
func (s *Service) due(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	c, found, err := s.Vault.Credential(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	now := s.Now()
	if !found || c.DueAt.IsZero() || now.Before(c.DueAt) {
		return in(c, tokens.AlreadyFresh), nil // the index lags behind
	}
	entry, err := s.Vault.Entry(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	adapter, _, err := s.adapter(entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if entry.Disabled || c.Status != record.Active {
		return in(c, tokens.AlreadyFresh), s.Vault.Reschedule(ctx, c, time.Time{})
	}
	alive := keepAlive(adapter.Descriptor(), c.Refreshed)
	used, err := s.Vault.UsedGeneration(ctx, c.Tenant, c.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if used != c.Generation && (alive.IsZero() || now.Before(alive)) {
		return in(c, tokens.AlreadyFresh), s.Vault.Reschedule(ctx, c, alive)
	}
	answer, err := s.refresh(ctx, tokens.Call{Op: tokens.Refresh, Tenant: c.Tenant, Entry: c.Entry, FailedGeneration: c.Generation})
	if err != nil && fault.KindOf(err) != fault.Unavailable {
		// It failed before there was a lease to note it under (no application, no refresh token): asking every minute mends nothing.
		err = errors.Join(err, s.Vault.Reschedule(ctx, c, now.Add(stuckPause)))
	}
	return answer, err
}

// stuckPause is when the schedule looks again at an entry whose refresh cannot even begin.
const stuckPause = time.Hour

// keepAlive is when a refresh token that nobody uses is used to keep it: at half its life, so that
// days of trouble at the provider are survived. The zero time when unused tokens do not die.
func keepAlive(d *provider.Descriptor, refreshed time.Time) time.Time {
	if d.RefreshLife == 0 {
		return time.Time{}
	}
	return refreshed.Add(d.RefreshLife / 2)
}

type entryRef struct{ tenant, entry string }

// nextDue is when the schedule looks at an entry that has just got its tokens: in time to replace them before anybody
// waits, but not before half their life is over. Entries that were refreshed together are spread by their names.
func (s *Service) nextDue(_ *provider.Descriptor, ref entryRef, lifetime time.Duration, expires, now time.Time) time.Time {
	margin := Margin(lifetime, s.MaxMargin)
	h := fnv.New32a()
	_, _ = h.Write([]byte(ref.tenant + ref.entry))
	spread := time.Duration(h.Sum32()%1000) * margin / 1000
	at := expires.Add(-margin - SweepInterval - spread)
	if half := now.Add(lifetime / 2); at.Before(half) {
		return half
	}
	return at
}
