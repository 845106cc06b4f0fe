//go:build otel

package oteltrace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"connectorvault/shared/trace"
)

// maxSpans bounds what is kept until the outermost span ends. What is more is left out, but for the outermost, without which
// nobody knows what the others are of.
const maxSpans = 1000

// sender keeps spans until the outermost one ends, and sends them then.
type sender struct {
	cfg Config

	mu    sync.Mutex
	open  int       // guarded by mu
	ended []otlSpan // guarded by mu
}

// OnStart implements sdk.SpanProcessor.
func (s *sender) OnStart(context.Context, sdk.ReadWriteSpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
}

// OnEnd implements sdk.SpanProcessor. It waits for the collector: whoever ended the span may be about to stand still.
func (s *sender) OnEnd(span sdk.ReadOnlySpan) {
	s.mu.Lock()
	s.open--
	if len(s.ended) < maxSpans || s.open == 0 {
		s.ended = append(s.ended, spanOf(span))
	}
	var ready []otlSpan
	if s.open == 0 {
		ready, s.ended = s.ended, nil
	}
	s.mu.Unlock()
	if len(ready) == 0 {
		return
	}
	if err := s.send(ready); err != nil && s.cfg.Failed != nil {
		s.cfg.Failed(err)
	}
}

// Shutdown implements sdk.SpanProcessor: nothing is left.
func (s *sender) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdk.SpanProcessor: nothing waits.
func (s *sender) ForceFlush(context.Context) error { return nil }

// send makes the one call. Its context is nobody's: a caller who leaves takes no spans away.
func (s *sender) send(spans []otlSpan) error {
	body, err := json.Marshal(otlRequest{ResourceSpans: []otlResource{{
		Resource:   otlAttributes{Attributes: []otlAttribute{textual("service.name", s.cfg.Service)}},
		ScopeSpans: []otlScope{{Scope: otlName{Name: "connectorvault"}, Spans: spans}},
	}}})
	if err != nil {
		return errors.New("spans cannot be written")
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.cfg.Endpoint+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return errors.New("the collector's address is none")
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := s.cfg.HTTP.Do(r)
	if err != nil {
		return errors.New("the collector does not answer") // without the error's words, which quote its address
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the collector answers with status %d", response.StatusCode)
	}
	return nil
}

// The parts of OTLP's JSON form that are sent (OpenTelemetry protocol 1.x, JSON encoding of ExportTraceServiceRequest).
type (
	otlRequest struct {
		ResourceSpans []otlResource `json:"resourceSpans"`
	}
	otlResource struct {
		Resource   otlAttributes `json:"resource"`
		ScopeSpans []otlScope    `json:"scopeSpans"`
	}
	otlAttributes struct {
		Attributes []otlAttribute `json:"attributes"`
	}
	otlScope struct {
		Scope otlName   `json:"scope"`
		Spans []otlSpan `json:"spans"`
	}
	otlName struct {
		Name string `json:"name"`
	}
	otlSpan struct {
		TraceID      string         `json:"traceId"`
		SpanID       string         `json:"spanId"`
		ParentSpanID string         `json:"parentSpanId,omitempty"`
		Name         string         `json:"name"`
		Kind         int            `json:"kind"`
		Start        string         `json:"startTimeUnixNano"`
		End          string         `json:"endTimeUnixNano"`
		Attributes   []otlAttribute `json:"attributes,omitempty"`
		Status       otlStatus      `json:"status"`
	}
	otlAttribute struct {
		Key   string   `json:"key"`
		Value otlValue `json:"value"`
	}
	otlValue struct {
		StringValue string `json:"stringValue"`
	}
	otlStatus struct {
		Code int `json:"code,omitempty"`
	}
)

func textual(key, value string) otlAttribute { return otlAttribute{key, otlValue{value}} }

// spanOf is a span as it is sent: events, links, and attributes of other names are left out.
func spanOf(span sdk.ReadOnlySpan) otlSpan {
	out := otlSpan{TraceID: span.SpanContext().TraceID().String(), SpanID: span.SpanContext().SpanID().String(), Name: span.Name(),
		Kind: kindOf(span.SpanKind()), Start: nanoseconds(span.StartTime()), End: nanoseconds(span.EndTime())}
	if parent := span.Parent(); parent.SpanID().IsValid() {
		out.ParentSpanID = parent.SpanID().String()
	}
	for _, a := range span.Attributes() {
		if slices.Contains(trace.Keys(), string(a.Key)) {
			out.Attributes = append(out.Attributes, textual(string(a.Key), a.Value.AsString()))
		}
	}
	if span.Status().Code == codes.Error {
		out.Status.Code = 2
	}
	return out
}

func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// kindOf is a kind's number in the protocol.
func kindOf(k oteltrace.SpanKind) int {
	switch k {
	case oteltrace.SpanKindServer:
		return 2
	case oteltrace.SpanKindClient:
		return 3
	default:
		return 1
	}
}
