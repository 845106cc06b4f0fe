package resource_test

import (
	"encoding/json"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/resource"
)

func createReport() resource.Operation {
	return resource.Operation{ID: "createReport", Method: "POST", Path: "/reports", Filters: []resource.Filter{
		{Name: "kind", In: resource.InBody, Required: true, Values: []string{"STOCK", "SALES"}},
		{Name: "places", In: resource.InBody, Required: true, List: resource.CSV, Default: "$places", Max: 3},
		{Name: "side", In: resource.InBody, Default: "left"},
		{Name: "options", In: resource.InBody},
	}}
}

func TestBody(t *testing.T) {
	t.Parallel()
	places := func(string) []string { return []string{"DE", `F"R`} }
	tests := map[string]struct{ given, want string }{
		"defaults":           {`{"kind":"STOCK"}`, `{"kind":"STOCK","places":["DE","F\"R"],"side":"left"}`},
		"the caller's bytes": {`{ "kind" : "SALES", "places":["IT"], "options": { "a" : 1.50 }, "side":"right" }`, `{"kind":"SALES","places":["IT"],"options":{ "a" : 1.50 },"side":"right"}`},
		"escaped names":      {`{"k\u0069nd":"STOCK","places":[]}`, `{"kind":"STOCK","places":[],"side":"left"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := resource.Body(createReport(), []byte(test.given), places)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want || !json.Valid(got) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestBodyRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ given, code, field, words string }{
		"not JSON":       {`{"kind":`, "invalid_request", "", "not a JSON object"},
		"not an object":  {`["kind"]`, "invalid_request", "", "not a JSON object"},
		"two values":     {`{} {}`, "invalid_request", "", "not a JSON object"},
		"nothing":        {``, "invalid_field", "kind", "STOCK, SALES"},
		"unknown member": {`{"kind":"STOCK","colour":1}`, "invalid_field", "colour", "kind, places, side, options"},
		"twice":          {`{"kind":"STOCK","kind":"SALES"}`, "invalid_field", "kind", "more than once"},
		"foreign value":  {`{"kind":"OTHER"}`, "invalid_field", "kind", "STOCK, SALES"},
		"not a list":     {`{"kind":"STOCK","places":"DE"}`, "invalid_field", "places", "JSON array"},
		"too many":       {`{"kind":"STOCK","places":[1,2,3,4]}`, "invalid_field", "places", "at most 3"},
		"no default":     {`{"kind":"STOCK"}`, "invalid_field", "places", "needs places"},
		"too deep":       {strings.Repeat("[", 20000), "invalid_request", "", "not a JSON object"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := resource.Body(createReport(), []byte(test.given), func(string) []string { return nil })
			if err == nil {
				t.Fatalf("made %s", got)
			}
			problem := fault.As(err)
			if problem.Kind != fault.Invalid || problem.Code != test.code || problem.Field != test.field {
				t.Errorf("got %s %s %q, want invalid %s %q", problem.Kind, problem.Code, problem.Field, test.code, test.field)
			}
			if text := problem.Detail + " " + problem.Action; !strings.Contains(text, test.words) {
				t.Errorf("%q does not say %q", text, test.words)
			}
		})
	}
}

// A body is made or refused, and what is made says each of the caller's members once.
func FuzzBody(f *testing.F) {
	f.Add(`{"kind":"STOCK"}`)
	f.Add(`{"kind":"STOCK","places":["DE"],"options":{"kind":1}}`)
	f.Add(`{"\u006bind":"STOCK"}`)
	f.Fuzz(func(t *testing.T, given string) {
		got, err := resource.Body(createReport(), []byte(given), func(string) []string { return []string{"DE"} })
		if err != nil {
			return
		}
		var out map[string]json.RawMessage
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatalf("%s is not JSON: %v", got, err)
		}
		if len(out["kind"]) == 0 || len(out["places"]) == 0 {
			t.Fatalf("%s lacks what is required", got)
		}
	})
}
