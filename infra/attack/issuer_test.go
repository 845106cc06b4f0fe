package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OpenID Connect issuer whose tokens let in, on this machine.
type issuer struct {
	*httptest.Server
	key  *ecdsa.PrivateKey
	file string       // that says whom to take tokens of
	evil atomic.Int32 // how often somebody asked where nobody should
}

const audience = "vault-under-attack"

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, file: filepath.Join(t.TempDir(), "oidc.json")}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig", Algorithm: "ES256"}}})
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(object{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		default:
			i.evil.Add(1)
		}
	}))
	t.Cleanup(i.Close)
	config := fmt.Sprintf(`{"issuers":[%q],"audience":%q,"role_claim":"roles","roles":{"boss":"owner","clerk":"reader"},"personal_data_claim":"pii"}`, i.URL, audience)
	if err := os.WriteFile(i.file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// claims are those of a token that lets in, changed; nil takes one away.
func (i *issuer) claims(change object) object {
	now := time.Now()
	out := object{"iss": i.URL, "aud": audience, "sub": "jo", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "roles": "boss"}
	for name, value := range change {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// sign makes a token with the issuer's own key.
func (i *issuer) sign(t *testing.T, change object) string {
	t.Helper()
	return signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, map[string]any{"kid": "k"}, i.claims(change))
}

// signed makes a token with any key and header.
func signed(t *testing.T, key jose.SigningKey, header map[string]any, claims object) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unsigned makes a token out of a header and claims, with a signature that is whatever it is.
func unsigned(header, claims object, signature string) string {
	part := func(v object) string { b, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(b) }
	return part(header) + "." + part(claims) + "." + signature
}
