// Package issuer lets people and programs in with the tokens of an OpenID Connect issuer: it checks a JWT and says whose
// it is, in our words.
//
// The argument: a company has one place where people are let in and thrown out, and a vault with keys of its own beside
// it is one more to forget. But a token is a letter that says who its bearer is, in claims that somebody else chose. So
// only the signatures of a few kinds count, made with keys that the issuer itself publishes, for our audience, in time;
// what the claims mean is written down at deployment; and whoever it gives no role to is nobody. Signature and standard
// claims are checked by a library that many look at; around it stand bounds, since whoever holds no key at all can send
// tokens: no token makes us ask the issuer more than once in a while, and no answer of the issuer is read without end.
package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"connectorvault/shared/access"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// Mark is how every JWT begins: a JSON object in base64.
const Mark = "eyJ"

// The bounds of a token.
const (
	maxToken      = 8 << 10 // bytes; the gateway takes little more
	maxSubject    = 255
	maxConnectors = 50
	skew          = time.Minute // by which the issuer's clock may be ahead of ours
)

// algorithms are the signatures that count: none that needs no key, and none whose key would be a shared secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

// Verifier finds principals by tokens. It is safe for concurrent use.
type Verifier struct {
	config  Config
	now     func() time.Time
	issuers map[string]*keys
}

// New returns a Verifier. The issuers are first asked when a token of theirs comes.
func New(cfg Config, client *http.Client, now func() time.Time) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{config: cfg, now: now, issuers: map[string]*keys{}}
	for _, name := range cfg.Issuers {
		v.issuers[name] = &keys{issuer: name, client: bounded(client), now: now}
	}
	return v, nil
}

// Principal finds whose token it is; ok is false for any that does not let its bearer in. An error says that it could not
// be found out: the issuer does not answer.
func (v *Verifier) Principal(ctx context.Context, text secret.Text) (p record.Principal, ok bool, err error) {
	raw := text.Reveal()
	if len(raw) > maxToken {
		return p, false, nil
	}
	// Before the signature is checked, the token says only which issuer and which key to check it with.
	parsed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil || len(parsed.Signatures) != 1 {
		return p, false, nil //nolint:nilerr // what cannot be read lets nobody in
	}
	claims, err := parseClaims(parsed.UnsafePayloadWithoutVerification())
	if err != nil {
		return p, false, nil //nolint:nilerr // likewise
	}
	name, _ := claims.text("iss")
	of := v.issuers[name]
	if of == nil {
		return p, false, nil
	}
	header := parsed.Signatures[0].Protected
	if !accessType(header.ExtraHeaders) {
		return p, false, nil
	}
	key, found, err := of.find(ctx, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if err != nil || !found {
		return p, false, err
	}
	verified, ok := v.verify(ctx, name, raw, key)
	if !ok {
		return p, false, nil
	}
	p, ok = v.principal(name, verified)
	return p, ok, nil
}

// accessType reports whether a token says that it lets somebody in, or does not say what it is for (RFC 8725, 3.11). An issuer
// signs other things with the same keys, for the same audience: that somebody has logged out, for one.
func accessType(header map[jose.HeaderKey]any) bool {
	said, there := header[jose.HeaderType]
	if !there {
		return true
	}
	text, _ := said.(string)
	kind := strings.TrimPrefix(strings.ToLower(text), "application/")
	return kind == "jwt" || kind == "at+jwt"
}

// verify has the library check signature, issuer, audience and times.
func (v *Verifier) verify(ctx context.Context, name, raw string, key jose.JSONWebKey) (claims, bool) {
	var allowed []string
	for _, a := range algorithms {
		allowed = append(allowed, string(a))
	}
	verifier := oidc.NewVerifier(name, oneKey{key}, &oidc.Config{ClientID: v.config.Audience, SupportedSigningAlgs: allowed, Now: v.now})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, false
	}
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return nil, false
	}
	out, err := parseClaims(payload)
	return out, err == nil && v.inOrder(name, out)
}

// oneKey is a key set of the one key that a token names.
type oneKey struct{ key jose.JSONWebKey }

// VerifySignature implements oidc.KeySet.
func (k oneKey) VerifySignature(_ context.Context, raw string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, err
	}
	return parsed.Verify(k.key.Key)
}

// inOrder checks the standard claims once more, by their exact names: a decoder that takes "AUD" for "aud" would let a
// claim that a user may choose stand in for one that only the issuer writes. It is stricter on times besides.
func (v *Verifier) inOrder(name string, c claims) bool {
	now := float64(v.now().UnixMilli()) / 1000
	ahead := now + skew.Seconds()
	said, _ := c.text("iss")
	audience := c.texts("aud")
	expires, hasExpires := c.number("exp")
	issued, hasIssued := c.number("iat")
	from, hasFrom := c.number("nbf")
	if _, there := c["nbf"]; there && !hasFrom {
		return false
	}
	return said == name && slices.Contains(audience, v.config.Audience) && hasExpires && now < expires &&
		hasIssued && issued <= ahead && (!hasFrom || from <= ahead)
}

// principal reads claims that have been verified.
func (v *Verifier) principal(name string, c claims) (p record.Principal, ok bool) {
	subject, ok := c.text("sub")
	if !ok || subject == "" || len(subject) > maxSubject {
		return p, false
	}
	p.ID = subjectID(name, subject)
	if p.Tenant = v.config.Tenant; v.config.TenantClaim != "" {
		p.Tenant, _ = c.text(v.config.TenantClaim)
	}
	if !ident.Valid(p.Tenant, ident.Tenant) || p.Tenant == ident.Outside {
		return p, false
	}
	if p.Role, ok = v.role(c); !ok {
		return p, false
	}
	p.PersonalData = v.personal(c)
	if p.Role == record.Reader && v.config.ConnectorsClaim != "" {
		if p.Connectors, ok = v.connectors(c); !ok {
			return p, false
		}
	}
	return p, true
}

// subjectID stands for a subject of an issuer: the same whenever it comes, and of no other.
func subjectID(name, subject string) string {
	sum := sha256.Sum256([]byte(name + "\n" + subject)) // no issuer's name has a line break
	return ident.Subject + hex.EncodeToString(sum[:16])
}

// role is the mightiest of those that the claims are mapped to.
func (v *Verifier) role(c claims) (record.Role, bool) {
	values := c.texts(v.config.RoleClaim)
	for _, role := range access.Roles() {
		if slices.ContainsFunc(values, func(value string) bool { return v.config.Roles[value] == role }) {
			return role, true
		}
	}
	return "", false
}

// personal reports the grant: the claim is true, or has the value that was named for it.
func (v *Verifier) personal(c claims) bool {
	switch {
	case v.config.PersonalDataClaim == "":
		return false
	case v.config.PersonalDataValue == "":
		return string(c.find(v.config.PersonalDataClaim)) == "true"
	default:
		values := c.texts(v.config.PersonalDataClaim)
		return slices.Contains(values, v.config.PersonalDataValue)
	}
}

// connectors are the only ones that a reader may read; nil for "*", which is all. A claim that is missing, empty or not
// understood lets the reader not in: it must never come to mean all.
func (v *Verifier) connectors(c claims) ([]string, bool) {
	values := c.texts(v.config.ConnectorsClaim)
	if len(values) == 1 && values[0] == "*" {
		return nil, true
	}
	for _, id := range values {
		if !ident.Valid(id, ident.Connector) {
			return nil, false
		}
	}
	return values, len(values) > 0 && len(values) <= maxConnectors
}
