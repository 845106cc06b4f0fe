package refresh_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// begin starts an authorization request that a Result URL completes.
func (b *bed) begin() record.Request {
	b.Helper()
	return b.beginBy(record.ResultURL)
}

func (b *bed) beginBy(mode record.Mode) record.Request {
	b.Helper()
	now := b.now()
	r := record.Request{Tenant: tenant, ID: b.id(ident.Request), Entry: b.entry.ID, Provider: "fake", Principal: "key_1", Mode: mode,
		RedirectURI: callback, StateHash: "state", Stage: record.Open, CreatedAt: now, Expires: now.Add(10 * time.Minute)}
	b.ok(b.vault.BeginRequest(b.Context(), r))
	return r
}

func (b *bed) completion(r record.Request, code secret.Text) tokens.Call {
	return tokens.Call{Op: tokens.Complete, Tenant: r.Tenant, Entry: r.Entry, Request: r.ID, Code: code, Claims: map[string]string{"name": "Shop"}}
}

// complete takes a request to its end, or fails the test.
func (b *bed) complete(p *process, r record.Request, code secret.Text) tokens.Answer {
	b.Helper()
	got, err := p.do(b.completion(r, code))
	b.ok(err)
	p.wantOutcome(got, tokens.Success)
	return got
}

func (b *bed) wantStage(r record.Request, want record.Stage) record.Request {
	b.Helper()
	got, err := b.vault.Request(b.Context(), r.Tenant, r.ID)
	b.ok(err)
	if got.Stage != want {
		b.Fatalf("the request is %s; want %s", got.Stage, want)
	}
	if (want == record.Exchanged) != (len(got.Sealed) > 0) {
		b.Errorf("a request that is %s has %d bytes of tokens", want, len(got.Sealed))
	}
	return got
}

// grants counts the POSTs that spent a code.
func (b *bed) grants() (n int) {
	for _, p := range b.issuer.posted() {
		if p.grant == "authorization_code" {
			n++
		}
	}
	return n
}

func TestComplete(t *testing.T) {
	for _, mode := range []record.Mode{record.ResultURL, record.Browser} {
		bubbleNamed(t, string(mode), func(b *bed) {
			r := b.beginBy(mode)
			if mode == record.Browser {
				b.ok(b.vault.StartRequest(b.Context(), r, "state", "cookie"))
			}
			p, code := b.process(faults{}), b.issuer.consent(account)
			got := b.complete(p, r, code)
			b.wantForce(1)
			b.wantStage(r, record.Done)
			c := b.credential()
			if c.Account == nil || c.Account.ID != account || c.Account.Name != "Shop" || c.Account.Identity != record.Verified {
				b.Errorf("the account is %+v", c.Account)
			}
			if got.Generation != 1 || !c.Authorized.Equal(b.now()) || c.Lifetime != 5*time.Minute || c.DueAt.IsZero() {
				b.Errorf("the answer is %+v, the credential %s", got, shown(c))
			}
			// Asked again, the first result is given again, and nothing is sent.
			b.complete(b.process(faults{}), r, code)
			b.wantPosts(1)
			// Another code for the same request is somebody's mistake, or worse.
			_, err := p.do(b.completion(r, b.issuer.consent(account)))
			b.wantFault(err, fault.Conflict, "authorization_request_used")
			b.wantPosts(1)
			b.wantForce(1)
		})
	}
}

// TestCompleteRefusals: what a request that cannot be completed answers, each time, without a POST.
func TestCompleteRefusals(t *testing.T) {
	bubble(t, func(b *bed) {
		p, code := b.process(faults{}), b.issuer.consent(account)
		refused := func(r record.Request, kind fault.Kind, name string) {
			b.Helper()
			for range 2 {
				_, err := p.do(b.completion(r, code))
				b.wantFault(err, kind, name)
			}
		}
		refused(record.Request{Tenant: tenant, Entry: b.entry.ID, ID: "ar_0000000000000000"}, fault.Invalid, "authorization_request_unknown")
		first := b.begin()
		foreign := first
		foreign.Tenant = "t_0000000000000002"
		refused(foreign, fault.Invalid, "authorization_request_unknown")
		browser := b.beginBy(record.Browser)
		refused(first, fault.Gone, "authorization_request_superseded")
		refused(browser, fault.Invalid, "authorization_request_unknown") // its browser was never sent anywhere
		late := b.begin()
		b.pass(10 * time.Minute)
		refused(late, fault.Gone, "authorization_request_expired")
		b.wantPosts(0)
	})
}

// TestCompleteOnce: a hundred callers in four processes lead to one exchange, and all hear the same.
func TestCompleteOnce(t *testing.T) {
	for _, kind := range []struct {
		name string
		run  func(*testing.T, func(*bed))
	}{{"loopback", loopback}, {"bubble", bubble}} {
		t.Run(kind.name, func(t *testing.T) {
			kind.run(t, func(b *bed) {
				processes := []*process{b.process(faults{}), b.process(faults{}), b.process(faults{}), b.process(faults{})}
				r, code := b.begin(), b.issuer.consent(account)
				b.issuer.next(after(50*time.Millisecond, normally))
				for _, h := range together(100, func(n int) heard { return processes[n%4].hear(b.Context(), b.completion(r, code)) }) {
					b.ok(h.err)
					if h.answer.Outcome != tokens.Success || h.answer.Generation != 1 {
						b.Fatalf("an answer is %+v", h.answer)
					}
				}
				b.wantPosts(1)
				b.wantForce(1)
				b.wantStage(r, record.Done)
			})
		})
	}
}

// TestCompleteKilledAfterEachStep: the claimant dies at every step, and pressing Validate again finishes what can be.
func TestCompleteKilledAfterEachStep(t *testing.T) {
	for _, point := range []struct {
		name   string
		at     func(*process)
		posts  int
		spent  bool // the code is gone, and with it the attempt
		stage  record.Stage
		passes bool // waits for the dead one's claim
	}{
		{name: "before the claim", at: func(p *process) { p.diesBefore(wClaim) }, posts: 1, stage: record.Open},
		{name: "claimed", at: func(p *process) { p.diesAfter(wClaim) }, posts: 1, stage: record.Taken},
		{name: "answer lost", at: func(p *process) {
			p.faults.trip = func(_ *http.Request, trip func() (*http.Response, error)) (*http.Response, error) {
				_, _ = trip() //nolint:bodyclose // nobody is there to read it
				return nil, p.die()
			}
		}, posts: 2, spent: true, stage: record.Taken},
		{name: "answer not kept", at: func(p *process) { p.diesBefore(wExchanged) }, posts: 2, spent: true, stage: record.Taken},
		{name: "kept", at: func(p *process) { p.diesAfter(wExchanged) }, posts: 1, stage: record.Exchanged},
		{name: "identified", at: func(p *process) { p.diesBefore(wAuthorize) }, posts: 1, stage: record.Exchanged},
		{name: "in force", at: func(p *process) { p.diesAfter(wAuthorize) }, posts: 1, stage: record.Done},
	} {
		bubbleNamed(t, point.name, func(b *bed) {
			owner, next := b.process(faults{}), b.process(faults{})
			r, code := b.begin(), b.issuer.consent(account)
			point.at(owner)
			owner.dies(b.completion(r, code))
			b.wantStage(r, point.stage)
			got, err := next.do(b.completion(r, code))
			b.wantPosts(point.posts)
			if point.spent {
				b.wantFault(err, fault.Conflict, "authorization_code_spent")
				b.wantStage(r, record.Failed)
				_, err = next.do(b.completion(r, code)) // the same answer again, without another POST
				b.wantFault(err, fault.Conflict, "authorization_code_spent")
				b.wantPosts(point.posts)
				b.complete(next, b.begin(), b.issuer.consent(account)) // one call starts anew
				b.wantForce(1)
				return
			}
			b.ok(err)
			next.wantOutcome(got, tokens.Success)
			b.wantForce(1)
			b.wantStage(r, record.Done)
		})
	}
}

// TestExchangeThatFailsMayBeTriedAgain: what is not definite gives the request back, with the same code only.
func TestExchangeThatFailsMayBeTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		how  behaviour
		kind fault.Kind
		code string
		said string
	}{
		"server error":   {refuses(500, ""), fault.Unavailable, "provider_unavailable", "may be spent"},
		"broken":         {breaks, fault.Unavailable, "provider_unavailable", "may be spent"},
		"rate limited":   {says(429, "text/plain", "", "Retry-After", "7"), fault.Unavailable, "provider_unavailable", "cannot take the code now"},
		"invalid client": {refuses(401, "invalid_client"), fault.Misconfigured, "client_misconfigured", "own credentials"},
	} {
		bubbleNamed(t, name, func(b *bed) {
			p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
			b.issuer.next(c.how)
			_, err := p.do(b.completion(r, code))
			if problem := b.wantFault(err, c.kind, c.code); !strings.Contains(problem.Detail, c.said) {
				b.Errorf("the caller is told %q; want it to say %q", problem.Detail, c.said)
			}
			b.wantPosts(1)
			b.wantStage(r, record.Open)
			_, err = p.do(b.completion(r, b.issuer.consent(account)))
			b.wantFault(err, fault.Conflict, "authorization_request_used")
			b.complete(p, r, code)
			b.wantForce(1)
		})
	}
}

// TestSpentCodeEndsTheRequest, with an answer that stays.
func TestSpentCodeEndsTheRequest(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		b.issuer.next(failsAfter(504))
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		for range 3 {
			_, err = p.do(b.completion(r, code))
			problem := b.wantFault(err, fault.Conflict, "authorization_code_spent")
			if problem.Provider == nil || problem.Provider.Code != "invalid_grant" || problem.Provider.RequestID != "request-1" {
				b.Errorf("the provider's words are %+v", problem.Provider)
			}
		}
		b.wantPosts(2)
		b.wantStage(r, record.Failed)
	})
}

// TestAccountIsPinned: another account's consent is refused and changes nothing, this time and every time.
func TestAccountIsPinned(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		before := shown(b.credential())
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent("ACCOUNT-2")
		for range 2 {
			_, err := p.do(b.completion(r, code))
			problem := b.wantFault(err, fault.Conflict, "account_mismatch")
			if !strings.Contains(problem.Action, account) {
				b.Errorf("the action does not name the account: %q", problem.Action)
			}
		}
		b.wantPosts(1)
		b.wantStage(r, record.Failed)
		if after := shown(b.credential()); after != before {
			b.Errorf("the credential changed from %s to %s", before, after)
		}
		b.wantForce(1)
	})
}

// TestReauthorizationEndsTrouble: the same account's new consent makes an entry active whatever had become of it.
func TestReauthorizationEndsTrouble(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		b.issuer.revoke(b.inForce().Refresh)
		p.wantOutcome(p.refresh(), tokens.Revoked)
		p.wantOutcome(p.refresh(), tokens.Revoked)
		b.wantPosts(1)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.wantForce(2)
		b.pass(5 * time.Minute)
		p.wantOutcome(p.refresh(), tokens.Success)
		b.wantForce(3)
	})
}

// TestIdentificationMayBeTriedAgain: the code is exchanged once; finding out whose account it is may take several tries.
func TestIdentificationMayBeTriedAgain(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		b.issuer.nextLooks(says(503, "text/plain", ""), hangs)
		for range 2 {
			_, err := p.do(b.completion(r, code))
			problem := b.wantFault(err, fault.Unavailable, "provider_unavailable")
			if !strings.HasPrefix(problem.Action, "Consent was given and is kept.") {
				b.Errorf("the action is %q", problem.Action)
			}
			b.wantStage(r, record.Exchanged)
		}
		b.pass(15 * time.Minute) // the request's life is over; what was consented to is kept
		b.complete(p, r, code)
		b.wantPosts(1)
		b.wantForce(1)
		if c := b.credential(); c.Expires.After(b.now()) {
			b.Errorf("the access token is taken to live until %s; it was issued 15 minutes ago", c.Expires)
		}
	})
}

// TestIdentificationThatStaysWrong ends the request.
func TestIdentificationThatStaysWrong(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		b.issuer.nextLooks(says(409, "text/plain", ""))
		for range 2 {
			_, err := p.do(b.completion(r, code))
			b.wantFault(err, fault.Invalid, "region_mismatch")
		}
		b.wantStage(r, record.Failed)
		_, _, looks := b.issuer.counts()
		if looks != 1 {
			b.Errorf("the account was asked for %d times; want once", looks)
		}
	})
}

// TestEntryGoneMeanwhile: the entry is deleted while its account is being identified. Nothing is put in force.
func TestEntryGoneMeanwhile(t *testing.T) {
	bubble(t, func(b *bed) {
		other := b.process(faults{})
		p := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wAuthorize {
				_, err := other.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
				b.ok(err)
			}
			return apply()
		}})
		_, err := p.do(b.completion(b.begin(), b.issuer.consent(account)))
		b.wantFault(err, fault.NotFound, "not_found")
		if _, found, err := b.vault.Credential(b.Context(), tenant, b.entry.ID); found || err != nil {
			b.Errorf("a deleted entry has a credential (%v)", err)
		}
	})
}

// TestFirstResultOfADeletedEntry: a request that was done says so only while there is something it led to.
func TestFirstResultOfADeletedEntry(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		b.complete(p, r, code)
		_, err := p.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
		b.ok(err)
		_, err = p.do(b.completion(r, code))
		b.wantFault(err, fault.NotFound, "not_found")
		b.wantPosts(1)
	})
}

// TestAuthorizationMeetsARefresh: a refresh that ends while the account is identified does not lose the consent.
func TestAuthorizationMeetsARefresh(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		other, once := b.process(faults{}), true
		p := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wAuthorize && once {
				once = false
				other.wantOutcome(other.refresh(), tokens.Success)
			}
			return apply()
		}})
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.wantForce(3)
	})
}

// TestLateExchange: a claimant stands still until its claim is over, and another one is told that the code is spent.
// Whatever the order, tokens that were kept are not thrown away by somebody else's failure.
func TestLateExchange(t *testing.T) {
	bubble(t, func(b *bed) {
		r, code := b.begin(), b.issuer.consent(account)
		gate, answers := make(chan struct{}), make(chan heard, 1)
		slow := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wExchanged {
				<-gate
			}
			err := apply()
			if write == wExchanged {
				b.pass(5 * time.Second) // the other one hears of the spent code meanwhile
			}
			return err
		}})
		go func() { answers <- slow.hear(b.Context(), b.completion(r, code)) }()
		b.pass(leaseLife + rescueInterval + time.Second)
		b.issuer.next(after(3*time.Second, refuses(400, "invalid_grant")))
		next := b.process(faults{})
		others := make(chan heard, 1)
		go func() { others <- next.hear(b.Context(), b.completion(r, code)) }()
		b.pass(time.Second)
		close(gate)
		for _, h := range []heard{<-answers, <-others} {
			if h.err != nil || h.answer.Outcome != tokens.Success {
				b.Errorf("an answer is %+v (%v)", h.answer, h.err)
			}
		}
		b.wantStage(r, record.Done)
		b.wantForce(1)
	})
}

// TestExchangeIsRescued: the table does not take the exchanged tokens. They go to rescue, and Validate goes on from there.
func TestExchangeIsRescued(t *testing.T) {
	bubble(t, func(b *bed) {
		r, code := b.begin(), b.issuer.consent(account)
		p := b.process(faults{apply: refuse(wExchanged)})
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		calls := p.rescues()
		if len(calls) != 1 || calls[0].Request != r.ID {
			b.Fatalf("to rescue went %d calls", len(calls))
		}
		p.faults.apply = nil
		waiting := make(chan heard, 1)
		go func() { waiting <- p.hear(b.Context(), b.completion(r, code)) }() // pressed again at once: it waits
		b.pass(time.Second)
		got, err := p.do(calls[0])
		b.ok(err)
		p.wantOutcome(got, tokens.Success)
		h := <-waiting
		b.ok(h.err)
		p.wantOutcome(h.answer, tokens.Success)
		b.wantPosts(1)
		b.wantForce(1)
		got, err = p.do(calls[0]) // delivered twice
		b.ok(err)
		p.wantOutcome(got, tokens.LostRace)
		b.wantStage(r, record.Done)
		b.wantForce(1)
	})
}

// TestClaimOutlivesARescue: even when the provider and the store take all their time, nobody offers the code again
// before a rescued answer had an interval to arrive.
func TestClaimOutlivesARescue(t *testing.T) {
	bubble(t, func(b *bed) {
		r, code := b.begin(), b.issuer.consent(account)
		p := b.process(faults{apply: refuse(wExchanged)})
		b.issuer.next(after(14*time.Second, normally))
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		ends := b.wantStage(r, record.Taken).ClaimedUntil
		if left := ends.Sub(b.now()); left < rescueInterval {
			b.Errorf("%s after the answer went to rescue the code may be offered again; want %s at least", left, rescueInterval)
		}
	})
}

// TestRescueOfAnExchangeFails: it is an alarm, and the next try finds the code spent.
func TestRescueOfAnExchangeFails(t *testing.T) {
	bubble(t, func(b *bed) {
		r, code := b.begin(), b.issuer.consent(account)
		p := b.process(faults{apply: refuse(wExchanged), rescue: func(tokens.Call) error { return errRefused }})
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Internal, "internal_error")
		if b.logged("level", "ERROR") != 1 {
			b.Error("no alarm was logged")
		}
		p.faults = faults{}
		_, err = p.do(b.completion(r, code))
		b.wantFault(err, fault.Conflict, "authorization_code_spent")
	})
}

// TestRescuedExchangeYieldsToANewRequest: a newer attempt has taken its place.
func TestRescuedExchangeYieldsToANewRequest(t *testing.T) {
	bubble(t, func(b *bed) {
		r, code := b.begin(), b.issuer.consent(account)
		p := b.process(faults{apply: refuse(wExchanged)})
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		p.faults.apply = nil
		_, err = p.do(p.rescues()[0])
		b.ok(err)
		newer := b.begin()
		_, err = p.do(b.completion(r, code))
		b.wantFault(err, fault.Gone, "authorization_request_superseded")
		b.complete(p, newer, b.issuer.consent(account))
		got, err := p.do(p.rescues()[0])
		b.ok(err)
		p.wantOutcome(got, tokens.LostRace)
		b.wantForce(1)
	})
}

// TestCompleteAmbiguousWrites: each write of a completion is carried out and answered with an error. Pressing Validate
// until it is done leads to the same end, with one exchange wherever the code could be kept.
func TestCompleteAmbiguousWrites(t *testing.T) {
	for _, write := range []string{wClaim, wExchanged, wAuthorize} {
		bubbleNamed(t, write, func(b *bed) {
			p := b.process(faults{apply: loses(write, 1)})
			r, code := b.begin(), b.issuer.consent(account)
			for try := 0; ; try++ {
				got, err := p.do(b.completion(r, code))
				if err == nil {
					p.wantOutcome(got, tokens.Success)
					break
				}
				b.wantFault(err, fault.Unavailable, "store_unavailable")
				if try == 2 {
					b.Fatal("it does not end")
				}
			}
			b.wantPosts(1)
			b.wantStage(r, record.Done)
			b.wantForce(1)
		})
	}
}

// TestCompleteInvalidClient: the cached secret is old. One more POST with the new one, within the claim.
func TestCompleteInvalidClient(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.changeSecret()
		b.complete(p, b.begin(), b.issuer.consent(account))
		if b.grants() != 2 {
			b.Errorf("the code was sent %d times; want 2", b.grants())
		}
		b.wantForce(3)
	})
}

// TestCallerLeavesAnExchange: it is finished, and who asks again gets its result.
func TestCallerLeavesAnExchange(t *testing.T) {
	loopback(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		reached, gate := make(chan struct{}), make(chan struct{})
		b.issuer.next(waitsFor(reached, gate))
		ctx, leave := context.WithCancel(b.Context())
		left := make(chan error, 1)
		go func() { _, err := p.doUnder(ctx, b.completion(r, code)); left <- err }()
		<-reached
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			b.Errorf("the caller who left hears %v", err)
		}
		close(gate)
		b.ok(p.Drain(b.Context()))
		b.wantStage(r, record.Done)
		b.complete(p, r, code)
		b.wantPosts(1)
	})
}

// TestKeysAreThereBeforeTheCode: an exchange that could not seal its answer is not begun.
func TestKeysAreThereBeforeTheCode(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r := b.process(faults{fetch: failsFor(keyringName)}), b.begin()
		_, err := p.do(b.completion(r, b.issuer.consent(account)))
		b.wantFault(err, fault.Unavailable, "store_unavailable")
		b.wantPosts(0)
		b.wantStage(r, record.Open)
	})
}

// TestRequestFaults: every answer about a request says what to do now.
func TestRequestFaults(t *testing.T) {
	t.Parallel()
	for code, problem := range map[string]*fault.Error{
		"authorization_request_unknown":    refresh.RequestUnknown(),
		"authorization_request_expired":    refresh.RequestExpired("ve_1"),
		"authorization_request_superseded": refresh.RequestSuperseded("ve_1"),
		"authorization_request_used":       refresh.RequestUsed("ve_1"),
	} {
		if problem.Code != code || problem.Field != "result_url" || !strings.Contains(problem.Action, "POST /v1/vault-entries/") {
			t.Errorf("%s: %+v", code, problem)
		}
	}
}

// TestRequestsHoldNoSecret: what the store keeps of a request never shows a code or token.
func TestRequestsHoldNoSecret(t *testing.T) {
	bubble(t, func(b *bed) {
		p, r, code := b.process(faults{}), b.begin(), b.issuer.consent(account)
		b.issuer.nextLooks(says(503, "text/plain", ""))
		_, err := p.do(b.completion(r, code))
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		look := func() {
			b.Helper()
			for _, table := range []store.Table{store.Requests, store.Credentials, store.Transient} {
				for _, partition := range []string{tenant, tenant + "#" + b.entry.ID} {
					items, _, err := b.store.Query(b.Context(), store.Query{Table: table, Partition: partition, Limit: 100})
					b.ok(err)
					for _, item := range items {
						for name, value := range item.Attrs {
							text, _ := value.(string)
							b.secretFree(string(table)+" "+name, text+string(item.Attrs.Bytes(name)))
						}
					}
				}
			}
		}
		look()
		b.complete(p, r, code)
		look()
		b.pass(5 * time.Minute)
		b.issuer.next(failsAfter(502))
		p.wantOutcome(p.refresh(), tokens.Transient)
		look()
	})
}
