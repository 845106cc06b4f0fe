package clara_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// gate is a host that counts handshakes and requests by the certificate that was shown.
type gate struct {
	*httptest.Server
	closed     atomic.Int32
	mu         sync.Mutex
	handshakes map[[32]byte]int // guarded by mu
	requests   map[[32]byte]int // guarded by mu
}

func newGate(t testing.TB, server issued, clients issuer, http2 bool) *gate {
	g := &gate{handshakes: map[[32]byte]int{}, requests: map[[32]byte]int{}}
	note := func(counts map[[32]byte]int, state *tls.ConnectionState) {
		g.mu.Lock()
		defer g.mu.Unlock()
		counts[sha256.Sum256(state.PeerCertificates[0].Raw)]++
	}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(g.requests, r.TLS)
		_, _ = w.Write([]byte("[]"))
	}))
	g.TLS = mutual(server, clients)
	g.TLS.VerifyConnection = func(state tls.ConnectionState) error {
		note(g.handshakes, &state)
		return nil
	}
	g.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			g.closed.Add(1)
		}
	}
	g.EnableHTTP2 = http2
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *gate) counts(client issued) (handshakes, requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := sha256.Sum256(client.certificate.Raw)
	return g.handshakes[sum], g.requests[sum]
}

func adapterFor(url string, root issuer) *clara.Adapter {
	return clara.New(clara.Options{Roots: func() *x509.CertPool { return pool(root.certificate) }, Endpoints: clara.Endpoints{Base: map[string]string{"mx": url}}})
}

// Fifty read while the certificate is replaced: no read fails, and once those that were begun before are over, the old one
// is never shown again.
func TestCertificateReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
			before, after := clients.client(t), clients.client(t)
			g := newGate(t, root.server(t), clients, http2)
			a := adapterFor(g.URL, root)
			oldSecrets, newSecrets := secretsOf(t, before), secretsOf(t, after)
			var current atomic.Pointer[map[string]secret.Text]
			current.Store(&oldSecrets)
			const readers, each = 50, 12
			var done, half sync.WaitGroup
			half.Add(readers)
			swapped := make(chan struct{})
			var failed atomic.Int32
			read := func(secrets map[string]secret.Text) {
				answer, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secrets), reading(a))
				if err != nil || string(answer.Body) != "[]" {
					failed.Add(1)
					t.Errorf("%q, %v", answer.Body, err)
				}
			}
			for range readers {
				done.Go(func() {
					for i := range each {
						if i == each/3 {
							half.Done()
						}
						if i == 2*each/3 {
							<-swapped
						}
						read(*current.Load())
					}
				})
			}
			half.Wait()
			current.Store(&newSecrets) // while everybody reads
			close(swapped)
			done.Wait()
			handshakes, requests := g.counts(before)
			if handshakes == 0 || requests == 0 {
				t.Fatal("nobody read with the old certificate")
			}
			for range 20 {
				read(newSecrets)
			}
			later, laterRequests := g.counts(before)
			if later != handshakes || laterRequests != requests {
				t.Errorf("the old certificate was shown %d times more", later-handshakes)
			}
			if h, n := g.counts(after); h == 0 || n < readers*(each-2*each/3)+20 || n+requests != readers*each+20 {
				t.Errorf("%d handshakes and %d requests with the new one, %d with the old", h, n, requests)
			}
			if failed.Load() != 0 {
				t.Errorf("%d reads failed", failed.Load())
			}
		})
	}
}

// Connections are kept from call to call, and those made with another certificate are closed when it is followed.
func TestConnectionsAreKeptAndDropped(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	first, second := clients.client(t), clients.client(t)
	g := newGate(t, root.server(t), clients, false)
	a := adapterFor(g.URL, root)
	read := func(with issued) {
		t.Helper()
		if _, _, err := (provider.Client{Reader: a}).Do(t.Context(), session(entry(), secretsOf(t, with)), reading(a)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		read(first)
	}
	if h, n := g.counts(first); h != 1 || n != 5 {
		t.Errorf("five reads made %d handshakes", h)
	}
	read(second)
	for deadline := time.Now().Add(20 * time.Second); g.closed.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if g.closed.Load() == 0 {
		t.Error("the connection of the old certificate is kept")
	}
}

func dialled(t *testing.T, a *clara.Adapter, e record.Entry, secrets map[string]secret.Text) *http.Client {
	t.Helper()
	client, err := a.Dial(e, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// A client belongs to all of an entry's material: to the key too, which a certificate alone does not tell.
func TestWhoseClientItIs(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	one, two := authority.client(t), authority.client(t)
	a := clara.New(clara.Options{Roots: func() *x509.CertPool { return pool() }})
	base := secretsOf(t, one)
	first := dialled(t, a, entry(), base)
	if again := dialled(t, a, entry(), secretsOf(t, one, "secret_key", "another")); again != first {
		t.Error("a new secret key makes a new client, though no connection knows of it")
	}
	if again := dialled(t, a, entry("country", "br"), base); again != first {
		t.Error("another country of the same entry makes a new client")
	}
	for what, other := range map[string]map[string]secret.Text{
		"another certificate":   secretsOf(t, two),
		"authorities":           secretsOf(t, one, "ca_certificates", certificatePEM(authority.certificate)),
		"a chain":               secretsOf(t, one, "client_certificate", certificatePEM(one.certificate, authority.certificate)),
		"the key in other text": secretsOf(t, one, "private_key", keyPEM(t, one.key)+"\n"),
	} {
		first := dialled(t, a, entry(), base) // it may have been dropped
		if dialled(t, a, entry(), other) == first {
			t.Errorf("%s: the client is the same", what)
		}
	}
	if client, err := a.Dial(entry(), secretsOf(t, one, "private_key", keyPEM(t, two.key))); err == nil || client != nil {
		t.Error("with the key of another the client of the certificate is given")
	}
	other := entry()
	other.Tenant = "t_2"
	if dialled(t, a, other, base) == dialled(t, a, entry(), base) {
		t.Error("another tenant has the same client")
	}
}

// The cache is bounded: two for an entry, and the latest of all.
func TestClientsAreBounded(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	key := newKey(t)
	a := clara.New(clara.Options{Roots: func() *x509.CertPool { return pool() }})
	var all []map[string]secret.Text
	for range 4 {
		all = append(all, secretsOf(t, authority.make(t, clientTemplate(long), key)))
	}
	first, second := dialled(t, a, entry(), all[0]), dialled(t, a, entry(), all[1])
	if dialled(t, a, entry(), all[0]) != first || dialled(t, a, entry(), all[1]) != second {
		t.Error("a second certificate beside the first ends it")
	}
	dialled(t, a, entry(), all[0]) // the latest
	third := dialled(t, a, entry(), all[2])
	if a.Kept() != clara.MostPerEntry || dialled(t, a, entry(), all[0]) != first || dialled(t, a, entry(), all[2]) != third {
		t.Errorf("%d are kept of an entry, or others than the latest", a.Kept())
	}
	if dialled(t, a, entry(), all[1]) == second {
		t.Error("one that was dropped came back")
	}
	for i := range 2 * clara.MostClients {
		e := entry()
		e.ID = fmt.Sprint("ve_", i)
		dialled(t, a, e, all[3])
	}
	if a.Kept() != clara.MostClients {
		t.Errorf("%d are kept", a.Kept())
	}
	e := entry()
	e.ID = fmt.Sprint("ve_", 2*clara.MostClients-1)
	if c := dialled(t, a, e, all[3]); c != dialled(t, a, e, all[3]) {
		t.Error("the latest is not kept")
	}
}

// Many who need the same new client at once get one, though each has begun to make it.
func TestManyMakeOneClient(t *testing.T) {
	t.Parallel()
	const many = 16
	var begun, wait sync.WaitGroup
	begun.Add(many)
	a := clara.New(clara.Options{Roots: func() *x509.CertPool {
		begun.Done()
		begun.Wait()
		return pool()
	}})
	secrets := secretsOf(t, newIssuer(t, "authority").client(t))
	var got sync.Map
	for range many {
		wait.Go(func() {
			client, err := a.Dial(entry(), secrets)
			if err != nil {
				t.Error(err)
			}
			got.Store(client, true)
		})
	}
	wait.Wait()
	n := 0
	got.Range(func(_, _ any) bool { n++; return true })
	if n != 1 || a.Kept() != 1 {
		t.Errorf("they got %d, and %d are kept", n, a.Kept())
	}
}

// Where one request dials twice, what is asked for on one connection is noted for no other.
func TestWhichConnectionWasAsked(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		lines, closed int
		before, want  []bool
	}{
		"the only one":                  {1, -1, nil, []bool{true}},
		"two in their handshakes":       {2, -1, nil, []bool{false, false}},
		"the other is over":             {2, 0, nil, []bool{false, true}},
		"the other was asked already":   {2, -1, []bool{true, false}, []bool{true, true}},
		"nobody is left that could be":  {1, 0, nil, []bool{false}},
		"the first of three, asked too": {3, 1, []bool{true, false, false}, []bool{true, false, true}},
	} {
		if got := clara.Asked(row.lines, row.closed, row.before); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// What the transport is never to do.
func TestTransport(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	secrets := secretsOf(t, authority.client(t))
	client := dialled(t, clara.New(clara.Options{}), entry(), secrets)
	config, transport := clara.TLSOf(client), clara.TransportOf(client)
	switch {
	case config.MinVersion != tls.VersionTLS12 || config.MaxVersion != 0:
		t.Error("the versions are others")
	case config.RootCAs == nil || config.ServerName != "" || config.VerifyPeerCertificate != nil || config.VerifyConnection != nil:
		t.Error("verification is not the library's own")
	case config.ClientSessionCache != nil || config.Renegotiation != tls.RenegotiateNever:
		t.Error("a session may be taken up again, or begun anew")
	case config.KeyLogWriter != nil || config.CipherSuites != nil || config.Certificates != nil:
		t.Error("there is more than there should be")
	case !transport.ForceAttemptHTTP2 || transport.Proxy == nil || transport.DialTLSContext != nil || transport.TLSHandshakeTimeout == 0 || transport.MaxResponseHeaderBytes == 0:
		t.Error("the transport is another")
	case client.Timeout != 20*time.Second || client.Jar != nil:
		t.Error("the client is another")
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example", nil)
	if err := client.CheckRedirect(request, nil); !errors.Is(err, http.ErrUseLastResponse) {
		t.Errorf("redirects are followed: %v", err)
	}
}

// Of the pattern its times, its proxy and its way to a host are taken; never what it does in TLS.
func TestPattern(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	g := newGate(t, root.server(t), clients, false)
	var dials atomic.Int32
	foreign := pool(newIssuer(t, "foreign").certificate)
	like := &http.Transport{
		Proxy: nil, TLSHandshakeTimeout: 7 * time.Second, ResponseHeaderTimeout: 8 * time.Second, IdleConnTimeout: 9 * time.Second, MaxIdleConnsPerHost: 3,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, g.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: foreign, MinVersion: tls.VersionTLS10, ServerName: "another.example"},
	}
	a := clara.New(clara.Options{HTTP: &http.Client{Transport: like, Timeout: 6 * time.Second}, Roots: func() *x509.CertPool { return pool(root.certificate) },
		Endpoints: clara.Endpoints{Base: map[string]string{"mx": "https://127.0.0.1:9"}}})
	secrets := secretsOf(t, clients.client(t))
	client := dialled(t, a, entry(), secrets)
	if tr := clara.TransportOf(client); client.Timeout != 6*time.Second || tr.Proxy != nil || tr.TLSHandshakeTimeout != 7*time.Second ||
		tr.ResponseHeaderTimeout != 8*time.Second || tr.IdleConnTimeout != 9*time.Second || tr.MaxIdleConnsPerHost != 3 {
		t.Error("the pattern is not followed")
	}
	if config := clara.TLSOf(client); config.MinVersion != tls.VersionTLS12 || config.ServerName != "" {
		t.Error("the pattern's TLS is taken over")
	}
	if _, _, err := (provider.Client{Reader: a}).Do(t.Context(), session(entry(), secrets), reading(a)); err != nil || dials.Load() != 1 {
		t.Errorf("%d dials, %v", dials.Load(), err)
	}
}

// Through a proxy the handshake is still ours, end to end, and a host that asks for no certificate is still told nothing.
func TestThroughAProxy(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	client := clients.client(t)
	good := listen(t, behind(mutual(root.server(t), clients), fine))
	deaf := listen(t, behind(changed(mutual(root.server(t), clients), func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }), fine))
	through := listen(t, func(_ *peer, conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil || request.Method != http.MethodConnect {
			return
		}
		far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", request.Host)
		if err != nil {
			return
		}
		defer func() { _ = far.Close() }()
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() {
			buffer := make([]byte, 4096)
			for n, err := conn.Read(buffer); err == nil; n, err = conn.Read(buffer) {
				_, _ = far.Write(buffer[:n])
			}
			_ = far.Close()
		}()
		buffer := make([]byte, 4096)
		for n, err := far.Read(buffer); err == nil; n, err = far.Read(buffer) {
			_, _ = conn.Write(buffer[:n])
		}
	})
	at := func(p *peer) error {
		like := &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return r.URL.Parse("http" + through.url[len("https"):]) }}
		a := clara.New(clara.Options{HTTP: &http.Client{Transport: like}, Roots: func() *x509.CertPool { return pool(root.certificate) },
			Endpoints: clara.Endpoints{Base: map[string]string{"mx": p.url}}})
		_, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secretsOf(t, client)), reading(a))
		return err
	}
	if err := at(good); err != nil {
		t.Error(err)
	}
	if err := at(deaf); fault.CodeOf(err) != "client_certificate_not_asked" {
		t.Error(err)
	}
	heard, _ := deaf.everything()
	between, conns := through.everything()
	if conns != 2 || len(told(heard+between, client, t)) != 0 {
		t.Errorf("of %d connections somebody heard %v", conns, told(heard+between, client, t))
	}
}

// A proxy that is reached by TLS itself is not used, and is told nothing.
func TestAProxyBehindTLS(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	p := listen(t, behind(mutual(root.server(t), clients), "HTTP/1.1 200 OK\r\n\r\n"))
	like := &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return r.URL.Parse(p.url) }}
	a := clara.New(clara.Options{HTTP: &http.Client{Transport: like}, Roots: func() *x509.CertPool { return pool(root.certificate) }})
	_, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secretsOf(t, clients.client(t))), reading(a))
	if _, conns := p.everything(); conns != 0 || fault.CodeOf(err) != "client_misconfigured" {
		t.Errorf("%d connections came: %v", conns, err)
	}
}

// failing is a connection that cannot be written to.
type failing struct {
	net.Conn
	err error
}

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// On a new connection a broken write is left for reading to find; on one that was used it is what makes a request be made
// again.
func TestBrokenWrites(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	for what, row := range map[string]struct {
		err  error
		used bool
		n    int
	}{
		"a broken pipe":         {&net.OpError{Op: "write", Err: syscall.EPIPE}, false, 3},
		"a reset":               {&net.OpError{Op: "write", Err: syscall.ECONNRESET}, false, 3},
		"a reset of one in use": {&net.OpError{Op: "write", Err: syscall.ECONNRESET}, true, 0},
		"what we closed":        {net.ErrClosed, false, 0},
		"a deadline":            {os.ErrDeadlineExceeded, false, 0},
	} {
		n, err := clara.Watched(failing{near, row.err}, row.used).Write([]byte("abc"))
		if n != row.n || (err == nil) != (row.n == 3) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
}

// What the other side said last is found on a connection that has ended, by itself or now; of any other there is nothing.
func TestLastWord(t *testing.T) {
	t.Parallel()
	root, stranger, clients := newIssuer(t, "root"), newIssuer(t, "stranger"), newIssuer(t, "clients")
	client := clients.client(t)
	pair := tls.Certificate{Certificate: [][]byte{client.certificate.Raw}, PrivateKey: client.key}
	connect := func(by issuer) *tls.Conn {
		p := listen(t, behind(mutual(root.server(t), by), fine))
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.url[len("https://"):])
		if err != nil {
			t.Fatal(err)
		}
		over := tls.Client(clara.Watched(conn, false), &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool(root.certificate), ServerName: "127.0.0.1",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }})
		if err := over.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = over.Close() })
		return over
	}
	a := clara.New(clara.Options{})
	refused := connect(stranger)
	if _, err := refused.Read(make([]byte, 1)); err == nil {
		t.Fatal("it was not refused")
	}
	_ = refused.Close()
	if f := a.Explain(clara.LastWord(t.Context(), refused)); f == nil || f.Code != "client_certificate_missing_or_rejected" {
		t.Errorf("what was said is %v", f)
	}
	living := connect(clients)
	if err := clara.LastWord(t.Context(), living); err != nil {
		t.Errorf("of one that lives there is %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := clara.LastWord(ended, living); err != nil {
		t.Errorf("nobody waits, and there is %v", err)
	}
	_ = living.Close()
	if f := a.Explain(clara.LastWord(t.Context(), living)); f != nil {
		t.Errorf("of one that said nothing there is %v", f)
	}
	if err := clara.LastWord(t.Context(), &net.TCPConn{}); err != nil {
		t.Errorf("of another's there is %v", err)
	}
}

// A failure of OAuth keeps what the transport knows, and nothing of what it does not.
func TestExplain(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	known := fault.New(fault.Unavailable, "tls_version", "x")
	for what, row := range map[string]struct {
		err  error
		code string
	}{
		"nothing":           {nil, ""},
		"a known one":       {fmt.Errorf("around: %w", known), "tls_version"},
		"within OAuth's":    {fmt.Errorf("around: %w", &oauth.Failure{}), ""},
		"a timeout":         {context.DeadlineExceeded, ""},
		"a reset":           {&net.OpError{Op: "read", Err: errors.New("connection reset")}, ""},
		"a strange alert":   {&net.OpError{Op: "remote error", Err: errors.New("x")}, "tls_handshake_failed"},
		"of ours":           {&net.OpError{Op: "local error", Err: errors.New("x")}, "tls_handshake_failed"},
		"tls, no type":      {fmt.Errorf("around: %w", errors.New("tls: something new")), "tls_handshake_failed"},
		"about tls":         {errors.New("something of tls: new"), ""},
		"an unknown root":   {fmt.Errorf("around: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "server_certificate_untrusted"},
		"a weak signature":  {&tls.CertificateVerificationError{Err: x509.InsecureAlgorithmError(1)}, "server_certificate_untrusted"},
		"an old one":        {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2 is after 1"}}, "server_certificate_expired"},
		"a scheme mismatch": {fmt.Errorf("around: %w", http.ErrSchemeMismatch), "server_without_tls"},
	} {
		f := a.Explain(row.err)
		if row.code == "" && f != nil || row.code != "" && (f == nil || f.Code != row.code) {
			t.Errorf("%s: %v", what, f)
		}
	}
}
