package admin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/webhook"
)

type hooks struct {
	*bundletest.Bench
	sent []webhook.Message
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	t.Parallel()
	h := &hooks{Bench: bundletest.New(t, bundletest.Options{})}
	h.Admin.Announce = func(_ context.Context, messages []webhook.Message) error {
		h.sent = append(h.sent, messages...)
		return nil
	}
	return h
}

func said[T any](v T) *T { return &v }

const endpoint = "https://hooks.example.com/vault"

func (h *hooks) make(key string) (record.Webhook, string) {
	h.Helper()
	w, text, err := h.Admin.CreateWebhook(h.Context(), h.Owner, key, admin.WebhookInput{URL: said(endpoint)})
	h.OK(err)
	return w, text.Reveal()
}

func (h *hooks) refused(err error, code, field string) {
	h.Helper()
	if f := fault.As(err); err == nil || f.Code != code || f.Field != field || f.Action == "" {
		h.Errorf("the answer is %v (%s %s); want %s %s", err, f.Code, f.Field, code, field)
	}
}

func TestWebhookInputIsChecked(t *testing.T) {
	h := newHooks(t)
	for _, c := range []struct {
		name  string
		in    admin.WebhookInput
		code  string
		field string
	}{
		{"nothing", admin.WebhookInput{}, "invalid_field", "url"},
		{"an empty URL", admin.WebhookInput{URL: said("")}, "webhook_url_refused", "url"},
		{"no https", admin.WebhookInput{URL: said("http://hooks.example.com/")}, "webhook_url_refused", "url"},
		{"an address", admin.WebhookInput{URL: said("https://10.0.0.1/")}, "webhook_url_refused", "url"},
		{"loopback", admin.WebhookInput{URL: said("http://127.0.0.1:80/")}, "webhook_url_refused", "url"},
		{"no kinds", admin.WebhookInput{URL: said(endpoint), Kinds: &[]string{}}, "invalid_field", "kinds"},
		{"an unknown kind", admin.WebhookInput{URL: said(endpoint), Kinds: &[]string{"authorized", "exploded"}}, "invalid_field", "kinds"},
		{"the kind of tests", admin.WebhookInput{URL: said(endpoint), Kinds: &[]string{"test"}}, "invalid_field", "kinds"},
		{"a long label", admin.WebhookInput{URL: said(endpoint), Label: said(strings.Repeat("a", 129))}, "invalid_field", "label"},
		{"a label that turns around", admin.WebhookInput{URL: said(endpoint), Label: said("a\u202eb")}, "invalid_field", "label"},
	} {
		_, text, err := h.Admin.CreateWebhook(t.Context(), h.Owner, "", c.in)
		h.refused(err, c.code, c.field)
		if !text.IsZero() {
			t.Errorf("%s: there is a secret", c.name)
		}
	}
	if list, err := h.Admin.ListWebhooks(t.Context(), h.Owner); err != nil || len(list.Items) != 0 {
		t.Errorf("%d were made: %v", len(list.Items), err)
	}
	w, _ := h.make("")
	_, err := h.Admin.UpdateWebhook(t.Context(), h.Owner, w.ID, admin.WebhookInput{URL: said("https://localhost/")})
	h.refused(err, "webhook_url_refused", "url")
	got, err := h.Admin.UpdateWebhook(t.Context(), h.Owner, w.ID, admin.WebhookInput{Kinds: &[]string{"recovered", "authorized", "recovered"}, Label: said("on call"), Disabled: said(true)})
	if err != nil || len(got.Kinds) != 2 || got.Kinds[0] != record.EventAuthorized || got.Label != "on call" || !got.Disabled || got.URL != endpoint {
		t.Errorf("%+v, %v", got, err)
	}
}

// Another tenant's webhook is not there: not to be read, changed, rotated, tried or removed.
func TestWebhooksOfAnotherTenant(t *testing.T) {
	h := newHooks(t)
	w, _ := h.make("")
	_, err := h.Admin.UpdateWebhook(t.Context(), h.Alien, w.ID, admin.WebhookInput{Disabled: said(true)})
	h.refused(err, "not_found", "")
	_, text, err := h.Admin.RotateWebhookSecret(t.Context(), h.Alien, "", w.ID)
	h.refused(err, "not_found", "")
	_, testErr := h.Admin.TestWebhook(t.Context(), h.Alien, "", w.ID)
	h.refused(testErr, "not_found", "")
	h.refused(h.Admin.DeleteWebhook(t.Context(), h.Alien, w.ID), "not_found", "")
	if list, err := h.Admin.ListWebhooks(t.Context(), h.Alien); err != nil || len(list.Items) != 0 || !text.IsZero() || len(h.sent) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// A repeat makes nothing anew, and shows no secret.
func TestWebhookRepeats(t *testing.T) {
	h := newHooks(t)
	first, text := h.make("one")
	second, again := h.make("one")
	if first.ID != second.ID || text == "" || again != "" {
		t.Errorf("%s and %s, %t and %t", first.ID, second.ID, text != "", again != "")
	}
	_, _, err := h.Admin.CreateWebhook(t.Context(), h.Owner, "one", admin.WebhookInput{URL: said("https://other.example.com/")})
	h.refused(err, "idempotency_key_reused", "Idempotency-Key")

	_, rotated, err := h.Admin.RotateWebhookSecret(t.Context(), h.Owner, "two", first.ID)
	h.OK(err)
	w, none, err := h.Admin.RotateWebhookSecret(t.Context(), h.Owner, "two", first.ID)
	if err != nil || rotated.IsZero() || !none.IsZero() || len(w.Secrets) != 2 {
		t.Errorf("%d secrets, %v", len(w.Secrets), err)
	}
	event, err := h.Admin.TestWebhook(t.Context(), h.Owner, "three", first.ID)
	h.OK(err)
	repeated, err := h.Admin.TestWebhook(t.Context(), h.Owner, "three", first.ID)
	if err != nil || event != repeated || len(h.sent) != 1 || h.sent[0].Event.ID != event || h.sent[0].Event.Kind != record.EventTest {
		t.Errorf("%s and %s, %d sent: %v", event, repeated, len(h.sent), err)
	}
}

// Each replaced secret signs for its own day, and five sign at most.
func TestRotations(t *testing.T) {
	h := newHooks(t)
	w, first := h.make("")
	texts := map[string]bool{first: true}
	for n := range 6 {
		h.Clock.Add(time.Minute)
		got, text, err := h.Admin.RotateWebhookSecret(t.Context(), h.Owner, "", w.ID)
		h.OK(err)
		texts[text.Reveal()] = true
		if got.Secrets[0].Number != int64(n+2) || !got.Secrets[0].Until.IsZero() || !got.Secrets[1].Until.Equal(h.Clock.Now().Add(24*time.Hour)) || len(got.Secrets) != min(n+2, 5) {
			t.Fatalf("after %d: %+v", n+1, got.Secrets)
		}
		if n == 1 && !got.Secrets[2].Until.Equal(h.Clock.Now().Add(24*time.Hour-time.Minute)) {
			t.Errorf("an earlier one signs until %s", got.Secrets[2].Until)
		}
		open, err := h.Vault.OpenWebhookSecrets(t.Context(), got)
		if err != nil || open[0].Reveal() != text.Reveal() {
			t.Errorf("%v", err)
		}
	}
	if len(texts) != 7 {
		t.Errorf("%d different secrets", len(texts))
	}
	h.Clock.Add(25 * time.Hour)
	got, _, err := h.Admin.RotateWebhookSecret(t.Context(), h.Owner, "", w.ID)
	if err != nil || len(got.Secrets) != 2 {
		t.Errorf("what has ended is kept: %d, %v", len(got.Secrets), err)
	}
}

func TestTestOfWhatCannotBeSent(t *testing.T) {
	h := newHooks(t)
	w, _ := h.make("")
	h.Admin.Announce = func(context.Context, []webhook.Message) error { return errors.New("canary") }
	_, err := h.Admin.TestWebhook(t.Context(), h.Owner, "one", w.ID)
	if f := fault.As(err); f.Kind != fault.Unavailable || f.RetryAfter == 0 || strings.Contains(f.Detail, "canary") {
		t.Errorf("%v", err)
	}
	_, err = h.Admin.UpdateWebhook(t.Context(), h.Owner, w.ID, admin.WebhookInput{Disabled: said(true)})
	h.OK(err)
	_, err = h.Admin.TestWebhook(t.Context(), h.Owner, "", w.ID)
	h.refused(err, "webhook_disabled", "")
}

// Of many that ask at once under one key, one is given the secret, and it is the one that signs.
func TestWebhookRepeatsAtOnce(t *testing.T) {
	h := newHooks(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	given, ids := map[string]bool{}, map[string]bool{}
	for range 12 {
		wait.Go(func() {
			w, text, err := h.Admin.CreateWebhook(t.Context(), h.Owner, "one", admin.WebhookInput{URL: said(endpoint)})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids[w.ID] = true
			if !text.IsZero() {
				given[text.Reveal()] = true
			}
		})
	}
	wait.Wait()
	list, err := h.Admin.ListWebhooks(t.Context(), h.Owner)
	if err != nil || len(list.Items) != 1 || len(ids) != 1 || len(given) != 1 {
		t.Fatalf("%d webhooks, %d ids, %d secrets: %v", len(list.Items), len(ids), len(given), err)
	}
	if open, err := h.Vault.OpenWebhookSecrets(t.Context(), list.Items[0]); err != nil || !given[open[0].Reveal()] {
		t.Errorf("the secret that was given does not sign: %v", err)
	}
}
