package clarasim_test

import (
	"net/http"
	"strings"
	"testing"

	clarasim "connectorvault/infra/sim/clara"
)

func TestSidesAndCountries(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	mx, br := f.seeded(), f.clientOf(f.download(clarasim.SeedOtherClientID, 1))
	mxToken, brToken := mx.token(), br.token()
	wantStatus(t, mx.get("/v3/cards", mxToken), http.StatusOK)
	wantStatus(t, br.get("/v3/cards", brToken), http.StatusOK)
	for _, test := range []struct {
		client *client
		token  string
		path   string
		why    string
	}{
		{mx, mxToken, "/mx/api-test/v3/cards", "another side's project"},
		{mx, mxToken, "/br/api/v3/cards", "another country's project"},
		{br, brToken, "/br/api/v3/cards", "another side's project"},
		{br, mxToken, "/mx/api/v3/cards", "certificate of another project"},
		{mx, brToken, "/br/api-test/v3/cards", "certificate of another project"},
	} {
		wantRefusal(t, test.client.send(http.MethodGet, test.path, bearer(test.token), ""), http.StatusUnauthorized, "UNAUTHORIZED")
		if line := f.lastRequest(); line.Why != test.why {
			t.Errorf("%s: %+v", test.path, line)
		}
	}
	co := f.project(clarasim.ProjectRequest{Country: clarasim.CountryColombia})
	first := co.page("/v3/transactions?size=1", co.token()).Content[0]
	if first["amountValue"].(map[string]any)["currency"] != "COP" {
		t.Errorf("%v", first)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	for _, path := range []string{
		"/", "/mx", "/mx/", "/us/oauth/token", "/oauth/token", "/api/v3/cards", "/mx/oauth", "/mx/api", "/mx/api/", "/mx/api/v3", "/mx/api/v3/", "/mx/api/v1/cards", "/mx/api/v2/cards",
		"/mx/api/v3/groups", "/mx/api/v3/transaction", "/mx/api/v3//cards", "/mx/api//v3/cards", "/mx/api/v3/cards/x/y", "/mx/api/v3/transactions/x/y/z", "/mx/api/v3/transactions/x/documents/y", "/mx/api/v3/cards%2f",
	} {
		wantRefusal(t, c.send(http.MethodGet, path, bearer(token), ""), http.StatusNotFound, "NOT_FOUND")
	}
	wantStatus(t, c.get("/v3/cards/", token), http.StatusOK) // as a sample of Clara's has it
	for path, noun := range map[string]string{
		"/v3/transactions": "Transaction", "/v3/users": "User", "/v3/cards": "Card", "/v2/groups": "Group", "/v2/locations": "Location", "/v3/billing-statements": "Billing statement",
	} {
		r := wantRefusal(t, c.get(path+"/1614c41b-8eb4-4573-9262-8aff011224c5", token), http.StatusNotFound, "NOT_FOUND")
		if r.Message != noun+" with UUID '1614c41b-8eb4-4573-9262-8aff011224c5' not found" {
			t.Errorf("%s: %s", path, r.Message)
		}
	}
	wantRefusal(t, c.get("/v3/transactions/x/documents", token), http.StatusNotFound, "NOT_FOUND")
	wantRefusal(t, c.get("/v3/transactions/x%27%22%3C/documents", token), http.StatusNotFound, "NOT_FOUND")
	wantRefusal(t, c.get("/v3/cards?%zz", token), http.StatusBadRequest, "VALIDATION_ERROR")
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	all := map[string]string{
		"transactions": "/v3/transactions", "users": "/v3/users", "cards": "/v3/cards", "groups": "/v2/groups", "locations": "/v2/locations", "billing-statements": "/v3/billing-statements",
	}
	for permitted := range all {
		c := f.project(clarasim.ProjectRequest{Permissions: []string{permitted + ":read"}})
		token := c.token()
		for name, path := range all {
			if name == permitted {
				wantStatus(t, c.get(path, token), http.StatusOK)
				continue
			}
			for _, path := range []string{path, path + "/x"} {
				r := wantRefusal(t, c.get(path, token), http.StatusForbidden, "FORBIDDEN")
				if r.Message != "Access denied: insufficient permissions for this resource" {
					t.Errorf("message %q", r.Message)
				}
			}
		}
		wantRefusal(t, c.send(http.MethodPost, c.api()+all[permitted], bearer(token), "{}"), http.StatusForbidden, "FORBIDDEN")
	}
	// What lies below a transaction or a statement is permitted with it, and by nothing else.
	c := f.project(clarasim.ProjectRequest{Permissions: []string{"cards:read"}})
	token := c.token()
	for _, path := range []string{"/v3/transactions/x/documents", "/v3/transactions/x/extracted-documents", "/v3/billing-statements/x/transactions"} {
		wantRefusal(t, c.get(path, token), http.StatusForbidden, "FORBIDDEN")
	}
	w := f.project(clarasim.ProjectRequest{Permissions: []string{"cards:write"}})
	token = w.token()
	wantRefusal(t, w.get("/v3/cards", token), http.StatusForbidden, "FORBIDDEN")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		wantRefusal(t, w.send(method, w.api()+"/v3/cards", bearer(token), "{}"), http.StatusUnprocessableEntity, "B000")
	}
	wantRefusal(t, w.send(http.MethodOptions, w.api()+"/v3/cards", bearer(token), ""), http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
}

func TestTaxIdentifiers(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	lead := c.get("/v3/users?size=3", token).body
	if named := c.getFor("/v3/users?size=3", token, clarasim.SeedTaxIdentifier).body; named != lead {
		t.Error("the company that is meant is not the first one")
	}
	seen := map[string]bool{lead: true}
	for _, tax := range []string{clarasim.SeedTaxIdentifierSecond, clarasim.SeedTaxIdentifierThird} {
		a := c.getFor("/v3/users?size=3", token, tax)
		wantStatus(t, a, http.StatusOK)
		if seen[a.body] || f.lastRequest().TaxIdentifier != tax {
			t.Errorf("%s: the same users, or not noted: %+v", tax, f.lastRequest())
		}
		seen[a.body] = true
	}
	// One company's record is not the other's.
	id := c.page("/v3/cards?size=1", token).Content[0]["uuid"].(string)
	wantStatus(t, c.get("/v3/cards/"+id, token), http.StatusOK)
	wantRefusal(t, c.getFor("/v3/cards/"+id, token, clarasim.SeedTaxIdentifierSecond), http.StatusNotFound, "NOT_FOUND")

	for _, tax := range []string{"XXX010101XX1", clarasim.SeedOtherTaxIdentifier, strings.ToLower(clarasim.SeedTaxIdentifier)} {
		wantRefusal(t, c.getFor("/v3/cards", token, tax), http.StatusForbidden, "FORBIDDEN")
		if f.lastRequest().Why != "tax identifier" {
			t.Errorf("line %+v", f.lastRequest())
		}
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultTaxNotFound})
	wantRefusal(t, c.getFor("/v3/cards", token, "XXX010101XX1"), http.StatusNotFound, "NOT_FOUND")

	// Who replaces a project reads the same company, and the sandbox has one of its own.
	again := f.project(clarasim.ProjectRequest{TaxIdentifiers: []string{clarasim.SeedTaxIdentifier}})
	if again.get("/v3/users?size=3", again.token()).body != lead {
		t.Error("another project reads another company")
	}
	sandbox := f.project(clarasim.ProjectRequest{TaxIdentifiers: []string{clarasim.SeedTaxIdentifier}, Side: clarasim.SideSandbox})
	a, b := again.page("/v3/users?size=1", again.token()).Content[0], sandbox.page("/v3/users?size=1", sandbox.token()).Content[0]
	if a["uuid"] == b["uuid"] || a["mobilePhone"] == b["mobilePhone"] {
		t.Errorf("the sandbox shows production: %v, %v", a, b)
	}
}

func TestRequestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	header := bearer(token)
	header.Set("X-Api-Key", "canary-key")
	header.Set("Cookie", "session=canary-cookie")
	header.Set("X-Tax-Identifier", clarasim.SeedTaxIdentifier)
	header.Set("User-Agent", "tester/1")
	c.send(http.MethodGet, "/mx/api/v3/cards?size=1&access_token="+token+"&Client%5FSecret=canary&status=ACTIVE", header, "")
	c.send(http.MethodGet, "/mx/api/v3/cards", http.Header{"Authorization": {token}}, "")
	a := f.steer(http.MethodGet, "/_sim/requests", "")
	for _, secret := range []string{token, token[:40], "canary", clarasim.SeedClientSecret, c.basic().Get("Authorization")} {
		if strings.Contains(a.body, secret) || strings.Contains(f.log.String(), secret) {
			t.Errorf("a log holds %.20s…", secret)
		}
	}
	lines := decode[struct{ Items []clarasim.Request }](t, a).Items
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	first, second := lines[0], lines[1]
	if first.Headers["Authorization"] != "Basic" || first.Operation != "oauth/token" || first.Endpoint != "token" || first.ClientID != clarasim.SeedClientID || first.Fingerprint != c.issued.Fingerprint {
		t.Errorf("line %+v", first)
	}
	want := map[string]string{"Authorization": "Bearer", "X-Api-Key": "…", "Cookie": "…", "X-Tax-Identifier": clarasim.SeedTaxIdentifier, "User-Agent": "tester/1"}
	for name, value := range want {
		if second.Headers[name] != value {
			t.Errorf("%s: %q", name, second.Headers[name])
		}
	}
	if second.Query != "size=1&access_token=…&Client_Secret=…&status=ACTIVE" || second.Status != 200 || second.Credential != 1 || second.Token != f.ledger()[0].Seq ||
		second.Operation != "v3/cards" || second.Country != "mx" || second.Side != "production" || second.TLS != "TLS 1.3" {
		t.Errorf("line %+v", second)
	}
	if lines[2].Headers["Authorization"] != "…" || lines[2].Status != 401 {
		t.Errorf("line %+v", lines[2])
	}
	if got := decode[struct{ Items []clarasim.Request }](t, f.steer(http.MethodGet, "/_sim/requests?after=2", "")).Items; len(got) != 1 {
		t.Errorf("%d lines after the second", len(got))
	}
	f.steer(http.MethodDelete, "/_sim/requests", "")
	if got, err := f.sim.Requests(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("%d lines, %v", len(got), err)
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	c.get("/v3/cards", token)
	c.get("/v3/cards", token)
	c.get("/v3/cards/x", token)
	c.get("/v9/x", token)
	f.fault(clarasim.Fault{Name: clarasim.FaultEmpty, Endpoint: "api", Times: 1})
	c.get("/v2/groups", token)
	counted := decode[struct{ Items []clarasim.CallCount }](t, f.steer(http.MethodGet, "/_sim/calls", "")).Items
	want := []clarasim.CallCount{
		{Endpoint: "api", Operation: "unknown", Outcome: "404", Count: 1}, {Endpoint: "api", Operation: "v2/groups", Outcome: "200", Count: 1},
		{Endpoint: "api", Operation: "v2/groups", Outcome: "fault empty", Count: 1}, {Endpoint: "api", Operation: "v3/cards", Outcome: "200", Count: 2},
		{Endpoint: "api", Operation: "v3/cards/{uuid}", Outcome: "404", Count: 1}, {Endpoint: "token", Operation: "oauth/token", Outcome: "200", Count: 1},
	}
	if len(counted) != len(want) {
		t.Fatalf("counted %+v", counted)
	}
	for i := range want {
		if counted[i] != want[i] {
			t.Errorf("%+v, want %+v", counted[i], want[i])
		}
	}
	f.steer(http.MethodDelete, "/_sim/calls", "")
	if got, err := f.sim.Calls(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
