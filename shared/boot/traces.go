//go:build !otel

package boot

import (
	"log/slog"

	"connectorvault/shared/trace"
)

// tracer keeps no spans: this program was built without what sends them. An operator who asks for them is told so.
func tracer(v *variables, _ *slog.Logger) trace.Tracer {
	if v.get("CV_TRACES_ENDPOINT") != "" {
		v.wrong = append(v.wrong, "CV_TRACES_ENDPOINT is set, and the program was built without the tag otel")
	}
	return nil
}
