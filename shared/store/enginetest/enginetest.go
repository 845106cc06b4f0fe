// Package enginetest runs the programs that the storage drivers are tested against: database engines and emulators.
//
// The argument: a driver's tests are worth what the engine behind them is, so they run against real programs, and those
// must not outlive the tests, however the tests end. Each program is started once a test binary and is the child of a
// shell that waits for its own input to end. The test binary holds the other end of that pipe and nobody else does, so
// a binary that finishes, panics or is killed takes the program along.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Program is something that serves HTTP on a port of the loopback address.
type Program struct {
	Name string // for messages
	How  string // to get it, one line

	// Command returns what to run, given a free port, and the folder of the engines (.ci/engines). An error says what is missing.
	Command func(engines string, port int) ([]string, error)

	once sync.Once
	url  string
	err  error
}

// patience bounds a start. A JVM on a busy machine takes ten seconds and more.
const patience = 2 * time.Minute

// URL starts the program unless it runs already and returns where it listens. Where the program is missing the test is
// skipped with a sentence on how to get it, or fails if REQUIRE_ENGINES is 1, which continuous integration sets.
func (p *Program) URL(t testing.TB) string {
	t.Helper()
	p.once.Do(func() { p.url, p.err = p.start() })
	var missing *missingError
	if errors.As(p.err, &missing) && os.Getenv("REQUIRE_ENGINES") != "1" {
		t.Skipf("%s is missing (%v); to get it: %s", p.Name, missing.cause, p.How)
	}
	if p.err != nil {
		t.Fatalf("starting %s: %v (to get it: %s)", p.Name, p.err, p.How)
	}
	return p.url
}

// missingError says that the program is not on this machine.
type missingError struct{ cause error }

func (e *missingError) Error() string { return e.cause.Error() }

func (p *Program) start() (string, error) {
	engines, err := enginesFolder()
	if err != nil {
		return "", err
	}
	for try := 0; ; try++ {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		command, err := p.Command(engines, port)
		if err != nil {
			return "", &missingError{err}
		}
		url := "http://127.0.0.1:" + strconv.Itoa(port)
		if err = run(command, url); err == nil || try == 2 {
			return url, err
		}
		// Another program may have taken the port since it was found free.
	}
}

// enginesFolder is .ci/engines beside the go.mod above the test's package.
func enginesFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".ci", "engines"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the module: no go.mod above the test")
		}
		dir = parent
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// keeper runs its arguments in the background, gives up its own hold on the output, and ends them when its input ends.
const keeper = `"$@" </dev/null & child=$!
exec >/dev/null 2>&1
cat
kill -9 $child
wait $child`

// run starts a command and waits until it answers HTTP, or ends, or patience does.
func run(command []string, url string) error {
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeper, "sh"}, command...)...)
	hold, err := cmd.StdinPipe() // closed by the end of this process, and not before
	if err != nil {
		return fmt.Errorf("holding the program: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("reading the program's output: %w", err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running a shell: %w", err)
	}
	_ = write.Close()
	go func() { _ = cmd.Wait() }() // it also keeps cmd, and with it the pipe, from the garbage collector

	output := &tail{}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, read)
		close(ended)
	}()
	if err := answers(url, ended); err != nil {
		_ = hold.Close()
		return fmt.Errorf("%s: %w; it said:\n%s", command[0], err, output)
	}
	return nil
}

// answers waits for an HTTP answer of any status.
func answers(url string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if status(ctx, url) {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return errors.New("it does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func status(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return false
	}
	resp, err := Client().Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// Client returns an HTTP client for the loopback address, which no proxy setting of the environment reaches.
func Client() *http.Client { return loopback }

var loopback = &http.Client{Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 100}}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
