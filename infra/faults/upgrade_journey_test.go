package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/demo"
	"connectorvault/infra/local/program"
	"connectorvault/shared/record"
	"connectorvault/shared/store/sqlitestore"
)

// front stands before two processes of two versions. Of ten calls it sends one to the older, and what is refused with
// newer_version it sends again, as a caller would who heeds Retry-After.
type front struct {
	older, newer atomic.Pointer[process]
	calls        atomic.Int64
	refused      atomic.Int64
	client       *http.Client
}

// ownerKey is what callers of the front show. It stands for the key of the older process, which ends with that.
const ownerKey = "Bearer of-the-front"

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	for range 20 {
		if err != nil {
			break
		}
		p := f.newer.Load()
		if f.calls.Add(1)%10 == 0 {
			p = f.older.Load()
		}
		var out *http.Request
		if out, err = http.NewRequestWithContext(r.Context(), r.Method, p.URL+r.URL.RequestURI(), bytes.NewReader(body)); err != nil {
			break
		}
		out.Header, out.Host = r.Header.Clone(), r.Host
		if r.Header.Get("Authorization") == ownerKey {
			out.Header.Set("Authorization", "Bearer "+f.older.Load().OwnerKey)
		}
		var got *http.Response
		if got, err = f.client.Do(out); err != nil {
			break
		}
		said, readErr := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if readErr == nil && got.StatusCode == http.StatusServiceUnavailable && saysNewer(said) {
			f.refused.Add(1)
			continue
		}
		for name, values := range got.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(got.StatusCode)
		_, _ = w.Write(said)
		return
	}
	http.Error(w, "no version answers", http.StatusBadGateway)
}

// saysNewer recognises the refusal, as a problem document or as the page that a person would load again.
func saysNewer(said []byte) bool {
	return answer{body: said}.code() == "newer_version" || bytes.Contains(said, []byte("A newer version of the vault wrote this"))
}

// The journey of the demo, with three providers and both doors, over two versions on one folder.
func TestTheJourneyOverTwoVersions(t *testing.T) {
	t.Parallel()
	began := time.Now()
	b := &bed{T: t, engine: onSQLite, dir: t.TempDir()}
	var err error
	b.clock, err = clock.Open(filepath.Join(b.dir, "clock"))
	b.ok(err)
	loop := loopback(50)
	loop.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f := &front{client: loop}
	server := httptest.NewServer(f)
	t.Cleanup(func() { server.Close(); loop.CloseIdleConnections() })
	start := func() {
		f.older.Store(b.start(spec{URL: server.URL, Simulators: true}))
		f.newer.Store(b.start(spec{URL: server.URL, Simulators: true, Next: nextVersion}))
	}
	start()
	var said bytes.Buffer
	place := &demo.Place{URL: server.URL, OwnerKey: strings.TrimPrefix(ownerKey, "Bearer "), Controls: f.older.Load().Controls,
		Pass: func(_ context.Context, d time.Duration) error { b.pass(d); return nil }}
	place.Restart = func(context.Context) error {
		f.older.Load().kill()
		f.newer.Load().kill()
		b.pass(time.Minute) // no lease outlives it
		start()
		return nil
	}
	if err := demo.Run(t.Context(), demo.Config{Out: &said, Place: place}); err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, &said, f.older.Load().log, f.newer.Load().log)
	}
	if f.refused.Load() == 0 {
		t.Error("the older version was never asked for what it cannot read")
	}
	items, queue, err := sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: b.dir, Now: b.clock.Now, Random: rand.Reader})
	b.ok(err)
	defer func() { _, _ = items.Close(), queue.Close() }()
	b.items, b.secrets = items, items
	entries, err := b.bundleOf(bringingIn).Vault.Entries(t.Context(), program.Tenant, "", 100, func(record.Entry) bool { return true })
	b.ok(err)
	var known []entry
	for _, e := range entries.Items {
		known = append(known, entry{id: e.ID})
	}
	var r result
	second := b.inSecondForm(&r, known)
	for _, problem := range r.problems {
		t.Error(problem)
	}
	if len(known) != 4 || second < 8 {
		t.Errorf("%d entries, %d items in the second form", len(known), second)
	}
	if !t.Failed() {
		seen.add(row{name: "10 the journey over two versions", engine: string(b.engine), outcome: "ok", took: time.Since(began),
			figures: []string{fmt.Sprintf("%d calls, %d refused politely first, %d items in the second form, 0 attributes lost", f.calls.Load(), f.refused.Load(), second)}})
	}
}
