package attack_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are, and returns all that comes back until the connection is closed.
func (w *world) raw(t *testing.T, lines ...string) string {
	t.Helper()
	connection, err := net.Dial("tcp", w.wire.self)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(connection, strings.Join(lines, "\r\n")); err != nil {
		return "" // it was closed in our face
	}
	got, _ := io.ReadAll(connection) // whatever there is
	w.secrets.saw("an answer to bytes", got)
	return string(got)
}

// answers are the status lines in what came back: a request that hides in another one is answered, too.
func answers(came string) []string {
	var out []string
	for _, line := range strings.Split(came, "\r\n") {
		if at := strings.Index(line, "HTTP/1."); at >= 0 && len(line) >= at+12 {
			out = append(out, line[at+9:at+12])
		}
	}
	return out
}

// rawly sends a request of bytes, and wants exactly these answers.
func rawly(name string, want []string, lines func(w *world) []string) attack {
	return attack{name: name, do: func(t *testing.T, w *world) {
		if got := answers(w.raw(t, lines(w)...)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the answers are %v, not %v", got, want)
		}
	}}
}

// wires are attacks on what reads requests.
func wires(*world) []attack {
	var out []attack
	out = append(out, oversized()...)
	out = append(out, smuggled()...)
	out = append(out, spoofed()...)
	out = append(out, injected()...)
	out = append(out, paths()...)
	out = append(out, repeated()...)
	return append(out, attack{name: "what makes the program panic", by: "owner", send: "GET /v1/vault-entries/" + fragile, want: 500, code: "internal_error",
		do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "owner"), "GET", "/v1/vault-entries/"+fragile, nil, nil)
			if got.status != 500 || got.json()["code"] != "internal_error" || strings.Contains(string(got.body), "goroutine") {
				t.Errorf("%s", got.text())
			}
			if log := w.log.String(); !strings.Contains(log, "a handler panicked") || !strings.Contains(log, "goroutine") {
				t.Error("nobody can see where it happened")
			}
			w.must(t, "owner", 200, "GET", door, nil)
		}})
}

func oversized() []attack {
	entry := func(name string, body any, header map[string]string) attack {
		return attack{name: "oversized: " + name, by: "owner", send: "POST /v1/vault-entries", header: header, body: body, want: 400, code: "invalid_request"}
	}
	large := entry("a body over 256 KiB", `{"alias":"`+strings.Repeat("a", 256<<10)+`"}`, nil)
	large.want = 413
	huge := entry("a body over 10 MB", strings.Repeat("a", 10<<20+1), nil)
	huge.want, huge.code = 413, ""
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(bytes.Repeat([]byte{'a'}, 10<<20))
	_ = z.Close()
	return []attack{large, huge,
		entry("a bomb", bomb.String(), map[string]string{"Content-Encoding": "gzip"}),
		entry("a hundred thousand brackets", strings.Repeat("[", 100000), nil),
		entry("a hundred thousand objects", strings.Repeat(`{"a":`, 40000), nil),
		entry("two objects", `{"alias":"a"}{"alias":"b"}`, nil),
		entry("no UTF-8", "{\"alias\":\"\xff\xfe\"}", nil),
		{name: "oversized: a header", by: "owner", send: "GET " + door, header: map[string]string{"X-Long": strings.Repeat("x", 11000)}, want: 431},
		{name: "oversized: a query", by: "owner", send: "GET " + door + "?q=" + strings.Repeat("x", 11000), want: 431},
		{name: "oversized: a path", by: "owner", send: "GET /v1/connectors/" + strings.Repeat("x", 9000), want: 404, code: "not_found"},
		{name: "oversized: a key", send: "GET " + door, header: map[string]string{"Authorization": "Bearer cvk_" + strings.Repeat("x", 9000)}, want: 403},
		{name: "oversized: an Idempotency-Key", by: "owner", send: "POST /v1/connectors", header: map[string]string{"Idempotency-Key": strings.Repeat("x", 300)},
			body: object{"name": "x", "vault_entry": "{arena.entry}"}, want: 400, code: "invalid_field"},
		{name: "oversized: an alias", by: "owner", send: "POST /v1/vault-entries", body: object{"provider": "amazon", "region": "na", "environment": "test", "alias": strings.Repeat("x", 10000)},
			want: 400, code: "invalid_field"},
		rawly("oversized: a thousand headers", []string{"431"}, func(w *world) []string {
			return []string{"GET " + door + " HTTP/1.1", "Host: " + w.wire.self, "Connection: close", "Authorization: Bearer " + w.keys["owner"], strings.Repeat("X-A: 12345678\r\n", 1000), ""}
		}),
	}
}

// smuggled are requests that two who read them could read in two ways. What hides in one has no key, and gets nowhere.
func smuggled() []attack {
	const hidden = "GET " + door + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	one := func(name, method, path string, lines ...string) attack {
		return attack{name: "smuggled: " + name, do: func(t *testing.T, w *world) {
			head := []string{method + " " + w.fill(t, path) + " HTTP/1.1", "Host: " + w.wire.self}
			for i := range lines {
				head = append(head, strings.NewReplacer("READER", w.keys["reader"], "OWNER", w.keys["owner"], "LENGTH", fmt.Sprint(len(hidden))).Replace(lines[i]))
			}
			got := answers(w.raw(t, head...))
			if len(got) == 0 {
				t.Error("nobody answers")
			}
			for _, status := range got {
				if status[0] == '2' || status[0] == '5' && status != "501" {
					t.Errorf("the answers are %v", got)
				}
			}
			w.is(t, "arena", w.names["arena.entry"], "active")
		}}
	}
	authorized, end := "Authorization: Bearer OWNER", []string{"Connection: close", "", ""}
	plain := func(name, method, path string, lines ...string) attack {
		return one(name, method, path, append(lines, end...)...)
	}
	return []attack{
		one("behind two lengths", "POST", door, authorized, "Content-Length: 0", "Content-Length: LENGTH", "", hidden),
		one("behind a length of nothing", "POST", door, authorized, "Content-Length: 0", "", hidden),
		one("behind a length and chunks", "POST", door, authorized, "Content-Length: LENGTH", "Transfer-Encoding: chunked", "", "0", "", hidden),
		one("behind an encoding twice", "POST", door, authorized, "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "", "0", "", hidden),
		one("behind an encoding that nobody knows", "POST", door, authorized, "Transfer-Encoding: cow", "", hidden),
		one("behind an encoding with a tab", "POST", door, authorized, "Transfer-Encoding: \x0bchunked", "", hidden),
		one("behind a chunk that is none", "POST", door, authorized, "Transfer-Encoding: chunked", "", "-1", "", hidden),
		one("behind a length with a sign", "POST", door, authorized, "Content-Length: +0", "", hidden),
		plain("a length of words", "GET", door, authorized, "Content-Length: x"),
		plain("a header with a space before its colon", "GET", door, "Authorization : Bearer OWNER"),
		plain("a header that goes on in the next line", "GET", door, "X-A: b", " Authorization: Bearer OWNER"),
		plain("a header without a name", "GET", door, authorized, ": x"),
		plain("a header with a NUL", "GET", door, authorized, "X-A: \x00"),
		plain("two hosts", "GET", door, "Host: mallory.example.com", authorized),
		plain("two keys, the weak one first", "GET", "/v1/keys", "Authorization: Bearer READER", authorized),
		plain("two keys in one line", "GET", "/v1/keys", "Authorization: Bearer READER, Bearer OWNER"),
		plain("two keys, the first one no key", "GET", "/v1/keys", "Authorization: Basic x", authorized),
		plain("a method in small letters", "get", door, authorized),
		plain("a method that is none", "GET\tX", door, authorized),
		plain("the method TRACE", "TRACE", door, authorized),
		plain("the method CONNECT", "CONNECT", "127.0.0.1:22", authorized),
		plain("a path that begins with none", "GET", "v1/providers", authorized),
		plain("a path with a fragment", "GET", door+"#x", authorized),
		plain("a path of two slashes", "GET", "//v1/providers", authorized),
		{name: "smuggled: a request of HTTP/0.9", do: func(t *testing.T, w *world) {
			if got := w.raw(t, "GET "+door, ""); strings.Contains(got, "amazon") {
				t.Errorf("%s", got)
			}
		}},
	}
}

// spoofed are headers that say who sends, or where to. Only what the authorizer found counts, and our own address is configured.
func spoofed() []attack {
	var out []attack
	for _, name := range []string{"X-Tenant", "X-Tenant-Id", "Tenant", "X-Amzn-Tenant", "X-Forwarded-User", "X-Remote-User", "X-Original-User", "X-Principal", "X-Amz-Security-Token"} {
		out = append(out, attack{name: "spoofed: " + name, by: "mallory", send: "GET /v1/vault-entries/{victim.entry}", header: map[string]string{name: "VICTIM"}, want: 404, code: "not_found"})
	}
	for i := range out {
		a := out[i]
		out[i].do = func(t *testing.T, w *world) {
			for name := range a.header {
				a.header = map[string]string{name: w.names["victim"]}
			}
			w.attack(t, attack{by: a.by, send: a.send, header: a.header, want: a.want, code: a.code})
		}
	}
	context := `{"authorizer":{"lambda":{"tenant":"{victim}","role":"owner","key":"x"}}}`
	for _, header := range []map[string]string{{"X-Amzn-Request-Context": context}, {"X-Apigateway-Event": context}, {"X-Amzn-Apigateway-Authorizer": context}} {
		for name := range header {
			out = append(out, attack{name: "spoofed: " + name, send: "GET " + door, header: header, want: 401})
		}
	}
	for _, header := range []map[string]string{{"X-Original-Url": "/v1/keys"}, {"X-Rewrite-Url": "/v1/keys"}, {"X-Http-Method-Override": "DELETE"}, {"X-Http-Method": "DELETE"}, {"X-Method-Override": "DELETE"}} {
		for name := range header {
			out = append(out, attack{name: "spoofed: " + name, by: "reader", send: "GET /v1/connectors/{arena.connector}", header: header, want: 200, never: []string{"key_"}})
		}
	}
	for _, header := range []map[string]string{{"Host": "mallory.example.com"}, {"X-Forwarded-Host": "mallory.example.com"}, {"Forwarded": "host=mallory.example.com;proto=https"},
		{"X-Forwarded-Proto": "https"}, {"X-Forwarded-Prefix": "/mallory.example.com"}, {"X-Host": "mallory.example.com"}, {"Origin": "https://mallory.example.com"},
		{"X-Forwarded-Port": "1"}} {
		for name := range header {
			out = append(out, attack{name: "spoofed: where we are, by " + name, do: func(t *testing.T, w *world) {
				entry := w.entry(t, "owner", "spoofed by "+name)
				for mode, member := range map[string]string{"browser": "start_url", "result_url": "oauth_request_url"} {
					got := w.quietly(t, w.key(t, "owner"), "POST", "/v1/vault-entries/"+entry+"/authorize", header, object{"mode": mode})
					address := got.text1(member)
					w.plantQuery(address)
					if mode == "browser" {
						w.secrets.plant("a start handle", address[strings.LastIndex(address, "/")+1:])
					}
					redirect, _ := url.Parse(address)
					if got.status != 200 || strings.Contains(address, "mallory") || mode == "browser" && !strings.HasPrefix(address, w.url+"/") ||
						mode == "result_url" && !strings.HasPrefix(redirect.Query().Get("redirect_uri"), w.url+"/") {
						t.Errorf("%s leads to %s", mode, address)
					}
				}
				got := w.ask(t, w.key(t, "owner"), "GET", "/v1/providers/amazon", header, nil)
				if strings.Contains(got.text(), "mallory") || !strings.Contains(string(got.body), w.url+"/oauth/amazon/callback") || got.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s", got.text())
				}
			}})
		}
	}
	return out
}

// injected are texts that want to be more than text where they are written.
func injected() []attack {
	const line = "x\r\nSet-Cookie: mallory=1\r\n\r\nlevel=ERROR msg=forged"
	post := func(name, path string, body object, header map[string]string) attack {
		return attack{name: "injected: " + name, do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "owner"), "POST", path, header, w.fillIn(t, body))
			if got.header.Get("Set-Cookie") != "" || got.status > 499 {
				t.Errorf("%s", got.text())
			}
			for _, logged := range strings.Split(w.log.String(), "\n") {
				if strings.HasPrefix(logged, "level=") || strings.HasPrefix(logged, "Set-Cookie") {
					t.Errorf("somebody writes our log: %s", logged)
				}
			}
		}}
	}
	get := func(name, path string) attack {
		return attack{name: "injected: " + name, do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "owner"), "GET", w.fill(t, path), nil, nil)
			if got.header.Get("Set-Cookie") != "" || got.status > 499 || got.header.Get("X-Mallory") != "" {
				t.Errorf("%s", got.text())
			}
		}}
	}
	const orders = "/v1/connectors/{arena.connector}/orders"
	escaped := url.QueryEscape(line)
	return []attack{
		post("an alias of two lines", "/v1/vault-entries", object{"provider": "amazon", "environment": "test", "region": "na", "alias": line}, nil),
		post("an environment of two lines", "/v1/vault-entries", object{"provider": "amazon", "environment": line, "region": "na", "alias": "x"}, nil),
		post("a provider of two lines", "/v1/vault-entries", object{"provider": line, "environment": "test", "alias": "x"}, nil),
		post("a label of two lines", "/v1/keys", object{"role": "nobody", "label": line}, nil),
		post("a member called like two lines", "/v1/connectors", object{line: "x"}, nil),
		post("a secret of two lines", "/v1/vault-entries", object{"provider": "sage", "environment": "test", "alias": "two lines", "country_code": "GB", "oauth_api_key": line, "oauth_api_secret": line,
			"oauth_callback_url": "https://vault.example.com/x"}, nil),
		post("an address of two lines", "/v1/webhooks", object{"url": "https://hooks.example.com/\r\nX-Mallory: 1"}, nil),
		post("an Idempotency-Key with a tab", "/v1/connectors", object{"name": "x", "vault_entry": "{arena.entry}"}, map[string]string{"Idempotency-Key": "a\tb"}),
		get("a filter of two lines", orders+"?marketplaceIds="+escaped),
		get("a cursor of two lines", orders+"?cursor="+escaped),
		get("a resource of two lines", "/v1/connectors/{arena.connector}/"+url.PathEscape(line)),
		get("an item of two lines", orders+"/"+url.PathEscape(line)),
		get("an id of two lines", "/v1/vault-entries/"+url.PathEscape(line)),
		get("a provider's name of two lines", "/v1/providers/"+url.PathEscape(line)),
		get("an error of two lines, from a provider", "/oauth/amazon/callback?error="+escaped+"&error_description="+escaped+"&state="+escaped),
		get("a script as a state", "/oauth/amazon/callback?state=%3Cscript%3Ealert(1)%3C/script%3E&spapi_oauth_code=%3Cscript%3E&selling_partner_id=%3Cscript%3E"),
		get("a state of Amazon's of two lines", "/oauth/amazon/login?amazon_callback_uri=https%3A%2F%2Fx.example&amazon_state="+escaped),
		{name: "injected: a range of two kinds", by: "owner", send: "GET /v1/connectors/{arena.connector}/reports/1/document", header: map[string]string{"Range": "bytes=0-1,3-4"}, want: 400, code: "invalid_field"},
		{name: "injected: a script in what is not found", do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "owner"), "GET", "/v1/vault-entries/%3Cscript%3Ealert(1)%3C%2Fscript%3E", nil, nil)
			if kind := got.header.Get("Content-Type"); strings.Contains(kind, "html") || got.header.Get("X-Content-Type-Options") == "" && got.json()["code"] != nil {
				t.Errorf("%s", got.text())
			}
		}},
	}
}

// paths are tricks in {resource} and {item}. What reaches the provider is held against its API when all is over.
func paths() []attack {
	const base = "/v1/connectors/{arena.connector}/"
	var out []attack
	for name, path := range map[string]string{
		"a resource of dots":                        base + "%2e%2e",
		"a resource that goes up":                   base + "..%2f..%2fvault-entries",
		"a resource that goes up, escaped twice":    base + "%252e%252e%252fx",
		"a resource with a NUL":                     base + "orders%00",
		"a resource with a query":                   base + "orders%3Fx=1",
		"a resource with a fragment":                base + "orders%23",
		"a resource with a semicolon":               base + "orders;x=1",
		"a resource with a slash at its end":        base + "orders%2f",
		"a resource with a backslash":               base + "orders%5c..%5cx",
		"a resource in capitals":                    base + "ORDERS",
		"a resource in wide letters":                base + url.PathEscape("ｏｒｄｅｒｓ"),
		"a resource that is an address":             base + "http:%2f%2fmallory.example.com",
		"a resource that is no UTF-8":               base + "%ff%fe",
		"a resource of an object's inside":          base + "__proto__",
		"an item of dots":                           base + "orders/%2e%2e",
		"an item of one dot":                        base + "orders/%2e",
		"an item that goes up":                      base + "orders/..%2f..%2f..%2f_sim%2fcalls",
		"an item that goes up, in the query":        base + "orders?item=..%2f..%2f..%2f_sim%2fcalls",
		"an item of dots, in the query":             base + "orders?item=..",
		"an item that goes up, escaped twice":       base + "orders/%252e%252e%252f_sim",
		"an item that goes up by backslashes":       base + "orders/..%5c..%5c_sim",
		"an item with a query":                      base + "orders/1%3Fx=1",
		"an item with a fragment":                   base + "orders/1%23x",
		"an item with a semicolon":                  base + "orders/1;x=1",
		"an item with a NUL":                        base + "orders/1%00",
		"an item with a line's end":                 base + "orders/1%0d%0aX-Mallory:1",
		"an item that is an address":                base + "orders/http:%2f%2fmallory.example.com",
		"an item of two thousand characters":        base + "orders/" + strings.Repeat("1", 2000),
		"an item that is no UTF-8":                  base + "orders/%ff",
		"a business that is another's":              "/v1/connectors/{arena.ledger}/contacts?business=00000000000000000000000000000000",
		"an item of the ledger that goes up":        "/v1/connectors/{arena.ledger}/contacts/..%2f..%2f_sim%2fcalls",
		"an item of the ledger of dots":             "/v1/connectors/{arena.ledger}/contacts/%2e%2e",
		"an item of the ledger of dots, as a query": "/v1/connectors/{arena.ledger}/contacts?item=%2e%2e%2fbusinesses",
		"a document that goes up":                   base + "reports/..%2f..%2f_sim/document",
	} {
		out = append(out, attack{name: "path: " + name, do: func(t *testing.T, w *world) {
			got := w.ask(t, w.key(t, "owner"), "GET", w.fill(t, path), nil, nil)
			if got.status < 400 || got.status > 499 || strings.Contains(string(got.body), "_sim") && strings.Contains(string(got.body), "operation") {
				t.Errorf("%s", got.text())
			}
			// A step that the gateway does not take for a slash of the path is refused by us, before anybody is asked.
			if strings.Contains(name, "goes up") && strings.Contains(name, "item") && !strings.Contains(name, "twice") && got.json()["code"] != nil && got.json()["code"] != "invalid_field" {
				t.Errorf("it is not refused as what it is: %s", got.text())
			}
		}})
	}
	return out
}

// repeated are Idempotency-Keys of somebody else's.
func repeated() []attack {
	again := func(name, first, second, path string, body func(w *world, who string) object, want int, code string) attack {
		return attack{name: "repeated: " + name, do: func(t *testing.T, w *world) {
			header := map[string]string{"Idempotency-Key": "repeated-" + strings.ReplaceAll(name, " ", "-")}
			made := w.quietly(t, w.key(t, first), "POST", path, header, body(w, first))
			if made.status != 201 {
				t.Fatalf("%s", made.text())
			}
			w.secrets.plant("a key", made.text1("key"))
			w.secrets.plant("a webhook's secret", strings.TrimPrefix(made.text1("secret"), "whsec_"))
			got := w.quietly(t, w.key(t, second), "POST", path, header, body(w, second))
			w.secrets.plant("a key", got.text1("key"))
			w.secrets.plant("a webhook's secret", strings.TrimPrefix(got.text1("secret"), "whsec_"))
			if got.status != want || code != "" && got.json()["code"] != code || strings.Contains(string(got.body), made.text1("id")) && code != "key_shown_once" {
				t.Errorf("the first made %s\nthe second %s", made.text1("id"), got.text())
			}
			if made.text1("key") != "" && strings.Contains(string(got.body), made.text1("key")) {
				t.Error("the key is shown again")
			}
		}}
	}
	entry := func(alias string) func(*world, string) object {
		return func(_ *world, who string) object {
			return object{"provider": "amazon", "alias": alias + who, "environment": "test", "region": "na"}
		}
	}
	connector := func(w *world, who string) object {
		tenant := map[string]string{"mallory": "mallory"}[who]
		if tenant == "" {
			tenant = "arena"
		}
		return object{"name": "repeated", "vault_entry": w.names[tenant+".entry"]}
	}
	key := func(*world, string) object { return object{"role": "reader", "label": "repeated"} }
	hook := func(*world, string) object { return object{"url": "https://hooks.example.com/repeated"} }
	return []attack{
		again("an entry of another tenant", "owner", "mallory", "/v1/vault-entries", entry("once "), 201, ""),
		again("an entry of another principal", "owner", "admin", "/v1/vault-entries", entry("twice "), 201, ""),
		again("an entry of a token's holder", "owner", "arena's token", "/v1/vault-entries", entry("thrice "), 201, ""),
		again("a connector of another principal", "owner", "admin", "/v1/connectors", connector, 201, ""),
		again("a connector of another tenant", "owner", "mallory", "/v1/connectors", connector, 201, ""),
		again("a key of another tenant", "owner", "mallory", "/v1/keys", key, 201, ""),
		again("a key of another principal", "owner", "arena", "/v1/keys", key, 201, ""),
		again("a key by who made it", "owner", "owner", "/v1/keys", key, 409, "key_shown_once"),
		again("a webhook of another tenant", "owner", "mallory", "/v1/webhooks", hook, 201, ""),
		again("another request", "owner", "owner", "/v1/vault-entries", func() func(*world, string) object {
			n := 0
			return func(*world, string) object {
				n++
				return object{"provider": "amazon", "alias": fmt.Sprintf("changed %d", n), "environment": "test", "region": "na"}
			}
		}(), 409, "idempotency_key_reused"),
	}
}

// nowhere is a listener that counts who knocks.
func nowhere(t *testing.T) (port string, knocks func() int) {
	t.Helper()
	counted := make(chan bool, 1000)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		for {
			connection, err := server.Accept()
			if err != nil {
				return
			}
			counted <- true
			_ = connection.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(server.Addr().String())
	return port, func() int { return len(counted) }
}
