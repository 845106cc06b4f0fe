package sqlitestore_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/store/sqlitestore"
)

// queueRig is a queue under a clock that is moved by hand.
type queueRig struct {
	*testing.T
	*sqlitestore.Queue
	path string
	now  time.Time
}

func newQueue(t *testing.T, maxReceives int) *queueRig {
	t.Helper()
	r := &queueRig{T: t, path: filepath.Join(t.TempDir(), "queue.db"), now: time.Unix(1_700_000_000, 0)}
	r.Queue = r.open(maxReceives)
	return r
}

func (r *queueRig) open(maxReceives int) *sqlitestore.Queue {
	r.Helper()
	q, err := sqlitestore.OpenQueue(r.Context(), sqlitestore.QueueConfig{Path: r.path, MaxReceives: maxReceives, Now: func() time.Time { return r.now }})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = q.Close() })
	return q
}

func (r *queueRig) send(queue string, delay time.Duration, messages ...sqlitestore.Outgoing) {
	r.Helper()
	if err := r.Send(r.Context(), queue, delay, messages...); err != nil {
		r.Fatal(err)
	}
}

// receives takes what there is, holds it to the wanted bodies, and returns it.
func (r *queueRig) receives(queue string, visibility time.Duration, want ...string) []sqlitestore.Message {
	r.Helper()
	messages, err := r.Receive(r.Context(), queue, 10, visibility)
	if err != nil {
		r.Fatal(err)
	}
	var bodies []string
	for _, m := range messages {
		bodies = append(bodies, string(m.Body))
	}
	if !slices.Equal(bodies, want) {
		r.Fatalf("received %q; want %q", bodies, want)
	}
	return messages
}

func (r *queueRig) remove(queue string, messages ...sqlitestore.Message) {
	r.Helper()
	var receipts []string
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
	}
	if err := r.Delete(r.Context(), queue, receipts...); err != nil {
		r.Fatal(err)
	}
}

func (r *queueRig) wantDepth(queue string, messages, dead int) {
	r.Helper()
	m, d, err := r.Depth(r.Context(), queue)
	if err != nil || m != messages || d != dead {
		r.Fatalf("the queue has %d messages and %d dead letters, %v; want %d and %d", m, d, err, messages, dead)
	}
}

func text(body string) sqlitestore.Outgoing { return sqlitestore.Outgoing{Body: []byte(body)} }

func TestQueueDeliversInOrderAndOnceAtATime(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.receives("q", time.Minute)
	r.send("q", 0, text("a"), text("b"), text(""))
	r.send("other", 0, text("x"))
	r.remove("q", r.receives("q", time.Minute, "a", "b", "")...)
	r.receives("q", time.Minute)
	r.wantDepth("q", 0, 0)
	r.receives("other", time.Minute, "x")
	r.wantDepth("other", 1, 0)
}

func TestQueueRedeliversAfterVisibility(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.send("q", 0, text("a"), text("b"))
	first := r.receives("q", time.Minute, "a", "b")
	r.remove("q", first[0])
	r.now = r.now.Add(time.Minute - time.Nanosecond)
	r.receives("q", time.Minute)
	r.now = r.now.Add(time.Nanosecond)
	second := r.receives("q", time.Minute, "b")
	if second[0].ID != first[1].ID || second[0].Receipt == first[1].Receipt || first[1].ReceiveCount != 1 || second[0].ReceiveCount != 2 {
		t.Errorf("delivered as %+v and then as %+v", first[1], second[0])
	}
	r.remove("q", first[1]) // too late: the message belongs to the second delivery
	r.wantDepth("q", 1, 0)
	r.remove("q", second[0])
	r.remove("q", second[0])
	r.wantDepth("q", 0, 0)
}

func TestQueueDelays(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.send("q", time.Hour, text("late"))
	r.send("q", 0, text("now"))
	r.remove("q", r.receives("q", time.Minute, "now")...)
	r.now = r.now.Add(time.Hour - time.Second)
	r.receives("q", time.Minute)
	r.now = r.now.Add(time.Second)
	r.receives("q", time.Minute, "late")
}

func TestQueueSurvivesAndIsShared(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.send("q", 0, text("a"))
	second := r.open(0)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Queue = second
	r.receives("q", time.Minute, "a")
}

func TestQueueDedupes(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	keyed := func(body, key string) sqlitestore.Outgoing {
		return sqlitestore.Outgoing{Body: []byte(body), Dedupe: key}
	}
	r.send("q", time.Hour, keyed("a1", "a"), keyed("b1", "b"), text("plain"))
	r.send("q", time.Minute, keyed("a2", "a"), keyed("c1", "c"), keyed("c2", "c"), text("plain"))
	r.send("other", 0, keyed("elsewhere", "a"))
	r.wantDepth("q", 5, 0)
	r.now = r.now.Add(time.Minute)
	held := r.receives("q", 2*time.Hour, "a1", "c1", "plain") // a1 at the earlier of both times
	r.send("q", 0, keyed("a3", "a"), keyed("a4", "a"))        // a1 is on its way, and no reason to drop this
	r.receives("q", 2*time.Hour, "a3")
	r.remove("q", held...)
	r.now = r.now.Add(time.Hour)
	r.receives("q", 2*time.Hour, "b1", "plain")
}

func TestQueueDeadLetters(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 3)
	r.send("q", 0, sqlitestore.Outgoing{Body: []byte("poison"), Dedupe: "k"}, text("good"))
	r.remove("q", r.receives("q", time.Minute, "poison", "good")[1])
	for range 2 {
		r.now = r.now.Add(time.Minute)
		r.receives("q", time.Minute, "poison")
	}
	r.wantDepth("q", 1, 0)
	r.now = r.now.Add(time.Minute)
	r.receives("q", time.Minute)
	r.wantDepth("q", 0, 1)
	dead, err := r.Dead(t.Context(), "q", 10)
	if err != nil || len(dead) != 1 || string(dead[0].Body) != "poison" || dead[0].ReceiveCount != 3 {
		t.Fatalf("dead letters: %+v, %v", dead, err)
	}
	r.send("q", time.Hour, sqlitestore.Outgoing{Body: []byte("poison again"), Dedupe: "k"})
	if n, err := r.Redrive(t.Context(), "q"); err != nil || n != 1 {
		t.Fatalf("revived %d, %v", n, err)
	}
	again := r.receives("q", time.Minute, "poison")
	if again[0].ReceiveCount != 1 {
		t.Errorf("a revived message was received %d times", again[0].ReceiveCount)
	}
	r.wantDepth("q", 2, 0)
	r.remove("q", again...)

	r.send("q", 0, text("x"))
	for range 3 {
		r.receives("q", 0, "x")
	}
	r.receives("q", 0)
	dead, err = r.Dead(t.Context(), "q", 10)
	if err != nil || len(dead) != 1 {
		t.Fatalf("dead letters: %+v, %v", dead, err)
	}
	r.remove("q", dead...)
	r.wantDepth("q", 1, 0)
}

func TestQueueRefusesForeignReceipts(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.send("q", 0, text("a"))
	good := r.receives("q", time.Minute, "a")[0].Receipt
	for _, receipt := range []string{"", "1", "x.1", "1.x", good + "x", good + ".1"} {
		wantLine(t, r.Delete(t.Context(), "q", good, receipt), "not one of ours")
	}
	r.wantDepth("q", 1, 0) // all or none
}

// Many receive at once, over two openings of the file: each message goes to one of them.
func TestQueueSharesOut(t *testing.T) {
	t.Parallel()
	const messages, receivers = 60, 6
	r := newQueue(t, 0)
	var all []sqlitestore.Outgoing
	for i := range messages {
		all = append(all, text(fmt.Sprint(i)))
	}
	r.send("q", 0, all...)
	queues := []*sqlitestore.Queue{r.Queue, r.open(0)}
	var mu sync.Mutex
	got := map[string]int{}
	var running sync.WaitGroup
	for i := range receivers {
		running.Go(func() {
			for {
				page, err := queues[i%2].Receive(t.Context(), "q", 4, time.Hour)
				if err != nil {
					t.Error(err)
				}
				if len(page) == 0 {
					return
				}
				mu.Lock()
				for _, m := range page {
					got[string(m.Body)]++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if len(got) != messages {
		t.Errorf("%d of %d messages were delivered", len(got), messages)
	}
	for body, n := range got {
		if n != 1 {
			t.Errorf("message %s was delivered %d times at once", body, n)
		}
	}
}

// A delivery may say when its message comes again, sooner or later than its visibility; one that is over may not.
func TestQueuePostpones(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 0)
	r.send("a", 0, sqlitestore.Outgoing{Body: []byte("x")})
	postpone := func(receipt string, d time.Duration) {
		t.Helper()
		if err := r.Postpone(t.Context(), "a", receipt, d); err != nil {
			t.Fatal(err)
		}
	}
	first := r.receives("a", time.Minute, "x")[0]
	postpone(first.Receipt, time.Hour)
	r.now = r.now.Add(time.Hour - time.Second)
	r.receives("a", time.Minute)
	r.now = r.now.Add(time.Second)
	second := r.receives("a", time.Minute, "x")[0]
	if second.ReceiveCount != 2 || second.ID != first.ID {
		t.Errorf("%+v after %+v", second, first)
	}
	postpone(first.Receipt, 0)
	r.receives("a", time.Minute)
	postpone(second.Receipt, time.Second)
	r.now = r.now.Add(time.Second)
	third := r.receives("a", time.Minute, "x")[0]
	r.remove("a", third)
	postpone(third.Receipt, 0)
	r.receives("a", time.Minute)
	r.wantDepth("a", 0, 0)
	if err := r.Postpone(t.Context(), "a", "no receipt", 0); err == nil {
		t.Error("a receipt of nobody's is taken")
	}
}

// A queue is emptied of what waits, what is on its way and what is dead; the others keep theirs.
func TestQueuePurges(t *testing.T) {
	t.Parallel()
	r := newQueue(t, 1)
	r.send("a", 0, sqlitestore.Outgoing{Body: []byte("dead")})
	r.receives("a", time.Second, "dead")
	r.now = r.now.Add(time.Minute)
	r.receives("a", time.Second)
	r.send("a", 0, sqlitestore.Outgoing{Body: []byte("on its way")})
	r.receives("a", time.Hour, "on its way")
	r.send("a", time.Hour, sqlitestore.Outgoing{Body: []byte("later")})
	r.send("b", 0, sqlitestore.Outgoing{Body: []byte("another's")})
	if messages, dead, err := r.Depth(r.Context(), "a"); err != nil || messages != 2 || dead != 1 {
		t.Fatalf("there are %d and %d (%v)", messages, dead, err)
	}
	if err := r.Purge(r.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if messages, dead, err := r.Depth(r.Context(), "a"); err != nil || messages+dead != 0 {
		t.Errorf("left are %d and %d (%v)", messages, dead, err)
	}
	r.receives("b", time.Hour, "another's")
}
