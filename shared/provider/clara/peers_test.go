package clara_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/secret"
)

// peer is somebody on the other side, who keeps every byte that reached it, as it came and opened.
type peer struct {
	url   string
	mu    sync.Mutex
	heard bytes.Buffer // guarded by mu
	conns int          // guarded by mu
	// opened is what was said to it behind TLS.
	opened bytes.Buffer // guarded by mu
}

func (p *peer) open(b []byte) {
	p.note(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened.Write(b)
}

// openedBytes counts what was said to it behind TLS. HTTP/2 begins with a greeting that is the same for everybody; whatever
// follows it counts.
func (p *peer) openedBytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	const greeting, head, settings, window = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 9, 4, 8
	all, ok := bytes.CutPrefix(p.opened.Bytes(), []byte(greeting))
	for ok && len(all) >= head && (all[3] == settings || all[3] == window) {
		all = all[min(len(all), head+int(binary.BigEndian.Uint32(all)>>8)):]
		all, _ = bytes.CutPrefix(all, []byte(greeting)) // another connection's
	}
	return len(all)
}

func (p *peer) note(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard.Write(b)
}

func (p *peer) everything() (heard string, conns int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard.String(), p.conns
}

// overheard is a connection whose bytes are kept.
type overheard struct {
	net.Conn
	by *peer
}

func (o overheard) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	o.by.note(b[:n])
	return n, err
}

// listen serves each connection on loopback by the function, which gets it before TLS.
func listen(t testing.TB, serve func(p *peer, conn net.Conn)) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{url: "https://" + listener.Addr().String()}
	var open sync.WaitGroup
	var accepted []net.Conn // guarded by p.mu
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns++
			accepted = append(accepted, conn)
			p.mu.Unlock()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // whoever is forgotten ends with the test
			open.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(p, overheard{conn, p})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, conn := range accepted {
			_ = conn.Close()
		}
		p.mu.Unlock()
		open.Wait()
	})
	return p
}

// behind is TLS and then what is said to each request, byte for byte.
func behind(config *tls.Config, answer string) func(*peer, net.Conn) {
	return func(p *peer, conn net.Conn) {
		over := tls.Server(conn, config)
		defer func() { _ = over.Close() }()
		buffer := make([]byte, 16<<10)
		for {
			n, err := over.Read(buffer)
			p.open(buffer[:n])
			if err != nil {
				return
			}
			if _, err := io.WriteString(over, answer); err != nil {
				return
			}
			if !strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n") {
				return
			}
		}
	}
}

// raw says bytes without TLS, after it has heard some.
func raw(answer []byte) func(*peer, net.Conn) {
	return func(_ *peer, conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write(answer)
		_, _ = conn.Read(make([]byte, 4096))
	}
}

const fine = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"

func status(line, body string) string {
	return "HTTP/1.1 " + line + "\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
}

// mutual is how Clara does it: whoever comes shows a certificate of this authority.
func mutual(server issued, clients issuer, chain ...*x509.Certificate) *tls.Config {
	pair := tls.Certificate{Certificate: [][]byte{server.certificate.Raw}, PrivateKey: server.key}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(clients.certificate)}
}

func changed(config *tls.Config, change func(*tls.Config)) *tls.Config {
	config = config.Clone()
	change(config)
	return config
}

// hello is a ServerHello of TLS 1.2 that says a version and ends its randomness as given.
func hello(version uint16, random string) []byte {
	body := binary.BigEndian.AppendUint16(nil, version)
	body = append(body, []byte(strings.Repeat("r", 32-len(random))+random)...)
	body = append(body, 0, 0xc0, 0x2b, 0)
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
}

func alert(number byte) []byte { return []byte{21, 3, 3, 0, 2, 2, number} }

// told reports which secrets are among the bytes.
func told(heard string, client issued, t *testing.T) []string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(client.key)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(keyPEM(t, client.key), "\n")[1]
	var found []string
	for name, value := range map[string]string{"the access token": token, "the secret key": secretKey, "the private key": string(der), "a line of the private key": line,
		"the client's header": base64.StdEncoding.EncodeToString([]byte(tokenKey + ":" + secretKey))} {
		if strings.Contains(heard, value) {
			found = append(found, name)
		}
	}
	return found
}

// hostile is one row: what the other side does, and what our side says of it.
type hostile struct {
	what  string
	serve func(*peer, net.Conn)
	code  string // of a read
	// Of a call for a token, where it is another: those are not told from one another by OAuth.
	tokenCode string
	// genuine is a host that proved who it is and saw our certificate: it may hear what is meant for it, and its answer is wrong.
	genuine bool
	client  *issued // "" = the good one
}

func TestHostilePeers(t *testing.T) {
	t.Parallel()
	root, stranger, clients := newIssuer(t, "root"), newIssuer(t, "stranger"), newIssuer(t, "clients")
	middle := root.below(t, "middle")
	good, server := clients.client(t), root.server(t)
	stale := clients.make(t, clientTemplate(past), newKey(t))
	target := listen(t, behind(mutual(server, clients), fine))
	open := listen(t, raw([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")))

	made := func(by issuer, change func(*x509.Certificate)) issued {
		template := serverTemplate(long)
		change(&template)
		return by.make(t, template, newKey(t))
	}
	proves := func(server issued, chain ...*x509.Certificate) func(*peer, net.Conn) {
		return behind(mutual(server, clients, chain...), fine)
	}
	with := func(change func(*tls.Config)) func(*peer, net.Conn) {
		return behind(changed(mutual(server, clients), change), fine)
	}
	says := func(answer string) func(*peer, net.Conn) { return behind(mutual(server, clients), answer) }
	authorityUntil := func(name string, valid span, change func(*x509.Certificate)) issuer {
		template := authorityTemplate(name)
		template.NotBefore, template.NotAfter = valid.from, valid.until
		change(&template)
		return issuer(root.make(t, template, newKey(t)))
	}
	oldMiddle := authorityUntil("old middle", past, func(*x509.Certificate) {})
	noAuthority := authorityUntil("no authority", long, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	elsewhere := authorityUntil("elsewhere", long, func(c *x509.Certificate) {
		c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}
	})
	stolen := issued{server.certificate, newKey(t)}

	rows := []hostile{
		// Who it is.
		{what: "an authority that nobody knows", serve: proves(stranger.server(t)), code: "server_certificate_untrusted"},
		{what: "the authority of our own certificate", serve: proves(clients.server(t)), code: "server_certificate_untrusted"},
		{what: "an authority of the same name", serve: proves(newIssuer(t, "root").server(t)), code: "server_certificate_untrusted"},
		{what: "signed by itself", serve: proves(issuer{}.server(t)), code: "server_certificate_self_signed"},
		{what: "signed by somebody of its own name", serve: proves(newIssuer(t, "server").server(t)), code: "server_certificate_untrusted"},
		{what: "our own certificate", serve: proves(good), code: "server_name_mismatch"},
		{what: "the one between is missing", serve: proves(middle.server(t)), code: "server_certificate_untrusted"},
		{what: "the one between is another", serve: proves(middle.server(t), stranger.certificate), code: "server_certificate_untrusted"},
		{what: "the one between is no authority", serve: proves(noAuthority.server(t), noAuthority.certificate), code: "server_certificate_untrusted"},
		{what: "the one between may not vouch for the name", serve: proves(elsewhere.server(t), elsewhere.certificate), code: "server_certificate_untrusted"},
		{what: "the one between has expired", serve: proves(oldMiddle.server(t), oldMiddle.certificate), code: "server_certificate_expired"},
		{what: "expired", serve: proves(root.make(t, serverTemplate(past), newKey(t))), code: "server_certificate_expired"},
		{what: "not yet valid", serve: proves(root.make(t, serverTemplate(to), newKey(t))), code: "server_certificate_not_yet_valid"},
		{what: "for another name", serve: proves(made(root, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"public-api.mx.clara.example"} })), code: "server_name_mismatch"},
		{what: "for another address", serve: proves(made(root, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} })), code: "server_name_mismatch"},
		{what: "the name as common name alone", serve: proves(made(root, func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" })), code: "server_name_mismatch"},
		{what: "for another name, and the chain is whole", serve: proves(made(middle, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"a.example"} }), middle.certificate), code: "server_name_mismatch"},
		{what: "for clients", serve: proves(made(root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), code: "server_certificate_unsuitable"},
		{what: "the certificate without its key", serve: proves(stolen), code: "tls_handshake_failed"},
		// How it speaks.
		{what: "TLS 1.1 at most", serve: with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), code: "tls_version"},
		{what: "TLS 1.0 at most", serve: with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }), code: "tls_version"},
		{what: "an old version is chosen", serve: raw(hello(tls.VersionTLS11, "")), code: "tls_version"},
		{what: "downgraded on the way to TLS 1.2", serve: raw(hello(tls.VersionTLS12, "DOWNGRD\x01")), code: "tls_downgraded"},
		{what: "downgraded on the way further", serve: raw(hello(tls.VersionTLS12, "DOWNGRD\x00")), code: "tls_downgraded"},
		{what: "too little security", serve: raw(alert(71)), code: "tls_version"},
		{what: "another name, it says", serve: raw(alert(112)), code: "server_name_mismatch"},
		{what: "an error of its own", serve: raw(alert(80)), code: "tls_handshake_failed"},
		{what: "no protocol in common", serve: raw(alert(120)), code: "tls_handshake_failed"},
		{what: "no TLS but HTTP", serve: raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), code: "server_without_tls"},
		{what: "no TLS but something else", serve: raw([]byte("SSH-2.0-OpenSSH_9.9\r\n")), code: "server_without_tls"},
		{what: "cut before the handshake", serve: func(_ *peer, conn net.Conn) { _ = conn.Close() }, code: "provider_unavailable"},
		{what: "cut within the handshake", serve: func(_ *peer, conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write(hello(tls.VersionTLS12, "")[:20])
		}, code: "provider_unavailable"},
		{what: "a new handshake is wanted", serve: renegotiating(mutual(server, clients)), code: "tls_handshake_failed", genuine: true},
		// What it wants of us.
		{what: "no certificate is asked for", serve: with(func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }), code: "client_certificate_not_asked"},
		{what: "none is asked for in TLS 1.2", serve: with(func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.NoClientCert, tls.VersionTLS12 }), code: "client_certificate_not_asked"},
		{what: "none is asked for in HTTP/2", serve: with(func(c *tls.Config) { c.ClientAuth, c.NextProtos = tls.NoClientCert, []string{"h2"} }), code: "client_certificate_not_asked"},
		{what: "one of another issuer is asked for", serve: behind(mutual(server, stranger), fine), code: "client_certificate_missing_or_rejected"},
		{what: "one of another issuer in TLS 1.2", serve: behind(changed(mutual(server, stranger), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), fine), code: "client_certificate_missing_or_rejected"},
		{what: "one of another issuer in HTTP/2", serve: behind(changed(mutual(server, stranger), func(c *tls.Config) { c.NextProtos = []string{"h2"} }), fine), code: "client_certificate_missing_or_rejected"},
		{what: "ours has expired, it says", serve: says(fine), client: &stale, code: "client_certificate_missing_or_rejected"},
		{what: "ours is refused by an alert", serve: raw(alert(42)), code: "client_certificate_missing_or_rejected"},
		{what: "ours was revoked, it says", serve: raw(alert(44)), code: "client_certificate_missing_or_rejected"},
		{what: "a failure, as old servers say it", serve: raw(alert(40)), code: "client_certificate_missing_or_rejected"},
		{what: "ours is missing, by status", serve: says(status("511 Network Authentication Required", "")), code: "client_certificate_missing_or_rejected", genuine: true},
		{what: "ours is missing, by 401", serve: says(status("401 Unauthorized", `{"code":"UNAUTHORIZED","message":"Client certificate is required"}`)), code: "client_certificate_missing_or_rejected", genuine: true},
		{what: "ours is missing, by a page", serve: says(status("400 Bad Request", "<html><center>No required SSL certificate was sent</center></html>")), code: "client_certificate_missing_or_rejected", genuine: true},
		// What it answers. It has proved who it is, and hears what is meant for it; nobody else does.
		{what: "sends us to another host", serve: says("HTTP/1.1 307 T\r\nConnection: close\r\nLocation: " + target.url + "/\r\nContent-Length: 0\r\n\r\n"), code: "provider_redirected", genuine: true},
		{what: "sends us to a place without TLS", serve: says("HTTP/1.1 302 T\r\nConnection: close\r\nLocation: " + strings.Replace(open.url, "https", "http", 1) + "/\r\nContent-Length: 0\r\n\r\n"), code: "provider_redirected", genuine: true},
		{what: "sends us round in a circle", serve: says("HTTP/1.1 308 T\r\nConnection: close\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), code: "provider_redirected", genuine: true},
		{what: "garbage", serve: says("HTTP/1.0 what\x00\x01\x02\r\n\r\n"), code: "provider_unavailable", tokenCode: "internal_error", genuine: true},
		{what: "a header without end", serve: says("HTTP/1.1 200 Fine\r\nX-A: " + strings.Repeat("a", 300<<10) + "\r\n\r\n"), code: "provider_unavailable", tokenCode: "internal_error", genuine: true},
		{what: "cut after the handshake", serve: says(""), code: "provider_unavailable", tokenCode: "internal_error", genuine: true},
		{what: "cut within the answer", serve: says("HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\n[{"), code: "provider_unavailable", tokenCode: "internal_error", genuine: true},
		{what: "an answer that is a page", serve: says("HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 4\r\n\r\n<p>x"), code: "provider_refused", tokenCode: "internal_error", genuine: true},
	}
	if len(rows) < 30 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.what, func(t *testing.T) {
			t.Parallel()
			client := good
			if row.client != nil {
				client = *row.client
			}
			meets(t, row, listen(t, row.serve), root, client)
		})
	}
	t.Cleanup(func() {
		for _, p := range []*peer{target, open} {
			if heard, conns := p.everything(); conns != 0 || heard != "" {
				t.Errorf("where we were sent, %d connections came", conns)
			}
		}
	})
}

// meets reads from a hostile host and asks it for a token.
func meets(t *testing.T, row hostile, p *peer, root issuer, client issued) {
	t.Helper()
	a := clara.New(clara.Options{Roots: func() *x509.CertPool { return pool(root.certificate) }, Endpoints: clara.Endpoints{Base: map[string]string{"mx": p.url}}})
	secrets := secretsOf(t, client)
	answer, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secrets), reading(a))
	check := func(call, want string, err error) {
		f := fault.As(err)
		if err == nil || f.Code != want {
			t.Errorf("%s: %v, want %s", call, err, want)
		}
		if text := fmt.Sprintf("%v %+v", err, f); strings.Contains(text, "canary") || strings.Contains(text, p.url[8:]) {
			t.Errorf("%s says %s", call, text)
		}
	}
	check("a read", row.code, err)
	if answer.Body != nil {
		t.Errorf("an answer was taken: %.40q", answer.Body)
	}
	want := row.tokenCode
	switch {
	case want == "" && row.code == "provider_unavailable":
		want = "internal_error"
	case want == "":
		want = row.code
	}
	_, err = a.TokenClient(entry(), provider.AppCredentials{Secrets: secrets}).ClientCredentials(t.Context(), "")
	check("a call for a token", want, err)
	heard, conns := p.everything()
	if conns == 0 {
		t.Error("nobody came")
	}
	for _, what := range told(heard, client, t) {
		if !row.genuine || strings.Contains(what, "private key") {
			t.Errorf("the host heard %s", what)
		}
	}
	if n := p.openedBytes(); n != 0 && !row.genuine {
		t.Errorf("%d bytes were said to the host", n)
	}
}

// A host that was right, and turns into another one under load, hears nothing from then on.
func TestTheHostIsSwappedUnderLoad(t *testing.T) {
	t.Parallel()
	root, stranger, clients := newIssuer(t, "root"), newIssuer(t, "stranger"), newIssuer(t, "clients")
	client := clients.client(t)
	elsewhere := serverTemplate(long)
	elsewhere.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)}
	for code, impostor := range map[string]issued{"server_certificate_untrusted": stranger.server(t), "server_name_mismatch": root.make(t, elsewhere, newKey(t))} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			once := status("200 OK", "[]") // each read comes by a connection of its own
			right := behind(mutual(root.server(t), clients), once)
			wrong := behind(mutual(impostor, clients), once)
			var swapped atomic.Bool
			other := &peer{}
			p := listen(t, func(p *peer, conn net.Conn) {
				if swapped.Load() {
					wrong(other, overheard{conn, other})
				} else {
					right(p, conn)
				}
			})
			a, secrets := adapterFor(p.url, root), secretsOf(t, client)
			var readers sync.WaitGroup
			var read, refused atomic.Int32
			for range 20 {
				readers.Go(func() {
					for refused.Load() < 100 {
						_, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secrets), reading(a))
						switch {
						case err == nil:
							if read.Add(1) == 60 {
								swapped.Store(true)
							}
						case fault.CodeOf(err) == code:
							refused.Add(1)
						default:
							t.Error(err)
							refused.Add(1)
						}
					}
				})
			}
			readers.Wait()
			heard, _ := other.everything()
			if n := other.openedBytes(); n != 0 || len(told(heard, client, t)) != 0 || read.Load() < 60 || p.openedBytes() == 0 {
				t.Errorf("after %d reads the other host heard %d bytes", read.Load(), n)
			}
		})
	}
}

// In TLS 1.3 the refusal of our certificate comes while the request is on its way, and sometimes before. It is the same
// error each time.
func TestARefusalIsHeardWheneverItComes(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			root, stranger, clients := newIssuer(t, "root"), newIssuer(t, "stranger"), newIssuer(t, "clients")
			p := listen(t, behind(changed(mutual(root.server(t), stranger), func(c *tls.Config) { c.NextProtos = []string{protocol} }), fine))
			a, secrets := adapterFor(p.url, root), secretsOf(t, clients.client(t))
			for range 60 {
				if _, _, err := (provider.Client{Reader: a}).Do(t.Context(), session(entry(), secrets), reading(a)); fault.CodeOf(err) != "client_certificate_missing_or_rejected" {
					t.Error(err)
				}
			}
		})
	}
}

// What is recorded is what was said: the host that we mean hears token, secret and tax identifier, and never the key.
func TestTheRightPeer(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*tls.Config){
		"TLS 1.3":         func(*tls.Config) {},
		"TLS 1.2":         func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"any issuer":      func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAnyClientCert, nil },
		"if there is one": func(c *tls.Config) { c.ClientAuth = tls.VerifyClientCertIfGiven },
		"other issuers too": func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequestClientCert, pool(newIssuer(t, "other").certificate)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
			client, other := clients.client(t), newIssuer(t, "system")
			var seen sync.Map
			config := changed(mutual(root.server(t), clients), change)
			config.VerifyConnection = func(state tls.ConnectionState) error {
				if len(state.PeerCertificates) == 1 && state.PeerCertificates[0].Equal(client.certificate) {
					seen.Store("certificate", true)
				}
				return nil
			}
			p := listen(t, behind(config, fine))
			a := clara.New(clara.Options{Roots: func() *x509.CertPool { return pool(other.certificate) }, Endpoints: clara.Endpoints{Base: map[string]string{"mx": p.url}}})
			secrets := secretsOf(t, client, "ca_certificates", certificatePEM(root.certificate))
			e := entry("tax_identifier", "XAXX010101000")
			answer, _, err := provider.Client{Reader: a}.Do(t.Context(), session(e, secrets), reading(a))
			if err != nil || string(answer.Body) != "[]" {
				t.Fatalf("%q, %v", answer.Body, err)
			}
			_, _ = a.TokenClient(e, provider.AppCredentials{Secrets: secrets}).ClientCredentials(t.Context(), "")
			heard, _ := p.everything()
			for _, want := range []string{"GET /api/v2/groups HTTP/1.1\r\n", "Authorization: Bearer " + token + "\r\n", "X-Tax-Identifier: XAXX010101000\r\n",
				"POST /oauth/token HTTP/1.1\r\n", "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(tokenKey+":"+secretKey)) + "\r\n", "\r\n\r\ngrant_type=client_credentials"} {
				if !strings.Contains(heard, want) {
					t.Errorf("it did not hear %q", want)
				}
			}
			if strings.Contains(heard, "scope") {
				t.Error("it heard of a scope")
			}
			if _, ok := seen.Load("certificate"); !ok {
				t.Error("it did not see the certificate")
			}
			for _, what := range told(heard, client, t) {
				if strings.Contains(what, "private key") {
					t.Errorf("it heard %s", what)
				}
			}
		})
	}
}

// A file of authorities counts as an entry's own do; what no file vouches for does not.
func TestAuthoritiesOfAFile(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	p := listen(t, behind(mutual(root.server(t), clients), fine))
	base := map[string]string{"mx": p.url}
	for what, row := range map[string]struct {
		endpoints clara.Endpoints
		code      string
	}{
		"the right one": {clara.Endpoints{Base: base, CAFile: file(t, certificatePEM(newIssuer(t, "other").certificate, root.certificate))}, ""},
		"another":       {clara.Endpoints{Base: base, CAFile: file(t, certificatePEM(clients.certificate))}, "server_certificate_untrusted"},
		"none":          {clara.Endpoints{Base: base}, "server_certificate_untrusted"},
		"a broken one":  {clara.Endpoints{Base: base, CAFile: file(t, "x")}, "client_misconfigured"},
	} {
		a := clara.New(clara.Options{Endpoints: row.endpoints})
		_, _, err := provider.Client{Reader: a}.Do(t.Context(), session(entry(), secretsOf(t, clients.client(t))), reading(a))
		if fault.CodeOf(err) != row.code {
			t.Errorf("%s: %v", what, err)
		}
		if broken := row.code == "client_misconfigured"; (row.endpoints.Validate() != nil) != broken {
			t.Errorf("%s: %v", what, row.endpoints.Validate())
		}
	}
}

// An entry whose certificate cannot be used says so to whoever asks for a token, and calls nobody.
func TestTokenClientWithoutMaterial(t *testing.T) {
	t.Parallel()
	p := listen(t, raw(nil))
	a := clara.New(clara.Options{Endpoints: clara.Endpoints{Base: map[string]string{"mx": p.url}}})
	authority := newIssuer(t, "authority")
	one, two := authority.client(t), authority.client(t)
	for code, secrets := range map[string]map[string]secret.Text{
		"invalid_field":          texts("secret_key", secretKey),
		"private_key_mismatch":   secretsOf(t, issued{one.certificate, two.key}),
		"certificate_unreadable": secretsOf(t, one, "client_certificate", "canary"),
	} {
		_, err := a.TokenClient(entry(), provider.AppCredentials{Secrets: secrets}).ClientCredentials(t.Context(), "")
		if f := fault.As(err); err == nil || f.Code != code || f.Kind != fault.Misconfigured || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v, want %s", err, code)
		}
		_, _, err = provider.Client{Reader: a}.Do(t.Context(), session(entry(), secrets), reading(a))
		if fault.CodeOf(err) != code {
			t.Errorf("a read: %v, want %s", err, code)
		}
	}
	if _, conns := p.everything(); conns != 0 {
		t.Errorf("%d connections came", conns)
	}
}

// renegotiating asks for a new handshake in the middle of TLS 1.2. crypto/tls does not do that as a server, so its keys are
// taken from its own log and the record is made here (RFC 5246, 7.4.1.1; RFC 5288).
func renegotiating(config *tls.Config) func(*peer, net.Conn) {
	return func(p *peer, conn net.Conn) {
		var log bytes.Buffer
		said := &saying{Conn: conn}
		over := tls.Server(said, changed(config, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.KeyLogWriter, c.SessionTicketsDisabled = tls.VersionTLS12, tls.VersionTLS12, &log, true
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}))
		if over.HandshakeContext(context.Background()) != nil {
			return
		}
		buffer := make([]byte, 16<<10)
		n, _ := over.Read(buffer)
		p.note(buffer[:n])
		words := strings.Fields(log.String()) // CLIENT_RANDOM, the client's randomness, the master secret
		clientRandom, _ := hex.DecodeString(words[1])
		master, _ := hex.DecodeString(words[2])
		serverRandom := said.first[11:43] // after the record's and the message's heads, and the version
		keys := prf(master, append([]byte("key expansion"), append(bytes.Clone(serverRandom), clientRandom...)...), 40)
		block, _ := aes.NewCipher(keys[16:32])
		gcm, _ := cipher.NewGCM(block)
		const sequence = 1 // Finished was the first
		head := binary.BigEndian.AppendUint64(nil, sequence)
		nonce := append(bytes.Clone(keys[36:40]), head...)
		sealed := gcm.Seal(nil, nonce, []byte{0, 0, 0, 0}, append(bytes.Clone(head), 22, 3, 3, 0, 4))
		out := append([]byte{22, 3, 3, 0, byte(8 + len(sealed))}, head...)
		_, _ = conn.Write(append(out, sealed...))
		_, _ = conn.Read(buffer)
	}
}

// saying keeps the first bytes that are said.
type saying struct {
	net.Conn
	first []byte
}

func (s *saying) Write(b []byte) (int, error) {
	if len(s.first) < 64 {
		s.first = append(s.first, b...)
	}
	return s.Conn.Write(b)
}

// prf is that of TLS 1.2 with SHA-256 (RFC 5246, 5).
func prf(key, seed []byte, length int) []byte {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := mac(seed); len(out) < length; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out
}
