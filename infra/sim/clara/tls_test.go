package clarasim_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
	"connectorvault/infra/sim/engine/enginetest"
)

// handshake shakes hands and waits for an alert: in TLS 1.3 the client has finished before the front has judged it.
func (c *client) handshake() error {
	dialer := tls.Dialer{Config: c.config}
	conn, err := dialer.DialContext(c.f.t.Context(), "tcp", strings.TrimPrefix(c.f.base, "https://"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil { // where it is taken, nobody says anything
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func wantAlert(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: "+words) {
		t.Fatalf("%v, want the alert %q", err, words)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		t.Fatalf("%T is no alert of the other side", err)
	}
}

const (
	tls12 = tls.VersionTLS12
	tls13 = tls.VersionTLS13
)

// What Go's client sees of a refused handshake (Clara facts 5.3).
func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	now := f.clock.Now()
	plain := func(want clarasim.CertificateRequest) clarasim.Issued {
		return f.create(clarasim.ProjectRequest{CertificateRequest: want})
	}
	for _, test := range []struct {
		name         string
		issued       clarasim.Issued
		adjust       []func(*tls.Config)
		in12, in13   string
		unrecognised bool
	}{
		{"none", clarasim.Issued{}, nil, "handshake failure", "certificate required", false},
		{"expired", plain(clarasim.CertificateRequest{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}), nil, "expired certificate", "expired certificate", false},
		{"not yet valid", plain(clarasim.CertificateRequest{NotBefore: now.Add(time.Hour)}), nil, "expired certificate", "expired certificate", false},
		{"other issuer, withheld", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerOther}), nil, "handshake failure", "certificate required", false},
		{"other issuer, sent", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerOther}), []func(*tls.Config){always}, "unknown certificate authority", "unknown certificate authority", false},
		{"impostor", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerImpostor}), nil, "unknown certificate authority", "unknown certificate authority", false},
		{"the server's issuer, withheld", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerServer}), nil, "handshake failure", "certificate required", false},
		{"the server's issuer, sent", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerServer}), []func(*tls.Config){always}, "unknown certificate authority", "unknown certificate authority", false},
		{"self-signed, sent", plain(clarasim.CertificateRequest{Issuer: clarasim.IssuerSelf}), []func(*tls.Config){always}, "unknown certificate authority", "unknown certificate authority", false},
		{"for servers", plain(clarasim.CertificateRequest{EKU: clarasim.UsageServer}), nil, "bad certificate", "bad certificate", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for v, alert := range map[uint16]string{tls12: test.in12, tls13: test.in13} {
				c := f.clientOf(test.issued, append(test.adjust, version(v))...)
				wantAlert(t, c.handshake(), alert)
			}
		})
	}
	counted, err := f.sim.Handshakes(t.Context())
	if err != nil || counted.Completed != 0 || len(counted.Items) != 0 || counted.Begun != 20 {
		t.Errorf("handshakes %+v, %v", counted, err)
	}
}

func TestHandshakesThatAreTaken(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for name, want := range map[string]clarasim.CertificateRequest{
		"rsa": {KeyType: clarasim.KeyRSA}, "rsa-pkcs8": {KeyType: clarasim.KeyRSAPKCS8}, "ecdsa": {KeyType: clarasim.KeyECDSA}, "ecdsa-pkcs8": {KeyType: clarasim.KeyECDSAPKCS8},
		"no usage": {EKU: clarasim.UsageNone}, "both usages": {EKU: clarasim.UsageBoth}, "an authority": {IsCA: true}, "with its issuer": {Chain: clarasim.ChainAfter},
	} {
		issued := f.create(clarasim.ProjectRequest{CertificateRequest: want})
		if leaf := leafOf(t, issued.PublicKey); leaf.IsCA != want.IsCA || strings.Count(issued.PublicKey, "BEGIN") == 2 != (want.Chain == clarasim.ChainAfter) {
			t.Errorf("%s: an authority: %v; %s", name, leaf.IsCA, issued.PublicKey)
		}
		for _, v := range []uint16{tls12, tls13} {
			c := f.clientOf(issued, version(v))
			if c.token() == "" {
				t.Errorf("%s: no token", name)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for kind, block := range map[string]string{
		clarasim.KeyRSA: "RSA PRIVATE KEY", clarasim.KeyRSAPKCS8: "PRIVATE KEY", clarasim.KeyECDSA: "EC PRIVATE KEY", clarasim.KeyECDSAPKCS8: "PRIVATE KEY",
	} {
		issued := f.create(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{KeyType: kind}})
		if !strings.HasPrefix(issued.PrivateKey, "-----BEGIN "+block+"-----\n") {
			t.Errorf("%s: %.40q", kind, issued.PrivateKey)
		}
		leaf := leafOf(t, issued.PublicKey)
		switch key := leaf.PublicKey.(type) {
		case *rsa.PublicKey:
			if !strings.HasPrefix(kind, "rsa") || key.N.BitLen() != 2048 {
				t.Errorf("%s: RSA with %d bits", kind, key.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if !strings.HasPrefix(kind, "ecdsa") {
				t.Errorf("%s: ECDSA", kind)
			}
		}
		if leaf.Issuer.CommonName != "Clara API Certificate Authority" || leaf.IsCA || fingerprint(leaf) != issued.Fingerprint {
			t.Errorf("%s: issuer %s, fingerprint %s", kind, leaf.Issuer, issued.Fingerprint)
		}
		if got := leaf.NotAfter.Sub(f.clock.Now()); got != 365*24*time.Hour {
			t.Errorf("%s: lasts %s", kind, got)
		}
	}
	before := f.create(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{Chain: clarasim.ChainBefore}})
	if _, err := tls.X509KeyPair([]byte(before.PublicKey), []byte(before.PrivateKey)); err == nil {
		t.Error("a chain that begins with its issuer loads")
	}
}

func TestServerCertificate(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	certificate, err := f.sim.TLSConfig().Certificates[0].Leaf, error(nil)
	if certificate == nil {
		certificate, err = x509.ParseCertificate(f.sim.TLSConfig().Certificates[0].Certificate[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: f.roots(), DNSName: host, CurrentTime: f.clock.Now()}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if certificate.Issuer.CommonName == "Clara API Certificate Authority" {
		t.Error("one authority issues for both sides")
	}
	// The bundle that a download brings along, alone, is good for the front by default.
	issued := f.download(clarasim.SeedClientID, 1)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(issued.CA))
	f.clientOf(issued, func(c *tls.Config) { c.RootCAs = pool }).token()

	var unknown x509.UnknownAuthorityError
	client := f.create(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{Bundle: clarasim.BundleClient}})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(client.CA))
	if err := f.clientOf(client, func(c *tls.Config) { c.RootCAs = pool }).failing(http.MethodGet, "/", nil); !errors.As(err, &unknown) {
		t.Errorf("the clients' authority is good for the front: %v", err)
	}
	both := f.create(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{Bundle: clarasim.BundleBoth}})
	if strings.Count(both.CA, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("bundle %q", both.CA)
	}
}

func TestFrontsOwnCertificateOnDemand(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	issued := f.download(clarasim.SeedClientID, 1)
	for identity, is := range map[string]func(error) bool{
		clarasim.IdentityStranger: func(err error) bool { var e x509.UnknownAuthorityError; return errors.As(err, &e) },
		clarasim.IdentityExpired: func(err error) bool {
			var e x509.CertificateInvalidError
			return errors.As(err, &e) && e.Reason == x509.Expired
		},
		clarasim.IdentityMisnamed: func(err error) bool { var e x509.HostnameError; return errors.As(err, &e) },
	} {
		f.tls(clarasim.TLSSettings{Identity: identity})
		if err := f.clientOf(issued).failing(http.MethodGet, "/", nil); !is(err) {
			t.Errorf("%s: %v", identity, err)
		}
	}
	f.tls(clarasim.TLSSettings{})
	f.clientOf(issued).token()
}

func TestAuthorityFile(t *testing.T) {
	t.Parallel()
	at := enginetest.NewClock()
	state := filepath.Join(t.TempDir(), "data", "clara.db")
	first := openFront(t, state, at)
	if want := filepath.Join(filepath.Dir(state), "clara-ca.pem"); first.sim.CAFile() != want {
		t.Errorf("file %s", first.sim.CAFile())
	}
	text, err := os.ReadFile(first.sim.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(first.sim.CAFile()); err != nil {
		t.Fatal(err)
	}
	second := openFront(t, state, at)
	again, err := os.ReadFile(second.sim.CAFile())
	if err != nil || string(again) != string(text) {
		t.Errorf("another start wrote another authority: %v", err)
	}
	if err := os.WriteFile(second.sim.CAFile(), []byte("of another state"), 0o600); err != nil {
		t.Fatal(err)
	}
	openFront(t, state, at).seeded().token()
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("the file holds a key")
	}
	for name, most := range map[string]os.FileMode{state: 0o600, second.sim.CAFile(): 0o644} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&^most != 0 {
			t.Errorf("%s: %v, %v", filepath.Base(name), info.Mode(), err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(state), "*.pem.*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// A client of before goes on with the front of now.
	c := first.seeded()
	c.f = second
	c.token()
}

func TestRequestMode(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.tls(clarasim.TLSSettings{Mode: clarasim.ModeRequest})
	seeded := f.seeded()
	token := seeded.token()
	now := f.clock.Now()
	bad := map[string]*client{
		"none":         f.clientOf(clarasim.Issued{}),
		"expired":      f.project(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}}),
		"not yet":      f.project(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{NotBefore: now.Add(time.Hour)}}),
		"wrong usage":  f.project(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{EKU: clarasim.UsageServer}}),
		"impostor":     f.project(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{Issuer: clarasim.IssuerImpostor}}),
		"other issuer": f.clientOf(f.create(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{Issuer: clarasim.IssuerOther}}), always),
	}
	for _, status := range []int{http.StatusNetworkAuthenticationRequired, http.StatusUnauthorized} {
		f.tls(clarasim.TLSSettings{Mode: clarasim.ModeRequest, MissingStatus: status})
		code := map[int]string{511: "NETWORK_AUTHENTICATION_REQUIRED", 401: "UNAUTHORIZED"}[status]
		for name, c := range bad {
			t.Log(name)
			wantRefusal(t, c.send(http.MethodGet, "/mx/api/v3/cards", bearer(token), ""), status, code)
			wantRefusal(t, c.send(http.MethodPost, "/mx/oauth/token", basic(clarasim.SeedClientID, clarasim.SeedClientSecret), ""), status, code)
			if line := f.lastRequest(); line.Status != status || line.Why == "" {
				t.Errorf("%s: line %+v", name, line)
			}
		}
		wantStatus(t, seeded.get("/v3/cards", token), http.StatusOK)
	}
	// Back to strict: the connection that is open stays open, a new one is refused.
	f.tls(clarasim.TLSSettings{})
	wantStatus(t, bad["none"].send(http.MethodGet, "/mx/api/v3/cards", bearer(token), ""), http.StatusNetworkAuthenticationRequired)
	bad["none"].http.CloseIdleConnections()
	_ = bad["none"].failing(http.MethodGet, "/mx/api/v3/cards", bearer(token))
}

func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/mx/api/v3/cards", http.NoBody)
	r.TLS = nil
	f.sim.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusNetworkAuthenticationRequired {
		t.Errorf("status %d", w.Code)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	issued := f.download(clarasim.SeedClientID, 1)
	for _, test := range []struct {
		min, max string
		client   uint16
		taken    bool
	}{
		{"", "", tls12, true}, {"", "", tls13, true}, {"", "", tls.VersionTLS11, false},
		{"1.3", "", tls12, false}, {"1.3", "", tls13, true}, {"", "1.2", tls13, false}, {"", "1.2", tls12, true}, {"1.0", "1.1", tls12, false}, {"1.0", "1.1", tls.VersionTLS11, true},
	} {
		f.tls(clarasim.TLSSettings{MinVersion: test.min, MaxVersion: test.max})
		c := f.clientOf(issued, version(test.client))
		if test.taken {
			c.token()
			if got := f.lastRequest().TLS; got != tls.VersionName(test.client) {
				t.Errorf("%+v: spoke %s", test, got)
			}
			continue
		}
		wantAlert(t, c.handshake(), "protocol version not supported")
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	issued := f.download(clarasim.SeedClientID, 1)
	for _, on := range []bool{false, true} {
		f.tls(clarasim.TLSSettings{HTTP2: on})
		f.clientOf(issued).token()
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[on]; f.lastRequest().Protocol != want {
			t.Errorf("spoke %s, want %s", f.lastRequest().Protocol, want)
		}
	}
}

func TestHandshakesAreCounted(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	first := f.download(clarasim.SeedClientID, 1)
	second, err := f.sim.AddCredential(t.Context(), clarasim.SeedClientID, clarasim.CertificateRequest{KeyType: clarasim.KeyECDSA})
	if err != nil {
		t.Fatal(err)
	}
	c := f.clientOf(first, version(tls13), func(c *tls.Config) {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.DidResume {
				return errors.New("no certificate was shown: a session was resumed")
			}
			return nil
		}
	})
	for range 3 { // one connection
		c.token()
	}
	c.http.CloseIdleConnections()
	c.token()
	f.clientOf(second, version(tls12)).token()
	counted := decode[clarasim.Handshakes](t, f.steer(http.MethodGet, "/_sim/handshakes", ""))
	if counted.Begun != 3 || counted.Completed != 3 || len(counted.Items) != 2 {
		t.Fatalf("counted %+v", counted)
	}
	for _, h := range counted.Items {
		want := clarasim.Handshake{Fingerprint: first.Fingerprint, ClientID: clarasim.SeedClientID, Credential: 1, Version: "TLS 1.3", Count: 2}
		if h.Fingerprint == second.Fingerprint {
			want = clarasim.Handshake{Fingerprint: second.Fingerprint, ClientID: clarasim.SeedClientID, Credential: 2, Version: "TLS 1.2", Count: 1}
		}
		if h != want {
			t.Errorf("%+v, want %+v", h, want)
		}
	}
	// A handshake without a certificate counts under no fingerprint.
	f.steer(http.MethodDelete, "/_sim/handshakes", "")
	f.tls(clarasim.TLSSettings{Mode: clarasim.ModeRequest})
	f.clientOf(clarasim.Issued{}).send(http.MethodGet, "/mx/api/v3/cards", nil, "")
	if counted, err := f.sim.Handshakes(context.Background()); err != nil || counted.Completed != 1 || counted.Items[0].Fingerprint != "" {
		t.Errorf("counted %+v, %v", counted, err)
	}
}

// The clock of the simulator judges certificates, not the machine's.
func TestCertificatesFollowTheClock(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.project(clarasim.ProjectRequest{CertificateRequest: clarasim.CertificateRequest{NotAfter: f.clock.Now().Add(24 * time.Hour)}})
	c.token()
	f.clock.Step(25 * time.Hour)
	c.http.CloseIdleConnections()
	wantAlert(t, c.handshake(), "expired certificate")
}

func TestTLSSettingsThatMeanNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, body := range []string{
		`{"mode":"lax"}`, `{"min_version":"1.4"}`, `{"max_version":"2"}`, `{"min_version":"1.3","max_version":"1.2"}`, `{"missing_status":403}`, `{"identity":"x"}`, `{"modes":"strict"}`,
	} {
		wantStatus(t, f.steer(http.MethodPut, "/_sim/tls", body), http.StatusBadRequest)
	}
	want := clarasim.TLSSettings{Mode: "strict", MinVersion: "1.2", MaxVersion: "1.3", MissingStatus: 511, Identity: "right"}
	if got := decode[clarasim.TLSSettings](t, f.steer(http.MethodGet, "/_sim/tls", "")); got != want {
		t.Errorf("settings %+v", got)
	}
	a := f.steer(http.MethodPut, "/_sim/tls", `{"mode":"request","missing_status":401,"http2":true}`)
	want.Mode, want.MissingStatus, want.HTTP2 = "request", 401, true
	if got := decode[clarasim.TLSSettings](t, a); got != want {
		t.Errorf("settings %+v", got)
	}
}

func TestHandshakeRefusedBySwitch(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(clarasim.Fault{Name: clarasim.FaultHandshake, Times: 1})
	c := f.seeded()
	if err := c.handshake(); err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		t.Errorf("%v", err)
	}
	c.token()
}
