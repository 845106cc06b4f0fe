package store

import "bytes"

// CondKind says what a Cond tests.
type CondKind int

// The kinds of conditions.
const (
	CondExists CondKind = iota + 1 // the item is there
	CondAbsent                     // the item is not there
	CondHas                        // the attribute is there
	CondLacks                      // the attribute is not there
	CondEqual                      // the attribute is there and equals Value
	CondLess                       // the attribute is there, a number, and < Value
	CondAtMost                     // the attribute is there, a number, and ≤ Value
	CondAll                        // every one of Of holds
	CondAny                        // at least one of Of holds
)

// Cond is a condition on the item that an Op touches, as it stands before the write. It is a tree of data so that a
// driver can translate it; [Cond.Holds] says what it means.
type Cond struct {
	Kind  CondKind
	Attr  string
	Value any
	Of    []*Cond
}

// Exists holds when there is an item.
func Exists() *Cond { return &Cond{Kind: CondExists} }

// Absent holds when there is no item.
func Absent() *Cond { return &Cond{Kind: CondAbsent} }

// Has holds when the item has the attribute.
func Has(attr string) *Cond { return &Cond{Kind: CondHas, Attr: attr} }

// Lacks holds when the item does not have the attribute, or there is no item.
func Lacks(attr string) *Cond { return &Cond{Kind: CondLacks, Attr: attr} }

// Equal holds when the attribute is there with that value.
func Equal(attr string, value any) *Cond { return &Cond{Kind: CondEqual, Attr: attr, Value: value} }

// Less holds when the attribute is a number below n.
func Less(attr string, n int64) *Cond { return &Cond{Kind: CondLess, Attr: attr, Value: n} }

// AtMost holds when the attribute is a number not above n.
func AtMost(attr string, n int64) *Cond { return &Cond{Kind: CondAtMost, Attr: attr, Value: n} }

// All holds when each of conds does.
func All(conds ...*Cond) *Cond { return &Cond{Kind: CondAll, Of: conds} }

// Any holds when one of conds does.
func Any(conds ...*Cond) *Cond { return &Cond{Kind: CondAny, Of: conds} }

// Holds evaluates the condition on an item; attrs is nil when there is none. A nil condition holds.
func (c *Cond) Holds(attrs Attrs) bool {
	if c == nil {
		return true
	}
	value, has := attrs[c.Attr]
	switch c.Kind {
	case CondExists:
		return attrs != nil
	case CondAbsent:
		return attrs == nil
	case CondHas:
		return has
	case CondLacks:
		return !has
	case CondEqual:
		return has && equal(value, c.Value)
	case CondLess, CondAtMost:
		n, isNumber := value.(int64)
		limit, _ := c.Value.(int64)
		return isNumber && (n < limit || c.Kind == CondAtMost && n == limit)
	case CondAll:
		for _, part := range c.Of {
			if !part.Holds(attrs) {
				return false
			}
		}
		return true
	case CondAny:
		for _, part := range c.Of {
			if part.Holds(attrs) {
				return true
			}
		}
		return false
	default:
		return false
	}
}

func equal(a, b any) bool {
	left, ok := a.([]byte)
	if !ok {
		if _, isBytes := b.([]byte); isBytes {
			return false
		}
		return a == b
	}
	right, ok := b.([]byte)
	return ok && bytes.Equal(left, right)
}
