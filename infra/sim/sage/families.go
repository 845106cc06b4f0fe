package sagesim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"connectorvault/infra/sim/engine"
)

// Family is what one authorization led to: a line of refresh tokens, of which the one with the current number lives.
type Family struct {
	ID           string `json:"family"`
	Label        string `json:"label"` // what a test calls it
	ClientID     string `json:"client_id"`
	User         string `json:"user"`
	Scope        string `json:"scope"`
	Legacy       bool   `json:"legacy"` // of the old token endpoint
	Revoked      bool   `json:"revoked"`
	Current      int64  `json:"current"`              // number of the refresh token in force, from 1
	RefreshToken string `json:"refresh_token_sha256"` // hexadecimal, of the one in force

	site                string // resource_owner_id
	issuedAt, expiresAt int64  // of the refresh token in force; expiresAt 0 = never
}

func (f Family) accessLife() time.Duration {
	if f.Legacy {
		return legacyAccessLife
	}
	return accessLife
}

const selectFamily = `SELECT id, label, client_id, user, scope, legacy, revoked_at <> 0, current, current_hash, site, issued_at, expires_at FROM families`

func scanFamily(scan func(...any) error) (Family, error) {
	var f Family
	err := scan(&f.ID, &f.Label, &f.ClientID, &f.User, &f.Scope, &f.Legacy, &f.Revoked, &f.Current, &f.RefreshToken,
		&f.site, &f.issuedAt, &f.expiresAt)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Family{}, fmt.Errorf("reading a family: %w", err)
	}
	return f, err
}

func familyByID(ctx context.Context, q engine.Querier, id string) (Family, bool, error) {
	return engine.Found(scanFamily(q.QueryRowContext(ctx, selectFamily+` WHERE id = ?`, id).Scan))
}

// Families lists the families with a label, or all. It shows no tokens.
func (s *Simulator) Families(ctx context.Context, label string) ([]Family, error) {
	query, args := selectFamily+` ORDER BY created_at, id`, []any{}
	if label != "" {
		query, args = selectFamily+` WHERE label = ? ORDER BY created_at, id`, []any{label}
	}
	rows, err := s.state.QueryContext(ctx, query, args...)
	return engine.Collect(rows, err, scanFamily)
}

// Revocation says which families to end, as a user does in Sage's own pages. Empty members match anything.
type Revocation struct {
	ClientID string `json:"client_id"`
	User     string `json:"user"`
	Label    string `json:"label"`
	Family   string `json:"family"`
}

// Revoke ends every family that matches, and returns how many did.
func (s *Simulator) Revoke(ctx context.Context, which Revocation) (int, error) {
	result, err := s.state.ExecContext(ctx, `UPDATE families SET revoked_at = ? WHERE revoked_at = 0
		AND (? = '' OR client_id = ?) AND (? = '' OR user = ?) AND (? = '' OR label = ?) AND (? = '' OR id = ?)`,
		s.seconds(0), which.ClientID, which.ClientID, which.User, which.User, which.Label, which.Label, which.Family, which.Family)
	if err != nil {
		return 0, fmt.Errorf("revoking: %w", err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (s *Simulator) revokeFamily(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE families SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, s.seconds(0), id)
	if err != nil {
		return fmt.Errorf("revoking a family: %w", err)
	}
	return nil
}

// tokenSet is what a token endpoint gives (Sage facts 1.4), with the members of either API.
type tokenSet struct {
	AccessToken      string `json:"access_token"`
	Scope            string `json:"scope"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64  `json:"refresh_token_expires_in,omitempty"`
	RequestedByID    string `json:"requested_by_id,omitempty"`
	ResourceOwnerID  string `json:"resource_owner_id,omitempty"` // the old API's X-Site
}

// tokens makes a fresh access token beside the family's current refresh token.
func (s *Simulator) tokens(f Family) (tokenSet, error) {
	access, err := s.accessToken(f)
	if err != nil {
		return tokenSet{}, err
	}
	refresh, err := s.refreshToken(f)
	if err != nil {
		return tokenSet{}, err
	}
	set := tokenSet{
		AccessToken: access, Scope: f.Scope, TokenType: "bearer", ExpiresIn: int64(f.accessLife().Seconds()), RefreshToken: refresh,
	}
	if f.Legacy {
		set.ResourceOwnerID = f.site
		return set, nil
	}
	set.RequestedByID, set.RefreshExpiresIn = f.User, f.expiresAt-s.seconds(0)
	return set, nil
}

// openFamily makes a family and its first refresh token.
func (s *Simulator) openFamily(ctx context.Context, tx *sql.Tx, f Family) (Family, tokenSet, error) {
	f.ID = s.uuid()
	if f.Legacy {
		owned, err := businessesOf(ctx, tx, f.User)
		if err != nil {
			return f, tokenSet{}, err
		}
		if len(owned) > 0 {
			f.site = siteOf(owned[0].ID)
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO families(id, client_id, user, scope, legacy, site, label, current, current_hash, issued_at, expires_at, created_at, revoked_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, 0, '', 0, 0, ?, 0)`, f.ID, f.ClientID, f.User, f.Scope, f.Legacy, f.site, f.Label, s.seconds(0))
	if err != nil {
		return f, tokenSet{}, fmt.Errorf("storing a family: %w", err)
	}
	return s.rotate(ctx, tx, f)
}

// rotate puts the next refresh token of a family in force.
func (s *Simulator) rotate(ctx context.Context, tx *sql.Tx, f Family) (Family, tokenSet, error) {
	f.Current++
	f.issuedAt, f.expiresAt = s.seconds(0), 0
	if !f.Legacy {
		f.expiresAt = s.seconds(refreshLife)
	}
	set, err := s.tokens(f)
	if err != nil {
		return f, tokenSet{}, err
	}
	f.RefreshToken = engine.Digest(set.RefreshToken)
	_, err = tx.ExecContext(ctx, `INSERT INTO refresh_tokens(hash, family, seq, expires_at, spent_at) VALUES(?, ?, ?, ?, 0)`,
		f.RefreshToken, f.ID, f.Current, f.expiresAt)
	if err != nil {
		return f, tokenSet{}, fmt.Errorf("storing a refresh token: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE families SET current = ?, current_hash = ?, issued_at = ?, expires_at = ? WHERE id = ?`,
		f.Current, f.RefreshToken, f.issuedAt, f.expiresAt, f.ID)
	if err != nil {
		return f, tokenSet{}, fmt.Errorf("storing a family: %w", err)
	}
	return f, set, nil
}

// offeredToken is a refresh token as it is kept: everything but its text.
type offeredToken struct {
	family             string
	seq                int64
	expiresAt, spentAt int64
}

func refreshTokenByText(ctx context.Context, q engine.Querier, text string) (offeredToken, bool, error) {
	var t offeredToken
	err := q.QueryRowContext(ctx, `SELECT family, seq, expires_at, spent_at FROM refresh_tokens WHERE hash = ?`, engine.Digest(text)).
		Scan(&t.family, &t.seq, &t.expiresAt, &t.spentAt)
	return engine.Found(t, err)
}

// issuedCode is an authorization code as it is kept: everything but its text.
type issuedCode struct {
	client, user, scope, redirectURI, challenge, method, label, family string
	expiresAt, usedAt                                                  int64
}

func codeByText(ctx context.Context, q engine.Querier, text string) (issuedCode, bool, error) {
	var c issuedCode
	err := q.QueryRowContext(ctx, `SELECT client_id, user, scope, redirect_uri, challenge, method, label, family, expires_at, used_at
		FROM codes WHERE hash = ?`, engine.Digest(text)).
		Scan(&c.client, &c.user, &c.scope, &c.redirectURI, &c.challenge, &c.method, &c.label, &c.family, &c.expiresAt, &c.usedAt)
	return engine.Found(c, err)
}

// issueCode makes a code of the shape GB/<hex> (Sage facts 1.3).
func (s *Simulator) issueCode(ctx context.Context, tx *sql.Tx, country string, c issuedCode) (string, error) {
	text := country + "/" + s.randomHex(20)
	_, err := tx.ExecContext(ctx, `INSERT INTO codes(hash, client_id, user, scope, redirect_uri, challenge, method, label, expires_at, used_at, family)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')`,
		engine.Digest(text), c.client, c.user, c.scope, c.redirectURI, c.challenge, c.method, c.label, s.seconds(codeLife))
	if err != nil {
		return "", fmt.Errorf("storing code: %w", err)
	}
	return text, nil
}
