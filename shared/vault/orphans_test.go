package vault_test

import (
	"slices"
	"testing"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func TestASecretIsOrphanedWhenItsRecordDoesNotNameIt(t *testing.T) {
	each(t, func(r *rig) {
		e := r.newEntry("shop")
		e.Secrets = record.SecretGroups{record.ClientSecrets: {Version: "v_1", Fields: []string{"client_secret"}}}
		e.Successor = &record.Successor{Number: 2, Secrets: record.SecretGroups{record.ClientSecrets: {Version: "v_2", Fields: []string{"client_secret"}}}}
		_, err := r.CreateEntry(r.Context(), e, nil)
		r.ok(err)
		r.ok(r.PutApp(r.Context(), "", record.App{Tenant: tenant, Provider: "plain", APIEnvironment: record.Production, Version: "v_1"}))
		r.ok(r.PutApp(r.Context(), "", record.App{Tenant: tenant, Provider: "signing", APIEnvironment: record.Production, Version: "v_1", ReadSecrets: []string{"signature"}}))
		for name, until := range map[string]time.Duration{"both": time.Millisecond, "over": 0} {
			r.ok(r.PutApp(r.Context(), "", record.App{Tenant: tenant, Provider: name, APIEnvironment: record.Production, Version: "v_2",
				ReadSecrets: []string{"signature"}, Previous: &record.PreviousSecret{Version: "v_1", Until: r.clock.Now().Add(until)}}))
		}
		r.ok(r.CreateTenant(r.Context(), record.Tenant{ID: tenant, Name: "Example"}))
		gone, lost := r.id(ident.Entry), r.authorized(r.entry("lost")).Entry
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: tenant, Sort: "entry#" + lost}}))
		for name, want := range map[string]bool{
			tenant + "/entry/" + e.ID + "/v_1":            false,
			tenant + "/entry/" + e.ID + "/v_0":            true,  // a version that its record does not name, or not any more
			tenant + "/entry/" + e.ID + "/v_2":            false, // the successor's
			tenant + "/read/entry/" + e.ID + "/v_2":       true,
			tenant + "/read/entry/" + e.ID + "/v_1":       true, // its record has no such group, or not any more
			tenant + "/entry/" + gone + "/v_1":            true,
			tenant + "/read/entry/" + gone + "/v_1":       true,
			tenant + "/entry/" + lost + "/v_1":            false, // its credential is there: its record was lost
			other + "/entry/" + e.ID + "/v_1":             true,  // nobody's: that tenant has no such entry
			tenant + "/entry/" + e.ID:                     false,
			tenant + "/app/plain/production/v_1":          false,
			tenant + "/app/plain/production/v_2":          true, // a version that its record does not name, or not any more
			tenant + "/read/app/plain/production/v_1":     true,
			tenant + "/app/signing/production/v_1":        false,
			tenant + "/read/app/signing/production/v_1":   false,
			tenant + "/app/plain/sandbox/v_1":             true,
			other + "/app/plain/production/v_1":           false, // that tenant has not even a record of its own: it was lost
			tenant + "/app/both/production/v_2":           false,
			tenant + "/app/both/production/v_1":           false, // the one before works too
			tenant + "/read/app/both/production/v_2":      false,
			tenant + "/read/app/both/production/v_1":      true, // of which reads know nothing
			tenant + "/app/over/production/v_1":           true, // the one before, once its time is over
			tenant + "/app/over/production/v_2":           false,
			tenant + "/keyring":                           false, // from here on: nothing of ours
			tenant + "/entry":                             false,
			tenant + "/entry/" + gone + "/more":           false,
			tenant + "/entry/anything":                    false,
			tenant + "/entry/ve_UPPERCASE0000000":         false,
			tenant + "/read/read/entry/" + gone:           false,
			tenant + "/read/keyring":                      false,
			tenant + "/app/plain":                         false,
			tenant + "/app/plain/production/more":         false,
			tenant:                                        false,
			"":                                            false,
			"t_1/entry/" + gone:                           false,
			"somebody/entry/" + gone:                      false,
			"prefix/" + tenant + "/entry/" + gone:         false,
			"t_000000000000000u/entry/" + gone:            false,
			tenant + "/Entry/" + gone:                     false,
			tenant + "//entry/" + gone:                    false,
			tenant + "/connector/con_0000000000000000":    false,
			tenant + "/read/connector/ve_000000000000000": false,
		} {
			got, err := r.Orphaned(r.Context(), name)
			r.ok(err)
			if got != want {
				r.Errorf("%s is orphaned: %t", name, got)
			}
		}
	})
}

func TestAnOrphanIsKnownByWhenItWasSeenFirst(t *testing.T) {
	each(t, func(r *rig) {
		see := func(name, version string) time.Time {
			first, err := r.NoteOrphan(r.Context(), name, version)
			r.ok(err)
			return first
		}
		start := r.clock.Now()
		r.same(see("a", "v_1"), start)
		r.clock.Add(24 * time.Hour)
		r.same(see("a", "v_1"), start)
		r.same(see("b", "v_1"), r.clock.Now())
		r.same(see("a", "v_2"), r.clock.Now()) // somebody has stored it anew since
		r.same(see("a", "v_1"), start)
		r.ok(r.ForgetOrphan(r.Context(), "a", "v_1"))
		r.ok(r.ForgetOrphan(r.Context(), "a", "v_1"))
		r.clock.Add(time.Hour)
		r.same(see("a", "v_1"), r.clock.Now())
		r.same(see("a", "v_2"), r.clock.Now().Add(-time.Hour))
		item, err := r.engine.Get(r.Context(), store.Transient, store.Key{Partition: ident.Outside, Sort: "orphan#b#v_1"})
		r.ok(err)
		if ends := time.Unix(item.Attrs.Int(store.AttrExpires), 0); !ends.After(start.Add(3 * 24 * time.Hour)) {
			r.Errorf("a note ends %s, and is looked at a day later", ends)
		}
	})
}

func TestOneTakesTheTurnAndTheNextGoesOnWhereItEnded(t *testing.T) {
	each(t, func(r *rig) {
		take := func() (vault.OrphanTurn, bool) {
			turn, due, err := r.OrphanTurn(r.Context())
			r.ok(err)
			return turn, due
		}
		first, due := take()
		if !due || first.Cursor != "" {
			r.Fatalf("the first turn is %+v, due %t", first, due)
		}
		r.clock.Add(5*time.Minute - time.Millisecond)
		if turn, due := take(); due {
			r.Errorf("a second one has it too: %+v", turn)
		}
		r.ok(r.EndOrphanTurn(r.Context(), first, "page 2", r.clock.Now()))
		second, due := take()
		if !due || second.Cursor != "page 2" {
			r.Errorf("the second turn is %+v, due %t", second, due)
		}
		// It dies. After five minutes somebody goes on from the same place, and it is not in their way should it live after all.
		r.clock.Add(5 * time.Minute)
		third, due := take()
		if !due || third.Cursor != "page 2" {
			r.Errorf("the third turn is %+v, due %t", third, due)
		}
		r.is(r.EndOrphanTurn(r.Context(), second, "page 9", r.clock.Now()), vault.ErrHeld)
		r.is(r.EndOrphanTurn(r.Context(), first, "page 9", r.clock.Now()), vault.ErrHeld)
		r.ok(r.EndOrphanTurn(r.Context(), third, "", r.clock.Now().Add(24*time.Hour)))
		r.clock.Add(24*time.Hour - time.Millisecond)
		if turn, due := take(); due {
			r.Errorf("the search begins again too soon: %+v", turn)
		}
		r.clock.Add(time.Millisecond)
		if turn, due := take(); !due || turn.Cursor != "" {
			r.Errorf("a day later the turn is %+v, due %t", turn, due)
		}
	})
}

func TestOfManyWhoAskForATurnOneGetsIt(t *testing.T) {
	each(t, func(r *rig) {
		for _, pause := range []time.Duration{0, time.Hour} { // nobody had it before; somebody had
			r.clock.Add(pause)
			got := make([]bool, 8)
			answers := together(len(got), func(i int) error {
				_, due, err := r.OrphanTurn(r.Context())
				got[i] = due && err == nil
				return err
			})
			for _, err := range answers {
				if err != nil {
					r.is(err, vault.ErrHeld)
				}
			}
			if won := slices.DeleteFunc(got, func(won bool) bool { return !won }); len(won) != 1 {
				r.Errorf("%d got the turn", len(won))
			}
		}
	})
}
