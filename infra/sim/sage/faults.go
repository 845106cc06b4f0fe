package sagesim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

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
	FaultSlow       = "slow"        // waits delay_ms of real time, at most 30 s, then goes on
	FaultHold       = "hold"        // waits until the switch is deleted, at most 30 s, then goes on; at a token endpoint also when the client has left
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

	faultPollInterval = 20 * time.Millisecond
	faultLongestWait  = 30 * time.Second
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

func (f Fault) matches(name string, where scope) bool {
	within := func(limit, actual string) bool { return limit == "" || limit == actual }
	return f.Name == name && !f.Spent && within(f.Endpoint, where.endpoint) && within(f.Operation, where.operation) &&
		within(f.ClientID, where.client) && within(f.User, where.user) && within(f.Business, where.business) && within(f.Label, where.label)
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
	for _, member := range []struct {
		name     string
		is       bool
		takes    []string
		optional bool
	}{
		{"status", f.Status != 0, []string{FaultStatus}, false},
		{"grace_seconds", f.GraceSeconds != 0, []string{FaultGrace}, false},
		{"limit", f.Limit != 0, []string{FaultConcurrency}, false},
		{"error", f.Error != "", []string{FaultOAuthError, FaultAuthorizeError}, false},
		{"delay_ms", f.DelayMS != 0, []string{FaultSlow}, false},
		{"status", f.Status != 0, []string{FaultStatus, FaultHTMLBefore, FaultHTMLAfter, FaultOAuthError}, true},
	} {
		takes := slices.Contains(member.takes, f.Name)
		if takes && !member.is && !member.optional {
			return fmt.Errorf("the switch %s needs %s", f.Name, member.name)
		}
		if member.is && !takes && (member.name != "status" || member.optional) {
			return fmt.Errorf("the switch %s takes no %s", f.Name, member.name)
		}
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
	f.ID, f.Spent = 0, false
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		known, err := faults(ctx, tx)
		if err != nil {
			return err
		}
		for _, old := range known {
			if old.Name != f.Name || old.scope() != f.scope() {
				continue
			}
			if err := deleteFault(ctx, tx, old.ID); err != nil {
				return err
			}
		}
		spec, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("encoding switch: %w", err)
		}
		remaining := f.Times
		if remaining == 0 {
			remaining = -1
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO faults(spec, remaining, spent) VALUES(?, ?, 0)`, string(spec), remaining)
		if err != nil {
			return fmt.Errorf("storing switch: %w", err)
		}
		f.ID, err = result.LastInsertId()
		return err
	})
	return f, err
}

// ClearFaults turns every switch off and lets go of whatever is held.
func (s *Simulator) ClearFaults(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM faults`)
	return err
}

// ClearFault turns off the switches with this name.
func (s *Simulator) ClearFault(ctx context.Context, name string) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		known, err := faults(ctx, tx)
		if err != nil {
			return err
		}
		for _, f := range known {
			if f.Name == name {
				if err := deleteFault(ctx, tx, f.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Faults lists the switches that are on.
func (s *Simulator) Faults(ctx context.Context) ([]Fault, error) { return faults(ctx, s.state) }

func faults(ctx context.Context, q engine.Querier) ([]Fault, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, spec, remaining, spent FROM faults ORDER BY id`)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (Fault, error) {
		var id, remaining int64
		var spec string
		var spent bool
		if err := scan(&id, &spec, &remaining, &spent); err != nil {
			return Fault{}, err
		}
		var f Fault
		if err := json.Unmarshal([]byte(spec), &f); err != nil {
			return Fault{}, err
		}
		f.ID, f.Spent = id, spent
		if remaining > 0 {
			f.Times = int(remaining)
		}
		return f, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading switches: %w", err)
	}
	return list, nil
}

func deleteFault(ctx context.Context, q engine.Querier, id int64) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM faults WHERE id = ?`, id); err != nil {
		return fmt.Errorf("deleting switch: %w", err)
	}
	return nil
}

// fire says whether a switch acts on a request, and uses up one of its times if so.
func (s *Simulator) fire(ctx context.Context, name string, where scope) (Fault, bool, error) {
	f, on, err := s.setting(ctx, s.state, name, where)
	if err != nil || !on || f.Times == 0 {
		return f, on, err
	}
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		f, on, err = findFault(ctx, tx, name, where) // again: somebody may have used it up meanwhile
		if err != nil || !on || f.Times == 0 {
			return err
		}
		return useUp(ctx, tx, f)
	})
	return f, on && err == nil, err
}

// setting is for the switches that are plain settings: looking does not use them up.
func (s *Simulator) setting(ctx context.Context, q engine.Querier, name string, where scope) (Fault, bool, error) {
	if surelyOff(ctx, name) {
		return Fault{}, false, nil
	}
	return findFault(ctx, q, name, where)
}

func findFault(ctx context.Context, q engine.Querier, name string, where scope) (Fault, bool, error) {
	list, err := faults(ctx, q)
	if err != nil {
		return Fault{}, false, err
	}
	i := slices.IndexFunc(list, func(f Fault) bool { return f.matches(name, where) })
	if i < 0 {
		return Fault{}, false, nil
	}
	return list[i], true, nil
}

// useUp takes one of a switch's times. A hold stays as spent: its disappearance is what lets the request go.
func useUp(ctx context.Context, tx *sql.Tx, f Fault) error {
	if f.Times == 1 && f.Name != FaultHold {
		return deleteFault(ctx, tx, f.ID)
	}
	_, err := tx.ExecContext(ctx, `UPDATE faults SET remaining = remaining - 1, spent = (remaining = 1) WHERE id = ?`, f.ID)
	if err != nil {
		return fmt.Errorf("using up switch: %w", err)
	}
	return nil
}

// switchesKey is where a request's context keeps its switchSet.
type switchesKey struct{}

// switchSet holds the names that were on when the request last looked. One request uses it, one goroutine.
type switchSet struct{ names map[string]bool }

// withSwitches notes which switches are on, so that a request that none concerns reads them once and not a dozen
// times. A name that is on is still looked up where it may act.
func (s *Simulator) withSwitches(ctx context.Context) (context.Context, error) {
	ctx = context.WithValue(ctx, switchesKey{}, &switchSet{})
	return ctx, s.refreshSwitches(ctx)
}

// refreshSwitches looks again: a request that was held goes on under the switches of its release.
func (s *Simulator) refreshSwitches(ctx context.Context) error {
	set, looked := ctx.Value(switchesKey{}).(*switchSet)
	if !looked {
		return nil
	}
	list, err := faults(ctx, s.state)
	if err != nil {
		return err
	}
	set.names = make(map[string]bool, len(list))
	for _, f := range list {
		set.names[f.Name] = true
	}
	return nil
}

// surelyOff is false also when nobody looked.
func surelyOff(ctx context.Context, name string) bool {
	set, looked := ctx.Value(switchesKey{}).(*switchSet)
	return looked && !set.names[name]
}

// allOff says that no switch at all is on, so that nobody needs to know whom a request is from.
func allOff(ctx context.Context) bool {
	set, looked := ctx.Value(switchesKey{}).(*switchSet)
	return looked && len(set.names) == 0
}
