package amazonsim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

const participations = "/sellers/v1/marketplaceParticipations"

func TestRefusalsOfTheAPI(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	europe, vendor := f.access(amazonsim.SellerEurope, "eu"), f.access(amazonsim.VendorGroup, "eu")
	tests := []struct {
		name, path, token string
		code, details     string
	}{
		{"no token", "eu" + participations, "", "Unauthorized", "Access token is missing in the request header."},
		{"unknown token", "eu" + participations, "Atza|x", "Unauthorized", "The access token you provided is revoked, malformed or invalid."},
		{"token of another region", "na" + participations, europe, "Unauthorized", ""},
		{"unknown path", "eu/orders/v9/orders", europe, "Unauthorized", ""},
		{"path with a trailing slash", "eu" + participations + "/", europe, "Unauthorized", ""},
		{"vendor at a sellers' operation", "eu" + participations, vendor, "Unauthorized", ""},
		{"marketplace of another region", "eu/orders/2026-01-01/orders?createdAfter=2026-06-01&marketplaceIds=ATVPDKIKX0DER", europe,
			"Unauthorized", "The marketplaces you provided are not valid for region."},
		{"token endpoint on the API's host", "eu/auth/o2/token", europe, "MissingAuthenticationToken", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := f.get(test.path, test.token)
			wantFailure(t, a, http.StatusForbidden, test.code, test.details)
			if a.header.Get("X-Amzn-Requestid") == "" || a.header.Get("X-Amzn-Ratelimit-Limit") != "" || a.header.Get("X-Amzn-Errortype") == "" {
				t.Errorf("headers %v", a.header)
			}
		})
	}
	wantStatus(t, f.get("eu/catalog/2022-04-01/items?keywords=lantern&marketplaceIds=A1PA6795UKMFR9", vendor), http.StatusOK)
}

func TestStrictRulesOfTheWire(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	address := f.base + "/eu" + participations
	header := func(agent string) http.Header {
		return http.Header{"X-Amz-Access-Token": {token}, "User-Agent": {agent}}
	}
	wantStatus(t, f.send(http.MethodGet, address, header(""), ""), http.StatusBadRequest)
	wantStatus(t, f.send(http.MethodGet, address, header(strings.Repeat("a", 501)), ""), http.StatusBadRequest)
	wantStatus(t, f.send(http.MethodGet, address, header(strings.Repeat("a", 500)), ""), http.StatusOK)
	wantStatus(t, f.send(http.MethodGet, address+"?x="+url.QueryEscape(token), header("a"), ""), http.StatusBadRequest)
	a := f.send(http.MethodGet, address, header("a"), "{}")
	if a.status != http.StatusBadRequest || !strings.Contains(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("body on GET: %d %v", a.status, a.header)
	}
	calls, err := f.sim.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var broken []string
	for _, c := range calls {
		if c.Endpoint == "strict" {
			broken = append(broken, c.Operation)
		}
	}
	if want := []string{"body_on_get", "token_in_query", "user_agent_missing", "user_agent_too_long"}; !slices.Equal(broken, want) {
		t.Errorf("broken rules %v, want %v", broken, want)
	}
}

func TestParticipations(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.get("na"+participations, f.access(amazonsim.SellerGlobal, "na"))
	wantStatus(t, a, http.StatusOK)
	got := decode[struct {
		Payload []struct {
			Marketplace   struct{ ID, CountryCode, Name, DefaultCurrencyCode, DefaultLanguageCode, DomainName string }
			StoreName     string
			Participation struct{ IsParticipating, HasSuspendedListings bool }
		}
	}](t, a)
	if len(got.Payload) != 2 || got.Payload[0].Marketplace.ID != "ATVPDKIKX0DER" || got.Payload[0].StoreName != "Meridian Trading" ||
		!got.Payload[0].Participation.IsParticipating || strings.Contains(a.body, amazonsim.SellerGlobal) {
		t.Errorf("payload %+v", got.Payload)
	}
	if a.header.Get("X-Amzn-Ratelimit-Limit") != "0.016" {
		t.Errorf("rate header %q", a.header.Get("X-Amzn-Ratelimit-Limit"))
	}
}

func TestTokenBucketOfAnOperation(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	europe, global := f.access(amazonsim.SellerEurope, "eu"), f.access(amazonsim.SellerGlobal, "eu")
	search := "eu/orders/2026-01-01/orders?createdAfter=2026-06-15T00:00:00Z"
	for i := range 20 {
		if a := f.get(search, europe); a.status != http.StatusOK {
			t.Fatalf("call %d of the burst: %d %s", i+1, a.status, a.body)
		}
	}
	a := f.get(search, europe)
	wantFailure(t, a, http.StatusTooManyRequests, "QuotaExceeded", "")
	if a.header.Get("X-Amzn-Ratelimit-Limit") != "" || a.header.Get("Retry-After") != "" {
		t.Errorf("headers %v", a.header)
	}
	wantStatus(t, f.get(search, global), http.StatusOK) // another seller's bucket
	wantStatus(t, f.get("eu"+participations, europe), http.StatusOK)
	f.clock.Step(178 * time.Second) // 1/0.0056 s is 178.6 s
	wantStatus(t, f.get(search, europe), http.StatusTooManyRequests)
	f.clock.Step(time.Second)
	wantStatus(t, f.get(search, europe), http.StatusOK)
	wantStatus(t, f.get(search, europe), http.StatusTooManyRequests)

	wantStatus(t, f.control(http.MethodPost, "/_sim/rates", `{"unlimited":true}`), http.StatusNoContent)
	for range 3 {
		wantStatus(t, f.get(search, europe), http.StatusOK)
	}
	wantStatus(t, f.control(http.MethodPost, "/_sim/rates", `{"unlimited":false}`), http.StatusNoContent)
	wantStatus(t, f.get(search, europe), http.StatusTooManyRequests)
	wantStatus(t, f.control(http.MethodPost, "/_sim/rates", `{"refill":true}`), http.StatusNoContent)
	wantStatus(t, f.get(search, europe), http.StatusOK)
}

type orderPage struct {
	Orders []struct {
		OrderID      string `json:"orderId"`
		CreatedTime  time.Time
		LastUpdated  time.Time `json:"lastUpdatedTime"`
		SalesChannel struct{ MarketplaceID string }
		Buyer        *struct{ BuyerName, BuyerEmail string }
		Recipient    *struct {
			DeliveryAddress struct{ Name, AddressLine1, Phone, City string }
		}
		Fulfillment *struct{ FulfillmentStatus, FulfilledBy string }
	}
	Pagination    *struct{ NextToken string }
	CreatedBefore time.Time
}

func TestOrdersPageThroughAMonth(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	query := url.Values{"createdAfter": {"2026-05-16T00:00:00Z"}, "marketplaceIds": {"A1PA6795UKMFR9"}}
	seen := map[string]bool{}
	pages := 0
	var last time.Time
	for {
		a := f.get("eu/orders/2026-01-01/orders?"+query.Encode(), token)
		wantStatus(t, a, http.StatusOK)
		page := decode[orderPage](t, a)
		pages++
		for _, o := range page.Orders {
			if seen[o.OrderID] || o.CreatedTime.Before(last) || o.SalesChannel.MarketplaceID != "A1PA6795UKMFR9" {
				t.Fatalf("order %+v repeats, is out of order or of another marketplace", o)
			}
			if o.Buyer != nil || o.Recipient != nil || o.Fulfillment != nil {
				t.Fatal("data came that was not asked for")
			}
			seen[o.OrderID], last = true, o.CreatedTime
		}
		if page.Pagination == nil {
			break
		}
		query.Set("paginationToken", page.Pagination.NextToken)
		f.clock.Step(7 * time.Minute) // the list must not shift while time passes
	}
	// One order an hour: 30.5 days are 732 hours.
	if pages != 8 || len(seen) < 725 || len(seen) > 733 {
		t.Errorf("%d orders on %d pages", len(seen), pages)
	}
}

func TestOrdersFilterAndIncludedData(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	search := "eu/orders/2026-01-01/orders?createdAfter=2026-06-01T00:00:00Z&includedData=BUYER,RECIPIENT,FULFILLMENT&fulfillmentStatuses=SHIPPED,CANCELLED&fulfilledBy=MERCHANT"
	a := f.get(search, token)
	wantStatus(t, a, http.StatusOK)
	page := decode[orderPage](t, a)
	statuses := map[string]int{}
	for _, o := range page.Orders {
		statuses[o.Fulfillment.FulfillmentStatus]++
		if o.Fulfillment.FulfilledBy != "MERCHANT" || o.Buyer.BuyerName == "" || o.Recipient.DeliveryAddress.Phone == "" {
			t.Fatalf("order %+v", o)
		}
		if (o.Fulfillment.FulfillmentStatus == "SHIPPED") != (o.Buyer.BuyerEmail != "") {
			t.Fatalf("e-mail address of a %s order: %q", o.Fulfillment.FulfillmentStatus, o.Buyer.BuyerEmail)
		}
	}
	if statuses["SHIPPED"] == 0 || statuses["CANCELLED"] == 0 || len(statuses) != 2 {
		t.Errorf("statuses %v", statuses)
	}

	f.fault(amazonsim.Fault{Name: amazonsim.FaultNoPersonalData})
	page = decode[orderPage](t, f.get(search, token))
	for _, o := range page.Orders {
		if o.Buyer.BuyerName != "" || o.Recipient.DeliveryAddress.Name != "" || o.Recipient.DeliveryAddress.City == "" {
			t.Fatalf("without the restricted roles: %+v", o)
		}
	}
}

func TestOneOrderIsFoundByItsIDAndOnlyByItsSeller(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token, other := f.access(amazonsim.SellerEurope, "eu"), f.access(amazonsim.SellerGlobal, "eu")
	page := decode[orderPage](t, f.get("eu/orders/2026-01-01/orders?createdAfter=2026-06-14T00:00:00Z", token))
	if len(page.Orders) < 50 {
		t.Fatalf("%d orders", len(page.Orders))
	}
	for _, o := range page.Orders[:5] {
		a := f.get("eu/orders/2026-01-01/orders/"+o.OrderID+"?includedData=FULFILLMENT", token)
		wantStatus(t, a, http.StatusOK)
		if one := decode[struct {
			Order struct{ OrderID string }
		}](t, a); one.Order.OrderID != o.OrderID {
			t.Errorf("order %q for %q", one.Order.OrderID, o.OrderID)
		}
		wantFailure(t, f.get("eu/orders/2026-01-01/orders/"+o.OrderID, other), http.StatusNotFound, "NotFound", "")
	}
	wantStatus(t, f.get("eu/orders/2026-01-01/orders/902-1845936-5435065", token), http.StatusNotFound)
}

func TestOrdersShowUpTwoMinutesAfterTheyWerePlaced(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.clock.Step(3 * time.Hour)
	refresh := f.refreshToken(amazonsim.SellerEurope, "eu")
	page := decode[orderPage](t, f.get("eu/orders/2026-01-01/orders?createdAfter=2026-06-15T12:00:00Z", f.refresh(refresh).Access))
	o := page.Orders[0]
	path := "eu/orders/2026-01-01/orders/" + o.OrderID
	f.clock.Step(o.CreatedTime.Add(2*time.Minute - time.Second).Sub(f.clock.Now()))
	wantStatus(t, f.get(path, f.refresh(refresh).Access), http.StatusNotFound)
	f.clock.Step(time.Second)
	wantStatus(t, f.get(path, f.refresh(refresh).Access), http.StatusOK)
}

func TestUpdatesShowUpInTheNextWindow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	mark := f.clock.Now().Add(-2 * time.Minute)
	f.clock.Step(24 * time.Hour)
	token := f.access(amazonsim.SellerEurope, "eu")
	query := url.Values{"lastUpdatedAfter": {mark.Format(time.RFC3339)}, "includedData": {"FULFILLMENT"}}
	page := decode[orderPage](t, f.get("eu/orders/2026-01-01/orders?"+query.Encode(), token))
	older, shipped := 0, 0
	for _, o := range page.Orders {
		if o.LastUpdated.Before(mark) {
			t.Fatalf("order %+v was not updated", o)
		}
		if o.CreatedTime.Before(mark) {
			older++
		}
		if o.Fulfillment.FulfillmentStatus == "SHIPPED" {
			shipped++
		}
	}
	if older == 0 || shipped == 0 {
		t.Errorf("%d older orders, %d shipped", older, shipped)
	}
}

func TestOrderSearchRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	for _, query := range []string{
		"", "createdAfter=2026-06-01&lastUpdatedAfter=2026-06-01", "createdAfter=2026-06-01&lastUpdatedBefore=2026-06-02",
		"createdAfter=yesterday", "createdAfter=2026-06-01&createdBefore=2026-06-15T11:59:00Z",
		"createdAfter=2026-06-02&createdBefore=2026-06-01", "createdAfter=2026-06-01&maxResultsPerPage=101",
		"createdAfter=2026-06-01&includedData=EVERYTHING", "createdAfter=2026-06-01&fulfillmentStatuses=LOST",
		"createdAfter=2026-06-01&fulfilledBy=ME", "createdAfter=2026-06-01&marketplaceIds=NOWHERE",
		"createdAfter=2026-06-01&paginationToken=made-up",
	} {
		if err := f.sim.ResetThrottles(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := f.get("eu/orders/2026-01-01/orders?"+query, token)
		if a.status != http.StatusBadRequest || decode[apiFailure](t, a).Errors[0].Code != "InvalidInput" {
			t.Errorf("%q: %d %s", query, a.status, a.body)
		}
		if a.header.Get("X-Amzn-Ratelimit-Limit") != "0.0056" {
			t.Errorf("%q: rate header %q", query, a.header.Get("X-Amzn-Ratelimit-Limit"))
		}
	}
}

func TestPaginationTokensAreBoundAndExpire(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	refresh := f.refreshToken(amazonsim.SellerEurope, "eu")
	token, other := f.refresh(refresh).Access, f.access(amazonsim.SellerGlobal, "eu")
	query := url.Values{"createdAfter": {"2026-06-01T00:00:00Z"}, "maxResultsPerPage": {"10"}}
	search := func(token string) answer { return f.get("eu/orders/2026-01-01/orders?"+query.Encode(), token) }
	next := decode[orderPage](t, search(token)).Pagination.NextToken
	if url.QueryEscape(next) == next {
		t.Errorf("token %q needs no escaping, Amazon's do", next)
	}
	query.Set("paginationToken", next)
	wantStatus(t, search(other), http.StatusBadRequest)
	query.Set("maxResultsPerPage", "20") // may change
	query.Set("includedData", "BUYER")   // may change
	wantStatus(t, search(token), http.StatusOK)
	wantStatus(t, search(token), http.StatusOK) // a token may be used again: the reader may have lost the answer
	query.Set("fulfilledBy", "AMAZON")
	wantStatus(t, search(token), http.StatusBadRequest)
	query.Del("fulfilledBy")
	f.clock.Step(24*time.Hour - time.Second)
	wantStatus(t, search(f.refresh(refresh).Access), http.StatusOK)
	f.clock.Step(time.Second)
	wantStatus(t, search(f.refresh(refresh).Access), http.StatusBadRequest)
}

func TestInventoryTokensLiveThirtySeconds(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	query := url.Values{
		"granularityType": {"Marketplace"}, "granularityId": {"A1PA6795UKMFR9"}, "marketplaceIds": {"A1PA6795UKMFR9"}, "details": {"true"},
	}
	type page struct {
		Payload struct {
			InventorySummaries []struct {
				SellerSKU        string `json:"sellerSku"`
				TotalQuantity    int
				InventoryDetails *struct{ FulfillableQuantity int }
			}
		}
		Pagination *struct{ NextToken string }
	}
	read := func() answer { return f.get("eu/fba/inventory/v1/summaries?"+query.Encode(), token) }
	pages, items := 0, 0
	for {
		f.clock.Step(time.Second) // two calls a second
		a := read()
		wantStatus(t, a, http.StatusOK)
		got := decode[page](t, a)
		pages, items = pages+1, items+len(got.Payload.InventorySummaries)
		if got.Payload.InventorySummaries[0].InventoryDetails == nil {
			t.Fatal("details are missing")
		}
		if got.Pagination == nil {
			break
		}
		query.Set("nextToken", got.Pagination.NextToken)
	}
	if pages != 3 || items != 107 {
		t.Errorf("%d items on %d pages", items, pages)
	}
	query.Del("nextToken")
	f.clock.Step(time.Second)
	query.Set("nextToken", decode[page](t, read()).Pagination.NextToken)
	f.clock.Step(29 * time.Second)
	wantStatus(t, read(), http.StatusOK)
	f.clock.Step(time.Second)
	wantStatus(t, read(), http.StatusBadRequest)
	query.Del("nextToken")
	query.Set("sellerSkus", decode[page](t, read()).Payload.InventorySummaries[3].SellerSKU)
	f.clock.Step(time.Second)
	if got := decode[page](t, read()); len(got.Payload.InventorySummaries) != 1 {
		t.Errorf("%d summaries of one SKU", len(got.Payload.InventorySummaries))
	}
	query.Add("marketplaceIds", "A1F83G8C2ARO7P")
	wantStatus(t, read(), http.StatusBadRequest)
}

func TestListingsAndCatalog(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	own := "eu/listings/2021-08-01/items/" + amazonsim.SellerEurope
	type page struct {
		NumberOfResults int
		Items           []struct{ SKU, ASIN string }
		Pagination      *struct{ NextToken string }
	}
	first := decode[page](t, f.get(own+"?marketplaceIds=A1PA6795UKMFR9&pageSize=20", token))
	if len(first.Items) != 20 || first.NumberOfResults != 160 || first.Pagination == nil {
		t.Fatalf("first page: %d of %d", len(first.Items), first.NumberOfResults)
	}
	second := decode[page](t, f.get(own+"?marketplaceIds=A1PA6795UKMFR9&pageSize=20&pageToken="+url.QueryEscape(first.Pagination.NextToken), token))
	if second.Items[0].SKU == first.Items[0].SKU {
		t.Error("the second page repeats the first")
	}
	odd := first.Items[7].SKU
	if odd == url.PathEscape(odd) || !strings.Contains(odd, "/") {
		t.Fatalf("SKU %q is not awkward", odd)
	}
	a := f.get(own+"/"+url.PathEscape(odd)+"?marketplaceIds=A1PA6795UKMFR9&includedData=summaries,offers", token)
	wantStatus(t, a, http.StatusOK)
	item := decode[struct {
		SKU       string
		Summaries []struct{ ASIN string }
		Offers    []struct {
			Price struct{ Amount, CurrencyCode string }
		}
	}](t, a)
	if item.SKU != odd || len(item.Offers) != 1 || item.Offers[0].Price.CurrencyCode != "EUR" {
		t.Errorf("item %+v", item)
	}
	wantFailure(t, f.get("eu/listings/2021-08-01/items/"+amazonsim.SellerGlobal+"?marketplaceIds=A1PA6795UKMFR9", token), http.StatusBadRequest, "InvalidInput", "")

	asin := item.Summaries[0].ASIN
	a = f.get("eu/catalog/2022-04-01/items/"+asin+"?marketplaceIds=A1PA6795UKMFR9", token)
	if decode[struct{ ASIN string }](t, a).ASIN != asin {
		t.Errorf("catalogue item %s", a.body)
	}
	f.clock.Step(time.Minute)
	found := decode[page](t, f.get("eu/catalog/2022-04-01/items?identifiersType=ASIN&identifiers="+asin+"&marketplaceIds=A1PA6795UKMFR9", token))
	if len(found.Items) != 1 || found.Items[0].ASIN != asin {
		t.Errorf("found %+v", found)
	}
	wantStatus(t, f.get("eu/catalog/2022-04-01/items?marketplaceIds=A1PA6795UKMFR9", token), http.StatusBadRequest)
}

func TestTransactionsFollowShipments(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerNorthAmerica, "na")
	type page struct {
		Payload struct {
			NextToken    string
			Transactions []struct {
				PostedDate         time.Time
				RelatedIdentifiers []struct{ RelatedIdentifierName, RelatedIdentifierValue string }
				TotalAmount        struct {
					CurrencyCode   string
					CurrencyAmount float64
				}
			}
		}
	}
	query := url.Values{"postedAfter": {"2026-06-01T00:00:00Z"}}
	pages, count := 0, 0
	var orderID string
	for {
		a := f.get("na/finances/2024-06-19/transactions?"+query.Encode(), token)
		wantStatus(t, a, http.StatusOK)
		got := decode[page](t, a)
		pages++
		for _, x := range got.Payload.Transactions {
			count++
			orderID = x.RelatedIdentifiers[0].RelatedIdentifierValue
			if x.PostedDate.Before(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)) || x.TotalAmount.CurrencyAmount <= 0 {
				t.Fatalf("transaction %+v", x)
			}
		}
		if got.Payload.NextToken == "" {
			break
		}
		query.Set("nextToken", got.Payload.NextToken)
	}
	if pages < 3 || count < 500 {
		t.Errorf("%d transactions on %d pages", count, pages)
	}
	f.clock.Step(time.Minute) // the burst is used up
	a := f.get("na/finances/2024-06-19/transactions?relatedIdentifierName=ORDER_ID&relatedIdentifierValue="+orderID, token)
	if got := decode[page](t, a); len(got.Payload.Transactions) != 1 {
		t.Errorf("transactions of one order: %s", a.body)
	}
	a = f.get("na/finances/2024-06-19/transactions?postedAfter=2025-01-01", token)
	if got := decode[page](t, a); a.status != http.StatusOK || len(got.Payload.Transactions) != 0 {
		t.Errorf("more than 180 days: %d, %d transactions", a.status, len(got.Payload.Transactions))
	}
	wantStatus(t, f.get("na/finances/2024-06-19/transactions", token), http.StatusBadRequest)
	wantStatus(t, f.get("na/finances/2024-06-19/transactions?postedAfter=2026-06-15T12:00:00Z", token), http.StatusBadRequest)
}

// Every read operation must answer something that can be decoded.
func TestEveryReadOperationAnswers(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	seller := f.access(amazonsim.SellerEurope, "eu")
	scoped := map[string]string{}
	for _, scope := range []string{"sellingpartnerapi::notifications", "sellingpartnerapi::shipments:track"} {
		a := f.post("/auth/o2/token", url.Values{
			"grant_type": {"client_credentials"}, "scope": {scope},
			"client_id": {amazonsim.SeededClientID}, "client_secret": {amazonsim.SeededClientSecret},
		})
		scoped[scope] = decode[tokens](t, a).Access
	}
	order := decode[orderPage](t, f.get("eu/orders/2026-01-01/orders?createdAfter=2026-06-01", seller)).Orders[0].OrderID
	known := strings.NewReplacer("{orderId}", order, "{sellerId}", amazonsim.SellerEurope, "{sku}", "AB%2F12%20%C3%BC+%25-0007")
	general := url.Values{
		"createdAfter": {"2026-06-01"}, "CreatedAfter": {"2026-06-01"}, "marketplaceIds": {"A1PA6795UKMFR9"}, "MarketplaceIds": {"A1PA6795UKMFR9"},
		"granularityType": {"Marketplace"}, "granularityId": {"A1PA6795UKMFR9"}, "keywords": {"lantern"}, "postedAfter": {"2026-06-01"},
		"reportTypes": {"GET_AFN_INVENTORY_DATA"}, "feedTypes": {"JSON_LISTINGS_FEED"}, "granularity": {"Total"},
		"interval": {"2026-06-01T00:00:00Z--2026-06-02T00:00:00Z"},
	}
	lookedUpByID := []string{"getCatalogItem", "getReport", "getReportSchedule", "getReportDocument", "getFeed", "getFeedDocument"}
	for _, op := range amazonsim.Operations() {
		if op.Method != http.MethodGet || slices.Contains(lookedUpByID, op.ID) {
			continue
		}
		path := known.Replace(op.Path)
		for strings.Contains(path, "{") {
			start, end := strings.Index(path, "{"), strings.Index(path, "}")
			path = path[:start] + "x" + path[end+1:]
		}
		token := seller
		if op.Scope != "" {
			token = scoped[op.Scope]
		}
		a := f.get("eu"+path+"?"+general.Encode(), token)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", op.ID, a.status, a.body)
			continue
		}
		decode[map[string]any](t, a)
		if want := fmt.Sprint(op.Rate); op.Rate > 0 && !strings.HasPrefix(a.header.Get("X-Amzn-Ratelimit-Limit"), want) {
			t.Errorf("%s: rate header %q, want %s", op.ID, a.header.Get("X-Amzn-Ratelimit-Limit"), want)
		}
	}
}
