package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What people type wrong is refused by name, before anything is written.
func TestBadEntries(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	good := func(change object) object {
		o := object{"provider": "amazon", "alias": "store", "environment": "production", "region": "eu", "marketplace": "DE"}
		for name, value := range change {
			if o[name] = value; value == nil {
				delete(o, name)
			}
		}
		return o
	}
	v.must(201, "POST", "/v1/vault-entries", good(nil))
	before := v.must(200, "GET", "/v1/vault-entries", nil)
	for _, c := range []struct {
		name   string
		body   any
		code   string
		field  string
		status int
	}{
		{"an unknown marketplace", good(object{"alias": "a", "marketplace": "ATLANTIS"}), "unknown_marketplace", "marketplace", 400},
		{"a region that does not fit", good(object{"alias": "a", "region": "na"}), "region_mismatch", "region", 400},
		{"an unknown region", good(object{"alias": "a", "region": "mars", "marketplace": nil}), "invalid_field", "region", 400},
		{"a duplicate alias", good(nil), "alias_taken", "alias", 409},
		{"an alias of 300 characters", good(object{"alias": strings.Repeat("a", 300)}), "invalid_field", "alias", 400},
		{"an empty alias", good(object{"alias": ""}), "invalid_field", "alias", 400},
		{"an alias of spaces", good(object{"alias": "   "}), "invalid_field", "alias", 400},
		{"an alias with a line break", good(object{"alias": "a\nb"}), "invalid_field", "alias", 400},
		{"an alias that is a number", good(object{"alias": 7}), "invalid_field", "alias", 400},
		{"no alias", good(object{"alias": nil}), "invalid_field", "alias", 400},
		{"no environment", good(object{"alias": "a", "environment": nil}), "invalid_field", "environment", 400},
		{"an environment with a slash", good(object{"alias": "a", "environment": "a/b"}), "invalid_field", "environment", 400},
		{"an unknown side", good(object{"alias": "a", "api_environment": "staging"}), "invalid_field", "api_environment", 400},
		{"an unknown account type", good(object{"alias": "a", "account_type": "reseller"}), "invalid_field", "account_type", 400},
		{"an unknown provider", good(object{"alias": "a", "provider": "ebay"}), "invalid_field", "provider", 400},
		{"no provider", good(object{"alias": "a", "provider": nil}), "invalid_field", "provider", 400},
		{"a misspelt field", good(object{"alias": "a", "market_place": "DE"}), "invalid_field", "market_place", 400},
		{"no JSON", "alias=store", "invalid_request", "", 400},
		{"nothing", nil, "invalid_request", "", 400},
	} {
		a := v.do("POST", "/v1/vault-entries", c.body)
		checkProblem(t, c.name, a, c.code)
		if field, _ := a.json(t)["field"].(string); field != c.field || a.status != c.status {
			t.Errorf("%s: status %d, field %q: %s", c.name, a.status, field, a.body)
		}
	}
	if after := v.must(200, "GET", "/v1/vault-entries", nil); string(after.body) != string(before.body) {
		t.Errorf("something was written:\n%s\n%s", before.body, after.body)
	}
	// The same alias in another environment is another one.
	v.must(201, "POST", "/v1/vault-entries", good(object{"environment": "test"}))
}

// A marketplace says its region, and a region its usual marketplace.
func TestRegionsAndMarketplaces(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	for _, c := range []struct{ region, marketplace, wantRegion, wantMarketplace string }{
		{"na", "", "na", "US"}, {"eu", "", "eu", "GB"}, {"fe", "", "fe", "JP"},
		{"", "UK", "eu", "GB"}, {"", "GB", "eu", "GB"}, {"", "de", "eu", "DE"}, {"", "A1PA6795UKMFR9", "eu", "DE"}, {"fe", "AU", "fe", "AU"}, {"", "", "", ""},
	} {
		body := object{"provider": "amazon", "alias": c.region + "/" + c.marketplace, "environment": "test"}
		if c.region != "" {
			body["region"] = c.region
		}
		if c.marketplace != "" {
			body["marketplace"] = c.marketplace
		}
		a := v.do("POST", "/v1/vault-entries", body)
		if c.wantRegion == "" {
			if a.status != 400 {
				t.Errorf("neither region nor marketplace: %d", a.status)
			}
			continue
		}
		if a.status != 201 || a.text(t, "region") != c.wantRegion || a.text(t, "marketplace") != c.wantMarketplace || a.text(t, "account_type") != "seller" {
			t.Errorf("%+v: %d %s", c, a.status, a.body)
		}
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	var p struct {
		Name, RedirectURI string
		Redirect          string `json:"redirect_uri"`
		Login             string `json:"login_uri"`
		AppFields         []struct {
			Name, Label, Help string
			Secret, Required  bool
		} `json:"app_fields"`
		Regions []struct {
			Code         string
			Marketplaces []struct{ ID, Country, Name string }
		}
		Resources []struct {
			Name string
			List *struct{ Filters []struct{ Name string } }
		}
	}
	if err := json.Unmarshal(v.must(200, "GET", "/v1/providers/amazon", nil).body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Redirect != v.url+"/oauth/amazon/callback" || p.Login != v.url+"/oauth/amazon/login" {
		t.Errorf("to register: %q, %q", p.Redirect, p.Login)
	}
	secret := false
	for _, f := range p.AppFields {
		if f.Label == "" || f.Help == "" {
			t.Errorf("the field %s is not explained", f.Name)
		}
		secret = secret || f.Name == "client_secret" && f.Secret && f.Required
	}
	places := 0
	for _, r := range p.Regions {
		places += len(r.Marketplaces)
	}
	if !secret || len(p.Regions) != 3 || places != 23 {
		t.Errorf("client_secret is a secret: %t; %d regions, %d marketplaces", secret, len(p.Regions), places)
	}
	names := map[string]bool{}
	for _, r := range p.Resources {
		names[r.Name] = true
		if r.Name == "orders" && (r.List == nil || len(r.List.Filters) < 5) {
			t.Errorf("the filters of orders: %+v", r.List)
		}
	}
	for _, want := range []string{"orders", "inventory", "catalog-items", "listings", "transactions", "reports", "feeds", "marketplaces"} {
		if !names[want] {
			t.Errorf("%s cannot be read", want)
		}
	}
	checkProblem(t, "an unknown provider", v.do("GET", "/v1/providers/ebay", nil), "not_found")
	if a := v.must(200, "GET", "/v1/providers", nil); !strings.Contains(string(a.body), `"redirect_uri"`) {
		t.Errorf("the list: %.200s", a.body)
	}
}

func TestBadApps(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	before := v.must(200, "GET", "/v1/provider-apps", nil)
	good := func(name string, value any) object {
		o := object{"application_id": "amzn1.sp.solution.5eed0000-0000-4000-8000-000000000001", "client_id": "amzn1.application-oa2-client.5eed0000000040008000000000000001", "client_secret": "amzn1.oa2-cs.v1.0123456789"}
		o[name] = value
		return o
	}
	for _, c := range []struct {
		name, field string
		body        object
	}{
		{"a client id for an application id", "application_id", good("application_id", "amzn1.application-oa2-client.5eed0000000040008000000000000001")},
		{"no secret", "client_secret", good("client_secret", "")},
		{"a secret with a space", "client_secret", good("client_secret", "has a space in it")},
		{"an unknown member", "clientid", good("clientid", "x")},
		{"a draft that is text", "draft", good("draft", "yes")},
		{"a date that is none", "client_secret_expires_at", good("client_secret_expires_at", "soon")},
		{"a date that is over", "client_secret_expires_at", good("client_secret_expires_at", "2020-01-01")},
		{"an unknown side", "api_environment", good("api_environment", "beta")},
	} {
		a := v.do("PUT", "/v1/provider-apps/amazon", c.body)
		checkProblem(t, c.name, a, "invalid_field")
		if field, _ := a.json(t)["field"].(string); field != c.field {
			t.Errorf("%s: field %q", c.name, field)
		}
	}
	if after := v.must(200, "GET", "/v1/provider-apps", nil); string(after.body) != string(before.body) {
		t.Errorf("something was written:\n%s\n%s", before.body, after.body)
	}
	checkProblem(t, "an unknown provider", v.do("PUT", "/v1/provider-apps/ebay", good("draft", false)), "not_found")
}

func TestConnectorsAndEntriesDependOnEachOther(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry := v.entry("in use")
	connector := v.connector(entry)
	checkProblem(t, "deleting what is in use", v.do("DELETE", "/v1/vault-entries/"+entry, nil), "vault_entry_in_use")
	checkProblem(t, "reading before it is authorized", v.do("GET", "/v1/connectors/"+connector+"/orders", nil), "reauthorization_required")
	for name, c := range map[string]struct {
		body object
		code string
	}{
		"no entry":               {object{"name": "x"}, "invalid_field"},
		"an entry that is not":   {object{"name": "x", "vault_entry": "ve_0000000000000000"}, "not_found"},
		"no name":                {object{"vault_entry": entry}, "invalid_field"},
		"an unknown resource":    {object{"name": "x", "vault_entry": entry, "settings": object{"resources": []string{"poems"}}}, "invalid_field"},
		"an unknown marketplace": {object{"name": "x", "vault_entry": entry, "settings": object{"marketplaces": []string{"ATLANTIS"}}}, "unknown_marketplace"},
		"one of another region":  {object{"name": "x", "vault_entry": entry, "settings": object{"marketplaces": []string{"DE"}}}, "region_mismatch"},
		"an unknown setting":     {object{"name": "x", "vault_entry": entry, "settings": object{"colours": []string{"red"}}}, "invalid_field"},
	} {
		checkProblem(t, name, v.do("POST", "/v1/connectors", c.body), c.code)
	}
	made := v.must(201, "POST", "/v1/connectors", object{"name": "bound", "vault_entry": entry, "settings": object{"marketplaces": []string{"US", "CA"}, "resources": []string{"orders"}}})
	if s := string(made.body); !strings.Contains(s, "ATVPDKIKX0DER") {
		t.Errorf("the marketplaces are not ids: %s", s)
	}
	for _, id := range []string{connector, made.text(t, "id")} {
		if a := v.do("DELETE", "/v1/connectors/"+id, nil); a.status != http.StatusNoContent {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := v.do("DELETE", "/v1/vault-entries/"+entry, nil); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
	checkProblem(t, "what was deleted", v.do("GET", "/v1/vault-entries/"+entry, nil), "not_found")
	v.must(201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "in use", "environment": "test", "region": "na"})
}

// A connector's bounds hold for what its reads name.
func TestConnectorBounds(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.connected("bounds")
	id := v.must(201, "POST", "/v1/connectors", object{"name": "bound", "vault_entry": entry,
		"settings": object{"marketplaces": []string{"US"}, "resources": []string{"orders", "inventory"}}}).text(t, "id")
	base := "/v1/connectors/" + id
	v.must(200, "GET", base+"/orders?limit=1", nil)
	v.must(200, "GET", base+"/orders?limit=1&marketplaceIds=ATVPDKIKX0DER", nil)
	checkProblem(t, "another resource", v.do("GET", base+"/reports", nil), "forbidden")
	checkProblem(t, "another marketplace", v.do("GET", base+"/orders?marketplaceIds=A2EUQ1WTGCTBG2", nil), "forbidden")
}

// A creating request that is sent again, with the same key, makes nothing again.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	header := map[string]string{"Authorization": "Bearer " + v.key, "Idempotency-Key": "once-1"}
	body := object{"provider": "amazon", "alias": "once", "environment": "test", "region": "na"}
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			a, err := v.try(header, "POST", v.url+"/v1/vault-entries", body)
			var made struct{ ID string }
			if err != nil || a.status != http.StatusCreated || json.Unmarshal(a.body, &made) != nil {
				t.Errorf("%v %d %s", err, a.status, a.body)
			}
			ids[i] = made.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several were made: %v", ids)
		}
	}
	body["alias"] = "twice"
	checkProblem(t, "the key for something else", v.with(header, "POST", "/v1/vault-entries", body), "idempotency_key_reused")
}

func TestListingEntries(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	for _, alias := range []string{"a", "b", "c", "d", "e"} {
		v.entry(alias)
	}
	seen, cursor := map[string]bool{}, ""
	for pages := 0; ; pages++ {
		a := v.must(200, "GET", "/v1/vault-entries?limit=2"+cursor, nil)
		var l struct {
			Items []struct{ Alias string }
			Next  *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.body, &l); err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Items {
			seen[e.Alias] = true
		}
		if l.Next == nil || pages > 5 {
			break
		}
		cursor = "&cursor=" + *l.Next
	}
	if len(seen) != 5 {
		t.Errorf("seen: %v", seen)
	}
	one := v.must(200, "GET", "/v1/vault-entries?alias=c&status=pending", nil)
	if strings.Count(string(one.body), `"alias"`) != 1 {
		t.Errorf("filtered: %s", one.body)
	}
	checkProblem(t, "an unknown status", v.do("GET", "/v1/vault-entries?status=happy", nil), "invalid_field")
	checkProblem(t, "an unknown filter", v.do("GET", "/v1/vault-entries?colour=red", nil), "invalid_field")
	checkProblem(t, "a cursor of nowhere", v.do("GET", "/v1/vault-entries?cursor=AAAA", nil), "invalid_cursor")
}

func TestPatchEntry(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("before")
	v.entry("taken")
	path := "/v1/vault-entries/" + entry
	if got := v.must(200, "PATCH", path, object{"alias": "after", "marketplace": "CA"}); got.text(t, "alias") != "after" || got.text(t, "marketplace") != "CA" {
		t.Errorf("%s", got.body)
	}
	if got := v.must(200, "PATCH", path, object{"region": "eu"}); got.text(t, "marketplace") != "GB" {
		t.Errorf("%s", got.body)
	}
	v.must(200, "PATCH", path, object{"region": "na"})
	checkProblem(t, "an alias of another", v.do("PATCH", path, object{"alias": "taken"}), "alias_taken")
	checkProblem(t, "the provider", v.do("PATCH", path, object{"provider": "amazon"}), "invalid_field")
	v.must(200, "POST", path+"/validate", object{"result_url": v.consent(entry)})
	checkProblem(t, "another region, once authorized", v.do("PATCH", path, object{"region": "eu"}), "vault_entry_authorized")
	v.must(200, "PATCH", path, object{"marketplace": "CA"})
	begun := v.must(200, "POST", path+"/authorize", object{"mode": "browser"}).text(t, "start_url")
	if got := v.must(200, "PATCH", path, object{"disabled": true}); got.text(t, "status") != "disabled" {
		t.Errorf("%s", got.body)
	}
	checkProblem(t, "authorizing what is disabled", v.do("POST", path+"/authorize", object{"mode": "browser"}), "vault_entry_disabled")
	visitor := newBrowser(t)
	visitor.open(begun)
	if visitor.last.StatusCode != http.StatusConflict {
		t.Errorf("a start link opens although the entry was disabled meanwhile: %d", visitor.last.StatusCode)
	}
	if got := v.must(200, "PATCH", path, object{"disabled": false}); got.text(t, "status") != "active" {
		t.Errorf("%s", got.body)
	}
}
