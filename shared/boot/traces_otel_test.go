//go:build otel

package boot

import (
	"strings"
	"testing"
)

func TestSpansGoToTheCollectorThatIsNamed(t *testing.T) {
	t.Parallel()
	for endpoint, good := range map[string]bool{"https://collector.example": true, "https://collector.example/otlp/": true, "http://127.0.0.1:4318": true, "http://localhost:4318": true,
		"http://[::1]:4318": true, "http://collector.example": false, "http://10.0.0.1:4318": false, "https://me:canary@collector.example": false, "https://collector.example?token=canary": false,
		"https://": false, "collector": false, "ftp://127.0.0.1": false, "http://localhost.canary.example": false} {
		values := whole()
		values["CV_TRACES_ENDPOINT"] = endpoint
		b, err := Load(lookup(values), needs()...)
		if good && (err != nil || b.Tracer == nil) || !good && (err == nil || !strings.Contains(err.Error(), "CV_TRACES_ENDPOINT") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if b, err := Load(lookup(whole()), needs()...); err != nil || b.Tracer != nil {
		t.Errorf("spans are kept for nobody: %v", err)
	}
}
