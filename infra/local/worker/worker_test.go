package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/infra/local/worker"
	"connectorvault/shared/planner"
	"connectorvault/shared/record"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// service is a token service that writes down what it is sent.
type service struct {
	mu     sync.Mutex
	plans  int                         // guarded by mu
	sweeps int                         // guarded by mu
	calls  []tokens.Call               // guarded by mu
	fails  func(call tokens.Call) bool // guarded by mu; reports a message as failed
	breaks bool                        // guarded by mu; every batch is an error
	before func(call tokens.Call)      // before a message is carried out; nil = nothing
}

func (s *service) invoke(_ context.Context, payload []byte) ([]byte, error) {
	var kind struct {
		Operation string
		Records   []events.SQSMessage
	}
	if err := json.Unmarshal(payload, &kind); err != nil {
		return nil, err
	}
	if s.before != nil {
		for _, m := range kind.Records {
			if call, err := tokens.Decode([]byte(m.Body)); err == nil {
				s.before(call)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind.Operation {
	case "plan":
		s.plans++
		return []byte(`{}`), nil
	case "sweep_orphans":
		s.sweeps++
		return []byte(`{"removed":0}`), nil
	}
	var out events.SQSEventResponse
	for _, m := range kind.Records {
		call, err := tokens.Decode([]byte(m.Body))
		if err != nil || m.EventSource != "aws:sqs" || m.ReceiptHandle == "" {
			return nil, fmt.Errorf("a message that SQS would not send: %+v", m)
		}
		s.calls = append(s.calls, call)
		if s.fails != nil && s.fails(call) {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	if s.breaks {
		return nil, errors.New("the token service failed")
	}
	return json.Marshal(out)
}

// looks are how often each schedule came.
func (s *service) looks() (plans, sweeps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plans, s.sweeps
}

func (s *service) seen() (entries []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		entries = append(entries, call.Entry)
	}
	return entries
}

// run drives a worker on the bubble's clock.
func run(t *testing.T, s *service, test func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q, err := sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: filepath.Join(t.TempDir(), "queue.db"), Now: time.Now, MaxReceives: 50})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan bool)
		w := worker.New(worker.Config{Queue: q, Providers: []string{"fake", "other"}, Planner: s.invoke, Invoke: s.invoke, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		go func() { w.Run(ctx); close(done) }()
		test(t, q, func(d time.Duration) { time.Sleep(d); synctest.Wait() })
		stop()
		<-done
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func due(n int) []tokens.Call {
	calls := make([]tokens.Call, n)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprintf("e%02d", i)}
	}
	return calls
}

func TestTheScheduleComesWhenItsIntervalIsOver(t *testing.T) {
	s := &service{}
	run(t, s, func(t *testing.T, _ *sqlitestore.Queue, pass func(time.Duration)) {
		pass(time.Second)
		if plans, sweeps := s.looks(); plans != 1 || sweeps != 1 {
			t.Errorf("%d looks and %d sweeps at the start", plans, sweeps)
		}
		pass(3 * planner.Interval)
		if plans, sweeps := s.looks(); plans != 4 || sweeps != 4 {
			t.Errorf("%d looks and %d sweeps after three intervals", plans, sweeps)
		}
	})
}

func TestMessagesAreDeliveredInBatchesAndDeleted(t *testing.T) {
	s := &service{}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), due(25)...); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		entries := s.seen()
		slices.Sort(entries) // several batches are carried out at once
		if len(slices.Compact(entries)) != 25 {
			t.Errorf("it was sent %v", entries)
		}
		if waiting, dead, err := q.Depth(t.Context(), worker.Due("fake")); err != nil || waiting != 0 || dead != 0 {
			t.Errorf("%d wait, %d are dead, %v", waiting, dead, err)
		}
	})
}

func TestWhatWasNotCarriedOutComesAgain(t *testing.T) {
	s := &service{fails: func(call tokens.Call) bool { return call.Entry == "e01" }}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), due(3)...); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if entries := s.seen(); len(entries) != 3 {
			t.Fatalf("it was sent %v", entries)
		}
		s.mu.Lock()
		s.fails = nil
		s.mu.Unlock()
		pass(3 * time.Minute)
		entries := s.seen()
		slices.Sort(entries)
		if strings.Join(entries, " ") != "e00 e01 e01 e02" {
			t.Errorf("it was sent %v", entries)
		}
		if waiting, _, err := q.Depth(t.Context(), worker.Due("fake")); err != nil || waiting != 0 {
			t.Errorf("%d wait, %v", waiting, err)
		}
	})
}

func TestABatchThatFailsIsKeptWhole(t *testing.T) {
	s := &service{breaks: true}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		if err := worker.Send(t.Context(), q, worker.Rescue, time.Now(), tokens.Call{Op: tokens.Rescue, Tenant: "t_1", Entry: "kept", Rescued: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if waiting, dead, err := q.Depth(t.Context(), worker.Rescue); err != nil || waiting != 1 || dead != 0 {
			t.Fatalf("%d wait, %d are dead, %v", waiting, dead, err)
		}
		s.mu.Lock()
		s.breaks = false
		s.mu.Unlock()
		pass(3 * time.Minute)
		entries := s.seen()
		if waiting, _, err := q.Depth(t.Context(), worker.Rescue); err != nil || waiting != 0 || len(entries) != 2 {
			t.Errorf("%d wait, it was sent %v, %v", waiting, entries, err)
		}
	})
}

// However many refreshes are slow, a rescued answer does not wait for them.
func TestWhatIsRescuedWaitsForNoRefresh(t *testing.T) {
	var hold chan struct{} // of the bubble
	s := &service{before: func(call tokens.Call) {
		if call.Op == tokens.Due {
			<-hold
		}
	}}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		hold = make(chan struct{})
		if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), due(40)...); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if err := worker.Send(t.Context(), q, worker.Rescue, time.Now(), rescued("first")); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if entries := s.seen(); len(entries) != 1 || entries[0] != "first" {
			t.Errorf("it was sent %v", entries)
		}
		close(hold)
	})
}

// However many refreshes of one provider are slow, another's do not wait for them, and no more are carried out at once than may be.
func TestProvidersDoNotWaitForEachOther(t *testing.T) {
	var hold chan struct{} // of the bubble
	var held atomic.Int64
	s := &service{before: func(call tokens.Call) {
		if call.Entry != "quick" {
			held.Add(1)
			<-hold
		}
	}}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		hold = make(chan struct{})
		if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), due(40)...); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if err := worker.Send(t.Context(), q, worker.Due("other"), time.Now(), tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: "quick"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if entries := s.seen(); len(entries) != 1 || entries[0] != "quick" {
			t.Errorf("it was sent %v", entries)
		}
		if held.Load() != worker.Refreshes {
			t.Errorf("%d batches were carried out at once", held.Load())
		}
		if n, err := worker.Waiting(t.Context(), q, "fake"); err != nil || n != 40 {
			t.Errorf("%d wait, %v", n, err)
		}
		close(hold)
	})
}

func rescued(entry string) tokens.Call {
	return tokens.Call{Op: tokens.Rescue, Tenant: "t_1", Entry: entry, Rescued: json.RawMessage(`{}`)}
}

// A rescued answer whose bearer died, or could not store it, comes again while the next owner of the lease still holds off.
func TestWhatIsRescuedComesAgainWithinAHoldOff(t *testing.T) {
	var died atomic.Bool
	s := &service{before: func(tokens.Call) {
		if died.CompareAndSwap(false, true) {
			time.Sleep(9 * time.Minute) // it never says what became of it
		}
	}}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		if err := worker.Send(t.Context(), q, worker.Rescue, time.Now(), rescued("first")); err != nil {
			t.Fatal(err)
		}
		pass(15 * time.Second) // of the 20 that refresh.Config.RescueInterval has
		if entries := s.seen(); len(entries) != 1 {
			t.Errorf("it was carried out by %d", len(entries))
		}
		pass(10 * time.Minute)
	})
}

func TestAnEntryThatWaitsAlreadyIsNotAskedForTwice(t *testing.T) {
	s := &service{}
	run(t, s, func(t *testing.T, q *sqlitestore.Queue, pass func(time.Duration)) {
		for range 3 {
			calls := due(2)
			for i := range calls {
				calls[i].NotBefore = time.Now().Add(10 * time.Second)
			}
			if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), calls...); err != nil {
				t.Fatal(err)
			}
		}
		pass(9 * time.Second)
		if entries := s.seen(); len(entries) != 0 {
			t.Errorf("before its time it was sent %v", entries)
		}
		pass(2 * time.Second)
		entries := s.seen()
		slices.Sort(entries)
		if strings.Join(entries, " ") != "e00 e01" {
			t.Errorf("it was sent %v", entries)
		}
	})
}

// What webhooks are to be told goes to who delivers it, and to nobody else.
func TestWebhooksHaveAFunctionOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, err := sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: filepath.Join(t.TempDir(), "queue.db"), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		message := webhook.Message{Tenant: "t_1000000000000000", Webhook: "wh_1000000000000000", Sent: time.Now(), Event: record.Event{ID: "ev_1"}}
		var delivered atomic.Int64
		s := &service{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan bool, 2)
		deaf := worker.New(worker.Config{Queue: q, Providers: []string{"fake", "other"}, Planner: s.invoke, Invoke: s.invoke, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		go func() { deaf.Run(ctx); done <- true }()
		if err := worker.SendWebhooks(t.Context(), q, message, message); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		notify := func(_ context.Context, payload []byte) ([]byte, error) {
			var event events.SQSEvent
			if err := json.Unmarshal(payload, &event); err != nil || len(event.Records) != 1 {
				return nil, fmt.Errorf("%d messages: %w", len(event.Records), err)
			}
			got, err := webhook.Decode([]byte(event.Records[0].Body))
			if err != nil || got.Webhook != message.Webhook {
				return nil, err
			}
			delivered.Add(1)
			return []byte(`{"batchItemFailures":[]}`), nil
		}
		w := worker.New(worker.Config{Queue: q, Providers: []string{"fake", "other"}, Planner: s.invoke, Invoke: s.invoke, Notify: notify, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		go func() { w.Run(ctx); done <- true }()
		time.Sleep(time.Second)
		synctest.Wait()
		if entries := s.seen(); len(entries) != 0 || delivered.Load() != 2 {
			t.Errorf("the token service was sent %v, %d were delivered", entries, delivered.Load())
		}
		if waiting, _, err := q.Depth(t.Context(), worker.Webhook); err != nil || waiting != 0 {
			t.Errorf("%d wait, %v", waiting, err)
		}
		stop()
		<-done
		<-done
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Once sends the schedule's event and then all that lies in the queues, also what comes of it, and leaves what is for later, and
// what failed, to another time.
func TestOnceDoesWhatIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, err := sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: filepath.Join(t.TempDir(), "queue.db"), Now: time.Now, MaxReceives: 50})
		if err != nil {
			t.Fatal(err)
		}
		later := tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: "later", NotBefore: time.Now().Add(time.Minute)}
		if err := worker.Send(t.Context(), q, worker.Due("fake"), time.Now(), append(due(5), later)...); err != nil {
			t.Fatal(err)
		}
		s := &service{fails: func(call tokens.Call) bool { return call.Entry == "e03" }}
		s.before = func(call tokens.Call) {
			if call.Entry == "e04" { // its answer goes to another queue, which was looked at before
				if err := worker.Send(t.Context(), q, worker.Rescue, time.Now(), rescued("kept")); err != nil {
					t.Error(err)
				}
			}
		}
		w := worker.New(worker.Config{Queue: q, Providers: []string{"fake"}, Planner: s.invoke, Invoke: s.invoke, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		for n, want := range []string{"e00 e01 e02 e03 e04 kept", "e00 e01 e02 e03 e03 e04 kept later"} {
			if err := w.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			entries := s.seen()
			plans, sweeps := s.looks()
			slices.Sort(entries)
			if got := strings.Join(entries, " "); got != want || plans != n+1 || sweeps != n+1 {
				t.Errorf("it was sent %s after %d plans and %d sweeps; want %s", got, plans, sweeps, want)
			}
			time.Sleep(4 * time.Minute)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}
