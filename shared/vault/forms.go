package vault

import (
	"context"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/schema"
	"connectorvault/shared/store"
)

// kinds says what lies where: table, and the beginning of the sort key up to its first "#". What has no line here is of no
// kind that this version knows, and is left alone.
var kinds = map[store.Table]map[string]schema.Kind{
	store.Records: {
		tenantSort: schema.Tenant, listPrefix: schema.TenantLine,
		"entry#": schema.Entry, "alias#": schema.Alias, "app#": schema.App, "client#": schema.AppClient, "connector#": schema.Connector,
		"key#": schema.Key, "token#": schema.ConnectorToken, WebhookPrefix: schema.Webhook, "webhooks": schema.Webhooks,
		EventPrefix: schema.Event, "events": schema.EventOrder, "raised#": schema.EventOnce,
		AuditPrefix: schema.AuditEvent, chainPrefix: schema.AuditEvent, tombstonePrefix: schema.AuditPlace, anchorPrefix: schema.AuditPlace,
	},
	store.Credentials: {"credential": schema.Credential},
	store.Requests:    {"request#": schema.Request, "open#": schema.OpenRequest, "probe#": schema.Note},
	store.Transient: {
		"once#": schema.Once, "grant#": schema.Grant,
		"use": schema.Note, "keyuse#": schema.Note, "cursor#": schema.Note, "document#": schema.Note, "rejected": schema.Note,
		"refused#": schema.Note, "orphans": schema.Note, "orphan#": schema.Note, "rotation#": schema.Note,
		"bucket#": fleeting, "slot#": fleeting,
	},
}

// fleeting is what lives for seconds and is written with every read: it has no forms. A new way of counting takes another
// name.
const fleeting schema.Kind = ""

// steps bring records of earlier forms into the next: steps[kind][n] makes form n+1 of form n. A form that is not read any
// more loses its step.
var steps = map[schema.Kind]map[int64]store.Step{}

// KindOf says what lies under a key; ok is false when no kind of this version does.
func KindOf(table store.Table, key store.Key) (kind schema.Kind, ok bool) {
	head := key.Sort
	if at := strings.IndexByte(head, '#'); at >= 0 {
		head = head[:at+1]
	}
	kind, ok = kinds[table][head]
	return kind, ok
}

// Forms says in which forms this version keeps what lies under a key.
func Forms(table store.Table, key store.Key) (f store.Form, ok bool) {
	kind, ok := KindOf(table, key)
	if !ok || kind == fleeting {
		return f, ok
	}
	number := schema.Of(kind)
	f = store.Form{Kind: string(kind), Writes: number.Writes, Reads: number.Reads, Steps: steps[kind]}
	if kind == schema.Credential {
		// Whoever has spent a refresh token must be able to store what it bought, where it took the lease.
		f.Holds, f.Frees = attrIntent, []string{attrGeneration, attrLeaseOwner}
	}
	return f, true
}

// showingKey marks a context under which listings leave out what they cannot show.
type showingKey struct{}

// Showing asks of listings that they leave out, and name in Page.Newer, the records that a newer version wrote. It is for
// whoever shows a page to a person. Who acts on a listing must have all of it, and is refused without.
func Showing(ctx context.Context) context.Context { return context.WithValue(ctx, showingKey{}, true) }

// endsBefore reports whether a listing that began after a key ends before an item. One that would begin with it is refused.
func endsBefore(q store.Query, item store.Item, begin string) (bool, error) {
	if item.Newer == 0 || !followed(q.Prefix) {
		return false, nil
	}
	if q.After != begin {
		return true, nil
	}
	kind, _ := KindOf(q.Table, item.Key)
	return false, fault.Newer(string(kind), item.Newer, schema.Of(kind).Reads)
}

// followed reports whether a listing is one that is followed: what was left out of it would never be seen. Such a one ends
// before the first record that it cannot show.
func followed(prefix string) bool {
	return strings.HasPrefix(prefix, EventPrefix) || strings.HasPrefix(prefix, AuditPrefix) || strings.HasPrefix(prefix, chainPrefix)
}
