package clarasim

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// tokenLife is assumed: every client takes it where expires_in is missing (Clara facts 4.3).
const tokenLife = time.Hour

// claims are those of an access token, in the manner of Auth0, which issues Clara's (Clara facts 4.3).
type claims struct {
	Issuer       string        `json:"iss"`
	Subject      string        `json:"sub"`
	Audience     string        `json:"aud"`
	IssuedAt     int64         `json:"iat"`
	Expires      int64         `json:"exp"`
	Party        string        `json:"azp"` // the client id
	Scope        string        `json:"scope"`
	GrantType    string        `json:"gty"`
	Number       int64         `json:"jti"` // of the ledger's line
	Credential   int           `json:"crd"` // whose secret was shown
	Generation   int64         `json:"gen"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

// confirmation binds a token to a certificate (RFC 8705).
type confirmation struct {
	Thumbprint string `json:"x5t#S256"`
}

const (
	// tokenHeader names an algorithm whose signature is as long as the one that follows is, and is not made with it.
	tokenHeader = `{"alg":"RS256","typ":"JWT","kid":"5eedClaraSimulatorKey01"}`
	// signatureLength is that of RSA with 2048 bits, which makes tokens of the length that Auth0's have.
	signatureLength = 256
)

// signToken makes a token of claims: always the same one of the same claims.
func (s *Simulator) signToken(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	text := base64url([]byte(tokenHeader)) + "." + base64url(payload)
	signature, err := s.signature("token "+text, signatureLength)
	if err != nil {
		return "", err
	}
	return text + "." + base64url(signature), nil
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *Simulator) signature(text string, length int) ([]byte, error) {
	signature, err := hkdf.Key(sha256.New, s.key, nil, text, length)
	if err != nil {
		return nil, errors.New("signing failed")
	}
	return signature, nil
}

// signed reports whether a signature is that of a text.
func (s *Simulator) signed(text string, signature []byte, length int) bool {
	want, err := s.signature(text, length)
	return err == nil && hmac.Equal(signature, want)
}

// readToken returns the claims of a token that was signed here. It does not look at the clock.
func (s *Simulator) readToken(token string) (claims, bool) {
	i := strings.LastIndex(token, ".")
	if i < 0 {
		return claims{}, false
	}
	text := token[:i]
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil || !s.signed("token "+text, signature, signatureLength) {
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
