//go:build otel

package oteltrace

import (
	"context"
	"strings"

	oteltrace "go.opentelemetry.io/otel/trace"
)

// lambdaTrace is where Lambda's runtime library keeps the trace that an invocation belongs to.
const lambdaTrace = "x-amzn-trace-id"

// continued puts ctx into the trace that Lambda has begun, if it keeps it. One that it does not keep is nobody's.
func continued(ctx context.Context) context.Context {
	header, _ := ctx.Value(lambdaTrace).(string)
	if len(header) > 256 {
		return ctx
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	root, ok := strings.CutPrefix(fields["Root"], "1-")
	id, err := oteltrace.TraceIDFromHex(strings.Replace(root, "-", "", 1))
	parent, parentErr := oteltrace.SpanIDFromHex(fields["Parent"])
	if !ok || err != nil || parentErr != nil || fields["Sampled"] != "1" {
		return ctx
	}
	return oteltrace.ContextWithRemoteSpanContext(ctx, oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: id, SpanID: parent, TraceFlags: oteltrace.FlagsSampled, Remote: true}))
}
