package clara

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// Kept is how many clients an adapter keeps.
func (a *Adapter) Kept() int {
	a.clients.mu.Lock()
	defer a.clients.mu.Unlock()
	return len(a.clients.kept)
}

// TLSOf is what a client's transport does in TLS.
func TLSOf(client *http.Client) *tls.Config {
	return client.Transport.(mutual).transport.TLSClientConfig
}

// TransportOf is a client's transport below our own.
func TransportOf(client *http.Client) *http.Transport { return client.Transport.(mutual).transport }

// The limits of the cache.
const (
	MostClients  = mostClients
	MostPerEntry = mostPerEntry
)

// Asked says on which of so many connections of one request a certificate counts as asked for, once it is asked for on
// one; closed is one that is over, and before says on which it was asked for already.
func Asked(lines, closed int, before []bool) []bool {
	tried := &attempt{}
	for i := range lines {
		near, far := net.Pipe()
		_ = far.Close()
		l := &line{Conn: near, ended: make(chan struct{})}
		if before != nil {
			l.asked.Store(before[i])
		}
		if i == closed {
			_ = l.Close()
		}
		tried.lines = append(tried.lines, l)
	}
	tried.askedForCertificate()
	var out []bool
	for _, l := range tried.lines {
		out = append(out, l.asked.Load())
	}
	return out
}

// Watched makes a connection one of ours.
func Watched(conn net.Conn, used bool) net.Conn {
	l := &line{Conn: conn, ended: make(chan struct{})}
	l.used.Store(used)
	return l
}

// LastWord is what was said on a connection before it ended.
func LastWord(ctx context.Context, conn net.Conn) error { return lastWord(ctx, conn) }
