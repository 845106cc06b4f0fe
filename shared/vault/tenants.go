package vault

import (
	"context"
	"errors"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// A tenant is a record in its own space, and a line in a list outside of all, which says that it is there and whether it is
// being deleted: the store can list a space, and cannot list the spaces.

const (
	tenantSort  = "tenant"
	listPrefix  = "tenant#"
	attrClosing = "closing"
)

func tenantKey(id string) store.Key { return store.Key{Partition: id, Sort: tenantSort} }

func listedKey(id string) store.Key {
	return store.Key{Partition: ident.Outside, Sort: listPrefix + id}
}

// CreateTenant stores a tenant's record. It is no error when there is one already, which stays as it is. The tenant's keyring
// must be there: what is told of it takes a key.
func (v *Vault) CreateTenant(ctx context.Context, tenant record.Tenant) error {
	doc, err := encode(tenant)
	if err != nil {
		return err
	}
	err = v.applyAudited(ctx, tenant.ID, tenantSubject(tenant.ID), tenantCreated(tenant),
		store.Op{Verb: store.Put, Table: store.Records, If: store.Absent(), Key: tenantKey(tenant.ID),
			Set: store.Attrs{attrDoc: doc, attrTenant: tenant.ID, attrRevision: int64(1)}},
		store.Op{Verb: store.Put, Table: store.Records, Key: listedKey(tenant.ID), Set: store.Attrs{attrTenant: tenant.ID}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// Tenant reads a tenant's record; store.ErrNotFound when there is none. That of a deleted tenant stays.
func (v *Vault) Tenant(ctx context.Context, id string) (record.Tenant, error) {
	attrs, err := v.get(ctx, store.Records, tenantKey(id))
	if err != nil {
		return record.Tenant{}, err
	}
	var tenant record.Tenant
	err = decode(attrs, &tenant)
	tenant.Revision = attrs.Int(attrRevision)
	return tenant, err
}

// Closed reports whether a tenant is being deleted, or was: then nobody is let in, and no token is refreshed.
func (v *Vault) Closed(ctx context.Context, id string) (bool, error) {
	tenant, err := v.Tenant(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return tenant.Closed(), err
}

// UpdateTenant stores a changed record if nobody changed it since before was read, and keeps the list in step, all or none.
// changed_meanwhile otherwise.
func (v *Vault) UpdateTenant(ctx context.Context, before, after record.Tenant) (record.Tenant, error) {
	doc, err := encode(after)
	if err != nil {
		return after, err
	}
	ops := []store.Op{{Verb: store.Update, Table: store.Records, Key: tenantKey(after.ID), If: store.Equal(attrRevision, before.Revision),
		Set: store.Attrs{attrDoc: doc, attrRevision: before.Revision + 1}}}
	switch {
	case !after.DeletedAt.IsZero():
		ops = append(ops, store.Op{Verb: store.Delete, Table: store.Records, Key: listedKey(after.ID)})
	case after.Closed() && !before.Closed():
		ops = append(ops, store.Op{Verb: store.Put, Table: store.Records, Key: listedKey(after.ID),
			Set: store.Attrs{attrTenant: after.ID, attrClosing: true}})
	}
	err = v.apply(ctx, ops...)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return after, changedMeanwhile()
	}
	after.Revision = before.Revision + 1
	return after, err
}

// Listed is a line of the list of tenants.
type Listed struct {
	ID      string
	Closing bool
}

// Tenants lists the tenants that are not deleted, by id, after the id of one.
func (v *Vault) Tenants(ctx context.Context, after string, limit int, keep func(Listed) bool) (Page[Listed], error) {
	q := store.Query{Table: store.Records, Partition: ident.Outside, Prefix: listPrefix}
	if after != "" {
		q.After = listPrefix + after
	}
	page, err := list(ctx, v, q, limit, func(item store.Item) (Listed, bool, error) {
		line := Listed{ID: item.Attrs.String(attrTenant), Closing: item.Attrs.Bool(attrClosing)}
		return line, keep(line), nil
	})
	page.Next = strings.TrimPrefix(page.Next, listPrefix)
	return page, err
}

// removeAtOnce is how many items one write removes: as many as every engine takes.
const removeAtOnce = 25

// spare says what of a tenant's space is not removed as it lies there: the record of the tenant, which outlasts it, and
// entries with their aliases, which the token service removes together with their tokens.
func spare(table store.Table, sort string) bool {
	return table == store.Records && (sort == tenantSort || strings.HasPrefix(sort, "entry#") || strings.HasPrefix(sort, "alias#"))
}

// RemoveNotes removes what is noted of an entry beside its records.
func (v *Vault) RemoveNotes(ctx context.Context, tenant, entry string) error {
	for {
		more, err := v.remove(ctx, store.Transient, useKey(tenant, entry).Partition)
		if err != nil || !more {
			return err
		}
	}
}

// RemoveRest removes a hundred items at most of what lies in a tenant's own space beside its entries: keys, applications,
// events, authorization requests, notes, and whatever else is kept there. more says that there may be others.
func (v *Vault) RemoveRest(ctx context.Context, tenant string) (removed int, more bool, err error) {
	for _, table := range []store.Table{store.Records, store.Requests, store.Transient} {
		after := ""
		for {
			n, next, last, err := v.removePage(ctx, table, tenant, after)
			removed += n
			if err != nil || n > 0 {
				return removed, true, err
			}
			if last {
				break
			}
			after = next // a page of entries alone
		}
	}
	return removed, false, nil
}

// remove removes a page of a partition; more says that there may be others.
func (v *Vault) remove(ctx context.Context, table store.Table, partition string) (more bool, err error) {
	_, _, last, err := v.removePage(ctx, table, partition, "")
	return !last, err
}

func (v *Vault) removePage(ctx context.Context, table store.Table, partition, after string) (removed int, next string, last bool, err error) {
	items, more, err := v.Items.Query(ctx, store.Query{Table: table, Partition: partition, After: after, Limit: 4 * removeAtOnce})
	if err != nil {
		return 0, "", false, storeFault(err)
	}
	var ops []store.Op
	for _, item := range items {
		next = item.Key.Sort
		if !spare(table, item.Key.Sort) {
			ops = append(ops, store.Op{Verb: store.Delete, Table: table, Key: item.Key})
		}
	}
	for len(ops) > 0 {
		n := min(len(ops), removeAtOnce)
		if err := v.apply(ctx, ops[:n]...); err != nil {
			return removed, "", false, err
		}
		removed, ops = removed+n, ops[n:]
	}
	return removed, next, !more || len(items) == 0, nil
}

// Left counts the items of a tenant that are still there, its own record not among them, up to limit.
func (v *Vault) Left(ctx context.Context, tenant string, limit int) (int, error) {
	left := 0
	for _, table := range []store.Table{store.Records, store.Requests, store.Transient} {
		q := store.Query{Table: table, Partition: tenant, Limit: 1000}
		for more := true; more && left < limit; {
			items, next, err := v.Items.Query(ctx, q)
			if err != nil {
				return left, storeFault(err)
			}
			for _, item := range items {
				if q.After = item.Key.Sort; table != store.Records || item.Key.Sort != tenantSort {
					left++
				}
			}
			more = next && len(items) > 0
		}
	}
	return min(left, limit), nil
}

// TenantUnknown is the answer for a tenant that is not there.
func TenantUnknown(id string) *fault.Error { return NotFound("tenant", id) }

// TenantClosed is the answer for a tenant that is being deleted, or was.
func TenantClosed(id string) *fault.Error {
	return fault.New(fault.Gone, "tenant_closed", "The tenant "+quote(id)+" is being deleted, or was.").On("tenant").
		Do("Make another tenant; this one cannot be had back.")
}
