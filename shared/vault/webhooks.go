package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// MaxWebhooks is how many webhooks a tenant may have: as many as one batch of a queue has messages, so that an event goes out to
// all of them or to none.
const MaxWebhooks = 10

// WebhookPrefix begins the sort keys of webhooks.
const WebhookPrefix = "webhook#"

// Attributes of a webhook beside its document.
const (
	attrCount   = "count"         // of the item that counts a tenant's webhooks
	attrLastTry = "last_delivery" // JSON
	attrFailing = "failing_since" // milliseconds
)

func webhookKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: WebhookPrefix + id}
}

// webhooksKey is the item that counts a tenant's webhooks.
func webhooksKey(tenant string) store.Key { return store.Key{Partition: tenant, Sort: "webhooks"} }

// webhookBinding binds a secret to its webhook and to its number there, so that one that was replaced does not open in the
// place of the one in force.
func webhookBinding(w record.Webhook, number int64) seal.Binding {
	return seal.Binding{Purpose: "webhook", Tenant: w.Tenant, Record: w.ID, Generation: number}
}

// SealWebhookSecret seals a signing secret under its number.
func (v *Vault) SealWebhookSecret(ctx context.Context, w record.Webhook, number int64, text secret.Text) (record.WebhookSecret, error) {
	sealed, err := v.Sealer.Seal(ctx, webhookBinding(w, number), []byte(text.Reveal()))
	return record.WebhookSecret{Number: number, Sealed: sealed}, err
}

// OpenWebhookSecrets opens the secrets that sign now.
func (v *Vault) OpenWebhookSecrets(ctx context.Context, w record.Webhook) ([]secret.Text, error) {
	var out []secret.Text
	for _, s := range w.Signing(v.Now()) {
		text, err := v.Sealer.Open(ctx, webhookBinding(w, s.Number), s.Sealed)
		if err != nil {
			return nil, fmt.Errorf("opening a signing secret: %w", err)
		}
		out = append(out, secret.New(string(text)))
	}
	return out, nil
}

// CreateWebhook stores a new webhook, if the tenant may have another. A repeat under the same key returns the first one.
func (v *Vault) CreateWebhook(ctx context.Context, w record.Webhook, once *Once) (record.Webhook, error) {
	doc, err := encode(w)
	if err != nil {
		return w, err
	}
	ops := []store.Op{
		// The webhook's own item comes first: by it a write that is repeated is known again, whoever has counted since.
		{Verb: store.Put, Table: store.Records, Key: webhookKey(w.Tenant, w.ID), If: store.Absent(),
			Set: store.Attrs{attrDoc: doc, attrTenant: w.Tenant, attrRevision: int64(1)}},
		{Verb: store.Update, Table: store.Records, Key: webhooksKey(w.Tenant), Add: map[string]int64{attrCount: 1},
			If: store.Any(store.Lacks(attrCount), store.Less(attrCount, MaxWebhooks))},
	}
	if once != nil {
		ops = append(ops, once.op(v.Now(), w.Tenant, w.ID))
	}
	err = v.apply(ctx, ops...)
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		w.Revision = 1
		return w, err
	}
	id, err := v.Earlier(ctx, w.Tenant, once)
	switch {
	case err != nil:
		return w, err
	case id != "":
		return v.Webhook(ctx, w.Tenant, id)
	case failed.Index == 1:
		return w, fault.New(fault.Conflict, "too_many_webhooks", fmt.Sprintf("There are %d webhooks already.", MaxWebhooks)).
			Do("Delete one that is not needed, or pass events on from one that is there.")
	default:
		return w, changedMeanwhile()
	}
}

// Webhook reads a webhook; not_found when the tenant has none of that id.
func (v *Vault) Webhook(ctx context.Context, tenant, id string) (record.Webhook, error) {
	attrs, err := v.get(ctx, store.Records, webhookKey(tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return record.Webhook{}, NotFound("webhook", id)
	}
	if err != nil {
		return record.Webhook{}, err
	}
	return webhookOf(tenant, attrs)
}

func webhookOf(tenant string, attrs store.Attrs) (record.Webhook, error) {
	var w record.Webhook
	if err := decode(attrs, &w); err != nil {
		return w, err
	}
	w.Tenant, w.Revision, w.FailingSince = tenant, attrs.Int(attrRevision), fromMilli(attrs.Int(attrFailing))
	if last := attrs.String(attrLastTry); last != "" {
		w.Last = &record.Delivery{}
		if err := json.Unmarshal([]byte(last), w.Last); err != nil {
			return w, fmt.Errorf("decoding a delivery: %w", err)
		}
	}
	return w, nil
}

// Webhooks lists a tenant's webhooks by id: all of them, for they are few.
func (v *Vault) Webhooks(ctx context.Context, tenant string) ([]record.Webhook, error) {
	page, err := v.WebhookPage(ctx, tenant)
	return page.Items, err
}

// WebhookPage is Webhooks, and names those that are left out.
func (v *Vault) WebhookPage(ctx context.Context, tenant string) (Page[record.Webhook], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: WebhookPrefix}
	return list(ctx, v, q, MaxWebhooks, func(item store.Item) (record.Webhook, bool, error) {
		w, err := webhookOf(tenant, item.Attrs)
		return w, true, err
	})
}

// UpdateWebhook stores a changed webhook if nobody changed it since before was read. What was noted of its deliveries
// stays, unless it leads elsewhere now, or was switched on: what failed before is no news of what is there now.
func (v *Vault) UpdateWebhook(ctx context.Context, before, after record.Webhook, once *Once) (record.Webhook, error) {
	doc, err := encode(after)
	if err != nil {
		return after, err
	}
	op := store.Op{Verb: store.Update, Table: store.Records, Key: webhookKey(after.Tenant, after.ID),
		If:  store.Equal(attrRevision, before.Revision),
		Set: store.Attrs{attrDoc: doc, attrRevision: before.Revision + 1}}
	if after.URL != before.URL || before.Disabled && !after.Disabled {
		op.Remove = []string{attrFailing}
		after.FailingSince = time.Time{}
	}
	ops := []store.Op{op}
	if once != nil {
		ops = append(ops, once.op(v.Now(), after.Tenant, after.ID))
	}
	err = v.apply(ctx, ops...)
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		after.Revision = before.Revision + 1
		return after, err
	}
	if id, err := v.Earlier(ctx, after.Tenant, once); err != nil || id != "" {
		if err != nil {
			return after, err
		}
		return v.Webhook(ctx, after.Tenant, id)
	}
	if failed.Index == 0 && failed.Old == nil {
		return after, NotFound("webhook", after.ID)
	}
	return after, changedMeanwhile()
}

// DeleteWebhook removes a webhook, with its secrets, and its place in the count. Removing one that is gone is no error.
func (v *Vault) DeleteWebhook(ctx context.Context, w record.Webhook) error {
	err := v.apply(ctx,
		store.Op{Verb: store.Delete, Table: store.Records, Key: webhookKey(w.Tenant, w.ID), If: store.Exists()},
		store.Op{Verb: store.Update, Table: store.Records, Key: webhooksKey(w.Tenant), Add: map[string]int64{attrCount: -1}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// NoteDelivery notes what became of a try. failing says since when the webhook is failing; the zero time: it is not. It is no change of
// the webhook: who changes it at the same time does not meet it. Of one that was deleted, nothing is noted.
func (v *Vault) NoteDelivery(ctx context.Context, w record.Webhook, d record.Delivery, failing time.Time) error {
	note, err := encode(d)
	if err != nil {
		return err
	}
	op := store.Op{Verb: store.Update, Table: store.Records, Key: webhookKey(w.Tenant, w.ID), If: store.Exists(), Set: store.Attrs{attrLastTry: note}}
	if failing.IsZero() {
		op.Remove = []string{attrFailing}
	} else {
		op.Set[attrFailing] = milli(failing)
	}
	err = v.apply(ctx, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}
