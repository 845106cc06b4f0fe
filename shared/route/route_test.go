package route

import (
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/access"
	"connectorvault/shared/record"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, want string
		parameters         map[string]string
	}{
		{"GET", "/v1/providers", "GET /v1/providers", nil},
		{"GET", "/v1/connectors/con_1", "GET /v1/connectors/{id}", map[string]string{"id": "con_1"}},
		{"GET", "/v1/connectors/con_1/orders", "GET /v1/connectors/{id}/{resource}", map[string]string{"id": "con_1", "resource": "orders"}},
		{"GET", "/v1/connectors/con_1/reports/7/document", "GET /v1/connectors/{id}/{resource}/{item}/document", map[string]string{"item": "7"}},
		{"GET", "/oauth/start/amazon", "GET /oauth/start/{handle}", map[string]string{"handle": "amazon"}},
		{"GET", "/oauth/start/callback", "GET /oauth/start/{handle}", map[string]string{"handle": "callback"}},
		{"GET", "/oauth/amazon/callback", "GET /oauth/{provider}/callback", map[string]string{"provider": "amazon"}},
		{"POST", "/oauth/amazon/callback", "", nil},
		{"GET", "/v1/providers/", "", nil},
		{"GET", "/v1/connectors//orders", "", nil},
		{"GET", "/", "", nil},
		{"PUT", "/v1/providers", "", nil},
	} {
		r, parameters, ok := Match(c.method, c.path)
		if ok != (c.want != "") || ok && r.Key() != c.want {
			t.Errorf("Match(%s %s) = %q, %t; want %q", c.method, c.path, r.Key(), ok, c.want)
		}
		for name, value := range c.parameters {
			if parameters[name] != value {
				t.Errorf("Match(%s %s): %s = %q, want %q", c.method, c.path, name, parameters[name], value)
			}
		}
	}
}

func TestTableHasNoTwins(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range Table() {
		if seen[r.Key()] {
			t.Errorf("%s is there twice", r.Key())
		}
		seen[r.Key()] = true
	}
}

// Nobody is asked for a key here, so each of these stands here in full, and a new one is added by hand.
var public = []string{
	"GET /oauth/start/{handle}",
	"POST /oauth/start/{handle}",
	"GET /oauth/{provider}/callback",
	"GET /oauth/{provider}/login",
	"GET /openapi.yaml",
}

func TestThePublicRoutes(t *testing.T) {
	t.Parallel()
	var open []string
	for _, r := range Table() {
		switch {
		case r.Open:
			open = append(open, r.Key())
			if r.Right != "" {
				t.Errorf("%s is open and takes a right", r.Key())
			}
		case r.Right == "":
			t.Errorf("%s takes no right, so nobody can call it", r.Key())
		}
		if r.Open == strings.HasPrefix(r.Path, "/v1/") {
			t.Errorf("%s: what is under /v1/ takes a key, and nothing else does", r.Key())
		}
	}
	if !slices.Equal(open, public) {
		t.Errorf("the public routes are %q", open)
	}
}

// callers says who may call each route, by the first letters of owner, admin, operator (P), reader, and the holder of a connector token (C).
var callers = map[string]string{
	"GET /v1/providers":                                        "OAPRC",
	"GET /v1/providers/{provider}":                             "OAPRC",
	"GET /v1/provider-apps":                                    "OA",
	"POST /v1/webhooks":                                        "OA",
	"GET /v1/webhooks":                                         "OA",
	"GET /v1/webhooks/{id}":                                    "OA",
	"PATCH /v1/webhooks/{id}":                                  "OA",
	"DELETE /v1/webhooks/{id}":                                 "OA",
	"POST /v1/webhooks/{id}/rotate-secret":                     "OA",
	"POST /v1/webhooks/{id}/test":                              "OA",
	"PUT /v1/provider-apps/{provider}":                         "O",
	"POST /v1/vault-entries":                                   "OAC",
	"POST /v1/provider-apps/{provider}/rotate-secret":          "O",
	"GET /v1/vault-entries":                                    "OAP",
	"GET /v1/vault-entries/{id}":                               "OAPC",
	"PATCH /v1/vault-entries/{id}":                             "OA",
	"DELETE /v1/vault-entries/{id}":                            "OAC",
	"POST /v1/vault-entries/{id}/authorize":                    "OAPC",
	"POST /v1/vault-entries/{id}/refresh":                      "OAP",
	"POST /v1/vault-entries/{id}/validate":                     "OAPC",
	"POST /v1/vault-entries/{id}/check":                        "OAP",
	"GET /v1/vault-entries/{id}/credentials":                   "OAP",
	"POST /v1/vault-entries/{id}/credentials":                  "OA",
	"DELETE /v1/vault-entries/{id}/credentials/{number}":       "OA",
	"POST /v1/vault-entries/{id}/credentials/{number}/promote": "OA",
	"POST /v1/connectors":                                      "OAC",
	"GET /v1/connectors":                                       "OAPR",
	"GET /v1/connectors/{id}":                                  "OAPR",
	"PATCH /v1/connectors/{id}":                                "OA",
	"DELETE /v1/connectors/{id}":                               "OA",
	"POST /v1/preflight":                                       "OAPC",
	"POST /v1/keys":                                            "O",
	"GET /v1/keys":                                             "O",
	"GET /v1/keys/{id}":                                        "O",
	"DELETE /v1/keys/{id}":                                     "O",
	"POST /v1/connector-tokens":                                "OA",
	"GET /v1/connector-tokens":                                 "OA",
	"GET /v1/connector-tokens/{id}":                            "OA",
	"DELETE /v1/connector-tokens/{id}":                         "OA",
	"GET /v1/events":                                           "OAP",
	"GET /v1/audit-events":                                     "OA",
	"GET /v1/connectors/{id}/{resource}":                       "OAPR",
	"POST /v1/connectors/{id}/{resource}":                      "OAP",
	"GET /v1/connectors/{id}/{resource}/{item}":                "OAPR",
	"GET /v1/connectors/{id}/{resource}/{item}/document":       "OAPR",
}

func TestWhoMayCallEachRoute(t *testing.T) {
	t.Parallel()
	letters := map[record.Role]string{record.Owner: "O", record.Admin: "A", record.Operator: "P", record.Reader: "R", "connector_token": "C", "": "N"}
	seen := 0
	for _, r := range Table() {
		if r.Open {
			continue
		}
		want, ok := callers[r.Key()]
		if !ok {
			t.Errorf("nobody has said who may call %s", r.Key())
		}
		seen++
		for role, letter := range letters {
			if may := access.May(role, r.Right); may != strings.Contains(want, letter) {
				t.Errorf("%q may call %s: %t", role, r.Key(), may)
			}
		}
	}
	if seen != len(callers) {
		t.Errorf("%d routes take a key, and of %d somebody has said who may call them", seen, len(callers))
	}
}

func TestFindKnowsTheTable(t *testing.T) {
	t.Parallel()
	for _, r := range Table() {
		if found, ok := Find(r.Key()); !ok || found != r {
			t.Errorf("%s is found as %+v, %t", r.Key(), found, ok)
		}
	}
	if r, ok := Find("GET /v1/nothing"); ok || r.Open || r.Right != "" {
		t.Errorf("there is %+v", r)
	}
}
