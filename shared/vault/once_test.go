package vault_test

import (
	"errors"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

var once = vault.Once{Principal: "key_1", Key: "retry-1", Request: "fingerprint"}

// A creating request that is repeated under one Idempotency-Key makes one thing.
func TestOnceMakesOneEntry(t *testing.T) {
	each(t, func(r *rig) {
		earlier, err := r.Earlier(r.Context(), tenant, &once)
		r.ok(err)
		r.same(earlier, "")
		first, err := r.CreateEntry(r.Context(), r.newEntry("shop"), &once)
		r.ok(err)
		again, err := r.CreateEntry(r.Context(), r.newEntry("shop"), &once)
		r.ok(err)
		r.same(again.ID, first.ID)
		another, err := r.CreateEntry(r.Context(), r.newEntry("another alias"), &once)
		r.ok(err)
		r.same(another.ID, first.ID)
		earlier, err = r.Earlier(r.Context(), tenant, &once)
		r.ok(err)
		r.same(earlier, first.ID)

		reused := once
		reused.Request = "something else"
		_, err = r.CreateEntry(r.Context(), r.newEntry("depot"), &reused)
		r.fault(err, fault.Conflict, "idempotency_key_reused")
		_, err = r.Earlier(r.Context(), tenant, &reused)
		r.fault(err, fault.Conflict, "idempotency_key_reused")
		foreign := once
		foreign.Principal = "key_2"
		theirs, err := r.CreateEntry(r.Context(), r.newEntry("depot"), &foreign)
		r.ok(err)
		if theirs.ID == first.ID {
			r.Error("another principal's key is the same")
		}
		r.clock.Add(24 * time.Hour)
		late, err := r.CreateEntry(r.Context(), r.newEntry("late"), &once)
		r.ok(err)
		if late.ID == first.ID {
			r.Error("the key is remembered for ever")
		}
		_, err = r.CreateEntry(r.Context(), r.newEntry("shop"), nil)
		r.fault(err, fault.Conflict, "alias_taken")
	})
}

func TestOnceUnderARace(t *testing.T) {
	each(t, func(r *rig) {
		ids := make([]string, 15)
		for i, err := range together(len(ids), func(i int) error {
			e, err := r.CreateEntry(r.Context(), r.newEntry("shop"), &once)
			ids[i] = e.ID
			return err
		}) {
			r.ok(err)
			r.same(ids[i], ids[0])
		}
		e, err := r.Entry(r.Context(), tenant, ids[0])
		r.ok(err)
		second := once
		second.Key = "retry-2"
		for i, err := range together(len(ids), func(i int) error {
			c, err := r.CreateConnector(r.Context(), r.newConnector(e, "orders"), &second)
			ids[i] = c.ID
			return err
		}) {
			r.ok(err)
			r.same(ids[i], ids[0])
		}
		r.wantConnectors(e, 1)
		reused := second
		reused.Request = "something else"
		_, err = r.CreateConnector(r.Context(), r.newConnector(e, "orders"), &reused)
		r.fault(err, fault.Conflict, "idempotency_key_reused")
	})
}

// An answer is lost after the write: the caller hears "try again", does, and finds one of everything.
func TestLostAnswersOfCreation(t *testing.T) {
	t.Parallel()
	lossy := &forgetful{}
	r := newRig(t, func(items store.Items) store.Items { lossy.Items = items; return lossy })
	lossy.losesNext()
	_, err := r.CreateEntry(t.Context(), r.newEntry("shop"), &once)
	r.fault(err, fault.Unavailable, "store_unavailable")
	r.is(err, errLost)
	e, err := r.CreateEntry(t.Context(), r.newEntry("shop"), &once)
	r.ok(err)
	second := once
	second.Key = "retry-2"
	lossy.losesNext()
	_, err = r.CreateConnector(t.Context(), r.newConnector(e, "orders"), &second)
	r.is(err, errLost)
	c, err := r.CreateConnector(t.Context(), r.newConnector(e, "orders"), &second)
	r.ok(err)
	r.wantConnectors(e, 1)
	lossy.losesNext()
	r.is(r.DeleteConnector(t.Context(), c), errLost)
	r.ok(r.DeleteConnector(t.Context(), c))
	r.wantConnectors(e, 0)
	if e, err = r.Entry(t.Context(), tenant, e.ID); err != nil {
		t.Fatal(err)
	}
	lossy.losesNext()
	r.is(r.DeleteEntry(t.Context(), e, 0), errLost)
	r.ok(r.DeleteEntry(t.Context(), e, 0))
	r.entry("shop")
}

func TestStoreErrorsAreUnavailable(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := r.Entry(t.Context(), tenant, "ve_1")
	_, listErr := r.Entries(t.Context(), tenant, "", 10, everyEntry)
	_, createErr := r.CreateEntry(t.Context(), r.newEntry("x"), nil)
	for _, err := range []error{getErr, listErr, createErr} {
		r.fault(err, fault.Unavailable, "store_unavailable")
		var e *fault.Error
		if errors.As(err, &e) && e.RetryAfter <= 0 {
			t.Errorf("no time to wait is said: %+v", e)
		}
	}
}
