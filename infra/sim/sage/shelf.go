package sagesim

import (
	"sync"
	"time"
)

// shelfSize is how many lists of rows are kept.
const shelfSize = 32

// shelf keeps the rows that were worked out last, so that whoever pages through a list does not have all of it worked out
// again for every page. It saves time and nothing else: rows follow from business, collection and time.
type shelf struct {
	mu    sync.Mutex
	rows  map[shelfKey][]row // guarded by mu; the lists themselves are never changed
	order []shelfKey         // guarded by mu; oldest first
}

type shelfKey struct {
	business, collection string
	now                  time.Time
}

// take returns the rows of a collection as they are now.
func (s *shelf) take(b *book, res *resource) []row {
	key := shelfKey{b.business.ID + b.business.Country, res.name, b.now}
	s.mu.Lock()
	rows, kept := s.rows[key]
	s.mu.Unlock()
	if kept {
		return rows
	}
	rows = res.rows(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, kept := s.rows[key]; kept {
		return rows
	}
	if s.rows == nil {
		s.rows = make(map[shelfKey][]row)
	}
	if len(s.order) == shelfSize {
		delete(s.rows, s.order[0])
		s.order = s.order[1:]
	}
	s.rows[key] = rows
	s.order = append(s.order, key)
	return rows
}
