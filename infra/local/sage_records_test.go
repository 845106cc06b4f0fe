package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sagesim "connectorvault/infra/sim/sage"
)

// What people type wrong into Sage's fields is refused by name, and nothing is stored: no record, and no secret that a
// record would have named.
func TestBadSageEntries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	s := &secrets{t: t, planted: map[string]string{}, allowed: map[string]bool{}, answered: map[string][]byte{}}
	canary := s.plant("the refused entry's client secret", "canary-client-secret-77aa01")
	signature := s.plant("the refused entry's signature secret", "canary-signature-secret-77aa02")
	subscription := s.plant("the refused entry's subscription key", "canary-subscription-key-77aa03")
	v.sageApp()
	v.sageEntry(v.sageOwn("taken", nil))
	before := v.must(200, "GET", "/v1/vault-entries", nil)
	stored := secretsIn(t, dir)
	own := func(change object) object {
		fields := v.sageOwn("refused", object{"oauth_api_secret": canary})
		for name, value := range change {
			if fields[name] = value; value == nil {
				delete(fields, name)
			}
		}
		return fields
	}
	legacy := func(change object) object {
		fields := own(object{"profile": "legacy_v3", "signature_secret": signature, "apim_subscription_key": subscription})
		for name, value := range change {
			if fields[name] = value; value == nil {
				delete(fields, name)
			}
		}
		return fields
	}
	long := strings.Repeat("a", 5000)
	callback := func(address string) object { return own(object{"oauth_callback_url": address}) }
	for _, c := range []struct {
		name   string
		body   any
		field  string
		status int
		code   string
	}{
		{"no key", own(object{"oauth_api_key": nil}), "oauth_api_key", 400, "invalid_field"},
		{"an empty key", own(object{"oauth_api_key": "  "}), "oauth_api_key", 400, "invalid_field"},
		{"a key that is too long", own(object{"oauth_api_key": strings.Repeat("a", 600)}), "oauth_api_key", 400, "invalid_field"},
		{"a key that is longer than anything", own(object{"oauth_api_key": long}), "oauth_api_key", 400, "invalid_field"},
		{"a key with a space in it", own(object{"oauth_api_key": "one two"}), "oauth_api_key", 400, "invalid_field"},
		{"a key that is a number", own(object{"oauth_api_key": 7}), "oauth_api_key", 400, "invalid_field"},
		{"no secret", own(object{"oauth_api_secret": nil}), "oauth_api_secret", 400, "invalid_field"},
		{"an empty secret", own(object{"oauth_api_secret": ""}), "oauth_api_secret", 400, "invalid_field"},
		{"a secret that is too long", own(object{"oauth_api_secret": long}), "oauth_api_secret", 400, "invalid_field"},
		{"a secret with a line break", own(object{"oauth_api_secret": canary + "\nx"}), "oauth_api_secret", 400, "invalid_field"},
		{"a secret that is a list", own(object{"oauth_api_secret": []string{canary}}), "oauth_api_secret", 400, "invalid_field"},
		{"a signature secret that is true", own(object{"signature_secret": true}), "signature_secret", 400, "invalid_field"},
		{"a signature secret that is too long", own(object{"signature_secret": long}), "signature_secret", 400, "invalid_field"},
		{"a subscription key that is an object", own(object{"apim_subscription_key": object{"a": subscription}}), "apim_subscription_key", 400, "invalid_field"},
		{"a subscription key that is too long", own(object{"apim_subscription_key": long}), "apim_subscription_key", 400, "invalid_field"},
		{"no callback", own(object{"oauth_callback_url": nil}), "oauth_callback_url", 400, "invalid_field"},
		{"a callback that is a number", own(object{"oauth_callback_url": 1}), "oauth_callback_url", 400, "invalid_field"},
		{"a callback that is too long", callback("https://books.example.com/" + strings.Repeat("a", 2100)), "oauth_callback_url", 400, "invalid_field"},
		{"a callback that is no URL", callback("books"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback without a host", callback("https:///back"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback over http", callback("http://books.example.com/back"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback over http of what only looks like this machine", callback("http://127.0.0.1.example.com/back"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback of another scheme", callback("ftp://books.example.com/back"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback with a fragment", callback("https://books.example.com/back#top"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback with a query", callback("https://books.example.com/back?a=1"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback with an empty query", callback("https://books.example.com/back?"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback with a user name", callback("https://me:pass@books.example.com/back"), "oauth_callback_url", 400, "invalid_field"},
		{"a callback with a space", callback("https://books.example.com/a back"), "oauth_callback_url", 400, "invalid_field"},
		{"an unknown country", own(object{"country_code": "ZZ"}), "country_code", 400, "invalid_field"},
		{"a country in words", own(object{"country_code": "United Kingdom"}), "country_code", 400, "invalid_field"},
		{"a country that is a number", own(object{"country_code": 44}), "country_code", 400, "invalid_field"},
		{"an unknown scope", own(object{"scope": "readwrite"}), "scope", 400, "invalid_field"},
		{"a scope that is a list", own(object{"scope": []string{"readonly"}}), "scope", 400, "invalid_field"},
		{"an unknown profile", own(object{"profile": "v4"}), "profile", 400, "invalid_field"},
		{"a profile that is a number", own(object{"profile": 3.1}), "profile", 400, "invalid_field"},
		{"the sandbox, which Sage has not", own(object{"api_environment": "sandbox"}), "api_environment", 400, "invalid_field"},
		{"an unknown side", own(object{"api_environment": "staging"}), "api_environment", 400, "invalid_field"},
		{"an unknown member", own(object{"oauth_key": "x"}), "oauth_key", 400, "invalid_field"},
		{"a member of Amazon's", own(object{"region": "eu"}), "region", 400, "invalid_field"},
		{"a flag that is text", own(object{"provider_app": "yes"}), "provider_app", 400, "invalid_field"},
		{"the operator's application and a key", own(object{"provider_app": true, "oauth_api_secret": nil}), "oauth_api_key", 400, "invalid_field"},
		{"the operator's application and a secret", own(object{"provider_app": true, "oauth_api_key": nil}), "oauth_api_secret", 400, "invalid_field"},
		{"the operator's application and a signature secret", sageShared("refused", object{"signature_secret": signature}), "signature_secret", 400, "invalid_field"},
		{"the operator's application and a subscription key", sageShared("refused", object{"apim_subscription_key": subscription}), "apim_subscription_key", 400, "invalid_field"},
		{"the old API without a country", legacy(object{"country_code": nil}), "country_code", 400, "invalid_field"},
		{"the old API without a subscription key", legacy(object{"apim_subscription_key": nil}), "apim_subscription_key", 400, "invalid_field"},
		{"no alias", own(object{"alias": nil}), "alias", 400, "invalid_field"},
		{"no environment", own(object{"environment": nil}), "environment", 400, "invalid_field"},
		{"an alias that is taken", own(object{"alias": "taken"}), "alias", 409, "alias_taken"},
		{"no JSON", "alias=refused&oauth_api_secret=" + canary, "", 400, "invalid_request"},
	} {
		a := v.do("POST", "/v1/vault-entries", c.body)
		checkProblem(t, c.name, a, c.code)
		if field, _ := a.json(t)["field"].(string); field != c.field || a.status != c.status {
			t.Errorf("%s: status %d, field %q: %s", c.name, a.status, field, a.body)
		}
		s.saw("the answer to "+c.name, a.body)
	}
	if after := v.must(200, "GET", "/v1/vault-entries", nil); string(after.body) != string(before.body) {
		t.Errorf("something was written:\n%s\n%s", before.body, after.body)
	}
	if diff := cmp.Diff(stored, secretsIn(t, dir)); diff != "" {
		t.Errorf("secrets were left behind: %s", diff)
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	s.saw("the log", []byte(v.log.String()))
	s.files(dir)
	s.check()
}

// secretsIn are the names of what lies in the secret store of a data folder.
func secretsIn(t *testing.T, dir string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(`SELECT name FROM secrets ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// A request that is sent again under its key makes one entry, with one set of secrets.
func TestSageEntryOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	none := len(secretsIn(t, dir))
	header := map[string]string{"Authorization": "Bearer " + v.key, "Idempotency-Key": "once-1"}
	body := v.sageOwn("once", object{"signature_secret": "a-signature-secret"})
	first := v.with(header, "POST", "/v1/vault-entries", body)
	again := v.with(header, "POST", "/v1/vault-entries", body)
	if first.status != 201 || first.text(t, "id") != again.text(t, "id") {
		t.Errorf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	body["oauth_api_secret"] = "another-client-secret"
	checkProblem(t, "the key for another secret", v.with(header, "POST", "/v1/vault-entries", body), "idempotency_key_reused")
	if n := len(secretsIn(t, dir)) - none; n != 2 { // the client's and those of reads
		t.Errorf("%d secrets are stored for one entry, want 2", n)
	}
}

// An entry names the secrets that it has and shows no value, and what is not secret as it was given; provider_app is a
// boolean.
func TestSageEntryShown(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.sageApp()
	own := v.sageEntry(v.sageOwn("own", object{"country_code": " uk ", "signature_secret": "sig-5d0f2c99e1", "apim_subscription_key": "apim-5d0f2c99e1"}))
	shared := v.sageEntry(sageShared("shared", object{"country_code": nil}))
	e := v.shown(own)
	want := object{"provider": "sage", "country_code": "GB", "scope": "readonly", "profile": "v3.1", "oauth_api_key": sagesim.SeedClientID,
		"oauth_callback_url": v.url + "/oauth/sage/callback", "api_environment": "production", "status": "pending"}
	for name, value := range want {
		if e[name] != value {
			t.Errorf("%s is shown as %v, want %v", name, e[name], value)
		}
	}
	if diff := cmp.Diff([]any{"apim_subscription_key", "oauth_api_secret", "signature_secret"}, e["secrets"]); diff != "" {
		t.Errorf("the names of its secrets: %s", diff)
	}
	for _, name := range []string{"oauth_api_secret", "signature_secret", "apim_subscription_key", "provider_app"} {
		if _, there := e[name]; there {
			t.Errorf("%s is shown: %v", name, e[name])
		}
	}
	e = v.shown(shared)
	if _, there := e["secrets"]; e["provider_app"] != true || there || e["oauth_api_key"] != nil || e["oauth_callback_url"] != nil {
		t.Errorf("an entry of the operator's application: %v", e)
	}
	listed := v.list("/v1/vault-entries?provider=sage&environment=test&status=pending")
	if len(listed.Items) != 2 || len(v.list("/v1/vault-entries?provider=amazon").Items) != 0 || len(v.list("/v1/vault-entries?provider=sage&alias=own").Items) != 1 {
		t.Errorf("listed: %v", listed.Items)
	}
	for _, item := range listed.Items {
		if id := item["id"].(string); cmp.Diff(v.shown(id), item) != "" {
			t.Errorf("the list shows another entry than GET: %v", item)
		}
	}
	for name, body := range map[string]string{"the entry": string(v.must(200, "GET", "/v1/vault-entries/"+own, nil).body), "the app": string(v.must(200, "GET", "/v1/provider-apps", nil).body)} {
		for _, value := range []string{sagesim.SeedClientSecret, sagesim.SeedSubscriptionKey, sagesim.SeedSignatureSecret, "5d0f2c99e1"} {
			if strings.Contains(body, value) {
				t.Errorf("%s shows a secret", name)
			}
		}
	}
}

// Secrets change as groups, what decides where a token goes stays once it is authorized, and the rest may change.
func TestPatchSageEntry(t *testing.T) {
	t.Parallel()
	v, w := tapped(t)
	entry := v.sageEntry(v.sageOwn("patched", object{"signature_secret": "a-signature-secret", "apim_subscription_key": "a-subscription-key"}))
	path := "/v1/vault-entries/" + entry
	names := func() string { return fmt.Sprint(v.shown(entry)["secrets"]) }
	bad := func(name, field, code string, body object) {
		t.Helper()
		before := v.shown(entry)
		a := v.do("PATCH", path, body)
		checkProblem(t, name, a, code)
		if got := a.text(t, "field"); got != field {
			t.Errorf("%s: field %q: %s", name, got, a.body)
		}
		if diff := cmp.Diff(before, v.shown(entry)); diff != "" {
			t.Errorf("%s: the entry changed: %s", name, diff)
		}
	}
	bad("half a group", "apim_subscription_key", "invalid_field", object{"signature_secret": "another-signature"})
	bad("the other half", "signature_secret", "invalid_field", object{"apim_subscription_key": "another-subscription"})
	bad("a group without its other half", "apim_subscription_key", "invalid_field", object{"signature_secret": nil})
	bad("removing the client secret", "oauth_api_secret", "invalid_field", object{"oauth_api_secret": nil})
	bad("another provider", "provider", "invalid_field", object{"provider": "amazon"})
	bad("another side", "api_environment", "invalid_field", object{"api_environment": "production"})
	bad("an unknown member", "oauth_secret", "invalid_field", object{"oauth_secret": "x"})
	bad("a bad country", "country_code", "invalid_field", object{"country_code": "Atlantis"})
	bad("a bad callback", "oauth_callback_url", "invalid_field", object{"oauth_callback_url": "http://books.example.com/"})
	bad("the operator's application beside an own key", "oauth_api_key", "invalid_field", object{"provider_app": true})

	v.must(200, "PATCH", path, object{"signature_secret": "another-signature", "apim_subscription_key": nil})
	if got := names(); got != "[oauth_api_secret signature_secret]" {
		t.Errorf("after removing one of a group: %s", got)
	}
	v.must(200, "PATCH", path, object{"signature_secret": nil})
	if got := names(); got != "[oauth_api_secret]" {
		t.Errorf("after removing the group: %s", got)
	}
	v.must(200, "PATCH", path, object{"country_code": nil, "alias": "renamed", "scope": "full_access"})
	if e := v.shown(entry); e["country_code"] != nil || e["alias"] != "renamed" || e["scope"] != "full_access" {
		t.Errorf("after a change: %v", e)
	}

	v.sageConnect(entry, sagesim.UserGB)
	bad("another application, once authorized", "oauth_api_key", "vault_entry_authorized", object{"oauth_api_key": sagesim.SeedOtherClientID})
	bad("another profile, once authorized", "profile", "vault_entry_authorized",
		object{"profile": "legacy_v3", "country_code": "GB", "apim_subscription_key": "x", "signature_secret": nil})
	v.sageApp()
	bad("the operator's application, once authorized", "oauth_api_key", "vault_entry_authorized", object{"provider_app": true, "oauth_api_key": nil, "oauth_api_secret": nil})
	v.must(200, "PATCH", path, object{"country_code": "GB", "oauth_callback_url": "https://books.example.com/back", "alias": "renamed again"})

	// A secret that changes is used at the next refresh, and a wrong one says so until it is corrected.
	base := v.sageConnector(entry, sagesim.BusinessGB)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	v.must(200, "PATCH", path, object{"oauth_api_secret": "a-wrong-client-secret"})
	v.advance(6 * time.Minute)
	refused(t, "a wrong secret", v.do("GET", base+"/contacts?limit=1", nil), 502, "client_misconfigured")
	if e := v.shown(entry); e["status"] != "active" || e["health"] != "failing" {
		t.Errorf("with a wrong secret the entry is %v, %v", e["status"], e["health"])
	}
	v.must(200, "PATCH", path, object{"oauth_api_secret": sagesim.SeedClientSecret})
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if got := w.last(t, "/token").form.Get("client_secret"); got != sagesim.SeedClientSecret {
		t.Error("the refresh was made with another secret")
	}
	if n := v.reuses(); n != 0 {
		t.Errorf("%d refresh tokens were offered twice", n)
	}

	v.must(200, "PATCH", path, object{"disabled": true})
	v.advance(10 * time.Second)
	checkProblem(t, "reading what is disabled", v.do("GET", base+"/contacts?limit=1", nil), "vault_entry_disabled")
}

// Deleting an entry revokes its token at Sage, once, and removes its secrets; one that is in use is not deleted and
// nothing is revoked.
func TestDeleteSageEntry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, flags := listen(t, dir)
	v := start(t, dir, flags...)
	none := secretsIn(t, dir)
	entry := v.sageEntry(v.sageOwn("deleted", nil))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, sagesim.BusinessGB)
	v.advance(6 * time.Minute)
	v.must(200, "GET", base+"/contacts?limit=1", nil) // with a token that is not the first one
	checkProblem(t, "deleting what is in use", v.do("DELETE", "/v1/vault-entries/"+entry, nil), "vault_entry_in_use")
	if n := len(w.heard("/revoke")); n != 0 {
		t.Errorf("a deletion that was refused revoked %d tokens", n)
	}
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	v.must(http.StatusNoContent, "DELETE", base, nil)
	v.must(http.StatusNoContent, "DELETE", "/v1/vault-entries/"+entry, nil)
	heard := w.heard("/revoke")
	if len(heard) != 1 || heard[0].status != http.StatusOK || heard[0].form.Get("client_id") != sagesim.SeedClientID {
		t.Fatalf("the revocation endpoint heard %d times", len(heard))
	}
	families, err := w.sim.Families(t.Context(), "")
	if err != nil || len(families) != 1 || !families[0].Revoked {
		t.Errorf("at Sage the authorization is %+v, %v", families, err)
	}
	checkProblem(t, "what was deleted", v.do("GET", "/v1/vault-entries/"+entry, nil), "not_found")
	if diff := cmp.Diff(none, secretsIn(t, dir)); diff != "" {
		t.Errorf("secrets were left behind: %s", diff)
	}

	// An entry that was never authorized has nothing to revoke; one whose revocation fails is deleted all the same.
	v.must(http.StatusNoContent, "DELETE", "/v1/vault-entries/"+v.sageEntry(v.sageOwn("deleted", nil)), nil)
	again := v.sageEntry(v.sageOwn("deleted", nil))
	v.sageConnect(again, sagesim.UserGB)
	v.sageFault(object{"name": "error_500", "endpoint": "revoke"})
	v.must(http.StatusNoContent, "DELETE", "/v1/vault-entries/"+again, nil)
	if n := len(w.heard("/revoke")); n != 2 {
		t.Errorf("the revocation endpoint heard %d times, want 2", n)
	}
}

// A connector of Sage's names one business, since Sage would silently answer for another.
func TestSageConnectors(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry := v.sageEntry(v.sageOwn("connectors", nil))
	// Before anybody consented, whose business it is cannot be known; that there is one can.
	bad := func(name string, settings any, entry string) {
		t.Helper()
		body := object{"name": "books", "vault_entry": entry, "settings": settings}
		if settings == nil {
			delete(body, "settings")
		}
		a := v.do("POST", "/v1/connectors", body)
		checkProblem(t, name, a, "invalid_field")
		if field := a.text(t, "field"); field != "settings.business" && field != "settings.businesses" && field != "settings.marketplaces" {
			t.Errorf("%s: field %q: %s", name, field, a.body)
		}
	}
	bad("no settings, before consent", nil, entry)
	early := v.sageConnector(entry, sagesim.BusinessGB)
	checkProblem(t, "reading before consent", v.do("GET", early+"/contacts", nil), "reauthorization_required")
	v.sageConnect(entry, sagesim.UserGB)
	v.must(200, "GET", early+"/contacts?limit=1", nil)

	bad("no settings", nil, entry)
	bad("no business", object{}, entry)
	bad("an empty list", object{"business": []string{}}, entry)
	bad("null", object{"business": nil}, entry)
	bad("two businesses", object{"business": []string{sagesim.BusinessGB, sagesim.BusinessGBSecond}}, entry)
	bad("another user's business", object{"business": sagesim.BusinessGBSingle}, entry)
	bad("a business that nobody has", object{"business": strings.Repeat("0", 32)}, entry)
	for _, malformed := range []string{"", "Blue Heron Supplies Ltd", sagesim.BusinessGB[:31], sagesim.BusinessGB + "0", strings.Repeat("g", 32), "5eedb000-0000-0000-0000-0000000000a1"} {
		bad("the business "+malformed, object{"business": malformed}, entry)
	}
	bad("a misspelt setting", object{"businesses": sagesim.BusinessGB}, entry)
	bad("a setting of Amazon's", object{"business": sagesim.BusinessGB, "marketplaces": []string{"US"}}, entry)
	for name, body := range map[string]object{
		"a number":          {"name": "x", "vault_entry": entry, "settings": object{"business": 7}},
		"a list of numbers": {"name": "x", "vault_entry": entry, "settings": object{"business": []int{7}}},
		"text for settings": {"name": "x", "vault_entry": entry, "settings": sagesim.BusinessGB},
	} {
		if a := v.do("POST", "/v1/connectors", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	legacy := v.sageEntry(v.sageOwn("legacy", object{"profile": "legacy_v3", "apim_subscription_key": sagesim.SeedSubscriptionKey}))
	bad("a business of the old API", object{"business": sagesim.BusinessGB}, legacy)
	v.sageConnector(legacy, "")

	// As a list of one or in capitals it is the same, and comes back as one string.
	made := v.must(201, "POST", "/v1/connectors", object{"name": "one", "vault_entry": entry,
		"settings": object{"business": []string{strings.ToUpper(sagesim.BusinessGBSecond)}, "resources": []string{"get-contacts", "sales-invoices"}}})
	path := "/v1/connectors/" + made.text(t, "id")
	settings := func(a answer) string { return fmt.Sprint(a.json(t)["settings"]) }
	want := "map[business:" + sagesim.BusinessGBSecond + " resources:[contacts sales-invoices]]"
	if got := settings(made); got != want {
		t.Errorf("settings are %s, want %s", got, want)
	}
	if got := settings(v.must(200, "GET", path, nil)); got != want {
		t.Errorf("settings are %s, want %s", got, want)
	}
	v.must(200, "GET", path+"/contacts?limit=1", nil)
	v.must(200, "GET", path+"/get-sales-invoices?limit=1", nil)
	checkProblem(t, "what the connector is not for", v.do("GET", path+"/journals", nil), "forbidden")

	before := v.must(200, "GET", path, nil)
	for name, change := range map[string]object{
		"to no business":           {"settings": object{}},
		"to another user's":        {"settings": object{"business": sagesim.BusinessGBSingle}},
		"to two":                   {"settings": object{"business": []string{sagesim.BusinessGB, sagesim.BusinessGBSecond}}},
		"to another vault entry's": {"vault_entry": legacy},
	} {
		checkProblem(t, "a change "+name, v.do("PATCH", path, change), "invalid_field")
	}
	if after := v.must(200, "GET", path, nil); string(after.body) != string(before.body) {
		t.Errorf("the connector changed:\n%s\n%s", before.body, after.body)
	}
	v.must(200, "PATCH", path, object{"name": "renamed"})
	changed := v.must(200, "PATCH", path, object{"settings": object{"business": sagesim.BusinessGBThird}})
	if got := settings(changed); got != "map[business:"+sagesim.BusinessGBThird+"]" || changed.text(t, "name") != "renamed" {
		t.Errorf("after PATCH: %s", changed.body)
	}
	v.advance(10 * time.Second) // what a read remembers is over
	v.must(200, "GET", path+"/journals?limit=1", nil)
}
