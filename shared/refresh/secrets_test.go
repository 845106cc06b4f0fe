package refresh_test

import (
	"strings"
	"testing"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
)

// TestNothingShowsASecret takes an entry through everything that is logged, with a provider that repeats secrets in
// the bodies of its errors. Every other test here looks through its log, answers and errors in the same way.
func TestNothingShowsASecret(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		b.complete(p, b.begin(), b.issuer.consent(account))
		for _, how := range []behaviour{refuses(401, "invalid_client"), refuses(500, "server_error"), says(400, "text/plain", canary),
			says(200, "text/html", canary), says(429, "text/plain", canary, "Retry-After", canary), breaks, hangs} {
			b.pass(5 * time.Minute)
			b.issuer.next(how)
			if got := p.refresh(); got.Fault == nil {
				b.Errorf("the answer is %+v", got)
			}
		}
		b.pass(5 * time.Minute)
		p.faults.apply = refuse(wCommit)
		b.issuer.grace = 24 * time.Hour
		p.wantOutcome(p.refresh(), tokens.Transient)
		p.faults.rescue = func(tokens.Call) error { return errRefused }
		b.pass(5 * time.Minute)
		if _, err := p.do(b.refreshCall()); err == nil {
			b.Error("an answer that is lost is no error")
		}
		p.faults = faults{}
		b.pass(5 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.issuer.revoke(b.inForce().Refresh)
		b.pass(5 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Revoked)
		if c := b.credential(); c.Status != record.Reauth {
			b.Errorf("the credential is %s", shown(c))
		}
		if lines := strings.Count(b.logs.String(), "\n"); lines < 10 {
			b.Errorf("the log has %d lines; this test looks through what is logged", lines)
		}
	})
}
