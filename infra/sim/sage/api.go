package sagesim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// maxAPIBody bounds what an API request may carry.
const maxAPIBody = 1 << 20

// apiCall is one API request. What it names is found out first, so that a switch may be limited to it; whether it may
// be answered is judged afterwards.
type apiCall struct {
	legacy  bool
	country string // the old API's path segment
	route   route
	token   claims
	known   bool // the token was signed here for this API; it may have run out
	owned   []Business
	query   url.Values
	where   scope

	business Business // set by the checks
	scoped   bool     // the answer is about one business
}

// route is what a path means.
type route struct {
	operation string // the path with {key} for an id; "unknown"
	path      string // the path itself, with a slash before it
	resource  *resource
	single    func(*book) object
	key, sub  string
	allowed   []string // methods
}

// The operations without a resource. They are not about one business and echo none (Sage facts 2.1).
const (
	opBusinesses = "businesses"
	opBusiness   = "businesses/{key}"
	opLead       = "businesses/lead"
	opUser       = "user"
	opUnknown    = "unknown"
)

// readRoute takes a path apart.
func readRoute(rest string) route {
	unknown := route{operation: opUnknown}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil || parts[i] == "" {
			return unknown
		}
	}
	parts = append(parts, "", "", "")
	name, key, sub := parts[0], parts[1], parts[2]
	found := route{operation: name, path: "/" + rest, key: key, sub: sub, allowed: []string{http.MethodGet}}
	if parts[3] != "" {
		return unknown
	}
	switch {
	case rest == opBusinesses || rest == opLead || rest == opUser:
		found.operation = rest
		return found
	case name == opBusinesses && sub == "":
		found.operation = opBusiness
		return found
	}
	if single, is := singletons()[name]; is && key == "" {
		found.single, found.allowed = single, append(found.allowed, http.MethodPut)
		return found
	}
	res, is := resources[name]
	if !is || res.noItems && key != "" {
		return unknown
	}
	found.resource = res
	return found.within(res, unknown)
}

// within names the operation of a collection's path, and the methods that it takes.
func (found route) within(res *resource, unknown route) route {
	may := func(letter, method string) {
		if strings.Contains(res.writes, letter) {
			found.allowed = append(found.allowed, method)
		}
	}
	switch {
	case found.key == "":
		may("c", http.MethodPost)
	case found.sub == "":
		found.operation += "/{key}"
		may("u", http.MethodPut)
		may("d", http.MethodDelete)
	case found.sub == "file" && res.name == "attachments", found.sub == "bank_feed" && res.name == "bank_accounts":
		found.operation += "/{key}/" + found.sub
	case found.sub == "release" && (strings.HasSuffix(res.name, "_invoices") || strings.HasSuffix(res.name, "_credit_notes")), found.sub == "reissue" && res.name == "journals":
		found.operation += "/{key}/" + found.sub
		found.allowed = []string{http.MethodPost}
	default:
		return unknown
	}
	return found
}

// reply is an answer of an API before it is written.
type reply struct {
	body        any    // encoded as JSON
	raw         []byte // instead of body
	contentType string // of raw
	status      int    // 0 = 200
}

func (s *Simulator) serveAPI(w http.ResponseWriter, r *http.Request, rest string) {
	s.serveBooks(w, r, &apiCall{route: readRoute(rest), where: scope{endpoint: endpointAPI}})
}

// serveBooks answers one request of either API.
func (s *Simulator) serveBooks(w http.ResponseWriter, r *http.Request, c *apiCall) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	ctx := r.Context()
	if err := s.identify(ctx, c, r); err != nil {
		s.internal(w, r, "identifying a call", err)
		return
	}
	if !c.legacy {
		land, taken, err := s.takeOff(ctx, c.where)
		if err != nil {
			s.internal(w, r, "counting calls in flight", err)
			return
		}
		if !taken {
			s.finish(w, r, c, reply{}, errTooMany)
			return
		}
		defer land()
	}
	name, err := s.injectBefore(w, r, c.where, func(f Fault) { writeRefusal(w, apiFaultAnswer(f)) })
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
	var answer reply
	if err = s.admit(ctx, c, r); err == nil {
		answer, err = s.answer(w, r, c)
	}
	s.finish(w, r, c, answer, err)
}

func apiFaultAnswer(f Fault) *apiError {
	switch f.Name {
	case FaultThrottled:
		return errTooMany
	case FaultError503:
		return errUnavailable
	}
	return errUnexpected
}

func writeRefusal(w http.ResponseWriter, e *apiError) { engine.WriteBody(w, e.status, e.body()) }

// identify finds out whose call it is and about what, without judging it.
func (s *Simulator) identify(ctx context.Context, c *apiCall, r *http.Request) error {
	c.where.operation = c.route.operation
	text, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer {
		return nil
	}
	audience := audienceAPI
	if c.legacy {
		audience = audienceLegacy
	}
	token, signed := s.readToken(text)
	if !signed || token.Audience != audience {
		return nil
	}
	c.token, c.known = token, true
	c.where.client, c.where.user = token.Party, token.Subject
	var err error
	if c.owned, err = businessesOf(ctx, s.state, token.Subject); err != nil {
		return err
	}
	i := s.meant(c, r)
	if i >= 0 {
		c.where.business = c.owned[i].ID
	}
	return nil
}

// meant is the index of the business that a call is about, -1 for one that the user has not. Without X-Business it is
// the lead business, silently (Sage facts 2.1).
func (s *Simulator) meant(c *apiCall, r *http.Request) int {
	if c.legacy {
		return slices.IndexFunc(c.owned, func(b Business) bool { return siteOf(b.ID) == r.Header.Get("X-Site") })
	}
	asked := r.Header.Get("X-Business")
	return slices.IndexFunc(c.owned, func(b Business) bool { return b.ID == asked || asked == "" && b.Lead })
}

// admit judges a call: token, path, method, business, subscription.
func (s *Simulator) admit(ctx context.Context, c *apiCall, r *http.Request) error {
	if c.legacy {
		if err := s.admitLegacy(ctx, c, r); err != nil {
			return err
		}
	}
	_, expired, err := s.fire(ctx, FaultTokenExpired, c.where)
	switch {
	case err != nil:
		return err
	case !c.known || expired || s.seconds(0) >= c.token.Expires:
		return errToken
	case c.route.operation == opUnknown:
		return errNotThere
	case !slices.Contains(c.route.allowed, r.Method):
		return errMethod
	}
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return badField("query")
	}
	if err := s.admitToBusiness(c, r); err != nil {
		return err
	}
	for _, refusal := range []struct {
		name string
		err  error
	}{{FaultSubscriptionLapsed, errLapsed}, {FaultAccessDenied, errAccessDenied}} {
		_, on, err := s.fire(ctx, refusal.name, c.where)
		if err != nil {
			return err
		}
		if on {
			return refusal.err
		}
	}
	return nil
}

func (s *Simulator) admitToBusiness(c *apiCall, r *http.Request) error {
	if c.route.resource == nil && c.route.single == nil {
		return nil
	}
	i := s.meant(c, r)
	if i < 0 {
		return errAccessDenied
	}
	if !c.owned[i].Active {
		return errLapsed
	}
	c.business, c.scoped = c.owned[i], true
	return nil
}

// answer works an admitted call out.
func (s *Simulator) answer(w http.ResponseWriter, r *http.Request, c *apiCall) (reply, error) {
	if c.query.Get("attributes") == "all" {
		_, on, err := s.fire(r.Context(), FaultTimeoutAll, c.where)
		if err != nil {
			return reply{}, err
		}
		if on {
			return reply{raw: []byte(htmlPage), contentType: "text/html", status: http.StatusGatewayTimeout}, nil
		}
	}
	if r.Method != http.MethodGet {
		return reply{}, refuseWrite(w, r, c)
	}
	switch c.route.operation {
	case opBusinesses, opBusiness, opLead:
		return c.answerBusinesses()
	case opUser:
		return s.answerUser(c)
	}
	b := newBook(c.business, s.now().Truncate(time.Second))
	b.query = queryFlags{balance: c.query.Get("show_balance") == "true", allocations: c.query.Get("show_payments_allocations") == "true"}
	if c.route.single != nil {
		return reply{body: c.route.single(b)}, nil
	}
	if c.route.key == "" {
		return c.list(b, s.shelf.take(b, c.route.resource), r.URL.RawQuery)
	}
	return c.item(b, s.shelf.take(b, c.route.resource))
}

// refuseWrite is what a write meets: the simulator is for reading.
func refuseWrite(w http.ResponseWriter, r *http.Request, c *apiCall) error {
	if c.token.Scopes != scopesClaim(scopeFullAccess) {
		return errAccessDenied
	}
	if r.Method == http.MethodDelete {
		return errReadsOnly
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	if err != nil || !json.Valid(body) {
		return badField("body")
	}
	return errReadsOnly
}

// finish writes an answer or a refusal and counts it.
func (s *Simulator) finish(w http.ResponseWriter, r *http.Request, c *apiCall, answer reply, err error) {
	ctx := context.WithoutCancel(r.Context())
	var refused *apiError
	if err != nil && !errors.As(err, &refused) {
		s.internal(w, r, "serving an API", err)
		return
	}
	if c.scoped && !c.legacy {
		s.echo(ctx, w, c)
	}
	if refused != nil {
		s.state.Count(ctx, c.where.endpoint, c.where.operation, strconv.Itoa(refused.status))
		if errors.Is(refused, errMethod) {
			w.Header().Set("Allow", strings.Join(c.route.allowed, ", "))
		}
		writeRefusal(w, refused)
		return
	}
	status, body := http.StatusOK, answer.raw
	if answer.status != 0 {
		status = answer.status
	}
	if answer.raw == nil {
		if body, err = json.Marshal(answer.body); err != nil {
			s.internal(w, r, "encoding an answer", fmt.Errorf("%s: %w", c.route.operation, err))
			return
		}
	} else {
		w.Header().Set("Content-Type", answer.contentType)
	}
	s.state.Count(ctx, c.where.endpoint, c.where.operation, strconv.Itoa(status))
	status, body, fault := s.spoil(w, r, c.where, status, body)
	if fault == FaultDrop {
		engine.HangUp()
	}
	engine.WriteBody(w, status, body)
}

// echo names the business that was answered for, unless a switch says otherwise.
func (s *Simulator) echo(ctx context.Context, w http.ResponseWriter, c *apiCall) {
	id := c.business.ID
	_, wrong, err := s.fire(ctx, FaultWrongEcho, c.where)
	_, missing, err2 := s.fire(ctx, FaultMissingEcho, c.where)
	if err := errors.Join(err, err2); err != nil {
		s.log.ErrorContext(ctx, "reading switches", "error", err)
	}
	if wrong {
		id = engine.Digest("another business than " + id)[:32]
		if i := slices.IndexFunc(c.owned, func(b Business) bool { return b.ID != c.business.ID }); i >= 0 {
			id = c.owned[i].ID
		}
	}
	if !missing {
		w.Header().Set("X-Business", id)
	}
}
