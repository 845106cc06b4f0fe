// Package fleet keeps functions running as AWS Lambda does: each instance is a process of its own, started from the built
// program, which asks a Runtime API for its next invocation.
//
// The argument: a function that passes its tests as a Go value may still fail as a program. It may not start from the
// environment that the template gives it; it may leave work behind that an instance, standing still between two invocations,
// never does; it may keep something that another instance does not see. So here the programs run as they are deployed. An
// instance has one invocation at a time, is stopped (SIGSTOP) when it asks for the next one and there is none, ends when its
// time is over, and can be killed at any moment; as many run at once as there are callers.
//
// What is not imitated: the sizes of machines, and the network of Lambda.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Function is what a fleet is told of a function.
type Function struct {
	Name    string
	Alias   string // by which others invoke it, if there is one
	ARN     string
	Program string        // path of its bootstrap
	Under   []string      // what carries it out, where this machine's processor cannot
	Timeout time.Duration // of an invocation
	Most    int           // instances at once
	Retries int           // of an invocation that nobody waits for
	// Environment is that of an instance, all of it but the address of the Runtime API.
	Environment func(instance string) []string
}

// The ways an invocation ends beside an answer.
var (
	// ErrThrottled is what is heard when as many instances work as may.
	ErrThrottled = errors.New("too many instances")
	// ErrTooLarge is said of an event that is larger than any.
	ErrTooLarge = errors.New("the event is larger than 6 MB")
	// ErrUnknown is said of a function that there is not.
	ErrUnknown = errors.New("no such function")
	errClosed  = errors.New("the fleet has ended")
)

// Result is what an invocation came to. Failed is set when it was the function that failed, or its instance that died.
type Result struct {
	Payload []byte
	Failed  bool
}

// Fleet runs functions. It is safe for concurrent use.
type Fleet struct {
	starter *starter

	mu      sync.Mutex
	pools   map[string]*pool // guarded by mu
	working sync.WaitGroup   // invocations that nobody waits for
	ended   chan struct{}
	end     func()
}

// pool is a function's instances.
type pool struct {
	Function

	mu     sync.Mutex
	idle   []*Instance // guarded by mu; last in, first out
	all    []*Instance // guarded by mu; those that live or start
	begun  int         // guarded by mu
	starts []Start     // guarded by mu
	log    log
}

// Start is how an instance came up.
type Start struct {
	Instance string
	Init     time.Duration // from the start of the process to its first question for work
}

// New returns an empty fleet.
func New() *Fleet {
	f := &Fleet{pools: map[string]*pool{}, ended: make(chan struct{}), starter: newStarter()}
	f.end = sync.OnceFunc(func() { close(f.ended) })
	return f
}

// Add adds a function. Its instances start when they are needed.
func (f *Fleet) Add(function Function) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pools[function.Name] = &pool{Function: function}
}

func (f *Fleet) pool(name string) (*pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pools[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return p, nil
}

// Invoke runs a function and waits for its end. The function runs on when the caller does not wait any longer.
func (f *Fleet) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	p, err := f.pool(name)
	if err != nil {
		return Result{}, err
	}
	if len(payload) > maxPayload {
		return Result{}, ErrTooLarge
	}
	i, err := f.take(p)
	if err != nil {
		return Result{}, err
	}
	done := make(chan Result, 1)
	f.working.Go(func() { done <- i.carryOut(payload) })
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// retryPause is between two tries of an invocation that nobody waits for. On AWS it is a minute.
const retryPause = time.Second

// Send runs a function without waiting. A failure is tried again as often as the function says, and a throttled one ten times.
func (f *Fleet) Send(name string, payload []byte) error {
	p, err := f.pool(name)
	if err != nil {
		return err
	}
	f.working.Go(func() {
		for failures, throttled := 0, 0; failures <= p.Retries && throttled < 10; {
			r, err := f.Invoke(context.Background(), name, payload)
			switch {
			case errors.Is(err, ErrThrottled):
				throttled++
			case err != nil || !r.Failed:
				return
			default:
				failures++
			}
			select {
			case <-f.ended:
				return
			case <-time.After(retryPause):
			}
		}
	})
	return nil
}

// take finds an instance that is free, or starts one.
func (f *Fleet) take(p *pool) (*Instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-f.ended:
		return nil, errClosed
	default:
	}
	if n := len(p.idle); n > 0 {
		i := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return i, nil
	}
	if len(p.all) >= p.Most {
		return nil, ErrThrottled
	}
	p.begun++
	i, err := f.begin(p, fmt.Sprintf("%s-%d", p.Name, p.begun))
	if err != nil {
		return nil, err
	}
	p.all = append(p.all, i)
	return i, nil
}

// giveBack makes an instance free that waits for work.
func (p *pool) giveBack(i *Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.all, i) {
		i.freeze()
		p.idle = append(p.idle, i)
	}
}

// gone forgets an instance that has ended.
func (p *pool) gone(i *Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	is := func(other *Instance) bool { return other == i }
	p.all, p.idle = slices.DeleteFunc(p.all, is), slices.DeleteFunc(p.idle, is)
}

// Kill ends an instance at once, as when its machine fails. It reports whether there was one of that name.
func (f *Fleet) Kill(instance string) bool {
	for _, p := range f.each() {
		p.mu.Lock()
		at := slices.IndexFunc(p.all, func(i *Instance) bool { return i.Name == instance })
		var i *Instance
		if at >= 0 {
			i = p.all[at]
		}
		p.mu.Unlock()
		if i != nil {
			i.kill()
			<-i.exited
			return true
		}
	}
	return false
}

// Recycle ends the instances that are free, as Lambda does when it needs their place, or new code is there: those that asked
// for it hear SIGTERM first. Whoever works goes on.
func (f *Fleet) Recycle() {
	var ending sync.WaitGroup
	for _, p := range f.each() {
		p.mu.Lock()
		free := p.idle
		p.idle = nil
		p.mu.Unlock()
		for _, i := range free {
			ending.Go(i.shutDown)
		}
	}
	ending.Wait()
}

// Terminate sends SIGTERM to a function's instances that are free, whether they asked to hear of it or not, and says how each
// process ended. Who is there after the time that Lambda gives is killed.
func (f *Fleet) Terminate(name string) (ended []string, err error) {
	p, err := f.pool(name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	free := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, i := range free {
		i.thaw()
		i.terminate()
		select {
		case <-i.exited:
		case <-time.After(graceTime):
			i.kill()
			<-i.exited
		}
		ended = append(ended, i.command.ProcessState.String())
	}
	return ended, nil
}

// Close ends every instance.
func (f *Fleet) Close() {
	f.end()
	f.Recycle()
	for _, p := range f.each() {
		p.mu.Lock()
		all := slices.Clone(p.all)
		p.mu.Unlock()
		for _, i := range all {
			i.kill()
			<-i.exited
		}
	}
	f.working.Wait()
	f.starter.close()
}

func (f *Fleet) each() []*pool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*pool
	for _, name := range slices.Sorted(maps.Keys(f.pools)) {
		out = append(out, f.pools[name])
	}
	return out
}

// Starts lists the starts of a function's instances that came up.
func (f *Fleet) Starts(name string) []Start {
	p, err := f.pool(name)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.starts)
}

// Log is all that a function's instances wrote.
func (f *Fleet) Log(name string) string {
	p, err := f.pool(name)
	if err != nil {
		return ""
	}
	return p.log.String()
}
