package refresh_test

import (
	"testing"
	"time"

	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/tokens"
)

// series is what was counted, as often as it was.
func (b *bed) series() map[string]int {
	b.Helper()
	out := map[string]int{}
	for _, p := range metrictest.Points(b, b.logs.String()) {
		out[p.Series()]++
	}
	return out
}

// values are those of a metric, in their order.
func (b *bed) values(name string) (out []float64) {
	b.Helper()
	for _, p := range metrictest.Points(b, b.logs.String()) {
		if p.Name == name {
			out = append(out, p.Value)
		}
	}
	return out
}

// What a token endpoint says is counted as what it means, and so is what becomes of the entry, once.
func TestTokenRequestsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		answer  behaviour
		outcome string
		also    string // counter, once
	}{
		"tokens":         {normally, "success", ""},
		"invalid_grant":  {refuses(400, "invalid_grant"), "revoked", "Revoked"},
		"invalid_client": {refuses(401, "invalid_client"), "client_misconfigured", "ClientMisconfigured"},
		"429":            {refuses(429, "slow_down"), "rate_limited", ""},
		"503":            {refuses(503, "server_error"), "unavailable", ""},
		"no answer":      {says(200, "text/html", "<html>"), "unavailable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.authorized()
				p := b.process(faults{})
				b.issuer.next(c.answer)
				p.refresh()
				got := b.series()
				if n := got["TokenRequests Operation=refresh Outcome="+c.outcome+" Provider=fake"]; n != 1 || len(b.values("TokenRequestTime")) != 1 {
					t.Errorf("%v", got)
				}
				for _, counter := range []string{"Revoked", "RotationUnknown", "ClientMisconfigured", "TokenLost", "TokenRescued", "FenceRejected", "LeaseConflict"} {
					want := 0
					if counter == c.also {
						want = 1
					}
					if got[counter] != want {
						t.Errorf("%s is counted %d times", counter, got[counter])
					}
				}
			})
		})
	}
}

// A secret that was changed since it was cached is tried at once: two calls, and no client that is refused.
func TestAClientThatIsRefusedOnceIsNone(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.pass(4 * time.Minute)
		b.changeSecret()
		p.wantOutcome(p.refresh(), tokens.Success)
		got := b.series()
		if got["TokenRequests Operation=refresh Outcome=success Provider=fake"] != 2 || got["ClientMisconfigured"] != 0 ||
			got["TokenRequests Operation=refresh Outcome=client_misconfigured Provider=fake"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// How late the schedule is shows at each look of the planner: nothing is due, something is due since a while, and it was done.
func TestDueLag(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		lag := func() float64 {
			t.Helper()
			p.plan()
			values := b.values("DueLagSeconds")
			return values[len(values)-1]
		}
		p.wantOutcome(p.refresh(), tokens.Success)
		due := b.credential().DueAt
		b.pass(due.Sub(b.now()) - 30*time.Second)
		if lag := lag(); lag != 0 {
			t.Errorf("half a minute before anything is due: %v", lag)
		}
		b.pass(30*time.Second + 7*time.Minute)
		if lag := lag(); lag != 420 {
			t.Errorf("seven minutes after: %v", lag)
		}
		p.due()
		if lag := lag(); lag != 0 || len(b.values("DueLagSeconds")) != 3 {
			t.Errorf("when it is done: %v", lag)
		}
	})
}
