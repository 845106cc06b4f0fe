package cloud_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// figures are how long instances took to start, over all deployments.
type figures struct {
	mu   sync.Mutex
	init map[string][]time.Duration // by folder; guarded by mu
}

// take adds what one deployment came to.
func (f *figures) take(b *bed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.init == nil {
		f.init = map[string][]time.Duration{}
	}
	for folder, function := range b.functions {
		for _, start := range b.fleet.Starts(function.ID) {
			f.init[folder] = append(f.init[folder], start.Init)
		}
	}
}

// print logs a line for each function, and fails the test where one never started.
func (f *figures) print(t *testing.T, on machine) {
	t.Helper()
	sizes, err := build(on)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(sizes, func(a, b size) int { return strings.Compare(a.folder, b.folder) })
	text := fmt.Sprintf("%-12s %9s %10s %12s %12s\n", "function", "size", "instances", "init median", "longest")
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range sizes {
		took := slices.Sorted(slices.Values(f.init[s.folder]))
		if len(took) == 0 {
			t.Errorf("%s never started", s.folder)
			continue
		}
		text += fmt.Sprintf("%-12s %6.1f MB %10d %9d ms %9d ms\n", s.folder, float64(s.bytes)/1e6, len(took), took[len(took)/2].Milliseconds(), took[len(took)-1].Milliseconds())
	}
	t.Logf("init is from the start of the process to its first question for work, on a machine that is busy with all of it\n%s", text)
}
