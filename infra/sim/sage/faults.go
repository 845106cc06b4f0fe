package sagesim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectorvault/infra/sim/engine"
)

// The names of the switches. A switch without an endpoint acts wherever it has a meaning.
const (
	// Settings. Sage documents neither a grace window nor a revocation of the family (Sage facts 1.5), so both are off.
	FaultGrace            = "grace"             // a refresh token spent at most grace_seconds ago gives a fresh access token and the family's current refresh token
	FaultFamilyRevocation = "family_revocation" // a spent refresh token or code that is offered again, outside grace, ends its family
	FaultStrictApps       = "strict_apps"       // unknown client ids are refused
	FaultVerifySignature  = "verify_signature"  // legacy: X-Signature and X-Nonce are checked, as they were before 2017 (Sage facts 0)
	FaultConcurrency      = "concurrency"       // api: limit calls at once for a client id, in place of 150

	// Before anything is done.
	FaultSlow       = engine.Slow   // waits delay_ms of real time, at most 30 s, then goes on
	FaultHold       = engine.Hold   // waits until the switch is deleted, at most 30 s, then goes on; at a token endpoint also when the client has left
	FaultReset      = "reset"       // closes the connection
	FaultHTMLBefore = "html_before" // an HTML page of a gateway, with the status given or 502
	FaultStatus     = "status"      // the status given, and an empty body
	FaultThrottled  = "throttled"   // 429, with Retry-After where retry_after is given
	FaultError500   = "error_500"   // 500
	FaultError503   = "error_503"   // 503

	// At a token endpoint, in place of doing anything.
	FaultInvalidClient = "invalid_client" // 400 invalid_client
	FaultInvalidGrant  = "invalid_grant"  // 400 invalid_grant, though nothing is revoked or spent
	FaultOAuthError    = "oauth_error"    // the error given, with the status given or 400

	// After the work is done and stored.
	FaultDrop           = "drop_after_commit" // closes the connection without an answer
	FaultHTMLAfter      = "html_after"        // an HTML page in place of the answer, with the status given or 200
	FaultEmpty          = "empty"             // an empty body
	FaultTruncated      = "truncated"         // half of the body
	FaultNoRefreshToken = "no_refresh_token"  // token: an answer that lacks the new refresh token

	// At the APIs.
	FaultTokenExpired       = "token_expired"       // 401, as after 300 seconds
	FaultSubscriptionLapsed = "subscription_lapsed" // 401 No active subscription. (MSE)
	FaultAccessDenied       = "access_denied"       // 403 MultiUserAccessDenied
	FaultTimeoutAll         = "timeout_all"         // 504 where attributes=all is asked for (Sage facts 2.5)
	FaultWrongEcho          = "wrong_echo"          // the answer's X-Business names another business
	FaultMissingEcho        = "missing_echo"        // the answer has no X-Business

	// At the authorize page.
	FaultAuthorizeError = "authorize_error" // Allow leads back with the error given
)

// knownFaults lists every name a switch may have.
func knownFaults() []string {
	return []string{
		FaultGrace, FaultFamilyRevocation, FaultStrictApps, FaultVerifySignature, FaultConcurrency,
		FaultSlow, FaultHold, FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503,
		FaultInvalidClient, FaultInvalidGrant, FaultOAuthError,
		FaultDrop, FaultHTMLAfter, FaultEmpty, FaultTruncated, FaultNoRefreshToken,
		FaultTokenExpired, FaultSubscriptionLapsed, FaultAccessDenied, FaultTimeoutAll, FaultWrongEcho, FaultMissingEcho,
		FaultAuthorizeError,
	}
}

// Fault is one switch that is on. Empty scope fields match anything.
type Fault struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Endpoint  string `json:"endpoint,omitempty"`  // "authorize", "token", "revoke", "api" or "legacy"
	Operation string `json:"operation,omitempty"` // grant type, or the path with {key} for an id, such as "contacts/{key}"
	ClientID  string `json:"client_id,omitempty"`
	User      string `json:"user,omitempty"`
	Business  string `json:"business,omitempty"`
	Label     string `json:"label,omitempty"` // of a family; at the token endpoints only
	Times     int    `json:"times,omitempty"` // fires so often, then goes off; 0 = until it is cleared

	DelayMS      int    `json:"delay_ms,omitempty"`      // FaultSlow only
	Status       int    `json:"status,omitempty"`        // FaultStatus; optional with FaultHTMLBefore, FaultHTMLAfter and FaultOAuthError
	RetryAfter   int    `json:"retry_after,omitempty"`   // seconds, with any switch that answers by itself
	GraceSeconds int    `json:"grace_seconds,omitempty"` // FaultGrace only
	Limit        int    `json:"limit,omitempty"`         // FaultConcurrency only
	Error        string `json:"error,omitempty"`         // FaultOAuthError and FaultAuthorizeError only
	Spent        bool   `json:"spent,omitempty"`         // a hold that still holds its requests but takes no more
}

// scope is where a request is, as far as a switch may be limited to it.
type scope struct {
	endpoint, operation, client, user, business, label string
}

func (f Fault) scope() scope {
	return scope{f.Endpoint, f.Operation, f.ClientID, f.User, f.Business, f.Label}
}

// list is in the order that switches and requests are compared in.
func (w scope) list() []string {
	return []string{w.endpoint, w.operation, w.client, w.user, w.business, w.label}
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
	if min(f.Times, f.DelayMS, f.RetryAfter, f.GraceSeconds, f.Limit, f.Status) < 0 {
		return errors.New("numbers must not be negative")
	}
	if f.Endpoint != "" && !slices.Contains([]string{endpointAuthorize, endpointToken, endpointRevoke, endpointAPI, endpointLegacy}, f.Endpoint) {
		return fmt.Errorf("unknown endpoint %q", f.Endpoint)
	}
	err := engine.CheckMembers(f.Name,
		engine.Member{Name: "status", Given: f.Status != 0, Needs: []string{FaultStatus}, Optional: knownFaults()}, // which of them may is said last
		engine.Member{Name: "grace_seconds", Given: f.GraceSeconds != 0, Needs: []string{FaultGrace}},
		engine.Member{Name: "limit", Given: f.Limit != 0, Needs: []string{FaultConcurrency}},
		engine.Member{Name: "error", Given: f.Error != "", Needs: []string{FaultOAuthError, FaultAuthorizeError}},
		engine.Member{Name: "delay_ms", Given: f.DelayMS != 0, Needs: []string{FaultSlow}},
		engine.Member{Name: "status", Given: f.Status != 0, Optional: []string{FaultStatus, FaultHTMLBefore, FaultHTMLAfter, FaultOAuthError}},
	)
	if err != nil {
		return err
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return errors.New("status is 200 to 599")
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
