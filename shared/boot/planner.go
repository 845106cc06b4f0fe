package boot

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/shared/planner"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// MustPlanner makes the planner from the process's environment, or ends the process with what is missing.
func MustPlanner() *planner.Planner {
	p, err := LoadPlanner(os.LookupEnv)
	exitOn(err)
	return p
}

// LoadPlanner makes the planner. It knows no provider but by the name of its queue, no secret, and of the tables the due index.
func LoadPlanner(env Environment) (*planner.Planner, error) {
	v := &variables{env: env}
	config, log := awsConfig(v), logger(v)
	queues, workers := v.dueQueues(config), v.workers()
	for name := range queues {
		if workers[name] < 1 {
			v.wrong = append(v.wrong, "CV_REFRESHES does not say how many refreshes there may be at once at "+name)
		}
	}
	for name := range workers {
		if queues[name] == nil {
			v.wrong = append(v.wrong, "CV_QUEUES_DUE has no queue for "+name)
		}
	}
	index := tables(v, config)
	return planner.New(planner.Config{Vault: vault.New(vault.Config{Due: index, Now: time.Now}), Providers: slices.Sorted(maps.Keys(queues)),
		Workers: func(provider string) int { return workers[provider] }, Waiting: queues.waiting, Send: queues.send, Now: time.Now, Logger: log}), v.err()
}

// pairs reads a variable of the form "amazon=…,sage=…".
func (v *variables) pairs(name string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(v.must(name), ",") {
		provider, value, ok := strings.Cut(pair, "=")
		if _, twice := out[provider]; !ok || provider == "" || value == "" || twice {
			v.wrong = append(v.wrong, name+" is no list of PROVIDER=VALUE")
			return nil
		}
		out[provider] = value
	}
	return out
}

// workers are how many refreshes there may be at once, by provider.
func (v *variables) workers() map[string]int {
	out := map[string]int{}
	for provider, text := range v.pairs("CV_REFRESHES") {
		out[provider], _ = strconv.Atoi(text) // what is no number is missed
	}
	return out
}

// dueQueues are the queues of what is due, by provider.
func (v *variables) dueQueues(config aws.Config) dueQueues {
	out := dueQueues{}
	for provider, url := range v.pairs("CV_QUEUES_DUE") {
		out[provider] = newQueue(config, url)
	}
	return out
}

type dueQueues map[string]*queue

func (d dueQueues) of(provider string) (*queue, error) {
	if q := d[provider]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("there is no queue of due entries for provider %q", provider)
}

func (d dueQueues) send(ctx context.Context, provider string, calls []tokens.Call) error {
	q, err := d.of(provider)
	if err != nil {
		return err
	}
	return q.sendAll(ctx, calls)
}

func (d dueQueues) waiting(ctx context.Context, provider string) (int, error) {
	q, err := d.of(provider)
	if err != nil {
		return 0, err
	}
	return q.waiting(ctx)
}

// holds are the parts of what a queue holds: those that can be received, those that were, and those whose time has not come.
var holds = []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages,
	types.QueueAttributeNameApproximateNumberOfMessagesNotVisible, types.QueueAttributeNameApproximateNumberOfMessagesDelayed}

// waiting is about how many messages a queue holds; SQS counts no better.
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
