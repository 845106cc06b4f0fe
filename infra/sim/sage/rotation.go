package sagesim

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"fmt"

	"connectorvault/infra/sim/engine"
)

// exchange spends a code. It is bound to its client and redirect URI, and to the challenge where one was sent; none of
// the three spends it when it does not fit.
func (s *Simulator) exchange(ctx context.Context, tx *sql.Tx, req *tokenRequest) (tokenSet, error) {
	text := req.form.Get("code")
	c, known, err := codeByText(ctx, tx, text)
	if err != nil {
		return tokenSet{}, err
	}
	if !known || c.client != req.form.Get("client_id") {
		return tokenSet{}, refuse(codeInvalidGrant)
	}
	req.line.User, req.line.Label, req.line.Family = c.user, c.label, c.family
	switch {
	case c.usedAt != 0:
		req.line.Outcome = outcomeReuse
		return tokenSet{}, s.punish(ctx, tx, req, c.family)
	case s.seconds(0) >= c.expiresAt:
		req.line.Outcome = outcomeExpired
		return tokenSet{}, refuse(codeInvalidGrant)
	case c.redirectURI != req.form.Get("redirect_uri") || !c.verified(req.form.Get("code_verifier")):
		return tokenSet{}, refuse(codeInvalidGrant)
	}
	f, set, err := s.openFamily(ctx, tx, Family{ClientID: c.client, User: c.user, Scope: c.scope, Label: c.label, Legacy: req.legacy})
	if err != nil {
		return tokenSet{}, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE codes SET used_at = ?, family = ? WHERE hash = ?`, s.seconds(0), f.ID, engine.Digest(text))
	if err != nil {
		return tokenSet{}, fmt.Errorf("spending a code: %w", err)
	}
	req.line.Family, req.line.Issued, req.line.Outcome = f.ID, f.Current, outcomeIssued
	return set, nil
}

// verified compares a PKCE verifier with the challenge. A verifier for a code that has no challenge is refused too: the
// challenge was lost on the way, and whoever sent the verifier believes that the code is bound to it.
func (c issuedCode) verified(verifier string) bool {
	if c.challenge == "" {
		return verifier == ""
	}
	if !goodVerifierLength(verifier) {
		return false
	}
	if c.method == methodS256 {
		sum := sha256.Sum256([]byte(verifier))
		verifier = encode(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(c.challenge)) == 1
}

// refresh spends a refresh token. Everything between finding it unspent and putting its successor in force is one
// transaction, so of any number that offer the same one exactly one wins.
func (s *Simulator) refresh(ctx context.Context, tx *sql.Tx, req *tokenRequest) (tokenSet, error) {
	text := req.form.Get("refresh_token")
	if hasSpace(text) {
		return tokenSet{}, refuse(codeDataParsing)
	}
	offered, known, err := refreshTokenByText(ctx, tx, text)
	if err != nil || !known {
		return tokenSet{}, orRefuse(err, codeInvalidGrant)
	}
	f, _, err := familyByID(ctx, tx, offered.family)
	if err != nil {
		return tokenSet{}, err
	}
	if f.ClientID != req.form.Get("client_id") || f.Legacy != req.legacy {
		return tokenSet{}, refuse(codeInvalidGrant)
	}
	req.where.user, req.where.label = f.User, f.Label
	req.line.User, req.line.Label, req.line.Family, req.line.Parent = f.User, f.Label, f.ID, offered.seq
	switch {
	case offered.spentAt != 0:
		return s.offeredAgain(ctx, tx, req, f, offered)
	case f.Revoked:
		req.line.Outcome = outcomeRevoked
		return tokenSet{}, refuse(codeInvalidGrant)
	case offered.expiresAt != 0 && s.seconds(0) >= offered.expiresAt:
		req.line.Outcome = outcomeExpired
		return tokenSet{}, refuse(codeInvalidGrant)
	}
	_, err = tx.ExecContext(ctx, `UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?`, s.seconds(0), engine.Digest(text))
	if err != nil {
		return tokenSet{}, fmt.Errorf("spending a refresh token: %w", err)
	}
	f, set, err := s.rotate(ctx, tx, f)
	if err != nil {
		return tokenSet{}, err
	}
	req.line.Issued, req.line.Outcome = f.Current, outcomeIssued
	return set, nil
}

// orRefuse is the failure, or a refusal where there is none.
func orRefuse(err error, code string) error {
	if err != nil {
		return err
	}
	return refuse(code)
}

// offeredAgain decides about a refresh token that is spent. In a grace window it gives the refresh token that is in force
// now, whichever number that has, and spends nothing.
func (s *Simulator) offeredAgain(ctx context.Context, tx *sql.Tx, req *tokenRequest, f Family, offered offeredToken) (tokenSet, error) {
	grace, on, err := s.setting(ctx, tx, FaultGrace, req.where)
	if err != nil {
		return tokenSet{}, err
	}
	if on && !f.Revoked && s.seconds(0) <= offered.spentAt+int64(grace.GraceSeconds) {
		req.line.Issued, req.line.Outcome = f.Current, outcomeGrace
		return s.tokens(f)
	}
	req.line.Outcome = outcomeReuse
	return tokenSet{}, s.punish(ctx, tx, req, f.ID)
}

// punish ends the family of what was offered twice, where the switch says so. It returns the refusal.
func (s *Simulator) punish(ctx context.Context, tx *sql.Tx, req *tokenRequest, family string) error {
	f, known, err := familyByID(ctx, tx, family)
	if err != nil {
		return err
	}
	req.where.user, req.where.label = req.line.User, req.line.Label
	_, on, err := s.setting(ctx, tx, FaultFamilyRevocation, req.where)
	if err != nil {
		return err
	}
	if on && known && !f.Revoked {
		if err := s.revokeFamily(ctx, tx, family); err != nil {
			return err
		}
		if err := bump(ctx, tx, counterRevocations); err != nil {
			return err
		}
	}
	return refuse(codeInvalidGrant)
}
