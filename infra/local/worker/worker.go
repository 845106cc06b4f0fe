// Package worker stands in for EventBridge and SQS on one machine: it sends the token service its schedule, and the
// messages of its queues in batches, as the same events that AWS sends.
package worker

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/refresh"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
)

// The queues' names.
const (
	Due    = "due"    // what a sweep found
	Rescue = "rescue" // sealed answers that the table refused
)

const (
	tick       = 250 * time.Millisecond
	batch      = 2
	visibility = 3 * time.Minute // longer than the token service may take for a batch
)

// Config is what a Worker needs.
type Config struct {
	Queue  *sqlitestore.Queue
	Invoke func(ctx context.Context, payload []byte) ([]byte, error) // the token service
	Now    func() time.Time                                          // the schedule follows it
	Logger *slog.Logger
	Tick   time.Duration // how often it looks, of the machine's time; 0 = 250 ms
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

// Send puts calls into a queue. Equal calls that still wait are one.
func Send(ctx context.Context, q *sqlitestore.Queue, name string, delay time.Duration, calls ...tokens.Call) error {
	messages := make([]sqlitestore.Outgoing, len(calls))
	for i, call := range calls {
		body, err := tokens.Encode(call)
		if err != nil {
			return err
		}
		messages[i] = sqlitestore.Outgoing{Body: body}
		if call.Op == tokens.Due {
			messages[i].Dedupe = call.Tenant + "/" + call.Entry
		}
	}
	return q.Send(ctx, name, delay, messages...)
}

// Run works until ctx ends; a batch that has begun is finished.
func (w *Worker) Run(ctx context.Context) {
	ticker := time.NewTicker(w.Tick)
	defer ticker.Stop()
	var swept time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := w.Now(); now.Sub(swept) >= refresh.SweepInterval || now.Before(swept) {
			swept = now
			w.sweep(context.WithoutCancel(ctx))
		}
		for _, name := range []string{Rescue, Due} {
			for ctx.Err() == nil && w.drain(context.WithoutCancel(ctx), name) == batch {
				continue
			}
		}
	}
}

// sweep sends the schedule's event.
func (w *Worker) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	payload, err := json.Marshal(events.EventBridgeEvent{Version: "0", ID: "local", DetailType: "Scheduled Event", Source: "aws.events",
		AccountID: "000000000000", Time: w.Now().UTC(), Region: "local", Resources: []string{}, Detail: json.RawMessage("{}")})
	if err == nil {
		_, err = w.Invoke(ctx, payload)
	}
	if err != nil {
		w.Logger.Warn("the sweep failed", "error", err.Error())
	}
}

// drain sends one batch of a queue and deletes what was carried out. It returns how many messages there were.
func (w *Worker) drain(ctx context.Context, name string) int {
	messages, err := w.Queue.Receive(ctx, name, batch, visibility)
	if err != nil {
		w.Logger.Warn("a queue cannot be read", "queue", name, "error", err.Error())
		return 0
	}
	if len(messages) == 0 {
		return 0
	}
	// Each message has the time that its invocation would have on AWS.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(messages))*time.Minute)
	defer cancel()
	failed, err := w.deliver(ctx, messages)
	if err != nil {
		w.Logger.Warn("a batch was not carried out", "queue", name, "error", err.Error())
		return 0
	}
	for _, m := range messages {
		if failed[m.ID] {
			continue
		}
		if err := w.Queue.Delete(ctx, name, m.Receipt); err != nil {
			w.Logger.Warn("a message was not deleted and comes again", "queue", name, "error", err.Error())
		}
	}
	return len(messages)
}

func (w *Worker) deliver(ctx context.Context, messages []sqlitestore.Message) (failed map[string]bool, err error) {
	var event events.SQSEvent
	for _, m := range messages {
		event.Records = append(event.Records, events.SQSMessage{MessageId: m.ID, ReceiptHandle: m.Receipt, Body: string(m.Body),
			EventSource: "aws:sqs", AWSRegion: "local"})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	reply, err := w.Invoke(ctx, payload)
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
