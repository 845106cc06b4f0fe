package api

import (
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// Webhook is a webhook as the API shows it. Of its secrets it shows nothing.
type Webhook struct {
	ID         string             `json:"id"`
	URL        string             `json:"url"`
	Kinds      []record.EventKind `json:"kinds"`
	Label      string             `json:"label,omitempty"`
	Disabled   bool               `json:"disabled"`
	DisabledBy string             `json:"disabled_by,omitempty"`                // "endpoint": it answered 410
	Previous   time.Time          `json:"previous_secret_signs_until,omitzero"` // the last of the replaced ones
	Last       *Delivery          `json:"last_delivery,omitempty"`
	LastError  string             `json:"last_error,omitempty"`
	Failing    time.Time          `json:"failing_since,omitzero"`
	CreatedBy  string             `json:"created_by"`
	CreatedAt  time.Time          `json:"created_at"`
	UpdatedAt  time.Time          `json:"updated_at"`
}

// Delivery is the last try to tell a webhook of an event.
type Delivery struct {
	Event     string           `json:"event"`
	Kind      record.EventKind `json:"kind"`
	At        time.Time        `json:"at"`
	Delivered bool             `json:"delivered"`
	Status    int              `json:"status,omitempty"`
	Next      time.Time        `json:"next_attempt,omitzero"`
}

// WebhookOf shows a webhook.
func WebhookOf(w record.Webhook, now time.Time) Webhook {
	out := Webhook{ID: w.ID, URL: w.URL, Kinds: w.Kinds, Label: w.Label, Disabled: w.Disabled, Failing: w.FailingSince,
		CreatedBy: w.CreatedBy, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}
	if len(out.Kinds) == 0 {
		out.Kinds = record.EventKinds()
	}
	if w.Gone {
		out.DisabledBy = "endpoint"
	}
	for _, s := range w.Signing(now) {
		if s.Until.After(out.Previous) {
			out.Previous = s.Until
		}
	}
	if d := w.Last; d != nil {
		out.Last = &Delivery{Event: d.Event, Kind: d.Kind, At: d.At, Delivered: d.Delivered, Status: d.Status, Next: d.Next}
		out.LastError = d.Problem
	}
	return out
}

// WebhookWithSecret is the one answer that shows a signing secret: to whoever has just had it made.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret,omitempty"`
}

// WebhookWithSecretOf shows a webhook and the secret that was made with this very call; none on its repeat.
func WebhookWithSecretOf(w record.Webhook, now time.Time, text secret.Text) WebhookWithSecret {
	return WebhookWithSecret{Webhook: WebhookOf(w, now), Secret: text.Reveal()}
}

// WebhookMessage is the body that goes to a webhook's endpoint.
type WebhookMessage struct {
	Type      record.EventKind `json:"type"`
	Timestamp time.Time        `json:"timestamp"` // of the event, not of the try
	Data      any              `json:"data"`
}

// testData is what there is to say in a message that tries a webhook.
type testData struct {
	ID      string           `json:"id"`
	Kind    record.EventKind `json:"kind"`
	Time    time.Time        `json:"time"`
	Webhook string           `json:"webhook"`
}

// WebhookMessageOf makes the body for an event: the event as the list of events shows it.
func WebhookMessageOf(webhook string, e record.Event) WebhookMessage {
	out := WebhookMessage{Type: e.Kind, Timestamp: e.At}
	if e.Kind == record.EventTest {
		out.Data = testData{ID: e.ID, Kind: e.Kind, Time: e.At, Webhook: webhook}
	} else {
		out.Data = EventOf(e)
	}
	return out
}
