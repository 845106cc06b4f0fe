package vault

import (
	"context"
	"errors"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

const attrVersion = "version"

func appKey(tenant, provider string, env record.APIEnvironment) store.Key {
	return store.Key{Partition: tenant, Sort: "app#" + provider + "#" + string(env)}
}

// PutApp stores a provider app's record, if the one that was read before is still there: before is its version, "" when
// there was none. Its secrets are stored before it, under the version that it names. changed_meanwhile otherwise.
func (v *Vault) PutApp(ctx context.Context, before string, app record.App) error {
	doc, err := encode(app)
	if err != nil {
		return err
	}
	unchanged := store.Absent()
	if before != "" {
		unchanged = store.Equal(attrVersion, before)
	}
	err = v.applyAudited(ctx, app.Tenant, appSubject(app), appStored(before, app), store.Op{Verb: store.Put, Table: store.Records, Key: appKey(app.Tenant, app.Provider, app.APIEnvironment),
		If: unchanged, Set: store.Attrs{attrDoc: doc, attrTenant: app.Tenant, attrVersion: app.Version}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return changedMeanwhile()
	}
	return err
}

// App reads a provider app; found is false when the tenant has none.
func (v *Vault) App(ctx context.Context, tenant, provider string, env record.APIEnvironment) (app record.App, found bool, err error) {
	attrs, err := v.get(ctx, store.Records, appKey(tenant, provider, env))
	if errors.Is(err, store.ErrNotFound) {
		return app, false, nil
	}
	if err != nil {
		return app, false, err
	}
	err = decode(attrs, &app)
	app.Tenant = tenant
	return app, err == nil, err
}

// Apps lists a tenant's provider apps.
func (v *Vault) Apps(ctx context.Context, tenant string) ([]record.App, error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: "app#"}
	page, err := list(ctx, v, q, 100, func(item store.Item) (record.App, bool, error) {
		var app record.App
		err := decode(item.Attrs, &app)
		app.Tenant = tenant
		return app, true, err
	})
	return page.Items, err
}
