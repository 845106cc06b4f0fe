package vault

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"connectorvault/shared/audit"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// What is told of each change. Names of fields, and the values of those few that every list shows; never a secret.

func connectorSubject(id string) audit.Subject {
	return audit.Subject{Kind: audit.Connector, ID: id}
}

func keySubject(id string) audit.Subject { return audit.Subject{Kind: audit.Key, ID: id} }

func tenantSubject(id string) audit.Subject { return audit.Subject{Kind: audit.Tenant, ID: id} }

func appSubject(app record.App) audit.Subject {
	return audit.Subject{Kind: audit.ProviderApp, ID: audit.AppID(app.Provider, string(app.APIEnvironment))}
}

func entryCreated(e record.Entry) []audit.Event {
	return one(audit.EntryCreated, map[string]string{"provider": e.Provider, "alias": e.Alias, "environment": e.Environment, "connector_token": e.ConnectorToken,
		"api_environment": string(e.APIEnvironment), "secrets": strings.Join(secretFields(e.Secrets), ",")})
}

func entryDeleted(e record.Entry) []audit.Event {
	return one(audit.EntryDeleted, map[string]string{"provider": e.Provider, "alias": e.Alias, "environment": e.Environment})
}

// entryUpdated tells of switching an entry off or on by itself: somebody will look for that.
func entryUpdated(before, after record.Entry) []audit.Event {
	var out []audit.Event
	if before.Disabled != after.Disabled {
		action := audit.EntryEnabled
		if after.Disabled {
			action = audit.EntryDisabled
		}
		out = append(out, audit.Event{Action: action})
	}
	changes := shown(nil, "alias", before.Alias, after.Alias)
	changes = shown(changes, "environment", before.Environment, after.Environment)
	changes = append(changes, named(before.Settings, after.Settings, func(a, b string) bool { return a == b })...)
	changes = append(changes, secretChanges(before.Secrets, after.Secrets)...)
	changes = shown(changes, "waiting_credential", waiting(before), waiting(after))
	if a, b := before.Successor, after.Successor; a != nil && b != nil && a.Number == b.Number && a.TriedAt != b.TriedAt {
		changes = append(changes, audit.Change{Field: "waiting_credential.tried_at"})
	}
	if len(changes) > 0 || len(out) == 0 {
		out = append(out, audit.Event{Action: audit.EntryUpdated, Changes: changes})
	}
	return out
}

// waiting is the number of the client that waits beside an entry's own; "" when none does.
func waiting(e record.Entry) string {
	if e.Successor == nil {
		return ""
	}
	return strconv.FormatInt(e.Successor.Number, 10)
}

// shown adds a change with its values.
func shown(to []audit.Change, field, before, after string) []audit.Change {
	if before == after {
		return to
	}
	return append(to, audit.Change{Field: field, Before: before, After: after})
}

// named are the settings that were changed, without values: what a provider's own fields hold is not ours to judge.
func named[V any](before, after map[string]V, same func(a, b V) bool) []audit.Change {
	all := maps.Clone(before)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, after)
	var out []audit.Change
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, had := before[name]
		now, has := after[name]
		if had != has || !same(old, now) {
			out = append(out, audit.Change{Field: name})
		}
	}
	return out
}

func secretFields(groups record.SecretGroups) []string {
	var out []string
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[group].Fields...)
	}
	return out
}

// secretChanges name the secret fields of a group that was stored anew: which of its values are others is not known.
func secretChanges(before, after record.SecretGroups) []audit.Change {
	var out []audit.Change
	for _, group := range []record.SecretGroup{record.ClientSecrets, record.ReadSecrets} {
		if before[group].Version == after[group].Version {
			continue
		}
		fields := slices.Concat(before[group].Fields, after[group].Fields)
		slices.Sort(fields)
		for _, field := range slices.Compact(fields) {
			out = append(out, audit.Change{Field: field})
		}
	}
	return out
}

func connectorCreated(c record.Connector) []audit.Event {
	return one(audit.ConnectorCreated, map[string]string{"name": c.Name, "vault_entry": c.Entry, "provider": c.Provider})
}

func connectorUpdated(before, after record.Connector) []audit.Event {
	changes := shown(nil, "name", before.Name, after.Name)
	changes = append(changes, named(before.Settings, after.Settings, slices.Equal[[]string])...)
	return []audit.Event{{Action: audit.ConnectorUpdated, Changes: changes}}
}

func connectorDeleted(c record.Connector) []audit.Event {
	return one(audit.ConnectorDeleted, map[string]string{"name": c.Name, "vault_entry": c.Entry, "provider": c.Provider})
}

func appStored(before string, app record.App) []audit.Event {
	action := audit.AppReplaced
	if before == "" {
		action = audit.AppCreated
	}
	return one(action, map[string]string{"provider": app.Provider, "api_environment": string(app.APIEnvironment), "fields": strings.Join(slices.Sorted(maps.Keys(app.Fields)), ",")})
}

func keyCreated(k record.APIKey) []audit.Event {
	detail := map[string]string{"role": string(k.Role), "label": k.Label, "subject": k.Subject, "personal_data": strconv.FormatBool(k.PersonalData)}
	if !k.Expires.IsZero() {
		detail["expires_at"] = k.Expires.UTC().Format(eventTime)
	}
	return one(audit.KeyCreated, detail)
}

func keyRevoked(k record.APIKey) []audit.Event {
	return one(audit.KeyRevoked, map[string]string{"role": string(k.Role), "label": k.Label})
}

func tokenSubject(id string) audit.Subject { return audit.Subject{Kind: audit.ConnectorToken, ID: id} }

func tokenCreated(t record.ConnectorToken) []audit.Event {
	return one(audit.TokenCreated, map[string]string{"label": t.Label, "providers": strings.Join(t.Providers, ","), "environment": t.Environment,
		"api_environment": string(t.APIEnvironment), "uses": strconv.FormatInt(t.Uses, 10), "expires_at": t.Expires.UTC().Format(eventTime)})
}

func tokenRevoked(t record.ConnectorToken) []audit.Event {
	return one(audit.TokenRevoked, map[string]string{"label": t.Label})
}

func tenantCreated(t record.Tenant) []audit.Event {
	return one(audit.TenantCreated, map[string]string{"name": t.Name})
}

// authorizationBegun tells of a request, and of the one whose place it takes.
func authorizationBegun(r record.Request, supersede []store.Op) []audit.Event {
	var out []audit.Event
	for _, op := range supersede {
		out = append(out, one(audit.AuthorizationSuperseded, map[string]string{"request": strings.TrimPrefix(op.Key.Sort, "request#")})...)
	}
	return append(out, one(audit.AuthorizationBegun, ofRequest(r))...)
}

func ofRequest(r record.Request) map[string]string {
	return map[string]string{"request": r.ID, "mode": string(r.Mode), "begun_by": r.Principal}
}

// authorizationFailed tells why. What is not final may be tried again with the same request.
func authorizationFailed(r record.Request, final bool, code ...string) []audit.Event {
	detail := ofRequest(r)
	detail["final"] = strconv.FormatBool(final)
	out := one(audit.AuthorizationFailed, detail)
	out[0].Outcome, out[0].Code = audit.Failure, strings.Join(code, ",")
	return out
}

func authorizationDenied(r record.Request, code string) []audit.Event {
	out := one(audit.AuthorizationDenied, ofRequest(r))
	out[0].Outcome, out[0].Code = audit.Failure, code
	return out
}

// authorizationCompleted tells of an authorization, and that it made an entry of use again.
func authorizationCompleted(before *record.Credential, c record.Credential, r *record.Request) []audit.Event {
	detail := map[string]string{"generation": strconv.FormatInt(c.Generation, 10)}
	if c.Account != nil {
		detail["identity"] = string(c.Account.Identity)
	}
	if r != nil {
		maps.Copy(detail, ofRequest(*r))
	}
	out := one(audit.AuthorizationCompleted, detail)
	if before != nil {
		out = append(out, entryRecovered(*before)...)
	}
	return out
}

// entryRecovered tells that an entry works again which needed a person. Every other refresh that succeeds is ordinary.
func entryRecovered(before record.Credential) []audit.Event {
	if before.Status != record.Reauth {
		return nil
	}
	return one(audit.EntryRecovered, map[string]string{"generation": strconv.FormatInt(before.Generation+1, 10)})
}

// entryReauth tells that an entry needs a person from now on.
func entryReauth(c record.Credential, failure record.Failure, status record.Status, cause record.Cause) []audit.Event {
	if status != record.Reauth || c.Status == record.Reauth {
		return nil
	}
	out := one(audit.EntryReauth, map[string]string{"cause": string(cause), "generation": strconv.FormatInt(c.Generation, 10), "provider_request_id": failure.RequestID})
	out[0].Outcome, out[0].Code = audit.Failure, failure.Outcome
	return out
}

// NoteFailedAuthorization writes down an attempt that left nothing else behind: a refresh token that an owner brought, or
// the first token of a client of the entry's own.
func (v *Vault) NoteFailedAuthorization(ctx context.Context, tenant, entry string, mode record.Mode, code string) error {
	events := one(audit.AuthorizationFailed, map[string]string{"mode": string(mode), "final": "true"})
	events[0].Outcome, events[0].Code = audit.Failure, code
	return v.applyAudited(ctx, tenant, entrySubject(entry), events)
}
