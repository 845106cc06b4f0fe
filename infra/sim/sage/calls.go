package sagesim

import (
	"context"
	"fmt"

	"connectorvault/infra/sim/engine"
)

// The endpoints that calls are counted and switches are limited under.
const (
	endpointAuthorize = "authorize"
	endpointToken     = "token"
	endpointRevoke    = "revoke"
	endpointAPI       = "api"
	endpointLegacy    = "legacy" // the old API and its token endpoint
)

// CallCount says how often something was asked and how it ended. At a token endpoint the operation is the grant type
// and the outcome "success" or the error code; at the APIs the path with {key} for an id, and the HTTP status.
type CallCount struct {
	Endpoint  string `json:"endpoint"`
	Operation string `json:"operation"`
	Outcome   string `json:"outcome"`
	Count     int    `json:"count"`
}

// Calls returns the counters of all processes that share the state.
func (s *Simulator) Calls(ctx context.Context) ([]CallCount, error) {
	rows, err := s.state.QueryContext(ctx, `SELECT endpoint, operation, outcome, count FROM calls ORDER BY 1, 2, 3`)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (CallCount, error) {
		var c CallCount
		err := scan(&c.Endpoint, &c.Operation, &c.Outcome, &c.Count)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading counters: %w", err)
	}
	return list, nil
}

// ResetCalls sets every counter to nothing.
func (s *Simulator) ResetCalls(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM calls`)
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
