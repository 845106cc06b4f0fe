package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/tokens"
)

// Due are the queues of what is due, by provider.
type Due map[string]*queue

// DueOf reads which there are.
func DueOf(v *environment.Variables, config aws.Config) Due {
	out := Due{}
	for provider, url := range v.Pairs("CV_QUEUES_DUE") {
		out[provider] = newQueue(config, url)
	}
	return out
}

// Providers are those that have a queue.
func (d Due) Providers() []string { return slices.Sorted(maps.Keys(d)) }

func (d Due) of(provider string) (*queue, error) {
	if q := d[provider]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("there is no queue of due entries for provider %q", provider)
}

// Send puts calls into a provider's queue, each to be delivered at its time.
func (d Due) Send(ctx context.Context, provider string, calls []tokens.Call) error {
	q, err := d.of(provider)
	if err != nil {
		return err
	}
	return q.sendAll(ctx, calls)
}

// Waiting is about how many messages a provider's queue holds; SQS counts no better.
func (d Due) Waiting(ctx context.Context, provider string) (int, error) {
	q, err := d.of(provider)
	if err != nil {
		return 0, err
	}
	return q.waiting(ctx)
}

// holds are the parts of what a queue holds: those that can be received, those that were, and those whose time has not come.
var holds = []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages,
	types.QueueAttributeNameApproximateNumberOfMessagesNotVisible, types.QueueAttributeNameApproximateNumberOfMessagesDelayed}

func (q *queue) waiting(ctx context.Context) (int, error) {
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(q.url), AttributeNames: holds})
	if err != nil {
		return 0, fmt.Errorf("asking a queue how much it holds: %w", err)
	}
	sum := 0
	for _, name := range holds {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("a queue does not say its %s", name)
		}
		sum += n
	}
	return sum, nil
}
