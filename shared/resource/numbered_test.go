package resource_test

import (
	"net/url"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/resource"
)

func numbered() resource.Operation {
	return resource.Operation{ID: "list", Path: "/list", Items: "[content,data].0", Filters: []resource.Filter{{Name: "q"}},
		Paging: resource.Paging{Param: "page", Next: "[number,page.number].0", Pages: "[totalPages,page.totalPages].0", Size: "size"}}
}

// Pages are numbered from zero, and the answer says which it is of how many.
func TestNumberedPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   []string
		next   string
	}{
		"the first":            {`{"content":[ {"a" : 1.0} ,2],"totalPages":3,"number":0}`, []string{`{"a" : 1.0}`, `2`}, "1"},
		"one between":          {`{"content":[1],"totalPages":3,"number":1}`, []string{`1`}, "2"},
		"the last":             {`{"content":[1],"totalPages":3,"number":2}`, []string{`1`}, ""},
		"the only one":         {`{"content":[1],"totalPages":1,"number":0}`, []string{`1`}, ""},
		"nothing at all":       {`{"content":[],"totalPages":0,"number":0}`, nil, ""},
		"beyond the end":       {`{"content":[],"totalPages":3,"number":7}`, nil, ""},
		"an empty one between": {`{"content":[],"totalPages":3,"number":0}`, nil, "1"},
		"a list that is null":  {`{"content":null,"totalPages":0,"number":0}`, nil, ""},
		"another name":         {`{"data":[1],"totalPages":2,"number":0}`, []string{`1`}, "1"},
		"numbers further down": {`{"content":[1],"page":{"number":4,"totalPages":6}}`, []string{`1`}, "5"},
		"a bare list":          {` [1,{"number":0,"totalPages":9}]`, []string{`1`, `{"number":0,"totalPages":9}`}, ""},
		"an empty bare list":   {`[]`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items, next, err := resource.Page(numbered(), []byte(test.answer))
			if err != nil || next != test.next || items == nil || len(items) != len(test.want) {
				t.Fatalf("got %s and %q, %v; want %v and %q", items, next, err, test.want, test.next)
			}
			for i, item := range items {
				if string(item) != test.want[i] {
					t.Errorf("item %d is %s", i, item)
				}
			}
		})
	}
}

// An answer that does not say where it stands is not taken for the end, nor one without a list for an empty one.
func TestBrokenNumbers(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"content":[1]}`, `{"content":[1],"number":0}`, `{"content":[1],"totalPages":3}`, `{"content":[1],"totalPages":"3","number":0}`,
		`{"content":[1],"totalPages":3,"number":"0"}`, `{"content":[1],"totalPages":3,"number":null}`, `{"content":[1],"totalPages":3,"number":-1}`,
		`{"content":[1],"totalPages":-3,"number":0}`, `{"content":[1],"totalPages":3,"number":0.5}`, `{"content":[1],"totalPages":3,"number":1e99}`,
		`{"content":{"a":1},"totalPages":1,"number":0}`, `{"totalPages":1,"number":0}`, `{"content":"x","totalPages":1,"number":0}`, `{}`, `null`, `1`, `"x"`, ``,
	} {
		items, next, err := resource.Page(numbered(), []byte(answer))
		if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || f.Code != "provider_unavailable" || f.Action == "" || items != nil || next != "" {
			t.Errorf("%s: got %s and %q, %v", answer, items, next, err)
		}
	}
}

// The page that follows is the next one, and an answer that is another page than was asked for is not followed.
func TestAdvanceByNumber(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ asked, token, want string }{
		"from the first, not named": {"q=a&size=5", "1", "page=1&q=a&size=5"},
		"from the first":            {"page=0", "1", "page=1"},
		"further":                   {"page=7&q=a", "8", "page=8&q=a"},
		"the same again":            {"page=7", "7", ""},
		"an earlier one":            {"page=7", "1", ""},
		"one is left out":           {"page=7", "9", ""},
		"one is left out at once":   {"", "2", ""},
		"no number":                 {"page=7", "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, err := url.ParseQuery(test.asked)
			if err != nil {
				t.Fatal(err)
			}
			next, err := resource.Advance(numbered(), asked, test.token)
			switch {
			case test.want == "" && (fault.CodeOf(err) != "provider_unavailable" || next != nil):
				t.Errorf("got %v, %v", next, err)
			case test.want != "" && (err != nil || next.Encode() != test.want):
				t.Errorf("got %s, %v", next.Encode(), err)
			}
		})
	}
}

// What is withheld is in no item, whoever asks; the rest keeps its bytes.
func TestWithheld(t *testing.T) {
	t.Parallel()
	op := resource.Operation{Items: "list", Withheld: []string{"**.url", "secret"}}
	items, _, err := resource.Page(op, []byte(`{"list":[{"id" : 1.0,"download":{"url":"https://a","ends":2}},{"url":"x","secret":1,"id":2},{"id" : 3}]}`))
	if err != nil || len(items) != 3 {
		t.Fatal(items, err)
	}
	for i, want := range []string{`{"id":1.0,"download":{"ends":2}}`, `{"id":2}`, `{"id" : 3}`} {
		if string(items[i]) != want {
			t.Errorf("item %d is %s", i, items[i])
		}
	}
	items, _, err = resource.Page(resource.Operation{Withheld: []string{"**.url"}}, []byte(`{"a":[{"url":"x"}]}`))
	if err != nil || len(items) != 1 || string(items[0]) != `{"a":[{}]}` {
		t.Errorf("the answer itself is %s, %v", items, err)
	}
}
