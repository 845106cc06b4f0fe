// Package clock is a clock that can be stepped forward, shared by all processes of a data directory.
//
// The argument: tokens live an hour, consents a year; nobody waits for that, and a test that fakes one process's time
// says nothing about two. So the step lies in a file: every process, and every simulator in it, adds the same sum to
// the machine's time, also after a restart. The file is looked at whenever somebody asks for the time, so that a step has
// been taken everywhere as soon as it has been made: whoever made it need not wait for the others.
package clock

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// Clock tells the machine's time plus all steps. It is safe for concurrent use.
type Clock struct {
	path string

	mu     sync.Mutex
	offset time.Duration // guarded by mu
	size   int64         // of the file when it was read; guarded by mu
}

// Open returns the clock of a steps file, which need not be there yet.
func Open(path string) (*Clock, error) {
	c := &Clock{path: path}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.read()
}

// Now returns the stepped time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A file that cannot be read now keeps the step we know: time must go on.
	_ = c.read()
	return time.Now().Add(c.offset)
}

// Advance steps the clock forward, for every process.
func (c *Clock) Advance(d time.Duration) (time.Time, error) {
	if d <= 0 {
		return time.Time{}, errors.New("the clock only goes forward")
	}
	// One short append: no step of another process is lost, and none is seen half.
	f, err := os.OpenFile(c.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return time.Time{}, fmt.Errorf("opening the clock's steps: %w", err)
	}
	_, err = f.WriteString(d.String() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return time.Time{}, fmt.Errorf("writing the clock's step: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.read(); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(c.offset), nil
}

// read sums the steps; the caller holds mu.
func (c *Clock) read() error {
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size() == c.size {
		return err
	}
	data, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	sum := time.Duration(0)
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	for lines.Scan() {
		d, err := time.ParseDuration(lines.Text())
		if err != nil || d <= 0 {
			return fmt.Errorf("the clock's steps in %s cannot be read", c.path)
		}
		sum += d
	}
	c.offset, c.size = sum, int64(len(data))
	return nil
}
