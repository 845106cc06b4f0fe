//go:build otel

package oteltrace

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"connectorvault/shared/trace"
)

// Config is what a Tracer needs.
type Config struct {
	Endpoint string       // of the collector, without /v1/traces
	Service  string       // what the function is called
	HTTP     *http.Client // its timeout is how long a collector can hold an answer up
	Now      func() time.Time
	Random   io.Reader
	Failed   func(error) // hears that spans were not sent; may be nil
}

// Tracer keeps spans and sends them. It is safe for concurrent use.
type Tracer struct {
	tracer oteltrace.Tracer
	now    func() time.Time
}

var _ trace.Tracer = (*Tracer)(nil)

// New returns a Tracer. Nothing of the environment counts: what OpenTelemetry reads there would name other collectors, and
// attach what nobody here has looked at.
func New(cfg Config) *Tracer {
	provider := sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()), sdk.WithIDGenerator(ids{cfg.Random}),
		sdk.WithRawSpanLimits(sdk.SpanLimits{AttributeValueLengthLimit: 64, AttributeCountLimit: 8}), sdk.WithSpanProcessor(&sender{cfg: cfg}))
	return &Tracer{tracer: provider.Tracer("connectorvault"), now: cfg.Now}
}

// Begin implements [trace.Tracer]. The first span of an invocation continues Lambda's own trace, where there is one.
func (t *Tracer) Begin(ctx context.Context, name trace.Name) (within context.Context, span trace.Kept) {
	if !t.Inside(ctx) {
		ctx = continued(ctx)
	}
	kind := oteltrace.SpanKindInternal
	switch name {
	case trace.TokenRequest, trace.Provider, trace.Delivery, trace.Store, trace.Secrets:
		kind = oteltrace.SpanKindClient
	case trace.TokenService, trace.Read:
		kind = oteltrace.SpanKindServer
	}
	ctx, kept := t.tracer.Start(ctx, name.String(), oteltrace.WithSpanKind(kind), oteltrace.WithTimestamp(t.now()))
	return ctx, &keptSpan{kept, t.now}
}

// Inside implements [trace.Tracer].
func (*Tracer) Inside(ctx context.Context) bool {
	return oteltrace.SpanContextFromContext(ctx).IsValid()
}

// keptSpan is one span.
type keptSpan struct {
	span oteltrace.Span
	now  func() time.Time
}

// Set implements [trace.Kept].
func (s *keptSpan) Set(a trace.Attribute) { s.span.SetAttributes(attribute.String(a.Key(), a.Value())) }

// End implements [trace.Kept].
func (s *keptSpan) End(failed bool) {
	if failed {
		s.span.SetStatus(codes.Error, "") // without words: they may be anybody's
	}
	s.span.End(oteltrace.WithTimestamp(s.now()))
}

// ids draws identifiers from the randomness that it was given.
type ids struct{ random io.Reader }

// NewIDs implements sdk.IDGenerator.
func (i ids) NewIDs(ctx context.Context) (oteltrace.TraceID, oteltrace.SpanID) {
	var id oteltrace.TraceID
	_, _ = io.ReadFull(i.random, id[:]) // a span without an identifier is none, and nothing depends on it
	return id, i.NewSpanID(ctx, id)
}

// NewSpanID implements sdk.IDGenerator.
func (i ids) NewSpanID(context.Context, oteltrace.TraceID) oteltrace.SpanID {
	var id oteltrace.SpanID
	_, _ = io.ReadFull(i.random, id[:])
	if binary.BigEndian.Uint64(id[:]) == 0 {
		id[7] = 1
	}
	return id
}
