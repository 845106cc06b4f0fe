package resource_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"connectorvault/shared/resource"
)

func TestStrip(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		personal   []string
		item, want string
	}{
		"nothing personal":         {nil, ` {"a": 1}`, ` {"a": 1}`},
		"nothing found":            {[]string{"buyer"}, `{ "a" : 1.0 }`, `{ "a" : 1.0 }`},
		"a member":                 {[]string{"buyer"}, `{"id":1,"buyer":{"name":"x"},"z":[1]}`, `{"id":1,"z":[1]}`},
		"first and last":           {[]string{"a", "c"}, `{"a":1,"b":2,"c":3}`, `{"b":2}`},
		"all there is":             {[]string{"a"}, `{"a":1}`, `{}`},
		"deeper":                   {[]string{"tax.legalName"}, `{"tax":{"legalName":"x","id":"1"},"legalName":"kept"}`, `{"tax":{"id":"1"},"legalName":"kept"}`},
		"through lists":            {[]string{"items.gift.text"}, `{"items":[{"gift":{"text":"x","level":1}},{"gift":[{"text":"y"}]}]}`, `{"items":[{"gift":{"level":1}},{"gift":[{}]}]}`},
		"every element":            {[]string{"names.*"}, `{"names":["x","y"]}`, `{"names":[]}`},
		"every member":             {[]string{"people.*.name"}, `{"people":{"a":{"name":"x","id":1},"b":{"name":"y"}}}`, `{"people":{"a":{"id":1},"b":{}}}`},
		"at any depth":             {[]string{"**.email"}, `{"email":"x","a":[{"b":{"email":"y","c":1}}]}`, `{"a":[{"b":{"c":1}}]}`},
		"at any depth, two":        {[]string{"**.source.address"}, `{"source":{"address":"x","kind":1},"p":{"source":{"address":"y"}},"address":"kept"}`, `{"source":{"kind":1},"p":{"source":{}},"address":"kept"}`},
		"at any depth, said twice": {[]string{"**.**.x"}, `{"x":{"n":0},"a":{"x":1,"y":2}}`, `{"a":{"y":2}}`},
		"escaped name":             {[]string{"buyer"}, `{"bu\u0079er":"x","id":1}`, `{"id":1}`},
		"twice":                    {[]string{"buyer"}, `{"buyer":"x","id":1,"buyer":"y"}`, `{"id":1}`},
		"a list of items":          {[]string{"buyer"}, `[{"buyer":"x"},{"id":1}]`, `[{},{"id":1}]`},
		"other bytes stay":         {[]string{"buyer"}, `{"n":1.50,"s":"\u00e9<","buyer":1,"o":{ "x" : [ ] }}`, `{"n":1.50,"s":"\u00e9<","o":{ "x" : [ ] }}`},
		"a name with a dot":        {[]string{"a.b"}, `{"a.b":1,"a":{"b":2}}`, `{"a.b":1,"a":{}}`},
		"not JSON":                 {[]string{"buyer"}, `{"buyer":"x"`, `null`},
		"not JSON, not personal":   {nil, `{"id":`, `{"id":`},
		"not an object":            {[]string{"buyer"}, `"buyer"`, `"buyer"`},
		"two rules on one way":     {[]string{"a.b", "a.c.d"}, `{"a":{"b":1,"c":{"d":2,"e":3}}}`, `{"a":{"c":{"e":3}}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := resource.Strip(resource.Operation{Personal: test.personal}, json.RawMessage(test.item))
			if string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// decoded is valid JSON as values, with numbers as they are written.
func decoded(t *testing.T, text []byte) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// FuzzStrip holds Strip against a slow reading of the same rules on decoded values: no value at a personal path
// survives, and every other value does.
func FuzzStrip(f *testing.F) {
	f.Add(`{"buyer":{"name":"x"},"items":[{"gift":{"text":"t"}}]}`, "buyer", "items.gift.text")
	f.Add(`{"a":[[{"email":1}]],"b":{"email":[{"c":2}]}}`, "**.email", "a.*")
	f.Add(`[{"a":{"b":{"c":1}}},[{"a":1}]]`, "a.b", "**.c")
	f.Add(`{"a":{"x":{"n":1}},"x":{"n":2}}`, "a.*.n", "**.x.n")
	f.Add("{\"bu\\u0079er\":1}", "buyer", "**")
	f.Add(`{"a":{"a":{"a":1}}}`, "**.a.a", "*.b")
	f.Add(`[[]]`, "**.*", "a")
	f.Add(`{"x":{"n":0}}`, "0", "**.**.x")
	f.Add(strings.Repeat("5", 400), "0", "*") // a number that no float64 holds is JSON all the same
	f.Fuzz(func(t *testing.T, item, first, second string) {
		// Paths are ours, and UTF-8; the slow reading takes bytes that are none for others.
		if strings.Count(first+second, ".") > 12 || len(item) > 4096 || !utf8.ValidString(item+first+second) {
			return
		}
		paths := []string{first, second}
		got := resource.Strip(resource.Operation{Personal: paths}, json.RawMessage(item))
		if !json.Valid([]byte(item)) {
			if string(got) != "null" {
				t.Fatalf("gave out %q", got)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q is not JSON", got)
		}
		in, out := decoded(t, []byte(item)), decoded(t, got)
		if hasRepeats(item) {
			return // the decoded value does not show all that was there
		}
		for _, path := range paths {
			if found := personalAt(out, strings.Split(path, ".")); len(found) > 0 {
				t.Fatalf("%q survives at %q in %s", found, path, got)
			}
		}
		if want := without(in, rulesOf(paths)); !reflect.DeepEqual(want, out) {
			t.Fatalf("of %s with %q came %s, want %v", item, paths, got, want)
		}
	})
}

// personalAt finds the values at a path the way the documentation of Personal tells it: name by name, "*" for any one
// step, "**" for any number, lists looked through.
func personalAt(value any, path []string) []any {
	if len(path) == 0 {
		return []any{value}
	}
	var found []any
	if path[0] == "**" {
		if len(path) > 1 {
			found = personalAt(value, path[1:])
		}
		for _, member := range members(value) {
			found = append(found, personalAt(member, path)...)
		}
		return found
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if path[0] == "*" || path[0] == name {
				found = append(found, personalAt(member, path[1:])...)
			}
		}
	case []any:
		for _, member := range v {
			if path[0] == "*" {
				found = append(found, personalAt(member, path[1:])...)
			} else {
				found = append(found, personalAt(member, path)...)
			}
		}
	}
	return found
}

func members(value any) []any {
	switch v := value.(type) {
	case map[string]any:
		var all []any
		for _, member := range v {
			all = append(all, member)
		}
		return all
	case []any:
		return v
	}
	return nil
}

func rulesOf(paths []string) [][]string {
	var all [][]string
	for _, path := range paths {
		steps := strings.Split(path, ".")
		// "**" twice says no more than once.
		all = append(all, slices.CompactFunc(steps, func(a, b string) bool { return a == "**" && b == a }))
	}
	return all
}

// without is the slow Strip.
func without(value any, rules [][]string) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if next, taken := slowStep(rules, name, true); !taken {
				out[name] = without(member, next)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, member := range v {
			if next, taken := slowStep(rules, "", false); !taken {
				out = append(out, without(member, next))
			}
		}
		return out
	}
	return value
}

func slowStep(rules [][]string, name string, object bool) (next [][]string, taken bool) {
	for _, rule := range rules {
		options := [][]string{rule}
		if rule[0] == "**" {
			next = append(next, rule)
			options = nil
			if len(rule) > 1 && (object || rule[1] == "*") {
				options = [][]string{rule[1:]}
			}
		}
		for _, r := range options {
			matches := r[0] == "*" || object && r[0] == name
			switch {
			case matches && len(r) == 1:
				return nil, true
			case matches:
				next = append(next, r[1:])
			case !object:
				next = append(next, r)
			}
		}
	}
	return next, false
}

// hasRepeats reports whether an object somewhere has two members of one name.
func hasRepeats(item string) bool {
	dec := json.NewDecoder(strings.NewReader(item))
	var walk func() bool
	walk = func() bool {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		delim, _ := tok.(json.Delim)
		var names []string
		for delim != 0 && dec.More() {
			if delim == '{' {
				name, _ := dec.Token()
				text, _ := name.(string)
				if slices.Contains(names, text) {
					return true
				}
				names = append(names, text)
			}
			if walk() {
				return true
			}
		}
		if delim != 0 {
			_, _ = dec.Token()
		}
		return false
	}
	return walk()
}

func TestWithoutPersonal(t *testing.T) {
	t.Parallel()
	op := resource.Operation{
		Filters: []resource.Filter{
			{Name: "included", List: resource.CSV}, {Name: "fields", List: resource.Multi}, {Name: "view"}, {Name: "other", List: resource.CSV},
		},
		PersonalValues: map[string][]string{"included": {"BUYER", "RECIPIENT"}, "fields": {"a,b"}, "view": {"full"}},
	}
	tests := map[string]struct {
		given, want string
		dropped     []string
	}{
		"some of a list":     {"included=BUYER,TAX,RECIPIENT", "included=TAX", []string{"included=BUYER", "included=RECIPIENT"}},
		"all of a list":      {"included=BUYER&other=BUYER", "other=BUYER", []string{"included=BUYER"}},
		"repeated":           {"included=TAX&included=BUYER", "included=TAX", []string{"included=BUYER"}},
		"a comma of its own": {"fields=a,b&fields=c", "fields=c", []string{"fields=a,b"}},
		"one value":          {"view=full", "", []string{"view=full"}},
		"nothing personal":   {"included=TAX", "included=TAX", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, _ := url.ParseQuery(test.given)
			before := given.Encode()
			kept, dropped := resource.WithoutPersonal(op, given)
			if got, _ := url.QueryUnescape(kept.Encode()); got != test.want || !slices.Equal(dropped, test.dropped) {
				t.Errorf("kept %q and dropped %q, want %q and %q", got, dropped, test.want, test.dropped)
			}
			if given.Encode() != before {
				t.Error("the caller's parameters were changed")
			}
		})
	}
}
