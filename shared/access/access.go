// Package access says which role may do what.
//
// The argument: a right that is asked for in the middle of a use case is forgotten in the next one. So rights are data:
// each route names the one that it takes, each role has a list, and a request is held against both before anything of
// it is looked at. The few rights that depend on what a request says are asked for here too, in the same words. What
// nobody was given, nobody has: an unknown role, an unknown right and a route without one are all refused.
package access

import (
	"fmt"
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
)

// Right is one thing that may be done.
type Right string

// The rights that routes take.
const (
	SeeProviders     Right = "providers.read"
	SeeApps          Right = "provider-apps.read"
	RegisterApps     Right = "provider-apps.write"
	SeeEntries       Right = "vault-entries.read"
	SeeEntry         Right = "vault-entry.read" // one that is named
	CreateEntries    Right = "vault-entries.create"
	ChangeEntries    Right = "vault-entries.write"
	DeleteEntries    Right = "vault-entries.delete"
	Authorize        Right = "vault-entries.authorize"
	Validate         Right = "vault-entries.validate"
	Refresh          Right = "vault-entries.refresh"
	Check            Right = "vault-entries.check"
	SeeConnectors    Right = "connectors.read"
	CreateConnectors Right = "connectors.create"
	ChangeConnectors Right = "connectors.write" // deleting too
	Preflight        Right = "preflight"        // asking what is missing before an account can be connected
	ReadData         Right = "data.read"
	AskForData       Right = "data.create" // a report, which the provider makes because it was asked
	SeeEvents        Right = "events.read"
	SeeAudit         Right = "audit-events.read"
	SeeKeys          Right = "keys.read"
	ManageKeys       Right = "keys.write"
	SeeTokens        Right = "connector-tokens.read"
	ManageTokens     Right = "connector-tokens.write"
	SeeWebhooks      Right = "webhooks.read"
	ManageWebhooks   Right = "webhooks.write"
)

// The rights that depend on what a request says.
const (
	GuardedEntries Right = "guarded-vault-entries.write" // making, changing and deleting entries of a provider that is for owners
	AdoptTokens    Right = "refresh-tokens.adopt"        // connecting an account by a refresh token that somebody has
)

// roles is who may do what. Each role may do what the ones below it may.
var roles = map[record.Role][]Right{
	record.Owner:    {RegisterApps, SeeKeys, ManageKeys, GuardedEntries, AdoptTokens},
	record.Admin:    {SeeApps, SeeAudit, CreateEntries, ChangeEntries, DeleteEntries, CreateConnectors, ChangeConnectors, SeeWebhooks, ManageWebhooks, SeeTokens, ManageTokens},
	record.Operator: {SeeEntries, SeeEntry, Authorize, Validate, Refresh, Check, Preflight, AskForData, SeeEvents},
	record.Reader:   {SeeProviders, SeeConnectors, ReadData},
}

// ladder are the roles that people and programs are given, the mightiest first.
var ladder = []record.Role{record.Owner, record.Admin, record.Operator, record.Reader}

// apart are roles beside the ladder: each may do what is listed, and nothing of what others may. A credential that is
// good for one purpose has one.
//
// What the holder of a connector token may is meant of what the token names: its providers, and the entries that were made
// with it. The use cases keep to that; who gave the token is who says what it names.
var apart = map[record.Role][]Right{
	record.TokenHolder: {SeeProviders, Preflight, CreateEntries, SeeEntry, Authorize, Validate, DeleteEntries, CreateConnectors},
}

// Roles are the roles that a key or an issuer's token can have, the mightiest first.
func Roles() []record.Role { return slices.Clone(ladder) }

// May reports whether a role has a right.
func May(role record.Role, right Right) bool {
	if right == "" {
		return false
	}
	at := slices.Index(ladder, role)
	if at < 0 {
		return slices.Contains(apart[role], right)
	}
	return slices.ContainsFunc(ladder[at:], func(r record.Role) bool { return slices.Contains(roles[r], right) })
}

// Need refuses a principal whose role lacks a right, and says who has it.
func Need(p record.Principal, right Right) error {
	if p.Tenant == "" || p.ID == "" || right == "" {
		return fault.New(fault.Forbidden, "forbidden", "The request comes from nobody who may do this.").Do("Send a key of this vault.")
	}
	if May(p.Role, right) {
		return nil
	}
	return fault.New(fault.Forbidden, "forbidden", fmt.Sprintf("This needs the right %s, which %s does not have.", right, called(p.Role))).
		Do("Use a key whose role is " + holders(right) + ".")
}

// NeedConnector refuses a principal that may read other connectors only. It is asked before anything is looked up, so
// that the answer does not tell whether there is such a connector.
func NeedConnector(p record.Principal, connector string) error {
	if p.MayRead(connector) {
		return nil
	}
	return fault.New(fault.Forbidden, "forbidden", "This key is for other connectors only.").
		Do("Use one of those that GET /v1/connectors lists, or another key.")
}

func called(role record.Role) string {
	if slices.Contains(ladder, role) || apart[role] != nil {
		return "the role " + string(role)
	}
	return "a role that is not known here"
}

// holders names those of the ladder that have a right.
func holders(right Right) string {
	var names []string
	for _, role := range ladder {
		if May(role, right) {
			names = append(names, string(role))
		}
	}
	if right == CreateConnectors {
		return strings.Join(names, " or ") + ", or a connector token"
	}
	return strings.Join(names, " or ")
}
