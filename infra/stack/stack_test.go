package stack_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/infra/stack"
	"connectorvault/shared/openapi/openapitest"
	"connectorvault/shared/route"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
)

const root = "../.."

func load(t *testing.T) *stack.Template {
	t.Helper()
	return loadFile(t, "template.yaml")
}

func loadFile(t *testing.T, name string) *stack.Template {
	t.Helper()
	template, err := stack.Load(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func functions(t *testing.T) map[string]stack.Function {
	t.Helper()
	out, err := load(t).Functions()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoutesAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	got, err := load(t).Routes()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]stack.Route{}
	for _, r := range route.Table() {
		want[r.Key()] = stack.Route{Key: r.Key(), Folder: string(r.Function), Open: r.Open}
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: the template has %+v, the table %+v", key, got[key], w)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("the template has %s, the table does not", key)
		}
	}
}

// What programs are told of the API is what the gateway has.
func TestTheDocumentHasTheTemplatesRoutes(t *testing.T) {
	t.Parallel()
	got, err := load(t).Routes()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	operations := document.Operations()
	for key, r := range got {
		o, ok := operations[key]
		if !ok {
			t.Errorf("the template has %s, the document does not", key)
			continue
		}
		security, said := o.Node["security"].([]any)
		if open := said && len(security) == 0; open != r.Open {
			t.Errorf("%s: the document says that it is open: %t", key, open)
		}
	}
	for key := range operations {
		if _, ok := got[key]; !ok {
			t.Errorf("the document has %s, the template does not", key)
		}
	}
}

// The gateway lets each function be invoked for its own paths alone.
func TestPermissionsCoverTheRoutes(t *testing.T) {
	t.Parallel()
	template := load(t)
	allowed := map[string][]string{} // function → path patterns
	for id, r := range template.Of("AWS::Lambda::Permission") {
		var in struct{ FunctionName, Principal, SourceArn string }
		if err := r.Decode(&in); err != nil || in.Principal != "apigateway.amazonaws.com" || in.SourceArn == "" {
			t.Errorf("%s lets in more than the API: %+v %v", id, in, err)
		}
		if _, path, ok := strings.Cut(in.SourceArn, ":Api/*/*"); ok {
			allowed[in.FunctionName] = append(allowed[in.FunctionName], strings.TrimSuffix(path, "*"))
		}
	}
	all := functions(t)
	for _, r := range route.Table() {
		patterns := allowed[all[string(r.Function)].ID+".Alias"]
		if !slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(r.Path, p) }) {
			t.Errorf("%s may not be invoked for %s", r.Function, r.Path)
		}
	}
}

var tableIDs = map[store.Table]string{store.Records: "RecordsTable", store.Credentials: "CredentialsTable",
	store.Requests: "RequestsTable", store.Transient: "TransientTable"}

func TestTablesAreThoseOfTheDriver(t *testing.T) {
	t.Parallel()
	template := load(t)
	if got := len(template.Of("AWS::DynamoDB::Table")); got != len(store.Tables()) {
		t.Errorf("the template has %d tables, the store %d", got, len(store.Tables()))
	}
	for _, want := range dynamostore.Definitions(tableIDs) {
		id := *want.TableName
		got := &dynamodb.CreateTableInput{}
		if err := template.Resources[id].Decode(got); err != nil {
			t.Fatal(err)
		}
		// The template also asks for what the test engines have no use for.
		got.TableName, got.SSESpecification, got.DeletionProtectionEnabled = want.TableName, nil, nil
		if !reflect.DeepEqual(sorted(got), sorted(want)) {
			t.Errorf("%s differs from the driver's definition:\n%+v\n%+v", id, got, want)
		}
	}
}

func sorted(in *dynamodb.CreateTableInput) *dynamodb.CreateTableInput {
	slices.SortFunc(in.AttributeDefinitions, func(a, b types.AttributeDefinition) int { return strings.Compare(*a.AttributeName, *b.AttributeName) })
	return in
}

func TestTablesExpireAsTheDriverSays(t *testing.T) {
	t.Parallel()
	template := load(t)
	expires := map[string]string{}
	for _, call := range dynamostore.Expiries(tableIDs) {
		expires[*call.TableName] = *call.TimeToLiveSpecification.AttributeName
	}
	for _, id := range tableIDs {
		var in struct {
			TimeToLiveSpecification *types.TimeToLiveSpecification
		}
		if err := template.Resources[id].Decode(&in); err != nil {
			t.Fatal(err)
		}
		got := ""
		if in.TimeToLiveSpecification != nil && aws.ToBool(in.TimeToLiveSpecification.Enabled) {
			got = *in.TimeToLiveSpecification.AttributeName
		}
		if got != expires[id] {
			t.Errorf("%s expires by %q, the driver says %q", id, got, expires[id])
		}
	}
}

func TestWhatCannotBeMadeAnewIsKept(t *testing.T) {
	t.Parallel()
	template := load(t)
	for _, id := range []string{"RecordsTable", "CredentialsTable"} {
		var in struct {
			DeletionProtectionEnabled        bool
			PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
		}
		if err := template.Resources[id].Decode(&in); err != nil {
			t.Fatal(err)
		}
		if !in.DeletionProtectionEnabled || !in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled || template.Resources[id].Deletion != "Retain" {
			t.Errorf("%s can be lost: %+v, %s", id, in, template.Resources[id].Deletion)
		}
	}
	for _, id := range []string{"RescueQueue", "RescueDeadLetters", "SecretsQueue", "SecretsDeadLetters"} {
		if template.Resources[id].Deletion != "Retain" {
			t.Errorf("%s goes with the stack, and a living token or secret with it", id)
		}
	}
	for id, r := range template.Of("AWS::DynamoDB::Table") {
		if on, _ := r.Properties["SSESpecification"].(map[string]any)["SSEEnabled"].(bool); !on {
			t.Errorf("%s is not encrypted", id)
		}
	}
}

func TestEveryFunctionIsBuiltAndDescribed(t *testing.T) {
	t.Parallel()
	all := functions(t)
	folders, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, path := range folders {
		have = append(have, filepath.Base(filepath.Dir(path)))
	}
	if want := slices.Sorted(maps.Keys(all)); !slices.Equal(have, want) {
		t.Errorf("functions/ has %v, the template %v", have, want)
	}
	timeouts := map[string]int{"refresh": 60, "authorizer": 5, "tenant": 60, "planner": 50}
	roles, logs := map[string]string{}, map[string]string{}
	template := load(t)
	for name, f := range all {
		want := timeouts[name]
		if want == 0 {
			want = 29 // the gateway gives up after 30
		}
		if f.Timeout != want || f.Handler != "bootstrap" || f.Runtime != "provided.al2023" || !slices.Equal(f.Architectures, []string{"arm64"}) {
			t.Errorf("%s: %+v", name, f)
		}
		if template.Resources[f.ID].Metadata["BuildMethod"] != "go1.x" {
			t.Errorf("%s has no build method", name)
		}
		if other, taken := roles[f.Role.ID]; taken {
			t.Errorf("%s and %s share a role", name, other)
		}
		if other, taken := logs[f.LogGroup]; taken || f.LogGroup == "" {
			t.Errorf("%s has no log group, or shares %s's", name, other)
		}
		if retention := template.Resources[f.LogGroup].Properties["RetentionInDays"]; retention == nil {
			t.Errorf("the logs of %s are kept for ever", name)
		}
		roles[f.Role.ID], logs[f.LogGroup] = name, name
	}
}

// Only the token service may touch what can lose or show an account.
func TestOnlyTheTokenServiceHoldsTheKeys(t *testing.T) {
	t.Parallel()
	app := stack.SecretARN(stack.StackName + "/t_1000000000000000/app/amazon/production/v_1000000000000001")
	ring := stack.SecretARN(stack.StackName + "/t_1000000000000000/keyring")
	entry := stack.SecretARN(stack.StackName + "/t_1000000000000000/entry/ve_1000000000000000")
	calls := stack.SecretARN(stack.StackName + "/t_1000000000000000/read/entry/ve_1000000000000000")
	for name, f := range functions(t) {
		may := func(action, resource string) bool { return f.Role.Allows(action, resource) }
		only := func(right bool, what string, allowed ...string) {
			if right != slices.Contains(allowed, name) {
				t.Errorf("%s: %s = %t", name, what, right)
			}
		}
		only(may("secretsmanager:GetSecretValue", app), "reads client secrets", "refresh")
		only(may("secretsmanager:PutSecretValue", app), "writes client secrets", "admin", "refresh")
		only(may("secretsmanager:GetSecretValue", entry), "reads client secrets of entries", "refresh")
		only(may("secretsmanager:GetSecretValue", calls), "reads what calls take besides a token", "refresh", "read")
		only(may("secretsmanager:PutSecretValue", entry) && may("secretsmanager:PutSecretValue", calls), "writes an entry's secrets", "admin")
		only(may("secretsmanager:DeleteSecret", entry) && may("secretsmanager:DeleteSecret", calls), "removes an entry's secrets", "admin", "refresh", "tenant")
		only(may("secretsmanager:DeleteSecret", ring), "removes keyrings", "tenant")
		only(may("secretsmanager:ListSecrets", "*"), "lists secrets", "refresh", "tenant")
		only(may("secretsmanager:GetSecretValue", ring), "opens tokens", "refresh", "read", "admin", "tenant", "notify") // the last two have none to open: see below
		only(may("secretsmanager:PutSecretValue", ring), "changes keyrings", "tenant")
		only(may("dynamodb:UpdateItem", "CredentialsTable.Arn"), "changes credentials", "refresh")
		only(may("dynamodb:PutItem", "RecordsTable.Arn"), "makes keys, and writes audit events", "admin", "refresh", "tenant") // whoever else has the keyring can compute their codes
		only(may("dynamodb:GetItem", "CredentialsTable.Arn"), "reads sealed tokens", "refresh", "read", "admin", "validate")
		only(may("dynamodb:GetItem", "RequestsTable.Arn"), "reads sealed tokens of authorizations", "refresh", "admin", "callback", "validate")
		only(may("sqs:SendMessage", "WebhookQueue.Arn"), "sends to webhooks", "refresh", "admin")
		only(may("sqs:ReceiveMessage", "WebhookQueue.Arn"), "delivers to webhooks", "notify")
		only(may("sqs:ReceiveMessage", "RescueQueue.Arn"), "reads rescued answers", "refresh")
		only(may("dynamodb:DeleteItem", "RecordsTable.Arn"), "trims audit events", "refresh", "admin", "tenant")
		only(may("sqs:SendMessage", "RescueQueue.Arn"), "sends to rescue", "refresh")
		only(may("dynamodb:Query", "CredentialsTable.Arn/index/due"), "looks for what is due", "planner")
		only(may("lambda:InvokeFunction", "RefreshFunction.Alias"), "calls the token service", "admin", "callback", "validate", "read", "tenant")
		only(may("lambda:InvokeFunction", "TenantFunction.Alias"), "calls what makes and deletes tenants")
		for _, g := range f.Role.Grants() {
			action, resource, _ := strings.Cut(g, " ")
			// Listing secrets, which shows names alone, is an action that takes no narrower resource.
			wide := resource == "*" && g != "secretsmanager:ListSecrets *"
			if strings.Contains(action, "*") || wide || action == "dynamodb:Scan" {
				t.Errorf("%s may %s: wider than any need", name, g)
			}
			if other := stack.SecretARN("other-vault/t_1000000000000000/keyring"); may("secretsmanager:GetSecretValue", other) {
				t.Errorf("%s reads another stack's secrets", name)
			}
		}
	}
}

func TestQueuesOutlastTheFunction(t *testing.T) {
	t.Parallel()
	template := load(t)
	consumers := map[string]string{"WebhookQueue": "notify"}
	for queue, dead := range map[string]string{"AmazonDueQueue": "AmazonDueDeadLetters", "SageDueQueue": "SageDueDeadLetters", "ClaraDueQueue": "ClaraDueDeadLetters", "RescueQueue": "RescueDeadLetters", "SecretsQueue": "SecretsDeadLetters", "WebhookQueue": "WebhookDeadLetters"} {
		timeout := functions(t)[cmp.Or(consumers[queue], "refresh")].Timeout
		var in struct {
			VisibilityTimeout, MessageRetentionPeriod int
			SqsManagedSseEnabled                      bool
			RedrivePolicy                             struct {
				DeadLetterTargetArn string `json:"deadLetterTargetArn"`
				MaxReceiveCount     int    `json:"maxReceiveCount"`
			}
		}
		if err := template.Resources[queue].Decode(&in); err != nil {
			t.Fatal(err)
		}
		if in.VisibilityTimeout < timeout {
			t.Errorf("%s shows a message again while it is worked on", queue)
		}
		if in.RedrivePolicy.DeadLetterTargetArn != dead+".Arn" || !in.SqsManagedSseEnabled {
			t.Errorf("%s: %+v", queue, in)
		}
		if in.MessageRetentionPeriod <= in.VisibilityTimeout*in.RedrivePolicy.MaxReceiveCount {
			t.Errorf("%s drops messages before they are set aside", queue)
		}
	}
	for name, function := range map[string]string{"AmazonDue": "RefreshFunction", "SageDue": "RefreshFunction", "ClaraDue": "RefreshFunction", "Rescue": "RefreshFunction", "Webhook": "NotifyFunction"} {
		events, _ := template.Resources[function].Properties["Events"].(map[string]any)
		properties, _ := events[name].(map[string]any)["Properties"].(map[string]any)
		if !reflect.DeepEqual(properties["FunctionResponseTypes"], []any{"ReportBatchItemFailures"}) {
			t.Errorf("%s repeats whole batches", name)
		}
	}
}

// Only Amazon may send to the queue of client secrets, and it may do nothing else.
func TestOnlyAmazonSendsClientSecrets(t *testing.T) {
	t.Parallel()
	template := load(t)
	var policy struct {
		Queues         []string
		PolicyDocument struct {
			Statement []struct {
				Effect, Resource any
				Principal        any
				Action           any
			}
		}
	}
	if err := template.Resources["SecretsQueuesPolicy"].Decode(&policy); err != nil {
		t.Fatal(err)
	}
	for _, s := range policy.PolicyDocument.Statement {
		if s.Effect != "Allow" {
			continue
		}
		who, _ := s.Principal.(map[string]any)["AWS"].(string)
		if !strings.HasSuffix(who, ":iam::437568002678:root") || s.Resource != "SecretsQueue.Arn" ||
			!reflect.DeepEqual(s.Action, []any{"sqs:SendMessage", "sqs:GetQueueAttributes"}) {
			t.Errorf("the policy lets in %+v", s)
		}
	}
	var mapping struct {
		FunctionName, EventSourceArn string
		BatchSize                    int
		FunctionResponseTypes        []string
	}
	if err := template.Resources["RefreshFunctionSecrets"].Decode(&mapping); err != nil {
		t.Fatal(err)
	}
	if mapping.FunctionName != "RefreshFunction.Alias" || mapping.EventSourceArn != functions(t)["refresh"].Environment["CV_QUEUE_SECRETS_ARN"] ||
		!slices.Equal(mapping.FunctionResponseTypes, []string{"ReportBatchItemFailures"}) {
		t.Errorf("the token service gets %+v", mapping)
	}
	for name, f := range functions(t) {
		if f.Role.Allows("sqs:ReceiveMessage", "SecretsQueue.Arn") != (name == "refresh") || f.Role.Allows("sqs:SendMessage", "SecretsQueue.Arn") {
			t.Errorf("%s has other rights to the queue than it should", name)
		}
	}
	for _, id := range []string{"SecretsQueue", "SecretsDeadLetters", "SecretsQueuesPolicy", "RefreshFunctionSecrets"} {
		if template.Resources[id].Condition != "TakesSecrets" {
			t.Errorf("%s is there unasked", id)
		}
	}
}

// The access log must never have what travels in paths and queries.
func TestAccessLogHasNoPath(t *testing.T) {
	t.Parallel()
	settings, _ := load(t).Resources["Stage"].Properties["AccessLogSettings"].(map[string]any)
	format, _ := settings["Format"].(string)
	if !strings.Contains(format, "$context.routeKey") {
		t.Errorf("the access log has no route: %s", format)
	}
	for _, forbidden := range []string{"$context.path", "$context.http.path", "querystring", "$context.requestOverride", "authorization", "cookie"} {
		if strings.Contains(strings.ToLower(format), strings.ToLower(forbidden)) {
			t.Errorf("the access log has %s", forbidden)
		}
	}
}

// A key that was revoked works on for as long as the authorizer's answer is kept.
func TestRevocationIsFeltWithinAMinute(t *testing.T) {
	t.Parallel()
	properties := load(t).Resources["Authorizer"].Properties
	if ttl, _ := properties["AuthorizerResultTtlInSeconds"].(int); ttl < 1 || ttl > 60 {
		t.Errorf("answers are kept for %d s", ttl)
	}
	if !reflect.DeepEqual(properties["IdentitySource"], []any{"$request.header.Authorization"}) {
		t.Errorf("answers are kept by %v", properties["IdentitySource"])
	}
}

func TestEveryAlarmIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for id, r := range loadFile(t, "infra/observability.yaml").Of("AWS::CloudWatch::Alarm") {
		name, _ := r.Properties["AlarmName"].(string)
		short := name[strings.LastIndex(name, " ")+1:]
		if short+"Alarm" != id {
			t.Errorf("%s calls itself %q", id, name)
		}
		for _, function := range []string{"Admin", "Callback", "Validate", "Read", "Refresh", "Authorizer", "Tenant", "Notify", "Planner"} {
			for _, kind := range []string{"Errors", "Throttles", "Slow"} {
				if short == function+kind {
					short = "…" + kind
				}
			}
		}
		for _, table := range []string{"Records", "Credentials", "Requests", "Transient"} {
			for _, kind := range []string{"Throttled", "Failing"} {
				if short == table+kind {
					short = "…" + kind
				}
			}
		}
		if !strings.Contains(string(text), "`"+short+"`") {
			t.Errorf("docs/operations.md does not say what %s means", short)
		}
		if says, _ := r.Properties["AlarmDescription"].(string); !strings.HasSuffix(says, ". See docs/runbook.md.") {
			t.Errorf("whoever is woken by %s is not told where to look", short)
		}
		if actions, _ := r.Properties["AlarmActions"].([]any); len(actions) == 0 {
			t.Errorf("nobody hears of %s", short)
		}
	}
}

// Nobody but a principal of IAM makes or deletes a tenant: no route leads to the function, and no policy of its own lets
// anybody in.
func TestNothingOutsideReachesTheTenantFunction(t *testing.T) {
	t.Parallel()
	template := load(t)
	routes, err := template.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for key, r := range routes {
		if r.Folder == "tenant" {
			t.Errorf("%s leads to it", key)
		}
	}
	for _, kind := range []string{"AWS::Lambda::Permission", "AWS::ApiGatewayV2::Integration", "AWS::Lambda::Url", "AWS::Lambda::EventSourceMapping"} {
		for id, r := range template.Of(kind) {
			for name, value := range r.Properties {
				if text, ok := value.(string); ok && strings.Contains(text, "TenantFunction") {
					t.Errorf("%s names it as %s", id, name)
				}
			}
		}
	}
	if template.Resources["TenantFunction"].Properties["FunctionUrlConfig"] != nil { // for which SAM makes a policy
		t.Error("it has an address of its own")
	}
	events, _ := template.Resources["TenantFunction"].Properties["Events"].(map[string]any)
	for name, e := range events {
		if e.(map[string]any)["Type"] != "ScheduleV2" { // which invokes with a role, where others need a policy
			t.Errorf("%s reaches it", name)
		}
	}
	// Statements of one action each: what the function may do can be read line by line.
	policies, _ := template.Resources["TenantRole"].Properties["Policies"].([]any)
	for _, p := range policies {
		document, _ := p.(map[string]any)["PolicyDocument"].(map[string]any)
		statements, _ := document["Statement"].([]any)
		if len(statements) < 10 {
			t.Errorf("%d statements", len(statements))
		}
		for _, s := range statements {
			if _, one := s.(map[string]any)["Action"].(string); !one {
				t.Errorf("several actions at once: %v", s)
			}
		}
	}
}

// What a function makes lies under the stack's key, which Secrets Manager alone uses, for the account alone, and which is kept.
func TestSecretsLieUnderTheStacksKey(t *testing.T) {
	t.Parallel()
	for name, f := range functions(t) {
		makes := slices.ContainsFunc(f.Role.Grants(), func(g string) bool { return strings.HasPrefix(g, "secretsmanager:CreateSecret ") })
		if got := f.Environment["CV_SECRET_KEY"] == "SecretsKey.Arn"; got != makes {
			t.Errorf("%s makes secrets: %t, and knows the key: %t", name, makes, got)
		}
		for _, g := range f.Role.Grants() {
			if strings.HasPrefix(g, "kms:") {
				t.Errorf("%s may %s, and so without Secrets Manager", name, g)
			}
		}
	}
	key := load(t).Resources["SecretsKey"]
	var in struct {
		EnableKeyRotation bool
		KeyPolicy         struct {
			Statement []struct {
				Principal struct{ AWS string }
				Action    any
				Condition struct{ StringEquals map[string]string }
			}
		}
	}
	if err := key.Decode(&in); err != nil {
		t.Fatal(err)
	}
	if key.Deletion != "Retain" || !in.EnableKeyRotation || len(in.KeyPolicy.Statement) != 2 {
		t.Errorf("the key is %+v, %s", in, key.Deletion)
	}
	for _, s := range in.KeyPolicy.Statement {
		only := s.Condition.StringEquals
		through := strings.HasPrefix(only["kms:ViaService"], "secretsmanager.") && only["kms:CallerAccount"] != ""
		if everybody := !strings.HasSuffix(s.Principal.AWS, ":root"); everybody && !through {
			t.Errorf("whoever it is may use the key: %+v", s)
		}
		if actions := fmt.Sprint(s.Action); through && strings.Contains(actions, "*") {
			t.Errorf("through Secrets Manager it may be used for %s", actions)
		}
	}
}
