package amazonsim

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// consentError is what Amazon shows on its error page instead of calling back (Amazon facts 2.6).
type consentError struct{ code, text string }

func (e *consentError) Error() string { return e.code }

// The errors of the consent pages.
var (
	errUnknownApp    = &consentError{"MD1000", "The application is unknown, or it is a draft and the request lacks version=beta."}
	errNoRedirect    = &consentError{"MD5100", "No OAuth redirect URI is configured for this application."}
	errRedirect      = &consentError{"MD5101", "The redirect URI does not match a URI registered for this application."}
	errFragment      = &consentError{"MD5110", "The redirect URI must not contain a fragment (#)."}
	errNoLogin       = &consentError{"MD9100", "The OAuth login URI or redirect URI is missing in this application."}
	errMalformedURL  = &consentError{"MD9999", "The address of this page is malformed."}
	errNotPrimary    = &consentError{"SPDC8143", "Only the primary user of the account can authorize an application."}
	errConsentLimit  = &consentError{"CONSENT_LIMIT_REACHED", "This application has reached its limit of authorizations."}
	errAmazonState   = &consentError{"MD9999", "amazon_state is missing, unknown, expired or already used."}
	errUnknownAcount = &consentError{"SPSA0404", "The chosen account does not exist."}
)

// consentRequest is the query of a consent URL. There is no client_id, scope, response_type or PKCE
// (Amazon facts 2.1).
type consentRequest struct {
	applicationID, state, redirectURI, version string
	hasState                                   bool
	region                                     string // whose accounts are offered first; "" unless the path or a hint says it
	vendor                                     bool   // vendors' accounts are offered first
}

// parseConsent reads the parameters from the query on GET and from the form's hidden fields on POST.
func parseConsent(values url.Values, path string) (consentRequest, error) {
	req := consentRequest{
		applicationID: values.Get("application_id"), state: values.Get("state"), hasState: values.Get("state") != "",
		redirectURI: values.Get("redirect_uri"), version: values.Get("version"),
	}
	// A second "?" glues parameters onto the application id (Amazon facts 2.6, MD9999).
	if strings.ContainsAny(req.applicationID, "?&") || strings.Contains(req.version, "?") {
		return req, errMalformedURL
	}
	for _, name := range []string{"application_id", "state", "redirect_uri", "version"} {
		if len(values[name]) > 1 {
			return req, errMalformedURL
		}
	}
	// Amazon has a host for each marketplace and for vendors. Here one address stands for all, and these two are the hints
	// in place of the host.
	if region := values.Get("region"); validRegion(region) {
		req.region = region
	}
	req.vendor = values.Get("account_type") == "vendor"
	if region, _, ok := splitRegion(path); ok {
		req.region = region
	}
	return req, nil
}

// serveConsent shows the consent page on GET and acts on its form on POST.
func (s *Simulator) serveConsent(w http.ResponseWriter, r *http.Request) {
	values, err := consentValues(w, r)
	if err != nil {
		s.consentFailed(w, r, "", errMalformedURL)
		return
	}
	req, err := parseConsent(values, r.URL.Path)
	if err != nil {
		s.consentFailed(w, r, req.applicationID, err)
		return
	}
	app, redirect, err := s.checkConsent(r.Context(), req)
	if err != nil {
		s.consentFailed(w, r, req.applicationID, err)
		return
	}
	switch {
	case r.Method == http.MethodGet:
		s.state.Count(r.Context(), endpointConsent, "page", "shown")
		s.showConsent(w, r, app, req)
	case values.Get("decision") == "cancel":
		// Nothing comes back to the application on Cancel (Amazon facts 2.6).
		s.state.Count(r.Context(), endpointConsent, "decision", "cancelled")
		s.renderPage(w, cancelledPage, app)
	default:
		s.decideConsent(w, r, app, req, redirect, s.accountKey(values))
	}
}

// accountKey is the chosen account, or the first of the e-mail address where a client sends no choice.
func (s *Simulator) accountKey(values url.Values) string {
	if key := values.Get("account"); key != "" {
		return key
	}
	list := s.accounts("")
	i := slices.IndexFunc(list, func(a account) bool { return strings.EqualFold(a.seller.Email, values.Get("email")) })
	if i < 0 {
		return ""
	}
	return list[i].key
}

func consentValues(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	switch r.Method {
	case http.MethodGet:
		return url.ParseQuery(r.URL.RawQuery)
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBody)
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		return r.PostForm, nil
	}
	return nil, errors.New("method not allowed")
}

// checkConsent finds (or adopts) the application and the redirect URI in force. For the Appstore test flow,
// which a missing state asks for (Amazon facts 2.1), the URI is the login URI.
func (s *Simulator) checkConsent(ctx context.Context, req consentRequest) (app App, redirect string, err error) {
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		var err error
		app, err = s.findOrAdopt(ctx, tx, req.applicationID, req.redirectURI)
		return err
	})
	if err != nil {
		return app, "", err
	}
	if app.Draft && req.version != "beta" {
		return app, "", errUnknownApp
	}
	if !req.hasState {
		if app.LoginURI == "" {
			return app, "", errNoLogin
		}
		return app, app.LoginURI, nil
	}
	redirect, err = app.redirectFor(req.redirectURI)
	return app, redirect, err
}

// redirectFor is the redirect URI in force: the one asked for, or else the first registered one.
func (app App) redirectFor(asked string) (string, error) {
	switch {
	case strings.Contains(asked, "#"):
		return "", errFragment
	case asked == "" && len(app.RedirectURIs) == 0:
		return "", errNoRedirect
	case asked == "":
		return app.RedirectURIs[0], nil
	case len(app.RedirectURIs) == 0 && app.Origin == originRegistered:
		return "", errNoRedirect
	case !app.redirectAllowed(asked):
		return "", errRedirect
	}
	return asked, nil
}

func (s *Simulator) findOrAdopt(ctx context.Context, tx *sql.Tx, id, redirectURI string) (App, error) {
	app, found, err := appByID(ctx, tx, id)
	if err != nil {
		return App{}, err
	}
	usable := redirectURI != "" && !strings.Contains(redirectURI, "#")
	if found && (app.Origin != originAdopted || len(app.RedirectURIs) > 0 || !usable) {
		return app, nil
	}
	if found { // adopted without a redirect URI: this is the first one
		if _, err := tx.ExecContext(ctx, `DELETE FROM apps WHERE application_id = ?`, id); err != nil {
			return App{}, err
		}
		app.RedirectURIs = []string{redirectURI}
		return app, s.insertApp(ctx, tx, app)
	}
	strict, err := s.switchOn(ctx, tx, FaultStrictApps)
	if err != nil {
		return App{}, err
	}
	if strict || !applicationIDPattern.MatchString(id) {
		return App{}, errUnknownApp
	}
	if !usable {
		redirectURI = ""
	}
	return s.adopt(ctx, tx, id, redirectURI)
}

// decideConsent records the seller's consent and sends the browser on.
func (s *Simulator) decideConsent(w http.ResponseWriter, r *http.Request, app App, req consentRequest, redirect, accountKey string) {
	ctx := r.Context()
	acc, err := s.signIn(ctx, app, accountKey)
	if err != nil {
		s.consentFailed(w, r, app.ApplicationID, err)
		return
	}
	if !req.hasState {
		s.startAppstore(w, r, app, acc, redirect, req.version)
		return
	}
	target, err := s.grantAndCallBack(ctx, app, acc.seller.ID, acc.region, redirect, req.state)
	if err != nil {
		s.consentFailed(w, r, app.ApplicationID, err)
		return
	}
	s.state.Count(ctx, endpointConsent, "decision", "confirmed")
	s.redirect(w, target)
}

// signIn checks the chosen login. Any password works; only the primary user may authorize (Amazon facts 2.6).
func (s *Simulator) signIn(ctx context.Context, app App, key string) (account, error) {
	acc, ok := s.account(key)
	if !ok {
		return account{}, errUnknownAcount
	}
	if !acc.primary {
		return account{}, errNotPrimary
	}
	_, limited, err := s.fire(ctx, FaultConsentLimit, scope{endpoint: endpointConsent, seller: acc.seller.ID, app: app.ApplicationID})
	if err != nil {
		return account{}, err
	}
	if limited {
		return account{}, errConsentLimit
	}
	return acc, nil
}

// grantAndCallBack stores the authorization with its code and returns the callback address (Amazon facts 2.1).
func (s *Simulator) grantAndCallBack(ctx context.Context, app App, sellerID, region, redirect, state string) (string, error) {
	var target string
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		g, err := s.insertGrant(ctx, tx, app.ApplicationID, sellerID, region, "consent")
		if err != nil {
			return err
		}
		code, err := s.issueCode(ctx, tx, g, redirect)
		if err != nil {
			return err
		}
		target, err = withQuery(redirect, "state", state, "selling_partner_id", sellerID, "spapi_oauth_code", code)
		return err
	})
	return target, err
}

// withQuery appends parameters in the given order and keeps what the address already had.
func withQuery(address string, pairs ...string) (string, error) {
	target, err := engine.WithQuery(address, pairs...)
	if err != nil {
		return "", errRedirect
	}
	return target, nil
}

// consentFailed shows Amazon's kind of error page. HTTP 200 is the project's reading of screenshots; the real
// status is unverified (Amazon facts 2.6, 12).
func (s *Simulator) consentFailed(w http.ResponseWriter, r *http.Request, applicationID string, err error) {
	var known *consentError
	if !errors.As(err, &known) {
		s.internal(w, r, "serving consent", err)
		return
	}
	s.state.Count(r.Context(), endpointConsent, "error", known.code)
	s.renderPage(w, errorPage, map[string]string{
		"ApplicationID": applicationID, "Code": known.code, "Text": known.text, "RequestID": s.uuid(),
	})
}

func (s *Simulator) redirect(w http.ResponseWriter, target string) {
	engine.PageHeaders(w)
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
}
