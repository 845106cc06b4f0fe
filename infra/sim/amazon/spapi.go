package amazonsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// maxAPIBody bounds what an API request may carry.
const maxAPIBody = 1 << 20

// maxUserAgent is Amazon's limit (Amazon facts 5.1).
const maxUserAgent = 500

// apiError is a refusal in the API's own error format (Amazon facts 5.3).
type apiError struct {
	status                 int
	code, message, details string
}

func (e *apiError) Error() string { return strconv.Itoa(e.status) + " " + e.code }

func denied(details string) *apiError {
	return &apiError{http.StatusForbidden, "Unauthorized", "Access to requested resource is denied.", details}
}

// The refusals of Amazon facts 5.3. One with empty details means a missing role, no authorization in the region,
// the wrong kind of selling partner, or an unknown path: Amazon does not say which.
var (
	errTokenMissing      = denied("Access token is missing in the request header.")
	errTokenInvalid      = denied("The access token you provided is revoked, malformed or invalid.")
	errTokenExpired      = denied("The access token you provided has expired.")
	errSecretExpired     = denied("The LWA secret token you provided has expired.")
	errForeignMarkets    = denied("The marketplaces you provided are not valid for region.")
	errDenied            = denied("")
	errThrottled         = &apiError{http.StatusTooManyRequests, "QuotaExceeded", "You exceeded your quota for the requested resource.", ""}
	errOutsideAPI        = &apiError{http.StatusForbidden, "MissingAuthenticationToken", "Access to requested resource is denied.", ""}
	errResourceNotFound  = &apiError{http.StatusNotFound, "NotFound", "Resource not found.", ""}
	errListingNotFound   = &apiError{http.StatusNotFound, "NOT_FOUND", "Resource not found.", ""}
	errUserAgentMissing  = invalidInput("The user-agent header is missing.")
	errUserAgentTooLong  = invalidInput("The user-agent header is longer than 500 characters.")
	errTokenInQuery      = invalidInput("Access tokens belong in the x-amz-access-token header, not in the query string.")
	errUnreadableQuery   = invalidInput("The query string is malformed.")
	errUnreadableRequest = invalidInput("The request body could not be read.")
)

func invalidInput(message string) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidInput", message, ""}
}

// invalidReport is how the Reports and Feeds APIs spell a bad request: codes differ between APIs (Amazon facts 5.3).
func invalidReport(details string) *apiError {
	return &apiError{http.StatusBadRequest, "400", "Invalid input", details}
}

func (e *apiError) reply() reply {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details string `json:"details"`
	}
	r := reply{status: e.status, body: map[string][]item{"errors": {{e.code, e.message, e.details}}}, outcome: e.Error()}
	switch {
	case e.code == "MissingAuthenticationToken":
		r.errorType = "MissingAuthenticationTokenException"
	case e.status == http.StatusForbidden:
		r.errorType = "AccessDeniedException"
	}
	return r
}

// reply is an answer of the API before it is written.
type reply struct {
	status    int
	body      any             // encoded as JSON unless raw is set
	raw       json.RawMessage // an answer that is JSON already
	noBody    bool
	errorType string
	rate      string // x-amzn-RateLimit-Limit, written where the status allows it
	outcome   string // for the counters
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// call is one API request that has passed every check.
type call struct {
	apiTarget

	op     operation
	vars   map[string]string
	query  url.Values
	body   []byte
	token  token
	grant  Grant
	seller Seller
	where  scope
	now    time.Time
}

// owner is the key that per-seller things are stored under.
func (c *call) owner() string {
	side := ""
	if c.sandbox {
		side = "sandbox "
	}
	return c.where.app + "|" + c.where.seller + "|" + side + c.region
}

// serveAPI answers one SP-API request: rules of the wire, switches, checks, then the operation.
func (s *Simulator) serveAPI(w http.ResponseWriter, r *http.Request, target apiTarget) {
	s.apiHeaders(w)
	if s.refuseStrict(w, r) {
		return
	}
	c := &call{apiTarget: target, now: s.now()}
	err := s.identify(r.Context(), c, r)
	if err == nil {
		var known bool
		c.op, c.vars, known = s.lookUp(r.Method, target)
		c.where.operation = c.op.id
		if s.injectBefore(w, r, c.where, c.where.operation) {
			return
		}
		err = s.prepare(r.Context(), w, r, c, known)
	}
	var answer reply
	if err == nil {
		answer, err = s.operate(r.Context(), c, r)
	}
	var refused *apiError
	if errors.As(err, &refused) {
		answer, err = refused.reply(), nil
	}
	if err != nil {
		s.internal(w, r, "serving the API", err)
		return
	}
	if answer.rate == "" && c.op.rate > 0 {
		answer.rate = rateHeader(c.op.rate)
	}
	s.finish(w, r, c, answer)
}

// The sandbox has one usage plan for every operation (Amazon facts 5.4).
const (
	sandboxRate  = 5
	sandboxBurst = 15
)

// lookUp finds the operation in the table or, for the sandbox with models, in the models.
func (s *Simulator) lookUp(method string, target apiTarget) (operation, map[string]string, bool) {
	if !target.sandbox {
		return findOperation(method, target.path)
	}
	find := findOperation
	if s.models != nil {
		find = s.models.find
	}
	op, vars, known := find(method, target.path)
	if known {
		op.rate, op.burst = sandboxRate, sandboxBurst
	}
	return op, vars, known
}

// static says whether a call is answered from the examples of the models.
func (s *Simulator) static(c *call) bool { return c.sandbox && s.models != nil }

func (s *Simulator) operate(ctx context.Context, c *call, r *http.Request) (reply, error) {
	if s.static(c) {
		return s.answerStatic(ctx, c, r)
	}
	return s.answerStateful(ctx, c)
}

// rateHeader prints a rate as Amazon does: "0.0056", but "5.0".
func rateHeader(rate float64) string {
	text := strconv.FormatFloat(rate, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (s *Simulator) apiHeaders(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-Requestid", s.uuid())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
}

// refuseStrict applies the rules that careless clients break (Amazon facts 5.1, 9.5.5). It reports whether it answered.
func (s *Simulator) refuseStrict(w http.ResponseWriter, r *http.Request) bool {
	ctx := r.Context()
	agent := r.Header.Get("User-Agent")
	var refused *apiError
	var rule string
	switch {
	case r.Method == http.MethodGet && (r.ContentLength != 0 || r.Header.Get("Content-Length") != "" || len(r.TransferEncoding) > 0):
		s.state.Count(ctx, endpointStrict, "body_on_get", "refused")
		w.Header().Set("Content-Type", "text/html")
		engine.WriteBody(w, http.StatusBadRequest, []byte(htmlBadRequest))
		return true
	case agent == "":
		refused, rule = errUserAgentMissing, "user_agent_missing"
	case len(agent) > maxUserAgent:
		refused, rule = errUserAgentTooLong, "user_agent_too_long"
	case tokenInQuery(r.URL.RawQuery):
		refused, rule = errTokenInQuery, "token_in_query"
	default:
		return false
	}
	s.state.Count(ctx, endpointStrict, rule, "refused")
	s.writeReply(w, refused.reply())
	return true
}

func tokenInQuery(rawQuery string) bool {
	query, _ := url.ParseQuery(rawQuery) // a malformed part is refused later; what could be parsed is enough here
	for name, values := range query {
		if strings.EqualFold(name, "access_token") || strings.EqualFold(name, "x-amz-access-token") {
			return true
		}
		for _, value := range values {
			if strings.HasPrefix(value, "Atza|") || strings.HasPrefix(value, "Atzr|") || strings.HasPrefix(value, "Atz.sprdt|") {
				return true
			}
		}
	}
	return false
}

// identify finds the token and whose it is, without judging it: switches may be scoped to it.
func (s *Simulator) identify(ctx context.Context, c *call, r *http.Request) error {
	c.where = scope{endpoint: endpointAPI, region: c.region}
	text := r.Header.Get("X-Amz-Access-Token")
	t, found, err := tokenByText(ctx, s.state, text)
	if err != nil || !found {
		return err
	}
	c.token, c.where.app = t, t.applicationID
	c.grant, _, err = grantByID(ctx, s.state, t.grantID)
	if err != nil {
		return err
	}
	c.where.seller = c.grant.SellerID
	c.seller, _ = s.seller(c.grant.SellerID)
	return nil
}

// prepare runs the checks in the order of Amazon facts 9.3: token, route, authorization, marketplaces, quota.
func (s *Simulator) prepare(ctx context.Context, w http.ResponseWriter, r *http.Request, c *call, known bool) error {
	if strings.HasPrefix(c.path, "/auth/o2/") {
		return errOutsideAPI
	}
	if err := s.checkToken(ctx, c, r.Header.Get("X-Amz-Access-Token")); err != nil {
		return err
	}
	if !known {
		return errDenied
	}
	var err error
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return errUnreadableQuery
	}
	if err := s.checkAuthorization(ctx, c); err != nil {
		return err
	}
	if err := s.checkMarketplaces(c, queryMarketplaces(c.query)); err != nil {
		return err
	}
	if err := s.takeQuota(ctx, c); err != nil {
		return err
	}
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody)); err != nil {
		return errUnreadableRequest
	}
	return nil
}

// finish encodes and writes an answer and counts it.
func (s *Simulator) finish(w http.ResponseWriter, r *http.Request, c *call, answer reply) {
	operation := c.op.id
	if operation == "" {
		operation = "unknown"
	}
	outcome := answer.outcome
	if outcome == "" {
		outcome = strconv.Itoa(answer.status)
	}
	s.state.Count(r.Context(), endpointAPI, operation, outcome)
	body, err := answer.encode()
	if err != nil {
		s.internal(w, r, "encoding an answer", err)
		return
	}
	s.replyHeaders(w, answer)
	s.writeSpoiled(w, r, c.where, answer.status, body)
}

func (s *Simulator) writeReply(w http.ResponseWriter, answer reply) {
	body, err := answer.encode()
	if err != nil { // only refusals come here, and they always encode
		answer.status = http.StatusInternalServerError
	}
	s.replyHeaders(w, answer)
	engine.WriteBody(w, answer.status, body)
}

func (answer reply) encode() ([]byte, error) {
	switch {
	case answer.noBody:
		return nil, nil
	case answer.raw != nil:
		return answer.raw, nil
	}
	body, err := json.Marshal(answer.body)
	if err != nil {
		return nil, fmt.Errorf("encoding answer: %w", err)
	}
	return body, nil
}

// replyHeaders sets the rate header only where Amazon does: on 20x, 400 and 404 (Amazon facts 5.4).
func (s *Simulator) replyHeaders(w http.ResponseWriter, answer reply) {
	if answer.errorType != "" {
		w.Header().Set("X-Amzn-Errortype", answer.errorType)
	}
	if answer.rate != "" && (answer.status/100 == 2 || answer.status == http.StatusBadRequest || answer.status == http.StatusNotFound) {
		w.Header().Set("X-Amzn-Ratelimit-Limit", answer.rate)
	}
}
