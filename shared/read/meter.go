package read

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/metric"
	"connectorvault/shared/record"
	"connectorvault/shared/trace"
)

// meter is what is counted of a read while it goes on. A read is one goroutine's, and what it shares with others has no meter.
type meter struct {
	provider string
	about    metric.About
	upstream time.Duration // how long the provider took, or made us wait
}

type meterKey struct{}

// metered begins to measure a read; done ends it.
func (s *Service) metered(ctx context.Context, op metric.Operation) (metered context.Context, done func(error)) {
	if s.Metrics == nil && s.Tracer == nil {
		return ctx, func(error) {}
	}
	m, began := &meter{}, s.Now()
	ctx, span := trace.Begin(ctx, s.Tracer, trace.Read, trace.OfOperation(op))
	return context.WithValue(ctx, meterKey{}, m), func(err error) {
		span.Set(trace.OfProvider(m.provider))
		span.End(err)
		outcome := metric.OutcomeOf(err)
		var beyond *ErrBeyond
		if errors.As(err, &beyond) {
			outcome = metric.Rejected
		}
		s.Metrics.Read(ctx, m.provider, op, outcome, m.upstream, s.Now().Sub(began)-m.upstream, m.about)
	}
}

// pageOperation tells a list from an item.
func pageOperation(q Query) metric.Operation {
	if q.Item != "" {
		return metric.Item
	}
	return metric.List
}

// of says whose read it is, once that is known.
func (s *Service) of(ctx context.Context, entry record.Entry) {
	if m, ok := ctx.Value(meterKey{}).(*meter); ok {
		m.provider, m.about = entry.Provider, metric.About{Tenant: entry.Tenant, Entry: entry.ID}
	}
}

// atProvider measures what is the provider's time, until ended is called.
func (s *Service) atProvider(ctx context.Context) (ended func()) {
	m, ok := ctx.Value(meterKey{}).(*meter)
	if !ok {
		return func() {}
	}
	began := s.Now()
	_, span := trace.Begin(ctx, s.Tracer, trace.Provider, trace.OfProvider(m.provider))
	return func() {
		m.upstream += s.Now().Sub(began)
		span.Close()
	}
}
