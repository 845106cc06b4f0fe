package vault_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func TestATurnToAskForAClientSecret(t *testing.T) {
	each(t, func(r *rig) {
		ends := r.clock.Now().Add(240 * time.Hour)
		take := func(client string, ends time.Time) vault.RotationTurn {
			turn, err := r.TakeRotation(r.Context(), "acme", client, ends, time.Minute)
			r.ok(err)
			return turn
		}
		first := take("c-1", ends)
		if first.Asked || first.Wait != 0 {
			r.Fatalf("the first is %+v", first)
		}
		if other := take("c-2", ends); other.Wait != 0 {
			r.Errorf("another client waits: %+v", other)
		}
		r.clock.Add(20 * time.Second)
		if again := take("c-1", ends); again.Wait != 40*time.Second || again.Asked {
			r.Errorf("too soon: %+v", again)
		}
		r.clock.Add(40 * time.Second)
		second := take("c-1", ends) // the first got no answer
		if second.Asked || second.Wait != 0 {
			r.Errorf("after a minute: %+v", second)
		}
		r.ok(r.Agreed(r.Context(), first)) // which comes late, and says nothing of the second
		if again := take("c-1", ends); again.Asked {
			r.Errorf("an earlier turn's answer: %+v", again)
		}
		r.ok(r.Agreed(r.Context(), second))
		if again := take("c-1", ends); !again.Asked {
			r.Errorf("after the answer: %+v", again)
		}
		if person := take("c-1", time.Time{}); person.Asked || person.Wait == 0 {
			r.Errorf("a person at once: %+v", person)
		}
		r.clock.Add(time.Minute)
		if next := take("c-1", ends.Add(time.Second)); next.Asked || next.Wait != 0 {
			r.Errorf("another end: %+v", next)
		}
	})
}

func TestOfManyWhoWantTheTurnOneGetsIt(t *testing.T) {
	each(t, func(r *rig) {
		var all sync.WaitGroup
		var got atomic.Int32
		for range 16 {
			all.Go(func() {
				turn, err := r.TakeRotation(r.Context(), "acme", "c-1", r.clock.Now(), time.Minute)
				if err != nil {
					r.Error(err)
				} else if turn.Wait == 0 && !turn.Asked {
					got.Add(1)
				}
			})
		}
		all.Wait()
		if n := got.Load(); n != 1 {
			r.Errorf("%d got it", n)
		}
	})
}

func TestAnApplicationIsFoundByItsClient(t *testing.T) {
	each(t, func(r *rig) {
		of := func(client string) (tenants []string) {
			apps, err := r.AppsOf(r.Context(), "acme", client)
			r.ok(err)
			for _, app := range apps {
				tenants = append(tenants, app.Tenant+" "+string(app.APIEnvironment))
			}
			return tenants
		}
		app := record.App{Provider: "acme", APIEnvironment: record.Production, Version: "v_1", Client: "c-1"}
		for _, who := range []string{tenant, other} {
			app.Tenant = who
			r.ok(r.ReplaceApp(r.Context(), record.App{}, app))
		}
		app.Tenant, app.APIEnvironment = tenant, record.Sandbox
		r.ok(r.ReplaceApp(r.Context(), record.App{}, app))
		r.same(of("c-1"), []string{tenant + " production", tenant + " sandbox", other + " production"})
		r.same(of("c-"), []string(nil))
		r.same(of(""), []string(nil))
		after := app
		after.Version, after.Client = "v_2", "c-2"
		r.ok(r.ReplaceApp(r.Context(), app, after))
		r.same(of("c-1"), []string{tenant + " production", other + " production"})
		r.same(of("c-2"), []string{tenant + " sandbox"})
		stale := r.ReplaceApp(r.Context(), app, app)
		if stale == nil {
			r.Error("a record was replaced that is not the one that was read")
		}
		r.same(of("c-1"), []string{tenant + " production", other + " production"})
		items, _, err := r.Items.Query(r.Context(), store.Query{Table: store.Records, Partition: ident.Outside, Prefix: "client#acme#", Limit: 10})
		r.ok(err)
		if len(items) != 3 {
			r.Errorf("%d items lead to three applications", len(items))
		}
		// What leads there may outlive what it leads to.
		moved := record.App{Tenant: other, Provider: "acme", APIEnvironment: record.Production, Version: "v_3", Client: "c-3"}
		r.ok(r.PutApp(r.Context(), "v_1", moved))
		r.same(of("c-1"), []string{tenant + " production"})
		// Under one version a record may change too, and who has not seen it is refused.
		noted := after
		noted.Revision = 1
		r.ok(r.ReplaceApp(r.Context(), after, noted))
		if r.ReplaceApp(r.Context(), after, noted) == nil {
			r.Error("a change under the same version is overwritten")
		}
	})
}
