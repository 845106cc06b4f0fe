package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"connectorvault/shared/secret"
)

// Revoke gives a token back (RFC 7009): exactly one POST. What the provider promises of the tokens that came of it is
// the provider's own matter; Sage's access tokens live on (Sage facts 1.4).
//
// A 200 is success whatever it holds, and so is a 204. RFC 7009 has servers say 200 of a token that they do not know,
// since it is as dead as was asked for; a 400 that calls it invalid_token says the same against the RFC, and counts the
// same. In a 401 that code would be about whoever asks (RFC 6750), so it does not. All else is a *Failure: its outcome is
// Misconfigured for unsupported_token_type, and Revoked for invalid_grant, when this client has no such grant. A client
// without RevokeURL, or no token, is a mistake of ours and another error; nothing is sent then.
func (c Client) Revoke(ctx context.Context, token secret.Text) error {
	if token.IsZero() {
		return errors.New("oauth: there is no token to revoke")
	}
	r, err := c.revocation(ctx, token)
	if err != nil {
		return err
	}
	seen, client := c.line()
	resp, err := client.Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	if revoked(seen) {
		return nil
	}
	failure := seen.classify(ctx, err)
	if seen.status == http.StatusBadRequest && seen.refusal() == "unsupported_token_type" {
		failure.Outcome, failure.Spent = Misconfigured, false
	}
	failure.forget(token, c.Secret)
	return failure
}

func revoked(seen *observer) bool {
	switch seen.status {
	case http.StatusOK, http.StatusNoContent:
		return true
	case http.StatusBadRequest:
		return seen.refusal() == "invalid_token"
	default:
		return false
	}
}

// revocation is the request, in the form of those that x/oauth2 makes.
func (c Client) revocation(ctx context.Context, token secret.Text) (*http.Request, error) {
	form := url.Values{"token": {token.Reveal()}}
	if c.Style == InParams {
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil || r.URL.Host == "" {
		return nil, errors.New("oauth: the client has no RevokeURL, or none that is an address")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Style == InHeader {
		r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	}
	return r, nil
}
