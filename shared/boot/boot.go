// Package boot starts a function on AWS: it reads the environment, which nothing else does, and makes the parts that the
// bundle stands on.
//
// The argument: what a function needs is decided by the template, and a function that lacks something must say so at
// its start, by name, and not in the middle of a customer's refresh. The SDK's own configuration loader is not used: it
// looks in files, in other services and on the network for what Lambda has already put into the environment, and adds
// two megabytes to every cold start. The packages below it are for what not every function has: a client of AWS each, and
// the starts of functions that do without the bundle.
package boot

import (
	"crypto/rand"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/transport"
)

// Notices are, where there is one, the queue to which Amazon says what becomes of client secrets.
func Notices(v *environment.Variables, _ aws.Config, found *environment.Found) {
	if arn := v.Get("CV_QUEUE_SECRETS_ARN"); arn != "" {
		found.Notices = map[string]string{arn: amazon.Name}
	}
}

// MustLoad makes the bundle from the process's environment, or ends the process with what is missing.
func MustLoad(needs ...environment.Need) *bundle.Bundle {
	b, err := Load(os.LookupEnv, needs...)
	environment.ExitOn(err)
	return b
}

// recovery is how far back point-in-time recovery of a DynamoDB table reaches.
const recovery = 35 * 24 * time.Hour

// Load makes the bundle from an environment. Its error names every variable that is missing.
func Load(lookup environment.Lookup, needs ...environment.Need) (*bundle.Bundle, error) {
	v := environment.Of(lookup)
	client := transport.Client()
	parts := bundle.Parts{Catalog: providers(v, client), HTTP: client, Now: time.Now, Random: rand.Reader, Logger: environment.Logger(v), Recovery: recovery}
	parts.Metrics, parts.Tracer = environment.Metrics(v, parts.Catalog.Names()...), environment.Tracer(v, parts.Logger)
	config := environment.AWS(v)
	items := environment.Tables(v, config)
	parts.Items, parts.Due = items, items
	v.Must(environment.SecretPrefix) // the template gives it to every function of the bundle
	found := environment.Found{Secrets: environment.NoSecrets{}}
	for _, need := range needs {
		need(v, config, &found)
	}
	parts.Secrets, parts.PublicURL, parts.Invoke, parts.Nudge = found.Secrets, found.PublicURL, found.Invoke, found.Nudge
	for _, name := range parts.Catalog.Names() {
		if found.Enqueue != nil && !slices.Contains(found.Due, name) {
			v.Wrong("CV_QUEUES_DUE has no queue for " + name)
		}
	}
	parts.Enqueue, parts.Rescue, parts.Announce, parts.Notices = found.Enqueue, found.Rescue, found.Announce, found.Notices
	if err := v.Err(); err != nil {
		return nil, err
	}
	return bundle.New(parts), nil
}

// providers are the shipped ones, of which those that are named may be connected at; all when none is named.
func providers(v *environment.Variables, client *http.Client) *catalog.Catalog {
	c := catalog.New(catalog.Options{HTTP: client})
	if names := v.Get("CV_PROVIDERS"); names != "" {
		if err := c.Only(strings.Split(names, ",")); err != nil {
			v.Wrong("CV_PROVIDERS: " + err.Error())
		}
	}
	return c
}
