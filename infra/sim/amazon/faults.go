package amazonsim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectorvault/infra/sim/engine"
)

// The names of the switches (Amazon facts 9.5.3). A switch without an endpoint acts wherever it has a meaning.
const (
	FaultRevokedGrant    = "revoked_grant"    // token: 400 invalid_grant on refresh; api: 403 revoked token
	FaultSecretExpired   = "secret_expired"   // token: 401 invalid_client; api: 403 secret expired
	FaultMissingRole     = "missing_role"     // api: 403, empty details
	FaultWrongRegion     = "wrong_region"     // api: 403, empty details
	FaultTokenExpired    = "token_expired"    // api: 403, access token expired
	FaultThrottled       = "throttled"        // 429
	FaultError500        = "error_500"        // 500
	FaultError503        = "error_503"        // 503
	FaultHTML400         = "html_400"         // 400 with an HTML body, as broken requests get (Amazon facts 5.1)
	FaultSlow            = engine.Slow        // waits delay_ms of real time, at most 30 s, then goes on
	FaultHold            = engine.Hold        // waits until the switch is deleted, at most 30 s, then goes on
	FaultReset           = "reset"            // closes the connection before anything is done
	FaultDrop            = "drop"             // does the work, then closes the connection without an answer
	FaultEmptyBody       = "empty_body"       // does the work, then answers with an empty body
	FaultTruncated       = "truncated"        // does the work, then answers with half of the body
	FaultEmptyPages      = "empty_pages"      // lists: an empty page that has a next token
	FaultReportCancelled = "report_cancelled" // reports made while on end as CANCELLED
	FaultReportFatal     = "report_fatal"     // reports made while on end as FATAL
	FaultDocumentExpired = "document_expired" // documents: 403 XML "Request has expired"
	FaultMislabelledGzip = "mislabelled_gzip" // documents: Content-Encoding: gzip together with GZIP
	FaultConsentLimit    = "consent_limit"    // consent: CONSENT_LIMIT_REACHED
	FaultStrictApps      = "strict_apps"      // unknown applications are refused
	FaultNoThrottling    = "no_throttling"    // rate buckets are ignored
	FaultGarbled         = "garbled"          // does the work, then answers 200 with HTML instead of JSON
	FaultStatus          = "status"           // answers with the status given, and an empty body
	FaultNoPersonalData  = "no_personal_data" // api: the application has none of the restricted roles (Amazon facts 5.6)
)

// knownFaults lists every name a switch may have.
func knownFaults() []string {
	return []string{
		FaultRevokedGrant, FaultSecretExpired, FaultMissingRole, FaultWrongRegion, FaultTokenExpired, FaultThrottled,
		FaultError500, FaultError503, FaultHTML400, FaultSlow, FaultHold, FaultReset, FaultDrop, FaultEmptyBody, FaultTruncated,
		FaultEmptyPages, FaultReportCancelled, FaultReportFatal, FaultDocumentExpired, FaultMislabelledGzip,
		FaultConsentLimit, FaultStrictApps, FaultNoThrottling, FaultGarbled, FaultStatus, FaultNoPersonalData,
	}
}

// Fault is one switch that is on. Empty scope fields match anything.
type Fault struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Endpoint  string `json:"endpoint,omitempty"`  // "token", "api", "documents" or "consent"
	Operation string `json:"operation,omitempty"` // operation id; at the token endpoint the grant type
	SellerID  string `json:"selling_partner_id,omitempty"`
	App       string `json:"application_id,omitempty"`
	Region    string `json:"region,omitempty"`
	Times     int    `json:"times,omitempty"`    // fires so often, then goes off; 0 = until it is cleared
	DelayMS   int    `json:"delay_ms,omitempty"` // FaultSlow only
	Status    int    `json:"status,omitempty"`   // FaultStatus only: 400 to 599
	// RetryAfter is sent as Retry-After seconds with FaultThrottled, FaultError503 and FaultStatus; Amazon
	// documents no such header (Amazon facts 5.4), gateways in front of it send one.
	RetryAfter int  `json:"retry_after,omitempty"`
	Spent      bool `json:"spent,omitempty"` // a hold that still holds its requests but takes no more
}

// scope is where a request is, as far as a switch may be limited to it.
type scope struct {
	endpoint, operation, seller, app, region string
}

func (f Fault) scope() scope {
	return scope{f.Endpoint, f.Operation, f.SellerID, f.App, f.Region}
}

// list is in the order that switches and requests are compared in.
func (w scope) list() []string {
	return []string{w.endpoint, w.operation, w.seller, w.app, w.region}
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
	if f.Times < 0 || f.DelayMS < 0 || f.RetryAfter < 0 {
		return errors.New("times, delay_ms and retry_after must not be negative")
	}
	if (f.Name == FaultStatus) != (f.Status != 0) || (f.Status != 0 && (f.Status < 400 || f.Status > 599)) {
		return errors.New("status goes with the switch status, and is 400 to 599")
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

// switchOn is for the switches that are plain settings.
func (s *Simulator) switchOn(ctx context.Context, q engine.Querier, name string) (bool, error) {
	_, on, err := s.switches.Setting(ctx, q, name, scope{}.list())
	return on, err
}
