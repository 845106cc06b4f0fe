package read

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// maxAnswer is the most of a provider's answer that an answer of ours can carry: base64 makes 5.6 MB of it, and a
// Lambda's is at most 6 MB. More is refused in words that help, rather than by the gateway without any.
const maxAnswer = 4 << 20

// call makes one call of the provider: in the account's rate, with a living token, and once more with a fresh one
// when the provider refuses the token.
func (s *Service) call(ctx context.Context, t *target, call provider.Call) (provider.Answer, error) {
	answer, body, leave, err := s.open(ctx, t, call)
	if err != nil {
		return answer, err
	}
	defer leave()
	defer s.atProvider(ctx)()
	return s.client(t).Collect(ctx, answer, body)
}

func (s *Service) client(t *target) provider.Client {
	return provider.Client{HTTP: s.HTTP, Reader: t.reader, Now: s.Now, MaxBody: maxAnswer}
}

// open is call for an answer that is read by whoever asked. leave is called once it has been.
func (s *Service) open(ctx context.Context, t *target, call provider.Call) (answer provider.Answer, body io.ReadCloser, leave func(), err error) {
	defer func(of *target) { err = provider.Ended(of.adapter, of.entry, err, s.Now()) }(t)
	if t, err = s.alive(ctx, t); err != nil {
		return answer, nil, nil, err
	}
	if call, err = s.withGrant(ctx, t, call); err != nil {
		return answer, nil, nil, err
	}
	bucket, limited := s.bucket(t, call.Op)
	if leave, err = s.enter(ctx, t, call.Op, bucket, limited); err != nil {
		return answer, nil, nil, err
	}
	if t, err = s.current(ctx, t); err != nil {
		leave()
		return answer, nil, nil, err
	}
	s.noteUse(ctx, t)
	ended := s.atProvider(ctx)
	answer, body, verdict, err := s.client(t).Open(ctx, t.session(), call)
	ended()
	if err != nil && verdict.TokenRejected && call.Access.IsZero() {
		answer, body, err = s.anew(ctx, t, call, bucket, limited, verdict)
	}
	s.rates.learn(bucket.Name, answer.Rate)
	if err != nil {
		leave()
		return answer, nil, nil, s.heeded(ctx, bucket, limited, err)
	}
	return answer, body, leave, nil
}

// anew makes a call again that the provider refused for its token. Where the provider refuses the new one too, tokens are
// not what it is about: a subscription that lapsed looks like that. Then it is noted, so that not every read spends a
// refresh token on it.
func (s *Service) anew(ctx context.Context, t *target, call provider.Call, bucket vault.Bucket, limited bool, verdict provider.Verdict) (provider.Answer, io.ReadCloser, error) {
	tenant, entry := t.entry.Tenant, t.entry.ID
	until, err := s.Vault.Rejected(ctx, tenant, entry)
	if err != nil || !until.IsZero() {
		return provider.Answer{}, nil, verdict.Fault
	}
	if t, err = s.replaced(ctx, t, verdict); err != nil {
		return provider.Answer{}, nil, err
	}
	if limited {
		_, _ = s.Vault.Take(ctx, bucket) // the second call counts at the provider too; it is not held back for it
	}
	ended := s.atProvider(ctx)
	answer, body, verdict, err := s.client(t).Open(ctx, t.session(), call)
	ended()
	if err != nil && verdict.TokenRejected {
		if err := s.Vault.NoteRejected(ctx, tenant, entry, s.Now().Add(rejectedPause)); err != nil {
			s.Logger.WarnContext(ctx, "that a fresh token was refused is not noted", "tenant", tenant, "entry", entry, "error", err.Error())
		}
	}
	return answer, body, err
}

// rejectedPause is how long no token is replaced because the provider refuses it, once it has refused a fresh one.
const rejectedPause = 5 * time.Minute

// heeded keeps what a provider says of its rate for everybody who shares it.
func (s *Service) heeded(ctx context.Context, bucket vault.Bucket, limited bool, err error) error {
	if !limited || fault.KindOf(err) != fault.RateLimited {
		return err
	}
	s.drain(ctx, bucket)
	if problem := *fault.As(err); problem.RetryAfter == 0 { // Amazon, for one, does not say
		return problem.After(time.Duration(float64(time.Second) / bucket.Rate))
	}
	return err
}

// enter waits for nothing: it takes a place in every rate that the call counts for, or says when to try again. leave gives
// back what is taken for the length of the call.
func (s *Service) enter(ctx context.Context, t *target, op resource.Operation, bucket vault.Bucket, limited bool) (leave func(), err error) {
	if limited {
		wait, err := s.Vault.Take(ctx, bucket)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return nil, overRate(op, bucket, wait)
		}
	}
	d := t.adapter.Descriptor()
	if t.client == "" {
		return func() {}, nil
	}
	if d.Rate > 0 {
		wait, err := s.Vault.Take(ctx, vault.Bucket{Tenant: ident.Outside, Name: "app#" + t.client, Rate: d.Rate, Burst: max(d.Burst, 1)})
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return nil, fault.New(fault.RateLimited, "rate_limited", fmt.Sprintf("The provider takes %g calls a second of one application, and all are used.", d.Rate)).
				Do("Try again after the time that Retry-After states.").After(wait)
		}
	}
	if d.Concurrent == 0 {
		return func() {}, nil
	}
	leave, ok, err := s.slots.Enter(ctx, vault.Slots{Partition: ident.Outside, Name: t.client, Most: d.Concurrent, Hold: slotHold})
	if err == nil && !ok {
		err = fault.New(fault.RateLimited, "rate_limited", fmt.Sprintf("The provider takes %d calls at once of one application, and all are under way.", d.Concurrent)).
			Do("Try again in a moment.").After(time.Second)
	}
	return leave, err
}

// How long a place among an application's calls at once is held, and how long one call may last.
const (
	slotHold   = time.Minute
	slotBudget = 30 * time.Second
)

// replaced gets a token in place of one that the provider refused. If none is to be had, the provider's own words say
// more than ours would.
func (s *Service) replaced(ctx context.Context, t *target, verdict provider.Verdict) (*target, error) {
	fresh, err := s.renewed(ctx, t, tokens.Call{Op: tokens.Refresh, Tenant: t.entry.Tenant, Entry: t.entry.ID,
		FailedGeneration: t.credential.Generation})
	if err != nil && fault.As(err).Provider == nil && verdict.Fault != nil {
		problem := *fault.As(err)
		problem.Provider = verdict.Fault.Provider
		return nil, &problem
	}
	return fresh, err
}

// bucket is the rate that all callers of one application, account and operation share. An operation whose rate the
// provider does not state has none.
func (s *Service) bucket(t *target, op resource.Operation) (vault.Bucket, bool) {
	if op.Rate <= 0 {
		return vault.Bucket{}, false
	}
	account := t.entry.ID
	if a := t.credential.Account; a != nil && a.ID != "" && a.Identity == record.Verified {
		account = a.ID
	}
	b := vault.Bucket{Tenant: t.entry.Tenant, Rate: op.Rate, Burst: max(op.Burst, 1),
		Name: fmt.Sprintf("%s#%s#%s#%s", t.entry.Provider, t.entry.APIEnvironment, account, op.ID)}
	if rate := s.rates.of(b.Name); rate > 0 {
		b.Rate = rate
	}
	return b, true
}

func (s *Service) drain(ctx context.Context, b vault.Bucket) {
	if err := s.Vault.Drain(ctx, b); err != nil {
		s.Logger.WarnContext(ctx, "a rate bucket was not drained", "bucket", b.Name, "error", err.Error())
	}
}

func overRate(op resource.Operation, b vault.Bucket, wait time.Duration) *fault.Error {
	return fault.New(fault.RateLimited, "rate_limited", fmt.Sprintf("The provider takes %g calls of %s a second for this account, and all are used.", b.Rate, op.ID)).
		Do("Try again after the time that Retry-After states.").After(wait)
}

// rates are what providers say in their answers about their rates, which is truer than what their documents say.
type rates struct {
	mu   sync.Mutex
	said map[string]float64 // bucket → requests a second; guarded by mu
}

func (r *rates) learn(bucket string, rate float64) {
	if bucket == "" || rate <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil || len(r.said) > 4*maxTargets {
		r.said = map[string]float64{}
	}
	r.said[bucket] = rate
}

func (r *rates) of(bucket string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said[bucket]
}
