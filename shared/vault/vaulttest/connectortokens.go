package vaulttest

import (
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// connectorToken makes and stores a connector token.
func (r *rig) connectorToken(uses int64) record.ConnectorToken {
	r.Helper()
	t, _, err := r.CreateConnectorToken(r.Context(), record.ConnectorToken{Tenant: r.tenant, Providers: []string{"fake"}, Environment: "production",
		Uses: uses, CreatedBy: "key_1", CreatorRole: record.Admin, Expires: r.clock.Now().Add(time.Hour)}, nil)
	r.ok(err)
	return t
}

// of is an entry that a token's holder wants, not stored yet.
func (r *rig) of(t record.ConnectorToken) record.Entry {
	r.Helper()
	id, now := r.id(ident.Entry), r.clock.Now()
	r.watch(r.tenant+"#"+id, store.Credentials, store.Transient)
	return record.Entry{Tenant: r.tenant, ID: id, Provider: "fake", Alias: id, Environment: "production", APIEnvironment: record.Production,
		ConnectorToken: t.ID, CreatedBy: t.ID, CreatedAt: now, UpdatedAt: now}
}

// made stores an entry of a token and returns it as it is read.
func (r *rig) made(t record.ConnectorToken) record.Entry {
	r.Helper()
	e, err := r.CreateEntry(r.Context(), r.of(t), nil)
	r.ok(err)
	e, err = r.Entry(r.Context(), r.tenant, e.ID)
	r.ok(err)
	return e
}

// left fails the test unless a token has so many uses left, and as many entries as are taken.
func (r *rig) left(t record.ConnectorToken, want int64) {
	r.Helper()
	read, err := r.ConnectorToken(r.Context(), t.Tenant, t.ID)
	r.ok(err)
	if read.UsesLeft != want {
		r.Fatalf("%d of %d uses are left; want %d", read.UsesLeft, read.Uses, want)
	}
}

func (r *rig) entriesOf(t record.ConnectorToken) int {
	r.Helper()
	n := 0
	for after := ""; ; {
		page, err := r.Entries(r.Context(), t.Tenant, after, 100, func(e record.Entry) bool { return e.ConnectorToken == t.ID })
		r.ok(err)
		n += len(page.Items)
		if after = page.Next; after == "" {
			return n
		}
	}
}

func (r *rig) refused(err error, code string) {
	r.Helper()
	if fault.CodeOf(err) != code {
		r.Fatalf("the answer is %v; want %s", err, code)
	}
}

// However many processes make entries at once, a token makes as many as it has uses. Half of them ask twice under one
// idempotency key, and are given one entry for both.
func usesAtOnce(r *rig) {
	const uses, callers = 7, 200
	t := r.connectorToken(uses)
	processes := []*vault.Vault{r.process(plainly), r.process(plainly)}
	wanted := make([]record.Entry, callers)
	for i := range wanted {
		wanted[i] = r.of(t)
	}
	made := make([]string, callers)
	answers := together(callers, func(i int) error {
		var once *vault.Once
		if i%4 < 2 { // i and i+1 are the same request
			once = &vault.Once{Principal: t.ID, Key: fmt.Sprint(i / 2), Request: "same"}
		}
		e, err := processes[i/100].CreateEntry(r.Context(), wanted[i], once)
		made[i] = e.ID
		return err
	})
	distinct := map[string]bool{}
	for i, err := range answers {
		switch {
		case err == nil:
			distinct[made[i]] = true
		case fault.CodeOf(err) != "connector_token_used_up":
			r.Errorf("an answer is %v", err)
		}
	}
	if n := r.entriesOf(t); len(distinct) != uses || n != uses {
		r.Errorf("%d entries were answered and %d are there; want %d", len(distinct), n, uses)
	}
	r.left(t, 0)
}

// Entries that are made and removed at once leave as many uses as there are entries without.
func usesComeAndGo(r *rig) {
	const uses = 5
	t := r.connectorToken(uses)
	wanted := make([]record.Entry, 40)
	for i := range wanted {
		wanted[i] = r.of(t)
	}
	for i, err := range together(len(wanted), func(i int) error {
		p := r.process(plainly)
		e, err := p.CreateEntry(r.Context(), wanted[i], nil)
		if fault.CodeOf(err) == "connector_token_used_up" {
			return nil
		}
		if err != nil || i%3 == 0 {
			return err
		}
		if e, err = p.Entry(r.Context(), e.Tenant, e.ID); err != nil {
			return err
		}
		return errors.Join(p.DeleteEntry(r.Context(), e, 0), p.DeleteEntry(r.Context(), e, 0))
	}) {
		if err != nil {
			r.Errorf("%d: %v", i, err)
		}
	}
	r.left(t, uses-int64(r.entriesOf(t)))
}

// A use is taken with the entry, whatever becomes of the write on its way, and a repeat takes none.
func useAndEntry(r *rig) {
	for _, goes := range deliveries {
		t := r.connectorToken(2)
		e, once := r.of(t), &vault.Once{Principal: t.ID, Key: "k", Request: "same"}
		p := r.process(goes)
		r.ok(insist(func() error { _, err := p.CreateEntry(r.Context(), e, once); return err }))
		if n := r.entriesOf(t); n != 1 {
			r.Errorf("%s: %d entries", goes, n)
		}
		r.left(t, 1)

		stored, err := r.Entry(r.Context(), r.tenant, e.ID)
		r.ok(err)
		p = r.process(goes)
		r.ok(insist(func() error { return p.DeleteEntry(r.Context(), stored, 0) }))
		r.left(t, 2)
	}
}

// Where an entry is not made, no use is taken, and where a use is not to be had, no entry is made.
func useRefused(r *rig) {
	ends := map[string]func(record.ConnectorToken){
		"connector_token_used_up": func(t record.ConnectorToken) { r.made(t) },
		"connector_token_ended":   func(t record.ConnectorToken) { r.ok(r.RevokeConnectorToken(r.Context(), t)) },
	}
	for code, end := range ends {
		t := r.connectorToken(1)
		end(t)
		e := r.of(t)
		before := r.snapshot()
		for _, once := range []*vault.Once{nil, {Principal: t.ID, Key: "k", Request: "same"}} {
			_, err := r.CreateEntry(r.Context(), e, once)
			r.refused(err, code)
		}
		r.unchanged(before)
	}

	t := r.connectorToken(1)
	e := r.of(t)
	e.Alias = r.entry().Alias
	before := r.snapshot()
	_, err := r.CreateEntry(r.Context(), e, nil)
	r.refused(err, "alias_taken")
	r.unchanged(before)

	strange := r.of(t)
	strange.ConnectorToken = r.id(ident.Token)
	_, err = r.CreateEntry(r.Context(), strange, nil)
	r.refused(err, "connector_token_ended")
	foreign := r.of(t)
	foreign.Tenant = r.stranger
	_, err = r.CreateEntry(r.Context(), foreign, nil)
	r.refused(err, "connector_token_ended")
	r.unchanged(before)

	r.clock.add(time.Hour - 1)
	r.made(t)
	late := r.connectorToken(1)
	r.clock.add(time.Hour)
	_, err = r.CreateEntry(r.Context(), r.of(late), nil)
	r.refused(err, "connector_token_ended")
	r.left(late, 1)
}

// A use comes back with an entry that was never authorized, once; not with one that was, whatever became of it since, and
// not with one that stays.
func useReturned(r *rig) {
	t := r.connectorToken(3)
	pending, kept, used := r.made(t), r.made(t), r.made(t)
	r.ok(r.Authorize(r.Context(), nil, r.authorization(kept, nil, "first"), nil))
	r.ok(r.Authorize(r.Context(), nil, r.authorization(used, nil, "first"), nil))
	c := record.Connector{Tenant: r.tenant, ID: r.id(ident.Connector), Name: "c", Entry: kept.ID, Provider: "fake", CreatedBy: t.ID}
	_, err := r.CreateConnector(r.Context(), c, nil)
	r.ok(err)
	r.left(t, 0)

	r.refused(r.DeleteEntry(r.Context(), kept, 1), "vault_entry_in_use")
	r.refused(r.DeleteEntry(r.Context(), used, 0), "changed_meanwhile") // it was authorized meanwhile
	r.left(t, 0)
	for range 2 {
		r.ok(r.DeleteEntry(r.Context(), pending, 0))
		r.left(t, 1)
	}
	own := r.acquire(used, "owner")
	r.ok(r.Fail(r.Context(), own, r.failure(), record.Reauth, record.Revoked, false))
	r.ok(r.DeleteEntry(r.Context(), used, 1))
	r.left(t, 1)

	// A token that has ended is counted right all the same, and gives nothing for it.
	again := r.made(t)
	r.ok(r.RevokeConnectorToken(r.Context(), t))
	r.ok(r.DeleteEntry(r.Context(), again, 0))
	r.left(t, 1)
	_, err = r.CreateEntry(r.Context(), r.of(t), nil)
	r.refused(err, "connector_token_ended")
	r.remove(r.entry()) // one without a token
	r.left(t, 1)
	r.same(r.actions(audit.Subject{Kind: audit.ConnectorToken, ID: t.ID}), []audit.Action{"connector_token.created", "connector_token.revoked"})
	r.same(r.chain(entrySubject(again))[0].Detail["connector_token"], t.ID)
	r.whole()
}

// Of a deletion and an authorization at once one is carried out, and the use goes with it.
func useRace(r *rig) {
	for range 10 {
		t := r.connectorToken(1)
		e := r.made(t)
		authorization := r.authorization(e, nil, "first")
		answers := together(2, func(i int) error {
			p := r.process(plainly)
			if i == 0 {
				return p.DeleteEntry(r.Context(), e, 0)
			}
			return p.Authorize(r.Context(), nil, authorization, nil)
		})
		deleted := answers[0] == nil
		if deleted == (answers[1] == nil) {
			r.Fatalf("deleted and authorized: %v", answers)
		}
		if deleted {
			r.left(t, 1)
		} else {
			r.left(t, 0)
		}
	}
}

// The holder of a token brings an entry to so many connectors, and no further; others are not kept back.
func tokenConnectors(r *rig) {
	t := r.connectorToken(1)
	e := r.made(t)
	connector := func(by string) record.Connector {
		return record.Connector{Tenant: r.tenant, ID: r.id(ident.Connector), Name: "c", Entry: e.ID, Provider: "fake", CreatedBy: by}
	}
	wanted := make([]record.Connector, vault.MostTokenConnectors+5)
	for i := range wanted {
		wanted[i] = connector(t.ID)
	}
	made := 0
	for _, err := range together(len(wanted), func(i int) error {
		_, err := r.process(plainly).CreateConnector(r.Context(), wanted[i], nil)
		return err
	}) {
		switch {
		case err == nil:
			made++
		case fault.CodeOf(err) != "connector_token_used_up":
			r.Errorf("an answer is %v", err)
		}
	}
	if made != vault.MostTokenConnectors {
		r.Errorf("%d connectors were made", made)
	}
	_, err := r.CreateConnector(r.Context(), connector("key_1"), nil)
	r.ok(err)
}
