package route

import "testing"

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
