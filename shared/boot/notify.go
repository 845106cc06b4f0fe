package boot

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"connectorvault/shared/bundle"
	"connectorvault/shared/keyring"
	"connectorvault/shared/metered"
	"connectorvault/shared/notify"
	"connectorvault/shared/outbound"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// Webhooks is the queue of what webhooks are to be told: the token service fills it, and the admin API with tests.
func Webhooks(v *variables, config aws.Config, parts *bundle.Parts) {
	parts.Announce = newQueue(config, v.must("CV_QUEUE_WEBHOOK_URL")).announce
}

// announce queues what webhooks are to be told. A tenant has no more of them than one batch has messages, so an event goes out to
// all or is announced again.
func (q *queue) announce(ctx context.Context, messages []webhook.Message) error {
	bodies := make([]string, len(messages))
	for i, m := range messages {
		body, err := m.Encode()
		if err != nil {
			return err
		}
		bodies[i] = string(body)
	}
	for len(bodies) > 0 {
		n := min(len(bodies), maxBatch)
		if err := q.sendBodies(ctx, bodies[:n]); err != nil {
			return err
		}
		bodies = bodies[n:]
	}
	return nil
}

// Postpone keeps a message from being delivered again for a while.
type Postpone = func(ctx context.Context, receipt string, d time.Duration) error

// MustNotify makes what delivers webhooks from the process's environment, or ends the process with what is missing.
func MustNotify() (*notify.Service, Postpone, *slog.Logger) {
	service, postpone, log, err := LoadNotify(os.LookupEnv)
	exitOn(err)
	return service, postpone, log
}

// LoadNotify makes what delivers webhooks. It knows no provider and no table but that of the records: whoever is made to call addresses
// that others choose has nothing at hand that is worth being reached.
func LoadNotify(env Environment) (*notify.Service, Postpone, *slog.Logger, error) {
	v := &variables{env: env}
	config, log, counts := awsConfig(v), logger(v), metrics(v)
	secrets := metered.Secrets(secretsstore.New(secretsmanager.NewFromConfig(config), v.must("CV_SECRET_PREFIX")), counts)
	ring := keyring.New(keyring.Config{Secrets: secrets,
		Now: time.Now, Random: rand.Reader})
	records := vault.New(vault.Config{Items: tables(v, config), Sealer: metered.Sealer(ring, counts), Now: time.Now, Random: rand.Reader})
	queue := postponer{api: sqs.NewFromConfig(config), url: v.must("CV_QUEUE_WEBHOOK_URL")}
	service := notify.New(notify.Config{Vault: records, HTTP: outbound.Client(outbound.Config{}), Jitter: notify.Jitter(rand.Reader), Now: time.Now, Logger: log, Metrics: counts, Tracer: tracer(v, log)})
	return service, queue.postpone, log, v.err()
}

// postponer is the queue of webhooks as its consumer sees it.
type postponer struct {
	api interface {
		ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput, options ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
	}
	url string
}

func (p postponer) postpone(ctx context.Context, receipt string, d time.Duration) error {
	d = min(d, notify.MaxWait)
	seconds := int32((d + time.Second - 1) / time.Second) //nolint:gosec // 43,200 at most; rounded up, for who comes early tries once more than need be
	_, err := p.api.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: aws.String(p.url), ReceiptHandle: aws.String(receipt), VisibilityTimeout: seconds})
	if err != nil {
		return fmt.Errorf("postponing a message: %w", err)
	}
	return nil
}
