package handler_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/refresh/handler"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

const (
	tenant = "t_0000000000000001"
	canary = "canary-93be"

	secretsQueue = "arn:aws:sqs:eu-central-1:111122223333:secrets"
)

// plain is a provider without an application, whose refresh tokens stay as they are.
type plain struct{ client *http.Client }

func (p plain) Descriptor() *provider.Descriptor { return &provider.Descriptor{Name: "plain"} }

func (p plain) Normalize(*record.Entry) error { return nil }

func (p plain) TokenClient(record.Entry, provider.AppCredentials) oauth.Client {
	return oauth.Client{HTTP: p.client, TokenURL: "http://provider.example/token"}
}

// upstream answers instead of the provider.
type upstream func(*http.Request) (*http.Response, error)

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) { return u(r) }

// rig is a token service behind its function.
type rig struct {
	*testing.T
	vault   *vault.Vault
	secrets store.Secrets
	handler *handler.Handler
	entry   record.Entry

	mu     sync.Mutex
	posts  int           // guarded by mu
	queued []tokens.Call // guarded by mu
	log    bytes.Buffer  // guarded by mu
	down   bool          // guarded by mu; the store takes no token set
}

func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// items is the store with a switch.
type items struct {
	*sqlitestore.Store
	rig *rig
}

func (i items) Apply(ctx context.Context, ops ...store.Op) error {
	i.rig.mu.Lock()
	down := i.rig.down
	i.rig.mu.Unlock()
	if _, seals := ops[0].Set["sealed"]; down && seals {
		return errors.New("the store refuses")
	}
	return i.Store.Apply(ctx, ops...)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{T: t}
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	r.ok(err)
	t.Cleanup(func() { _ = s.Close() })
	ring := keyring.New(keyring.Config{Secrets: s, Now: time.Now, Random: rand.Reader})
	r.ok(ring.Create(t.Context(), tenant))
	r.vault = vault.New(vault.Config{Items: items{s, r}, Due: s, Sealer: ring, Now: time.Now, Random: rand.Reader})
	r.secrets = s
	client := &http.Client{Transport: upstream(r.answer)}
	logger := slog.New(slog.NewJSONHandler(r, nil))
	service := refresh.New(refresh.Config{
		Vault: r.vault, Secrets: s, HTTP: client, Now: time.Now, Random: rand.Reader, Logger: logger,
		Provider: func(name string) (provider.Adapter, bool) { return plain{client}, name == "plain" },
		Rescue:   func(ctx context.Context, call tokens.Call) error { return r.enqueue(ctx, "", []tokens.Call{call}) },
		Enqueue:  r.enqueue,
		Notices:  map[string]string{secretsQueue: "plain"},
		// Short, since no bubble holds this test's time.
		StoreBudget: 200 * time.Millisecond, PostTimeout: 5 * time.Second,
	})
	r.handler = handler.New(service, logger)
	r.entry = r.authorized("shop")
	t.Cleanup(func() { r.secretFree("the log", r.log.String()) })
	return r
}

func (r *rig) enqueue(_ context.Context, _ string, calls []tokens.Call) error { //nolint:unparam // the service's signature
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queued = append(r.queued, calls...)
	return nil
}

func (r *rig) answer(*http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.posts++
	body := fmt.Sprintf(`{"access_token":"%s-access-%d","expires_in":3600,"token_type":"bearer"}`, canary, r.posts)
	r.mu.Unlock()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.WriteString(body)
	return w.Result(), nil
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected: %v", err)
	}
}

func (r *rig) secretFree(what, text string) {
	r.Helper()
	if strings.Contains(text, canary) {
		r.Errorf("%s shows a secret: %s", what, text)
	}
}

// authorized makes an entry whose token has life left, but not enough, and which was read.
func (r *rig) authorized(alias string) record.Entry {
	r.Helper()
	id, err := ident.New(rand.Reader, ident.Entry)
	r.ok(err)
	now := time.Now().UTC()
	e, err := r.vault.CreateEntry(r.Context(), record.Entry{Tenant: tenant, ID: id, Provider: "plain", Alias: alias, Environment: "test"}, nil)
	r.ok(err)
	c := record.Credential{Tenant: tenant, Entry: id, Provider: "plain", Status: record.Active, Generation: 1, Lifetime: time.Hour,
		Expires: now.Add(time.Minute), Refreshed: now, Authorized: now, Commit: "commit_" + id, DueAt: now.Add(-time.Second)}
	c.Sealed, err = r.vault.SealTokens(r.Context(), c, 1, vault.TokenSet{Access: secret.New(canary), Refresh: secret.New(canary)})
	r.ok(err)
	r.ok(r.vault.Authorize(r.Context(), nil, c, nil))
	r.ok(r.vault.NoteUse(r.Context(), tenant, id, 1))
	return e
}

// handle invokes the function and returns its answer as it travels.
func (r *rig) handle(payload []byte) ([]byte, error) {
	r.Helper()
	out, err := r.handler.Handle(r.Context(), payload)
	if err != nil {
		r.secretFree("an error", err.Error())
		return nil, err
	}
	reply, err := json.Marshal(out)
	r.ok(err)
	r.secretFree("a reply", string(reply))
	return reply, nil
}

func (r *rig) call(call tokens.Call) (tokens.Answer, error) {
	r.Helper()
	payload, err := tokens.Encode(call)
	r.ok(err)
	reply, err := r.handle(payload)
	r.ok(err)
	return tokens.DecodeReply(reply)
}

// batch sends messages of a queue and returns which must come again.
func (r *rig) batch(bodies ...string) []string {
	r.Helper()
	var event events.SQSEvent
	for n, body := range bodies {
		event.Records = append(event.Records, events.SQSMessage{MessageId: fmt.Sprint("message-", n), Body: body, EventSource: "aws:sqs"})
	}
	payload, err := json.Marshal(event)
	r.ok(err)
	reply, err := r.handle(payload)
	r.ok(err)
	var out events.SQSEventResponse
	r.ok(json.Unmarshal(reply, &out))
	again := []string{}
	for _, f := range out.BatchItemFailures {
		again = append(again, f.ItemIdentifier)
	}
	return again
}

func (r *rig) message(call tokens.Call) string {
	r.Helper()
	body, err := tokens.Encode(call)
	r.ok(err)
	return string(body)
}

func (r *rig) wantGeneration(e record.Entry, want int64) {
	r.Helper()
	c, _, err := r.vault.Credential(r.Context(), tenant, e.ID)
	r.ok(err)
	if c.Generation != want {
		r.Errorf("generation %d is in force; want %d", c.Generation, want)
	}
}

// TestCall: another function's invocation gets its answer, or its error, as a reply.
func TestCall(t *testing.T) {
	r := newRig(t)
	got, err := r.call(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: r.entry.ID})
	if err != nil || got.Outcome != tokens.Success || got.Generation != 2 || got.Expires.IsZero() {
		t.Errorf("the answer is %+v (%v)", got, err)
	}
	got, err = r.call(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: r.entry.ID})
	if err != nil || got.Outcome != tokens.AlreadyFresh {
		t.Errorf("the second answer is %+v (%v)", got, err)
	}
	_, err = r.call(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: "ve_0000000000000000"})
	if fault.KindOf(err) != fault.NotFound || fault.CodeOf(err) != "not_found" {
		t.Errorf("of an entry that is not there the answer is %v", err)
	}
	_, err = r.call(tokens.Call{Op: "burn", Tenant: tenant, Entry: r.entry.ID, Code: secret.New(canary), RefreshToken: secret.New(canary)})
	if !fault.IsNewer(err) || strings.Contains(err.Error(), "burn") {
		t.Errorf("to an unknown operation the answer is %v", err)
	}
	_, err = r.call(tokens.Call{Op: tokens.Complete, Tenant: tenant, Request: "ar_0000000000000000", Code: secret.New(canary)})
	if fault.CodeOf(err) != "authorization_request_unknown" {
		t.Errorf("to an unknown request the answer is %v", err)
	}
}

// TestSchedule: the schedule has orphaned secrets looked for, and nothing else.
func TestSchedule(t *testing.T) {
	r := newRig(t)
	r.ok(r.vault.CreateTenant(t.Context(), record.Tenant{ID: tenant, Name: "Example"}))
	orphan := vault.AppSecret(tenant, "plain", record.Production, "v_0000000000000001")
	r.ok(r.secrets.PutSecret(t.Context(), orphan, secret.New(canary)))
	yesterday := *r.vault
	yesterday.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	_, err := yesterday.NoteOrphan(t.Context(), orphan, "")
	r.ok(err)
	reply, err := r.handle([]byte(`{"operation": "sweep_orphans"}`))
	r.ok(err)
	if _, err := r.secrets.GetSecret(t.Context(), orphan); string(reply) != `{"removed":1}` || !errors.Is(err, store.ErrNotFound) || len(r.queued) != 0 {
		t.Errorf("the reply is %s, the secret: %v, queued were %d", reply, err, len(r.queued))
	}
	r.wantGeneration(r.entry, 1)
}

// TestBatch carries out each message, and reports those alone that must come again.
func TestBatch(t *testing.T) {
	r := newRig(t)
	other := r.authorized("other")
	again := r.batch(
		r.message(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: r.entry.ID}),
		`{"op":`+canary,
		r.message(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: "ve_0000000000000000"}),
		r.message(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: other.ID}),
		r.message(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: "ve_0000000000000000"}), // deleted meanwhile: nothing to do
	)
	if got := strings.Join(again, " "); got != "message-1 message-2" {
		t.Errorf("to come again are %q", got)
	}
	r.wantGeneration(r.entry, 2)
	r.wantGeneration(other, 2)
	if again = r.batch(r.message(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: r.entry.ID})); len(again) != 0 {
		t.Errorf("a message that is delivered twice is to come again: %v", again)
	}
	r.wantGeneration(r.entry, 2)
	if r.posts != 2 {
		t.Errorf("the provider was asked %d times; want 2", r.posts)
	}
}

// TestQueueMayNotAsk for what only another function may: a message must not be able to put a token in force, or to
// delete an entry.
func TestQueueMayNotAsk(t *testing.T) {
	r := newRig(t)
	for _, op := range []tokens.Op{tokens.Adopt, tokens.Complete, tokens.Forget, tokens.Grant, "burn", ""} {
		again := r.batch(r.message(tokens.Call{Op: op, Tenant: tenant, Entry: r.entry.ID, RefreshToken: secret.New(canary), Code: secret.New(canary)}))
		if len(again) != 1 {
			t.Errorf("a queue asked for %q and was obeyed", op)
		}
	}
	if r.posts != 0 {
		t.Errorf("the provider was asked %d times; want never", r.posts)
	}
	r.wantGeneration(r.entry, 1)
}

// TestAProvidersQueueIsNoQueueOfCalls: what a provider's queue holds is never carried out as a call, whatever it says.
func TestAProvidersQueueIsNoQueueOfCalls(t *testing.T) {
	r := newRig(t)
	body := r.message(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: r.entry.ID, Code: secret.New(canary)})
	send := func(arn string) (failed int) {
		payload, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "message-0", Body: body, EventSource: "aws:sqs", EventSourceARN: arn}}})
		r.ok(err)
		reply, err := r.handle(payload)
		r.ok(err)
		var out events.SQSEventResponse
		r.ok(json.Unmarshal(reply, &out))
		return len(out.BatchItemFailures)
	}
	if failed := send(secretsQueue); failed != 1 || r.posts != 0 {
		t.Errorf("%d failed, the provider was asked %d times", failed, r.posts)
	}
	r.wantGeneration(r.entry, 1)
	if failed := send("arn:aws:sqs:eu-central-1:111122223333:due"); failed != 0 {
		t.Errorf("%d failed", failed)
	}
	r.wantGeneration(r.entry, 2)
}

// TestRescueBatch: what the table refused goes to the queue, comes back until the table takes it, and is in force then.
func TestRescueBatch(t *testing.T) {
	r := newRig(t)
	r.switchStore(false)
	got, err := r.call(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: r.entry.ID})
	if err != nil || got.Outcome != tokens.Transient || fault.CodeOf(got.Err()) != "store_unavailable" || len(r.queued) != 1 {
		t.Fatalf("the answer is %+v (%v), queued are %d", got, err, len(r.queued))
	}
	body := r.message(r.queued[0])
	r.secretFree("the message", body)
	ctx, cancel := context.WithTimeout(t.Context(), 3200*time.Millisecond)
	defer cancel()
	payload, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "message-0", Body: body}}})
	r.ok(err)
	out, err := r.handler.Handle(ctx, payload)
	r.ok(err)
	if response, ok := out.(events.SQSEventResponse); !ok || len(response.BatchItemFailures) != 1 {
		t.Errorf("while the store is down the answer is %+v", out)
	}
	r.switchStore(true)
	for range 2 {
		if again := r.batch(body); len(again) != 0 {
			t.Errorf("to come again are %v", again)
		}
	}
	r.wantGeneration(r.entry, 2)
	if r.posts != 1 {
		t.Errorf("the provider was asked %d times; want once", r.posts)
	}
}

func (r *rig) switchStore(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = !up
}

// TestUnknownEvents are errors, and are not quoted.
func TestUnknownEvents(t *testing.T) {
	r := newRig(t)
	for _, payload := range []string{"", "null", "[]", `"` + canary + `"`, `{"Records":[]}`, `{"source":"aws.` + canary + `"}`, `{"operation":"` + canary + `"}`, `{"operation":"plan"}`, `{"op":""}`,
		`{"op":5,"code":"` + canary + `"}`, `{"op":"refresh","tenant":7,"code":"` + canary + `"}`, `{"Records":[{"body":7}]}`} {
		if _, err := r.handle([]byte(payload)); err == nil {
			t.Errorf("the event %s is carried out", payload)
		}
	}
	if r.posts != 0 {
		t.Error("the provider was asked")
	}
}
