// Package audit is what is written down of who changed what: events, in one chain for each thing that they are about.
//
// The argument: a record of changes is worth something only if it cannot be changed in turn. Whoever can write the table
// could put anything there, so each event carries a MAC under a key that is not in the table, over itself and the MAC of
// the event before, and what names a chain's end carries one of its own. This package says what an event is and which
// bytes are authenticated. Package vault writes each event in the transaction of the change that it tells of, and walks
// the chains.
package audit

import (
	"context"
	"encoding/binary"
	"time"
)

// Kind says what a chain is about.
type Kind string

// The kinds. What has no record of its own is about the tenant.
const (
	VaultEntry     Kind = "vault_entry"
	ProviderApp    Kind = "provider_app"
	Connector      Kind = "connector"
	ConnectorToken Kind = "connector_token"
	Key            Kind = "key"
	Tenant         Kind = "tenant"
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{VaultEntry, ProviderApp, Connector, ConnectorToken, Key, Tenant} }

// Subject is what a chain is about. Each has one, from its creation until retention has taken the last event.
type Subject struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// AppID is a provider app's id as a subject; records name it by provider and side.
func AppID(provider, environment string) string { return provider + "/" + environment }

// Action says what was done.
type Action string

// The actions.
const (
	EntryCreated   Action = "vault_entry.created"
	EntryUpdated   Action = "vault_entry.updated"
	EntryDisabled  Action = "vault_entry.disabled"
	EntryEnabled   Action = "vault_entry.enabled"
	EntryDeleted   Action = "vault_entry.deleted"
	EntryReauth    Action = "vault_entry.reauthorization_required"
	EntryRecovered Action = "vault_entry.recovered"

	AuthorizationBegun      Action = "authorization.begun"
	AuthorizationSuperseded Action = "authorization.superseded"
	AuthorizationDenied     Action = "authorization.denied"
	AuthorizationFailed     Action = "authorization.failed"
	AuthorizationCompleted  Action = "authorization.completed"

	AppCreated  Action = "provider_app.created"
	AppReplaced Action = "provider_app.replaced"

	ConnectorCreated Action = "connector.created"
	ConnectorUpdated Action = "connector.updated"
	ConnectorDeleted Action = "connector.deleted"

	KeyCreated Action = "key.created"
	KeyRevoked Action = "key.revoked"

	TokenCreated Action = "connector_token.created"
	TokenRevoked Action = "connector_token.revoked"

	TenantCreated Action = "tenant.created"
)

// Outcome says how it went.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// ActorKind says what sort of actor somebody is.
type ActorKind string

// The sorts of actors.
const (
	Principal    ActorKind = "principal"     // somebody with a key
	Browser      ActorKind = "browser"       // whoever the provider sent back to us
	Schedule     ActorKind = "schedule"      // nobody asked: its time had come
	TokenService ActorKind = "token_service" // likewise, while something else was done
	Operator     ActorKind = "operator"      // whoever runs the vault, with a command of theirs
	Unknown      ActorKind = "unknown"
)

// Actor is who does something, and in which request.
type Actor struct {
	Kind      ActorKind `json:"kind,omitempty"`
	ID        string    `json:"id,omitempty"`   // of a principal
	Role      string    `json:"role,omitempty"` // likewise
	RequestID string    `json:"request_id,omitempty"`
}

type actorKey struct{}

// WithActor returns a context in which things are done by an actor. It travels there because those who write events are
// far from those who know, and nobody in between does anything with it.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns the actor of a context.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok && a.Kind != "" {
		return a
	}
	return Actor{Kind: Unknown}
}

// Change is a field that has another value now. The values stand there only for what every caller sees in lists.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Event is something that was done. It never holds a secret, and of persons nothing but the names that people gave to
// entries, connectors and keys.
type Event struct {
	ID      string            `json:"id"`
	At      time.Time         `json:"time"` // later than the event before, in its chain
	Subject Subject           `json:"subject"`
	Number  int64             `json:"number"` // in its chain, from 1
	Action  Action            `json:"action"`
	Actor   Actor             `json:"actor"`
	Outcome Outcome           `json:"outcome"`
	Code    string            `json:"code,omitempty"` // why not
	Changes []Change          `json:"changes,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// EventMessage is what an event's MAC is over: where it stands, the MAC before it, and its document as it is stored. The
// stored bytes are taken as they are, so that whoever checks need not know every member of a newer version's events.
func EventMessage(tenant string, s Subject, number int64, before []byte, doc string) []byte {
	return message("event", tenant, s, number, before, []byte(doc))
}

// Place is one of the three notes that say where a chain begins and ends.
type Place string

// The places. Each has MACs of its own, and an older one is nowhere to be found in the table: cutting a chain's end and
// pointing its head at what is left takes the key.
const (
	Head      Place = "head"      // in the subject's record: the last event
	Tombstone Place = "tombstone" // where the record was
	Anchor    Place = "anchor"    // the last event that retention took
)

// PlaceMessage is what such a note's MAC is over.
func PlaceMessage(p Place, tenant string, s Subject, number int64, mac []byte, at int64) []byte {
	return message(string(p), tenant, s, number, mac, binary.BigEndian.AppendUint64(nil, uint64(at))) //nolint:gosec // a time's bits, whatever its sign
}

// message joins parts without ambiguity: each carries its length.
func message(what, tenant string, s Subject, number int64, mac, rest []byte) []byte {
	out := []byte("connector-vault/audit/1")
	for _, part := range [][]byte{[]byte(what), []byte(tenant), []byte(s.Kind), []byte(s.ID), mac, rest} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return binary.AppendVarint(out, number)
}
