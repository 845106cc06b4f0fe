package lambdahttp

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"connectorvault/shared/fault"
)

// exact refuses what encoding/json lets pass: a member that is there twice, of which the last would count, and one whose name
// has other capitals than the member that it would be taken for. Whoever checks a request before it comes here may read
// another one in it. body is valid JSON.
func exact(body []byte, v any) error {
	known := members(v)
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var open []level
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the end: what is no JSON was refused before
		}
		if name, isName := nameOf(open, token); isName {
			at := &open[len(open)-1]
			if at.seen[name] {
				return fault.New(fault.Invalid, "invalid_field", "The member \""+clip(name)+"\" is there twice.").On(clip(name)).Do("Say it once.")
			}
			if len(open) == 1 && known != nil && !known[name] {
				return fault.New(fault.Invalid, "invalid_field", "There is no field \""+clip(name)+"\" here.").On(clip(name)).Do("Leave it out, or check its spelling.")
			}
			at.seen[name], at.value = true, true
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{seen: map[string]bool{}})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1].value = false // a value has ended
		}
	}
}

// level is an object or a list that is being read.
type level struct {
	seen  map[string]bool // an object's names so far; nil for a list
	value bool            // a name was read, and its value comes next
}

// nameOf reports whether a token is the name of a member.
func nameOf(open []level, token json.Token) (string, bool) {
	name, isText := token.(string)
	if !isText || len(open) == 0 {
		return "", false
	}
	at := open[len(open)-1]
	return name, at.seen != nil && !at.value
}

// members are the names of a struct's members; nil for anything else, which takes any name.
func members(v any) map[string]bool {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	names := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			for inner := range members(reflect.New(f.Type).Interface()) {
				names[inner] = true
			}
		case name == "":
			names[f.Name] = true
		case name != "-":
			names[name] = true
		}
	}
	return names
}

func clip(name string) string {
	const most = 40
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
