package clara_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/provider/providertest"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// What the tests connect. None of it is anybody's.
const (
	tokenKey  = "synthetic-client-id"
	secretKey = "canary-secret-key-2b7e"
	token     = "canary-access-token-91c4"
)

var (
	long = span{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)}
	past = span{long.from, time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}
	to   = span{time.Date(2080, 1, 1, 0, 0, 0, 0, time.UTC), long.until}
)

type span struct{ from, until time.Time }

var serials atomic.Int64

// issuer is an authority.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// make issues a certificate after a template.
func (i issuer) make(t testing.TB, template x509.Certificate, key crypto.Signer) issued {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = long.from, long.until
	}
	parent, signer := i.certificate, i.key
	if parent == nil {
		parent, signer = &template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{certificate, key}
}

func authorityTemplate(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func newIssuer(t testing.TB, name string) issuer {
	made := issuer{}.make(t, authorityTemplate(name), newKey(t))
	return issuer(made)
}

func (i issuer) below(t testing.TB, name string) issuer {
	return issuer(i.make(t, authorityTemplate(name), newKey(t)))
}

func clientTemplate(valid span, usage ...x509.ExtKeyUsage) x509.Certificate {
	if usage == nil {
		usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return x509.Certificate{Subject: pkix.Name{CommonName: tokenKey}, NotBefore: valid.from, NotAfter: valid.until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage}
}

func (i issuer) client(t testing.TB) issued { return i.make(t, clientTemplate(long), newKey(t)) }

func serverTemplate(valid span) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: "server"}, NotBefore: valid.from, NotAfter: valid.until, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

func (i issuer) server(t testing.TB) issued { return i.make(t, serverTemplate(long), newKey(t)) }

func pool(all ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range all {
		p.AddCert(c)
	}
	return p
}

// file is the name of one with this text.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func certificatePEM(all ...*x509.Certificate) string {
	text := ""
	for _, c := range all {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return text
}

func keyPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// secretsOf are an entry's, with this certificate.
func secretsOf(t testing.TB, client issued, more ...string) map[string]secret.Text {
	all := map[string]secret.Text{
		"secret_key":         secret.New(secretKey),
		"client_certificate": secret.New(certificatePEM(client.certificate)),
		"private_key":        secret.New(keyPEM(t, client.key)),
	}
	maps.Copy(all, texts(more...))
	return all
}

func texts(pairs ...string) map[string]secret.Text {
	all := map[string]secret.Text{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = secret.New(pairs[i+1])
	}
	return all
}

// entry is one as a caller may give it.
func entry(pairs ...string) record.Entry {
	e := record.Entry{Tenant: "t_1", ID: "ve_1", Provider: "clara", Settings: map[string]string{"country": "mx", "token_key": tokenKey},
		Secrets: record.SecretGroups{record.ClientSecrets: {Version: "1", Fields: []string{"secret_key"}},
			record.ReadSecrets: {Version: "1", Fields: []string{"client_certificate", "private_key"}}}}
	for i := 0; i < len(pairs); i += 2 {
		e.Settings[pairs[i]] = pairs[i+1]
	}
	return e
}

func session(e record.Entry, secrets map[string]secret.Text) provider.Session {
	return provider.Session{Target: provider.Target{Entry: e}, Access: secret.New(token), Secrets: secrets}
}

// reading is a call of what is simplest to read.
func reading(a *clara.Adapter) provider.Call {
	res, _ := a.Descriptor().Resource("groups")
	return provider.Call{Op: *res.List}
}

func sandbox(e record.Entry) record.Entry {
	e.APIEnvironment = record.Sandbox
	return e
}

func TestConformance(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	without := entry()
	without.Secrets = nil
	elsewhere := entry()
	elsewhere.APIEnvironment = "elsewhere"
	watched := entry("tax_identifier", "xaxx010101000", "project_expires_at", "2027-01-31")
	watched.Material = &record.Material{NotAfter: long.until}
	providertest.Run(t, providertest.Harness{
		Adapter: clara.New(clara.Options{Roots: func() *x509.CertPool { return pool() }}),
		Entries: []record.Entry{entry(), entry("country", " BR "), sandbox(entry("country", "co")), watched},
		Refused: []record.Entry{without, elsewhere, entry("country", ""), entry("country", "us"), entry("token_key", ""), entry("token_key", "a:b"), entry("token_key", "a b"),
			entry("tax_identifier", "x\r\ny"), entry("project_expires_at", "soon")},
		Secrets: secretsOf(t, authority.client(t), "ca_certificates", certificatePEM(authority.certificate)),
		Account: record.Account{ID: tokenKey, Identity: record.Verified},
	})
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	e := entry("country", " CO ", "token_key", " "+tokenKey+" ", "tax_identifier", " xaxx010101000 ", "project_expires_at", "2027-01-31T23:30:00-05:00")
	if err := a.Normalize(&e); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"country": "co", "token_key": tokenKey, "tax_identifier": "XAXX010101000", "project_expires_at": "2027-02-01"}
	if !maps.Equal(e.Settings, want) || e.APIEnvironment != record.Production {
		t.Errorf("it becomes %v on %s", e.Settings, e.APIEnvironment)
	}
	for _, secretName := range []string{"secret_key", "client_certificate", "private_key"} {
		e := entry()
		for group, stored := range e.Secrets {
			var left []string
			for _, f := range stored.Fields {
				if f != secretName {
					left = append(left, f)
				}
			}
			e.Secrets[group] = record.StoredSecret{Version: "1", Fields: left}
		}
		if err := a.Normalize(&e); fieldOf(err) != secretName {
			t.Errorf("without %s: %v", secretName, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	own := clara.New(clara.Options{})
	replaced := clara.New(clara.Options{Endpoints: clara.Endpoints{Base: map[string]string{"mx": "https://127.0.0.1:1/", "br": "https://h.example/clara", "co": ""}}})
	for _, row := range []struct {
		a          *clara.Adapter
		e          record.Entry
		token, api string
	}{
		{own, entry(), "https://public-api.mx.clara.com/oauth/token", "https://public-api.mx.clara.com/api"},
		{own, sandbox(entry("country", "br")), "https://public-api.br.clara.com/oauth/token", "https://public-api.br.clara.com/api-test"},
		{own, entry("country", "co"), "https://public-api.co.clara.com/oauth/token", "https://public-api.co.clara.com/api"},
		{replaced, entry(), "https://127.0.0.1:1/oauth/token", "https://127.0.0.1:1/api"},
		{replaced, sandbox(entry("country", "br")), "https://h.example/clara/oauth/token", "https://h.example/clara/api-test"},
		{replaced, entry("country", "co"), "https://public-api.co.clara.com/oauth/token", "https://public-api.co.clara.com/api"},
	} {
		client := row.a.TokenClient(row.e, provider.AppCredentials{Secrets: texts("secret_key", secretKey)})
		if client.TokenURL != row.token || row.a.BaseURL(row.e) != row.api || client.ID != tokenKey || client.Secret.Reveal() != secretKey || client.RevokeURL != "" {
			t.Errorf("%v: %s and %s", row.e.Settings, client.TokenURL, row.a.BaseURL(row.e))
		}
	}
}

func TestHorizon(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	if dates := a.Horizon(entry()); len(dates) != 0 {
		t.Errorf("of nothing there are %v", dates)
	}
	e := entry("project_expires_at", "2027-01-31")
	e.Material = &record.Material{NotAfter: long.until}
	dates := a.Horizon(e)
	if len(dates) != 2 || dates[0].Name != record.CertificateEnd || !dates[0].At.Equal(long.until) ||
		dates[1].Name != record.ProjectEnd || !dates[1].At.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("there are %v", fmt.Sprint(dates))
	}
}
