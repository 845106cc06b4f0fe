package handler_test

import (
	"log/slog"
	"strings"
	"testing"

	"connectorvault/functions/read/handler"
	"connectorvault/shared/bundle/bundletest"
)

// BenchmarkWarmRead is a read of which everything is remembered: from the gateway's event to its answer, with the
// provider a function call away. What it takes is what a read adds to the provider's own time.
func BenchmarkWarmRead(b *testing.B) {
	bench := bundletest.New(b, bundletest.Options{Plain: true})
	_, connector := bench.Reader()
	row := `{"id":"ORDER-0001","note":"` + strings.Repeat("x", 160) + `","buyer":{"id":"B1","name":"Somebody"}}`
	bench.Upstream.Body("/orders", `{"orders":[`+strings.Repeat(row+",", 9)+row+`]}`)
	h := handler.New(handler.Config{Read: bench.Read, Logger: slog.New(slog.DiscardHandler), Now: bench.Clock.Now})
	event := bench.Event(bench.Owner, "GET", "/v1/connectors/"+connector.ID+"/orders", "")
	b.ReportAllocs()
	for b.Loop() {
		out, err := h.Handle(b.Context(), event)
		if err != nil || out.StatusCode != 200 {
			b.Fatalf("%d %s %v", out.StatusCode, out.Body, err)
		}
	}
}
