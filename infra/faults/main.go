// Command faults breaks the running product in every way that is named, and prints what was seen.
//
//	go run ./infra/faults            the long form, every case on every engine
//	go run ./infra/faults Kill       only the cases whose test has Kill in its name
//	go test ./infra/faults           the short form of the same code
//
// The argument: what is promised of a refresh holds between processes, and at moments that no process survives. A test
// inside one process can only play that. So here the processes are real, started with the program that people run, held
// at a moment by a hand between its parts, and killed; the provider is the simulated one, which writes down each token
// that it is offered; and what was seen is read from its ledger and from the store, never from what a process says of
// itself. Each case was seen to fail with the protection that it is about taken out; its test names the change.
//
// The cases are tests, because they are made of what tests have: engines, simulators, the vault's own insides. This
// command runs them at full length.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// long makes the tests run at full length.
const long = "CONNECTOR_VAULT_FAULTS_LONG"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the cases and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 1 || len(args) == 1 && strings.HasPrefix(args[0], "-") {
		_, _ = fmt.Fprintln(stderr, "Usage: faults [pattern]    runs every case, or those whose test matches the pattern")
		return 2
	}
	pattern := strings.Join(args, "")
	command := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=3h", "-v", "-run", pattern, "connectorvault/infra/faults")
	command.Env = append(os.Environ(), long+"=1")
	command.Stderr = stderr
	// Asked to stop, the tests end what they started; they are killed only if they do not.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 30 * time.Second
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "faults: the tests cannot be run:", err)
		return 1
	}
	show(output, stdout)
	var failed *exec.ExitError
	if err := command.Wait(); errors.As(err, &failed) {
		return 1
	} else if err != nil {
		_, _ = fmt.Fprintln(stderr, "faults:", err)
		return 1
	}
	return 0
}

// show passes on what the tests say, without the lines that only tell their order.
func show(from io.Reader, to io.Writer) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "=== ") {
			_, _ = fmt.Fprintln(to, lines.Text())
		}
	}
	_, _ = io.Copy(io.Discard, from) // a line too long to be shown must not hold the tests up
}
