package planner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/planner"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

const tenant = "t_0000000000000001"

var errRefused = errors.New("refused")

// index is a due index, and the queues that are filled from it. Everything is guarded by mu.
type index struct {
	mu     sync.Mutex
	due    map[string][]store.Due // by shard, in the order of time
	broken map[string]error       // by shard
	takes  time.Duration          // each read
	reads  []string               // shards, in the order of their reads
	now    int                    // reads at this moment
	most   int                    // reads at once
	limits map[int]bool           // how many entries were asked for

	queues  map[string][]tokens.Call
	waiting map[string]int // what a queue says that it holds; what is missing: what it does hold
	silent  map[string]error
	refuses func(provider string) error
	workers int // of each provider
}

func newIndex() *index {
	return &index{due: map[string][]store.Due{}, broken: map[string]error{}, limits: map[int]bool{}, queues: map[string][]tokens.Call{}, waiting: map[string]int{}, silent: map[string]error{}, workers: 2}
}

// add makes n entries of a provider due in a shard, one second after the other.
func (x *index) add(provider string, shard, n int, from time.Time) {
	name := vault.DueShard(provider, shard)
	for range n {
		i := len(x.due[name])
		x.due[name] = append(x.due[name], store.Due{Key: store.Key{Partition: fmt.Sprintf("%s#%s-%d-%d", tenant, provider, shard, i), Sort: "credential"},
			At: from.Unix() + int64(i)})
	}
}

func (x *index) Due(ctx context.Context, shard string, until int64, limit int, cursor string) ([]store.Due, string, error) {
	x.mu.Lock()
	x.reads, x.now, x.limits[limit] = append(x.reads, shard), x.now+1, true
	x.most = max(x.most, x.now)
	takes := x.takes
	x.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now--
	if err := errors.Join(ctx.Err(), x.broken[shard]); err != nil {
		return nil, "", err
	}
	from, _ := strconv.Atoi(cursor)
	all := x.due[shard]
	if past := slices.IndexFunc(all, func(d store.Due) bool { return d.At > until }); past >= 0 {
		all = all[:past]
	}
	from = min(from, len(all))
	to := min(from+limit, len(all))
	if to < len(all) {
		return all[from:to], fmt.Sprint(to), nil
	}
	return all[from:to], "", nil
}

func (x *index) send(_ context.Context, provider string, calls []tokens.Call) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.refuses != nil {
		if err := x.refuses(provider); err != nil {
			return err
		}
	}
	x.queues[provider] = append(x.queues[provider], calls...)
	return nil
}

func (x *index) holds(_ context.Context, provider string) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n, said := x.waiting[provider]; said {
		return n, nil
	}
	return len(x.queues[provider]), x.silent[provider]
}

// planner is one over the index.
func (x *index) planner(logger *slog.Logger, providers ...string) *planner.Planner {
	return planner.New(planner.Config{Vault: vault.New(vault.Config{Due: x, Now: time.Now}), Providers: providers, Workers: func(string) int { return x.workers },
		Waiting: x.holds, Send: x.send, Now: time.Now, Logger: logger})
}

var silent = slog.New(slog.DiscardHandler)

// once fails the test unless exactly these many entries of a provider lie in its queue, each once.
func (x *index) once(t *testing.T, provider string, want int) {
	t.Helper()
	seen := map[string]bool{}
	for _, call := range x.queues[provider] {
		if call.Op != tokens.Due || call.Tenant != tenant || !strings.HasPrefix(call.Entry, provider+"-") || seen[call.Entry] {
			t.Fatalf("in the queue of %s lies %+v", provider, call)
		}
		seen[call.Entry] = true
	}
	if len(seen) != want {
		t.Errorf("%d entries of %s were passed on; want %d", len(seen), provider, want)
	}
}

// Everything that is due is found, page by page, and goes to the queue of its provider to be delivered at its time.
func TestWhatIsDueGoesToTheQueueOfItsProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		x.workers = 50
		want := map[string]int{}
		for n := range vault.DueShards {
			x.add("amazon", n, n*40, time.Now().Add(-time.Hour))              // up to 600: seven pages
			x.add("sage", n, 3, time.Now().Add(planner.Interval-time.Second)) // the third of them after the next look
			want["amazon"] += n * 40
			want["sage"] += 2
		}
		var log bytes.Buffer
		plan, err := x.planner(slog.New(slog.NewJSONHandler(&log, nil)), "sage", "amazon", "clara").Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		x.once(t, "amazon", want["amazon"])
		x.once(t, "sage", want["sage"])
		x.once(t, "clara", 0)
		for _, call := range x.queues["sage"] {
			if call.NotBefore.Before(time.Now().Add(59*time.Second)) || call.NotBefore.After(time.Now().Add(planner.Interval)) {
				t.Errorf("it is to be delivered at %s", call.NotBefore)
			}
		}
		if !x.limits[100] || len(x.limits) != 1 {
			t.Errorf("pages of %v were asked for", x.limits)
		}
		a, s := plan.Providers["amazon"], plan.Providers["sage"]
		if a.Planned != want["amazon"] || a.Lag != 3600 || a.Full || a.Left != 0 || a.Failed != 0 || a.Waiting != 0 || a.Pages < 16 {
			t.Errorf("of amazon is said %+v", a)
		}
		if s.Lag != 0 || s.Pages != 16 || plan.Providers["clara"].Pages != 16 || len(plan.Providers) != 3 {
			t.Errorf("of sage is said %+v", s)
		}
		var line struct {
			Msg, Provider string
			Lag           int64 `json:"due_lag_seconds"`
		}
		first, _, _ := strings.Cut(log.String(), "\n")
		if err := json.Unmarshal([]byte(first), &line); err != nil || line.Provider != "amazon" || line.Msg != "planned" || line.Lag != 3600 {
			t.Errorf("logged is %s", first)
		}
	})
}

// What one shard, one queue or one provider has trouble with keeps nobody else waiting, and is said once a provider.
func TestTroubleKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	x := newIndex()
	x.workers = 50
	for n := range vault.DueShards {
		for _, provider := range []string{"amazon", "sage", "clara"} {
			x.add(provider, n, 250, time.Now().Add(-time.Hour))
		}
	}
	x.broken[vault.DueShard("amazon", 3)] = errRefused
	x.refuses = func(provider string) error {
		if provider == "sage" {
			return fmt.Errorf("%w by the queue", errRefused)
		}
		return nil
	}
	x.silent["clara"] = errRefused
	plan, err := x.planner(silent, "amazon", "clara", "sage").Plan(t.Context())
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, errRefused) || strings.Count(err.Error(), "planning for") != 3 {
		t.Errorf("said is %v", err)
	}
	x.once(t, "amazon", 15*250)
	x.once(t, "sage", 0)
	x.once(t, "clara", 16*250) // a queue that does not say how much it holds is not taken to be full
	for provider, failed := range map[string]int{"amazon": 1, "sage": 16, "clara": 0} {
		if got := plan.Providers[provider]; got.Failed != failed || got.Left != 0 || got.Planned != len(x.queues[provider]) {
			t.Errorf("of %s is said %+v", provider, got)
		}
	}
	// What failed is due still.
	clear(x.broken)
	x.refuses, x.queues, x.silent = nil, map[string][]tokens.Call{}, nil
	if _, err := x.planner(silent, "amazon", "sage").Plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.once(t, "amazon", 16*250)
	x.once(t, "sage", 16*250)
}

// A full queue gets nothing more, and it is said since when entries wait. The other providers get theirs.
func TestAFullQueueGetsNoMore(t *testing.T) {
	t.Parallel()
	if planner.FullAt(2) != 240 {
		t.Errorf("two workers have a queue of %d", planner.FullAt(2))
	}
	for waiting, full := range map[int]bool{0: false, 239: false, 240: true, 100_000: true} {
		x := newIndex()
		x.add("amazon", 4, 125, time.Now().Add(-10*time.Minute))
		x.add("amazon", 5, 125, time.Now().Add(-10*time.Minute))
		x.add("amazon", 6, 1, time.Now().Add(-20*time.Minute))
		x.add("sage", 5, 250, time.Now())
		x.waiting["amazon"] = waiting
		var log bytes.Buffer
		plan, err := x.planner(slog.New(slog.NewJSONHandler(&log, nil)), "amazon", "sage").Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := 251
		if full {
			want = 0
		}
		x.once(t, "amazon", want)
		x.once(t, "sage", 60+1) // those of the next minute among them
		got := plan.Providers["amazon"]
		if got.Full != full || got.Planned != want || got.Waiting != waiting || got.Lag < 1200 || got.Lag > 1202 {
			t.Errorf("with %d messages it is %+v", waiting, got)
		}
		if said := strings.Contains(log.String(), `"level":"WARN","msg":"a queue is full and gets no more this minute","provider":"amazon"`); said != full {
			t.Errorf("with %d messages is logged %s", waiting, &log)
		}
	}
}

// A backlog does not multiply: however long nobody works, a queue holds what filled it and what was due then; and with slow
// workers no more copies go out than fill a queue, for each time that everything is passed on.
func TestABacklogDoesNotMultiply(t *testing.T) {
	t.Parallel()
	const due = 3000
	for name, works := range map[string]int{"nobody works": 0, "workers are slow": 100, "workers keep up": 240} {
		x := newIndex()
		for n := range vault.DueShards {
			x.add("amazon", n, due/vault.DueShards, time.Now().Add(-time.Hour))
		}
		p := x.planner(silent, "amazon")
		sent, most, rounds := 0, 0, 0
		left := func() (n int) {
			for _, all := range x.due {
				n += len(all)
			}
			return n
		}
		minutes := 0
		for ; minutes < 100 && left() > 0; minutes++ {
			before := len(x.queues["amazon"])
			if _, err := p.Plan(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(x.queues["amazon"]) - before; n > 0 {
				sent, rounds = sent+n, rounds+1
			}
			most = max(most, len(x.queues["amazon"]))
			for range min(works, len(x.queues["amazon"])) { // a worker takes the entry out of the index, if it is in it
				call := x.queues["amazon"][0]
				x.queues["amazon"] = x.queues["amazon"][1:]
				for shard, all := range x.due {
					x.due[shard] = slices.DeleteFunc(all, func(d store.Due) bool { return strings.HasSuffix(d.Key.Partition, "#"+call.Entry) })
				}
			}
		}
		if full := planner.FullAt(2); most > due+full || sent > due+rounds*full {
			t.Errorf("%s: %d messages at once, %d sent in %d rounds", name, most, sent, rounds)
		}
		if works > 0 && minutes > due/works+4 {
			t.Errorf("%s: it takes them %d minutes", name, minutes)
		}
		if works == 0 && sent >= 2*due {
			t.Errorf("%s: %d sent", name, sent)
		}
	}
}

// One look passes on ten minutes' work at most, of every shard alike and the oldest first, and says that there is more; the other
// providers get theirs, and how late the oldest is is known all the same. With workers, look by look, everything is passed on.
func TestALookPassesOnABoundedNumber(t *testing.T) {
	t.Parallel()
	const each = 1000
	x := newIndex()
	for n := range vault.DueShards {
		x.add("amazon", n, each, time.Now().Add(-time.Hour))
		x.add("sage", n, 100, time.Now().Add(-time.Hour))
	}
	x.due[vault.DueShard("amazon", 9)][0].At -= 3600 // in whichever turn it comes
	var log bytes.Buffer
	p := x.planner(slog.New(slog.NewJSONHandler(&log, nil)), "amazon", "sage")
	plan, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	most := planner.MostOf(2)
	x.once(t, "amazon", most)
	x.once(t, "sage", 1600)
	a, s := plan.Providers["amazon"], plan.Providers["sage"]
	if most != 2400 || !a.More || a.Full || a.Planned != most || a.Failed+a.Left != 0 || a.Lag < 7200 || s.More || s.Planned != 1600 {
		t.Errorf("of amazon is said %+v, of sage %+v", a, s)
	}
	if !strings.Contains(log.String(), `"level":"WARN","msg":"more is due than one look passes on and the rest waits in the index","provider":"amazon"`) {
		t.Errorf("logged is %s", &log)
	}
	shards := map[string]int{}
	for _, call := range x.queues["amazon"] {
		var n, i int
		if _, err := fmt.Sscanf(call.Entry, "amazon-%d-%d", &n, &i); err != nil || i >= 150 {
			t.Errorf("passed on was %s", call.Entry)
		}
		shards[strings.Split(call.Entry, "-")[1]]++
	}
	for shard, n := range shards {
		if n != most/vault.DueShards {
			t.Errorf("of shard %s were passed on %d", shard, n)
		}
	}

	gone, looks := map[string]bool{}, 0
	for ; len(gone) < vault.DueShards*each && looks < 100; looks++ {
		for _, call := range x.queues["amazon"] {
			gone[call.Entry] = true
		}
		x.queues["amazon"] = nil
		for name, all := range x.due {
			x.due[name] = slices.DeleteFunc(all, func(d store.Due) bool { return gone[strings.TrimPrefix(d.Key.Partition, tenant+"#")] })
		}
		if plan, err = p.Plan(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := vault.DueShards * each / most; looks > want+2 || plan.Providers["amazon"].More {
		t.Errorf("it took %d looks; at last is said %+v", looks, plan.Providers["amazon"])
	}
}

// The planner ends before its caller's time does, says what it left, and goes on elsewhere the next minute, so that no shard is
// left for long, though there is never time for all of them.
func TestALookThatHasNoTimeForAllGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		providers := []string{"amazon", "clara", "sage"}
		for n := range vault.DueShards {
			for _, provider := range providers {
				x.add(provider, n, 1, time.Now().Add(-time.Hour))
			}
		}
		x.takes = 4 * time.Second // 16 at once, so 32 of 48 in a look of 14 seconds, less the reserve
		p := x.planner(silent, providers...)
		firsts := map[string]bool{}
		for look := range vault.DueShards {
			began := time.Now()
			before := len(x.reads)
			ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
			plan, err := p.Plan(ctx)
			if err != nil || ctx.Err() != nil {
				t.Fatalf("it ended with %v, after %s", err, time.Since(began))
			}
			cancel()
			left, planned := 0, 0
			for _, part := range plan.Providers {
				left += part.Left
				planned += part.Planned
			}
			if left != 16 || planned != 32 || time.Since(began) > 9*time.Second {
				t.Errorf("%d were left, %d planned, in %s", left, planned, time.Since(began))
			}
			firsts[strings.SplitN(x.reads[before], "#", 2)[1]] = true
			if look == 2 {
				for _, provider := range providers {
					seen := map[string]bool{}
					for _, call := range x.queues[provider] {
						seen[call.Entry] = true
					}
					if len(seen) != vault.DueShards {
						t.Errorf("after three looks %d shards of %s had their turn", len(seen), provider)
					}
				}
			}
			time.Sleep(planner.Interval - time.Since(began))
		}
		if x.most != 16 {
			t.Errorf("%d shards were read at once", x.most)
		}
		if len(firsts) < vault.DueShards/2 { // which of the sixteen that begin together is first is nobody's promise
			t.Errorf("the looks began at %d shards", len(firsts))
		}
	})
}

// A provider with very much to do keeps no other waiting, and no shard another: each page is followed by a page of the next.
func TestPagesAreReadInTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		x.workers = 50
		for n := range vault.DueShards {
			x.add("amazon", n, 2000, time.Now().Add(-time.Hour)) // 20 pages each
			x.add("sage", n, 101, time.Now().Add(-time.Hour))
		}
		x.takes = time.Second
		if _, err := x.planner(silent, "amazon", "sage").Plan(t.Context()); err != nil {
			t.Fatal(err)
		}
		turns := map[string][]int{}
		for i, shard := range x.reads {
			turns[shard] = append(turns[shard], i)
		}
		for shard, at := range turns {
			for turn, i := range at[:2] {
				if i >= 32*(turn+1)+16 { // those that are read meanwhile are let in
					t.Errorf("turn %d of %s came after %d reads", turn+1, shard, i)
				}
			}
		}
		x.once(t, "sage", 16*101)
		x.once(t, "amazon", 16*2000)
	})
}

// A planner that dies in the middle, with some of a page sent, loses nothing: the next one passes on everything.
func TestAPlannerThatDies(t *testing.T) {
	t.Parallel()
	for dies := range 12 {
		x := newIndex()
		for n := range vault.DueShards {
			x.add("amazon", n, 120, time.Now().Add(-time.Hour))
		}
		ctx, kill := context.WithCancel(t.Context())
		sent := 0
		x.refuses = func(string) error {
			if sent++; sent > dies {
				kill()
				return errRefused
			}
			return nil
		}
		plan, err := x.planner(silent, "amazon").Plan(ctx)
		kill()
		if err != nil || plan.Providers["amazon"].Left == 0 {
			t.Errorf("whoever is killed after %d pages says %+v, %v", dies, plan.Providers["amazon"], err)
		}
		x.refuses = nil
		x.waiting["amazon"] = 0
		if _, err := x.planner(silent, "amazon").Plan(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, call := range x.queues["amazon"] {
			seen[call.Entry]++
		}
		if len(seen) != 16*120 {
			t.Errorf("killed after %d pages: %d entries were passed on", dies, len(seen))
		}
		for entry, n := range seen {
			if n > 2 {
				t.Errorf("%s was passed on %d times", entry, n)
			}
		}
	}
}

// Two planners at once pass on everything, twice at most: a copy costs whoever takes it one look.
func TestTwoPlannersAtOnce(t *testing.T) {
	t.Parallel()
	x := newIndex()
	for n := range vault.DueShards {
		x.add("amazon", n, 150, time.Now().Add(-time.Hour))
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, err := x.planner(silent, "amazon").Plan(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	seen := map[string]int{}
	for _, call := range x.queues["amazon"] {
		seen[call.Entry]++
	}
	if len(seen) != 16*150 || len(x.queues["amazon"]) > 2*16*150 {
		t.Errorf("%d messages for %d entries", len(x.queues["amazon"]), len(seen))
	}
}

// Without a provider there is nothing to do.
func TestNobodysPlan(t *testing.T) {
	t.Parallel()
	if plan, err := newIndex().planner(silent).Plan(t.Context()); err != nil || len(plan.Providers) != 0 {
		t.Errorf("planned is %+v, %v", plan, err)
	}
}

// How late the schedule is is told when it is known: shards that nobody could look at are no reason to say that nothing waits.
func TestTheLagIsToldWhenItIsKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken int
		waits  bool
		want   int
	}{"nothing waits": {0, false, 1}, "something waits": {0, true, 1}, "one shard is away, and nothing waits elsewhere": {1, false, 0},
		"one shard is away, and something waits elsewhere": {1, true, 1}, "the index is away": {vault.DueShards, true, 0}} {
		x := newIndex()
		for n := range c.broken {
			x.broken[vault.DueShard("sage", n)] = errRefused
		}
		if c.waits {
			x.add("sage", vault.DueShards-1, 1, time.Now().Add(-time.Hour))
		}
		var out bytes.Buffer
		_, err := planner.New(planner.Config{Vault: vault.New(vault.Config{Due: x, Now: time.Now}), Providers: []string{"sage"}, Workers: func(string) int { return 2 },
			Waiting: x.holds, Send: x.send, Now: time.Now, Logger: silent,
			Metrics: metric.New(metric.Config{Out: &out, Namespace: "test", Providers: []string{"sage"}, Now: time.Now})}).Plan(t.Context())
		points := metrictest.Points(t, out.String())
		if (err != nil) != (c.broken > 0) || len(points) != c.want {
			t.Errorf("%s: told is %v (%v)", name, points, err)
		}
		for _, p := range points {
			if (p.Value >= 3600) != c.waits {
				t.Errorf("%s: told is %v", name, p)
			}
		}
	}
}
