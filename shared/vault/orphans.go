package vault

import (
	"context"
	"errors"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// Orphans are secrets that no record names: a process died between storing a secret and storing its record, or between
// removing a record and removing its secret. An application's are always left to this search, when they are replaced and
// when their time beside a newer one is over: a read that has just looked at the record before still finds them. They harm
// nobody and cost a little, so they are looked for once a day, a part at a time.

// orphanNoteKept is longer than the time between two sightings.
const orphanNoteKept = 8 * 24 * time.Hour

func orphanTurnKey() store.Key { return store.Key{Partition: ident.Outside, Sort: "orphans"} }

func orphanKey(name, version string) store.Key {
	return store.Key{Partition: ident.Outside, Sort: "orphan#" + name + "#" + version}
}

// OrphanTurn is one part of a search.
type OrphanTurn struct {
	Cursor string // where to go on in the secret store's list; "" = from the start
	after  string
	fresh  bool
}

// OrphanTurn takes the next part of the search; due is false when there is nothing to do now. Of two who ask at once one
// gets it.
func (v *Vault) OrphanTurn(ctx context.Context) (turn OrphanTurn, due bool, err error) {
	attrs, err := v.get(ctx, store.Transient, orphanTurnKey())
	switch {
	case errors.Is(err, store.ErrNotFound):
		turn.fresh = true
	case err != nil:
		return turn, false, err
	case v.Now().UnixMilli() < attrs.Int("next"):
		return turn, false, nil
	default:
		turn.Cursor, turn.after = attrs.String("cursor"), attrs.String("turn")
	}
	// Whoever gets it has five minutes for it; should it die, the next one goes on from the same place.
	return turn, true, v.setOrphanTurn(ctx, &turn, turn.Cursor, v.Now().Add(5*time.Minute))
}

// EndOrphanTurn notes where the search goes on, and when.
func (v *Vault) EndOrphanTurn(ctx context.Context, turn OrphanTurn, cursor string, next time.Time) error {
	return v.setOrphanTurn(ctx, &turn, cursor, next)
}

// setOrphanTurn is a write on the condition that nobody else has taken the turn since. ErrHeld when somebody has.
func (v *Vault) setOrphanTurn(ctx context.Context, turn *OrphanTurn, cursor string, next time.Time) error {
	id, err := ident.New(v.Random, "")
	if err != nil {
		return err
	}
	unchanged := store.Equal("turn", turn.after)
	if turn.fresh {
		unchanged = store.Absent()
	}
	err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: orphanTurnKey(), If: unchanged,
		Set: store.Attrs{"turn": id, "cursor": cursor, "next": next.UnixMilli(), store.AttrExpires: unix(next.Add(orphanNoteKept))}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return ErrHeld
	}
	turn.fresh, turn.after = false, id
	return err
}

// Orphaned reports whether no record names a secret of that name. What is not named like a secret of an entry or app
// belongs to somebody else.
func (v *Vault) Orphaned(ctx context.Context, name string) (bool, error) {
	tenant, rest, _ := strings.Cut(name, "/")
	group := record.ClientSecrets
	if of, isRead := strings.CutPrefix(rest, "read/"); isRead {
		rest, group = of, record.ReadSecrets
	}
	parts := strings.Split(rest, "/")
	switch {
	case !ident.Valid(tenant, ident.Tenant):
		return false, nil
	case len(parts) == 3 && parts[0] == "entry" && ident.Valid(parts[1], ident.Entry) && strings.HasPrefix(parts[2], "v_"):
		e, err := v.Entry(ctx, tenant, parts[1])
		if fault.KindOf(err) == fault.NotFound {
			// An entry goes together with its credential, in one transaction. Where that is there the record was lost, and whoever
			// puts it back needs the secret.
			_, lost, err := v.Credential(ctx, tenant, parts[1])
			return err == nil && !lost, err
		}
		named := e.Secrets[group].Version == parts[2] || e.Successor != nil && e.Successor.Secrets[group].Version == parts[2]
		return err == nil && !named, err
	case len(parts) == 4 && parts[0] == "app" && strings.HasPrefix(parts[3], "v_"):
		app, found, err := v.App(ctx, tenant, parts[1], record.APIEnvironment(parts[2]))
		named := found && app.Version == parts[3] && (group == record.ClientSecrets || len(app.ReadSecrets) > 0)
		if before := app.Overlapping(v.Now()); before != nil && group == record.ClientSecrets {
			named = named || before.Version == parts[3] // once its time is over nobody names it, and it goes
		}
		if err != nil || named || found {
			return err == nil && !named, err
		}
		// A tenant's own record outlasts the tenant. Where even that is gone the records were lost, and somebody may put them back.
		_, err = v.Tenant(ctx, tenant)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	default:
		return false, nil
	}
}

// NoteOrphan notes that a version of a secret was seen without a record, and returns when it was seen so first: what is
// being made just now has its secret before its record, and may have the name of one that was left behind.
func (v *Vault) NoteOrphan(ctx context.Context, name, version string) (first time.Time, err error) {
	now := v.Now()
	err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: orphanKey(name, version), If: store.Absent(),
		Set: store.Attrs{"seen": milli(now), store.AttrExpires: unix(now.Add(orphanNoteKept))}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return fromMilli(failed.Old.Int("seen")), nil
	}
	return now, err
}

// ForgetOrphan takes NoteOrphan's note back.
func (v *Vault) ForgetOrphan(ctx context.Context, name, version string) error {
	return v.apply(ctx, store.Op{Verb: store.Delete, Table: store.Transient, Key: orphanKey(name, version)})
}
