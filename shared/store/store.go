// Package store is the ground the vault stands on: items under keys, changed only by conditional writes.
//
// The argument: the vault's rules (leases, fences, generations, single use) must hold on DynamoDB and on one machine
// alike, so they are written once, above this package, and what lies below is kept to the few promises that both
// engines can keep to the letter: strong reads by key, listing in key order, and all-or-nothing writes under
// conditions on the items they touch. A driver implements [Items], [DueIndex] or [Secrets]; storetest holds the suite that every driver passes.
package store

import (
	"context"
	"errors"
	"fmt"

	"connectorvault/shared/secret"
)

// Table names a set of items that share backup, expiry and access rules.
type Table string

// The tables.
const (
	Records     Table = "records"     // tenants, keys, apps, entries, connectors; backed up
	Credentials Table = "credentials" // one item an entry: lease, intent, generation, sealed tokens; carries the due index
	Requests    Table = "requests"    // authorization requests; items end by themselves
	Transient   Table = "transient"   // rate buckets, idempotency, handles; items end by themselves; losing it loses nothing
)

// Tables lists them all.
func Tables() []Table { return []Table{Records, Credentials, Requests, Transient} }

// Attributes with a meaning to drivers.
const (
	AttrExpires  = "expires_at" // int64, Unix seconds; in Requests and Transient the engine may remove the item any time after
	AttrDueShard = "due_shard"  // string; in Credentials, an item with both due attributes is in the due index
	AttrDueAt    = "due_at"     // int64, Unix seconds
)

// Key is an item's address. Partition always begins with the tenant's id.
type Key struct{ Partition, Sort string }

// Attrs are an item's attributes. A value is a string, an int64, a bool or a []byte; drivers refuse anything else.
// An empty string and an empty []byte are kept, a nil is not a value.
type Attrs map[string]any

// Item is what lies under a key.
type Item struct {
	Key   Key
	Attrs Attrs
	Newer int64 // with [Marking]: the number of its form, which this version does not read; Attrs is nil then. 0 = it does
}

// String returns the attribute as a string; "" when it is absent or of another type.
func (a Attrs) String(name string) string { v, _ := a[name].(string); return v }

// Int returns the attribute as an int64; 0 when it is absent or of another type.
func (a Attrs) Int(name string) int64 { v, _ := a[name].(int64); return v }

// Bool returns the attribute as a bool; false when it is absent or of another type.
func (a Attrs) Bool(name string) bool { v, _ := a[name].(bool); return v }

// Bytes returns the attribute as bytes; nil when it is absent or of another type.
func (a Attrs) Bytes(name string) []byte { v, _ := a[name].([]byte); return v }

// Check reports an attribute whose type no driver takes.
func (a Attrs) Check() error {
	for name, v := range a {
		switch v.(type) {
		case string, int64, bool, []byte:
		default:
			return fmt.Errorf("attribute %s: type %T is not a store value", name, v)
		}
	}
	return nil
}

// Verb is what an Op does.
type Verb int

// The verbs.
const (
	Put    Verb = iota + 1 // replaces the whole item by Set
	Update                 // changes the attributes in Set, Remove and Add, and makes the item when there is none
	Delete                 // removes the item; removing none is no error
	Verify                 // changes nothing; only its condition counts. Only beside other ops, never alone
)

// Op is one change of one item.
type Op struct {
	Verb   Verb
	Table  Table
	Key    Key
	Set    Attrs            // Put, Update
	Remove []string         // Update: attributes to drop; dropping an absent one is no error
	Add    map[string]int64 // Update: added to a number; an absent one counts as 0
	If     *Cond            // nil: always
}

// ConditionFailed is what Apply returns when a condition did not hold. Nothing was written.
//
// An engine's client may repeat a write whose answer it lost, and the repeat then fails on the first one's success
// (local parts, trap 1): whoever sees this error looks at Old, and at the owner or id that the write would have left, before it believes it.
type ConditionFailed struct {
	Index int   // which op, counted from 0
	Old   Attrs // the item that stood in the way; nil when there was none
}

// Error implements error.
func (e *ConditionFailed) Error() string {
	return fmt.Sprintf("condition of write %d does not hold", e.Index)
}

// The drivers' other errors.
var (
	ErrNotFound = errors.New("no such item")
	ErrBusy     = errors.New("the store is busy") // throttled, or a transaction kept colliding: nothing was written; try again later
)

// Unreadable is the error of a read that came upon an item which is in no form that this driver writes: somebody else has
// written it, or the medium is damaged. Trying again does not help. Of a Query, Key is the first such item.
type Unreadable struct {
	Key Key
	Why error // names no value
}

// Error implements error.
func (e *Unreadable) Error() string { return e.Why.Error() }

// Unwrap gives the reason.
func (e *Unreadable) Unwrap() error { return e.Why }

// Query asks for the items of a partition whose sort key begins with Prefix, in ascending byte order of the sort key.
type Query struct {
	Table     Table
	Partition string
	Prefix    string
	After     string // exclusive sort key to go on from; "" = from the start
	Limit     int    // at most this many; required
}

// Items is an engine that keeps items.
type Items interface {
	// Get reads one item, strongly: it sees every write that was answered before it began. ErrNotFound when there is none.
	Get(ctx context.Context, table Table, key Key) (Item, error)

	// GetMany reads up to 100 items of one table, strongly. Absent ones are left out of the answer, whose order is free.
	GetMany(ctx context.Context, table Table, keys []Key) ([]Item, error)

	// Query lists a page, strongly. more reports whether items may follow the last one.
	Query(ctx context.Context, q Query) (items []Item, more bool, err error)

	// Apply carries out all ops or none. At most 25 ops, no two of one item. A condition that does not hold makes it
	// return *ConditionFailed. On any other error the caller does not know whether it was written.
	Apply(ctx context.Context, ops ...Op) error
}

// Due is an entry of the due index.
type Due struct {
	Key Key
	At  int64 // Unix seconds
}

// DueIndex finds credentials whose time has come, without a scan. It may lag behind the items, so who acts on it reads the item first.
type DueIndex interface {
	// Due lists a shard's items with due_at ≤ until in ascending order, limit at most. cursor is "" or the next of an
	// earlier page; next is "" on the last.
	Due(ctx context.Context, shard string, until int64, limit int, cursor string) (due []Due, next string, err error)
}

// Secrets is an engine that keeps slow secrets: a few writes a day each, never a rotating token (design,
// "Storage"). It may be eventually consistent: a Get soon after a Put may see the value before.
type Secrets interface {
	// GetSecret returns the current value. ErrNotFound when there is none.
	GetSecret(ctx context.Context, name string) (secret.Text, error)

	// PutSecret makes the secret or gives it a new current value.
	PutSecret(ctx context.Context, name string, value secret.Text) error

	// CreateSecret makes the secret; exists = true, and nothing is changed, when there is one already.
	CreateSecret(ctx context.Context, name string, value secret.Text) (exists bool, err error)

	// DeleteSecret removes it for good. Removing none is no error.
	DeleteSecret(ctx context.Context, name string) error

	// ListSecrets names up to 100 secrets whose names begin with prefix; next is "" on the last page. The listing may lag minutes behind.
	ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error)
}
