package clara

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

const (
	timeout = 20 * time.Second

	// Of the clients that are kept. Two for an entry, since a second certificate is tried beside the first.
	mostClients  = 64
	mostPerEntry = 2

	// endsWithin is how long a connection that failed may take to end.
	endsWithin = 250 * time.Millisecond

	mostHeader = 256 << 10 // bytes; what Clara sends is a thousandth of it
)

// Dial implements provider.Dialer. Codes: client_misconfigured, and those of understand.
func (a *Adapter) Dial(entry record.Entry, secrets map[string]secret.Text) (*http.Client, error) {
	client, problem := a.clients.of(entry, secrets)
	if problem != nil {
		return nil, problem
	}
	return client, nil
}

// TokenClient implements provider.TokenSource: the token endpoint is behind the same mutual TLS, and takes the client by
// HTTP Basic (Clara facts 4.3). The client of an entry whose certificate cannot be used says so to whoever calls with it.
func (a *Adapter) TokenClient(entry record.Entry, app provider.AppCredentials) oauth.Client {
	client, problem := a.clients.of(entry, app.Secrets)
	if problem != nil {
		client = &http.Client{Transport: refusing{problem}, Timeout: timeout}
	}
	client = &http.Client{Transport: heeding{client.Transport}, Timeout: client.Timeout, CheckRedirect: client.CheckRedirect}
	return oauth.Client{HTTP: client, TokenURL: a.endpoints.token(entry), Style: oauth.InHeader,
		ID: entry.Settings[fieldTokenKey], Secret: app.Secrets[fieldSecretKey]}
}

// refusing is a transport that reaches nobody.
type refusing struct{ problem *fault.Error }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
	return nil, r.problem
}

// clients keeps a client for each certificate of each entry, the latest used first.
type clients struct {
	pattern *http.Client
	roots   func() *x509.CertPool
	extra   []*x509.Certificate
	broken  error // of the endpoints

	mu   sync.Mutex
	kept []kept // guarded by mu
}

type kept struct {
	owner  owner
	mark   [sha256.Size]byte
	client *http.Client
}

type owner struct{ tenant, entry string }

// of returns the client of an entry with these secrets. When it is a new one, the entry's other connections are closed as
// soon as nobody uses them: they were made with another certificate.
func (c *clients) of(entry record.Entry, secrets map[string]secret.Text) (*http.Client, *fault.Error) {
	if c.broken != nil {
		return nil, fault.Wrap(c.broken, fault.Misconfigured, "client_misconfigured", "The operator has set an address or a file of authorities for Clara that cannot be used.").
			Do("Tell the operator.")
	}
	who, mark := owner{entry.Tenant, entry.ID}, fingerprint(secrets)
	if client := c.find(who, mark); client != nil {
		return client, nil
	}
	m, problem := understand(secrets)
	if problem != nil {
		// Nobody has just typed it: it is stored so.
		problem.Kind = fault.Misconfigured
		return nil, problem
	}
	return c.keep(kept{who, mark, c.dialer(m)}), nil
}

// fingerprint tells one set of secrets from another. It stays in memory.
func fingerprint(secrets map[string]secret.Text) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, field := range []string{fieldCertificate, fieldPrivateKey, fieldAuthorities} {
		value := secrets[field].Reveal()
		_ = binary.Write(h, binary.BigEndian, uint64(len(value))) // so that nothing moves from one field into the next unseen
		_, _ = h.Write([]byte(value))
	}
	h.Sum(sum[:0])
	return sum
}

func (c *clients) find(who owner, mark [sha256.Size]byte) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findLocked(who, mark)
}

func (c *clients) findLocked(who owner, mark [sha256.Size]byte) *http.Client {
	i := slices.IndexFunc(c.kept, func(k kept) bool { return k.owner == who && k.mark == mark })
	if i < 0 {
		return nil
	}
	found := c.kept[i]
	c.kept = slices.Insert(slices.Delete(c.kept, i, i+1), 0, found)
	return found.client
}

// keep returns the client that is kept from now on: another one where somebody was faster.
func (c *clients) keep(made kept) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if faster := c.findLocked(made.owner, made.mark); faster != nil {
		return faster
	}
	of := 1
	c.kept = slices.DeleteFunc(slices.Insert(c.kept, 0, made), func(k kept) bool {
		if k.owner != made.owner || k.mark == made.mark {
			return false
		}
		of++
		k.client.CloseIdleConnections()
		return of > mostPerEntry
	})
	for len(c.kept) > mostClients {
		last := len(c.kept) - 1
		c.kept[last].client.CloseIdleConnections()
		c.kept = slices.Delete(c.kept, last, last+1)
	}
	return made.client
}

// dialer makes a client for a certificate. Sessions are not kept, so none that was made with another certificate can be
// taken up again.
func (c *clients) dialer(m material) *http.Client {
	pair := m.pair()
	transport := c.transport()
	transport.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    c.trusted(m.authorities),
		// Unlike Certificates, it is asked whatever issuers the other side names (Clara facts 5.3).
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if tried, ok := asked.Context().Value(attemptKey{}).(*attempt); ok {
				tried.askedForCertificate()
			}
			return pair, nil
		},
	}
	return &http.Client{Transport: mutual{transport}, Timeout: c.timeout(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// transport is one after the pattern.
func (c *clients) transport() *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   50,
	}
	if c.pattern != nil {
		if like, ok := c.pattern.Transport.(*http.Transport); ok {
			t.Proxy, t.ProxyConnectHeader, t.GetProxyConnectHeader = like.Proxy, like.ProxyConnectHeader, like.GetProxyConnectHeader
			t.TLSHandshakeTimeout, t.ResponseHeaderTimeout, t.IdleConnTimeout = like.TLSHandshakeTimeout, like.ResponseHeaderTimeout, like.IdleConnTimeout
			t.ExpectContinueTimeout, t.MaxIdleConns, t.MaxIdleConnsPerHost = like.ExpectContinueTimeout, like.MaxIdleConns, like.MaxIdleConnsPerHost
			t.MaxConnsPerHost, t.DisableKeepAlives = like.MaxConnsPerHost, like.DisableKeepAlives
			if like.DialContext != nil {
				t.DialContext = like.DialContext
			}
		}
	}
	t.DialContext = watched(t.DialContext)
	t.Proxy = withoutTLS(t.Proxy)
	t.ForceAttemptHTTP2 = true
	t.MaxResponseHeaderBytes = mostHeader
	return t
}

// withoutTLS refuses a proxy that is itself reached by TLS: if it asked for a certificate, nobody could tell whether Clara did.
func withoutTLS(next func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if next == nil {
		return nil
	}
	return func(r *http.Request) (*url.URL, error) {
		at, err := next(r)
		if err == nil && at != nil && at.Scheme == "https" {
			return nil, fault.New(fault.Misconfigured, "client_misconfigured", "The operator's proxy is reached by TLS, and Clara cannot be reached through such a one.").
				Do("Tell the operator to give the proxy's address with http; the connection to Clara is by TLS from end to end all the same.")
		}
		return at, err
	}
}

func (c *clients) timeout() time.Duration {
	if c.pattern != nil && c.pattern.Timeout > 0 {
		return c.pattern.Timeout
	}
	return timeout
}

// trusted is who may vouch for a host. Some of Clara's clients were seen with the system's roots and some with the
// authority that came with the certificate (Clara facts 5.1), so both count.
func (c *clients) trusted(given []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool() // without roots nobody is trusted but who is given
	if c.roots != nil {
		if have := c.roots(); have != nil {
			pool = have.Clone()
		}
	} else if system, err := x509.SystemCertPool(); err == nil {
		pool = system
	}
	for _, authority := range slices.Concat(c.extra, given) {
		pool.AddCert(authority)
	}
	return pool
}

// mutual is a transport that says nothing to a side that has not asked for our certificate: it cannot be checking it,
// whatever its own says. It turns what fails in TLS into a fault, so that whoever calls hears what to do.
type mutual struct{ transport *http.Transport }

// RoundTrip implements http.RoundTripper.
func (m mutual) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return refusing{noTLS()}.RoundTrip(r)
	}
	tried := &attempt{}
	ctx := context.WithValue(r.Context(), attemptKey{}, tried)
	response, err := m.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: tried.got})))
	if err == nil {
		return response, nil
	}
	unasked, fresh := tried.outcome()
	if unasked {
		return nil, notAsked()
	}
	problem := explain(err)
	if problem == nil && fresh != nil {
		problem = explain(lastWord(r.Context(), fresh))
	}
	if problem != nil {
		return nil, problem
	}
	return nil, err
}

// lastWord is what the other side said before a new connection ended. HTTP/2 forgets it when the end comes before the
// request; crypto/tls keeps it. Of a connection that does not end now there is none.
func lastWord(ctx context.Context, conn net.Conn) error {
	l, ok := lineOf(conn)
	if !ok {
		return nil
	}
	enough := time.NewTimer(endsWithin)
	defer enough.Stop()
	select {
	case <-l.ended:
	case <-ctx.Done():
		return nil
	case <-enough.C:
		return nil
	}
	_, err := conn.Read(make([]byte, 1)) // nothing can come any more
	return err
}

// CloseIdleConnections is what http.Client looks for.
func (m mutual) CloseIdleConnections() { m.transport.CloseIdleConnections() }

// attempt is what one request dials, which as a rule is one connection or none. crypto/tls says that a certificate was asked
// for without saying on which connection, and net/http which connection a request got; the context of the dial joins them.
type attempt struct {
	mu      sync.Mutex
	lines   []*line  // guarded by mu
	unasked bool     // guarded by mu; a connection was given up because our certificate was not asked for
	fresh   net.Conn // guarded by mu; the last one that the request got, if nobody had used it
}

type attemptKey struct{}

// line is a connection that knows whether our certificate was asked for on it.
type line struct {
	net.Conn
	asked atomic.Bool
	over  atomic.Bool
	used  atomic.Bool // a request has been made on it before
	end   sync.Once
	ended chan struct{} // closed with the connection
}

// Write implements net.Conn. In TLS 1.3 our side is through with the handshake before the other side has looked at our
// certificate. One that does not take it says so and leaves, and whether writing the request fails before its alert is read
// is chance. So on a new connection such a failure is left for reading to find: the alert comes first there.
func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	if err != nil && !l.used.Load() && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		return len(b), nil
	}
	return n, err
}

// Close implements net.Conn.
func (l *line) Close() error {
	defer l.end.Do(func() { close(l.ended) })
	l.over.Store(true)
	return l.Conn.Close()
}

// got is told which connection a request gets, before it is written there.
func (a *attempt) got(info httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fresh = nil
	l, ok := lineOf(info.Conn)
	if !ok || !l.asked.Load() {
		a.unasked = true
		_ = info.Conn.Close()
		return
	}
	l.used.Store(info.Reused)
	if !info.Reused {
		a.fresh = info.Conn
	}
}

func (a *attempt) outcome() (unasked bool, fresh net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unasked, a.fresh
}

// askedForCertificate notes it for the one connection that is in its handshake. If there are several, nobody knows for which,
// and it is noted for none: their requests fail, and are made again.
func (a *attempt) askedForCertificate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	open := slices.DeleteFunc(slices.Clone(a.lines), func(l *line) bool { return l.asked.Load() || l.over.Load() })
	if len(open) == 1 {
		open[0].asked.Store(true)
	}
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// watched makes lines of connections.
func watched(next dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l := &line{Conn: conn, ended: make(chan struct{})}
		if tried, ok := ctx.Value(attemptKey{}).(*attempt); ok {
			tried.mu.Lock()
			tried.lines = append(tried.lines, l)
			tried.mu.Unlock()
		}
		return l, nil
	}
}

// lineOf is the line below a connection.
func lineOf(conn net.Conn) (*line, bool) {
	over, ok := conn.(*tls.Conn)
	if !ok {
		return nil, false
	}
	l, ok := over.NetConn().(*line)
	return l, ok
}

var errNotTLS = errors.New("the address is not https")

func noTLS() *fault.Error {
	return fault.Wrap(errNotTLS, fault.Misconfigured, "server_without_tls", "The address for Clara is none of TLS, so nothing is said there.").
		Do("Tell the operator: the address of Clara's host is set wrongly.")
}

func notAsked() *fault.Error {
	return fault.New(fault.Unavailable, "client_certificate_not_asked", "The host did not ask for the client certificate, so it is not Clara's, or something stands between; it was told nothing.").
		Do("Ask the operator whether a proxy opens TLS on the way to Clara; if none does, ask Clara.")
}
