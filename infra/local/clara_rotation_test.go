package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clara steers the simulator of Clara.
func (v *vault) clara(want int, method, path string, body any) object {
	v.t.Helper()
	a, err := v.try(map[string]string{"Content-Type": "application/json"}, method, v.control("clara")+"/_sim/"+path, body)
	if err != nil || a.status != want {
		v.t.Fatalf("%s %s: %d %s, %v", method, path, a.status, a.body, err)
	}
	if len(a.body) == 0 {
		return nil
	}
	var out object
	if err := json.Unmarshal(a.body, &out); err != nil {
		v.t.Fatal(err)
	}
	return out
}

// connectedClara is an entry with a connector, and what it was made of.
func (v *vault) connectedClara(alias string, change object) (entry, connector string, project object) {
	v.t.Helper()
	project = v.claraProject(object{"country": "mx", "side": "production"})
	with := object{"download": project}
	for name, value := range change {
		with[name] = value
	}
	entry = v.must(201, "POST", "/v1/vault-entries", claraEntry(alias, with)).text(v.t, "id")
	connector = v.must(201, "POST", "/v1/connectors", object{"name": alias, "vault_entry": entry}).text(v.t, "id")
	return entry, connector, project
}

// oldHandshakes is how many handshakes there were with certificates other than one.
func (v *vault) oldHandshakes(but string) (old int) {
	v.t.Helper()
	for _, h := range v.clara(200, "GET", "handshakes", nil)["items"].([]any) {
		if h := h.(object); h["fingerprint"] != but {
			old += int(h["count"].(float64))
		}
	}
	return old
}

// Fifty clients read over two processes while the certificate is replaced; the provider takes each token with its own
// certificate only. Nobody's read fails, and once the answer is there nobody comes with the old certificate any more.
func TestClarasCertificateIsReplacedWhileFiftyRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	other := spawn(t, dir)
	v.clara(200, "POST", "faults", object{"name": "bound_tokens"})
	entry, connector, _ := v.connectedClara("cards", nil)
	path := "/v1/vault-entries/" + entry
	before := v.must(200, "GET", path, nil).json(t)

	var reads, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 50 {
		by := []*vault{v, other}[i%2]
		clients.Go(func() {
			// Fifty who ask without a pause, or all at once, would be a test of the machine.
			for pause := time.Duration(4*i) * time.Millisecond; ; pause = 200 * time.Millisecond {
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
				a, err := by.try(map[string]string{"Authorization": "Bearer " + by.key}, "GET", by.url+"/v1/connectors/"+connector+"/transactions?limit=1", nil)
				reads.Add(1)
				if err != nil || a.status != http.StatusOK {
					failed.Add(1)
					t.Errorf("a read: %d %s, %v", a.status, a.body, err)
				}
			}
		})
	}
	next := v.must(201, "POST", path+"/credentials", object{"download": v.claraProject(object{"country": "mx", "side": "production"})}).json(t)
	fingerprint, _ := next["certificate"].(object)["fingerprint"].(string)
	if next["number"] != 2.0 || next["primary"] != false || next["tried_at"] == nil || fingerprint == "" || len(next["reads"].([]any)) != 6 {
		t.Fatalf("it is %v", next)
	}
	if now := v.must(200, "GET", path, nil).json(t); now["token_key"] != before["token_key"] || len(now["credentials"].([]any)) != 2 {
		t.Fatalf("it is in force before it is promoted: %v", now)
	}
	during := reads.Load()
	after := v.must(200, "POST", path+"/credentials/2/promote", nil).json(t)
	v.clara(204, "DELETE", "handshakes", nil)
	asked := v.clara(200, "GET", "requests", nil)["items"].([]any)
	last := asked[len(asked)-1].(object)["seq"].(float64)
	inForce := reads.Load()
	more := func() { // every client reads some more
		from := reads.Load()
		v.eventually("reads go on", func() bool { return reads.Load() > from+100 })
	}
	more()
	v.advance(2 * time.Hour) // another token is asked for
	more()
	close(stop)
	clients.Wait()
	t.Logf("%d reads before, %d while it was promoted, %d after, %d failed", during, inForce-during, reads.Load()-inForce, failed.Load())
	if failed.Load() != 0 || inForce == during || reads.Load() == inForce {
		t.Errorf("%d of %d reads failed", failed.Load(), reads.Load())
	}
	if n := v.oldHandshakes(fingerprint); n != 0 {
		t.Errorf("%d handshakes with the old certificate", n)
	}
	for _, r := range v.clara(200, "GET", fmt.Sprintf("requests?after=%d", int(last)), nil)["items"].([]any) {
		if r := r.(object); r["fingerprint"] != fingerprint {
			t.Errorf("the old certificate was still used: %v", r)
		}
	}
	account := after["account"].(object)
	if after["token_key"] == before["token_key"] || account["id"] != after["token_key"] || len(after["credentials"].([]any)) != 1 ||
		after["certificate"].(object)["fingerprint"] != fingerprint || after["status"] != "active" {
		t.Errorf("it is %v", after)
	}
	if was, is := before["token"].(object)["generation"].(float64), after["token"].(object)["generation"].(float64); is != was+1 {
		t.Errorf("the token of the old certificate is still in force: generation %v after %v", is, was)
	}
	again := v.must(200, "POST", path+"/credentials/2/promote", nil).json(t) // a repeat changes nothing
	if again["account"].(object)["id"] != account["id"] {
		t.Errorf("it is %v", again)
	}
}

// A client that the provider refuses is not kept, one that cannot be right is named, and each part of a client is replaced
// with the rest of it or not at all.
func TestClarasNextClientIsTriedBeforeItIsKept(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry, connector, project := v.connectedClara("cards", nil)
	path := "/v1/vault-entries/" + entry
	good := v.claraProject(object{"country": "mx", "side": "production"})
	wrong := object{}
	for _, name := range []string{"clientId", "publicKey", "privateKey"} {
		wrong[name] = good[name]
	}
	wrong["clientSecret"] = "canary-wrong-secret"
	fails := func(want int, code, method, path string, body any) {
		t.Helper()
		a := v.do(method, path, body)
		if a.status != want || a.text(t, "code") != code || a.text(t, "action") == "" || strings.Contains(string(a.body), "canary") {
			t.Errorf("%s %s: %d %s; want %d %s", method, path, a.status, a.body, want, code)
		}
	}
	waiting := func(want int) {
		t.Helper()
		if got := v.must(200, "GET", path+"/credentials", nil).json(t)["items"].([]any); len(got) != want {
			t.Errorf("there are %v", got)
		}
	}
	fails(400, "client_misconfigured", "POST", path+"/credentials", object{"download": object{"credentials": wrong}})
	waiting(1)
	fails(409, "no_authorization", "POST", path+"/authorize", nil)
	fails(400, "invalid_field", "POST", path+"/credentials", object{"token_key": "half-of-it"})
	fails(400, "invalid_field", "POST", path+"/credentials", object{"download": good, "country": "br"})
	fails(409, "credential_in_force", "PATCH", path, object{"secret_key": "canary"})
	fails(409, "credential_in_force", "PATCH", path, object{"token_key": "canary"})
	fails(409, "credential_in_force", "PATCH", path, object{"download": good})
	fails(404, "not_found", "POST", path+"/credentials/2/promote", nil)
	fails(404, "not_found", "POST", path+"/credentials/02/promote", nil)
	fails(404, "not_found", "POST", path+"/credentials/-1/promote", nil)
	fails(404, "not_found", "DELETE", path+"/credentials/7", nil)
	fails(409, "credential_in_force", "DELETE", path+"/credentials/1", nil)
	v.must(200, "PATCH", path, object{"project_expires_at": "2027-03-01"})

	// The provider cannot say now: it is kept and not tried, and promoting it tries it.
	v.clara(200, "POST", "faults", object{"name": "error_503", "endpoint": "token", "times": 4})
	next := v.must(201, "POST", path+"/credentials", object{"download": good}).json(t)
	if next["tried_at"] != nil || next["number"] != 3.0 { // the refused one was the second
		t.Errorf("it is %v", next)
	}
	waiting(2)
	fails(503, "provider_unavailable", "POST", path+"/credentials/3/promote", nil)
	v.clara(204, "DELETE", "faults", nil)
	v.must(200, "GET", "/v1/connectors/"+connector+"/cards?limit=1", nil)

	// What is refused takes nobody's place: the one that waits is there, and works.
	fails(400, "client_misconfigured", "POST", path+"/credentials", object{"download": object{"credentials": wrong}})
	if items := v.must(200, "GET", path+"/credentials", nil).json(t)["items"].([]any); len(items) != 2 || items[1].(object)["number"] != 3.0 {
		t.Errorf("there are %v", items)
	}

	// One that is added meanwhile takes its place; numbers are not given twice.
	key := map[string]string{"Idempotency-Key": "once", "Authorization": "Bearer " + v.key}
	body := object{"download": v.claraProject(object{"country": "mx", "side": "production", "permissions": []string{"cards:read"}})}
	fifth, again := v.with(key, "POST", path+"/credentials", body), v.with(key, "POST", path+"/credentials", body)
	if fifth.status != 201 || again.status != 201 || fifth.json(t)["number"] != 5.0 || again.json(t)["number"] != 5.0 {
		t.Errorf("%d %s, %d %s", fifth.status, fifth.body, again.status, again.body)
	}
	fails(404, "not_found", "POST", path+"/credentials/3/promote", nil)
	v.must(204, "DELETE", path+"/credentials/5", nil)
	waiting(1)
	if sixth := v.must(201, "POST", path+"/credentials", object{"download": good}).json(t); sixth["number"] != 6.0 {
		t.Errorf("it is %v", sixth)
	}
	// The project behind the old client ends, and the entry is of no use; its successor mends that.
	v.clara(200, "PATCH", "projects/"+project["clientId"].(string), object{"expires_at": "2020-01-01T00:00:00Z"})
	v.advance(2 * time.Hour)
	if a := v.do("GET", "/v1/connectors/"+connector+"/cards?limit=1", nil); a.status < 400 {
		t.Errorf("a project that has ended reads: %d", a.status)
	}
	v.must(200, "POST", path+"/credentials/6/promote", nil)
	v.must(200, "GET", "/v1/connectors/"+connector+"/cards?limit=1", nil)
	if e := v.must(200, "GET", path, nil).json(t); e["status"] != "active" || e["health"] != "ok" {
		t.Errorf("it is %v", e)
	}
	v.must(204, "DELETE", "/v1/connectors/"+connector, nil)
	v.must(204, "DELETE", path, nil)

	// Entries of other providers have nothing of the kind.
	v.app()
	fails(409, "no_credentials", "POST", "/v1/vault-entries/"+v.entry("store")+"/credentials", object{"download": good})
}
