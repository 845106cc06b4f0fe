package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/outbound"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

const (
	// secretOverlap is how long a signing secret signs on after it was replaced.
	secretOverlap = 24 * time.Hour
	// maxSecrets is how many sign at once; each is a signature in every message.
	maxSecrets = 5
)

// WebhookInput is what a request says of a webhook; nil members are not said.
type WebhookInput struct {
	URL      *string   `json:"url,omitempty"`
	Kinds    *[]string `json:"kinds,omitempty"`
	Label    *string   `json:"label,omitempty"`
	Disabled *bool     `json:"disabled,omitempty"`
}

// CreateWebhook makes a webhook and its secret, which is given out here and never again. A repeat under the same idempotency key
// returns the first one, without its secret.
func (s *Service) CreateWebhook(ctx context.Context, p record.Principal, key string, in WebhookInput) (record.Webhook, secret.Text, error) {
	none := secret.Text{}
	once, err := vault.NewOnce(p, key, "POST /v1/webhooks", in)
	if err != nil {
		return record.Webhook{}, none, err
	}
	if id, err := s.Vault.Earlier(ctx, p.Tenant, once); err != nil || id != "" {
		if err != nil {
			return record.Webhook{}, none, err
		}
		w, err := s.Vault.Webhook(ctx, p.Tenant, id)
		return w, none, err
	}
	if in.URL == nil {
		return record.Webhook{}, none, missing("url").Do("Give the https URL of your endpoint.")
	}
	now := s.Now().UTC()
	w := record.Webhook{Tenant: p.Tenant, CreatedBy: p.ID, CreatedAt: now, UpdatedAt: now}
	if err := s.setWebhook(&w, in); err != nil {
		return w, none, err
	}
	if w.ID, err = ident.New(s.Random, ident.Webhook); err != nil {
		return w, none, err
	}
	text, err := s.addSecret(ctx, &w)
	if err != nil {
		return w, none, err
	}
	made, err := s.Vault.CreateWebhook(ctx, w, once)
	if err != nil || made.ID != w.ID { // it was not stored, or another try of the same request was first
		text = none
	}
	return made, text, err
}

// setWebhook checks what a request says and puts it into the record.
func (s *Service) setWebhook(w *record.Webhook, in WebhookInput) error {
	if in.URL != nil {
		u, err := s.Webhooks.Parse(*in.URL)
		var refusal *outbound.Refusal
		if errors.As(err, &refusal) {
			return fault.New(fault.Invalid, "webhook_url_refused", refusal.Detail).On("url").Do(refusal.Action)
		}
		if err != nil {
			return err
		}
		w.URL = u.String()
	}
	if in.Kinds != nil {
		kinds, err := webhookKinds(*in.Kinds)
		if err != nil {
			return err
		}
		w.Kinds = kinds
	}
	if in.Label != nil {
		if *in.Label != "" {
			if err := label("label", *in.Label, maxName); err != nil {
				return err
			}
		}
		w.Label = *in.Label
	}
	if in.Disabled != nil {
		w.Disabled, w.Gone = *in.Disabled, false
	}
	return nil
}

func webhookKinds(names []string) ([]record.EventKind, error) {
	known := record.EventKinds()
	all := make([]string, len(known))
	for i, kind := range known {
		all[i] = string(kind)
	}
	if len(names) == 0 {
		return nil, invalid("kinds", "kinds is empty, and nothing would ever be sent.").Do("Name some of " + strings.Join(all, ", ") + ", or leave it out to mean all.")
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, invalid("kinds", fmt.Sprintf("There is no kind of event %q.", clip(name))).Do("Use some of " + strings.Join(all, ", ") + ".")
		}
	}
	var out []record.EventKind
	for _, kind := range known { // in their order, each once
		if slices.Contains(names, string(kind)) {
			out = append(out, kind)
		}
	}
	return out, nil
}

// addSecret gives a webhook a new secret in force. The ones before sign on for their time.
func (s *Service) addSecret(ctx context.Context, w *record.Webhook) (secret.Text, error) {
	text, err := webhook.NewSecret(s.Random)
	if err != nil {
		return text, err
	}
	now, number := s.Now().UTC(), int64(1)
	old := w.Signing(now)
	if len(old) > 0 {
		number = old[0].Number + 1
		old[0].Until = now.Add(secretOverlap)
	}
	sealed, err := s.Vault.SealWebhookSecret(ctx, *w, number, text)
	if err != nil {
		return text, err
	}
	w.Secrets = append([]record.WebhookSecret{sealed}, old...)
	w.Secrets = w.Secrets[:min(len(w.Secrets), maxSecrets)]
	return text, nil
}

// ListWebhooks lists a tenant's webhooks by id.
func (s *Service) ListWebhooks(ctx context.Context, p record.Principal) (vault.Page[record.Webhook], error) {
	return s.Vault.WebhookPage(vault.Showing(ctx), p.Tenant)
}

// UpdateWebhook changes a webhook.
func (s *Service) UpdateWebhook(ctx context.Context, p record.Principal, id string, in WebhookInput) (record.Webhook, error) {
	before, err := s.Vault.Webhook(ctx, p.Tenant, id)
	if err != nil {
		return before, err
	}
	after := before
	if err := s.setWebhook(&after, in); err != nil {
		return before, err
	}
	after.UpdatedAt = s.Now().UTC()
	return s.Vault.UpdateWebhook(ctx, before, after, nil)
}

// DeleteWebhook removes a webhook. What is on its way to it is dropped.
func (s *Service) DeleteWebhook(ctx context.Context, p record.Principal, id string) error {
	w, err := s.Vault.Webhook(ctx, p.Tenant, id)
	if err != nil {
		return err
	}
	return s.Vault.DeleteWebhook(ctx, w)
}

// RotateWebhookSecret gives a webhook a new secret, which is given out here and never again. A repeat under the same idempotency
// key rotates nothing, and returns no secret.
func (s *Service) RotateWebhookSecret(ctx context.Context, p record.Principal, key, id string) (record.Webhook, secret.Text, error) {
	none := secret.Text{}
	once, err := vault.NewOnce(p, key, "POST /v1/webhooks/"+id+"/rotate-secret", nil)
	if err != nil {
		return record.Webhook{}, none, err
	}
	before, err := s.Vault.Webhook(ctx, p.Tenant, id)
	if err != nil {
		return before, none, err
	}
	if earlier, err := s.Vault.Earlier(ctx, p.Tenant, once); err != nil || earlier != "" {
		return before, none, err
	}
	after := before
	text, err := s.addSecret(ctx, &after)
	if err != nil {
		return before, none, err
	}
	after.UpdatedAt = s.Now().UTC()
	stored, err := s.Vault.UpdateWebhook(ctx, before, after, once)
	if err != nil || !bytes.Equal(stored.Secrets[0].Sealed, after.Secrets[0].Sealed) {
		text = none // it was not stored, or another try of the same request was first
	}
	return stored, text, err
}

// TestWebhook sends one event of kind test to a webhook, and returns its id. It is tried once: what became of it is the webhook's last
// delivery.
func (s *Service) TestWebhook(ctx context.Context, p record.Principal, key, id string) (event string, err error) {
	once, err := vault.NewOnce(p, key, "POST /v1/webhooks/"+id+"/test", nil)
	if err != nil {
		return "", err
	}
	w, err := s.Vault.Webhook(ctx, p.Tenant, id)
	if err != nil {
		return "", err
	}
	if event, err = s.Vault.Earlier(ctx, p.Tenant, once); err != nil || event != "" {
		return event, err
	}
	if w.Disabled {
		return "", fault.New(fault.Conflict, "webhook_disabled", "The webhook is switched off.").Do(`PATCH it with {"disabled": false} first.`)
	}
	if event, err = ident.New(s.Random, ident.Event); err != nil {
		return "", err
	}
	now := s.Now().UTC()
	message := webhook.Message{Tenant: p.Tenant, Webhook: id, Sent: now, Event: record.Event{Tenant: p.Tenant, ID: event, Kind: record.EventTest, At: now}}
	if err := s.Announce(ctx, []webhook.Message{message}); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "store_unavailable", "The queue of webhooks does not answer now.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
	return event, s.Vault.Remember(ctx, p.Tenant, once, event)
}
