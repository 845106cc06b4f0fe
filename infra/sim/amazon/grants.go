package amazonsim

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"connectorvault/infra/sim/engine"
)

// Lifetimes (Amazon facts 13).
const (
	codeLife        = 5 * time.Minute
	amazonStateLife = 10 * time.Minute
	accessLife      = time.Hour
	grantLife       = 365 * 24 * time.Hour
)

// expiredTokensKept is how long an access token is remembered after its end, so that it is answered "has
// expired" rather than "malformed".
const expiredTokensKept = 7 * 24 * time.Hour

// Grant is one authorization: a seller's consent to an application in one region (Amazon facts 2.3).
type Grant struct {
	ID            string    `json:"-"`
	ApplicationID string    `json:"application_id"`
	SellerID      string    `json:"selling_partner_id"`
	Region        string    `json:"region"`
	Kind          string    `json:"kind"` // "consent" or "self"
	AuthorizedAt  time.Time `json:"authorized_at"`
	ExpiresAt     time.Time `json:"expires_at"`
	Revoked       bool      `json:"revoked"`
}

// alive says whether the grant still yields tokens.
func (g Grant) alive(now time.Time) bool { return !g.Revoked && now.Before(g.ExpiresAt) }

// SelfAuthorization names what the portal's "Authorize app" button authorizes.
type SelfAuthorization struct {
	ApplicationID string `json:"application_id"`
	SellerID      string `json:"selling_partner_id"`
	Region        string `json:"region"`
}

// SelfAuthorize makes an authorization without consent pages and returns its refresh token. Pressing the button
// again makes another token and leaves the older ones alone (Amazon facts 2.5).
func (s *Simulator) SelfAuthorize(ctx context.Context, want SelfAuthorization) (string, error) {
	if err := s.checkPartner(want.SellerID, want.Region); err != nil {
		return "", err
	}
	var token string
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		_, found, err := appByID(ctx, tx, want.ApplicationID)
		if err != nil {
			return err
		}
		if !found {
			strict, err := s.switchOn(ctx, tx, FaultStrictApps)
			if err != nil {
				return err
			}
			if strict || !applicationIDPattern.MatchString(want.ApplicationID) {
				return fmt.Errorf("application %q: %w", want.ApplicationID, engine.ErrNotFound)
			}
			if _, err := s.adopt(ctx, tx, want.ApplicationID, ""); err != nil {
				return err
			}
		}
		g, err := s.insertGrant(ctx, tx, want.ApplicationID, want.SellerID, want.Region, "self")
		if err != nil {
			return err
		}
		token, err = refreshTokenOf(ctx, tx, g)
		return err
	})
	return token, err
}

func (s *Simulator) checkPartner(sellerID, region string) error {
	seller, ok := s.seller(sellerID)
	if !ok {
		return fmt.Errorf("selling partner %q: %w", sellerID, engine.ErrNotFound)
	}
	if !validRegion(region) || len(seller.marketplacesIn(region)) == 0 {
		return fmt.Errorf("selling partner %q has no account in region %q", sellerID, region)
	}
	return nil
}

// RevokeGrant does what "Disable authorization" in Seller Central does, for every authorization that matches.
// Empty arguments match anything. It returns how many were revoked.
func (s *Simulator) RevokeGrant(ctx context.Context, applicationID, sellerID, region string) (int, error) {
	result, err := s.state.ExecContext(ctx, `UPDATE grants SET revoked_at = ? WHERE revoked_at = 0
		AND (? = '' OR application_id = ?) AND (? = '' OR seller = ?) AND (? = '' OR region = ?)`,
		s.millis(0), applicationID, applicationID, sellerID, sellerID, region, region)
	if err != nil {
		return 0, fmt.Errorf("revoking: %w", err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Grants lists every authorization, oldest first. It shows no tokens.
func (s *Simulator) Grants(ctx context.Context) ([]Grant, error) {
	rows, err := s.state.QueryContext(ctx, selectGrant+` ORDER BY authorized_at, id`)
	list, err := engine.Collect(rows, err, scanGrant)
	if err != nil {
		return nil, fmt.Errorf("listing grants: %w", err)
	}
	return list, nil
}

func (s *Simulator) insertGrant(ctx context.Context, tx *sql.Tx, applicationID, sellerID, region, kind string) (Grant, error) {
	now := s.now()
	g := Grant{
		ID: s.uuid(), ApplicationID: applicationID, SellerID: sellerID, Region: region, Kind: kind,
		AuthorizedAt: now, ExpiresAt: now.Add(grantLife),
	}
	refresh, err := refreshTokenOf(ctx, tx, g)
	if err != nil {
		return Grant{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO grants(id, application_id, seller, region, kind, refresh_token, authorized_at, expires_at, revoked_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		g.ID, applicationID, sellerID, region, kind, engine.Digest(refresh), now.UnixMilli(), g.ExpiresAt.UnixMilli())
	if err != nil {
		return Grant{}, fmt.Errorf("storing grant: %w", err)
	}
	return g, nil
}

// refreshTokenOf makes the refresh token of a grant, the same one every time. Amazon gives it out again with every
// answer, so it must be known; derived, it need not lie readable among the state.
func refreshTokenOf(ctx context.Context, q engine.Querier, g Grant) (string, error) {
	key, err := engine.Meta(ctx, q, metaSigningKey)
	if err != nil {
		return "", err
	}
	stream, err := hkdf.Key(sha256.New, []byte(key), []byte(g.ID), "refresh token", 261)
	if err != nil {
		return "", fmt.Errorf("deriving a refresh token: %w", err)
	}
	return "Atzr|" + base64.RawURLEncoding.EncodeToString(stream), nil
}

const selectGrant = `SELECT id, application_id, seller, region, kind, authorized_at, expires_at, revoked_at FROM grants`

func scanGrant(scan func(...any) error) (Grant, error) {
	var g Grant
	var authorized, expires, revoked int64
	err := scan(&g.ID, &g.ApplicationID, &g.SellerID, &g.Region, &g.Kind, &authorized, &expires, &revoked)
	if err != nil {
		return Grant{}, fmt.Errorf("reading grant: %w", err)
	}
	g.AuthorizedAt, g.ExpiresAt = time.UnixMilli(authorized), time.UnixMilli(expires)
	g.Revoked = revoked != 0
	return g, nil
}

func foundGrant(g Grant, err error) (Grant, bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return Grant{}, false, nil
	}
	return g, err == nil, err
}

func grantByID(ctx context.Context, q engine.Querier, id string) (Grant, bool, error) {
	return foundGrant(scanGrant(q.QueryRowContext(ctx, selectGrant+` WHERE id = ?`, id).Scan))
}

func grantByRefreshToken(ctx context.Context, q engine.Querier, token string) (Grant, bool, error) {
	return foundGrant(scanGrant(q.QueryRowContext(ctx, selectGrant+` WHERE refresh_token = ?`, engine.Digest(token)).Scan))
}

// issueCode makes the spapi_oauth_code of a grant, bound to the redirect URI that carries it (Amazon facts 9.5.2).
func (s *Simulator) issueCode(ctx context.Context, tx *sql.Tx, g Grant, redirectURI string) (string, error) {
	code := s.opaque("RH", 15)
	_, err := tx.ExecContext(ctx, `INSERT INTO codes(hash, grant_id, redirect_uri, expires_at, used_at) VALUES(?, ?, ?, ?, 0)`,
		engine.Digest(code), g.ID, redirectURI, s.millis(codeLife))
	if err != nil {
		return "", fmt.Errorf("storing code: %w", err)
	}
	return code, nil
}

// issuedCode is a code as it is kept.
type issuedCode struct {
	grantID, redirectURI string
	expiresAt, usedAt    int64
}

func codeByText(ctx context.Context, q engine.Querier, code string) (issuedCode, bool, error) {
	var c issuedCode
	err := q.QueryRowContext(ctx, `SELECT grant_id, redirect_uri, expires_at, used_at FROM codes WHERE hash = ?`, engine.Digest(code)).
		Scan(&c.grantID, &c.redirectURI, &c.expiresAt, &c.usedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return issuedCode{}, false, nil
	}
	if err != nil {
		return issuedCode{}, false, fmt.Errorf("reading code: %w", err)
	}
	return c, true, nil
}

// Kinds of token that x-amz-access-token may carry.
const (
	kindAccess     = "access"
	kindGrantless  = "grantless"
	kindRestricted = "rdt"
)

// token is an access token as it is kept: everything but its text.
type token struct {
	kind, grantID, applicationID, clientID, secretHash, scope string
	resources                                                 string // RDT only: JSON list of resources
	expiresAt                                                 int64
}

func (s *Simulator) insertToken(ctx context.Context, tx *sql.Tx, text string, t token) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE expires_at < ?`, s.millis(-expiredTokensKept))
	if err != nil {
		return fmt.Errorf("forgetting old tokens: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tokens(hash, kind, grant_id, application_id, client_id, secret_hash, scope, resources, expires_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		engine.Digest(text), t.kind, t.grantID, t.applicationID, t.clientID, t.secretHash, t.scope, t.resources, t.expiresAt)
	if err != nil {
		return fmt.Errorf("storing token: %w", err)
	}
	return nil
}

func tokenByText(ctx context.Context, q engine.Querier, text string) (token, bool, error) {
	var t token
	err := q.QueryRowContext(ctx, `SELECT kind, grant_id, application_id, client_id, secret_hash, scope, resources, expires_at
		FROM tokens WHERE hash = ?`, engine.Digest(text)).
		Scan(&t.kind, &t.grantID, &t.applicationID, &t.clientID, &t.secretHash, &t.scope, &t.resources, &t.expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return token{}, false, nil
	}
	if err != nil {
		return token{}, false, fmt.Errorf("reading token: %w", err)
	}
	return t, true, nil
}
