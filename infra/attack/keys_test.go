package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// door is where a credential is tried: every role may look at providers.
const door = "/v1/providers"

// tokensOfIssuers are tokens that are none.
func tokensOfIssuers(w *world) []attack {
	i := w.issuer
	out := []attack{{name: "that is good", do: func(t *testing.T, w *world) { // else the others would prove nothing
		if got := w.ask(t, i.sign(t, nil), "GET", "/v1/keys", nil, nil); got.status != 200 {
			t.Errorf("%s", got.text())
		}
	}}}
	refuse := func(name string, token func(t *testing.T) string) {
		out = append(out, attack{name: name, do: func(t *testing.T, w *world) {
			before := i.evil.Load()
			w.refused(t, w.ask(t, w.secrets.plant("a token", token(t)), "GET", door, nil, nil), 403, "")
			if i.evil.Load() != before {
				t.Error("somebody was asked for a key whom the token named")
			}
		}})
	}
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, change := range map[string]object{
		"that has expired":                    {"exp": ago(time.Minute)},
		"that expired at the beginning":       {"exp": 0},
		"that does not expire":                {"exp": nil},
		"that expires in words":               {"exp": "tomorrow"},
		"that is not valid yet":               {"nbf": ago(-10 * time.Minute)},
		"that was made tomorrow":              {"iat": ago(-24 * time.Hour)},
		"for another audience":                {"aud": "another"},
		"for no audience":                     {"aud": nil},
		"for an audience that begins like it": {"aud": audience + "x"},
		"of another issuer":                   {"iss": "https://mallory.example.com"},
		"of the issuer, nearly":               {"iss": i.URL + "/"},
		"without an issuer":                   {"iss": nil},
		"of nobody":                           {"sub": ""},
		"without a subject":                   {"sub": nil},
		"without a role":                      {"roles": nil},
		"with a role of the vault's":          {"roles": "owner"},
		"with its role in capitals":           {"roles": "BOSS"},
		"with its audience in capitals":       {"aud": nil, "AUD": audience},
		"with its expiry twice":               {"exp": ago(time.Hour), "EXP": ago(-time.Hour)},
	} {
		refuse(name, func(t *testing.T) string { return i.sign(t, change) })
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	es256 := func(key any) jose.SigningKey { return jose.SigningKey{Algorithm: jose.ES256, Key: key} }
	refuse("signed by another key", func(t *testing.T) string {
		return signed(t, es256(stranger), map[string]any{"kid": "k"}, i.claims(nil))
	})
	refuse("signed by a key that it brings along", func(t *testing.T) string {
		return signed(t, es256(stranger), map[string]any{"kid": "k", "jwk": jose.JSONWebKey{Key: &stranger.PublicKey}}, i.claims(nil))
	})
	refuse("signed by a key that it says where to find", func(t *testing.T) string {
		return signed(t, es256(stranger), map[string]any{"kid": "k", "jku": i.URL + "/evil", "x5u": i.URL + "/evil"}, i.claims(nil))
	})
	refuse("with the name of another key", func(t *testing.T) string {
		return signed(t, es256(stranger), map[string]any{"kid": "../../keys"}, i.claims(nil))
	})
	refuse("with a header that must be understood", func(t *testing.T) string {
		return signed(t, es256(i.key), map[string]any{"kid": "k", "crit": []string{"mallory"}, "mallory": true}, i.claims(nil))
	})
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		refuse(fmt.Sprintf("signed by nobody (%q)", alg), func(*testing.T) string { return unsigned(object{"alg": alg, "kid": "k"}, i.claims(nil), "") })
	}
	refuse("signed with the public key as a secret", func(t *testing.T) string {
		der, _ := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
		return signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}, map[string]any{"kid": "k"}, i.claims(nil))
	})
	refuse("with a signature of zeroes", func(*testing.T) string {
		return unsigned(object{"alg": "ES256", "kid": "k"}, i.claims(nil), base64.RawURLEncoding.EncodeToString(make([]byte, 64)))
	})
	refuse("whose claims were changed", func(t *testing.T) string {
		parts := strings.Split(i.sign(t, object{"roles": "clerk"}), ".")
		body, _ := json.Marshal(i.claims(object{"roles": "boss"}))
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(body) + "." + parts[2]
	})
	refuse("whose header says another algorithm", func(t *testing.T) string {
		parts := strings.Split(i.sign(t, nil), ".")
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k"}`)) + "." + parts[1] + "." + parts[2]
	})
	refuse("as a JSON object", func(t *testing.T) string {
		parts := strings.Split(i.sign(t, nil), ".")
		return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
	})
	refuse("with a part too many", func(t *testing.T) string { return i.sign(t, nil) + "." })
	refuse("of nine thousand bytes", func(t *testing.T) string { return i.sign(t, object{"x": strings.Repeat("a", 6000)}) })
	return append(out, attack{name: "for another tenant", do: func(t *testing.T, w *world) {
		token := i.sign(t, object{"tenant": w.names["victim"], "tenant_id": w.names["victim"]})
		got := w.ask(t, token, "GET", w.fill(t, "/v1/vault-entries/{victim.entry}"), nil, nil)
		w.refused(t, got, 404, "not_found")
	}}, attack{name: "with one character changed", do: func(t *testing.T, w *world) {
		w.flipped(t, i.sign(t, nil), func(changed string) bool {
			return w.quietly(t, changed, "GET", door, nil, nil).status != 403
		})
	}})
}

// flipped changes a text at some of its places, one after the other, and fails where something took it. The last character of
// what is written in base64 may have bits that say nothing; a change there is none.
func (w *world) flipped(t *testing.T, text string, taken func(changed string) bool) {
	t.Helper()
	step := max(1, len(text)/40)
	for at := 0; at < len(text); at += step {
		for _, with := range []byte{'A', 'z', '0'} {
			if text[at] == with || text[at] == '.' {
				continue
			}
			changed := text[:at] + string(with) + text[at+1:]
			if at+1 < len(text) && text[at+1] != '.' && taken(changed) {
				t.Errorf("with %q at %d it is taken", with, at)
			}
			break
		}
	}
}

// withChecksum makes a text a well-formed key or token, as whoever has read the source can.
func withChecksum(body string) string {
	return body + fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body)))
}

// keys are guesses, and keys that are over.
func keys(w *world) []attack {
	good := w.keys["victim"]
	body := good[:len(good)-8]
	refuse := func(name, key string) attack {
		return attack{name: name, do: func(t *testing.T, w *world) {
			w.refused(t, w.ask(t, key, "GET", door, nil, nil), 403, "")
		}}
	}
	other := []byte(body)
	for at := range 10 {
		if c := &other[len(other)-1-at]; *c == 'a' {
			*c = 'b'
		} else {
			*c = 'a'
		}
	}
	mallory := w.keys["mallory"]
	address := strings.TrimSuffix(body, body[len(body)-43:])
	out := []attack{
		refuse("that is made up", "cvk_"+strings.Repeat("0", 83)),
		refuse("with another secret and the right checksum", withChecksum(string(other))),
		refuse("with another's secret", withChecksum(address+mallory[len(mallory)-8-43:len(mallory)-8])),
		refuse("with a secret of nothing", withChecksum(address)),
		refuse("without its checksum", body),
		refuse("with another checksum", body+"00000000"),
		refuse("in capitals", strings.ToUpper(good)),
		refuse("and another", good+" "+good),
		refuse("with a NUL's escape", good+"%00"),
		refuse("with a comma", good+",x"),
		refuse("by its fingerprint", "cvk_e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
		refuse("by its id", w.names["victim reads.key"]),
		refuse("that is the mark alone", "cvk_"),
		{name: "with one character changed", do: func(t *testing.T, w *world) {
			w.flipped(t, body, func(changed string) bool {
				return w.quietly(t, withChecksum(changed), "GET", door, nil, nil).status != 403
			})
		}},
		{name: "in the query", send: "GET " + door + "?access_token=" + good + "&authorization=Bearer%20" + good, want: 401},
		{name: "in a cookie", send: "GET " + door, header: map[string]string{"Cookie": "Authorization=" + good}, want: 401},
		{name: "by another scheme", send: "GET " + door, header: map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+good))}, want: 403},
		{name: "that was revoked", do: func(t *testing.T, w *world) {
			w.makeKeyOnce(t, "owner", "revoked", object{"role": "admin"})
			w.must(t, "owner", 204, "DELETE", "/v1/keys/"+w.nameOf("revoked.key"), nil)
			w.await(t, func() bool { return w.ask(t, w.keyOf("revoked"), "GET", door, nil, nil).status == 403 })
		}},
		{name: "that has expired", do: func(t *testing.T, w *world) {
			soonest(t, func(at string) bool {
				made := w.quietly(t, w.key(t, "owner"), "POST", "/v1/keys", nil, object{"label": "expired", "role": "admin", "expires_at": at})
				w.late.Store("expired", w.secrets.plant("the key that expires", made.text1("key")))
				return made.status == 201
			})
			w.await(t, func() bool { return w.ask(t, w.keyOf("expired"), "GET", door, nil, nil).status == 403 })
		}},
		{name: "of somebody who is the last owner", by: "victim", send: "DELETE /v1/keys/{mallory reads.key}", want: 404, code: "not_found"},
		{name: "compared in a time that tells something", do: constantTime},
	}
	return out
}

// constantTime reads how secrets are compared: wherever a fingerprint or a secret stands beside == or !=, somebody can measure.
// Fingerprints of what nobody can guess tell nothing to whoever measures, but a rule with exceptions is none.
func constantTime(t *testing.T, _ *world) {
	t.Helper()
	secretive := func(e ast.Expr) bool {
		switch v := e.(type) {
		case *ast.CallExpr:
			s, ok := v.Fun.(*ast.SelectorExpr)
			return ok && (s.Sel.Name == "Fingerprint" || s.Sel.Name == "Reveal")
		case *ast.SelectorExpr:
			return v.Sel.Name == "Hash" || strings.HasSuffix(v.Sel.Name, "Hash") || v.Sel.Name == "MAC"
		default:
			return false
		}
	}
	compared, equal := 0, 0
	err := filepath.WalkDir("../../shared", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch v := n.(type) {
			case *ast.BinaryExpr:
				if empty, ok := v.Y.(*ast.BasicLit); ok && empty.Value == `""` {
					return true // whether there is one is no secret
				}
				if (v.Op == token.EQL || v.Op == token.NEQ) && (secretive(v.X) || secretive(v.Y)) {
					t.Errorf("%s compares a secret with %s", set.Position(v.Pos()), v.Op)
				}
			case *ast.CallExpr:
				if s, ok := v.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Equal" {
					compared++
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "hmac" {
						equal++
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil || compared < 3 || equal < 2 {
		t.Errorf("%d comparisons were found: %v", compared, err)
	}
}
