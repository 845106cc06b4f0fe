package main

import (
	"sync"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// callers is how many ask at once, over how many processes.
const (
	fullHouse = 400
	programs  = 4
)

// asking is how many ask, and how many of them must be answered: the rest may hear that the provider takes no more calls at once.
// The race detector makes each of them several times as heavy.
func asking() (callers, leastRead int) {
	if testing.Short() {
		return fullHouse / 4, 40
	}
	return fullHouse, 150
}

// Four hundred callers of four processes ask for one entry whose access token has ended.
//
// Fails when the lease is taken whoever holds it (vault.Acquire without its condition, refresh without its look at it).
func TestStampede(t *testing.T) {
	each(t, "1 stampede", func(b *bed) result { return stampede(b, 0) })
}

// The same, with a token endpoint that holds its answer back while 11.5 s pass: longer than any lock that is taken for ten.
//
// Fails when the lease ends after ten seconds (refresh.acquire).
func TestStampedeOnASlowEndpoint(t *testing.T) {
	each(t, "1 stampede, answer after 11.5 s", func(b *bed) result { return stampede(b, 11500*time.Millisecond) })
}

func stampede(b *bed, slow time.Duration) (r result) {
	callers, leastRead := asking()
	e := b.seed(1, 0)[0]
	if slow > 0 {
		b.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token"})
	}
	all := make([]*process, programs)
	b.together(programs, programs, func(i int) { all[i] = b.start(spec{}) })

	var (
		mu     sync.Mutex
		status = map[int]int{}
		began  = make(chan struct{})
		took   []time.Duration
		ask    sync.WaitGroup
	)
	for i := range callers {
		ask.Go(func() {
			<-began
			from := time.Now()
			a, err := all[i%programs].read(b.Context(), e)
			mu.Lock()
			defer mu.Unlock()
			status[a.status]++
			took = append(took, time.Since(from))
			if failed := err != nil || a.status != 200 && a.status != 429; failed && len(r.problems) < 3 {
				r.want(false, "a caller heard %v %v", a, err)
			}
		})
	}
	close(began)
	if slow > 0 {
		b.allLeased([]entry{e})
		b.pass(slow)
		time.Sleep(time.Second) // whoever takes the lease for over has taken it by then
		b.clear(sagesim.FaultHold)
	}
	ask.Wait()

	l := b.ledger()
	r.want(len(l.calls) == 1, "%d calls of the token endpoint, want 1", len(l.calls))
	r.want(status[200] >= leastRead, "%d reads succeeded, want %d at least", status[200], leastRead)
	wrong := b.healthy(l, e, 2)
	r.want(wrong == "", "%s", wrong)
	r.figure("%d callers, %d processes: %d token calls, %d answered, %d over the rate, %d failed; p50 %d ms, p99 %d ms", callers, programs, len(l.calls),
		status[200], status[429], callers-status[200]-status[429], quantile(took, 0.5).Milliseconds(), quantile(took, 0.99).Milliseconds())
	return r
}
