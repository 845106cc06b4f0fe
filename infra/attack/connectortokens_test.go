package attack_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectorvault/shared/route"
)

// powers are what a connector token is for. All other routes are closed to its holder, also those that nobody has thought of yet.
var powers = []string{"GET /v1/providers", "GET /v1/providers/{provider}", "POST /v1/preflight", "POST /v1/vault-entries", "POST /v1/vault-entries/{id}/authorize",
	"POST /v1/vault-entries/{id}/validate", "GET /v1/vault-entries/{id}", "DELETE /v1/vault-entries/{id}", "POST /v1/connectors"}

// holding makes a token that nobody else uses.
func (w *world) holding(t *testing.T, name string, change object) (id string) {
	t.Helper()
	body := object{"providers": []string{"amazon"}, "environment": "test", "uses": 3, "expires_in_hours": 1, "label": name}
	for member, value := range change {
		if body[member] = value; value == nil {
			delete(body, member)
		}
	}
	made := w.shown(t, "owner", "POST", "/v1/connector-tokens", body, "token")
	w.late.Store(name, made.text1("token"))
	return made.text1("id")
}

func connectorTokens(w *world) []attack {
	var out []attack
	for _, r := range route.Table() {
		if !strings.HasPrefix(r.Path, "/v1/") || slices.Contains(powers, r.Key()) {
			continue
		}
		out = append(out, attack{name: "at " + r.Key(), do: func(t *testing.T, w *world) {
			for _, id := range []string{w.names["arena.entry"], w.names["arena.connector"], w.names["arena.token"], w.names["reader.key"], w.names["arena.webhook"]} {
				path := strings.NewReplacer("{id}", id, "{number}", "1", "{resource}", "orders", "{item}", w.names["arena.order"], "{provider}", "amazon").Replace(r.Path)
				w.refused(t, w.ask(t, w.key(t, "arena's token"), r.Method, path, nil, nil), 403, "forbidden")
			}
		}})
	}
	by := "arena's token"
	good := w.keys[by]
	out = append(out,
		attack{name: "at another provider", by: by, send: "POST /v1/vault-entries", body: object{"provider": "sage", "alias": "x"}, want: 403, code: "connector_token_scope"},
		attack{name: "at a provider for owners", by: by, send: "POST /v1/vault-entries", body: object{"provider": "clara", "alias": "x", "country": "mx"}, want: 403, code: "connector_token_scope"},
		attack{name: "at another environment", by: by, send: "POST /v1/vault-entries", body: object{"provider": "amazon", "alias": "x", "region": "na", "environment": "production"}, want: 403, code: "connector_token_scope"},
		attack{name: "at another provider's form", by: by, send: "GET /v1/providers/sage", want: 404, code: "not_found"},
		attack{name: "at another provider's preflight", by: by, send: "POST /v1/preflight", body: object{"provider": "sage"}, want: 403, code: "connector_token_scope"},
		attack{name: "with a refresh token", by: by, send: "POST /v1/vault-entries/{arena.open}/authorize", body: object{"mode": "refresh_token", "refresh_token": "x", "selling_partner_id": "y"}, want: 404, code: "not_found"},
		attack{name: "at a connector on another's entry", by: by, send: "POST /v1/connectors", body: object{"name": "x", "vault_entry": "{arena.entry}"}, want: 404, code: "not_found"},
		attack{name: "at a connector on another tenant's entry", by: by, send: "POST /v1/connectors", body: object{"name": "x", "vault_entry": "{victim.entry}"}, want: 404, code: "not_found"},
		attack{name: "for more of them", by: "operator", send: "POST /v1/connector-tokens", body: object{"providers": []string{"amazon"}, "environment": "test", "uses": 1, "expires_in_hours": 1}, want: 403, code: "forbidden"},
		attack{name: "for owners, by an admin", by: "admin", send: "POST /v1/connector-tokens", body: object{"providers": []string{"clara"}, "environment": "test", "uses": 1, "expires_in_hours": 1}, want: 403, code: "forbidden"},
		attack{name: "for ever", by: "owner", send: "POST /v1/connector-tokens", body: object{"providers": []string{"amazon"}, "environment": "test", "uses": 1, "expires_in_hours": 24 * 365}, want: 400, code: "invalid_field"},
		attack{name: "of endless uses", by: "owner", send: "POST /v1/connector-tokens", body: object{"providers": []string{"amazon"}, "environment": "test", "uses": 1000000, "expires_in_hours": 1}, want: 400, code: "invalid_field"},
		attack{name: "of negative uses", by: "owner", send: "POST /v1/connector-tokens", body: object{"providers": []string{"amazon"}, "environment": "test", "uses": -1, "expires_in_hours": 1}, want: 400, code: "invalid_field"},
		attack{name: "as a key", send: "GET " + door, header: map[string]string{"Authorization": "Bearer cvk_" + strings.TrimPrefix(good, "cvt_")}, want: 403},
		attack{name: "as a key with a checksum", send: "GET " + door, header: map[string]string{"Authorization": "Bearer " + withChecksum("cvk_"+good[4:len(good)-8])}, want: 403},
		attack{name: "of a key", send: "GET " + door, header: map[string]string{"Authorization": "Bearer " + withChecksum("cvt_"+w.keys["reader"][4:len(w.keys["reader"])-8])}, want: 403},
		attack{name: "whose uses are up", do: func(t *testing.T, w *world) {
			w.holding(t, "one use", object{"uses": 1})
			body := object{"provider": "amazon", "alias": "the one use", "region": "na"}
			if got := w.ask(t, w.keyOf("one use"), "POST", "/v1/vault-entries", nil, body); got.status != 201 {
				t.Fatalf("%s", got.text())
			}
			body["alias"] = "one more"
			w.refused(t, w.ask(t, w.keyOf("one use"), "POST", "/v1/vault-entries", nil, body), 409, "connector_token_used_up")
		}},
		attack{name: "by a hundred at once", do: func(t *testing.T, w *world) {
			id := w.holding(t, "a race", object{"uses": 5})
			statuses := make([]int, 100)
			var all sync.WaitGroup
			for i := range statuses {
				all.Go(func() {
					statuses[i] = w.ask(t, w.keyOf("a race"), "POST", "/v1/vault-entries", nil,
						object{"provider": "amazon", "alias": "racing " + strings.Repeat("i", i+1), "region": "na"}).status
				})
			}
			all.Wait()
			made := 0
			for _, status := range statuses {
				if status == 201 {
					made++
				} else if status != 409 && status != 503 {
					t.Errorf("somebody is answered with %d", status)
				}
			}
			if left := w.must(t, "owner", 200, "GET", "/v1/connector-tokens/"+id, nil).json()["uses_left"]; made != 5 || left != 0.0 {
				t.Errorf("%d entries were made of 5, and %v uses are left", made, left)
			}
		}},
		attack{name: "that takes a use back after the account was connected", do: func(t *testing.T, w *world) {
			id := w.holding(t, "takes back", object{"uses": 1})
			made := w.ask(t, w.keyOf("takes back"), "POST", "/v1/vault-entries", nil, object{"provider": "amazon", "alias": "taken back", "region": "na"})
			entry := made.text1("id")
			begun := w.quietly(t, w.keyOf("takes back"), "POST", "/v1/vault-entries/"+entry+"/authorize", nil, object{"mode": "result_url"})
			w.plantQuery(begun.text1("oauth_request_url"))
			result := w.consent(t, begun.text1("oauth_request_url"))
			if got := w.ask(t, w.keyOf("takes back"), "POST", "/v1/vault-entries/"+entry+"/validate", nil, object{"result_url": result}); got.status != 200 {
				t.Fatalf("%s", got.text())
			}
			if got := w.ask(t, w.keyOf("takes back"), "DELETE", "/v1/vault-entries/"+entry, nil, nil); got.status < 400 {
				t.Errorf("the holder removes what is connected: %s", got.text())
			}
			if left := w.must(t, "owner", 200, "GET", "/v1/connector-tokens/"+id, nil).json()["uses_left"]; left != 0.0 {
				t.Errorf("%v uses are left", left)
			}
			w.is(t, "owner", entry, "active")
		}},
		attack{name: "at what another token made", do: func(t *testing.T, w *world) {
			w.holding(t, "one holder", nil)
			w.holding(t, "another holder", nil)
			entry := w.ask(t, w.keyOf("one holder"), "POST", "/v1/vault-entries", nil, object{"provider": "amazon", "alias": "one holder's", "region": "na"}).text1("id")
			for _, c := range []struct {
				method, path string
				body         any
			}{{"GET", "", nil}, {"DELETE", "", nil}, {"POST", "/authorize", object{"mode": "browser"}}, {"POST", "/validate", object{"result_url": "http://127.0.0.1/x?state=y"}}} {
				ask := func(id string) string {
					got := w.ask(t, w.keyOf("another holder"), c.method, "/v1/vault-entries/"+id+c.path, nil, c.body)
					return strings.ReplaceAll(changing.ReplaceAllString(string(got.body), ""), id, "ID")
				}
				if theirs, nobodys := ask(entry), ask(unknown(entry)); theirs != nobodys || !strings.Contains(theirs, "not_found") {
					t.Errorf("%s %s: %s\n%s", c.method, c.path, theirs, nobodys)
				}
			}
		}},
		attack{name: "that was revoked", do: func(t *testing.T, w *world) {
			id := w.holding(t, "revoked token", nil)
			w.must(t, "owner", 204, "DELETE", "/v1/connector-tokens/"+id, nil)
			w.await(t, func() bool {
				return w.ask(t, w.keyOf("revoked token"), "GET", door, nil, nil).status == http.StatusForbidden
			})
		}},
		attack{name: "that has expired", do: func(t *testing.T, w *world) {
			soonest(t, func(at string) bool {
				made := w.quietly(t, w.key(t, "owner"), "POST", "/v1/connector-tokens", nil, object{"providers": []string{"amazon"}, "environment": "test",
					"uses": 3, "expires_at": at, "label": "expired token"})
				w.late.Store("expired token", w.secrets.plant("the token that expires", made.text1("token")))
				return made.status == 201
			})
			w.await(t, func() bool {
				return w.ask(t, w.keyOf("expired token"), "GET", door, nil, nil).status == http.StatusForbidden
			})
		}},
		attack{name: "with one character changed", do: func(t *testing.T, w *world) {
			w.flipped(t, good[:len(good)-8], func(changed string) bool {
				return w.quietly(t, withChecksum(changed), "GET", door, nil, nil).status != 403
			})
		}},
	)
	return out
}
