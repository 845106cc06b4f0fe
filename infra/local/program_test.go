package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/local/demo"
)

// The demo is the README's first command: it must end well, and say what it did.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out, log buffer
	// The program that the demo starts is this test binary, which the variable turns into it.
	err := demo.Run(t.Context(), demo.Config{Program: os.Args[0], Env: []string{asProgram + "=1"}, Data: t.TempDir(), Out: &out, Log: &log})
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), log.String())
	}
	for _, part := range []string{"9. ", "generation 2", "it is there", "That is the main job"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the demo does not say %q:\n%s", part, out.String())
		}
	}
}

// A second start on the same data, after a kill, has the entry, the connector and a working token.
func TestKillAndStartAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir)
	v.app()
	entry := v.connected("kept")
	connector := v.connector(entry)
	waiting := v.entry("begun before the kill")
	result := v.consent(waiting)
	firstKey := v.key
	before := v.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	v.kill()

	again := spawn(t, dir)
	if again.key == firstKey {
		t.Error("the second start has the first one's key")
	}
	after := again.must(200, "GET", "/v1/vault-entries/"+entry, nil)
	if !bytes.Equal(before.body, after.body) {
		t.Errorf("the entry is another one:\n%s\n%s", before.body, after.body)
	}
	posts := again.posts("")
	again.must(200, "GET", "/v1/connectors/"+connector+"/orders?limit=2", nil)
	if n := again.posts("") - posts; n != 0 {
		t.Errorf("the token was not used as it was: %d calls of the token endpoint", n)
	}
	if a := again.with(map[string]string{"Authorization": "Bearer " + firstKey}, "GET", "/v1/providers", nil); a.status != http.StatusForbidden {
		t.Errorf("the key of the process that was killed still works: %d", a.status)
	}
	// What was begun before can be finished: the owner is the same one.
	again.must(200, "POST", "/v1/vault-entries/"+waiting+"/validate", object{"result_url": result})
	if err := again.stop(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, again.log)
	}
}

// A process that runs notices that another one was killed, and ends its key.
func TestKeysEndWithTheirProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v, other := start(t, dir, byItself), spawn(t, dir)
	as := func(key string) int {
		return v.with(map[string]string{"Authorization": "Bearer " + key}, "GET", "/v1/providers", nil).status
	}
	if as(other.key) != 200 || as(v.key) != 200 {
		t.Fatal("the keys of running processes do not work")
	}
	other.kill()
	v.eventually("the killed process's key is refused", func() bool { return as(other.key) == http.StatusForbidden })
	if as(v.key) != 200 {
		t.Error("the running process's key ended too")
	}
}

// A stop while a code is being exchanged waits for the answer and keeps it.
func TestStopFinishesWhatHasBegun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir)
	v.app()
	entry := v.entry("stopped")
	result := v.consent(entry)
	v.fault(object{"name": "slow", "endpoint": "token", "delay_ms": 1500, "times": 1})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = v.try(map[string]string{"Authorization": "Bearer " + v.key}, "POST", v.url+"/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
	}()
	v.eventually("the code is at the token endpoint", func() bool { return len(v.faults()) == 0 })
	if err := v.stop(); err != nil {
		t.Fatalf("%v\n%s", err, v.log)
	}
	<-gone
	again := start(t, dir)
	if s := again.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "status"); s != "active" {
		t.Errorf("after the stop the entry is %s", s)
	}
	if n := again.posts("authorization_code"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// A caller who hangs up changes nothing: the exchange is finished and kept.
func TestHangingUpFinishes(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.entry("hung up")
	result := v.consent(entry)
	v.fault(object{"name": "hold", "endpoint": "token", "times": 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, _ := json.Marshal(object{"result_url": result})
	request, _ := http.NewRequestWithContext(ctx, "POST", v.url+"/v1/vault-entries/"+entry+"/validate", bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+v.key)
	gone := make(chan error, 1)
	go func() {
		response, err := v.client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		gone <- err
	}()
	v.eventually("the code is at the token endpoint", func() bool { return v.faults()[0]["spent"] == true })
	cancel()
	if <-gone == nil {
		t.Fatal("the request was answered before its caller left")
	}
	v.sim("DELETE", "/_sim/faults", nil)
	v.eventually("the entry is active", func() bool {
		return v.must(200, "GET", "/v1/vault-entries/"+entry, nil).text(t, "status") == "active"
	})
}

// What the gateway says by itself looks like API Gateway's.
func TestGatewaysOwnAnswers(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	none := map[string]string{}
	for _, c := range []struct {
		name, method, path string
		header             map[string]string
		body               any
		status             int
		message            string
	}{
		{"no key", "GET", "/v1/providers", none, nil, 401, "Unauthorized"},
		{"a bad key", "GET", "/v1/providers", map[string]string{"Authorization": "Bearer cvk_nothing"}, nil, 403, "Forbidden"},
		{"another scheme", "GET", "/v1/providers", map[string]string{"Authorization": "Basic abc"}, nil, 403, "Forbidden"},
		{"an unknown route", "GET", "/v2/providers", none, nil, 404, "Not Found"},
		{"another method", "DELETE", "/v1/providers", none, nil, 404, "Not Found"},
		{"a huge header", "GET", "/v1/providers", map[string]string{"X-Long": strings.Repeat("a", 11000)}, nil, 431, "Request Header Fields Too Large"},
		{"a huge body", "POST", "/v1/vault-entries", map[string]string{"Authorization": "Bearer " + v.key}, strings.Repeat("a", 11<<20), 413, "Request Entity Too Large"},
	} {
		a := v.with(c.header, c.method, c.path, c.body)
		if a.status != c.status || a.text(t, "message") != c.message {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	large := v.do("POST", "/v1/vault-entries", strings.Repeat(" ", 300<<10))
	if large.status != http.StatusRequestEntityTooLarge || large.text(t, "code") != "invalid_request" {
		t.Errorf("a large body: %d %s", large.status, large.body)
	}
}

func TestStepClock(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	for name, body := range map[string]any{"nothing": object{}, "no unit": object{"advance": "10"}, "backwards": object{"advance": "-1s"}, "no JSON": "x"} {
		if a := v.do("POST", "/local/clock", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := v.with(nil, "POST", "/local/clock", object{"advance": "1s"}); a.status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", a.status)
	}
	v.advance(time.Hour)
}

// Without --clock there is no such route.
func TestNoClockUnlessAsked(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), "--clock=false", byItself)
	if a := v.do("POST", "/local/clock", object{"advance": "1s"}); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
}

// What cannot work says so in one line, and exits with 1.
func TestOneClearLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	file := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := filepath.Join(dir, "newer")
	v := start(t, newer)
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	fromTheFuture(t, filepath.Join(newer, "vault.db"))
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"an address in use", "in use", []string{"--listen", taken.Addr().String()}},
		{"no address", "cannot listen", []string{"--listen", "nowhere:port"}},
		{"data of a newer version", "newer", []string{"--data", newer}},
		{"data that is a file", "data folder", []string{"--data", file("file", "")}},
		{"no endpoints file", "endpoints file", []string{"--endpoints", filepath.Join(dir, "missing.json")}},
		{"endpoints that are no JSON", "endpoints file", []string{"--endpoints", file("bad.json", "{")}},
		{"endpoints of an unknown provider", "endpoints file", []string{"--endpoints", file("unknown.json", `{"amazn": {}}`)}},
		{"endpoints that are no address", "endpoints file", []string{"--endpoints", file("address.json", `{"amazon": {"token": "api.amazon.com"}}`)}},
		{"no models", "simulator", []string{"--amazon-models", filepath.Join(dir, "missing")}},
		{"an unknown command", "no command", []string{"serve"}},
	} {
		var out bytes.Buffer
		args := append([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "unused")}, c.args...)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		code := run(ctx, args, &out, &out)
		cancel()
		if code != 1 || strings.Count(strings.TrimSpace(out.String()), "\n") != 0 || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d: %s", c.name, code, out.String())
		}
	}
}

// fromTheFuture marks a file as written by a later version.
func fromTheFuture(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 9999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreTheOwners(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	v := start(t, dir)
	v.app()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Addresses of the endpoints file win over the simulators', one by one.
func TestEndpointsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	heard := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"no"}`))
	}))
	defer other.Close()
	path := filepath.Join(dir, "endpoints.json")
	if err := os.WriteFile(path, []byte(`{"amazon": {"token": "`+other.URL+`/own/token", "api": {"fe": "`+other.URL+`/fe"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	v := start(t, filepath.Join(dir, "data"), "--endpoints", path)
	a := v.sims.Amazon
	if a.Token != other.URL+"/own/token" || a.API["fe"] != other.URL+"/fe" || !strings.HasSuffix(a.API["na"], "/na") || a.Consent == "" {
		t.Fatalf("the ready file says %+v", a)
	}
	v.app()
	entry := v.entry("elsewhere")
	got := v.do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": v.consent(entry)})
	checkProblem(t, "the other token endpoint's answer", got, "authorization_code_spent")
	if path := <-heard; path != "/own/token" {
		t.Errorf("it was asked at %s", path)
	}
}

func TestWithoutSimulators(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), "--simulators=false")
	v.app()
	begun := v.must(200, "POST", "/v1/vault-entries/"+v.entry("real")+"/authorize", object{"mode": "result_url"})
	if u := begun.text(t, "oauth_request_url"); !strings.HasPrefix(u, "https://sellercentral.amazon.com/apps/authorize/consent?") {
		t.Errorf("consent is at %s", u)
	}
	if v.sims.Amazon.Token != "" {
		t.Errorf("the ready file names a simulator: %+v", v.sims)
	}
}
