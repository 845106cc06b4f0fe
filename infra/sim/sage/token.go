package sagesim

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"connectorvault/infra/sim/engine"
)

// maxFormBody bounds what forms and token requests may carry.
const maxFormBody = 64 << 10

// tokenError is a refusal of a token endpoint. Sage answers 400 also for invalid_client (Sage facts 1.6).
type tokenError struct {
	status      int
	code        string
	description string // "" in most: the published body has the code alone
}

func (e *tokenError) Error() string { return e.code }

func refuse(code string) *tokenError { return &tokenError{status: http.StatusBadRequest, code: code} }

func badTokenRequest(description string) *tokenError {
	return &tokenError{http.StatusBadRequest, "invalid_request", description}
}

// The codes of refusals.
const (
	codeInvalidClient   = "invalid_client"
	codeInvalidGrant    = "invalid_grant"
	codeUnsupportedType = "unsupported_grant_type"
	// codeDataParsing is what one user met when a refresh token had white space around it (Sage facts 1.6).
	codeDataParsing = "DataParsingError"
)

// The grant types.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	s.serveTokenEndpoint(w, r, false)
}

func (s *Simulator) serveLegacyToken(w http.ResponseWriter, r *http.Request) {
	s.serveTokenEndpoint(w, r, true)
}

// tokenRequest is one call of a token endpoint.
type tokenRequest struct {
	form   url.Values
	legacy bool
	where  scope
	line   TokenCall // of the ledger
}

// serveTokenEndpoint is either token endpoint. What it decides is decided whether the client is still there or not.
func (s *Simulator) serveTokenEndpoint(w http.ResponseWriter, r *http.Request, legacy bool) {
	req := &tokenRequest{legacy: legacy, where: scope{endpoint: endpointToken}}
	if legacy {
		req.where.endpoint = endpointLegacy
	}
	var refused *tokenError
	if req.form, refused = readTokenForm(w, r); req.form == nil && refused == nil {
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	ctx := r.Context()
	req.where.operation, req.where.client = knownGrantType(req.form.Get("grant_type")), req.form.Get("client_id")
	req.line = TokenCall{GrantType: req.where.operation, ClientID: req.where.client}
	if !s.switches.AllOff(ctx) {
		if err := s.lookUpCredential(ctx, req); err != nil {
			s.internal(w, r, "looking up a credential", err)
			return
		}
		if done, err := s.tokenFaults(w, r, req); done || err != nil {
			if err != nil {
				s.internal(w, r, "reading switches", err)
			}
			return
		}
	}
	var set tokenSet
	var seq int64
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		if refused == nil {
			var err error
			if set, err = s.decide(ctx, tx, req); err != nil && !errors.As(err, &refused) {
				return err
			}
		}
		if refused != nil && req.line.Outcome == "" {
			req.line.Outcome = refused.code
		}
		var err error
		seq, err = s.enter(ctx, tx, req.line)
		return err
	})
	if err != nil {
		s.internal(w, r, "serving a token endpoint", err)
		return
	}
	s.answerToken(w, r, req, set, refused, seq)
}

// knownGrantType keeps whatever a client sends out of counters and ledger.
func knownGrantType(grantType string) string {
	switch grantType {
	case grantCode, grantRefresh:
		return grantType
	}
	return "other"
}

// readTokenForm reads the body. Client credentials travel there and nowhere else (Sage facts 1.4), so neither the query
// nor an Authorization header is looked at. Both results are nil when it has answered.
func readTokenForm(w http.ResponseWriter, r *http.Request) (url.Values, *tokenError) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil, nil
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		return url.Values{}, badTokenRequest("The body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
	if err != nil {
		return url.Values{}, badTokenRequest("The body could not be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return url.Values{}, badTokenRequest("The body is not a form.")
	}
	for name, values := range form {
		if len(values) > 1 {
			return form, badTokenRequest("The parameter " + name + " is repeated.")
		}
	}
	return form, nil
}

// lookUpCredential finds out whose credential is offered, so that a switch may be limited to a user or a label and the
// ledger knows the number of a token that a switch kept from being spent.
func (s *Simulator) lookUpCredential(ctx context.Context, req *tokenRequest) error {
	switch req.where.operation {
	case grantCode:
		c, known, err := codeByText(ctx, s.state, req.form.Get("code"))
		if err != nil || !known {
			return err
		}
		req.where.user, req.where.label = c.user, c.label
		req.line.User, req.line.Label, req.line.Family = c.user, c.label, c.family
	case grantRefresh:
		t, known, err := refreshTokenByText(ctx, s.state, req.form.Get("refresh_token"))
		if err != nil || !known {
			return err
		}
		f, _, err := familyByID(ctx, s.state, t.family)
		if err != nil {
			return err
		}
		req.where.user, req.where.label = f.User, f.Label
		req.line.User, req.line.Label, req.line.Family, req.line.Parent = f.User, f.Label, f.ID, t.seq
	}
	return nil
}

// tokenFaults applies the switches that answer before anything is done. It reports whether one has.
func (s *Simulator) tokenFaults(w http.ResponseWriter, r *http.Request, req *tokenRequest) (bool, error) {
	name, err := s.injectBefore(w, r, req.where, func(f Fault) { s.writeTokenError(w, tokenFaultAnswer(f)) })
	if err != nil {
		return false, err
	}
	for _, refusal := range []string{FaultInvalidClient, FaultInvalidGrant, FaultOAuthError} {
		if name != "" {
			break
		}
		f, on, err := s.fire(r.Context(), refusal, req.where)
		if err != nil {
			return false, err
		}
		if !on {
			continue
		}
		name = refusal
		s.state.Count(r.Context(), req.where.endpoint, req.where.operation, "fault "+name)
		s.writeTokenError(w, tokenFaultAnswer(f))
	}
	if name == "" {
		return false, nil
	}
	line := req.line
	line.Outcome = "fault:" + name
	if _, err := s.enter(r.Context(), s.state, line); err != nil {
		s.log.ErrorContext(r.Context(), "writing the ledger", "error", err)
	}
	if name == FaultReset {
		engine.HangUp()
	}
	return true, nil
}

// tokenFaultAnswer is what a switch answers. Sage documents no codes for what is not its own refusal; those of RFC 6749
// 4.1.2.1 are assumed.
func tokenFaultAnswer(f Fault) *tokenError {
	switch f.Name {
	case FaultThrottled:
		return &tokenError{status: http.StatusTooManyRequests, code: "temporarily_unavailable"}
	case FaultError503:
		return &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable"}
	case FaultError500:
		return &tokenError{status: http.StatusInternalServerError, code: "server_error"}
	case FaultOAuthError:
		return &tokenError{status: cmp.Or(f.Status, http.StatusBadRequest), code: f.Error}
	}
	return refuse(f.Name) // the other switches are named for the code they answer
}

// decide works one request out. A refusal is no failure: what it changed, such as a family that is revoked now, stays.
func (s *Simulator) decide(ctx context.Context, tx *sql.Tx, req *tokenRequest) (tokenSet, error) {
	needed := []string{"grant_type", "client_id", "client_secret"}
	switch req.form.Get("grant_type") {
	case grantCode:
		needed = append(needed, "code", "redirect_uri")
	case grantRefresh:
		needed = append(needed, "refresh_token")
	case "":
	default:
		return tokenSet{}, refuse(codeUnsupportedType)
	}
	for _, name := range needed {
		if req.form.Get(name) == "" {
			return tokenSet{}, badTokenRequest("The parameter " + name + " is missing.")
		}
	}
	known, err := s.authenticate(ctx, tx, req.form.Get("client_id"), req.form.Get("client_secret"))
	if err != nil {
		return tokenSet{}, err
	}
	if !known {
		return tokenSet{}, refuse(codeInvalidClient)
	}
	if req.where.operation == grantCode {
		return s.exchange(ctx, tx, req)
	}
	return s.refresh(ctx, tx, req)
}

// answerToken writes the answer, unless a switch loses or damages it now that everything is stored.
func (s *Simulator) answerToken(w http.ResponseWriter, r *http.Request, req *tokenRequest, set tokenSet, refused *tokenError, seq int64) {
	ctx := r.Context()
	if refused != nil {
		s.state.Count(ctx, req.where.endpoint, req.where.operation, refused.code)
		s.writeTokenError(w, refused)
		return
	}
	s.state.Count(ctx, req.where.endpoint, req.where.operation, "success")
	_, lacks, err := s.fire(ctx, FaultNoRefreshToken, req.where)
	if err != nil {
		s.log.ErrorContext(ctx, "reading switches", "error", err)
	}
	if lacks {
		set.RefreshToken, set.RefreshExpiresIn = "", 0
		s.enterFault(ctx, seq, FaultNoRefreshToken)
	}
	body, err := json.Marshal(set)
	if err != nil {
		s.internal(w, r, "encoding tokens", err)
		return
	}
	tokenHeaders(w)
	status, body, fault := s.spoil(w, r, req.where, http.StatusOK, body)
	if fault != "" {
		s.enterFault(ctx, seq, fault)
	}
	if fault == FaultDrop {
		engine.HangUp()
	}
	engine.WriteBody(w, status, body)
}

func tokenHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

func (s *Simulator) writeTokenError(w http.ResponseWriter, e *tokenError) {
	tokenHeaders(w)
	body := `{"error":` + quote(e.code) + `}`
	if e.description != "" {
		body = `{"error":` + quote(e.code) + `,"error_description":` + quote(e.description) + `}`
	}
	engine.WriteBody(w, e.status, []byte(body))
}

// quote encodes a JSON string. Marshalling a string cannot fail.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// serveRevoke is the revocation endpoint. Only a refresh token in force is taken back; an access token lives to its end
// (Sage facts 1.4), and a token that is unknown is revoked already (RFC 7009 2.2).
func (s *Simulator) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, refused := readTokenForm(w, r)
	if form == nil && refused == nil {
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	ctx := r.Context()
	where := scope{endpoint: endpointRevoke, operation: "revoke", client: form.Get("client_id")}
	name, err := s.injectBefore(w, r, where, func(f Fault) { s.writeTokenError(w, tokenFaultAnswer(f)) })
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
	if refused == nil {
		err = s.state.Update(ctx, func(tx *sql.Tx) error { return s.takeBack(ctx, tx, form) })
	}
	if err != nil && !errors.As(err, &refused) {
		s.internal(w, r, "revoking", err)
		return
	}
	if refused != nil {
		s.state.Count(ctx, endpointRevoke, "revoke", refused.code)
		s.writeTokenError(w, refused)
		return
	}
	s.state.Count(ctx, endpointRevoke, "revoke", "success")
	tokenHeaders(w)
	status, body, fault := s.spoil(w, r, where, http.StatusOK, []byte(`{"success":"ok"}`))
	if fault == FaultDrop {
		engine.HangUp()
	}
	engine.WriteBody(w, status, body)
}

func (s *Simulator) takeBack(ctx context.Context, tx *sql.Tx, form url.Values) error {
	for _, name := range []string{"client_id", "client_secret", "token"} {
		if form.Get(name) == "" {
			return badTokenRequest("The parameter " + name + " is missing.")
		}
	}
	known, err := s.authenticate(ctx, tx, form.Get("client_id"), form.Get("client_secret"))
	if err != nil {
		return err
	}
	if !known {
		return refuse(codeInvalidClient)
	}
	t, issued, err := refreshTokenByText(ctx, tx, form.Get("token"))
	if err != nil || !issued || t.spentAt != 0 {
		return err
	}
	f, _, err := familyByID(ctx, tx, t.family)
	if err != nil || f.ClientID != form.Get("client_id") {
		return err
	}
	return s.revokeFamily(ctx, tx, f.ID)
}

func hasSpace(text string) bool { return strings.TrimSpace(text) != text }
