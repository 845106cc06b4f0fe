package vault

import (
	"context"

	"connectorvault/shared/record"
)

// EntryState is an entry with everything that says how it is.
type EntryState struct {
	Entry      record.Entry
	Credential *record.Credential // nil: never authorized
	App        *record.App        // nil: it uses none, or none is registered
	Announced  []record.Horizon   // by its provider
}

// Status is the entry's state in one word: the owner's switch first, then the authorization.
func (s EntryState) Status() record.Status {
	switch {
	case s.Entry.Disabled:
		return record.Disabled
	case s.Credential == nil:
		return record.Pending
	default:
		return s.Credential.Status
	}
}

// Horizons are the dates ahead of an entry, or just behind it.
func (s EntryState) Horizons() []record.Horizon {
	out := []record.Horizon{}
	if c := s.Credential; c != nil && !c.AuthorizationExpires.IsZero() {
		out = append(out, record.Horizon{Name: record.AuthorizationEnd, At: c.AuthorizationExpires})
	}
	if c := s.Credential; c != nil && !c.RefreshExpires.IsZero() {
		out = append(out, record.Horizon{Name: record.RefreshTokenEnd, At: c.RefreshExpires})
	}
	if s.App != nil && !s.App.SecretExpires.IsZero() {
		out = append(out, record.Horizon{Name: record.ClientSecretEnd, At: s.App.SecretExpires, Assumed: s.App.ExpiryAssumed})
	}
	return append(out, s.Announced...)
}

// dates asks what decides on an entry's dates beside what is stored.
func (v *Vault) dates(e record.Entry) (usesApp bool, announced []record.Horizon) {
	if v.Dates == nil {
		return true, nil
	}
	return v.Dates(e)
}

// EntryState reads an entry with its state; not_found when the tenant has none of that id.
func (v *Vault) EntryState(ctx context.Context, tenant, id string) (EntryState, error) {
	e, err := v.Entry(ctx, tenant, id)
	if err != nil {
		return EntryState{}, err
	}
	state := EntryState{Entry: e}
	c, found, err := v.Credential(ctx, tenant, id)
	if err != nil {
		return state, err
	}
	if found {
		state.Credential = &c
	}
	usesApp, announced := v.dates(e)
	state.Announced = announced
	if !usesApp {
		return state, nil
	}
	app, found, err := v.App(ctx, tenant, e.Provider, e.APIEnvironment)
	if err == nil && found {
		state.App = &app
	}
	return state, err
}

// appsBySide finds applications by provider and side, and by sort key those that are left out.
func appsBySide(list Page[record.App]) (apps map[string]*record.App, newer map[string]bool) {
	apps, newer = map[string]*record.App{}, map[string]bool{}
	for i, app := range list.Items {
		apps[app.Provider+"#"+string(app.APIEnvironment)] = &list.Items[i]
	}
	for _, sort := range list.Newer {
		newer[sort] = true
	}
	return apps, newer
}

// statePages bounds how many pages of entries one listing looks through.
const statePages = 10

// EntryStates lists a tenant's entries whose state keep likes, by id. A page may hold fewer than limit and still have
// a Next, when much was looked through.
func (v *Vault) EntryStates(ctx context.Context, tenant, after string, limit int, keep func(EntryState) bool) (Page[EntryState], error) {
	out := Page[EntryState]{Next: after}
	list, err := v.AppPage(ctx, tenant)
	if err != nil {
		return out, err
	}
	apps, newerApps := appsBySide(list)
	for range statePages {
		page, err := v.Entries(ctx, tenant, out.Next, min(limit-len(out.Items), 100), func(record.Entry) bool { return true })
		if err != nil {
			return out, err
		}
		credentials, newer, err := v.credentialsOf(ctx, tenant, page.Items)
		if err != nil {
			return out, err
		}
		out.Newer = append(out.Newer, page.Newer...)
		for _, e := range page.Items {
			usesApp, announced := v.dates(e)
			state := EntryState{Entry: e, Announced: announced}
			// Without its credential or its application an entry would be said to be what it is not.
			if newer[e.ID] || usesApp && newerApps[appKey(tenant, e.Provider, e.APIEnvironment).Sort] {
				out.Newer = append(out.Newer, entryKey(tenant, e.ID).Sort)
				continue
			}
			if usesApp {
				state.App = apps[e.Provider+"#"+string(e.APIEnvironment)]
			}
			if c, ok := credentials[e.ID]; ok {
				state.Credential = &c
			}
			if keep(state) {
				out.Items = append(out.Items, state)
			}
		}
		out.Next = page.Next
		if out.Next == "" || len(out.Items) == limit {
			break
		}
	}
	return out, nil
}
