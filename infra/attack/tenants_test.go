package attack_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"connectorvault/shared/route"
)

// unknown is an id that nobody has, of a given one's kind.
func unknown(id string) string { return id[:strings.LastIndex(id, "_")+1] + "0000000000000009" }

// bodies are what a route may be sent, by its path. A route that is not here is sent none, and an empty object.
var bodies = map[string][]any{
	"POST /v1/vault-entries/{id}/authorize": {object{"mode": "browser"}, object{"mode": "result_url"}, object{"mode": "appstore", "handle": "x"},
		object{"mode": "refresh_token", "refresh_token": "Atzr-not-one", "selling_partner_id": "A1"}},
	"POST /v1/vault-entries/{id}/validate":    {object{"result_url": "http://127.0.0.1/oauth/amazon/callback?state=x&spapi_oauth_code=y"}},
	"POST /v1/vault-entries/{id}/credentials": {object{"token_key": "x", "secret_key": "y"}},
	"PATCH /v1/vault-entries/{id}":            {object{"alias": "renamed"}, object{"disabled": true}, object{"oauth_api_secret": "not-a-secret"}},
	"PATCH /v1/connectors/{id}":               {object{"name": "renamed"}, object{"settings": object{"marketplaces": []string{"US"}}}},
	"PATCH /v1/webhooks/{id}":                 {object{"label": "renamed"}, object{"url": "https://mallory.example.com/"}, object{"disabled": true}},
	"POST /v1/connectors/{id}/{resource}":     {object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}},
}

var changing = regexp.MustCompile(`"request_id":"[^"]*"`)

// same fails unless two requests that differ by an id are answered alike, byte for byte.
func (w *world) same(t *testing.T, by, method, path string, body any, theirs, nobodys string) {
	t.Helper()
	ask := func(id string) string {
		filled := body
		if o, ok := body.(object); ok {
			changed := object{}
			for name, value := range o {
				switch v := value.(type) {
				case string:
					changed[name] = strings.ReplaceAll(v, "ID", id)
				case []string:
					changed[name] = []string{id}
				default:
					changed[name] = value
				}
			}
			filled = changed
		}
		a := w.ask(t, w.key(t, by), method, strings.ReplaceAll(path, "ID", id), nil, filled)
		for _, name := range []string{"Date", "Apigw-Requestid"} {
			a.header.Del(name)
		}
		return strings.ReplaceAll(changing.ReplaceAllString(a.text(), ""), id, "ID")
	}
	got, want := ask(theirs), ask(nobodys)
	if got != want {
		t.Errorf("%s %s %v: of another tenant's\n%s\nof nobody's\n%s", method, path, body, got, want)
	}
	if strings.HasPrefix(got, "2") && method != http.MethodGet || strings.HasPrefix(got, "5") {
		t.Errorf("%s %s %v: %.400s", method, path, body, got)
	}
}

// foreignIDs asks every route of the table that takes an id for the victim's, and for one that nobody has.
func foreignIDs(w *world) []attack {
	var out []attack
	for _, r := range route.Table() {
		if !strings.HasPrefix(r.Path, "/v1/") || !strings.Contains(r.Path, "{id}") {
			continue
		}
		collection := strings.Split(r.Path, "/")[2]
		out = append(out, attack{name: r.Key(), do: func(t *testing.T, w *world) {
			listed := w.quietly(t, w.key(t, "victim"), "GET", "/v1/"+collection, nil, nil)
			tried := append([]any{nil, object{}}, bodies[r.Key()]...)
			for _, item := range listed.items(t) {
				id, _ := item["id"].(string)
				if id == "" {
					t.Fatalf("what %s lists has no id: %s", collection, listed.body)
				}
				path := strings.NewReplacer("{id}", "ID", "{number}", "1", "{resource}", "orders", "{item}", w.names["victim.order"]).Replace(r.Path)
				for _, body := range tried {
					w.same(t, "mallory", r.Method, path, body, id, unknown(id))
				}
			}
		}})
	}
	for _, c := range []struct {
		name, method, path, of string
		body                   any
	}{
		{"a connector on another's entry", "POST", "/v1/connectors", "entry", object{"name": "theirs", "vault_entry": "ID"}},
		{"a connector on another's books", "POST", "/v1/connectors", "books", object{"name": "theirs", "vault_entry": "ID", "settings": object{"business": "x"}}},
		{"a reader of another's connector", "POST", "/v1/keys", "connector", object{"role": "reader", "label": "theirs", "connectors": []string{"ID"}}},
		{"events of another's entry", "GET", "/v1/events?vault_entry=ID", "entry", nil},
		{"connectors of another's entry", "GET", "/v1/connectors?vault_entry=ID", "entry", nil},
		{"the audit of another's entry", "GET", "/v1/audit-events?subject=ID", "entry", nil},
		{"the audit of another's connector", "GET", "/v1/audit-events?subject=ID", "connector", nil},
		{"the audit of another's key", "GET", "/v1/audit-events?subject=ID", "key", nil},
		{"what another's key has done", "GET", "/v1/audit-events?actor=ID", "key", nil},
	} {
		out = append(out, attack{name: c.name, do: func(t *testing.T, w *world) {
			id := w.names["victim."+c.of]
			if c.of == "key" {
				id = w.names["victim reads.key"]
			}
			w.same(t, "mallory", c.method, c.path, c.body, id, unknown(id))
		}})
	}
	return out
}

// foreignLists looks for the victim in everything that is listed for others.
func foreignLists(w *world) []attack {
	var out []attack
	traces := []string{"victim", "Victim"}
	for name, value := range w.names {
		if strings.HasPrefix(name, "victim") && !strings.Contains(name, "cursor") && name != "victim.order" && name != "victim.business" { // of which one simulated account has the same for all
			traces = append(traces, value)
		}
	}
	for _, list := range collections {
		out = append(out, attack{name: "GET /v1/" + list, by: "mallory", send: "GET /v1/" + list, want: 200, never: traces})
	}
	for name := range w.names {
		of, ok := strings.CutPrefix(name, "victim.")
		list, isCursor := strings.CutSuffix(of, " cursor")
		if !ok || !isCursor {
			continue
		}
		out = append(out, attack{name: "another's cursor of " + list, do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "mallory"), "GET", "/v1/"+list+"?cursor="+w.names[name], nil, nil)
			if got.status != 200 && got.status != 400 {
				t.Errorf("%s", got.text())
			}
			for _, trace := range traces {
				if strings.Contains(got.text(), trace) {
					t.Errorf("%s shows %s", list, trace)
				}
			}
		}})
	}
	return append(out, attack{name: "another's tenant id as a filter", by: "mallory", send: "GET /v1/vault-entries?tenant={victim}", want: 400, code: "invalid_field"},
		attack{name: "another's cursor of a read", by: "mallory", send: "GET /v1/connectors/{mallory.connector}/orders?cursor={victim.cursor}", want: 400, code: "invalid_cursor"},
		attack{name: "another's tenant id as an id", by: "mallory", send: fmt.Sprintf("GET /v1/vault-entries/%s", w.names["victim"]), want: 404, code: "not_found"})
}
