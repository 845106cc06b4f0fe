// Package planner finds the entries that are due, and passes each on to the queue of its provider.
//
// The argument: what is due is written in one place, the due index, and a message in a queue is only a hint that somebody
// should look. So a look that is lost, or is made twice, loses nothing and costs a message; and the planner, which reads no
// entry and holds no secret, can be stopped anywhere. What it must not do is let hints pile up: an entry that is due and has a
// message already is found again each minute, so a provider whose queue is full gets none until its workers have caught up; and
// what one look adds is bounded, since a queue forgets what it has held for too long, and the index does not.
package planner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"connectorvault/shared/metric"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// Interval is how often the schedule looks, and how far ahead: what comes due before the next look is passed on now, to be
// delivered at its time.
const Interval = time.Minute

// What a look is bounded by.
const (
	page     = 100             // entries that are read, and passed on, at a time
	parallel = 16              // pages at once
	patience = 5 * time.Second // for a queue to say how much it holds
	reserve  = 5 * time.Second // of the caller's time, for saying what was left
)

// perWorker is how many messages one worker carries out between two looks, at half a second each.
const perWorker = int(Interval / (500 * time.Millisecond))

// FullAt is how many messages fill a queue that so many workers take from: as many as keep them busy until the next look.
// What is more would wait there as it waits in the index, and be found again each minute besides.
func FullAt(workers int) int { return workers * perWorker }

// atMost is how many minutes' work one look passes on. So workers that are ten times as fast as they are taken to be are busy until the
// next look still, and those that are five times as slow have done with it before a queue forgets it, which is after an hour.
const atMost = 10

// MostOf is how many messages one look passes on to a queue that so many workers take from; each shard has an equal part of them.
func MostOf(workers int) int { return atMost * FullAt(workers) }

// Config is what a Planner needs.
type Config struct {
	Vault     *vault.Vault // its due index alone
	Providers []string     // whose entries are looked for: all that are shipped, also those at which nobody may connect any more
	Workers   func(provider string) int

	// Waiting says how many messages a provider's queue holds, delivered or not.
	Waiting func(ctx context.Context, provider string) (int, error)
	// Send puts calls into a provider's queue, each to be delivered at its NotBefore.
	Send func(ctx context.Context, provider string, calls []tokens.Call) error

	Now    func() time.Time
	Logger *slog.Logger

	Metrics *metric.Recorder // nil: nothing is counted
}

// Planner passes on what is due. It is safe for concurrent use, also by several processes.
type Planner struct{ Config }

// New returns a Planner.
func New(cfg Config) *Planner { return &Planner{cfg} }

// Plan is what one look did.
type Plan struct {
	Providers map[string]*Part `json:"providers"`
}

// Part is what one look did for a provider.
type Part struct {
	Planned int   `json:"planned"`          // messages
	Pages   int   `json:"pages"`            // of the due index
	Waiting int   `json:"waiting"`          // messages that the queue held before
	Full    bool  `json:"full,omitempty"`   // so nothing was planned
	More    bool  `json:"more,omitempty"`   // was due than one look passes on
	Left    int   `json:"left,omitempty"`   // shards that there was no time to read to their end
	Failed  int   `json:"failed,omitempty"` // shards that could not be read, or whose entries the queue did not take
	Lag     int64 `json:"due_lag_seconds"`  // since the entry came due that has waited longest, queued or not
}

// shard is how far the look at a shard has come.
type shard struct {
	provider string
	n        int
	cursor   string
	begun    bool
	room     int // entries that may still be passed on
}

// look is one look at everything.
type look struct {
	*Planner
	until time.Time // what comes due before is passed on
	now   time.Time

	mu     sync.Mutex
	parts  map[string]*Part     // guarded by mu
	oldest map[string]time.Time // guarded by mu
	begun  int                  // shards of which something is known; guarded by mu
	first  map[string]error     // the first trouble of a provider; guarded by mu
}

// Plan looks once at every shard of every provider and passes on what is due. Shards are read a page at a time in turn, and each
// in the order of its times, so what has waited longest is passed on first, and no provider waits for the end of another.
// It stops a moment before ctx ends, and says what it left: the next look begins elsewhere. An error says what went wrong; the
// rest was done all the same.
func (p *Planner) Plan(ctx context.Context) (Plan, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	now := p.Now()
	l := &look{Planner: p, now: now, until: now.Add(Interval), parts: map[string]*Part{}, oldest: map[string]time.Time{}, first: map[string]error{}}
	for _, provider := range p.Providers {
		l.parts[provider] = &Part{}
	}
	l.askQueues(ctx)
	l.walk(ctx, l.order())
	return l.end(ctx)
}

// askQueues finds out which queues are full. One that does not say is not taken to be: being late is worse than a copy.
func (l *look) askQueues(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var asking sync.WaitGroup
	for _, provider := range l.Providers {
		asking.Go(func() {
			waiting, err := l.Waiting(ctx, provider)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil {
				l.trouble(provider, fmt.Errorf("the queue does not say how much it holds: %w", err))
				return
			}
			part := l.parts[provider]
			part.Waiting, part.Full = waiting, waiting >= FullAt(l.Workers(provider))
		})
	}
	asking.Wait()
}

// stride is how far the beginning of a look moves on with each minute. It has no divisor in common with the number of shards, so
// each comes first in its turn, and what was last is among the first soon.
const stride = 7

// order is all shards in the order in which they have their first turn.
func (l *look) order() []*shard {
	minute := int(l.now.Unix() / int64(Interval/time.Second))
	var out []*shard
	for i := range vault.DueShards {
		for _, provider := range l.Providers {
			out = append(out, &shard{provider: provider, n: (i + minute*stride) % vault.DueShards, room: max(1, MostOf(l.Workers(provider))/vault.DueShards)})
		}
	}
	return out
}

// walk has each shard's pages read, in turns.
func (l *look) walk(ctx context.Context, shards []*shard) {
	waiting := make(chan *shard, len(shards)) // each is in it once at most
	for _, s := range shards {
		waiting <- s
	}
	var reading, left sync.WaitGroup
	left.Add(len(shards))
	for range parallel {
		reading.Go(func() {
			for s := range waiting {
				if l.turn(ctx, s) {
					waiting <- s
				} else {
					left.Done()
				}
			}
		})
	}
	left.Wait()
	close(waiting)
	reading.Wait()
}

// turn reads a shard's next page and passes it on; more reports whether there is another.
func (l *look) turn(ctx context.Context, s *shard) (more bool) {
	limit, full := min(page, s.room), l.part(s).Full
	if full {
		limit = 1 // to know how long it has been waiting
	}
	found, next, err := []vault.Due(nil), "", ctx.Err()
	if err == nil {
		found, next, err = l.Vault.DueEntries(ctx, vault.DueShard(s.provider, s.n), l.until, limit, s.cursor)
	}
	if err == nil {
		l.note(s, found)
		if !full && len(found) > 0 {
			err = l.Send(ctx, s.provider, calls(found))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	part := l.parts[s.provider]
	switch {
	case err != nil && ctx.Err() != nil:
		part.Left++
		return false
	case err != nil:
		part.Failed++
		l.trouble(s.provider, err)
		return false
	case full:
		return false
	}
	part.Planned += len(found)
	s.cursor, s.room = next, s.room-len(found)
	if next != "" && s.room <= 0 {
		part.More = true
		return false
	}
	return next != ""
}

func (l *look) part(s *shard) Part {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.parts[s.provider]
}

// note counts a page that was read. A shard's first entry is its oldest.
func (l *look) note(s *shard, found []vault.Due) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[s.provider].Pages++
	if !s.begun && len(found) > 0 {
		if oldest, known := l.oldest[s.provider]; !known || found[0].At.Before(oldest) {
			l.oldest[s.provider] = found[0].At
		}
	}
	if !s.begun {
		s.begun, l.begun = true, l.begun+1
	}
}

func calls(found []vault.Due) []tokens.Call {
	out := make([]tokens.Call, len(found))
	for i, d := range found {
		out[i] = tokens.Call{Op: tokens.Due, Tenant: d.Tenant, Entry: d.Entry, NotBefore: d.At}
	}
	return out
}

// trouble keeps a provider's first error: sixteen shards have one cause. l.mu is held.
func (l *look) trouble(provider string, err error) {
	if l.first[provider] == nil {
		l.first[provider] = fmt.Errorf("planning for %s: %w", provider, err)
	}
}

// end says what was done, of each provider in one line.
func (l *look) end(ctx context.Context) (Plan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var problems []error
	var lag int64
	for _, provider := range slices.Sorted(slices.Values(l.Providers)) {
		part := l.parts[provider]
		if oldest, some := l.oldest[provider]; some {
			part.Lag = max(0, int64(l.now.Sub(oldest)/time.Second))
		}
		lag = max(lag, part.Lag)
		level, message := slog.LevelInfo, "planned"
		switch {
		case part.Full:
			level, message = slog.LevelWarn, "a queue is full and gets no more this minute"
		case part.More:
			level, message = slog.LevelWarn, "more is due than one look passes on and the rest waits in the index"
		case part.Left > 0:
			level, message = slog.LevelWarn, "there was no time to plan everything and the next look goes on"
		}
		l.Logger.Log(ctx, level, message, "provider", provider, "planned", part.Planned, "pages", part.Pages, "waiting", part.Waiting,
			"left", part.Left, "failed", part.Failed, "due_lag_seconds", part.Lag)
		if err := l.first[provider]; err != nil {
			problems = append(problems, err)
		}
	}
	if lag > 0 || l.begun == len(l.Providers)*vault.DueShards { // a shard that nobody could look at is none where nothing waits
		l.Metrics.DueLag(ctx, time.Duration(lag)*time.Second)
	}
	return Plan{Providers: l.parts}, errors.Join(problems...)
}
