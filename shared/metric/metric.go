// Package metric counts what an operator looks at, in lines that CloudWatch makes metrics of (its embedded metric format).
//
// The argument: a metric is paid for by each value of its dimensions, and a value that comes from a request makes as many as
// somebody likes to send. So no dimension here is text: operations, outcomes and counters are types with a written list, a
// provider is one of those that are shipped, and whatever is none of them has one name together. The most that can ever be
// made is therefore a number, which a test works out with its price. A metric is one line, written when the thing has
// happened: nothing is gathered, so nothing grows, and nothing is lost with an instance that stands still or is gone. The
// lines pass by the level of the logs, and have none, so that no filter of levels takes them away.
package metric

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"slices"
	"time"
)

// Config is what a Recorder needs.
type Config struct {
	Out       io.Writer        // where lines go; one Write a line
	Namespace string           // of every metric: one a stack, so that two stacks never count together
	Providers []string         // whose names are values of the dimension; others are Other together
	Now       func() time.Time // of the lines
}

// Recorder writes metrics. It is safe for concurrent use if its Out is. A nil one records nothing.
type Recorder struct {
	handler   slog.Handler
	providers []string
	now       func() time.Time
	// directives say what of a line is a metric, by the names of the metrics that it has; written once, here.
	tokenRequest, read, authorization, authentication, delivery, dueLag json.RawMessage
	counters                                                            [len(counterNames)]json.RawMessage
}

// New returns a Recorder.
func New(cfg Config) *Recorder {
	directive := func(metrics ...Definition) json.RawMessage { return directives(cfg.Namespace, metrics) }
	r := &Recorder{
		handler: slog.NewJSONHandler(cfg.Out, &slog.HandlerOptions{Level: slog.Level(math.MinInt), ReplaceAttr: bare}),
		// A copy: the set is closed from here on.
		providers: slices.Clone(cfg.Providers), now: cfg.Now,
		tokenRequest: directive(TokenRequests, TokenRequestTime), read: directive(Reads, ReadProviderTime, ReadOwnTime),
		authorization: directive(Authorizations), authentication: directive(Authentications), delivery: directive(WebhookDeliveries),
		dueLag: directive(DueLag),
	}
	for c := range r.counters {
		r.counters[c] = directive(Counter(c).Definition())
	}
	return r
}

// bare leaves out of a line what is for logs: its level above all, by which it could be kept back.
func bare(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.TimeKey) {
		return slog.Attr{}
	}
	return a
}

// About says what a line is about, for whoever reads the log. It is part of no dimension, and says what the log says anyway.
type About struct{ Tenant, Entry string }

// TokenRequest is a call of a token endpoint that has been answered, or was not.
func (r *Recorder) TokenRequest(ctx context.Context, provider string, op Operation, out Outcome, took time.Duration, about About) {
	if r == nil {
		return
	}
	d := TokenRequests
	r.write(ctx, r.tokenRequest, about, r.provider(provider), d.operation(op), d.outcome(out),
		slog.Int(TokenRequests.Name, 1), milliseconds(TokenRequestTime, took))
}

// Read is a read that has been answered: how long its provider took, over all calls of it, and how long we did.
func (r *Recorder) Read(ctx context.Context, provider string, op Operation, out Outcome, atProvider, own time.Duration, about About) {
	if r == nil {
		return
	}
	d := Reads
	r.write(ctx, r.read, about, r.provider(provider), d.operation(op), d.outcome(out),
		slog.Int(Reads.Name, 1), milliseconds(ReadProviderTime, atProvider), milliseconds(ReadOwnTime, own))
}

// Authorization is a step of connecting an account that used an authorization request up, or was refused one.
func (r *Recorder) Authorization(ctx context.Context, op Operation, out Outcome, about About) {
	if r == nil {
		return
	}
	d := Authorizations
	r.write(ctx, r.authorization, about, d.operation(op), d.outcome(out), slog.Int(d.Name, 1))
}

// Authentication is a credential that the authorizer has looked at.
func (r *Recorder) Authentication(ctx context.Context, op Operation, out Outcome) {
	if r == nil {
		return
	}
	d := Authentications
	r.write(ctx, r.authentication, About{}, d.operation(op), d.outcome(out), slog.Int(d.Name, 1))
}

// Delivery is one try at telling a webhook.
func (r *Recorder) Delivery(ctx context.Context, out Outcome, about About) {
	if r == nil {
		return
	}
	r.write(ctx, r.delivery, about, WebhookDeliveries.outcome(out), slog.Int(WebhookDeliveries.Name, 1))
}

// DueLag is how long the entry that has waited longest has been due; 0 where none is.
func (r *Recorder) DueLag(ctx context.Context, lag time.Duration) {
	if r == nil {
		return
	}
	r.write(ctx, r.dueLag, About{}, slog.Float64(DueLag.Name, max(0, lag.Seconds())))
}

// Count counts one.
func (r *Recorder) Count(ctx context.Context, c Counter, about About) {
	if r == nil || int(c) >= len(r.counters) {
		return
	}
	r.write(ctx, r.counters[c], about, slog.Int(c.String(), 1))
}

func milliseconds(d Definition, took time.Duration) slog.Attr {
	return slog.Float64(d.Name, float64(max(0, took).Microseconds())/1000) // a clock that is set back counts as none
}

// provider is the dimension's value for a provider.
func (r *Recorder) provider(name string) slog.Attr {
	if !slices.Contains(r.providers, name) {
		name = Other
	}
	return slog.String(string(Provider), name)
}

// write writes a line. Nobody hears of one that cannot be written: where standard output is gone, so are the logs.
func (r *Recorder) write(ctx context.Context, directive json.RawMessage, about About, values ...slog.Attr) {
	line := slog.NewRecord(time.Time{}, slog.LevelInfo, "metric", 0)
	line.AddAttrs(slog.Group("_aws", slog.Int64("Timestamp", r.now().UnixMilli()), slog.Any("CloudWatchMetrics", directive)))
	line.AddAttrs(values...)
	if about.Tenant != "" {
		line.AddAttrs(slog.String("tenant", about.Tenant))
	}
	if about.Entry != "" {
		line.AddAttrs(slog.String("entry", about.Entry))
	}
	_ = r.handler.Handle(ctx, line)
}

// directives is what CloudWatch reads of a line: for each metric the sets of dimensions that it is kept by, and no others.
func directives(namespace string, metrics []Definition) json.RawMessage {
	type name struct {
		Name string
		Unit string
	}
	type directive struct {
		Namespace  string
		Dimensions [][]Dimension
		Metrics    []name
	}
	out := make([]directive, len(metrics))
	for i, d := range metrics {
		out[i] = directive{Namespace: namespace, Dimensions: d.Sets, Metrics: []name{{Name: d.Name, Unit: d.Unit}}}
	}
	text, _ := json.Marshal(out) // of strings: it cannot fail
	return text
}
