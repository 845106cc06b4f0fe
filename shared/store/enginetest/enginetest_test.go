package enginetest_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/store/enginetest"
)

// The test binary plays every part; the variable says which.
const part = "ENGINETEST_PART"

func TestMain(m *testing.M) {
	if addr, ok := strings.CutPrefix(os.Getenv(part), "serve "); ok {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, http.NotFoundHandler()))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// itself is a program that is this test binary.
func itself() *enginetest.Program {
	return &enginetest.Program{Name: "itself", How: "it is here", Command: func(_ string, port int) ([]string, error) {
		return []string{"/usr/bin/env", fmt.Sprintf("%s=serve 127.0.0.1:%d", part, port), os.Args[0]}, nil
	}}
}

func TestAProgramIsStartedOnce(t *testing.T) {
	t.Parallel()
	p := itself()
	url := p.URL(t)
	if again := p.URL(t); again != url {
		t.Errorf("two programs, at %s and %s", url, again)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := enginetest.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// However a test binary ends, nothing that it started is left.
func TestNothingOutlivesTheBinary(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"finish", "panic", "killed"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnds$", "-test.v")
		cmd.Env = append(os.Environ(), part+"="+how)
		out, err := cmd.CombinedOutput()
		_, url, found := strings.Cut(string(out), "listening at http://")
		if !found {
			t.Fatalf("%s: no program was started: %v\n%s", how, err, out)
		}
		address, _, _ := strings.Cut(url, "\n")
		waitUntilFree(t, address)
	}
}

// TestEnds is the binary that ends; it does nothing unless it is told how.
func TestEnds(t *testing.T) {
	how := os.Getenv(part)
	if how == "" {
		t.Skip("it is run by TestNothingOutlivesTheBinary")
	}
	fmt.Printf("listening at %s\n", itself().URL(t))
	switch how {
	case "panic":
		panic("as it was told")
	case "killed":
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		_ = self.Kill()
		select {}
	}
}

func waitUntilFree(t *testing.T, address string) {
	t.Helper()
	for t.Context().Err() == nil {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

// recorder is a test that only notes what happens to it.
type recorder struct {
	testing.TB
	skipped, failed string
}

var errStop = errors.New("stopped")

func (r *recorder) Helper() {}
func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	panic(errStop)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	panic(errStop)
}

func record(t *testing.T, p *enginetest.Program) (r *recorder) {
	t.Helper()
	r = &recorder{TB: t}
	defer func() {
		if stop := recover(); stop != nil && stop != any(errStop) {
			panic(stop)
		}
	}()
	p.URL(r)
	return r
}

func TestAMissingProgram(t *testing.T) {
	missing := &enginetest.Program{Name: "nothing", How: "npm ci", Command: func(string, int) ([]string, error) {
		return nil, errors.New("it is not there")
	}}
	t.Setenv("REQUIRE_ENGINES", "")
	if r := record(t, missing); !strings.Contains(r.skipped, "npm ci") || r.failed != "" {
		t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
	}
	t.Setenv("REQUIRE_ENGINES", "1")
	if r := record(t, missing); !strings.Contains(r.failed, "npm ci") || r.skipped != "" {
		t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
	}
}

func TestAProgramThatEndsSaysWhy(t *testing.T) {
	t.Setenv("REQUIRE_ENGINES", "")
	broken := &enginetest.Program{Name: "broken", How: "x", Command: func(string, int) ([]string, error) {
		return []string{"/bin/sh", "-c", "echo no memory left >&2; exit 3"}, nil
	}}
	if r := record(t, broken); !strings.Contains(r.failed, "no memory left") {
		t.Errorf("failed %q, skipped %q", r.failed, r.skipped)
	}
}
