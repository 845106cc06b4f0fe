package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
)

// Body checks the JSON object that a caller sends along with an operation that asks for something, and adds what the
// operation sends when the caller says nothing. resolve is as for [WithDefaults]. What the caller said keeps its
// bytes. A non-nil error is a *fault.Error that names the member.
func Body(op Operation, given []byte, resolve func(name string) []string) ([]byte, error) {
	if len(bytes.TrimSpace(given)) == 0 {
		given = []byte("{}")
	}
	object := gjson.ParseBytes(given)
	if !json.Valid(given) || !object.IsObject() {
		return nil, fault.New(fault.Invalid, "invalid_request", "The body is not a JSON object.").
			Do("Send one JSON object with the fields of " + op.ID + ".")
	}
	var out bytes.Buffer
	seen := []string{}
	var problem *fault.Error
	object.ForEach(func(key, value gjson.Result) bool {
		if problem = checkMember(op, seen, key.String(), value); problem != nil {
			return false
		}
		seen = append(seen, key.String())
		writeMember(&out, key.String(), value.Raw)
		return true
	})
	if problem != nil {
		return nil, problem
	}
	for _, f := range op.Filters {
		if f.In != InBody || slices.Contains(seen, f.Name) {
			continue
		}
		raw, ok := f.defaultJSON(resolve)
		if !ok && f.Required {
			return nil, invalid(f.Name, fmt.Sprintf("%s needs %s.", op.ID, f.Name)).Do(f.ask())
		}
		if ok {
			writeMember(&out, f.Name, raw)
		}
	}
	return []byte("{" + out.String() + "}"), nil
}

func checkMember(op Operation, seen []string, name string, value gjson.Result) *fault.Error {
	var known []string
	var filter *Filter
	for i, f := range op.Filters {
		if f.In != InBody {
			continue
		}
		known = append(known, f.Name)
		if f.Name == name {
			filter = &op.Filters[i]
		}
	}
	switch {
	case filter == nil:
		return invalid(name, fmt.Sprintf("%s has no field %q.", op.ID, clip(name))).
			Do("Leave it out, or use one of: " + strings.Join(known, ", ") + ".")
	case slices.Contains(seen, name):
		return invalid(name, name+" was given more than once.").Do("Give it once.")
	case filter.List != Single && !value.IsArray():
		return invalid(name, name+" is not a list.").Do("Give a JSON array.")
	}
	values := []gjson.Result{value}
	if filter.List != Single {
		values = value.Array()
	}
	if filter.Max > 0 && len(values) > filter.Max {
		return invalid(name, fmt.Sprintf("%s has %d values and takes at most %d.", name, len(values), filter.Max)).
			Do(fmt.Sprintf("Ask in portions of at most %d.", filter.Max))
	}
	for _, v := range values {
		if len(filter.Values) > 0 && !slices.Contains(filter.Values, v.String()) {
			return invalid(name, fmt.Sprintf("%s cannot be %q.", name, clip(v.String()))).
				Do("Use one of: " + strings.Join(filter.Values, ", ") + ".")
		}
	}
	return nil
}

func (f Filter) defaultJSON(resolve func(string) []string) (string, bool) {
	if f.Default == "" {
		return "", false
	}
	values := f.defaults(resolve)
	if len(values) == 0 {
		return "", false
	}
	var v any = values
	if f.List == Single {
		v = values[0]
	}
	raw, err := json.Marshal(v)
	return string(raw), err == nil
}

func writeMember(out *bytes.Buffer, name, raw string) {
	if out.Len() > 0 {
		out.WriteByte(',')
	}
	quoted, _ := json.Marshal(name) // of a string: it cannot fail
	out.Write(quoted)
	out.WriteByte(':')
	out.WriteString(raw)
}
