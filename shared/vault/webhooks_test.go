package vault_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// hook makes a webhook with a secret.
func (r *rig) hook(tenant string, once *vault.Once) (record.Webhook, error) {
	r.Helper()
	id, err := ident.New(rand.Reader, ident.Webhook)
	r.ok(err)
	w := record.Webhook{Tenant: tenant, ID: id, URL: "https://hooks.example.com/" + id, CreatedAt: r.clock.Now(), UpdatedAt: r.clock.Now()}
	sealed, err := r.SealWebhookSecret(r.Context(), w, 1, secret.New("secret of "+id))
	r.ok(err)
	w.Secrets = []record.WebhookSecret{sealed}
	return r.CreateWebhook(r.Context(), w, once)
}

func (r *rig) webhook(id string) record.Webhook {
	r.Helper()
	w, err := r.Webhook(r.Context(), tenant, id)
	r.ok(err)
	return w
}

func TestWebhooksAreKept(t *testing.T) {
	each(t, func(r *rig) {
		made, err := r.hook(tenant, nil)
		r.ok(err)
		got := r.webhook(made.ID)
		texts, err := r.OpenWebhookSecrets(r.Context(), got)
		r.ok(err)
		if got.URL != made.URL || got.Revision != 1 || got.Last != nil || len(texts) != 1 || texts[0].Reveal() != "secret of "+made.ID {
			r.Errorf("%+v %d", got, len(texts))
		}
		_, err = r.Webhook(r.Context(), other, made.ID)
		r.fault(err, fault.NotFound, "not_found")
		if list, err := r.Webhooks(r.Context(), other); err != nil || len(list) != 0 {
			r.Errorf("another tenant sees %v, %v", list, err)
		}
		after := got
		after.Label = "changed"
		after, err = r.UpdateWebhook(r.Context(), got, after, nil)
		r.ok(err)
		if after.Revision != 2 || r.webhook(made.ID).Label != "changed" {
			r.Errorf("%+v", after)
		}
		_, err = r.UpdateWebhook(r.Context(), got, after, nil)
		r.fault(err, fault.Conflict, "changed_meanwhile")
		r.ok(r.DeleteWebhook(r.Context(), after))
		r.ok(r.DeleteWebhook(r.Context(), after))
		_, err = r.Webhook(r.Context(), tenant, made.ID)
		r.fault(err, fault.NotFound, "not_found")
		_, err = r.UpdateWebhook(r.Context(), after, after, nil)
		r.fault(err, fault.NotFound, "not_found")
		r.ok(r.NoteDelivery(r.Context(), after, record.Delivery{Event: "ev_1"}, time.Time{})) // and it is not made again by it
		_, err = r.Webhook(r.Context(), tenant, made.ID)
		r.fault(err, fault.NotFound, "not_found")
	})
}

// A secret opens for its webhook, in its tenant, under its number, and for its time.
func TestWebhookSecretsAreBound(t *testing.T) {
	each(t, func(r *rig) {
		w, err := r.hook(tenant, nil)
		r.ok(err)
		for name, move := range map[string]func(w *record.Webhook){
			"another webhook": func(w *record.Webhook) { w.ID = "wh_0000000000000000" },
			"another number":  func(w *record.Webhook) { w.Secrets = []record.WebhookSecret{{Number: 2, Sealed: w.Secrets[0].Sealed}} },
			"another tenant":  func(w *record.Webhook) { w.Tenant = other },
		} {
			moved := w
			move(&moved)
			if _, err := r.OpenWebhookSecrets(r.Context(), moved); !errors.Is(err, seal.ErrSealed) && !errors.Is(err, seal.ErrUnknownKey) {
				r.Errorf("%s: %v", name, err)
			}
		}
		w.Secrets[0].Until = r.clock.Now().Add(time.Hour)
		if texts, err := r.OpenWebhookSecrets(r.Context(), w); err != nil || len(texts) != 1 {
			r.Errorf("%d, %v", len(texts), err)
		}
		r.clock.Add(time.Hour)
		if texts, err := r.OpenWebhookSecrets(r.Context(), w); err != nil || len(texts) != 0 {
			r.Errorf("%d, %v", len(texts), err)
		}
	})
}

// Ten are possible, whoever makes them at once; one that is deleted makes room for one.
func TestWebhooksAreCounted(t *testing.T) {
	each(t, func(r *rig) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		var made []record.Webhook
		for range 2 * vault.MaxWebhooks {
			wait.Go(func() {
				w, err := r.hook(tenant, nil)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					made = append(made, w)
				case fault.CodeOf(err) != "too_many_webhooks":
					r.Errorf("%v", err)
				}
			})
		}
		wait.Wait()
		if list, err := r.Webhooks(r.Context(), tenant); err != nil || len(list) != vault.MaxWebhooks || len(made) != vault.MaxWebhooks {
			r.Fatalf("%d were made, %d are there: %v", len(made), len(list), err)
		}
		_, err := r.hook(other, nil)
		r.ok(err)
		r.ok(r.DeleteWebhook(r.Context(), made[0]))
		r.ok(r.DeleteWebhook(r.Context(), made[0]))
		_, err = r.hook(tenant, nil)
		r.ok(err)
		_, err = r.hook(tenant, nil)
		r.fault(err, fault.Conflict, "too_many_webhooks")
	})
}

func TestWebhookOnce(t *testing.T) {
	each(t, func(r *rig) {
		once, err := vault.NewOnce(record.Principal{Tenant: tenant, ID: "key_1"}, "abc", "POST /v1/webhooks", nil)
		r.ok(err)
		first, err := r.hook(tenant, once)
		r.ok(err)
		second, err := r.hook(tenant, once)
		r.ok(err)
		if list, err := r.Webhooks(r.Context(), tenant); err != nil || len(list) != 1 || first.ID != second.ID {
			r.Errorf("%d, %v", len(list), err)
		}
		again, err := vault.NewOnce(record.Principal{Tenant: tenant, ID: "key_1"}, "def", "POST /v1/webhooks/x/rotate-secret", nil)
		r.ok(err)
		after := first
		after.Label = "once"
		_, err = r.UpdateWebhook(r.Context(), first, after, again)
		r.ok(err)
		after.Label = "twice"
		got, err := r.UpdateWebhook(r.Context(), first, after, again)
		r.ok(err)
		if got.Label != "once" || r.webhook(first.ID).Label != "once" {
			r.Errorf("%+v", got)
		}
		r.ok(r.Remember(r.Context(), tenant, nil, "x"))
		third, err := vault.NewOnce(record.Principal{Tenant: tenant, ID: "key_1"}, "ghi", "POST /v1/webhooks/x/test", nil)
		r.ok(err)
		r.ok(r.Remember(r.Context(), tenant, third, "ev_1"))
		r.ok(r.Remember(r.Context(), tenant, third, "ev_2"))
		if made, err := r.Earlier(r.Context(), tenant, third); err != nil || made != "ev_1" {
			r.Errorf("%s, %v", made, err)
		}
	})
}

// What is noted of deliveries is no change of the webhook, and a change takes it away only where it says nothing any more.
func TestDeliveriesAreNoted(t *testing.T) {
	each(t, func(r *rig) {
		w, err := r.hook(tenant, nil)
		r.ok(err)
		d := record.Delivery{Event: "ev_1", Kind: record.EventReauth, At: r.clock.Now(), Status: 500, Problem: "x", Next: r.clock.Now().Add(time.Hour)}
		r.ok(r.NoteDelivery(r.Context(), w, d, r.clock.Now()))
		got := r.webhook(w.ID)
		if got.Revision != 1 || fmt.Sprint(*got.Last) != fmt.Sprint(d) || !got.FailingSince.Equal(r.clock.Now()) {
			r.Errorf("%+v %+v", got, got.Last)
		}
		after := got
		after.Label = "changed"
		after, err = r.UpdateWebhook(r.Context(), w, after, nil) // as read before the note
		r.ok(err)
		if got = r.webhook(w.ID); got.Last == nil || got.FailingSince.IsZero() {
			r.Errorf("the change took the note away: %+v", got)
		}
		moved := after
		moved.URL = "https://other.example.com/"
		_, err = r.UpdateWebhook(r.Context(), after, moved, nil)
		r.ok(err)
		if got = r.webhook(w.ID); !got.FailingSince.IsZero() {
			r.Errorf("the new endpoint is failing: %+v", got)
		}
		r.ok(r.NoteDelivery(r.Context(), w, d, r.clock.Now()))
		r.ok(r.NoteDelivery(r.Context(), w, record.Delivery{Event: "ev_2", Delivered: true}, time.Time{}))
		if got = r.webhook(w.ID); !got.FailingSince.IsZero() || !got.Last.Delivered {
			r.Errorf("%+v", got)
		}
	})
}

// An event is owed to webhooks until somebody says that it is not, whoever comes upon it and however often.
func TestEventsAreOwed(t *testing.T) {
	each(t, func(r *rig) {
		e := record.Event{Tenant: tenant, Kind: record.EventAuthorized, Provider: "amazon", Entry: "ve_1", Generation: 1}
		first, err := r.PublishOwed(r.Context(), e)
		r.ok(err)
		r.clock.Add(time.Minute)
		second, err := r.PublishOwed(r.Context(), e)
		r.ok(err)
		if !first.Fresh || !first.Owed || second.Fresh || !second.Owed || fmt.Sprint(first.Event) != fmt.Sprint(second.Event) || first.Event.ID == "" || first.Event.At.IsZero() {
			r.Errorf("%+v\n%+v", first, second)
		}
		r.ok(r.Announced(r.Context(), second.Event))
		r.ok(r.Announced(r.Context(), second.Event))
		third, err := r.PublishOwed(r.Context(), e)
		r.ok(err)
		if third.Fresh || third.Owed {
			r.Errorf("%+v", third)
		}
		if page, err := r.Events(r.Context(), tenant, "", 10, func(record.Event) bool { return true }); err != nil || len(page.Items) != 1 || fmt.Sprint(page.Items[0]) != fmt.Sprint(first.Event) {
			r.Errorf("%+v, %v", page.Items, err)
		}
		// Of an event that is gone, nothing is left behind.
		r.ok(r.Announced(r.Context(), record.Event{Tenant: tenant, ID: "ev_0000000000000000"}))
		if fresh, err := r.Publish(r.Context(), record.Event{Tenant: tenant, Kind: record.EventReauth, Entry: "ve_1"}); !fresh || err != nil {
			r.Errorf("%t, %v", fresh, err)
		}
	})
}
