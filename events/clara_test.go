package events_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// What the samples for Clara name.
const (
	cards     = "ve_1000000000000009" // an API project's, connected
	replaced  = "ve_1000000000000010" // another, whose next client waits beside it
	spendings = "con_1000000000000009"
)

// project is the certificate and the key of an API project, with the authority that issued it and vouches for the host. No
// key lies in the samples: they say where a PEM belongs, and the test puts its own there.
type project struct {
	certificate, key, authority string
	trusted                     *x509.CertPool
	host                        tls.Certificate
}

// theProject is made once for all samples.
var theProject = sync.OnceValues(func() (project, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return project{}, err
	}
	template := func(serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "EXAMPLE"}, NotBefore: noon.AddDate(-20, 0, 0), NotAfter: noon.AddDate(20, 0, 0),
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	}
	authority := template(1)
	authority.IsCA, authority.KeyUsage = true, x509.KeyUsageCertSign
	issue := func(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, problem := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), authorityKey)
		err = errors.Join(err, problem)
		return der
	}
	hostKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clientKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err = errors.Join(err1, err2); err != nil {
		return project{}, err
	}
	host, client := template(2), template(3)
	host.DNSNames, host.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	authorityDER, hostDER, clientDER := issue(authority, authorityKey), issue(host, hostKey), issue(client, clientKey)
	keyDER, problem := x509.MarshalPKCS8PrivateKey(clientKey)
	p := project{certificate: text("CERTIFICATE", clientDER), key: text("PRIVATE KEY", keyDER), authority: text("CERTIFICATE", authorityDER),
		trusted: x509.NewCertPool(), host: tls.Certificate{Certificate: [][]byte{hostDER}, PrivateKey: hostKey}}
	p.trusted.AppendCertsFromPEM([]byte(p.authority))
	return p, errors.Join(err, problem)
})

func newProject(t *testing.T) project {
	t.Helper()
	p, err := theProject()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withProject puts a certificate and a key where a sample says that they belong.
func withProject(t *testing.T, sample []byte) []byte {
	t.Helper()
	p := newProject(t)
	inside := func(text string) string { return strings.ReplaceAll(text, "\n", `\\n`) } // a text within a body that is a text
	return []byte(strings.NewReplacer("EXAMPLE-public-key.crt", inside(p.certificate), "EXAMPLE-private-key.key", inside(p.key)).Replace(string(sample)))
}

// claraStandIn answers for Clara, over mutual TLS.
func claraStandIn(t *testing.T) clara.Endpoints {
	t.Helper()
	p := newProject(t)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token": "CANARY-clara-access-2", "token_type": "Bearer", "expires_in": 3600}`)
	})
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"content": [{"uuid": "00000000-0000-4000-8000-00000000c1a2", "type": "PURCHASE", "user": {"name": "PERSON"}}],
			"totalElements": 1, "totalPages": 1, "size": 20, "number": 0}`)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{p.host}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.trusted}
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, []byte(p.authority), 0o600); err != nil {
		t.Fatal(err)
	}
	return clara.Endpoints{Base: map[string]string{"mx": "https://localhost:" + server.URL[strings.LastIndex(server.URL, ":")+1:]}, CAFile: file}
}

// seedClara makes two API projects' entries, one of them with a connector and the other with a client that waits.
func seedClara(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	ctx, v, p := t.Context(), b.Vault, newProject(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secrets := func(id, version string) record.SecretGroups {
		groups := record.SecretGroups{}
		for group, fields := range map[record.SecretGroup]map[string]secret.Text{
			record.ClientSecrets: {"secret_key": secret.New("CANARY-secret-key")},
			record.ReadSecrets:   {"client_certificate": secret.New(p.certificate), "private_key": secret.New(p.key)},
		} {
			text, err := vault.Secrets{Version: version, Fields: fields}.Encode()
			must(err)
			must(b.Secrets.PutSecret(ctx, vault.GroupSecret(vault.EntrySecret(tenant, id, version), group), text))
			stored := record.StoredSecret{Version: version, Fields: []string{"secret_key"}}
			if group == record.ReadSecrets {
				stored.Fields = []string{"client_certificate", "private_key"}
			}
			groups[group] = stored
		}
		return groups
	}
	material := &record.Material{Subject: "CN=EXAMPLE", Issuer: "CN=EXAMPLE", Fingerprint: "00", NotBefore: noon.AddDate(-20, 0, 0), NotAfter: noon.AddDate(20, 0, 0)}
	for id, alias := range map[string]string{cards: "Cards", replaced: "Cards of the branch"} {
		entry := record.Entry{Tenant: tenant, ID: id, Provider: clara.Name, Alias: alias, Environment: "production", APIEnvironment: record.Production,
			Settings: map[string]string{"country": "mx", "token_key": "EXAMPLE-token-key"}, Secrets: secrets(id, "v_1000000000000009"), Material: material,
			CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}
		if id == replaced {
			entry.Clients = 2
			entry.Successor = &record.Successor{Number: 2, Settings: map[string]string{"token_key": "EXAMPLE-next-token-key"}, Secrets: secrets(id, "v_1000000000000010"),
				Material: material, AddedBy: keyID, AddedAt: noon}
		}
		_, err := v.CreateEntry(ctx, entry, nil)
		must(err)
		c := record.Credential{Tenant: tenant, Entry: id, Provider: clara.Name, Status: record.Active, Generation: 1, Lifetime: time.Hour,
			Expires: noon.Add(time.Hour), Refreshed: noon, Authorized: noon, DueAt: noon.Add(time.Hour), Commit: "commit_1000000000000009",
			Account: &record.Account{ID: "EXAMPLE-token-key", Identity: record.Verified}}
		c.Sealed, err = v.SealTokens(ctx, c, 1, vault.TokenSet{Access: secret.New("CANARY-clara-access")})
		must(err)
		must(v.Authorize(ctx, nil, c, nil))
		must(v.NoteUse(ctx, tenant, id, 1)) // it is read, so it is kept warm
	}
	_, err := v.CreateConnector(ctx, record.Connector{Tenant: tenant, ID: spendings, Name: "Spendings", Entry: cards, Provider: clara.Name,
		Settings: map[string][]string{}, CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}, nil)
	must(err)
}

// hours are when samples happen that do not at noon.
var hours = map[string]func() func() time.Time{
	"planner/schedule-after-an-outage.json": func() func() time.Time { return func() time.Time { return noon.Add(2 * time.Hour) } },
	"refresh/call-due-clara.json":           func() func() time.Time { return func() time.Time { return noon.Add(2 * time.Hour) } },
	// Its answer waits until no read goes by the client before, and this clock does not keep it waiting.
	"admin/promote-credential.json":   hurrying,
	"refresh/call-promote.json":       hurrying,
	"refresh/call-refresh-clara.json": func() func() time.Time { return func() time.Time { return noon.Add(time.Hour) } },
}

// hurrying is a clock that every look sets forward.
func hurrying() func() time.Time {
	var mu sync.Mutex
	now := noon
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(6 * time.Second)
		return now
	}
}

// clockOf is the clock by which a sample happens.
func clockOf(name string) func() time.Time {
	if clock, ok := hours[name]; ok {
		return clock()
	}
	return atNoon
}

// inForce fails the test unless an entry is read with its client of a number, and with a set of tokens of a generation.
func inForce(t *testing.T, w *world, id string, number, generation int64) {
	t.Helper()
	e, err := w.vault.Entry(t.Context(), tenant, id)
	c, _, problem := w.vault.Credential(t.Context(), tenant, id)
	if err := errors.Join(err, problem); err != nil || e.ClientNumber() != number || c.Generation != generation {
		t.Errorf("client %d with generation %d is in force: %v", e.ClientNumber(), c.Generation, err)
	}
}
