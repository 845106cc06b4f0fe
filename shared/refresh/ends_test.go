package refresh_test

import (
	"net/http"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/tokens"
)

// TestTheEndsOfAnEntrysOwn: a certificate and what it was made for are told of each by itself, also where they end at one
// time, each mark once, whichever process looks; and a date that is corrected is told of anew.
func TestTheEndsOfAnEntrysOwn(t *testing.T) {
	bubble(t, func(b *bed) {
		start := b.now()
		dates := []record.Horizon{{Name: record.CertificateEnd, At: start.Add(40 * day).UTC(), Detail: "its certificate"},
			{Name: record.ProjectEnd, At: start.Add(40 * day).UTC(), Detail: "its project"}}
		tune := func(cfg *refresh.Config) {
			find := cfg.Provider
			cfg.Provider = func(name string) (provider.Adapter, bool) {
				a, ok := find(name)
				return watching{a.(*adapter), dates}, ok
			}
		}
		p, other := b.tuned(faults{}, tune), b.tuned(faults{}, tune)
		b.authorized()
		p.schedule(start.Add(27 * day))
		b.wantEvents("certificate in 30", "project in 30", "certificate in 14", "project in 14")
		dates[1].At = start.Add(100 * day).UTC()
		other.schedule(start.Add(34 * day))
		p.schedule(start.Add(71 * day))
		other.schedule(start.Add(131 * day))
		b.wantEvents("certificate in 30", "project in 30", "certificate in 14", "project in 14",
			"certificate in 7", "certificate in 1", "project in 30", "project in 14", "project in 7", "project in 1")
		for _, e := range b.events() {
			if late := e.At.Sub(e.Horizon.At.Add(-time.Duration(e.DaysBefore) * day)); e.Entry != b.entry.ID || late < 0 || late > time.Hour+2*time.Minute {
				b.Errorf("%s was told %s late, of %q", told(e), late, e.Entry)
			}
		}
	})
}

// TestWhatTheTransportKnows of a token endpoint that was not reached is what the caller hears and the entry says; it ends
// no authorization, and waits as a client does that is refused.
func TestWhatTheTransportKnows(t *testing.T) {
	for code, kind := range map[string]fault.Kind{"client_certificate_missing_or_rejected": fault.Misconfigured, "server_name_mismatch": fault.Unavailable} {
		t.Run(code, func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.authorized().process(faults{trip: func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
					return nil, fault.New(kind, code, "No handshake.").Do("Shake hands.")
				}})
				b.pass(2 * time.Hour)
				outcome, least := tokens.Transient, time.Second
				if kind == fault.Misconfigured {
					outcome, least = tokens.Misconfigured, 10*time.Second
				}
				answer := p.refresh()
				p.wantOutcome(answer, outcome)
				if f := b.wantFault(answer.Err(), kind, code); f.Detail != "No handshake." || f.Provider != nil || f.RetryAfter < least {
					b.Errorf("it says %+v", f)
				}
				c := b.credential()
				if c.Status != record.Active || c.Failure == nil || c.Failure.Code != code || c.Failure.Outcome != string(outcome) || c.Failure.Status != 0 {
					b.Errorf("the credential is %s, its failure %+v", shown(c), c.Failure)
				}
				if f := b.wantFault(p.refresh().Err(), kind, code); f.Provider != nil || f.RetryAfter > c.Failure.RetryAt.Sub(b.now()) { // while it waits
					b.Errorf("while it waits it says %+v", f)
				}
				b.wantPosts(0)
			})
		})
	}
}
