package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

func TestAFlagIsShownAsABoolean(t *testing.T) {
	t.Parallel()
	entry := record.Entry{ID: "ve_1", Settings: map[string]string{"shared": "true", "words": "true", "disabled": "true"}, Flags: []string{"shared", "disabled", "not_there"}}
	out := decoded(t, api.EntryOf(vault.EntryState{Entry: entry}, time.Now()))
	if out["shared"] != true || out["words"] != "true" || out["disabled"] != false {
		t.Errorf("shown are %v, %v, %v", out["shared"], out["words"], out["disabled"])
	}
	if _, has := out["not_there"]; has {
		t.Error("a flag that is not set is shown")
	}
}

func TestOfSecretsTheNamesAreShown(t *testing.T) {
	t.Parallel()
	entry := record.Entry{ID: "ve_1", Secrets: record.SecretGroups{
		record.ReadSecrets:   {Version: "v_canary", Fields: []string{"signature"}},
		record.ClientSecrets: {Version: "v_canary", Fields: []string{"api_secret", "zz_secret"}},
	}}
	for range 8 { // in one order, whatever a map's is
		out := decoded(t, api.EntryOf(vault.EntryState{Entry: entry}, time.Now()))
		if !reflect.DeepEqual(out["secrets"], []any{"api_secret", "signature", "zz_secret"}) {
			t.Fatalf("shown are %v", out["secrets"])
		}
		if body, _ := json.Marshal(out); strings.Contains(string(body), "canary") {
			t.Errorf("the entry is %s", body)
		}
	}
	if out := decoded(t, api.EntryOf(vault.EntryState{}, time.Now())); out["secrets"] != nil {
		t.Errorf("of none are shown %v", out["secrets"])
	}
	app := record.App{Version: "v_canary", ReadSecrets: []string{"canary"}, Fields: map[string]string{"client_id": "c"}}
	if body, err := json.Marshal(api.AppOf(app, time.Time{})); err != nil || strings.Contains(string(body), "canary") {
		t.Errorf("the application is %s, %v", body, err)
	}
}

func TestASettingOfOneValueIsShownAsAString(t *testing.T) {
	t.Parallel()
	c := record.Connector{ID: "con_1", Singles: []string{"business", "several"},
		Settings: map[string][]string{"business": {"B1"}, "several": {"a", "b"}, "marketplaces": {"M1"}, "resources": {}}}
	settings, _ := decoded(t, api.ConnectorOf(c))["settings"].(map[string]any)
	want := map[string]any{"business": "B1", "several": []any{"a", "b"}, "marketplaces": []any{"M1"}, "resources": []any{}}
	if !reflect.DeepEqual(settings, want) {
		t.Errorf("shown are %v", settings)
	}
	if body, err := json.Marshal(api.ConnectorOf(record.Connector{}).Settings); err != nil || string(body) != "{}" {
		t.Errorf("of none are shown %s, %v", body, err)
	}
}

// What decides who may open a secret is ours to know, and nobody's to learn.
func TestAProvidersFieldsAreShownWithoutTheirGroup(t *testing.T) {
	t.Parallel()
	d := &provider.Descriptor{Fields: []provider.Field{{Name: "signature", Secret: true, Reads: true}, {Name: "shared", Flag: true, Fixed: true}}}
	fields := decoded(t, api.ProviderOf(d, "", ""))["fields"].([]any)
	signature, shared := fields[0].(map[string]any), fields[1].(map[string]any)
	if signature["secret"] != true || signature["reads"] != nil || signature["flag"] != nil || shared["flag"] != true || shared["fixed"] != true || shared["secret"] != false {
		t.Errorf("shown are %v and %v", signature, shared)
	}
}
