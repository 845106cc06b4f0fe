package cloud_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/infra/cloud/fleet"
	"connectorvault/infra/cloud/network"
	"connectorvault/infra/cloud/rights"
	"connectorvault/infra/cloud/sources"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/stack"
	"connectorvault/shared/route"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/store/enginetest"
	"connectorvault/shared/store/secretstest"
)

// Where the stack is deployed to.
const (
	region    = "eu-central-1"
	account   = "111122223333"
	apiHost   = "vault00001.execute-api." + region + ".amazonaws.com"
	publicURL = "https://" + apiHost
	most      = 16 // instances of a function at once
)

// bed is the whole bundle, deployed.
type bed struct {
	*testing.T
	*world
	machine

	template  *stack.Template
	functions map[string]stack.Function // by folder
	fleet     *fleet.Fleet
	record    *rights.Record
	gateway   *gateway.Gateway
	queues    map[string]string // URLs, by logical id
	sqs       *sqs.Client
	secrets   *secretsmanager.Client
	engine    *dynamodb.Client // of the database, past everybody's rights
	suffix    string
	log       lines

	mu   sync.Mutex
	trap trap // guarded by mu
}

// trap sees each call of AWS before it is carried out, and says whether it is: what is not, finds the service away.
type trap func(function, instance string, calls []rights.Call) bool

// deploy builds the programs for this machine and puts everything up. It ends with the test.
func deploy(t *testing.T, record *rights.Record) *bed {
	t.Helper()
	return deployOn(t, record, own)
}

func deployOn(t *testing.T, record *rights.Record, on machine) *bed {
	t.Helper()
	b := &bed{T: t, machine: on, record: record, fleet: fleet.New(), suffix: "-" + strings.ToLower(rand.Text()[:10]), queues: map[string]string{}}
	if _, err := build(on); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.template, err = stack.Load(filepath.Join(root, "template.yaml")); err == nil {
		b.functions, err = b.template.Functions()
	}
	b.ok(err)
	logger := slog.New(slog.NewTextHandler(&b.log, nil))
	b.world = newWorld(t)
	t.Cleanup(b.fleet.Close)
	b.tables()
	b.makeQueues()
	b.network.Serve("lambda."+region+".amazonaws.com", network.Host{Handler: b.guarded(b.fleet)})
	functions := map[route.Function]gateway.Function{}
	for folder, f := range b.functions {
		b.fleet.Add(fleet.Function{Name: f.ID, Alias: alias, ARN: aliasARN(f.ID), Program: b.bootstrap(folder), Under: b.under,
			Timeout: time.Duration(f.Timeout) * time.Second, Most: most, Retries: b.retries(f), Environment: b.environment(f)})
		functions[route.Function(folder)] = b.behindGateway(f)
	}
	b.gateway = gateway.New(gateway.Config{Functions: functions, Authorizer: functions["authorizer"], Now: time.Now, Random: rand.Reader, Logger: logger})
	b.network.Serve(apiHost, network.Host{Handler: b.gateway})
	return b
}

func (b *bed) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// behindGateway is a function as the gateway invokes it.
func (b *bed) behindGateway(f stack.Function) gateway.Function {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		result, err := b.fleet.Invoke(ctx, f.ID, payload)
		if err == nil && result.Failed {
			err = fmt.Errorf("%s failed", f.ID)
		}
		return result.Payload, err
	}
}

// retries is how often an invocation that nobody waits for is repeated.
func (b *bed) retries(f stack.Function) int {
	var in struct {
		EventInvokeConfig *struct{ MaximumRetryAttempts int }
	}
	b.ok(b.template.Resources[f.ID].Decode(&in))
	if in.EventInvokeConfig == nil {
		return 2
	}
	return in.EventInvokeConfig.MaximumRetryAttempts
}

// tables makes the tables in dynoxide, and puts it where DynamoDB is.
func (b *bed) tables() {
	b.Helper()
	ids := map[store.Table]string{store.Records: "RecordsTable", store.Credentials: "CredentialsTable", store.Requests: "RequestsTable", store.Transient: "TransientTable"}
	for table, id := range ids {
		ids[table] = id + b.suffix
	}
	var client dynamodb.HTTPClient
	var base string
	b.engine = dynamotest.Dynoxide.Client(b, func(o *dynamodb.Options) { client, base = o.HTTPClient, *o.BaseEndpoint })
	for _, in := range dynamostore.Definitions(ids) {
		_, err := b.engine.CreateTable(b.Context(), in)
		b.ok(err)
	}
	b.network.Serve("dynamodb."+region+".amazonaws.com", network.Host{Handler: b.guarded(forward(client, base))})
}

// makeQueues makes the queues in moto, and puts it where SQS and Secrets Manager are.
func (b *bed) makeQueues() {
	b.Helper()
	base := secretstest.MotoURL(b)
	b.sqs = sqs.New(sqs.Options{Region: region, BaseEndpoint: &base, HTTPClient: enginetest.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "platform", SecretAccessKey: "platform"}, nil
		})})
	for id, resource := range b.template.Of("AWS::SQS::Queue") {
		attributes := map[string]string{}
		for _, name := range []string{"VisibilityTimeout", "MessageRetentionPeriod"} {
			if value, ok := resource.Properties[name]; ok {
				attributes[name] = fmt.Sprint(value)
			}
		}
		out, err := b.sqs.CreateQueue(b.Context(), &sqs.CreateQueueInput{QueueName: aws.String(id + b.suffix), Attributes: attributes})
		b.ok(err)
		b.queues[id] = *out.QueueUrl
	}
	for id, resource := range b.template.Of("AWS::SQS::Queue") {
		policy, ok := resource.Properties["RedrivePolicy"].(map[string]any)
		if !ok {
			continue
		}
		dead, _ := strings.CutSuffix(policy["deadLetterTargetArn"].(string), ".Arn")
		target, err := b.sqs.GetQueueAttributes(b.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(b.queues[dead]),
			AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
		b.ok(err)
		text, err := json.Marshal(map[string]any{"deadLetterTargetArn": target.Attributes["QueueArn"], "maxReceiveCount": policy["maxReceiveCount"]})
		b.ok(err)
		b.attributes(id, map[string]string{"RedrivePolicy": string(text)})
	}
	b.world.tell = func(ctx context.Context, message []byte) error {
		_, err := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(b.queues["SecretsQueue"]), MessageBody: aws.String(string(message))})
		return err
	}
	b.secrets = secretstest.Moto(b, func(o *secretsmanager.Options) { o.Region = region })
	for _, name := range []string{"sqs", "secretsmanager"} {
		b.network.Serve(name+"."+region+".amazonaws.com", network.Host{Handler: b.guarded(forward(enginetest.Client(), base))})
	}
}

// attributes sets some of a queue's.
func (b *bed) attributes(queue string, values map[string]string) {
	b.Helper()
	_, err := b.sqs.SetQueueAttributes(b.Context(), &sqs.SetQueueAttributesInput{QueueUrl: aws.String(b.queues[queue]), Attributes: values})
	b.ok(err)
}

// caller is the function of which an instance comes.
func (b *bed) caller(r *http.Request) (stack.Function, bool) {
	id, _, _ := strings.Cut(network.Caller(r), "-")
	for _, f := range b.functions {
		if f.ID == id {
			// Its own credentials, and no other's.
			return f, strings.Contains(r.Header.Get("Authorization"), "Credential="+accessKey(f)+"/")
		}
	}
	return stack.Function{}, false
}

func accessKey(f stack.Function) string { return "AKIA" + strings.ToUpper(f.ID) }

// guarded is a service of AWS: the trap sees a call, then the caller's role is looked at.
func (b *bed) guarded(next http.Handler) http.Handler {
	return b.record.Guard(b.caller, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		look := b.trap
		b.mu.Unlock()
		if look == nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		calls, _ := rights.Read(r, body) // it was read before
		f, _ := b.caller(r)
		if !look(f.Folder, network.Caller(r), calls) {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}))
}

// set puts a trap in place; nil takes it away.
func (b *bed) set(look trap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trap = look
}

// environment is what an instance finds: what Lambda sets, what the template sets, and the way to the world.
func (b *bed) environment(f stack.Function) func(string) []string {
	b.Helper()
	set := map[string]string{
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ACCESS_KEY_ID": accessKey(f), "AWS_SECRET_ACCESS_KEY": "canary-aws-secret-" + f.Folder,
		"AWS_SESSION_TOKEN": "canary-aws-session-" + f.Folder, "AWS_LAMBDA_FUNCTION_NAME": f.ID, "AWS_LAMBDA_FUNCTION_VERSION": "1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.MemorySize), "AWS_EXECUTION_ENV": "AWS_Lambda_" + f.Runtime, "_HANDLER": f.Handler,
		"LAMBDA_TASK_ROOT": filepath.Dir(b.bootstrap(f.Folder)), "TZ": ":UTC", "PATH": "/usr/bin:/bin",
		"SSL_CERT_FILE": b.network.AuthoritiesFile(), "SSL_CERT_DIR": "/nonexistent",
	}
	for name, value := range f.Environment {
		set[name] = b.resolve(value)
		if name == "CV_QUEUES_DUE" {
			set[name] = b.resolvePairs(value)
		}
	}
	return func(instance string) []string {
		out := []string{"AWS_LAMBDA_LOG_GROUP_NAME=" + f.LogGroup, "AWS_LAMBDA_LOG_STREAM_NAME=" + instance, "HTTPS_PROXY=" + b.network.Proxy(instance).String(), "HTTP_PROXY=" + b.network.Proxy(instance).String()}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			out = append(out, name+"="+set[name])
		}
		return out
	}
}

// resolve is what a reference of the template becomes once its resource exists.
func (b *bed) resolve(value string) string {
	b.Helper()
	id, attribute, _ := strings.Cut(value, ".")
	resource, ok := b.template.Resources[id]
	switch {
	case !ok:
		return value
	case resource.Type == "AWS::DynamoDB::Table" && attribute == "":
		return id + b.suffix
	case resource.Type == "AWS::SQS::Queue" && attribute == "":
		return "https://sqs." + region + ".amazonaws.com/" + account + "/" + id + b.suffix
	case resource.Type == "AWS::SQS::Queue" && attribute == "Arn":
		return queueARN(id)
	case resource.Type == "AWS::Serverless::Function" && attribute == "Alias":
		return aliasARN(id)
	case resource.Type == "AWS::KMS::Key" && attribute == "Arn":
		return "arn:aws:kms:" + region + ":" + account + ":key/" + id
	case value == "Api.ApiEndpoint":
		return publicURL
	}
	b.Fatalf("the template hands a function %s, of which nothing is known here", value)
	return ""
}

// resolvePairs does it for each of "amazon=AmazonDueQueue,sage=…".
func (b *bed) resolvePairs(text string) string {
	b.Helper()
	out := strings.Split(text, ",")
	for i, pair := range out {
		name, value, _ := strings.Cut(pair, "=")
		out[i] = name + "=" + b.resolve(value)
	}
	return strings.Join(out, ",")
}

// alias is what a deployment moves from one version of a function to the next; nobody invokes a function but by it.
const alias = "live"

func aliasARN(id string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + id + ":" + alias
}

func queueARN(id string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + id }

// mapping is a queue that feeds a function, as the template says.
type mapping struct {
	queue, function string
	batch, parallel int
}

// mappings reads them from the functions' events, and those that are resources of their own.
func (b *bed) mappings() []mapping {
	b.Helper()
	type source struct { // of events, and of mappings that are resources
		Queue, EventSourceArn, FunctionName string
		BatchSize                           int
		FunctionResponseTypes               []string
		ScalingConfig                       struct{ MaximumConcurrency int }
	}
	var out []mapping
	add := func(function string, s source) {
		id, _ := strings.CutSuffix(s.Queue+s.EventSourceArn, ".Arn")
		if !slices.Equal(s.FunctionResponseTypes, []string{"ReportBatchItemFailures"}) {
			b.Fatalf("%s reports no failures of single messages", id)
		}
		out = append(out, mapping{queue: id, function: function, batch: s.BatchSize, parallel: s.ScalingConfig.MaximumConcurrency})
	}
	for _, f := range b.functions {
		var in struct {
			Events map[string]struct {
				Type       string
				Properties source
			}
		}
		b.ok(b.template.Resources[f.ID].Decode(&in))
		for _, e := range in.Events {
			if e.Type == "SQS" {
				add(f.ID, e.Properties)
			}
		}
	}
	for _, r := range b.template.Of("AWS::Lambda::EventSourceMapping") {
		var in source
		b.ok(r.Decode(&in))
		add(strings.TrimSuffix(in.FunctionName, ".Alias"), in)
	}
	return out
}

// feed lets queues feed their functions, all of the template or those named, until the test ends or stop is called.
func (b *bed) feed(queues ...string) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, m := range b.mappings() {
		if len(queues) > 0 && !slices.Contains(queues, m.queue) {
			continue
		}
		source := sources.Mapping{Function: m.function, URL: b.queues[m.queue], ARN: queueARN(m.queue), Region: region, Batch: m.batch, Parallel: m.parallel,
			Queue: b.sqs, Invoke: b.fleet.Invoke, Pause: 400 * time.Millisecond}
		running.Go(func() { source.Run(ctx) })
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	b.Cleanup(stop)
	return stop
}

// schedule has the template's schedules of a minute say what they say, at a rate of the test's, until it ends.
func (b *bed) schedule(every time.Duration) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, f := range b.functions {
		var in struct {
			Events map[string]struct {
				Type       string
				Properties struct{ ScheduleExpression, Input string }
			}
		}
		b.ok(b.template.Resources[f.ID].Decode(&in))
		for _, e := range in.Events {
			if e.Type == "ScheduleV2" && e.Properties.ScheduleExpression == "rate(1 minute)" {
				s := sources.Schedule{Function: f.ID, Every: every, Input: []byte(e.Properties.Input), Send: b.fleet.Send}
				running.Go(func() { s.Run(ctx) })
			}
		}
	}
	b.Cleanup(func() { cancel(); running.Wait() })
}

// tenant makes a tenant as whoever may invoke the function does, and returns its owner's key.
func (b *bed) tenant(name string) *client {
	b.Helper()
	made := b.operate(object{"operation": "create", "name": name})
	c := b.client(made.text("owner_key"))
	if c.tenant = made.text("tenant"); c.key == "" || c.tenant == "" {
		b.Fatal("a tenant without a key")
	}
	return c
}

// operate invokes the function of tenants.
func (b *bed) operate(what object) answer {
	b.Helper()
	payload, err := json.Marshal(what)
	b.ok(err)
	result, err := b.fleet.Invoke(b.Context(), "TenantFunction", payload)
	b.ok(err)
	var refusal struct{ Error json.RawMessage }
	if err := json.Unmarshal(result.Payload, &refusal); err != nil || result.Failed || refusal.Error != nil {
		b.Fatalf("%v: %s %v", what, result.Payload, err)
	}
	return answer{body: result.Payload}
}

// logs is all that the functions wrote.
func (b *bed) logs() string {
	all := b.log.String()
	for _, f := range b.functions {
		all += b.fleet.Log(f.ID)
	}
	return all
}

// forward sends requests on to a service at an address, as they are.
func forward(client interface {
	Do(*http.Request) (*http.Response, error)
}, base string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), r.Body)
		if err != nil {
			http.Error(w, "no request", http.StatusInternalServerError)
			return
		}
		out.Header, out.ContentLength = r.Header.Clone(), r.ContentLength
		answer, err := client.Do(out)
		if err != nil {
			panic(http.ErrAbortHandler) // as a service that is away
		}
		defer func() { _ = answer.Body.Close() }()
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	})
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// keep writes the logs to a folder that CLOUD_LOGS names, for whoever looks for a cause.
func (b *bed) keep() {
	if dir := os.Getenv("CLOUD_LOGS"); dir != "" {
		b.ok(errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, strings.ReplaceAll(b.Name(), "/", "-")+".log"), []byte(b.logs()), 0o600)))
	}
}
