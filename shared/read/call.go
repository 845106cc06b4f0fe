package read

import (
	"context"
	"fmt"
	"sync"
	"time"

	"connectorvault/shared/fault"
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
	t, err := s.alive(ctx, t)
	if err != nil {
		return provider.Answer{}, err
	}
	if call, err = s.withGrant(ctx, t, call); err != nil {
		return provider.Answer{}, err
	}
	bucket, limited := s.bucket(t, call.Op)
	if limited {
		wait, err := s.Vault.Take(ctx, bucket)
		if err != nil {
			return provider.Answer{}, err
		}
		if wait > 0 {
			return provider.Answer{}, overRate(call.Op, bucket, wait)
		}
	}
	s.noteUse(ctx, t)
	client := provider.Client{HTTP: s.HTTP, Reader: t.reader, Now: s.Now, MaxBody: maxAnswer}
	answer, verdict, err := client.Do(ctx, t.entry, t.access, call)
	if err != nil && verdict.TokenRejected && call.Access.IsZero() {
		if t, err = s.replaced(ctx, t, verdict); err != nil {
			return provider.Answer{}, err
		}
		if limited {
			_, _ = s.Vault.Take(ctx, bucket) // the second call counts at the provider too; it is not held back for it
		}
		answer, verdict, err = client.Do(ctx, t.entry, t.access, call)
	}
	s.rates.learn(bucket.Name, answer.Rate)
	if limited && err != nil && fault.KindOf(err) == fault.RateLimited {
		s.drain(ctx, bucket)
		if problem := *fault.As(err); problem.RetryAfter == 0 { // Amazon, for one, does not say
			return answer, problem.After(time.Duration(float64(time.Second) / bucket.Rate))
		}
	}
	return answer, err
}

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
