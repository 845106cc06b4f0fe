package sqlitestore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
)

// The test binary is also the other processes: with -child it does one thing to the store in -path.
var (
	childRole = flag.String("child", "", "what this process does instead of testing")
	childPath = flag.String("path", "", "the store that it does it to")
	childName = flag.String("name", "", "who it is")
)

func TestMain(m *testing.M) {
	flag.Parse()
	roles := map[string]func(context.Context, *sqlitestore.Store) error{"count": count, "stream": stream}
	if *childRole == "" {
		os.Exit(m.Run())
	}
	if err := child(roles[*childRole]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(role func(context.Context, *sqlitestore.Store) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // outlives no test run
	defer cancel()
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: *childPath, MasterKey: masterKey})
	if err != nil {
		return err
	}
	return errors.Join(role(ctx, s), s.Close())
}

func spawn(t *testing.T, role, path, name string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, "-child", role, "-path", path, "-name", name)
	command.Stderr = os.Stderr
	return command
}

var counter = store.Key{Partition: "t_1", Sort: "counter"}

const countEach = 40

// count adds to a number that other processes add to as well, by comparing and setting.
func count(ctx context.Context, s *sqlitestore.Store) error {
	for done := 0; done < countEach; {
		item, err := s.Get(ctx, store.Records, counter)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		cond := store.Absent()
		if err == nil {
			cond = store.Equal("n", item.Attrs.Int("n"))
		}
		err = s.Apply(ctx, store.Op{Verb: store.Put, Table: store.Records, Key: counter, If: cond, Set: store.Attrs{"n": item.Attrs.Int("n") + 1}})
		var failed *store.ConditionFailed
		switch {
		case err == nil:
			done++
		case errors.As(err, &failed), errors.Is(err, store.ErrBusy):
		default:
			return err
		}
	}
	return nil
}

// Several processes make the file at once, and then count together.
func TestProcessesCountExactly(t *testing.T) {
	t.Parallel()
	const processes = 5
	path := filepath.Join(t.TempDir(), "new", "vault.db")
	var running sync.WaitGroup
	for i := range processes {
		command := spawn(t, "count", path, strconv.Itoa(i))
		running.Go(func() {
			if err := command.Run(); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
		})
	}
	running.Wait()
	item, err := openAt(t, path).Get(t.Context(), store.Records, counter)
	if err != nil || item.Attrs.Int("n") != processes*countEach {
		t.Fatalf("%d processes that counted %d each: %v, %v", processes, countEach, item.Attrs, err)
	}
}

func streamed(name string, n int) (left, right store.Op) {
	key := store.Key{Partition: "t_1", Sort: name + "#" + strconv.Itoa(n)}
	body := bytes.Repeat([]byte(strconv.Itoa(n)+"."), 200)
	left = store.Op{Verb: store.Put, Table: store.Credentials, Key: key, Set: store.Attrs{"n": int64(n), "body": body}, If: store.Absent()}
	right = store.Op{Verb: store.Put, Table: store.Transient, Key: key, Set: store.Attrs{"n": int64(n)}, If: store.Absent()}
	return left, right
}

// stream writes without end, and says the number of each write once it was answered.
func stream(ctx context.Context, s *sqlitestore.Store) error {
	for n := 0; ; n++ {
		left, right := streamed(*childName, n)
		if err := s.Apply(ctx, left, right); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// killedAfter lets a process stream until it said enough, kills it, and returns the last number that it said.
func killedAfter(t *testing.T, path, name string, enough int) int {
	t.Helper()
	command := spawn(t, "stream", path, name)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	last, lines := -1, bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // what was said before the kill has been read
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || n != last+1 {
			t.Fatalf("the process said %q after %d", line, last)
		}
		if last = n; last == enough {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	return last
}

// A process is killed in the middle of its writes, while another goes on: every write that was answered is there whole,
// and the one that was not is there whole or not at all.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "vault.db")
	bystander := openAt(t, path)
	for round, enough := range []int{0, 3, 17, 50} {
		name := fmt.Sprint("round", round)
		last := killedAfter(t, path, name, enough)
		for _, s := range []*sqlitestore.Store{bystander, openAt(t, path)} {
			wantStreamed(t, s, name, last)
		}
		if err := bystander.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: counter}); err != nil {
			t.Fatalf("writing after a kill: %v", err)
		}
	}
}

func wantStreamed(t *testing.T, s *sqlitestore.Store, name string, last int) {
	t.Helper()
	for n := range last + 3 {
		left, right := streamed(name, n)
		a, leftErr := s.Get(t.Context(), left.Table, left.Key)
		b, rightErr := s.Get(t.Context(), right.Table, right.Key)
		leftGone, rightGone := errors.Is(leftErr, store.ErrNotFound), errors.Is(rightErr, store.ErrNotFound)
		switch {
		case leftGone && rightGone && n > last:
		case leftErr != nil || rightErr != nil:
			t.Fatalf("%s: write %d, of which %d were answered: %v, %v", name, n, last+1, leftErr, rightErr)
		case n > last+1:
			t.Fatalf("%s: write %d is there, and only %d were answered", name, n, last+1)
		case !bytes.Equal(a.Attrs.Bytes("body"), left.Set.Bytes("body")) || b.Attrs.Int("n") != int64(n):
			t.Fatalf("%s: write %d is there in another form", name, n)
		}
	}
}
