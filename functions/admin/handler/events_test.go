package handler_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
)

// kinds are what a list of events answers, and its last event's cursor.
func (b *bench) kinds(query string) (kinds []string, cursor string, next any) {
	b.Helper()
	page := b.want(200, "GET", "/v1/events"+query, "")
	for _, item := range page["items"].([]any) {
		e := item.(map[string]any)
		kinds, cursor = append(kinds, e["kind"].(string)), e["cursor"].(string)
	}
	return kinds, cursor, page["next_cursor"]
}

func TestEventsAreListedAndFollowed(t *testing.T) {
	b := newBench(t)
	b.App()
	if kinds, _, next := b.kinds(""); kinds != nil || next != nil {
		t.Errorf("before anything happened there is %v, and %v", kinds, next)
	}
	id := b.entry()
	path := "/v1/vault-entries/" + id
	authorize := func() {
		b.want(200, "POST", path+"/authorize", `{"mode":"refresh_token","refresh_token":"`+b.Upstream.Issue("acct-1").Refresh.Reveal()+`"}`)
	}
	authorize()
	b.Clock.Add(24 * time.Hour)
	second := b.Clock.Now()
	authorize()
	other := b.Entry("two")
	b.want(200, "POST", "/v1/vault-entries/"+other.ID+"/authorize", `{"mode":"refresh_token","refresh_token":"`+b.Upstream.Issue("acct-2").Refresh.Reveal()+`"}`)
	if _, err := b.Vault.Publish(b.Context(), record.Event{Tenant: bundletest.Tenant, Kind: record.EventExpiring, Provider: bundletest.Name,
		Horizon: &record.Horizon{Name: record.ClientSecretEnd, At: second}, DaysBefore: 7}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"": 4, "?kind=authorized": 3, "?kind=expiring": 1, "?kind=recovered": 0, "?vault_entry=" + id: 2, "?vault_entry=ve_0000000000000000": 0,
		"?kind=expiring&vault_entry=" + id: 0, "?since=2020-01-01": 4, "?since=" + second.Format(time.RFC3339): 3, "?since=2026-05-22": 0,
		"?since=" + url.QueryEscape("2026-05-21T14:00:00+02:00"): 3, "?kind=&vault_entry=": 4,
	} {
		if kinds, _, next := b.kinds(query); len(kinds) != want || next != nil {
			t.Errorf("%s: %v, and %v", query, kinds, next)
		}
	}
	// Page by page, and then from the last one's cursor on: nothing is missed, and nothing comes twice.
	first, _, next := b.kinds("?limit=3")
	if len(first) != 3 || next == nil {
		t.Fatalf("a page is %v, and %v", first, next)
	}
	rest, cursor, next := b.kinds("?limit=3&cursor=" + next.(string))
	if !slices.Equal(rest, []string{"expiring"}) || next != nil {
		t.Errorf("the second page is %v, and %v", rest, next)
	}
	if kinds, _, _ := b.kinds("?cursor=" + cursor); kinds != nil {
		t.Errorf("after the last event there is %v", kinds)
	}
	authorize()
	for _, query := range []string{"?cursor=" + cursor, "?since=2020-01-01&cursor=" + cursor} {
		if kinds, _, _ := b.kinds(query); !slices.Equal(kinds, []string{"authorized"}) {
			t.Errorf("%s: a follower sees %v", query, kinds)
		}
	}
	if kinds, _, _ := b.kinds("?since=2027-01-01&cursor=" + cursor); kinds != nil {
		t.Errorf("since a later time than the cursor's there is %v", kinds)
	}
	if out := b.send(b.Alien, "GET", "/v1/events", ""); out.Body != `{"items":[],"next_cursor":null}` {
		t.Errorf("another tenant sees %s", out.Body)
	}
	if out := b.send(b.Owner, "GET", "/v1/events", ""); strings.Contains(out.Body, "canary") || strings.Contains(out.Body, bundletest.Tenant) {
		t.Errorf("the events are %s", out.Body)
	}
	page := b.want(200, "GET", "/v1/events?vault_entry="+id, "")
	if e := page["items"].([]any)[0].(map[string]any); e["alias"] != "one" || e["environment"] != "production" || e["provider"] != "acme" || e["subject"] != "vault_entry" {
		t.Errorf("the event is %v", e)
	}
}

func TestAListOfEventsRefusesWhatItDoesNotKnow(t *testing.T) {
	b := newBench(t)
	for query, field := range map[string]string{
		"kind=burnt": "kind", "kind=" + strings.Repeat("ü", 60): "kind", "vault_entry=shop": "vault_entry", "vault_entry=ve_1": "vault_entry",
		"since=yesterday": "since", "since=": "since", "since=1748000000": "since", "limit=0": "limit", "provider=acme": "provider", "until=2026-01-01": "until",
		"cursor=" + api.EncodeCursor("entry#x"): "cursor", "cursor=" + api.EncodeCursor("events"): "cursor", "kind=expiring&kind=recovered": "kind",
	} {
		if problem := b.want(400, "GET", "/v1/events?"+query, ""); problem["field"] != field || problem["action"] == nil {
			t.Errorf("%s: %v", query, problem)
		}
	}
}
