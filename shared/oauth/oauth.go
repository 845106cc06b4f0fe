// Package oauth is OAuth 2.0 on the wire: code exchange, refresh and client credentials at a token endpoint, revocation
// at its neighbour, and what each answer means. It stores nothing.
//
// The argument: x/oauth2 speaks the protocol, and this package makes it safe for tokens that can be spent once. The
// client authentication style is stated, never probed (probing posts twice); nothing is retried; redirects are not
// followed; and every failure says whether the token may have been spent, because only that decides what the refresh
// cycle may do next. No error text quotes an answer's body: x/oauth2's own do, so they stop here.
//
// Answers are read by a rule that leans two ways. Tokens are taken in every form in which they can be found, since
// nobody gets them twice. A refusal counts only as RFC 6749 writes it, one JSON object in a 4xx; all else is perhaps
// spent and to be tried again. The answers of oauthtest say what that comes to.
package oauth

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"connectorvault/shared/secret"
)

// Style is how a client proves itself to a token endpoint.
type Style int

// The styles.
const (
	InParams Style = iota // client_id and client_secret in the form
	InHeader              // HTTP Basic
)

// Client is one OAuth client at one token endpoint.
type Client struct {
	// HTTP is required. Its transport decides TLS; redirects are refused whatever it says, and its timeout is not used: the
	// context ends a request, and no second clock throws away an answer that was bought.
	HTTP     *http.Client
	TokenURL string
	Style    Style
	ID       string
	Secret   secret.Text

	RevokeURL string // for Revoke; empty where the provider has no such endpoint
	// Claims names further members of a token answer that are kept as text, such as the legacy Sage API's
	// resource_owner_id and version 3.1's requested_by_id (Sage facts 1.4).
	Claims []string
}

// Tokens is what a token endpoint issued.
type Tokens struct {
	Access   secret.Text
	Refresh  secret.Text   // zero when none was issued: the one that was used stays in force
	Lifetime time.Duration // of the access token; 0 when the answer did not say
	Scope    string
	// RefreshLifetime is Sage's refresh_token_expires_in; 0 when the answer did not say.
	RefreshLifetime time.Duration
	// Claims are the members that Client.Claims names, as a JSON answer said them; nil when it said none.
	Claims map[string]string
}

// Exchange turns an authorization code into tokens (RFC 6749, 4.1.3). verifier is zero where the provider takes no
// PKCE. A non-nil failure is a *Failure.
func (c Client) Exchange(ctx context.Context, code secret.Text, redirectURI string, verifier secret.Text) (Tokens, error) {
	options := []oauth2.AuthCodeOption{}
	if !verifier.IsZero() {
		options = append(options, oauth2.VerifierOption(verifier.Reveal()))
	}
	return c.post(ctx, code, func(ctx context.Context, config *oauth2.Config) (*oauth2.Token, error) {
		config.RedirectURL = redirectURI
		return config.Exchange(ctx, code.Reveal(), options...)
	})
}

// Refresh spends a refresh token (RFC 6749, 6): exactly one POST. A non-nil failure is a *Failure.
func (c Client) Refresh(ctx context.Context, refresh secret.Text) (Tokens, error) {
	tokens, err := c.post(ctx, refresh, func(ctx context.Context, config *oauth2.Config) (*oauth2.Token, error) {
		return config.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh.Reveal()}).Token()
	})
	if err == nil && tokens.Refresh.Equal(refresh) {
		tokens.Refresh = secret.Text{} // x/oauth2 hands the old one back when the answer names none
	}
	return tokens, err
}

// ClientCredentials asks for a token of the client's own (RFC 6749, 4.4): Amazon's grantless operations, and all of
// Clara's. An empty scope is not sent.
func (c Client) ClientCredentials(ctx context.Context, scope string) (Tokens, error) {
	return c.post(ctx, secret.Text{}, func(ctx context.Context, config *oauth2.Config) (*oauth2.Token, error) {
		own := clientcredentials.Config{
			ClientID:     config.ClientID,
			ClientSecret: config.ClientSecret,
			TokenURL:     config.Endpoint.TokenURL,
			AuthStyle:    config.Endpoint.AuthStyle,
		}
		if scope != "" {
			own.Scopes = []string{scope}
		}
		return own.Token(ctx)
	})
}

type call func(context.Context, *oauth2.Config) (*oauth2.Token, error)

// post makes the call. sent is what it spends: should the endpoint say it back, it goes no further.
func (c Client) post(ctx context.Context, sent secret.Text, do call) (Tokens, error) {
	seen, client := c.line()
	token, err := do(context.WithValue(ctx, oauth2.HTTPClient, client), c.config())
	if err != nil {
		failure := seen.classify(ctx, err)
		failure.forget(sent, c.Secret)
		return Tokens{}, failure
	}
	if token.AccessToken == "" || strings.ContainsFunc(token.AccessToken, unsendable) {
		return Tokens{}, &Failure{Outcome: Transient, Status: seen.status, Spent: true, RequestID: seen.requestID}
	}
	tokens := c.tokens(token)
	tokens.Claims = c.claims(seen.members, sent, c.Secret, tokens.Access, tokens.Refresh)
	return tokens, nil
}

// line is an HTTP client for one request, with what sees it.
func (c Client) line() (*observer, *http.Client) {
	seen := &observer{base: c.HTTP.Transport}
	return seen, &http.Client{Transport: seen, CheckRedirect: refuseRedirect}
}

// unsendable characters are in no token (RFC 6749, appendix A.12), and no header takes them.
func unsendable(r rune) bool { return r < ' ' || r > '~' }

func (c Client) config() *oauth2.Config {
	style := oauth2.AuthStyleInParams
	if c.Style == InHeader {
		style = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{
		ClientID:     c.ID,
		ClientSecret: c.Secret.Reveal(),
		Endpoint:     oauth2.Endpoint{TokenURL: c.TokenURL, AuthStyle: style},
	}
}

func (c Client) tokens(token *oauth2.Token) Tokens {
	scope, _ := token.Extra("scope").(string)
	return Tokens{
		Access:          secret.New(token.AccessToken),
		Refresh:         secret.New(token.RefreshToken),
		Lifetime:        seconds(token.Extra("expires_in")),
		RefreshLifetime: seconds(token.Extra("refresh_token_expires_in")),
		Scope:           scope,
	}
}

// longest bounds what an answer can say of a lifetime, lest it overflow.
const longest = 100 * 365 * 24 * time.Hour

// seconds reads a lifetime that a JSON answer gives as a number or, against the RFC but seen, as a string. One that
// makes no sense counts as not said.
func seconds(v any) time.Duration {
	var n float64
	switch v := v.(type) {
	case float64:
		n = v
	case int64:
		n = float64(v)
	case string:
		n, _ = strconv.ParseFloat(v, 64)
	}
	if math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(min(n, longest.Seconds())) * time.Second
}

// claims picks out what the client asked to keep. These values go into logs and answers as they come, so what holds a
// secret is left out.
func (c Client) claims(said map[string]json.RawMessage, secrets ...secret.Text) map[string]string {
	var kept map[string]string
	for _, name := range c.Claims {
		value := claim(said[name])
		if value == "" || slices.ContainsFunc(secrets, func(s secret.Text) bool { return !s.IsZero() && strings.Contains(value, s.Reveal()) }) {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[name] = value
	}
	return kept
}

// claim is a member that is a string or a number, as text. One that is too long for an identifier, or cannot be
// printed, counts as not said.
func claim(member json.RawMessage) string {
	const most = 256
	value := text(member)
	if len(member) > 0 && (member[0] == '-' || member[0] >= '0' && member[0] <= '9') {
		value = string(member) // digit for digit: an identifier may be longer than a float64 is exact
	}
	if len(value) > most || strings.ContainsFunc(value, unprintable) {
		return ""
	}
	return value
}

// unprintable characters are in no identifier. The replacement character stands for bytes that were no text.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Challenge returns the S256 code challenge of a PKCE verifier (RFC 7636, 4.2).
func Challenge(verifier secret.Text) string {
	return oauth2.S256ChallengeFromVerifier(verifier.Reveal())
}

// Query joins parameters to a base URL that may already have some.
func Query(base string, params url.Values) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	q := u.Query()
	for name, values := range params {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}
