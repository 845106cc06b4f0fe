// Package queue fills queues of SQS: with calls of the token service for later, and with what webhooks are to be told.
//
// The argument: a batch can be taken in part, and a message that nobody took is a refresh that does not come. So what
// sends here says what was not taken, and whoever sends is told.
package queue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// Calls are the token service's own queues: what is due at each provider, and what was rescued.
func Calls(v *environment.Variables, config aws.Config, found *environment.Found) {
	due, rescue := DueOf(v, config), newQueue(config, v.Must("CV_QUEUE_RESCUE_URL"))
	found.Due, found.Enqueue, found.Rescue = due.Providers(), due.Send, rescue.send
}

// Webhooks is the queue of what webhooks are to be told: the token service fills it, and the admin API with tests.
func Webhooks(v *environment.Variables, config aws.Config, found *environment.Found) {
	found.Announce = newQueue(config, v.Must("CV_QUEUE_WEBHOOK_URL")).announce
}

// sqsAPI is the part of the SQS client that is used.
type sqsAPI interface {
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, options ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// maxBatch is the most messages of one SendMessageBatch.
const maxBatch = 10

// queue takes calls for later. What it takes holds no secret in the clear: a rescued answer is sealed.
type queue struct {
	api sqsAPI
	url string
	now func() time.Time
}

func newQueue(config aws.Config, url string) *queue {
	return &queue{api: sqs.NewFromConfig(config), url: url, now: time.Now}
}

// delay is how many seconds a queue keeps a call, up to the quarter of an hour that SQS takes. Whoever gets a call too early finds
// nothing to do, so it is rounded up.
func delay(call tokens.Call, now time.Time) int32 {
	const most = 15 * time.Minute
	if call.NotBefore.IsZero() {
		return 0
	}
	wait := min(max(0, call.NotBefore.Sub(now)), most)
	return int32((wait + time.Second - 1) / time.Second) //nolint:gosec // 900 at most
}

func (q *queue) send(ctx context.Context, call tokens.Call) error {
	body, err := tokens.Encode(call)
	if err != nil {
		return err
	}
	if _, err := q.api.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String(string(body))}); err != nil {
		return fmt.Errorf("sending to a queue: %w", err)
	}
	return nil
}

// sendAll sends calls, each to be delivered at its time.
func (q *queue) sendAll(ctx context.Context, calls []tokens.Call) error {
	entries := make([]types.SendMessageBatchRequestEntry, len(calls))
	for i, call := range calls {
		body, err := tokens.Encode(call)
		if err != nil {
			return err
		}
		entries[i] = types.SendMessageBatchRequestEntry{MessageBody: aws.String(string(body)), DelaySeconds: delay(call, q.now())}
	}
	return q.sendBatches(ctx, entries)
}

// announce queues what webhooks are to be told. A tenant has no more of them than one batch has messages, so an event goes out to
// all or is announced again.
func (q *queue) announce(ctx context.Context, messages []webhook.Message) error {
	entries := make([]types.SendMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		body, err := m.Encode()
		if err != nil {
			return err
		}
		entries[i] = types.SendMessageBatchRequestEntry{MessageBody: aws.String(string(body))}
	}
	return q.sendBatches(ctx, entries)
}

// sendBatches sends messages ten at a time. A batch can be taken in part; what was not is an error, and the sender sends all of it
// again, since whoever receives a message twice finds nothing to do.
func (q *queue) sendBatches(ctx context.Context, entries []types.SendMessageBatchRequestEntry) error {
	for i := range entries {
		entries[i].Id = aws.String(strconv.Itoa(i)) // by which SQS tells those of one batch apart
	}
	for batch := range slices.Chunk(entries, maxBatch) {
		out, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(q.url), Entries: batch})
		if err != nil {
			return fmt.Errorf("sending a batch to a queue: %w", err)
		}
		if len(out.Failed) > 0 {
			return fmt.Errorf("a queue did not take %d of %d messages: %s", len(out.Failed), len(batch), aws.ToString(out.Failed[0].Code))
		}
	}
	return nil
}
