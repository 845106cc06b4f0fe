package amazonsim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"connectorvault/infra/sim/engine"
)

// The Selling Partner Appstore flow (Amazon facts 2.4) begins at Amazon: the seller presses "Authorize Now", the
// browser goes to the application's login URI with an amazon_state, and comes back to confirm with it.

// serveStorePage is the application's detail page in the simulated Appstore.
func (s *Simulator) serveStorePage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := r.PathValue("application")
	app, found, err := appByID(ctx, s.state, id)
	switch {
	case err != nil:
		s.internal(w, r, "serving the store page", err)
		return
	case !found:
		s.consentFailed(w, r, id, errUnknownApp)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.renderPage(w, storePage, map[string]any{"App": app, "Accounts": options(s.sellersOnly())})
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBody)
		if err := r.ParseForm(); err != nil {
			s.consentFailed(w, r, id, errMalformedURL)
			return
		}
		s.authorizeNow(w, r, app)
	default:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// sellersOnly leaves vendors out: the Appstore flow is for sellers (Amazon facts 2.4).
func (s *Simulator) sellersOnly() []account {
	var list []account
	for _, a := range s.accounts("") {
		if !a.seller.Vendor {
			list = append(list, a)
		}
	}
	return list
}

func (s *Simulator) authorizeNow(w http.ResponseWriter, r *http.Request, app App) {
	login := r.PostForm.Get("login_uri")
	if login == "" {
		login = app.LoginURI
	}
	if !app.loginAllowed(login) {
		s.consentFailed(w, r, app.ApplicationID, errNoLogin)
		return
	}
	acc, err := s.signIn(r.Context(), app, r.PostForm.Get("account"))
	if err != nil {
		s.consentFailed(w, r, app.ApplicationID, err)
		return
	}
	version := r.PostForm.Get("version")
	if app.Draft {
		version = "beta" // a draft can only be tried, never bought
	}
	s.startAppstore(w, r, app, acc, login, version)
}

// startAppstore sends the browser to the login URI with a fresh amazon_state.
func (s *Simulator) startAppstore(w http.ResponseWriter, r *http.Request, app App, acc account, login, version string) {
	ctx := r.Context()
	state := s.opaque("", 30)
	_, err := s.state.ExecContext(ctx, `INSERT INTO amazon_states(hash, application_id, seller, region, expires_at, used_at)
		VALUES(?, ?, ?, ?, ?, 0)`, engine.Digest(state), app.ApplicationID, acc.seller.ID, acc.region, s.millis(amazonStateLife))
	if err != nil {
		s.internal(w, r, "starting the Appstore flow", err)
		return
	}
	confirm := s.base() + "/apps/authorize/confirm/" + url.PathEscape(app.ApplicationID)
	pairs := []string{"amazon_callback_uri", confirm, "amazon_state", state, "selling_partner_id", acc.seller.ID}
	if version != "" {
		pairs = append(pairs, "version", version)
	}
	target, err := withQuery(login, pairs...)
	if err != nil {
		s.consentFailed(w, r, app.ApplicationID, errNoLogin)
		return
	}
	s.state.Count(ctx, endpointConsent, "appstore", "started")
	s.redirect(w, target)
}

// serveAppstoreConfirm takes the browser back from the application and finishes the flow.
func (s *Simulator) serveAppstoreConfirm(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := r.PathValue("application")
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.consentFailed(w, r, id, errMalformedURL)
		return
	}
	app, redirect, err := s.checkAppstoreReturn(ctx, id, query)
	if err != nil {
		s.consentFailed(w, r, id, err)
		return
	}
	sellerID, region, err := s.takeAmazonState(ctx, id, query.Get("amazon_state"))
	if err != nil {
		s.consentFailed(w, r, id, err)
		return
	}
	target, err := s.grantAndCallBack(ctx, app, sellerID, region, redirect, query.Get("state"))
	if err != nil {
		s.consentFailed(w, r, id, err)
		return
	}
	s.state.Count(ctx, endpointConsent, "appstore", "confirmed")
	s.redirect(w, target)
}

func (s *Simulator) checkAppstoreReturn(ctx context.Context, id string, query url.Values) (App, string, error) {
	var app App
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var found bool
		var err error
		app, found, err = appByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if !found {
			return errUnknownApp
		}
		app, err = s.findOrAdopt(ctx, tx, id, query.Get("redirect_uri"))
		return err
	})
	if err != nil {
		return App{}, "", err
	}
	if app.Draft && query.Get("version") != "beta" {
		return App{}, "", errUnknownApp
	}
	redirect, err := app.redirectFor(query.Get("redirect_uri"))
	return app, redirect, err
}

// takeAmazonState uses an amazon_state up: it is good once, for ten minutes, for one application.
func (s *Simulator) takeAmazonState(ctx context.Context, applicationID, text string) (sellerID, region string, err error) {
	err = s.state.QueryRowContext(ctx, `UPDATE amazon_states SET used_at = ? WHERE hash = ? AND application_id = ?
		AND used_at = 0 AND expires_at > ? RETURNING seller, region`,
		s.millis(0), engine.Digest(text), applicationID, s.millis(0)).Scan(&sellerID, &region)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", errAmazonState
	}
	if err != nil {
		return "", "", fmt.Errorf("using amazon_state: %w", err)
	}
	return sellerID, region, nil
}
