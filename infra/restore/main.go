// Command restore puts back what point-in-time recovery restored into tables of other names.
//
//	go run ./infra/restore records     --from RESTORED --to TABLE
//	go run ./infra/restore credentials --from RESTORED --to TABLE --records TABLE
//
// It takes region and credentials from the environment, as `aws configure export-credentials --format env` prints them, and the
// address of DynamoDB from AWS_ENDPOINT_URL where that is set. What it did is printed as one line of JSON. It can be run again:
// what was put back is there then, and stays. The order, and what else is to be done, are in docs/runbook.md.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/infra/backup"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/vault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "restore: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("say what to restore: records or credentials")
	}
	flags := flag.NewFlagSet("restore "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	from := flags.String("from", "", "`table` that was restored")
	to := flags.String("to", "", "`table` of the stack")
	records := flags.String("records", "", "credentials: the stack's `table` of records, which says whose credentials are still wanted")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *from == "" || *to == "" || *from == *to || flags.NArg() > 0 {
		return errors.New("say --from and --to, which are two tables, and nothing more")
	}
	var out any
	client, err := connect(env)
	switch {
	case err != nil:
		return err
	case args[0] == "records" && *records == "":
		out, err = backup.Copy(ctx, client, *from, *to)
	case args[0] == "credentials" && *records != "":
		v := vault.New(vault.Config{Items: dynamostore.New(client, map[store.Table]string{store.Records: *records, store.Credentials: *to}), Now: time.Now, Random: rand.Reader})
		out, err = backup.Credentials(ctx, v, dynamostore.New(client, map[store.Table]string{store.Credentials: *from}))
	default:
		return errors.New("say records, or credentials with --records")
	}
	line, encodeErr := json.Marshal(out)
	if encodeErr == nil {
		_, encodeErr = fmt.Fprintf(stdout, "%s\n", line)
	}
	return errors.Join(err, encodeErr)
}

// connect makes a client of what the environment says, and names what it lacks.
func connect(env func(string) (string, bool)) (*dynamodb.Client, error) {
	var missing []string
	must := func(name string) string {
		value, _ := env(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value
	}
	token, _ := env("AWS_SESSION_TOKEN")
	credentials := aws.Credentials{AccessKeyID: must("AWS_ACCESS_KEY_ID"), SecretAccessKey: must("AWS_SECRET_ACCESS_KEY"), SessionToken: token, Source: "environment"}
	options := dynamodb.Options{Region: must("AWS_REGION"), Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return credentials, nil
	})}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the environment lacks %s", strings.Join(missing, ", "))
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"} {
		if url, _ := env(name); url != "" {
			options.BaseEndpoint = &url
			break
		}
	}
	return dynamodb.New(options), nil
}
