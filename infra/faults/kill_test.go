package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/record"
)

// kill is a moment to die at.
type kill struct {
	at    moment
	lost  bool // the provider has committed, and its answer dies with the process
	grace bool // the provider takes a token that was just spent once more
}

// A process is killed at every step of the cycle, with entries in it, and another one is asked for each. Nothing is
// spent twice. Only what dies between the provider's commit and our write is lost, which is said by its name, and what a
// provider gives back in its grace window is recovered.
//
// Fails, at the moments named, when
//   - the lease carries no intent (vault.Acquire): answer not read, answer not stored, sent to rescue
//   - nobody holds off (refresh.attempt): sent to rescue
//   - a refused answer is not sent to rescue (refresh.sendToRescue): sent to rescue, rescue applied
//   - a lost answer is called revoked (refresh.failed): answer not read, answer not stored
//   - a token known to be lost is offered again (refresh.settled): the same
func TestKill(t *testing.T) {
	t.Parallel()
	for _, k := range []kill{
		{at: readDone}, {at: beforeLease}, {at: leaseWritten}, {at: holdingOff}, {at: beforePost}, {at: committed, lost: true},
		{at: committed, grace: true}, {at: beforeFailure}, {at: answerRead, lost: true}, {at: answerRead, grace: true}, {at: stored},
		{at: rescueSent}, {at: rescueApplied},
	} {
		name := string(k.at)
		if k.grace {
			name += ", grace"
		}
		t.Run(name, func(t *testing.T) {
			each(t, "2 kill: "+name, func(b *bed) result { return killed(b, k) })
		})
	}
}

func killed(b *bed, k kill) (r result) {
	n := of(5, 200)
	switch k.at {
	case rescueSent:
		n = of(5, 25) // the readers of all of them hold off at once
	case rescueApplied:
		n = of(5, 25) // each needs a process of its own
	default:
	}
	entries := b.seed(n, 0)
	if k.grace {
		b.fault(sagesim.Fault{Name: sagesim.FaultGrace, GraceSeconds: 600})
	}
	if k.at == beforeFailure {
		b.fault(sagesim.Fault{Name: sagesim.FaultStatus, Endpoint: "token", Status: http.StatusServiceUnavailable})
	}
	s := spec{Hold: k.at}
	switch k.at {
	case holdingOff: // for that, somebody has to die before
		b.dies(entries, spec{Hold: leaseWritten})
		b.pass(beyond)
		s.RescueInterval = 20 * time.Second // and no longer: there must be time for the whole of it
	case rescueSent:
		s.StoreBudget, s.Tick = 4*time.Second, never // its worker leaves the queue alone
	case rescueApplied:
		s.StoreBudget, s.Tick = time.Second, 20*time.Millisecond
	default:
	}
	if k.at == rescueApplied { // by the worker, which is held with the first that it gets to
		for _, e := range entries {
			b.dies([]entry{e}, s)
		}
	} else {
		b.dies(entries, s)
	}

	b.wantCaught(&r, k.at, entries)

	if k.at == beforeFailure {
		b.clear(sagesim.FaultStatus)
	}
	b.pass(beyond) // the dead owner's leases are over
	var next *process
	var answers []answer
	if k.at == rescueSent { // somebody else's worker finds the answers while the next readers hold off
		next = b.start(spec{Hold: heldOff, Tick: never})
		reading := b.ask(next, entries)
		bearer := b.start(spec{})
		b.eventually("every rescued answer is stored", func() bool { return len(bearer.said("stored")) == len(entries) })
		next.order(goOn)
		answers = reading()
	} else {
		next = b.start(spec{})
		answers = make([]answer, len(entries))
		b.together(len(entries), 16, func(i int) { answers[i] = next.mustRead(entries[i]) })
	}

	l, lost, healthy := b.ledger(), map[string]bool{}, 0
	for i, e := range entries {
		if k.lost {
			lost[e.id] = true
			r.want(l.again(e) == 1, "entry %s: its token was offered again %d times, want once", e.id, l.again(e))
			b.wantUnknown(&r, e, answers[i])
			continue
		}
		r.want(answers[i].status == http.StatusOK, "entry %s: after the kill a reader hears %v", e.id, answers[i])
		if wrong := b.healthy(l, e, 2); wrong == "" {
			healthy++
		} else {
			r.want(false, "%s", wrong)
		}
		if k.grace {
			lost[e.id] = true
		}
	}
	double := l.doubleSpends(entries, lost)
	r.want(double == 0, "%d double spends", double)
	if k.lost {
		double += b.deadStaysDead(&r, next, entries)
	} else {
		r.want(l.revoked(entries) == 0, "%d families were revoked", l.revoked(entries))
	}
	r.figure("%d killed: %d double spends, %d as if nothing had happened, %d to be authorized anew, %d families revoked", len(entries), double, healthy,
		len(entries)-healthy, l.revoked(entries))
	return r
}

// dies catches every entry at a moment in one process, and kills it.
func (b *bed) dies(entries []entry, s spec) {
	b.Helper()
	p := b.start(s)
	ctx, cancel := context.WithCancel(b.Context())
	var asking sync.WaitGroup
	for _, e := range entries {
		asking.Go(func() { _, _ = p.read(ctx, e) }) // nobody answers
	}
	b.eventually(fmt.Sprintf("%d entries are held at %q", len(entries), s.Hold), func() bool { return len(p.said("held")) == len(entries) })
	p.kill()
	cancel()
	asking.Wait()
}

// wantCaught wants entries to stand as a process leaves them that dies at a moment: were it another one, the case would
// show nothing.
func (b *bed) wantCaught(r *result, at moment, entries []entry) {
	b.Helper()
	changed := at == stored || at == rescueApplied
	leased := !changed && at != readDone && at != beforeLease
	spent := changed || at == committed || at == answerRead || at == rescueSent
	l := b.ledger()
	for _, e := range entries {
		c, took := b.credential(e), false
		for _, call := range l.offers[e.id] {
			took = took || call.Issued != 0
		}
		r.want((c.Generation == 2) == changed && (c.Lease != nil) == leased && (c.Intent != nil) == leased && took == spent,
			"entry %s was not caught %q: generation %d, lease %v, intent %v, spent %v", e.id, at, c.Generation, c.Lease != nil, c.Intent != nil, took)
	}
}

// wantUnknown wants an entry to ask for a new authorization, and to say why.
func (b *bed) wantUnknown(r *result, e entry, a answer) {
	b.Helper()
	c := b.credential(e)
	r.want(a.status == http.StatusConflict && a.code() == "reauthorization_required", "entry %s: after the kill a reader hears %v", e.id, a)
	r.want(c.Status == record.Reauth && c.Cause == record.RotationUnknown, "entry %s is %s, because of %q", e.id, c.Status, c.Cause)
}

// deadStaysDead asks three more times for entries whose token is lost, and counts how often it was offered.
func (b *bed) deadStaysDead(r *result, p *process, entries []entry) int {
	b.Helper()
	before := len(b.ledger().calls)
	for range 3 {
		b.together(len(entries), 16, func(i int) { p.mustRead(entries[i]) })
		b.pass(time.Hour)
	}
	more := len(b.ledger().calls) - before
	r.want(more == 0, "a dead token was offered %d more times", more)
	return more
}

// heldInTheStore is a process that is held with an answer in what is meant for the store, for as long as a call may last.
var heldInTheStore = spec{Hold: answerRead, PostTimeout: 5 * time.Second, StoreBudget: 50 * time.Second, Tick: never}

// An owner is frozen with the provider's answer in its hands until its lease is over, and comes back while its successor
// holds off. Its late answer is the only living one.
//
// Fails when a success commits under the fence (vault.Commit), and when nobody holds off (refresh.attempt).
func TestLateAnswer(t *testing.T) {
	each(t, "2 late answer, successor holds off", lateAnswer)
}

func lateAnswer(b *bed) (r result) {
	entries := b.seed(5, 0)
	owner := b.start(heldInTheStore)
	first := b.ask(owner, entries)
	b.pass(beyond)
	next := b.start(spec{Hold: heldOff, Tick: never})
	second := b.ask(next, entries)
	owner.order(goOn)
	b.eventually("every late answer is stored", func() bool { return len(owner.said("stored")) == len(entries) })
	next.order(goOn)
	for _, a := range append(first(), second()...) {
		r.want(a.status == http.StatusOK, "a reader hears %v", a)
	}
	b.unharmed(&r, entries, 2)
	return r
}

// The frozen owner comes back when its successor has long gone on, thanks to a provider with a grace window.
//
// Fails when a success is stored whatever generation is in force (vault.Commit without its condition): the dead token
// takes the place of the living one.
func TestStaleAnswer(t *testing.T) {
	each(t, "2 stale answer, successor has gone on", staleAnswer)
}

func staleAnswer(b *bed) (r result) {
	entries := b.seed(5, 0)
	b.fault(sagesim.Fault{Name: sagesim.FaultGrace, GraceSeconds: 3600})
	owner := b.start(heldInTheStore)
	first := b.ask(owner, entries)
	next := b.start(spec{Tick: never})
	for range 2 {
		b.pass(access)
		for _, e := range entries {
			a := next.mustRead(e)
			r.want(a.status == http.StatusOK, "the successor's reader hears %v", a)
		}
	}
	owner.order(goOn)
	for _, a := range first() {
		r.want(a.status == http.StatusOK, "the late owner's reader hears %v", a)
	}
	l, healthy := b.ledger(), 0
	for _, e := range entries {
		if wrong := b.healthy(l, e, 3); wrong == "" {
			healthy++
		} else {
			r.want(false, "%s", wrong)
		}
	}
	r.figure("%d late answers: %d entries as if nothing had happened", len(entries), healthy)
	return r
}

// ask has every entry read by a process that holds them all, and waits until it does. The answers can be had later.
func (b *bed) ask(p *process, entries []entry) (answers func() []answer) {
	b.Helper()
	out := make([]answer, len(entries))
	var asking sync.WaitGroup
	for i, e := range entries {
		asking.Go(func() { out[i], _ = p.read(b.Context(), e) })
	}
	b.eventually("every entry is held", func() bool { return len(p.said("held")) == len(entries) })
	return func() []answer { asking.Wait(); return out }
}

// How long an answer that was bought can be lost: from the provider's commit to our durable write.
func TestWindow(t *testing.T) {
	eachAlone(t, "2 window from commit to write", window) // others would lengthen it
}

func window(b *bed) (r result) {
	entries := b.seed(of(40, 2000), 0)
	p := b.start(spec{})
	b.together(len(entries), 4, func(i int) { p.mustRead(entries[i]) })
	l := b.ledger()
	var open []time.Duration
	for _, w := range p.said("stored") {
		offers := l.offers[w.Entry]
		if len(offers) != 1 {
			r.want(false, "entry %s: %d offers, want 1", w.Entry, len(offers))
			continue
		}
		open = append(open, time.Unix(0, w.Wall).Sub(time.Unix(0, offers[0].Wall)))
	}
	r.want(len(open) == len(entries), "%d refreshes were seen, want %d", len(open), len(entries))
	r.figure("%d refreshes: p50 %.2f ms, p99 %.2f ms, longest %.2f ms", len(open), ms(quantile(open, 0.5)), ms(quantile(open, 0.99)), ms(quantile(open, 1)))
	return r
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
