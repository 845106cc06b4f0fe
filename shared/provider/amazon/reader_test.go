package amazon_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// entry is a normalized vault entry.
func entry(t *testing.T, settings map[string]string) record.Entry {
	t.Helper()
	e := record.Entry{Provider: amazon.Name, APIEnvironment: record.Production, Settings: settings}
	if err := amazon.New(amazon.Options{}).Normalize(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

func german(t *testing.T) record.Entry { return entry(t, map[string]string{"marketplace": "DE"}) }

func TestBaseURL(t *testing.T) {
	t.Parallel()
	ours := amazon.New(amazon.Options{Endpoints: amazon.Endpoints{API: map[string]string{"eu": "http://127.0.0.1:1/eu"}}})
	for _, test := range []struct {
		adapter     *amazon.Adapter
		marketplace string
		side        record.APIEnvironment
		want        string
	}{
		{amazon.New(amazon.Options{}), "US", record.Production, "https://sellingpartnerapi-na.amazon.com"},
		{amazon.New(amazon.Options{}), "DE", record.Production, "https://sellingpartnerapi-eu.amazon.com"},
		{amazon.New(amazon.Options{}), "IN", record.Production, "https://sellingpartnerapi-eu.amazon.com"},
		{amazon.New(amazon.Options{}), "AU", record.Production, "https://sellingpartnerapi-fe.amazon.com"},
		{amazon.New(amazon.Options{}), "JP", record.Sandbox, "https://sandbox.sellingpartnerapi-fe.amazon.com"},
		{ours, "DE", record.Production, "http://127.0.0.1:1/eu"},
		{ours, "DE", record.Sandbox, "http://127.0.0.1:1/eu"},
		{ours, "US", record.Production, "https://sellingpartnerapi-na.amazon.com"},
	} {
		e := entry(t, map[string]string{"marketplace": test.marketplace})
		e.APIEnvironment = test.side
		if got := test.adapter.BaseURL(e); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.marketplace, test.side, got, test.want)
		}
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "https://sellingpartnerapi-eu.amazon.com/x?a=b", nil)
	on := provider.Session{Access: secret.New("Atza|synthetic")}
	if err := amazon.New(amazon.Options{}).Sign(r, on, provider.Call{}, noon.In(time.FixedZone("", 3600))); err != nil {
		t.Fatal(err)
	}
	if r.Header.Get("x-amz-access-token") != "Atza|synthetic" || r.Header.Get("x-amz-date") != "20261120T120000Z" {
		t.Errorf("signed %v", r.Header)
	}
	if strings.Contains(r.URL.String(), "Atza") || r.Header.Get("Authorization") != "" {
		t.Errorf("the token is elsewhere: %s %v", r.URL, r.Header)
	}
	agent := r.Header.Get("User-Agent")
	if !regexp.MustCompile(`^ConnectorVault/1\.0 \(Language=Go/1\.[0-9.a-z-]+; Platform=[a-z0-9]+\)$`).MatchString(agent) || len(agent) > 500 {
		t.Errorf("the user agent is %q", agent)
	}
}

func TestMeta(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	for given, want := range map[string]float64{"0.0056": 0.0056, "5.0": 5, "": 0, "-1": 0, "0": 0, "many": 0, "NaN": 0, "Inf": 0} {
		id, rate := adapter.Meta(http.Header{"X-Amzn-Ratelimit-Limit": {given}, "X-Amzn-Requestid": {"R"}})
		if rate != want || id != "R" {
			t.Errorf("%q: got %v and %q", given, rate, id)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	plain := provider.Target{Entry: german(t), Account: record.Account{ID: "A1SYN"}}
	named := plain
	named.Connector.Settings = map[string][]string{"marketplaces": {"A13V1IB3VIYZZH", "IT", "AMZNUNKNOWN"}}
	for _, test := range []struct {
		name   string
		target provider.Target
		want   []string
	}{
		{"$marketplace", plain, []string{"A1PA6795UKMFR9"}},
		{"$marketplaces", plain, []string{"A1PA6795UKMFR9"}},
		{"$marketplaces-named", plain, nil},
		{"$marketplace-named", plain, nil},
		{"$marketplace", named, []string{"A13V1IB3VIYZZH"}},
		{"$marketplaces", named, []string{"A13V1IB3VIYZZH", "APJ6JRA9NG5V4", "AMZNUNKNOWN"}},
		{"$marketplaces-named", named, []string{"A13V1IB3VIYZZH", "APJ6JRA9NG5V4", "AMZNUNKNOWN"}},
		{"$marketplace-named", named, []string{"A13V1IB3VIYZZH"}},
		{"$account", plain, []string{"A1SYN"}},
		{"$account", provider.Target{Entry: german(t)}, nil},
		{"$month-ago", plain, []string{"2026-10-21T12:00:00Z"}},
		{"$nonsense", plain, nil},
	} {
		if got := adapter.Resolve(test.name, test.target, noon); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// TestAddresses is what a read of each kind looks like on the wire.
func TestAddresses(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	target := provider.Target{Entry: german(t), Account: record.Account{ID: "A1SYN"}}
	narrow := target
	narrow.Connector.Settings = map[string][]string{"marketplaces": {"A13V1IB3VIYZZH"}}
	const host = "https://sellingpartnerapi-eu.amazon.com"
	for _, test := range []struct {
		name   string
		target provider.Target
		item   string
		params string
		want   string
	}{
		{"orders", target, "", "", "/orders/2026-01-01/orders?lastUpdatedAfter=2026-10-21T12%3A00%3A00Z"},
		{"orders", narrow, "", "", "/orders/2026-01-01/orders?lastUpdatedAfter=2026-10-21T12%3A00%3A00Z&marketplaceIds=A13V1IB3VIYZZH"},
		{"orders", target, "", "createdAfter=2026-11-01T00:00:00Z&includedData=TAX,BUYER&maxResultsPerPage=5", "/orders/2026-01-01/orders?createdAfter=2026-11-01T00%3A00%3A00Z&includedData=TAX%2CBUYER&maxResultsPerPage=5"},
		{"orders", target, "902-1845936-5435065", "", "/orders/2026-01-01/orders/902-1845936-5435065"},
		{"inventory", target, "", "", "/fba/inventory/v1/summaries?granularityId=A1PA6795UKMFR9&granularityType=Marketplace&marketplaceIds=A1PA6795UKMFR9"},
		{"inventory", target, "", "marketplaceIds=A13V1IB3VIYZZH&details=true", "/fba/inventory/v1/summaries?details=true&granularityId=A13V1IB3VIYZZH&granularityType=Marketplace&marketplaceIds=A13V1IB3VIYZZH"},
		{"catalog-items", target, "", "keywords=red shoe", "/catalog/2022-04-01/items?keywords=red%20shoe&marketplaceIds=A1PA6795UKMFR9"},
		{"catalog-items", target, "B000000000", "", "/catalog/2022-04-01/items/B000000000?marketplaceIds=A1PA6795UKMFR9"},
		{"listings", target, "", "", "/listings/2021-08-01/items/A1SYN?marketplaceIds=A1PA6795UKMFR9"},
		{"listings", target, "a/b c", "", "/listings/2021-08-01/items/A1SYN/a%2Fb%20c?marketplaceIds=A1PA6795UKMFR9"},
		{"transactions", target, "", "", "/finances/2024-06-19/transactions?postedAfter=2026-10-21T12%3A00%3A00Z"},
		{"transactions", narrow, "", "relatedIdentifierName=ORDER_ID&relatedIdentifierValue=1", "/finances/2024-06-19/transactions?marketplaceId=A13V1IB3VIYZZH&relatedIdentifierName=ORDER_ID&relatedIdentifierValue=1"},
		{"reports", target, "", "reportTypes=GET_A,GET_B", "/reports/2021-06-30/reports?reportTypes=GET_A%2CGET_B"},
		{"reports", target, "", "nextToken=a%2Bb&reportTypes=GET_A", "/reports/2021-06-30/reports?nextToken=a%2Bb"},
		{"marketplaces", target, "", "", "/sellers/v1/marketplaceParticipations"},
		{"get-shipments", target, "", "NextToken=t&MarketplaceId=A1PA6795UKMFR9", "/fba/inbound/v0/shipments?MarketplaceId=A1PA6795UKMFR9&NextToken=t&QueryType=NEXT_TOKEN"},
		{"list-prep-details", target, "", "mskus=a,b&mskus=c", "/inbound/fba/2024-03-20/items/prepDetails?marketplaceId=A1PA6795UKMFR9&mskus=a%2Cb&mskus=c"},
		{"list-shipment-boxes", target, "S1", "inboundPlanId=P1", "/inbound/fba/2024-03-20/inboundPlans/P1/shipments/S1/boxes"},
	} {
		res, ok := adapter.Descriptor().Resource(test.name)
		if !ok {
			t.Fatalf("there is no %s", test.name)
		}
		params, err := url.ParseQuery(test.params)
		if err != nil {
			t.Fatal(err)
		}
		op := res.List
		if test.item != "" {
			op = res.Item
			params.Set("item", test.item)
		}
		params = resource.WithDefaults(*op, params, func(name string) []string { return adapter.Resolve(name, test.target, noon) })
		got, err := resource.Build(*op, adapter.BaseURL(test.target.Entry), params)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.String() != host+test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, host+test.want)
		}
	}
}

// A time that the default must not go with is told as such, before Amazon is asked.
func TestOrdersNeedOneTime(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	res, _ := adapter.Descriptor().Resource("orders")
	params := resource.WithDefaults(*res.List, url.Values{"createdBefore": {"2026-11-01T00:00:00Z"}}, func(name string) []string {
		return adapter.Resolve(name, provider.Target{Entry: german(t)}, noon)
	})
	if _, err := resource.Build(*res.List, "https://api.test", params); fault.As(err).Field != "lastUpdatedAfter" {
		t.Errorf("got %v", err)
	}
}
