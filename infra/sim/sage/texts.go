package sagesim

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// Lifetimes (Sage facts 1.3, 1.4).
const (
	codeLife    = 60 * time.Second
	accessLife  = 300 * time.Second
	refreshLife = 2678400 * time.Second
	// The old API's refresh tokens never time out (Sage facts 1.4). The life of its access tokens is assumed.
	legacyAccessLife = time.Hour
)

// claims are those of the tokens that Sage gives out (Sage facts 1.4), in that order.
type claims struct {
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp,omitempty"` // absent where the token never times out
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"` // the user
	Audience string `json:"aud"`
	Party    string `json:"azp"` // the client id
	Country  string `json:"country,omitempty"`
	Scopes   string `json:"scopes,omitempty"`
	Site     string `json:"site,omitempty"` // the old API's only
}

const (
	tokenIssuer    = "oauth.aws.sbc-accounting.sage.com"
	audienceAPI    = "api.sbc-accounting.sage.com"
	audienceLegacy = "api.columbus.sage.com"
	// tokenHeader names an algorithm whose signature is as long as the one that follows is, and is not made with it.
	tokenHeader = `{"alg":"RS512","kid":"5eed-sage-simulator-signing-key-0000000001"}`
	// signatureLength is that of RSA with 4096 bits, which makes tokens of the length that Sage's have.
	signatureLength = 512
)

// The scopes of an authorization request, and the claims that go with them. What readonly leads to is assumed.
const (
	scopeReadOnly   = "readonly"
	scopeFullAccess = "full_access"
)

func scopesClaim(granted string) string {
	if granted == scopeReadOnly {
		return "accounts:r accounting:r core:r"
	}
	return "accounts:rw accounting:rw core:rw"
}

// signToken makes a token of claims: always the same one of the same claims.
func (s *Simulator) signToken(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	text := encode([]byte(tokenHeader)) + "." + encode(payload)
	signature, err := s.signature(text)
	if err != nil {
		return "", err
	}
	return text + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *Simulator) signature(text string) ([]byte, error) {
	signature, err := hkdf.Key(sha512.New, s.key, nil, "token "+text, signatureLength)
	if err != nil {
		return nil, fmt.Errorf("signing a token: %w", err)
	}
	return signature, nil
}

// readToken returns the claims of a token that was signed here. It does not look at the clock.
func (s *Simulator) readToken(token string) (claims, bool) {
	text, signature, ok := cutLast(token, ".")
	if !ok {
		return claims{}, false
	}
	want, err := s.signature(text)
	if err != nil {
		return claims{}, false
	}
	got, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(got, want) {
		return claims{}, false
	}
	_, payload, _ := strings.Cut(text, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return claims{}, false
	}
	var c claims
	err = json.Unmarshal(decoded, &c)
	return c, err == nil
}

func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+len(sep):], true
}

// accessToken makes an access token. Nothing takes it back before its end (Sage facts 1.4).
func (s *Simulator) accessToken(f Family) (string, error) {
	now := s.now()
	c := claims{
		ID: s.uuid(), IssuedAt: now.Unix(), Expires: now.Add(f.accessLife()).Unix(), Issuer: tokenIssuer, Subject: f.User,
		Audience: audienceAPI, Party: f.ClientID, Scopes: scopesClaim(f.Scope),
	}
	if owner, ok := s.user(f.User); ok {
		c.Country = owner.Country
	}
	if f.Legacy {
		c.Audience, c.Site = audienceLegacy, f.site
	}
	return s.signToken(c)
}

// refreshToken makes the refresh token with a number of a family, the same one every time: a grace window gives the
// current one out again, and so it need not lie readable among the state.
func (s *Simulator) refreshToken(f Family) (string, error) {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte("refresh " + f.ID + " " + strconv.FormatInt(f.Current, 10))) // a hash never fails
	return s.signToken(claims{
		ID: engine.FormatUUID(mac.Sum(nil)[:16]), IssuedAt: f.issuedAt, Expires: f.expiresAt, Issuer: tokenIssuer, Subject: f.User,
		Audience: tokenIssuer, Party: f.ClientID, Scopes: "refresh " + scopesClaim(f.Scope),
	})
}
