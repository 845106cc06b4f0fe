package clarasim_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
	"connectorvault/infra/sim/engine/enginetest"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.steer(http.MethodPost, "/_sim/projects", `{"name":"ERP – Prod","country":"co","side":"sandbox","key_type":"ecdsa","permissions":["cards:read"],
		"tax_identifiers":["900123456"],"expires_at":"2026-12-01T00:00:00Z","not_before":"2026-06-01T00:00:00Z","not_after":"2027-01-01T00:00:00Z","eku":"client"}`)
	wantStatus(t, a, http.StatusOK)
	issued := decode[clarasim.Issued](t, a)
	if issued.ClientID == "" || issued.ClientSecret == "" || issued.N != 1 || len(issued.ClientID) != 32 || len(issued.ClientSecret) != 64 {
		t.Errorf("issued %+v", issued)
	}
	leaf := leafOf(t, issued.PublicKey)
	if !leaf.NotBefore.Equal(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)) || !leaf.NotAfter.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	download := clarasim.Download{ProjectName: "ERP – Prod", Credentials: clarasim.DownloadCredentials{
		ClientID: issued.ClientID, ClientSecret: issued.ClientSecret, PublicKey: issued.PublicKey, PrivateKey: issued.PrivateKey,
	}}
	if issued.Download != download {
		t.Errorf("download %+v", issued.Download)
	}
	file := func(name string) string {
		a := f.steer(http.MethodGet, "/_sim/projects/"+issued.ClientID+"/credentials/1/"+name, "")
		wantStatus(t, a, http.StatusOK)
		if a.body != issued.Files[name] {
			t.Errorf("%s differs", name)
		}
		return a.body
	}
	var asFile clarasim.Download
	if err := json.Unmarshal([]byte(file("project.json")), &asFile); err != nil || asFile != download {
		t.Errorf("project.json %+v, %v", asFile, err)
	}
	var token map[string]string
	if err := json.Unmarshal([]byte(file("token-data.json")), &token); err != nil || token["clientId"] != issued.ClientID || token["clientSecret"] != issued.ClientSecret || len(token) != 2 {
		t.Errorf("token-data.json %v, %v", token, err)
	}
	if file("public-key.crt") != issued.PublicKey || file("private-key.key") != issued.PrivateKey || file("ca-public-key.pem") != issued.CA {
		t.Error("files differ from the answer")
	}
	if again := decode[clarasim.Issued](t, f.steer(http.MethodGet, "/_sim/projects/"+issued.ClientID+"/credentials/1", "")); again.PrivateKey != issued.PrivateKey {
		t.Error("the same download differs")
	}
	for _, path := range []string{"/credentials/1/x", "/credentials/2", "/credentials/x", "/credentials/2/public-key.crt"} {
		wantStatus(t, f.steer(http.MethodGet, "/_sim/projects/"+issued.ClientID+path, ""), http.StatusNotFound)
	}
	c := f.clientOf(issued)
	wantStatus(t, c.get("/v3/cards", c.token()), http.StatusOK)

	// No list of projects shows a secret.
	for _, path := range []string{"/_sim/projects", "/_sim/projects/" + issued.ClientID} {
		a := f.steer(http.MethodGet, path, "")
		wantStatus(t, a, http.StatusOK)
		if !strings.Contains(a.body, issued.ClientID) || strings.Contains(a.body, issued.ClientSecret) || strings.Contains(a.body, "PRIVATE") || strings.Contains(a.body, clarasim.SeedClientSecret) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

func TestProjectDefaults(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	issued := decode[clarasim.Issued](t, f.steer(http.MethodPost, "/_sim/projects", `{}`))
	p := issued.Project
	if p.Country != "mx" || p.Side != "production" || len(p.Permissions) != 6 || len(p.TaxIdentifiers) != 1 || p.ExpiresAt.Sub(f.clock.Now()) != 360*24*time.Hour {
		t.Errorf("project %+v", p)
	}
	if !strings.HasPrefix(issued.PrivateKey, "-----BEGIN RSA PRIVATE KEY-----") {
		t.Errorf("key %.40s", issued.PrivateKey)
	}
	for country, length := range map[string]int{"mx": 12, "br": 14, "co": 9} {
		issued := f.create(clarasim.ProjectRequest{Country: country})
		if got := issued.Project.TaxIdentifiers[0]; len(got) != length {
			t.Errorf("%s: %q", country, got)
		}
	}
	seeded, err := f.sim.Projects(t.Context())
	if err != nil || len(seeded) != 6 {
		t.Fatalf("%d projects, %v", len(seeded), err)
	}
	i := slices.IndexFunc(seeded, func(p clarasim.Project) bool { return p.ClientID == clarasim.SeedOtherClientID })
	if p := seeded[i]; p.Country != "br" || p.Side != "sandbox" || !slices.Equal(p.Permissions, []string{"transactions:read", "cards:read"}) || p.Origin != "seeded" || len(p.Credentials) != 1 {
		t.Errorf("project %+v", p)
	}
}

func TestProjectsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, body := range []string{
		`{"country":"us"}`, `{"side":"test"}`, `{"permissions":["cards"]}`, `{"permissions":["cards:delete"]}`, `{"permissions":["logs:read"]}`,
		`{"expires_at":"2027-06-11T12:00:01Z"}`, `{"key_type":"dsa"}`, `{"eku":"all"}`, `{"issuer":"me"}`, `{"chain":"x"}`, `{"ca":"none"}`,
		`{"not_before":"2026-07-01T00:00:00Z","not_after":"2026-07-01T00:00:00Z"}`, `{"tax_identifiers":[""]}`, `{"tax_identifiers":["A","A"]}`, `{"tax_identifiers":[" A"]}`, `{"contry":"mx"}`, `[]`, ``,
	} {
		if a := f.steer(http.MethodPost, "/_sim/projects", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	wantStatus(t, f.steer(http.MethodPost, "/_sim/projects", `{"expires_at":"2027-06-10T12:00:00Z","key_type":"ecdsa"}`), http.StatusOK) // 360 days
	wantStatus(t, f.steer(http.MethodPost, "/_sim/projects/x/credentials", `{"key_type":"ecdsa"}`), http.StatusNotFound)
	wantStatus(t, f.steer(http.MethodPost, "/_sim/projects/"+clarasim.SeedClientID+"/credentials", `{"key_type":"x"}`), http.StatusBadRequest)
	for _, path := range []string{"/x/credentials/1", "/" + clarasim.SeedClientID + "/credentials/9", "/x/tokens"} {
		wantStatus(t, f.steer(http.MethodDelete, "/_sim/projects"+path, ""), http.StatusNotFound)
	}
	wantStatus(t, f.steer(http.MethodPatch, "/_sim/projects/x", `{}`), http.StatusNotFound)
	wantStatus(t, f.steer(http.MethodGet, "/_sim/projects/x", ""), http.StatusNotFound)
}

// A second credential works beside the first; when the first is deleted, its secret, its certificate and its tokens stop.
func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	first := f.seeded()
	firstToken := first.token()
	issued := decode[clarasim.Issued](t, f.steer(http.MethodPost, "/_sim/projects/"+clarasim.SeedClientID+"/credentials", `{"key_type":"ecdsa-pkcs8"}`))
	if issued.N != 2 || issued.ClientID != clarasim.SeedClientID || issued.ClientSecret == clarasim.SeedClientSecret || issued.Fingerprint == first.issued.Fingerprint {
		t.Fatalf("issued %+v", issued)
	}
	second := f.clientOf(issued)
	secondToken := second.token()
	for _, c := range []*client{first, second} {
		for _, token := range []string{firstToken, secondToken} {
			wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
		}
	}
	// A secret of one and the certificate of the other are still one project's.
	wantStatus(t, first.send(http.MethodPost, "/mx/oauth/token", second.basic(), ""), http.StatusOK)

	wantStatus(t, f.steer(http.MethodDelete, "/_sim/projects/"+clarasim.SeedClientID+"/credentials/1", ""), http.StatusNoContent)
	wantRefusal(t, first.get("/v3/cards", firstToken), http.StatusUnauthorized, "UNAUTHORIZED") // on the open connection too
	if f.lastRequest().Why != "certificate of no project" {
		t.Errorf("line %+v", f.lastRequest())
	}
	wantRefusal(t, first.get("/v3/cards", secondToken), http.StatusUnauthorized, "UNAUTHORIZED")
	wantRefusal(t, second.get("/v3/cards", firstToken), http.StatusUnauthorized, "UNAUTHORIZED")
	if f.lastRequest().Why != "credential deleted" {
		t.Errorf("line %+v", f.lastRequest())
	}
	wantStatus(t, second.get("/v3/cards", secondToken), http.StatusOK)
	wantTokenError(t, first.tryToken(), http.StatusUnauthorized, "invalid_client")
	wantTokenError(t, second.send(http.MethodPost, "/mx/oauth/token", first.basic(), ""), http.StatusUnauthorized, "invalid_client") // the old secret
	wantTokenError(t, first.send(http.MethodPost, "/mx/oauth/token", second.basic(), ""), http.StatusUnauthorized, "invalid_client") // the old certificate
	second.token()
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/projects/"+clarasim.SeedClientID+"/credentials/1", ""), http.StatusNotFound)

	project := decode[clarasim.Project](t, f.steer(http.MethodGet, "/_sim/projects/"+clarasim.SeedClientID, ""))
	if len(project.Credentials) != 2 || project.Credentials[0].DeletedAt == nil || project.Credentials[1].DeletedAt != nil {
		t.Errorf("credentials %+v", project.Credentials)
	}
	third, err := f.sim.AddCredential(t.Context(), clarasim.SeedClientID, clarasim.CertificateRequest{KeyType: clarasim.KeyECDSA})
	if err != nil || third.N != 3 {
		t.Errorf("number %d, %v", third.N, err)
	}
}

func TestProjectChanges(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	change := func(body string, status int) {
		t.Helper()
		wantStatus(t, f.steer(http.MethodPatch, "/_sim/projects/"+clarasim.SeedClientID, body), status)
	}
	change(`{"permissions":["users:read"]}`, http.StatusOK)
	wantRefusal(t, c.get("/v3/cards", token), http.StatusForbidden, "FORBIDDEN")
	wantStatus(t, c.get("/v3/users", token), http.StatusOK)
	change(`{"permissions":[]}`, http.StatusOK)
	wantRefusal(t, c.get("/v3/users", token), http.StatusForbidden, "FORBIDDEN")
	change(`{"permissions":["users:read"],"tax_identifiers":["SIM020202BB2"],"name":"Other"}`, http.StatusOK)
	wantRefusal(t, c.getFor("/v3/users", token, clarasim.SeedTaxIdentifier), http.StatusForbidden, "FORBIDDEN")
	wantStatus(t, c.getFor("/v3/users", token, clarasim.SeedTaxIdentifierSecond), http.StatusOK)
	change(`{"expires_at":"2028-01-01T00:00:00Z"}`, http.StatusBadRequest)
	change(`{"permissions":["x:read"]}`, http.StatusBadRequest)
	change(`{"tax_identifiers":["A","A"]}`, http.StatusBadRequest)
	change(`{"expires_at":"2026-06-15T12:00:00Z"}`, http.StatusOK)
	wantRefusal(t, c.get("/v3/users", token), http.StatusUnauthorized, "UNAUTHORIZED")
	if f.lastRequest().Why != "project expired" {
		t.Errorf("line %+v", f.lastRequest())
	}
	if p := decode[clarasim.Project](t, f.steer(http.MethodGet, "/_sim/projects/"+clarasim.SeedClientID, "")); p.Name != "Other" || len(p.Credentials) != 1 {
		t.Errorf("project %+v", p)
	}
}

func TestProjectExpires(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.project(clarasim.ProjectRequest{ExpiresAt: f.clock.Now().Add(30 * time.Minute)})
	token := c.token()
	f.clock.Step(30*time.Minute - time.Second)
	wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
	f.clock.Step(time.Second)
	wantRefusal(t, c.get("/v3/cards", token), http.StatusUnauthorized, "UNAUTHORIZED")
	if f.lastRequest().Why != "project expired" {
		t.Errorf("line %+v", f.lastRequest())
	}
	wantTokenError(t, c.tryToken(), http.StatusUnauthorized, "invalid_client")
}

func TestTokensAreRevoked(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	old := c.token()
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/projects/"+clarasim.SeedClientID+"/tokens", ""), http.StatusNoContent)
	wantRefusal(t, c.get("/v3/cards", old), http.StatusUnauthorized, "UNAUTHORIZED")
	if f.lastRequest().Why != "token revoked" {
		t.Errorf("line %+v", f.lastRequest())
	}
	wantStatus(t, c.get("/v3/cards", c.token()), http.StatusOK)
}

// Several processes serve one state file: what one issued is good at the others, and their fronts show the same certificate.
func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "clara.db"), enginetest.NewClock()
	const n = 4
	var fronts [n]*front
	var sims [n]*clarasim.Simulator
	var wait sync.WaitGroup
	for i := range n { // all at once, on a file that is not there yet
		wait.Add(1)
		go func() {
			defer wait.Done()
			sim, err := clarasim.New(clarasim.Config{StatePath: state, Now: at.Now})
			if err != nil {
				t.Errorf("New: %v", err)
				return
			}
			sims[i] = sim
		}()
	}
	wait.Wait()
	for _, sim := range sims {
		if sim == nil {
			t.FailNow()
		}
		t.Cleanup(func() { _ = sim.Close() })
	}
	for i := range fronts {
		fronts[i] = openFront(t, state, at)
	}
	want := fronts[0].sim.TLSConfig().Certificates[0].Certificate[0]
	for i, f := range fronts {
		if !slices.Equal(want, f.sim.TLSConfig().Certificates[0].Certificate[0]) || !slices.Equal(want, sims[i].TLSConfig().Certificates[0].Certificate[0]) {
			t.Error("fronts show different certificates")
		}
	}
	issued := fronts[0].create(clarasim.ProjectRequest{})
	token := fronts[1].clientOf(issued).token()
	wantStatus(t, fronts[2].clientOf(issued).get("/v3/cards", token), http.StatusOK)
	fronts[3].fault(clarasim.Fault{Name: clarasim.FaultError500, Endpoint: "api", Times: 1})
	wantStatus(t, fronts[0].clientOf(issued).get("/v3/cards", token), http.StatusInternalServerError)
	wantStatus(t, fronts[1].clientOf(issued).get("/v3/cards", token), http.StatusOK)
	if err := fronts[1].sim.DeleteCredential(t.Context(), issued.ClientID, 1); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, fronts[2].clientOf(issued).get("/v3/cards", token), http.StatusUnauthorized)
	counted, err := fronts[3].sim.Handshakes(t.Context())
	if err != nil || counted.Completed != 5 {
		t.Errorf("handshakes %+v, %v", counted, err)
	}
}

// One of many requests at many processes meets a switch that acts once.
func TestSwitchActsOnceAcrossProcesses(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "clara.db"), enginetest.NewClock()
	a, b := openFront(t, state, at), openFront(t, state, at)
	clients := []*client{a.seeded(), b.seeded()}
	token := clients[0].token()
	a.fault(clarasim.Fault{Name: clarasim.FaultThrottled, Endpoint: "api", Times: 3})
	var mu sync.Mutex
	var refused int
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			c := clients[i%2]
			got, err := try(context.Background(), c.http, http.MethodGet, c.f.base+"/mx/api/v2/groups", bearer(token), "")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%v", err)
			}
			if got.status == http.StatusTooManyRequests {
				refused++
			}
		}()
	}
	wait.Wait()
	if refused != 3 {
		t.Errorf("%d were refused, not 3", refused)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := clarasim.New(clarasim.Config{}); err == nil {
		t.Error("a simulator without a state file")
	}
	if _, err := clarasim.New(clarasim.Config{StatePath: t.TempDir()}); err == nil {
		t.Error("a folder is no state file")
	}
	source := mathrand.NewChaCha8([32]byte{7})
	sim, err := clarasim.New(clarasim.Config{StatePath: filepath.Join(t.TempDir(), "clara.db"), Random: source})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	if _, err := sim.CreateProject(t.Context(), clarasim.ProjectRequest{}); err != nil {
		t.Error(err)
	}
}

// cutReader is a source that can run dry.
type cutReader struct{ dry atomic.Bool }

func (c *cutReader) Read(p []byte) (int, error) {
	if c.dry.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return rand.Read(p)
}

// A failure of the simulator itself is a 500 and a line in its log, and issues nothing.
func TestOwnFailure(t *testing.T) {
	t.Parallel()
	source, log := &cutReader{}, &enginetest.Log{}
	sim, err := clarasim.New(clarasim.Config{
		StatePath: filepath.Join(t.TempDir(), "clara.db"), Random: source, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	source.dry.Store(true)
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/_sim/projects", strings.NewReader(`{"key_type":"ecdsa"}`))
	r.Header.Set("Content-Type", "application/json")
	sim.Control().ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%d %s; %s", w.Code, w.Body, log)
	}
	if list, err := sim.Projects(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("%d projects, %v", len(list), err)
	}
}
