package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// How long what people type may be.
const (
	MaxAlias       = 128 // characters
	maxEnvironment = 64
	maxSetting     = 2048
)

// entryMembers are the members of an entry that every provider's has.
var entryMembers = []string{"provider", "alias", "environment", "api_environment", "disabled"}

// CreateEntry makes a vault entry; it is pending until it is authorized. A repeat under the same idempotency key
// returns the entry of the first time.
func (s *Service) CreateEntry(ctx context.Context, p record.Principal, key string, in Fields) (record.Entry, error) {
	repeat, err := vault.NewOnce(p, key, "POST /v1/vault-entries", in)
	if err != nil {
		return record.Entry{}, err
	}
	// It is read before the earlier try is looked for: that one may take the last use meanwhile.
	token, err := s.tokenOf(ctx, p)
	if err != nil {
		return record.Entry{}, err
	}
	if id, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || id != "" {
		if err != nil {
			return record.Entry{}, err
		}
		return s.createdBefore(ctx, p, id, repeat)
	}
	entry, secrets, err := s.newEntry(p, token, in)
	if err != nil {
		return entry, err
	}
	if err := token.exhausted(); err != nil {
		return entry, err
	}
	// The secrets are stored before the record that names their versions; what no record names is removed as an orphan.
	if err := s.putSecrets(ctx, entry, secrets); err != nil {
		return entry, err
	}
	made, err := s.Vault.CreateEntry(ctx, entry, repeat)
	if kind := fault.KindOf(err); made.ID != entry.ID || kind == fault.Conflict || kind == fault.Forbidden { // an earlier try of the request made it, or nobody did
		s.dropSecrets(ctx, entry, entry.Secrets)
	}
	if err != nil || made.ID != entry.ID {
		return made, err
	}
	return made, s.connect(ctx, p, made, repeat)
}

func (s *Service) newEntry(p record.Principal, token *holding, in Fields) (record.Entry, secretValues, error) {
	name, err := in.text("provider")
	if err != nil {
		return record.Entry{}, nil, err
	}
	adapter, err := s.known(name)
	if err != nil {
		return record.Entry{}, nil, err
	}
	d := adapter.Descriptor()
	if err := mayMake(p, token, d); err != nil {
		return record.Entry{}, nil, err
	}
	if err := s.licensed(d); err != nil {
		return record.Entry{}, nil, err
	}
	in = token.complete(in)
	if in, err = imported(adapter, in); err != nil {
		return record.Entry{}, nil, err
	}
	if err := in.unknown(append(entryMembers[:len(entryMembers)-1:len(entryMembers)-1], names(d.Fields)...)); err != nil {
		return record.Entry{}, nil, err
	}
	now := s.Now().UTC()
	e := record.Entry{Tenant: p.Tenant, Provider: d.Name, Settings: map[string]string{}, CreatedBy: p.ID, CreatedAt: now, UpdatedAt: now, Revision: 1}
	if err := s.edit(&e, adapter, in); err != nil {
		return e, nil, err
	}
	secrets, err := s.editSecrets(&e, d, in)
	if err != nil {
		return e, nil, err
	}
	env, err := in.text("api_environment")
	if err != nil {
		return e, nil, err
	}
	if e.APIEnvironment, err = side(env); err != nil {
		return e, nil, err
	}
	if err := s.checkEntry(&e, adapter, secrets); err != nil {
		return e, nil, err
	}
	if err := token.bind(&e); err != nil {
		return e, nil, err
	}
	e.ID, err = ident.New(s.Random, ident.Entry)
	return e, secrets, err
}

// edit takes over what a request says of an entry.
func (s *Service) edit(e *record.Entry, adapter provider.Adapter, in Fields) error {
	for name, into := range map[string]*string{"alias": &e.Alias, "environment": &e.Environment} {
		if _, ok := in[name]; !ok {
			continue
		}
		value, err := in.text(name)
		if err != nil {
			return err
		}
		*into = value
	}
	for _, f := range adapter.Descriptor().Fields {
		if _, ok := in[f.Name]; !ok || f.Secret {
			continue
		}
		value, err := in.setting(f)
		if err != nil {
			return err
		}
		e.Flags = slices.DeleteFunc(e.Flags, func(name string) bool { return name == f.Name })
		if value == "" {
			delete(e.Settings, f.Name)
			continue
		}
		e.Settings[f.Name] = value
		if f.Flag {
			e.Flags = append(e.Flags, f.Name)
		}
	}
	return nil
}

// setting reads what a request says of a field that is no secret; "" for nothing, and for a flag that is false.
func (f Fields) setting(field provider.Field) (string, error) {
	if field.Flag {
		return f.flag(field.Name)
	}
	value, err := f.text(field.Name)
	if err == nil && len(value) > maxSetting {
		err = invalid(field.Name, field.Name+" is longer than any such value.").Do("Check what was pasted.")
	}
	return strings.TrimSpace(value), err
}

func (f Fields) flag(name string) (string, error) {
	var value *bool
	if err := json.Unmarshal(f[name], &value); err != nil {
		return "", invalid(name, name+" is neither true nor false.").Do("Send true or false.")
	}
	if value == nil || !*value {
		return "", nil
	}
	return "true", nil
}

func (s *Service) checkEntry(e *record.Entry, adapter provider.Adapter, secrets secretValues) error {
	if err := label("alias", e.Alias, MaxAlias); err != nil {
		return err
	}
	if err := slug("environment", e.Environment, maxEnvironment); err != nil {
		return err
	}
	if err := adapter.Normalize(e); err != nil {
		return err
	}
	checker, ok := adapter.(provider.Checker)
	if !ok || len(secrets) == 0 {
		return nil
	}
	material, err := s.checkSecrets(*e, checker, secrets)
	if material != nil {
		e.Material = material
	}
	return err
}

// checkSecrets has a provider look at secrets; what is public of them is nil where nothing is.
func (s *Service) checkSecrets(e record.Entry, checker provider.Checker, secrets secretValues) (*record.Material, error) {
	given := map[string]secret.Text{}
	for _, values := range secrets {
		maps.Copy(given, values)
	}
	material, err := checker.CheckSecrets(e, given, s.Now())
	if material.Fingerprint == "" {
		return nil, err
	}
	return &material, err
}

// UpdateEntry changes an entry. Once it is authorized, what decides where its token is sent stays as it is. Secrets that are
// changed are stored under names of their own before the record that names them, and those before are removed after it: at
// every moment the record's are there.
func (s *Service) UpdateEntry(ctx context.Context, p record.Principal, id string, in Fields) (record.Entry, error) {
	for try := 0; ; try++ {
		before, err := s.Vault.Entry(ctx, p.Tenant, id)
		if err != nil {
			return before, err
		}
		if err := s.mayTouchEntry(p, before); err != nil {
			return before, err
		}
		after, secrets, err := s.changed(ctx, before, in)
		if err != nil {
			return before, err
		}
		if err := s.putSecrets(ctx, after, secrets); err != nil {
			return before, err
		}
		stored, err := s.Vault.UpdateEntry(ctx, before, after)
		removed, added := without(before.Secrets, after.Secrets), without(after.Secrets, before.Secrets)
		switch {
		case err == nil:
			s.dropSecrets(ctx, before, removed)
		case fault.KindOf(err) == fault.Conflict: // nothing was stored
			s.dropSecrets(ctx, after, added)
		}
		// Of two who change secrets at once each gives them whole, so the later one need not hear of the earlier.
		if fault.CodeOf(err) != "changed_meanwhile" || len(removed)+len(added) == 0 || try == 4 {
			return stored, err
		}
	}
}

func (s *Service) mayTouchEntry(p record.Principal, e record.Entry) error {
	adapter, err := s.Adapter(e.Provider)
	if err != nil {
		return err
	}
	return mayTouch(p, adapter.Descriptor())
}

// changed is an entry as a request wants it, checked, with the secrets that are to be stored for it.
func (s *Service) changed(ctx context.Context, before record.Entry, in Fields) (record.Entry, secretValues, error) {
	adapter, err := s.Adapter(before.Provider)
	if err != nil {
		return before, nil, err
	}
	d := adapter.Descriptor()
	for _, fixed := range []string{"provider", "api_environment"} {
		if _, ok := in[fixed]; ok {
			return before, nil, invalid(fixed, fixed+" of a vault entry does not change.").Do("Make a new vault entry.")
		}
	}
	if err := ofClient(before.ID, d, in); err != nil {
		return before, nil, err
	}
	if err := in.unknown(append(entryMembers[:len(entryMembers):len(entryMembers)], names(d.Fields)...)); err != nil {
		return before, nil, err
	}
	after := before
	after.Settings, after.Secrets, after.Flags = maps.Clone(before.Settings), maps.Clone(before.Secrets), slices.Clone(before.Flags)
	relocate(d, in, after.Settings)
	if err := s.edit(&after, adapter, in); err != nil {
		return before, nil, err
	}
	secrets, err := s.editSecrets(&after, d, in)
	if err != nil {
		return before, nil, err
	}
	if raw, ok := in["disabled"]; ok {
		if err := json.Unmarshal(raw, &after.Disabled); err != nil {
			return before, nil, invalid("disabled", "disabled is neither true nor false.").Do("Send true or false.")
		}
	}
	if err := s.checkEntry(&after, adapter, secrets); err != nil {
		return before, nil, err
	}
	after.UpdatedAt = s.Now().UTC()
	return after, secrets, s.mayMove(ctx, before, after, adapter)
}

// relocate forgets the marketplace when only a region is given, and the region when only a marketplace is: each
// follows from the other.
func relocate(d *provider.Descriptor, in Fields, settings map[string]string) {
	if len(d.Regions) == 0 {
		return
	}
	_, region := in["region"]
	_, marketplace := in["marketplace"]
	if region && !marketplace {
		delete(settings, "marketplace")
	}
	if marketplace && !region {
		delete(settings, "region")
	}
}

// mayMove refuses a change after which an account's token would be sent to another host, by another client, or to another
// kind of account.
func (s *Service) mayMove(ctx context.Context, before, after record.Entry, adapter provider.Adapter) error {
	field := ""
	for _, f := range adapter.Descriptor().Fields {
		if f.Fixed && before.Settings[f.Name] != after.Settings[f.Name] {
			field = f.Name
			break
		}
	}
	reader, ok := adapter.(provider.Reader)
	if field == "" && (!ok || reader.BaseURL(before) == reader.BaseURL(after)) {
		return nil
	}
	_, authorized, err := s.Vault.Credential(ctx, before.Tenant, before.ID)
	if err != nil || !authorized {
		return err
	}
	for _, f := range adapter.Descriptor().Fields { // none that is fixed: then one that led to another host
		if field == "" && before.Settings[f.Name] != after.Settings[f.Name] {
			field = f.Name
		}
	}
	return fault.New(fault.Conflict, "vault_entry_authorized", "This vault entry is authorized, and what was authorized is bound to this.").
		On(field).Do("Make a new vault entry for the other one.")
}

// EntryFilter says which entries to list; an empty member takes all.
type EntryFilter struct{ Provider, Environment, APIEnvironment, Alias, Status string }

// ListEntries lists entries by id.
func (s *Service) ListEntries(ctx context.Context, p record.Principal, f EntryFilter, after string, limit int) (vault.Page[vault.EntryState], error) {
	switch record.Status(f.Status) {
	case "", record.Pending, record.Active, record.Reauth, record.Disabled:
	default:
		return vault.Page[vault.EntryState]{}, invalid("status", fmt.Sprintf("There is no status %q.", clip(f.Status))).
			Do("Use pending, active, reauthorization_required or disabled.")
	}
	is := func(want, have string) bool { return want == "" || want == have }
	return s.Vault.EntryStates(vault.Showing(ctx), p.Tenant, after, limit, func(e vault.EntryState) bool {
		return is(f.Provider, e.Entry.Provider) && is(f.Environment, e.Entry.Environment) && is(f.Alias, e.Entry.Alias) &&
			is(f.APIEnvironment, string(e.Entry.APIEnvironment)) && is(f.Status, string(e.Status()))
	})
}

// DeleteEntry removes an entry with its tokens.
func (s *Service) DeleteEntry(ctx context.Context, p record.Principal, id string) error {
	entry, err := s.Vault.EntryFor(ctx, p, id)
	if err != nil {
		return err
	}
	// The holder of a connector token removes their own entries, whatever the provider, while nothing is connected: so a
	// use comes back.
	pending := p.Role == record.TokenHolder
	if !pending {
		if err := s.mayTouchEntry(p, entry); err != nil {
			return err
		}
	}
	if entry.Connectors > 0 { // asked again where it counts, in the transaction
		return fault.New(fault.Conflict, "vault_entry_in_use", "A connector uses this vault entry.").Do("Delete its connectors first.")
	}
	_, err = s.Tokens(ctx, tokens.Call{Op: tokens.Forget, Tenant: p.Tenant, Entry: id, Pending: pending})
	return err
}
