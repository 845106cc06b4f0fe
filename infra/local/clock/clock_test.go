package clock

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestStepsAreSharedAndStay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clock")
	a, b := open(t, path), open(t, path)
	before := time.Now()
	var all sync.WaitGroup
	for _, c := range []*Clock{a, b} {
		for range 20 {
			all.Add(1)
			go func() {
				defer all.Done()
				if _, err := c.Advance(time.Hour); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	all.Wait()
	for name, c := range map[string]*Clock{"one that stepped": a, "the other": b, "one opened after": open(t, path)} {
		if ahead := c.Now().Sub(before); ahead < 40*time.Hour || ahead > 41*time.Hour {
			t.Errorf("%s is %s ahead after 40 steps of an hour", name, ahead)
		}
	}
}

func TestOnlyForward(t *testing.T) {
	t.Parallel()
	c := open(t, filepath.Join(t.TempDir(), "clock"))
	for _, d := range []time.Duration{0, -time.Second} {
		if _, err := c.Advance(d); err == nil {
			t.Errorf("Advance(%s) was taken", d)
		}
	}
}

func TestUnreadableSteps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(path, []byte("an hour\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Error("steps that are no durations were taken")
	}
}

func open(t *testing.T, path string) *Clock {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
