package refresh_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// endings are the token endpoint's answers with what they mean. kept says that a rotating token may have been spent,
// so that the intent stands.
var endings = []struct {
	name    string
	how     behaviour
	outcome tokens.Outcome
	status  int
	code    string
	kept    bool
	wait    time.Duration // until the next try; 0 = none
}{
	{"tokens", normally, tokens.Success, 0, "", false, 0},
	{"slow tokens", after(14*time.Second, normally), tokens.Success, 0, "", false, 0},
	{"invalid_grant", refuses(400, "invalid_grant"), tokens.Revoked, 400, "invalid_grant", false, 0},
	{"invalid_grant in a 401", refuses(401, "invalid_grant"), tokens.Revoked, 401, "invalid_grant", false, 0},
	{"invalid_client", refuses(401, "invalid_client"), tokens.Misconfigured, 401, "invalid_client", false, 10 * time.Second},
	{"unauthorized_client", refuses(400, "unauthorized_client"), tokens.Misconfigured, 400, "unauthorized_client", false, 10 * time.Second},
	{"invalid_request", refuses(400, "invalid_request"), tokens.Misconfigured, 400, "invalid_request", false, 10 * time.Second},
	{"unsupported_grant_type", refuses(400, "unsupported_grant_type"), tokens.Misconfigured, 400, "unsupported_grant_type", false, 10 * time.Second},
	{"invalid_scope", refuses(400, "invalid_scope"), tokens.Misconfigured, 400, "invalid_scope", false, 10 * time.Second},
	{"429", says(429, "text/plain", "slow down"), tokens.RateLimited, 429, "", false, 5 * time.Second},
	{"429 that calls it invalid_grant", refuses(429, "invalid_grant"), tokens.RateLimited, 429, "invalid_grant", false, 5 * time.Second},
	{"429 with Retry-After", says(429, "text/plain", "slow down", "Retry-After", "90"), tokens.RateLimited, 429, "", false, 90 * time.Second},
	{"slow_down", refuses(400, "slow_down"), tokens.RateLimited, 400, "slow_down", false, 5 * time.Second},
	{"server_error", refuses(400, "server_error"), tokens.Transient, 400, "server_error", true, time.Second},
	{"temporarily_unavailable", refuses(503, "temporarily_unavailable"), tokens.Transient, 503, "temporarily_unavailable", true, time.Second},
	{"503 with Retry-After", says(503, "text/html", "<h1>maintenance</h1>", "Retry-After", "120"), tokens.Transient, 503, "", true, 120 * time.Second},
	{"500", says(500, "text/html", "<h1>oops</h1>"), tokens.Transient, 500, "", true, time.Second},
	{"500 that calls it invalid_grant", refuses(500, "invalid_grant"), tokens.Transient, 500, "invalid_grant", true, time.Second},
	{"502 of a proxy after the token was spent", failsAfter(502), tokens.Transient, 502, "", true, time.Second},
	{"400 without a code", says(400, "text/plain", "bad"), tokens.Transient, 400, "", true, time.Second},
	{"400 with a code that nobody knows", refuses(400, "strange"), tokens.Transient, 400, "strange", true, time.Second},
	{"403 of a firewall", says(403, "text/html", "<h1>blocked</h1>"), tokens.Transient, 403, "", true, time.Second},
	{"a redirect", says(302, "text/plain", "", "Location", "http://elsewhere.example/token"), tokens.Transient, 302, "", true, time.Second},
	{"200 that is no JSON", says(200, "text/html", "<h1>welcome "+canary+"</h1>"), tokens.Transient, 200, "", true, time.Second},
	{"200 without a token", says(200, "application/json", `{"refresh_token":"`+canary+`"}`), tokens.Transient, 200, "", true, time.Second},
	{"200 with nothing", says(200, "application/json", ""), tokens.Transient, 200, "", true, time.Second},
	{"200 with an error in it", refuses(200, "invalid_grant"), tokens.Transient, 200, "invalid_grant", true, time.Second},
	{"200 that breaks off", says(200, "application/json", `{"access_token":"`+canary, "Content-Length", "500"), tokens.Transient, 200, "", true, time.Second},
	{"a broken connection", breaks, tokens.Transient, 0, "", true, time.Second},
	{"no answer", hangs, tokens.Transient, 0, "", true, time.Second},
}

// TestOutcomes: each answer of a token endpoint has one outcome of the closed set, and leaves what it must.
func TestOutcomes(t *testing.T) {
	for _, rotates := range []bool{true, false} {
		for _, end := range endings {
			t.Run(map[bool]string{true: "rotating/", false: "not rotating/"}[rotates]+end.name, func(t *testing.T) {
				bubble(t, func(b *bed) {
					b.issuer.rotates = rotates
					b.authorized()
					p := b.process(faults{})
					b.issuer.next(end.how)
					got := p.refresh()
					p.wantOutcome(got, end.outcome)
					b.wantPosts(1)
					if end.outcome == tokens.Success {
						b.wantForce(2)
						return
					}
					c := b.credential()
					if c.Lease != nil || c.Generation != 1 || (c.Intent != nil) != (end.kept && rotates) {
						b.Errorf("the credential is %s; want its lease ended, and the intent kept: %t", shown(c), end.kept && rotates)
					}
					b.wantNote(c, end.outcome, end.status, end.code, end.wait)
					b.wantAnswer(got, end.outcome, end.status, end.wait)
				})
			})
		}
	}
}

// wantNote looks at what is written of a failure.
func (b *bed) wantNote(c record.Credential, outcome tokens.Outcome, status int, code string, wait time.Duration) {
	b.Helper()
	f := c.Failure
	if f == nil || f.Outcome != string(outcome) || f.Status != status || f.Code != code || f.Count != 1 || f.At.IsZero() {
		b.Fatalf("the failure noted is %+v", f)
	}
	if status != 0 && f.RequestID != "request-1" {
		b.Errorf("the provider's request id noted is %q", f.RequestID)
	}
	if outcome == tokens.Revoked {
		if c.Status != record.Reauth || c.Cause != record.Revoked || !c.DueAt.IsZero() || !f.RetryAt.IsZero() {
			b.Errorf("the credential of a grant that is gone is %s", shown(c))
		}
		return
	}
	if c.Status != record.Active || c.Cause != "" {
		b.Errorf("the status is %s (%s); want active", c.Status, c.Cause)
	}
	if got := f.RetryAt.Sub(f.At); got != wait {
		b.Errorf("the next try is in %s; want %s", got, wait)
	}
	if c.DueAt.Unix() != f.RetryAt.Unix() {
		b.Errorf("the schedule looks at %s; want the time of the next try, %s", c.DueAt, f.RetryAt)
	}
	if got := c.HealthAt(b.now()); got != record.Degraded {
		b.Errorf("health is %s while the old access token lives; want degraded", got)
	}
	if got := c.HealthAt(c.Expires); got != record.Failing {
		b.Errorf("health is %s when the old access token is dead; want failing", got)
	}
}

// wantAnswer looks at what the caller is told.
func (b *bed) wantAnswer(got tokens.Answer, outcome tokens.Outcome, status int, wait time.Duration) {
	b.Helper()
	var problem *fault.Error
	switch outcome {
	case tokens.Revoked:
		b.wantFault(got.Err(), fault.ReauthRequired, "reauthorization_required")
		return
	case tokens.Misconfigured:
		problem = b.wantFault(got.Err(), fault.Misconfigured, "client_misconfigured")
	default:
		problem = b.wantFault(got.Err(), fault.Unavailable, "provider_unavailable")
	}
	if problem.RetryAfter != wait || problem.Provider.Status != status {
		b.Errorf("the caller is told %+v of %+v", problem, problem.Provider)
	}
	if got.Expires.IsZero() || got.Generation != 1 {
		b.Errorf("the answer is %+v; want the old token's expiry and generation in it", got)
	}
}

// TestOutcomesAreAClosedSet: what a refresh can answer is what the package of calls names.
func TestOutcomesAreAClosedSet(t *testing.T) {
	t.Parallel()
	set := []tokens.Outcome{tokens.Success, tokens.AlreadyFresh, tokens.LostRace, tokens.Transient, tokens.RateLimited,
		tokens.Misconfigured, tokens.Revoked, tokens.RotationUnknown}
	names := []tokens.Outcome{"success", "already_fresh", "lost_race", "transient", "rate_limited", "client_misconfigured", "revoked", "rotation_unknown"}
	if !slices.Equal(set, names) {
		t.Errorf("the outcomes are %v; want %v", set, names)
	}
	for _, end := range endings {
		if !slices.Contains(set, end.outcome) {
			t.Errorf("%s ends as %s", end.name, end.outcome)
		}
	}
}

func TestMargin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lifetime, most, want time.Duration }{
		{5 * time.Minute, 5 * time.Minute, time.Minute},
		{time.Hour, 5 * time.Minute, 5 * time.Minute},
		{10 * time.Second, 5 * time.Minute, 2 * time.Second},
		{time.Hour, time.Second, time.Second},
		{0, time.Minute, 0},
	} {
		if got := refresh.Margin(c.lifetime, c.most); got != c.want {
			t.Errorf("the margin of %s is %s; want %s", c.lifetime, got, c.want)
		}
	}
}

// TestEnoughLife: a five-minute token is refreshed once in four minutes, however often it is asked for.
func TestEnoughLife(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		for range 240 {
			p.wantOutcome(p.refresh(), tokens.AlreadyFresh)
			b.pass(time.Second)
		}
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantPosts(2)
		b.wantForce(3)
	})
}

// TestAnHourOfReaders: the promise of a five-minute token, over an hour with a reader a second.
func TestAnHourOfReaders(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for range 3600 {
			if got := p.refresh(); !got.Expires.After(b.now()) {
				b.Fatal("a reader was given a dead token")
			}
			b.pass(time.Second)
		}
		b.wantPosts(15)
		b.wantReuses(0)
	})
}

func TestForcedRefreshNamesTheGenerationThatFailed(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		call := b.refreshCall()
		call.FailedGeneration = 1
		got, err := p.do(call)
		b.ok(err)
		p.wantOutcome(got, tokens.AlreadyFresh)
		b.wantPosts(1)
		call.FailedGeneration = 2
		got, err = p.do(call)
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		if got.Generation != 3 {
			b.Errorf("the answer is %+v; want generation 3", got)
		}
		call = b.refreshCall()
		call.Force = true
		got, err = p.do(call)
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		b.wantForce(4)
		b.wantPosts(3)
	})
}

// TestForcedRefreshOfADeadSuccessor: that the refused token was replaced is no reason to serve a successor that has died.
func TestForcedRefreshOfADeadSuccessor(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.pass(b.issuer.lifetime)
		call := b.refreshCall()
		call.FailedGeneration = 1
		got, err := p.do(call)
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		b.wantForce(3)
	})
}

// TestAuthorizationThatHasRunOut: a refusal after the day on which the consent ends says so.
func TestAuthorizationThatHasRunOut(t *testing.T) {
	bubble(t, func(b *bed) {
		before := b.authorize(b.entry)
		next := before
		next.Generation, next.AuthorizationExpires, next.Commit = 2, b.now().Add(time.Hour), b.id("commit_")
		access, token := b.issuer.grantTo(account)
		sealed, err := b.vault.SealTokens(b.Context(), next, 2, vault.TokenSet{Access: access, Refresh: token})
		b.ok(err)
		next.Sealed = sealed
		b.ok(b.vault.Authorize(b.Context(), &before, next, nil))
		p := b.process(faults{})
		b.pass(2 * time.Hour)
		for _, end := range endings {
			if end.outcome == tokens.Revoked {
				b.issuer.next(end.how)
				break
			}
		}
		p.wantOutcome(p.refresh(), tokens.Revoked)
		if c := b.credential(); c.Status != record.Reauth || c.Cause != record.AuthorizationExpired {
			b.Errorf("the credential is %s", shown(c))
		}
	})
}

// TestNothingToRefresh: what cannot be refreshed costs no call.
func TestNothingToRefresh(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		_, err := p.do(b.refreshCall())
		b.wantFault(err, fault.ReauthRequired, "reauthorization_required")
		_, err = p.do(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: "ve_0000000000000000"})
		b.wantFault(err, fault.NotFound, "not_found")
		_, err = p.do(tokens.Call{Op: tokens.Refresh, Tenant: "t_0000000000000002", Entry: b.entry.ID})
		b.wantFault(err, fault.NotFound, "not_found")
		if _, err = p.do(tokens.Call{Op: "burn", Tenant: tenant, Entry: b.entry.ID}); err == nil {
			b.Error("an unknown operation is carried out")
		}
		b.authorize(b.entry)
		off := b.entry
		off.Disabled = true
		before, err := b.vault.Entry(b.Context(), tenant, b.entry.ID)
		b.ok(err)
		_, err = b.vault.UpdateEntry(b.Context(), before, off)
		b.ok(err)
		_, err = p.do(b.refreshCall())
		b.wantFault(err, fault.Conflict, "vault_entry_disabled")
		b.wantPosts(0)
	})
}

// TestBackoff: between failures in a row nobody tries, and the pause grows.
func TestBackoff(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for n, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			wait *= time.Second
			b.issuer.next(refuses(503, ""))
			p.wantOutcome(p.refresh(), tokens.Transient)
			f := b.credential().Failure
			if got := f.RetryAt.Sub(f.At); got != wait || f.Count != int64(n)+1 {
				b.Fatalf("after failure %d (noted as %d) the pause is %s; want %s", n+1, f.Count, got, wait)
			}
			b.pass(wait - time.Second/2)
			got := p.refresh()
			p.wantOutcome(got, tokens.Transient)
			if got.Fault.RetryAfter < time.Second/2 {
				b.Errorf("a caller in the pause is told to wait %s", got.Fault.RetryAfter)
			}
			b.wantPosts(n + 1)
			b.pass(time.Second / 2)
		}
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(2)
	})
}

// TestForceGoesThroughBackoff: a person who asks by name is let through, unless the provider itself said how long.
func TestForceGoesThroughBackoff(t *testing.T) {
	force := func(b *bed, p *process) tokens.Answer {
		call := b.refreshCall()
		call.Force = true
		got, err := p.do(call)
		b.ok(err)
		return got
	}
	t.Run("of a failure", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{})
			b.issuer.next(refuses(503, ""))
			p.wantOutcome(p.refresh(), tokens.Transient)
			p.wantOutcome(p.refresh(), tokens.Transient)
			b.wantPosts(1)
			p.wantOutcome(force(b, p), tokens.Success)
			b.wantForce(2)
		})
	})
	t.Run("but not of Retry-After", func(t *testing.T) {
		bubble(t, func(b *bed) {
			b.authorized()
			p := b.process(faults{})
			b.issuer.next(says(429, "text/plain", "", "Retry-After", "90"))
			p.wantOutcome(p.refresh(), tokens.RateLimited)
			for range 8 {
				got := force(b, p)
				p.wantOutcome(got, tokens.RateLimited)
				if got.Fault.RetryAfter > 90*time.Second {
					b.Errorf("a caller is told to wait %s", got.Fault.RetryAfter)
				}
				b.pass(10 * time.Second)
			}
			b.wantPosts(1)
			b.pass(10 * time.Second)
			p.wantOutcome(force(b, p), tokens.Success)
		})
	})
}

// TestARefusalIsNotRepeated: nothing is sent twice within a call, whatever the answer.
func TestARefusalIsNotRepeated(t *testing.T) {
	loopback(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		for n, how := range []behaviour{refuses(500, ""), breaks, refuses(503, ""), breaksAfter} {
			b.issuer.next(how)
			p.wantOutcome(p.refresh(), tokens.Transient)
			b.wantPosts(n + 1)
			b.pass(2 * time.Minute)
		}
	})
}

// TestUnreachableProviderSpendsNothing: when no byte left, the token is as it was.
func TestUnreachableProviderSpendsNothing(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{trip: func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			return nil, errRefused
		}})
		p.wantOutcome(p.refresh(), tokens.Transient)
		if c := b.credential(); c.Intent != nil || c.Lease != nil || c.Failure == nil {
			b.Errorf("the credential is %s", shown(c))
		}
		b.wantPosts(0)
	})
}

// TestInvalidClientReadsTheSecretAgain: an owner changed the secret behind the cache. The refusal spent nothing, so
// the call goes on with the new one, once.
func TestInvalidClientReadsTheSecretAgain(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.pass(4 * time.Minute)
		b.changeSecret()
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(3)
		posts := b.issuer.posted()
		if len(posts) != 3 || posts[1].secret != firstSecret || posts[2].secret != secondSecret || posts[1].spends != posts[2].spends {
			b.Errorf("the endpoint was asked %d times", len(posts))
		}
		b.pass(4 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantPosts(4) // the new secret is cached
	})
}

// TestInvalidClientIsTheApplicationsFault: no entry's status changes, it is an alarm, and the same secret is not tried twice.
func TestInvalidClientIsTheApplicationsFault(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		fetched := 0
		p := b.process(faults{})
		p.faults.fetch = countFetches(&fetched)
		b.issuer.takes(secondSecret)
		p.wantOutcome(p.refresh(), tokens.Misconfigured)
		b.wantPosts(1)
		if fetched != 2 {
			b.Errorf("the secret was fetched %d times; want once for the cache and once more", fetched)
		}
		if c := b.credential(); c.Status != record.Active || c.Failure.Outcome != string(tokens.Misconfigured) || c.Intent != nil {
			b.Errorf("the credential is %s", shown(c))
		}
		if b.logged("level", "ERROR") != 1 {
			b.Error("no alarm was logged")
		}
		b.register(secondSecret) // an owner puts it right
		b.pass(10 * time.Second)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(2)
	})
}

// TestNoApplication: an entry whose application was never registered is not refreshed, and says so.
func TestNoApplication(t *testing.T) {
	bubble(t, func(b *bed) {
		b.entry.APIEnvironment = record.Sandbox
		e, err := b.vault.CreateEntry(b.Context(), record.Entry{Tenant: tenant, ID: b.id("ve_"), Provider: "fake", Alias: "sandbox",
			Environment: "production", APIEnvironment: record.Sandbox}, nil)
		b.ok(err)
		b.entry = e
		b.authorized()
		p := b.process(faults{})
		_, err = p.do(b.refreshCall())
		b.wantFault(err, fault.Misconfigured, "client_misconfigured")
		b.wantPosts(0)
		if c := b.credential(); c.Lease != nil || c.Intent != nil {
			b.Errorf("the credential is %s", shown(c))
		}
	})
}

// TestNoSecret: the application's secret is gone, or its store does not answer. Nothing is sent, and the entry stays as it is.
func TestNoSecret(t *testing.T) {
	for name, c := range map[string]struct {
		cause error
		kind  fault.Kind
		code  string
	}{
		"gone":      {store.ErrNotFound, fault.Misconfigured, "client_misconfigured"},
		"no answer": {errRefused, fault.Unavailable, "store_unavailable"},
	} {
		bubbleNamed(t, name, func(b *bed) {
			b.authorized()
			p := b.process(faults{fetch: func(name string, fetch func() (secret.Text, error)) (secret.Text, error) {
				if strings.HasPrefix(name, appSecretName) {
					return secret.Text{}, c.cause
				}
				return fetch()
			}})
			_, err := p.do(b.refreshCall())
			b.wantFault(err, c.kind, c.code)
			b.wantPosts(0)
			if got := b.credential(); got.Lease != nil || got.Intent != nil || got.Failure != nil {
				b.Errorf("the credential is %s", shown(got))
			}
		})
	}
}

// TestSecretsLag: the secret store does not show a new secret for a while, and is asked again until it does.
func TestSecretsLag(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.register(secondSecret)
		b.issuer.takes(secondSecret)
		n := 0
		p.faults.fetch = lags(&n, 2)
		b.pass(4 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantPosts(2)
		if n != 3 {
			b.Errorf("the secret was fetched %d times; want 3", n)
		}
	})
}

// TestStoreIsDownBeforeTheLease: a store that takes no lease is found out before anything is spent.
func TestStoreIsDownBeforeTheLease(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{apply: refuse(wLease)})
		_, err := p.do(b.refreshCall())
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		b.wantPosts(0)
	})
}

// TestKeysAreThereBeforeTheToken: sealing the answer needs the tenant's keys, so they are fetched before the POST.
func TestKeysAreThereBeforeTheToken(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{fetch: failsFor(keyringName)})
		if _, err := p.do(b.refreshCall()); err == nil {
			b.Error("a refresh began that could not seal its answer")
		}
		b.wantPosts(0)
	})
}

// TestUnsaidLifetime: an answer that does not say how long its token lives is taken for a short one.
func TestUnsaidLifetime(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.rotates = false
		b.authorized()
		p := b.process(faults{})
		b.issuer.next(says(200, "application/json", `{"access_token":"`+canary+`","token_type":"bearer"}`))
		before := b.now()
		got := p.refresh()
		p.wantOutcome(got, tokens.Success)
		if life := got.Expires.Sub(before); life != 5*time.Minute {
			b.Errorf("the token is taken to live %s", life)
		}
		b.wantForce(2) // the old refresh token stays
	})
}

// TestFailureThatIsNotKept: the note of a failure is refused too. The caller hears of it, and the lease runs out.
func TestFailureThatIsNotKept(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.grace = time.Hour
		b.authorized()
		p := b.process(faults{apply: refuse(wFail)})
		b.issuer.next(failsAfter(502))
		_, err := p.do(b.refreshCall())
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		if c := b.credential(); c.Lease == nil || c.Intent == nil {
			b.Errorf("the credential is %s", shown(c))
		}
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(2)
	})
}

// TestSecondPostEndsBeforeTheLease: the second POST, after a refused client, has what the first left of the time. A
// lease that ran out under it would let somebody else spend the same token.
func TestSecondPostEndsBeforeTheLease(t *testing.T) {
	for name, first := range map[string]time.Duration{"quick refusal": time.Second, "slow refusal": 12 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				b.authorized()
				p := b.process(faults{})
				p.wantOutcome(p.refresh(), tokens.Success)
				b.pass(4 * time.Minute)
				b.changeSecret()
				b.issuer.next(after(first, refuses(401, "invalid_client")), after(14*time.Second+500*time.Millisecond, normally))
				began := b.now()
				_ = p.refresh()
				if took := b.now().Sub(began); took > postTimeout {
					b.Errorf("the POSTs took %s together; want %s at most", took, postTimeout)
				}
				if first > postTimeout/2 {
					b.wantPosts(2) // there was no time for another
					if c := b.credential(); c.Intent != nil || c.Failure.Outcome != string(tokens.Misconfigured) {
						b.Errorf("the credential is %s", shown(c))
					}
				}
			})
		})
	}
}

// TestLeaseThatCameLate: taking the lease took so long that no time for the POST is left before it ends. Nothing is sent.
func TestLeaseThatCameLate(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			err := apply()
			if write == wLease {
				b.pass(leaseLife)
			}
			return err
		}})
		if got := p.refresh(); got.Fault == nil {
			b.Errorf("the answer is %+v", got)
		}
		b.wantPosts(0)
	})
}
