package amazon

import (
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

var _ provider.ConnectorChecker = (*Adapter)(nil)

// CheckConnector implements provider.ConnectorChecker: the marketplaces of a connector lie in the region of its entry
// and, once the account is known, among those that it takes part in. They are stored as marketplace ids, each once.
// Codes: unknown_marketplace, region_mismatch, invalid_field.
func (a *Adapter) CheckConnector(entry record.Entry, account *record.Account, c *record.Connector) error {
	given, named := c.Settings[connectorMarketplaces]
	if !named {
		return nil
	}
	var ids []string
	for _, code := range given {
		id, err := a.marketplaceOf(entry, account, code)
		if err != nil {
			return err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return invalid(connectorMarketplaces, "The list of marketplaces is empty.").Do("Name at least one, or leave the setting out.")
	}
	c.Settings[connectorMarketplaces] = ids
	return nil
}

func (a *Adapter) marketplaceOf(entry record.Entry, account *record.Account, code string) (string, error) {
	code = strings.TrimSpace(code)
	var members []record.Member
	if account != nil {
		members = account.Members
	}
	takesPart := func(id string) bool {
		return slices.ContainsFunc(members, func(m record.Member) bool { return m.ID == id })
	}
	where, known := a.places.find(code)
	switch {
	case !known && takesPart(code):
		return code, nil // Amazon has marketplaces that the table does not
	case !known:
		return "", fault.New(fault.Invalid, "unknown_marketplace", "Amazon has no marketplace of that code.").
			On(connectorMarketplaces).Do("Use marketplace ids, or country codes of: " + strings.Join(a.places.countries(), ", ") + ".")
	case where.Region != a.home(entry).Region:
		return "", fault.New(fault.Invalid, "region_mismatch",
			"The marketplace "+where.Country+" belongs to region "+where.Region+", and the vault entry is for region "+a.home(entry).Region+".").
			On(connectorMarketplaces).Do("Use a vault entry for region " + where.Region + ".")
	case len(members) > 0 && !takesPart(where.ID):
		return "", invalid(connectorMarketplaces, "The account does not take part in the marketplace "+where.Country+".").
			Do("Name marketplaces of the account, or authorize the vault entry again after the account has joined.")
	}
	return where.ID, nil
}
