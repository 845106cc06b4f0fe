package refresh

import (
	"context"
	"errors"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/trace"
)

// counted is a POST to a token endpoint that is counted, with how long the provider took. What a provider did not answer is
// unavailable, however long that took to find out.
func (s *Service) counted(as client, op metric.Operation, post func(context.Context, oauth.Client) (oauth.Tokens, error)) func(context.Context, oauth.Client) (oauth.Tokens, error) {
	return func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		began := s.Now()
		ctx, span := trace.Begin(ctx, s.Tracer, trace.TokenRequest, trace.OfProvider(as.entry.Provider), trace.OfOperation(op))
		issued, err := post(ctx, c)
		span.Set(trace.Of(answered(err)))
		span.Close()
		s.Metrics.TokenRequest(ctx, as.entry.Provider, op, answered(err), s.Now().Sub(began), metric.About{Tenant: as.entry.Tenant, Entry: as.entry.ID})
		return issued, err
	}
}

// answered is what a token endpoint's answer comes to.
func answered(err error) metric.Outcome {
	var failure *oauth.Failure
	switch {
	case err == nil:
		return metric.Success
	case refusesClient(err):
		return metric.Misconfigured
	case !errors.As(err, &failure):
		return metric.Unavailable
	}
	switch failure.Outcome {
	case oauth.Revoked:
		return metric.Revoked
	case oauth.RateLimited:
		return metric.RateLimited
	case oauth.Misconfigured, oauth.Transient:
	}
	return metric.Unavailable
}

// refusesClient reports whether a provider refused the application, or the entry's own client, in an answer or in TLS.
func refusesClient(err error) bool {
	var failure *oauth.Failure
	known := broken(err)
	return errors.As(err, &failure) && failure.Outcome == oauth.Misconfigured || known != nil && known.Kind == fault.Misconfigured
}

// countRefused counts a client that is refused for good, which is after what there was to try besides.
func (s *Service) countRefused(ctx context.Context, as client, err error) {
	if refusesClient(err) {
		s.Metrics.Count(ctx, metric.ClientMisconfigured, metric.About{Tenant: as.entry.Tenant, Entry: as.entry.ID})
	}
}

// countEnded counts an authorization that was found to be gone, once that is noted.
func (s *Service) countEnded(ctx context.Context, c record.Credential, why record.Cause) {
	counter := metric.AuthorizationRevoked
	if why == record.RotationUnknown {
		counter = metric.RotationUnknown
	}
	s.Metrics.Count(ctx, counter, metric.About{Tenant: c.Tenant, Entry: c.Entry})
}
