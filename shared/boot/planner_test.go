package boot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/tokens"
)

// plans is an environment with which the planner starts.
func plans() map[string]string {
	values := whole()
	for _, name := range []string{"CV_SECRET_PREFIX", "CV_PUBLIC_URL", "CV_REFRESH_FUNCTION", "CV_QUEUE_RESCUE_URL"} {
		delete(values, name)
	}
	values["CV_TABLE_CREDENTIALS"], values["CV_REFRESHES"] = "credentials", "amazon=20,sage=10,clara=5"
	return values
}

func TestThePlannerKnowsProvidersByTheirQueues(t *testing.T) {
	t.Parallel()
	p, err := LoadPlanner(environment(plans()))
	if err != nil || !slices.Equal(p.Providers, []string{"amazon", "clara", "sage"}) || p.Workers("amazon") != 20 || p.Workers("sage") != 10 || p.Workers("x") != 0 {
		t.Fatalf("it is %+v, %v", p, err)
	}
	if p.Vault.Items != nil || p.Vault.Sealer != nil {
		t.Error("it can read more than the due index, or open something")
	}
	for name, wrong := range map[string][]string{
		"CV_QUEUES_DUE": {"", "amazon", "amazon=", "=u", "amazon=a,amazon=b", "amazon=a,", "amazon=a;sage=b", "amazon=a,dropbox=b"},
		"CV_REFRESHES":  {"", "amazon=20", "amazon=20,sage=0,clara=5", "amazon=20,sage=-1,clara=5", "amazon=20,sage=many,clara=5", "amazon=1,amazon=2,sage=1,clara=1"},
		"AWS_REGION":    {""},
	} {
		for _, value := range wrong {
			values := plans()
			values[name] = value
			if _, err := LoadPlanner(environment(values)); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("with %s=%q it starts: %v", name, value, err)
			}
		}
	}
	values := whole()
	values["CV_QUEUES_DUE"] = "amazon=a,sage=s"
	if _, err := Load(environment(values), Queues); err == nil || !strings.Contains(err.Error(), "clara") {
		t.Errorf("a token service without a queue for one of its providers: %v", err)
	}
}

// All that a queue holds counts: what waits, what is being worked on, and what comes at its time.
func TestHowMuchAQueueHolds(t *testing.T) {
	t.Parallel()
	whole := map[string]string{"ApproximateNumberOfMessages": "100", "ApproximateNumberOfMessagesNotVisible": "20", "ApproximateNumberOfMessagesDelayed": "3"}
	stub := &stubSQS{holds: whole}
	queues := dueQueues{"sage": {api: stub, url: "u"}}
	if n, err := queues.waiting(t.Context(), "sage"); err != nil || n != 123 {
		t.Errorf("it holds %d, %v", n, err)
	}
	for name := range whole {
		stub.holds = maps.Clone(whole)
		delete(stub.holds, name)
		if n, err := queues.waiting(t.Context(), "sage"); err == nil {
			t.Errorf("without %s it holds %d", name, n)
		}
	}
	stub.holds, stub.err = whole, errors.New("down")
	if n, err := queues.waiting(t.Context(), "sage"); err == nil {
		t.Errorf("that is down holds %d", n)
	}
	if _, err := queues.waiting(t.Context(), "amazon"); err == nil {
		t.Error("a queue that is not there holds something")
	}
}

func TestEachProviderHasAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	a, s := &stubSQS{}, &stubSQS{}
	queues := dueQueues{"amazon": {api: a, now: time.Now}, "sage": {api: s, now: time.Now}}
	calls := make([]tokens.Call, 12)
	for i := range calls {
		calls[i] = tokens.Call{Op: tokens.Due, Tenant: "t_1", Entry: fmt.Sprint(i)}
	}
	if err := queues.send(t.Context(), "sage", calls); err != nil || len(s.sent) != 12 || len(a.sent) != 0 {
		t.Errorf("%d and %d were sent, %v", len(s.sent), len(a.sent), err)
	}
	if err := queues.send(t.Context(), "clara", calls); err == nil {
		t.Error("what is for a provider without a queue is gone, and nobody hears of it")
	}
}
