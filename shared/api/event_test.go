package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

func TestAnEventIsShownWithItsSubjectAndItsPlace(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 20, 12, 0, 0, 5e6, time.UTC)
	e := record.Event{Tenant: "t_canary", ID: "ev_1", Kind: record.EventReauth, At: at, Provider: "amazon", APIEnvironment: record.Production,
		Entry: "ve_1", Alias: "shop", Environment: "test", Generation: 3, Cause: record.Revoked}
	out := decoded(t, api.EventOf(e))
	for member, want := range map[string]any{"id": "ev_1", "kind": "reauthorization_required", "time": "2026-05-20T12:00:00.005Z", "subject": "vault_entry",
		"vault_entry": "ve_1", "alias": "shop", "environment": "test", "generation": 3.0, "cause": "revoked", "horizon": nil, "days_before": nil, "disabled": nil} {
		if out[member] != want {
			t.Errorf("%s is %v", member, out[member])
		}
	}
	if body, _ := json.Marshal(out); strings.Contains(string(body), "canary") {
		t.Errorf("the event is %s", body)
	}
	after, err := api.DecodeCursor(out["cursor"].(string), vault.EventPrefix)
	if err != nil || after != vault.EventKey(e) {
		t.Errorf("it is followed after %q (%v)", after, err)
	}

	app := decoded(t, api.EventOf(record.Event{Kind: record.EventExpiring, At: at, Provider: "amazon", DaysBefore: 7,
		Horizon: &record.Horizon{Name: record.ClientSecretEnd, At: at, Assumed: true}}))
	horizon, _ := app["horizon"].(map[string]any)
	if app["subject"] != "provider_app" || app["vault_entry"] != nil || app["alias"] != nil || app["days_before"] != 7.0 ||
		horizon["name"] != "client_secret" || horizon["assumed"] != true || horizon["at"] != "2026-05-20T12:00:00.005Z" {
		t.Errorf("an application's event is %v", app)
	}
}
