package handler_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/notify/handler"
	"connectorvault/shared/keyring"
	"connectorvault/shared/notify"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

const (
	tenant = "t_0000000000000001"
	hook   = "wh_0000000000000001"
)

// rig is the function over a vault with one webhook.
type rig struct {
	*testing.T
	handler *handler.Handler

	mu        sync.Mutex
	status    int                      // guarded by mu
	calls     int                      // guarded by mu
	postponed map[string]time.Duration // guarded by mu; by receipt
	refuses   bool                     // guarded by mu; the queue postpones nothing
	log       strings.Builder          // guarded by mu
}

func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *rig) RoundTrip(*http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return &http.Response{StatusCode: r.status, Header: http.Header{}, Body: http.NoBody}, nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{T: t, status: 200, postponed: map[string]time.Duration{}}
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	r.ok(err)
	t.Cleanup(func() { _ = s.Close() })
	ring := keyring.New(keyring.Config{Secrets: s, Now: time.Now, Random: rand.Reader})
	r.ok(ring.Create(t.Context(), tenant))
	v := vault.New(vault.Config{Items: s, Sealer: ring, Now: time.Now, Random: rand.Reader})
	w := record.Webhook{Tenant: tenant, ID: hook, URL: "https://hooks.example.com/canary"}
	sealed, err := v.SealWebhookSecret(t.Context(), w, 1, secret.New("whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"))
	r.ok(err)
	w.Secrets = []record.WebhookSecret{sealed}
	_, err = v.CreateWebhook(t.Context(), w, nil)
	r.ok(err)
	logger := slog.New(slog.NewJSONHandler(r, nil))
	r.handler = handler.New(handler.Config{Logger: logger, Notify: notify.New(notify.Config{Vault: v, HTTP: &http.Client{Transport: r}, Now: time.Now, Logger: logger}),
		Postpone: func(_ context.Context, receipt string, d time.Duration) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.refuses {
				return errors.New("the queue refuses")
			}
			r.postponed[receipt] = d
			return nil
		}})
	t.Cleanup(func() {
		if strings.Contains(r.log.String(), "canary") || strings.Contains(r.log.String(), "Y2FuYXJ5") {
			t.Errorf("the log shows what it should not: %s", r.log.String())
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

func (r *rig) message(to string) string {
	r.Helper()
	body, err := webhook.Message{Tenant: tenant, Webhook: to, Sent: time.Now(), Event: record.Event{ID: "ev_0000000000000001", Kind: record.EventAuthorized, At: time.Now()}}.Encode()
	r.ok(err)
	return string(body)
}

// batch sends messages and returns which must come again.
func (r *rig) batch(bodies ...string) string {
	r.Helper()
	var event events.SQSEvent
	for n, body := range bodies {
		event.Records = append(event.Records, events.SQSMessage{MessageId: fmt.Sprint("m", n), ReceiptHandle: fmt.Sprint("receipt", n), Body: body})
	}
	payload, err := json.Marshal(event)
	r.ok(err)
	out, err := r.handler.Handle(r.Context(), payload)
	r.ok(err)
	var again []string
	for _, f := range out.BatchItemFailures {
		again = append(again, f.ItemIdentifier)
	}
	return strings.Join(again, " ")
}

func TestABatch(t *testing.T) {
	r := newRig(t)
	if again := r.batch(r.message(hook), `{"tenant":"canary"}`, r.message("wh_0000000000000002"), r.message(hook)); again != "m1" || r.calls != 2 {
		t.Errorf("to come again: %q; %d calls", again, r.calls)
	}
	r.status = 500
	if again := r.batch(r.message(hook)); again != "m0" || len(r.postponed) != 1 || r.postponed["receipt0"] <= 0 || r.postponed["receipt0"] > 6*time.Second {
		t.Errorf("to come again: %q; postponed %v", again, r.postponed)
	}
	r.refuses = true
	if again := r.batch(r.message(hook)); again != "m0" || !strings.Contains(r.log.String(), "the queue refuses") {
		t.Errorf("to come again: %q; %s", again, r.log.String())
	}
}

func TestWhatIsNoBatch(t *testing.T) {
	r := newRig(t)
	for _, payload := range []string{"", "{}", "canary", `{"Records":[]}`, `{"Records":"canary"}`, `{"op":"refresh","tenant":"t_1"}`} {
		if _, err := r.handler.Handle(t.Context(), []byte(payload)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", payload, err)
		}
	}
}
