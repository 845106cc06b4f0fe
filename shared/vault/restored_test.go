package vault_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// backupOf copies what the engine has now.
func (r *rig) backupOf() *sqlitestore.Store {
	r.Helper()
	copied, err := sqlitestore.Open(r.Context(), sqlitestore.Config{Path: filepath.Join(r.TempDir(), "backup.db"), Now: r.clock.Now, MasterKey: make([]byte, sqlitestore.KeySize)})
	r.ok(err)
	r.Cleanup(func() { _ = copied.Close() })
	r.everyItem(func(table store.Table, item store.Item) {
		r.ok(copied.Apply(r.Context(), store.Op{Verb: store.Put, Table: table, Key: item.Key, Set: item.Attrs}))
	})
	return copied
}

// lose removes a credential as an accident does.
func (r *rig) lose(e record.Entry) {
	r.Helper()
	r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Credentials, Key: store.Key{Partition: tenant + "#" + e.ID, Sort: "credential"}}))
}

func (r *rig) putBack(backup store.Items, e record.Entry, spent bool, want vault.PutBack) {
	r.Helper()
	got, err := r.PutBackCredential(r.Context(), backup, e, spent)
	r.ok(err)
	if got != want {
		r.Errorf("putting back came to %q; want %q", got, want)
	}
}

func TestACredentialIsPutBackAsItWas(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		was := r.authorized(e)
		backup := r.backupOf()
		r.lose(e)
		r.putBack(backup, e, false, vault.Restored)
		r.same(r.credential(e), was)
		r.wantTokens(e, 1)
		r.putBack(backup, e, false, vault.StillThere)
	})
}

// What is used once has been used: it comes back as nothing that a refresh would touch, and the schedule tells of it.
func TestASpentCredentialComesBackDistrusted(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("books")
		r.acquire(r.authorized(e), "long-gone")
		backup := r.backupOf()
		r.lose(e)
		r.putBack(backup, e, true, vault.Distrusted)
		c := r.credential(e)
		if c.Status != record.Reauth || c.Cause != record.RotationUnknown || c.Lease != nil || c.Intent != nil || c.Generation != 1 || c.Fence != 2 {
			t.Errorf("it is %+v", c)
		}
		if !slices.ContainsFunc(c.Notices, func(n record.Notice) bool { return n.Kind == record.EventReauth && n.Generation == 1 }) ||
			!slices.ContainsFunc(c.Notices, func(n record.Notice) bool { return n.Kind == record.EventRecovered }) {
			t.Errorf("its notices are %v", c.Notices)
		}
		r.clock.Add(2 * time.Minute)
		if due := r.dueNow(10); len(due) != 1 {
			t.Errorf("due are %v", due)
		}
		r.putBack(backup, e, true, vault.StillThere)
		// A late answer of the next generation is still the living one.
		next, err := r.Commit(r.Context(), c, r.set(c, 2))
		r.ok(err)
		if next.Status != record.Active || r.credential(e).Generation != 2 {
			t.Errorf("it is %+v", next)
		}
	})
}

// A lease and an intent of the backup's day mean nothing, whatever the provider.
func TestALeaseIsNotPutBack(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.acquire(r.authorized(e), "long-gone")
		backup := r.backupOf()
		r.lose(e)
		r.putBack(backup, e, false, vault.Restored)
		if c := r.credential(e); c.Lease != nil || c.Intent != nil || c.Status != record.Active {
			t.Errorf("it is %+v", c)
		}
	})
}

// What was bought since is newer, and stays; what is older than the backup goes.
func TestANewerCredentialStays(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		first := r.authorized(e)
		old := r.backupOf()
		_, err := r.Commit(r.Context(), first, r.set(first, 2))
		r.ok(err)
		r.putBack(old, e, false, vault.StillThere)
		r.putBack(old, e, true, vault.StillThere)
		r.wantTokens(e, 2)

		newer := r.backupOf()
		item, err := old.Get(r.Context(), store.Credentials, store.Key{Partition: tenant + "#" + e.ID, Sort: "credential"})
		r.ok(err)
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Credentials, Key: item.Key, Set: item.Attrs}))
		r.putBack(newer, e, false, vault.Restored)
		r.wantTokens(e, 2)
	})
}

// Whoever authorized an account anew after its credential was lost has the only living token, though its generations begin anew.
func TestAnAuthorizationSinceTheLossStays(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("books")
		c := r.authorized(e)
		for range 3 {
			next, err := r.Commit(r.Context(), c, r.set(c, c.Generation+1))
			r.ok(err)
			c = next
		}
		backup := r.backupOf()
		r.lose(e)
		r.clock.Add(time.Hour)
		since := r.authorized(e)
		if since.Generation >= c.Generation {
			t.Fatalf("generations go on with %d", since.Generation)
		}
		r.putBack(backup, e, true, vault.StillThere)
		r.putBack(backup, e, false, vault.StillThere)
		r.same(r.credential(e), since)
		r.wantTokens(e, since.Generation)
	})
}

func TestWhatIsInNoBackupStaysAway(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.putBack(r.backupOf(), e, true, vault.NoBackup)
		if _, found, err := r.Credential(r.Context(), tenant, e.ID); err != nil || found {
			t.Errorf("%t %v", found, err)
		}
	})
}

// What asked for a person already does so as before, with its own reason.
func TestAReasonIsKept(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("books")
		r.ok(r.Fail(r.Context(), r.acquire(r.authorized(e), "a"), r.failure(), record.Reauth, record.Revoked, false))
		backup := r.backupOf()
		r.lose(e)
		r.putBack(backup, e, true, vault.Restored)
		if c := r.credential(e); c.Status != record.Reauth || c.Cause != record.Revoked {
			t.Errorf("it is %+v", c)
		}
		if changed, err := r.Distrust(r.Context(), r.credential(e)); changed || err != nil {
			t.Errorf("%t %v", changed, err)
		}
	})
}

// Putting back opens and seals nothing: a vault without a keyring does it.
func TestPuttingBackNeedsNoKeyring(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("books")
		r.authorized(e)
		backup := r.backupOf()
		r.lose(e)
		bare := vault.New(vault.Config{Items: r.engine, Now: r.clock.Now, Random: rand.Reader})
		if got, err := bare.PutBackCredential(r.Context(), backup, e, true); err != nil || got != vault.Distrusted {
			t.Errorf("%s %v", got, err)
		}
	})
}

func TestDistrustIsToldAndFenced(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("books")
		leased := r.acquire(r.authorized(e), "slow")
		changed, err := r.Distrust(r.Context(), leased)
		r.ok(err)
		if c := r.credential(e); !changed || c.Status != record.Reauth || c.Lease != nil || c.Intent != nil {
			t.Errorf("%t, it is %+v", changed, c)
		}
		r.is(r.Fail(r.Context(), leased, r.failure(), record.Active, "", false), vault.ErrFenced)
		report, err := r.VerifyAudit(r.Context(), tenant, nil)
		r.ok(err)
		events, err := r.AuditEvents(r.Context(), tenant, "", r.clock.Now().Add(time.Hour), 10, func(audit.Event) bool { return true })
		r.ok(err)
		told := 0
		for _, event := range events.Items {
			if event.Action == "vault_entry.reauthorization_required" {
				told++
			}
		}
		if told != 1 || len(report.Findings) != 0 {
			t.Errorf("the trail has it %d times; findings %v", told, report.Findings)
		}
		if changed, err := r.Distrust(r.Context(), leased); changed || err != nil {
			t.Errorf("again: %t %v", changed, err)
		}
	})
}

// What a newer version wrote is left where it is, in a backup too.
func TestABackupOfANewerVersionIsRefused(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.authorized(e)
		backup := r.backupOf()
		r.ok(backup.Apply(r.Context(), store.Op{Verb: store.Update, Table: store.Credentials, Key: store.Key{Partition: tenant + "#" + e.ID, Sort: "credential"},
			Set: store.Attrs{store.AttrSchema: int64(99)}}))
		r.lose(e)
		if got, err := r.PutBackCredential(r.Context(), backup, e, true); !fault.IsNewer(err) {
			t.Errorf("%s %v", got, err)
		}
		if _, found, err := r.Credential(r.Context(), tenant, e.ID); err != nil || found {
			t.Errorf("%t %v", found, err)
		}
	})
}

// However many requests there are, none is left, and a neighbour keeps theirs.
func TestRequestsAreForgotten(t *testing.T) {
	each(t, func(r *rig) {
		put := func(tenant string, n int) {
			r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Requests, Key: store.Key{Partition: tenant, Sort: fmt.Sprintf("request#ar_%03d", n)},
				Set: store.Attrs{"stage": "exchanged", "sealed": []byte("sealed")}}))
		}
		for n := range 130 {
			put(tenant, n)
		}
		put("t_0000000000000002", 0)
		r.ok(r.ForgetRequests(r.Context(), tenant))
		left := 0
		r.everyItem(func(table store.Table, item store.Item) {
			if table == store.Requests && item.Key.Partition == tenant {
				left++
			}
		})
		if left != 0 {
			r.Errorf("%d are left", left)
		}
		if _, err := r.engine.Get(r.Context(), store.Requests, store.Key{Partition: "t_0000000000000002", Sort: "request#ar_000"}); err != nil {
			r.Errorf("the neighbour's: %v", err)
		}
	})
}
