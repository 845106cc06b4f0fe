package sources_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/infra/cloud/fleet"
	"connectorvault/infra/cloud/sources"
)

// queue has messages until each was received, and remembers what was deleted.
type queue struct {
	mu      sync.Mutex
	left    []string // guarded by mu
	deleted []string // guarded by mu
	asked   []int32  // guarded by mu
}

func message(id string) types.Message {
	return types.Message{MessageId: aws.String(id), ReceiptHandle: aws.String("receipt of " + id), Body: aws.String("body of " + id), Attributes: map[string]string{"ApproximateReceiveCount": "1"}}
}

func (q *queue) ReceiveMessage(_ context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = append(q.asked, in.MaxNumberOfMessages)
	out := &sqs.ReceiveMessageOutput{}
	for len(q.left) > 0 && len(out.Messages) < int(in.MaxNumberOfMessages) {
		out.Messages = append(out.Messages, message(q.left[0]))
		q.left = q.left[1:]
	}
	return out, nil
}

func (q *queue) DeleteMessage(_ context.Context, in *sqs.DeleteMessageInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted = append(q.deleted, *in.ReceiptHandle)
	return &sqs.DeleteMessageOutput{}, nil
}

func (q *queue) gone() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.deleted)
}

func TestWhatIsDeletedAndWhatComesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  string
		failed  bool
		err     error
		deleted []string
		wrong   bool
	}{
		"all well":                 {answer: `{"batchItemFailures":[]}`, deleted: []string{"receipt of a", "receipt of b"}},
		"one failed":               {answer: `{"batchItemFailures":[{"itemIdentifier":"a"}]}`, deleted: []string{"receipt of b"}},
		"all failed":               {answer: `{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}`},
		"a message that is not":    {answer: `{"batchItemFailures":[{"itemIdentifier":"c"}]}`, wrong: true},
		"an empty identifier":      {answer: `{"batchItemFailures":[{"itemIdentifier":""}]}`, wrong: true},
		"an answer that is none":   {answer: `x`, wrong: true},
		"the function failed":      {answer: `{"batchItemFailures":[]}`, failed: true, wrong: true},
		"the function is too busy": {err: fleet.ErrThrottled, wrong: true},
	} {
		q := &queue{}
		var got events.SQSEvent
		m := sources.Mapping{Function: "F", ARN: "arn:q", URL: "u", Region: "eu-central-1", Queue: q, Invoke: func(_ context.Context, function string, payload []byte) (fleet.Result, error) {
			if function != "F" {
				return fleet.Result{}, errors.New("another function")
			}
			return fleet.Result{Payload: []byte(c.answer), Failed: c.failed}, errors.Join(c.err, json.Unmarshal(payload, &got))
		}}
		err := m.Carry(t.Context(), []types.Message{message("a"), message("b")})
		if (err != nil) != c.wrong || !slices.Equal(q.gone(), c.deleted) {
			t.Errorf("%s: deleted %q, %v", name, q.gone(), err)
		}
		if len(got.Records) != 2 || got.Records[1].Body != "body of b" || got.Records[1].EventSourceARN != "arn:q" || got.Records[1].Attributes["ApproximateReceiveCount"] != "1" {
			t.Errorf("%s: the event is %+v", name, got)
		}
	}
}

func TestBatchesAndHowManyAtOnce(t *testing.T) {
	t.Parallel()
	q := &queue{left: []string{"a", "b", "c", "d", "e", "f", "g"}}
	var mu sync.Mutex
	var now, most, biggest int
	m := sources.Mapping{Function: "F", Batch: 2, Parallel: 2, Queue: q, Pause: time.Millisecond, Invoke: func(_ context.Context, _ string, payload []byte) (fleet.Result, error) {
		var event events.SQSEvent
		err := json.Unmarshal(payload, &event)
		mu.Lock()
		now++
		most, biggest = max(most, now), max(biggest, len(event.Records))
		mu.Unlock()
		<-time.After(5 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return fleet.Result{Payload: []byte(`{"batchItemFailures":[]}`)}, err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	for deadline := time.Now().Add(20 * time.Second); len(q.gone()) < 7 && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
	cancel()
	<-done
	if len(q.gone()) != 7 || biggest != 2 || most > 2 || most == 0 {
		t.Errorf("%d deleted, %d at most in a batch, %d at most at once", len(q.gone()), biggest, most)
	}
}

func TestASchedule(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := 0
	sources.Schedule{Function: "F", Every: time.Millisecond, Input: []byte(`{"operation": "plan"}`), Send: func(function string, payload []byte) error {
		if function != "F" || string(payload) != `{"operation": "plan"}` {
			t.Errorf("%s hears %s", function, payload)
		}
		if said++; said == 3 {
			cancel()
		}
		return fleet.ErrThrottled // which keeps nothing from coming again
	}}.Run(ctx)
	if said != 3 {
		t.Errorf("it was said %d times", said)
	}
}

// No message is received that has to wait: it would be out of sight, and counted as tried.
func TestNothingIsReceivedThatWaits(t *testing.T) {
	t.Parallel()
	q := &queue{left: []string{"a", "b", "c", "d", "e", "f", "g"}}
	begun, hold := make(chan struct{}, 9), make(chan struct{})
	m := sources.Mapping{Function: "F", Batch: 2, Parallel: 2, Queue: q, Pause: time.Millisecond, Invoke: func(context.Context, string, []byte) (fleet.Result, error) {
		begun <- struct{}{}
		<-hold
		return fleet.Result{Payload: []byte(`{"batchItemFailures":[]}`)}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	<-begun
	<-begun
	<-time.After(20 * time.Millisecond) // in which a third batch would be received
	q.mu.Lock()
	left := len(q.left)
	q.mu.Unlock()
	if left != 3 {
		t.Errorf("%d messages are left while two batches are carried out", left)
	}
	cancel()
	close(hold)
	<-done
}
