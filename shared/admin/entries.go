package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
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
	if id, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || id != "" {
		if err != nil {
			return record.Entry{}, err
		}
		return s.Vault.Entry(ctx, p.Tenant, id)
	}
	entry, err := s.newEntry(p, in)
	if err != nil {
		return entry, err
	}
	return s.Vault.CreateEntry(ctx, entry, repeat)
}

func (s *Service) newEntry(p record.Principal, in Fields) (record.Entry, error) {
	name, err := in.text("provider")
	if err != nil {
		return record.Entry{}, err
	}
	adapter, err := s.known(name)
	if err != nil {
		return record.Entry{}, err
	}
	d := adapter.Descriptor()
	if err := in.unknown(append(entryMembers[:len(entryMembers)-1:len(entryMembers)-1], names(d.Fields)...)); err != nil {
		return record.Entry{}, err
	}
	now := s.Now().UTC()
	e := record.Entry{Tenant: p.Tenant, Provider: d.Name, Settings: map[string]string{}, CreatedBy: p.ID, CreatedAt: now, UpdatedAt: now, Revision: 1}
	if err := s.edit(&e, adapter, in); err != nil {
		return e, err
	}
	env, err := in.text("api_environment")
	if err != nil {
		return e, err
	}
	if e.APIEnvironment, err = side(env); err != nil {
		return e, err
	}
	if err := checkEntry(&e, adapter); err != nil {
		return e, err
	}
	e.ID, err = ident.New(s.Random, ident.Entry)
	return e, err
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
		if _, ok := in[f.Name]; !ok {
			continue
		}
		value, err := in.text(f.Name)
		if err != nil {
			return err
		}
		if len(value) > maxSetting {
			return invalid(f.Name, f.Name+" is longer than any such value.").Do("Check what was pasted.")
		}
		if value = strings.TrimSpace(value); value == "" {
			delete(e.Settings, f.Name)
			continue
		}
		e.Settings[f.Name] = value
	}
	return nil
}

func checkEntry(e *record.Entry, adapter provider.Adapter) error {
	if err := label("alias", e.Alias, MaxAlias); err != nil {
		return err
	}
	if err := slug("environment", e.Environment, maxEnvironment); err != nil {
		return err
	}
	return adapter.Normalize(e)
}

// UpdateEntry changes an entry. Once it is authorized, what decides where its token is sent stays as it is.
func (s *Service) UpdateEntry(ctx context.Context, p record.Principal, id string, in Fields) (record.Entry, error) {
	before, err := s.Vault.Entry(ctx, p.Tenant, id)
	if err != nil {
		return before, err
	}
	adapter, err := s.Adapter(before.Provider)
	if err != nil {
		return before, err
	}
	for _, fixed := range []string{"provider", "api_environment"} {
		if _, ok := in[fixed]; ok {
			return before, invalid(fixed, fixed+" of a vault entry does not change.").Do("Make a new vault entry.")
		}
	}
	if err := in.unknown(append(entryMembers[:len(entryMembers):len(entryMembers)], names(adapter.Descriptor().Fields)...)); err != nil {
		return before, err
	}
	after := before
	after.Settings = maps.Clone(before.Settings)
	relocate(adapter.Descriptor(), in, after.Settings)
	if err := s.edit(&after, adapter, in); err != nil {
		return before, err
	}
	if raw, ok := in["disabled"]; ok {
		if err := json.Unmarshal(raw, &after.Disabled); err != nil {
			return before, invalid("disabled", "disabled is neither true nor false.").Do("Send true or false.")
		}
	}
	if err := checkEntry(&after, adapter); err != nil {
		return before, err
	}
	if err := s.mayMove(ctx, before, after, adapter); err != nil {
		return before, err
	}
	after.UpdatedAt = s.Now().UTC()
	return s.Vault.UpdateEntry(ctx, before, after)
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

// mayMove refuses a change after which an account's token would be sent to another host, or to another kind of account.
func (s *Service) mayMove(ctx context.Context, before, after record.Entry, adapter provider.Adapter) error {
	reader, ok := adapter.(provider.Reader)
	same := before.Settings["account_type"] == after.Settings["account_type"]
	if ok {
		same = same && reader.BaseURL(before) == reader.BaseURL(after) && before.Settings["region"] == after.Settings["region"]
	}
	if same {
		return nil
	}
	_, authorized, err := s.Vault.Credential(ctx, before.Tenant, before.ID)
	if err != nil || !authorized {
		return err
	}
	return fault.New(fault.Conflict, "vault_entry_authorized", "This vault entry is authorized for an account, which is in one region and of one type.").
		Do("Make a new vault entry for the other one.")
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
	return s.Vault.EntryStates(ctx, p.Tenant, after, limit, func(e vault.EntryState) bool {
		return is(f.Provider, e.Entry.Provider) && is(f.Environment, e.Entry.Environment) && is(f.Alias, e.Entry.Alias) &&
			is(f.APIEnvironment, string(e.Entry.APIEnvironment)) && is(f.Status, string(e.Status()))
	})
}

// DeleteEntry removes an entry with its tokens.
func (s *Service) DeleteEntry(ctx context.Context, p record.Principal, id string) error {
	entry, err := s.Vault.Entry(ctx, p.Tenant, id)
	if err != nil {
		return err
	}
	if entry.Connectors > 0 { // asked again where it counts, in the transaction
		return fault.New(fault.Conflict, "vault_entry_in_use", "A connector uses this vault entry.").Do("Delete its connectors first.")
	}
	_, err = s.Tokens(ctx, tokens.Call{Op: tokens.Forget, Tenant: p.Tenant, Entry: id})
	return err
}
