package provider

import "connectorvault/shared/record"

// ConnectorChecker is the capability of providers whose connectors have settings of their own.
type ConnectorChecker interface {
	// CheckConnector checks a connector's Settings against its entry, and the account if there is one yet, and brings
	// them into their stored form: Amazon's country codes become marketplace ids. It returns a *fault.Error that names
	// the field. Settings that no provider shares are refused elsewhere.
	CheckConnector(entry record.Entry, account *record.Account, c *record.Connector) error
}
