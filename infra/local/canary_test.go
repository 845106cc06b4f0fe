package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

// secrets collects everything that must not be seen, and everything that was.
type secrets struct {
	t        *testing.T
	planted  map[string]string // what it is → the secret
	allowed  map[string]bool   // what + where it may be seen
	answered map[string][]byte // where → what was seen
}

func (s *secrets) plant(what, value string) string {
	s.t.Helper()
	if len(value) < 12 {
		s.t.Fatalf("the canary %s is too short to be found: %q", what, value)
	}
	s.planted[what] = value
	return value
}

func (s *secrets) saw(where string, b []byte) { s.answered[where] = append(s.answered[where], b...) }

// forms are the ways in which a secret can hide. Within base64 of something longer it looks in three ways, after where it
// begins; its ends, which its neighbours change, are left out. A mark that is short is looked for as it is.
func forms(value string) [][]byte {
	out := [][]byte{[]byte(value), []byte(url.QueryEscape(value)), []byte(url.PathEscape(value)), []byte(hex.EncodeToString([]byte(value)))}
	if len(value) < 12 {
		return out[:1]
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			whole := encoding.EncodeToString(append(make([]byte, offset), value...))
			out = append(out, []byte(whole[4:len(whole)-4]))
		}
	}
	return out
}

func (s *secrets) check() {
	s.t.Helper()
	for where, b := range s.answered {
		for what, value := range s.planted {
			if s.allowed[what+" in "+where] {
				continue
			}
			for _, form := range forms(value) {
				if bytes.Contains(b, form) {
					s.t.Errorf("%s is in %s", what, where)
					break
				}
			}
		}
	}
}

// Every secret that goes in or comes by is looked for in every answer, every log line and every file, the simulator's
// own among them.
func TestCanaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir)
	s := &secrets{t: t, planted: map[string]string{}, allowed: map[string]bool{}, answered: map[string][]byte{}}
	do := func(method, path string, body any) answer {
		a := v.do(method, path, body)
		head, _ := json.Marshal(a.header)
		s.saw("the answer to "+method+" "+path, append(head, a.body...))
		return a
	}
	s.plant("the owner's key", v.key)

	// The application: registered well, and badly with the secret in every field.
	secret := s.plant("the client secret", amazonsim.SeededClientSecret)
	good := object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID, "client_secret": secret}
	if a := do("PUT", "/v1/provider-apps/amazon", good); a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	for field := range good {
		bad := object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID, "client_secret": secret}
		bad[field] = s.plant("the canary in "+field, "canary-"+field+"-3f9c1e77a5d2 with spaces")
		do("PUT", "/v1/provider-apps/amazon", bad)
	}
	// What a caller sends in a public field comes back to that caller; what matters is that it is written nowhere.
	do("GET", "/v1/provider-apps", nil)
	do("GET", "/v1/providers", nil)

	entry := v.entry("canaries")
	begun := do("POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "result_url"})
	result := v.giveConsent(begun.text(t, "oauth_request_url"))
	u, _ := url.Parse(result)
	s.plant("the authorization code", u.Query().Get("spapi_oauth_code"))
	s.plant("the state", u.Query().Get("state"))
	s.allowed["the state in the answer to POST /v1/vault-entries/"+entry+"/authorize"] = true // that is what it is for
	visit := newBrowser(t)
	visit.open(result)
	s.saw("the callback's page", visit.body)
	for _, spoilt := range []string{result + "&state=x", result + "#a", strings.Replace(result, "127.0.0.1", "user:pass@127.0.0.1", 1),
		strings.Replace(result, "/callback", "/callbac", 1)} {
		do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": spoilt})
	}
	for _, f := range []string{"error_500", "html_400", "secret_expired"} {
		v.fault(object{"name": f, "endpoint": "token", "times": 2})
		do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result})
		v.sim("DELETE", "/_sim/faults", nil)
	}
	if a := do("POST", "/v1/vault-entries/"+entry+"/validate", object{"result_url": result}); a.status != 200 {
		t.Fatalf("%s", a.body)
	}

	// The browser door, with its handle, state and cookie.
	second := v.entry("canaries by browser")
	a := do("POST", "/v1/vault-entries/"+second+"/authorize", object{"mode": "browser"})
	startURL := a.text(t, "start_url")
	s.plant("the start handle", startURL[strings.LastIndex(startURL, "/")+1:])
	s.allowed["the start handle in the answer to POST /v1/vault-entries/"+second+"/authorize"] = true
	b := newBrowser(t)
	b.open(startURL)
	s.saw("the start page", b.body)
	consent := b.submit("")
	s.plant("the browser's cookie", b.last.Cookies()[0].Value)
	b.open(consent)
	back, _ := url.Parse(b.submit(""))
	s.plant("the browser's code", back.Query().Get("spapi_oauth_code"))
	s.plant("the browser's state", back.Query().Get("state"))
	b.open(back.String())
	s.saw("the page after consent", b.body)

	// A refresh token that an owner brings, and one that is refused.
	var own struct {
		RefreshToken string `json:"refresh_token"`
	}
	_ = json.Unmarshal(v.sim("POST", "/_sim/self-authorizations", object{"application_id": amazonsim.SeededApplicationID,
		"selling_partner_id": amazonsim.SellerNorthAmerica, "region": "na"}).body, &own)
	third := v.entry("canaries by token")
	s.plant("the owner's refresh token", own.RefreshToken)
	s.plant("the refused refresh token", "Atzr|IwEBcanary5d0f2c99e1")
	do("POST", "/v1/vault-entries/"+third+"/authorize", object{"mode": "refresh_token", "refresh_token": "Atzr|IwEBcanary5d0f2c99e1", "selling_partner_id": "A1SYNSELLERNA1"})
	do("POST", "/v1/vault-entries/"+third+"/authorize", object{"mode": "browser", "refresh_token": own.RefreshToken})
	do("POST", "/v1/vault-entries/"+third+"/authorize", object{"mode": "refresh_token", "refresh_token": own.RefreshToken, "selling_partner_id": "A1SYNSELLERNA1"})

	// Reads, good and bad, over the life of several tokens.
	connector := v.connector(entry)
	base := "/v1/connectors/" + connector
	for _, path := range []string{"/orders?limit=3", "/orders?limit=3&personal_data=true", "/poems", "/inventory?cursor=x", "/marketplaces"} {
		do("GET", base+path, nil)
	}
	made := do("POST", base+"/reports", object{"reportType": "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING"})
	var l listing
	_ = json.Unmarshal(made.body, &l)
	v.advance(2 * time.Hour)
	if a := do("GET", base+"/reports/"+l.Items[0]["reportId"].(string)+"/document?personal_data=true", nil); a.status != 200 {
		t.Errorf("%s", a.body)
	}
	do("POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	do("POST", "/v1/vault-entries/"+entry+"/check", nil)
	for _, f := range []object{{"name": "error_500", "endpoint": "token"}, {"name": "html_400", "endpoint": "api"}, {"name": "token_expired", "endpoint": "api"}, {"name": "drop", "endpoint": "api"}} {
		v.fault(f)
		do("GET", base+"/marketplaces", nil)
		do("POST", "/v1/vault-entries/"+entry+"/refresh", nil)
		v.sim("DELETE", "/_sim/faults", nil)
	}
	do("GET", "/v1/vault-entries", nil)
	do("GET", "/v1/vault-entries/"+entry, nil)
	do("GET", "/v1/connectors", nil)
	for what, prefix := range map[string]string{"an access token": "Atza|", "a refresh token": "Atzr|", "a code of Amazon's": "ANSim"} {
		s.planted[what] = prefix
	}
	s.planted["a restricted data token"] = "Atz.sprdt|"
	if n := v.posts("refresh_token"); n == 0 {
		t.Error("no token was refreshed: the test shows less than it says")
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	s.saw("the log", []byte(v.log.String()))
	s.files(dir)
	s.check()
}

// files takes in every file of the data folder.
func (s *secrets) files(dir string) {
	s.t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		s.saw("the file "+e.Name(), body)
		if strings.HasPrefix(e.Name(), "ready") {
			s.allowed["the owner's key in the file "+e.Name()] = true // it is there to hand it over
		}
		return nil
	})
	if !bytes.Contains(s.answered["the file metrics"], []byte(`"_aws"`)) {
		s.t.Error("there are no metrics to be looked at")
	}
	if err != nil || seen < 3 {
		s.t.Errorf("%d files were looked at: %v", seen, err)
	}
}
