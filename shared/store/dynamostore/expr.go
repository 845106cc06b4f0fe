package dynamostore

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"connectorvault/shared/store"
)

// What the item's presence is called: the key is in every item.
const (
	itemExists = "attribute_exists(pk)"
	itemAbsent = "attribute_not_exists(pk)"
)

// impossible is the condition that never holds.
var impossible = store.Any()

// simplify returns a condition that holds when c does and has no constants, no groups of one and no groups in groups of
// their kind; nil when c always holds, impossible when it never does. DynamoDB has no constants, and it refuses
// parentheses that group nothing.
func simplify(c *store.Cond) *store.Cond {
	if c == nil || c.Kind != store.CondAll && c.Kind != store.CondAny {
		return c
	}
	neutral, deciding := (*store.Cond)(nil), impossible
	if c.Kind == store.CondAny {
		neutral, deciding = deciding, neutral
	}
	var parts []*store.Cond
	for _, part := range c.Of {
		switch part = simplify(part); {
		case part == neutral:
		case part == deciding:
			return deciding
		case part.Kind == c.Kind:
			parts = append(parts, part.Of...)
		default:
			parts = append(parts, part)
		}
	}
	switch len(parts) {
	case 0:
		return neutral
	case 1:
		return parts[0]
	default:
		return &store.Cond{Kind: c.Kind, Of: parts}
	}
}

// expression collects the placeholders that the condition and the update of one write share. Every name goes through
// one: some of the vault's names are among DynamoDB's several hundred reserved words.
type expression struct {
	attrs  []string
	values values
}

func (e *expression) name(b *strings.Builder, attr string) {
	i := slices.Index(e.attrs, attr)
	if i < 0 {
		i = len(e.attrs)
		e.attrs = append(e.attrs, attr)
	}
	b.WriteByte('#')
	b.WriteString(strconv.Itoa(i))
}

func (e *expression) value(b *strings.Builder, v any) {
	if e.values == nil {
		e.values = values{}
	}
	placeholder := ":" + strconv.Itoa(len(e.values))
	e.values[placeholder] = encode(v)
	b.WriteString(placeholder)
}

// names returns the map that goes with the text; nil when it uses none, since DynamoDB refuses an empty one.
func (e *expression) names() map[string]string {
	if len(e.attrs) == 0 {
		return nil
	}
	names := make(map[string]string, len(e.attrs))
	for i, attr := range e.attrs {
		names["#"+strconv.Itoa(i)] = attr
	}
	return names
}

// condition returns the text for c; nil when it always holds.
func (e *expression) condition(c *store.Cond) *string {
	var b strings.Builder
	switch c = simplify(c); c {
	case nil:
		return nil
	case impossible:
		b.WriteString(itemExists + " AND " + itemAbsent)
	default:
		e.cond(&b, c)
	}
	text := b.String()
	return &text
}

// cond writes a condition that is simplified.
func (e *expression) cond(b *strings.Builder, c *store.Cond) {
	switch c.Kind {
	case store.CondExists:
		b.WriteString(itemExists)
	case store.CondAbsent:
		b.WriteString(itemAbsent)
	case store.CondHas:
		e.call(b, "attribute_exists(", c.Attr)
	case store.CondLacks:
		e.call(b, "attribute_not_exists(", c.Attr)
	case store.CondEqual:
		e.compare(b, c, " = ")
	case store.CondLess:
		e.compare(b, c, " < ")
	case store.CondAtMost:
		e.compare(b, c, " <= ")
	case store.CondAll:
		e.join(b, c.Of, " AND ")
	case store.CondAny:
		e.join(b, c.Of, " OR ")
	}
}

func (e *expression) call(b *strings.Builder, function, attr string) {
	b.WriteString(function)
	e.name(b, attr)
	b.WriteByte(')')
}

// compare relies on DynamoDB's rule that values of different types, and an absent one, compare as false.
func (e *expression) compare(b *strings.Builder, c *store.Cond, operator string) {
	e.name(b, c.Attr)
	b.WriteString(operator)
	e.value(b, c.Value)
}

// join puts the parts that are groups in parentheses.
func (e *expression) join(b *strings.Builder, parts []*store.Cond, operator string) {
	for i, part := range parts {
		if i > 0 {
			b.WriteString(operator)
		}
		if len(part.Of) == 0 {
			e.cond(b, part)
			continue
		}
		b.WriteByte('(')
		e.cond(b, part)
		b.WriteByte(')')
	}
}

// update returns the text for what an Update changes; nil when it changes nothing. Names are taken in order, so that
// one Op always gives one text.
func (e *expression) update(op store.Op) *string {
	set := op.Set
	if len(op.Set)+len(op.Add) == 0 && len(op.Remove) > 0 && op.If.Holds(nil) {
		set = store.Attrs{attrMark: true} // the item may not be there, and removing alone would not make it
	}
	var b strings.Builder
	e.clause(&b, "SET ", slices.Sorted(maps.Keys(set)), func(attr string) {
		b.WriteString(" = ")
		e.value(&b, set[attr])
	})
	e.clause(&b, "REMOVE ", slices.Compact(slices.Sorted(slices.Values(op.Remove))), func(string) {})
	e.clause(&b, "ADD ", slices.Sorted(maps.Keys(op.Add)), func(attr string) {
		b.WriteByte(' ')
		e.value(&b, op.Add[attr])
	})
	if b.Len() == 0 {
		return nil
	}
	text := b.String()
	return &text
}

// clause writes a keyword and the attributes it is about, each followed by what rest writes.
func (e *expression) clause(b *strings.Builder, keyword string, attrs []string, rest func(attr string)) {
	if len(attrs) > 0 && b.Len() > 0 {
		b.WriteByte(' ')
	}
	separator := keyword
	for _, attr := range attrs {
		b.WriteString(separator)
		e.name(b, attr)
		rest(attr)
		separator = ", "
	}
}
