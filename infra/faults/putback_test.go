package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/restored"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/record"
)

// A copy of the data folder is made while a rescued answer waits in its queue. It was applied, and spent, long before the copy
// is put back. Readied, the copy offers nothing, whatever its queue held; it goes on with a new authorization.
//
// Fails when what was to be rescued stays in a folder that was put back (restored.Ready): the answer makes the entry active, with
// a token that was spent.
func TestACopyWithARescuedAnswerInIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, onSQLite)
	entries := b.seed(3, 0)
	b.dies(entries, spec{Hold: rescueSent, StoreBudget: 4 * time.Second, Tick: never})
	copied := b.copied()

	living := b.start(spec{Tick: 20 * time.Millisecond})
	b.eventually("the rescued answers are stored", func() bool {
		for _, e := range entries {
			if b.credential(e).Generation != 2 {
				return false
			}
		}
		return true
	})
	b.pass(access + time.Second)
	for _, e := range entries {
		if a := living.mustRead(e); a.status != http.StatusOK {
			t.Fatalf("before the loss: %s", a)
		}
	}
	living.kill()

	var said logbook
	b.ok(restored.Ready(t.Context(), copied, &said))
	if said.String() != "3 entries ask for a new authorization\n" {
		t.Errorf("said is %q", &said)
	}
	back := &bed{T: t, engine: onSQLite, dir: copied, endpoints: b.endpoints, token: b.token}
	p := back.start(spec{Tick: 20 * time.Millisecond})
	steps, err := clock.Open(filepath.Join(copied, "clock"))
	b.ok(err)
	_, err = steps.Advance(access + beyond) // the schedule has looked, and so has whoever works on the queues
	b.ok(err)
	b.eventually("the entries are told of", func() bool {
		a, err := p.get(t.Context(), "/v1/events?limit=100")
		b.ok(err)
		return countOf(a.body, string(record.EventReauth)) >= len(entries)
	})
	for _, e := range entries {
		if a := p.mustRead(e); a.status != http.StatusConflict || a.code() != "reauthorization_required" {
			t.Errorf("after the copy was put back a reader hears %s", a)
		}
	}
	l := b.ledger()
	if double, revoked := l.doubleSpends(entries, nil), l.revoked(entries); double != 0 || revoked != 0 {
		t.Errorf("%d tokens were offered twice, %d families are revoked", double, revoked)
	}
}

// copied is a copy of the bed's folder, as it is now.
func (b *bed) copied() string {
	b.Helper()
	if n, _, err := b.queue.Depth(b.Context(), worker.Rescue); err != nil || n == 0 {
		b.Fatalf("%d answers are to be rescued (%v): the copy shows nothing", n, err)
	}
	dir := b.TempDir()
	for _, name := range []string{"vault.db", "vault.db-wal", "queue.db", "queue.db-wal", "master.key", "clock"} {
		body, err := os.ReadFile(filepath.Join(b.dir, name))
		if os.IsNotExist(err) {
			continue
		}
		b.ok(err)
		b.ok(os.WriteFile(filepath.Join(dir, name), body, 0o600))
	}
	return dir
}

func countOf(text []byte, word string) int { return bytes.Count(text, []byte(`"`+word+`"`)) }
