package notify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"connectorvault/shared/keyring"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/notify"
	"connectorvault/shared/outbound"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

const tenant = "t_0000000000000001"

// rig is a vault with one webhook, and an endpoint that answers as a test says.
type rig struct {
	*testing.T
	vault   *vault.Vault
	service *notify.Service
	hook    record.Webhook
	secret  secret.Text

	mu     sync.Mutex
	now    time.Time                                      // guarded by mu
	answer func(r *http.Request) (*http.Response, error)  // guarded by mu
	calls  []*http.Request                                // guarded by mu
	bodies []string                                       // guarded by mu
	log    bytes.Buffer                                   // guarded by mu
	apply  func(ops []store.Op, apply func() error) error // guarded by mu
}

func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// RoundTrip is the endpoint.
func (r *rig) RoundTrip(in *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(in.Body)
	r.mu.Lock()
	r.calls, r.bodies = append(r.calls, in), append(r.bodies, string(body))
	answer := r.answer
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return answer(in)
}

type items struct {
	store.Items
	rig *rig
}

func (i items) Apply(ctx context.Context, ops ...store.Op) error {
	i.rig.mu.Lock()
	apply := i.rig.apply
	i.rig.mu.Unlock()
	if apply == nil {
		return i.Items.Apply(ctx, ops...)
	}
	return apply(ops, func() error { return i.Items.Apply(ctx, ops...) })
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), Now: r.clock, MasterKey: make([]byte, sqlitestore.KeySize)})
	r.ok(err)
	t.Cleanup(func() { _ = s.Close() })
	ring := keyring.New(keyring.Config{Secrets: s, Now: r.clock, Random: rand.Reader})
	r.ok(ring.Create(t.Context(), tenant))
	r.vault = vault.New(vault.Config{Items: items{s, r}, Sealer: ring, Now: r.clock, Random: rand.Reader})
	r.service = notify.New(notify.Config{Vault: r.vault, Now: r.clock, Logger: slog.New(slog.NewJSONHandler(r, nil)),
		HTTP: &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	r.secret, err = webhook.NewSecret(rand.Reader)
	r.ok(err)
	w := record.Webhook{Tenant: tenant, ID: "wh_0000000000000001", URL: "https://hooks.example.com/x?token=canary-in-the-url"}
	sealed, err := r.vault.SealWebhookSecret(t.Context(), w, 1, r.secret)
	r.ok(err)
	w.Secrets = []record.WebhookSecret{sealed}
	r.hook, err = r.vault.CreateWebhook(t.Context(), w, nil)
	r.ok(err)
	r.answers(http.StatusNoContent)
	t.Cleanup(func() {
		for _, canary := range []string{"canary", strings.TrimPrefix(r.secret.Reveal(), "whsec_")} {
			if strings.Contains(r.log.String(), canary) {
				t.Errorf("the log shows %s: %s", canary, r.log.String())
			}
		}
	})
	return r
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected: %v", err)
	}
}

// answers lets the endpoint answer with a status, and a body that nobody should see.
func (r *rig) answers(status int, header ...string) {
	r.does(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.WriteString("canary-of-the-endpoint")
		return w.Result(), nil
	})
}

func (r *rig) does(answer func(*http.Request) (*http.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *rig) message() webhook.Message {
	return webhook.Message{Tenant: tenant, Webhook: r.hook.ID, Sent: r.clock(), Event: record.Event{Tenant: tenant, ID: "ev_0000000000000001", Kind: record.EventRecovered,
		At: r.clock(), Provider: "amazon", Entry: "ve_0000000000000001", Generation: 2}}
}

// deliver tries once and wants no error.
func (r *rig) deliver(m webhook.Message) (done bool, again time.Duration) {
	r.Helper()
	done, again, err := r.service.Deliver(r.Context(), m)
	r.ok(err)
	return done, again
}

func (r *rig) noted() record.Webhook {
	r.Helper()
	w, err := r.vault.Webhook(r.Context(), tenant, r.hook.ID)
	r.ok(err)
	if w.Last != nil && strings.Contains(w.Last.Problem, "canary") {
		r.Errorf("what the endpoint said is noted: %s", w.Last.Problem)
	}
	return w
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204, 299} {
		r := newRig(t)
		r.answers(status)
		m := r.message()
		if done, _ := r.deliver(m); !done {
			t.Errorf("%d is no success", status)
		}
		w := r.noted()
		if w.Last == nil || !w.Last.Delivered || w.Last.Status != status || w.Last.Problem != "" || w.Last.Event != m.Event.ID || !w.Last.Next.IsZero() {
			t.Errorf("%d: %+v", status, w.Last)
		}
		call := r.calls[0]
		verifier, err := standardwebhooks.NewWebhook(r.secret.Reveal())
		r.ok(err)
		r.ok(verifier.VerifyIgnoringTimestamp([]byte(r.bodies[0]), call.Header))
		if call.Method != "POST" || call.Header.Get("Content-Type") != "application/json" || call.Header.Get("webhook-id") != m.Event.ID ||
			call.Header.Get("webhook-timestamp") != fmt.Sprint(r.clock().Unix()) || call.URL.String() != r.hook.URL {
			t.Errorf("%s %s %v", call.Method, call.URL, call.Header)
		}
		if !strings.HasPrefix(r.bodies[0], `{"type":"recovered","timestamp":"2026-11-21T12:00:00Z","data":{"id":"ev_0000000000000001","kind":"recovered",`) {
			t.Errorf("%s", r.bodies[0])
		}
	}
}

// The whole life of a message that never arrives: when it is tried, and how it ends.
func TestTheSchedule(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answers(http.StatusInternalServerError)
	m := r.message()
	began := r.clock()
	var at []time.Duration
	for {
		done, again := r.deliver(m)
		at = append(at, r.clock().Sub(began))
		w := r.noted()
		if done {
			if w.FailingSince.IsZero() || !w.Last.Next.IsZero() || w.Disabled {
				t.Errorf("at the end: %+v, %+v", w, w.Last)
			}
			break
		}
		if again <= 0 || again > notify.MaxWait || !w.Last.Next.Equal(r.clock().Add(again)) || !w.FailingSince.IsZero() {
			t.Fatalf("again after %s: %+v %+v", again, w, w.Last)
		}
		r.pass(again)
	}
	if got := fmt.Sprint(at); got != "[0s 5s 5m5s 35m0s 2h35m0s 7h35m0s 17h35m0s 29h0m0s 40h0m0s 51h0m0s 62h0m0s 73h0m0s]" {
		t.Errorf("it was tried at %s", got)
	}
	for i := range r.bodies {
		if r.bodies[i] != r.bodies[0] || r.calls[i].Header.Get("webhook-id") != r.calls[0].Header.Get("webhook-id") {
			t.Errorf("try %d differs", i)
		}
	}
	if !strings.Contains(r.log.String(), "is given up") {
		t.Error("the operator hears nothing")
	}
	r.answers(http.StatusOK)
	r.deliver(r.message())
	if w := r.noted(); !w.FailingSince.IsZero() {
		t.Errorf("it is failing still: %+v", w)
	}
}

// A message that comes late, too early, or twice goes on from the time that has passed.
func TestAMessageHasNoNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answers(500)
	m := r.message()
	for range 3 {
		if _, again := r.deliver(m); again != 5*time.Second {
			t.Errorf("again after %s", again)
		}
	}
	r.pass(time.Hour) // the queue was stopped
	if _, again := r.deliver(m); again != 95*time.Minute {
		t.Errorf("again after %s", again)
	}
	r.pass(30 * 24 * time.Hour)
	if done, _ := r.deliver(m); !done {
		t.Error("after a month it goes on")
	}
}

func TestJitterIsAPartOfThePause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.service.Jitter = func(most time.Duration) time.Duration { return most }
	r.answers(500)
	m := r.message()
	if _, again := r.deliver(m); again != 5500*time.Millisecond {
		t.Errorf("again after %s", again)
	}
	r.pass(62 * time.Hour)
	if _, again := r.deliver(m); again != notify.MaxWait && again > notify.MaxWait {
		t.Errorf("again after %s", again)
	}
	draw := notify.Jitter(rand.Reader)
	seen := map[time.Duration]bool{}
	for range 50 {
		d := draw(time.Minute)
		if d < 0 || d >= time.Minute {
			t.Fatalf("drawn was %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 10 || draw(0) != 0 || notify.Jitter(strings.NewReader(""))(time.Hour) != 0 {
		t.Errorf("%d draws differ", len(seen))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"3600": time.Hour, "1": 5 * time.Second, "0": 5 * time.Second, "-5": 5 * time.Second, "soon": 5 * time.Second, "99999999999999": notify.MaxWait, "900000": notify.MaxWait,
		"Sat, 21 Nov 2026 13:00:00 GMT": time.Hour, "Sat, 21 Nov 2020 13:00:00 GMT": 5 * time.Second, "Sat, 21 Nov 2099 13:00:00 GMT": notify.MaxWait,
	} {
		r := newRig(t)
		r.answers(429, "Retry-After", value)
		if _, again := r.deliver(r.message()); again != want && !(value == "99999999999999" && again == 5*time.Second) {
			t.Errorf("%s: again after %s", value, again)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	failing := func(err error) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for want, answer := range map[string]func(*http.Request) (*http.Response, error){
		"The endpoint's address is not on the public internet.": failing(&net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, Err: outbound.ErrNotPublic}),
		"The endpoint's name was not found.":                    failing(&net.DNSError{Err: "no such host", Name: "canary.example.com", IsNotFound: true}),
		"The endpoint's certificate was not accepted.":          failing(&tls.CertificateVerificationError{Err: x509.HostnameError{Host: "canary", Certificate: &x509.Certificate{}}}),
		"The endpoint did not answer in time.":                  failing(fmt.Errorf("canary: %w", context.DeadlineExceeded)),
		"The connection to the endpoint failed.":                failing(errors.New("canary")),
	} {
		r := newRig(t)
		r.does(answer)
		if done, again := r.deliver(r.message()); done || again != 5*time.Second {
			t.Errorf("%s: %t %s", want, done, again)
		}
		if w := r.noted(); w.Last.Problem != want || w.Last.Status != 0 || w.Last.Delivered {
			t.Errorf("noted is %+v, not %s", w.Last, want)
		}
	}
	for status, want := range map[int]string{301: "redirect", 302: "redirect", 307: "redirect", 400: "status 400", 404: "status 404", 500: "status 500", 503: "status 503", 102: ""} {
		if want == "" {
			continue
		}
		r := newRig(t)
		r.answers(status, "Location", "http://169.254.169.254/canary")
		if done, _ := r.deliver(r.message()); done || len(r.calls) != 1 {
			t.Errorf("%d: %d calls", status, len(r.calls))
		}
		if w := r.noted(); !strings.Contains(w.Last.Problem, want) || w.Last.Status != status {
			t.Errorf("%d: %+v", status, w.Last)
		}
	}
}

// Of an answer that never ends a few kilobytes are read.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	body := &endless{}
	r.does(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
	})
	if done, _ := r.deliver(r.message()); !done || body.read > 64<<10 || !body.closed {
		t.Errorf("%d bytes were read, closed %t", body.read, body.closed)
	}
}

type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }

func (e *endless) Close() error { e.closed = true; return nil }

func TestGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answers(http.StatusGone)
	if done, _ := r.deliver(r.message()); !done {
		t.Error("it comes again")
	}
	if w := r.noted(); !w.Disabled || !w.Gone || w.Last == nil || w.Last.Status != 410 {
		t.Errorf("%+v", w)
	}
	if done, _ := r.deliver(r.message()); !done || len(r.calls) != 1 {
		t.Errorf("%d calls", len(r.calls))
	}
}

// Who moved the webhook elsewhere meanwhile is not switched off for what the old endpoint said.
func TestGoneFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.does(func(*http.Request) (*http.Response, error) {
		moved := r.hook
		moved.URL = "https://other.example.com/"
		_, err := r.vault.UpdateWebhook(r.Context(), r.hook, moved, nil)
		r.ok(err)
		return &http.Response{StatusCode: 410, Header: http.Header{}, Body: http.NoBody}, nil
	})
	m := r.message()
	if done, _, err := r.service.Deliver(t.Context(), m); done || err == nil {
		t.Errorf("%t %v", done, err)
	}
	if w := r.noted(); w.Disabled || w.URL != "https://other.example.com/" {
		t.Errorf("%+v", w)
	}
	r.answers(200)
	if done, _ := r.deliver(m); !done || r.calls[1].URL.Host != "other.example.com" {
		t.Error("the new endpoint hears nothing")
	}
}

// What the webhook is at the moment counts: not what it was when the message was sent.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *rig, w *record.Webhook){
		"switched off":    func(_ *rig, w *record.Webhook) { w.Disabled = true },
		"of another kind": func(_ *rig, w *record.Webhook) { w.Kinds = []record.EventKind{record.EventReauth} },
		"deleted":         func(r *rig, w *record.Webhook) { r.ok(r.vault.DeleteWebhook(r.Context(), *w)) },
	} {
		r := newRig(t)
		after := r.hook
		if change(r, &after); name != "deleted" {
			_, err := r.vault.UpdateWebhook(t.Context(), r.hook, after, nil)
			r.ok(err)
		}
		if done, _ := r.deliver(r.message()); !done || len(r.calls) != 0 {
			t.Errorf("%s: done %t, %d calls", name, done, len(r.calls))
		}
	}
}

func TestATestIsTriedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answers(500)
	m := r.message()
	m.Event.Kind = record.EventTest
	if done, _ := r.deliver(m); !done {
		t.Error("it comes again")
	}
	if w := r.noted(); w.Last.Kind != record.EventTest || w.Last.Status != 500 {
		t.Errorf("%+v", w.Last)
	}
	if want := `{"type":"test","timestamp":"2026-11-21T12:00:00Z","data":{"id":"ev_0000000000000001","kind":"test","time":"2026-11-21T12:00:00Z","webhook":"wh_0000000000000001"}}`; r.bodies[0] != want {
		t.Errorf("%s", r.bodies[0])
	}
}

// A replaced secret signs for its time; one that was moved elsewhere opens nothing, and nothing goes out.
func TestSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second, err := webhook.NewSecret(rand.Reader)
	r.ok(err)
	after := r.hook
	sealed, err := r.vault.SealWebhookSecret(t.Context(), after, 2, second)
	r.ok(err)
	old := r.hook.Secrets[0]
	old.Until = r.clock().Add(24 * time.Hour)
	after.Secrets = []record.WebhookSecret{sealed, old}
	after, err = r.vault.UpdateWebhook(t.Context(), r.hook, after, nil)
	r.ok(err)
	for _, want := range []int{2, 1} {
		r.deliver(r.message())
		if got := strings.Fields(r.calls[len(r.calls)-1].Header.Get("webhook-signature")); len(got) != want {
			t.Errorf("%d signatures, want %d", len(got), want)
		}
		r.pass(24 * time.Hour)
	}
	n := len(r.calls)
	swapped := after
	swapped.Secrets = []record.WebhookSecret{{Number: 1, Sealed: sealed.Sealed}}
	_, err = r.vault.UpdateWebhook(t.Context(), after, swapped, nil)
	r.ok(err)
	if done, _, err := r.service.Deliver(t.Context(), r.message()); done || err == nil || len(r.calls) != n {
		t.Errorf("a secret under another number: %t, %v", done, err)
	}
}

// A store that is down costs nothing of the endpoint's: what arrived is done with, and what did not comes again.
func TestTheStoreIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	down := func([]store.Op, func() error) error { return errors.New("the store refuses") }
	r.mu.Lock()
	r.apply = down
	r.mu.Unlock()
	if done, _, err := r.service.Deliver(t.Context(), r.message()); !done || err != nil {
		t.Errorf("what arrived comes again: %t, %v", done, err)
	}
	for _, status := range []int{500, 410} {
		r.answers(status)
		if done, _, err := r.service.Deliver(t.Context(), r.message()); done || err == nil {
			t.Errorf("%d: %t, %v", status, done, err)
		}
	}
	old := r.message()
	old.Sent = old.Sent.Add(-30 * 24 * time.Hour)
	r.answers(500)
	if done, _, err := r.service.Deliver(t.Context(), old); done || err == nil {
		t.Errorf("it is given up, and nobody knows: %t, %v", done, err)
	}
}

// A function that is stopped says nothing of the endpoint.
func TestCutShort(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.does(func(in *http.Request) (*http.Response, error) {
		cancel()
		return nil, in.Context().Err()
	})
	if done, _, err := r.service.Deliver(ctx, r.message()); done || err == nil {
		t.Errorf("%t %v", done, err)
	}
	if w := r.noted(); w.Last != nil {
		t.Errorf("%+v", w.Last)
	}
}

// The real client, and an endpoint that is inside: nothing reaches it, and the note does not say where it is.
func TestInside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	t.Cleanup(inside.Close)
	r.service.HTTP = outbound.Client(outbound.Config{})
	moved := r.hook
	moved.URL = inside.URL
	_, err := r.vault.UpdateWebhook(t.Context(), r.hook, moved, nil)
	r.ok(err)
	r.deliver(r.message())
	w := r.noted()
	if w.Last.Problem != "The endpoint's address is not on the public internet." || strings.Contains(w.Last.Problem, netip.MustParseAddr("127.0.0.1").String()) {
		t.Errorf("%+v", w.Last)
	}
}

// Each try is counted as what came of it; what nobody wants any more is none.
func TestTriesAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := &bytes.Buffer{}
	r.service.Metrics = metric.New(metric.Config{Out: out, Namespace: "notify", Now: r.clock})
	try := func(what, want string, m webhook.Message) {
		t.Helper()
		_, _, _ = r.service.Deliver(r.Context(), m)
		got := ""
		for _, p := range metrictest.Points(t, out.String()) {
			got += p.Series()
		}
		if got != want || strings.Contains(out.String(), "canary") {
			t.Errorf("%s: %s, %s", what, got, out)
		}
		out.Reset()
	}
	try("it arrives", "WebhookDeliveries Outcome=success", r.message())
	r.answers(http.StatusInternalServerError)
	try("it does not", "WebhookDeliveries Outcome=postponed", r.message())
	old := r.message()
	old.Sent = old.Sent.Add(-30 * 24 * time.Hour)
	try("it never will", "WebhookDeliveries Outcome=given_up", old)
	r.mu.Lock()
	r.apply = func([]store.Op, func() error) error { return errors.New("the store refuses") }
	r.mu.Unlock()
	try("the store is down", "WebhookDeliveries Outcome=failed", r.message())
	r.mu.Lock()
	r.apply = nil
	r.mu.Unlock()
	gone := r.message()
	gone.Webhook = "wh_0000000000000009"
	try("it is deleted", "", gone)
	r.answers(http.StatusGone)
	try("it wants no more", "WebhookDeliveries Outcome=given_up", r.message())
	try("it is switched off", "", r.message())
}
