package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Instance is one process of a function.
type Instance struct {
	Name string
	pool *pool

	command *exec.Cmd
	api     *http.Server
	began   time.Time
	work    chan *invocation
	exited  chan struct{}

	mu       sync.Mutex
	asked    bool        // for work, once at least; guarded by mu
	extended bool        // an extension is registered, so it hears SIGTERM; guarded by mu
	current  *invocation // guarded by mu
	serial   int         // guarded by mu
}

// invocation is one piece of work.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan Result // one result is taken
}

func (v *invocation) end(r Result) {
	select {
	case v.done <- r:
	default: // it has ended already
	}
}

// begin starts an instance. The pool is locked.
func (f *Fleet) begin(p *pool, name string) (*Instance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &Instance{Name: name, pool: p, work: make(chan *invocation), exited: make(chan struct{})}
	i.api = &http.Server{Handler: i.runtimeAPI(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	words := append(slices.Clone(p.Under), p.Program)
	i.command = exec.Command(words[0], words[1:]...) //nolint:gosec,noctx // a program that the caller built; it ends with the fleet
	i.command.Env = append(p.Environment(name), "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	i.command.Stdout, i.command.Stderr = &p.log, &p.log
	i.began = time.Now()
	if err := f.starter.start(i.command); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { _ = i.api.Serve(listener) }()
	go func() {
		_ = i.command.Wait()
		p.gone(i)
		close(i.exited)
		_ = i.api.Close()
	}()
	return i, nil
}

// carryOut gives the instance a piece of work and waits for its end. The instance is free once it asks for the next.
func (i *Instance) carryOut(payload []byte) Result {
	i.mu.Lock()
	i.serial++
	v := &invocation{id: fmt.Sprintf("%08x-0000-4000-8000-%s", i.serial, digits(i.Name)), payload: payload, done: make(chan Result, 1)}
	i.mu.Unlock()
	i.thaw()
	starting := time.NewTimer(initTime)
	defer starting.Stop()
	select {
	case i.work <- v: // it asks for work
	case <-i.exited:
		return failure("Runtime.ExitError", "the process ended before it asked for work")
	case <-starting.C:
		i.kill()
		return failure("Sandbox.Timedout", "the process did not ask for work")
	}
	timer := time.NewTimer(i.pool.Timeout)
	defer timer.Stop()
	select {
	case r := <-v.done:
		return r
	case <-i.exited:
		select {
		case r := <-v.done: // it answered before it ended
			return r
		default:
			return failure("Runtime.ExitError", "the process ended")
		}
	case <-timer.C:
		i.kill()
		return failure("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", i.pool.Timeout.Seconds()))
	}
}

// initTime bounds what comes before the first question for work. On AWS it is ten seconds; machines of tests are slower.
const initTime = time.Minute

func failure(kind, message string) Result {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // of two strings: it cannot fail
	return Result{Payload: body, Failed: true}
}

// digits makes the last part of a request's id out of an instance's name, so that logs tell instances apart.
func digits(name string) string {
	sum := 0
	for _, c := range name {
		sum = (sum*31 + int(c)) % 1_000_000_000
	}
	return fmt.Sprintf("%012d", sum)
}

// maxPayload is the most bytes of an event, and of an answer.
const maxPayload = 6 << 20

// runtimeAPI is what the process asks for work and tells its answers to, and what registers its extensions.
func (i *Instance) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { i.end(w, r, false) })
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { i.end(w, r, true) })
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.extended = true
		i.mu.Unlock()
		w.Header().Set("Lambda-Extension-Identifier", r.Header.Get("Lambda-Extension-Name")+"-1")
		_, _ = io.WriteString(w, `{"functionName":"","functionVersion":"$LATEST","handler":"bootstrap"}`)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // it asked to hear of no event
	})
	return mux
}

// next gives out work. A process that asks for the first time has started; one that asks again has ended what it had.
func (i *Instance) next(w http.ResponseWriter, r *http.Request) {
	took := time.Since(i.began)
	i.mu.Lock()
	first := !i.asked
	i.asked, i.current = true, nil
	i.mu.Unlock()
	if first {
		i.pool.mu.Lock()
		i.pool.starts = append(i.pool.starts, Start{Instance: i.Name, Init: took})
		i.pool.mu.Unlock()
	} else {
		i.pool.giveBack(i)
	}
	var v *invocation
	select {
	case v = <-i.work:
	case <-r.Context().Done():
		return
	}
	i.mu.Lock()
	v.deadline = time.Now().Add(i.pool.Timeout)
	i.current = v
	i.mu.Unlock()
	h := w.Header()
	h.Set("Lambda-Runtime-Aws-Request-Id", v.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(v.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", i.pool.ARN)
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(v.payload)
}

// end takes an answer, or a failure, of the invocation that the process has.
func (i *Instance) end(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	i.mu.Lock()
	v := i.current
	i.mu.Unlock()
	switch {
	case v == nil || v.id != r.PathValue("id"):
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return
	case err != nil:
		http.Error(w, `{"errorType":"InvalidRequest"}`, http.StatusBadRequest)
		return
	case len(body) > maxPayload:
		v.end(failure("Function.ResponseSizeTooLarge", "the answer is larger than 6 MB"))
		http.Error(w, `{"errorType":"RequestEntityTooLarge"}`, http.StatusRequestEntityTooLarge)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	v.end(Result{Payload: body, Failed: failed})
}

// kill ends the process at once.
func (i *Instance) kill() { _ = i.command.Process.Kill() }

// shutDown ends the process as Lambda does: whoever registered an extension hears SIGTERM and has two seconds.
func (i *Instance) shutDown() {
	i.mu.Lock()
	extended := i.extended
	i.mu.Unlock()
	if extended {
		i.thaw()
		i.terminate()
		select {
		case <-i.exited:
			return
		case <-time.After(graceTime):
		}
	}
	i.kill()
	<-i.exited
}

const graceTime = 2 * time.Second

// log keeps what processes write.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
