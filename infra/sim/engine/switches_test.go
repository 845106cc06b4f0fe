package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"connectorvault/infra/sim/engine"
	"connectorvault/infra/sim/engine/enginetest"
)

// flaw is a switch of a simulator that has nothing else.
type flaw struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Place   string `json:"place,omitempty"`
	Person  string `json:"person,omitempty"`
	Times   int    `json:"times,omitempty"`
	DelayMS int    `json:"delay_ms,omitempty"`
	Status  int    `json:"status,omitempty"` // its own: the engine does not know it
	Spent   bool   `json:"spent,omitempty"`
}

func flawParts(f *flaw) engine.Parts {
	return engine.Parts{ID: &f.ID, Name: f.Name, Limits: []string{f.Place, f.Person}, Times: &f.Times, DelayMS: f.DelayMS, Spent: &f.Spent}
}

// process is one of those that share a state.
type process struct {
	t        *testing.T
	state    *engine.State
	switches *engine.Switches[flaw]
	log      *enginetest.Log
}

func open(t *testing.T, path string) *process {
	t.Helper()
	log := &enginetest.Log{}
	state, err := engine.OpenState(path, `CREATE TABLE IF NOT EXISTS lines(seq INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT NOT NULL, what TEXT NOT NULL);`,
		slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() }) // some tests close it themselves
	return &process{t, state, engine.NewSwitches(state, flawParts), log}
}

func file(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "folder", "state.db")
}

func (p *process) set(f flaw) flaw {
	p.t.Helper()
	f, err := p.switches.Set(p.t.Context(), f)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

func (p *process) list() []flaw {
	p.t.Helper()
	list, err := p.switches.List(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *process) fires(ctx context.Context, name, place, person string) bool {
	p.t.Helper()
	_, on, err := p.switches.Fire(ctx, name, []string{place, person})
	if err != nil {
		p.t.Error(err)
	}
	return on
}

func TestALimitIsKeptAndNoneMatchesAnything(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: "here", Place: "api", Person: "ann"})
	p.set(flaw{Name: "anywhere"})
	for _, c := range []struct {
		name, place, person string
		want                bool
	}{
		{"here", "api", "ann", true}, {"here", "api", "bob", false}, {"here", "token", "ann", false}, {"here", "api", "", false},
		{"here", "ann", "api", false}, {"anywhere", "api", "bob", true}, {"anywhere", "", "", true}, {"nowhere", "api", "ann", false},
	} {
		if got := p.fires(t.Context(), c.name, c.place, c.person); got != c.want {
			t.Errorf("%+v fired %v", c, got)
		}
	}
	if list := p.list(); len(list) != 2 || list[0].Times != 0 || list[1].Times != 0 {
		t.Errorf("what has no times was used up: %+v", list)
	}
}

func TestTheSameSwitchIsReplacedAndAnotherIsNot(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	first := p.set(flaw{ID: 77, Name: "status", Place: "api", Times: 3, Status: 404, Spent: true})
	other := p.set(flaw{Name: "status", Place: "token"})
	named := p.set(flaw{Name: "reset", Place: "api"})
	again := p.set(flaw{Name: "status", Place: "api", Status: 500})
	if first.ID == 77 || first.Spent || again.ID <= named.ID {
		t.Errorf("who turns a switch on chose its id or spent it: %+v, %+v", first, again)
	}
	if diff := cmp.Diff([]flaw{other, named, again}, p.list()); diff != "" {
		t.Error(diff)
	}
	if err := p.switches.Clear(t.Context(), "status"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]flaw{named}, p.list()); diff != "" {
		t.Error(diff)
	}
	if err := p.switches.Clear(t.Context(), ""); err != nil || len(p.list()) != 1 {
		t.Errorf("no switch has no name: %v, %+v", err, p.list())
	}
	if err := p.switches.ClearAll(t.Context()); err != nil || len(p.list()) != 0 {
		t.Errorf("switches are left: %v, %+v", err, p.list())
	}
}

// Two processes with forty requests at once: a switch of seven times fires seven times.
func TestASwitchFiresAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	path := file(t)
	two := []*process{open(t, path), open(t, path)}
	two[0].set(flaw{Name: "reset", Times: 7})
	var fired atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if two[i%2].fires(t.Context(), "reset", "api", "") {
				fired.Add(1)
			}
		})
	}
	all.Wait()
	if fired.Load() != 7 || len(two[1].list()) != 0 {
		t.Errorf("fired %d times, and %+v is left", fired.Load(), two[1].list())
	}
}

func TestTheFirstThatMatchesIsUsedUpFirst(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: "status", Times: 2, Status: 404})
	p.set(flaw{Name: "status", Place: "api", Status: 500})
	var seen []int
	for range 3 {
		f, on, err := p.switches.Fire(t.Context(), "status", []string{"api", ""})
		if err != nil || !on {
			t.Fatal(on, err)
		}
		seen = append(seen, f.Status, f.Times)
	}
	if want := []int{404, 2, 404, 1, 500, 0}; !slices.Equal(seen, want) {
		t.Errorf("status and times %v, want %v", seen, want)
	}
}

func TestOneOfSeveralFires(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: "status", Times: 1})
	p.set(flaw{Name: "reset", Place: "api", Times: 1})
	for _, want := range []string{"reset", "status", ""} {
		f, on, err := p.switches.First(t.Context(), []string{"api", ""}, "slow", "reset", "status")
		if f.Name != want || on != (want != "") || err != nil {
			t.Errorf("%+v %v %v, want %q", f, on, err, want)
		}
	}
	_ = p.state.Close()
	if _, on, err := p.switches.First(t.Context(), []string{"api", ""}, "reset"); on || err == nil {
		t.Error("without a state nothing is known")
	}
}

func TestASettingIsNotUsedUp(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: "grace", Times: 1})
	for range 3 {
		if _, on, err := p.switches.Setting(t.Context(), p.state, "grace", []string{"", ""}); !on || err != nil {
			t.Fatal(on, err)
		}
	}
}

// A hold of one time holds one request, in whichever process it is deleted, and lets another one pass.
func TestAHoldEndsWithItsSwitch(t *testing.T) {
	t.Parallel()
	path := file(t)
	here, there := open(t, path), open(t, path)
	here.set(flaw{Name: engine.Hold, Times: 1})
	held, gone := make(chan struct{}), make(chan error, 1)
	ctx, err := here.switches.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() { gone <- here.switches.Delay(ctx, []string{"api", ""}, func() { close(held) }) }()
	<-held
	if list := there.list(); len(list) != 1 || !list[0].Spent {
		t.Fatalf("the hold is not spent: %+v", list)
	}
	if err := there.switches.Delay(t.Context(), []string{"api", ""}, func() { t.Error("a spent hold takes another request") }); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-gone:
		t.Fatalf("it was let go too early: %v", err)
	default:
	}
	there.set(flaw{Name: "reset"})
	if !here.switches.SurelyOff(ctx, "reset") {
		t.Error("whoever is held has looked again before it goes on")
	}
	if err := there.switches.Clear(t.Context(), engine.Hold); err != nil {
		t.Fatal(err)
	}
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
	if !here.fires(ctx, "reset", "api", "") {
		t.Error("what was held goes on under the switches of before")
	}
}

// Whoever leaves is held no longer, and does not keep the switch from the next one.
func TestAHoldEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: engine.Hold})
	ctx, leave := context.WithCancel(t.Context())
	if err := p.switches.Delay(ctx, []string{"", ""}, leave); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if list := p.list(); len(list) != 1 || list[0].Spent {
		t.Errorf("the hold went: %+v", list)
	}
}

func TestASlowRequestIsUsedUpAndGoesOn(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: engine.Slow, Times: 1, DelayMS: 1})
	if err := p.switches.Delay(t.Context(), []string{"", ""}, func() { t.Error("held") }); err != nil || len(p.list()) != 0 {
		t.Errorf("%v, %+v", err, p.list())
	}
	p.set(flaw{Name: engine.Slow, Times: 1, DelayMS: 1 << 40})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		err := p.switches.Delay(ctx, []string{"", ""}, func() {})
		done <- errors.Join(err, ctx.Err())
	}()
	for len(p.list()) > 0 {
		runtime.Gosched() // until it is used up, and so begun
	}
	for range 10 {
		p.list()
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it did not wait for as long as its request was there: %v", err)
	}
}

// A request reads the switches once; a name that was off then is off for it, one that was on is looked up.
func TestWatchingSparesLooking(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	off, err := p.switches.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !p.switches.AllOff(off) || p.switches.AllOff(t.Context()) || p.switches.SurelyOff(t.Context(), "reset") {
		t.Error("nothing is known of what nobody looked at, and all of what somebody did")
	}
	p.set(flaw{Name: "reset", Times: 1})
	if p.fires(off, "reset", "", "") {
		t.Error("a request that began before the switch obeys it")
	}
	on, err := p.switches.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.switches.AllOff(on) || p.switches.SurelyOff(on, "reset") || !p.switches.SurelyOff(on, "status") {
		t.Error("what is on is not seen")
	}
	if !p.fires(on, "reset", "", "") || p.fires(on, "reset", "", "") {
		t.Error("a switch of one time fires once")
	}
}

func TestMembersOfASwitch(t *testing.T) {
	t.Parallel()
	check := func(name string, delay, status bool) string {
		err := engine.CheckMembers(name,
			engine.Member{Name: "delay_ms", Given: delay, Needs: []string{"slow"}},
			engine.Member{Name: "status", Given: status, Needs: []string{"status"}, Optional: []string{"html"}})
		if err != nil {
			return err.Error()
		}
		return ""
	}
	for _, c := range []struct {
		name          string
		delay, status bool
		want          string
	}{
		{"slow", true, false, ""}, {"slow", false, false, "the switch slow needs delay_ms"}, {"slow", true, true, "the switch slow takes no status"},
		{"status", false, true, ""}, {"status", false, false, "the switch status needs status"}, {"html", false, true, ""}, {"html", false, false, ""},
		{"reset", true, false, "the switch reset takes no delay_ms"}, {"reset", false, false, ""},
	} {
		if got := check(c.name, c.delay, c.status); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestNothingOfAFailedUpdateStays(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	failure := errors.New("it failed")
	err := p.state.Update(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(engine.SetMeta(t.Context(), tx, "name", "value"), failure)
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if value, err := engine.Meta(t.Context(), p.state, "name"); value != "" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
	for _, value := range []string{"one", "two"} {
		if err := engine.SetMeta(t.Context(), p.state, "name", value); err != nil {
			t.Fatal(err)
		}
		if got, err := engine.Meta(t.Context(), p.state, "name"); got != value || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestTheStateIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	path := file(t)
	first := open(t, path)
	first.set(flaw{Name: "reset"})
	wantMode(t, path, 0o600)
	wantMode(t, filepath.Dir(path), 0o700)
	if len(open(t, path).list()) != 1 {
		t.Error("opening again began anew")
	}
}

// Processes that start together find the same new file, and none gives up.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			state, err := engine.OpenState(path, "", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			if err := state.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestCountersAddUp(t *testing.T) {
	t.Parallel()
	path := file(t)
	two := []*process{open(t, path), open(t, path)}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for i := range 4 {
		two[i%2].state.Count(gone, "api", "orders", "200")
	}
	two[0].state.Count(t.Context(), "api", "orders", "429")
	list, err := two[1].state.Calls(t.Context())
	want := []engine.CallCount{{Endpoint: "api", Operation: "orders", Outcome: "200", Count: 4}, {Endpoint: "api", Operation: "orders", Outcome: "429", Count: 1}}
	if diff := cmp.Diff(want, list); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := two[0].state.ResetCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := two[1].state.Calls(t.Context()); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	_ = two[0].state.Close()
	two[0].state.Count(t.Context(), "api", "orders", http.StatusText(200))
	if !strings.Contains(two[0].log.String(), "counting a call") {
		t.Error("a counter that fails is silent")
	}
}
