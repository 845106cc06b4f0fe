//go:build !otel

package boot

import (
	"strings"
	"testing"
)

// Who asks for spans of a program that sends none must hear it at its start.
func TestSpansThatNobodySends(t *testing.T) {
	t.Parallel()
	values := whole()
	values["CV_TRACES_ENDPOINT"] = "https://collector.example"
	if _, err := Load(lookup(values), needs()...); err == nil || !strings.Contains(err.Error(), "tag otel") {
		t.Errorf("%v", err)
	}
	if b, err := Load(lookup(whole()), needs()...); err != nil || b.Tracer != nil {
		t.Errorf("spans are kept: %v", err)
	}
}
