package handler_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/store"
)

// One record that a newer version wrote makes no list unreadable, is said to be missing from it, and is refused by itself in
// words that say what to do. What is followed ends before it instead.
func TestListsWithARecordOfANewerVersion(t *testing.T) {
	b := newBench(t)
	b.App()
	ids := map[string][]string{}
	for i := range 2 {
		entry := b.want(201, "POST", "/v1/vault-entries", fmt.Sprintf(`{"provider":"acme","alias":"entry %d","environment":"production"}`, i))["id"].(string)
		ids["entry"] = append(ids["entry"], entry)
		ids["connector"] = append(ids["connector"], b.want(201, "POST", "/v1/connectors", fmt.Sprintf(`{"name":"c%d","vault_entry":%q}`, i, entry))["id"].(string))
		ids["key"] = append(ids["key"], b.want(201, "POST", "/v1/keys", `{"role":"reader","label":"x"}`)["id"].(string))
		ids["webhook"] = append(ids["webhook"], b.want(201, "POST", "/v1/webhooks", fmt.Sprintf(`{"url":"https://hooks.example.com/%d"}`, i))["id"].(string))
		ids["token"] = append(ids["token"], b.want(201, "POST", "/v1/connector-tokens",
			`{"providers":["acme"],"environment":"production","uses":1,"expires_in_hours":24}`)["id"].(string))
	}
	paths := map[string]string{"entry": "/v1/vault-entries", "connector": "/v1/connectors", "key": "/v1/keys", "webhook": "/v1/webhooks", "token": "/v1/connector-tokens"}
	newer := func(sort string) {
		t.Helper()
		b.OK(b.Store.Apply(b.Context(), store.Op{Verb: store.Update, Table: store.Records, Key: store.Key{Partition: b.Owner.Tenant, Sort: sort},
			If: store.Exists(), Set: store.Attrs{store.AttrSchema: int64(2)}}))
	}
	before := map[string]int{}
	for kind, path := range paths {
		page := b.want(200, "GET", path, "")
		if _, said := page["left_out"]; said {
			t.Errorf("%s: something is left out of %v", path, page)
		}
		before[kind] = len(page["items"].([]any))
	}
	for kind, path := range paths {
		newer(kind + "#" + ids[kind][0])
		page := b.want(200, "GET", path, "")
		if len(page["items"].([]any)) != before[kind]-1 || page["left_out"] != float64(1) || page["next_cursor"] != nil {
			t.Errorf("%s: %v", path, page)
		}
		if strings.Contains(fmt.Sprint(page["items"]), ids[kind][0]) {
			t.Errorf("%s shows what it cannot read", path)
		}
		out := b.send(b.Owner, "GET", path+"/"+ids[kind][0], "")
		if out.StatusCode != http.StatusServiceUnavailable || !strings.Contains(out.Body, `"newer_version"`) || out.Headers["Retry-After"] == "" && out.Headers["retry-after"] == "" {
			t.Errorf("%s by itself: %d %v %s", kind, out.StatusCode, out.Headers, out.Body)
		}
		b.want(200, "GET", path+"/"+ids[kind][1], "")
	}
	// A key for other connectors learns nothing of the one that is left out.
	other := b.Owner
	other.Connectors = []string{ids["connector"][1]}
	if out := b.send(other, "GET", "/v1/connectors", ""); strings.Contains(out.Body, "left_out") {
		t.Errorf("who may not read it is told of it: %s", out.Body)
	}
	newer("app#acme#production")
	if page := b.want(200, "GET", "/v1/provider-apps", ""); len(page["items"].([]any)) != 0 || page["left_out"] != float64(1) {
		t.Errorf("applications: %v", page)
	}
	// Without the application, an entry's dates would be said to be others.
	if page := b.want(200, "GET", "/v1/vault-entries", ""); len(page["items"].([]any)) != 0 || page["left_out"] != float64(2) {
		t.Errorf("entries of an application that cannot be read: %v", page)
	}
	trail, _, err := b.Store.Query(b.Context(), store.Query{Table: store.Records, Partition: b.Owner.Tenant, Prefix: "audit#", Limit: 3})
	b.OK(err)
	newer(trail[2].Key.Sort)
	page := b.want(200, "GET", "/v1/audit-events", "")
	if len(page["items"].([]any)) != 2 || page["next_cursor"] == nil {
		t.Errorf("the trail does not end before the event that cannot be read: %v", page)
	}
	if out := b.send(b.Owner, "GET", "/v1/audit-events?cursor="+page["next_cursor"].(string), ""); out.StatusCode != 503 || !strings.Contains(out.Body, `"newer_version"`) {
		t.Errorf("the page that begins with it: %d %s", out.StatusCode, out.Body)
	}
}
