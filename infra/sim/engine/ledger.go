package engine

import (
	"context"
	"net/http"
	"strings"
)

// Filter is a column and what it must be; "" matches anything.
type Filter struct{ Column, Value string }

// Lines reads of a ledger, whose lines have a number seq, those after a number that match, oldest first; a limit of 0 is
// none. The query says what is read of each, and from which table.
func Lines[T any](ctx context.Context, q Querier, query string, filters []Filter, after int64, limit int, scan func(func(...any) error) (T, error)) ([]T, error) {
	words, args := []string{query, `WHERE seq > ?`}, []any{after}
	for _, filter := range filters {
		if filter.Value != "" {
			words, args = append(words, `AND `+filter.Column+` = ?`), append(args, filter.Value)
		}
	}
	words = append(words, `ORDER BY seq`)
	if limit > 0 {
		words, args = append(words, `LIMIT ?`), append(args, limit)
	}
	rows, err := q.QueryContext(ctx, strings.Join(words, " "), args...)
	return Collect(rows, err, scan)
}

// Window reads which lines of a ledger are asked for: those after a number, and how many at the most.
func Window(r *http.Request) (after int64, limit int, err error) {
	if after, err = Number(r, "after"); err != nil {
		return 0, 0, err
	}
	most, err := Number(r, "limit")
	return after, int(most), err
}

// Summed is the wire form of a ledger: its lines, and its counters over all lines.
func Summed[T, N any](ctx context.Context, items []T, counters func(context.Context) (N, error)) (any, error) {
	if items == nil {
		items = []T{}
	}
	n, err := counters(ctx)
	return struct {
		Items    []T `json:"items"`
		Counters N   `json:"counters"`
	}{items, n}, err
}
