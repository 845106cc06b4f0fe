// Package network is a small internet: hosts under the names that they have in the world, behind certificates of an authority
// of its own.
//
// The argument: what a function is built into knows its providers and AWS by their names, and has no switch that sends it
// elsewhere; such a switch would be one for an attacker too. What every program of its kind does heed is the environment: a
// proxy and a file of authorities. So this is a proxy. It takes CONNECT and nothing else, ends the TLS of the names it knows,
// and answers in their place. A name that it does not know is refused and noted, so nothing reaches the world unseen. Who
// comes says so by the user name in the proxy's address, which makes known who talked to whom.
package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Host is one name.
type Host struct {
	Handler http.Handler
	// TLS is asked for the settings of a handshake, all but the certificate; nil: nothing is asked of the client.
	TLS func(hello *tls.ClientHelloInfo) (*tls.Config, error)
}

// Visit is that somebody reached a host, or tried to.
type Visit struct{ Caller, Host string }

// Network serves hosts. It is safe for concurrent use.
type Network struct {
	authority *authority
	file      string
	listener  net.Listener
	front     *http.Server // takes CONNECT
	inner     *http.Server // answers for the hosts
	tunnels   tunnels

	mu        sync.Mutex
	hosts     map[string]Host  // guarded by mu
	visits    map[Visit]int    // guarded by mu
	strangers map[Visit]int    // guarded by mu
	open      map[net.Conn]any // guarded by mu; hijacked, so nobody else closes them
}

type callerKey struct{}

// Caller is who sent a request, as the proxy's address said.
func Caller(r *http.Request) string {
	name, _ := r.Context().Value(callerKey{}).(Visit)
	return name.Caller
}

// New starts a network on a free port of the loopback address. dir gets the file of authorities.
func New(dir string) (*Network, error) {
	made, err := newAuthority()
	if err != nil {
		return nil, err
	}
	n := &Network{authority: made, file: filepath.Join(dir, "authorities.pem"), hosts: map[string]Host{}, visits: map[Visit]int{},
		strangers: map[Visit]int{}, open: map[net.Conn]any{}}
	if err := os.WriteFile(n.file, made.pem, 0o600); err != nil {
		return nil, err
	}
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of hands that were not shaken, which tests provoke
	n.tunnels = newTunnels(n.listener.Addr())
	n.front = &http.Server{Handler: http.HandlerFunc(n.connect), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	n.inner = &http.Server{Handler: http.HandlerFunc(n.answer), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet, ConnContext: who}
	go func() { _ = n.front.Serve(n.listener) }()
	go func() { _ = n.inner.Serve(n.tunnels) }()
	return n, nil
}

// Close ends every connection.
func (n *Network) Close() error {
	err := errors.Join(n.front.Close(), n.inner.Close())
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		_ = c.Close()
	}
	return err
}

// Serve puts a host under its name.
func (n *Network) Serve(name string, h Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = h
}

// Proxy is the address by which a caller comes, for HTTPS_PROXY.
func (n *Network) Proxy(caller string) *url.URL {
	return &url.URL{Scheme: "http", User: url.UserPassword(caller, "x"), Host: n.listener.Addr().String()}
}

// AuthoritiesFile is a PEM file, for SSL_CERT_FILE.
func (n *Network) AuthoritiesFile() string { return n.file }

// Transport reaches the hosts from this process, as a caller.
func (n *Network) Transport(caller string) *http.Transport {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.authority.pem)
	return &http.Transport{Proxy: http.ProxyURL(n.Proxy(caller)), MaxIdleConnsPerHost: 50,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
}

// Visits are the callers and the hosts that they reached.
func (n *Network) Visits() []Visit { return n.list(n.visits) }

// Strangers are the callers, and what they tried to reach and is not there.
func (n *Network) Strangers() []Visit { return n.list(n.strangers) }

func (n *Network) list(of map[Visit]int) []Visit {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Keys(of), func(a, b Visit) int { return strings.Compare(a.Host+" "+a.Caller, b.Host+" "+b.Caller) })
}

// connect makes a tunnel, whose other end is here.
func (n *Network) connect(w http.ResponseWriter, r *http.Request) {
	visit := Visit{Caller: caller(r)}
	if r.Method != http.MethodConnect {
		visit.Host = r.URL.Scheme + "://" + r.Host // without TLS
		n.note(n.strangers, visit)
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	name, port, err := net.SplitHostPort(r.Host)
	n.mu.Lock()
	_, known := n.hosts[name]
	n.mu.Unlock()
	if visit.Host = name; err != nil || port != "443" || !known {
		visit.Host = r.Host
		n.note(n.strangers, visit)
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	n.note(n.visits, visit)
	raw, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no tunnel", http.StatusInternalServerError)
		return
	}
	if _, err := raw.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = raw.Close()
		return
	}
	n.mu.Lock()
	n.open[raw] = nil
	n.mu.Unlock()
	end := &tunnel{Conn: raw, visit: visit, closed: func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.open, raw)
	}}
	n.tunnels.offer(tls.Server(end, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: n.handshake(name)}))
}

func caller(r *http.Request) string {
	kind, encoded, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if kind != "Basic" || err != nil {
		return ""
	}
	name, _, _ := strings.Cut(string(decoded), ":")
	return name
}

func (n *Network) note(in map[Visit]int, v Visit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	in[v]++
}

func (n *Network) host(name string) Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[name]
}

// handshake shows the certificate of the name that the tunnel was asked for, to whoever asks for that name.
func (n *Network) handshake(name string) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello.ServerName != name {
			return nil, errors.New("the tunnel leads to another host")
		}
		leaf, err := n.authority.leaf(name)
		if err != nil {
			return nil, err
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if ask := n.host(name).TLS; ask != nil {
			if config, err = ask(hello); err != nil {
				return nil, err
			}
			config = config.Clone()
		}
		config.Certificates, config.NextProtos = []tls.Certificate{leaf}, []string{"http/1.1"}
		return config, nil
	}
}

// who is what the requests of a tunnel know of it.
func who(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(*tls.Conn); ok {
		if end, ok := secured.NetConn().(*tunnel); ok {
			return context.WithValue(ctx, callerKey{}, end.visit)
		}
	}
	return ctx
}

// answer hands a request to its host. Whoever asks a tunnel for another host than it leads to is refused, as a shared front
// of the world does.
func (n *Network) answer(w http.ResponseWriter, r *http.Request) {
	visit, _ := r.Context().Value(callerKey{}).(Visit)
	if r.Host != visit.Host {
		http.Error(w, "misdirected", http.StatusMisdirectedRequest)
		return
	}
	n.host(visit.Host).Handler.ServeHTTP(w, r)
}
