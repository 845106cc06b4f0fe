package amazonsim

import (
	"context"
	"encoding/base32"
	"encoding/json"

	"connectorvault/infra/sim/engine"
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
type CallCount = engine.CallCount

// Calls returns the counters of all processes that share the state.
func (s *Simulator) Calls(ctx context.Context) ([]CallCount, error) { return s.state.Calls(ctx) }

// ResetCalls sets every counter to nothing.
func (s *Simulator) ResetCalls(ctx context.Context) error { return s.state.ResetCalls(ctx) }

// ResetThrottles fills every rate bucket.
func (s *Simulator) ResetThrottles(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM buckets`)
	return err
}

// rid looks like the x-amz-rid header.
func (s *Simulator) rid() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.random.Bytes(13))[:20]
}

// quote encodes a JSON string. Marshalling a string cannot fail.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}
