package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"connectorvault/infra/sim/engine"
)

// maxFormBody bounds what the consent form and the token endpoint read.
const maxFormBody = 64 << 10

// Scopes of grantless operations (Amazon facts 3.1). The retired ones are refused.
var grantlessScopes = []string{
	"sellingpartnerapi::notifications",
	"sellingpartnerapi::client_credential:rotation",
	"sellingpartnerapi::shipments:track",
}

// tokenError is a refusal of the token endpoint, with the body of Amazon facts 3.3.
type tokenError struct {
	status    int
	code      string
	text      string
	errorType string // x-amzn-errortype, "" where none was observed
	indexed   bool   // the body has error_index and request_id
}

func (e *tokenError) Error() string { return e.code }

const pandaNamespace = ":http://internal.amazon.com/coral/com.amazon.panda/"

func invalidGrant(parameter string) *tokenError {
	text := "The request has an invalid grant parameter : " + parameter
	if parameter == "refresh_token" {
		text += ". User may have revoked or didn't grant the permission."
	}
	return &tokenError{http.StatusBadRequest, "invalid_grant", text, "OA2InvalidRequestException" + pandaNamespace, true}
}

func invalidClient() *tokenError {
	return &tokenError{http.StatusUnauthorized, "invalid_client", "Client authentication failed", "OA2InvalidClientException" + pandaNamespace, false}
}

func missingParameter(name string) *tokenError {
	return badTokenRequest("invalid_request", "The request is missing a required parameter : "+name)
}

func badTokenRequest(code, text string) *tokenError {
	return &tokenError{status: http.StatusBadRequest, code: code, text: text}
}

// tokenSet is the success body (Amazon facts 3.2).
type tokenSet struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
}

// serveToken is the token endpoint of Login with Amazon.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	form, failure := readTokenForm(w, r)
	grantType := form.Get("grant_type")
	where := scope{endpoint: endpointToken, operation: grantType}
	if failure == nil {
		s.scopeOfCredential(r.Context(), form, &where)
	}
	if s.injectBefore(w, r, where, knownGrantType(grantType)) {
		return
	}
	var set tokenSet
	if failure == nil {
		set, failure = s.grantTokens(r.Context(), form, where)
	}
	s.answerToken(w, r, where, set, failure)
}

// answerToken writes the answer, unless a fault spoils it after the state has changed.
func (s *Simulator) answerToken(w http.ResponseWriter, r *http.Request, where scope, set tokenSet, failure error) {
	ctx := r.Context()
	operation := knownGrantType(where.operation)
	var refused *tokenError
	switch {
	case errors.As(failure, &refused):
		s.state.Count(ctx, endpointToken, operation, refused.code)
		s.writeTokenError(w, refused)
		return
	case failure != nil:
		s.internal(w, r, "serving the token endpoint", failure)
		return
	}
	s.state.Count(ctx, endpointToken, operation, "success")
	body, err := json.Marshal(set)
	if err != nil {
		s.internal(w, r, "encoding tokens", err)
		return
	}
	s.tokenHeaders(w)
	s.writeSpoiled(w, r, where, http.StatusOK, body)
}

// knownGrantType keeps whatever a client sends out of the counters.
func knownGrantType(grantType string) string {
	switch grantType {
	case "authorization_code", "refresh_token", "client_credentials":
		return grantType
	}
	return "other"
}

// readTokenForm accepts a form and, as Amazon's own Java helper needs, JSON (Amazon facts 3). The query string
// is never looked at: credentials do not belong there.
func readTokenForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
	if err != nil {
		return url.Values{}, badTokenRequest("invalid_request", "The request body could not be read")
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/json" {
		var fields map[string]string
		if err := json.Unmarshal(body, &fields); err != nil {
			return url.Values{}, badTokenRequest("invalid_request", "The request body is not valid JSON")
		}
		form := make(url.Values, len(fields))
		for name, value := range fields {
			form.Set(name, value)
		}
		return form, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return url.Values{}, badTokenRequest("invalid_request", "The request body is not a valid form")
	}
	for name, values := range form {
		if len(values) > 1 { // RFC 6749 3.2
			return form, badTokenRequest("invalid_request", "The request repeats a parameter : "+name)
		}
	}
	return form, nil
}

// scopeOfCredential finds out whose credential is offered, so that a fault may be scoped to a seller or an app.
// An error leaves the scope as it is; the grant itself will meet the same error.
func (s *Simulator) scopeOfCredential(ctx context.Context, form url.Values, where *scope) {
	grantID := ""
	if c, found, err := codeByText(ctx, s.state, form.Get("code")); err == nil && found {
		grantID = c.grantID
	}
	g, found, err := grantByID(ctx, s.state, grantID)
	if err != nil || !found {
		g, found, err = grantByRefreshToken(ctx, s.state, form.Get("refresh_token"))
	}
	if err == nil && found {
		where.seller, where.app, where.region = g.SellerID, g.ApplicationID, g.Region
		return
	}
	if app, found, err := appByClient(ctx, s.state, form.Get("client_id")); err == nil && found {
		where.app = app.ApplicationID
	}
}

// grantTokens decides one token request in one transaction.
func (s *Simulator) grantTokens(ctx context.Context, form url.Values, where scope) (tokenSet, error) {
	needed := []string{"grant_type", "client_id", "client_secret"}
	switch form.Get("grant_type") {
	case "authorization_code":
		needed = append(needed, "code")
	case "refresh_token":
		needed = append(needed, "refresh_token")
	case "client_credentials":
		needed = append(needed, "scope")
	case "":
	default:
		return tokenSet{}, badTokenRequest("unsupported_grant_type", "The authorization grant type is not supported by the authorization server")
	}
	for _, name := range needed {
		if form.Get(name) == "" {
			return tokenSet{}, missingParameter(name)
		}
	}
	if err := s.tokenFault(ctx, form, where); err != nil {
		return tokenSet{}, err
	}
	var set tokenSet
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var err error
		switch form.Get("grant_type") {
		case "authorization_code":
			set, err = s.exchangeCode(ctx, tx, form)
		case "refresh_token":
			set, err = s.refreshTokens(ctx, tx, form)
		default:
			set, err = s.clientCredentials(ctx, tx, form)
		}
		return err
	})
	return set, err
}

func (s *Simulator) tokenHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Vary", "User-Agent,Accept-Encoding")
	h.Set("X-Amz-Rid", s.rid())
	h.Set("X-Amzn-Requestid", s.uuid())
	h.Set("X-Amz-Date", s.now().UTC().Format(time.RFC1123))
}

func (s *Simulator) writeTokenError(w http.ResponseWriter, e *tokenError) {
	s.tokenHeaders(w)
	if e.errorType != "" {
		w.Header().Set("X-Amzn-Errortype", e.errorType)
	}
	// The field order is that of the recordings, so that bodies can be compared byte for byte.
	body := []byte(`{"error_description":` + quote(e.text) + `,"error":` + quote(e.code) + `}`)
	if e.indexed {
		body = []byte(`{"error_index":` + quote(s.opaque("", 24)) + `,"error_description":` + quote(e.text) +
			`,"error":` + quote(e.code) + `,"request_id":` + quote(w.Header().Get("X-Amzn-Requestid")) + `}`)
	} else if e.code != "invalid_client" {
		body = []byte(`{"error":` + quote(e.code) + `,"error_description":` + quote(e.text) + `}`)
	}
	engine.WriteBody(w, e.status, body)
}
