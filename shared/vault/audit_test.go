package vault_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// Each event names the key of its MAC, so a chain may run over several, and what an older key authenticated still counts.
func TestAChainOutlivesItsKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	e := r.entry("shop")
	ring := keyring.New(keyring.Config{Secrets: r.engine, Now: r.clock.Now, Random: rand.Reader})
	keys := map[string]bool{}
	for range 3 {
		r.ok(ring.Rotate(t.Context(), tenant))
		r.clock.Add(2 * keyring.Life)
		r.ok(r.NoteFailedAuthorization(t.Context(), tenant, e.ID, record.RefreshToken, "x"))
	}
	r.everyItem(func(_ store.Table, item store.Item) {
		if key := item.Attrs.String("audit_key"); key != "" {
			keys[key] = true
		}
	})
	if len(keys) != 4 {
		t.Errorf("%d keys were used; want 4", len(keys))
	}
	report, err := r.VerifyAudit(t.Context(), tenant, nil)
	r.ok(err)
	if len(report.Findings) > 0 || report.Chains != 1 || report.Events != 4 {
		t.Errorf("the report is %+v", report)
	}
}

// Another tenant's keys make other codes, and so does the key that seals.
func TestTheAuditKeyIsTheTenantsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	macer := r.Sealer.(seal.MACer)
	id, mine, err := macer.MAC(t.Context(), tenant, "", []byte("message"))
	r.ok(err)
	_, again, err := macer.MAC(t.Context(), tenant, id, []byte("message"))
	r.ok(err)
	_, theirs, err := macer.MAC(t.Context(), other, "", []byte("message"))
	r.ok(err)
	if string(mine) != string(again) || string(mine) == string(theirs) || len(mine) != 32 {
		t.Error("the codes are not as they should be")
	}
	_, _, err = macer.MAC(t.Context(), tenant, "k_none", nil)
	r.is(err, seal.ErrUnknownKey)
	if _, _, err := (seal.Keyring{}).MAC(r.clock.Now(), tenant, "", nil); err == nil {
		t.Error("an empty keyring authenticates")
	}
}

// Nothing of what is authenticated can be moved from one part of it to another.
func TestMessagesAreUnambiguous(t *testing.T) {
	t.Parallel()
	s := audit.Subject{Kind: audit.Key, ID: "ab"}
	seen := map[string]int{}
	for i, m := range [][]byte{
		audit.EventMessage("t", s, 1, []byte("m"), "d"), audit.EventMessage("t", s, 2, []byte("m"), "d"), audit.EventMessage("t", s, 1, []byte("md"), ""),
		audit.EventMessage("t", s, 1, nil, "md"), audit.EventMessage("tk", audit.Subject{Kind: "ey", ID: "ab"}, 1, []byte("m"), "d"),
		audit.EventMessage("t", audit.Subject{Kind: "keya", ID: "b"}, 1, []byte("m"), "d"), audit.EventMessage("u", s, 1, []byte("m"), "d"),
		audit.PlaceMessage(audit.Head, "t", s, 1, []byte("m"), 5), audit.PlaceMessage(audit.Tombstone, "t", s, 1, []byte("m"), 5),
		audit.PlaceMessage(audit.Anchor, "t", s, 1, []byte("m"), 5), audit.PlaceMessage(audit.Head, "t", s, 1, []byte("m"), 6),
		audit.PlaceMessage(audit.Head, "t", s, 2, []byte("m"), 5), audit.PlaceMessage(audit.Head, "t", s, 1, []byte("n"), 5),
	} {
		if other, twice := seen[string(m)]; twice {
			t.Errorf("%d and %d are one message", i, other)
		}
		seen[string(m)] = i
	}
}

// An ordinary refresh writes what it wrote before there was an audit, and no more.
func TestAnOrdinaryRefreshIsOneWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	e := r.entry("shop")
	r.authorized(e)
	counted := &tallying{Items: r.engine}
	v := vault.New(vault.Config{Items: counted, Sealer: r.Sealer, Now: r.clock.Now, Random: rand.Reader})
	c, _, err := v.Credential(t.Context(), tenant, e.ID)
	r.ok(err)
	counted.ops = 0
	leased, err := v.Acquire(t.Context(), c, "owner", r.clock.Now().Add(time.Minute), record.Intent{Generation: c.Generation})
	r.ok(err)
	sealed, err := v.SealTokens(t.Context(), leased, c.Generation+1, vault.TokenSet{})
	r.ok(err)
	_, err = v.Commit(t.Context(), leased, vault.NewSet{Sealed: sealed, Commit: r.id("commit_")})
	r.ok(err)
	r.ok(v.NoteUse(t.Context(), tenant, e.ID, 2))
	if counted.ops != 3 {
		t.Errorf("a lease, a set and a note of use are %d writes", counted.ops)
	}
	found, err := r.AuditChain(t.Context(), tenant, audit.Subject{Kind: audit.VaultEntry, ID: e.ID}, "", time.Time{}, 100, func(audit.Event) bool { return true })
	r.ok(err)
	if len(found.Items) != 2 {
		t.Errorf("told is %+v", found.Items)
	}
}

// A listing by time ends at a time, goes on after a key, and finds every event once.
func TestAuditEventsAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	e := r.entry("shop")
	var times []time.Time
	for range 9 {
		r.clock.Add(time.Minute)
		times = append(times, r.clock.Now())
		r.ok(r.NoteFailedAuthorization(t.Context(), tenant, e.ID, record.RefreshToken, "x"))
	}
	every := func(audit.Event) bool { return true }
	seen := map[string]bool{}
	for after, more := "", true; more; more = after != "" {
		page, err := r.AuditEvents(t.Context(), tenant, after, time.Time{}, 4, every)
		r.ok(err)
		for _, e := range page.Items {
			if seen[e.ID] {
				t.Errorf("%s comes twice", e.ID)
			}
			seen[e.ID] = true
		}
		after = page.Next
	}
	if len(seen) != 10 {
		t.Errorf("%d events were listed", len(seen))
	}
	page, err := r.AuditEvents(t.Context(), tenant, vault.AuditSince(times[2]), times[5], 100, every)
	r.ok(err)
	if len(page.Items) != 3 || !page.Items[0].At.Equal(times[2]) || page.Next != "" {
		t.Errorf("between two times there are %d, and %q", len(page.Items), page.Next)
	}
	r.clock.Add(-time.Hour) // a clock that is behind: the chain's times go on
	r.ok(r.NoteFailedAuthorization(t.Context(), tenant, e.ID, record.RefreshToken, "x"))
	page, err = r.AuditChain(t.Context(), tenant, audit.Subject{Kind: audit.VaultEntry, ID: e.ID}, "", time.Time{}, 100, every)
	r.ok(err)
	if last := page.Items[10]; !last.At.Equal(times[8].Add(time.Millisecond)) || !ident.Valid(last.ID, "ae_") {
		t.Errorf("the last is %+v", last)
	}
}

// tallying counts writes of items.
type tallying struct {
	store.Items
	ops int
}

func (t *tallying) Apply(ctx context.Context, ops ...store.Op) error {
	t.ops += len(ops)
	return t.Items.Apply(ctx, ops...)
}
