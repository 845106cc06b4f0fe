package amazonsim

import (
	"context"
	"slices"
)

// Orders v0 is deprecated and leaves in 2027 (Amazon facts 8). It is here for what replaces nothing yet: restricted
// data tokens open its personal data and no other way does (Amazon facts 5.5).

// v0Money is an amount as v0 prints it.
type v0Money struct {
	Currency string `json:"CurrencyCode"`
	Amount   string `json:"Amount"`
}

func (o order) v0Body() map[string]any {
	sum := o.market.moneyIn(o.total())
	channel := "MFN"
	if o.byAmazon {
		channel = "AFN"
	}
	return map[string]any{
		"AmazonOrderId": o.id(), "PurchaseDate": stamp(o.created), "LastUpdateDate": stamp(o.updated),
		"OrderStatus": v0Status(o.status), "FulfillmentChannel": channel, "SalesChannel": o.market.name,
		"MarketplaceId": o.market.id, "OrderType": "StandardOrder", "OrderTotal": v0Money{sum.Currency, sum.Amount},
		"NumberOfItemsShipped": 0, "NumberOfItemsUnshipped": o.lines(),
	}
}

func v0Status(status string) string {
	switch status {
	case statusPreorder:
		return "PendingAvailability"
	case statusPending:
		return "Pending"
	case statusPartiallyShipped:
		return "PartiallyShipped"
	case statusShipped:
		return "Shipped"
	case statusCancelled:
		return "Canceled"
	case statusUnfulfillable:
		return "Unfulfillable"
	}
	return "Unshipped"
}

func (s *Simulator) getOrdersV0(ctx context.Context, c *call) (reply, error) {
	ids := csv(c.query, "MarketplaceIds")
	if len(ids) == 0 {
		return reply{}, invalidInput("MarketplaceIds is required.")
	}
	size, err := pageSize(c.query, "MaxResultsPerPage", 100, 100)
	if err != nil {
		return reply{}, err
	}
	at, err := s.resume(ctx, c, ordersV0Paging)
	if err != nil {
		return reply{}, err
	}
	query := map[string][]string{
		"createdAfter": c.query["CreatedAfter"], "createdBefore": c.query["CreatedBefore"],
		"lastUpdatedAfter": c.query["LastUpdatedAfter"], "lastUpdatedBefore": c.query["LastUpdatedBefore"],
	}
	filter, err := orderWindow(query, at.asOf())
	if err != nil {
		return reply{}, err
	}
	filter.markets = chosenMarkets(c, ids)
	found, next, err := pageOf(ctx, s, c, ordersV0Paging, at, searchBook(c.seller, filter, at.asOf()), size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, o := range found {
		body, err := o.v0WithPerson(c)
		if err != nil {
			return reply{}, err
		}
		list = append(list, body)
	}
	payload := map[string]any{"Orders": list, "CreatedBefore": stamp(filter.before)}
	if next != "" {
		payload["NextToken"] = next
	}
	return ok(map[string]any{"payload": payload}), nil
}

// v0WithPerson adds the data elements that the restricted data token names.
func (o order) v0WithPerson(c *call) (map[string]any, error) {
	body := o.v0Body()
	resource, err := restrictedMatch(c)
	if err != nil || resource == nil {
		return body, err
	}
	if slices.Contains(resource.DataElements, "buyerInfo") {
		body["BuyerInfo"] = o.v0Buyer(true)
	}
	if slices.Contains(resource.DataElements, "shippingAddress") {
		body["ShippingAddress"] = o.v0Address(true)
	}
	return body, nil
}

func (o order) v0Buyer(private bool) map[string]any {
	body := map[string]any{}
	if private {
		body["BuyerName"] = o.person()
	}
	return body
}

func (o order) v0Address(private bool) map[string]any {
	a := o.address(private)
	body := map[string]any{
		"City": a["city"], "StateOrRegion": a["stateOrRegion"], "PostalCode": a["postalCode"], "CountryCode": a["countryCode"],
	}
	if private {
		body["Name"], body["AddressLine1"], body["Phone"] = a["name"], a["addressLine1"], a["phone"]
	}
	return body
}

// v0One finds the order of the path and says whether the token opens its personal data.
func v0One(c *call) (o order, private bool, err error) {
	o, found := findOrder(c.seller, c.region, c.vars["orderId"], c.now)
	if !found {
		return o, false, errResourceNotFound
	}
	private, err = restrictedAllows(c)
	return o, private, err
}

func (s *Simulator) getOrderV0(_ context.Context, c *call) (reply, error) {
	o, _, err := v0One(c)
	if err != nil {
		return reply{}, err
	}
	body, err := o.v0WithPerson(c)
	return ok(map[string]any{"payload": body}), err
}

func (s *Simulator) getOrderBuyerInfoV0(_ context.Context, c *call) (reply, error) {
	o, private, err := v0One(c)
	if err != nil {
		return reply{}, err
	}
	body := o.v0Buyer(private)
	body["AmazonOrderId"] = o.id()
	return ok(map[string]any{"payload": body}), nil
}

func (s *Simulator) getOrderAddressV0(_ context.Context, c *call) (reply, error) {
	o, private, err := v0One(c)
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"payload": map[string]any{"AmazonOrderId": o.id(), "ShippingAddress": o.v0Address(private)}}), nil
}

func (s *Simulator) getOrderItemsV0(_ context.Context, c *call) (reply, error) {
	o, _, err := v0One(c)
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"payload": map[string]any{"AmazonOrderId": o.id(), "OrderItems": o.v0Items()}}), nil
}

func (s *Simulator) getOrderItemsBuyerInfoV0(_ context.Context, c *call) (reply, error) {
	o, _, err := v0One(c)
	if err != nil {
		return reply{}, err
	}
	items := []map[string]any{}
	for i := range o.lines() {
		items = append(items, map[string]any{"OrderItemId": o.line(i).id})
	}
	return ok(map[string]any{"payload": map[string]any{"AmazonOrderId": o.id(), "OrderItems": items}}), nil
}

func (o order) v0Items() []map[string]any {
	items := []map[string]any{}
	for i := range o.lines() {
		l := o.line(i)
		price := o.market.moneyIn(l.product.cents * int64(l.quantity))
		items = append(items, map[string]any{
			"ASIN": l.product.asin, "SellerSKU": l.product.sku, "OrderItemId": l.id, "Title": l.product.title,
			"QuantityOrdered": l.quantity, "QuantityShipped": l.shipped, "ItemPrice": v0Money{price.Currency, price.Amount},
		})
	}
	return items
}
