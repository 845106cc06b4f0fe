package queue

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"connectorvault/shared/tokens"
)

// All that a queue holds counts: what waits, what is being worked on, and what comes at its time.
func TestHowMuchAQueueHolds(t *testing.T) {
	t.Parallel()
	whole := map[string]string{"ApproximateNumberOfMessages": "100", "ApproximateNumberOfMessagesNotVisible": "20", "ApproximateNumberOfMessagesDelayed": "3"}
	stub := &stubSQS{holds: whole}
	queues := Due{"sage": {api: stub, url: "u"}}
	if n, err := queues.Waiting(t.Context(), "sage"); err != nil || n != 123 {
		t.Errorf("it holds %d, %v", n, err)
	}
	for name := range whole {
		stub.holds = maps.Clone(whole)
		delete(stub.holds, name)
		if n, err := queues.Waiting(t.Context(), "sage"); err == nil {
			t.Errorf("without %s it holds %d", name, n)
		}
	}
	stub.holds, stub.err = whole, errors.New("down")
	if n, err := queues.Waiting(t.Context(), "sage"); err == nil {
		t.Errorf("that is down holds %d", n)
	}
	if _, err := queues.Waiting(t.Context(), "amazon"); err == nil {
		t.Error("a queue that is not there holds something")
	}
}

func TestEachProviderHasAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	a, s := &stubSQS{}, &stubSQS{}
	queues := Due{"amazon": {api: a, now: time.Now}, "sage": {api: s, now: time.Now}}
	calls := make([]tokens.Call, 12)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	if err := queues.Send(t.Context(), "sage", calls); err != nil || len(s.sent) != 12 || len(a.sent) != 0 {
		t.Errorf("%d and %d were sent, %v", len(s.sent), len(a.sent), err)
	}
	if err := queues.Send(t.Context(), "clara", calls); err == nil {
		t.Error("what is for a provider without a queue is gone, and nobody hears of it")
	}
}
