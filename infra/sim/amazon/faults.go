package amazonsim

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
	FaultSlow            = "slow"             // waits delay_ms of real time, at most 30 s, then goes on
	FaultHold            = "hold"             // waits until the switch is deleted, at most 30 s, then goes on
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
	faultPollInterval    = 20 * time.Millisecond
	faultLongestWait     = 30 * time.Second
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

func (f Fault) matches(name string, where scope) bool {
	within := func(limit, actual string) bool { return limit == "" || limit == actual }
	return f.Name == name && !f.Spent && within(f.Endpoint, where.endpoint) && within(f.Operation, where.operation) &&
		within(f.SellerID, where.seller) && within(f.App, where.app) && within(f.Region, where.region)
}

// SetFault turns a switch on and returns it with its id. The same switch with the same scope is replaced.
func (s *Simulator) SetFault(ctx context.Context, f Fault) (Fault, error) {
	if !slices.Contains(knownFaults(), f.Name) {
		return Fault{}, fmt.Errorf("unknown switch %q", f.Name)
	}
	if f.Times < 0 || f.DelayMS < 0 || f.RetryAfter < 0 {
		return Fault{}, errors.New("times, delay_ms and retry_after must not be negative")
	}
	if (f.Name == FaultStatus) != (f.Status != 0) || (f.Status != 0 && (f.Status < 400 || f.Status > 599)) {
		return Fault{}, errors.New("status goes with the switch status, and is 400 to 599")
	}
	f.ID, f.Spent = 0, false
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		known, err := faults(ctx, tx)
		if err != nil {
			return err
		}
		for _, old := range known {
			same := old
			same.ID, same.Times, same.DelayMS, same.Spent = 0, f.Times, f.DelayMS, false
			same.Status, same.RetryAfter = f.Status, f.RetryAfter
			if same == f {
				if err := deleteFault(ctx, tx, old.ID); err != nil {
					return err
				}
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
	if err != nil {
		return nil, fmt.Errorf("reading switches: %w", err)
	}
	defer func() { _ = rows.Close() }() // reading is over; rows.Err has told what went wrong
	var list []Fault
	for rows.Next() {
		var id, remaining int64
		var spec string
		var spent bool
		if err := rows.Scan(&id, &spec, &remaining, &spent); err != nil {
			return nil, fmt.Errorf("reading switches: %w", err)
		}
		var f Fault
		if err := json.Unmarshal([]byte(spec), &f); err != nil {
			return nil, fmt.Errorf("decoding switch: %w", err)
		}
		f.ID, f.Spent = id, spent
		if remaining > 0 {
			f.Times = int(remaining)
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

func deleteFault(ctx context.Context, q engine.Querier, id int64) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM faults WHERE id = ?`, id); err != nil {
		return fmt.Errorf("deleting switch: %w", err)
	}
	return nil
}

// fire says whether a switch acts on a request, and uses up one of its times if so.
func (s *Simulator) fire(ctx context.Context, name string, where scope) (Fault, bool, error) {
	if surelyOff(ctx, name) {
		return Fault{}, false, nil
	}
	f, found, err := findFault(ctx, s.state, name, where)
	if err != nil || !found {
		return Fault{}, false, err
	}
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		f, found, err = findFault(ctx, tx, name, where) // again: somebody may have used it up meanwhile
		if err != nil || !found || f.Times == 0 {
			return err
		}
		return useUp(ctx, tx, f)
	})
	return f, found && err == nil, err
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

// switchOn is for the switches that are plain settings.
func (s *Simulator) switchOn(ctx context.Context, q engine.Querier, name string) (bool, error) {
	if surelyOff(ctx, name) {
		return false, nil
	}
	_, on, err := findFault(ctx, q, name, scope{})
	return on, err
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
