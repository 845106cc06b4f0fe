// Package handler is the token service behind a Lambda: invoked by the other functions, by the queues of what is due, of what was
// rescued, and of what a provider says of client secrets, and by the schedule of the search for orphaned secrets.
package handler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/fault"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

// Handler carries out what the function is invoked for. It is safe for concurrent use.
type Handler struct {
	service *refresh.Service
	logger  *slog.Logger
}

// New returns a Handler.
func New(service *refresh.Service, logger *slog.Logger) *Handler {
	return &Handler{service: service, logger: logger}
}

// envelope is as much of an event as tells what it is.
type envelope struct {
	Op        tokens.Op         `json:"op"`
	Operation string            `json:"operation"` // what the schedule asks for
	Records   []json.RawMessage `json:"Records"`
}

// Swept is the answer to the schedule.
type Swept struct {
	Removed int `json:"removed"` // orphaned secrets
}

// Handle answers one invocation: a call of another function (tokens.Encode), the schedule's event, or a batch of
// a queue. An error makes the sender of an event try again; a call gets every outcome as a reply.
func (h *Handler) Handle(ctx context.Context, payload json.RawMessage) (any, error) {
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errors.New("the event cannot be read")
	}
	switch {
	case e.Op != "":
		return h.call(ctx, payload)
	case len(e.Records) > 0:
		return h.batch(ctx, payload)
	case e.Operation == "sweep_orphans":
		removed, err := h.service.SweepOrphans(ctx)
		if err != nil { // it comes again, and nobody waits for it
			h.logger.WarnContext(ctx, "the search for orphaned secrets stopped and goes on later", "error", err.Error())
		}
		return Swept{Removed: removed}, nil
	default:
		return nil, errors.New("the event is none that the token service knows")
	}
}

func (h *Handler) call(ctx context.Context, payload json.RawMessage) (any, error) {
	call, err := tokens.Decode(payload)
	if fault.IsNewer(err) { // the caller waits for words, and not for a function that failed
		h.logger.WarnContext(ctx, "call not carried out", "error", err.Error())
		reply, err := tokens.EncodeReply(tokens.Answer{}, err)
		return json.RawMessage(reply), err
	}
	if err != nil {
		return nil, err
	}
	answer, err := h.service.Do(ctx, call)
	if err != nil {
		h.logger.WarnContext(ctx, "call not carried out", "op", string(call.Op), "tenant", call.Tenant, "entry", call.Entry, "error", err.Error())
	}
	reply, err := tokens.EncodeReply(answer, err)
	return json.RawMessage(reply), err
}

// batch works through messages one after the other, and reports those that must come again. Each is a call of its
// own, so a repeat of one that was carried out finds nothing to do.
func (h *Handler) batch(ctx context.Context, payload json.RawMessage) (any, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, errors.New("the batch cannot be read")
	}
	var out events.SQSEventResponse
	for _, message := range event.Records {
		if from, ours := h.service.Notices[message.EventSourceARN]; ours {
			// What comes from there is never looked at as a call: others may write to that queue.
			if err := h.service.Notice(ctx, from, secret.New(message.Body)); err != nil {
				h.logger.WarnContext(ctx, "a message about a client secret is not carried out", "message", message.MessageId, "provider", from, "error", err.Error())
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
			}
			continue
		}
		call, err := tokens.Decode([]byte(message.Body))
		if err == nil && call.Op != tokens.Due && call.Op != tokens.Rescue && call.Op != tokens.Refresh && call.Op != tokens.Revoke {
			err = errors.New("a queue never asks for " + string(call.Op))
		}
		if err == nil {
			_, err = h.service.Do(ctx, call)
		}
		if err != nil {
			h.logger.WarnContext(ctx, "message not carried out", "message", message.MessageId, "op", string(call.Op),
				"tenant", call.Tenant, "entry", call.Entry, "error", err.Error())
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		}
	}
	return out, nil
}
