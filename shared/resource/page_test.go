package resource_test

import (
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/resource"
)

func TestPage(t *testing.T) {
	t.Parallel()
	paging := resource.Paging{Param: "token", Next: "pagination.nextToken"}
	tests := map[string]struct {
		items, answer string
		paging        resource.Paging
		want          []string
		next          string
	}{
		"bytes as sent":      {"orders", `{"orders":[ {"a" : 1.0 ,"b":"\u00e9"} , 2e1 ],"pagination":{"nextToken":"t\u002b/="}}`, paging, []string{`{"a" : 1.0 ,"b":"\u00e9"}`, `2e1`}, "t+/="},
		"last page":          {"orders", `{"orders":[{}]}`, paging, []string{`{}`}, ""},
		"null token":         {"orders", `{"orders":[],"pagination":{"nextToken":null}}`, paging, []string{}, ""},
		"empty page goes on": {"payload.list", `{"payload":{"list":[]},"pagination":{"nextToken":"t"}}`, paging, []string{}, "t"},
		"list not there":     {"orders", `{}`, paging, []string{}, ""},
		"list is null":       {"orders", `{"orders":null}`, paging, []string{}, ""},
		"one item":           {"order", `{"order":{"id":1}}`, resource.Paging{}, []string{`{"id":1}`}, ""},
		"the answer itself":  {"", `{"id":1}`, resource.Paging{}, []string{`{"id":1}`}, ""},
		"only some members":  {"{id,kind}", `{"id":"D1","url":"https://secret","kind":"GZIP"}`, resource.Paging{}, []string{`{"id":"D1","kind":"GZIP"}`}, ""},
		"none of them":       {"{none}", `{"url":"https://secret"}`, resource.Paging{}, []string{`{}`}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items, next, err := resource.Page(resource.Operation{Items: test.items, Paging: test.paging}, []byte(test.answer))
			if err != nil {
				t.Fatal(err)
			}
			if next != test.next || len(items) != len(test.want) || items == nil {
				t.Fatalf("got %s and token %q, want %v and %q", items, next, test.want, test.next)
			}
			for i := range items {
				if string(items[i]) != test.want[i] {
					t.Errorf("item %d is %s, want %s", i, items[i], test.want[i])
				}
			}
		})
	}
}

func TestPageRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "<html>secret</html>", `{"orders":[`, `{"orders":[]} trailing`, strings.Repeat(`{"a":`, 20000)} {
		_, _, err := resource.Page(resource.Operation{Items: "orders"}, []byte(answer))
		if err == nil {
			t.Fatalf("took %.20q", answer)
		}
		if problem := fault.As(err); problem.Code != "provider_unavailable" || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

func linked() resource.Operation {
	return resource.Operation{Items: "$items", Paging: resource.Paging{Param: "page", Next: "$next", Link: true, Size: "size"}}
}

// A link is an address; the token is the page that it names.
func TestLinkedPages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer string
		want   []string
		next   string
	}{
		"relative":             {`{"$items":[{"id":1}],"$next":"/contacts?page=2&items_per_page=20"}`, []string{`{"id":1}`}, "2"},
		"absolute":             {`{"$items":[],"$next":"https://api.example/v3.1/contacts?a=b&page=17"}`, nil, "17"},
		"a query alone":        {`{"$items":[],"$next":"?page=3"}`, nil, "3"},
		"with zeros":           {`{"$items":[],"$next":"/x?page=007"}`, nil, "7"},
		"null":                 {`{"$items":[{"id":1.0}],"$next":null}`, []string{`{"id":1.0}`}, ""},
		"empty":                {`{"$items":[],"$next":""}`, nil, ""},
		"none":                 {`{"$items":[]}`, nil, ""},
		"a list that is null":  {`{"$items":null,"$next":null}`, nil, ""},
		"the answer is a list": {` [ {"id":1} , 2 ] `, []string{`{"id":1}`, `2`}, ""},
		"an empty one":         {`[]`, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items, next, err := resource.Page(linked(), []byte(test.answer))
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

// A link that leads nowhere is no end of the list, and an answer without a list is no empty one.
func TestBrokenLinks(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"$items":[],"$next":"/contacts?items_per_page=20"}`, `{"$items":[],"$next":"/contacts?page="}`, `{"$items":[],"$next":"/contacts?page=two"}`,
		`{"$items":[],"$next":"/contacts?page=1"}`, `{"$items":[],"$next":"/contacts?page=0"}`, `{"$items":[],"$next":"/contacts?page=-2"}`,
		`{"$items":[],"$next":"/contacts?page=99999999999999999999"}`, `{"$items":[],"$next":"::page=2"}`, `{"$items":[],"$next":2}`,
		`{"$items":[],"$next":true}`, `{"$items":[],"$next":{"page":2}}`, `{"$items":[],"$next":["?page=2"]}`,
		`{"$items":{"id":1}}`, `{"$items":"x"}`, `{"$total":0}`, `{"error":"x"}`, `{}`, `null`, `"x"`, `1`, `<html>`, ``,
	} {
		items, next, err := resource.Page(linked(), []byte(answer))
		if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || f.Code != "provider_unavailable" || f.Action == "" || items != nil || next != "" {
			t.Errorf("%s: got %s and %q, %v", answer, items, next, err)
		}
	}
}

// A page is followed by a later one, or the paging is broken: nobody reads the same pages for ever.
func TestAdvance(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ asked, token, want string }{
		"the first, not named": {"size=5&q=a", "2", "page=2&q=a&size=5"},
		"the next":             {"page=2&q=a", "3", "page=3&q=a"},
		"one is left out":      {"page=2", "9", "page=9"},
		"itself":               {"page=3", "3", ""},
		"the first again":      {"q=a", "1", ""},
		"an earlier one":       {"page=3", "2", ""},
		"no number":            {"page=3", "x", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, err := url.ParseQuery(test.asked)
			if err != nil {
				t.Fatal(err)
			}
			before := asked.Encode()
			next, err := resource.Advance(linked(), asked, test.token)
			switch {
			case test.want == "" && (fault.CodeOf(err) != "provider_unavailable" || next != nil):
				t.Errorf("got %v, %v", next, err)
			case test.want != "" && (err != nil || next.Encode() != test.want):
				t.Errorf("got %s, %v", next.Encode(), err)
			case asked.Encode() != before:
				t.Errorf("what was asked is changed: %v", asked)
			}
		})
	}
	// A token that is no link is anything.
	op := resource.Operation{Paging: resource.Paging{Param: "token", Next: "next"}}
	if next, err := resource.Advance(op, url.Values{"token": {"b"}}, "a"); err != nil || next.Get("token") != "a" {
		t.Errorf("got %v, %v", next, err)
	}
}
