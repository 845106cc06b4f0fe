package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
)

// token makes a connector token and returns its id and its text.
func (v *vault) token(change object) (id, text string) {
	v.t.Helper()
	in := object{"providers": []string{"amazon"}, "environment": "test", "uses": 3, "expires_in_hours": 24}
	for name, value := range change {
		in[name] = value
	}
	made := v.must(201, "POST", "/v1/connector-tokens", in)
	return made.text(v.t, "id"), made.text(v.t, "token")
}

// usesLeft is what the owner is told of a token.
func (v *vault) usesLeft(id string) float64 {
	v.t.Helper()
	return v.must(200, "GET", "/v1/connector-tokens/"+id, nil).json(v.t)["uses_left"].(float64)
}

// mustAs is as, for what has to succeed.
func (v *vault) mustAs(key string, want int, method, path string, body any) answer {
	v.t.Helper()
	a := v.as(key).do(method, path, body)
	if a.status != want {
		v.t.Fatalf("%s %s: %d, want %d: %.600s", method, path, a.status, want, a.body)
	}
	return a
}

// With the token and nothing else an account is connected, through either door: the provider is looked up, an entry made,
// authorized, looked at, and given a connector. The owner then reads.
func TestAnAccountIsConnectedByATokenAlone(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	id, token := v.token(object{"label": "for the Smiths"})
	if p := v.mustAs(token, 200, "GET", "/v1/providers/amazon", nil).json(t); p["redirect_uri"] == "" || len(p["fields"].([]any)) == 0 {
		t.Errorf("the provider is %v", p)
	}
	ready := v.mustAs(token, 200, "POST", "/v1/preflight", object{"provider": "amazon", "alias": "shop", "region": "na"})
	for _, check := range ready.json(t)["checks"].([]any) {
		if c := check.(object); c["passed"] != true && c["check"] != "callback_registered" { // nobody has said so
			t.Errorf("%v is missing", c)
		}
	}
	for _, mode := range []string{"result_url", "browser"} {
		made := v.mustAs(token, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "shop by " + mode, "region": "na"})
		if made.text(t, "environment") != "test" || made.text(t, "connector_token") != id || made.text(t, "status") != "pending" {
			t.Errorf("made is %s", made.body)
		}
		entry := "/v1/vault-entries/" + made.text(t, "id")
		begun := v.mustAs(token, 200, "POST", entry+"/authorize", object{"mode": mode})
		b := newBrowser(t)
		if mode == "result_url" {
			b.open(begun.text(t, "oauth_request_url"))
			back := b.submit("")
			// Nobody else's credential completes it, and the token does.
			if a := v.do("POST", entry+"/validate", object{"result_url": back}); a.status != 403 || a.text(t, "code") != "forbidden" {
				t.Errorf("an owner validates what the token began: %d %s", a.status, a.body)
			}
			v.mustAs(token, 200, "POST", entry+"/validate", object{"result_url": back})
		} else {
			b.open(begun.text(t, "start_url"))
			if !strings.Contains(string(b.body), "for the Smiths") {
				t.Errorf("the start page does not say who began: %s", b.body)
			}
			b.open(b.submit(""))
			back := b.submit("")
			stranger := newBrowser(t)
			stranger.open(back)
			if stranger.last.StatusCode != http.StatusForbidden {
				t.Errorf("another browser completes it: %d", stranger.last.StatusCode)
			}
			b.open(back)
		}
		if got := v.mustAs(token, 200, "GET", entry, nil); got.text(t, "status") != "active" {
			t.Fatalf("it is %s", got.body)
		}
		connector := v.mustAs(token, 201, "POST", "/v1/connectors", object{"name": mode, "vault_entry": made.text(t, "id")}).text(t, "id")
		if a := v.as(token).do("GET", "/v1/connectors/"+connector+"/orders?limit=1", nil); a.status != 403 {
			t.Errorf("the holder reads: %d %s", a.status, a.body)
		}
		v.must(200, "GET", "/v1/connectors/"+connector+"/orders?limit=1", nil)
		if a := v.as(token).do("DELETE", entry, nil); a.status != 409 { // in use, and authorized
			t.Errorf("the holder removes what is connected: %d %s", a.status, a.body)
		}
	}
	if left := v.usesLeft(id); left != 1 {
		t.Errorf("%v uses are left", left)
	}
	// A third is given up, and its use comes back.
	third := v.mustAs(token, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "third", "region": "na"}).text(t, "id")
	v.mustAs(token, 204, "DELETE", "/v1/vault-entries/"+third, nil)
	if left := v.usesLeft(id); left != 1 {
		t.Errorf("%v uses are left", left)
	}
	if strings.Contains(v.log.String(), token) {
		t.Error("the token was logged")
	}
}

// A Clara account takes a token that an owner gave. What Clara refuses is not kept, and takes no use.
func TestClaraIsConnectedByATokenOfAnOwner(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	admin := v.must(201, "POST", "/v1/keys", object{"role": "admin", "label": "an admin"}).text(t, "key")
	in := object{"providers": []string{"clara"}, "environment": "test", "uses": 1, "expires_in_hours": 1}
	if a := v.as(admin).do("POST", "/v1/connector-tokens", in); a.status != 403 || a.text(t, "code") != "forbidden" {
		t.Errorf("an admin gives one: %d %s", a.status, a.body)
	}
	id, token := v.token(in)
	if items := v.mustAs(token, 200, "GET", "/v1/providers", nil).json(t)["items"].([]any); len(items) != 1 {
		t.Errorf("%d providers are seen", len(items))
	}
	project := v.claraProject(object{"country": "mx", "side": "production"})
	credentials, _ := project["credentials"].(object)
	if credentials == nil {
		credentials = project
	}
	wrong := object{}
	for n, x := range credentials {
		wrong[n] = x
	}
	wrong["clientSecret"] = "canary-wrong-secret"
	if a := v.as(token).do("POST", "/v1/vault-entries", claraEntry("cards", object{"download": object{"credentials": wrong}})); a.status < 400 {
		t.Errorf("a wrong secret: %d %s", a.status, a.body)
	}
	if left := v.usesLeft(id); left != 1 {
		t.Errorf("%v uses are left", left)
	}
	made := v.mustAs(token, 201, "POST", "/v1/vault-entries", claraEntry("cards", object{"download": project}))
	if made.text(t, "status") != "active" {
		t.Errorf("it is %s", made.body)
	}
	v.mustAs(token, 201, "POST", "/v1/connectors", object{"name": "cards", "vault_entry": made.text(t, "id")})
	if a := v.as(token).do("POST", "/v1/vault-entries", claraEntry("more", object{"download": project})); a.status != 409 || a.text(t, "code") != "connector_token_used_up" {
		t.Errorf("a second: %d %s", a.status, a.body)
	}
}

// Every route, with a token: refused, but for those by which its holder connects an account; and these know no entry but
// its own.
func TestATokenBeyondItsPowers(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.connected("the owner's")
	connector := v.connector(entry)
	keyID := v.must(201, "POST", "/v1/keys", object{"role": "reader", "label": "x"}).text(t, "id")
	otherID, other := v.token(nil)
	pending := v.mustAs(other, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "another's", "region": "na"}).text(t, "id")
	_, token := v.token(object{"environment": "production"})
	own := v.mustAs(token, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "its own", "region": "na"}).text(t, "id")

	// What the open ones among them answer to what the token did not make.
	foreign := map[string]struct {
		body any
		want int
	}{
		"GET /v1/providers/{provider}":          {nil, 404},
		"POST /v1/vault-entries":                {object{"provider": "sage", "alias": "x", "environment": "production"}, 403},
		"GET /v1/vault-entries/{id}":            {nil, 404},
		"DELETE /v1/vault-entries/{id}":         {nil, 404},
		"POST /v1/vault-entries/{id}/authorize": {object{"mode": "browser"}, 404},
		"POST /v1/vault-entries/{id}/validate":  {object{"result_url": v.url + "/oauth/amazon/callback?state=x"}, 404},
		"POST /v1/preflight":                    {object{"provider": "sage"}, 403},
		"POST /v1/connectors":                   {object{"name": "x", "vault_entry": entry}, 404},
	}
	refused := 0
	for _, r := range route.Table() {
		if r.Open || r.Key() == "GET /v1/providers" {
			continue
		}
		for _, target := range []string{entry, pending, own} {
			ids := strings.NewReplacer("{provider}", "sage", "{number}", "1", "{resource}", "orders", "{item}", "1", "{id}", target)
			switch {
			case strings.HasPrefix(r.Path, "/v1/connectors/"):
				ids = strings.NewReplacer("{id}", connector, "{resource}", "orders", "{item}", "1")
			case strings.HasPrefix(r.Path, "/v1/connector-tokens/"):
				ids = strings.NewReplacer("{id}", otherID)
			case strings.HasPrefix(r.Path, "/v1/keys/"):
				ids = strings.NewReplacer("{id}", keyID)
			}
			f, open := foreign[r.Key()]
			if open != access.May(record.TokenHolder, r.Right) {
				t.Errorf("%s: nobody has said what it answers to a token", r.Key())
			}
			if open && target == own {
				continue // the journey goes there
			}
			want := 403
			if open {
				want = f.want
			}
			body := f.body
			if body == nil && r.Method != http.MethodGet && r.Method != http.MethodDelete {
				body = object{}
			}
			a := v.as(token).do(r.Method, ids.Replace(r.Path), body)
			if code := a.text(t, "code"); a.status != want || want == 403 && code != "forbidden" && code != "connector_token_scope" {
				t.Errorf("%s of %s: %d %s; want %d", r.Key(), target, a.status, a.body, want)
			}
			refused++
		}
	}
	if refused < 70 {
		t.Errorf("only %d were asked", refused)
	}
	unknown := v.as(token).do("GET", "/v1/vault-entries/ve_0000000000000000", nil)
	for _, id := range []string{entry, pending} {
		known := v.as(token).do("GET", "/v1/vault-entries/"+id, nil).json(t)
		was := unknown.json(t)
		delete(known, "request_id")
		delete(was, "request_id")
		if strings.ReplaceAll(fmt.Sprint(known), id, "") != strings.ReplaceAll(fmt.Sprint(was), "ve_0000000000000000", "") {
			t.Errorf("%v tells that there is one: %v", known, was)
		}
	}
	if a := v.as(token).do("POST", "/v1/vault-entries/"+own+"/authorize", object{"mode": "refresh_token", "refresh_token": "x", "selling_partner_id": "y"}); a.status != 403 {
		t.Errorf("a refresh token is brought: %d %s", a.status, a.body)
	}
	if a := v.with(map[string]string{"Authorization": "Bearer " + token}, "POST", "/local/clock", object{"advance": "1s"}); a.status != 403 {
		t.Errorf("the clock is stepped: %d %s", a.status, a.body)
	}
	// Nothing of it changed anything.
	v.must(200, "GET", "/v1/connectors/"+connector+"/orders?limit=1", nil)
	v.mustAs(other, 200, "GET", "/v1/vault-entries/"+pending, nil)
	v.mustAs(token, 200, "GET", "/v1/vault-entries/"+own, nil)
	operator := v.must(201, "POST", "/v1/keys", object{"role": "operator", "label": "x"}).text(t, "key")
	if a := v.as(operator).do("POST", "/v1/connectors", object{"name": "x", "vault_entry": entry}); a.status != 403 || !strings.Contains(a.text(t, "action"), "connector token") {
		t.Errorf("an operator makes a connector without: %d %s", a.status, a.body)
	}
}

// A token that is revoked or has expired is refused at the gateway. What it made stays, and is the owner's to go on with.
func TestATokenEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	v.app()
	revoked, first := v.token(nil)
	_, second := v.token(object{"expires_in_hours": 2})
	entry := v.mustAs(first, 201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": "one", "region": "na"}).text(t, "id")
	v.mustAs(second, 200, "GET", "/v1/providers", nil)
	v.must(204, "DELETE", "/v1/connector-tokens/"+revoked, nil)
	v.must(204, "DELETE", "/v1/connector-tokens/"+revoked, nil)
	v.advance(2 * time.Hour)
	for _, token := range []string{first, second} {
		await(t, func() bool {
			a := v.as(token).do("GET", "/v1/providers", nil)
			return a.status == http.StatusForbidden && !strings.Contains(string(a.body), "code")
		})
	}
	v.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": v.consent(entry)})
	v.connector(entry)
	if a := v.must(200, "GET", "/v1/connector-tokens", nil); strings.Count(string(a.body), "revoked") != 1 || strings.Count(string(a.body), "expired") != 1 {
		t.Errorf("listed are %s", a.body)
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no files", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		for _, token := range []string{first, second} {
			if secret := token[36:79]; strings.Contains(string(body), secret) {
				t.Errorf("%s has a token", file)
			}
		}
	}
	if log := v.log.String(); strings.Contains(log, first) || strings.Contains(log, second) {
		t.Error("a token was logged")
	}
}

// Two processes on one folder, two hundred callers, seven uses: seven entries. The requests of each idempotency key are one.
func TestUsesAreCountedAcrossProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := spawn(t, dir), spawn(t, dir)
	first.app()
	id, token := first.token(object{"uses": 7})
	var mu sync.Mutex
	made := map[string]bool{}
	var running sync.WaitGroup
	for i := range 200 {
		running.Go(func() {
			v := []*vault{first, second}[i%2]
			header := map[string]string{"Authorization": "Bearer " + token}
			alias := fmt.Sprintf("shop %d", i)
			if i < 100 { // both processes hear the same request
				header["Idempotency-Key"], alias = fmt.Sprintf("key-%d", i/2), fmt.Sprintf("shop %d", i/2+1000)
			}
			a, err := v.try(header, "POST", v.url+"/v1/vault-entries", object{"provider": "amazon", "alias": alias, "region": "na"})
			var body struct{ ID, Code string }
			if err == nil {
				err = json.Unmarshal(a.body, &body)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && a.status == 201:
				made[body.ID] = true
			case err != nil || a.status != 409 || body.Code != "connector_token_used_up":
				t.Errorf("%d %s %v", a.status, a.body, err)
			}
		})
	}
	running.Wait()
	var listed struct{ Items []object }
	if err := json.Unmarshal(second.must(200, "GET", "/v1/vault-entries?limit=100", nil).body, &listed); err != nil {
		t.Fatal(err)
	}
	if len(made) != 7 || len(listed.Items) != 7 || second.usesLeft(id) != 0 {
		t.Errorf("%d entries were answered, %d are there, %v uses are left", len(made), len(listed.Items), second.usesLeft(id))
	}
}
