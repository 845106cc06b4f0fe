package clarasim_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
	"connectorvault/infra/sim/engine/enginetest"
)

// front is one simulator behind its two listeners.
type front struct {
	t       testing.TB
	sim     *clarasim.Simulator
	state   string
	clock   *enginetest.Clock
	base    string // of the API: https
	control string // http
	log     *enginetest.Log
}

func newFront(t testing.TB) *front {
	t.Helper()
	return openFront(t, filepath.Join(t.TempDir(), "clara.db"), enginetest.NewClock())
}

func openFront(t testing.TB, state string, at *enginetest.Clock) *front {
	t.Helper()
	f := &front{t: t, clock: at, state: state, log: &enginetest.Log{}}
	sim, err := clarasim.New(clarasim.Config{StatePath: state, Now: at.Now, Logger: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	api := httptest.NewUnstartedServer(sim.Handler())
	api.TLS = sim.TLSConfig()
	api.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused
	api.StartTLS()
	control := httptest.NewServer(sim.Control())
	t.Cleanup(func() {
		api.Close()
		control.Close()
		if err := sim.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if strings.Contains(f.log.String(), "level=ERROR") {
			t.Errorf("the simulator failed:\n%s", f.log)
		}
	})
	f.sim, f.base, f.control = sim, api.URL, control.URL
	return f
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// client holds a certificate, or none.
type client struct {
	f      *front
	http   *http.Client
	config *tls.Config
	issued clarasim.Issued
}

// roots trusts the authority of the front's own certificate.
func (f *front) roots() *x509.CertPool {
	f.t.Helper()
	text, err := os.ReadFile(f.sim.CAFile())
	if err != nil {
		f.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		f.t.Fatal("the file holds no authority")
	}
	return pool
}

// clientOf makes a client of a download. It has a transport of its own, so that its handshakes are its own.
func (f *front) clientOf(issued clarasim.Issued, adjust ...func(*tls.Config)) *client {
	f.t.Helper()
	config := &tls.Config{RootCAs: f.roots(), Time: f.clock.Now}
	if issued.PublicKey != "" {
		pair, err := tls.X509KeyPair([]byte(issued.PublicKey), []byte(issued.PrivateKey))
		if err != nil {
			f.t.Fatalf("the download does not load: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	for _, a := range adjust {
		a(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &client{f: f, config: config, issued: issued, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// always sends the certificate, whoever the front says it takes.
func always(c *tls.Config) {
	pair := c.Certificates[0]
	c.Certificates = nil
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
}

func version(v uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v }
}

func (f *front) seeded() *client {
	f.t.Helper()
	return f.clientOf(f.download(clarasim.SeedClientID, 1))
}

func (f *front) download(clientID string, n int) clarasim.Issued {
	f.t.Helper()
	issued, err := f.sim.Download(f.t.Context(), clientID, n)
	if err != nil {
		f.t.Fatalf("Download: %v", err)
	}
	return issued
}

func (f *front) project(want clarasim.ProjectRequest) *client {
	f.t.Helper()
	return f.clientOf(f.create(want))
}

// create makes a project with a key that takes no time, unless told otherwise.
func (f *front) create(want clarasim.ProjectRequest) clarasim.Issued {
	f.t.Helper()
	if want.KeyType == "" {
		want.KeyType = clarasim.KeyECDSA
	}
	issued, err := f.sim.CreateProject(f.t.Context(), want)
	if err != nil {
		f.t.Fatalf("CreateProject: %v", err)
	}
	return issued
}

func try(ctx context.Context, c *http.Client, method, address string, header http.Header, body string) (answer, error) {
	status, answered, text, err := enginetest.Send(ctx, c, method, address, header, body)
	return answer{status, answered, text}, err
}

func (c *client) send(method, path string, header http.Header, body string) answer {
	c.f.t.Helper()
	a, err := try(c.f.t.Context(), c.http, method, c.f.base+path, header, body)
	if err != nil {
		c.f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// failing expects that no answer comes.
func (c *client) failing(method, path string, header http.Header) error {
	c.f.t.Helper()
	a, err := try(c.f.t.Context(), c.http, method, c.f.base+path, header, "")
	if err == nil {
		c.f.t.Fatalf("%s %s was answered: %d %.300s", method, path, a.status, a.body)
	}
	return err
}

type tokenSet struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
}

func basic(id, secret string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

func (c *client) basic() http.Header { return basic(c.issued.ClientID, c.issued.ClientSecret) }

func (c *client) country() string { return "/" + c.issued.Project.Country }

func formHeader(header http.Header) http.Header {
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return header
}

func (c *client) tryToken() answer {
	c.f.t.Helper()
	return c.send(http.MethodPost, c.country()+"/oauth/token", formHeader(c.basic()), url.Values{"grant_type": {"client_credentials"}}.Encode())
}

func (c *client) token() string {
	c.f.t.Helper()
	a := c.tryToken()
	wantStatus(c.f.t, a, http.StatusOK)
	return decode[tokenSet](c.f.t, a).Access
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// api is the root of the project's side.
func (c *client) api() string {
	if c.issued.Project.Side == clarasim.SideSandbox {
		return c.country() + "/api-test"
	}
	return c.country() + "/api"
}

// get reads a path such as "/v3/cards".
func (c *client) get(path, token string) answer {
	c.f.t.Helper()
	return c.send(http.MethodGet, c.api()+path, bearer(token), "")
}

func (c *client) getFor(path, token, tax string) answer {
	c.f.t.Helper()
	header := bearer(token)
	header.Set("X-Tax-Identifier", tax)
	return c.send(http.MethodGet, c.api()+path, header, "")
}

// steer asks the control front.
func (f *front) steer(method, path, body string) answer {
	f.t.Helper()
	a, err := try(f.t.Context(), &http.Client{}, method, f.control+path, http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// fault turns a switch on.
func (f *front) fault(fault clarasim.Fault) {
	f.t.Helper()
	if _, err := f.sim.SetFault(f.t.Context(), fault); err != nil {
		f.t.Fatalf("SetFault: %v", err)
	}
}

func (f *front) tls(settings clarasim.TLSSettings) {
	f.t.Helper()
	if _, err := f.sim.SetTLS(f.t.Context(), settings); err != nil {
		f.t.Fatalf("SetTLS: %v", err)
	}
}

func wantStatus(t testing.TB, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.400s", a.status, status, a.body)
	}
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var into T
	if err := json.Unmarshal([]byte(a.body), &into); err != nil {
		t.Fatalf("decoding %.200q: %v", a.body, err)
	}
	return into
}

// refusal is the body of an error of the API.
type refusal struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
}

func wantRefusal(t testing.TB, a answer, status int, code string) refusal {
	t.Helper()
	wantStatus(t, a, status)
	r := decode[refusal](t, a)
	if _, err := time.Parse(time.RFC3339, r.Timestamp); r.Code != code || r.Message == "" || err != nil {
		t.Fatalf("refusal %+v, want %s", r, code)
	}
	return r
}

func wantTokenError(t testing.TB, a answer, status int, code string) {
	t.Helper()
	wantStatus(t, a, status)
	if got := decode[struct{ Error string }](t, a); got.Error != code {
		t.Fatalf("error %q, want %q", got.Error, code)
	}
}

// envelope is a page of a list.
type envelope struct {
	Content       []map[string]any `json:"content"`
	TotalElements int              `json:"totalElements"`
	TotalPages    int              `json:"totalPages"`
	Size          int              `json:"size"`
	Number        int              `json:"number"`
}

func (c *client) page(path, token string) envelope {
	c.f.t.Helper()
	a := c.get(path, token)
	wantStatus(c.f.t, a, http.StatusOK)
	return decode[envelope](c.f.t, a)
}

// lastRequest is the last line of the log.
func (f *front) lastRequest() clarasim.Request {
	f.t.Helper()
	list, err := f.sim.Requests(f.t.Context(), 0)
	if err != nil || len(list) == 0 {
		f.t.Fatalf("the log has %d lines: %v", len(list), err)
	}
	return list[len(list)-1]
}

func (f *front) ledger() []clarasim.TokenCall {
	f.t.Helper()
	list, err := f.sim.TokenCalls(f.t.Context(), clarasim.TokenCallFilter{})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// leafOf is the first certificate of a PEM text.
func leafOf(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM in %.80q", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
