package sagesim

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// legacyVersion follows the country in the old API's paths (Sage facts 3.1).
const legacyVersion = "/sageone/accounts/v3"

// legacyCountries are the path segments, and the countries that each is for.
func legacyCountries(segment string) []string {
	switch segment {
	case "uki":
		return []string{"GB", "IE"}
	case "us", "ca", "de", "es", "fr":
		return []string{strings.ToUpper(segment)}
	}
	return nil
}

// serveLegacyAPI answers API v3: the same records under a path for each country, behind a gateway that wants two more
// headers.
func (s *Simulator) serveLegacyAPI(w http.ResponseWriter, r *http.Request, rest string) {
	segment, path, _ := strings.Cut(rest, "/")
	path, versioned := strings.CutPrefix("/"+path, legacyVersion+"/")
	if !versioned || legacyCountries(segment) == nil {
		http.NotFound(w, r)
		return
	}
	s.serveBooks(w, r, &apiCall{legacy: true, country: segment, route: readRoute(path), where: scope{endpoint: endpointLegacy}})
}

// admitLegacy does what the gateway does: subscription key, X-Site, token, and whether the three belong together.
// Which of them it looks at first is assumed.
func (s *Simulator) admitLegacy(ctx context.Context, c *apiCall, r *http.Request) error {
	key := r.Header.Get("Ocp-Apim-Subscription-Key")
	switch {
	case key == "":
		return errNoKey
	case r.Header.Get("X-Site") == "":
		return errNoSite
	case !c.known:
		return errToken
	}
	var app App
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var err error
		app, _, err = appByClient(ctx, tx, c.token.Party)
		if err != nil || app.keyHash != "" || app.Origin != originFirstUse {
			return err
		}
		app.keyHash = engine.Digest(key)
		return s.putApp(ctx, tx, app)
	})
	if err != nil {
		return err
	}
	if app.keyHash != engine.Digest(key) || r.Header.Get("X-Site") != c.token.Site || !slices.Contains(legacyCountries(c.country), c.token.Country) {
		return errNoKey
	}
	_, verify, err := s.setting(ctx, s.state, FaultVerifySignature, c.where)
	if err != nil || !verify {
		return err
	}
	return s.verifySignature(ctx, app, r)
}

// verifySignature does what API v3 did until 2017 (Sage facts 0).
func (s *Simulator) verifySignature(ctx context.Context, app App, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAPIBody))
	if err != nil {
		return errSignature
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scheme, _, _ := strings.Cut(s.base(), "://")
	signed := signedRequest{
		method: r.Method, scheme: scheme, host: r.Host, path: r.URL.EscapedPath(), query: r.URL.RawQuery, body: body,
		nonce: r.Header.Get("X-Nonce"), site: r.Header.Get("X-Site"),
	}
	if app.SignatureSecret == "" || signed.nonce == "" || !signed.matches(app.SignatureSecret, token, r.Header.Get("X-Signature")) {
		return errSignature
	}
	return s.useNonce(ctx, app.ClientID, signed.nonce)
}

// noncesKept is how many nonces of an application are remembered. The oldest one is forgotten for a new one, whatever the clock
// says: a clock that is stepped must not make an old request good again.
const noncesKept = 10000

func (s *Simulator) useNonce(ctx context.Context, clientID, nonce string) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO nonces(client_id, nonce) VALUES(?, ?)`, clientID, nonce)
		if err != nil {
			return fmt.Errorf("storing a nonce: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return orNonce(err)
		}
		seq, err := result.LastInsertId()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM nonces WHERE seq <= ?`, seq-noncesKept)
		return err
	})
}

func orNonce(err error) error {
	if err != nil {
		return err
	}
	return errNonce
}
