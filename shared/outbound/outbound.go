// Package outbound calls addresses that customers name, and reaches nothing but the public internet.
//
// The argument: whoever may name an address makes this program knock there, from where it stands: at a cloud's metadata,
// at a database beside it, at itself. A look at the name is not enough, for a name may lead anywhere, and elsewhere at the
// second look. So there are two checks. [Parse] takes only URLs that can be meant well, and is for whoever types one.
// The [Client] checks the address that is really dialled, after the name was resolved and before a packet leaves, for each
// connection anew; that is the one which counts. It follows no redirect, and asks no proxy, which would dial in its place.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNotPublic is what dialling an address fails with that is not on the public internet. It does not say which address
// that was: what a name leads to inside is not for whoever typed it.
var ErrNotPublic = errors.New("the address is not on the public internet")

// Refusal says in a sentence why a URL is not taken, and what would be.
type Refusal struct{ Detail, Action string }

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

// The limits of a URL. Ports below 1024 belong to services that speak no HTTP; 443 is the exception.
const (
	maxURL    = 2048
	maxHost   = 253
	maxLabel  = 63
	httpsPort = 443
	lowest    = 1024
)

// Rules say what is taken.
type Rules struct {
	// Loopback also takes http and https URLs of this machine's loopback addresses, 127.0.0.1 and [::1], at any port. For a program of
	// one machine, never for a server.
	Loopback bool
}

// Parse takes a URL as a person typed it and returns it in its usual form. Its error is a *Refusal.
func (r Rules) Parse(text string) (*url.URL, error) {
	switch {
	case text == "":
		return nil, &Refusal{"The URL is empty.", "Give the https URL of your endpoint."}
	case len(text) > maxURL:
		return nil, &Refusal{"The URL is longer than 2048 characters.", "Give a shorter one."}
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }):
		return nil, &Refusal{"The URL has characters that a URL does not have.", "Write a host name in its xn-- form, and other characters with a percent sign."}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "":
		return nil, &Refusal{"This is not a URL.", "Give one such as https://hooks.example.com/vault."}
	case u.User != nil:
		return nil, &Refusal{"The URL has a user name in it.", "Leave it out; each message is signed."}
	case strings.Contains(text, "#"):
		return nil, &Refusal{"The URL has a part after #, which is never sent.", "Leave it out."}
	case r.Loopback && loopback(u):
		return u, nil
	case u.Scheme != "https":
		return nil, &Refusal{"The URL is not an https one.", "Use https."}
	}
	host, err := hostName(u)
	if err != nil {
		return nil, err
	}
	u.Host = host
	return u, nil
}

// hostName checks host and port, and returns them in lower case.
func hostName(u *url.URL) (string, error) {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", &Refusal{"The URL has a colon and no port.", "Leave the colon out."}
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || !usablePort(uint16(n)) || strconv.FormatUint(n, 10) != port {
			return "", &Refusal{"The URL's port is not 443, and not from 1024 to 65535.", "Use one of these."}
		}
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	if port == "" || port == "443" {
		return name, nil
	}
	return name + ":" + port, nil
}

func usablePort(n uint16) bool { return n == httpsPort || n >= lowest }

// inside are the ends of names that lead nowhere on the public internet.
var inside = []string{"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "localdomain", "arpa", "test", "invalid", "onion", "alt"}

// checkName takes names of the public internet's form. An address, in whatever way it is written, is none: the last part of
// a name is never a number, which is also what tells the two apart for everybody who resolves them.
func checkName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	switch {
	case strings.Contains(name, ":") || last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return &Refusal{"The URL has an address where a host name belongs.", "Use a host name."}
	case len(name) > maxHost || len(labels) < 2:
		return &Refusal{"The URL's host is not a name of the public internet.", "Use a host name with a domain, such as hooks.example.com."}
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || strings.Trim(label, letters) != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return &Refusal{"The URL's host is not a host name.", "Use letters, digits, dashes and single dots."}
		}
	}
	for _, end := range inside {
		if last == end {
			return &Refusal{"The URL's host is not a name of the public internet.", "Use a host name that everybody can resolve."}
		}
	}
	return nil
}

// loopback reports a URL of this machine, in one of the two forms that are plainly that.
func loopback(u *url.URL) bool {
	host := u.Hostname()
	return (u.Scheme == "http" || u.Scheme == "https") && (host == "127.0.0.1" || host == "::1")
}

// Config is what a client is made of.
type Config struct {
	Rules
	Timeout  time.Duration  // of a whole call; 0: 15 s
	Resolver *net.Resolver  // nil: the machine's
	Roots    *x509.CertPool // who may have signed a server's certificate; nil: whom the machine trusts

	public func(netip.Addr) bool // nil: Public; tests, which must not leave the machine, say otherwise
}

// maxHeader bounds what an answer's header may make us read.
const maxHeader = 16 << 10

// Client returns a client that reaches the public internet alone.
//
// It keeps no connection: a call is rare, and a new connection is a new check.
func Client(cfg Config) *http.Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.public == nil {
		cfg.public = Public
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: cfg.Resolver, ControlContext: cfg.control}
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{
			Proxy:                  nil, // it would dial in our place, and we could not look
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  cfg.Timeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		},
		// A redirect leads where nobody has looked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// control is asked with each socket that is about to connect, and the address that it connects to.
func (c Config) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return ErrNotPublic
	}
	ip := to.Addr().Unmap()
	if c.Loopback && ip.Zone() == "" && ip.IsLoopback() {
		return nil
	}
	if !c.public(ip) || !usablePort(to.Port()) {
		return ErrNotPublic
	}
	return nil
}
