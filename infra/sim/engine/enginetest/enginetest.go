// Package enginetest is what the tests of the simulators share: a clock that stands, a log that may be read while it is
// written, and a request that is sent as it is.
//
// The argument: these are the parts of a test that nobody reads, so nobody sees where one copy of them differs.
package enginetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Clock is a time that only moves when told.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that stands at noon of a day in June.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Step moves the time.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Log keeps what is written to it.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write adds to it.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Send sends a request and reads its answer.
func Send(ctx context.Context, c *http.Client, method, address string, header http.Header, body string) (status int, answered http.Header, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := c.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = response.Body.Close() }() // it was read to its end, or there is an error to tell
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(all), err
}
