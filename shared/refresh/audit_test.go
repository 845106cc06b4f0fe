package refresh_test

import (
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/bundle/bundletest"
)

// The schedule passes each tenant's keyring once a day, and what is too old goes then.
func TestTheScheduleTrimsTheAuditTrail(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	entry := r.own("old")
	told := func() int {
		page, err := r.Vault.AuditEvents(r.Context(), bundletest.Tenant, "", time.Time{}, 1000, func(audit.Event) bool { return true })
		r.OK(err)
		return len(page.Items)
	}
	before := told()
	r.Clock.Add(365 * 24 * time.Hour)
	r.sweeps(r.Tokens, 0)
	if told() != before || before == 0 {
		t.Errorf("after a year there are %d of %d", told(), before)
	}
	r.Clock.Add(60 * 24 * time.Hour)
	r.sweeps(r.Tokens, 0)
	if told() != 0 {
		t.Errorf("after 14 months there are %d", told())
	}
	for _, tenant := range []string{bundletest.Tenant, bundletest.Other} {
		report, err := r.Vault.VerifyAudit(r.Context(), tenant, nil)
		r.OK(err)
		if len(report.Findings) != 0 || report.Chains == 0 || report.Events != 0 {
			t.Errorf("the report is %+v", report)
		}
	}
	if _, err := r.Vault.Entry(r.Context(), bundletest.Tenant, entry.ID); err != nil {
		t.Error(err)
	}
}
