package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// The store takes no change of a credential from the provider's answer on, for so long.
//
// Fails when a refused answer is tried once and not again (refresh.persist), and when it is not sent to rescue
// (refresh.sendToRescue).
func TestStoreDown(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{3 * time.Second, 20 * time.Second, 70 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			if d > time.Minute && testing.Short() {
				t.Skip("it waits for more than a minute")
			}
			name := fmt.Sprintf("4 store down for %.0f s", d.Seconds())
			each(t, name, func(b *bed) result { return storeIsDown(b, d) })
		})
	}
}

// storeIsDown runs with the budgets that the product has. An outage longer than a function lives (60 s) sends the rescued
// answer back to its queue, from where it comes again.
func storeIsDown(b *bed, d time.Duration) (r result) {
	entries := b.seed(5, 0)
	b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token"})
	p := b.start(spec{RescueInterval: 5 * time.Second})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		b.together(len(entries), len(entries), func(i int) { _, _ = p.read(b.Context(), entries[i]) })
	}()
	b.allLeased(entries)
	p.order(storeDown)
	from := time.Now()
	b.clear(sagesim.FaultHold)
	refused := b.askMeanwhile(&r, p, entries, d)
	p.order(storeUp)
	down := time.Since(from)
	<-asked
	for try := 0; len(p.said("stored")) < len(entries) && try < 600; try++ {
		if d > time.Minute && try == 0 {
			b.pass(4 * time.Minute) // until its message is seen again
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.unharmed(&r, entries, 2)
	rescued := len(p.said("rescued"))
	// It is tried for three quarters of the store's eight seconds, at last once a second; an outage that a busy machine made longer
	// may go to rescue.
	r.want(rescued > 0 || d < 8*time.Second, "no answer went to rescue")
	r.want(rescued == 0 || down > 4*time.Second, "%d answers went to rescue after %s", rescued, down)
	r.figure("%d through rescue; %d readers refused meanwhile", rescued, refused)
	for _, e := range entries {
		a := p.mustRead(e)
		r.want(a.status == http.StatusOK, "afterwards a reader hears %v", a)
	}
	return r
}

// askMeanwhile has readers go on asking for so long, also when the lease is over: without a store nothing is begun. It
// returns how many were answered.
func (b *bed) askMeanwhile(r *result, p *process, entries []entry, d time.Duration) int {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	answered := 0
	for ctx.Err() == nil {
		answers := make([]answer, len(entries))
		b.together(len(entries), len(entries), func(i int) { answers[i], _ = p.read(ctx, entries[i]) })
		for _, a := range answers {
			if a.status != 0 { // 0: it waited until the store was back
				answered++
				r.want(a.status == http.StatusServiceUnavailable, "with the store down a reader hears %v", a)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return answered
}

// The token endpoint is down from the moment that an access token was issued.
//
// Fails when a token with little life left is replaced while its reader waits (read.alive calls renewed, not nudge).
func TestTokenEndpointDown(t *testing.T) {
	each(t, "5 token endpoint down", endpointDown)
}

func endpointDown(b *bed) (r result) {
	e := b.seed(1, access)[0]
	expires := b.credential(e).Expires
	p := b.start(spec{})
	b.fault(sagesim.Fault{Name: sagesim.FaultStatus, Endpoint: "token", Status: http.StatusServiceUnavailable})
	reads, failed := 0, 0
	for b.clock.Now().Before(expires.Add(-4 * time.Second)) {
		a := p.mustRead(e)
		reads++
		if a.status != http.StatusOK {
			failed++
			r.want(false, "a read while the token lives: %v", a)
		}
		b.unleased(e)
		b.pass(3 * time.Second)
	}
	b.pass(10 * time.Second)
	refused := 0
	for range 3 {
		a := p.mustRead(e)
		wait, err := strconv.Atoi(a.after)
		r.want(a.status == http.StatusServiceUnavailable && a.code() == "provider_unavailable" && err == nil && wait > 0,
			"with the token dead: %v, Retry-After %q", a, a.after)
		refused++
	}
	offers := len(b.ledger().calls)
	b.clear(sagesim.FaultStatus)
	b.pass(time.Minute) // past the longest pause between tries
	a := p.mustRead(e)
	r.want(a.status == http.StatusOK, "after the outage: %v", a)
	wrong := b.healthy(b.ledger(), e, 2)
	r.want(wrong == "", "%s", wrong)
	r.figure("%d reads while the token lived: %d failed; then %d clear refusals; %d offers during the outage; healthy with the first success", reads, failed, refused, offers)
	return r
}

// Ten thousand reads of one entry in an hour, of which the readers themselves see to the token.
//
// Fails when the margin is five minutes whatever the lifetime (refresh.Margin and read.alive): then each token is replaced
// as soon as it is there.
func TestReadsInAnHour(t *testing.T) {
	each(t, "6 reads in an hour", func(b *bed) result { return anHour(b, never, 15) })
}

// The same with the schedule at work, which replaces a token that is read when its readers would, and not before.
//
// Fails with the same change, and when the schedule is early by its interval (refresh.warmAt).
func TestReadsInAnHourOnSchedule(t *testing.T) {
	each(t, "6 reads in an hour, on schedule", func(b *bed) result { return anHour(b, 0, 15) })
}

func anHour(b *bed, tick time.Duration, most int) (r result) {
	e := b.seed(1, access)[0]
	both := []*process{b.start(spec{Tick: tick}), b.start(spec{Tick: tick})}
	steps, reads := 500, of(2000, 10_000) // the application's rate allows a burst of many times what falls between two
	if testing.Short() {
		steps, reads = 250, 500
	}
	failed := 0
	for range steps {
		answers := make([]answer, reads/steps)
		b.together(len(answers), 4, func(i int) { answers[i] = both[i%2].mustRead(e) })
		for _, a := range answers {
			if a.status != http.StatusOK {
				failed++
				r.want(failed > 3, "a read: %v", a)
			}
		}
		b.unleased(e)
		b.pass(time.Hour / time.Duration(steps))
	}
	refreshes := len(b.ledger().calls)
	r.want(refreshes >= 10 && refreshes <= most, "%d refreshes, want at most %d", refreshes, most)
	r.want(failed == 0, "%d reads failed", failed)
	r.figure("%d reads: %d refreshes, %d failed", reads, refreshes, failed)
	return r
}

// unleased waits until no refresh of an entry is under way, so that no lease lives through more than one step of the clock.
func (b *bed) unleased(e entry) {
	b.Helper()
	b.eventually("the refresh has ended", func() bool { return b.credential(e).Lease == nil })
}

// Twenty entries wait for a token endpoint that holds its answers back, and everybody else reads on.
//
// Fails when refreshes are done under one lock that all entries share (refresh.Do).
func TestNobodyWaitsForAnother(t *testing.T) {
	eachAlone(t, "7 no head-of-line blocking", headOfLine) // the token endpoint holds nothing for ever
}

func headOfLine(b *bed) (r result) {
	waiting := b.seed(20, 0)
	others := append(b.seed(20, access), b.seed(5, 0)...) // some need a token too, and it must not wait either
	for _, e := range waiting {
		b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token", Label: e.id})
	}
	p := b.start(spec{})
	ended := make(chan answer, len(waiting))
	for _, e := range waiting {
		go func() {
			a, _ := p.read(b.Context(), e)
			ended <- a
		}()
	}
	b.allLeased(waiting)
	const batch = 200
	reads := 5 * batch
	if testing.Short() {
		reads = batch
	}
	answers, took := make([]answer, reads), make([]time.Duration, reads)
	for from := 0; from < reads; from += batch {
		b.together(batch, 8, func(i int) {
			i += from
			began := time.Now()
			answers[i] = p.mustRead(others[i%len(others)])
			took[i] = time.Since(began)
		})
		b.pass(4 * time.Second) // the application has a rate, too
	}
	first := len(ended)
	b.clear(sagesim.FaultHold)
	failed := 0
	for _, a := range answers {
		if a.status != http.StatusOK {
			failed++
			r.want(failed > 3, "a read of another entry: %v", a)
		}
	}
	for range waiting {
		a := <-ended
		r.want(a.status == http.StatusOK, "a reader who waited hears %v", a)
	}
	r.want(first == 0, "%d of the held refreshes were answered before %d reads of others", first, reads)
	r.want(failed == 0, "%d reads of others failed", failed)
	r.figure("%d reads during %d held refreshes: %d overtaken, %d failed, p50 %.1f ms, p99 %.1f ms", reads, len(waiting), first, failed,
		ms(quantile(took, 0.5)), ms(quantile(took, 0.99)))
	return r
}
