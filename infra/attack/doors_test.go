package attack_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"connectorvault/infra/local/program"
	amazonsim "connectorvault/infra/sim/amazon"
)

// codeOf is the code in an address that a browser was sent to.
func codeOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Query().Get("spapi_oauth_code")
}

// with changes one parameter of an address.
func with(address, name, value string) string {
	u, _ := url.Parse(address) // one of ours
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func (w *world) validate(t *testing.T, who, entry, result string) answer {
	t.Helper()
	return w.ask(t, w.key(t, who), "POST", "/v1/vault-entries/"+entry+"/validate", nil, object{"result_url": result})
}

// is fails unless an entry has a status.
func (w *world) is(t *testing.T, who, entry, status string) {
	t.Helper()
	if got := w.must(t, who, 200, "GET", "/v1/vault-entries/"+entry, nil).text1("status"); got != status {
		t.Errorf("the entry is %s, not %s", got, status)
	}
}

// exchanged fails unless a code was offered so often.
func (w *world) exchanged(t *testing.T, result string, times int) {
	t.Helper()
	if n := w.wire.exchanges(codeOf(result)); n != times {
		t.Errorf("the code was exchanged %d times, not %d", n, times)
	}
}

// states are brought back where they do not belong.
func states(*world) []attack {
	return []attack{
		{name: "again with the same code", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "replayed")
			result := w.consent(t, w.begin(t, "owner", entry, "result_url"))
			for range 3 {
				if got := w.validate(t, "owner", entry, result); got.status != 200 {
					t.Errorf("%s", got.text())
				}
			}
			w.exchanged(t, result, 1)
		}},
		{name: "again with another code", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "another code")
			result := w.consent(t, w.begin(t, "owner", entry, "result_url"))
			w.validate(t, "owner", entry, result)
			other := with(result, "spapi_oauth_code", "MalloryHasThisCode")
			w.refused(t, w.validate(t, "owner", entry, other), 409, "authorization_request_used")
			w.exchanged(t, other, 0)
		}},
		{name: "at a browser's callback, again and again", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "reloaded")
			b := w.browser(t).open(w.begin(t, "owner", entry, "browser"))
			back := b.open(b.press(nil)).press(nil)
			w.plantQuery(back)
			for range 3 {
				if b.open(back); b.status != 200 {
					t.Errorf("%d %s", b.status, b.body)
				}
			}
			w.exchanged(t, back, 1)
			used := with(back, "spapi_oauth_code", "MalloryHasThisCodeToo")
			if b.open(used); b.status < 400 || w.wire.exchanges(codeOf(used)) != 0 {
				t.Errorf("with another code: %d", b.status)
			}
		}},
		{name: "of a browser, pasted", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "not to be pasted")
			b := w.browser(t).open(w.begin(t, "owner", entry, "browser"))
			back := b.open(b.press(nil)).press(nil)
			w.plantQuery(back)
			w.refused(t, w.validate(t, "owner", entry, back), 409, "authorization_request_mode")
			w.exchanged(t, back, 0)
		}},
		{name: "of a Result URL, at the callback", do: func(t *testing.T, w *world) {
			result := w.names["result"]
			if b := w.browser(t).open(result); b.status != 200 || strings.Contains(string(b.body), "is connected") {
				t.Errorf("%d %s", b.status, b.body)
			}
			w.exchanged(t, result, 0)
		}},
		{name: "at another provider's callback", do: func(t *testing.T, w *world) {
			u, _ := url.Parse(w.names["result"])
			for _, path := range []string{"/oauth/sage/callback", "/oauth/clara/callback", "/oauth/nobody/callback"} {
				got := w.ask(t, "", "GET", path+"?state="+url.QueryEscape(u.Query().Get("state"))+"&code=x&selling_partner_id=A1&country=GB", nil, nil)
				if got.status < 400 || got.status > 499 {
					t.Errorf("%s: %s", path, got.text())
				}
			}
		}},
		{name: "with one character changed", do: func(t *testing.T, w *world) {
			u, _ := url.Parse(w.names["result"])
			w.flipped(t, u.Query().Get("state"), func(changed string) bool {
				return w.validate(t, "arena", w.names["pasted"], with(w.names["result"], "state", changed)).json()["code"] != "authorization_request_unknown"
			})
			w.exchanged(t, w.names["result"], 0)
		}},
		{name: "of another tenant's request", do: func(t *testing.T, w *world) {
			got := w.validate(t, "arena", w.names["pasted"], w.names["foreign result"])
			w.refused(t, got, 400, "authorization_request_unknown")
			w.exchanged(t, w.names["foreign result"], 0)
			invented := with(w.names["foreign result"], "state", strings.Repeat("0", 75))
			if other := w.validate(t, "arena", w.names["pasted"], invented); changing.ReplaceAllString(string(other.body), "") != changing.ReplaceAllString(string(got.body), "") {
				t.Errorf("%s\n%s", got.body, other.body)
			}
		}},
		{name: "of another entry", do: func(t *testing.T, w *world) {
			w.refused(t, w.validate(t, "arena", w.names["arena.open"], w.names["result"]), 400, "authorization_request_unknown")
		}},
		{name: "that somebody denied, and then did not", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "denied")
			state, _ := url.Parse(w.begin(t, "owner", entry, "result_url"))
			denied := w.url + "/oauth/amazon/callback?error=access_denied&state=" + url.QueryEscape(state.Query().Get("state"))
			if got := w.validate(t, "owner", entry, denied); got.status < 400 || got.status > 499 {
				t.Errorf("%s", got.text())
			}
			w.is(t, "owner", entry, "pending")
		}},
		{name: "at a thousand callbacks at once", do: crowd},
		{name: "a start handle with one character changed", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "handled")
			address := w.begin(t, "owner", entry, "browser")
			at := strings.LastIndex(address, "/") + 1
			w.flipped(t, address[at:], func(changed string) bool {
				get, post := w.ask(t, "", "GET", "/oauth/start/"+changed, nil, nil), w.ask(t, "", "POST", "/oauth/start/"+changed, nil, nil)
				return get.status != 404 || post.status != 404
			})
		}},
		{name: "a start handle that was used", do: func(t *testing.T, w *world) {
			address := w.begin(t, "owner", w.entry(t, "owner", "used handle"), "browser")
			w.browser(t).open(address).press(nil)
			if b := w.browser(t).open(address); b.status != http.StatusGone {
				t.Errorf("%d", b.status)
			}
		}},
		{name: "a cookie with one character changed", do: func(t *testing.T, w *world) {
			b := w.browser(t).open(w.begin(t, "owner", w.entry(t, "owner", "cookies"), "browser"))
			next := b.press(nil)
			cookie := b.header.Get("Set-Cookie")
			value, _, _ := strings.Cut(strings.TrimPrefix(cookie, "vault-oauth="), ";")
			back := b.open(next).press(nil)
			w.plantQuery(back)
			tried := func(changed string) bool {
				return w.ask(t, "", "GET", strings.TrimPrefix(back, w.url), map[string]string{"Cookie": changed}, nil).status != http.StatusForbidden
			}
			w.flipped(t, value, func(changed string) bool { return tried("vault-oauth=" + changed) })
			for _, odd := range []string{"", "vault-oauth=", "vault-oauth", "Vault-OAuth=" + value, "x=" + value, "vault-oauth=" + value[:len(value)-1], "__Host-vault-oauth=" + value} {
				if tried(odd) {
					t.Errorf("with %.20q it is taken", odd)
				}
			}
			w.exchanged(t, back, 0)
		}},
	}
}

// crowd has a thousand callbacks come back at once, in a program of its own.
func crowd(t *testing.T, w *world) {
	c := launch(t, w.secrets, program.Options{})
	c.must(t, "arena", 200, "PUT", "/v1/provider-apps/amazon", object{"application_id": amazonsim.SeededApplicationID,
		"client_id": amazonsim.SeededClientID, "client_secret": amazonsim.SeededClientSecret})
	entry := c.entry(t, "arena", "crowd")
	b := c.browser(t).open(c.begin(t, "arena", entry, "browser"))
	next := b.press(nil)
	cookie, _, _ := strings.Cut(b.header.Get("Set-Cookie"), ";")
	back := b.open(next).press(nil)
	c.plantQuery(back)
	statuses := make([]int, 1000)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			request, err := http.NewRequest(http.MethodGet, back, nil)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Cookie", cookie)
			response, err := c.client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
			statuses[i] = response.StatusCode
		})
	}
	all.Wait()
	fine := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			fine++
		} else if status != http.StatusServiceUnavailable { // who comes too late is told to reload
			t.Errorf("a callback is answered with %d", status)
		}
	}
	if fine == 0 {
		t.Error("nobody was let through")
	}
	c.exchanged(t, back, 1)
	c.is(t, "arena", entry, "active")
	c.end(t)
}

// fixation: an attacker begins, and a victim consents.
func fixation(*world) []attack {
	return []attack{
		{name: "through the Result URL door", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", "fixed by paste")
			consent := w.begin(t, "mallory", entry, "result_url")
			victim := w.browser(t) // who follows the attacker's link, and consents
			back := victim.open(consent).press(nil)
			w.plantQuery(back)
			victim.open(back)
			if strings.Contains(string(victim.body), "is connected") || strings.Contains(string(victim.body), codeOf(back)) {
				t.Errorf("%s", victim.body)
			}
			w.exchanged(t, back, 0)
			w.is(t, "mallory", entry, "pending")
		}},
		{name: "a Result URL validated by another principal", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "owner", "begun by one")
			result := w.consent(t, w.begin(t, "operator", entry, "result_url"))
			for _, who := range []string{"owner", "admin", "arena"} {
				w.refused(t, w.validate(t, who, entry, result), 403, "forbidden")
			}
			w.refused(t, w.validate(t, "mallory", entry, result), 404, "not_found")
			w.refused(t, w.validate(t, "mallory", w.names["mallory.entry"], result), 400, "authorization_request_unknown")
			w.refused(t, w.validate(t, "reader", entry, result), 403, "forbidden")
			w.refused(t, w.validate(t, "arena's token", entry, result), 404, "not_found")
			w.exchanged(t, result, 0)
			w.is(t, "owner", entry, "pending")
		}},
		{name: "through the browser door, with the attacker's cookie", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", "fixed by cookie")
			attacker := w.browser(t).open(w.begin(t, "mallory", entry, "browser"))
			consent := attacker.press(nil) // and sends the provider's page to the victim
			victim := w.browser(t)
			back := victim.open(consent).press(nil)
			w.plantQuery(back)
			if victim.open(back); victim.status != http.StatusForbidden || !strings.Contains(string(victim.body), "browser_mismatch") {
				t.Errorf("%d %s", victim.status, victim.body)
			}
			w.exchanged(t, back, 0)
			w.is(t, "mallory", entry, "pending")
		}},
		{name: "through the browser door, with a victim who has a cookie of their own", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", "fixed by two cookies")
			victim := w.browser(t).open(w.begin(t, "owner", w.entry(t, "owner", "one's own"), "browser"))
			victim.press(nil)
			consent := w.browser(t).open(w.begin(t, "mallory", entry, "browser")).press(nil)
			back := victim.open(consent).press(nil)
			w.plantQuery(back)
			if victim.open(back); victim.status != http.StatusForbidden {
				t.Errorf("%d %s", victim.status, victim.body)
			}
			w.exchanged(t, back, 0)
		}},
		{name: "through the browser door, before Continue is pressed", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", "fixed by looking")
			victim := w.browser(t)
			for range 3 {
				victim.open(w.begin(t, "mallory", entry, "browser"))
			}
			if victim.header.Get("Set-Cookie") != "" || victim.header.Get("Location") != "" {
				t.Error("looking at the page goes on")
			}
			w.is(t, "mallory", entry, "pending")
		}},
		{name: "through the browser door, with a page that presses Continue", do: func(t *testing.T, w *world) {
			address := w.begin(t, "mallory", w.entry(t, "mallory", "fixed by a form"), "browser")
			path := strings.TrimPrefix(address, w.url)
			for name, header := range map[string]map[string]string{"a foreign origin": {"Origin": "https://mallory.example.com"}, "an opaque one": {"Origin": "null"},
				"a cross-site fetch": {"Sec-Fetch-Site": "cross-site"}, "a same-site fetch": {"Sec-Fetch-Site": "same-site"}} {
				if got := w.ask(t, "", "POST", path, header, nil); got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" || got.header.Get("Location") != "" {
					t.Errorf("%s: %s", name, got.text())
				}
			}
			policy := w.ask(t, "", "GET", path, nil, nil).header
			if !strings.Contains(policy.Get("Content-Security-Policy"), "frame-ancestors 'none'") || policy.Get("X-Frame-Options") != "DENY" {
				t.Errorf("the page can be put into another: %v", policy)
			}
		}},
		{name: "through the browser door, by a victim who reads and goes on", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", "consented to")
			victim := w.browser(t).open(w.begin(t, "mallory", entry, "browser"))
			for _, told := range []string{"Mallory Ltd", "consented to", "only if you expected this"} {
				if !strings.Contains(string(victim.body), told) {
					t.Errorf("the page does not say %q: %s", told, victim.body)
				}
			}
			back := victim.open(victim.press(nil)).press(nil)
			w.plantQuery(back)
			w.is(t, "mallory", entry, "pending")
			if victim.open(back); victim.status != 200 {
				t.Errorf("%d %s", victim.status, victim.body)
			}
			w.exchanged(t, back, 1)
			w.is(t, "mallory", entry, "active")
		}},
		{name: "with a tenant that is called like ours", do: func(t *testing.T, w *world) {
			entry := w.entry(t, "mallory", `</dd><form action="https://mallory.example.com"><b onclick=x>`)
			b := w.browser(t).open(w.begin(t, "mallory", entry, "browser"))
			if strings.Contains(string(b.body), "<form action=") || strings.Contains(string(b.body), "<b onclick") {
				t.Errorf("%s", b.body)
			}
		}},
	}
}

// resultURLs are pasted by somebody whom an attacker talks into it.
func resultURLs(w *world) []attack {
	good, code := w.names["result"], codeOf(w.names["result"])
	u, _ := url.Parse(good)
	state := u.Query().Get("state")
	host := u.Host
	out := each("", map[string]string{
		"of another host":                       strings.Replace(good, host, "vault.example", 1),
		"of another port":                       strings.Replace(good, host, "127.0.0.1:1", 1),
		"of another scheme":                     strings.Replace(good, "http:", "https:", 1),
		"of another path":                       strings.Replace(good, "/callback", "/callback/", 1),
		"of a path with dots":                   strings.Replace(good, "/callback", "/x/../callback", 1),
		"of a path with an escape":              strings.Replace(good, "/callback", "/%63allback", 1),
		"of another provider's path":            strings.Replace(good, "/amazon/", "/sage/", 1),
		"of a host that begins like ours":       strings.Replace(good, "127.0.0.1", "127.0.0.1.mallory.example.com", 1),
		"of a host that is ours in other words": strings.Replace(good, "127.0.0.1", "0x7f.1", 1),
	}, func(_, text string) attack { return attack{code: "result_url_foreign", body: text} })
	for _, c := range []struct{ name, url, code string }{
		{"with userinfo", strings.Replace(good, "http://", "http://127.0.0.1@", 1), "result_url_userinfo"},
		{"with our host as userinfo", strings.Replace(good, "http://"+host, "http://"+host+"@mallory.example.com", 1), "result_url_userinfo"},
		{"with an empty user", strings.Replace(good, "http://", "http://@", 1), "result_url_userinfo"},
		{"with a fragment", good + "#x", "result_url_fragment"},
		{"with an empty fragment", good + "#", "result_url_fragment"},
		{"with its parameters in the fragment", strings.Replace(good, "?", "#", 1), "result_url_fragment"},
		{"with a state twice", good + "&state=" + state, "result_url_duplicate_parameter"},
		{"with a code twice", good + "&spapi_oauth_code=MalloryHasOne", "result_url_duplicate_parameter"},
		{"with an escaped state beside it", good + "&%73tate=x", "result_url_duplicate_parameter"},
		{"with an escaped code beside it", good + "&spapi%5Foauth%5Fcode=x", "result_url_duplicate_parameter"},
		{"with something else twice", good + "&a=1&a=2", "result_url_duplicate_parameter"},
		{"with semicolons", good + ";state=x", "result_url_malformed"},
		{"with a broken escape", good + "&x=%zz", "result_url_malformed"},
		{"with a line's end", good + "\n&x=1", "result_url_malformed"},
		{"with a backslash", strings.Replace(good, "/oauth", "\\@mallory.example.com/oauth", 1), "result_url_malformed"},
		{"of nine thousand characters", good + "&x=" + strings.Repeat("a", 9000), "result_url_malformed"},
		{"that is a script", "javascript:alert(1)//" + good, "result_url_malformed"},
		{"without a code", strings.Replace(good, "spapi_oauth_code", "x", 1), "result_url_incomplete"},
		{"without a state", strings.Replace(good, "state=", "x=", 1), "result_url_incomplete"},
		{"that is superseded", w.names["superseded"], "authorization_request_superseded"},
		{"of nothing", "", "result_url_empty"},
	} {
		out = append(out, attack{name: c.name, code: c.code, body: c.url})
	}
	for i := range out {
		text, expected := out[i].body.(string), out[i].code
		out[i] = attack{name: out[i].name, do: func(t *testing.T, w *world) {
			got := w.validate(t, "arena", w.names["pasted"], text)
			status := 400
			if expected == "authorization_request_superseded" {
				status = 410
			}
			w.refused(t, got, status, expected)
			if strings.Contains(string(got.body), code) || strings.Contains(string(got.body), state) {
				t.Errorf("it is quoted: %s", got.body)
			}
			w.exchanged(t, good, 0)
		}}
	}
	return out
}

var handleOnPage = regexp.MustCompile(`<code>([^<]+)</code>`)

// visit comes from the simulated Appstore and returns the handle that our login page shows.
func (w *world) visit(t *testing.T, b *browser) string {
	t.Helper()
	u, err := url.Parse(w.ready.Simulators.Amazon.Consent)
	if err != nil {
		t.Fatal(err)
	}
	b.open(u.Scheme + "://" + u.Host + "/apps/store/" + amazonsim.SeededApplicationID)
	login := b.press(url.Values{"login_uri": {w.url + "/oauth/amazon/login"}})
	w.plantQuery(login)
	found := handleOnPage.FindSubmatch(b.open(login).body)
	if found == nil {
		t.Fatalf("the login page: %d %.300s", b.status, b.body)
	}
	return w.secrets.plant("a visit's handle", string(found[1]))
}

// appstore comes through the door of Amazon's own store.
func appstore(w *world) []attack {
	consent := w.ready.Simulators.Amazon.Consent
	confirm := strings.Replace(consent, "/consent", "/confirm/"+amazonsim.SeededApplicationID, 1)
	out := each("open redirect: ", map[string]string{
		"another host":               "https://mallory.example.com/apps/authorize/confirm/" + amazonsim.SeededApplicationID,
		"a host that begins like it": "https://sellercentral.amazon.com.mallory.example.com/apps/authorize/confirm/x",
		"a host that ends like it":   "https://mallorysellercentral.amazon.com/apps/authorize/confirm/x",
		"a host as userinfo":         "https://sellercentral.amazon.com@mallory.example.com/apps/authorize/confirm/x",
		"userinfo":                   strings.Replace(confirm, "http://", "http://a:b@", 1),
		"another path":               consent,
		"a path with dots":           strings.Replace(confirm, "/confirm/", "/confirm/../../x/", 1),
		"a path with escaped dots":   strings.Replace(confirm, "/confirm/", "/confirm/%2e%2e/%2e%2e/x/", 1),
		"a script":                   "javascript:alert(1)",
		"data":                       "data:text/html,<script>alert(1)</script>",
		"no scheme":                  "//mallory.example.com/apps/authorize/confirm/x",
		"a backslash":                "https:\\\\mallory.example.com/apps/authorize/confirm/x",
		"a line's end":               confirm + "\r\nLocation: https://mallory.example.com",
		"a fragment":                 confirm + "#@mallory.example.com",
		"http to the real one":       "http://sellercentral.amazon.com/apps/authorize/confirm/x",
		"nothing":                    "",
	}, func(_, text string) attack {
		query := url.Values{"amazon_callback_uri": {text}, "amazon_state": {"EXAMPLE-state"}, "selling_partner_id": {"A1EXAMPLE"}}
		return attack{do: func(t *testing.T, w *world) {
			got := w.ask(t, "", "GET", "/oauth/amazon/login?"+query.Encode(), nil, nil)
			if got.status < 400 || got.status > 499 || got.header.Get("Set-Cookie") != "" || got.header.Get("Location") != "" || strings.Contains(string(got.body), "<code>") {
				t.Errorf("%s", got.text())
			}
		}}
	})
	begin := func(t *testing.T, w *world, who, entry, handle string) answer {
		return w.quietly(t, w.key(t, who), "POST", "/v1/vault-entries/"+entry+"/authorize", nil, object{"mode": "appstore", "handle": handle})
	}
	return append(out,
		attack{name: "open redirect: a query that brings its own", do: func(t *testing.T, w *world) {
			b := w.browser(t)
			b.open(w.url + "/oauth/amazon/login?" + url.Values{"amazon_callback_uri": {confirm + "?redirect_uri=https://mallory.example.com&redirect_uri=x&state=mallory"},
				"amazon_state": {"EXAMPLE-state"}, "selling_partner_id": {"A1EXAMPLE"}}.Encode())
			found := handleOnPage.FindSubmatch(b.body)
			if found == nil {
				return // it is not taken at all
			}
			begun := begin(t, w, "owner", w.entry(t, "owner", "brings its own"), w.secrets.plant("a visit's handle", string(found[1])))
			w.secrets.plant("a start handle", begun.text1("start_url")[strings.LastIndex(begun.text1("start_url"), "/")+1:])
			next := b.open(begun.text1("start_url")).press(nil)
			u, err := url.Parse(next)
			if err != nil || strings.Contains(next, "mallory") || len(u.Query()["redirect_uri"]) != 1 || len(u.Query()["state"]) != 1 {
				t.Errorf("it leads to %s", next)
			}
		}},
		attack{name: "its callback twice", do: func(t *testing.T, w *world) {
			query := "?amazon_state=x&selling_partner_id=A1&amazon_callback_uri=" + url.QueryEscape(confirm) + "&amazon_callback_uri=" + url.QueryEscape("https://mallory.example.com/")
			if got := w.ask(t, "", "GET", "/oauth/amazon/login"+query, nil, nil); got.status != 400 {
				t.Errorf("%s", got.text())
			}
		}},
		attack{name: "a visit that somebody else claims", do: func(t *testing.T, w *world) {
			visitor := w.browser(t)
			handle := w.visit(t, visitor)
			entry := w.entry(t, "mallory", "claimed visit")
			begun := begin(t, w, "mallory", entry, handle)
			address := begun.text1("start_url")
			if begun.status != 200 || address == "" {
				t.Fatalf("%s", begun.text())
			}
			w.secrets.plant("a start handle", address[strings.LastIndex(address, "/")+1:])
			attacker := w.browser(t)
			if attacker.open(address); attacker.status != http.StatusForbidden {
				t.Errorf("another browser goes on: %d", attacker.status)
			}
			if got := w.ask(t, "", "POST", strings.TrimPrefix(address, w.url), nil, nil); got.status != http.StatusForbidden || got.header.Get("Location") != "" {
				t.Errorf("nobody's browser goes on: %s", got.text())
			}
			if visitor.open(address); !strings.Contains(string(visitor.body), "Mallory Ltd") {
				t.Errorf("the visitor is not told whose it is: %s", visitor.body)
			}
			w.is(t, "mallory", entry, "pending")
		}},
		attack{name: "a visit's handle twice", do: func(t *testing.T, w *world) {
			handle := w.visit(t, w.browser(t))
			first := begin(t, w, "owner", w.entry(t, "owner", "first visit"), handle)
			w.secrets.plant("a start handle", first.text1("start_url")[strings.LastIndex(first.text1("start_url"), "/")+1:])
			w.refused(t, begin(t, w, "mallory", w.names["mallory.open"], handle), 400, "authorization_request_unknown")
		}},
		attack{name: "a visit's handle with one character changed", do: func(t *testing.T, w *world) {
			handle := w.visit(t, w.browser(t))
			w.flipped(t, handle, func(changed string) bool {
				return begin(t, w, "mallory", w.names["mallory.open"], changed).status == 200
			})
		}},
		attack{name: "a visit's handle as a start link", do: func(t *testing.T, w *world) {
			b := w.browser(t)
			handle := w.visit(t, b)
			if b.open(w.url + "/oauth/start/" + handle); b.status != http.StatusNotFound {
				t.Errorf("%d %s", b.status, b.body)
			}
		}},
		attack{name: "a provider that has no store", send: "GET /oauth/sage/login?amazon_callback_uri=x", want: 404},
	)
}

// cursors are changed, moved and made up.
func cursors(w *world) []attack {
	base := "/v1/connectors/" + w.names["arena.connector"]
	good := w.names["arena.cursor"]
	out := []attack{
		{name: "of a read, with one character changed", do: func(t *testing.T, w *world) {
			w.flipped(t, good, func(changed string) bool {
				return w.ask(t, w.key(t, "owner"), "GET", base+"/orders?cursor="+url.QueryEscape(changed), nil, nil).json()["code"] != "invalid_cursor"
			})
		}},
		{name: "of a read, cut off", do: func(t *testing.T, w *world) {
			for n := 1; n < len(good)-1; n += 1 + len(good)/20 {
				w.refused(t, w.ask(t, w.key(t, "owner"), "GET", base+"/orders?cursor="+good[:n], nil, nil), 400, "invalid_cursor")
			}
		}},
	}
	for name, path := range map[string]string{
		"of another of the entry's":   "/v1/connectors/{arena.second}/orders?cursor={arena.cursor}",
		"of another resource":         base + "/inventory?cursor={arena.cursor}",
		"of another filter":           base + "/orders?limit=3&cursor={arena.cursor}",
		"of another connector":        "/v1/connectors/{arena.ledger}/contacts?cursor={arena.cursor}",
		"that is a handle":            base + "/orders?cursor=h.h_0000000000000000",
		"that is a handle of another": base + "/orders?cursor=h.{victim}",
		"that is no cursor":           base + "/orders?cursor=" + base64.RawURLEncoding.EncodeToString([]byte(`{"o":"getOrders","d":"","p":{"nextToken":["x"]}}`)),
		"of nothing":                  base + "/orders?cursor=",
	} {
		out = append(out, attack{name: "of a read, " + name, by: "owner", send: "GET " + path, want: 400, code: "invalid_cursor"})
	}
	for _, list := range []string{"vault-entries", "connectors", "keys", "events", "audit-events"} {
		out = append(out, attack{name: "of " + list + ", made up", do: func(t *testing.T, w *world) {
			places := []string{"entry#", "key#", "connector#", "event#", "audit#", "../", "\x00", w.names["victim"], w.names["victim"] + "/entry#" + w.names["victim.entry"], "entry#" + w.names["victim.entry"], "\xff\xff"}
			var tried []string
			for _, place := range places {
				tried = append(tried, base64.RawURLEncoding.EncodeToString([]byte(place)), place)
			}
			if own := w.names["mallory."+list+" cursor"]; own != "" {
				w.flipped(t, own, func(changed string) bool { tried = append(tried, changed); return false })
			}
			for _, cursor := range tried {
				got := w.ask(t, w.key(t, "mallory"), "GET", "/v1/"+list+"?cursor="+url.QueryEscape(cursor), nil, nil)
				if got.status != 200 && got.status != 400 {
					t.Errorf("%q: %s", cursor, got.text())
				}
				for _, trace := range []string{"victim's", w.names["victim.entry"], w.names["victim.connector"], "arena's"} {
					if got.status == 200 && strings.Contains(string(got.body), trace) {
						t.Errorf("%q shows %s", cursor, trace)
					}
				}
			}
		}})
	}
	return append(out, attack{name: "that lives on after its connector", do: func(t *testing.T, w *world) {
		connector := w.must(t, "owner", 201, "POST", "/v1/connectors", object{"name": "short-lived", "vault_entry": w.names["arena.books"], "settings": object{"business": w.names["arena.business"]}}).text1("id")
		cursor := w.must(t, "owner", 200, "GET", "/v1/connectors/"+connector+"/contacts?limit=1", nil).text1("next_cursor")
		w.must(t, "owner", 204, "DELETE", "/v1/connectors/"+connector, nil)
		w.await(t, func() bool { // a connector is remembered for five seconds
			return w.ask(t, w.key(t, "owner"), "GET", "/v1/connectors/"+connector+"/contacts?cursor="+cursor, nil, nil).status == 404
		})
	}}, attack{name: "that outlives what its connector may read", do: func(t *testing.T, w *world) {
		settings := object{"business": w.names["arena.business"]}
		connector := w.must(t, "owner", 201, "POST", "/v1/connectors", object{"name": "narrowed", "vault_entry": w.names["arena.books"], "settings": settings}).text1("id")
		cursor := w.must(t, "owner", 200, "GET", "/v1/connectors/"+connector+"/contacts?limit=1", nil).text1("next_cursor")
		settings["resources"] = []string{"ledger-entries"}
		w.must(t, "owner", 200, "PATCH", "/v1/connectors/"+connector, object{"settings": settings})
		w.await(t, func() bool {
			got := w.ask(t, w.key(t, "owner"), "GET", "/v1/connectors/"+connector+"/contacts?cursor="+cursor, nil, nil)
			return got.status >= 400 && got.status < 500 && got.json()["code"] != "rate_limited"
		})
	}})
}
