package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// Every secret of Sage's fields, and every code, verifier and token that comes by, is looked for in every answer, every
// log line and every file, the simulator's own among them.
func TestSageCanaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, flags := listen(t, dir)
	v := spawn(t, dir, flags...)
	s := &secrets{t: t, planted: map[string]string{}, allowed: map[string]bool{}, answered: map[string][]byte{}}
	with := func(header map[string]string, method, path string, body any) answer {
		header["Authorization"] = "Bearer " + v.key
		a := v.with(header, method, path, body)
		head, _ := json.Marshal(a.header)
		s.saw("the answer to "+method+" "+path, append(head, a.body...))
		return a
	}
	do := func(method, path string, body any) answer { return with(map[string]string{}, method, path, body) }
	must := func(status int, method, path string, body any) answer {
		t.Helper()
		a := do(method, path, body)
		if a.status != status {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
		return a
	}
	page := func(name string, b *browser) {
		head, _ := json.Marshal(b.last.Header)
		s.saw(name, append(head, b.body...))
	}
	s.plant("the owner's key", v.key)
	client := s.plant("the client secret", sagesim.SeedClientSecret)
	signature := s.plant("the signature secret", sagesim.SeedSignatureSecret)
	subscription := s.plant("the subscription key", sagesim.SeedSubscriptionKey)
	for _, file := range []string{"sage-simulator.db", "sage-simulator.db-wal"} { // it checks signatures with them
		s.allowed["the signature secret in the file "+file] = true
		s.allowed["the subscription key in the file "+file] = true
	}

	// Registered and entered well, and badly with a canary in every field.
	app := object{"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": client, "signature_secret": signature, "apim_subscription_key": subscription}
	must(200, "PUT", "/v1/provider-apps/sage", app)
	for field := range app {
		bad := object{"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": client, "signature_secret": signature, "apim_subscription_key": subscription}
		bad[field] = s.plant("the canary of the app's "+field, "canary of the app's "+field+" 3f9c1e77a5d2")
		do("PUT", "/v1/provider-apps/sage", bad)
		entry := v.sageOwn("refused", object{"country_code": "Atlantis"})
		entry[field] = s.plant("the canary of the entry's "+field, "canary of the entry's "+field+" 3f9c1e77a5d3")
		do("POST", "/v1/vault-entries", entry)
		entry[field] = []string{s.plant("the canary in a list of "+field, "canary in a list of "+field+" 3f9c1e77a5d4")}
		do("POST", "/v1/vault-entries", entry)
	}
	own := must(201, "POST", "/v1/vault-entries", v.sageOwn("own", object{"signature_secret": signature, "apim_subscription_key": subscription})).text(t, "id")
	shared := must(201, "POST", "/v1/vault-entries", sageShared("shared", nil)).text(t, "id")
	legacy := must(201, "POST", "/v1/vault-entries", v.legacyFields("legacy", nil)).text(t, "id")
	do("PATCH", "/v1/vault-entries/"+own, object{"signature_secret": s.plant("half of a group", "canary-half-of-a-group-77"), "alias": "own"})
	do("PATCH", "/v1/vault-entries/"+own, object{"oauth_api_secret": s.plant("a wrong client secret", "canary-wrong-client-secret-77")})
	begin := func(entry, mode string) string {
		t.Helper()
		a := must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": mode})
		return a.text(t, "start_url") + a.text(t, "oauth_request_url")
	}
	landed := func(what, result string) {
		t.Helper()
		u, err := url.Parse(result)
		if err != nil {
			t.Fatal(err)
		}
		s.plant("the code of "+what, u.Query().Get("code"))
		s.plant("the state of "+what, u.Query().Get("state"))
	}

	// The Result URL door, with everything that can be wrong with it.
	first := v.allow(begin(own, "result_url"), sagesim.UserGB)
	landed("the first try", first)
	s.allowed["the state of the first try in the answer to POST /v1/vault-entries/"+own+"/authorize"] = true
	visit := newBrowser(t)
	visit.open(first)
	page("the callback's page", visit)
	validate := "/v1/vault-entries/" + own + "/validate"
	for _, spoilt := range []string{first + "&state=x", first + "#a", strings.Replace(first, "127.0.0.1", "me:pass@127.0.0.1", 1), strings.Replace(first, "/callback", "/callbac", 1)} {
		do("POST", validate, object{"result_url": spoilt})
	}
	refused(t, "with a wrong secret", do("POST", validate, object{"result_url": first}), 502, "client_misconfigured")
	must(200, "PATCH", "/v1/vault-entries/"+own, object{"oauth_api_secret": client})
	for _, name := range []string{"error_500", "html_before", "invalid_client"} {
		v.sageFault(object{"name": name, "endpoint": "token", "times": 1})
		do("POST", validate, object{"result_url": first})
		v.sageWell()
	}
	must(200, "POST", validate, object{"result_url": first})
	lost := v.allow(begin(own, "result_url"), sagesim.UserGB)
	landed("the lost try", lost)
	s.allowed["the state of the lost try in the answer to POST /v1/vault-entries/"+own+"/authorize"] = true
	v.sageFault(object{"name": "truncated", "endpoint": "token", "times": 1})
	do("POST", validate, object{"result_url": lost})
	do("POST", validate, object{"result_url": lost})

	// The browser door, and the old API's.
	start := begin(shared, "browser")
	s.plant("the start handle", start[strings.LastIndex(start, "/")+1:])
	s.allowed["the start handle in the answer to POST /v1/vault-entries/"+shared+"/authorize"] = true
	b := newBrowser(t)
	b.open(start)
	page("the start page", b)
	consent := b.submit("")
	s.plant("the browser's cookie", b.last.Cookies()[0].Value)
	b.open(consent)
	back := b.signIn(sagesim.UserGB, "allow")
	landed("the browser", back)
	v.sageFault(object{"name": "error_503", "endpoint": "token", "times": 1})
	b.open(back)
	page("the page after a failure", b)
	b.open(back)
	page("the page after consent", b)
	if b.last.StatusCode != http.StatusOK {
		t.Fatalf("the browser's way ends with %d %s", b.last.StatusCode, b.body)
	}
	result := v.allow(begin(legacy, "result_url"), sagesim.UserGB)
	landed("the old API", result)
	s.allowed["the state of the old API in the answer to POST /v1/vault-entries/"+legacy+"/authorize"] = true
	must(200, "POST", "/v1/vault-entries/"+legacy+"/validate", object{"result_url": result})

	// Reads, good and bad, over the lives of several tokens.
	connector := func(entry string, settings object) string {
		t.Helper()
		return "/v1/connectors/" + must(201, "POST", "/v1/connectors", object{"name": "canaries", "vault_entry": entry, "settings": settings}).text(t, "id")
	}
	bases := []string{connector(own, object{"business": sagesim.BusinessGB}), connector(shared, object{"business": sagesim.BusinessGBSecond}), connector(legacy, object{})}
	var file listing
	_ = json.Unmarshal(must(200, "GET", bases[0]+"/attachments?limit=1", nil).body, &file)
	faults := []object{{"name": "error_500", "endpoint": "token"}, {"name": "empty", "endpoint": "token"}, {"name": "invalid_client", "endpoint": "token"},
		{"name": "token_expired"}, {"name": "html_after"}, {"name": "wrong_echo"}, {"name": "status", "status": 418}, {"name": "drop_after_commit", "endpoint": "api"},
		{"name": "throttled"}, {"name": "verify_signature"}, {"name": "subscription_lapsed"}}
	v.sageFault(object{"name": "grace", "grace_seconds": 100000}) // so that a lost answer ends nothing
	for round, f := range faults {
		for i, base := range bases {
			f["times"] = 1
			v.sageFault(f)
			do("GET", fmt.Sprintf("%s/contacts?limit=3&attributes=all&search=%d%d", base, round, i), nil)
			v.sageSim("DELETE", "/_sim/faults?name="+f["name"].(string), nil)
		}
		do("POST", "/v1/vault-entries/"+own+"/refresh", nil)
		v.advance(6 * time.Minute)
	}
	v.advance(2 * time.Hour)
	for _, base := range bases {
		must(200, "GET", base+"/contacts?limit=3&personal_data=true", nil)
		with(map[string]string{"Accept": "application/x-ndjson"}, "GET", base+"/tax-rates?limit=2", nil)
		do("GET", base+"/poems", nil)
		do("GET", base+"/contacts?cursor=x", nil)
	}
	with(map[string]string{"Range": "bytes=0-99"}, "GET", bases[0]+"/attachments/"+file.Items[0]["id"].(string)+"/document?personal_data=true", nil)
	for _, path := range []string{"/v1/providers", "/v1/providers/sage", "/v1/provider-apps", "/v1/vault-entries", "/v1/vault-entries/" + own, "/v1/vault-entries/" + legacy, "/v1/connectors", "/v1/events"} {
		must(200, "GET", path, nil)
	}
	for _, entry := range []string{own, shared, legacy} {
		must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil)
	}
	v.sageFault(object{"name": "html_before", "endpoint": "revoke", "times": 1})
	must(204, "DELETE", bases[0], nil)
	must(204, "DELETE", "/v1/vault-entries/"+own, nil)
	must(204, "DELETE", bases[1], nil)
	must(204, "DELETE", "/v1/vault-entries/"+shared, nil)

	s.tokensOf(w)
	if err := errors.Join(v.stop(), w.sim.Close()); err != nil {
		t.Fatal(err)
	}
	s.saw("the log", []byte(v.log.String()))
	s.saw("the simulator's log", []byte(w.log.String()))
	if s.files(dir); len(w.log.String()) < 1000 || len(v.log.String()) < 1000 {
		t.Error("there is no log to speak of")
	}
	s.check()
}

// tokensOf plants the verifiers that went to the token endpoints, and of each token that came from them two parts: whatever
// shows it whole shows them, and so does what cuts it off.
func (s *secrets) tokensOf(w *wire) {
	s.t.Helper()
	n := 0
	for _, c := range append(w.heard("/token"), w.heard("/legacy/token")...) {
		if value := c.form.Get("code_verifier"); value != "" {
			s.plant(fmt.Sprintf("verifier %d", n), value)
		}
		var set struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		_ = json.Unmarshal(c.answer, &set) // some are pages
		for kind, token := range map[string]string{"access token": set.Access, "refresh token": set.Refresh} {
			parts := strings.Split(token, ".")
			if len(parts) != 3 {
				continue
			}
			n++
			s.plant(fmt.Sprintf("the %s %d", kind, n), parts[1][:60])
			s.plant(fmt.Sprintf("the signature of the %s %d", kind, n), parts[2][:24])
		}
	}
	if n < 20 {
		s.t.Errorf("only %d tokens came by: the test shows less than it says", n)
	}
}
