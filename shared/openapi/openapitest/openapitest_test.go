package openapitest_test

import (
	"maps"
	"testing"

	"connectorvault/shared/openapi/openapitest"
)

// What validates must refuse, or nothing is held to anything.
func TestWhatIsNotDescribedIsRefused(t *testing.T) {
	t.Parallel()
	d, err := openapitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	key := openapitest.Object{"id": "key_1000000000000000", "prefix": "p", "role": "reader", "label": "l", "personal_data": false, "connectors": nil,
		"status": "active", "created_at": "2026-11-21T12:00:00Z", "created_by": nil, "expires_at": nil, "last_used_at": nil}
	with := func(name string, value any) openapitest.Object {
		out := maps.Clone(key)
		out[name] = value
		return out
	}
	without := maps.Clone(key)
	delete(without, "label")
	for name, c := range map[string]struct {
		schema string
		value  any
		fits   bool
	}{
		"a key":                    {"Key", key, true},
		"a member more":            {"Key", with("colour", "red"), false},
		"a member less":            {"Key", without, false},
		"another type":             {"Key", with("label", 5), false},
		"another word":             {"Key", with("role", "king"), false},
		"no time":                  {"Key", with("created_at", "yesterday"), false},
		"an identifier of another": {"Key", with("id", "ve_1000000000000000"), false},
		"a new key":                {"NewKey", with("key", "cvk_text"), true},
		"a new key without text":   {"NewKey", key, false},
		"a member more than new":   {"NewKey", func() any { k := with("key", "cvk_text"); k["colour"] = "red"; return k }(), false},
		"a list":                   {"KeyList", openapitest.Object{"items": []any{key}, "next_cursor": nil}, true},
		"a list of another":        {"KeyList", openapitest.Object{"items": []any{with("colour", "red")}, "next_cursor": nil}, false},
	} {
		if err := d.Validate("/components/schemas/"+c.schema, c.value); (err == nil) != c.fits {
			t.Errorf("%s fits: %v", name, err)
		}
	}
	if err := d.Validate("/components/schemas/Nothing", key); err == nil {
		t.Error("a schema that is not there is fitted")
	}
}
