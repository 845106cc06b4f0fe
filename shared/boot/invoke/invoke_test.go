package invoke

import (
	"context"
	"errors"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

// stubLambda answers an invocation.
type stubLambda struct {
	function, how string
	payload       []byte

	out    result
	err    error
	cancel context.CancelFunc // called before the answer
}

func (s *stubLambda) invoke(_ context.Context, function, how string, payload []byte) (result, error) {
	s.function, s.how, s.payload = function, how, payload
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
	stub := &stubLambda{out: result{payload: reply(t, tokens.Answer{Outcome: tokens.Success, Generation: 3}, nil)}}
	i := &invoker{api: stub, function: "refresh"}
	answer, err := i.invoke(t.Context(), call())
	if err != nil || answer.Generation != 3 {
		t.Fatalf("%+v %v", answer, err)
	}
	sent, err := tokens.Decode(stub.payload)
	if err != nil || sent.Code.Reveal() != "canary-code" || stub.function != "refresh" || stub.how != "RequestResponse" {
		t.Errorf("sent was %+v, %v", stub, err)
	}
	if err := i.nudge(t.Context(), call()); err != nil || stub.how != "Event" {
		t.Errorf("a nudge is %v, %v", stub.how, err)
	}
}

func TestEachWayAnInvocationFailsIsAnErrorWithoutItsPayload(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Conflict, "account_mismatch", "Another account.").Do("Use that one.")
	for name, want := range map[string]struct {
		stub stubLambda
		code string
	}{
		"a refusal of the service's": {stubLambda{out: result{payload: reply(t, tokens.Answer{}, refusal)}}, "account_mismatch"},
		"a plain error of its":       {stubLambda{out: result{payload: reply(t, tokens.Answer{}, errors.New("canary-code"))}}, "internal_error"},
		"a crash":                    {stubLambda{out: result{failed: "Unhandled", payload: []byte(`{"errorMessage":"canary-code"}`)}}, "internal_error"},
		"nonsense":                   {stubLambda{out: result{payload: []byte(`canary-code`)}}, "internal_error"},
		"no invocation":              {stubLambda{err: errors.New("away")}, "internal_error"},
		"too many":                   {stubLambda{err: errors.Join(errThrottled, errors.New("429"))}, "service_busy"},
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
	stub := &stubLambda{out: result{payload: reply(t, tokens.Answer{Outcome: tokens.Success}, nil)}, cancel: cancel}
	if answer, err := (&invoker{api: stub}).invoke(ctx, call()); err != nil || answer.Outcome != tokens.Success {
		t.Errorf("an answer that came just in time is %+v, %v", answer, err)
	}
}
