package clarasim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectorvault/infra/sim/engine"
)

// The names of the switches. A switch without an endpoint acts wherever it has a meaning.
const (
	// Settings, which are not used up.
	FaultBoundTokens   = "bound_tokens"   // tokens carry cnf, and the API takes them with their own certificate only (Clara facts 5.4)
	FaultTokenLifetime = "token_lifetime" // token: seconds, in place of 3600
	FaultClaraErrors   = "clara_errors"   // token: refusals look like the API's, and not like RFC 6749's; which they are at Clara is unknown
	FaultEnvelope      = "envelope"       // api: shape of lists: "page", "array", "paged_array" or "nested"
	FaultShapes        = "shapes"         // api: shape of status and hasAttachments: "string", "object" or "mixed"
	FaultClampSize     = "clamp_size"     // api: a size above 100 is taken for 100, and not refused
	FaultTaxNotFound   = "tax_not_found"  // api: an unknown X-Tax-Identifier is answered 404, and not 403

	// In the handshake.
	FaultHandshake = "handshake_refused" // the front ends it with an alert

	// Before anything is done.
	FaultSlow               = engine.Slow           // waits delay_ms of real time, at most 30 s, then goes on
	FaultHold               = engine.Hold           // waits until the switch is deleted, at most 30 s, then goes on; at the token endpoint also when the client has left
	FaultReset              = "reset"               // closes the connection
	FaultHTMLBefore         = "html_before"         // an HTML page of a gateway, with the status given or 502
	FaultStatus             = "status"              // the status given, and an empty body
	FaultThrottled          = "throttled"           // 429, with Retry-After where retry_after is given
	FaultError500           = "error_500"           // 500
	FaultError503           = "error_503"           // 503
	FaultCertificateMissing = "certificate_missing" // 511, or the status given, as though the certificate had not arrived

	// At the token endpoint, in place of doing anything.
	FaultInvalidClient = "invalid_client" // 401 invalid_client
	FaultOAuthError    = "oauth_error"    // the error given, with the status given or 400

	// At the API, after its checks.
	FaultTokenExpired = "token_expired" // 401, as when the token's time is over
	FaultForbidden    = "forbidden"     // 403
	FaultBusiness     = "business"      // 422 with the error given as code

	// After the work is done.
	FaultDrop        = "drop_after_commit" // closes the connection without an answer
	FaultHTMLAfter   = "html_after"        // an HTML page in place of the answer, with the status given or 200
	FaultEmpty       = "empty"             // an empty body
	FaultTruncated   = "truncated"         // half of the body, as though it were all
	FaultCut         = "cut"               // half of the body, and the connection closed
	FaultNoExpiresIn = "no_expires_in"     // token: an answer without expires_in
	FaultNoTokenType = "no_token_type"     // token: an answer without token_type
)

// The shapes of FaultEnvelope and FaultShapes.
const (
	ShapePage       = "page"        // content, totalElements, totalPages, size, number; what version 3 answers
	ShapeArray      = "array"       // everything, whatever page was asked for; what version 2 answers
	ShapePagedArray = "paged_array" // the page's items
	ShapeNested     = "nested"      // content, and page with the numbers

	ShapeString = "string" // status is a text and hasAttachments true or false
	ShapeObject = "object" // status is {code, description} and hasAttachments {value}
	ShapeMixed  = "mixed"  // either, by turns
)

// settings lists the switches that are not used up.
func settings() []string {
	return []string{FaultBoundTokens, FaultTokenLifetime, FaultClaraErrors, FaultEnvelope, FaultShapes, FaultClampSize, FaultTaxNotFound}
}

// knownFaults lists every name a switch may have.
func knownFaults() []string {
	return append(settings(), FaultHandshake,
		FaultSlow, FaultHold, FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503, FaultCertificateMissing,
		FaultInvalidClient, FaultOAuthError, FaultTokenExpired, FaultForbidden, FaultBusiness,
		FaultDrop, FaultHTMLAfter, FaultEmpty, FaultTruncated, FaultCut, FaultNoExpiresIn, FaultNoTokenType)
}

// Fault is one switch that is on. Empty scope fields match anything.
type Fault struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	Endpoint      string `json:"endpoint,omitempty"`  // "handshake", "token", "api" or "files"
	Operation     string `json:"operation,omitempty"` // the path with {uuid} for an id, such as "v3/cards/{uuid}"
	Country       string `json:"country,omitempty"`
	Side          string `json:"side,omitempty"` // of the API
	ClientID      string `json:"client_id,omitempty"`
	TaxIdentifier string `json:"tax_identifier,omitempty"`
	Fingerprint   string `json:"fingerprint,omitempty"` // of the certificate that was shown
	Times         int    `json:"times,omitempty"`       // fires so often, then goes off; 0 = until it is cleared

	DelayMS    int    `json:"delay_ms,omitempty"`    // FaultSlow only
	Status     int    `json:"status,omitempty"`      // FaultStatus; optional with FaultHTMLBefore, FaultHTMLAfter, FaultOAuthError and FaultCertificateMissing
	RetryAfter int    `json:"retry_after,omitempty"` // seconds, with any switch that answers before anything is done
	Seconds    int    `json:"seconds,omitempty"`     // FaultTokenLifetime only
	Shape      string `json:"shape,omitempty"`       // FaultEnvelope and FaultShapes only
	Error      string `json:"error,omitempty"`       // FaultOAuthError and FaultBusiness only
	Spent      bool   `json:"spent,omitempty"`       // a hold that still holds its requests but takes no more
}

// scope is where a request is, as far as a switch may be limited to it.
type scope struct {
	endpoint, operation, country, side, client, tax, fingerprint string
}

func (f Fault) scope() scope {
	return scope{f.Endpoint, f.Operation, f.Country, f.Side, f.ClientID, f.TaxIdentifier, f.Fingerprint}
}

// list is in the order that switches and requests are compared in.
func (w scope) list() []string {
	return []string{w.endpoint, w.operation, w.country, w.side, w.client, w.tax, w.fingerprint}
}

// faultParts are what the engine knows of a switch.
func faultParts(f *Fault) engine.Parts {
	return engine.Parts{ID: &f.ID, Name: f.Name, Limits: f.scope().list(), Times: &f.Times, DelayMS: f.DelayMS, Spent: &f.Spent}
}

// check refuses what would do nothing or something else than meant.
func (f Fault) check() error {
	if !slices.Contains(knownFaults(), f.Name) {
		return fmt.Errorf("unknown switch %q", f.Name)
	}
	if min(f.Times, f.DelayMS, f.RetryAfter, f.Seconds, f.Status) < 0 {
		return errors.New("numbers must not be negative")
	}
	if f.Times != 0 && slices.Contains(settings(), f.Name) {
		return fmt.Errorf("the switch %s is a setting and takes no times", f.Name)
	}
	if f.Name == FaultHandshake && f.scope() != (scope{endpoint: f.Endpoint}) {
		return fmt.Errorf("the switch %s cannot be limited: nobody is known yet", f.Name)
	}
	if f.Endpoint != "" && !slices.Contains([]string{endpointHandshake, endpointToken, endpointAPI, endpointFiles}, f.Endpoint) {
		return fmt.Errorf("unknown endpoint %q", f.Endpoint)
	}
	err := engine.CheckMembers(f.Name,
		engine.Member{Name: "delay_ms", Given: f.DelayMS != 0, Needs: []string{FaultSlow}},
		engine.Member{
			Name: "status", Given: f.Status != 0, Needs: []string{FaultStatus},
			Optional: []string{FaultHTMLBefore, FaultHTMLAfter, FaultOAuthError, FaultCertificateMissing},
		},
		engine.Member{
			Name: "retry_after", Given: f.RetryAfter != 0,
			Optional: []string{FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503},
		},
		engine.Member{Name: "seconds", Given: f.Seconds != 0, Needs: []string{FaultTokenLifetime}},
		engine.Member{Name: "shape", Given: f.Shape != "", Needs: []string{FaultEnvelope, FaultShapes}},
		engine.Member{Name: "error", Given: f.Error != "", Needs: []string{FaultOAuthError, FaultBusiness}},
	)
	if err != nil {
		return err
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return errors.New("status is 200 to 599")
	}
	return f.checkShape()
}

func (f Fault) checkShape() error {
	switch f.Name {
	case FaultEnvelope:
		return oneOf("shape", &f.Shape, []string{ShapePage, ShapeArray, ShapePagedArray, ShapeNested})
	case FaultShapes:
		return oneOf("shape", &f.Shape, []string{ShapeString, ShapeObject, ShapeMixed})
	}
	return nil
}

// SetFault turns a switch on and returns it with its id. The same switch with the same scope is replaced.
func (s *Simulator) SetFault(ctx context.Context, f Fault) (Fault, error) {
	if err := f.check(); err != nil {
		return Fault{}, err
	}
	return s.switches.Set(ctx, f)
}

// ClearFaults turns every switch off and lets go of whatever is held.
func (s *Simulator) ClearFaults(ctx context.Context) error { return s.switches.ClearAll(ctx) }

// ClearFault turns off the switches with this name.
func (s *Simulator) ClearFault(ctx context.Context, name string) error {
	return s.switches.Clear(ctx, name)
}

// Faults lists the switches that are on.
func (s *Simulator) Faults(ctx context.Context) ([]Fault, error) { return s.switches.List(ctx) }

// fire says whether a switch acts on a request, and uses up one of its times if so.
func (s *Simulator) fire(ctx context.Context, name string, where scope) (Fault, bool, error) {
	return s.switches.Fire(ctx, name, where.list())
}

// setting is for the switches that are plain settings: looking does not use them up.
func (s *Simulator) setting(ctx context.Context, q engine.Querier, name string, where scope) (Fault, bool, error) {
	return s.switches.Setting(ctx, q, name, where.list())
}
