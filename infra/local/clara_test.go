package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
)

// claraProject asks the simulator for an API project, and returns what its dashboard would let a person download.
func (v *vault) claraProject(want object) object {
	v.t.Helper()
	body, err := json.Marshal(want)
	if err != nil {
		v.t.Fatal(err)
	}
	response, err := v.client.Post(v.control("clara")+"/_sim/projects", "application/json", strings.NewReader(string(body)))
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var out object
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil || response.StatusCode != http.StatusOK {
		v.t.Fatalf("%d %v %v", response.StatusCode, out, err)
	}
	return out
}

// control is where a simulator is steered that has an address of its own for it.
func (v *vault) control(name string) string {
	v.t.Helper()
	files, err := filepath.Glob(filepath.Join(v.dir, "ready-*.json"))
	if err != nil || len(files) == 0 {
		v.t.Fatal("there is no ready file", err)
	}
	body, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		v.t.Fatal(err)
	}
	var ready struct {
		Controls map[string]string `json:"simulator_controls"`
	}
	if err := json.Unmarshal(body, &ready); err != nil || ready.Controls[name] == "" {
		v.t.Fatalf("%s: %v", body, err)
	}
	return ready.Controls[name]
}

func claraEntry(alias string, change object) object {
	out := object{"provider": "clara", "alias": alias, "environment": "test", "country": "mx"}
	for name, value := range change {
		out[name] = value
	}
	return out
}

// Saving is connecting: a token is acquired over mutual TLS, and the entry says what it may read.
func TestClaraIsConnectedBySaving(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	project := v.claraProject(object{"country": "mx", "side": "production", "permissions": []string{"transactions:read", "cards:read"}})
	e := v.must(201, "POST", "/v1/vault-entries", claraEntry("cards", object{"download": project})).json(t)
	if e["status"] != "active" || e["identity"] != "verified" || fmt.Sprint(e["secrets"]) == "[]" {
		t.Fatalf("it is %v", e)
	}
	allowed := map[string]any{}
	for _, r := range e["account"].(object)["reads"].([]any) {
		allowed[r.(object)["resource"].(string)] = r.(object)["allowed"]
	}
	if allowed["transactions"] != true || allowed["cards"] != true || allowed["users"] != false || allowed["groups"] != false {
		t.Errorf("it may read %v", allowed)
	}
	base := "/v1/connectors/" + v.must(201, "POST", "/v1/connectors", object{"name": "cards", "vault_entry": e["id"]}).text(t, "id")
	for _, what := range []string{"/transactions?limit=5", "/cards?limit=5"} {
		if items := v.must(200, "GET", base+what, nil).json(t)["items"].([]any); len(items) != 5 {
			t.Errorf("%s has %d items", what, len(items))
		}
	}
	if a := v.do("GET", base+"/users", nil); a.status < 400 || a.text(t, "code") == "" {
		t.Errorf("users: %d %s", a.status, a.body)
	}
	v.advance(2 * time.Hour) // the token has ended, and there is no refresh token: another is asked for
	v.must(200, "GET", base+"/transactions?limit=1", nil)
	if g := v.must(200, "GET", "/v1/vault-entries/"+e["id"].(string), nil).json(t)["token"].(object)["generation"]; g != 2.0 {
		t.Errorf("generation %v is in force", g)
	}
}

// What Clara refuses, and what cannot be right, leaves nothing behind.
func TestClaraRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	good := v.claraProject(object{"country": "mx", "side": "production"})
	credentials, _ := good["credentials"].(object)
	if credentials == nil {
		credentials = good
	}
	with := func(name string, value any) object {
		changed := object{}
		for n, x := range credentials {
			changed[n] = x
		}
		changed[name] = value
		return object{"download": object{"credentials": changed}}
	}
	other := v.claraProject(object{"country": "mx", "side": "production"})
	theirs, _ := other["credentials"].(object)
	if theirs == nil {
		theirs = other
	}
	for name, fields := range map[string]object{
		"another secret":       with("clientSecret", "canary-wrong-secret"),
		"another key":          with("privateKey", theirs["privateKey"]),
		"no PEM":               with("publicKey", "canary, and no PEM"),
		"swapped":              with("publicKey", credentials["privateKey"]),
		"another certificate":  {"download": object{"credentials": object{"clientId": credentials["clientId"], "clientSecret": credentials["clientSecret"], "publicKey": theirs["publicKey"], "privateKey": theirs["privateKey"]}}},
		"a file that is none":  {"download": "canary"},
		"nothing":              {},
		"another country":      {"country": "us", "download": good},
		"an unknown member":    {"download": good, "tokenkey": "x"},
		"half of the download": {"download": object{"clientId": clarasim.SeedClientID}},
	} {
		a := v.do("POST", "/v1/vault-entries", claraEntry("wrong", fields))
		if a.status < 400 || a.status == 500 || a.text(t, "code") == "" || a.text(t, "action") == "" || strings.Contains(string(a.body), "canary") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if items := v.must(200, "GET", "/v1/vault-entries", nil).json(t)["items"].([]any); len(items) != 0 {
		t.Errorf("%d entries are left", len(items))
	}
	v.must(201, "POST", "/v1/vault-entries", claraEntry("right", object{"download": good}))
}
