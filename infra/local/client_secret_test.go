package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/local/program"
	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/shared/store/sqlitestore"
)

// providerApp is the application as the API shows it.
func (v *vault) providerApp() object {
	v.t.Helper()
	items, _ := v.must(200, "GET", "/v1/provider-apps", nil).json(v.t)["items"].([]any)
	for _, item := range items {
		if app := item.(object); app["provider"] == "amazon" && app["api_environment"] == "production" {
			return app
		}
	}
	v.t.Fatal("no application is registered")
	return nil
}

// until waits for what is under way already and cannot but come.
func (v *vault) until(what string, done func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	v.t.Fatalf("%s did not come:\n%s", what, v.log)
}

// rotations counts how often the provider made a new client secret.
func (v *vault) rotations() (n int) {
	v.t.Helper()
	var list struct {
		Items []amazonsim.CallCount `json:"items"`
	}
	if err := json.Unmarshal(v.sim("GET", "/_sim/calls", nil).body, &list); err != nil {
		v.t.Fatal(err)
	}
	for _, c := range list.Items {
		if c.Operation == "rotateApplicationClientSecret" && c.Outcome == "204" {
			n += c.Count
		}
	}
	return n
}

// appSecrets are the names of the application's secrets in the store.
func (v *vault) appSecrets() []string { return v.secretNames(program.Tenant + "/app/amazon/") }

func (v *vault) secretNames(prefix string) (names []string) {
	v.t.Helper()
	secrets, queue, err := sqlitestore.OpenFolder(v.t.Context(), sqlitestore.FolderConfig{Path: v.dir, Now: time.Now, Random: rand.Reader})
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = secrets.Close(); _ = queue.Close() }()
	names, _, err = secrets.ListSecrets(v.t.Context(), prefix, "")
	if err != nil {
		v.t.Fatal(err)
	}
	return names
}

func (v *vault) expiry(ends any) {
	v.t.Helper()
	v.sim("POST", "/_sim/apps/"+amazonsim.SeededApplicationID+"/expiry", object{"ends": ends})
}

// newSecret puts a message into the queue that the simulator did not send.
func (v *vault) newSecret(client, value string, ends, before time.Time) {
	v.t.Helper()
	v.sim("POST", "/_sim/messages", object{"notificationType": "APPLICATION_OAUTH_CLIENT_NEW_SECRET", "payload": object{"applicationOAuthClientNewSecret": object{
		"clientId": client, "newClientSecret": value, "newClientSecretExpiryTime": ends.UTC().Format(time.RFC3339), "oldClientSecretExpiryTime": before.UTC().Format(time.RFC3339)}}})
}

// ends is when a date of the application is.
func ends(t *testing.T, app object, name string) time.Time {
	t.Helper()
	text, _ := app[name].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatalf("%s is %v: %v", name, app[name], err)
	}
	return at
}

// The secret of an application that is registered lives 180 days. Two processes; the message that it ends comes three
// times; a new one is made once, and reads go on, before, while both work, and when the old one is gone, which is
// removed then.
func TestAClientSecretIsReplacedByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	spawn(t, dir)
	v.app()
	entry := v.connected("shop")
	orders := "/v1/connectors/" + v.connector(entry) + "/orders"
	reads := func(when string) {
		t.Helper()
		if a := v.do("GET", orders, nil); a.status != 200 {
			t.Errorf("%s: %d %s", when, a.status, a.body)
		}
	}
	marks := func() (out []string) {
		items, _ := v.must(200, "GET", "/v1/events?limit=100", nil).json(t)["items"].([]any)
		for _, item := range items {
			e := item.(object)
			if horizon, _ := e["horizon"].(object); horizon != nil && horizon["name"] == "client_secret" {
				out = append(out, fmt.Sprint(e["days_before"]))
			}
		}
		return out
	}
	reads("at first")
	first := ends(t, v.providerApp(), "client_secret_expires_at")
	v.advance(151 * 24 * time.Hour)
	v.schedule()
	if got := strings.Join(marks(), " "); got != "30" {
		t.Errorf("the marks are %s", got)
	}
	v.advance(16 * 24 * time.Hour)
	v.schedule()
	if got := strings.Join(marks(), " "); got != "30 14" && got != "14 30" {
		t.Errorf("the marks are %s", got)
	}
	reads("before the message")
	for range 3 {
		v.expiry(first)
	}
	v.schedule()
	app := v.providerApp()
	if !ends(t, app, "client_secret_expires_at").After(first) {
		t.Fatalf("there is no new secret: %v", app)
	}
	overlap := ends(t, app, "client_secret_expires_at").Sub(ends(t, app, "previous_secret_until"))
	if app["client_secret_expires_assumed"] != false || overlap < 172*24*time.Hour || overlap > 174*24*time.Hour {
		t.Errorf("the application is %v", app)
	}
	reads("while both work")
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	for range 3 { // what came too soon after the first comes again, and finds the newer secret
		v.advance(2 * time.Minute)
		v.schedule()
	}
	if n := v.rotations(); n != 1 {
		t.Errorf("the provider made %d secrets", n)
	}
	v.advance(6 * 24 * time.Hour)
	reads("a day before the old one ends")
	if len(v.appSecrets()) != 2 {
		t.Errorf("there are %v", v.appSecrets())
	}
	v.advance(2 * 24 * time.Hour)
	reads("when it has ended")
	if app := v.providerApp(); app["previous_secret_until"] != nil {
		t.Errorf("the application is %v", app)
	}
	for range 8 {
		if len(v.appSecrets()) == 1 {
			break
		}
		v.advance(25 * time.Hour)
		v.schedule()
	}
	if left := v.appSecrets(); len(left) != 1 {
		t.Errorf("there are %v", left)
	}
	v.advance(170 * 24 * time.Hour)
	v.schedule()
	if got := marks(); len(got) != 3 {
		t.Errorf("the marks are %v", got)
	}
}

// An owner asks by hand, and hears what happens next, or why nothing does.
func TestAnOwnerAsksForANewClientSecret(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	const path = "/v1/provider-apps/amazon/rotate-secret"
	v.must(404, "POST", path, object{})
	v.app()
	for name, want := range map[string]struct {
		path string
		body object
	}{"sandbox": {path, object{"api_environment": "sandbox"}}, "Sage": {"/v1/provider-apps/sage/rotate-secret", object{}}} {
		if a := v.do("POST", want.path, want.body); a.status != 409 || a.text(t, "code") != "rotation_unavailable" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	first := ends(t, v.providerApp(), "client_secret_expires_at")
	v.advance(time.Hour)
	if a := v.must(202, "POST", path, object{}); a.text(t, "status") != "requested" || a.text(t, "next") == "" {
		t.Errorf("%s", a.body)
	}
	if a := v.do("POST", path, object{}); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("at once again: %d %s", a.status, a.body)
	}
	v.schedule()
	if app := v.providerApp(); !ends(t, app, "client_secret_expires_at").After(first) {
		t.Fatalf("there is no new secret: %v", app)
	}
	v.connected("shop")
	v.sim("POST", "/_sim/faults", object{"name": "secret_expired", "endpoint": "token"})
	v.advance(2 * time.Hour)
	if a := v.do("POST", path, object{}); a.status < 400 || a.status == 429 {
		t.Errorf("with a client that is refused: %d %s", a.status, a.body)
	}
}

// A new secret that the provider does not take: the one before is used, and found out once. Messages that are repeated,
// older, another's, or none at all change nothing. Nothing shows any secret.
func TestMessagesAboutClientSecretsAreNotTrustedTooFar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir)
	v.app()
	entry := v.connected("shop")
	v.advance(time.Hour)
	now := ends(t, v.providerApp(), "client_secret_expires_at").Add(-180 * 24 * time.Hour)
	s := &secrets{t: t, planted: map[string]string{}, allowed: map[string]bool{}, answered: map[string][]byte{}}
	good := now.Add(190 * 24 * time.Hour).Truncate(time.Second)
	until := now.Add(7 * 24 * time.Hour)
	v.newSecret(amazonsim.SeededClientID, s.plant("the new secret", "amzn1.oa2-cs.v1.canary-new-3f9c1e77a5d2"), good, until)
	v.schedule()
	if app := v.providerApp(); !ends(t, app, "client_secret_expires_at").Equal(good) {
		t.Fatalf("the new secret is not there: %v", app)
	}
	names := v.appSecrets()
	v.newSecret(amazonsim.SeededClientID, s.plant("an older secret", "amzn1.oa2-cs.v1.canary-older-3f9c1e77a5d2"), good.Add(-time.Hour), until)
	v.newSecret(amazonsim.SeededClientID, s.plant("the new secret", "amzn1.oa2-cs.v1.canary-new-3f9c1e77a5d2"), good, until)
	v.newSecret("amzn1.application-oa2-client.ffffffffffffffffffffffffffffffff", s.plant("another's", "amzn1.oa2-cs.v1.canary-foreign-3f9c1e77a5d2"), good, until)
	v.sim("POST", "/_sim/messages", object{"notificationType": "SOMETHING", "payload": s.plant("in a strange message", "canary-strange-3f9c1e77a5d2")})
	v.sim("POST", "/_sim/messages", `{"op":"forget","tenant":"`+program.Tenant+`","entry":"`+entry+`","code":"`+s.plant("in a call", "canary-call-3f9c1e77a5d2")+`"}`)
	v.schedule()
	v.until("what is said of the last message", func() bool { // the log comes through a pipe
		return strings.Count(v.log.String(), "a message about a client secret is not carried out") >= 3
	})
	if app := v.providerApp(); !ends(t, app, "client_secret_expires_at").Equal(good) || strings.Join(v.appSecrets(), " ") != strings.Join(names, " ") {
		t.Errorf("the application is %v, its secrets %v", app, v.appSecrets())
	}
	v.sim("DELETE", "/_sim/calls", nil)
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	if n := v.posts("refresh_token"); n != 2 {
		t.Errorf("the first refresh made %d POSTs", n)
	}
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	if n := v.posts("refresh_token"); n != 3 {
		t.Errorf("two refreshes made %d POSTs", n)
	}
	if !strings.Contains(v.log.String(), "the client secret in force is refused and the one before is used") {
		t.Error("no operator hears of it")
	}
	if left := v.secretNames("notice/"); len(left) != 3 {
		t.Errorf("kept are %v; three messages are still there", left)
	}
	s.saw("the applications", v.must(200, "GET", "/v1/provider-apps", nil).body)
	s.saw("the log", []byte(v.log.String()))
	if err := v.stop(); err != nil {
		t.Error(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		s.saw(path, body)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	s.check()
}

// A process is killed while a rotation is on its way, wherever it is just then; another one carries it through.
func TestARotationOutlivesWhoCarriesItOut(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 250 * time.Millisecond, 350 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := spawn(t, dir, byItself)
			v.app()
			entry := v.connected("shop")
			first := ends(t, v.providerApp(), "client_secret_expires_at")
			v.advance(170 * 24 * time.Hour)
			v.expiry(first)
			time.Sleep(after)
			v.kill()
			v = start(t, dir)
			for range 20 {
				v.advance(2 * time.Minute)
				v.schedule()
				if ends(t, v.providerApp(), "client_secret_expires_at").After(first) {
					break
				}
			}
			v.advance(8 * 24 * time.Hour)
			v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
			if app := v.providerApp(); !ends(t, app, "client_secret_expires_at").After(first) {
				t.Errorf("the application is %v", app)
			}
		})
	}
}
