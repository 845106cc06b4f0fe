// Package worker stands in for EventBridge and SQS on one machine: it sends the planner and the token service what their
// schedules send, and the functions the messages of their queues in batches, as the same events that AWS sends.
package worker

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/planner"
	"connectorvault/shared/secret"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// The queues' names.
const (
	Rescue = "rescue" // sealed answers that the table refused
	// Secrets is what Amazon says of client secrets. Its messages hold secrets, and a queue's file is no place for them: a
	// message here is a name, and Config.Open finds what lies under it.
	Secrets = "secrets"
	// Webhook is what webhooks are to be told.
	Webhook = "webhook"
)

// Due names the queue of a provider's due entries.
func Due(provider string) string { return "due-" + provider }

// Refreshes is how many batches of a provider's due entries are carried out at once.
const Refreshes = 4

// What the schedules send, as the template has it.
const (
	Plan         = `{"operation": "plan"}`
	SweepOrphans = `{"operation": "sweep_orphans"}`
)

// ARN names a queue as the events name it.
func ARN(queue string) string { return "arn:aws:sqs:local:000000000000:" + queue }

const tick = 250 * time.Millisecond

// lane is how a queue's messages are carried out: so many batches at once, each with its own time.
type lane struct {
	queue      string
	batch      int
	parallel   int
	time       time.Duration // of one batch
	visibility time.Duration // longer than its time, or it would come again while it is carried out
}

// lanes are apart, so that no refresh that is slow keeps a rescued answer waiting, and no provider another. What is rescued may be the only living
// token of an entry, so it comes again soon when whoever had it died, or did not get it stored: sooner than the next owner
// of the entry's lease gives up waiting for it.
func lanes(providers []string) []lane {
	out := []lane{
		{queue: Rescue, batch: 1, parallel: 8, time: 10 * time.Second, visibility: 12 * time.Second},
		{queue: Secrets, batch: 1, parallel: 1, time: time.Minute, visibility: 90 * time.Second},
		{queue: Webhook, batch: 1, parallel: 8, time: 29 * time.Second, visibility: time.Minute},
	}
	for _, provider := range providers {
		out = append(out, lane{queue: Due(provider), batch: 2, parallel: Refreshes, time: 2 * time.Minute, visibility: 3 * time.Minute})
	}
	return out
}

// Config is what a Worker needs.
type Config struct {
	Queue     *sqlitestore.Queue
	Providers []string                                                  // whose due entries have a queue
	Planner   func(ctx context.Context, payload []byte) ([]byte, error) // nil: another process has one
	Invoke    func(ctx context.Context, payload []byte) ([]byte, error) // the token service
	Notify    func(ctx context.Context, payload []byte) ([]byte, error) // what delivers webhooks; nil: nobody
	Now       func() time.Time                                          // the schedule follows it
	Logger    *slog.Logger
	// Open returns what a message of the queue Secrets stands for, and Done forgets it once it was carried out.
	Open func(ctx context.Context, name string) (secret.Text, error)
	Done func(ctx context.Context, name string) error
	Tick time.Duration // how often it looks, of the machine's time; 0 = 250 ms
}

// Worker drives the token service. Several processes may each have one on the same queues.
type Worker struct{ Config }

// New returns a Worker.
func New(cfg Config) *Worker {
	if cfg.Tick == 0 {
		cfg.Tick = tick
	}
	return &Worker{cfg}
}

// Waiting is how many messages of due entries a provider's queue holds.
func Waiting(ctx context.Context, q *sqlitestore.Queue, provider string) (int, error) {
	n, _, err := q.Depth(ctx, Due(provider))
	return n, err
}

// Send puts calls into a queue. Equal calls that still wait are one. now is what NotBefore of a call is held against.
func Send(ctx context.Context, q *sqlitestore.Queue, name string, now time.Time, calls ...tokens.Call) error {
	messages := make([]sqlitestore.Outgoing, len(calls))
	for i, call := range calls {
		body, err := tokens.Encode(call)
		if err != nil {
			return err
		}
		messages[i] = sqlitestore.Outgoing{Body: body, Delay: max(0, call.NotBefore.Sub(now))}
		if call.NotBefore.IsZero() {
			messages[i].Delay = 0
		}
		if call.Op == tokens.Due {
			messages[i].Dedupe = call.Tenant + "/" + call.Entry
		}
	}
	return q.Send(ctx, name, 0, messages...)
}

// SendWebhooks queues what webhooks are to be told.
func SendWebhooks(ctx context.Context, q *sqlitestore.Queue, told ...webhook.Message) error {
	messages := make([]sqlitestore.Outgoing, len(told))
	for i, m := range told {
		body, err := m.Encode()
		if err != nil {
			return err
		}
		messages[i] = sqlitestore.Outgoing{Body: body}
	}
	return q.Send(ctx, Webhook, 0, messages...)
}

// Run works until ctx ends; a batch that has begun is finished.
func (w *Worker) Run(ctx context.Context) {
	ticker := time.NewTicker(w.Tick)
	defer ticker.Stop()
	var working sync.WaitGroup
	defer working.Wait()
	for _, s := range w.schedules() {
		working.Go(func() { w.keepInvoking(ctx, s) })
	}
	all := w.lanes()
	free := make([]chan struct{}, len(all))
	for i, l := range all {
		free[i] = make(chan struct{}, l.parallel)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i, l := range all {
			w.start(ctx, l, free[i], &working)
		}
	}
}

// Once does what Run would do now: it sends the schedules' events, and then what lies in the queues, until there is nothing
// whose time has come. It must not run beside Run on the same Worker.
func (w *Worker) Once(ctx context.Context) error {
	for _, s := range w.schedules() {
		w.scheduled(ctx, s)
	}
	for more := true; more; {
		more = false
		for _, l := range w.lanes() {
			for messages := w.receive(ctx, l); len(messages) > 0; messages = w.receive(ctx, l) {
				if err := ctx.Err(); err != nil {
					return err
				}
				w.carryOut(context.WithoutCancel(ctx), l, messages)
				more = true // it may have left something in another queue
			}
		}
	}
	return nil
}

// lanes are those of the queues that somebody works on.
func (w *Worker) lanes() []lane {
	all := lanes(w.Providers)
	if w.Notify == nil {
		all = slices.DeleteFunc(all, func(l lane) bool { return l.queue == Webhook })
	}
	return all
}

// schedule is what a function is sent each minute.
type schedule struct {
	what     string // for the log
	function func(ctx context.Context, payload []byte) ([]byte, error)
	event    string
}

func (w *Worker) schedules() []schedule {
	out := []schedule{{"the planner", w.Planner, Plan}, {"the search for orphaned secrets", w.Invoke, SweepOrphans}}
	return slices.DeleteFunc(out, func(s schedule) bool { return s.function == nil })
}

// keepInvoking sends a schedule's event at its times.
func (w *Worker) keepInvoking(ctx context.Context, s schedule) {
	ticker := time.NewTicker(w.Tick)
	defer ticker.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := w.Now(); now.Sub(last) >= planner.Interval || now.Before(last) {
			last = now
			w.scheduled(context.WithoutCancel(ctx), s)
		}
	}
}

// scheduled sends a schedule's event. Nobody waits for the answer.
func (w *Worker) scheduled(ctx context.Context, s schedule) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	if _, err := s.function(ctx, []byte(s.event)); err != nil {
		w.Logger.Warn("what the schedule began did not come to its end", "what", s.what, "error", err.Error())
	}
}

// start begins batches of a lane as long as there are messages and room. Whoever has carried one out looks for the next
// by itself.
func (w *Worker) start(ctx context.Context, l lane, busy chan struct{}, working *sync.WaitGroup) {
	for {
		select {
		case busy <- struct{}{}:
		default:
			return
		}
		messages := w.receive(ctx, l)
		if len(messages) == 0 {
			<-busy
			return
		}
		working.Go(func() {
			defer func() { <-busy }()
			for len(messages) > 0 {
				w.carryOut(context.WithoutCancel(ctx), l, messages)
				if messages = nil; ctx.Err() == nil {
					messages = w.receive(ctx, l)
				}
			}
		})
	}
}

func (w *Worker) receive(ctx context.Context, l lane) []sqlitestore.Message {
	messages, err := w.Queue.Receive(context.WithoutCancel(ctx), l.queue, l.batch, l.visibility)
	if err != nil {
		w.Logger.Warn("a queue cannot be read", "queue", l.queue, "error", err.Error())
		return nil
	}
	return messages
}

// carryOut sends one batch and deletes what was carried out.
func (w *Worker) carryOut(ctx context.Context, l lane, messages []sqlitestore.Message) {
	invocation, cancel := context.WithTimeout(ctx, l.time)
	defer cancel()
	function := w.Invoke
	if l.queue == Webhook {
		function = w.Notify
	}
	failed, err := w.deliver(invocation, function, l.queue, messages)
	if err != nil {
		w.Logger.Warn("a batch was not carried out", "queue", l.queue, "error", err.Error())
		return
	}
	for _, m := range messages {
		if failed[m.ID] {
			continue
		}
		if err := w.Queue.Delete(ctx, l.queue, m.Receipt); err != nil {
			w.Logger.Warn("a message was not deleted and comes again", "queue", l.queue, "error", err.Error())
			continue
		}
		if l.queue == Secrets {
			if err := w.Done(ctx, string(m.Body)); err != nil {
				w.Logger.Warn("what a message stood for is not forgotten", "queue", l.queue, "error", err.Error())
			}
		}
	}
}

func (w *Worker) deliver(ctx context.Context, function func(context.Context, []byte) ([]byte, error), queue string, messages []sqlitestore.Message) (failed map[string]bool, err error) {
	var event events.SQSEvent
	for _, m := range messages {
		body := string(m.Body)
		if queue == Secrets {
			text, err := w.Open(ctx, body)
			if err != nil {
				return nil, err
			}
			body = text.Reveal()
		}
		event.Records = append(event.Records, events.SQSMessage{MessageId: m.ID, ReceiptHandle: m.Receipt, Body: body,
			EventSource: "aws:sqs", EventSourceARN: ARN(queue), AWSRegion: "local"})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	reply, err := function(ctx, payload)
	if err != nil {
		return nil, err
	}
	var out events.SQSEventResponse
	if err := json.Unmarshal(reply, &out); err != nil {
		return nil, err
	}
	failed = map[string]bool{}
	for _, f := range out.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	return failed, nil
}
