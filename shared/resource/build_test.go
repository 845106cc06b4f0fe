package resource_test

import (
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/resource"
)

// orders is an operation with every kind of filter.
func orders() resource.Operation {
	return resource.Operation{
		ID: "searchOrders", Path: "/v1/sellers/{seller}/orders",
		Filters: []resource.Filter{
			{Name: "seller", In: resource.InPath, Required: true, Default: "$account"},
			{Name: "after", Default: "$month-ago", Yields: []string{"before"}},
			{Name: "created"},
			{Name: "before"},
			{Name: "status", List: resource.CSV, Values: []string{"OPEN", "SENT"}, Max: 2},
			{Name: "sku", List: resource.Multi},
			{Name: "places", List: resource.CSV, Default: "DE,FR"},
			{Name: "first", Default: "=places"},
			{Name: "kind", Values: []string{"A", "B"}},
		},
		OneOf:  [][]string{{"after", "created"}},
		Paging: resource.Paging{Param: "token", Size: "limit", MaxSize: 100},
	}
}

func resolve(name string) []string {
	return map[string][]string{"$account": {"A1"}, "$month-ago": {"2026-01-01T00:00:00Z"}}[name]
}

func TestBuild(t *testing.T) {
	t.Parallel()
	item := resource.Operation{ID: "getItem", Path: "/items/{item}"}
	alone := resource.Operation{ID: "getReports", Path: "/reports", Filters: []resource.Filter{{Name: "types", List: resource.CSV, Required: true}},
		Paging: resource.Paging{Param: "nextToken", Size: "pageSize", MaxSize: 100, Alone: true}}
	byType := resource.Operation{ID: "getShipments", Path: "/shipments",
		Filters: []resource.Filter{{Name: "QueryType", Required: true, Values: []string{"RANGE"}}, {Name: "Since", Required: true}},
		Paging:  resource.Paging{Param: "NextToken", Drop: []string{"Since"}, Add: map[string]string{"QueryType": "NEXT_TOKEN"}}}
	tests := map[string]struct {
		op     resource.Operation
		base   string
		params string
		want   string
	}{
		"lists":              {orders(), "https://api.test", "seller=A1&created=x&status=OPEN,SENT&sku=a,b&sku=c", "https://api.test/v1/sellers/A1/orders?created=x&sku=a%2Cb&sku=c&status=OPEN%2CSENT"},
		"repeated csv":       {orders(), "https://api.test", "seller=A1&created=x&status=OPEN&status=SENT", "https://api.test/v1/sellers/A1/orders?created=x&status=OPEN%2CSENT"},
		"space and plus":     {orders(), "https://api.test/", "seller=A1&created=a+b%2Bc", "https://api.test/v1/sellers/A1/orders?created=a%20b%2Bc"},
		"base with a path":   {item, "http://127.0.0.1:1/eu/", "item=x", "http://127.0.0.1:1/eu/items/x"},
		"slash in an item":   {item, "https://api.test", "item=a%2Fb", "https://api.test/items/a%2Fb"},
		"dots in an item":    {item, "https://api.test", "item=a..b%2F...", "https://api.test/items/a..b%2F..."},
		"escaped item":       {item, "https://api.test", "item=a%3Fb%23c%25d+e", "https://api.test/items/a%3Fb%23c%25d%20e"},
		"token verbatim":     {orders(), "https://api.test", "seller=A1&after=x&token=a%2Bb%2F%3D%3D", "https://api.test/v1/sellers/A1/orders?after=x&token=a%2Bb%2F%3D%3D"},
		"size":               {orders(), "https://api.test", "seller=A1&after=x&limit=100", "https://api.test/v1/sellers/A1/orders?after=x&limit=100"},
		"token alone":        {alone, "https://api.test", "nextToken=t&types=A&pageSize=5", "https://api.test/reports?nextToken=t"},
		"token adds":         {byType, "https://api.test", "NextToken=t", "https://api.test/shipments?NextToken=t&QueryType=NEXT_TOKEN"},
		"token adds instead": {byType, "https://api.test", "NextToken=t&QueryType=NEXT_TOKEN", "https://api.test/shipments?NextToken=t&QueryType=NEXT_TOKEN"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params, err := url.ParseQuery(test.params)
			if err != nil {
				t.Fatal(err)
			}
			got, err := resource.Build(test.op, test.base, params)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	item := resource.Operation{ID: "getItem", Path: "/items/{item}"}
	typed := resource.Operation{ID: "getReports", Path: "/reports", Filters: []resource.Filter{{Name: "types"}}, OneOf: [][]string{{"types"}}}
	tests := map[string]struct {
		op           resource.Operation
		params       string
		field, words string
	}{
		"unknown filter":    {orders(), "seller=A1&after=x&colour=red", "colour", "seller, after, created"},
		"no filters at all": {item, "item=x&colour=red", "colour", "takes no filters"},
		"required":          {orders(), "after=x", "seller", "needs seller"},
		"neither of two":    {orders(), "seller=A1", "after", "exactly one of after, created; 0"},
		"both of two":       {orders(), "seller=A1&after=x&created=y", "after", "2 were given"},
		"the one of one":    {typed, "", "types", "getReports needs types."},
		"foreign value":     {orders(), "seller=A1&after=x&kind=C", "kind", "A, B"},
		"value of a list":   {orders(), "seller=A1&after=x&status=OPEN,LOST", "status", "OPEN, SENT"},
		"too many":          {orders(), "seller=A1&after=x&status=OPEN,SENT,OPEN", "status", "at most 2"},
		"given twice":       {orders(), "seller=A1&after=x&kind=A&kind=B", "kind", "more than once"},
		"empty":             {orders(), "seller=A1&after=", "after", "empty"},
		"hole in a list":    {orders(), "seller=A1&after=x&status=OPEN,", "status", "empty"},
		"size of nothing":   {orders(), "seller=A1&after=x&limit=0", "limit", "1 to 100"},
		"size too large":    {orders(), "seller=A1&after=x&limit=101", "limit", "1 to 100"},
		"size in words":     {orders(), "seller=A1&after=x&limit=ten", "limit", "1 to 100"},
		"no item":           {item, "", "item", "exactly one item"},
		"two items":         {item, "item=a&item=b", "item", "exactly one item"},
		"a step up":         {item, "item=..", "item", "not an identifier"},
		"a step on the way": {item, "item=.", "item", "not an identifier"},
		"a step before":     {item, "item=../other", "item", "not an identifier"},
		"a step after":      {item, "item=a/b/..", "item", "not an identifier"},
		"a step between":    {item, "item=a%5C..%5Cb", "item", "not an identifier"},
		"a step to nowhere": {item, "item=a/./b", "item", "not an identifier"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params, err := url.ParseQuery(test.params)
			if err != nil {
				t.Fatal(err)
			}
			got, err := resource.Build(test.op, "https://api.test", params)
			if err == nil {
				t.Fatalf("built %s", got)
			}
			problem := fault.As(err)
			if problem.Kind != fault.Invalid || problem.Code != "invalid_field" || problem.Field != test.field {
				t.Errorf("got kind %s, code %s, field %q; want invalid, invalid_field, %q", problem.Kind, problem.Code, problem.Field, test.field)
			}
			if text := problem.Detail + " " + problem.Action; !strings.Contains(text, test.words) {
				t.Errorf("%q does not say %q", text, test.words)
			}
		})
	}
}

// A value that a caller made long must not come back at length.
func TestBuildClipsWhatItSaysBack(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 500)
	_, err := resource.Build(orders(), "https://api.test", url.Values{"seller": {"A1"}, "after": {"x"}, "kind": {long}})
	if got := len(fault.As(err).Detail); got > 120 {
		t.Errorf("the detail has %d bytes", got)
	}
	_, err = resource.Build(orders(), "https://api.test", url.Values{long: {"x"}})
	if got := len(fault.As(err).Field); got > 70 {
		t.Errorf("the field has %d bytes", got)
	}
}

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ given, want string }{
		"nothing given":       {"", "after=2026-01-01T00:00:00Z&first=DE&first=FR&places=DE&places=FR&seller=A1"},
		"the other of two":    {"created=x", "created=x&first=DE&first=FR&places=DE&places=FR&seller=A1"},
		"one that it yields":  {"before=x", "before=x&first=DE&first=FR&places=DE&places=FR&seller=A1"},
		"given":               {"seller=A2&after=x&places=IT", "after=x&first=IT&places=IT&seller=A2"},
		"a page that follows": {"token=t&seller=A1", "seller=A1&token=t"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, err := url.ParseQuery(test.given)
			if err != nil {
				t.Fatal(err)
			}
			before := given.Encode()
			got, _ := url.QueryUnescape(resource.WithDefaults(orders(), given, resolve).Encode())
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if given.Encode() != before {
				t.Error("the caller's parameters were changed")
			}
		})
	}
	t.Run("nil parameters and nothing resolved", func(t *testing.T) {
		t.Parallel()
		got := resource.WithDefaults(orders(), nil, func(string) []string { return nil })
		if got.Has("seller") || got.Has("after") || !got.Has("places") {
			t.Errorf("got %v", got)
		}
	})
}

func TestNextParams(t *testing.T) {
	t.Parallel()
	params := url.Values{"a": {"1"}, "b": {"2"}, "token": {"old"}}
	tests := map[string]struct {
		paging resource.Paging
		want   string
	}{
		"the same again": {resource.Paging{Param: "token"}, "a=1&b=2&token=new"},
		"alone":          {resource.Paging{Param: "token", Alone: true}, "token=new"},
		"drops and adds": {resource.Paging{Param: "token", Drop: []string{"b"}, Add: map[string]string{"type": "NEXT"}}, "a=1&token=new&type=NEXT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := resource.NextParams(resource.Operation{Paging: test.paging}, params, "new")
			if got.Encode() != test.want {
				t.Errorf("got %s, want %s", got.Encode(), test.want)
			}
		})
	}
	if params.Get("token") != "old" {
		t.Error("the caller's parameters were changed")
	}
}

// Whatever a caller asks, the request stays below the operation's own path on the provider's own host.
func FuzzBuild(f *testing.F) {
	f.Add("A1", "x", "OPEN")
	f.Add("../../admin", "a&b=c", "OPEN,SENT")
	f.Add("..", "#", "")
	f.Add("a\\b//c?d@e", "\x00", "%2e%2e")
	f.Fuzz(func(t *testing.T, seller, created, status string) {
		u, err := resource.Build(orders(), "https://api.test/base", url.Values{"seller": {seller}, "created": {created}, "status": {status}})
		if err != nil {
			if fault.As(err).Kind != fault.Invalid {
				t.Fatalf("not the caller's fault: %v", err)
			}
			return
		}
		if u.Scheme != "https" || u.Host != "api.test" || u.User != nil || u.Fragment != "" {
			t.Fatalf("led to %s", u)
		}
		parts := strings.Split(u.EscapedPath(), "/")
		if len(parts) != 6 || parts[1] != "base" || parts[3] != "sellers" || parts[5] != "orders" {
			t.Fatalf("led to %s", u)
		}
		if got, _ := url.PathUnescape(parts[4]); got != seller {
			t.Fatalf("the seller became %q", got)
		}
		if got := u.Query(); got.Get("created") != created || len(got) != 2 {
			t.Fatalf("the query became %v", got)
		}
	})
}
