package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"connectorvault/infra/local/program"
	"connectorvault/shared/bundle"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
	"connectorvault/shared/vault/vaulttest"
)

// versions of the program, as a deployment of a part at a time has them side by side.
var (
	bringingIn  = vaulttest.Next{Writes: 1} // reads the second form too
	nextVersion = vaulttest.Next{Writes: 2} // writes it
)

// of a version, a bundle in this process beside those of their own.
func (b *bed) bundleOf(n vaulttest.Next) *bundle.Bundle {
	b.Helper()
	return b.bundle(func(p *bundle.Parts) { p.Forms, p.Items = n.Forms(), n.Items(p.Items) })
}

// rawItems are all items of the tenant, as they lie in the store.
func (b *bed) rawItems(entries []entry) map[store.Table][]store.Item {
	b.Helper()
	out := map[store.Table][]store.Item{}
	partitions := []string{program.Tenant}
	for _, e := range entries {
		partitions = append(partitions, program.Tenant+"#"+e.id)
	}
	for _, partition := range partitions {
		for _, table := range store.Tables() {
			q := store.Query{Table: table, Partition: partition, Limit: 500}
			for more := true; more; {
				items, next, err := b.items.Query(b.Context(), q)
				b.ok(err)
				out[table] = append(out[table], items...)
				if more = next && len(items) > 0; more {
					q.After = items[len(items)-1].Key.Sort
				}
			}
		}
	}
	return out
}

// inSecondForm counts the items in the second form, and names those that have lost something of it.
func (b *bed) inSecondForm(r *result, entries []entry) (n int) {
	b.Helper()
	for table, items := range b.rawItems(entries) {
		for _, item := range items {
			wrong := vaulttest.Whole(table, item)
			r.want(wrong == "", "%s %s: %s", table, item.Key.Sort, wrong)
			if item.Attrs.Int(store.AttrSchema) == 2 {
				n++
			}
		}
	}
	return n
}

// client reads through a gateway that sends one call of ten to the first process, and the others to the second.
type client struct {
	*bed
	one, nine       *process
	calls           int
	served, refused int
}

// read reads until it is answered, as a caller who heeds Retry-After would.
func (c *client) read(r *result, e entry) {
	c.Helper()
	for range 20 {
		p := c.nine
		if c.calls++; c.calls%10 == 0 {
			p = c.one
		}
		a := p.mustRead(e)
		switch {
		case a.status == 200:
			c.served++
			return
		case a.status == 503 && a.code() == "newer_version" && a.after != "":
			c.refused++
		default:
			r.want(false, "a read: %s", a)
			return
		}
	}
	r.want(false, "a read was never answered")
}

// A newer version is deployed over this one in one step: both run at once, processes of both die in the middle of a refresh,
// and then this version alone goes on.
//
// Fails when a write does not ask for the form (store.Form.guarded), and when a lease does not keep it (store.Form.held).
func TestAnUpgradeInOneStep(t *testing.T) {
	each(t, "10 two versions at once", upgradeInOneStep)
}

func upgradeInOneStep(b *bed) (r result) {
	entries := b.seed(6, 0)
	older, newer := b.start(spec{Tick: never}), b.start(spec{Tick: never, Next: nextVersion})
	c := &client{bed: b, one: older, nine: newer}
	apart := entries[:2] // of these the newer version hears nothing
	shared := entries[2:]
	const rounds = 4
	for range rounds {
		for i := range 5 * len(shared) {
			c.read(&r, shared[i%len(shared)])
		}
		for _, e := range apart {
			a := older.mustRead(e)
			r.want(a.status == 200, "what this version alone has touched: %s", a)
		}
		b.pass(access + time.Second)
	}
	r.want(c.refused > 0, "the older version was never asked for what it cannot read: nothing was shown")

	// One dies with the lease in the second form, the other with one in the first.
	held := map[*process]entry{b.start(spec{Tick: never, Hold: leaseWritten, Next: nextVersion}): shared[0], b.start(spec{Tick: never, Hold: leaseWritten}): apart[0]}
	for p, e := range held {
		go func() { _, _ = p.read(b.Context(), e) }()
		b.eventually("the process holds the lease", func() bool { return len(p.said("held")) > 0 })
		p.kill()
	}
	b.pass(beyond)
	for _, e := range shared {
		c.read(&r, e)
	}
	a := newer.mustRead(apart[0])
	r.want(a.status == 200, "the newer version, over a dead owner of the older: %s", a)

	b.vault = b.bundleOf(bringingIn).Vault
	l := b.ledger()
	lost := 0
	for _, e := range entries {
		wrong := b.healthy(l, e, b.credential(e).Generation)
		r.want(wrong == "", "%s", wrong)
		if wrong != "" {
			lost++
		}
	}
	r.want(l.doubleSpends(entries, nil) == 0 && l.revoked(entries) == 0, "%d tokens were spent twice, %d families revoked", l.doubleSpends(entries, nil), l.revoked(entries))
	second := b.inSecondForm(&r, entries)
	r.want(second > len(shared), "%d items are in the second form", second)

	// Back: this version alone. What it can read works, and the rest is as it was.
	b.ok(newer.stop())
	before := fmt.Sprint(b.newerItems(entries))
	b.pass(access + time.Second)
	works, politely := 0, 0
	for _, e := range entries {
		switch a := older.mustRead(e); {
		case a.status == 200:
			works++
		case a.status == 503 && a.code() == "newer_version" && a.after != "":
			politely++
		default:
			r.want(false, "after going back: %s", a)
		}
	}
	r.want(works == len(apart)-1 && politely == len(shared)+1, "after going back %d entries work, %d are refused politely", works, politely)
	a, err := older.get(b.Context(), "/v1/vault-entries?limit=100")
	b.ok(err)
	var list struct {
		Items   []json.RawMessage `json:"items"`
		LeftOut int               `json:"left_out"`
	}
	b.ok(json.Unmarshal(a.body, &list))
	r.want(a.status == 200 && len(list.Items) == works && list.LeftOut == politely, "the list after going back: %d, %d left out of %s", len(list.Items), list.LeftOut, a)
	r.want(fmt.Sprint(b.newerItems(entries)) == before, "this version changed what a newer one wrote")

	again := b.start(spec{Tick: never, Next: nextVersion})
	for _, e := range entries {
		a := again.mustRead(e)
		r.want(a.status == 200, "and forth again: %s", a)
	}
	b.trailIsWhole(&r, b.vault)
	r.figure("%d reads answered, %d refused politely first; %d tokens lost, %d items in the second form, 0 attributes lost; back: %d work, %d refused",
		c.served, c.refused, lost, second, works, politely)
	return r
}

// newerItems are those in the second form.
func (b *bed) newerItems(entries []entry) (out []string) {
	b.Helper()
	for table, items := range b.rawItems(entries) {
		for _, item := range items {
			if item.Attrs.Int(store.AttrSchema) == 2 {
				out = append(out, fmt.Sprint(table, item))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (b *bed) trailIsWhole(r *result, v *vault.Vault) {
	b.Helper()
	found, err := v.VerifyAudit(b.Context(), program.Tenant, nil)
	b.ok(err)
	r.want(len(found.Findings) == 0, "the trail: %v", found.Findings)
}

// The same as it is meant to be done: one deployment reads the second form and writes the first, the next one writes it. Nobody
// hears of it, and going back from the second deployment to the first costs nothing.
//
// Fails when a version that writes the first form makes one of the second into it (store.Form.replacing).
func TestAnUpgradeInTwoDeployments(t *testing.T) {
	each(t, "10 an upgrade in two deployments", upgradeInTwo)
}

func upgradeInTwo(b *bed) (r result) {
	entries := b.seed(4, 0)
	all := []*process{b.start(spec{Tick: never})}
	c := &client{bed: b}
	for _, step := range []vaulttest.Next{bringingIn, nextVersion, bringingIn} {
		all = append(all, b.start(spec{Tick: never, Next: step}))
		c.one, c.nine = all[len(all)-2], all[len(all)-1]
		if step == nextVersion {
			b.vault = b.bundleOf(bringingIn).Vault
		}
		for range 2 {
			for i := range 5 * len(entries) {
				c.read(&r, entries[i%len(entries)])
			}
			b.pass(access + time.Second)
		}
		b.ok(c.one.stop()) // the older of two goes
	}
	for _, e := range entries {
		a := c.nine.mustRead(e)
		r.want(a.status == 200, "after going back: %s", a)
	}
	r.want(c.refused == 0, "%d reads were refused", c.refused)
	l := b.ledger()
	for _, e := range entries {
		wrong := b.healthy(l, e, b.credential(e).Generation)
		r.want(wrong == "", "%s", wrong)
	}
	second := b.inSecondForm(&r, entries)
	r.want(l.doubleSpends(entries, nil) == 0 && second >= len(entries), "%d double spends, %d items in the second form", l.doubleSpends(entries, nil), second)
	b.trailIsWhole(&r, b.vault)
	r.figure("%d reads over three deployments: %d refused, %d items in the second form", c.served, c.refused, second)
	return r
}
