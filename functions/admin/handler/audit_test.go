package handler_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/tokens"
)

// told are the actions that a list of audit events answers, and its last event's cursor.
func (b *bench) told(query string) (actions []string, cursor string, next any) {
	b.Helper()
	page := b.want(200, "GET", "/v1/audit-events"+query, "")
	for _, item := range page["items"].([]any) {
		e := item.(map[string]any)
		actions, cursor = append(actions, e["action"].(string)), e["cursor"].(string)
	}
	return actions, cursor, page["next_cursor"]
}

func TestAuditEventsAreListedByWhoAndWhat(t *testing.T) {
	b := newBench(t)
	body, err := json.Marshal(bundletest.AppFields())
	b.OK(err)
	b.Clock.Add(time.Hour)
	since := b.Clock.Now()
	b.want(200, "PUT", "/v1/provider-apps/acme", string(body))
	b.Clock.Add(time.Minute)
	id := b.entry()
	path := "/v1/vault-entries/" + id
	b.want(200, "POST", path+"/authorize", `{"mode":"refresh_token","refresh_token":"`+b.Upstream.Issue("acct-1").Refresh.Reveal()+`"}`)
	b.Clock.Add(time.Hour)
	later := b.Clock.Now()
	b.send(b.Owner, "POST", path+"/authorize", `{"mode":"refresh_token","refresh_token":"canary-refused"}`)
	b.want(200, "PATCH", path, `{"alias":"renamed","disabled":true}`)
	b.send(b.Clerk, "PATCH", path, `{"disabled":false}`)
	connector := b.want(201, "POST", "/v1/connectors", `{"name":"c","vault_entry":"`+id+`"}`)["id"].(string)
	b.want(204, "DELETE", "/v1/connectors/"+connector, "")
	b.want(204, "DELETE", path, "")

	entry := []string{"vault_entry.created", "authorization.completed", "authorization.failed", "vault_entry.disabled", "vault_entry.updated", "vault_entry.enabled", "vault_entry.deleted"}
	at := func(t time.Time) string { return url.QueryEscape(t.Format(time.RFC3339)) }
	for query, want := range map[string][]string{
		"?subject=" + id:                                  entry,
		"?subject=" + id + "&kind=connector":              nil,
		"?subject=" + id + "&since=" + at(later):          entry[2:],
		"?subject=" + id + "&until=" + at(later):          entry[:2],
		"?kind=vault_entry":                               entry,
		"?actor=" + b.Clerk.ID:                            {"vault_entry.enabled"},
		"?action=authorization.failed":                    {"authorization.failed"},
		"?action=nothing":                                 nil,
		"?kind=tenant":                                    {"tenant.created"},
		"?kind=connector":                                 {"connector.created", "connector.deleted"},
		"?subject=acme/production":                        {"provider_app.created"},
		"?subject=acme/sandbox":                           nil,
		"?kind=connector_token":                           nil,
		"?subject=" + b.Clerk.ID:                          {"key.created"},
		"?until=" + at(since) + "&kind=key":               {"key.created", "key.created"},
		"?since=" + at(since) + "&until=" + at(later):     {"provider_app.created", "vault_entry.created", "authorization.completed"},
		"?subject=ve_0000000000000000":                    nil,
		"?since=2099-01-01":                               nil,
		"?kind=&subject=&action=&actor=&until=2020-01-01": nil,
	} {
		if actions, _, next := b.told(query); !slices.Equal(actions, want) || next != nil {
			t.Errorf("%s: %v, and %v", query, actions, next)
		}
	}

	// Page by page, of one subject and of all.
	for _, filter := range []string{"?subject=" + id, "?kind=vault_entry"} {
		var seen []string
		for query := filter + "&limit=3"; ; {
			actions, _, next := b.told(query)
			if seen = append(seen, actions...); next == nil {
				break
			}
			query = filter + "&limit=3&cursor=" + next.(string)
		}
		if !slices.Equal(seen, entry) {
			t.Errorf("%s: page by page there is %v", filter, seen)
		}
	}

	page := b.want(200, "GET", "/v1/audit-events?subject="+id, "")
	update := page["items"].([]any)[4].(map[string]any)
	actor := update["actor"].(map[string]any)
	if update["subject"] != id || update["subject_kind"] != "vault_entry" || update["number"] != 5.0 || update["outcome"] != "success" || update["request_id"] == "" ||
		actor["kind"] != "principal" || actor["id"] != b.Owner.ID || actor["role"] != "owner" {
		t.Errorf("the event is %v", update)
	}
	if got := update["changes"].([]any)[0].(map[string]any); got["field"] != "alias" || got["before"] != "one" || got["after"] != "renamed" {
		t.Errorf("the change is %v", got)
	}
	for _, i := range []int{1, 6} { // carried out by the token service, on the owner's behalf
		if e := page["items"].([]any)[i].(map[string]any); e["actor"].(map[string]any)["id"] != b.Owner.ID || e["request_id"] == nil {
			t.Errorf("the event is %v", e)
		}
	}
	if failed := page["items"].([]any)[2].(map[string]any); failed["outcome"] != "failure" || failed["code"] == nil {
		t.Errorf("the failure is %v", failed)
	}
	if out := b.send(b.Owner, "GET", "/v1/audit-events", ""); strings.Contains(out.Body, "canary") || strings.Contains(out.Body, bundletest.Tenant) || strings.Contains(out.Body, bundletest.ClientSecret) {
		t.Errorf("the events are %s", out.Body)
	}
	if out := b.send(b.Alien, "GET", "/v1/audit-events?subject="+id, ""); out.Body != `{"items":[],"next_cursor":null}` {
		t.Errorf("another tenant sees %s", out.Body)
	}
	if out := b.send(b.Alien, "GET", "/v1/audit-events", ""); strings.Contains(out.Body, id) || strings.Contains(out.Body, b.Owner.ID) {
		t.Errorf("another tenant sees %s", out.Body)
	}
	report, err := b.Vault.VerifyAudit(b.Context(), bundletest.Tenant, nil)
	b.OK(err)
	if len(report.Findings) > 0 {
		t.Errorf("found is %v", report.Findings)
	}
}

func TestAListOfAuditEventsRefusesWhatItDoesNotKnow(t *testing.T) {
	b := newBench(t)
	for query, field := range map[string]string{
		"kind=burnt": "kind", "kind=" + strings.Repeat("ü", 60): "kind", "subject=shop": "subject", "subject=ve_1": "subject", "subject=Acme/production": "subject",
		"subject=acme/live": "subject", "subject=t_1000000000000000": "subject", "subject=acme%23production": "subject",
		"since=yesterday": "since", "until=": "until", "until=1748000000": "until", "limit=0": "limit", "provider=acme": "provider",
		"cursor=" + api.EncodeCursor("event#x"): "cursor", "cursor=" + api.EncodeCursor("chain#key#x"): "cursor", "kind=key&kind=tenant": "kind",
		"subject=ve_0000000000000000&cursor=" + api.EncodeCursor("chain#vault_entry#ve_0000000000000001#1"): "cursor",
		"subject=ve_0000000000000000&cursor=" + api.EncodeCursor("audit#2026"):                              "cursor",
	} {
		if problem := b.want(400, "GET", "/v1/audit-events?"+query, ""); problem["field"] != field || problem["action"] == nil {
			t.Errorf("%s: %v", query, problem)
		}
	}
}

// Whoever asks the token service is known there, and what nobody asked for is nobody's.
func TestCallsAreOnSomebodysBehalf(t *testing.T) {
	b := newBench(t)
	b.App()
	id := b.entry()
	if _, err := b.Tokens.Do(b.Context(), tokens.Call{Op: tokens.Adopt, Tenant: bundletest.Tenant, Entry: id}); err == nil {
		t.Error("nothing was adopted")
	}
	page := b.want(200, "GET", "/v1/audit-events?subject="+id+"&action=authorization.failed", "")
	if e := page["items"].([]any)[0].(map[string]any); e["actor"].(map[string]any)["kind"] != "token_service" {
		t.Errorf("the event is %v", e)
	}
}
