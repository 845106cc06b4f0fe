package amazonsim

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// includedData values of Orders 2026-01-01 (Amazon facts 7.2).
func orderDataSets() []string {
	return []string{
		"BUYER", "RECIPIENT", "PROCEEDS", "EXPENSE", "PROMOTION", "CANCELLATION", "FULFILLMENT", "PACKAGES", "TAX",
		"PAYMENT", "FULFILLMENT_ORDERS",
	}
}

var (
	errOneBound   = invalidInput("Exactly one of createdAfter and lastUpdatedAfter is required.")
	errMixedBound = invalidInput("createdBefore goes with createdAfter, lastUpdatedBefore with lastUpdatedAfter.")
	errBadTime    = invalidInput("A date is not in ISO 8601 format.")
	errLateBound  = invalidInput("The end of the time window must be at least two minutes in the past.")
	errBounds     = invalidInput("The end of the time window must not be before its start.")
)

// searchOrders answers a page of the order book (Amazon facts 7.2).
func (s *Simulator) searchOrders(ctx context.Context, c *call) (reply, error) {
	size, err := pageSize(c.query, "maxResultsPerPage", 100, 100)
	if err != nil {
		return reply{}, err
	}
	at, err := s.resume(ctx, c, ordersPaging)
	if err != nil {
		return reply{}, err
	}
	filter, err := orderQuery(c, at.asOf())
	if err != nil {
		return reply{}, err
	}
	included, err := includedOrderData(c.query)
	if err != nil {
		return reply{}, err
	}
	private, err := s.personalDataAllowed(ctx, c)
	if err != nil {
		return reply{}, err
	}
	found, next, err := pageOf(ctx, s, c, ordersPaging, at, searchBook(c.seller, filter, at.asOf()), size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, o := range found {
		list = append(list, orderBody(o, included, private))
	}
	body := map[string]any{"orders": list}
	if pagination := nextToken(next); pagination != nil {
		body["pagination"] = pagination
	}
	if filter.byUpdate {
		body["lastUpdatedBefore"] = stamp(filter.before)
	} else {
		body["createdBefore"] = stamp(filter.before)
	}
	return ok(body), nil
}

// getOrder answers one order.
func (s *Simulator) getOrder(ctx context.Context, c *call) (reply, error) {
	included, err := includedOrderData(c.query)
	if err != nil {
		return reply{}, err
	}
	o, found := findOrder(c.seller, c.region, c.vars["orderId"], c.now)
	if !found {
		return reply{}, errResourceNotFound
	}
	private, err := s.personalDataAllowed(ctx, c)
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"order": orderBody(o, included, private)}), nil
}

// personalDataAllowed says whether the application's roles give it names and addresses (Amazon facts 5.5, 5.6).
func (s *Simulator) personalDataAllowed(ctx context.Context, c *call) (bool, error) {
	_, denied, err := s.fire(ctx, FaultNoPersonalData, c.where)
	return !denied, err
}

func includedOrderData(query url.Values) ([]string, error) {
	included := csv(query, "includedData")
	for _, name := range included {
		if !slices.Contains(orderDataSets(), name) {
			return nil, invalidInput("includedData has an unknown value.")
		}
	}
	return included, nil
}

// orderQuery reads the filters of searchOrders.
func orderQuery(c *call, asOf time.Time) (orderFilter, error) {
	filter, err := orderWindow(c.query, asOf)
	if err != nil {
		return filter, err
	}
	statuses, fulfilledBy := csv(c.query, "fulfillmentStatuses"), csv(c.query, "fulfilledBy")
	for _, status := range statuses {
		if !slices.Contains(orderStatuses(), status) {
			return filter, invalidInput("fulfillmentStatuses has an unknown value.")
		}
	}
	for _, who := range fulfilledBy {
		if who != "MERCHANT" && who != "AMAZON" {
			return filter, invalidInput("fulfilledBy has an unknown value.")
		}
	}
	filter.markets = chosenMarkets(c, csv(c.query, "marketplaceIds"))
	filter.keep = func(o order) bool {
		return (len(statuses) == 0 || slices.Contains(statuses, o.status)) &&
			(len(fulfilledBy) == 0 || slices.Contains(fulfilledBy, o.fulfilledBy()))
	}
	return filter, nil
}

// chosenMarkets are the seller's marketplaces among the ids, or all of the region where none is named.
func chosenMarkets(c *call, ids []string) []marketplace {
	all := c.seller.marketplacesIn(c.region)
	if len(ids) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(m marketplace) bool { return !slices.Contains(ids, m.id) })
}

// orderWindow reads the time window: one kind of bound, whose end is two minutes old (Amazon facts 7.2).
func orderWindow(query url.Values, asOf time.Time) (orderFilter, error) {
	var f orderFilter
	created, updated := query.Get("createdAfter"), query.Get("lastUpdatedAfter")
	if (created == "") == (updated == "") {
		return f, errOneBound
	}
	f.byUpdate = updated != ""
	end, foreign := query.Get("createdBefore"), query.Get("lastUpdatedBefore")
	if f.byUpdate {
		end, foreign = foreign, end
	}
	if foreign != "" {
		return f, errMixedBound
	}
	var valid bool
	if f.after, valid = parseTime(created + updated); !valid {
		return f, errBadTime
	}
	newest := asOf.Add(-orderVisible)
	if end == "" {
		f.before = newest
		return f, nil
	}
	f.before, valid = parseTime(end)
	switch {
	case !valid:
		return f, errBadTime
	case f.before.After(newest):
		return f, errLateBound
	case f.before.Before(f.after):
		return f, errBounds
	}
	return f, nil
}

func (o order) fulfilledBy() string {
	if o.byAmazon {
		return "AMAZON"
	}
	return "MERCHANT"
}

// orderBody prints an order. What no data set was asked for is left out; without the restricted roles the person
// is left out of what was asked for.
func orderBody(o order, included []string, private bool) map[string]any {
	has := func(name string) bool { return slices.Contains(included, name) }
	body := map[string]any{
		"orderId": o.id(), "createdTime": stamp(o.created), "lastUpdatedTime": stamp(o.updated),
		"salesChannel": map[string]any{"channelName": "AMAZON", "marketplaceId": o.market.id, "marketplaceName": o.market.name},
		"orderItems":   o.itemBodies(has),
	}
	if o.byAmazon {
		body["programs"] = []string{"PRIME"}
	}
	if has("BUYER") {
		body["buyer"] = o.buyer(private)
	}
	if has("RECIPIENT") {
		body["recipient"] = map[string]any{"deliveryAddress": o.address(private)}
	}
	if has("PROCEEDS") {
		body["proceeds"] = map[string]any{"grandTotal": o.market.moneyIn(o.total())}
	}
	if has("FULFILLMENT") {
		body["fulfillment"] = o.fulfillmentBody()
	}
	if has("PACKAGES") && !o.shipped.IsZero() {
		body["packages"] = []map[string]any{o.packageBody()}
	}
	if has("TAX") {
		body["tax"] = map[string]any{"taxInvoicing": map[string]any{"invoiceStatus": "NOT_REQUIRED"}}
	}
	if has("PAYMENT") {
		body["payment"] = map[string]any{"paymentExecutions": []map[string]any{
			{"paymentMethod": "STANDARD", "paymentAmount": o.market.moneyIn(o.total())},
		}}
	}
	if has("FULFILLMENT_ORDERS") {
		body["fulfillmentOrders"] = []map[string]any{{"fulfillmentOrderId": "FO-" + o.id()}}
	}
	return body
}

// buyer gives the relay address only for what the merchant ships and has at least accepted (Amazon facts 5.5).
func (o order) buyer(private bool) map[string]any {
	body := map[string]any{}
	if !private {
		return body
	}
	body["buyerName"] = o.person()
	accepted := o.status == statusUnshipped || o.status == statusPartiallyShipped || o.status == statusShipped
	if !o.byAmazon && accepted {
		body["buyerEmail"] = fmt.Sprintf("buyer%05d@marketplace.example", o.dice.below(100000))
	}
	return body
}

func (o order) person() string { return fmt.Sprintf("Simulated Buyer %05d", o.dice.below(100000)) }

// address keeps town and country for everybody; the person's part is personal data.
func (o order) address(private bool) map[string]any {
	body := map[string]any{
		"city": "Sample City", "stateOrRegion": "SC", "postalCode": fmt.Sprintf("%05d", o.dice.below(99999)),
		"countryCode": o.market.country, "addressType": "RESIDENTIAL",
	}
	if private {
		body["name"] = o.person()
		body["addressLine1"] = strconv.Itoa(1+o.dice.below(200)) + " Simulated Straße"
		body["phone"] = fmt.Sprintf("+1 555 01%05d", o.dice.below(100000))
	}
	return body
}

func (o order) fulfillmentBody() map[string]any {
	by := o.created.Add(24 * time.Hour)
	return map[string]any{
		"fulfillmentStatus": o.status, "fulfilledBy": o.fulfilledBy(), "fulfillmentServiceLevel": "STANDARD",
		"shipByWindow":    map[string]string{"earliestDateTime": stamp(o.created), "latestDateTime": stamp(by)},
		"deliverByWindow": map[string]string{"earliestDateTime": stamp(by), "latestDateTime": stamp(by.Add(72 * time.Hour))},
	}
}

func (o order) packageBody() map[string]any {
	items := make([]map[string]any, 0, o.lines())
	for i := range o.lines() {
		l := o.line(i)
		items = append(items, map[string]any{"orderItemId": l.id, "quantity": l.quantity})
	}
	return map[string]any{
		"packageReferenceId": "1", "createdTime": stamp(o.shipped), "shipTime": stamp(o.shipped), "carrier": "Simulated Post",
		"shippingService": "STANDARD", "trackingNumber": fmt.Sprintf("SIM%010d", o.dice.below(9_999_999_999)),
		"packageStatus": map[string]string{"status": "SHIPPED"}, "packageItems": items,
	}
}

func (o order) itemBodies(has func(string) bool) []map[string]any {
	list := make([]map[string]any, 0, o.lines())
	for i := range o.lines() {
		list = append(list, o.itemBody(o.line(i), has))
	}
	return list
}

func (o order) itemBody(l line, has func(string) bool) map[string]any {
	sum := o.market.moneyIn(l.product.cents * int64(l.quantity))
	body := map[string]any{
		"orderItemId": l.id, "quantityOrdered": l.quantity,
		"product": map[string]any{
			"asin": l.product.asin, "title": l.product.title, "sellerSku": l.product.sku,
			"condition": map[string]string{"conditionType": "NEW", "conditionSubtype": "NEW"},
			"price":     map[string]any{"unitPrice": o.market.moneyIn(l.product.cents)},
		},
	}
	if has("PROCEEDS") {
		body["proceeds"] = map[string]any{
			"proceedsTotal": sum, "breakdowns": []map[string]any{{"type": "ITEM", "subtotal": sum}},
		}
	}
	if has("FULFILLMENT") {
		body["fulfillment"] = map[string]any{"quantityFulfilled": l.shipped, "quantityUnfulfilled": l.quantity - l.shipped}
	}
	if has("PROMOTION") && o.dice.below(5) == 0 {
		body["promotion"] = map[string]any{"breakdowns": []map[string]string{{"promotionId": "SIMULATED-SALE"}}}
	}
	if has("CANCELLATION") && o.status == statusCancelled {
		body["cancellation"] = map[string]any{
			"cancellationRequest": map[string]string{"requester": "BUYER", "cancelReason": "ORDERED_BY_MISTAKE"},
		}
	}
	if has("EXPENSE") && o.market.country == "JP" {
		points := l.product.cents / 100
		body["expense"] = map[string]any{"pointsCost": map[string]any{"pointsGranted": map[string]any{
			"pointsNumber": points, "pointsMonetaryValue": o.market.moneyIn(points),
		}}}
	}
	return body
}
