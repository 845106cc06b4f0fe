package vault_test

import (
	"testing"
	"time"

	"connectorvault/shared/store"
)

func TestRejected(t *testing.T) {
	each(t, func(r *rig) {
		until := func(entry string) time.Time {
			t, err := r.Rejected(r.Context(), tenant, entry)
			r.ok(err)
			return t
		}
		r.same(until("ve_1"), time.Time{})
		ends := r.clock.Now().Add(time.Hour)
		r.ok(r.NoteRejected(r.Context(), tenant, "ve_1", ends))
		r.same(until("ve_1"), ends)
		r.same(until("ve_2"), time.Time{})
		foreign, err := r.Rejected(r.Context(), other, "ve_1")
		r.ok(err)
		r.same(foreign, time.Time{})

		r.clock.Add(time.Hour - time.Millisecond)
		n, err := r.engine.Purge(r.Context())
		r.ok(err)
		r.same(n, 0)
		r.same(until("ve_1"), ends)
		r.clock.Add(time.Millisecond)
		r.same(until("ve_1"), time.Time{})
		r.clock.Add(2 * time.Second)
		n, err = r.engine.Purge(r.Context())
		r.ok(err)
		r.same(n, 1)
		r.same(until("ve_1"), time.Time{})
	})
}

// A newer note counts, and one that is over takes the one before it back.
func TestRejectedIsTakenBack(t *testing.T) {
	each(t, func(r *rig) {
		for _, ends := range []time.Time{r.clock.Now().Add(time.Hour), r.clock.Now().Add(time.Minute)} {
			r.ok(r.NoteRejected(r.Context(), tenant, "ve_1", ends))
			got, err := r.Rejected(r.Context(), tenant, "ve_1")
			r.ok(err)
			r.same(got, ends)
		}
		for _, over := range []time.Time{{}, r.clock.Now()} {
			r.ok(r.NoteRejected(r.Context(), tenant, "ve_1", r.clock.Now().Add(time.Hour)))
			r.ok(r.NoteRejected(r.Context(), tenant, "ve_1", over))
			got, err := r.Rejected(r.Context(), tenant, "ve_1")
			r.ok(err)
			r.same(got, time.Time{})
			items, _, err := r.engine.Query(r.Context(), store.Query{Table: store.Transient, Partition: tenant + "#ve_1", Limit: 9})
			r.ok(err)
			r.same(len(items), 0) // an engine never removes what ended too long ago
		}
	})
}
