// Package localtest runs the local program for tests that look past its API: into its folder, and at what stands beside it.
//
// The argument: what a month costs, and what an operator does on a bad night, is asked of a vault whose accounts were connected the
// way people connect them. So such a test begins with the program itself, over the simulated providers, after its own demo. The
// program's worker looks at nothing within a test's time: what happens from then on is what the test does.
package localtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/demo"
	"connectorvault/infra/local/program"
	"connectorvault/shared/store/sqlitestore"
)

// Program is one that serves until its test ends, with what lies in its folder.
type Program struct {
	*testing.T
	Dir   string // its data folder
	Ready program.Ready
	Clock *clock.Clock
	Store *sqlitestore.Store

	client *http.Client
}

// Start runs the program in a folder of its own and connects an account of each provider.
func Start(t *testing.T) *Program {
	t.Helper()
	p := &Program{T: t, Dir: t.TempDir(), client: &http.Client{Timeout: time.Minute}}
	p.serve()
	p.open()
	out := &bytes.Buffer{}
	err := demo.Run(t.Context(), demo.Config{Out: out, Place: &demo.Place{URL: p.Ready.URL, OwnerKey: p.Ready.OwnerKey, Controls: p.Ready.Controls,
		Pass:    func(_ context.Context, d time.Duration) error { p.Pass(d); return nil },
		Restart: func(context.Context) error { return nil }}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// OK ends the test with an error.
func (p *Program) OK(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// serve returns when the program serves.
func (p *Program) serve() {
	p.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	options := program.Options{Listen: "127.0.0.1:0", Data: p.Dir, Simulators: true, Clock: true, LoopbackWebhooks: true, Tick: 24 * time.Hour}
	go func() { done <- program.Run(ctx, options, io.Discard, io.Discard) }()
	p.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.Error(err)
		}
	})
	for p.Ready.URL == "" {
		body, err := os.ReadFile(filepath.Join(p.Dir, "ready.json"))
		if err == nil {
			p.OK(json.Unmarshal(body, &p.Ready)) // it is there whole, or not at all
		}
		select {
		case err := <-done:
			done <- err
			p.Fatalf("the program ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// open opens the folder beside the program.
func (p *Program) open() {
	p.Helper()
	var err error
	p.Clock, err = clock.Open(filepath.Join(p.Dir, "clock"))
	p.OK(err)
	items, queue, err := sqlitestore.OpenFolder(p.Context(), sqlitestore.FolderConfig{Path: p.Dir, Now: p.Clock.Now, Random: rand.Reader})
	p.OK(err)
	p.Cleanup(func() { _ = items.Close(); _ = queue.Close() })
	p.Store = items
}

// Pass steps the clock of everything.
func (p *Program) Pass(d time.Duration) {
	p.Helper()
	p.Ask(http.MethodPost, "/local/clock", map[string]any{"advance": d.String()}, nil)
}

// Ask sends a request with the owner's key, and takes no answer but a good one. into may be nil.
func (p *Program) Ask(method, path string, body, into any) {
	p.Helper()
	encoded, err := json.Marshal(body)
	p.OK(err)
	request, err := http.NewRequestWithContext(p.Context(), method, p.Ready.URL+path, bytes.NewReader(encoded))
	p.OK(err)
	request.Header.Set("Authorization", "Bearer "+p.Ready.OwnerKey)
	response, err := p.client.Do(request)
	p.OK(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	p.OK(err)
	if response.StatusCode >= http.StatusMultipleChoices {
		p.Fatalf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if into != nil {
		p.OK(json.Unmarshal(answer, into))
	}
}
