package record

import (
	"slices"
	"time"
)

// EventTest is the kind of what is sent to try a webhook. It is in nobody's list of events.
const EventTest EventKind = "test"

// EventKinds are the kinds that can be listed, and sent to webhooks.
func EventKinds() []EventKind {
	return []EventKind{EventAuthorized, EventExpiring, EventReauth, EventRecovered}
}

// Webhook is an endpoint of a tenant's that is told of events.
type Webhook struct {
	Tenant    string      `json:"-"`
	ID        string      `json:"id"`
	URL       string      `json:"url"`             // may hold a token of the tenant's: it is shown to those who may change it, and never logged
	Kinds     []EventKind `json:"kinds,omitempty"` // what it is told; none: everything
	Label     string      `json:"label,omitempty"`
	Disabled  bool        `json:"disabled"`
	Gone      bool        `json:"gone,omitempty"` // the endpoint itself asked to be left alone, and was disabled for it
	CreatedBy string      `json:"created_by"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	Revision  int64       `json:"-"`

	// Secrets are what its messages are signed with, sealed: first the one in force, then those that it replaced.
	Secrets []WebhookSecret `json:"secrets"`

	// What became of deliveries; kept beside the rest of the record, so that noting one is no change of it.
	Last         *Delivery `json:"-"`
	FailingSince time.Time `json:"-"` // an event was given up, and none has arrived since
}

// WebhookSecret is a signing secret.
type WebhookSecret struct {
	Number int64     `json:"number"` // grows by one with each; the seal is bound to it
	Sealed []byte    `json:"sealed"`
	Until  time.Time `json:"until,omitzero"` // when it stops signing; zero for the one in force
}

// Wants reports whether the webhook is told of events of a kind.
func (w *Webhook) Wants(kind EventKind) bool {
	return kind == EventTest || len(w.Kinds) == 0 || slices.Contains(w.Kinds, kind)
}

// Signing lists the secrets that sign at a time, the one in force first.
func (w *Webhook) Signing(now time.Time) []WebhookSecret {
	var out []WebhookSecret
	for _, s := range w.Secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			out = append(out, s)
		}
	}
	return out
}

// Delivery is what became of the last try to tell a webhook.
type Delivery struct {
	Event     string    `json:"event"` // its id
	Kind      EventKind `json:"kind"`
	At        time.Time `json:"at"`
	Delivered bool      `json:"delivered"`
	Status    int       `json:"status,omitempty"` // of the endpoint's answer; 0: there was none
	Problem   string    `json:"problem,omitempty"`
	Next      time.Time `json:"next,omitzero"` // when it is tried again; zero: it arrived, or was given up
}
