package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

const (
	maxName     = 128
	maxSettings = 100 // values of one setting
)

// ConnectorInput is what a request says of a connector; nil members are not said.
type ConnectorInput struct {
	Name     *string           `json:"name,omitempty"`
	Entry    *string           `json:"vault_entry,omitempty"`
	Settings ConnectorSettings `json:"settings,omitempty"`
}

// ConnectorSettings are a connector's settings. In a request each is a list of strings, or one string; null is none.
type ConnectorSettings map[string][]string

// UnmarshalJSON implements json.Unmarshaler.
func (c *ConnectorSettings) UnmarshalJSON(body []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return err
	}
	if raw == nil {
		return nil
	}
	out := ConnectorSettings{}
	for name, value := range raw {
		var one *string
		if json.Unmarshal(value, &one) == nil {
			if one != nil {
				out[name] = []string{*one}
			}
			continue
		}
		var list []string
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		out[name] = list
	}
	*c = out
	return nil
}

// CreateConnector makes a connector on an entry. A repeat under the same idempotency key returns the first one.
func (s *Service) CreateConnector(ctx context.Context, p record.Principal, key string, in ConnectorInput) (record.Connector, error) {
	repeat, err := vault.NewOnce(p, key, "POST /v1/connectors", in)
	if err != nil {
		return record.Connector{}, err
	}
	if id, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || id != "" {
		if err != nil {
			return record.Connector{}, err
		}
		return s.Vault.Connector(ctx, p.Tenant, id)
	}
	if in.Entry == nil || *in.Entry == "" {
		return record.Connector{}, missing("vault_entry").Do("Give the id of a vault entry.")
	}
	entry, err := s.entryOf(ctx, p, *in.Entry)
	if err != nil {
		return record.Connector{}, err
	}
	now := s.Now().UTC()
	c := record.Connector{Tenant: p.Tenant, Entry: entry.ID, Provider: entry.Provider, Settings: map[string][]string{},
		CreatedBy: p.ID, CreatedAt: now, UpdatedAt: now, Revision: 1}
	if in.Name != nil {
		c.Name = *in.Name
	}
	if in.Settings != nil {
		c.Settings = in.Settings
	}
	if err := s.checkConnector(ctx, entry, &c); err != nil {
		return c, err
	}
	if c.ID, err = ident.New(s.Random, ident.Connector); err != nil {
		return c, err
	}
	return s.Vault.CreateConnector(ctx, c, repeat)
}

// entryOf finds the entry that a body names: one that is not there is the body's fault.
func (s *Service) entryOf(ctx context.Context, p record.Principal, id string) (record.Entry, error) {
	if !ident.Valid(id, ident.Entry) {
		return record.Entry{}, vault.NotFound("vault entry", clip(id)).On("vault_entry")
	}
	entry, err := s.Vault.EntryFor(ctx, p, id)
	if err != nil {
		return entry, err
	}
	return entry, nil
}

// checkConnector checks a connector's name and settings against its entry.
func (s *Service) checkConnector(ctx context.Context, entry record.Entry, c *record.Connector) error {
	if err := label("name", c.Name, maxName); err != nil {
		return err
	}
	adapter, err := s.Adapter(c.Provider)
	if err != nil {
		return err
	}
	if err := knownSettings(adapter.Descriptor(), c); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		if len(c.Settings[name]) > maxSettings {
			return invalid("settings."+clip(name), fmt.Sprintf("More than %d values were given.", maxSettings)).Do("Leave the setting out to mean all.")
		}
		if c.Settings[name] == nil {
			delete(c.Settings, name)
		} else if len(c.Settings[name]) == 0 { // which would be for nothing, and is not meant to be for all
			return invalid("settings."+clip(name), "settings."+clip(name)+" is an empty list.").Do("Name what the connector is for; leave the setting out, or null, to mean all.")
		}
	}
	if err := checkResources(adapter.Descriptor(), c); err != nil {
		return err
	}
	checker, ok := adapter.(provider.ConnectorChecker)
	if !ok {
		return nil
	}
	credential, found, err := s.Vault.Credential(ctx, entry.Tenant, entry.ID)
	if err != nil {
		return err
	}
	account := (*record.Account)(nil)
	if found {
		account = credential.Account
	}
	return checker.CheckConnector(entry, account, c)
}

func checkResources(d *provider.Descriptor, c *record.Connector) error {
	for i, name := range c.Settings["resources"] {
		found, ok := d.Resource(name)
		if !ok {
			return invalid("settings.resources", fmt.Sprintf("%s has no resource %q.", d.Title, clip(name))).
				Do("See GET /v1/providers/" + d.Name + " for what can be read.")
		}
		c.Settings["resources"][i] = found.Name // it may have been called by another name
	}
	if names := c.Settings["resources"]; len(names) > 0 {
		c.Settings["resources"] = slices.Compact(slices.Sorted(slices.Values(names)))
	}
	return nil
}

// knownSettings refuses settings that the provider's connectors do not have, and several values where there is one.
func knownSettings(d *provider.Descriptor, c *record.Connector) error {
	known := []string{"resources"}
	c.Singles = nil
	for _, setting := range d.Settings {
		known = append(known, setting.Name)
		if !setting.Single {
			continue
		}
		c.Singles = append(c.Singles, setting.Name)
		if len(c.Settings[setting.Name]) > 1 {
			return invalid("settings."+setting.Name, "More than one value was given.").Do("Give one; a connector has one " + setting.Name + ".")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		if !slices.Contains(known, name) {
			return invalid("settings."+clip(name), fmt.Sprintf("There is no setting %q.", clip(name))).Do("Use " + strings.Join(known, " or ") + ".")
		}
	}
	return nil
}

// UpdateConnector changes a connector's name or settings.
func (s *Service) UpdateConnector(ctx context.Context, p record.Principal, id string, in ConnectorInput) (record.Connector, error) {
	before, err := s.Vault.Connector(ctx, p.Tenant, id)
	if err != nil {
		return before, err
	}
	if in.Entry != nil && *in.Entry != before.Entry {
		return before, invalid("vault_entry", "A connector stays with its vault entry.").Do("Make a new connector.")
	}
	after := before
	if in.Name != nil {
		after.Name = *in.Name
	}
	if in.Settings != nil {
		after.Settings = in.Settings
	}
	entry, err := s.Vault.Entry(ctx, p.Tenant, before.Entry)
	if err != nil {
		return before, err
	}
	if err := s.checkConnector(ctx, entry, &after); err != nil {
		return before, err
	}
	after.UpdatedAt = s.Now().UTC()
	return s.Vault.UpdateConnector(ctx, before, after)
}

// ListConnectors lists connectors by id, of one entry or of all.
func (s *Service) ListConnectors(ctx context.Context, p record.Principal, entry, providerName, after string, limit int) (vault.Page[record.Connector], error) {
	page, err := s.Vault.Connectors(vault.Showing(ctx), p.Tenant, after, limit, func(c record.Connector) bool {
		return p.MayRead(c.ID) && (entry == "" || c.Entry == entry) && (providerName == "" || strings.EqualFold(c.Provider, providerName))
	})
	page.Newer = slices.DeleteFunc(page.Newer, func(sort string) bool { return !p.MayRead(strings.TrimPrefix(sort, "connector#")) })
	return page, err
}

// DeleteConnector removes a connector.
func (s *Service) DeleteConnector(ctx context.Context, p record.Principal, id string) error {
	c, err := s.Vault.Connector(ctx, p.Tenant, id)
	if err != nil {
		return err
	}
	return s.Vault.DeleteConnector(ctx, c)
}
