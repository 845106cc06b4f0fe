package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectorvault/infra/local/program"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/bundle"
	"connectorvault/shared/fault"
	"connectorvault/shared/tokens"
)

// Ten callers hang up, and the token endpoint answers after that.
//
// Fails when a refresh ends with its caller (refresh.Do without WithoutCancel; gateway.answer and program.invoke too,
// each of which detaches).
func TestCallerLeaves(t *testing.T) {
	each(t, "3 caller leaves", callersLeave)
}

func callersLeave(b *bed) (r result) {
	entries := b.seed(10, 0)
	b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token"})
	p := b.start(spec{})
	errs := make([]error, len(entries))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var asking sync.WaitGroup
	for i, e := range entries {
		asking.Go(func() { _, errs[i] = p.read(ctx, e) })
	}
	b.allLeased(entries)
	cancel()
	asking.Wait()
	r.want(!slices.Contains(errs, nil), "a read was answered before its caller left")
	b.clear(sagesim.FaultHold)
	b.eventually("every answer is stored", func() bool { return len(p.said("stored")) == len(entries) })
	b.unharmed(&r, entries, 2)
	return r
}

// unharmed wants every entry to be as after an ordinary refresh, with nothing offered twice.
func (b *bed) unharmed(r *result, entries []entry, generation int64) {
	b.Helper()
	l, lost := b.ledger(), 0
	for _, e := range entries {
		if wrong := b.healthy(l, e, generation); wrong != "" {
			lost++
			r.want(false, "%s", wrong)
		}
	}
	double := l.doubleSpends(entries, nil)
	r.want(double == 0, "%d double spends", double)
	r.figure("%d entries: %d lost, %d token calls, %d double spends", len(entries), lost, len(l.calls), double)
}

// The program is asked to stop while tokens are on their way.
//
// Fails when the program does not wait for what has begun (program.finish closes and returns).
func TestStopInMidRefresh(t *testing.T) {
	each(t, "3 SIGTERM in mid-refresh", stops)
}

func stops(b *bed) (r result) {
	entries := b.seed(10, 0)
	b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token"})
	p := b.start(spec{})
	ctx, cancel := context.WithCancel(b.Context())
	var asking sync.WaitGroup
	for _, e := range entries {
		asking.Go(func() { _, _ = p.read(ctx, e) })
	}
	b.allLeased(entries)
	cancel() // those who asked are gone: only the refreshes are left to wait for
	asking.Wait()
	ended := make(chan error, 1)
	go func() { ended <- p.stop() }()
	time.Sleep(500 * time.Millisecond) // it has heard, and waits
	r.want(!p.ended(), "the program ended with refreshes on their way")
	b.clear(sagesim.FaultHold)
	err := <-ended
	r.want(err == nil, "the program ended with %v:\n%s", err, p.log)
	b.unharmed(&r, entries, 2)
	return r
}

// allLeased waits until every entry's refresh has taken its lease.
func (b *bed) allLeased(entries []entry) {
	b.Helper()
	b.eventually("every refresh has begun", func() bool {
		for _, e := range entries {
			if b.credential(e).Lease == nil {
				return false
			}
		}
		return true
	})
}

// A function has less time left than a refresh may take.
//
// Fails when what there is no time for is begun (refresh.attempt without enoughTime).
func TestTooLittleTime(t *testing.T) {
	each(t, "3 too little time left", tooLittleTime)
}

func tooLittleTime(b *bed) (r result) {
	entries := b.seed(10, 0)
	service := b.bundle(nil).Refresh()
	for _, e := range entries {
		ctx, cancel := context.WithTimeout(b.Context(), 22*time.Second) // POST and store may take 23 together
		_, err := service.Do(ctx, tokens.Call{Op: tokens.Refresh, Tenant: program.Tenant, Entry: e.id})
		cancel()
		r.want(fault.KindOf(err) == fault.Unavailable, "the answer is %v", err)
		c := b.credential(e)
		r.want(c.Lease == nil && c.Intent == nil && c.Fence == 0, "entry %s: a lease was taken", e.id)
	}
	offers := len(b.ledger().calls)
	r.want(offers == 0, "%d calls of the token endpoint", offers)
	r.figure("%d calls: %d POSTs", len(entries), offers)
	return r
}

// bundle is the bundle in this process, for what needs no process of its own.
func (b *bed) bundle(change func(*bundle.Parts)) *bundle.Bundle {
	parts := bundle.Parts{Items: b.items, Due: b.items, Secrets: b.secrets, Catalog: b.catalog, HTTP: b.client, Now: b.clock.Now, Random: rand.Reader,
		Logger: slog.New(slog.DiscardHandler), PublicURL: "http://127.0.0.1",
		Rescue:  func(context.Context, tokens.Call) error { return http.ErrNotSupported },
		Enqueue: func(context.Context, string, []tokens.Call) error { return http.ErrNotSupported }}
	if change != nil {
		change(&parts)
	}
	return bundle.New(parts)
}

// A process is frozen while its answer arrives, for longer than the answer may take, as a machine that sleeps does to it.
// Nobody else asks meanwhile.
//
// Fails when the end of the time throws away what has come (refresh.wakefully ends at once).
func TestFrozenProcess(t *testing.T) {
	each(t, "3 frozen while the answer arrives", frozen)
}

func frozen(b *bed) (r result) {
	entries := b.seed(5, 0)
	b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token", Times: len(entries)})
	const patience = 20 * time.Second // within which every POST must have arrived
	p := b.start(spec{PostTimeout: patience})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var asking sync.WaitGroup
	for _, e := range entries {
		asking.Go(func() { _, _ = p.read(ctx, e) })
	}
	b.eventually("the endpoint has every POST", func() bool {
		set, err := b.simulator.Faults(b.Context())
		b.ok(err)
		return slices.ContainsFunc(set, func(f sagesim.Fault) bool { return f.Name == sagesim.FaultHold && f.Spent })
	})
	b.ok(p.cmd.Process.Signal(syscall.SIGSTOP))
	b.clear(sagesim.FaultHold)
	time.Sleep(patience + time.Second) // the answers come, and the time for them ends
	b.ok(p.cmd.Process.Signal(syscall.SIGCONT))
	b.eventually("every answer is stored", func() bool { return len(p.said("stored")) == len(entries) })
	cancel()
	asking.Wait()
	b.unharmed(&r, entries, 2)
	return r
}
