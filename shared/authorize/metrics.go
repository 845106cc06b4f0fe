package authorize

import (
	"context"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
)

// counted counts a step at which an authorization request was used, or was to be.
func (s *Service) counted(ctx context.Context, op metric.Operation, about *metric.About, err error) {
	outcome := metric.OutcomeOf(err)
	if err != nil && fault.CodeOf(err) == "consent_denied" {
		outcome = metric.Denied
	}
	s.Metrics.Authorization(ctx, op, outcome, *about)
}
