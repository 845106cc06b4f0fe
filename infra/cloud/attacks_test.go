package cloud_test

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strings"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
)

// attacks are tried over HTTP, at the gateway, by whoever has no key, another tenant's, or too small a one; by other sites in a
// victim's browser; and with what was overheard.
func attacks(b *bed) {
	victim, attacker, nobody := b.tenant("Victim"), b.tenant("Attacker"), b.client("")
	victim.app()
	attacker.app()
	entry, connector := victim.seller("shop")
	own, _ := attacker.seller("shop")
	if resummed(victim.key) != victim.key {
		b.Fatal("the checksum of keys is another one")
	}
	reader := b.client(victim.must("POST", "/v1/keys", object{"role": "reader", "label": "reports", "connectors": []string{connector}}).text("key"))
	if got := reader.send("GET", "/v1/connectors/"+connector+"/orders?limit=1", nil); got.status != http.StatusOK {
		b.Fatalf("a reader reads: %v", got)
	}

	// Keys that look like keys, their checksums too: one with another secret, and one that names another tenant.
	wrong := b.client(resummed(victim.key[:len(victim.key)-12] + "AAAA" + victim.key[len(victim.key)-8:]))
	foreign := b.client(resummed(strings.Replace(victim.key, strings.TrimPrefix(victim.tenant, "t_"), strings.TrimPrefix(attacker.tenant, "t_"), 1)))
	for _, c := range []struct {
		who          string
		client       *client
		method, path string
		body         any
		status       int
		code         string // "": the gateway's own answer, or none
	}{
		{"nobody", nobody, "GET", "/v1/vault-entries", nil, 401, ""},
		{"a wrong key", wrong, "GET", "/v1/vault-entries", nil, 403, ""},
		{"a key of another tenant's name", foreign, "GET", "/v1/vault-entries", nil, 403, ""},
		{"not a key", b.client("x"), "GET", "/v1/vault-entries", nil, 403, ""},

		{"another tenant", attacker, "GET", "/v1/vault-entries/" + entry, nil, 404, "not_found"},
		{"another tenant", attacker, "PATCH", "/v1/vault-entries/" + entry, object{"alias": "mine"}, 404, "not_found"},
		{"another tenant", attacker, "DELETE", "/v1/vault-entries/" + entry, nil, 404, "not_found"},
		{"another tenant", attacker, "POST", "/v1/vault-entries/" + entry + "/authorize", object{"mode": "browser"}, 404, "not_found"},
		{"another tenant", attacker, "POST", "/v1/vault-entries/" + entry + "/refresh", nil, 404, "not_found"},
		{"another tenant", attacker, "POST", "/v1/connectors", object{"name": "x", "vault_entry": entry}, 0, ""},
		{"another tenant", attacker, "GET", "/v1/connectors/" + connector, nil, 404, "not_found"},
		{"another tenant", attacker, "GET", "/v1/connectors/" + connector + "/orders", nil, 404, "not_found"},

		{"a reader", reader, "GET", "/v1/vault-entries/" + entry, nil, 403, "forbidden"},
		{"a reader", reader, "PUT", "/v1/provider-apps/amazon", object{}, 403, "forbidden"},
		{"a reader", reader, "POST", "/v1/keys", object{"role": "owner", "label": "x"}, 403, "forbidden"},
		{"a reader", reader, "DELETE", "/v1/vault-entries/" + entry, nil, 403, "forbidden"},
		{"a reader", reader, "GET", "/v1/connectors/" + connector + "/orders?personal_data=true", nil, 403, ""},

		{"no route", attacker, "POST", "/v1/tenants", object{"operation": "create"}, 404, ""},
		{"no route", attacker, "POST", "/2015-03-31/functions/TenantFunction/invocations", object{"operation": "create"}, 404, ""},
		{"no route", nobody, "GET", "//evil.example/", nil, 404, ""},
		{"a path within a path", attacker, "GET", "/v1/connectors/" + connector + "/..%2f..%2fvault-entries", nil, 404, ""},
		{"an inner address", attacker, "POST", "/v1/webhooks", object{"url": "https://169.254.169.254/latest/meta-data/"}, 400, "webhook_url_refused"},
		{"an inner address", attacker, "POST", "/v1/webhooks", object{"url": "http://localhost/"}, 400, "webhook_url_refused"},
		{"a tenant in the body", attacker, "POST", "/v1/connectors", object{"name": "x", "vault_entry": own, "tenant": "t_0000000000000000"}, 400, ""},
		{"too much", attacker, "POST", "/v1/connectors", `{"name":"` + strings.Repeat("x", 11<<20) + `"}`, 413, ""},
		{"no JSON", attacker, "POST", "/v1/connectors", strings.Repeat("[", 100_000), 400, ""},
	} {
		got := c.client.send(c.method, c.path, c.body, "Content-Type: application/json")
		if c.status == 0 && (got.status < 400 || got.status >= 500) || c.status != 0 && got.status != c.status || c.code != "" && got.code() != c.code {
			b.Errorf("%s: %s %s: %v; want %d %s", c.who, c.method, c.path, got, c.status, c.code)
		}
	}
	if got := nobody.send("GET", "/v1/vault-entries", nil, "Authorization: "+strings.Repeat("x", 11_000)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		b.Errorf("a large header: %v", got)
	}
	b.forgedFlows(victim, attacker)

	// What anybody may see has no secret in it.
	for _, path := range []string{"/v1/vault-entries", "/v1/vault-entries/" + entry, "/v1/provider-apps", "/v1/keys", "/v1/connectors", "/v1/events", "/v1/audit-events"} {
		body := string(victim.must("GET", path, nil).body)
		for _, secret := range []string{"Atza|", "Atzr|", amazonsim.SeededClientSecret, sagesim.SeedClientSecret, victim.key, reader.key} {
			if strings.Contains(body, secret) {
				b.Errorf("%s shows what begins with %.6s", path, secret)
			}
		}
	}
	b.unseen(victim.key, attacker.key, reader.key)
	b.knownWays()
}

// resummed is a key's text with the checksum that its body should have.
func resummed(key string) string {
	body := key[:len(key)-8]
	return fmt.Sprintf("%s%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

// forgedFlows begins authorizations and ends them where they were not begun.
func (b *bed) forgedFlows(victim, attacker *client) {
	b.Helper()
	nobody := b.client("")

	// A start page's form that another site submits, and a callback that arrives in another browser than the one which began.
	ledger := victim.ledger("ledger")
	start := victim.must("POST", "/v1/vault-entries/"+ledger+"/authorize", object{"mode": "browser"}).text("start_url")
	path := strings.TrimPrefix(start, publicURL)
	for _, header := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		if got := nobody.send("POST", path, nil, header); got.status != http.StatusForbidden {
			b.Errorf("a form of another site, with %s: %v", header, got)
		}
	}
	begun := nobody.send("POST", path, "", "Origin: "+publicURL, "Content-Type: application/x-www-form-urlencoded")
	if begun.status != http.StatusSeeOther || begun.header.Get("Set-Cookie") == "" {
		b.Fatalf("the start page's own form: %v", begun)
	}
	stolen := strings.TrimPrefix(victim.consent(begun.header.Get("Location"), sagesim.UserGB, ledger), publicURL)
	if got := nobody.send("GET", stolen, nil); got.status != http.StatusForbidden {
		b.Errorf("a callback in another browser: %v", got)
	}
	if got := nobody.send("POST", path, "", "Origin: "+publicURL); got.status < 400 {
		b.Errorf("a start page's second use: %v", got)
	}
	if got := victim.status(ledger); got != "pending" {
		b.Errorf("after a callback in another browser the entry is %s", got)
	}
	cookie, _, _ := strings.Cut(begun.header.Get("Set-Cookie"), ";")
	if got := nobody.send("GET", stolen, nil, "Cookie: "+cookie); got.status != http.StatusOK || victim.status(ledger) != "active" {
		b.Errorf("the callback in its own browser: %v; the entry is %s", got, victim.status(ledger))
	}

	// A Result URL of the attacker's consent at the victim's entry, of another address, with another state, and once more.
	mine, second, theirs := attacker.ledger("mine"), attacker.ledger("mine, too"), victim.ledger("theirs")
	request := attacker.must("POST", "/v1/vault-entries/"+mine+"/authorize", object{"mode": "result_url"}).text("oauth_request_url")
	victim.must("POST", "/v1/vault-entries/"+theirs+"/authorize", object{"mode": "result_url"})
	result := attacker.consent(request, sagesim.UserGBSingle, mine)
	u, err := url.Parse(result)
	b.ok(err)
	q := u.Query()
	q.Set("state", strings.Repeat("A", len(q.Get("state"))))
	for what, attempt := range map[string]struct {
		who           *client
		entry, result string
	}{
		"another entry":   {victim, theirs, result},
		"an entry beside": {attacker, second, result},
		"another tenant":  {victim, mine, result},
		"another address": {attacker, mine, strings.Replace(result, publicURL, "https://evil.example", 1)},
		"another state":   {attacker, mine, publicURL + u.Path + "?" + q.Encode()},
	} {
		if got := attempt.who.send("POST", "/v1/vault-entries/"+attempt.entry+"/validate", object{"result_url": attempt.result}); got.status < 400 || got.status >= 500 {
			b.Errorf("a Result URL at %s: %v", what, got)
		}
	}
	if got := victim.status(theirs) + " " + attacker.status(second) + " " + attacker.status(mine); got != "pending pending pending" {
		b.Errorf("after foreign Result URLs the entries are %s", got)
	}
	attacker.must("POST", "/v1/vault-entries/"+mine+"/validate", object{"result_url": result})
	attacker.send("POST", "/v1/vault-entries/"+mine+"/validate", object{"result_url": result})
	calls, err := b.sage.TokenCalls(b.Context(), sagesim.TokenCallFilter{Label: mine})
	b.ok(err)
	if len(calls) != 1 || attacker.status(mine) != "active" {
		b.Errorf("a code was offered %d times, and the entry is %s", len(calls), attacker.status(mine))
	}

	// A key that was revoked is dead.
	made := attacker.must("POST", "/v1/keys", object{"role": "reader", "label": "gone"})
	gone := b.client(made.text("key"))
	attacker.must("DELETE", "/v1/keys/"+made.text("id"), nil)
	b.eventually("a revoked key is refused", func() bool { return gone.send("GET", "/v1/connectors", nil).status == http.StatusForbidden })
}
