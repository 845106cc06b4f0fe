package clarasim

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A transaction is a notification, then a pre-authorization, then final within two days (Clara facts 4.5), and not there before.
func TestTransactionsSettle(t *testing.T) {
	t.Parallel()
	b := &books{country: CountryMexico, side: SideProduction, tax: "X"}
	seen := map[string]bool{}
	for k := range monthlyTransactions {
		one := b.transaction(firstMonth+3, k)
		for _, step := range []struct {
			after    time.Duration
			there    bool
			bought   string
			rejected string
		}{
			{-time.Second, false, "", ""}, {0, true, "ON", "RJ"}, {10*time.Minute - time.Second, true, "ON", "RJ"}, {10 * time.Minute, true, "AU", "RJ"},
			{48*time.Hour - time.Second, true, "AU", "RJ"}, {48 * time.Hour, true, "OP", "RJ"}, {9000 * time.Hour, true, "OP", "RJ"},
		} {
			now := *b
			now.now = one.at.Add(step.after)
			var found *transaction
			for _, other := range now.transactions() {
				if other.uuid == one.uuid {
					found = &other
				}
			}
			if (found != nil) != step.there {
				t.Fatalf("%d after %s: there: %v", k, step.after, found != nil)
			}
			if found == nil {
				continue
			}
			want := step.bought
			switch {
			case one.byClara():
				want = "EC"
			case one.rejected:
				want = step.rejected
			}
			if got := found.status(now.now); got.Code != want {
				t.Errorf("%d after %s: %v, want %s", k, step.after, got, want)
			}
			if (found.accounting(now.now) != "") != (step.after >= 48*time.Hour) {
				t.Errorf("%d after %s: booked on %q", k, step.after, found.accounting(now.now))
			}
			seen[want] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("saw %v", seen)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for amount, want := range map[money]string{0: "0.0", 5: "0.05", 50: "0.5", 100: "1.0", 14999: "149.99", 123450: "1234.5", -14999: "-149.99", -5: "-0.05"} {
		if got, err := amount.MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%d: %s, want %s", amount, got, want)
		}
	}
}

// A long log keeps its end.
func TestRequestLogIsBounded(t *testing.T) {
	t.Parallel()
	s, err := New(Config{StatePath: filepath.Join(t.TempDir(), "clara.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.state.ExecContext(t.Context(), `INSERT INTO requests(seq, line) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, '{}' FROM n`, keptRequests+2); err != nil {
		t.Fatal(err)
	}
	s.note(t.Context(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), &call{}, 200, "")
	list, err := s.Requests(t.Context(), 0)
	if err != nil || len(list) != keptRequests || list[len(list)-1].Seq != keptRequests+3 {
		t.Errorf("%d lines, %v", len(list), err)
	}
}

// However many look at once, at whichever process, a switch acts as often as it was set to.
func TestSwitchIsUsedUpOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clara.db")
	var sims [2]*Simulator
	for i := range sims {
		var err error
		if sims[i], err = New(Config{StatePath: path}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sims[i].Close() }()
	}
	const times = 30
	if _, err := sims[0].SetFault(t.Context(), Fault{Name: FaultReset, Times: times}); err != nil {
		t.Fatal(err)
	}
	var acted atomic.Int64
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			_, on, err := sims[i%2].fire(t.Context(), FaultReset, scope{})
			if err != nil {
				t.Errorf("%v", err)
			}
			if on {
				acted.Add(1)
			}
		}()
	}
	wait.Wait()
	if acted.Load() != times {
		t.Errorf("it acted %d times", acted.Load())
	}
}
