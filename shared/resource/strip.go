package resource

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Strip takes a natural person's data out of an item. Everything else keeps its bytes and its order; only the
// containers on the way to what is taken out are written anew, without the space between their members. An item
// that is not JSON cannot be searched for personal data, so nothing of it is given out: it comes back as null.
func Strip(op Operation, item json.RawMessage) json.RawMessage {
	if len(op.Personal) == 0 {
		return item
	}
	if !json.Valid(item) {
		return json.RawMessage("null")
	}
	return stripValid(item, rulesOf(op.Personal))
}

// StripPage is Strip for the items of a page. Page has checked the answer that they came in, so they are not checked
// again: a page is most of what a read costs us.
func StripPage(op Operation, items []json.RawMessage) {
	if len(op.Personal) == 0 {
		return
	}
	rules := rulesOf(op.Personal)
	for i := range items {
		items[i] = stripValid(items[i], rules)
	}
}

func rulesOf(paths []string) []rule {
	rules := make([]rule, len(paths))
	for i, path := range paths {
		// Any number of steps after any number of steps is any number of steps.
		rules[i] = slices.CompactFunc(strings.Split(path, "."), func(a, b string) bool { return a == deep && b == deep })
	}
	return rules
}

func stripValid(item json.RawMessage, rules []rule) json.RawMessage {
	kept, changed := strip(gjson.ParseBytes(item), rules)
	if !changed {
		return item
	}
	return json.RawMessage(kept)
}

// WithoutPersonal returns params without the values that make a provider send personal data, and what it left out as
// "name=value".
func WithoutPersonal(op Operation, params url.Values) (kept url.Values, dropped []string) {
	kept = clone(params)
	for _, f := range op.Filters {
		personal := op.PersonalValues[f.Name]
		if len(personal) == 0 || !kept.Has(f.Name) {
			continue
		}
		values := kept[f.Name]
		if f.List == CSV {
			values = strings.Split(strings.Join(values, ","), ",")
		}
		var rest []string
		for _, v := range values {
			if slices.Contains(personal, v) {
				dropped = append(dropped, f.Name+"="+v)
			} else {
				rest = append(rest, v)
			}
		}
		kept[f.Name] = rest
		if len(rest) == 0 {
			kept.Del(f.Name)
		}
	}
	return kept, dropped
}

// rule is what is left of a path on the way down.
type rule []string

const (
	any1 = "*"  // one step, whatever its name
	deep = "**" // any number of steps
)

// strip returns the value's bytes without what the rules name, and whether that changed anything.
func strip(value gjson.Result, rules []rule) (string, bool) {
	object := value.IsObject()
	if !object && !value.IsArray() {
		return value.Raw, false
	}
	var out strings.Builder
	changed := false
	separator := ""
	value.ForEach(func(key, member gjson.Result) bool {
		next, taken := step(rules, key.String(), object, member.Type == gjson.JSON)
		if taken {
			changed = true
			return true
		}
		raw := member.Raw
		if len(next) > 0 {
			var inside bool
			raw, inside = strip(member, next)
			changed = changed || inside
		}
		out.WriteString(separator)
		separator = ","
		if object {
			out.WriteString(key.Raw)
			out.WriteByte(':')
		}
		out.WriteString(raw)
		return true
	})
	if !changed {
		return value.Raw, false
	}
	if object {
		return "{" + out.String() + "}", true
	}
	return "[" + out.String() + "]", true
}

// step takes the rules one member down; taken says that the member itself is what a rule names. A list that a rule
// does not mention is looked through, so that a provider's turning one object into several gives nothing away. next is for
// a member that holds others; most do not, and have nothing to go on into.
func step(rules []rule, name string, object, holds bool) (next []rule, taken bool) {
	further := func(r rule) {
		if holds {
			next = append(next, r)
		}
	}
	for _, r := range rules {
		if r[0] == deep {
			further(r)
			r = r[1:]
			if !object && (len(r) == 0 || r[0] != any1) {
				continue // the list is looked through already
			}
		}
		switch {
		case len(r) == 0:
		case r[0] == any1 || (object && r[0] == name):
			if len(r) == 1 {
				return nil, true
			}
			further(r[1:])
		case !object:
			further(r)
		}
	}
	return next, false
}
