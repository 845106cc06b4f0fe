package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"connectorvault/infra/cloud/fleet"
)

// work is what the function of these tests is asked for.
type work struct {
	Say   string `json:"say,omitempty"`
	Wait  string `json:"wait,omitempty"`  // a file to wait for
	Fail  bool   `json:"fail,omitempty"`  // an error
	Die   bool   `json:"die,omitempty"`   // the process ends
	Size  int    `json:"size,omitempty"`  // of the answer
	Touch string `json:"touch,omitempty"` // a file to write to, every few milliseconds, from now on
	Count bool   `json:"count,omitempty"` // how often this process was asked
	Deaf  bool   `json:"deaf,omitempty"`  // from now on it does not end when it is told to
}

// said is its answer.
type said struct {
	Process  int
	Instance string
	Request  string
	ARN      string
	Left     time.Duration // until the deadline
	Said     string
	Times    int
	Under    string // a variable of what carries the process out
}

// TestMain is the function as well: the fleet starts this very program.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("FUNCTION_DOES_NOT_START") != "" {
		os.Exit(3)
	}
	times := 0
	var deaf atomic.Bool
	handle := func(ctx context.Context, w work) (said, error) {
		times++
		_, _ = fmt.Fprintln(os.Stderr, "asked for", w.Say)
		for w.Wait != "" {
			if _, err := os.Stat(w.Wait); err == nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
		if w.Deaf {
			deaf.Store(true)
		}
		if w.Touch != "" {
			go touch(w.Touch)
		}
		switch {
		case w.Fail:
			return said{}, errors.New("it fails")
		case w.Die:
			os.Exit(1)
		}
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return said{Process: os.Getpid(), Instance: os.Getenv("INSTANCE"), Request: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Left: time.Until(deadline),
			Said: w.Say + strings.Repeat("x", w.Size), Times: times, Under: os.Getenv("UNDER")}, nil
	}
	lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
		if deaf.Load() {
			return
		}
		_ = os.WriteFile(filepath.Join(os.Getenv("FOLDER"), os.Getenv("INSTANCE")+".term"), nil, 0o600)
		os.Exit(0)
	}))
}

// touch lengthens a file for as long as the process runs.
func touch(name string) {
	for {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test named it
		if err == nil {
			_, _ = f.WriteString("x")
			_ = f.Close()
		}
		<-time.After(2 * time.Millisecond)
	}
}

type bed struct {
	*testing.T
	*fleet.Fleet
	dir string
}

func start(t *testing.T, change func(*fleet.Function)) *bed {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("instances are processes of Linux")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, Fleet: fleet.New(), dir: t.TempDir()}
	t.Cleanup(b.Close)
	f := fleet.Function{Name: "Work", ARN: "arn:work", Program: program, Timeout: 20 * time.Second, Most: 4, Retries: 1,
		Environment: func(instance string) []string { return []string{"INSTANCE=" + instance, "FOLDER=" + b.dir} }}
	if change != nil {
		change(&f)
	}
	b.Add(f)
	return b
}

func (b *bed) do(w work) (said, fleet.Result, error) {
	b.Helper()
	payload, err := json.Marshal(w)
	if err != nil {
		b.Fatal(err)
	}
	r, err := b.Invoke(b.Context(), "Work", payload)
	var out said
	_ = json.Unmarshal(r.Payload, &out) // a failure is something else
	return out, r, err
}

func (b *bed) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bed) eventually(what string, so func() bool) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	b.Fatalf("it never came to be that %s", what)
}

func TestAnInstanceIsUsedAgain(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	first, _, err := b.do(work{Say: "hello"})
	if err != nil || first.Said != "hello" || first.Instance != "Work-1" || first.ARN != "arn:work" || first.Request == "" || first.Left <= 0 || first.Left > 20*time.Second {
		t.Fatalf("%+v %v", first, err)
	}
	known := map[string]said{first.Instance: first}
	b.eventually("one is used again", func() bool { // it is free once it has asked for more
		next, _, err := b.do(work{})
		before, again := known[next.Instance]
		if err != nil || again && (next.Process != before.Process || next.Times != before.Times+1 || next.Request == before.Request) {
			t.Errorf("%+v, then %+v: %v", before, next, err)
		}
		known[next.Instance] = next
		return again
	})
	if starts := b.Starts("Work"); len(starts) == 0 || starts[0].Instance != "Work-1" || starts[0].Init <= 0 {
		t.Errorf("starts: %+v", starts)
	}
}

func TestAsManyInstancesAsCallers(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	answers := make([]said, 4)
	var asking sync.WaitGroup
	for i := range answers {
		asking.Go(func() { answers[i], _, _ = b.do(work{Wait: b.file("go")}) })
	}
	b.eventually("four have started", func() bool { return len(b.Starts("Work")) == 4 })
	if _, _, err := b.do(work{}); !errors.Is(err, fleet.ErrThrottled) {
		t.Errorf("a fifth: %v", err)
	}
	if err := os.WriteFile(b.file("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	asking.Wait()
	seen := map[int]bool{}
	for _, a := range answers {
		if seen[a.Process] || a.Times != 1 {
			t.Errorf("%+v", answers)
		}
		seen[a.Process] = true
	}
}

// What a function leaves behind when it answers stands still until the next invocation.
func TestAFreeInstanceStandsStill(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	if _, _, err := b.do(work{Touch: b.file("tail")}); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(b.file("tail"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	b.eventually("it stands still", func() bool {
		before := size()
		<-time.After(100 * time.Millisecond)
		return size() == before
	})
	before := size()
	if _, _, err := b.do(work{}); err != nil {
		t.Fatal(err)
	}
	b.eventually("it goes on with the next invocation", func() bool {
		_, _, err := b.do(work{})
		return err == nil && size() > before
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	b, hurried := start(t, nil), start(t, func(f *fleet.Function) { f.Timeout = 2 * time.Second })
	for what, c := range map[string]struct {
		work work
		want string
	}{
		"an error":             {work{Fail: true}, "it fails"},
		"an end":               {work{Die: true}, "Runtime.ExitError"},
		"too long":             {work{Wait: hurried.file("never")}, "Task timed out after 2.00 seconds"},
		"an answer over 6 MiB": {work{Size: 7 << 20}, "ResponseSizeTooLarge"},
	} {
		by := b
		if c.work.Wait != "" {
			by = hurried
		}
		_, r, err := by.do(c.work)
		if err != nil || !r.Failed || !strings.Contains(string(r.Payload), c.want) {
			t.Errorf("%s: %v %.200s %v", what, r.Failed, r.Payload, err)
		}
	}
	if _, r, err := b.do(work{Say: "still there"}); err != nil || r.Failed {
		t.Errorf("afterwards: %s %v", r.Payload, err)
	}
	if _, err := b.Invoke(t.Context(), "Nobody", nil); !errors.Is(err, fleet.ErrUnknown) {
		t.Errorf("a function that there is not: %v", err)
	}
	if _, err := b.Invoke(t.Context(), "Work", make([]byte, 7<<20)); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("an event over 6 MiB: %v", err)
	}
}

func TestAFunctionThatDoesNotStart(t *testing.T) {
	t.Parallel()
	b := start(t, func(f *fleet.Function) {
		f.Environment = func(string) []string { return []string{"FUNCTION_DOES_NOT_START=1"} }
	})
	if _, r, err := b.do(work{}); err != nil || !r.Failed || !strings.Contains(string(r.Payload), "before it asked for work") || len(b.Starts("Work")) != 0 {
		t.Errorf("%s %v", r.Payload, err)
	}
}

func TestKillAndRecycle(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	done := make(chan fleet.Result, 1)
	go func() {
		_, r, _ := b.do(work{Wait: b.file("never")})
		done <- r
	}()
	b.eventually("it works", func() bool { return len(b.Starts("Work")) == 1 })
	if b.Kill("Work-2") {
		t.Error("somebody is killed who is not there")
	}
	if !b.Kill("Work-1") {
		t.Error("nobody is killed")
	}
	if r := <-done; !r.Failed || !strings.Contains(string(r.Payload), "Runtime.ExitError") {
		t.Errorf("who waited hears %s", r.Payload)
	}
	if _, err := os.Stat(b.file("Work-1.term")); err == nil {
		t.Error("it was asked to end")
	}
	second, _, err := b.do(work{})
	if err != nil || second.Instance != "Work-2" {
		t.Fatalf("%+v %v", second, err)
	}
	b.eventually("it is told to end", func() bool {
		b.Recycle()
		_, err := os.Stat(b.file("Work-2.term"))
		return err == nil
	})
	if third, _, err := b.do(work{}); err != nil || third.Process == second.Process {
		t.Errorf("%+v %v", third, err)
	}
}

func TestInvocationsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for _, w := range []work{{Touch: b.file("sent")}, {Die: true, Say: "death"}} {
		payload, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Send("Work", payload); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually("it was carried out", func() bool { _, err := os.Stat(b.file("sent")); return err == nil })
	b.eventually("what failed was tried once more", func() bool { return strings.Count(b.Log("Work"), "asked for death") == 2 })
	<-time.After(1500 * time.Millisecond) // longer than the pause between two tries
	if n := strings.Count(b.Log("Work"), "asked for death"); n != 2 {
		t.Errorf("it was tried %d times", n)
	}
}

func TestAFunctionIsInvokedByItsAlias(t *testing.T) {
	t.Parallel()
	b := start(t, func(f *fleet.Function) { f.Alias = "live" })
	for name, status := range map[string]int{
		"Work": 200, "Work:live": 200, "arn:aws:lambda:eu-central-1:111122223333:function:Work:live": 200,
		"Work:other": 404, "arn:aws:lambda:eu-central-1:111122223333:function:Work:1": 404, "arn:aws:sqs:eu-central-1:111122223333:function:Work": 404,
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/2015-03-31/functions/"+name+"/invocations", strings.NewReader(`{"say":"hi"}`)))
		if w.Code != status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestTheAPIOfLambda(t *testing.T) {
	t.Parallel()
	b := start(t, func(f *fleet.Function) { f.Most, f.Alias = 1, "live" })
	call := func(path, kind, body string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewBufferString(body))
		request.Header.Set("X-Amz-Invocation-Type", kind)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, request)
		return w
	}
	const path = "/2015-03-31/functions/Work/invocations"
	for _, c := range []struct {
		path, kind, body string
		status           int
		has, failure     string
	}{
		{path, "RequestResponse", `{"say":"hi"}`, 200, `"Said":"hi"`, ""},
		{"/2015-03-31/functions/Work:other/invocations", "RequestResponse", `{}`, 404, "ResourceNotFound", ""},
		{"/2015-03-31/functions/Nobody/invocations", "RequestResponse", `{}`, 404, "ResourceNotFound", ""},
		{"/2015-03-31/functions/Nobody/invocations", "Event", `{}`, 404, "ResourceNotFound", ""},
		{"/2015-03-31/functions", "", `{}`, 404, "UnknownOperation", ""},
		{path, "RequestResponse", strings.Repeat(" ", 7<<20), 413, "RequestTooLarge", ""},
	} {
		w := call(c.path, c.kind, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) || w.Header().Get("X-Amz-Function-Error") != c.failure {
			t.Errorf("%s %s: %d %.200s", c.path, c.kind, w.Code, w.Body)
		}
	}
	b.eventually("a failure is told", func() bool {
		return call(path, "RequestResponse", `{"fail":true}`).Header().Get("X-Amz-Function-Error") == "Unhandled"
	})
	b.eventually("an event is taken", func() bool { return call(path, "Event", fmt.Sprintf(`{"wait":%q}`, b.file("go"))).Code == 202 })
	b.eventually("others are throttled", func() bool { return call(path, "RequestResponse", `{}`).Code == http.StatusTooManyRequests })
	if err := os.WriteFile(b.file("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What carries a program out is given the program; who is told to end does, or is killed.
func TestAProgramUnderAnotherAndItsEnd(t *testing.T) {
	t.Parallel()
	b := start(t, func(f *fleet.Function) { f.Under = []string{"/usr/bin/env", "UNDER=it"} })
	free := func() (ended []string) {
		b.eventually("an instance is free", func() bool {
			var err error
			if ended, err = b.Terminate("Work"); err != nil {
				t.Fatal(err)
			}
			return len(ended) > 0
		})
		return ended
	}
	if got, _, err := b.do(work{Say: "hello"}); err != nil || got.Said != "hello" || got.Under != "it" {
		t.Errorf("%+v %v", got, err)
	}
	if ended := free(); len(ended) != 1 || ended[0] != "exit status 0" {
		t.Errorf("told to end, it came to %q", ended)
	}
	if _, err := os.Stat(b.file("Work-1.term")); err != nil {
		t.Errorf("it did not hear of it: %v", err)
	}
	if got, _, err := b.do(work{Deaf: true}); err != nil || got.Instance != "Work-2" {
		t.Fatalf("%+v %v", got, err)
	}
	if ended := free(); len(ended) != 1 || ended[0] != "signal: killed" {
		t.Errorf("one that does not listen came to %q", ended)
	}
	if _, err := b.Terminate("Nobody"); !errors.Is(err, fleet.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
}
