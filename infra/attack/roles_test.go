package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/route"
)

// ladder are the roles, the mightiest first.
var ladder = []string{"owner", "admin", "operator", "reader"}

// lowest is who may just call a route. One that is not here nobody may but an owner, until somebody has said otherwise.
var lowest = map[string]string{
	"GET /v1/providers":                                        "reader",
	"GET /v1/providers/{provider}":                             "reader",
	"GET /v1/provider-apps":                                    "admin",
	"PUT /v1/provider-apps/{provider}":                         "owner",
	"POST /v1/provider-apps/{provider}/rotate-secret":          "owner",
	"POST /v1/vault-entries":                                   "admin",
	"GET /v1/vault-entries":                                    "operator",
	"GET /v1/vault-entries/{id}":                               "operator",
	"PATCH /v1/vault-entries/{id}":                             "admin",
	"DELETE /v1/vault-entries/{id}":                            "admin",
	"POST /v1/vault-entries/{id}/authorize":                    "operator",
	"POST /v1/vault-entries/{id}/refresh":                      "operator",
	"POST /v1/vault-entries/{id}/validate":                     "operator",
	"POST /v1/vault-entries/{id}/check":                        "operator",
	"GET /v1/vault-entries/{id}/credentials":                   "operator",
	"POST /v1/vault-entries/{id}/credentials":                  "admin",
	"DELETE /v1/vault-entries/{id}/credentials/{number}":       "admin",
	"POST /v1/vault-entries/{id}/credentials/{number}/promote": "admin",
	"POST /v1/connectors":                                      "admin",
	"GET /v1/connectors":                                       "reader",
	"GET /v1/connectors/{id}":                                  "reader",
	"PATCH /v1/connectors/{id}":                                "admin",
	"DELETE /v1/connectors/{id}":                               "admin",
	"POST /v1/preflight":                                       "operator",
	"POST /v1/connector-tokens":                                "admin",
	"GET /v1/connector-tokens":                                 "admin",
	"GET /v1/connector-tokens/{id}":                            "admin",
	"DELETE /v1/connector-tokens/{id}":                         "admin",
	"GET /v1/events":                                           "operator",
	"GET /v1/audit-events":                                     "admin",
	"POST /v1/webhooks":                                        "admin",
	"GET /v1/webhooks":                                         "admin",
	"GET /v1/webhooks/{id}":                                    "admin",
	"PATCH /v1/webhooks/{id}":                                  "admin",
	"DELETE /v1/webhooks/{id}":                                 "admin",
	"POST /v1/webhooks/{id}/rotate-secret":                     "admin",
	"POST /v1/webhooks/{id}/test":                              "admin",
	"GET /v1/connectors/{id}/{resource}":                       "reader",
	"POST /v1/connectors/{id}/{resource}":                      "operator",
	"GET /v1/connectors/{id}/{resource}/{item}":                "reader",
	"GET /v1/connectors/{id}/{resource}/{item}/document":       "reader",
}

// somewhere is a path of a route, with ids that nobody has.
func somewhere(r route.Route) string {
	id := map[string]string{"vault-entries": "ve_0000000000000009", "connectors": "con_0000000000000009", "keys": "key_0000000000000009", "webhooks": "wh_0000000000000009"}
	collection := strings.Split(r.Path, "/")[2]
	if id[collection] == "" {
		id[collection] = "x_0000000000000009"
	}
	return strings.NewReplacer("{id}", id[collection], "{number}", "1", "{resource}", "orders", "{item}", "1", "{provider}", "nobody", "{handle}", "x").Replace(r.Path)
}

// rolesAtRoutes sends each role to each route of the table, and whoever has no key at all.
func rolesAtRoutes(*world) []attack {
	var out []attack
	for _, r := range route.Table() {
		if !strings.HasPrefix(r.Path, "/v1/") {
			continue
		}
		out = append(out, attack{name: r.Key(), do: func(t *testing.T, w *world) {
			path, may := somewhere(r), true
			for _, role := range ladder {
				connector := path
				if role == "reader" { // ours is kept to one connector, which is another defence
					connector = strings.Replace(path, "con_0000000000000009", w.names["arena.connector"], 1)
				}
				got := w.ask(t, w.key(t, role), r.Method, connector, nil, nil)
				if forbidden := got.status == http.StatusForbidden && got.json()["code"] == "forbidden"; forbidden == may {
					t.Errorf("%s: %d %s", role, got.status, got.body)
				}
				if role == lowest[r.Key()] || lowest[r.Key()] == "" {
					may = false
				}
			}
			for name, key := range map[string]string{"nobody": "", "a stranger": "cvk_0000000000000000", "somebody without a role": w.issuer.sign(t, object{"roles": "visitor"})} {
				got := w.ask(t, key, r.Method, path, nil, nil)
				if want := map[bool]int{true: 401, false: 403}[key == ""]; got.status != want || got.json()["code"] != nil {
					t.Errorf("%s: %d %s", name, got.status, got.body)
				}
			}
		}})
	}
	// What depends on the request and not on the route.
	clara := object{"provider": "clara", "alias": "theirs", "environment": "test", "country": "mx"}
	return append(out,
		attack{name: "an admin makes a Clara entry", by: "admin", send: "POST /v1/vault-entries", body: clara, want: 403, code: "forbidden"},
		attack{name: "an admin changes a Clara entry", by: "admin", send: "PATCH /v1/vault-entries/{arena.cards}", body: object{"alias": "theirs"}, want: 403, code: "forbidden"},
		attack{name: "an admin deletes a Clara entry", by: "admin", send: "DELETE /v1/vault-entries/{arena.cards}", want: 403, code: "forbidden"},
		attack{name: "an admin adds a client to a Clara entry", by: "admin", send: "POST /v1/vault-entries/{arena.cards}/credentials", body: object{"token_key": "x"}, want: 403, code: "forbidden"},
		attack{name: "an admin promotes a Clara entry's client", by: "admin", send: "POST /v1/vault-entries/{arena.cards}/credentials/2/promote", want: 403, code: "forbidden"},
		attack{name: "an operator brings a refresh token", by: "operator", send: "POST /v1/vault-entries/{arena.open}/authorize",
			body: object{"mode": "refresh_token", "refresh_token": "not-a-token", "selling_partner_id": "A1"}, want: 403, code: "forbidden"},
		attack{name: "an admin steps the clock of everybody", by: "admin", send: "POST /local/clock", body: object{"advance": "1s"}, want: 403},
		attack{name: "nobody steps the clock", send: "POST /local/clock", body: object{"advance": "1s"}, want: 401},
		attack{name: "an owner makes a role of their own", by: "owner", send: "POST /v1/keys", body: object{"role": "root", "label": "x"}, want: 400, code: "invalid_field"},
		attack{name: "an owner without the grant passes it on", by: "owner", send: "POST /v1/keys", body: object{"role": "reader", "label": "x", "personal_data": true}, want: 403, code: "personal_data_not_granted"},
		attack{name: "a key for another tenant", by: "owner", send: "POST /v1/keys", body: object{"role": "reader", "label": "x", "tenant": "{victim}"}, want: 400, code: "invalid_field"},
		attack{name: "a key in somebody's name", by: "owner", send: "POST /v1/keys", body: object{"role": "reader", "label": "x", "subject": "{arena}"}, want: 400, code: "invalid_field"},
	)
}

// readers are people who may read, and want more.
func readers(w *world) []attack {
	mine := "GET /v1/connectors/{arena.connector}"
	out := []attack{
		{name: "asks for personal data", by: "reader", send: mine + "/orders?personal_data=true", want: 403, code: "personal_data_not_granted"},
		{name: "asks for personal data of one", by: "reader", send: mine + "/orders/{arena.order}?personal_data=true", want: 403, code: "personal_data_not_granted"},
		{name: "asks for personal data twice over", by: "reader", send: mine + "/orders?personal_data=false&personal_data=true", want: 400, code: "invalid_field"},
		{name: "asks for personal data in capitals", by: "reader", send: mine + "/orders?personal_data=TRUE", want: 403, code: "personal_data_not_granted"},
		{name: "asks for personal data in other words", by: "reader", send: mine + "/orders?PERSONAL_DATA=true", want: 400, code: "invalid_field"},
		{name: "asks for personal data, escaped", by: "reader", send: mine + "/orders?personal%5Fdata=true", want: 403, code: "personal_data_not_granted"},
		{name: "asks for what holds nothing else", by: "reader", send: mine + "/order-address?personal_data=true", want: 403, code: "personal_data_not_granted"},
		{name: "reads another connector", by: "reader", send: "GET /v1/connectors/{arena.ledger}/contacts", want: 403, code: "forbidden"},
		{name: "reads an item of another connector", by: "reader", send: "GET /v1/connectors/{arena.ledger}/contacts/1", want: 403, code: "forbidden"},
		{name: "reads a document of another connector", by: "reader", send: "GET /v1/connectors/{arena.ledger}/attachments/1/document", want: 403, code: "forbidden"},
		{name: "looks at another connector", by: "reader", send: "GET /v1/connectors/{arena.ledger}", want: 403, code: "forbidden"},
		{name: "lists connectors", by: "reader", send: "GET /v1/connectors", want: 200, never: []string{"{arena.ledger}", "ledger"}},
		{name: "names the connector of another in capitals", by: "reader", send: "GET /v1/connectors/" + strings.ToUpper(w.names["arena.ledger"]) + "/contacts", want: 404, code: "not_found"},
		{name: "names two connectors", by: "reader", send: "GET /v1/connectors/{arena.connector},{arena.ledger}/contacts", want: 404, code: "not_found"},
		{name: "asks for a report", by: "reader", send: "POST /v1/connectors/{arena.connector}/reports", body: object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}, want: 403, code: "forbidden"},
		{name: "says to be an owner", by: "reader", send: "GET /v1/keys", header: map[string]string{"X-Role": "owner", "Role": "owner", "X-Amzn-Authorizer-Role": "owner"}, want: 403, code: "forbidden"},
	}
	// Where the provider would return it if it were asked to, it is not asked.
	return append(out, attack{name: "asks the provider for buyers' names", do: func(t *testing.T, w *world) {
		before := len(w.wire.all())
		got := w.ask(t, w.key(t, "reader"), "GET", w.fill(t, "/v1/connectors/{arena.connector}/orders?limit=20&includedData=BUYER,RECIPIENT"), nil, nil)
		for _, member := range []string{"buyerName", "buyerEmail", "addressLine1", "recipient"} {
			if strings.Contains(string(got.body), `"`+member+`"`) {
				t.Errorf("%s is there", member)
			}
		}
		for _, c := range w.wire.all()[before:] {
			if strings.Contains(c.query, "BUYER") || strings.Contains(c.query, "RECIPIENT") {
				t.Errorf("the provider was asked for %s", c.query)
			}
		}
		if got.status != 200 {
			t.Errorf("%s", got.text())
		}
	}}, attack{name: "asks for contacts' names", by: "reads books", send: "GET /v1/connectors/{arena.ledger}/contacts?attributes=all&limit=5", want: 200,
		never: []string{`"name":"`, `"email":"`, `"telephone":"`, `"address_line_1":"`}},
		attack{name: "asks for personal data with a token", do: func(t *testing.T, w *world) {
			got := w.ask(t, w.issuer.sign(t, object{"pii": "yes"}), "GET", w.fill(t, "/v1/connectors/{arena.connector}/orders?personal_data=true"), nil, nil)
			w.refused(t, got, 403, "personal_data_not_granted")
		}})
}
