package vault

import (
	"context"
	"errors"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

func connectorKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "connector#" + id}
}

// CreateConnector stores a new connector and counts it on its entry, all or none. not_found when the entry is gone.
func (v *Vault) CreateConnector(ctx context.Context, c record.Connector, once *Once) (record.Connector, error) {
	doc, err := encode(c)
	if err != nil {
		return c, err
	}
	ops := []store.Op{
		{Verb: store.Update, Table: store.Records, Key: entryKey(c.Tenant, c.Entry), If: takesConnector(c),
			Add: map[string]int64{attrConnectors: 1}},
		{Verb: store.Put, Table: store.Records, Key: connectorKey(c.Tenant, c.ID), If: store.Absent(),
			Set: store.Attrs{attrDoc: doc, attrTenant: c.Tenant, attrRevision: int64(1)}},
	}
	if once != nil {
		ops = append(ops, once.op(v.Now(), c.Tenant, c.ID))
	}
	err = v.applyAudited(ctx, c.Tenant, connectorSubject(c.ID), connectorCreated(c), ops...)
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		return c, err
	}
	if failed.Index == 0 && failed.Old != nil {
		return c, tooManyConnectors()
	}
	if failed.Index == 0 {
		return c, NotFound("vault entry", c.Entry)
	}
	id, err := v.Earlier(ctx, c.Tenant, once)
	if err != nil {
		return c, err
	}
	if id == "" {
		return c, changedMeanwhile()
	}
	return v.Connector(ctx, c.Tenant, id)
}

// Connector reads a connector; not_found when the tenant has none of that id.
func (v *Vault) Connector(ctx context.Context, tenant, id string) (record.Connector, error) {
	attrs, err := v.get(ctx, store.Records, connectorKey(tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return record.Connector{}, NotFound("connector", id)
	}
	if err != nil {
		return record.Connector{}, err
	}
	return connectorOf(tenant, attrs)
}

func connectorOf(tenant string, attrs store.Attrs) (record.Connector, error) {
	var c record.Connector
	if err := decode(attrs, &c); err != nil {
		return c, err
	}
	c.Tenant, c.Revision = tenant, attrs.Int(attrRevision)
	return c, nil
}

// Connectors lists a tenant's connectors that keep likes, by id.
func (v *Vault) Connectors(ctx context.Context, tenant, after string, limit int, keep func(record.Connector) bool) (Page[record.Connector], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: "connector#", After: after}
	return list(ctx, v, q, limit, func(item store.Item) (record.Connector, bool, error) {
		c, err := connectorOf(tenant, item.Attrs)
		return c, err == nil && keep(c), err
	})
}

// UpdateConnector stores a changed connector if nobody changed it since before was read.
func (v *Vault) UpdateConnector(ctx context.Context, before, after record.Connector) (record.Connector, error) {
	doc, err := encode(after)
	if err != nil {
		return after, err
	}
	err = v.applyAudited(ctx, after.Tenant, connectorSubject(after.ID), connectorUpdated(before, after), store.Op{Verb: store.Update, Table: store.Records, Key: connectorKey(after.Tenant, after.ID),
		If:  store.Equal(attrRevision, before.Revision),
		Set: store.Attrs{attrDoc: doc, attrRevision: before.Revision + 1}})
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		after.Revision = before.Revision + 1
		return after, err
	}
	if failed.Old == nil {
		return after, NotFound("connector", after.ID)
	}
	return after, changedMeanwhile()
}

// DeleteConnector removes a connector and its count on the entry, all or none. Removing one that is gone is no error: it
// may be our own success, which a deletion, alone among writes, leaves no id of.
func (v *Vault) DeleteConnector(ctx context.Context, c record.Connector) error {
	err := v.applyAudited(ctx, c.Tenant, connectorSubject(c.ID), connectorDeleted(c),
		store.Op{Verb: store.Delete, Table: store.Records, Key: connectorKey(c.Tenant, c.ID), If: store.Exists()},
		store.Op{Verb: store.Update, Table: store.Records, Key: entryKey(c.Tenant, c.Entry), If: store.Exists(),
			Add: map[string]int64{attrConnectors: -1}})
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Index == 0:
		return nil
	default:
		return NotFound("vault entry", c.Entry)
	}
}
