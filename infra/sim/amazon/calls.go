package amazonsim

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
)

// The endpoints that calls are counted under.
const (
	endpointConsent   = "consent"
	endpointToken     = "token"
	endpointAPI       = "api"
	endpointDocuments = "documents"
	endpointStrict    = "strict" // requests that break a rule of the wire
)

// CallCount says how often something was asked and how it ended. At the token endpoint the operation is the
// grant type and the outcome "success" or the error code; at the API the operation id and the HTTP status.
type CallCount struct {
	Endpoint  string `json:"endpoint"`
	Operation string `json:"operation"`
	Outcome   string `json:"outcome"`
	Count     int    `json:"count"`
}

// Calls returns the counters of all processes that share the state.
func (s *Simulator) Calls(ctx context.Context) ([]CallCount, error) {
	rows, err := s.state.QueryContext(ctx, `SELECT endpoint, operation, outcome, count FROM calls ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("reading counters: %w", err)
	}
	defer func() { _ = rows.Close() }() // reading is over; rows.Err has told what went wrong
	var list []CallCount
	for rows.Next() {
		var c CallCount
		if err := rows.Scan(&c.Endpoint, &c.Operation, &c.Outcome, &c.Count); err != nil {
			return nil, fmt.Errorf("reading counters: %w", err)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// ResetCalls sets every counter to nothing.
func (s *Simulator) ResetCalls(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM calls`)
	return err
}

// ResetThrottles fills every rate bucket.
func (s *Simulator) ResetThrottles(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM buckets`)
	return err
}

// count counts also when the client has already gone: what happened has happened.
func (s *Simulator) count(ctx context.Context, endpoint, operation, outcome string) {
	ctx = context.WithoutCancel(ctx)
	_, err := s.state.ExecContext(ctx, `INSERT INTO calls(endpoint, operation, outcome, count) VALUES(?, ?, ?, 1)
		ON CONFLICT(endpoint, operation, outcome) DO UPDATE SET count = count + 1`, endpoint, operation, outcome)
	if err != nil {
		s.log.ErrorContext(ctx, "counting a call", "error", err)
	}
}

// rid looks like the x-amz-rid header.
func (s *Simulator) rid() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.randomBytes(13))[:20]
}

// quote encodes a JSON string. Marshalling a string cannot fail.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}
