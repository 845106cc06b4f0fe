package vaulttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func entrySubject(e record.Entry) audit.Subject {
	return audit.Subject{Kind: audit.VaultEntry, ID: e.ID}
}

// chain are the events of a subject, in order.
func (r *rig) chain(s audit.Subject) []audit.Event {
	r.Helper()
	page, err := r.AuditChain(r.Context(), r.tenant, s, "", time.Time{}, 1000, func(audit.Event) bool { return true })
	r.ok(err)
	return page.Items
}

func (r *rig) actions(s audit.Subject) []audit.Action {
	r.Helper()
	var out []audit.Action
	for i, e := range r.chain(s) {
		if e.Number != int64(i+1) || e.Subject != s || !ident.Valid(e.ID, "ae_") {
			r.Errorf("event %d is %+v", i+1, e)
		}
		out = append(out, e.Action)
	}
	return out
}

// verified are the findings of a verification, as text.
func (r *rig) verified(earlier ...vault.HeadNote) []string {
	r.Helper()
	report, err := r.VerifyAudit(r.Context(), r.tenant, earlier)
	r.ok(err)
	out := []string{}
	for _, f := range report.Findings {
		out = append(out, fmt.Sprintf("%s %s %d", f.Subject.Kind, f.Fault, f.Number))
	}
	slices.Sort(out)
	return out
}

func (r *rig) whole() {
	r.Helper()
	r.same(r.verified(), []string{})
}

// rewrite changes the attributes of an item of the records behind everybody's back; a nil change removes it.
func (r *rig) rewrite(sort string, change func(store.Attrs)) {
	r.Helper()
	key := store.Key{Partition: r.tenant, Sort: sort}
	op := store.Op{Verb: store.Delete, Table: store.Records, Key: key}
	if change != nil {
		item, err := r.engine.Get(r.Context(), store.Records, key)
		r.ok(err)
		change(item.Attrs)
		op = store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: item.Attrs}
	}
	r.ok(r.engine.Apply(r.Context(), op))
}

// copyItem puts an item's attributes under another key.
func (r *rig) copyItem(from, to string) {
	r.Helper()
	item, err := r.engine.Get(r.Context(), store.Records, store.Key{Partition: r.tenant, Sort: from})
	r.ok(err)
	r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: r.tenant, Sort: to}, Set: item.Attrs}))
}

// lived is an entry with a life: five events.
func (r *rig) lived() record.Entry {
	r.Helper()
	e := r.entry()
	r.begin(e, record.ResultURL)
	r.clock.add(time.Second)
	r.ok(r.Authorize(r.Context(), nil, r.authorization(e, nil, "first"), nil))
	for _, disabled := range []bool{true, false} {
		r.clock.add(time.Second)
		after := e
		after.Disabled = disabled
		var err error
		e, err = r.UpdateEntry(r.Context(), e, after)
		r.ok(err)
	}
	return e
}

// auditTrail goes through everything that is written down, and reads it.
func auditTrail(r *rig) {
	r.Vault = r.process(plainly)
	ctx := audit.WithActor(r.Context(), audit.Actor{Kind: audit.Principal, ID: "key_1", Role: "owner", RequestID: "R1"})
	r.ok(r.CreateTenant(ctx, record.Tenant{ID: r.tenant, Name: "Shop & Sons"}))
	key, _, err := r.CreateKey(ctx, record.APIKey{Tenant: r.tenant, Role: record.Owner, Label: "warehouse"})
	r.ok(err)
	r.ok(r.RevokeKey(ctx, r.tenant, key.ID))
	r.ok(r.RevokeKey(ctx, r.tenant, key.ID)) // it is revoked: nothing is told twice
	app := record.App{Tenant: r.tenant, Provider: "fake", APIEnvironment: record.Production, Version: "v1", Fields: map[string]string{"client_id": "hidden"}}
	r.ok(r.PutApp(ctx, "", app))
	app.Version = "v2"
	r.ok(r.PutApp(ctx, "v1", app))

	e := r.lived()
	after := e
	after.Alias, after.Settings = "renamed", map[string]string{"region": "hidden"}
	after.Secrets = record.SecretGroups{record.ClientSecrets: {Version: "v1", Fields: []string{"client_secret"}}}
	e, err = r.UpdateEntry(ctx, e, after)
	r.ok(err)
	c := record.Connector{Tenant: r.tenant, ID: r.id(ident.Connector), Name: "orders", Entry: e.ID, Settings: map[string][]string{}}
	c, err = r.CreateConnector(ctx, c, nil)
	r.ok(err)
	c.Revision = 1
	changed := c
	changed.Settings = map[string][]string{"resources": {"hidden"}}
	changed, err = r.UpdateConnector(ctx, c, changed)
	r.ok(err)
	r.ok(r.DeleteConnector(ctx, changed))

	first := r.begin(e, record.Browser)
	second := r.begin(e, record.ResultURL)
	r.ok(r.DenyRequest(ctx, second, "consent_denied"))
	r.ok(r.DenyRequest(ctx, second, "consent_denied"))
	r.ok(r.ClaimRequest(ctx, second, "owner", r.clock.Now().Add(time.Minute)))
	r.ok(r.ReleaseRequest(ctx, second, "owner", "provider_unavailable"))
	r.ok(r.ClaimRequest(ctx, second, "owner", r.clock.Now().Add(time.Minute)))
	r.ok(r.FailRequest(ctx, second, "owner", []byte(`{"code":"code_refused","detail":"hidden"}`)))

	leased := r.acquire(e, "one") // an ordinary refresh is told to nobody
	_, err = r.Commit(ctx, leased, r.bought(leased, "second"))
	r.ok(err)
	before := len(r.chain(entrySubject(e)))
	leased = r.acquire(e, "two")
	r.ok(r.Fail(ctx, leased, r.failure(), record.Active, "", false))
	r.same(len(r.chain(entrySubject(e))), before)
	leased = r.acquire(e, "three")
	failed := r.failure()
	failed.Outcome = "revoked"
	r.ok(r.Fail(ctx, leased, failed, record.Reauth, record.Revoked, false))
	r.ok(r.NoteFailedAuthorization(ctx, r.tenant, e.ID, record.RefreshToken, "authorization_failed"))
	reauth := r.credential(e)
	r.ok(r.Authorize(ctx, &reauth, r.authorization(e, &reauth, "anew"), nil))
	e, err = r.Entry(ctx, r.tenant, e.ID)
	r.ok(err)
	e.Connectors = 0
	r.remove(e)
	r.ok(r.NoteFailedAuthorization(ctx, r.tenant, e.ID, record.RefreshToken, "not_found")) // it goes on behind the tombstone

	r.same(r.actions(entrySubject(e)), []audit.Action{"vault_entry.created", "authorization.begun", "authorization.completed", "vault_entry.disabled", "vault_entry.enabled",
		"vault_entry.updated", "authorization.superseded", "authorization.begun", "authorization.superseded", "authorization.begun", "authorization.denied", "authorization.failed", "authorization.failed",
		"vault_entry.reauthorization_required", "authorization.failed", "authorization.completed", "vault_entry.recovered", "vault_entry.deleted", "authorization.failed"})
	r.same(r.actions(audit.Subject{Kind: audit.Connector, ID: c.ID}), []audit.Action{"connector.created", "connector.updated", "connector.deleted"})
	r.same(r.actions(audit.Subject{Kind: audit.Key, ID: key.ID}), []audit.Action{"key.created", "key.revoked"})
	r.same(r.actions(audit.Subject{Kind: audit.ProviderApp, ID: "fake/production"}), []audit.Action{"provider_app.created", "provider_app.replaced"})
	r.same(r.actions(audit.Subject{Kind: audit.Tenant, ID: r.tenant}), []audit.Action{"tenant.created"})
	r.whole()

	events := r.chain(entrySubject(e))
	update := events[5]
	r.same(update.Changes, []audit.Change{{Field: "alias", Before: e.ID, After: "renamed"}, {Field: "region"}, {Field: "client_secret"}})
	r.same(update.Actor, audit.Actor{Kind: audit.Principal, ID: "key_1", Role: "owner", RequestID: "R1"})
	r.same(events[0].Actor, audit.Actor{Kind: audit.Unknown})
	r.same([]string{events[8].Detail["request"], events[9].Detail["request"], events[9].Detail["begun_by"]}, []string{first.ID, second.ID, "key_1"})
	r.same([]string{events[10].Code, events[11].Code, events[11].Detail["final"], events[12].Code, events[12].Detail["final"]},
		[]string{"consent_denied", "provider_unavailable", "false", "code_refused", "true"})
	r.same([]string{events[13].Code, events[13].Detail["cause"], string(events[13].Outcome), string(events[15].Outcome)}, []string{"revoked", "revoked", "failure", "success"})

	all, err := r.AuditEvents(ctx, r.tenant, "", time.Time{}, 1000, func(audit.Event) bool { return true })
	r.ok(err)
	if len(all.Items) != 27 || !slices.IsSortedFunc(all.Items, func(a, b audit.Event) int { return a.At.Compare(b.At) }) {
		r.Errorf("in the order of time there are %d", len(all.Items))
	}
	if text := fmt.Sprintf("%+v", all.Items); strings.Contains(text, "hidden") || strings.Contains(text, "access-") || strings.Contains(text, "refresh-") {
		r.Errorf("an event says too much: %s", text)
	}
	if _, err := r.AuditChain(ctx, r.stranger, entrySubject(e), "", time.Time{}, 10, func(audit.Event) bool { r.Error("another tenant sees it"); return true }); err != nil {
		r.Error(err)
	}
}

// begin stores a request.
func (r *rig) begin(e record.Entry, mode record.Mode) record.Request {
	r.Helper()
	now := r.clock.Now()
	q := record.Request{Tenant: e.Tenant, ID: r.id(ident.Request), Entry: e.ID, Provider: e.Provider, Principal: "key_1", Mode: mode, Stage: record.Open,
		CreatedAt: now, Expires: now.Add(10 * time.Minute)}
	r.ok(r.BeginRequest(r.Context(), q))
	q.CodeHash = "code"
	return q
}

// noEventNoChange: however a write goes on its way, there is the change with one event, or neither.
func noEventNoChange(r *rig) {
	for _, goes := range deliveries {
		r.sub(goes.String(), func(r *rig) {
			e := r.entry()
			v := r.process(goes)
			after := e
			after.Disabled = true
			_, err := v.UpdateEntry(r.Context(), e, after)
			if (err == nil) != goes.heard() {
				r.Errorf("the answer is %v", err)
			}
			want := []audit.Action{"vault_entry.created"}
			if goes.carriedOut() {
				want = append(want, "vault_entry.disabled")
			}
			r.same(r.actions(entrySubject(e)), want)
			now, err := r.Entry(r.Context(), r.tenant, e.ID)
			r.ok(err)
			r.same(now.Disabled, goes.carriedOut())

			err = r.process(goes).DeleteEntry(r.Context(), now, 0)
			if (err == nil) != goes.heard() {
				r.Errorf("the answer is %v", err)
			}
			if goes.carriedOut() {
				want = append(want, "vault_entry.deleted")
			}
			r.same(r.actions(entrySubject(e)), want)
			r.whole()
		})
	}
	r.sub("without a key", func(r *rig) {
		e := r.entry()
		before := r.snapshot()
		v := vault.New(vault.Config{Items: r.engine, Now: r.clock.Now, Random: rand.Reader})
		after := e
		after.Disabled = true
		if _, err := v.UpdateEntry(r.Context(), e, after); err == nil {
			r.Error("a change was made that nobody was told of")
		}
		if err := v.DeleteEntry(r.Context(), e, 0); err == nil {
			r.Error("a deletion was made that nobody was told of")
		}
		r.unchanged(before)
	})
	r.sub("an event that cannot be stored", func(r *rig) {
		e := r.entry()
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: r.tenant, Sort: at(e, 2)}, Set: store.Attrs{"doc": "{}"}}))
		before := r.snapshot()
		after := e
		after.Disabled = true
		if _, err := r.UpdateEntry(r.Context(), e, after); err == nil {
			r.Error("a change was made that nobody was told of")
		}
		r.unchanged(before)
	})
}

// overtaken lets somebody else write just before an Apply.
type overtaken struct {
	store.Items
	by func()
}

// Apply implements store.Items.
func (o *overtaken) Apply(ctx context.Context, ops ...store.Op) error {
	if by := o.by; by != nil {
		o.by = nil
		by()
	}
	return o.Items.Apply(ctx, ops...)
}

// auditRaces: a chain grows by one at a time, and who lost looks again; what the writers wanted is not touched by that.
func auditRaces(r *rig) {
	e := r.entry()
	note := func() { r.ok(r.NoteFailedAuthorization(r.Context(), r.tenant, e.ID, record.RefreshToken, "x")) }
	after := e
	after.Disabled = true
	e, err := r.on(&overtaken{Items: r.engine, by: note}).UpdateEntry(r.Context(), e, after)
	r.ok(err)
	r.ok(r.on(&overtaken{Items: r.engine, by: note}).NoteFailedAuthorization(r.Context(), r.tenant, e.ID, record.RefreshToken, "y"))
	// An answer is lost, and somebody else has written before the repeat.
	twiceWith := &overtaken{Items: r.engine, by: note}
	after = e
	after.Disabled = false
	e, err = r.on(&wire{Items: &repeated{Items: r.engine, between: twiceWith}, next: plainly}).UpdateEntry(r.Context(), e, after)
	r.ok(err)
	answers := together(8, func(i int) error {
		return r.process(deliveries[i%2]).NoteFailedAuthorization(r.Context(), r.tenant, e.ID, record.RefreshToken, "z")
	})
	for _, err := range answers {
		r.ok(err)
	}
	if n := len(r.actions(entrySubject(e))); n != 15 {
		r.Errorf("there are %d events", n)
	}
	r.ok(r.on(&overtaken{Items: r.engine, by: note}).DeleteEntry(r.Context(), e, 0))
	r.whole()
}

// repeated carries a write out, lets somebody else write, and carries it out again.
type repeated struct {
	store.Items
	between *overtaken
}

// Apply implements store.Items.
func (p *repeated) Apply(ctx context.Context, ops ...store.Op) error {
	if err := p.Items.Apply(ctx, ops...); err != nil {
		return err
	}
	if by := p.between.by; by != nil {
		p.between.by = nil
		by()
		return p.Items.Apply(ctx, ops...)
	}
	return nil
}

// lateRecovery: a set that comes after its entry was given up is stored by its generation, and told as what it is.
func lateRecovery(r *rig) {
	e, _ := r.authorized()
	late := r.acquire(e, "late")
	set := r.bought(late, "late")
	r.clock.add(leaseTime + time.Second)
	other := r.acquire(e, "other")
	r.ok(r.Fail(r.Context(), other, r.failure(), record.Reauth, record.RotationUnknown, false))
	_, err := r.Commit(r.Context(), late, set)
	r.ok(err)
	r.inForce(e, "late")
	r.same(r.actions(entrySubject(e)), []audit.Action{"vault_entry.created", "authorization.completed", "vault_entry.reauthorization_required", "vault_entry.recovered"})
	r.whole()
}

// auditRetention: what is old enough goes, from the beginning of its chain; what is left is known to be whole.
func auditRetention(r *rig) {
	e, gone := r.lived(), r.lived()
	r.remove(gone)
	many := r.entry()
	for range 25 {
		r.ok(r.NoteFailedAuthorization(r.Context(), r.tenant, many.ID, record.RefreshToken, "x"))
	}
	trim := func() (n int) {
		for more := true; more; {
			removed, next, err := r.TrimAudit(r.Context(), r.tenant)
			r.ok(err)
			if removed > 10 {
				r.Errorf("%d were removed at once", removed)
			}
			n, more = n+removed, next
		}
		return n
	}
	r.clock.add(366 * 24 * time.Hour)
	r.same(trim(), 0)
	report, err := r.VerifyAudit(r.Context(), r.tenant, nil)
	r.ok(err)
	after := e
	after.Disabled = true
	_, err = r.UpdateEntry(r.Context(), e, after)
	r.ok(err)
	r.clock.add(60 * 24 * time.Hour)
	r.same(trim(), 5+6+26)
	r.same(r.verified(report.Heads...), []string{}) // of the one that is gone nothing is left, as it should be
	r.whole()
	r.same(len(r.chain(entrySubject(e))), 1)
	for _, sort := range []string{"tombstone#vault_entry#", "anchor#vault_entry#"} {
		if _, err := r.engine.Get(r.Context(), store.Records, store.Key{Partition: r.tenant, Sort: sort + gone.ID}); err == nil {
			r.Errorf("%s is left of what is gone", sort)
		}
	}
	r.ok(r.NoteFailedAuthorization(r.Context(), r.tenant, many.ID, record.RefreshToken, "x")) // a chain goes on behind its anchor
	r.same(r.chain(entrySubject(many))[0].Number, int64(27))
	r.whole()

	for name, attack := range map[string]struct {
		do   func(r *rig, e record.Entry)
		want string
	}{
		"the anchor is taken away": {func(r *rig, e record.Entry) { r.rewrite("anchor#vault_entry#"+e.ID, nil) }, "changed 6, removed 1, removed 2, removed 3, removed 4, removed 5"},
		"the anchor is moved": {func(r *rig, e record.Entry) {
			r.rewrite("anchor#vault_entry#"+e.ID, func(a store.Attrs) { a["audit_number"] = int64(4) })
		}, "anchor_tampered 4, changed 6, removed 5"},
		"the anchor has no code": {func(r *rig, e record.Entry) {
			r.rewrite("anchor#vault_entry#"+e.ID, func(a store.Attrs) { delete(a, "audit_key") })
		}, "anchor_tampered 5"},
		"the event behind it goes": {func(r *rig, e record.Entry) { r.erase(e, 6) }, "removed 6"},
	} {
		r.sub(name, func(r *rig) {
			e := r.lived()
			r.clock.add(800 * 24 * time.Hour)
			after := e
			after.Disabled = true
			_, err := r.UpdateEntry(r.Context(), e, after)
			r.ok(err)
			removed, _, err := r.TrimAudit(r.Context(), r.tenant)
			r.ok(err)
			r.same(removed, 5)
			attack.do(r, e)
			got := strings.ReplaceAll(strings.Join(r.verified(), ", "), "vault_entry ", "")
			if got != attack.want && got != strings.Replace(attack.want, "changed 6, ", "", 1) {
				r.Errorf("found is %s; want %s", got, attack.want)
			}
		})
	}
	r.sub("what was tampered with is not trimmed", func(r *rig) {
		e := r.lived()
		r.rewrite(at(e, 2), forged)
		r.clock.add(800 * 24 * time.Hour)
		removed, more, err := r.TrimAudit(r.Context(), r.tenant)
		r.ok(err)
		if removed != 0 || more {
			r.Errorf("%d were removed, more %t: the trace of it is gone", removed, more)
		}
		r.same(len(r.chain(entrySubject(e))), 5)
	})
}
