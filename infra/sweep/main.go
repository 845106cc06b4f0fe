// Command sweep lets very many entries come due at once, and counts what that costs.
//
//	go run ./infra/sweep                      10,000 entries, all of them worked on
//	go run ./infra/sweep -entries 1000000     a million, of which a sample is worked on
//	go test ./infra/sweep                     a few hundred, of the same code
//
// The argument: what a schedule costs is said easily and is seldom counted. So here the planner and the token service run as they
// are, as handlers of the events that AWS sends, over the real driver on a real engine, which says of every request how much
// capacity it took. Made up are the queues, which are lists in memory that are filled ten at a time and emptied two at a time, and
// the token endpoints, which answer at once with tokens of the length that the providers' have. What was not counted but taken
// from elsewhere, the print says.
//
// Amazon's and Sage's entries were read with, so each is refreshed; Clara's were not, so each is looked at and let sleep. Entries
// that are not worked on have an item in the due index and no more: the planner reads nothing else.
//
// It is a test, because engines are started by tests. This command runs it at full length.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is how many messages are worked through where nobody says.
const sample = 20_000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the test and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sweep", flag.ContinueOnError)
	flags.SetOutput(stderr)
	entries := flags.Int("entries", 10_000, "how many come due")
	work := flags.Int("work", 0, fmt.Sprintf("how many messages are worked through; 0: all, but no more than %d", sample))
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil || flags.NArg() > 0 || *entries < 1 || *work < 0 {
		_, _ = fmt.Fprintln(stderr, "Usage: sweep [-entries N] [-work N]")
		return 2
	}
	if *work == 0 {
		*work = min(*entries, sample)
	}
	var said strings.Builder
	command := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=6h", "-v", "-run", "^TestSweep$", "connectorvault/infra/sweep", //nolint:gosec // numbers
		"-args", "-entries="+strconv.Itoa(*entries), "-work="+strconv.Itoa(*work), "-report")
	command.Env = append(os.Environ(), "REQUIRE_ENGINES=1")
	command.Stdout, command.Stderr = io.MultiWriter(&said, quiet{stdout}), stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Run(); err != nil {
		_, _ = fmt.Fprintln(stderr, "sweep:", err)
		return 1
	}
	if !strings.Contains(said.String(), "--- PASS: TestSweep") {
		_, _ = fmt.Fprintln(stderr, "sweep: nothing was run")
		return 1
	}
	return 0
}

// quiet passes on what is written, but for the lines of go test about itself.
type quiet struct{ to io.Writer }

// Write implements io.Writer. The test writes whole lines.
func (q quiet) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- PASS") || line == "PASS\n" || strings.HasPrefix(line, "ok  ") {
			continue
		}
		if _, err := io.WriteString(q.to, line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
