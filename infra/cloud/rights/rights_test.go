package rights_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/cloud/rights"
	"connectorvault/infra/stack"
)

func request(t *testing.T, target, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Amz-Target", target)
	return r
}

func TestCallsAreRead(t *testing.T) {
	t.Parallel()
	const secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:vault/t_1/keyring-AbC123"
	for _, c := range []struct{ target, path, body, want string }{
		{"DynamoDB_20120810.GetItem", "/", `{"TableName":"RecordsTable-x1"}`, "[dynamodb:GetItem RecordsTable.Arn]"},
		{"DynamoDB_20120810.Query", "/", `{"TableName":"CredentialsTable-x1","IndexName":"due"}`, "[dynamodb:Query CredentialsTable.Arn/index/due]"},
		{"DynamoDB_20120810.BatchGetItem", "/", `{"RequestItems":{"RecordsTable":{}}}`, "[dynamodb:BatchGetItem RecordsTable.Arn]"},
		{"DynamoDB_20120810.TransactWriteItems", "/", `{"TransactItems":[{"Put":{"TableName":"A"}},{"Update":{"TableName":"B"}},{"Delete":{"TableName":"C"}},{"ConditionCheck":{"TableName":"D"}}]}`,
			"[dynamodb:PutItem A.Arn dynamodb:UpdateItem B.Arn dynamodb:DeleteItem C.Arn dynamodb:ConditionCheckItem D.Arn]"},
		{"secretsmanager.GetSecretValue", "/", `{"SecretId":"vault/t_1/keyring"}`, "[secretsmanager:GetSecretValue " + secret + "]"},
		{"secretsmanager.CreateSecret", "/", `{"Name":"vault/t_1/keyring"}`, "[secretsmanager:CreateSecret " + secret + "]"},
		{"secretsmanager.ListSecrets", "/", `{}`, "[secretsmanager:ListSecrets *]"},
		{"AmazonSQS.SendMessageBatch", "/", `{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/1/SageDueQueue-x1"}`, "[sqs:SendMessage SageDueQueue.Arn]"},
		{"AmazonSQS.ChangeMessageVisibility", "/", `{"QueueUrl":"https://sqs/1/WebhookQueue"}`, "[sqs:ChangeMessageVisibility WebhookQueue.Arn]"},
		{"", "/2015-03-31/functions/RefreshFunction/invocations", `{}`, "[lambda:InvokeFunction RefreshFunction.Arn]"},
		{"", "/2015-03-31/functions/arn:aws:lambda:eu-central-1:111122223333:function:RefreshFunction:live/invocations", `{}`, "[lambda:InvokeFunction RefreshFunction.Alias]"},
	} {
		got, err := rights.Read(request(t, c.target, c.path, c.body), []byte(c.body))
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v %v", c.target, got, err)
		}
	}
}

// What cannot be read is let through by nobody.
func TestWhatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, body string }{
		{"", `{}`}, {"Kinesis.PutRecord", `{}`}, {"DynamoDB_20120810.GetItem", `{}`}, {"DynamoDB_20120810.GetItem", `x`},
		{"DynamoDB_20120810.TransactWriteItems", `{}`}, {"DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"A"}},{"Other":{"TableName":"B"}}]}`},
		{"DynamoDB_20120810.BatchGetItem", `{}`}, {"secretsmanager.GetSecretValue", `x`}, {"AmazonSQS.SendMessage", `x`},
	} {
		if got, err := rights.Read(request(t, c.target, "/", c.body), []byte(c.body)); err == nil {
			t.Errorf("%s %s: %v", c.target, c.body, got)
		}
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	template, err := stack.Load("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	functions, err := template.Functions()
	if err != nil {
		t.Fatal(err)
	}
	record := rights.NewRecord()
	reached := ""
	guard := record.Guard(func(r *http.Request) (stack.Function, bool) {
		f, ok := functions[r.Header.Get("X-Test-Function")]
		return f, ok
	}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		reached = string(body)
	}))
	const one, both = `{"TableName":"RecordsTable"}`, `{"TransactItems":[{"Put":{"TableName":"RecordsTable"}},{"Update":{"TableName":"CredentialsTable"}}]}`
	for _, c := range []struct {
		function, target, body string
		through                bool
	}{
		{"authorizer", "DynamoDB_20120810.GetItem", one, true},
		{"authorizer", "DynamoDB_20120810.PutItem", one, false},
		{"refresh", "DynamoDB_20120810.TransactWriteItems", both, true},
		{"admin", "DynamoDB_20120810.TransactWriteItems", both, false}, // one part of it
		{"read", "secretsmanager.GetSecretValue", `{"SecretId":"vault/t_1000000000000000/app/amazon/x"}`, false},
		{"refresh", "secretsmanager.GetSecretValue", `{"SecretId":"vault/t_1000000000000000/app/amazon/x"}`, true},
		{"stranger", "DynamoDB_20120810.GetItem", one, false},
		{"refresh", "Kinesis.PutRecord", `{}`, false},
	} {
		reached = ""
		r := request(t, c.target, "/", c.body)
		r.Header.Set("X-Test-Function", c.function)
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, r)
		if through := reached == c.body; through != c.through || through != (w.Code == http.StatusOK) || !through && w.Header().Get("X-Amzn-Errortype") != "AccessDeniedException" {
			t.Errorf("%s %s: through %v, %d %s", c.function, c.target, through, w.Code, w.Body)
		}
	}
	want := []string{"admin dynamodb:UpdateItem CredentialsTable.Arn", "authorizer dynamodb:PutItem RecordsTable.Arn",
		"read secretsmanager:GetSecretValue " + stack.SecretARN("vault/t_1000000000000000/app/amazon/x")}
	if got := record.Refused(); !slices.Equal(got, want) {
		t.Errorf("refused: %q", got)
	}
	if unused := record.Unused(functions["authorizer"]); slices.Contains(unused, "dynamodb:GetItem RecordsTable.Arn") || !slices.Contains(unused, "dynamodb:PutItem TransientTable.Arn") {
		t.Errorf("unused: %q", unused)
	}
	// What was refused counts as needed by nobody.
	if unused := record.Unused(functions["admin"]); !slices.Contains(unused, "dynamodb:PutItem RecordsTable.Arn") {
		t.Errorf("unused: %q", unused)
	}
}
