package sagesim

import (
	"context"

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
type CallCount = engine.CallCount

// Calls returns the counters of all processes that share the state.
func (s *Simulator) Calls(ctx context.Context) ([]CallCount, error) { return s.state.Calls(ctx) }

// ResetCalls sets every counter to nothing.
func (s *Simulator) ResetCalls(ctx context.Context) error { return s.state.ResetCalls(ctx) }
