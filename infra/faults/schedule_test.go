package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	planning "connectorvault/functions/planner/handler"
	token "connectorvault/functions/refresh/handler"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/local/program"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/bundle"
	"connectorvault/shared/planner"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/read"
	"connectorvault/shared/refresh"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// schedule is the token service behind its function, driven by the worker, with the clock stepped between its looks.
type schedule struct {
	*bed
	refresh *refresh.Service
	reads   *read.Service
	waited  int // reads that had to wait for a token

	mu        sync.Mutex
	swept     time.Time            // when the schedule last looked; guarded by mu
	delivered map[string]int       // times, by entry; guarded by mu
	coming    map[string]time.Time // entries whose message is to be delivered at a time; guarded by mu
	refuse    string               // the entry whose credential cannot be read; guarded by mu
}

func (b *bed) schedule() *schedule {
	b.Helper()
	s := &schedule{bed: b, delivered: map[string]int{}, coming: map[string]time.Time{}}
	made := b.bundle(func(p *bundle.Parts) {
		p.Items = refusing{p.Items, s}
		p.Enqueue = func(ctx context.Context, provider string, calls []tokens.Call) error {
			s.mu.Lock()
			for _, call := range calls {
				s.coming[call.Entry] = call.NotBefore
			}
			s.mu.Unlock()
			return worker.Send(ctx, b.queue, worker.Due(provider), b.clock.Now(), calls...)
		}
		p.Invoke = func(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
			s.waited++
			return s.refresh.Do(ctx, call)
		}
		p.Nudge = func(context.Context, tokens.Call) error { return nil } // the schedule alone keeps tokens warm here
	})
	s.refresh, s.reads = made.Refresh(), made.Read()
	silent := slog.New(slog.DiscardHandler)
	function := gateway.JSON(token.New(s.refresh, silent).Handle)
	plan := gateway.JSON(planning.New(planner.New(planner.Config{Vault: made.Vault, Providers: made.Catalog.Names(), Send: made.Enqueue, Now: b.clock.Now, Logger: silent,
		Workers: func(string) int { return worker.Refreshes },
		Waiting: func(ctx context.Context, provider string) (int, error) { return worker.Waiting(ctx, b.queue, provider) }})).Handle)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		worker.New(worker.Config{Queue: b.queue, Providers: made.Catalog.Names(), Now: b.clock.Now, Logger: silent, Tick: time.Millisecond,
			Planner: func(ctx context.Context, payload []byte) ([]byte, error) { return s.plan(ctx, plan, payload) },
			Invoke:  func(ctx context.Context, payload []byte) ([]byte, error) { return s.invoke(ctx, function, payload) }}).Run(ctx)
	}()
	b.Cleanup(func() { stop(); <-done })
	return s
}

// invoke counts what the worker sends.
func (s *schedule) invoke(ctx context.Context, function gateway.Function, payload []byte) ([]byte, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	reply, err := function(ctx, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range event.Records {
		call, err := tokens.Decode([]byte(m.Body))
		if err != nil {
			return nil, err
		}
		s.delivered[call.Entry]++
		delete(s.coming, call.Entry)
	}
	return reply, err
}

// plan notes when the planner has looked.
func (s *schedule) plan(ctx context.Context, function gateway.Function, payload []byte) ([]byte, error) {
	now := s.clock.Now()
	reply, err := function(ctx, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = now
	return reply, err
}

// step lets time go by, and waits until the worker has done what is then due.
func (s *schedule) step(d time.Duration) {
	s.Helper()
	swept := func() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.swept }
	_, err := s.clock.Advance(d)
	s.ok(err)
	now := s.clock.Now()
	s.eventually("the schedule has looked", func() bool { return now.Sub(swept()) < planner.Interval })
	s.settle(0)
}

// settle waits until no more than so many messages wait or are on their way, beside those whose time has not come.
func (s *schedule) settle(left int) {
	s.Helper()
	s.eventually("the queue is worked off", func() bool {
		waiting, dead, err := s.queue.Depth(s.Context(), worker.Due(sage.Name))
		s.ok(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		later, now := 0, s.clock.Now()
		for _, at := range s.coming {
			if at.After(now) {
				later++
			}
		}
		return waiting+dead-later <= left
	})
}

// mustRead reads an entry's contacts in this process.
func (s *schedule) mustRead(r *result, e entry) {
	s.Helper()
	if _, err := s.reads.Read(s.Context(), owner, read.Query{Connector: e.connector, Resource: "contacts"}); err != nil {
		r.want(false, "a read: %v", err)
	}
}

// refusing is a store in which one entry's credential cannot be read.
type refusing struct {
	store.Items
	schedule *schedule
}

var errUnreadable = errors.New("the item cannot be read")

// Get implements store.Items.
func (i refusing) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	i.schedule.mu.Lock()
	refuse := i.schedule.refuse
	i.schedule.mu.Unlock()
	if e, ok := entryOf(table, key); ok && e == refuse {
		return store.Item{}, errUnreadable
	}
	return i.Items.Get(ctx, table, key)
}

// What is read stays warm: nobody waits for a token, though readers never ask for one themselves.
//
// Fails when the schedule takes a token that was read for an idle one (refresh.worthRefreshing), and when an entry is due
// only as its token ends (refresh.warmAt).
func TestReadEntriesStayWarm(t *testing.T) {
	each(t, "9 schedule: warm", warm)
}

func warm(b *bed) (r result) {
	entries := b.seed(5, 0)
	s := b.schedule()
	for _, e := range entries {
		s.mustRead(&r, e) // the first one waits: the token had ended
	}
	s.waited = 0
	// The step makes the schedule look every 70 s, so that tokens end between two looks.
	const step = 35 * time.Second
	span, reads := 2*time.Hour, 0
	if testing.Short() {
		span = 40 * time.Minute // eight tokens
	}
	for range span / step {
		s.step(step)
		for _, e := range entries {
			s.mustRead(&r, e)
			reads++
		}
	}
	r.want(s.waited == 0, "%d of %d reads waited for a token", s.waited, reads)
	refreshes := len(b.ledger().calls) - len(entries)
	most := len(entries) * int(span/(access/2))
	r.want(refreshes <= most, "%d refreshes, want at most %d", refreshes, most)
	r.figure("%d reads of %d entries in %s: %d waited, %d refreshes", reads, len(entries), span, s.waited, refreshes)
	return r
}

// What nobody reads is kept alive through three lives of a refresh token, and costs next to nothing.
//
// Fails when the schedule does not renew what is idle (refresh.keepAlive returns the zero time).
func TestIdleEntriesStayAlive(t *testing.T) {
	each(t, "9 schedule: idle", idle)
}

func idle(b *bed) (r result) {
	entries := b.seed(5, 0)
	s := b.schedule()
	for _, e := range entries {
		s.mustRead(&r, e)
	}
	began := len(b.ledger().calls)
	const looks = 4
	days := 3 * 31
	if testing.Short() {
		days = 40 // one life, and some of the next
	}
	for range days * looks {
		s.step(24 * time.Hour / looks)
	}
	l := b.ledger()
	refreshes := len(l.calls) - began
	for _, e := range entries {
		c := b.credential(e)
		wrong := b.healthy(l, e, c.Generation)
		r.want(wrong == "", "%s", wrong)
		s.mustRead(&r, e)
	}
	most := len(entries) * (days/15 + 2)
	r.want(refreshes > 0 && refreshes <= most, "%d refreshes of idle entries, want at most %d", refreshes, most)
	r.figure("%d idle entries over %d days: all alive, %d refreshes", len(entries), days, refreshes)
	return r
}

// Of a batch, only what failed comes again.
//
// Fails when a failed message makes its whole batch come again (the handler's batch returns the error).
func TestOnlyWhatFailedComesAgain(t *testing.T) {
	each(t, "9 schedule: partial batches", partial)
}

func partial(b *bed) (r result) {
	entries := b.seed(6, access)
	s := b.schedule()
	bad := entries[2].id
	s.mu.Lock()
	s.refuse = bad
	s.mu.Unlock()
	calls := make([]tokens.Call, len(entries))
	for i, e := range entries {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: program.Tenant, Entry: e.id}
	}
	b.ok(worker.Send(b.Context(), b.queue, worker.Due(sage.Name), b.clock.Now(), calls...))
	s.settle(1)
	s.mu.Lock()
	s.refuse = ""
	s.mu.Unlock()
	s.step(5 * time.Minute) // until it is seen again
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		want := 1
		if e.id == bad {
			want = 2
		}
		r.want(s.delivered[e.id] == want, "entry %s was delivered %d times, want %d", e.id, s.delivered[e.id], want)
	}
	r.figure("%d messages, one of which fails once: it came twice, the others once", len(entries))
	return r
}
