package refresh

import (
	"time"

	"connectorvault/shared/record"
)

// Rest, KeepAlive and WarmAt are when the schedule does what, for tests that look at a thousand entries.
func (s *Service) Rest(c record.Credential) time.Time   { return s.rest(c) }
func (s *Service) WarmAt(c record.Credential) time.Time { return s.warmAt(c) }
func KeepAlive(c record.Credential) time.Time           { return keepAlive(c) }
