package clarasim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
)

func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.seeded().tryToken()
	wantStatus(t, a, http.StatusOK)
	if !regexp.MustCompile(`^\{"access_token":"[\w-]+\.[\w-]+\.[\w-]+","token_type":"Bearer","expires_in":3600\}$`).MatchString(a.body) {
		t.Errorf("body %s", a.body)
	}
	set := decode[tokenSet](t, a)
	if n := len(set.Access); n < 700 || n > 1100 {
		t.Errorf("a token of %d characters", n)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(set.Access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["azp"] != clarasim.SeedClientID || claims["exp"].(float64)-claims["iat"].(float64) != 3600 || claims["cnf"] != nil {
		t.Errorf("claims %v", claims)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", a.header)
	}
}

// Clara's sample sends no body; clients send a grant type and more (Clara facts 4.3).
func TestTokenBodies(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	for _, test := range []struct {
		contentType, body string
		status            int
		code              string
		grant             string
	}{
		{"", "", 200, "", ""},
		{"application/json", "", 200, "", ""},
		{"application/x-www-form-urlencoded", "", 200, "", ""},
		{"application/x-www-form-urlencoded", "grant_type=client_credentials", 200, "", "client_credentials"},
		{"application/x-www-form-urlencoded; charset=utf-8", "grant_type=client_credentials&audience=x&scope=read%3Ausers", 200, "", "client_credentials"},
		{"application/x-www-form-urlencoded", "audience=x", 200, "", ""},
		{"application/x-www-form-urlencoded", "grant_type=", 400, "unsupported_grant_type", ""},
		{"application/x-www-form-urlencoded", "grant_type=password", 400, "unsupported_grant_type", "other"},
		{"application/x-www-form-urlencoded", "grant_type=%zz", 400, "invalid_request", ""},
		{"application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request", ""},
		{"application/x-www-form-urlencoded", "a=" + strings.Repeat("x", 70000), 400, "invalid_request", ""},
	} {
		header := c.basic()
		if test.contentType != "" {
			header.Set("Content-Type", test.contentType)
		}
		a := c.send(http.MethodPost, "/mx/oauth/token", header, test.body)
		if test.code != "" {
			wantTokenError(t, a, test.status, test.code)
		} else {
			wantStatus(t, a, test.status)
		}
		if line := f.ledger()[len(f.ledger())-1]; line.GrantType != test.grant {
			t.Errorf("%.60q: grant type %q", test.body, line.GrantType)
		}
	}
	a := c.send(http.MethodGet, "/mx/oauth/token", c.basic(), "")
	wantRefusal(t, a, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
	if a.header.Get("Allow") != http.MethodPost {
		t.Errorf("header %v", a.header)
	}
}

func TestTokenCredentials(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	seeded, other := f.seeded(), f.clientOf(f.download(clarasim.SeedOtherClientID, 1))
	expired := f.project(clarasim.ProjectRequest{ExpiresAt: f.clock.Now().Add(-time.Second)})
	ends := f.project(clarasim.ProjectRequest{ExpiresAt: f.clock.Now()})
	inBody := url.Values{"grant_type": {"client_credentials"}, "client_id": {clarasim.SeedClientID}, "client_secret": {clarasim.SeedClientSecret}}.Encode()
	for _, test := range []struct {
		why    string
		client *client
		path   string
		header http.Header
		body   string
	}{
		{"no Basic authorization", seeded, "/mx", http.Header{}, ""},
		{"no Basic authorization", seeded, "/mx", http.Header{"Authorization": {"Bearer x"}}, ""},
		{"no Basic authorization", seeded, "/mx", http.Header{"Authorization": {"Basic %%%"}}, ""},
		{"no Basic authorization", seeded, "/mx", formHeader(http.Header{}), inBody},
		{"unknown client", seeded, "/mx", basic("nobody", clarasim.SeedClientSecret), ""},
		{"unknown client", seeded, "/mx", basic(strings.Repeat("x", 300), "y"), ""},
		{"wrong secret", seeded, "/mx", basic(clarasim.SeedClientID, "wrong"), ""},
		{"wrong secret", seeded, "/mx", basic(clarasim.SeedClientID, ""), ""},
		{"wrong secret", seeded, "/mx", basic(clarasim.SeedClientID, clarasim.SeedOtherClientSecret), ""},
		{"another country's project", seeded, "/br", seeded.basic(), ""},
		{"certificate of another project", other, "/mx", seeded.basic(), ""},
		{"certificate of another project", seeded, "/br", other.basic(), ""},
		{"project expired", expired, "/mx", expired.basic(), ""},
		{"project expired", ends, "/mx", ends.basic(), ""},
	} {
		wantTokenError(t, test.client.send(http.MethodPost, test.path+"/oauth/token", test.header, test.body), http.StatusUnauthorized, "invalid_client")
		line := f.ledger()[len(f.ledger())-1]
		if line.Why != test.why || line.Outcome != "invalid_client" || line.Credential != 0 || line.Fingerprint != test.client.issued.Fingerprint {
			t.Errorf("line %+v, want %s", line, test.why)
		}
	}
	if a := other.tryToken(); a.status != http.StatusOK {
		t.Errorf("the other project: %d %s", a.status, a.body)
	}
}

func TestTokenErrorsInTheManner(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.fault(clarasim.Fault{Name: clarasim.FaultClaraErrors})
	wantRefusal(t, c.send(http.MethodPost, "/mx/oauth/token", basic("x", "y"), ""), http.StatusUnauthorized, "UNAUTHORIZED")
	wantRefusal(t, c.send(http.MethodPost, "/mx/oauth/token", formHeader(c.basic()), "grant_type=x"), http.StatusBadRequest, "VALIDATION_ERROR")
	f.fault(clarasim.Fault{Name: clarasim.FaultInvalidClient})
	wantRefusal(t, c.tryToken(), http.StatusUnauthorized, "UNAUTHORIZED")
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	f.clock.Step(time.Hour - time.Second)
	wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
	f.clock.Step(time.Second)
	a := c.get("/v3/cards", token)
	wantRefusal(t, a, http.StatusUnauthorized, "UNAUTHORIZED")
	if f.lastRequest().Why != "token expired" || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("line %+v, header %v", f.lastRequest(), a.header)
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultTokenLifetime, Seconds: 90})
	if set := decode[tokenSet](t, c.tryToken()); set.Expires != 90 {
		t.Errorf("expires_in %d", set.Expires)
	}
	token = c.token()
	f.clock.Step(90 * time.Second)
	wantStatus(t, c.get("/v3/cards", token), http.StatusUnauthorized)
}

func TestTokenAnswersThatLackSomething(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.fault(clarasim.Fault{Name: clarasim.FaultNoExpiresIn, Times: 1})
	a := c.tryToken()
	if set := decode[tokenSet](t, a); strings.Contains(a.body, "expires_in") || set.Access == "" || set.Type != "Bearer" {
		t.Errorf("body %s", a.body)
	}
	if line := f.ledger()[0]; line.Fault != clarasim.FaultNoExpiresIn || line.Outcome != "issued" {
		t.Errorf("line %+v", line)
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultNoTokenType, Times: 1})
	a = c.tryToken()
	if set := decode[tokenSet](t, a); strings.Contains(a.body, "token_type") || set.Access == "" || set.Expires != 3600 {
		t.Errorf("body %s", a.body)
	}
	if set := decode[tokenSet](t, c.tryToken()); set.Expires == 0 || set.Type == "" {
		t.Error("the switches stayed on")
	}
}

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	first := f.seeded()
	issued, err := f.sim.AddCredential(t.Context(), clarasim.SeedClientID, clarasim.CertificateRequest{KeyType: clarasim.KeyECDSA})
	if err != nil {
		t.Fatal(err)
	}
	second := f.clientOf(issued)
	free := first.token()
	wantStatus(t, second.get("/v3/cards", free), http.StatusOK) // unbound: any certificate of the project

	f.fault(clarasim.Fault{Name: clarasim.FaultBoundTokens})
	bound := first.token()
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(bound, ".")[1])
	sum := sha256.Sum256(leafOf(t, first.issued.PublicKey).Raw)
	var claims struct {
		Cnf map[string]string `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Cnf["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || len(claims.Cnf) != 1 {
		t.Errorf("claims %v, %v", claims, err)
	}
	wantStatus(t, first.get("/v3/cards", bound), http.StatusOK)
	a := second.get("/v3/cards", bound)
	wantRefusal(t, a, http.StatusUnauthorized, "invalid_token")
	if a.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("header %v", a.header)
	}
	wantRefusal(t, first.get("/v3/cards", free), http.StatusUnauthorized, "invalid_token") // it is bound to nothing

	// A token that says what it is bound to is held to that whatever the switch says.
	if err := f.sim.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, second.get("/v3/cards", bound), http.StatusUnauthorized, "invalid_token")
	wantStatus(t, first.get("/v3/cards", free), http.StatusOK)
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	f, g := newFront(t), newFront(t)
	c := f.seeded()
	token := c.token()
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	later := strings.Replace(string(payload), `"exp":1`, `"exp":2`, 1)
	if later == string(payload) {
		t.Fatal("the payload was not changed")
	}
	for name, forged := range map[string]string{
		"none": "", "text": "x", "dots": "..", "cut": token[:len(token)-1], "without signature": parts[0] + "." + parts[1] + ".",
		"changed": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(later)) + "." + parts[2], "elsewhere": g.seeded().token(),
	} {
		wantRefusal(t, c.get("/v3/cards", forged), http.StatusUnauthorized, "UNAUTHORIZED")
		if f.lastRequest().Why != "no token" {
			t.Errorf("%s: %+v", name, f.lastRequest())
		}
	}
	wantRefusal(t, c.send(http.MethodGet, "/mx/api/v3/cards", http.Header{"Authorization": {"bearer " + token}}, ""), http.StatusUnauthorized, "UNAUTHORIZED")
}

func TestLedger(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	c.token()
	wantTokenError(t, c.send(http.MethodPost, "/mx/oauth/token", basic(clarasim.SeedClientID, "wrong"), ""), http.StatusUnauthorized, "invalid_client")
	f.fault(clarasim.Fault{Name: clarasim.FaultError503, Endpoint: "token", Times: 1})
	wantStatus(t, c.tryToken(), http.StatusServiceUnavailable)
	token := c.token()
	c.get("/v3/cards", token)
	type wire struct {
		Items    []clarasim.TokenCall
		Counters clarasim.TokenCounters
	}
	a := f.steer(http.MethodGet, "/_sim/token-calls", "")
	got := decode[wire](t, a)
	var outcomes []string
	for _, line := range got.Items {
		outcomes = append(outcomes, line.Outcome)
		if line.At != f.clock.Now().Unix() || line.Wall == 0 || line.Country != "mx" || line.ClientID != clarasim.SeedClientID {
			t.Errorf("line %+v", line)
		}
	}
	if !slices.Equal(outcomes, []string{"issued", "invalid_client", "fault:error_503", "issued"}) || got.Counters != (clarasim.TokenCounters{Issued: 2, Refused: 1, Faults: 1}) {
		t.Errorf("ledger %s", a.body)
	}
	last := got.Items[3]
	if last.Credential != 1 || last.ExpiresAt != last.At+3600 || f.lastRequest().Token != last.Seq {
		t.Errorf("line %+v, request %+v", last, f.lastRequest())
	}
	for query, want := range map[string]int{"?outcome=issued": 2, "?client_id=x": 0, "?after=1": 3, "?limit=1": 1, "?after=1&outcome=issued": 1} {
		if got := decode[wire](t, f.steer(http.MethodGet, "/_sim/token-calls"+query, "")); len(got.Items) != want {
			t.Errorf("%s: %d lines", query, len(got.Items))
		}
	}
	wantStatus(t, f.steer(http.MethodGet, "/_sim/token-calls?after=x", ""), http.StatusBadRequest)
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/token-calls", ""), http.StatusNoContent)
	if len(f.ledger()) != 0 {
		t.Error("the ledger is not empty")
	}
	wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
}
