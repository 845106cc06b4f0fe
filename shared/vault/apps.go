package vault

import (
	"context"
	"errors"
	"strconv"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

const (
	attrVersion = "version"
	attrSide    = "side"
)

func appKey(tenant, provider string, env record.APIEnvironment) store.Key {
	return store.Key{Partition: tenant, Sort: "app#" + provider + "#" + string(env)}
}

// PutApp stores a provider app's record, if the one that was read before is still there: before is its version, "" when
// there was none. Its secrets are stored before it, under the version that it names. changed_meanwhile otherwise.
func (v *Vault) PutApp(ctx context.Context, before string, app record.App) error {
	put, err := appOp(before, app)
	if err != nil {
		return err
	}
	return v.applyApp(ctx, before, app, put)
}

func appOp(before string, app record.App) (store.Op, error) {
	doc, err := encode(app)
	unchanged := store.Absent()
	if before != "" {
		unchanged = store.Equal(attrVersion, before)
	}
	return store.Op{Verb: store.Put, Table: store.Records, Key: appKey(app.Tenant, app.Provider, app.APIEnvironment),
		If: unchanged, Set: store.Attrs{attrDoc: doc, attrTenant: app.Tenant, attrVersion: appState(app)}}, err
}

// appState tells one state of an application's record from every other.
func appState(app record.App) string {
	if app.Revision == 0 {
		return app.Version
	}
	return app.Version + "/" + strconv.FormatInt(app.Revision, 10)
}

// Overlap is the secret of an application beside a newer one: it works until ends, or for as long as its provider lets it
// where nobody said, and never beyond its own end. nil when it does not work any more.
func Overlap(app record.App, overlap time.Duration, ends, now time.Time) *record.PreviousSecret {
	until := ends
	if until.IsZero() {
		until = now.Add(overlap)
	}
	if own := app.SecretExpires; !own.IsZero() && own.Before(until) {
		until = own
	}
	if app.Version == "" || !now.Before(until) {
		return nil
	}
	return &record.PreviousSecret{Version: app.Version, Until: until.UTC()}
}

func (v *Vault) applyApp(ctx context.Context, before string, app record.App, ops ...store.Op) error {
	err := v.applyAudited(ctx, app.Tenant, appSubject(app), appStored(before, app), ops...)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return changedMeanwhile()
	}
	return err
}

// ReplaceApp is PutApp for who has read the record before. Together with the record it writes where the application is
// found by what its provider's messages name it by.
func (v *Vault) ReplaceApp(ctx context.Context, before, app record.App) error {
	put, err := appOp(appState(before), app)
	if err != nil {
		return err
	}
	ops := []store.Op{put}
	if app.Client != "" {
		ops = append(ops, store.Op{Verb: store.Put, Table: store.Records, Key: clientKey(app),
			Set: store.Attrs{attrTenant: app.Tenant, attrSide: string(app.APIEnvironment)}})
	}
	if before.Client != "" && before.Client != app.Client {
		ops = append(ops, store.Op{Verb: store.Delete, Table: store.Records, Key: clientKey(before)})
	}
	return v.applyApp(ctx, before.Version, app, ops...)
}

// clientKey is the item that leads from a client to an application. It lies outside the tenants: several may use one client,
// and a provider's message names no tenant. It is a hint; what counts is the record.
func clientKey(app record.App) store.Key {
	return store.Key{Partition: ident.Outside, Sort: clientPrefix(app.Provider, app.Client) + app.Tenant + "#" + string(app.APIEnvironment)}
}

func clientPrefix(provider, client string) string {
	return "client#" + provider + "#" + secret.New(client).Fingerprint() + "#"
}

// ForgetClient removes what leads from a client to an application, which is about to be removed.
func (v *Vault) ForgetClient(ctx context.Context, app record.App) error {
	if app.Client == "" {
		return nil
	}
	return v.apply(ctx, store.Op{Verb: store.Delete, Table: store.Records, Key: clientKey(app)})
}

// AppsOf finds the applications, of whichever tenants, that a provider's messages name by a client.
func (v *Vault) AppsOf(ctx context.Context, provider, client string) ([]record.App, error) {
	var out []record.App
	q := store.Query{Table: store.Records, Partition: ident.Outside, Prefix: clientPrefix(provider, client), Limit: 100}
	for {
		items, more, err := v.Items.Query(ctx, q)
		if err != nil {
			return nil, storeFault(err)
		}
		for _, item := range items {
			q.After = item.Key.Sort
			app, found, err := v.App(ctx, item.Attrs.String(attrTenant), provider, record.APIEnvironment(item.Attrs.String(attrSide)))
			if err != nil {
				return nil, err
			}
			if found && app.Client == client { // the item may be older than the record, or outlive it
				out = append(out, app)
			}
		}
		if !more {
			return out, nil
		}
	}
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
	page, err := v.AppPage(ctx, tenant)
	return page.Items, err
}

// AppPage is Apps, and names those that are left out.
func (v *Vault) AppPage(ctx context.Context, tenant string) (Page[record.App], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: "app#"}
	return list(ctx, v, q, 100, func(item store.Item) (record.App, bool, error) {
		var app record.App
		err := decode(item.Attrs, &app)
		app.Tenant = tenant
		return app, true, err
	})
}
