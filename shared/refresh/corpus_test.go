package refresh_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/oauth/oauthtest"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

// meanings are one answer for each that an answer can mean.
func meanings() []oauthtest.Case {
	seen := map[oauthtest.Want]bool{}
	return slices.DeleteFunc(oauthtest.Corpus(), func(answer oauthtest.Case) bool {
		again := seen[answer.Want]
		seen[answer.Want] = true
		return again
	})
}

// overCorpus feeds answers that token endpoints are known to give, each to an entry of its own. Nobody may be shown what
// they hold, which the bed looks for in log, answers and errors.
func overCorpus(t *testing.T, corpus []oauthtest.Case, feed func(*bed, *process, oauthtest.Case)) {
	t.Helper()
	if !strings.HasPrefix(oauthtest.Canary, canary) {
		t.Fatal("this bed does not look for the corpus's canary")
	}
	groups := map[string][]oauthtest.Case{"tokens": nil}
	for _, answer := range corpus {
		name := cmp.Or(string(answer.Want.Outcome), "tokens")
		groups[name] = append(groups[name], answer)
	}
	for name, answers := range groups {
		bubbleNamed(t, name, func(b *bed) {
			p := b.process(faults{})
			for n, answer := range answers {
				b.entry = b.newEntry(fmt.Sprintf("shop-%d", n))
				b.named(answer.Name, func() { feed(b, p, answer) })
			}
		})
	}
}

// named says which answer a test failed with: in a bubble there are no tests within tests.
func (b *bed) named(answer string, test func()) {
	b.Helper()
	defer func() {
		b.Helper()
		if b.Failed() {
			b.Fatalf("the answer was: %s", answer)
		}
	}()
	test()
}

// gives answers as the corpus says. The request id of an issuer is not among it.
func gives(answer oauthtest.Case) behaviour {
	return func(w http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Del("X-Request-Id")
		answer.ServeHTTP(w, r)
	}
}

// TestCorpus: each answer to a rotating token. Tokens are in force; a grant is gone only when the answer says so; an
// intent stands when the token may have been spent.
func TestCorpus(t *testing.T) {
	overCorpus(t, oauthtest.Corpus(), func(b *bed, p *process, answer oauthtest.Case) {
		b.authorized()
		b.issuer.next(gives(answer))
		before, posts := b.inForce(), len(b.issuer.posted())
		got := p.refresh()
		b.wantPosts(posts + 1)
		if answer.Want.Tokens {
			b.wantBought(p, got, answer.Want, before.Refresh)
			return
		}
		b.wantRefused(got, answer, record.Revoked, answer.Want.Spent)
		b.wantSpendable(p, answer.Want.Outcome)
	})
}

// TestCorpusAfterALostAnswer: each kind of answer to a token that was perhaps spent before. Only what is about the token ends
// that question: tokens, or invalid_grant, which now means that nobody knows why.
func TestCorpusAfterALostAnswer(t *testing.T) {
	overCorpus(t, meanings(), func(b *bed, p *process, answer oauthtest.Case) {
		b.authorized()
		b.issuer.next(breaks, gives(answer))
		before, posts := b.inForce(), len(b.issuer.posted())
		p.wantOutcome(p.refresh(), tokens.Transient)
		b.pass(rescueInterval)
		got := p.refresh()
		b.wantPosts(posts + 2)
		if answer.Want.Tokens {
			b.wantBought(p, got, answer.Want, before.Refresh)
			return
		}
		b.wantRefused(got, answer, record.RotationUnknown, true)
	})
}

// TestCorpusOfACode: each kind of answer to an authorization code. One that is not known to be spent can be brought again.
func TestCorpusOfACode(t *testing.T) {
	overCorpus(t, meanings(), func(b *bed, p *process, answer oauthtest.Case) {
		if answer.Want.Tokens {
			return // they are nobody's, so this ends elsewhere
		}
		r, code, posts := b.begin(), b.issuer.consent(account), len(b.issuer.posted())
		b.issuer.next(gives(answer))
		_, err := p.do(b.completion(r, code))
		kind, name, stage := fault.Unavailable, "provider_unavailable", record.Open
		switch answer.Want.Outcome {
		case oauth.Revoked:
			kind, name, stage = fault.Conflict, "authorization_code_spent", record.Failed
		case oauth.Misconfigured:
			kind, name = fault.Misconfigured, "client_misconfigured"
		}
		problem := b.wantFault(err, kind, name)
		if problem.Provider.Status != answer.Status || problem.Provider.Code != answer.Want.Code {
			b.Errorf("the caller is told %+v of the provider", problem.Provider)
		}
		if told := strings.Contains(problem.Detail, "may be spent"); told != answer.Want.Spent {
			b.Errorf("the caller is told %q; that the code may be spent: %t", problem.Detail, answer.Want.Spent)
		}
		b.wantStage(r, stage)
		b.wantPosts(posts + 1)
		if stage == record.Open {
			b.complete(p, r, code)
		}
	})
}

// wantBought looks for the answer's tokens in force, and nothing open.
func (b *bed) wantBought(p *process, got tokens.Answer, want oauthtest.Want, before secret.Text) {
	b.Helper()
	p.wantOutcome(got, tokens.Success)
	c, set := b.credential(), b.inForce()
	if c.Generation != 2 || c.Status != record.Active || c.Intent != nil || c.Lease != nil || c.Failure != nil || got.Generation != 2 {
		b.Errorf("the credential is %s", shown(c))
	}
	if want.Refresh != "" {
		before = secret.New(want.Refresh)
	}
	if set.Access.Reveal() != oauthtest.Access || !set.Refresh.Equal(before) {
		b.Error("other tokens are in force than were bought")
	}
	if want.Lifetime != 0 && c.Lifetime != want.Lifetime || c.Lifetime <= 0 {
		b.Errorf("the token is taken to live %s; want %s", c.Lifetime, want.Lifetime)
	}
}

// wantRefused looks at what a failure leaves in the item. cause is what invalid_grant means here; open, whether anything
// else leaves the intent standing.
func (b *bed) wantRefused(got tokens.Answer, answer oauthtest.Case, cause record.Cause, open bool) {
	b.Helper()
	c := b.credential()
	outcome, status, why := tokens.Outcome(answer.Want.Outcome), record.Active, record.Cause("")
	if answer.Want.Outcome == oauth.Revoked {
		status, why, open = record.Reauth, cause, false
		if cause == record.RotationUnknown {
			outcome = tokens.RotationUnknown
		}
	}
	if got.Outcome != outcome || got.Err() == nil || got.Generation != 1 {
		b.Errorf("the answer is %+v; want %s", got, outcome)
	}
	if c.Generation != 1 || c.Status != status || c.Cause != why || (c.Intent != nil) != open || c.Lease != nil {
		b.Errorf("the credential is %s; want it %s (%s), its intent open: %t", shown(c), status, why, open)
	}
	f := c.Failure
	if f == nil || f.Outcome != string(outcome) || f.Status != answer.Status || f.Code != answer.Want.Code || f.RequestID != "" {
		b.Fatalf("the failure noted is %+v", f)
	}
	if wait := f.RetryAt.Sub(f.At); answer.Want.Outcome != oauth.Revoked && (wait <= 0 || answer.Want.Wait > 0 && wait != answer.Want.Wait || got.Fault.RetryAfter != wait) {
		b.Errorf("the next try is in %s, and the caller is told %s", wait, got.Fault.RetryAfter)
	}
}

// wantSpendable looks at what comes next: the same token is offered again and its successor in force, unless the grant
// is gone. Then it is never offered again.
func (b *bed) wantSpendable(p *process, outcome oauth.Outcome) {
	b.Helper()
	posts := len(b.issuer.posted())
	if outcome == oauth.Revoked {
		p.wantOutcome(p.refresh(), tokens.Revoked)
		b.wantPosts(posts)
		return
	}
	b.pass(b.credential().Failure.RetryAt.Sub(b.now()))
	p.wantOutcome(p.refresh(), tokens.Success)
	b.wantForce(2)
	b.wantPosts(posts + 1)
	b.wantReuses(0)
}
