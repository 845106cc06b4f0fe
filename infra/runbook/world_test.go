package runbook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	tenancy "connectorvault/functions/tenant/handler"
	"connectorvault/infra/local/localtest"
	"connectorvault/infra/local/program"
	"connectorvault/infra/stack"
	"connectorvault/shared/bundle"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/secretstest"
	"connectorvault/shared/tokens"
)

// Where the stack is, and what it is called.
const (
	stackName = "connector-vault"
	region    = "us-east-1"
)

// world is a deployed stack, as far as an operator sees it: the local program where the API is, with accounts that were connected
// the way people do; moto with the stack's resources; and before moto a gate, which does what moto does not.
type world struct {
	*localtest.Program
	moto        string // its address
	gate        *httptest.Server
	bundle      *bundle.Bundle
	tenants     *tenancy.Handler
	names       map[store.Table]string // of the tables in moto
	books, shop string                 // entries of Sage and of Amazon
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{moto: secretstest.MotoURL(t), Program: localtest.Start(t)}
	w.open()
	w.gate = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.gate.Close)
	return w
}

// open puts the function that makes and deletes tenants over the program's folder, and finds what was connected.
func (w *world) open() {
	w.Helper()
	logger := slog.New(slog.DiscardHandler)
	var service *refresh.Service
	w.bundle = bundle.New(bundle.Parts{Items: w.Store, Due: w.Store, Secrets: w.Store, Catalog: catalog.New(w.Ready.Simulators), Now: w.Clock.Now, Random: rand.Reader, Logger: logger,
		Invoke: func(ctx context.Context, call tokens.Call) (tokens.Answer, error) { return service.Do(ctx, call) }})
	service = w.bundle.Refresh()
	w.tenants = tenancy.New(w.bundle.Tenants(), logger)
	page, err := w.bundle.Vault.Connectors(w.Context(), program.Tenant, "", 100, func(record.Connector) bool { return true })
	w.OK(err)
	for _, c := range page.Items {
		entry, err := w.bundle.Vault.Entry(w.Context(), program.Tenant, c.Entry)
		w.OK(err)
		switch entry.Provider {
		case "sage":
			w.books = entry.ID
		case "amazon":
			w.shop = entry.ID
		}
	}
	if w.books == "" || w.shop == "" {
		w.Fatal("the demo has connected something else")
	}
}

// serve is AWS: moto, and here what moto does not do.
func (w *world) serve(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	target := in.Header.Get("X-Amz-Target")
	switch {
	case strings.HasSuffix(in.URL.Path, "/invocations"):
		answer, err := w.tenants.Handle(in.Context(), body)
		text, encodeErr := json.Marshal(answer)
		if errors.Join(err, encodeErr) != nil {
			out.Header().Set("X-Amz-Function-Error", "Unhandled")
		}
		_, _ = out.Write(text)
	case strings.HasSuffix(in.URL.Path, "/account-settings"):
		_, _ = io.WriteString(out, `{"AccountLimit": {"ConcurrentExecutions": 1000}}`)
	case target == "AmazonSQS.StartMessageMoveTask":
		out.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if err := w.move(in.Context(), body); err != nil {
			out.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(out).Encode(map[string]string{"__type": "InvalidParameterValue", "message": err.Error()})
			return
		}
		_, _ = io.WriteString(out, `{"TaskHandle": "handle"}`)
	default:
		w.forward(out, in, body)
		if strings.HasSuffix(target, ".RestoreTableToPointInTime") {
			w.accident()
		}
	}
}

func (w *world) forward(out http.ResponseWriter, in *http.Request, body []byte) {
	request, err := http.NewRequestWithContext(in.Context(), in.Method, w.moto+in.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	request.Header = in.Header.Clone()
	request.Host = in.Host
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	answer = bytes.ReplaceAll(answer, []byte("https://queue.amazonaws.com"), []byte(w.gate.URL)) // the CLI goes where a queue's address says
	for name, values := range response.Header {
		if name != "Content-Length" && name != "X-Amz-Crc32" { // both are about what was replaced
			out.Header()[name] = values
		}
	}
	out.WriteHeader(response.StatusCode)
	_, _ = out.Write(answer)
}

func credentials() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "operator"}, nil
	})
}

func (w *world) dynamo() *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{Region: region, BaseEndpoint: &w.moto, Credentials: credentials()})
}

func (w *world) sqs() *sqs.Client {
	return sqs.New(sqs.Options{Region: region, BaseEndpoint: &w.moto, Credentials: credentials()})
}

// move moves the messages of a dead-letter queue to the queue that it is of, whose logical id begins alike.
func (w *world) move(ctx context.Context, body []byte) error {
	var in struct{ SourceArn string }
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	client := w.sqs()
	list, err := client.ListQueues(ctx, &sqs.ListQueuesInput{})
	if err != nil {
		return err
	}
	from, to := "", ""
	name := in.SourceArn[strings.LastIndex(in.SourceArn, ":")+1:]
	origin := strings.TrimSuffix(name, "DeadLetters") + "Queue"
	for _, url := range list.QueueUrls {
		switch {
		case strings.HasSuffix(url, "/"+name):
			from = url
		case strings.HasSuffix(url, "/"+origin):
			to = url
		}
	}
	if from == "" || to == "" {
		return fmt.Errorf("%s is no dead-letter queue of a queue", name)
	}
	for {
		got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &from, MaxNumberOfMessages: 10})
		if err != nil || len(got.Messages) == 0 {
			return err
		}
		for _, m := range got.Messages {
			if _, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &to, MessageBody: m.Body}); err != nil {
				return err
			}
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &from, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return err
			}
		}
	}
}

// accident removes credentials from the stack's table: moto restores what is there now, so what was lost before is lost after.
func (w *world) accident() {
	items := dynamostore.New(w.dynamo(), w.names)
	for _, entry := range []string{w.books, w.shop} {
		if err := items.Apply(context.Background(), store.Op{Verb: store.Delete, Table: store.Credentials, Key: store.Key{Partition: program.Tenant + "#" + entry, Sort: "credential"}}); err != nil {
			w.Errorf("the accident did not happen: %v", err)
		}
	}
}

// templateOf is a template for moto with the resources of ours that an operator's commands are about.
func (w *world) templateOf() string {
	w.Helper()
	ours, err := stack.Load(filepath.Join(root, "template.yaml"))
	w.OK(err)
	resources := map[string]any{}
	for _, kind := range []string{"AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::Logs::LogGroup"} {
		for id, r := range ours.Of(kind) {
			p := attributes(r.Properties).(map[string]any)
			switch kind {
			case "AWS::SQS::Queue":
				p["QueueName"] = id
			case "AWS::DynamoDB::Table":
				p["TableName"] = stackName + "-" + id
				delete(p, "DeletionProtectionEnabled")
			case "AWS::Logs::LogGroup":
				p["LogGroupName"] = strings.Replace(p["LogGroupName"].(string), "/"+stack.StackName+"/", "/"+stackName+"/", 1)
				delete(p, "RetentionInDays")
			}
			resources[id] = map[string]any{"Type": kind, "Properties": p}
		}
	}
	resources["Role"] = map[string]any{"Type": "AWS::IAM::Role", "Properties": map[string]any{"RoleName": "function", "AssumeRolePolicyDocument": map[string]any{
		"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": "lambda.amazonaws.com"}}}}}}
	for id := range ours.Of("AWS::Serverless::Function") {
		resources[id] = map[string]any{"Type": "AWS::Lambda::Function", "Properties": map[string]any{"FunctionName": stackName + "-" + id, "Handler": "index.handler",
			"Runtime": "python3.11", "Role": map[string]any{"Fn::GetAtt": []any{"Role", "Arn"}}, "Code": map[string]any{"ZipFile": "def handler(e, c): pass"}}}
	}
	text, err := json.Marshal(map[string]any{"Resources": resources, "Outputs": map[string]any{
		"PublicUrl": map[string]any{"Value": w.Ready.URL}, "TenantFunction": map[string]any{"Value": stackName + "-TenantFunction"}}})
	w.OK(err)
	return string(text)
}

// attributes turns "Id.Arn", as references to attributes are read, into what CloudFormation takes.
func attributes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[name] = attributes(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = attributes(value)
		}
		return out
	case string:
		if id, ok := strings.CutSuffix(v, ".Arn"); ok {
			return map[string]any{"Fn::GetAtt": []any{id, "Arn"}}
		}
	}
	return v
}

// fill puts into moto what the vault has, and what an operator finds on a bad night.
func (w *world) fill() {
	w.Helper()
	w.names = map[store.Table]string{}
	for table, id := range map[store.Table]string{store.Records: "RecordsTable", store.Credentials: "CredentialsTable", store.Requests: "RequestsTable", store.Transient: "TransientTable"} {
		w.names[table] = stackName + "-" + id
	}
	items := dynamostore.New(w.dynamo(), w.names)
	put := func(table store.Table, item store.Item) {
		w.OK(items.Apply(w.Context(), store.Op{Verb: store.Put, Table: table, Key: item.Key, Set: item.Attrs}))
	}
	partitions := []string{ident.Outside, program.Tenant}
	page, err := w.bundle.Vault.Entries(w.Context(), program.Tenant, "", 100, func(record.Entry) bool { return true })
	w.OK(err)
	for _, entry := range page.Items {
		partitions = append(partitions, program.Tenant+"#"+entry.ID)
	}
	for _, partition := range partitions {
		for _, table := range []store.Table{store.Records, store.Credentials} {
			for after, more := "", true; more; {
				var found []store.Item
				found, more, err = w.Store.Query(w.Context(), store.Query{Table: table, Partition: partition, After: after, Limit: 100})
				w.OK(err)
				for _, item := range found {
					put(table, item)
					after = item.Key.Sort
				}
			}
		}
	}
	client := w.sqs()
	list, err := client.ListQueues(w.Context(), &sqs.ListQueuesInput{})
	w.OK(err)
	for _, url := range list.QueueUrls {
		if strings.HasSuffix(url, "DeadLetters") && !strings.HasSuffix(url, "ScheduleDeadLetters") {
			_, err := client.SendMessage(w.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(url), MessageBody: aws.String("sealed")})
			w.OK(err)
		}
	}
}

// items are the stack's tables.
func (w *world) items() store.Items { return dynamostore.New(w.dynamo(), w.names) }
