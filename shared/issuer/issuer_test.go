package issuer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"connectorvault/shared/ident"
	"connectorvault/shared/issuer"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

const (
	audience = "https://vault.example.com"
	tenant   = "t_1000000000000000"
	mine     = "con_1000000000000001"
)

// Keys are slow to make, so all tests share them.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// bench is an issuer on loopback, a clock, and a verifier of its tokens.
type bench struct {
	testing.TB
	url      string
	verifier *issuer.Verifier
	now      atomic.Int64 // Unix seconds
	asked    atomic.Int64 // how often for the keys
	down     atomic.Bool
	answer   atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // answers instead, if it likes
	keys     atomic.Pointer[jose.JSONWebKeySet]
}

func (b *bench) Now() time.Time { return time.Unix(b.now.Load(), 0) }

func newBench(t *testing.T, change ...func(*issuer.Config)) *bench {
	t.Helper()
	b := &bench{TB: t}
	b.now.Store(1_795_262_400)
	b.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &rsaKey().PublicKey, KeyID: "r", Algorithm: "RS256", Use: "sig"},
		{Key: &ecKey().PublicKey, KeyID: "e"},
		{Key: edKey().Public(), KeyID: "d", Use: "sig"},
		{Key: &ec384Key().PublicKey, KeyID: "e384"},
		{Key: &otherKey().PublicKey, KeyID: "enc", Use: "enc"},
	}})
	server := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(server.Close)
	b.url = server.URL
	config := issuer.Config{Issuers: []string{b.url}, Audience: audience, Tenant: tenant, RoleClaim: "groups",
		Roles:             map[string]record.Role{"vault-owners": record.Owner, "vault-admins": record.Admin, "ops": record.Operator, "all staff": record.Reader},
		PersonalDataClaim: "pii", ConnectorsClaim: "connectors"}
	for _, c := range change {
		c(&config)
	}
	var err error
	// Every address leads to this server, so that one that must not be asked is refused for what it is.
	everywhere := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(everywhere.CloseIdleConnections)
	if b.verifier, err = issuer.New(config, &http.Client{Transport: everywhere}, b.Now); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) serve(w http.ResponseWriter, r *http.Request) {
	if instead := b.answer.Load(); instead != nil && (*instead)(w, r) {
		return
	}
	switch {
	case b.down.Load():
		http.Error(w, "CANARY: a page of somebody's proxy", http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": b.url, "jwks_uri": b.url + "/keys"})
	case r.URL.Path == "/keys":
		b.asked.Add(1)
		_ = json.NewEncoder(w).Encode(b.keys.Load())
	default:
		http.NotFound(w, r)
	}
}

// claims are those of a good token, with changes; a nil takes one away.
func (b *bench) claims(changes map[string]any) map[string]any {
	out := map[string]any{"iss": b.url, "aud": audience, "sub": "user-1", "iat": b.now.Load() - 10, "exp": b.now.Load() + 300, "groups": []string{"ops"}}
	maps.Copy(out, changes)
	for name, value := range out {
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

func sign(algorithm jose.SignatureAlgorithm, id string, key any, payload []byte) string {
	options := &jose.SignerOptions{}
	if id != "" {
		options.WithHeader("kid", id)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options.WithType("JWT")))
	return must(must(signer.Sign(payload)).CompactSerialize())
}

func (b *bench) token(changes map[string]any) string {
	return sign(jose.RS256, "r", rsaKey(), must(json.Marshal(b.claims(changes))))
}

func (b *bench) ask(token string) (record.Principal, bool) {
	b.Helper()
	p, ok, err := b.verifier.Principal(b.Context(), secret.New(token))
	if err != nil {
		b.Errorf("it could not be found out: %v", err)
	}
	return p, ok
}

func TestATokenLetsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	payload := must(json.Marshal(b.claims(nil)))
	var ids []string
	for name, token := range map[string]string{
		"RS256":                 b.token(nil),
		"ES256":                 sign(jose.ES256, "e", ecKey(), payload),
		"EdDSA":                 sign(jose.EdDSA, "d", edKey(), payload),
		"several audiences":     b.token(map[string]any{"aud": []string{"other", audience}}),
		"a clock ahead of ours": b.token(map[string]any{"iat": b.now.Load() + 59, "nbf": b.now.Load() + 59}),
		"no type":               raw(`{"alg":"RS256","kid":"r"}`, string(payload), rs256),
		"a type by case":        raw(`{"alg":"RS256","kid":"r","typ":"jwt"}`, string(payload), rs256),
		"an access token":       raw(`{"alg":"RS256","kid":"r","typ":"at+jwt"}`, string(payload), rs256),
		"its whole type":        raw(`{"alg":"RS256","kid":"r","typ":"application/AT+JWT"}`, string(payload), rs256),
		"the last second":       b.token(map[string]any{"exp": b.now.Load() + 1}),
		"parts of seconds":      b.token(map[string]any{"exp": float64(b.now.Load()) + 0.5}),
	} {
		p, ok := b.ask(token)
		if !ok || p.Tenant != tenant || p.Role != record.Operator || p.PersonalData || p.Connectors != nil || !strings.HasPrefix(p.ID, ident.Subject) || len(p.ID) != len(ident.Subject)+32 {
			t.Errorf("%s: %+v, %t", name, p, ok)
		}
		ids = append(ids, p.ID)
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("one subject is called %v", ids)
		}
	}
	if other, _ := b.ask(b.token(map[string]any{"sub": "user-2"})); other.ID == ids[0] {
		t.Error("two subjects have one name")
	}
	if n := b.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times for its keys", n)
	}
}

// signed by hand, as the library would not.
func raw(header, payload string, sum func(input string) []byte) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return input + "." + base64.RawURLEncoding.EncodeToString(sum(input))
}

func rs256(input string) []byte {
	hash := sha256.Sum256([]byte(input))
	return must(rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, hash[:]))
}

func TestATokenThatIsNotInOrderLetsNobodyIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := b.now.Load()
	payload := must(json.Marshal(b.claims(nil)))
	text := string(payload)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))})
	hs := func(key []byte) func(string) []byte {
		return func(input string) []byte { m := hmac.New(sha256.New, key); m.Write([]byte(input)); return m.Sum(nil) }
	}
	good := b.token(nil)
	parts := strings.Split(good, ".")
	tampered := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(text, `"ops"`, `"vault-owners"`, 1)))
	own := must((&jose.JSONWebKey{Key: &otherKey().PublicKey, KeyID: "r"}).MarshalJSON())
	other := func(input string) []byte {
		hash := sha256.Sum256([]byte(input))
		return must(rsa.SignPKCS1v15(rand.Reader, otherKey(), crypto.SHA256, hash[:]))
	}
	for name, token := range map[string]string{
		"nothing":                 "",
		"no JWT":                  "eyJ",
		"expired":                 b.token(map[string]any{"exp": now}),
		"long expired":            b.token(map[string]any{"exp": now - 86400}),
		"without an end":          b.token(map[string]any{"exp": nil}),
		"an end that is text":     b.token(map[string]any{"exp": "tomorrow"}),
		"an end that is null":     strings.Replace(good, parts[1], base64.RawURLEncoding.EncodeToString([]byte(`{"exp":null}`)), 1),
		"not yet":                 b.token(map[string]any{"nbf": now + 61}),
		"not yet, a little":       b.token(map[string]any{"nbf": now + 120}),
		"a beginning of text":     b.token(map[string]any{"nbf": "soon"}),
		"issued tomorrow":         b.token(map[string]any{"iat": now + 86400, "exp": now + 90000}),
		"issued nobody knows":     b.token(map[string]any{"iat": nil}),
		"another audience":        b.token(map[string]any{"aud": "https://other.example.com"}),
		"several others":          b.token(map[string]any{"aud": []string{"a", "b"}}),
		"no audience":             b.token(map[string]any{"aud": nil}),
		"part of the audience":    b.token(map[string]any{"aud": "https://vault.example.com.evil"}),
		"another issuer":          b.token(map[string]any{"iss": "https://issuer.example.com"}),
		"the issuer with a slash": b.token(map[string]any{"iss": b.url + "/"}),
		"no issuer":               b.token(map[string]any{"iss": nil}),
		"no subject":              b.token(map[string]any{"sub": nil}),
		"an empty subject":        b.token(map[string]any{"sub": ""}),
		"a huge subject":          b.token(map[string]any{"sub": strings.Repeat("x", 256)}),
		"no role":                 b.token(map[string]any{"groups": nil}),
		"an unmapped role":        b.token(map[string]any{"groups": []string{"sales"}}),
		"a role of another case":  b.token(map[string]any{"groups": "OPS"}),
		"the name of a role":      b.token(map[string]any{"groups": "owner"}),
		"a part of a value":       b.token(map[string]any{"groups": "ops sales"}),
		"roles of another shape":  b.token(map[string]any{"groups": map[string]any{"ops": true}}),
		"a token of logging out":  raw(`{"alg":"RS256","kid":"r","typ":"logout+jwt"}`, text, rs256),
		"its whole type":          raw(`{"alg":"RS256","kid":"r","typ":"application/logout+jwt"}`, text, rs256),
		"a proof of a key":        raw(`{"alg":"RS256","kid":"r","typ":"dpop+jwt"}`, text, rs256),
		"an empty type":           raw(`{"alg":"RS256","kid":"r","typ":""}`, text, rs256),
		"half a type":             raw(`{"alg":"RS256","kid":"r","typ":"application/"}`, text, rs256),
		"a type with more to it":  raw(`{"alg":"RS256","kid":"r","typ":"JWT; x=y"}`, text, rs256),
		"a type that is none":     raw(`{"alg":"RS256","kid":"r","typ":1}`, text, rs256),
		"types":                   raw(`{"alg":"RS256","kid":"r","typ":["JWT"]}`, text, rs256),
		"alg none":                raw(`{"alg":"none","kid":"r"}`, text, func(string) []byte { return nil }),
		"alg None":                raw(`{"alg":"None","kid":"r"}`, text, func(string) []byte { return nil }),
		"no alg":                  raw(`{"kid":"r"}`, text, rs256),
		"HS256, the public key":   raw(`{"alg":"HS256","kid":"r"}`, text, hs(public)),
		"HS256, the modulus":      raw(`{"alg":"HS256","kid":"r"}`, text, hs(rsaKey().N.Bytes())),
		"RS512":                   sign(jose.RS512, "r", rsaKey(), payload),
		"PS256":                   sign(jose.PS256, "r", rsaKey(), payload),
		"ES384":                   sign(jose.ES384, "e384", ec384Key(), payload),
		"another key of the name": sign(jose.RS256, "r", otherKey(), payload),
		"another key's name":      sign(jose.RS256, "e", rsaKey(), payload),
		"a key for encryption":    sign(jose.RS256, "enc", otherKey(), payload),
		"no name":                 sign(jose.RS256, "", rsaKey(), payload),
		"tampered claims":         parts[0] + "." + tampered + "." + parts[2],
		"no signature":            parts[0] + "." + parts[1] + ".",
		"no third part":           parts[0] + "." + parts[1],
		"five parts":              good + ".a.b",
		"a key that it brings":    raw(`{"alg":"RS256","jwk":`+string(own)+`}`, text, other),
		"a key that it points at": raw(`{"alg":"RS256","kid":"r","jku":"`+b.url+`/mine"}`, text, other),
		"what it calls critical":  raw(`{"alg":"RS256","kid":"r","crit":["exp"],"exp":1}`, text, rs256),
		"alg twice":               raw(`{"alg":"none","alg":"RS256","kid":"r"}`, text, rs256),
		"a claim twice":           raw(`{"alg":"RS256","kid":"r"}`, strings.Replace(text, `{`, `{"groups":["vault-owners"],`, 1), rs256),
		"a claim twice, within":   raw(`{"alg":"RS256","kid":"r"}`, strings.Replace(text, `{`, `{"x":[{"a":1,"a":2}],`, 1), rs256),
		"something after it":      raw(`{"alg":"RS256","kid":"r"}`, text+`{}`, rs256),
		"claims that are a list":  raw(`{"alg":"RS256","kid":"r"}`, `[1]`, rs256),
		"claims that are null":    raw(`{"alg":"RS256","kid":"r"}`, `null`, rs256),
		"an audience by case": raw(`{"alg":"RS256","kid":"r"}`,
			strings.TrimSuffix(strings.Replace(text, `"aud":"`+audience, `"aud":"other`, 1), "}")+`,"AUD":"`+audience+`"}`, rs256),
		"an issuer by case":    b.token(map[string]any{"iss": "other", "ISS": b.url}),
		"an end by case":       b.token(map[string]any{"exp": nil, "EXP": now + 300}),
		"an issue by case":     b.token(map[string]any{"iat": nil, "IAT": now}),
		"a JSON serialization": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"a space":              good + " ",
		"two tokens":           good + " " + good,
		"oversized":            b.token(map[string]any{"x": strings.Repeat("y", 8<<10)}),
	} {
		if p, ok := b.ask(token); ok {
			t.Errorf("%s: %+v is let in", name, p)
		}
	}
	if _, ok := b.ask(good); !ok {
		t.Error("after all of that nobody is let in")
	}
}

func TestWhatClaimsMean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config func(*issuer.Config)
		claims map[string]any
		want   *record.Principal // ID is not looked at; nil: nobody
	}{
		"the mightiest of several": {nil, map[string]any{"groups": []string{"sales", "ops", "vault-owners"}}, &record.Principal{Tenant: tenant, Role: record.Owner}},
		"a string":                 {nil, map[string]any{"groups": "vault-admins"}, &record.Principal{Tenant: tenant, Role: record.Admin}},
		"personal data":            {nil, map[string]any{"pii": true}, &record.Principal{Tenant: tenant, Role: record.Operator, PersonalData: true}},
		"personal data in text":    {nil, map[string]any{"pii": "true"}, &record.Principal{Tenant: tenant, Role: record.Operator}},
		"personal data by a value": {func(c *issuer.Config) { c.PersonalDataClaim, c.PersonalDataValue = "groups", "dpo" },
			map[string]any{"groups": []string{"ops", "dpo"}}, &record.Principal{Tenant: tenant, Role: record.Operator, PersonalData: true}},
		"another value": {func(c *issuer.Config) { c.PersonalDataClaim, c.PersonalDataValue = "pii", "dpo" }, map[string]any{"pii": true},
			&record.Principal{Tenant: tenant, Role: record.Operator}},
		"a reader of one":         {nil, map[string]any{"groups": "all staff", "connectors": mine}, &record.Principal{Tenant: tenant, Role: record.Reader, Connectors: []string{mine}}},
		"a reader of all":         {nil, map[string]any{"groups": "all staff", "connectors": "*"}, &record.Principal{Tenant: tenant, Role: record.Reader}},
		"a reader of none":        {nil, map[string]any{"groups": "all staff", "connectors": []string{}}, nil},
		"a reader without a list": {nil, map[string]any{"groups": "all staff"}, nil},
		"a reader of nonsense":    {nil, map[string]any{"groups": "all staff", "connectors": []string{mine, "orders"}}, nil},
		"a list with a star":      {nil, map[string]any{"groups": "all staff", "connectors": []string{mine, "*"}}, nil},
		"a reader of too many":    {nil, map[string]any{"groups": "all staff", "connectors": strings.Split(strings.Repeat(mine+" ", 51)[:51*21-1], " ")}, nil},
		"an operator's list":      {nil, map[string]any{"connectors": mine}, &record.Principal{Tenant: tenant, Role: record.Operator}},
		"readers without lists": {func(c *issuer.Config) { c.ConnectorsClaim = "" }, map[string]any{"groups": "all staff", "connectors": mine},
			&record.Principal{Tenant: tenant, Role: record.Reader}},
		"a tenant by claim": {func(c *issuer.Config) { c.Tenant, c.TenantClaim = "", "vault_tenant" }, map[string]any{"vault_tenant": "t_2000000000000000"},
			&record.Principal{Tenant: "t_2000000000000000", Role: record.Operator}},
		"no tenant":          {func(c *issuer.Config) { c.Tenant, c.TenantClaim = "", "vault_tenant" }, nil, nil},
		"a tenant in a list": {func(c *issuer.Config) { c.Tenant, c.TenantClaim = "", "vault_tenant" }, map[string]any{"vault_tenant": []string{tenant}}, nil},
		"a tenant that is no id": {func(c *issuer.Config) { c.Tenant, c.TenantClaim = "", "vault_tenant" },
			map[string]any{"vault_tenant": tenant + "#entry"}, nil},
		"nobody's tenant": {func(c *issuer.Config) { c.Tenant, c.TenantClaim = "", "vault_tenant" }, map[string]any{"vault_tenant": ident.Outside}, nil},
		"a claim within claims": {func(c *issuer.Config) { c.RoleClaim = "/realm_access/roles" },
			map[string]any{"realm_access": map[string]any{"roles": []string{"vault-admins"}}}, &record.Principal{Tenant: tenant, Role: record.Admin}},
		"an address as a name": {func(c *issuer.Config) { c.RoleClaim = "https://example.com/roles" },
			map[string]any{"https://example.com/roles": []string{"vault-admins"}}, &record.Principal{Tenant: tenant, Role: record.Admin}},
		"within what is no object": {func(c *issuer.Config) { c.RoleClaim = "/groups/roles" }, map[string]any{"groups": "roles"}, nil},
		"scopes": {func(c *issuer.Config) { c.RoleClaim = "scope" }, map[string]any{"scope": "openid ops"},
			&record.Principal{Tenant: tenant, Role: record.Operator}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*issuer.Config)
			if c.config != nil {
				change = append(change, c.config)
			}
			b := newBench(t, change...)
			p, ok := b.ask(b.token(c.claims))
			if ok != (c.want != nil) {
				t.Fatalf("let in: %t, as %+v", ok, p)
			}
			if p.ID = ""; ok && fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", *c.want) {
				t.Errorf("it is %+v; want %+v", p, *c.want)
			}
		})
	}
}

// A key that nobody knows makes us ask, once in a while and no oftener.
func TestUnknownKeysAskTheIssuerOnceInAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	payload := must(json.Marshal(b.claims(nil)))
	stranger := sign(jose.RS256, "next", otherKey(), payload)
	for range 20 {
		if _, ok := b.ask(stranger); ok {
			t.Fatal("a key that nobody publishes is taken")
		}
	}
	if n := b.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	set := *b.keys.Load()
	set.Keys = append(set.Keys[:1:1], jose.JSONWebKey{Key: &otherKey().PublicKey, KeyID: "next"})
	b.keys.Store(&set)
	b.now.Add(59)
	if _, ok := b.ask(stranger); ok || b.asked.Load() != 1 {
		t.Errorf("asked again too soon: %t, %d", ok, b.asked.Load())
	}
	b.now.Add(1)
	if _, ok := b.ask(stranger); !ok || b.asked.Load() != 2 {
		t.Errorf("a key that was added is not found: %t, %d", ok, b.asked.Load())
	}
}

// A key that the issuer withdrew is dead within minutes, and while the issuer does not answer the others live on for a while.
func TestKeysGrowOld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lasting := func() string { return b.token(nil) }
	if _, ok := b.ask(lasting()); !ok {
		t.Fatal("nobody is let in")
	}
	b.down.Store(true)
	b.now.Add(20 * 60)
	if _, ok := b.ask(lasting()); !ok {
		t.Error("an issuer that does not answer locks everybody out at once")
	}
	b.now.Add(39 * 60)
	if _, ok := b.ask(lasting()); !ok {
		t.Error("keys of 59 minutes are not believed")
	}
	b.now.Add(60)
	p, ok, err := b.verifier.Principal(t.Context(), secret.New(lasting()))
	if ok || !errors.Is(err, issuer.ErrUnavailable) {
		t.Errorf("keys of an hour ago are believed: %+v, %t, %v", p, ok, err)
	}
	b.down.Store(false)
	b.now.Add(5)
	if _, ok := b.ask(lasting()); !ok {
		t.Error("an issuer that is back is not asked")
	}
	set := *b.keys.Load()
	set.Keys = set.Keys[1:]
	b.keys.Store(&set)
	b.now.Add(15 * 60)
	if _, ok := b.ask(lasting()); ok {
		t.Error("a key that was withdrawn is taken")
	}
}

// What an issuer answers can be anything, and must end.
func TestAnIssuerThatIsNotInOrder(t *testing.T) {
	t.Parallel()
	discovery := func(b *bench, w http.ResponseWriter, keys string) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": b.url, "jwks_uri": keys})
	}
	is := func(r *http.Request, path string) bool { return r.URL.Path == path }
	const wellKnown = "/.well-known/openid-configuration"
	for name, answer := range map[string]func(b *bench, w http.ResponseWriter, r *http.Request) bool{
		"it is down": func(_ *bench, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true },
		"no JSON": func(_ *bench, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>"))
			return true
		},
		"it is another": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": "https://other.example", "jwks_uri": b.url + "/keys"})
			return is(r, wellKnown)
		},
		"keys without TLS elsewhere": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, wellKnown) {
				discovery(b, w, "http://keys.example.com/keys")
			}
			return is(r, wellKnown)
		},
		"keys in a file": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, wellKnown) {
				discovery(b, w, "file:///etc/passwd")
			}
			return is(r, wellKnown)
		},
		"a redirect": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, "/keys") {
				http.Redirect(w, r, b.url+"/moved", http.StatusFound)
			}
			if is(r, "/moved") {
				_ = json.NewEncoder(w).Encode(b.keys.Load())
			}
			return is(r, "/keys") || is(r, "/moved")
		},
		"keys without end": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, "/keys") {
				_, _ = w.Write([]byte(`{"pad":"` + strings.Repeat("x", 300<<10) + `",`))
				_, _ = w.Write(must(json.Marshal(b.keys.Load()))[1:])
			}
			return is(r, "/keys")
		},
		"too many keys": func(b *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, "/keys") {
				set := *b.keys.Load()
				for range 100 {
					set.Keys = append(set.Keys, jose.JSONWebKey{Key: &ecKey().PublicKey, KeyID: "more"})
				}
				_ = json.NewEncoder(w).Encode(set)
			}
			return is(r, "/keys")
		},
		"secrets for keys": func(_ *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, "/keys") {
				_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"r","k":"c2VjcmV0"}]}`))
			}
			return is(r, "/keys")
		},
		"a status": func(_ *bench, w http.ResponseWriter, r *http.Request) bool {
			if is(r, "/keys") {
				w.WriteHeader(500)
			}
			return is(r, "/keys")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			instead := func(w http.ResponseWriter, r *http.Request) bool { return answer(b, w, r) }
			b.answer.Store(&instead)
			token := b.token(nil)
			_, ok, err := b.verifier.Principal(t.Context(), secret.New(token))
			if ok || !errors.Is(err, issuer.ErrUnavailable) || strings.Contains(err.Error(), token) {
				t.Errorf("it is let in: %t, %v", ok, err)
			}
		})
	}
}

// A key whose kind is not known here hurts no other, and one alone needs no name.
func TestASetOfOneKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	payload := must(json.Marshal(b.claims(nil)))
	instead := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/keys" {
			return false
		}
		one := must((&jose.JSONWebKey{Key: &ecKey().PublicKey}).MarshalJSON())
		_, _ = w.Write([]byte(`{"keys":[{"kty":"FUTURE","kid":"x"},{"kty":"oct","k":"c2VjcmV0"},` + string(one) + `]}`))
		return true
	}
	b.answer.Store(&instead)
	if _, ok := b.ask(sign(jose.ES256, "", ecKey(), payload)); !ok {
		t.Error("the one key is not found")
	}
	if _, ok := b.ask(sign(jose.RS256, "", rsaKey(), payload)); ok {
		t.Error("a key of another kind is taken for it")
	}
}

// Short keys can be broken.
func TestAShortKeyIsNoKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	short := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // a weak key is what this is about
	b.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &short.PublicKey, KeyID: "s"}}})
	if _, ok := b.ask(sign(jose.RS256, "s", short, must(json.Marshal(b.claims(nil))))); ok {
		t.Error("a key of 1024 bits is taken")
	}
}

func TestManyAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(nil)
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if _, ok, err := b.verifier.Principal(t.Context(), secret.New(token)); !ok || err != nil {
				t.Errorf("%t, %v", ok, err)
			}
		})
	}
	group.Wait()
	if n := b.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestAConfigIsCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	good := func() issuer.Config {
		return issuer.Config{Issuers: []string{"https://issuer.example.com/realms/a"}, Audience: "vault", Tenant: tenant, RoleClaim: "groups",
			Roles: map[string]record.Role{"a": record.Owner}}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*issuer.Config){
		"no issuer": func(c *issuer.Config) { c.Issuers = nil },
		"six issuers": func(c *issuer.Config) {
			c.Issuers = []string{"https://a", "https://b", "https://c", "https://d", "https://e", "https://f"}
		},
		"an issuer without TLS":  func(c *issuer.Config) { c.Issuers[0] = "http://issuer.example.com" },
		"an issuer like here":    func(c *issuer.Config) { c.Issuers[0] = "http://127.0.0.1.example.com" },
		"an issuer with a user":  func(c *issuer.Config) { c.Issuers[0] = "https://u:p@issuer.example.com" },
		"an issuer that is none": func(c *issuer.Config) { c.Issuers[0] = "issuer" },
		"no audience":            func(c *issuer.Config) { c.Audience = "" },
		"no tenant":              func(c *issuer.Config) { c.Tenant = "" },
		"two tenants":            func(c *issuer.Config) { c.TenantClaim = "tenant" },
		"a tenant that is none":  func(c *issuer.Config) { c.Tenant = "t_1" },
		"nobody's tenant":        func(c *issuer.Config) { c.Tenant = ident.Outside },
		"no claim":               func(c *issuer.Config) { c.RoleClaim = "" },
		"no roles":               func(c *issuer.Config) { c.Roles = nil },
		"an unknown role":        func(c *issuer.Config) { c.Roles["b"] = "root" },
		"another kind's role":    func(c *issuer.Config) { c.Roles["b"] = "connector_token" },
		"a role for nothing":     func(c *issuer.Config) { c.Roles[""] = record.Owner },
		"a value for no claim":   func(c *issuer.Config) { c.PersonalDataValue = "yes" },
	} {
		c := good()
		spoil(&c)
		if _, err := issuer.New(c, &http.Client{}, time.Now); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if c, err := issuer.ParseConfig([]byte(`{"issuers":["https://i.example"],"roles":{"a":"owner"}}`)); err != nil || c.Roles["a"] != record.Owner {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := issuer.ParseConfig([]byte(`{"issuer":"https://i.example"}`)); err == nil {
		t.Error("a misspelt member is taken")
	}
	if roles, err := issuer.ParseRoles("all staff=reader, vault=owner"); err != nil || roles["all staff"] != record.Reader || roles["vault"] != record.Owner {
		t.Errorf("%v, %v", roles, err)
	}
	for _, bad := range []string{"", "a", "=owner", "a=owner,a=reader", "a=owner,"} {
		if _, err := issuer.ParseRoles(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
