package attack_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// inside are names that a tenant's own name server leads to where nobody from outside may go. The name says the address, or
// several, one after the other.
var inside = map[string][]string{
	"loopback":                   {"127.0.0.1"},
	"loopback elsewhere":         {"127.8.8.8"},
	"private":                    {"10.0.0.1"},
	"private too":                {"192.168.1.1"},
	"a cloud's metadata":         {"169.254.169.254"},
	"another cloud's":            {"100.100.100.200"},
	"a third cloud's":            {"168.63.129.16"},
	"nowhere":                    {"0.0.0.0"},
	"everybody":                  {"255.255.255.255"},
	"loopback of IPv6":           {"::1"},
	"nowhere of IPv6":            {"::"},
	"link-local":                 {"fe80::1"},
	"unique local":               {"fd00:ec2::254"},
	"mapped":                     {"::ffff:127.0.0.1"},
	"compatible":                 {"::127.0.0.1"},
	"translated":                 {"64:ff9b::7f00:1"},
	"6to4":                       {"2002:7f00:1::1"},
	"Teredo":                     {"2001:0:7f00:1::1"},
	"documentation, then inside": {"203.0.113.7", "127.0.0.1"},
}

// hostOf is the name that leads there.
func hostOf(name string) string {
	return strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(strings.ToLower(name)) + ".mallory.example.com"
}

// nameServer answers for all of these names.
func nameServer(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	addresses := map[string][]netip.Addr{}
	for name, list := range inside {
		for _, text := range list {
			addresses[hostOf(name)+"."] = append(addresses[hostOf(name)+"."], netip.MustParseAddr(text))
		}
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
			for _, ip := range addresses[q.Name.String()] {
				if q.Type == dnsmessage.TypeA && ip.Is4() {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
				}
				if q.Type == dnsmessage.TypeAAAA && ip.Is6() {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// hook makes a webhook, has a test sent there, and returns its record when that was tried.
func (w *world) hook(t *testing.T, address string) object {
	t.Helper()
	made := w.shown(t, "arena", "POST", "/v1/webhooks", object{"url": address}, "secret")
	path := "/v1/webhooks/" + made.text1("id")
	w.must(t, "arena", 202, "POST", path+"/test", nil)
	var record object
	w.await(t, func() bool {
		record = w.must(t, "arena", 200, "GET", path, nil).json()
		return record["last_delivery"] != nil
	})
	w.must(t, "arena", 204, "DELETE", path, nil)
	return record
}

// webhooks lead where their owner wants the vault to knock.
func webhooks(w *world) []attack {
	var out []attack
	for name, text := range map[string]string{
		"to loopback":                       "https://127.0.0.1/",
		"to loopback in short":              "https://127.1/",
		"to loopback in decimal":            "https://2130706433/",
		"to loopback in octal":              "https://0177.0.0.1/",
		"to loopback in hexadecimal":        "https://0x7f000001/",
		"to loopback by name":               "https://localhost/",
		"to loopback by a longer name":      "https://mallory.localhost/",
		"to loopback of IPv6":               "https://[::1]/",
		"to loopback, mapped":               "https://[::ffff:127.0.0.1]/",
		"to loopback, mapped in hex":        "https://[::ffff:7f00:1]/",
		"to loopback, compatible":           "https://[::127.0.0.1]/",
		"to loopback, translated":           "https://[64:ff9b::127.0.0.1]/",
		"to link-local with a zone":         "https://[fe80::1%25eth0]/",
		"to nowhere":                        "https://0/",
		"to a cloud's metadata":             "https://169.254.169.254/latest/meta-data/",
		"to a cloud's metadata by name":     "https://metadata.google.internal/",
		"to a cluster's inside":             "https://kubernetes.default.svc.cluster.local/",
		"to a name without a domain":        "https://vault/",
		"without TLS":                       "http://hooks.example.com/",
		"to a file":                         "file:///etc/passwd",
		"by another scheme":                 "gopher://hooks.example.com:443/",
		"with a user":                       "https://user:pass@hooks.example.com/",
		"with a host as its user":           "https://hooks.example.com@127.0.0.1/",
		"with a fragment":                   "https://hooks.example.com/#@127.0.0.1",
		"with a backslash":                  "https://hooks.example.com\\@127.0.0.1/",
		"to a port of mail":                 "https://hooks.example.com:25/",
		"to a port of nobody":               "https://hooks.example.com:0/",
		"with a line's end":                 "https://hooks.example.com/\r\nX: y",
		"with wide dots":                    "https://127。0。0。1/",
		"with letters in circles":           "https://ⓛocalhost/",
		"to a name with a dot at its end":   "https://localhost./",
		"to an address with one at its end": "https://127.0.0.1./",
		"to nothing":                        "https:///",
	} {
		out = append(out, attack{name: "that leads " + strings.TrimPrefix(name, "that "), do: func(t *testing.T, w *world) {
			w.refused(t, w.strict.ask(t, w.strict.keys["arena"], "POST", "/v1/webhooks", nil, object{"url": text}), 400, "webhook_url_refused")
		}})
	}
	for name := range inside {
		out = append(out, attack{name: "whose name leads to " + name, do: func(t *testing.T, w *world) {
			port, knocks := nowhere(t)
			record := w.strict.hook(t, "https://"+hostOf(name)+":"+port+"/")
			if record["last_error"] != "The endpoint's address is not on the public internet." || knocks() != 0 {
				t.Errorf("%d knocked: %v", knocks(), record)
			}
		}})
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		out = append(out, attack{name: "that redirects with " + http.StatusText(status), do: func(t *testing.T, w *world) {
			port, knocks := nowhere(t)
			endpoint := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
				out.Header().Set("Location", "http://127.0.0.1:"+port+"/")
				out.WriteHeader(status)
			}))
			defer endpoint.Close()
			if record := w.hook(t, endpoint.URL); !strings.Contains(record["last_error"].(string), "redirect") || knocks() != 0 {
				t.Errorf("%d knocked: %v", knocks(), record)
			}
		}})
	}
	return append(out, attack{name: "whose answer wants to be read", do: func(t *testing.T, w *world) {
		const said = "canary-of-an-endpoint-71c2"
		endpoint := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("X-Said", said)
			out.WriteHeader(http.StatusInternalServerError)
			for range 64 {
				_, _ = io.WriteString(out, strings.Repeat(said, 1000))
			}
		}))
		defer endpoint.Close()
		w.secrets.plant("what an endpoint says", said)
		if record := w.hook(t, endpoint.URL); record["last_error"] != "The endpoint answered with status 500." {
			t.Errorf("%v", record)
		}
	}}, attack{name: "that is somebody else's", do: func(t *testing.T, w *world) {
		w.same(t, "mallory", "POST", "/v1/webhooks/ID/test", nil, w.names["victim.webhook"], unknown(w.names["victim.webhook"]))
	}}, attack{name: "that is changed to lead inside", do: func(t *testing.T, w *world) {
		made := w.strict.shown(t, "arena", "POST", "/v1/webhooks", object{"url": "https://hooks.example.com/"}, "secret")
		path := "/v1/webhooks/" + made.text1("id")
		w.refused(t, w.strict.ask(t, w.strict.keys["arena"], "PATCH", path, nil, object{"url": "https://127.0.0.1/"}), 400, "webhook_url_refused")
		if got := w.strict.must(t, "arena", 200, "GET", path, nil); got.text1("url") != "https://hooks.example.com/" {
			t.Errorf("%s", got.body)
		}
		w.strict.must(t, "arena", 204, "DELETE", path, nil)
	}})
}
