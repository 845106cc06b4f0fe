package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/store"
)

// errPast ends a listing at what lies behind its end.
var errPast = errors.New("past the end")

// AuditEvents lists a tenant's audit events that keep likes, the oldest first, after the key of one and before a time;
// the zero time is none.
func (v *Vault) AuditEvents(ctx context.Context, tenant, after string, until time.Time, limit int, keep func(audit.Event) bool) (Page[audit.Event], error) {
	return v.auditPage(ctx, tenant, AuditPrefix, after, until, limit, keep)
}

// AuditChain lists those of one subject.
func (v *Vault) AuditChain(ctx context.Context, tenant string, s audit.Subject, after string, until time.Time, limit int, keep func(audit.Event) bool) (Page[audit.Event], error) {
	return v.auditPage(ctx, tenant, ChainPrefix(s), after, until, limit, keep)
}

func (v *Vault) auditPage(ctx context.Context, tenant, prefix, after string, until time.Time, limit int, keep func(audit.Event) bool) (Page[audit.Event], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: prefix, After: after}
	page, err := list(ctx, v, q, limit, func(item store.Item) (audit.Event, bool, error) {
		e, err := auditEventOf(item.Attrs)
		if err == nil && !until.IsZero() && !e.At.Before(until) {
			err = errPast
		}
		return e, err == nil && keep(e), err
	})
	if errors.Is(err, errPast) {
		return Page[audit.Event]{Items: page.Items}, nil
	}
	return page, err
}

// AuditSince is the key after which a listing begins with the audit events from a time on.
func AuditSince(t time.Time) string {
	return AuditPrefix + t.Add(time.Millisecond-1).UTC().Format(eventTime)
}

// trimmed at once: so many events are two deletions each, with the anchor in one transaction.
const auditTrim = 10

// TrimAudit removes some of a tenant's audit events that are too old: up to ten of one chain, from its beginning, and
// never what still has to be kept. An anchor takes their place. more reports whether there may be others.
func (v *Vault) TrimAudit(ctx context.Context, tenant string) (removed int, more bool, err error) {
	oldest := v.Now().AddDate(0, -auditMonths, 0)
	items, _, err := v.Items.Query(ctx, store.Query{Table: store.Records, Partition: tenant, Prefix: AuditPrefix, Limit: 1})
	if err != nil || len(items) == 0 {
		return 0, false, storeFault(err)
	}
	first, err := auditEventOf(items[0].Attrs)
	if err != nil || !first.At.Before(oldest) {
		return 0, false, err
	}
	removed, err = v.trimChain(ctx, tenant, first.Subject, oldest)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return 0, false, nil // somebody else is at it, or the chain is not as it should be; then nothing is taken from it
	}
	return removed, err == nil && removed > 0, err
}

func (v *Vault) trimChain(ctx context.Context, tenant string, s audit.Subject, oldest time.Time) (removed int, err error) {
	items, _, err := v.Items.Query(ctx, store.Query{Table: store.Records, Partition: tenant, Prefix: ChainPrefix(s), Limit: auditTrim})
	if err != nil {
		return 0, storeFault(err)
	}
	var ops []store.Op
	var last audit.Event
	var mac []byte
	for _, item := range items {
		e, err := auditEventOf(item.Attrs)
		if err != nil {
			return 0, err
		}
		if !e.At.Before(oldest) {
			break
		}
		last, mac = e, item.Attrs.Bytes(attrAuditMAC)
		ops = append(ops, store.Op{Verb: store.Delete, Table: store.Records, Key: item.Key, If: store.Equal(attrAuditMAC, mac)},
			store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: tenant, Sort: AuditKey(e)}, If: store.Equal(attrAuditMAC, mac)})
	}
	if len(ops) == 0 {
		return 0, nil
	}
	if err := v.checkStart(ctx, tenant, s, items[:len(ops)/2]); err != nil {
		return 0, err
	}
	end, err := v.chainEnd(ctx, tenant, s)
	if err != nil {
		return 0, err
	}
	removed = len(ops) / 2
	if end.place == audit.Tombstone && end.number == last.Number { // nothing is left of it, and nothing will come
		return removed, v.apply(ctx, append(ops,
			store.Op{Verb: store.Delete, Table: store.Records, Key: tombstoneKey(tenant, s), If: end.unmoved(audit.Tombstone)},
			store.Op{Verb: store.Delete, Table: store.Records, Key: anchorKey(tenant, s)})...)
	}
	anchor, err := v.place(ctx, audit.Anchor, tenant, s, last.Number, mac, milli(last.At))
	if err != nil {
		return 0, err
	}
	return removed, v.apply(ctx, append(ops, store.Op{Verb: store.Put, Table: store.Records, Key: anchorKey(tenant, s), Set: anchor})...)
}

// checkStart refuses to trim a chain whose beginning is not as it should be: the trimming would hide it.
func (v *Vault) checkStart(ctx context.Context, tenant string, s audit.Subject, items []store.Item) error {
	w := walk{Vault: v, tenant: tenant, subject: s}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for _, item := range items {
		if err := w.event(ctx, item); err != nil {
			return err
		}
	}
	if len(w.findings) > 0 {
		return &store.ConditionFailed{}
	}
	return nil
}
