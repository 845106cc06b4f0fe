// Package handler is the delivery of webhooks behind a Lambda, invoked by their queue.
package handler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/notify"
	"connectorvault/shared/webhook"
)

// Config is what the function needs.
type Config struct {
	Notify *notify.Service
	// Postpone keeps a message of the queue from being delivered again for a while.
	Postpone func(ctx context.Context, receipt string, d time.Duration) error
	Logger   *slog.Logger
}

// Handler works through messages. It is safe for concurrent use.
type Handler struct{ Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg} }

// Handle delivers a batch, one message after the other, and reports those that must come again.
func (h *Handler) Handle(ctx context.Context, payload json.RawMessage) (events.SQSEventResponse, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil || len(event.Records) == 0 {
		return events.SQSEventResponse{}, errors.New("the event is no batch of the queue")
	}
	var out events.SQSEventResponse
	for _, message := range event.Records {
		if !h.one(ctx, message) {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		}
	}
	return out, nil
}

// one reports whether a message is done with. One that cannot be postponed comes again as its queue has it, sooner than it need.
func (h *Handler) one(ctx context.Context, message events.SQSMessage) (done bool) {
	m, err := webhook.Decode([]byte(message.Body))
	if err == nil {
		var again time.Duration
		done, again, err = h.Notify.Deliver(ctx, m)
		if err == nil && !done {
			err = h.Postpone(ctx, message.ReceiptHandle, again)
		}
	}
	if err != nil {
		h.Logger.WarnContext(ctx, "a webhook's message was not carried out and comes again", "message", message.MessageId,
			"tenant", m.Tenant, "webhook", m.Webhook, "event", m.Event.ID, "error", err.Error())
		return false
	}
	return done
}
