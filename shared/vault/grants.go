package vault

import (
	"context"

	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// A grant is a token of an application's own, for operations that concern no account. It is cheap to have again, so it
// lies among what may be lost.

func grantKey(app record.App, scope string) store.Key {
	return store.Key{Partition: app.Tenant, Sort: "grant#" + app.Provider + "#" + string(app.APIEnvironment) + "#" + scope}
}

// grantBinding names the application's version too: when the client secret is changed, its tokens are had anew.
func grantBinding(app record.App, scope string) seal.Binding {
	return seal.Binding{Purpose: "grant", Tenant: app.Tenant, Provider: app.Provider,
		Record: string(app.APIEnvironment) + "#" + app.Version + "#" + scope}
}

// KeepGrant keeps an application's own token until it expires.
func (v *Vault) KeepGrant(ctx context.Context, app record.App, scope string, set TokenSet) error {
	sealed, err := v.sealSet(ctx, grantBinding(app, scope), set)
	if err != nil {
		return err
	}
	return v.keep(ctx, grantKey(app, scope), sealed, set.Expires)
}

// KeptGrant reads what KeepGrant kept; found is false when there is none, or none for this version of the application.
func (v *Vault) KeptGrant(ctx context.Context, app record.App, scope string) (set TokenSet, found bool, err error) {
	sealed, found, err := v.kept(ctx, grantKey(app, scope))
	if err != nil || !found {
		return set, false, err
	}
	if set, err = v.openSet(ctx, grantBinding(app, scope), sealed); err != nil {
		return TokenSet{}, false, nil //nolint:nilerr // another version's, or another keyring's: had anew
	}
	return set, true, nil
}
