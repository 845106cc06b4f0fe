// Package boot starts a function on AWS: it reads the environment, the only code that does, and makes the parts that
// the bundle stands on.
//
// The argument: what a function needs is decided by the template, and a function that lacks something must say so at
// its start, by name, and not in the middle of a customer's refresh. The SDK's own configuration loader is not used: it
// looks in files, in other services and on the network for what Lambda has already put into the environment, and adds
// two megabytes to every cold start.
package boot

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"connectorvault/shared/bundle"
	"connectorvault/shared/issuer"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/vault"
)

// Need is something that a function needs beside the tables and secrets. Needs are functions, so that what a function
// does not need is not even linked into it.
type Need func(v *variables, config aws.Config, parts *bundle.Parts)

// PublicURL is where browsers reach us.
func PublicURL(v *variables, _ aws.Config, parts *bundle.Parts) {
	parts.PublicURL = strings.TrimSuffix(v.must("CV_PUBLIC_URL"), "/")
	u, err := url.Parse(parts.PublicURL)
	plain := err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.ContainsAny(parts.PublicURL, "?#")
	if parts.PublicURL != "" && !plain { // redirect URIs begin with it
		v.wrong = append(v.wrong, "CV_PUBLIC_URL is not an https address of a host")
	}
}

// TokenService is the function that spends tokens; every other one asks it.
func TokenService(v *variables, config aws.Config, parts *bundle.Parts) {
	invoker := newInvoker(config, v.must("CV_REFRESH_FUNCTION"))
	parts.Invoke, parts.Nudge = invoker.invoke, invoker.nudge
}

// Queues are the token service's own: what is due at each provider, what was rescued, and, where there is one, what Amazon says of client
// secrets.
func Queues(v *variables, config aws.Config, parts *bundle.Parts) {
	due, rescue := v.dueQueues(config), newQueue(config, v.must("CV_QUEUE_RESCUE_URL"))
	for _, name := range parts.Catalog.Names() {
		if due[name] == nil {
			v.wrong = append(v.wrong, "CV_QUEUES_DUE has no queue for "+name)
		}
	}
	parts.Enqueue, parts.Rescue = due.send, rescue.send
	if arn := v.get("CV_QUEUE_SECRETS_ARN"); arn != "" {
		parts.Notices = map[string]string{arn: amazon.Name}
	}
}

// Environment is where variables come from: os.LookupEnv, or a test's map.
type Environment func(name string) (string, bool)

// MustLoad makes the bundle from the process's environment, or ends the process with what is missing.
func MustLoad(needs ...Need) *bundle.Bundle {
	b, err := Load(os.LookupEnv, needs...)
	exitOn(err)
	return b
}

// MustAuthorizer makes what the authorizer needs: the vault alone, and, where one is configured, an issuer of tokens.
func MustAuthorizer() (*vault.Vault, *slog.Logger, *issuer.Verifier) {
	out, log, issuers, err := LoadAuthorizer(os.LookupEnv)
	exitOn(err)
	return out, log, issuers
}

// LoadAuthorizer does the same from an environment. The verifier is nil where no issuer is configured.
func LoadAuthorizer(env Environment) (*vault.Vault, *slog.Logger, *issuer.Verifier, error) {
	v := &variables{env: env}
	log := logger(v)
	out := vault.New(vault.Config{Items: tables(v, awsConfig(v)), Now: time.Now, Random: rand.Reader})
	issuers := tokenIssuers(v)
	return out, log, issuers, v.err()
}

// tokenIssuers reads whose tokens are taken.
func tokenIssuers(v *variables) *issuer.Verifier {
	config := issuer.Config{Audience: v.get("CV_OIDC_AUDIENCE"), Tenant: v.get("CV_OIDC_TENANT"), TenantClaim: v.get("CV_OIDC_TENANT_CLAIM"),
		RoleClaim: v.get("CV_OIDC_ROLE_CLAIM"), PersonalDataClaim: v.get("CV_OIDC_PERSONAL_DATA_CLAIM"),
		PersonalDataValue: v.get("CV_OIDC_PERSONAL_DATA_VALUE"), ConnectorsClaim: v.get("CV_OIDC_CONNECTORS_CLAIM")}
	names, roles := v.get("CV_OIDC_ISSUERS"), v.get("CV_OIDC_ROLES")
	if names == "" {
		return nil
	}
	config.Issuers = strings.Split(names, ",")
	var err error
	if config.Roles, err = issuer.ParseRoles(roles); err != nil {
		v.wrong = append(v.wrong, "CV_OIDC_ROLES: "+err.Error())
		return nil
	}
	out, err := issuer.New(config, bundle.Client(), time.Now)
	if err != nil {
		v.wrong = append(v.wrong, "CV_OIDC_…: "+err.Error())
	}
	return out
}

func exitOn(err error) {
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("the function cannot start", "error", err.Error())
		os.Exit(1)
	}
}

// recovery is how far back point-in-time recovery of a DynamoDB table reaches.
const recovery = 35 * 24 * time.Hour

// Load makes the bundle from an environment. Its error names every variable that is missing.
func Load(env Environment, needs ...Need) (*bundle.Bundle, error) {
	v := &variables{env: env}
	client := bundle.Client()
	parts := bundle.Parts{Catalog: providers(v, client), HTTP: client, Now: time.Now, Random: rand.Reader, Logger: logger(v), Recovery: recovery}
	config := awsConfig(v)
	items := tables(v, config)
	parts.Items, parts.Due = items, items
	parts.Secrets = secretsstore.New(secretsmanager.NewFromConfig(config), v.must("CV_SECRET_PREFIX"))
	for _, need := range needs {
		need(v, config, &parts)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return bundle.New(parts), nil
}

// providers are the shipped ones, of which those that are named may be connected at; all when none is named.
func providers(v *variables, client *http.Client) *catalog.Catalog {
	c := catalog.New(catalog.Options{HTTP: client})
	if names := v.get("CV_PROVIDERS"); names != "" {
		if err := c.Only(strings.Split(names, ",")); err != nil {
			v.wrong = append(v.wrong, "CV_PROVIDERS: "+err.Error())
		}
	}
	return c
}

// variables collects what is missing, so that one start tells all of it.
type variables struct {
	env   Environment
	wrong []string
}

func (v *variables) get(name string) string {
	value, _ := v.env(name)
	return value
}

func (v *variables) must(name string) string {
	value := v.get(name)
	if value == "" {
		v.wrong = append(v.wrong, name+" is not set")
	}
	return value
}

func (v *variables) err() error {
	if len(v.wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the environment is not what the template makes it: %s", strings.Join(v.wrong, "; "))
}

// tables opens the tables that this function may touch; the template gives each function its own.
func tables(v *variables, config aws.Config) *dynamostore.Store {
	names := map[store.Table]string{}
	for table, variable := range map[store.Table]string{store.Records: "CV_TABLE_RECORDS", store.Credentials: "CV_TABLE_CREDENTIALS",
		store.Requests: "CV_TABLE_REQUESTS", store.Transient: "CV_TABLE_TRANSIENT"} {
		if name := v.get(variable); name != "" {
			names[table] = name
		}
	}
	if names[store.Records] == "" {
		v.wrong = append(v.wrong, "CV_TABLE_RECORDS is not set")
	}
	return dynamostore.New(dynamodb.NewFromConfig(config), names)
}

// awsConfig uses what Lambda puts into the environment: its credentials live as long as the environment does.
func awsConfig(v *variables) aws.Config {
	region := v.must("AWS_REGION")
	credentials := aws.Credentials{AccessKeyID: v.must("AWS_ACCESS_KEY_ID"), SecretAccessKey: v.must("AWS_SECRET_ACCESS_KEY"),
		SessionToken: v.get("AWS_SESSION_TOKEN"), Source: "environment"}
	return aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return credentials, nil
	})}
}

func logger(v *variables) *slog.Logger {
	level := slog.LevelInfo
	if text := v.get("CV_LOG_LEVEL"); text != "" && level.UnmarshalText([]byte(text)) != nil {
		v.wrong = append(v.wrong, "CV_LOG_LEVEL is none of DEBUG, INFO, WARN and ERROR")
	}
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level}))
}
