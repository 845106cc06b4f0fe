package vault_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func everyEntry(record.Entry) bool { return true }

func TestEntryIsReadAsItWasMade(t *testing.T) {
	each(t, func(r *rig) {
		made := r.newEntry("shop")
		answered, err := r.CreateEntry(r.Context(), made, nil)
		r.ok(err)
		r.same(answered, made)
		read, err := r.Entry(r.Context(), tenant, made.ID)
		r.ok(err)
		made.Revision = 1
		r.same(read, made)
		_, err = r.Entry(r.Context(), other, made.ID)
		r.fault(err, fault.NotFound, "not_found")
		_, err = r.Entry(r.Context(), tenant, "ve_none")
		r.fault(err, fault.NotFound, "not_found")
	})
}

// An alias is unique within tenant and environment, and in nothing wider.
func TestAliasIsUnique(t *testing.T) {
	each(t, func(r *rig) {
		r.entry("shop")
		taken := r.newEntry("shop")
		_, err := r.CreateEntry(r.Context(), taken, nil)
		r.fault(err, fault.Conflict, "alias_taken")
		_, err = r.Entry(r.Context(), tenant, taken.ID)
		r.fault(err, fault.NotFound, "not_found") // nothing half-made

		elsewhere := r.newEntry("shop")
		elsewhere.Environment = "test"
		_, err = r.CreateEntry(r.Context(), elsewhere, nil)
		r.ok(err)
		foreign := r.newEntry("shop")
		foreign.Tenant = other
		_, err = r.CreateEntry(r.Context(), foreign, nil)
		r.ok(err)
		r.entry("Shop")
	})
}

func TestAliasRace(t *testing.T) {
	each(t, func(r *rig) {
		r.wantOne(together(20, func(int) error {
			_, err := r.CreateEntry(r.Context(), r.newEntry("shop"), nil)
			return err
		}), func(err error) bool { return fault.CodeOf(err) == "alias_taken" })
		page, err := r.Entries(r.Context(), tenant, "", 100, everyEntry)
		r.ok(err)
		if len(page.Items) != 1 {
			r.Errorf("%d entries", len(page.Items))
		}
	})
}

func TestUpdateEntry(t *testing.T) {
	each(t, func(r *rig) {
		before := r.entry("shop")
		after := before
		after.Disabled, after.Settings = true, map[string]string{"region": "na"}
		stored, err := r.UpdateEntry(r.Context(), before, after)
		r.ok(err)
		after.Revision = 2
		r.same(stored, after)
		read, err := r.Entry(r.Context(), tenant, before.ID)
		r.ok(err)
		r.same(read, after)

		_, err = r.UpdateEntry(r.Context(), before, before) // read before the change
		r.fault(err, fault.Conflict, "changed_meanwhile")
		gone := r.newEntry("gone")
		_, err = r.UpdateEntry(r.Context(), gone, gone)
		r.fault(err, fault.NotFound, "not_found")
		read, err = r.Entry(r.Context(), tenant, before.ID)
		r.ok(err)
		r.same(read, after)
	})
}

func TestUpdateMovesTheAlias(t *testing.T) {
	each(t, func(r *rig) {
		shop, depot := r.entry("shop"), r.entry("depot")
		renamed := shop
		renamed.Alias = "depot"
		_, err := r.UpdateEntry(r.Context(), shop, renamed)
		r.fault(err, fault.Conflict, "alias_taken")
		read, err := r.Entry(r.Context(), tenant, shop.ID)
		r.ok(err)
		r.same(read, shop)

		renamed.Alias = "store"
		renamed, err = r.UpdateEntry(r.Context(), shop, renamed)
		r.ok(err)
		_, err = r.CreateEntry(r.Context(), r.newEntry("store"), nil)
		r.fault(err, fault.Conflict, "alias_taken")
		r.entry("shop") // free again

		moved := renamed
		moved.Environment = "test"
		_, err = r.UpdateEntry(r.Context(), renamed, moved)
		r.ok(err)
		r.entry("store")
		r.ok(r.DeleteEntry(r.Context(), depot, 0))
	})
}

func TestUpdateRace(t *testing.T) {
	each(t, func(r *rig) {
		before := r.entry("shop")
		r.wantOne(together(10, func(i int) error {
			after := before
			after.Alias = fmt.Sprint("shop", i)
			_, err := r.UpdateEntry(r.Context(), before, after)
			return err
		}), func(err error) bool { return fault.CodeOf(err) == "changed_meanwhile" })
		aliases := 0
		r.everyItem(func(_ store.Table, item store.Item) {
			if strings.HasPrefix(item.Key.Sort, "alias#") {
				aliases++
			}
		})
		if aliases != 1 {
			r.Errorf("%d aliases of one entry", aliases)
		}
	})
}

func TestDeleteEntryTakesEverythingWithIt(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.authorized(e)
		r.begin(e, record.ResultURL)
		r.ok(r.DeleteEntry(r.Context(), e, 1))
		_, err := r.Entry(r.Context(), tenant, e.ID)
		r.fault(err, fault.NotFound, "not_found")
		_, found, err := r.Credential(r.Context(), tenant, e.ID)
		r.ok(err)
		if found {
			r.Error("its tokens are still there")
		}
		r.everyItem(func(table store.Table, item store.Item) {
			if _, history, _ := strings.Cut(item.Key.Sort, "#"); table == store.Records && history != "" && slices.Contains([]string{"audit", "chain", "tombstone"}, strings.TrimSuffix(item.Key.Sort, "#"+history)) {
				return // what is told of it stays
			}
			if table != store.Requests || !strings.HasPrefix(item.Key.Sort, "request#") {
				r.Errorf("%s %s is still there", table, item.Key.Sort)
			}
		})
		r.entry("shop")
		r.ok(r.DeleteEntry(r.Context(), e, 1)) // it is gone: there is nothing left to do
	})
}

func TestDeleteEntryRefusals(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		c := r.connector(e, "orders")
		inUse, err := r.Entry(r.Context(), tenant, e.ID)
		r.ok(err)
		r.fault(r.DeleteEntry(r.Context(), e, 0), fault.Conflict, "vault_entry_in_use")
		r.fault(r.DeleteEntry(r.Context(), inUse, 0), fault.Conflict, "vault_entry_in_use")
		r.ok(r.DeleteConnector(r.Context(), c))
		changed, err := r.UpdateEntry(r.Context(), e, e)
		r.ok(err)
		r.fault(r.DeleteEntry(r.Context(), e, 0), fault.Conflict, "changed_meanwhile")
		r.ok(r.DeleteEntry(r.Context(), changed, 0))
	})
}

func (r *rig) wantConnectors(e record.Entry, want int64) {
	r.Helper()
	read, err := r.Entry(r.Context(), tenant, e.ID)
	r.ok(err)
	if read.Connectors != want {
		r.Fatalf("the entry counts %d connectors; want %d", read.Connectors, want)
	}
}

func TestConnectorsAreCounted(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		made := r.newConnector(e, "orders")
		_, err := r.CreateConnector(r.Context(), made, nil)
		r.ok(err)
		read, err := r.Connector(r.Context(), tenant, made.ID)
		r.ok(err)
		made.Revision = 1
		r.same(read, made)
		_, err = r.Connector(r.Context(), other, made.ID)
		r.fault(err, fault.NotFound, "not_found")
		r.wantConnectors(e, 1)
		second := r.connector(e, "finances")
		r.wantConnectors(e, 2)
		r.ok(r.DeleteConnector(r.Context(), second))
		r.wantConnectors(e, 1)
		r.ok(r.DeleteConnector(r.Context(), second)) // it is gone: there is nothing left to do, or to count
		r.wantConnectors(e, 1)

		orphan := r.newConnector(r.newEntry("none"), "orphan")
		_, err = r.CreateConnector(r.Context(), orphan, nil)
		r.fault(err, fault.NotFound, "not_found")
		_, err = r.Connector(r.Context(), tenant, orphan.ID)
		r.fault(err, fault.NotFound, "not_found")
	})
}

func TestUpdateConnector(t *testing.T) {
	each(t, func(r *rig) {
		before := r.connector(r.entry("shop"), "orders")
		after := before
		after.Name = "all orders"
		stored, err := r.UpdateConnector(r.Context(), before, after)
		r.ok(err)
		after.Revision = 2
		r.same(stored, after)
		read, err := r.Connector(r.Context(), tenant, before.ID)
		r.ok(err)
		r.same(read, after)
		_, err = r.UpdateConnector(r.Context(), before, before)
		r.fault(err, fault.Conflict, "changed_meanwhile")
		gone := r.newConnector(r.newEntry("none"), "gone")
		_, err = r.UpdateConnector(r.Context(), gone, gone)
		r.fault(err, fault.NotFound, "not_found")
	})
}

// Whoever is first: a connector never stands without its entry, and the count is what there is.
func TestConnectorAndDeletionRace(t *testing.T) {
	each(t, func(r *rig) {
		for round := range 10 {
			e := r.entry(fmt.Sprint("shop", round))
			answers := together(4, func(i int) error {
				if i == 0 {
					return r.DeleteEntry(r.Context(), e, 0)
				}
				_, err := r.CreateConnector(r.Context(), r.newConnector(e, fmt.Sprint("c", i)), nil)
				return err
			})
			made := int64(0)
			for _, err := range answers[1:] {
				if err == nil {
					made++
				} else {
					r.fault(err, fault.NotFound, "not_found")
				}
			}
			if answers[0] == nil && made > 0 || answers[0] != nil && made == 0 {
				r.Fatalf("deleted: %v, and %d connectors were made", answers[0], made)
			}
			if answers[0] != nil {
				r.fault(answers[0], fault.Conflict, "vault_entry_in_use")
				r.wantConnectors(e, made)
			}
		}
	})
}

func TestListings(t *testing.T) {
	each(t, func(r *rig) {
		var all []record.Entry
		for i := range 25 {
			all = append(all, r.entry(fmt.Sprintf("shop%02d", i)))
			if i%2 == 0 {
				r.connector(all[i], "c")
			}
		}
		foreign := r.newEntry("foreign")
		foreign.Tenant = other
		_, err := r.CreateEntry(r.Context(), foreign, nil)
		r.ok(err)
		for _, limit := range []int{1, 7, 24, 25, 26, 100} {
			seen := map[string]bool{}
			for after, pages := "", 0; pages == 0 || after != ""; pages++ {
				page, err := r.Entries(r.Context(), tenant, after, limit, func(e record.Entry) bool { return e.Connectors == 1 })
				r.ok(err)
				if len(page.Items) > limit || pages > 30 {
					r.Fatalf("page %d by %d has %d", pages, limit, len(page.Items))
				}
				for _, e := range page.Items {
					if seen[e.ID] || e.Connectors != 1 || e.Tenant != tenant {
						r.Fatalf("listed: %+v", e)
					}
					seen[e.ID] = true
				}
				after = page.Next
			}
			if len(seen) != 13 {
				r.Errorf("by %d: %d of 13 were listed", limit, len(seen))
			}
		}
		connectors, err := r.Connectors(r.Context(), tenant, "", 100, func(c record.Connector) bool { return c.Entry == all[4].ID })
		r.ok(err)
		if len(connectors.Items) != 1 || connectors.Items[0].Revision != 1 || connectors.Items[0].Tenant != tenant {
			r.Errorf("connectors: %+v", connectors)
		}
	})
}

func TestEntryStates(t *testing.T) {
	each(t, func(r *rig) {
		fresh, active, disabled := r.entry("fresh"), r.entry("active"), r.entry("disabled")
		c := r.authorized(active)
		r.authorized(disabled)
		off := disabled
		off.Disabled = true
		_, err := r.UpdateEntry(r.Context(), disabled, off)
		r.ok(err)
		ends := r.clock.Now().Add(180 * 24 * time.Hour)
		r.ok(r.PutApp(r.Context(), "", record.App{Tenant: tenant, Provider: "amazon", APIEnvironment: record.Production, SecretExpires: ends, ExpiryAssumed: true}))

		want := map[string]record.Status{fresh.ID: record.Pending, active.ID: record.Active, disabled.ID: record.Disabled}
		for id, status := range want {
			s, err := r.EntryState(r.Context(), tenant, id)
			r.ok(err)
			if s.Status() != status || s.App == nil || s.Entry.ID != id {
				r.Errorf("%s is %s: %+v; want %s", id, s.Status(), s, status)
			}
		}
		s, err := r.EntryState(r.Context(), tenant, active.ID)
		r.ok(err)
		r.same(s.Horizons(), []record.Horizon{{Name: "authorization", At: c.AuthorizationExpires}, {Name: "client_secret", At: ends, Assumed: true}})
		for _, limit := range []int{1, 2, 3, 10} {
			got := map[string]record.Status{}
			for after, pages := "", 0; pages == 0 || after != ""; pages++ {
				page, err := r.EntryStates(r.Context(), tenant, after, limit, func(s vault.EntryState) bool { return s.Status() != record.Disabled })
				r.ok(err)
				if len(page.Items) > limit || pages > 5 {
					r.Fatalf("page %d by %d has %d", pages, limit, len(page.Items))
				}
				for _, s := range page.Items {
					got[s.Entry.ID] = s.Status()
				}
				after = page.Next
			}
			r.same(got, map[string]record.Status{fresh.ID: record.Pending, active.ID: record.Active})
		}
		_, err = r.EntryState(r.Context(), tenant, "ve_none")
		r.fault(err, fault.NotFound, "not_found")
	})
}
