package sage

import (
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// connectorBusiness is the connector's setting that names the business it reads.
const connectorBusiness = "business"

var businessShape = provider.NewShape(`^[0-9a-f]{32}$`)

// CheckConnector implements provider.ConnectorChecker: a connector names the one business that it reads, and once the
// account is known, one of the account's. A business whose subscription has lapsed is taken: it can be renewed, and
// reads say so until then. Codes: invalid_field.
func (a *Adapter) CheckConnector(entry record.Entry, account *record.Account, c *record.Connector) error {
	given := c.Settings[connectorBusiness]
	if isLegacy(entry) {
		if len(given) > 0 {
			return badBusiness("With profile legacy_v3 the authorization itself is for one business.").Do("Leave the setting out.")
		}
		return nil
	}
	switch {
	case len(given) == 0:
		return noBusiness()
	case len(given) > 1:
		return badBusiness("A connector reads one business, and several were named.").Do("Name one, and make a connector for each of the others.")
	}
	id := strings.ToLower(strings.TrimSpace(given[0]))
	if !businessShape.MatchString(id) {
		return badBusiness("The id of a business has 32 hexadecimal digits.").Do("Copy it from account.members of the vault entry.")
	}
	if account != nil && len(account.Members) > 0 {
		member, found := memberOf(*account, id)
		if !found {
			return badBusiness("The user who authorized the vault entry has no such business.").
				Do("Name one of account.members of the vault entry; if the business is new, authorize the entry again.")
		}
		id = member.ID
	}
	c.Settings[connectorBusiness] = []string{id}
	return nil
}

func memberOf(account record.Account, id string) (record.Member, bool) {
	for _, m := range account.Members {
		if strings.EqualFold(m.ID, id) {
			return m, true
		}
	}
	return record.Member{}, false
}

// noBusiness is what a connector hears that names none. Sage would not mind: it would answer for the user's leading
// business, whichever that is on the day (Sage facts 2.1).
func noBusiness() *fault.Error {
	return badBusiness("The connector names no business, and Sage would answer for whichever is the user's leading one.").
		Do("Give business the id of one; the ids are in account.members of the vault entry, once it is authorized.")
}

func badBusiness(detail string) *fault.Error { return invalid("settings."+connectorBusiness, detail) }
