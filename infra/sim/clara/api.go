package clarasim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// taxHeader selects the company (Clara facts 4.4).
const taxHeader = "X-Tax-Identifier"

// opUnknown is the operation of a path that leads nowhere.
const opUnknown = "unknown"

// codeInvalidToken is the code of RFC 6750 for a token that is shown with another certificate than its own.
const codeInvalidToken = "invalid_token"

// apiCall is one request of the API. What it names is found out first, so that a switch may be limited to it; whether it
// may be answered is judged afterwards.
type apiCall struct {
	*call

	route  route
	claims claims
	signed bool // the token was made here; its time may be over
	query  url.Values
	books  *books // of the company that is meant; nil where there is none such
}

// route is what a path means.
type route struct {
	operation  string // the path with {uuid} for an id
	collection *collection
	key, sub   string
}

// readRoute takes a path below /api/ or /api-test/ apart.
func readRoute(rest string) route {
	unknown := route{operation: opUnknown}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/") // a sample of Clara's ends with a slash
	if len(parts) < 2 || len(parts) > 4 {
		return unknown
	}
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil || parts[i] == "" {
			return unknown
		}
	}
	i := slices.IndexFunc(collections, func(c *collection) bool { return c.version == parts[0] && c.name == parts[1] })
	if i < 0 {
		return unknown
	}
	found := route{operation: parts[0] + "/" + parts[1], collection: collections[i]}
	if len(parts) > 2 {
		found.operation, found.key = found.operation+"/{uuid}", parts[2]
	}
	if len(parts) > 3 {
		found.operation, found.sub = found.operation+"/"+parts[3], parts[3]
		if _, has := found.collection.below[found.sub]; !has {
			return unknown
		}
	}
	return found
}

// serveAPI answers one request of the API.
func (s *Simulator) serveAPI(w http.ResponseWriter, r *http.Request, c *call, rest string) {
	api := &apiCall{call: c, route: readRoute(rest)}
	if err := s.identify(r, api); err != nil {
		s.internal(w, r, "identifying a call", err)
		return
	}
	a, err := s.injectBefore(w, r, c.where)
	if err != nil {
		s.internal(w, r, "reading switches", err)
		return
	}
	if a.fault == "" {
		if err = s.admit(r, api); err == nil {
			a, err = s.answer(r, api)
		}
	}
	s.finish(w, r, c, a, err)
}

// identify finds out whose call it is and about what, without judging it.
func (s *Simulator) identify(r *http.Request, c *apiCall) error {
	c.where.operation = c.route.operation
	var err error
	if c.holder, err = s.presented(r.Context(), r.TLS); err != nil {
		return err
	}
	c.where.fingerprint, c.where.client = c.holder.fingerprint, c.holder.project.ClientID
	if text, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); is {
		c.claims, c.signed = s.readToken(text)
	}
	if c.signed {
		c.token = c.claims.Number
		if c.where.client == "" {
			c.where.client = c.claims.Party
		}
	}
	c.where.tax = r.Header.Get(taxHeader)
	if c.where.tax == "" && len(c.holder.project.TaxIdentifiers) > 0 {
		c.where.tax = c.holder.project.TaxIdentifiers[0]
	}
	if slices.Contains(c.holder.project.TaxIdentifiers, c.where.tax) {
		c.books = &books{country: c.holder.project.Country, side: c.holder.project.Side, tax: c.where.tax, now: s.now().UTC().Truncate(time.Second), kept: &s.months}
	}
	return nil
}

// admit judges a call: certificate, token, project, path, method, permission, company.
func (s *Simulator) admit(r *http.Request, c *apiCall) error {
	ctx := r.Context()
	if err := admitHolder(ctx, s.state, c.holder); err != nil {
		return err
	}
	if err := s.admitToken(ctx, c); err != nil {
		return err
	}
	if c.route.collection == nil {
		return errNoPath
	}
	if err := s.admitToResource(r, c); err != nil {
		return err
	}
	if c.books == nil {
		_, notFound, err := s.setting(ctx, s.state, FaultTaxNotFound, c.where)
		if err != nil {
			return err
		}
		if notFound {
			return &refusal{status: http.StatusNotFound, code: codeNotFound, message: "Company not found", why: "tax identifier"}
		}
		return errForbidden.because("tax identifier")
	}
	var err error
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return badValue("The query cannot be read")
	}
	return nil
}

// admitToken holds the token against the clock, the certificate and the project.
func (s *Simulator) admitToken(ctx context.Context, c *apiCall) error {
	project := c.holder.project
	switch {
	case !c.signed:
		return errUnauthorized.because("no token")
	case s.seconds() >= c.claims.Expires:
		return errUnauthorized.because("token expired")
	case !c.holder.known:
		return errUnauthorized.because("certificate of no project")
	case c.claims.Party != project.ClientID:
		return errUnauthorized.because("certificate of another project")
	case c.claims.Generation != project.Generation:
		return errUnauthorized.because("token revoked")
	case !project.has(c.claims.Credential):
		return errUnauthorized.because("credential deleted")
	case c.where.country != project.Country:
		return errUnauthorized.because("another country's project")
	case c.where.side != project.Side:
		return errUnauthorized.because("another side's project")
	case project.expired(s.now()):
		return errUnauthorized.because("project expired")
	}
	if _, on, err := s.fire(ctx, FaultTokenExpired, c.where); err != nil || on {
		return orRefuse(err, errUnauthorized.because("switch"))
	}
	bound := c.claims.Confirmation != nil
	if !bound {
		var err error
		if _, bound, err = s.setting(ctx, s.state, FaultBoundTokens, c.where); err != nil {
			return err
		}
	}
	if bound && (c.claims.Confirmation == nil || c.claims.Confirmation.Thumbprint != c.holder.thumbprint) {
		return &refusal{status: http.StatusUnauthorized, code: codeInvalidToken, message: "The access token is bound to another certificate", why: "certificate of another token"}
	}
	return nil
}

// orRefuse is an error where there is one, and else a refusal.
func orRefuse(err error, refused *refusal) error {
	if err != nil {
		return err
	}
	return refused
}

// admitToResource holds the call against what the project is permitted.
func (s *Simulator) admitToResource(r *http.Request, c *apiCall) error {
	kind := ":read"
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		kind = ":write"
	default:
		return errMethod
	}
	if !slices.Contains(c.holder.project.Permissions, c.route.collection.permission+kind) {
		return errForbidden.because("permission")
	}
	if _, on, err := s.fire(r.Context(), FaultForbidden, c.where); err != nil || on {
		return orRefuse(err, errForbidden.because("switch"))
	}
	if f, on, err := s.fire(r.Context(), FaultBusiness, c.where); err != nil || on {
		return orRefuse(err, &refusal{status: http.StatusUnprocessableEntity, code: f.Error, message: "Business validation failed", why: "switch"})
	}
	if kind == ":write" {
		return &refusal{status: http.StatusUnprocessableEntity, code: "B000", message: "The simulator keeps nothing that is sent to it", why: "write"}
	}
	return nil
}

// answer works an admitted call out.
func (s *Simulator) answer(r *http.Request, c *apiCall) (answer, error) {
	shapes, _, err := s.setting(r.Context(), s.state, FaultShapes, c.where)
	if err != nil {
		return answer{}, err
	}
	c.books.shape = shapes.Shape
	c.books.files = func(d document) (string, time.Time) { return s.fileAddress(r, d) }
	var body any
	if c.route.key == "" {
		body, err = s.list(r.Context(), c, c.route.collection, c.route.collection.rows(c.books))
	} else {
		body, err = s.single(r.Context(), c)
	}
	if err != nil {
		return answer{}, err
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("encoding an answer: %w", err)
	}
	return answer{body: encoded}, nil
}

// single answers for one record, or for what lies below it.
func (s *Simulator) single(ctx context.Context, c *apiCall) (any, error) {
	of := c.route.collection
	one, known := of.find(c.books, c.route.key)
	if !known {
		return nil, &refusal{status: http.StatusNotFound, code: codeNotFound, message: of.noun + " with UUID '" + c.route.key + "' not found", why: "record"}
	}
	if c.route.sub == "" {
		return one.whole(), nil
	}
	below := of.below[c.route.sub]
	if below.single != nil {
		return below.single(c.books, one), nil
	}
	return s.list(ctx, c, below.list, below.rows(c.books, one))
}
