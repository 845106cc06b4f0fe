package vault_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

const unnumbered = `the form of %s was changed without a new number: %s.
A version that is deployed would lose it (docs/upgrades.md). Raise the number in shared/schema, with a step in shared/vault/forms.go;
or, if no deployment has ever written the old form, write the records anew with -update.`

// stored are the kinds that are items, and not parts of others or messages.
func stored() (out []schema.Kind) {
	for _, kind := range schema.Kinds() {
		if !slices.Contains([]schema.Kind{schema.Call, schema.Reply, schema.Rescued, schema.Delivery, schema.TokenSet, schema.Cursor, schema.Seal, schema.Keyring}, kind) {
			out = append(out, kind)
		}
	}
	return out
}

// value is an attribute with its type.
type value struct {
	S *string `json:"s,omitempty"`
	N *int64  `json:"n,omitempty"`
	T *bool   `json:"t,omitempty"`
	B *[]byte `json:"b,omitempty"`
}

// filed is an item as a file keeps it.
type filed struct {
	Table     store.Table      `json:"table"`
	Partition string           `json:"partition"`
	Sort      string           `json:"sort"`
	Attrs     map[string]value `json:"attributes"`
}

func fileOf(table store.Table, item store.Item) filed {
	out := filed{Table: table, Partition: item.Key.Partition, Sort: item.Key.Sort, Attrs: map[string]value{}}
	for name, v := range item.Attrs {
		switch v := v.(type) {
		case string:
			out.Attrs[name] = value{S: &v}
		case int64:
			out.Attrs[name] = value{N: &v}
		case bool:
			out.Attrs[name] = value{T: &v}
		case []byte:
			out.Attrs[name] = value{B: &v}
		}
	}
	return out
}

func (k filed) item() store.Item {
	item := store.Item{Key: store.Key{Partition: k.Partition, Sort: k.Sort}, Attrs: store.Attrs{}}
	for name, v := range k.Attrs {
		switch {
		case v.S != nil:
			item.Attrs[name] = *v.S
		case v.N != nil:
			item.Attrs[name] = *v.N
		case v.T != nil:
			item.Attrs[name] = *v.T
		case v.B != nil:
			item.Attrs[name] = *v.B
		}
	}
	return item
}

func (v value) kind() string {
	return fmt.Sprintf("%t %t %t %t", v.S != nil, v.N != nil, v.T != nil, v.B != nil)
}

func formFile(kind schema.Kind, number int64, more string) string {
	return filepath.Join("testdata", "forms", fmt.Sprintf("%s.%d%s.json", kind, number, more))
}

func readFile(t *testing.T, name string, into any) {
	t.Helper()
	body, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name string, v any) {
	t.Helper()
	body, err := json.MarshalIndent(v, "", "\t")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = os.WriteFile(name, append(body, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lived is a tenant's life: afterwards there is a record of every kind, and of most stages of it.
func lived(t *testing.T) (r *rig, items map[schema.Kind][]filed) {
	t.Helper()
	r = newRig(t, plain)
	ctx, now := r.Context(), r.clock.Now().UTC()
	r.ok(r.CreateTenant(ctx, record.Tenant{ID: tenant, Name: "Example Trading", CreatedAt: now, Request: "request", FirstKey: "key_1"}))
	app := record.App{Tenant: tenant, Provider: "amazon", APIEnvironment: record.Production, Version: "v_1", Client: "client-1", Secret: "fingerprint",
		Fields: map[string]string{"client_id": "client-1"}, SecretExpires: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
	r.ok(r.PutApp(ctx, "", app))
	named := app
	named.Client, named.Revision = "client-2", app.Revision+1
	r.ok(r.ReplaceApp(ctx, app, named))
	once := func(key string) *vault.Once { return &vault.Once{Principal: "key_1", Key: key, Request: "request"} }
	token, _ := r.connectorToken(once("token"))
	made := r.newEntry("made with a token")
	made.ConnectorToken, made.Environment = token.ID, token.Environment
	if len(token.Providers) > 0 {
		made.Provider = token.Providers[0]
	}
	_, err := r.CreateEntry(ctx, made, once("entry"))
	r.ok(err)
	e := r.entry("shop")
	changed := e
	changed.Alias = "store"
	e, err = r.UpdateEntry(ctx, e, changed)
	r.ok(err)
	r.connector(e, "reads")
	key, _, err := r.CreateKey(ctx, record.APIKey{Tenant: tenant, Role: record.Owner, Label: "owner", Expires: now.Add(time.Hour)})
	r.ok(err)
	r.ok(r.NoteKeyUse(ctx, tenant, key.ID))
	hook, err := r.hook(tenant, nil)
	r.ok(err)
	r.ok(r.NoteDelivery(ctx, hook, record.Delivery{Event: "evt_1", Kind: record.EventAuthorized, At: now, Status: 500, Problem: "refused"}, now))

	req := r.begin(e, record.Browser)
	r.ok(r.StartRequest(ctx, req, "state", "cookie"))
	r.ok(r.claim(req, "a"))
	sealed, err := r.SealInto(ctx, req, vault.TokenSet{Access: secret.New("a"), Refresh: secret.New("b")})
	r.ok(err)
	r.ok(r.SaveExchanged(ctx, req, "a", now.Add(time.Minute), sealed))
	failing := r.begin(made, record.ResultURL)
	r.ok(r.claim(failing, "a"))
	r.ok(r.FailRequest(ctx, failing, "a", json.RawMessage(`{"code":"x"}`)))

	c := r.authorized(e)
	c = r.acquire(c, "owner")
	r.ok(r.Fail(ctx, c, r.failure(), record.Reauth, record.RotationUnknown, true))
	r.clock.Add(time.Hour)
	r.acquire(r.credential(e), "owner")
	second := r.entry("second")
	_, err = r.Commit(ctx, r.acquire(r.authorized(second), "owner"), r.set(r.credential(second), 2))
	r.ok(err)
	r.publish(record.Event{Tenant: tenant, Kind: record.EventExpiring, Provider: "amazon", Entry: e.ID, Horizon: &record.Horizon{Name: record.AuthorizationEnd, At: now}, DaysBefore: 7})
	announced, err := r.PublishOwed(ctx, record.Event{Tenant: tenant, Kind: record.EventReauth, Provider: "amazon", Entry: e.ID, Generation: 2})
	r.ok(err)
	r.ok(r.Announced(ctx, announced.Event))

	r.ok(r.NoteUse(ctx, tenant, e.ID, 1))
	r.ok(r.NoteRejected(ctx, tenant, e.ID, r.clock.Now().Add(time.Hour)))
	r.ok(r.KeepCursor(ctx, tenant, "h_1", []byte{1}, r.clock.Now().Add(time.Hour)))
	r.ok(r.KeepGrant(ctx, app, "scope", vault.TokenSet{Access: secret.New("a"), Expires: r.clock.Now().Add(time.Hour)}))

	// A chain that ends in a tombstone, and one whose beginning is over.
	gone := r.entry("gone")
	r.ok(r.DeleteEntry(ctx, gone, 0))
	items = map[schema.Kind][]filed{}
	for _, partition := range append(r.partitions(), ident.Outside) {
		for _, table := range store.Tables() {
			found, more, err := r.engine.Query(ctx, store.Query{Table: table, Partition: partition, Limit: 1000})
			r.ok(err)
			if more {
				t.Fatal("there is more than one look sees")
			}
			for _, item := range found {
				kind, known := vault.KindOf(table, item.Key)
				if !known {
					t.Errorf("%s %s is of no kind", table, item.Key.Sort)
				}
				items[kind] = append(items[kind], fileOf(table, item))
			}
		}
	}
	return r, items
}
