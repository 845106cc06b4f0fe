package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// stubSQS takes messages, and refuses those whose number is in fails.
type stubSQS struct {
	sent    []string
	batches []int
	delays  []int32 // of each message, in seconds
	fails   map[int]bool
	holds   map[string]string
	err     error
}

func (s *stubSQS) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	s.sent = append(s.sent, *in.MessageBody)
	return &sqs.SendMessageOutput{}, s.err
}

func (s *stubSQS) GetQueueAttributes(_ context.Context, in *sqs.GetQueueAttributesInput, _ ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	out := &sqs.GetQueueAttributesOutput{Attributes: map[string]string{}}
	for _, name := range in.AttributeNames {
		if n, ok := s.holds[string(name)]; ok {
			out.Attributes[string(name)] = n
		}
	}
	return out, s.err
}

func (s *stubSQS) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	out := &sqs.SendMessageBatchOutput{}
	ids := map[string]bool{}
	for _, e := range in.Entries {
		if ids[*e.Id] {
			return nil, fmt.Errorf("the id %s is there twice", *e.Id)
		}
		ids[*e.Id] = true
		if s.fails[len(s.sent)] {
			out.Failed = append(out.Failed, sqstypes.BatchResultErrorEntry{Id: e.Id, Code: aws.String("Throttled")})
		}
		s.sent, s.delays = append(s.sent, *e.MessageBody), append(s.delays, e.DelaySeconds)
	}
	s.batches = append(s.batches, len(in.Entries))
	return out, nil
}

func TestCallsAreQueuedTenAtATime(t *testing.T) {
	t.Parallel()
	stub := &stubSQS{}
	calls := make([]tokens.Call, 23)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	if err := (&queue{api: stub, url: "u", now: time.Now}).sendAll(t.Context(), calls); err != nil || fmt.Sprint(stub.batches) != "[10 10 3]" {
		t.Fatalf("%v %v", stub.batches, err)
	}
	for i, body := range stub.sent {
		if got, err := tokens.Decode([]byte(body)); err != nil || got.Entry != fmt.Sprint(i) {
			t.Errorf("message %d is %s, %v", i, body, err)
		}
	}
	if err := (&queue{api: &stubSQS{}, now: time.Now}).sendAll(t.Context(), nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}

// What comes due later is delivered later, as exactly as the queue can, and never early.
func TestACallIsDeliveredAtItsTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	for _, want := range []struct {
		at      time.Time
		seconds int32
	}{{time.Time{}, 0}, {now, 0}, {now.Add(-time.Hour), 0}, {now.Add(time.Millisecond), 1}, {now.Add(47 * time.Second), 47}, {now.Add(48 * time.Hour), 900}} {
		if got := delay(tokens.Call{NotBefore: want.at}, now); got != want.seconds {
			t.Errorf("for %s it is kept %d seconds; want %d", want.at, got, want.seconds)
		}
	}
	stub := &stubSQS{}
	calls := []tokens.Call{{Op: tokens.Due}, {Op: tokens.Due, NotBefore: now.Add(47 * time.Second)}}
	if err := (&queue{api: stub, url: "u", now: func() time.Time { return now }}).sendAll(t.Context(), calls); err != nil || fmt.Sprint(stub.delays) != "[0 47]" {
		t.Errorf("messages are kept %v seconds, %v", stub.delays, err)
	}
}

func TestABatchThatWasTakenInPartIsAnError(t *testing.T) {
	t.Parallel()
	calls := make([]tokens.Call, 12)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	for name, stub := range map[string]*stubSQS{"one of the first": {fails: map[int]bool{3: true}}, "one of the last": {fails: map[int]bool{11: true}}, "down": {err: errors.New("down")}} {
		if err := (&queue{api: stub, now: time.Now}).sendAll(t.Context(), calls); err == nil {
			t.Errorf("%s: the sender hears nothing", name)
		}
	}
}

func TestARescuedAnswerIsQueuedSealed(t *testing.T) {
	t.Parallel()
	stub := &stubSQS{}
	q := &queue{api: stub}
	rescued := tokens.Call{Op: tokens.Rescue, Tenant: "t_1", Entry: "ve_1", Rescued: json.RawMessage(`{"set":"c2VhbGVk"}`)}
	if err := q.send(t.Context(), rescued); err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Decode([]byte(stub.sent[0]))
	if err != nil || got.Op != tokens.Rescue || string(got.Rescued) != string(rescued.Rescued) {
		t.Errorf("sent was %s, %v", stub.sent[0], err)
	}
	stub.err = errors.New("down")
	if err := q.send(t.Context(), rescued); err == nil {
		t.Error("an answer is lost, and nobody hears of it")
	}
}

func told(n int) []webhook.Message {
	out := make([]webhook.Message, n)
	for i := range out {
		out[i] = webhook.Message{Tenant: "t_1000000000000000", Webhook: fmt.Sprintf("wh_%016d", i), Sent: time.Unix(1, 0).UTC(), Event: record.Event{ID: "ev_1"}}
	}
	return out
}

func TestWebhooksAreToldInOneBatch(t *testing.T) {
	t.Parallel()
	stub := &stubSQS{}
	q := &queue{api: stub}
	if err := q.announce(t.Context(), told(10)); err != nil || fmt.Sprint(stub.batches) != "[10]" {
		t.Errorf("%v %v", stub.batches, err)
	}
	for i, body := range stub.sent {
		if m, err := webhook.Decode([]byte(body)); err != nil || m.Webhook != fmt.Sprintf("wh_%016d", i) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := q.announce(t.Context(), told(13)); err != nil || fmt.Sprint(stub.batches) != "[10 10 3]" {
		t.Errorf("%v %v", stub.batches, err)
	}
	for name, stub := range map[string]*stubSQS{"in part": {fails: map[int]bool{2: true}}, "down": {err: errors.New("down")}} {
		if err := (&queue{api: stub}).announce(t.Context(), told(3)); err == nil {
			t.Errorf("%s: the sender hears nothing", name)
		}
	}
}
