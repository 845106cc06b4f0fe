package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyed sends with another key or token than the owner's.
func (v *vault) keyed(key, method, path string, body any) answer {
	v.t.Helper()
	return v.with(map[string]string{"Authorization": "Bearer " + key}, method, path, body)
}

// Keys of every role over HTTP: what each may do, and that a revoked one is dead soon.
func TestKeysOfEveryRole(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.app()
	entry := v.connected("shop")
	mine, yours := v.connector(entry), v.connector(entry)
	keys, ids := map[string]string{}, map[string]string{}
	for role, connectors := range map[string][]string{"owner": nil, "admin": nil, "operator": nil, "reader": {mine}} {
		made := v.must(201, "POST", "/v1/keys", object{"role": role, "label": "a " + role, "connectors": connectors})
		keys[role], ids[role] = made.text(t, "key"), made.text(t, "id")
	}
	for _, c := range []struct {
		role, method, path string
		body               any
		want               int
	}{
		{"reader", "GET", "/v1/connectors/" + mine + "/orders?limit=1", nil, 200},
		{"reader", "GET", "/v1/connectors/" + yours + "/orders?limit=1", nil, 403},
		{"reader", "GET", "/v1/connectors/" + yours, nil, 403},
		{"reader", "GET", "/v1/connectors/" + mine + "/orders?limit=1&personal_data=true", nil, 403},
		{"reader", "GET", "/v1/vault-entries/" + entry, nil, 403},
		{"reader", "POST", "/local/clock", object{"advance": "1s"}, 403},
		{"operator", "POST", "/v1/vault-entries/" + entry + "/check", nil, 200},
		{"operator", "POST", "/v1/connectors", object{"name": "x", "vault_entry": entry}, 403},
		{"admin", "POST", "/v1/connectors", object{"name": "x", "vault_entry": entry}, 201},
		{"admin", "POST", "/v1/keys", object{"role": "reader", "label": "x"}, 403},
		{"admin", "POST", "/v1/vault-entries", object{"provider": "clara", "alias": "c", "environment": "production"}, 403},
		{"admin", "PUT", "/v1/provider-apps/amazon", object{}, 403},
		{"owner", "POST", "/v1/vault-entries", object{"provider": "clara", "alias": "c", "environment": "production"}, 400},
		{"owner", "GET", "/v1/keys/" + ids["reader"], nil, 200},
	} {
		if got := v.keyed(keys[c.role], c.method, c.path, c.body); got.status != c.want {
			t.Errorf("%s: %s %s: %d %s; want %d", c.role, c.method, c.path, got.status, got.body, c.want)
		}
	}
	var listed struct{ Items []object }
	if err := json.Unmarshal(v.keyed(keys["reader"], "GET", "/v1/connectors", nil).body, &listed); err != nil || len(listed.Items) != 1 || listed.Items[0]["id"] != mine {
		t.Errorf("a reader sees %v: %v", listed, err)
	}
	if used := v.must(200, "GET", "/v1/keys/"+ids["reader"], nil).text(t, "last_used_at"); used == "" {
		t.Error("the use of a key was not noted")
	}
	v.must(204, "DELETE", "/v1/keys/"+ids["reader"], nil)
	await(t, func() bool {
		return v.keyed(keys["reader"], "GET", "/v1/connectors", nil).status == http.StatusForbidden
	})
	for role, key := range keys {
		if strings.Contains(v.log.String(), key) {
			t.Errorf("the log has the %s's key", role)
		}
	}
}

// await waits until something is so, and fails when it never is.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Error("it never came to be")
}

// Tokens of an issuer let in beside the keys.
func TestTokensOfAnIssuer(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(object{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys"})
	}))
	defer issuer.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "oidc.json")
	config := fmt.Sprintf(`{"issuers":[%q],"audience":"vault","role_claim":"roles","roles":{"boss":"owner","clerk":"reader"},"personal_data_claim":"pii"}`, issuer.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	v := start(t, dir, "--oidc", file)
	token := func(changes object) string {
		claims := object{"iss": issuer.URL, "aud": "vault", "sub": "jo", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"boss"}, "pii": true}
		for name, value := range changes {
			claims[name] = value
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	boss := token(nil)
	for name, c := range map[string]struct {
		token, method, path string
		want                int
	}{
		"an owner":         {boss, "GET", "/v1/keys", 200},
		"a reader":         {token(object{"roles": "clerk"}), "GET", "/v1/connectors", 200},
		"a reader of keys": {token(object{"roles": "clerk"}), "GET", "/v1/keys", 403},
		"expired":          {token(object{"exp": time.Now().Add(-time.Hour).Unix()}), "GET", "/v1/connectors", 403},
		"another audience": {token(object{"aud": "other"}), "GET", "/v1/connectors", 403},
		"no role":          {token(object{"roles": "nobody"}), "GET", "/v1/connectors", 403},
	} {
		got := v.keyed(c.token, c.method, c.path, nil)
		if got.status != c.want {
			t.Errorf("%s: %d %s; want %d", name, got.status, got.body, c.want)
		}
		if ours := strings.Contains(string(got.body), `"code"`); c.want == 403 && ours != (name == "a reader of keys") {
			t.Errorf("%s: the gateway and the function say no in their own ways: %s", name, got.body)
		}
	}
	made := v.keyed(boss, "POST", "/v1/keys", object{"role": "reader", "label": "x", "personal_data": true})
	if made.status != http.StatusCreated || !strings.HasPrefix(made.text(t, "created_by"), "oidc_") {
		t.Errorf("a key made with a token: %d %s", made.status, made.body)
	}
	if strings.Contains(v.log.String(), boss) {
		t.Error("a token was logged")
	}
}

func TestAnIssuersFileThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, body := range map[string]string{"no JSON": "issuers", "misspelt": `{"issuer":"x"}`, "no audience": `{"issuers":["https://a.example"],"role_claim":"r","roles":{"a":"owner"}}`} {
		file := filepath.Join(dir, "oidc.json")
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		log := &buffer{}
		if code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--simulators=false", "--oidc", file}, log, log); code != 1 || !strings.Contains(log.String(), "oidc.json") {
			t.Errorf("%s: %d %s", name, code, log)
		}
	}
}
