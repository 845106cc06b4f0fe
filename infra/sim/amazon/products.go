package amazonsim

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// inventoryPage is how many summaries FBA inventory gives at once.
const inventoryPage = 50

// stockChanges is how often the stock of a product changes: the numbers follow the day.
const stockChanges = 24 * time.Hour

var (
	// How Amazon words the refusal of another seller's id is not documented; its example says "Invalid input".
	errForeignSeller  = invalidInput("Invalid 'sellerId' provided.")
	errOneMarketplace = invalidInput("marketplaceIds must name exactly one marketplace.")
	errGranularity    = invalidInput("granularityType must be Marketplace and granularityId the marketplace.")
	errManySKUs       = invalidInput("At most 50 sellerSkus may be given.")
	errOldStart       = invalidInput("startDateTime must not be older than 18 months.")
	errIdentifiers    = invalidInput("Exactly one of identifiers (at most 20, with identifiersType) and keywords is required.")
)

// getInventorySummaries lists what the seller keeps in Amazon's warehouses (Amazon facts 7.1).
func (s *Simulator) getInventorySummaries(ctx context.Context, c *call) (reply, error) {
	market, err := oneMarket(c)
	if err != nil {
		return reply{}, err
	}
	if c.query.Get("granularityType") != "Marketplace" || c.query.Get("granularityId") != market.id {
		return reply{}, errGranularity
	}
	at, err := s.resume(ctx, c, inventoryPaging)
	if err != nil {
		return reply{}, err
	}
	stock, err := stockOf(c, at.asOf())
	if err != nil {
		return reply{}, err
	}
	found, next, err := pageOf(ctx, s, c, inventoryPaging, at, stock, inventoryPage)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, p := range found {
		list = append(list, stockBody(p, at.asOf(), c.query.Get("details") == "true"))
	}
	body := map[string]any{"payload": map[string]any{
		"granularity":        map[string]string{"granularityType": "Marketplace", "granularityId": market.id},
		"inventorySummaries": list,
	}}
	if pagination := nextToken(next); pagination != nil {
		body["pagination"] = pagination
	}
	return ok(body), nil
}

// oneMarket is the one marketplace that a request must name.
func oneMarket(c *call) (marketplace, error) {
	ids := csv(c.query, "marketplaceIds")
	if len(ids) != 1 {
		return marketplace{}, errOneMarketplace
	}
	m, _ := marketplaceByID(ids[0]) // checked before: prepare refuses unknown ones
	return m, nil
}

// stockOf applies the filters of the inventory.
func stockOf(c *call, asOf time.Time) ([]product, error) {
	skus := csv(c.query, "sellerSkus")
	if one := c.query.Get("sellerSku"); one != "" {
		skus = append(skus, one)
	}
	if len(skus) > 50 {
		return nil, errManySKUs
	}
	var since time.Time
	if text := c.query.Get("startDateTime"); text != "" {
		start, valid := parseTime(text)
		switch {
		case !valid:
			return nil, errBadTime
		case start.Before(asOf.AddDate(0, -18, 0)):
			return nil, errOldStart
		}
		since = start
	}
	return slices.DeleteFunc(c.seller.products(), func(p product) bool {
		return !p.fba || (len(skus) > 0 && !slices.Contains(skus, p.sku)) || stockChanged(p, asOf).Before(since)
	}), nil
}

// stockChanged is when the stock of a product last changed.
func stockChanged(p product, asOf time.Time) time.Time {
	offset := time.Duration(roll("stock", p.sku).below(int(stockChanges.Seconds()))) * time.Second
	return asOf.Add(-offset).Truncate(stockChanges).Add(offset)
}

func stockBody(p product, asOf time.Time, details bool) map[string]any {
	changed := stockChanged(p, asOf)
	d := roll("quantity", p.asin, strconv.FormatInt(changed.Unix(), 10))
	fulfillable, reserved, inbound := d.below(400), d.below(17), d.below(60)
	body := map[string]any{
		"asin": p.asin, "fnSku": "X00" + p.asin[3:], "sellerSku": p.sku, "condition": "NewItem", "productName": p.title,
		"lastUpdatedTime": changed.UTC().Format(time.RFC3339), "totalQuantity": fulfillable + reserved + inbound, "stores": []string{},
	}
	if details {
		body["inventoryDetails"] = map[string]any{
			"fulfillableQuantity": fulfillable, "inboundWorkingQuantity": 0, "inboundShippedQuantity": inbound, "inboundReceivingQuantity": 0,
			"reservedQuantity": map[string]int{
				"totalReservedQuantity": reserved, "pendingCustomerOrderQuantity": reserved,
				"pendingTransshipmentQuantity": 0, "fcProcessingQuantity": 0,
			},
			"unfulfillableQuantity": map[string]int{"totalUnfulfillableQuantity": 0},
		}
	}
	return body
}

// searchCatalogItems searches the catalogue. It holds the articles of the caller alone: enough to page through.
func (s *Simulator) searchCatalogItems(ctx context.Context, c *call) (reply, error) {
	market, err := oneMarket(c)
	if err != nil {
		return reply{}, err
	}
	size, err := pageSize(c.query, "pageSize", 10, 20)
	if err != nil {
		return reply{}, err
	}
	identifiers, keywords := csv(c.query, "identifiers"), csv(c.query, "keywords")
	if (len(identifiers) == 0) == (len(keywords) == 0) || len(identifiers) > 20 || len(keywords) > 20 ||
		(len(identifiers) > 0 && c.query.Get("identifiersType") == "") {
		return reply{}, errIdentifiers
	}
	at, err := s.resume(ctx, c, catalogPaging)
	if err != nil {
		return reply{}, err
	}
	matching := slices.DeleteFunc(c.seller.products(), func(p product) bool {
		return !p.identifiedBy(c.query.Get("identifiersType"), identifiers) || !p.described(keywords)
	})
	found, next, err := pageOf(ctx, s, c, catalogPaging, at, matching, size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, p := range found {
		list = append(list, catalogBody(p, []marketplace{market}, csv(c.query, "includedData")))
	}
	body := map[string]any{"numberOfResults": len(matching), "items": list}
	if pagination := nextToken(next); pagination != nil {
		body["pagination"] = pagination
	}
	return ok(body), nil
}

func (p product) identifiedBy(kind string, identifiers []string) bool {
	if len(identifiers) == 0 {
		return true
	}
	switch kind {
	case "ASIN":
		return slices.Contains(identifiers, p.asin)
	case "SKU":
		return slices.Contains(identifiers, p.sku)
	case "EAN", "GTIN":
		return slices.Contains(identifiers, p.ean())
	}
	return false
}

// described says whether every keyword occurs in title or brand.
func (p product) described(keywords []string) bool {
	text := strings.ToLower(p.title + " " + p.brand)
	return !slices.ContainsFunc(keywords, func(word string) bool { return !strings.Contains(text, strings.ToLower(word)) })
}

func (p product) ean() string {
	return "40" + strconv.Itoa(10_000_000_000+roll("ean", p.asin).below(89_999_999_999))
}

// getCatalogItem knows the articles of every seeded seller: the catalogue is Amazon's, not the caller's.
func (s *Simulator) getCatalogItem(_ context.Context, c *call) (reply, error) {
	var markets []marketplace
	for _, id := range csv(c.query, "marketplaceIds") {
		m, _ := marketplaceByID(id)
		markets = append(markets, m)
	}
	if len(markets) == 0 {
		return reply{}, invalidInput("marketplaceIds is required.")
	}
	for _, seller := range s.Sellers() {
		for i := range productsPerSeller {
			if p := seller.product(i); p.asin == c.vars["asin"] {
				return ok(catalogBody(p, markets, csv(c.query, "includedData"))), nil
			}
		}
	}
	return reply{}, errListingNotFound
}

func catalogBody(p product, markets []marketplace, included []string) map[string]any {
	if len(included) == 0 {
		included = []string{"summaries"}
	}
	body := map[string]any{"asin": p.asin}
	for _, name := range included {
		if name == "attributes" {
			body[name] = map[string]any{"item_name": []map[string]string{{"value": p.title}}}
			continue
		}
		list := []map[string]any{}
		for _, m := range markets {
			part := catalogPart(p, name)
			part["marketplaceId"] = m.id
			list = append(list, part)
		}
		body[name] = list
	}
	return body
}

// catalogPart is one data set of one marketplace.
func catalogPart(p product, name string) map[string]any {
	class := map[string]any{"displayName": p.kind, "classificationId": strconv.Itoa(roll("class", p.kind).below(1_000_000))}
	switch name {
	case "summaries":
		return map[string]any{"itemName": p.title, "brand": p.brand, "itemClassification": "BASE_PRODUCT", "browseClassification": class}
	case "classifications":
		return map[string]any{"classifications": []map[string]any{class}}
	case "identifiers":
		return map[string]any{"identifiers": []map[string]string{{"identifierType": "EAN", "identifier": p.ean()}}}
	case "productTypes":
		return map[string]any{"productType": p.kind}
	case "salesRanks":
		return map[string]any{"displayGroupRanks": []map[string]any{
			{"websiteDisplayGroup": "sports_display_on_website", "title": "Sports", "rank": 1 + roll("rank", p.asin).below(90_000)},
		}}
	case "images":
		return map[string]any{"images": []map[string]any{}}
	case "relationships":
		return map[string]any{"relationships": []map[string]any{}}
	case "dimensions":
		return map[string]any{"item": map[string]any{"weight": map[string]any{"unit": "kilograms", "value": 0.5}}}
	}
	return map[string]any{}
}

// getListingsItem shows one of the seller's own offers.
func (s *Simulator) getListingsItem(_ context.Context, c *call) (reply, error) {
	markets, err := listingMarkets(c)
	if err != nil {
		return reply{}, err
	}
	p, found := c.seller.productBySKU(c.vars["sku"])
	if !found {
		return reply{}, errListingNotFound
	}
	return ok(listingBody(p, markets, csv(c.query, "includedData"), c.now)), nil
}

// listingMarkets also checks whose listings are asked for: only one's own.
func listingMarkets(c *call) ([]marketplace, error) {
	if c.vars["sellerId"] != c.seller.ID {
		return nil, errForeignSeller
	}
	ids := csv(c.query, "marketplaceIds")
	if len(ids) == 0 {
		return nil, invalidInput("marketplaceIds is required.")
	}
	return chosenMarkets(c, ids), nil
}

// searchListingsItems lists the seller's offers.
func (s *Simulator) searchListingsItems(ctx context.Context, c *call) (reply, error) {
	markets, err := listingMarkets(c)
	if err != nil {
		return reply{}, err
	}
	size, err := pageSize(c.query, "pageSize", 10, 20)
	if err != nil {
		return reply{}, err
	}
	identifiers := csv(c.query, "identifiers")
	if len(identifiers) > 20 || (len(identifiers) > 0 && c.query.Get("identifiersType") == "") {
		return reply{}, invalidInput("identifiers takes at most 20 values and needs identifiersType.")
	}
	at, err := s.resume(ctx, c, catalogPaging)
	if err != nil {
		return reply{}, err
	}
	all := slices.DeleteFunc(c.seller.products(), func(p product) bool {
		return !p.identifiedBy(c.query.Get("identifiersType"), identifiers)
	})
	found, next, err := pageOf(ctx, s, c, catalogPaging, at, all, size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, p := range found {
		list = append(list, listingBody(p, markets, csv(c.query, "includedData"), at.asOf()))
	}
	body := map[string]any{"numberOfResults": len(all), "items": list}
	if pagination := nextToken(next); pagination != nil {
		body["pagination"] = pagination
	}
	return ok(body), nil
}

func listingBody(p product, markets []marketplace, included []string, asOf time.Time) map[string]any {
	if len(included) == 0 {
		included = []string{"summaries"}
	}
	body := map[string]any{"sku": p.sku}
	if slices.Contains(included, "fulfillmentAvailability") {
		code := "DEFAULT"
		if p.fba {
			code = "AMAZON_NA"
		}
		body["fulfillmentAvailability"] = []map[string]any{{"fulfillmentChannelCode": code, "quantity": roll("listed", p.sku).below(200)}}
	}
	var summaries, offers, types []map[string]any
	for _, m := range markets {
		summaries = append(summaries, map[string]any{
			"marketplaceId": m.id, "asin": p.asin, "productType": p.kind, "conditionType": "new_new", "itemName": p.title,
			"status": []string{"BUYABLE", "DISCOVERABLE"}, "createdDate": "2025-01-15T09:00:00.000Z", "lastUpdatedDate": stamp(stockChanged(p, asOf)),
		})
		offers = append(offers, map[string]any{"marketplaceId": m.id, "offerType": "B2C", "price": m.moneyIn(p.cents)})
		types = append(types, map[string]any{"marketplaceId": m.id, "productType": p.kind})
	}
	for name, part := range map[string][]map[string]any{
		"summaries": summaries, "offers": offers, "productTypes": types, "issues": {}, "relationships": {},
	} {
		if slices.Contains(included, name) {
			body[name] = part
		}
	}
	if slices.Contains(included, "attributes") {
		body["attributes"] = map[string]any{"item_name": []map[string]string{{"value": p.title}}}
	}
	return body
}
