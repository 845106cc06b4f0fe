// Package environment is the beginning of every function: the variables that the template sets, and what each function
// opens with them, which is its logger, its tables, and the way to AWS.
//
// The argument: what a function links it also pays for with every cold start, since each package prepares itself whether it
// is used or not. So this holds what all functions need and nothing besides; each client of AWS that only some need has a
// package of its own beside it, with the Need that brings it along. What a function does not name is not in its program.
package environment

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// SecretPrefix is the variable that says what the names of all secrets begin with.
const SecretPrefix = "CV_SECRET_PREFIX"

// Lookup is where variables come from: os.LookupEnv, or a test's map.
type Lookup func(name string) (string, bool)

// Found is what needs have found for a function, beside the tables.
type Found struct {
	Secrets   store.Secrets                                  // keyrings, and what clients of providers need
	PublicURL string                                         // where browsers reach us
	Invoke    tokens.Invoke                                  // the token service
	Nudge     tokens.Nudge                                   // likewise, without waiting
	Due       []string                                       // providers whose due entries have a queue
	Rescue    func(context.Context, tokens.Call) error       // what was rescued
	Announce  func(context.Context, []webhook.Message) error // what webhooks are to be told
	Notices   map[string]string                              // queues that providers write to about client secrets: ARN → provider

	Enqueue func(ctx context.Context, provider string, calls []tokens.Call) error // into the queue of a provider's due entries
}

// Need is something that a function needs beside the tables. Needs are functions, each in the package of the
// client that it takes, so that what a function does not need is not even linked into it.
type Need func(v *Variables, config aws.Config, found *Found)

// PublicURL is where browsers reach us.
func PublicURL(v *Variables, _ aws.Config, found *Found) {
	found.PublicURL = strings.TrimSuffix(v.Must("CV_PUBLIC_URL"), "/")
	u, err := url.Parse(found.PublicURL)
	plain := err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.ContainsAny(found.PublicURL, "?#")
	if found.PublicURL != "" && !plain { // redirect URIs begin with it
		v.Wrong("CV_PUBLIC_URL is not an https address of a host")
	}
}

// Variables collects what is missing, so that one start tells all of it.
type Variables struct {
	lookup Lookup
	wrong  []string
}

// Of returns the variables of an environment.
func Of(lookup Lookup) *Variables { return &Variables{lookup: lookup} }

// Get is a variable that may be missing.
func (v *Variables) Get(name string) string {
	value, _ := v.lookup(name)
	return value
}

// Must is a variable without which the function does not start.
func (v *Variables) Must(name string) string {
	value := v.Get(name)
	if value == "" {
		v.Wrong(name + " is not set")
	}
	return value
}

// Pairs is a variable of the form "amazon=…,sage=…" without which the function does not start.
func (v *Variables) Pairs(name string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(v.Must(name), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := out[key]; !ok || key == "" || value == "" || twice {
			v.Wrong(name + " is no list of NAME=VALUE")
			return nil
		}
		out[key] = value
	}
	return out
}

// Wrong notes what keeps the function from starting.
func (v *Variables) Wrong(what string) { v.wrong = append(v.wrong, what) }

// Err names everything that is missing or wrong.
func (v *Variables) Err() error {
	if len(v.wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the environment is not what the template makes it: %s", strings.Join(v.wrong, "; "))
}

// ExitOn ends the process with what keeps it from starting.
func ExitOn(err error) {
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("the function cannot start", "error", err.Error())
		os.Exit(1)
	}
}

// Tables opens the tables that this function may touch; the template gives each function its own.
func Tables(v *Variables, config aws.Config) *dynamostore.Store {
	names := map[store.Table]string{}
	for table, variable := range map[store.Table]string{store.Records: "CV_TABLE_RECORDS", store.Credentials: "CV_TABLE_CREDENTIALS",
		store.Requests: "CV_TABLE_REQUESTS", store.Transient: "CV_TABLE_TRANSIENT"} {
		if name := v.Get(variable); name != "" {
			names[table] = name
		}
	}
	if names[store.Records] == "" {
		v.Wrong("CV_TABLE_RECORDS is not set")
	}
	return dynamostore.New(dynamodb.NewFromConfig(config), names)
}

// AWS uses what Lambda puts into the environment: its credentials live as long as the environment does.
func AWS(v *Variables) aws.Config {
	region := v.Must("AWS_REGION")
	credentials := aws.Credentials{AccessKeyID: v.Must("AWS_ACCESS_KEY_ID"), SecretAccessKey: v.Must("AWS_SECRET_ACCESS_KEY"),
		SessionToken: v.Get("AWS_SESSION_TOKEN"), Source: "environment"}
	return aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return credentials, nil
	})}
}

// Logger writes what CV_LOG_LEVEL lets through.
func Logger(v *Variables) *slog.Logger {
	level := slog.LevelInfo
	if text := v.Get("CV_LOG_LEVEL"); text != "" && level.UnmarshalText([]byte(text)) != nil {
		v.Wrong("CV_LOG_LEVEL is none of DEBUG, INFO, WARN and ERROR")
	}
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level}))
}
