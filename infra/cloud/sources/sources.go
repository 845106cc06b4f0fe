// Package sources brings what is in queues, and what schedules say, to functions, as Lambda's event source mappings and
// EventBridge's scheduler do.
//
// The argument: whether a message comes again is decided between a function and its source: by the answer that names what failed,
// by an instance that dies with a batch in its hands, by the time for which a message is out of sight. A loop that calls a
// function until it succeeds has none of this. So this polls a real queue, gives out batches, deletes what was not named, and
// leaves the rest to the queue.
package sources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/infra/cloud/fleet"
)

// Queue is what of SQS is used.
type Queue interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
}

// Invoke runs a function and waits for its end.
type Invoke func(ctx context.Context, function string, payload []byte) (fleet.Result, error)

// Mapping is a queue that feeds a function.
type Mapping struct {
	Function string
	URL, ARN string
	Region   string
	Batch    int // messages at once
	Parallel int // batches at once
	Queue    Queue
	Invoke   Invoke
	Pause    time.Duration // between two looks at an empty queue; 0 = 100 ms
}

// Run polls until ctx ends. A batch that was begun is finished.
func (m Mapping) Run(ctx context.Context) {
	if m.Pause == 0 {
		m.Pause = 100 * time.Millisecond
	}
	free := make(chan struct{}, m.Parallel)
	var working sync.WaitGroup
	defer working.Wait()
	for ctx.Err() == nil {
		free <- struct{}{} // first: a message that is received and waits here would be out of everybody's sight
		messages := m.receive(ctx)
		if len(messages) == 0 {
			<-free
			select {
			case <-ctx.Done():
			case <-time.After(m.Pause):
			}
			continue
		}
		working.Go(func() {
			defer func() { <-free }()
			_ = m.Carry(context.WithoutCancel(ctx), messages) // what was not carried out comes again by itself
		})
	}
}

func (m Mapping) receive(ctx context.Context) []types.Message {
	out, err := m.Queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(m.URL), MaxNumberOfMessages: int32(min(m.Batch, 10)),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	if err != nil {
		return nil
	}
	return out.Messages
}

// Carry brings one batch to the function and deletes what it did not name as failed. A function that fails, or whose answer
// cannot be read, has failed with all of it.
func (m Mapping) Carry(ctx context.Context, messages []types.Message) error {
	var event events.SQSEvent
	for _, message := range messages {
		event.Records = append(event.Records, events.SQSMessage{MessageId: aws.ToString(message.MessageId), ReceiptHandle: aws.ToString(message.ReceiptHandle),
			Body: aws.ToString(message.Body), Md5OfBody: aws.ToString(message.MD5OfBody), Attributes: message.Attributes,
			EventSource: "aws:sqs", EventSourceARN: m.ARN, AWSRegion: m.Region})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	result, err := m.Invoke(ctx, m.Function, payload)
	if err != nil {
		return err
	}
	if result.Failed {
		return errors.New("the function failed")
	}
	failed, err := failures(result.Payload, messages)
	if err != nil {
		return err
	}
	for _, message := range messages {
		if slices.Contains(failed, aws.ToString(message.MessageId)) {
			continue
		}
		_, problem := m.Queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(m.URL), ReceiptHandle: message.ReceiptHandle})
		err = errors.Join(err, problem)
	}
	return err
}

// failures are the messages that an answer names. As on AWS, an answer that names one which is not in the batch has named all.
func failures(answer []byte, messages []types.Message) ([]string, error) {
	var out events.SQSEventResponse
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, fmt.Errorf("the function's answer is no list of failures: %w", err)
	}
	var failed []string
	for _, f := range out.BatchItemFailures {
		known := slices.ContainsFunc(messages, func(m types.Message) bool { return aws.ToString(m.MessageId) == f.ItemIdentifier })
		if !known {
			return nil, errors.New("the function names a message that is not in the batch")
		}
		failed = append(failed, f.ItemIdentifier)
	}
	return failed, nil
}

// Schedule says one thing to a function at a rate. Nobody waits for what becomes of it.
type Schedule struct {
	Function string
	Every    time.Duration
	Input    []byte
	Send     func(function string, payload []byte) error
}

// Run says it until ctx ends, for the first time at once. Where it is not taken it is left at that: the next one says the same.
func (s Schedule) Run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.Send(s.Function, s.Input)
		select {
		case <-ctx.Done():
		case <-time.After(s.Every):
		}
	}
}
