package vault

import (
	"context"
	"encoding/json"
	"errors"

	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

const attrVersion = "version"

func appKey(tenant, provider string, env record.APIEnvironment) store.Key {
	return store.Key{Partition: tenant, Sort: "app#" + provider + "#" + string(env)}
}

// AppSecret is where a provider app's secrets lie in the secret store: one secret an app.
func AppSecret(tenant, provider string, env record.APIEnvironment) string {
	return tenant + "/app/" + provider + "/" + string(env)
}

// AppSecrets is what lies there. Version says to which record it belongs: the secret store is eventually consistent,
// and a secret of another version than the record's is one to read again.
type AppSecrets struct {
	Version string
	Fields  map[string]secret.Text
}

type appSecretsJSON struct {
	Version string            `json:"version"`
	Fields  map[string]string `json:"fields"`
}

// Encode returns the secrets as the secret store keeps them.
func (a AppSecrets) Encode() (secret.Text, error) {
	out := appSecretsJSON{Version: a.Version, Fields: map[string]string{}}
	for name, value := range a.Fields {
		out.Fields[name] = value.Reveal()
	}
	b, err := json.Marshal(out)
	if err != nil {
		return secret.Text{}, errors.New("encoding an application's secrets failed")
	}
	return secret.New(string(b)), nil
}

// DecodeAppSecrets reads what Encode made. Its error never quotes the input.
func DecodeAppSecrets(text secret.Text) (AppSecrets, error) {
	var in appSecretsJSON
	if err := json.Unmarshal([]byte(text.Reveal()), &in); err != nil {
		return AppSecrets{}, errors.New("an application's secrets cannot be read")
	}
	out := AppSecrets{Version: in.Version, Fields: map[string]secret.Text{}}
	for name, value := range in.Fields {
		out.Fields[name] = secret.New(value)
	}
	return out, nil
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
	err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Records, Key: appKey(app.Tenant, app.Provider, app.APIEnvironment),
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
