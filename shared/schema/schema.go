// Package schema numbers the forms in which things are kept and sent.
//
// The argument: for a while after a deployment two versions of the bundle run at once, on one store and one set of queues,
// and either may meet what the other has written. A form that has a number can be told from one that is merely odd. So
// each kind has one, and the table here is the only place that says which number this version writes and which it still
// reads. What carries a higher one was written by a newer version: it is refused with fault.Newer, and is never overwritten,
// removed or taken for something else. docs/upgrades.md says how a number is raised.
package schema

import (
	"maps"
	"slices"
)

// Attr is the attribute of an item, and the member of a message, that holds the number. Where it is absent the number is 1.
const Attr = "schema"

// Kind is a sort of thing that is kept, or sent from one function to another.
type Kind string

// What is kept as items.
const (
	Tenant         Kind = "tenant"
	TenantLine     Kind = "tenant_line" // a line of the list of tenants
	Entry          Kind = "vault_entry"
	Alias          Kind = "alias"
	App            Kind = "provider_app"
	AppClient      Kind = "app_client" // what leads from a client to its application
	Connector      Kind = "connector"
	Key            Kind = "key"
	ConnectorToken Kind = "connector_token"
	Webhook        Kind = "webhook"
	Webhooks       Kind = "webhooks" // how many of them a tenant has
	Event          Kind = "event"
	EventOrder     Kind = "event_order" // what keeps a tenant's events in order
	EventOnce      Kind = "event_once"  // what keeps an event from coming twice
	AuditEvent     Kind = "audit_event"
	AuditPlace     Kind = "audit_place" // a tombstone or an anchor; a head lies in its subject's record
	Credential     Kind = "credential"
	Request        Kind = "authorization_request"
	OpenRequest    Kind = "open_request"
	Once           Kind = "once" // the note that makes a request repeatable
	Grant          Kind = "grant"
	Note           Kind = "note" // what may be lost, and lives longer than a minute
)

// What travels, or lies inside something else.
const (
	Call     Kind = "call"  // to the token service, at once or through a queue
	Reply    Kind = "reply" // of the token service
	Rescued  Kind = "rescued"
	Delivery Kind = "webhook_message"
	TokenSet Kind = "token_set"   // what is sealed into a credential or a request
	Cursor   Kind = "read_cursor" // what is sealed into the cursor of a read
	Seal     Kind = "seal"        // the envelope of everything sealed: its first byte
	Keyring  Kind = "keyring"
)

// Number says which number of a kind this version writes, and up to which it reads. While a change is brought in, the
// second is one ahead of the first.
type Number struct{ Writes, Reads int64 }

// numbers has a line for every kind.
var numbers = map[Kind]Number{
	Tenant:         {1, 1},
	TenantLine:     {1, 1},
	Entry:          {1, 1},
	Alias:          {1, 1},
	App:            {1, 1},
	AppClient:      {1, 1},
	Connector:      {1, 1},
	Key:            {1, 1},
	ConnectorToken: {1, 1},
	Webhook:        {1, 1},
	Webhooks:       {1, 1},
	Event:          {1, 1},
	EventOrder:     {1, 1},
	EventOnce:      {1, 1},
	AuditEvent:     {1, 1},
	AuditPlace:     {1, 1},
	Credential:     {1, 1},
	Request:        {1, 1},
	OpenRequest:    {1, 1},
	Once:           {1, 1},
	Grant:          {1, 1},
	Note:           {1, 1},

	Call:     {1, 1},
	Reply:    {1, 1},
	Rescued:  {1, 1},
	Delivery: {1, 1},
	TokenSet: {1, 1},
	Cursor:   {1, 1},
	Seal:     {1, 1},
	Keyring:  {1, 1},
}

// Of returns the number of a kind; the zero Number for one that there is not.
func Of(k Kind) Number { return numbers[k] }

// Kinds lists them all, sorted.
func Kinds() []Kind { return slices.Sorted(maps.Keys(numbers)) }

// Found is the number that a thing carries, as it is meant: one without carries 1.
func Found(carried int64) int64 { return max(carried, 1) }

// Newer reports whether a thing of the kind that carries a number was written by a version newer than this one.
func (k Kind) Newer(carried int64) bool { return Found(carried) > numbers[k].Reads }

// Carried is the number as a message of the kind carries it: 0, which is left out, for the first form, so that it is the
// same bytes as before there were numbers.
func (k Kind) Carried() int64 {
	if n := numbers[k].Writes; n > 1 {
		return n
	}
	return 0
}
