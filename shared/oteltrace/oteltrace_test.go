//go:build otel

package oteltrace_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/oteltrace"
	"connectorvault/shared/read"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/trace"
	"connectorvault/shared/traced"
)

// collector is what takes spans.
type collector struct {
	*httptest.Server

	mu     sync.Mutex
	bodies []string // guarded by mu
	status int      // guarded by mu; 0 = 200
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		c.bodies = append(c.bodies, string(body))
		if c.status != 0 {
			w.WriteHeader(c.status)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) sent() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bodies)
}

// span is one that the collector has.
type span struct {
	TraceID, SpanID, ParentSpanID, Name, StartTimeUnixNano, EndTimeUnixNano string
	Kind                                                                    int
	Attributes                                                              []struct {
		Key   string
		Value struct{ StringValue string }
	}
	Status struct{ Code int }
}

func (s span) attributes() string {
	var out []string
	for _, a := range s.Attributes {
		out = append(out, a.Key+"="+a.Value.StringValue)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func spans(t *testing.T, bodies ...string) (out []span) {
	t.Helper()
	for _, body := range bodies {
		var in struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []any }
				ScopeSpans []struct{ Spans []span }
			}
		}
		if err := json.Unmarshal([]byte(body), &in); err != nil || len(in.ResourceSpans) != 1 || len(in.ResourceSpans[0].Resource.Attributes) != 1 {
			t.Fatalf("%v: %s", err, body)
		}
		for _, s := range in.ResourceSpans[0].ScopeSpans {
			out = append(out, s.Spans...)
		}
	}
	return out
}

func at() time.Time { return time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC) }

func tracer(c *collector, failed func(error)) *oteltrace.Tracer {
	return oteltrace.New(oteltrace.Config{Endpoint: c.URL, Service: "vault-read", HTTP: c.Client(), Now: at, Random: rand.Reader, Failed: failed})
}

// Everything is with the collector before the outermost span's owner goes on, since a function stands still then.
func TestSpansAreSentBeforeTheOutermostEnds(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr := tracer(c, nil)
	ctx, outer := trace.Begin(t.Context(), tr, trace.TokenService, trace.OfCall(tokens.Refresh))
	within, inner := trace.Begin(ctx, tr, trace.TokenRequest, trace.OfProvider("sage"), trace.OfOperation(metric.Refresh))
	_, innermost := trace.Begin(within, tr, trace.Store, trace.OfAccess(trace.Get), trace.OfTable(store.Credentials))
	innermost.Close()
	inner.End(fault.New(fault.RateLimited, "canary-code", "canary words"))
	if len(c.sent()) != 0 {
		t.Error("spans are sent while others are open")
	}
	outer.End(nil)
	got := spans(t, c.sent()...)
	if len(c.sent()) != 1 || len(got) != 3 {
		t.Fatalf("%d bodies, %d spans", len(c.sent()), len(got))
	}
	store, request, service := got[0], got[1], got[2]
	if store.ParentSpanID != request.SpanID || request.ParentSpanID != service.SpanID || service.ParentSpanID != "" || service.TraceID != store.TraceID || len(service.TraceID) != 32 {
		t.Errorf("%+v", got)
	}
	for s, want := range map[*span]string{&store: "operation=get table=credentials", &request: "operation=refresh outcome=rate_limited provider=sage", &service: "operation=refresh outcome=success"} {
		if s.attributes() != want || s.StartTimeUnixNano != fmt.Sprint(at().UnixNano()) || s.EndTimeUnixNano != s.StartTimeUnixNano {
			t.Errorf("%+v, want %s", s, want)
		}
	}
	if request.Status.Code != 2 || service.Status.Code != 0 || request.Kind != 3 || service.Kind != 2 || service.Name != "token service" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(c.sent()[0], "canary") || !strings.Contains(c.sent()[0], `"vault-read"`) {
		t.Errorf("%s", c.sent()[0])
	}
}

// Whatever way something got to a span, what is in no list is not sent.
func TestWhatIsInNoListIsNotSent(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "canary.resource=canary-of-the-environment")
	t.Setenv("OTEL_SERVICE_NAME", "canary-service")
	c := newCollector(t)
	tr := tracer(c, nil)
	ctx, s := trace.Begin(t.Context(), tr, trace.Read, trace.OfProvider("https://canary.example/?token=canary"), trace.OfCall("canary-op"), trace.OfTable("canary-table"))
	raw := otel.SpanFromContext(ctx)
	raw.SetAttributes(attribute.String("url.full", "https://canary.example"), attribute.Int("canary", 1))
	raw.AddEvent("canary-event")
	raw.RecordError(errors.New("canary-error"))
	raw.SetStatus(codes.Error, "canary-status")
	raw.AddLink(otel.Link{Attributes: []attribute.KeyValue{attribute.String("provider", "canary-link")}})
	s.End(errors.New("canary-words"))
	if got := spans(t, c.sent()...); len(got) != 1 || strings.Contains(c.sent()[0], "canary") || got[0].attributes() != "operation=other outcome=failed provider=other table=other" {
		t.Errorf("%s", c.sent())
	}
}

func TestACollectorThatFailsCostsNothing(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	var heard []error
	tr := tracer(c, func(err error) { heard = append(heard, err) })
	one := func() {
		_, s := trace.Begin(t.Context(), tr, trace.Read)
		s.End(nil)
	}
	c.mu.Lock()
	c.status = 503
	c.mu.Unlock()
	one()
	c.Close()
	one()
	if len(heard) != 2 || !strings.Contains(heard[0].Error(), "503") || strings.Contains(heard[1].Error(), "127.0.0.1") {
		t.Errorf("%v", heard)
	}
	tracer(c, nil) // nobody needs to hear
}

// An invocation whose trace Lambda keeps goes on in it; others begin their own.
func TestLambdasOwnTraceGoesOn(t *testing.T) {
	t.Parallel()
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="
	for header, goesOn := range map[string]bool{root + "1": true, root + "0": false, "": false, "Root=1-x;Parent=y;Sampled=1": false,
		"Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1": false, strings.Repeat("x", 5000): false, "Root=1-canary;Sampled=1": false} {
		c := newCollector(t)
		ctx := context.WithValue(t.Context(), "x-amzn-trace-id", header) //nolint:revive,staticcheck // as the runtime's library does
		_, s := trace.Begin(ctx, tracer(c, nil), trace.Read)
		s.End(nil)
		got := spans(t, c.sent()...)[0]
		if on := got.TraceID == "5759e988bd862e3fe1be46a994272793" && got.ParentSpanID == "53995c3f42cd8ad8"; on != goesOn || !goesOn && got.ParentSpanID != "" {
			t.Errorf("%.80s: %+v", header, got)
		}
	}
}

// Many at once lose nothing, and what is kept until the outermost ends is bounded, which is sent with it all the same.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr := tracer(c, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				ctx, s := trace.Begin(t.Context(), tr, trace.Read)
				_, inner := trace.Begin(ctx, tr, trace.Provider)
				inner.Close()
				s.End(nil)
			}
		})
	}
	all.Wait()
	if got := spans(t, c.sent()...); len(got) != 8*20*2 {
		t.Errorf("%d spans", len(got))
	}
	before := len(c.sent())
	ctx, s := trace.Begin(t.Context(), tr, trace.TokenService)
	for range 3000 {
		_, inner := trace.Begin(ctx, tr, trace.Store)
		inner.Close()
	}
	s.End(nil)
	if got := spans(t, c.sent()[before:]...); len(got) != 1001 || got[1000].Name != trace.TokenService.String() || got[1000].ParentSpanID != "" {
		t.Errorf("%d spans are kept", len(got))
	}
}

// A real read, a refresh and their store calls, with canaries wherever one can be planted.
func TestCanaries(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tr := tracer(c, func(err error) { t.Error(err) })
	b := bundletest.New(t, bundletest.Options{})
	b.Vault.Items = traced.Items(b.Store, tr)
	entry, connector := b.Reader()
	b.Read.Tracer, b.Tokens.Tracer = tr, tr
	b.App()
	b.Upstream.Body("/orders", `{"orders":[{"id":"canary-order","buyer":{"name":"canary-buyer"}}],"next":"canary-page"}`)
	b.Upstream.Handle("/orders/canary-item", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "canary-request")
		bundletest.Refuse(w, http.StatusForbidden, "canary-refusal")
	})
	query := read.Query{Connector: connector.ID, Resource: "orders", Params: map[string][]string{"status": {"canary-filter"}}}
	page, err := b.Read.Read(b.Context(), b.Owner, query)
	b.OK(err)
	b.Clock.Add(2 * time.Hour)
	if _, err := b.Read.Read(b.Context(), b.Owner, query); err != nil {
		t.Fatal(err)
	}
	query.Params, query.Cursor = nil, *page.Next
	_, _ = b.Read.Read(b.Context(), b.Owner, query)
	_, _ = b.Read.Read(b.Context(), b.Owner, read.Query{Connector: connector.ID, Resource: "orders", Item: "canary-item"})
	_, _ = b.Tokens.Do(b.Context(), tokens.Call{Op: tokens.Adopt, Tenant: entry.Tenant, Entry: entry.ID, RefreshToken: bundletest.Text("canary-refresh-token"), Principal: "canary-principal"})
	_, _ = b.Tokens.Do(b.Context(), tokens.Call{Op: tokens.Complete, Tenant: entry.Tenant, Entry: entry.ID, Request: "ar_canary", Code: bundletest.Text("canary-code")})
	all := strings.Join(c.sent(), "\n")
	names := map[string]bool{}
	for _, s := range spans(t, c.sent()...) {
		names[s.Name] = true
		for _, a := range s.Attributes {
			if !slices.Contains(trace.Keys(), a.Key) {
				t.Errorf("%s has %s", s.Name, a.Key)
			}
		}
	}
	for _, want := range []trace.Name{trace.TokenService, trace.TokenRequest, trace.Read, trace.Provider, trace.Store} {
		if !names[want.String()] {
			t.Errorf("there is no span %q in %v", want, names)
		}
	}
	planted := append(b.Upstream.Living(), "canary", "127.0.0.1", "http", entry.Tenant, entry.ID, connector.ID, b.Owner.ID, *page.Next, "app/", "keyring")
	for _, canary := range planted {
		if at := strings.Index(all, canary); at >= 0 {
			t.Errorf("%.20q is in a span: %.200s", canary, all[max(0, at-100):])
		}
	}
}
