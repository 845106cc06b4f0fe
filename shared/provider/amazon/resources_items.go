package amazon

import (
	"time"

	"connectorvault/shared/resource"
)

// inventoryResources are the FBA Inventory API. Its page token lives for 30 seconds, so pages must be read in one go.
func inventoryResources() []resource.Resource {
	paging := paginated("nextToken", "", 0)
	paging.TokenTTL = 30 * time.Second
	return []resource.Resource{{
		Name: "inventory", Title: "Stock in Amazon's warehouses",
		List: &resource.Operation{
			ID: "getInventorySummaries", Path: "/fba/inventory/v1/summaries", Rate: 2, Burst: 2,
			Filters: []resource.Filter{
				flag("details"),
				need(or("Marketplace", one("granularityType", "Marketplace"))),
				need(upTo(1, told("One marketplace id; the connector's first, or else the vault entry's.",
					or(defaultMarketplace, many("marketplaceIds"))))),
				need(told("The marketplace id again.", or("=marketplaceIds", one("granularityId")))),
				told("ISO 8601, at most 18 months ago: stock that changed since.", one("startDateTime")),
				upTo(50, many("sellerSkus")),
				one("sellerSku"),
			},
			Paging: paging, Items: "payload.inventorySummaries", Accounts: sellersOnly(),
		},
	}}
}

func catalogIncluded() resource.Filter {
	return many("includedData", "attributes", "classifications", "dimensions", "identifiers", "images", "productTypes",
		"relationships", "salesRanks", "summaries", "vendorDetails")
}

// catalogResources are the Catalog Items API and the definitions of product types.
func catalogResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "catalog-items", Title: "Items of Amazon's catalogue",
			List: &resource.Operation{
				ID: "searchCatalogItems", Path: "/catalog/2022-04-01/items", Rate: 2, Burst: 2,
				Filters: []resource.Filter{
					upTo(20, told("Product identifiers, of the type in identifiersType.", many("identifiers"))),
					told("Needed with identifiers.", one("identifiersType", "ASIN", "EAN", "GTIN", "ISBN", "JAN", "MINSAN", "SKU", "UPC")),
					need(upTo(1, told("One marketplace id; the connector's first, or else the vault entry's.",
						or(defaultMarketplace, many("marketplaceIds"))))),
					catalogIncluded(),
					one("locale"),
					told("Selling partner id; needed when identifiersType is SKU.", one("sellerId")),
					upTo(20, told("Words to search for.", many("keywords"))),
					told("Only with keywords.", many("brandNames")),
					told("Only with keywords.", many("classificationIds")),
					told("Only with keywords.", one("keywordsLocale")),
				},
				OneOf:  [][]string{{"identifiers", "keywords"}},
				Paging: paginated("pageToken", "pageSize", 20), Items: "items",
			},
			Item: &resource.Operation{
				ID: "getCatalogItem", Path: "/catalog/2022-04-01/items/{item}", Rate: 2, Burst: 2,
				Filters: []resource.Filter{need(marketplaceIDs("marketplaceIds")), catalogIncluded(), one("locale")},
			},
		},
		{
			Name: "search-definitions-product-types", Title: "Product types by keyword",
			List: &resource.Operation{
				ID: "searchDefinitionsProductTypes", Path: "/definitions/2020-09-01/productTypes", Rate: 5, Burst: 10,
				Filters: []resource.Filter{
					told("Words to search for; not with itemName.", many("keywords")),
					need(marketplaceIDs("marketplaceIds")),
					told("Title of an item for which to recommend a product type; not with keywords.", one("itemName")),
					one("locale"),
					one("searchLocale"),
				},
				Items: "productTypes",
			},
		},
		{
			Name: "get-definitions-product-type", Title: "Definition of a product type",
			Item: &resource.Operation{
				ID: "getDefinitionsProductType", Path: "/definitions/2020-09-01/productTypes/{item}", Rate: 5, Burst: 10,
				Filters: []resource.Filter{
					sellerID(one("sellerId")),
					need(marketplaceIDs("marketplaceIds")),
					told("LATEST, RELEASE_CANDIDATE or a version.", one("productTypeVersion")),
					one("requirements", "LISTING", "LISTING_PRODUCT_ONLY", "LISTING_OFFER_ONLY"),
					one("requirementsEnforced", "ENFORCED", "NOT_ENFORCED"),
					told("Such as en_US, or DEFAULT.", one("locale")),
				},
			},
		},
	}
}

func listingIncluded() resource.Filter {
	return many("includedData", "summaries", "attributes", "issues", "offers", "fulfillmentAvailability", "procurement",
		"relationships", "productTypes")
}

// listingResources are the Listings Items API, whose paths hold the selling partner id: the pinned account's.
func listingResources() []resource.Resource {
	owner := sellerID(inPath("sellerId", ""))
	return []resource.Resource{
		{
			Name: "listings", Title: "The account's own listings",
			List: &resource.Operation{
				ID: "searchListingsItems", Path: "/listings/2021-08-01/items/{sellerId}", Rate: 5, Burst: 5,
				Filters: []resource.Filter{
					owner,
					need(marketplaceIDs("marketplaceIds")),
					one("issueLocale"),
					listingIncluded(),
					upTo(20, told("Identifiers, of the type in identifiersType.", many("identifiers"))),
					told("Needed with identifiers.", one("identifiersType", "ASIN", "EAN", "FNSKU", "GTIN", "ISBN", "JAN", "MINSAN", "SKU", "UPC")),
					one("variationParentSku"),
					one("packageHierarchySku"),
					one("createdAfter"),
					one("createdBefore"),
					one("lastUpdatedAfter"),
					one("lastUpdatedBefore"),
					many("withIssueSeverity", "WARNING", "ERROR"),
					many("withStatus", "BUYABLE", "DISCOVERABLE"),
					many("withoutStatus", "BUYABLE", "DISCOVERABLE"),
					one("sortBy", "sku", "createdDate", "lastUpdatedDate"),
					one("sortOrder", "ASC", "DESC"),
				},
				Paging: paginated("pageToken", "pageSize", 20), Items: "items",
			},
			Item: &resource.Operation{
				ID: "getListingsItem", Path: "/listings/2021-08-01/items/{sellerId}/{item}", Rate: 5, Burst: 10,
				Filters: []resource.Filter{owner, need(marketplaceIDs("marketplaceIds")), one("issueLocale"), listingIncluded()},
			},
		},
		{
			Name: "get-listings-restrictions", Title: "What keeps an item from being listed",
			List: &resource.Operation{
				ID: "getListingsRestrictions", Path: "/listings/2021-08-01/restrictions", Rate: 5, Burst: 10,
				Filters: []resource.Filter{
					need(one("asin")),
					one("conditionType", "new_new", "new_open_box", "new_oem", "refurbished_refurbished", "used_like_new", "used_very_good",
						"used_good", "used_acceptable", "collectible_like_new", "collectible_very_good", "collectible_good",
						"collectible_acceptable", "club_club"),
					need(sellerID(one("sellerId"))),
					need(marketplaceIDs("marketplaceIds")),
					told("Such as en_US.", one("reasonLocale")),
				},
				Items: "restrictions",
			},
		},
	}
}
