package amazon

import "connectorvault/shared/resource"

// outboundPersonal are the people to whom multi-channel orders go, in the spellings of the older API and the newer.
func outboundPersonal() []string {
	return []string{
		"**.destinationAddress", "**.destination", "**.notificationEmails", "**.shipToAddress", "**.signedForBy", "**.customerPhoneLink",
		"**.additionalLocationInfo", "**.deliveryInformation", "**.displayableOrderComment", "**.displayableComment", "**.giftMessage",
		"**.templateAttributes", "**.customerComments", "**.phone", "**.email",
	}
}

func withShipments() resource.Filter {
	return told("Whether to include shipments; they are unless EXCLUDE is given.", one("shipments", "INCLUDE", "EXCLUDE"))
}

// outboundResources are the reads of both Fulfillment Outbound APIs, and tracking.
func outboundResources() []resource.Resource {
	return append(outboundOlder(),
		resource.Resource{
			Name: "list-orders", Title: "Multi-channel orders",
			List: &resource.Operation{
				ID: "listOrders", Path: "/fulfillment/outbound/2026-07-04/orders", Rate: 2, Burst: 30,
				Filters: []resource.Filter{told("ISO 8601.", one("updatedAfter")), withShipments()},
				Paging:  paginated("pageToken", "", 0), Items: "orders", Personal: outboundPersonal(), Accounts: sellersOnly(),
			},
		},
		resource.Resource{
			Name: "get-order", Title: "A multi-channel order",
			Item: &resource.Operation{
				ID: "getOrder", Path: "/fulfillment/outbound/2026-07-04/orders/{item}", Rate: 2, Burst: 30,
				Filters: []resource.Filter{withShipments()},
				Items:   "order", Personal: outboundPersonal(), Accounts: sellersOnly(),
			},
		},
		resource.Resource{
			Name: "get-shipment-tracking", Title: "Where a shipment to or from Amazon's warehouses is",
			List: &resource.Operation{
				ID: "getShipmentTracking", Path: "/tracking/2026-01-30/shipments/track",
				Filters: []resource.Filter{
					told("Give one of the identifiers.", one("id")),
					told("Air cargo shipment identification number.", one("acsin")),
					told("Amazon fulfilment tracking number.", one("aftn")),
					one("containerNumber"),
					one("houseBillOfLadingNumber"),
					one("proNumber"),
					told("With carrierTracking.carrierCode.", one("carrierTracking.trackingNumber")),
					told("With carrierTracking.trackingNumber.", one("carrierTracking.carrierCode")),
				},
				// Where a milestone was passed is in the end where the recipient lives.
				Items: "trackingDetail", Personal: []string{"latestMilestone.location", "milestoneHistory.location"},
				Grantless: "sellingpartnerapi::shipments:track",
			},
		},
	)
}

func outboundOlder() []resource.Resource {
	paging := resource.Paging{Param: "nextToken", Next: "payload.nextToken"}
	op := func(id, path, items string, paging resource.Paging, filters ...resource.Filter) *resource.Operation {
		return &resource.Operation{
			ID: id, Path: "/fba/outbound/2020-07-01" + path, Rate: 2, Burst: 30, Filters: filters, Paging: paging, Items: items,
			Personal: outboundPersonal(), Accounts: sellersOnly(),
		}
	}
	onePage := resource.Paging{}
	return []resource.Resource{
		{Name: "list-all-fulfillment-orders", Title: "Multi-channel orders (older API)",
			List: op("listAllFulfillmentOrders", "/fulfillmentOrders", "payload.fulfillmentOrders", paging,
				told("ISO 8601: orders changed since.", one("queryStartDate")))},
		{Name: "get-fulfillment-order", Title: "A multi-channel order (older API)",
			Item: op("getFulfillmentOrder", "/fulfillmentOrders/{item}", "payload", onePage)},
		{Name: "get-package-tracking-details", Title: "Where a package is",
			List: op("getPackageTrackingDetails", "/tracking", "payload", onePage, need(one("packageNumber")))},
		{Name: "list-return-reason-codes", Title: "Reasons for returning an item",
			List: op("listReturnReasonCodes", "/returnReasonCodes", "payload.reasonCodeDetails", onePage,
				need(one("sellerSku")),
				told("Marketplace id; needed unless sellerFulfillmentOrderId is given.",
					or(defaultMarketplace, one("marketplaceId"), "sellerFulfillmentOrderId")),
				told("Needed unless marketplaceId is given.", one("sellerFulfillmentOrderId")),
				one("language"))},
		{Name: "get-features", Title: "Features of multi-channel fulfilment",
			List: op("getFeatures", "/features", "payload.features", onePage, need(marketplaceID("marketplaceId")))},
		{Name: "get-feature-inventory", Title: "Items that a feature can be used for",
			Item: op("getFeatureInventory", "/features/inventory/{item}", "payload.featureSkus", paging, need(marketplaceID("marketplaceId")),
				told("ISO 8601.", one("queryStartDate")))},
		{Name: "get-feature-sku", Title: "Whether a feature can be used for an item",
			Item: op("getFeatureSKU", "/features/inventory/{featureName}/{item}", "payload", onePage, need(marketplaceID("marketplaceId")),
				inPath("featureName", "The feature, as get-features names it."))},
	}
}
