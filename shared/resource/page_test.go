package resource_test

import (
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
