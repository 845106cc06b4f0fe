// Package trace is where the vault says what it does and for how long, to whoever wants to see one call as a whole.
//
// The argument: a metric says that reads are slow, and a trace says where one of them was; but a trace is also the easiest way
// for a secret to leave, since it goes to another company's program, and what is attached to it is what somebody found handy
// while looking for a fault. So nothing here takes a text that came from outside: names and attributes are made from the lists of
// this package, an error is told as its kind, and there is no attribute for addresses, headers, identifiers and bodies. Where
// nobody looks, a span is nothing at all.
package trace

import (
	"context"
	"slices"

	"connectorvault/shared/metric"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// Name is what a span is: one of those below.
type Name uint8

// The names.
const (
	TokenService Name = iota // a call of the token service, from its first look to its answer
	TokenRequest             // a call of a token endpoint
	Read                     // a read
	Provider                 // a provider's part of a read
	Delivery                 // a try at a webhook
	Store                    // a call of the store of items
	Secrets                  // a call of the secret store
)

var names = [...]string{"token service", "token request", "read", "provider", "delivery", "store", "secrets"}

// String returns the name.
func (n Name) String() string {
	if int(n) >= len(names) {
		return metric.Other
	}
	return names[n]
}

// Attribute says something of a span. It is made by the functions below and by nobody else.
type Attribute struct{ key, value string }

// Key is what it says something of.
func (a Attribute) Key() string { return a.key }

// Value is what it says.
func (a Attribute) Value() string { return a.value }

// Keys are all that an attribute can be about.
func Keys() []string { return []string{"operation", "outcome", "provider", "table"} }

// OfProvider names the provider that a span is about.
func OfProvider(name string) Attribute {
	if len(name) == 0 || len(name) > 32 || slices.ContainsFunc([]byte(name), func(c byte) bool { return (c < 'a' || c > 'z') && c != '-' }) {
		name = metric.Other
	}
	return Attribute{"provider", name}
}

// OfOperation names what is done.
func OfOperation(o metric.Operation) Attribute { return Attribute{"operation", o.String()} }

// ops are the operations of the token service.
var ops = []tokens.Op{tokens.Refresh, tokens.Complete, tokens.Adopt, tokens.Acquire, tokens.Try, tokens.Promote, tokens.Forget, tokens.Due, tokens.Grant,
	tokens.Rescue, tokens.Revoke, tokens.Rotate, tokens.Deny}

// OfCall names what the token service is asked.
func OfCall(op tokens.Op) Attribute {
	if !slices.Contains(ops, op) {
		return Attribute{"operation", metric.Other}
	}
	return Attribute{"operation", string(op)}
}

// OfTable names a table.
func OfTable(t store.Table) Attribute {
	if !slices.Contains([]store.Table{store.Records, store.Credentials, store.Requests, store.Transient}, t) {
		return Attribute{"table", metric.Other}
	}
	return Attribute{"table", string(t)}
}

// Access is what a store is asked.
type Access uint8

// The ways to ask a store.
const (
	Get Access = iota
	GetMany
	Query
	Apply
	Put
	Create
	Delete
	List
)

var accesses = [...]string{"get", "get many", "query", "apply", "put", "create", "delete", "list"}

// OfAccess names what a store is asked.
func OfAccess(a Access) Attribute {
	if int(a) >= len(accesses) {
		return Attribute{"operation", metric.Other}
	}
	return Attribute{"operation", accesses[a]}
}

// Of says how something went.
func Of(o metric.Outcome) Attribute { return Attribute{"outcome", o.String()} }

// Tracer keeps spans. A nil one keeps none.
type Tracer interface {
	// Begin begins a span, within the one that ctx is in, if it is in one.
	Begin(ctx context.Context, name Name) (within context.Context, span Kept)

	// Inside reports whether ctx is in a span.
	Inside(ctx context.Context) bool
}

// Kept is a span that a Tracer keeps.
type Kept interface {
	Set(Attribute)
	End(failed bool)
}

// Span is a span, or nothing where nobody looks.
type Span struct{ kept Kept }

// Begin begins a span.
func Begin(ctx context.Context, t Tracer, name Name, attributes ...Attribute) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	within, kept := t.Begin(ctx, name)
	s := Span{kept}
	s.Set(attributes...)
	return within, s
}

// Set says more of a span.
func (s Span) Set(attributes ...Attribute) {
	if s.kept == nil {
		return
	}
	for _, a := range attributes {
		s.kept.Set(a)
	}
}

// End ends a span with how it went. Of an error its kind is told, and none of its words.
func (s Span) End(err error) {
	if s.kept == nil {
		return
	}
	s.kept.Set(Of(metric.OutcomeOf(err)))
	s.kept.End(err != nil)
}

// Close ends a span of which only its length is told.
func (s Span) Close() {
	if s.kept != nil {
		s.kept.End(false)
	}
}
