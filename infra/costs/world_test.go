package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	authorizing "connectorvault/functions/authorizer/handler"
	notifying "connectorvault/functions/notify/handler"
	planninghandler "connectorvault/functions/planner/handler"
	readhandler "connectorvault/functions/read/handler"
	token "connectorvault/functions/refresh/handler"
	tenanthandler "connectorvault/functions/tenant/handler"
	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/demo"
	"connectorvault/infra/local/gateway"
	"connectorvault/infra/local/program"
	"connectorvault/shared/bundle"
	"connectorvault/shared/notify"
	"connectorvault/shared/planner"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/store/sqlitestore"
	calls "connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// world is the bundle with a meter before each function: on the data folder of the local program, which runs beside it, is idle,
// and has connected an account of each provider the way people do.
type world struct {
	*testing.T
	dir, url, key string
	clock         *clock.Clock
	store         *sqlitestore.Store
	catalog       catalog.Options
	bundle        *bundle.Bundle // past every meter
	meters        map[string]*meter
	functions     map[string]gateway.Function
	gateway       *gateway.Gateway
	told          []webhook.Message
	enqueued      []calls.Call
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), meters: map[string]*meter{}, functions: map[string]gateway.Function{}}
	w.start()
	out := &bytes.Buffer{}
	err := demo.Run(t.Context(), demo.Config{Out: out, Place: &demo.Place{URL: w.url, OwnerKey: w.key, Controls: w.controls(),
		Pass:    func(_ context.Context, d time.Duration) error { w.pass(d); return nil },
		Restart: func(context.Context) error { return nil }}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.open()
	return w
}

// start runs the local program, whose worker does nothing within the test's time.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done, log := make(chan error, 1), &bytes.Buffer{}
	go func() {
		done <- program.Run(ctx, program.Options{Listen: "127.0.0.1:0", Data: w.dir, Simulators: true, Clock: true, LoopbackWebhooks: true, Tick: 24 * time.Hour}, io.Discard, log)
	}()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	for {
		var ready program.Ready
		body, err := os.ReadFile(filepath.Join(w.dir, "ready.json"))
		if err == nil && json.Unmarshal(body, &ready) == nil && ready.URL != "" {
			w.url, w.key, w.catalog = ready.URL, ready.OwnerKey, ready.Simulators
			return
		}
		select {
		case err := <-done:
			done <- err
			w.Fatalf("the program ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *world) controls() map[string]string {
	var ready program.Ready
	body, err := os.ReadFile(filepath.Join(w.dir, "ready.json"))
	w.ok(errors.Join(err, json.Unmarshal(body, &ready)))
	return ready.Controls
}

// pass steps the clock of everything.
func (w *world) pass(d time.Duration) {
	w.Helper()
	var before time.Time
	if w.clock != nil {
		before = w.clock.Now()
	}
	w.ask(http.MethodPost, "/local/clock", map[string]any{"advance": d.String()}, nil)
	for w.clock != nil && w.clock.Now().Sub(before) < d { // another process's step is felt a moment later
		time.Sleep(10 * time.Millisecond)
	}
}

// ask sends a request to the program that runs beside.
func (w *world) ask(method, path string, body, into any) {
	w.Helper()
	encoded, err := json.Marshal(body)
	w.ok(err)
	request, err := http.NewRequestWithContext(w.Context(), method, w.url+path, bytes.NewReader(encoded))
	w.ok(err)
	request.Header.Set("Authorization", "Bearer "+w.key)
	response, err := http.DefaultClient.Do(request)
	w.ok(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	w.ok(err)
	if response.StatusCode >= 300 {
		w.Fatalf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if into != nil {
		w.ok(json.Unmarshal(answer, into))
	}
}

// open puts a meter before each function.
func (w *world) open() {
	var err error
	w.clock, err = clock.Open(filepath.Join(w.dir, "clock"))
	w.ok(err)
	store, queue, err := sqlitestore.OpenFolder(w.Context(), sqlitestore.FolderConfig{Path: w.dir, Now: w.clock.Now, Random: rand.Reader})
	w.ok(err)
	w.store = store
	w.Cleanup(func() { _ = store.Close(); _ = queue.Close() })
	w.bundle = bundle.New(bundle.Parts{Items: store, Due: store, Secrets: store, Catalog: catalog.New(w.catalog), Now: w.clock.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})

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
		Now: w.clock.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
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
	m := &meter{items: w.store, due: w.store, secrets: w.store}
	w.meters[function] = m
	client := &http.Client{Transport: m}
	endpoints := w.catalog
	endpoints.HTTP = client
	return bundle.New(bundle.Parts{Items: m, Due: m, Secrets: m, Catalog: catalog.New(endpoints), HTTP: client, Now: w.clock.Now, Random: rand.Reader,
		Logger: slog.New(slog.NewJSONHandler(m, nil)), PublicURL: w.url,
		Invoke: func(ctx context.Context, call calls.Call) (calls.Answer, error) {
			payload, err := calls.Encode(call)
			w.ok(err)
			reply, err := w.functions[tokens](context.WithoutCancel(ctx), payload) // it runs on, as on AWS
			w.ok(err)
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
	request := httptest.NewRequestWithContext(w.Context(), http.MethodGet, w.url+"/v1/connectors/"+connector+"/"+what, nil)
	request.Header.Set("Authorization", "Bearer "+w.key)
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
		w.ok(err)
	}
}

// message gives a function one message of a queue.
func (w *world) message(function, body string) {
	w.Helper()
	payload, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: body}}})
	w.ok(err)
	answer, err := w.functions[function](w.Context(), payload)
	w.ok(err)
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
	w.ok(err)
	if !found {
		w.Fatalf("%s has no credential", entry)
	}
	return c
}

// until passes the time until the schedule looks at an entry, and a second more.
func (w *world) until(entry string) {
	w.Helper()
	if d := w.credential(entry).DueAt.Sub(w.clock.Now()) + time.Second; d > 0 {
		w.pass(d)
	}
}

// connected are an entry of each provider and a connector of it.
func (w *world) connected() map[string][2]string {
	w.Helper()
	out := map[string][2]string{}
	page, err := w.bundle.Vault.Connectors(w.Context(), program.Tenant, "", 100, func(record.Connector) bool { return true })
	w.ok(err)
	for _, c := range page.Items {
		entry, err := w.bundle.Vault.Entry(w.Context(), program.Tenant, c.Entry)
		w.ok(err)
		out[entry.Provider] = [2]string{entry.ID, c.ID}
	}
	if len(out) != 3 {
		w.Fatalf("connected are %v", out)
	}
	return out
}
