package amazonsim

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
)

// transactionPage is how many transactions come at once. Amazon states no number.
const transactionPage = 100

// transactionWindow is the longest span of time that yields anything (Amazon facts 7.1).
const transactionWindow = 180 * 24 * time.Hour

// amount is money as the Finances API prints it.
type amount struct {
	Currency string  `json:"currencyCode"`
	Amount   float64 `json:"currencyAmount"`
}

func (m marketplace) amountOf(cents int64) amount { return amount{m.currency, m.number(cents)} }

// listTransactions derives one transaction from each shipped order.
func (s *Simulator) listTransactions(ctx context.Context, c *call) (reply, error) {
	at, err := s.resume(ctx, c, financesPaging)
	if err != nil {
		return reply{}, err
	}
	posted, err := transactions(c, at.asOf())
	if err != nil {
		return reply{}, err
	}
	found, next, err := pageOf(ctx, s, c, financesPaging, at, posted, transactionPage)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, o := range found {
		list = append(list, o.transactionBody())
	}
	payload := map[string]any{"transactions": list}
	if next != "" {
		payload["nextToken"] = next
	}
	return ok(map[string]any{"payload": payload}), nil
}

// transactions finds the shipped orders that a request asks for, by the time they were shipped or by an order id.
func transactions(c *call, asOf time.Time) ([]order, error) {
	if name := c.query.Get("relatedIdentifierName"); name != "" {
		if name != "ORDER_ID" || c.query.Get("relatedIdentifierValue") == "" {
			return nil, nil // no data carries the other identifiers
		}
		o, found := findOrder(c.seller, c.region, c.query.Get("relatedIdentifierValue"), asOf)
		if !found || o.shipped.IsZero() {
			return nil, nil
		}
		return []order{o}, nil
	}
	after, before, err := postedWindow(c.query, asOf)
	if err != nil || before.Sub(after) > transactionWindow {
		return nil, err
	}
	if status := c.query.Get("transactionStatus"); status != "" && status != "RELEASED" {
		return nil, nil
	}
	markets := chosenMarkets(c, csv(c.query, "marketplaceId"))
	// An order changes for the last time when it is shipped, so the two windows are the same.
	return searchBook(c.seller, orderFilter{
		markets: markets, after: after, before: before, byUpdate: true,
		keep: func(o order) bool { return !o.shipped.IsZero() },
	}, asOf), nil
}

func postedWindow(query url.Values, asOf time.Time) (after, before time.Time, err error) {
	after, valid := parseTime(query.Get("postedAfter"))
	if !valid {
		return after, before, invalidInput("postedAfter is required, in ISO 8601 format.")
	}
	newest := asOf.Add(-orderVisible)
	if after.After(newest) {
		return after, before, invalidInput("postedAfter must be at least two minutes in the past.")
	}
	before = newest
	if text := query.Get("postedBefore"); text != "" {
		if before, valid = parseTime(text); !valid {
			return after, before, errBadTime
		}
	}
	if before.Before(after) {
		return after, before, errBounds
	}
	return after, before, nil
}

func (o order) transactionBody() map[string]any {
	total := o.total()
	fee := total * 15 / 100
	items := make([]map[string]any, 0, o.lines())
	for i := range o.lines() {
		l := o.line(i)
		items = append(items, map[string]any{
			"description": l.product.title, "totalAmount": o.market.amountOf(l.product.cents * int64(l.quantity)),
			"contexts": []map[string]any{{
				"contextType": "ProductContext", "asin": l.product.asin, "sku": l.product.sku,
				"quantityShipped": l.shipped, "fulfillmentNetwork": strings.Replace(o.fulfilledBy(), "AMAZON", "AFN", 1),
			}},
		})
	}
	return map[string]any{
		"sellingPartnerMetadata": map[string]string{
			"sellingPartnerId": o.seller.ID, "accountType": "Standard Orders", "marketplaceId": o.market.id,
		},
		"relatedIdentifiers": []map[string]string{{"relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": o.id()}},
		"transactionType":    "Shipment", "transactionId": "TX-" + o.id(), "transactionStatus": "RELEASED",
		"description": "Order Payment", "postedDate": stamp(o.shipped), "totalAmount": o.market.amountOf(total - fee),
		"marketplaceDetails": map[string]string{"marketplaceId": o.market.id, "marketplaceName": o.market.name},
		"items":              items,
		"breakdowns": []map[string]any{
			{"breakdownType": "Product Charges", "breakdownAmount": o.market.amountOf(total)},
			{"breakdownType": "Amazon Fees", "breakdownAmount": o.market.amountOf(-fee)},
		},
	}
}

// metadata is the partner of a balance or a summary.
func metadata(seller Seller, m marketplace) map[string]string {
	return map[string]string{"partnerId": seller.ID, "accountType": "PAYABLE", "marketplaceId": m.id}
}

// listBalances gives each marketplace's balances of the day.
func (s *Simulator) listBalances(_ context.Context, c *call) (reply, error) {
	day := c.now.UTC().Format(time.DateOnly)
	if text := c.query.Get("asOfDate"); text != "" {
		day = text
	}
	kinds := []string{"AVAILABLE", "RESERVED", "TOTAL"}
	if kind := c.query.Get("balanceType"); kind != "" {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k != kind })
	}
	list := []map[string]any{}
	for _, m := range chosenMarkets(c, csv(c.query, "marketplaceIds")) {
		for _, kind := range kinds {
			cents := int64(roll("balance", c.seller.ID, m.id, day, kind).below(5_000_000))
			list = append(list, map[string]any{
				"partnerMetadata": metadata(c.seller, m), "balanceType": kind, "amount": m.amountOf(cents), "asOfDate": day,
				"lastUpdatedTime": stamp(c.now),
			})
		}
	}
	return ok(map[string]any{"balances": list}), nil
}

// listSummary adds a period's transactions up, the last two weeks unless the request says otherwise.
func (s *Simulator) listSummary(_ context.Context, c *call) (reply, error) {
	start, end := c.now.Add(-14*24*time.Hour), c.now
	for name, bound := range map[string]*time.Time{"periodStart": &start, "periodEnd": &end} {
		if text := c.query.Get(name); text != "" {
			t, valid := parseTime(text)
			if !valid {
				return reply{}, errBadTime
			}
			*bound = t
		}
	}
	list := []map[string]any{}
	for _, m := range chosenMarkets(c, csv(c.query, "marketplaceIds")) {
		var sum int64
		for _, o := range searchBook(c.seller, orderFilter{markets: []marketplace{m}, after: start, before: end, byUpdate: true}, c.now) {
			if !o.shipped.IsZero() {
				sum += o.total()
			}
		}
		list = append(list, map[string]any{
			"partnerMetadata": metadata(c.seller, m), "netProceeds": m.amountOf(sum - sum*15/100),
			"periodStart": start.UTC().Format(time.DateOnly), "periodEnd": end.UTC().Format(time.DateOnly),
			"breakdowns": []map[string]any{{"breakdownType": "Sales", "breakdownAmount": m.amountOf(sum)}},
		})
	}
	return ok(map[string]any{"summaries": list}), nil
}

// getOrderMetrics counts the orders of an interval "start--end"; every granularity gives the total.
func (s *Simulator) getOrderMetrics(_ context.Context, c *call) (reply, error) {
	from, to, both := strings.Cut(c.query.Get("interval"), "--")
	start, validStart := parseTime(from)
	end, validEnd := parseTime(to)
	ids := csv(c.query, "marketplaceIds")
	if !both || !validStart || !validEnd || end.Before(start) || len(ids) != 1 || c.query.Get("granularity") == "" {
		return reply{}, invalidInput("interval, granularity and one of marketplaceIds are required.")
	}
	m, _ := marketplaceByID(ids[0])
	filter := orderFilter{markets: chosenMarkets(c, ids), after: start, before: end}
	var units, sum int64
	found := searchBook(c.seller, filter, c.now)
	for _, o := range found {
		sum += o.total()
		for i := range o.lines() {
			units += int64(o.line(i).quantity)
		}
	}
	average := int64(0)
	if units > 0 {
		average = sum / units
	}
	return ok(map[string]any{"payload": []map[string]any{{
		"interval": c.query.Get("interval"), "unitCount": units, "orderItemCount": units, "orderCount": len(found),
		"averageUnitPrice": m.moneyIn(average), "totalSales": m.moneyIn(sum),
	}}}), nil
}
