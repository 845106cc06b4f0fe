package amazon

import "connectorvault/shared/resource"

func customerType() resource.Filter { return one("CustomerType", "Consumer", "Business") }

func itemCondition() resource.Filter {
	return one("ItemCondition", "New", "Used", "Collectible", "Refurbished", "Club")
}

func priced() []resource.Filter {
	return []resource.Filter{
		need(marketplaceID("MarketplaceId")),
		upTo(20, told("With ItemType Asin.", many("Asins"))),
		upTo(20, told("With ItemType Sku.", many("Skus"))),
		need(one("ItemType", "Asin", "Sku")),
	}
}

// pricingResources are what reads of the Product Pricing API; its batches are asked for by POST and are not here.
func pricingResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "get-pricing", Title: "The account's own prices",
			List: &resource.Operation{
				ID: "getPricing", Path: "/products/pricing/v0/price", Rate: 0.5, Burst: 1,
				Filters: append(priced(), itemCondition(), one("OfferType", "B2C", "B2B")),
				OneOf:   [][]string{{"Asins", "Skus"}}, Items: "payload", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-competitive-pricing", Title: "Competitive prices",
			List: &resource.Operation{
				ID: "getCompetitivePricing", Path: "/products/pricing/v0/competitivePrice", Rate: 0.5, Burst: 1,
				Filters: append(priced(), customerType()),
				OneOf:   [][]string{{"Asins", "Skus"}}, Items: "payload", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-listing-offers", Title: "The lowest offers beside one of the account's listings",
			Item: &resource.Operation{
				ID: "getListingOffers", Path: "/products/pricing/v0/listings/{item}/offers", Rate: 1, Burst: 2,
				Filters: []resource.Filter{need(marketplaceID("MarketplaceId")), need(itemCondition()), customerType()},
				Items:   "payload", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-item-offers", Title: "The lowest offers of an item",
			Item: &resource.Operation{
				ID: "getItemOffers", Path: "/products/pricing/v0/items/{item}/offers", Rate: 0.5, Burst: 1,
				Filters: []resource.Filter{need(marketplaceID("MarketplaceId")), need(itemCondition()), customerType()},
				Items:   "payload", Accounts: sellersOnly(),
			},
		},
	}
}
