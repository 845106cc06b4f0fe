package sage

import (
	"time"

	"connectorvault/shared/record"
)

// Horizon implements provider.Watcher: the API before version 3.1 ends on 31 July 2026, as Sage announced a year before
// (Sage facts 0). Whether it was switched off on the day is not known, so entries that use it are not refused.
func (a *Adapter) Horizon(entry record.Entry) []record.Horizon {
	if !isLegacy(entry) {
		return nil
	}
	return []record.Horizon{{Name: record.RetirementEnd, At: time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC),
		Detail: "Sage's API before version 3.1 (profile legacy_v3)"}}
}
