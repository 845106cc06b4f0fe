package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.1",
		"168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
		"192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
		"239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1",
		"2001:db8::1", "2002:a00:1::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "3ffe::5efe:10.0.0.1", "2600::200:5efe:8.8.8.8", "4000::1", "5f00::1",
		"fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2600::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
	} {
		if Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is taken for public", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.0.0.1", "128.0.0.1", "168.63.129.17",
		"169.253.0.1", "169.255.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.0.1", "192.169.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
		"::ffff:8.8.8.8", "2001:200::1", "2001:4860:4860::8888", "2600::1", "2a00:1450::1", "3ffe::1"} {
		if !Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is not taken for public", text)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestHostileURLs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "hooks.example.com", "/hook", "//hooks.example.com/hook", "https:", "https://", "https:///hook", "https:hooks.example.com",
		"http://hooks.example.com/", "HTTP://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd", "gopher://hooks.example.com/", "javascript:alert(1)", "data:text/plain,x",
		"https://user@hooks.example.com/", "https://user:pass@hooks.example.com/", "https://@hooks.example.com/", "https://hooks.example.com@10.0.0.1/", "https://hooks.example.com#@10.0.0.1/",
		"https://hooks.example.com/#part", "https://hooks.example.com/#",
		"https://127.0.0.1/", "https://10.0.0.1/", "https://8.8.8.8/", "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fd00:ec2::254]/",
		"https://[2600::1]/", "https://[fe80::1%25eth0]/", "https://[::]/", "https://[::1]:8443/",
		"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0x7f.1/", "https://0177.0.0.1/", "https://017700000001/", "https://127.1/", "https://127.0.1/", "https://1/", "https://0/",
		"https://0x0/", "https://10.0.0.0x1/", "https://127.0.0.1./", "https://hooks.0x7f000001/", "https://hooks.1/",
		"https://localhost/", "https://LOCALHOST/", "https://a.localhost/", "https://localhost.localdomain/", "https://printer.local/", "https://metadata.google.internal/", "https://vault.intranet/",
		"https://nas.lan/", "https://wiki.corp/", "https://router.home/", "https://router.home.arpa/", "https://1.0.0.127.in-addr.arpa/", "https://x.onion/", "https://x.test/", "https://x.invalid/",
		"https://hooks/", "https://hooks.example.com./", "https://hooks..example.com/", "https://.example.com/", "https://-hooks.example.com/", "https://hooks-.example.com/",
		"https://hooks_1.example.com/", "https://hoo ks.example.com/", "https://hooks.exämple.com/", "https://１２７.０.０.１/", "https://127。0。0。1/", "https://hooks.example.com\\@10.0.0.1/",
		"https://hooks%2eexample.com/", "https://127.0.0.1%00.example.com/", "https://hooks.example.com%2f@10.0.0.1/", "https://*.example.com/",
		"https://hooks.example.com:22/", "https://hooks.example.com:25/", "https://hooks.example.com:80/", "https://hooks.example.com:1023/", "https://hooks.example.com:0/", "https://hooks.example.com:65536/",
		"https://hooks.example.com:99999999999/", "https://hooks.example.com:-1/", "https://hooks.example.com:0443/", "https://hooks.example.com:/", "https://hooks.example.com:443:22/", "https://hooks.example.com:x/",
		"https://hooks.example.com/\r\nHost: inside", "https://hooks.example.com/\x00", "https://hooks.example.com/\t", "\thttps://hooks.example.com/",
		"https://" + strings.Repeat("a", 64) + ".example.com/", "https://" + strings.Repeat("a.", 130) + "com/", "https://hooks.example.com/" + strings.Repeat("a", 2048),
	} {
		u, err := Rules{}.Parse(text)
		var refusal *Refusal
		if err == nil || !errors.As(err, &refusal) || refusal.Detail == "" || refusal.Action == "" {
			t.Errorf("%q is taken as %v: %v", text, u, err)
		}
	}
}

func TestGoodURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://hooks.example.com":                          "https://hooks.example.com",
		"https://hooks.example.com/":                         "https://hooks.example.com/",
		"https://Hooks.Example.COM:443/A?b=C%20d":            "https://hooks.example.com/A?b=C%20d",
		"https://hooks.example.com:8443/x":                   "https://hooks.example.com:8443/x",
		"https://hooks.example.com:1024/x":                   "https://hooks.example.com:1024/x",
		"https://hooks.example.com:65535/x":                  "https://hooks.example.com:65535/x",
		"https://xn--hks-0na.example/":                       "https://xn--hks-0na.example/",
		"https://1.2.3.4.example.com/":                       "https://1.2.3.4.example.com/",
		"https://10-0-0-1.example.com/":                      "https://10-0-0-1.example.com/",
		"https://" + strings.Repeat("a", 63) + ".com/":       "https://" + strings.Repeat("a", 63) + ".com/",
		"https://hooks.example.com/@user":                    "https://hooks.example.com/@user",
		"https://hooks.example.com?next=http://10.0.0.1/%23": "https://hooks.example.com?next=http://10.0.0.1/%23",
	} {
		if u, err := (Rules{}).Parse(text); err != nil || u.String() != want {
			t.Errorf("%q is %v: %v", text, u, err)
		}
	}
}

// The switch opens this machine's loopback in two forms, and nothing else.
func TestLoopback(t *testing.T) {
	t.Parallel()
	r := Rules{Loopback: true}
	for _, text := range []string{"http://127.0.0.1:8080/x", "https://127.0.0.1/", "http://[::1]:80/", "http://127.0.0.1:22/"} {
		if _, err := r.Parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"http://127.0.0.2/", "http://localhost/", "http://10.0.0.1/", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/", "http://hooks.example.com/", "http://user@127.0.0.1/",
		"http://127.0.0.1/#x", "ftp://127.0.0.1/", "http://2130706433/", "https://169.254.169.254/"} {
		if _, err := r.Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// names is a name server on loopback that answers each question as a test says.
type names struct {
	mu    sync.Mutex
	next  map[string][][]netip.Addr // guarded by mu; the answers to a name, one after the other; the last one stays
	asked atomic.Int64
}

func (n *names) answer(name string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := n.next[name]
	if len(answers) == 0 {
		return nil
	}
	if len(answers) > 1 {
		n.next[name] = answers[1:]
	}
	return answers[0]
}

// resolver asks that server for everything.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go n.serve(server)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func (n *names) serve(server net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := server.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) == 0 {
			continue
		}
		q := m.Questions[0]
		m.Response, m.Authoritative, m.Additionals = true, true, nil
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 0}
		switch q.Type {
		case dnsmessage.TypeA: // every address of an answer comes with the question for IPv4, so that answers can follow each other
			n.asked.Add(1)
			for _, ip := range n.answer(strings.TrimSuffix(q.Name.String(), ".")) {
				if ip.Is4() {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
				}
			}
		case dnsmessage.TypeAAAA:
			n.mu.Lock()
			for _, answer := range n.next[strings.TrimSuffix(q.Name.String(), ".")] {
				for _, ip := range answer {
					if ip.Is6() {
						m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
					}
				}
			}
			n.mu.Unlock()
		}
		if packed, err := m.Pack(); err == nil {
			_, _ = server.WriteTo(packed, from)
		}
	}
}

func addresses(texts ...string) []netip.Addr {
	out := make([]netip.Addr, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParseAddr(text)
	}
	return out
}

// counting is a server on an address of loopback, which counts the connections that it gets.
func counting(t *testing.T, address string, handler http.HandlerFunc) (port string, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this machine has no %s: %v", address, err)
	}
	connections = &atomic.Int64{}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, connections
}

func get(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// Names that lead inside are resolved, and not a connection is made.
func TestNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	port, connections := counting(t, "127.0.0.1:0", says("inside"))
	inside := &names{next: map[string][][]netip.Addr{}}
	for name, ip := range map[string]string{"loop.example.com": "127.0.0.1", "any.example.com": "0.0.0.0", "six.example.com": "::1",
		"mapped.example.com": "::ffff:127.0.0.1", "metadata.example.com": "169.254.169.254", "private.example.com": "10.0.0.1", "nat.example.com": "64:ff9b::7f00:1"} {
		inside.next[name] = [][]netip.Addr{addresses(ip)}
	}
	client := Client(Config{Resolver: inside.resolver(t), Timeout: 5 * time.Second})
	for name := range inside.next {
		if body, err := get(t, client, "http://"+name+":"+port+"/"); !errors.Is(err, ErrNotPublic) {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
	for _, literal := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"} { // should one ever get past the form
		if body, err := get(t, client, "http://"+literal+":"+port+"/"); !errors.Is(err, ErrNotPublic) {
			t.Errorf("%s: %q, %v", literal, body, err)
		}
	}
	if n := connections.Load(); n != 0 || inside.asked.Load() == 0 {
		t.Errorf("%d connections, %d questions", n, inside.asked.Load())
	}
}

// A name that was good the first time and leads inside the second is refused the second time. An address of loopback stands in
// for the public internet.
func TestRebinding(t *testing.T) {
	t.Parallel()
	port, good := counting(t, "127.0.0.2:0", says("public"))
	_, bad := counting(t, "127.0.0.3:"+port, says("inside"))
	server := &names{next: map[string][][]netip.Addr{"turns.example.com": {addresses("127.0.0.2"), addresses("127.0.0.3")},
		"both.example.com": {addresses("127.0.0.3", "127.0.0.2")}}}
	client := Client(Config{Resolver: server.resolver(t), Timeout: 5 * time.Second,
		public: func(ip netip.Addr) bool { return ip == netip.MustParseAddr("127.0.0.2") }})
	if body, err := get(t, client, "http://turns.example.com:"+port+"/"); err != nil || body != "public" {
		t.Fatalf("%q, %v", body, err)
	}
	if body, err := get(t, client, "http://turns.example.com:"+port+"/"); !errors.Is(err, ErrNotPublic) {
		t.Errorf("the second time: %q, %v", body, err)
	}
	if body, err := get(t, client, "http://both.example.com:"+port+"/"); err != nil || body != "public" {
		t.Errorf("of two addresses the wrong one: %q, %v", body, err)
	}
	if bad.Load() != 0 || good.Load() != 2 {
		t.Errorf("%d connections inside, %d outside", bad.Load(), good.Load())
	}
}

// A redirect is an answer, and is not gone after; a proxy of the environment is not asked.
func TestNoRedirectAndNoProxy(t *testing.T) {
	inside, connections := counting(t, "127.0.0.1:0", says("inside"))
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+inside)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:"+inside)
	port, _ := counting(t, "127.0.0.2:0", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:"+inside+"/", http.StatusTemporaryRedirect)
	})
	server := &names{next: map[string][][]netip.Addr{"hooks.example.com": {addresses("127.0.0.2")}}}
	client := Client(Config{Resolver: server.resolver(t), public: netip.Addr.IsLoopback})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com:"+port+"/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusTemporaryRedirect || connections.Load() != 0 {
		t.Errorf("status %d, %d connections", response.StatusCode, connections.Load())
	}
	if transport, ok := client.Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Error("the client asks somebody for a proxy")
	}
}

// What a connection may go to is asked with the socket's own address.
func TestControl(t *testing.T) {
	t.Parallel()
	strict, open := Config{public: Public}, Config{Rules: Rules{Loopback: true}, public: Public}
	for _, c := range []struct {
		network, address string
		strict, open     bool
	}{
		{"tcp4", "8.8.8.8:443", true, true},
		{"tcp6", "[2600::1]:8443", true, true},
		{"tcp4", "8.8.8.8:25", false, false},
		{"tcp4", "8.8.8.8:0", false, false},
		{"udp4", "8.8.8.8:443", false, false},
		{"unix", "/var/run/docker.sock", false, false},
		{"tcp4", "127.0.0.1:443", false, true},
		{"tcp4", "127.0.0.1:22", false, true},
		{"tcp6", "[::1]:443", false, true},
		{"tcp6", "[::ffff:127.0.0.1]:443", false, true},
		{"tcp6", "[fe80::1%lo]:443", false, false},
		{"tcp4", "10.0.0.1:443", false, false},
		{"tcp4", "localhost:443", false, false},
		{"tcp4", "", false, false},
	} {
		if err := strict.control(t.Context(), c.network, c.address, nil); (err == nil) != c.strict {
			t.Errorf("%s %s: %v", c.network, c.address, err)
		}
		if err := open.control(t.Context(), c.network, c.address, nil); (err == nil) != c.open {
			t.Errorf("with loopback, %s %s: %v", c.network, c.address, err)
		}
	}
}

// An answer with a header that never ends ends with us.
func TestEndlessHeader(t *testing.T) {
	t.Parallel()
	port, _ := counting(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
	})
	if _, err := get(t, Client(Config{Rules: Rules{Loopback: true}}), "http://127.0.0.1:"+port+"/"); err == nil {
		t.Error("it was read")
	}
}

// FuzzParse: whatever is typed, what is taken is an https URL of a name, and parses again as itself.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"https://hooks.example.com/x?y=z", "https://[::1]/", "https://0x7f.1/", "http://a@b:1/#c", "https://a.b:8443", "https://１.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Rules{}.Parse(text)
		if err != nil {
			return
		}
		again, err := Rules{}.Parse(u.String())
		if err != nil || again.String() != u.String() || u.Scheme != "https" || u.User != nil || u.Fragment != "" || net.ParseIP(u.Hostname()) != nil || !strings.Contains(u.Hostname(), ".") {
			t.Errorf("%q is taken as %q: %v", text, u, err)
		}
	})
}
