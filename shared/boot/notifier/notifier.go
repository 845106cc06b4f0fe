// Package notifier starts the function that delivers events to webhooks.
//
// The argument: it calls addresses that others choose, so it has no provider, no client secret and no way to the token
// service: what is not linked cannot be reached through it.
package notifier

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

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/keyring"
	"connectorvault/shared/metered"
	"connectorvault/shared/notify"
	"connectorvault/shared/outbound"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/vault"
)

// Postpone keeps a message from being delivered again for a while.
type Postpone = func(ctx context.Context, receipt string, d time.Duration) error

// MustLoad makes what delivers webhooks from the process's environment, or ends the process with what is missing.
func MustLoad() (*notify.Service, Postpone, *slog.Logger) {
	service, postpone, log, err := Load(os.LookupEnv)
	environment.ExitOn(err)
	return service, postpone, log
}

// Load makes what delivers webhooks. It knows no provider and no table but that of the records: whoever is made to call addresses
// that others choose has nothing at hand that is worth being reached.
func Load(lookup environment.Lookup) (*notify.Service, Postpone, *slog.Logger, error) {
	v := environment.Of(lookup)
	config, log, counts := environment.AWS(v), environment.Logger(v), environment.Metrics(v)
	secrets := metered.Secrets(secretsstore.New(secretsmanager.NewFromConfig(config), v.Must("CV_SECRET_PREFIX")), counts)
	ring := keyring.New(keyring.Config{Secrets: secrets,
		Now: time.Now, Random: rand.Reader})
	records := vault.New(vault.Config{Items: environment.Tables(v, config), Sealer: metered.Sealer(ring, counts), Now: time.Now, Random: rand.Reader})
	queue := postponer{api: sqs.NewFromConfig(config), url: v.Must("CV_QUEUE_WEBHOOK_URL")}
	service := notify.New(notify.Config{Vault: records, HTTP: outbound.Client(outbound.Config{}), Jitter: notify.Jitter(rand.Reader), Now: time.Now, Logger: log,
		Metrics: counts, Tracer: environment.Tracer(v, log)})
	return service, queue.postpone, log, v.Err()
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
