package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// views are everything that leaves through this package.
func views() map[string]reflect.Type {
	return map[string]reflect.Type{
		"Entry": reflect.TypeFor[api.Entry](), "Token": reflect.TypeFor[api.Token](), "App": reflect.TypeFor[api.App](),
		"Connector": reflect.TypeFor[api.Connector](), "Provider": reflect.TypeFor[api.Provider](), "Resource": reflect.TypeFor[api.Resource](),
		"Operation": reflect.TypeFor[api.Operation](), "Filter": reflect.TypeFor[api.Filter](), "List": reflect.TypeFor[api.List[api.Entry]](),
		"AuditEvent": reflect.TypeFor[api.AuditEvent](),
	}
}

// Bytes are refused too: what is sealed is bytes, and has no business outside.
func TestNoViewCanHoldASecret(t *testing.T) {
	t.Parallel()
	never := map[reflect.Type]bool{reflect.TypeFor[secret.Text](): true, reflect.TypeFor[[]byte](): true, reflect.TypeFor[any](): true,
		reflect.TypeFor[record.Credential](): true, reflect.TypeFor[record.APIKey](): true, reflect.TypeFor[vault.TokenSet](): true,
		reflect.TypeFor[record.Request](): true, reflect.TypeFor[record.App](): true, reflect.TypeFor[json.RawMessage](): true}
	seen := map[reflect.Type]bool{}
	var look func(path string, at reflect.Type)
	look = func(path string, at reflect.Type) {
		if never[at] {
			t.Errorf("%s is a %s", path, at)
		}
		if seen[at] || at == reflect.TypeFor[time.Time]() {
			return
		}
		seen[at] = true
		switch at.Kind() {
		case reflect.Struct:
			for i := range at.NumField() {
				look(path+"."+at.Field(i).Name, at.Field(i).Type)
			}
		case reflect.Pointer, reflect.Slice, reflect.Array:
			look(path, at.Elem())
		case reflect.Map:
			look(path+"[key]", at.Key())
			look(path+"[]", at.Elem())
		case reflect.Interface:
			t.Errorf("%s can be anything", path)
		}
	}
	for name, view := range views() {
		look(name, view)
	}
}

func decoded(t *testing.T, v any) map[string]any {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return out
}

func TestAProvidersFieldNeverStandsInForOneOfOurs(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"tint": "blue \"\n\u2028", "": "nameless"}
	view := reflect.TypeFor[api.Entry]()
	for i := range view.NumField() {
		if name, _, _ := strings.Cut(view.Field(i).Tag.Get("json"), ","); name != "" {
			settings[name] = "forged"
		}
	}
	if len(settings) < 18 {
		t.Fatalf("only %d members were found", len(settings))
	}
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	entry := record.Entry{ID: "ve_1", Provider: "bare", Alias: "one", Environment: "test", Settings: settings, CreatedAt: now, UpdatedAt: now}
	for name, state := range map[string]vault.EntryState{
		"pending": {Entry: entry}, // most members are left out, and must stay so
		"active":  {Entry: entry, Credential: &record.Credential{Status: record.Active, Generation: 3, Expires: now, Account: &record.Account{ID: "a"}}},
	} {
		body, err := json.Marshal(api.EntryOf(state, now))
		if err != nil || strings.Contains(string(body), "forged") {
			t.Errorf("%s: %s %v", name, body, err)
		}
		out := decoded(t, api.EntryOf(state, now))
		if out["tint"] != "blue \"\n\u2028" || out["id"] != "ve_1" || out["status"] != name {
			t.Errorf("%s: %v", name, out)
		}
		if _, has := out["token"]; has != (name == "active") {
			t.Errorf("%s: the token is %v", name, out["token"])
		}
	}
}

func TestAnEntryIsShownAsItStands(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	sealed := []byte("canary-sealed")
	base := func() *record.Credential {
		return &record.Credential{Status: record.Active, Generation: 3, Expires: now.Add(time.Minute), Sealed: sealed, Commit: "commit_canary",
			Account: &record.Account{ID: "a", Identity: record.Claimed}, AuthorizationExpires: now.AddDate(1, 0, 0),
			Lease: &record.Lease{Owner: "canary-owner"}, Intent: &record.Intent{Hash: "canary-hash"}}
	}
	for name, want := range map[string]struct {
		change                func(*record.Entry, *record.Credential)
		status, cause, health any
	}{
		"well":     {func(*record.Entry, *record.Credential) {}, "active", nil, "ok"},
		"degraded": {func(_ *record.Entry, c *record.Credential) { c.Failure = &record.Failure{Outcome: "transient"} }, "active", nil, "degraded"},
		"failing": {func(_ *record.Entry, c *record.Credential) {
			c.Failure, c.Expires = &record.Failure{Outcome: "transient"}, now
		}, "active", nil, "failing"},
		"revoked":  {func(_ *record.Entry, c *record.Credential) { c.Status, c.Cause = record.Reauth, record.Revoked }, "reauthorization_required", "revoked", "ok"},
		"disabled": {func(e *record.Entry, _ *record.Credential) { e.Disabled = true }, "disabled", nil, "ok"},
	} {
		c, e := base(), record.Entry{ID: "ve_1"}
		want.change(&e, c)
		out := decoded(t, api.EntryOf(vault.EntryState{Entry: e, Credential: c, App: &record.App{SecretExpires: now, ExpiryAssumed: true, Version: "v_canary"}}, now))
		if out["status"] != want.status || out["cause"] != want.cause || out["health"] != want.health || out["identity"] != "claimed" {
			t.Errorf("%s: %v", name, out)
		}
		if horizon := out["horizon"].([]any); len(horizon) != 2 {
			t.Errorf("%s: the horizon is %v", name, horizon)
		}
		if body, _ := json.Marshal(out); strings.Contains(string(body), "canary") {
			t.Errorf("%s: %s", name, body)
		}
	}
	if out := decoded(t, api.EntryOf(vault.EntryState{Entry: record.Entry{}}, now)); out["status"] != "pending" || out["health"] != nil || len(out["horizon"].([]any)) != 0 {
		t.Errorf("pending is %v", out)
	}
}

func TestAnApplicationIsShownWithoutItsVersion(t *testing.T) {
	t.Parallel()
	out := decoded(t, api.AppOf(record.App{Tenant: "t_canary", Version: "v_canary", Fields: map[string]string{"client_id": "c"}}, time.Time{}))
	if body, _ := json.Marshal(out); strings.Contains(string(body), "canary") || out["client_secret_expires_at"] != nil {
		t.Errorf("the application is %s", body)
	}
	connector := decoded(t, api.ConnectorOf(record.Connector{Tenant: "t_canary", CreatedBy: "key_canary", ID: "con_1"}))
	if body, _ := json.Marshal(connector); strings.Contains(string(body), "canary") {
		t.Errorf("the connector is %s", body)
	}
}

func TestTheSecretBeforeIsShownWhileItWorks(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	app := record.App{Secret: "canary", Client: "c", Previous: &record.PreviousSecret{Version: "v_canary", Until: now}}
	out := decoded(t, api.AppOf(app, now.Add(-time.Second)))
	if body, _ := json.Marshal(out); out["previous_secret_until"] != "2027-01-02T00:00:00Z" || strings.Contains(string(body), "canary") {
		t.Errorf("the application is %s", body)
	}
	if out := decoded(t, api.AppOf(app, now)); out["previous_secret_until"] != nil {
		t.Errorf("the application is %v", out)
	}
	if out := decoded(t, api.RotationOf(app, now)); out["status"] != "requested" || out["next"] == "" || out["provider_app"] == nil {
		t.Errorf("the rotation is %v", out)
	}
}

func TestAProviderIsListedWithEverythingAListCanBe(t *testing.T) {
	t.Parallel()
	out := decoded(t, api.ProviderOf(&provider.Descriptor{Name: "bare"}, "https://x/cb", ""))
	for _, name := range []string{"app_fields", "fields", "regions", "resources", "notes"} {
		if list, ok := out[name].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %v", name, out[name])
		}
	}
	d := &provider.Descriptor{Name: "full", Resources: []resource.Resource{{Name: "orders", List: &resource.Operation{ID: "list",
		Filters: []resource.Filter{{Name: "token"}, {Name: "size"}, {Name: "item"}, {Name: "status", Required: true}, {Name: "kind", Required: true, Default: "a", In: resource.InBody, List: resource.CSV}},
		Paging:  resource.Paging{Param: "token", Size: "size"}, Personal: []string{"x"}, Retires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}}}}
	view := api.ProviderOf(d, "", "")
	op := view.Resources[0].List
	if len(op.Filters) != 2 || !op.Filters[0].Required || op.Filters[1].Required || op.Filters[1].In != "body" || !op.Filters[1].List {
		t.Errorf("the filters are %+v", op.Filters)
	}
	if !op.Pages || !op.Personal || op.Retires != "2027-01-02" || view.Resources[0].Item != nil {
		t.Errorf("the operation is %+v", op)
	}
}

func TestACursorOfAListGoesThereAndBack(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"entry#ve_0", "entry#", "entry#\u00e9"} {
		if got, err := api.DecodeCursor(api.EncodeCursor(after), "entry#"); err != nil || got != after {
			t.Errorf("%q: %q %v", after, got, err)
		}
	}
	if got, err := api.DecodeCursor("", "entry#"); err != nil || got != "" {
		t.Errorf("none is %q %v", got, err)
	}
	for _, forged := range []string{"!", "x", api.EncodeCursor("key#key_1"), api.EncodeCursor("entr"), api.EncodeCursor(""), api.EncodeCursor("app#amazon"),
		api.EncodeCursor("entry#" + strings.Repeat("x", 200)), "ZW50cnkj=", "\x00", api.EncodeCursor("entry#\xff")} {
		if forged == "" {
			continue
		}
		_, err := api.DecodeCursor(forged, "entry#")
		if f := fault.As(err); err == nil || f.Code != "invalid_cursor" || f.Field != "cursor" || f.Action == "" {
			t.Errorf("%q: %v", forged, err)
		}
	}
	list := api.ListOf([]int{1, 2}, "entry#x", func(i int) int { return -i })
	if list.Next == nil || len(list.Items) != 2 || list.Items[1] != -2 {
		t.Errorf("the list is %+v", list)
	}
	if out := decoded(t, api.ListOf([]int(nil), "", func(i int) int { return i })); out["next_cursor"] != nil || out["items"] == nil {
		t.Errorf("an empty list is %v", out)
	}
}

func FuzzDecodeCursor(f *testing.F) {
	for _, seed := range []string{"", "ZW50cnkjdmVf", "ZW50cnkj", "a", "====", "ZW50cnkj\n"} {
		f.Add(seed, "entry#")
	}
	f.Fuzz(func(t *testing.T, cursor, prefix string) {
		after, err := api.DecodeCursor(cursor, prefix)
		if err != nil {
			if fault.CodeOf(err) != "invalid_cursor" {
				t.Fatalf("%q: %v", cursor, err)
			}
			return
		}
		if cursor != "" && !strings.HasPrefix(after, prefix) || len(after) > 200 {
			t.Fatalf("%q leads to %q", cursor, after)
		}
	})
}
