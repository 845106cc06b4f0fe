package sagesim

import (
	"context"
	"sync"
)

// mostAtOnce is how many calls of API v3.1 an application may have in flight (Sage facts 2.6).
const mostAtOnce = 150

// flights counts the calls in flight for each client id, in this process.
type flights struct {
	mu      sync.Mutex
	now     map[string]int // guarded by mu
	peak    int            // guarded by mu
	refused int            // guarded by mu
}

// Concurrency says how many calls of API v3.1 were in flight in this process.
type Concurrency struct {
	Peak    int `json:"peak"` // most at once for one client id
	Now     int `json:"now"`  // for all
	Refused int `json:"refused"`
}

// Concurrency returns the counts of this process.
func (s *Simulator) Concurrency() Concurrency {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	c := Concurrency{Peak: s.flights.peak, Refused: s.flights.refused}
	for _, n := range s.flights.now {
		c.Now += n
	}
	return c
}

// ResetConcurrency forgets the peak and the refusals.
func (s *Simulator) ResetConcurrency() {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	s.flights.peak, s.flights.refused = 0, 0
}

// takeOff counts a call, or refuses it when there are too many. land must be called after a call that was taken.
func (s *Simulator) takeOff(ctx context.Context, where scope) (land func(), taken bool, err error) {
	limit := mostAtOnce
	f, on, err := s.setting(ctx, s.state, FaultConcurrency, where)
	if err != nil {
		return nil, false, err
	}
	if on {
		limit = f.Limit
	}
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	if s.flights.now == nil {
		s.flights.now = make(map[string]int)
	}
	if s.flights.now[where.client] >= limit {
		s.flights.refused++
		return nil, false, nil
	}
	s.flights.now[where.client]++
	s.flights.peak = max(s.flights.peak, s.flights.now[where.client])
	return func() {
		s.flights.mu.Lock()
		defer s.flights.mu.Unlock()
		if s.flights.now[where.client]--; s.flights.now[where.client] == 0 {
			delete(s.flights.now, where.client)
		}
	}, true, nil
}
