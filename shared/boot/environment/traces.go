//go:build !otel

package environment

import (
	"log/slog"

	"connectorvault/shared/trace"
)

// Tracer keeps no spans: this program was built without what sends them. An operator who asks for them is told so.
func Tracer(v *Variables, _ *slog.Logger) trace.Tracer {
	if v.Get("CV_TRACES_ENDPOINT") != "" {
		v.Wrong("CV_TRACES_ENDPOINT is set, and the program was built without the tag otel")
	}
	return nil
}
