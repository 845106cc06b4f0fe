package sagesim

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

// The methods of PKCE that Sage takes, and the length of a verifier (Sage facts 1.2).
const (
	methodS256  = "S256"
	methodPlain = "plain"
)

func goodVerifierLength(verifier string) bool { return len(verifier) >= 43 && len(verifier) <= 128 }

// countries are those that the authorize page offers. Sage's own page lists the first three today; older copies list all
// (Sage facts 1.2).
func countries() []string { return []string{"GB", "IE", "CA", "US", "DE", "ES", "FR"} }

func countryName(code string) string {
	return map[string]string{
		"GB": "United Kingdom", "IE": "Ireland", "CA": "Canada", "US": "United States", "DE": "Germany", "ES": "Spain", "FR": "France",
	}[code]
}

// authorization is a request at the authorize page (Sage facts 1.2).
type authorization struct {
	ClientID      string `json:"client_id"`
	RedirectURI   string `json:"redirect_uri"`
	ResponseType  string `json:"response_type"`
	Scope         string `json:"scope"`
	State         string `json:"state"`
	Country       string `json:"country"`
	Filter        string `json:"filter"`
	Challenge     string `json:"code_challenge"`
	Method        string `json:"code_challenge_method"`
	Locale        string `json:"locale"`         // accepted and without effect, as force_login is
	User          string `json:"user,omitempty"` // the choice on the page: id or e-mail address
	Label         string `json:"label,omitempty"`
	repeatedParam string
}

// field is a member as a parameter.
type field struct {
	name  string
	value *string
}

// fields name the parameters. The forms carry them all on.
func (a *authorization) fields() []field {
	return []field{
		{"client_id", &a.ClientID}, {"redirect_uri", &a.RedirectURI}, {"response_type", &a.ResponseType}, {"scope", &a.Scope},
		{"state", &a.State}, {"country", &a.Country}, {"filter", &a.Filter}, {"code_challenge", &a.Challenge},
		{"code_challenge_method", &a.Method}, {"locale", &a.Locale}, {"user", &a.User},
	}
}

func parseAuthorization(values url.Values) *authorization {
	a := &authorization{}
	for _, field := range a.fields() {
		*field.value = values.Get(field.name)
		if len(values[field.name]) > 1 {
			a.repeatedParam = field.name
		}
	}
	return a
}

// pageError is shown on a page of Sage's own: without a client and a redirect URI that are sure there is nowhere to
// redirect to.
type pageError struct{ text string }

func (e *pageError) Error() string { return e.text }

// callbackError goes back to the application (Sage facts 1.3).
type callbackError struct{ code, reason string }

func (e *callbackError) Error() string { return e.code }

// errWrongCountry is what was observed when the chosen country is not the business's (Sage facts 1.3).
var errWrongCountry = &callbackError{"Invalid request", "Email already in use"}

// serveAuthorize asks for a country where the request names none, then shows the form, and acts on it.
func (s *Simulator) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	values, ok := formValues(w, r)
	if !ok {
		return
	}
	a := parseAuthorization(values)
	where := scope{endpoint: endpointAuthorize, operation: strings.ToLower(r.Method), client: a.ClientID}
	name, err := s.injectBefore(w, r, where, func(f Fault) {
		http.Error(w, "temporarily unavailable", map[string]int{FaultThrottled: 429, FaultError500: 500, FaultError503: 503}[f.Name])
	})
	if err != nil {
		s.internal(w, r, "reading switches", err)
		return
	}
	if name == FaultReset {
		engine.HangUp()
	}
	if name != "" {
		return
	}
	if err := s.checkClient(r.Context(), a); err != nil {
		s.authorizeFailed(w, r, a, err)
		return
	}
	switch err := a.check(); {
	case err != nil:
		s.authorizeFailed(w, r, a, err)
	case a.Country == "":
		s.state.Count(r.Context(), endpointAuthorize, "chooser", "shown")
		countryPage.Render(w, s.log, http.StatusOK, map[string]any{"Path": authorizePath, "Fields": hiddenFields(a, "country"), "Countries": countryOptions()})
	case r.Method == http.MethodGet:
		s.state.Count(r.Context(), endpointAuthorize, "page", "shown")
		authorizePage.Render(w, s.log, http.StatusOK, map[string]any{
			"Path": authorizePath, "Fields": hiddenFields(a, "user"), "ClientID": a.ClientID, "ReadOnly": a.scope() == scopeReadOnly,
			"Country": countryName(a.Country), "Users": s.userOptions(a.Country),
		})
	case values.Get("decision") == "deny":
		s.authorizeFailed(w, r, a, &callbackError{code: "access_denied"})
	default:
		s.allow(w, r, a)
	}
}

func formValues(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	switch r.Method {
	case http.MethodGet:
		return r.URL.Query(), true
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBody)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the form could not be read", http.StatusBadRequest)
			return nil, false
		}
		return r.PostForm, true
	}
	w.Header().Set("Allow", "GET, POST")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return nil, false
}

// checkClient says whether there is somewhere to redirect to.
func (s *Simulator) checkClient(ctx context.Context, a *authorization) error {
	if a.repeatedParam == "client_id" || a.repeatedParam == "redirect_uri" {
		return &pageError{"The parameter " + a.repeatedParam + " is repeated."}
	}
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		app, known, err := s.findApp(ctx, tx, a.ClientID)
		if err != nil {
			return err
		}
		if !known {
			return &pageError{"The client_id is missing or belongs to no application."}
		}
		allowed, err := s.allowRedirect(ctx, tx, app, a.RedirectURI)
		if err != nil {
			return err
		}
		if !allowed {
			return &pageError{"The redirect_uri is not a callback URL of this application. It is compared character for character."}
		}
		return nil
	})
}

// check judges the rest of the request, and writes the country in capitals.
func (a *authorization) check() error {
	a.Country = strings.ToUpper(a.Country)
	switch {
	case a.repeatedParam != "":
		return &callbackError{code: "invalid_request"}
	case a.ResponseType != "code":
		return &callbackError{code: "unsupported_response_type"}
	case a.Scope != "" && a.Scope != scopeReadOnly && a.Scope != scopeFullAccess:
		return &callbackError{code: "invalid_scope"}
	case a.Country == "" && a.Filter != "" && a.Filter != "apiv3.1": // ignored when there is a country (Sage facts 1.2)
		return &callbackError{code: "invalid_request"}
	case a.Country != "" && !slices.Contains(countries(), a.Country):
		return &callbackError{code: "invalid_request"}
	case a.Challenge == "" && a.Method != "":
		return &callbackError{code: "invalid_request"}
	case a.Challenge != "" && (!goodVerifierLength(a.Challenge) || a.Method != "" && a.Method != methodS256 && a.Method != methodPlain):
		return &callbackError{code: "invalid_request"}
	}
	return nil
}

// scope is the one asked for. That its absence means full access is assumed.
func (a *authorization) scope() string {
	if a.Scope == "" {
		return scopeFullAccess
	}
	return a.Scope
}

// allow sends the browser back with a code.
func (s *Simulator) allow(w http.ResponseWriter, r *http.Request, a *authorization) {
	_, target, err := s.consent(r.Context(), a)
	if err != nil {
		s.authorizeFailed(w, r, a, err)
		return
	}
	s.state.Count(r.Context(), endpointAuthorize, "decision", "allowed")
	redirect(w, target)
}

// consent makes the code of a request that passed every check, and the address that carries it.
func (s *Simulator) consent(ctx context.Context, a *authorization) (code, target string, err error) {
	owner, known := s.user(a.User)
	if !known {
		return "", "", &callbackError{"Invalid request", "Unknown user"}
	}
	if owner.Country != a.Country {
		return "", "", errWrongCountry
	}
	f, on, err := s.fire(ctx, FaultAuthorizeError, scope{endpoint: endpointAuthorize, client: a.ClientID, user: owner.ID, label: a.Label})
	if err != nil {
		return "", "", err
	}
	if on {
		return "", "", &callbackError{code: f.Error}
	}
	method := a.Method
	if method == "" {
		method = methodPlain // RFC 7636 4.3
	}
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		var err error
		code, err = s.issueCode(ctx, tx, owner.Country, issuedCode{
			client: a.ClientID, user: owner.ID, scope: a.scope(), redirectURI: a.RedirectURI, challenge: a.Challenge, method: method, label: a.Label,
		})
		return err
	})
	if err != nil {
		return "", "", err
	}
	target, err = a.callback("code", code, "country", owner.Country)
	return code, target, err
}

// callback is the redirect URI with parameters and the state.
func (a *authorization) callback(pairs ...string) (string, error) {
	if a.State != "" {
		pairs = append(pairs, "state", a.State)
	}
	target, err := engine.WithQuery(a.RedirectURI, pairs...)
	if err != nil {
		return "", &pageError{"The redirect_uri is no address."}
	}
	return target, nil
}

// authorizeFailed shows an error page or goes back to the application, as the error demands.
func (s *Simulator) authorizeFailed(w http.ResponseWriter, r *http.Request, a *authorization, err error) {
	var back *callbackError
	if errors.As(err, &back) {
		s.state.Count(r.Context(), endpointAuthorize, "decision", back.code)
		pairs := []string{"error", back.code}
		if back.reason != "" {
			pairs = append(pairs, "reason", back.reason)
		}
		var target string
		if target, err = a.callback(pairs...); err == nil {
			redirect(w, target)
			return
		}
	}
	var shown *pageError
	if !errors.As(err, &shown) {
		s.internal(w, r, "serving the authorize page", err)
		return
	}
	s.state.Count(r.Context(), endpointAuthorize, "page", "error")
	errorPage.Render(w, s.log, http.StatusBadRequest, shown.text)
}

func redirect(w http.ResponseWriter, target string) {
	engine.PageHeaders(w)
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
}
