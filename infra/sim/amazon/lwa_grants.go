package amazonsim

import (
	"context"
	"database/sql"
	"net/url"
	"slices"

	"connectorvault/infra/sim/engine"
)

// tokenFault applies the switches that look like a dead secret or a revoked grant.
func (s *Simulator) tokenFault(ctx context.Context, form url.Values, where scope) error {
	if _, expired, err := s.fire(ctx, FaultSecretExpired, where); err != nil {
		return err
	} else if expired {
		return invalidClient()
	}
	if form.Get("grant_type") != "refresh_token" {
		return nil
	}
	if _, revoked, err := s.fire(ctx, FaultRevokedGrant, where); err != nil {
		return err
	} else if revoked {
		return invalidGrant("refresh_token")
	}
	return nil
}

// authenticate checks client id and secret for a credential of an application. An application that was adopted
// on first use takes the first client that spends one of its credentials; any other client is refused the
// credential, not the authentication (Amazon facts 3.3: "issued to another client").
func (s *Simulator) authenticate(ctx context.Context, tx *sql.Tx, form url.Values, owner App, usable bool, parameter string) error {
	clientID, hash := form.Get("client_id"), engine.Digest(form.Get("client_secret"))
	_, known, err := appByClient(ctx, tx, clientID)
	if err != nil {
		return err
	}
	if known {
		valid, err := s.secretValid(ctx, tx, clientID, hash)
		if err != nil {
			return err
		}
		if !valid {
			return invalidClient()
		}
	}
	unbound := owner.ApplicationID != "" && owner.ClientID == ""
	switch {
	case !usable && !known && !unbound:
		return invalidClient()
	case !usable:
		return invalidGrant(parameter)
	case owner.ClientID == clientID:
		return nil
	case owner.ClientID != "" || known:
		return invalidGrant(parameter)
	}
	_, err = tx.ExecContext(ctx, `UPDATE apps SET client_id = ? WHERE application_id = ?`, clientID, owner.ApplicationID)
	if err != nil {
		return err
	}
	return s.insertSecret(ctx, tx, clientID, form.Get("client_secret"), 0)
}

// exchangeCode spends an spapi_oauth_code. The redirect URI is compared when it is sent; Amazon's older
// example leaves it out (Amazon facts 3.1, 12).
func (s *Simulator) exchangeCode(ctx context.Context, tx *sql.Tx, form url.Values) (tokenSet, error) {
	code, found, err := codeByText(ctx, tx, form.Get("code"))
	if err != nil {
		return tokenSet{}, err
	}
	g, _, err := grantByID(ctx, tx, code.grantID)
	if err != nil {
		return tokenSet{}, err
	}
	owner, _, err := appByID(ctx, tx, g.ApplicationID)
	if err != nil {
		return tokenSet{}, err
	}
	usable := found && code.usedAt == 0 && s.millis(0) < code.expiresAt && g.alive(s.now())
	if err := s.authenticate(ctx, tx, form, owner, usable, "code"); err != nil {
		return tokenSet{}, err
	}
	if sent := form.Get("redirect_uri"); sent != "" && sent != code.redirectURI {
		return tokenSet{}, invalidGrant("code")
	}
	_, err = tx.ExecContext(ctx, `UPDATE codes SET used_at = ? WHERE hash = ?`, s.millis(0), engine.Digest(form.Get("code")))
	if err != nil {
		return tokenSet{}, err
	}
	refresh, err := refreshTokenOf(ctx, tx, g)
	if err != nil {
		return tokenSet{}, err
	}
	return s.mint(ctx, tx, form, token{kind: kindAccess, grantID: g.ID, applicationID: g.ApplicationID}, refresh)
}

// refreshTokens gives a new access token and the same refresh token (Amazon facts 3.2).
func (s *Simulator) refreshTokens(ctx context.Context, tx *sql.Tx, form url.Values) (tokenSet, error) {
	g, found, err := grantByRefreshToken(ctx, tx, form.Get("refresh_token"))
	if err != nil {
		return tokenSet{}, err
	}
	owner, _, err := appByID(ctx, tx, g.ApplicationID)
	if err != nil {
		return tokenSet{}, err
	}
	if err := s.authenticate(ctx, tx, form, owner, found && g.alive(s.now()), "refresh_token"); err != nil {
		return tokenSet{}, err
	}
	return s.mint(ctx, tx, form, token{kind: kindAccess, grantID: g.ID, applicationID: g.ApplicationID}, form.Get("refresh_token"))
}

func (s *Simulator) clientCredentials(ctx context.Context, tx *sql.Tx, form url.Values) (tokenSet, error) {
	app, _, err := appByClient(ctx, tx, form.Get("client_id"))
	if err != nil {
		return tokenSet{}, err
	}
	valid, err := s.secretValid(ctx, tx, app.ClientID, engine.Digest(form.Get("client_secret")))
	if err != nil {
		return tokenSet{}, err
	}
	if !valid {
		return tokenSet{}, invalidClient()
	}
	if !slices.Contains(grantlessScopes, form.Get("scope")) {
		return tokenSet{}, badTokenRequest("invalid_scope", "The requested scope is invalid, unknown, or malformed")
	}
	return s.mint(ctx, tx, form, token{kind: kindGrantless, applicationID: app.ApplicationID, scope: form.Get("scope")}, "")
}

// mint makes an access token. Older ones stay valid until their own end (Amazon facts 3.2).
func (s *Simulator) mint(ctx context.Context, tx *sql.Tx, form url.Values, t token, refreshToken string) (tokenSet, error) {
	text := s.opaque("Atza|", 261)
	t.clientID, t.secretHash, t.expiresAt = form.Get("client_id"), engine.Digest(form.Get("client_secret")), s.millis(accessLife)
	if err := s.insertToken(ctx, tx, text, t); err != nil {
		return tokenSet{}, err
	}
	return tokenSet{AccessToken: text, RefreshToken: refreshToken, TokenType: "bearer", ExpiresIn: int(accessLife.Seconds())}, nil
}
