package vaulttest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// always is a store whose writes all go as told.
type always struct {
	store.Items
	goes delivery
}

func (a always) Apply(ctx context.Context, ops ...store.Op) error {
	return (&wire{Items: a.Items, next: a.goes}).Apply(ctx, ops...)
}

// version returns a vault of another version on the engine, whose writes go as told.
func (r *rig) version(n Next, goes delivery) *vault.Vault {
	return vault.New(vault.Config{Items: n.Items(always{r.engine, goes}), Due: r.engine, Sealer: r.sealer,
		Now: r.clock.Now, Random: rand.Reader, Forms: n.Forms()})
}

// raw is an item as it lies in the engine.
func (r *rig) raw(table store.Table, key store.Key) store.Attrs {
	r.Helper()
	item, err := r.engine.Get(r.Context(), table, key)
	r.ok(err)
	return item.Attrs
}

func (r *rig) rawEntry(e record.Entry) store.Attrs {
	r.Helper()
	return r.raw(store.Records, store.Key{Partition: e.Tenant, Sort: "entry#" + e.ID})
}

func (r *rig) rawCredential(e record.Entry) store.Attrs {
	r.Helper()
	return r.raw(store.Credentials, store.Key{Partition: e.Tenant + "#" + e.ID, Sort: "credential"})
}

// newer fails the test unless a refusal says that a newer version is needed.
func (r *rig) newer(what string, err error) {
	r.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != "newer_version" || f.Detail == "" || f.Action == "" || f.RetryAfter <= 0 {
		r.Errorf("%s: %v; want newer_version", what, err)
	}
}

// bothWhole fails the test if an item in the second form lacks what that has.
func (r *rig) bothWhole() {
	r.Helper()
	for table, items := range r.snapshot() {
		for key, attrs := range items {
			if problem := Whole(table, store.Item{Key: key, Attrs: attrs}); problem != "" {
				r.Errorf("%s %s: %s", table, key.Sort, problem)
			}
		}
	}
}

func everything(record.Entry) bool { return true }

// everythingNumbered: what is written has a number, but for what lives for seconds.
func everythingNumbered(r *rig) {
	r.authorized()
	seen := 0
	for table, items := range r.snapshot() {
		for key, attrs := range items {
			if attrs.Int(store.AttrSchema) != 1 {
				r.Errorf("%s %s has the number %d", table, key.Sort, attrs.Int(store.AttrSchema))
			}
			seen++
		}
	}
	if seen < 6 {
		r.Errorf("%d items were looked at", seen)
	}
}

// newerIsLeftAlone: this version changes, spends, removes and shows nothing of what a newer one wrote.
func newerIsLeftAlone(r *rig) {
	ctx, next := r.Context(), r.version(Next{2}, plainly)
	e, c := r.authorized()
	moved, err := next.UpdateEntry(ctx, e, e)
	r.ok(err)
	taken, err := next.Acquire(ctx, c, "next", r.clock.Now().Add(leaseTime), record.Intent{Generation: c.Generation, At: r.clock.Now()})
	r.ok(err)
	r.ok(next.NoteUse(ctx, e.Tenant, e.ID, 1))
	before := r.snapshot()

	_, err = r.Entry(ctx, e.Tenant, e.ID)
	r.newer("reading an entry", err)
	_, err = r.UpdateEntry(ctx, moved, moved)
	r.newer("changing an entry", err)
	r.newer("deleting an entry", r.DeleteEntry(ctx, moved, c.Generation))
	_, _, err = r.Credential(ctx, e.Tenant, e.ID)
	r.newer("reading a credential", err)
	_, err = r.tryAcquire(r.Vault, c, "this")
	r.newer("taking a lease with what was read before", err)
	_, err = r.Commit(ctx, c, r.bought(c, "late"))
	r.newer("storing a set", err)
	r.newer("noting a failure", r.Fail(ctx, taken, r.failure(), record.Active, "", false))
	r.newer("scheduling", r.Reschedule(ctx, c, r.clock.Now()))
	r.newer("noting a use", r.NoteUse(ctx, e.Tenant, e.ID, 2))
	_, err = r.UsedGeneration(ctx, e.Tenant, e.ID)
	r.newer("reading a note", err)
	r.unchanged(before)
	_, _, err = r.RemoveRest(ctx, e.Tenant)
	r.newer("removing what is left of a tenant", err)
	r.newer("removing notes", r.RemoveNotes(ctx, e.Tenant, e.ID))
	_, err = r.Entries(ctx, e.Tenant, "", 10, everything)
	r.newer("listing to act on it", err)
	r.unchanged(before)
}

// olderIsBroughtOn: a newer version reads what this one wrote in its own form, and its first write keeps all of it.
func olderIsBroughtOn(r *rig) {
	for _, goes := range []delivery{plainly, twice} {
		ctx, next := r.Context(), r.version(Next{2}, goes)
		e, c := r.authorized()
		was := r.rawCredential(e)
		item, err := next.Items.Get(ctx, store.Credentials, store.Key{Partition: e.Tenant + "#" + e.ID, Sort: "credential"})
		r.ok(err)
		if item.Attrs.String(Added) == "" || item.Attrs.Int(store.AttrSchema) != 2 {
			r.Errorf("it is read as %v", item.Attrs)
		}
		r.same(r.rawCredential(e), was) // reading writes nothing
		r.ok(next.Reschedule(ctx, c, r.clock.Now()))
		is := r.rawCredential(e)
		for name, value := range was {
			if name != "write" && name != store.AttrSchema && name != store.AttrDueAt {
				r.same(is[name], value)
			}
		}
		if is.Int(store.AttrSchema) != 2 || is.String(Added) == "" {
			r.Errorf("it is stored as %v", is)
		}
		got, found, err := next.Credential(ctx, e.Tenant, e.ID)
		if err != nil || !found || got.Generation != c.Generation {
			r.Errorf("generation %d, %t, %v", got.Generation, found, err)
		}
		r.bothWhole()
	}
}

// aLeaseKeepsTheForm: whoever took a lease in the first form finds it when they come to store what they bought.
func aLeaseKeepsTheForm(r *rig) {
	ctx, next := r.Context(), r.version(Next{2}, plainly)
	e, c := r.authorized()
	own := r.acquire(e, "this")
	r.is(next.Reschedule(ctx, c, r.clock.Now()), store.ErrBusy)
	if got := r.rawCredential(e).Int(store.AttrSchema); got != 1 {
		r.Fatalf("under a lease it came into form %d", got)
	}
	stored, err := r.Commit(ctx, own, r.bought(own, "second"))
	r.ok(err)
	r.inForce(e, "second")
	r.ok(next.Reschedule(ctx, stored, r.clock.Now()))

	// A successor of the newer version takes the lease once it is over. Then the late set is the newer version's to store.
	e, _ = r.authorized()
	own = r.acquire(e, "this")
	r.clock.add(leaseTime + time.Second)
	seen, _, err := next.Credential(ctx, e.Tenant, e.ID)
	r.ok(err)
	_, err = r.tryAcquire(next, seen, "next")
	r.ok(err)
	late, before := r.bought(own, "late"), r.snapshot()
	_, err = r.Commit(ctx, own, late)
	r.newer("a late set", err)
	r.unchanged(before)
	seen, _, err = next.Credential(ctx, e.Tenant, e.ID)
	r.ok(err)
	_, err = next.Commit(ctx, seen, late)
	r.ok(err)
	now, _, err := next.Credential(ctx, e.Tenant, e.ID)
	r.ok(err)
	set, err := next.OpenTokens(ctx, now)
	if err != nil || set.Refresh.Reveal() != "refresh-late" {
		r.Errorf("the late set is not in force: %v", err)
	}
	r.bothWhole()
}

// listsOfBoth: a page of both versions' records is shown with what is known, and says what is not; what is followed ends before.
func listsOfBoth(r *rig) {
	ctx, next := r.Context(), r.version(Next{2}, plainly)
	entries := []record.Entry{}
	for range 4 {
		e, _ := r.authorized()
		entries = append(entries, e)
	}
	_, err := next.UpdateEntry(ctx, entries[0], entries[0])
	r.ok(err)
	c := r.credential(entries[1])
	r.ok(next.Reschedule(ctx, c, r.clock.Now())) // only the credential is newer
	page, err := r.EntryStates(vault.Showing(ctx), r.tenant, "", 10, func(vault.EntryState) bool { return true })
	r.ok(err)
	if len(page.Items) != 2 || len(page.Newer) != 2 || page.Next != "" {
		r.Errorf("%d are shown, %v left out", len(page.Items), page.Newer)
	}
	for _, s := range page.Items {
		if s.Status() != record.Active {
			r.Errorf("%s is said to be %s", s.Entry.ID, s.Status())
		}
	}
	_, err = r.EntryStates(ctx, r.tenant, "", 10, func(vault.EntryState) bool { return true })
	r.newer("a list that is acted on", err)
	all, err := next.EntryStates(ctx, r.tenant, "", 10, func(vault.EntryState) bool { return true })
	if err != nil || len(all.Items) != 4 || len(all.Newer) != 0 {
		r.Errorf("the newer version lists %d, %v", len(all.Items), err)
	}

	publish := func(v *vault.Vault, generation int64) {
		r.clock.add(time.Minute)
		_, err := v.Publish(ctx, record.Event{Tenant: r.tenant, Kind: record.EventAuthorized, Entry: entries[0].ID, Generation: generation})
		r.ok(err)
	}
	publish(r.Vault, 11)
	publish(next, 12)
	publish(r.Vault, 13)
	each := func(record.Event) bool { return true }
	for _, ctx := range []context.Context{ctx, vault.Showing(ctx)} {
		first, err := r.Events(ctx, r.tenant, "", 10, each)
		r.ok(err)
		if len(first.Items) != 1 || first.Items[0].Generation != 11 || first.Next == "" {
			r.Fatalf("the first page is %+v", first)
		}
		_, err = r.Events(ctx, r.tenant, first.Next, 10, each)
		r.newer("the page that begins with a newer event", err)
		rest, err := next.Events(ctx, r.tenant, first.Next, 10, each)
		if err != nil || len(rest.Items) != 2 || rest.Items[0].Generation != 12 {
			r.Errorf("the newer version goes on with %+v, %v", rest, err)
		}
	}
}

// twoDeployments: one version brings the second form in and still writes the first, the next one writes it. Each reads and
// changes all of the other's, and nothing goes back to the first form or loses what the second has.
func twoDeployments(r *rig) {
	ctx := r.Context()
	expand, write := r.version(Next{1}, plainly), r.version(Next{2}, plainly)
	e, _ := r.authorized()
	for round := range 4 {
		for i, v := range []*vault.Vault{expand, write, expand, write, expand} {
			name := []string{"the one that brings it in", "the one that writes it"}[i%2]
			at, err := v.Entry(ctx, e.Tenant, e.ID)
			if err != nil {
				r.Fatalf("round %d: %s: %v", round, name, err)
			}
			at.Environment = "environment-" + r.id(ident.Entry)
			before, err := v.Entry(ctx, e.Tenant, e.ID)
			r.ok(err)
			_, err = v.UpdateEntry(ctx, before, at)
			r.ok(err)
			c, _, err := v.Credential(ctx, e.Tenant, e.ID)
			r.ok(err)
			own, err := r.tryAcquire(v, c, name)
			r.ok(err)
			_, err = v.Commit(ctx, own, r.bought(own, fmt.Sprint(round, name)))
			r.ok(err)
			r.ok(v.NoteUse(ctx, e.Tenant, e.ID, int64(round)))
			r.clock.add(time.Second)
			if got := r.rawCredential(e).Int(store.AttrSchema); (got == 2) != (round > 0 || i > 0) {
				r.Fatalf("round %d: %s leaves the credential in form %d", round, name, got)
			}
		}
		r.bothWhole()
	}
	if got := r.rawEntry(e).Int(store.AttrSchema); got != 2 {
		r.Errorf("the entry is in form %d", got)
	}
	// Going back from the second deployment to the first leaves nothing unreadable.
	if page, err := expand.EntryStates(ctx, r.tenant, "", 10, func(vault.EntryState) bool { return true }); err != nil || len(page.Items) != 1 {
		r.Errorf("after going back: %+v, %v", page, err)
	}
	// And what the first deployment alone has touched, this version reads still.
	e, _ = r.authorized()
	at, err := expand.Entry(ctx, e.Tenant, e.ID)
	r.ok(err)
	_, err = expand.UpdateEntry(ctx, at, at)
	r.ok(err)
	_, err = r.Entry(ctx, e.Tenant, e.ID)
	r.ok(err)
}

// meddling is a store in which something happens after the first write that its caller hears failed.
type meddling struct {
	store.Items
	meddle *func()
}

func (m meddling) Apply(ctx context.Context, ops ...store.Op) error {
	err := m.Items.Apply(ctx, ops...)
	var failed *store.ConditionFailed
	if meddle := *m.meddle; meddle != nil && errors.As(err, &failed) {
		*m.meddle = nil
		meddle()
	}
	return err
}

// bringingOnIsFenced: a record is brought on under the conditions that its write always had, and only as it was read.
func bringingOnIsFenced(r *rig) {
	ctx, next := r.Context(), r.version(Next{2}, plainly)
	e, c := r.authorized()
	own := r.acquire(e, "this")
	now, err := r.Commit(ctx, own, r.bought(own, "second"))
	r.ok(err)
	before := r.snapshot()
	_, err = next.Commit(ctx, c, r.bought(c, "stale"))
	r.is(err, vault.ErrOvertaken)
	r.ok(next.Reschedule(ctx, c, r.clock.Now().Add(time.Hour))) // of a stale generation: nothing to do
	r.is(next.Fail(ctx, own, r.failure(), record.Active, "", false), vault.ErrFenced)
	_, err = r.tryAcquire(next, c, "stale")
	r.is(err, vault.ErrHeld)
	r.unchanged(before)

	// Between the look at the older form and the write of the newer one, this version stores a set.
	meddle := func() {
		own, err := r.tryAcquire(r.Vault, now, "this")
		r.ok(err)
		_, err = r.Commit(ctx, own, r.bought(own, "third"))
		r.ok(err)
	}
	late := vault.New(vault.Config{Items: Next{2}.Items(meddling{r.engine, &meddle}), Due: r.engine, Sealer: r.sealer, Now: r.clock.Now, Random: rand.Reader, Forms: Next{2}.Forms()})
	r.ok(late.Reschedule(ctx, now, r.clock.Now()))
	r.inForce(e, "third")
	if meddle != nil {
		r.Error("nothing came between")
	}
}

// bringingOnAtOnce: many bring one record into the next form at once, with changes of their own; each is there once.
func bringingOnAtOnce(r *rig) {
	const many = 6
	e, c := r.authorized()
	answers := together(many, func(i int) error {
		v := r.version(Next{2}, delivery(i%2)*twice) // every second one has its write sent twice
		for range 20 {
			seen, _, err := v.Credential(r.Context(), e.Tenant, e.ID)
			if err != nil {
				return err
			}
			own, err := r.tryAcquire(v, seen, fmt.Sprint("process ", i))
			if errors.Is(err, vault.ErrHeld) || fault.CodeOf(err) == "store_unavailable" {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				return err
			}
			_, err = v.Commit(r.Context(), own, r.bought(own, fmt.Sprint(i)))
			return err
		}
		return vault.ErrHeld
	})
	done := int64(0)
	for i, err := range answers {
		switch {
		case err == nil:
			done++
		case errors.Is(err, vault.ErrOvertaken) && i%2 == 1:
			// Others stored theirs between its write and the repeat. It had the lease, and no time passes: its own was stored first.
			done++
		case !errors.Is(err, vault.ErrHeld):
			r.Errorf("an answer is %v", err)
		}
	}
	now, _, err := r.version(Next{2}, plainly).Credential(r.Context(), e.Tenant, e.ID)
	r.ok(err)
	if now.Generation != c.Generation+done || done == 0 {
		r.Errorf("%d sets were stored, and the generation went from %d to %d", done, c.Generation, now.Generation)
	}
	r.bothWhole()
}

// unknownKinds: what is of no kind that this version knows is nobody's to remove, whatever lies around it.
func unknownKinds(r *rig) {
	key := store.Key{Partition: r.tenant, Sort: "gadget#1"}
	r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"doc": "{}"}}))
	_, _, err := r.RemoveRest(r.Context(), r.tenant)
	r.newer("removing what is left", err)
	r.newer("writing it", r.Items.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: key}))
	_, err = r.Items.Get(r.Context(), store.Records, key)
	r.newer("reading it", err)
	r.raw(store.Records, key)
	r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: key}))
}

// additions: an attribute that a newer version adds beside the others, under the same number, outlasts what this version
// does with the item. A member that it adds to the document does not, and so takes a number.
func additions(r *rig) {
	const beside = "beside"
	ctx := r.Context()
	e, _ := r.authorized()
	for table, key := range map[store.Table]store.Key{store.Records: {Partition: e.Tenant, Sort: "entry#" + e.ID},
		store.Credentials: {Partition: e.Tenant + "#" + e.ID, Sort: "credential"}} {
		r.ok(r.engine.Apply(ctx, store.Op{Verb: store.Update, Table: table, Key: key, If: store.Exists(), Set: store.Attrs{beside: "kept"}}))
	}
	doc := r.rawEntry(e).String("doc")
	r.ok(r.engine.Apply(ctx, store.Op{Verb: store.Update, Table: store.Records, Key: store.Key{Partition: e.Tenant, Sort: "entry#" + e.ID},
		If: store.Exists(), Set: store.Attrs{"doc": doc[:len(doc)-1] + `,"inside":"lost"}`}}))
	at, err := r.Entry(ctx, e.Tenant, e.ID)
	r.ok(err)
	_, err = r.UpdateEntry(ctx, at, at)
	r.ok(err)
	own := r.acquire(e, "this")
	c, err := r.Commit(ctx, own, r.bought(own, "second"))
	r.ok(err)
	r.ok(r.Reschedule(ctx, c, r.clock.Now()))
	own = r.acquire(e, "this")
	r.ok(r.Fail(ctx, own, r.failure(), record.Reauth, record.Revoked, false))
	for what, attrs := range map[string]store.Attrs{"an entry": r.rawEntry(e), "a credential": r.rawCredential(e)} {
		if attrs.String(beside) != "kept" {
			r.Errorf("%s has lost an attribute that stood beside the others", what)
		}
	}
	if r.rawEntry(e).String("doc") != doc {
		r.Error("a member of the document is kept: then docs/upgrades.md says too little")
	}
}

// auditOfBoth: a chain to which a newer version has added is neither added to nor called broken.
func auditOfBoth(r *rig) {
	ctx, next := r.Context(), r.version(Next{2}, plainly)
	e := r.entry()
	_, err := next.UpdateEntry(ctx, e, e)
	r.ok(err)
	before := r.snapshot()
	_, err = r.VerifyAudit(ctx, r.tenant, nil)
	r.newer("verifying a trail whose head a newer version wrote", err)
	r.newer("adding to its chain", r.NoteFailedAuthorization(ctx, r.tenant, e.ID, record.Browser, "x"))
	r.unchanged(before)
	found, err := next.VerifyAudit(ctx, r.tenant, nil)
	if err != nil || len(found.Findings) != 0 {
		r.Errorf("the newer version finds %+v, %v", found, err)
	}
}
