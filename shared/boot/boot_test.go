package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

// whole is an environment that lacks nothing.
func whole() map[string]string {
	return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary-aws", "CV_SECRET_PREFIX": "vault/",
		"CV_TABLE_RECORDS": "records", "CV_PUBLIC_URL": "https://vault.example/", "CV_REFRESH_FUNCTION": "refresh",
		"CV_QUEUES_DUE": "amazon=https://sqs/a,sage=https://sqs/s,clara=https://sqs/c", "CV_QUEUE_RESCUE_URL": "https://sqs/rescue"}
}

func environment(values map[string]string) Environment {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func needs() []Need { return []Need{PublicURL, TokenService, Queues} }

func TestAFunctionStartsWithWhatTheTemplateGives(t *testing.T) {
	t.Parallel()
	b, err := Load(environment(whole()), needs()...)
	if err != nil {
		t.Fatal(err)
	}
	if b.PublicURL != "https://vault.example" || b.Invoke == nil || b.Nudge == nil || b.Enqueue == nil || b.Rescue == nil {
		t.Errorf("the bundle is %+v", b.Parts)
	}
	if b, err = Load(environment(whole())); err != nil || b.Invoke != nil || b.Enqueue != nil {
		t.Errorf("what is not needed is there: %+v, %v", b.Parts, err)
	}
}

func TestTheQueueOfClientSecretsIsThereWhenTheTemplateMadeIt(t *testing.T) {
	t.Parallel()
	values := whole()
	for arn, want := range map[string]int{"": 0, "arn:aws:sqs:eu-central-1:111122223333:secrets": 1} {
		values["CV_QUEUE_SECRETS_ARN"] = arn
		b, err := Load(environment(values), needs()...)
		if err != nil || len(b.Notices) != want || want == 1 && b.Notices[arn] != "amazon" {
			t.Errorf("%q: %v, %v", arn, b.Notices, err)
		}
	}
}

func TestWhatIsMissingIsNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load(environment(nil), needs()...)
	if err == nil {
		t.Fatal("a function starts with nothing")
	}
	for name := range whole() {
		if n := strings.Count(err.Error(), name+" is not set"); n != 1 {
			t.Errorf("%s is named %d times in: %v", name, n, err)
		}
		lacking := whole()
		delete(lacking, name)
		if _, err := Load(environment(lacking), needs()...); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
			t.Errorf("without %s: %v", name, err)
		}
		lacking[name] = ""
		if _, err := Load(environment(lacking), needs()...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with an empty %s: %v", name, err)
		}
	}
	if _, err := Load(environment(whole())); err != nil {
		t.Errorf("what no need asks for is missed: %v", err)
	}
}

func TestBrowsersComeByHTTPSOnly(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"http://vault.example", "vault.example", "https://", "https:///x", "HTTP://vault.example", "ftp://vault.example", "javascript:x",
		"https://user@vault.example", "https://vault.example?x=1", "https://vault.example#x", "https://vault .example", "//vault.example"} {
		values := whole()
		values["CV_PUBLIC_URL"] = wrong
		if _, err := Load(environment(values), PublicURL); err == nil || !strings.Contains(err.Error(), "CV_PUBLIC_URL") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestALevelThatNobodyKnowsIsNamed(t *testing.T) {
	t.Parallel()
	for level, good := range map[string]bool{"DEBUG": true, "warn": true, "": true, "LOUD": false} {
		values := whole()
		values["CV_LOG_LEVEL"] = level
		if _, err := Load(environment(values)); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "CV_LOG_LEVEL") {
			t.Errorf("%q: %v", level, err)
		}
	}
}

func TestANeedThatIsOneFunctionsIsNotAnothers(t *testing.T) {
	t.Parallel()
	values := whole()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(name, "CV_QUEUE") {
			delete(values, name)
		}
	}
	if _, err := Load(environment(values), PublicURL, TokenService); err != nil {
		t.Errorf("a function without queues: %v", err)
	}
}

// stubLambda answers Invoke.
type stubLambda struct {
	in     *lambda.InvokeInput
	out    *lambda.InvokeOutput
	err    error
	cancel context.CancelFunc // called before the answer
}

func (s *stubLambda) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	s.in = in
	if s.cancel != nil {
		s.cancel()
	}
	return s.out, s.err
}

func call() tokens.Call {
	return tokens.Call{Op: tokens.Complete, Tenant: "t_1", Entry: "ve_1", Code: secret.New("canary-code")}
}

func reply(t *testing.T, a tokens.Answer, err error) []byte {
	t.Helper()
	b, encodeErr := tokens.EncodeReply(a, err)
	if encodeErr != nil {
		t.Fatal(encodeErr)
	}
	return b
}

func TestACallGoesThereAndItsAnswerComesBack(t *testing.T) {
	t.Parallel()
	stub := &stubLambda{out: &lambda.InvokeOutput{Payload: reply(t, tokens.Answer{Outcome: tokens.Success, Generation: 3}, nil)}}
	i := &invoker{api: stub, function: "refresh"}
	answer, err := i.invoke(t.Context(), call())
	if err != nil || answer.Generation != 3 {
		t.Fatalf("%+v %v", answer, err)
	}
	sent, err := tokens.Decode(stub.in.Payload)
	if err != nil || sent.Code.Reveal() != "canary-code" || *stub.in.FunctionName != "refresh" || stub.in.InvocationType != lambdatypes.InvocationTypeRequestResponse {
		t.Errorf("sent was %+v, %v", stub.in, err)
	}
	if err := i.nudge(t.Context(), call()); err != nil || stub.in.InvocationType != lambdatypes.InvocationTypeEvent {
		t.Errorf("a nudge is %v, %v", stub.in.InvocationType, err)
	}
}

func TestEachWayAnInvocationFailsIsAnErrorWithoutItsPayload(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Conflict, "account_mismatch", "Another account.").Do("Use that one.")
	for name, want := range map[string]struct {
		stub stubLambda
		code string
	}{
		"a refusal of the service's": {stubLambda{out: &lambda.InvokeOutput{Payload: reply(t, tokens.Answer{}, refusal)}}, "account_mismatch"},
		"a plain error of its":       {stubLambda{out: &lambda.InvokeOutput{Payload: reply(t, tokens.Answer{}, errors.New("canary-code"))}}, "internal_error"},
		"a crash":                    {stubLambda{out: &lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: []byte(`{"errorMessage":"canary-code"}`)}}, "internal_error"},
		"nonsense":                   {stubLambda{out: &lambda.InvokeOutput{Payload: []byte(`canary-code`)}}, "internal_error"},
		"no invocation":              {stubLambda{err: errors.New("throttled")}, "internal_error"},
	} {
		_, err := (&invoker{api: &want.stub, function: "refresh"}).invoke(t.Context(), call())
		if fault.CodeOf(err) != want.code || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := (&invoker{api: &stubLambda{err: errors.New("throttled")}}).nudge(t.Context(), call())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a nudge that was not taken: %v", err)
	}
}

func TestACallerThatStopsWaitingIsToldToComeBackAndAnAnswerThatIsThereIsGiven(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := (&invoker{api: &stubLambda{err: context.Canceled, cancel: cancel}}).invoke(ctx, call())
	if f := fault.As(err); f.Kind != fault.Unavailable || f.RetryAfter == 0 {
		t.Errorf("who has stopped waiting hears %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	stub := &stubLambda{out: &lambda.InvokeOutput{Payload: reply(t, tokens.Answer{Outcome: tokens.Success}, nil)}, cancel: cancel}
	if answer, err := (&invoker{api: stub}).invoke(ctx, call()); err != nil || answer.Outcome != tokens.Success {
		t.Errorf("an answer that came just in time is %+v, %v", answer, err)
	}
}

// stubSQS takes messages, and refuses those whose number is in fails.
type stubSQS struct {
	sent    []string
	batches []int
	fails   map[int]bool
	holds   map[string]string
	err     error
}

func (s *stubSQS) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	s.sent = append(s.sent, *in.MessageBody)
	return &sqs.SendMessageOutput{}, s.err
}

func (s *stubSQS) GetQueueAttributes(_ context.Context, in *sqs.GetQueueAttributesInput, _ ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	out := &sqs.GetQueueAttributesOutput{Attributes: map[string]string{}}
	for _, name := range in.AttributeNames {
		if n, ok := s.holds[string(name)]; ok {
			out.Attributes[string(name)] = n
		}
	}
	return out, s.err
}

func (s *stubSQS) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	out := &sqs.SendMessageBatchOutput{}
	ids := map[string]bool{}
	for _, e := range in.Entries {
		if ids[*e.Id] {
			return nil, fmt.Errorf("the id %s is there twice", *e.Id)
		}
		ids[*e.Id] = true
		if s.fails[len(s.sent)] {
			out.Failed = append(out.Failed, sqstypes.BatchResultErrorEntry{Id: e.Id, Code: aws.String("Throttled")})
		}
		s.sent = append(s.sent, *e.MessageBody)
	}
	s.batches = append(s.batches, len(in.Entries))
	return out, nil
}

func TestCallsAreQueuedTenAtATime(t *testing.T) {
	t.Parallel()
	stub := &stubSQS{}
	calls := make([]tokens.Call, 23)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	if err := (&queue{api: stub, url: "u", now: time.Now}).sendAll(t.Context(), calls); err != nil || fmt.Sprint(stub.batches) != "[10 10 3]" {
		t.Fatalf("%v %v", stub.batches, err)
	}
	for i, body := range stub.sent {
		if got, err := tokens.Decode([]byte(body)); err != nil || got.Entry != fmt.Sprint(i) {
			t.Errorf("message %d is %s, %v", i, body, err)
		}
	}
	if err := (&queue{api: &stubSQS{}, now: time.Now}).sendAll(t.Context(), nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}

// What comes due later is delivered later, as exactly as the queue can, and never early.
func TestACallIsDeliveredAtItsTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	for _, want := range []struct {
		at      time.Time
		seconds int32
	}{{time.Time{}, 0}, {now, 0}, {now.Add(-time.Hour), 0}, {now.Add(time.Millisecond), 1}, {now.Add(47 * time.Second), 47}, {now.Add(48 * time.Hour), 900}} {
		if got := delay(tokens.Call{NotBefore: want.at}, now); got != want.seconds {
			t.Errorf("for %s it is kept %d seconds; want %d", want.at, got, want.seconds)
		}
	}
}

func TestABatchThatWasTakenInPartIsAnError(t *testing.T) {
	t.Parallel()
	calls := make([]tokens.Call, 12)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	for name, stub := range map[string]*stubSQS{"one of the first": {fails: map[int]bool{3: true}}, "one of the last": {fails: map[int]bool{11: true}}, "down": {err: errors.New("down")}} {
		if err := (&queue{api: stub, now: time.Now}).sendAll(t.Context(), calls); err == nil {
			t.Errorf("%s: the sender hears nothing", name)
		}
	}
}

func TestARescuedAnswerIsQueuedSealed(t *testing.T) {
	t.Parallel()
	stub := &stubSQS{}
	q := &queue{api: stub}
	rescued := tokens.Call{Op: tokens.Rescue, Tenant: "t_1", Entry: "ve_1", Rescued: json.RawMessage(`{"set":"c2VhbGVk"}`)}
	if err := q.send(t.Context(), rescued); err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Decode([]byte(stub.sent[0]))
	if err != nil || got.Op != tokens.Rescue || string(got.Rescued) != string(rescued.Rescued) {
		t.Errorf("sent was %s, %v", stub.sent[0], err)
	}
	stub.err = errors.New("down")
	if err := q.send(t.Context(), rescued); err == nil {
		t.Error("an answer is lost, and nobody hears of it")
	}
}

// oidc is an environment with an issuer.
func oidc() map[string]string {
	values := whole()
	maps.Copy(values, map[string]string{"CV_TABLE_TRANSIENT": "transient", "CV_OIDC_ISSUERS": "https://a.example/realm,https://b.example", "CV_OIDC_AUDIENCE": "vault",
		"CV_OIDC_TENANT": "t_1000000000000000", "CV_OIDC_ROLE_CLAIM": "groups", "CV_OIDC_ROLES": "all staff=reader,vault=owner"})
	return values
}

func TestTheAuthorizerHasAnIssuerWhereOneIsConfigured(t *testing.T) {
	t.Parallel()
	if v, log, issuers, err := LoadAuthorizer(environment(whole())); err != nil || v == nil || log == nil || issuers != nil {
		t.Errorf("without an issuer: %v, %v", issuers, err)
	}
	empty := oidc()
	empty["CV_OIDC_ISSUERS"] = "" // as the template says that there is none
	if _, _, issuers, err := LoadAuthorizer(environment(empty)); err != nil || issuers != nil {
		t.Errorf("with an empty list: %v, %v", issuers, err)
	}
	if _, _, issuers, err := LoadAuthorizer(environment(oidc())); err != nil || issuers == nil {
		t.Errorf("with two: %v, %v", issuers, err)
	}
	for name, value := range map[string]string{"CV_OIDC_ISSUERS": "https://a.example, https://b.example", "CV_OIDC_AUDIENCE": "", "CV_OIDC_TENANT": "t_1",
		"CV_OIDC_TENANT_CLAIM": "tenant", "CV_OIDC_ROLE_CLAIM": "", "CV_OIDC_ROLES": "vault=root", "CV_TABLE_RECORDS": "", "AWS_REGION": "", "CV_OIDC_PERSONAL_DATA_VALUE": "x"} {
		spoilt := oidc()
		spoilt[name] = value
		if _, _, _, err := LoadAuthorizer(environment(spoilt)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s=%q starts: %v", name, value, err)
		}
	}
	spoilt := oidc()
	spoilt["CV_OIDC_ROLES"] = "vault"
	if _, _, _, err := LoadAuthorizer(environment(spoilt)); err == nil || !strings.Contains(err.Error(), "CV_OIDC_ROLES") {
		t.Errorf("roles that are none: %v", err)
	}
}
