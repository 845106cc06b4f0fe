package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	authorizing "connectorvault/functions/authorizer/handler"
	notifying "connectorvault/functions/notify/handler"
	planninghandler "connectorvault/functions/planner/handler"
	readhandler "connectorvault/functions/read/handler"
	token "connectorvault/functions/refresh/handler"
	tenanthandler "connectorvault/functions/tenant/handler"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/local/localtest"
	"connectorvault/infra/local/program"
	"connectorvault/shared/bundle"
	"connectorvault/shared/notify"
	"connectorvault/shared/planner"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	calls "connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// world is the bundle with a meter before each function: on the data folder of the local program, which runs beside it, is idle,
// and has connected an account of each provider the way people do.
type world struct {
	*localtest.Program
	bundle    *bundle.Bundle // past every meter
	meters    map[string]*meter
	functions map[string]gateway.Function
	gateway   *gateway.Gateway
	told      []webhook.Message
	enqueued  []calls.Call
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Program: localtest.Start(t), meters: map[string]*meter{}, functions: map[string]gateway.Function{}}
	w.open()
	return w
}

// open puts a meter before each function.
func (w *world) open() {
	w.bundle = bundle.New(bundle.Parts{Items: w.Store, Due: w.Store, Secrets: w.Store, Catalog: catalog.New(w.Ready.Simulators), Now: w.Clock.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})

	b, m := w.part(authorizer)
	auth := gateway.JSON(authorizing.New(b.Vault, b.Logger, authorizing.OfIssuers(b.Vault, nil)).Handle)
	w.functions[authorizer] = m.invoked(auth)
	b, m = w.part(tokens)
	w.functions[tokens] = m.invoked(gateway.JSON(token.New(b.Refresh(), b.Logger).Handle))
	b, m = w.part(planning)
	asked := m
	waiting := func(context.Context, string) (int, error) { asked.count(func(p *part) { p.Sends++ }); return 0, nil }
	w.functions[planning] = m.invoked(gateway.JSON(planninghandler.New(planner.New(planner.Config{Vault: b.Vault, Providers: b.Catalog.Names(),
		Workers: func(string) int { return 2 }, Waiting: waiting, Send: b.Enqueue, Now: b.Now, Logger: b.Logger})).Handle))
	b, m = w.part(tenancy)
	w.functions[tenancy] = m.invoked(gateway.JSON(tenanthandler.New(b.Tenants(), b.Logger).Handle))
	b, m = w.part(delivering)
	deliver := notify.New(notify.Config{Vault: b.Vault, HTTP: b.HTTP, Now: b.Now, Logger: b.Logger})
	w.functions[delivering] = m.invoked(gateway.JSON(notifying.New(notifying.Config{Notify: deliver, Logger: b.Logger}).Handle))
	b, m = w.part(reading)
	w.functions[reading] = m.invoked(gateway.JSON(readhandler.New(readhandler.Config{Read: b.Read(), Logger: b.Logger, Now: b.Now}).Handle))
	w.gateway = gateway.New(gateway.Config{Functions: map[route.Function]gateway.Function{route.Read: w.functions[reading]}, Authorizer: w.functions[authorizer],
		Now: w.Clock.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
}

// invoked counts invocations.
func (m *meter) invoked(f gateway.Function) gateway.Function {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		m.count(func(p *part) { p.Invocations++ })
		return f(ctx, payload)
	}
}

// part is what a function stands on, behind its meter.
func (w *world) part(function string) (*bundle.Bundle, *meter) {
	m := &meter{items: w.Store, due: w.Store, secrets: w.Store}
	w.meters[function] = m
	client := &http.Client{Transport: m}
	endpoints := w.Ready.Simulators
	endpoints.HTTP = client
	return bundle.New(bundle.Parts{Items: m, Due: m, Secrets: m, Catalog: catalog.New(endpoints), HTTP: client, Now: w.Clock.Now, Random: rand.Reader,
		Logger: slog.New(slog.NewJSONHandler(m, nil)), PublicURL: w.Ready.URL,
		Invoke: func(ctx context.Context, call calls.Call) (calls.Answer, error) {
			payload, err := calls.Encode(call)
			w.OK(err)
			reply, err := w.functions[tokens](context.WithoutCancel(ctx), payload) // it runs on, as on AWS
			w.OK(err)
			return calls.DecodeReply(reply)
		},
		Nudge: func(context.Context, calls.Call) error { m.count(func(p *part) { p.Sends++ }); return nil },
		Enqueue: func(_ context.Context, _ string, c []calls.Call) error {
			m.count(func(p *part) { p.Sends += len(c) })
			w.enqueued = append(w.enqueued, c...)
			return nil
		},
		Announce: func(_ context.Context, messages []webhook.Message) error {
			m.count(func(p *part) { p.Sends += len(messages) })
			w.told = append(w.told, messages...)
			return nil
		},
	}), m
}

// measured does something and returns what a function was asked for in its course.
func (w *world) measured(function string, do func()) part {
	w.Helper()
	w.meters[function].reset()
	do()
	return w.meters[function].reset()
}

// read reads through the metered functions.
func (w *world) read(connector, what string) {
	w.Helper()
	request := httptest.NewRequestWithContext(w.Context(), http.MethodGet, w.Ready.URL+"/v1/connectors/"+connector+"/"+what, nil)
	request.Header.Set("Authorization", "Bearer "+w.Ready.OwnerKey)
	answer := httptest.NewRecorder()
	w.gateway.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		w.Fatalf("reading %s: %d %s", what, answer.Code, answer.Body)
	}
}

// scheduled invokes a function as its schedule does.
func (w *world) scheduled(function, operation string) func() {
	return func() {
		w.Helper()
		_, err := w.functions[function](w.Context(), fmt.Appendf(nil, `{"operation": %q}`, operation))
		w.OK(err)
	}
}

// message gives a function one message of a queue.
func (w *world) message(function, body string) {
	w.Helper()
	payload, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: body}}})
	w.OK(err)
	answer, err := w.functions[function](w.Context(), payload)
	w.OK(err)
	var failed events.SQSEventResponse
	if err := json.Unmarshal(answer, &failed); err != nil || len(failed.BatchItemFailures) > 0 {
		w.Fatalf("a message of %s came to %s", function, answer)
	}
}

// due has the token service do what is due for an entry.
func (w *world) due(entry string) {
	w.Helper()
	w.message(tokens, fmt.Sprintf(`{"op": "due", "tenant": %q, "entry": %q}`, program.Tenant, entry))
}

func (w *world) credential(entry string) record.Credential {
	w.Helper()
	c, found, err := w.bundle.Vault.Credential(w.Context(), program.Tenant, entry)
	w.OK(err)
	if !found {
		w.Fatalf("%s has no credential", entry)
	}
	return c
}

// until passes the time until the schedule looks at an entry, and a second more.
func (w *world) until(entry string) {
	w.Helper()
	if d := w.credential(entry).DueAt.Sub(w.Clock.Now()) + time.Second; d > 0 {
		w.Pass(d)
	}
}

// connected are an entry of each provider and a connector of it.
func (w *world) connected() map[string][2]string {
	w.Helper()
	out := map[string][2]string{}
	page, err := w.bundle.Vault.Connectors(w.Context(), program.Tenant, "", 100, func(record.Connector) bool { return true })
	w.OK(err)
	for _, c := range page.Items {
		entry, err := w.bundle.Vault.Entry(w.Context(), program.Tenant, c.Entry)
		w.OK(err)
		out[entry.Provider] = [2]string{entry.ID, c.ID}
	}
	if len(out) != 3 {
		w.Fatalf("connected are %v", out)
	}
	return out
}
