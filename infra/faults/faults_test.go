package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain makes the test binary be a process under test where it is started as one.
func TestMain(m *testing.M) {
	if text := os.Getenv(asProcess); text != "" {
		os.Exit(runProcess(text))
	}
	flag.Parse()
	// Most of a case is waiting: for a slow token endpoint, a store that is down, a process that starts.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	code := m.Run()
	fmt.Print(seen.String())
	os.Exit(code)
}

// isLong reports whether the cases run at full length.
func isLong() bool { return os.Getenv(long) != "" }

// of is how many entries, days or rounds a case takes: few, or many in the long form.
func of(few, many int) int {
	if isLong() {
		return many
	}
	return few
}

// result is what a case saw, and what of it should not be.
type result struct {
	figures  []string
	problems []string
}

func (r *result) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// want notes a problem unless it holds.
func (r *result) want(holds bool, format string, args ...any) {
	if !holds {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

// each runs a case on every engine.
func each(t *testing.T, name string, run func(*bed) result) {
	t.Helper()
	t.Parallel()
	for _, engine := range engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			on(t, name, engine, run)
		})
	}
}

// eachAlone is each, with no other case at the same time.
func eachAlone(t *testing.T, name string, run func(*bed) result) {
	t.Helper()
	for _, engine := range engines() {
		t.Run(string(engine), func(t *testing.T) { on(t, name, engine, run) })
	}
}

// on runs a case on one engine and puts what it saw into the table.
func on(t *testing.T, name string, e engine, run func(*bed) result) {
	t.Helper()
	began := time.Now()
	row := row{name: name, engine: string(e), outcome: "not finished"}
	defer func() {
		if t.Skipped() {
			row.outcome = "SKIP"
		}
		row.took = time.Since(began)
		seen.add(row)
	}()
	r := run(newBed(t, e))
	row.figures, row.outcome = r.figures, "ok"
	if len(r.problems) > 0 {
		row.outcome = "FAIL"
		t.Errorf("%s", strings.Join(r.problems, "\n"))
	}
	if len(r.figures) > 0 {
		t.Log(strings.Join(r.figures, "; "))
	}
}

// row is one line of the table.
type row struct {
	name, engine, outcome string
	took                  time.Duration
	figures               []string
}

// table collects what the cases saw.
type table struct {
	mu   sync.Mutex
	rows []row // guarded by mu
}

var seen table

func (t *table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.rows, func(a, b row) int {
		return strings.Compare(a.name+"\x00"+a.engine, b.name+"\x00"+b.engine)
	})
	var out strings.Builder
	for _, r := range t.rows {
		fmt.Fprintf(&out, "%-48s %-9s %-12s %6.1f s  %s\n", r.name, r.engine, r.outcome, r.took.Seconds(), strings.Join(r.figures, "; "))
	}
	return out.String()
}

// quantile returns the q-th part of some durations, which it sorts.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[min(int(q*float64(len(of))), len(of)-1)]
}
