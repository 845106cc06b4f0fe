package amazon

import "connectorvault/shared/resource"

// byQueryType is the paging of the older inbound API: the token goes with a query type of its own, which takes the
// place of the filters.
func byQueryType(drop ...string) resource.Paging {
	return resource.Paging{Param: "NextToken", Next: "payload.NextToken", Drop: drop, Add: map[string]string{"QueryType": "NEXT_TOKEN"}}
}

// inboundV0Resources are what is left of the older Fulfillment Inbound API.
func inboundV0Resources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "get-prep-instructions", Title: "How items must be prepared and labelled",
			List: &resource.Operation{
				ID: "getPrepInstructions", Path: "/fba/inbound/v0/prepInstructions", Rate: 2, Burst: 30,
				Filters: []resource.Filter{
					need(told("Country code of the destination.", one("ShipToCountryCode"))),
					upTo(50, many("SellerSKUList")),
					upTo(50, many("ASINList")),
				},
				Items: "payload", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-labels", Title: "Labels of an inbound shipment; read them as the item's document", Document: true,
			Item: &resource.Operation{
				ID: "getLabels", Path: "/fba/inbound/v0/shipments/{item}/labels", Rate: 2, Burst: 30,
				Filters: []resource.Filter{
					need(or("PackageLabel_Plain_Paper", one("PageType", "PackageLabel_Letter_2", "PackageLabel_Letter_4", "PackageLabel_Letter_6",
						"PackageLabel_Letter_6_CarrierLeft", "PackageLabel_A4_2", "PackageLabel_A4_4", "PackageLabel_Plain_Paper",
						"PackageLabel_Plain_Paper_CarrierBottom", "PackageLabel_Thermal", "PackageLabel_Thermal_Unified",
						"PackageLabel_Thermal_NonPCP", "PackageLabel_Thermal_No_Carrier_Rotation"))),
					need(or("UNIQUE", one("LabelType", "BARCODE_2D", "UNIQUE", "PALLET"))),
					one("NumberOfPackages"),
					upTo(999, many("PackageLabelsToPrint")),
					one("NumberOfPallets"),
					one("PageSize"),
					one("PageStartIndex"),
				},
				Items: nothingButAddress, Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-bill-of-lading", Title: "Bill of lading of an inbound shipment; read it as the item's document", Document: true,
			Item: &resource.Operation{
				ID: "getBillOfLading", Path: "/fba/inbound/v0/shipments/{item}/billOfLading", Rate: 2, Burst: 30,
				Items: nothingButAddress, Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-shipments", Title: "Inbound shipments (older API)",
			List: &resource.Operation{
				ID: "getShipments", Path: "/fba/inbound/v0/shipments", Rate: 2, Burst: 30,
				Filters: []resource.Filter{
					told("With QueryType SHIPMENT.", many("ShipmentStatusList", "WORKING", "READY_TO_SHIP", "SHIPPED", "RECEIVING", "CANCELLED",
						"DELETED", "CLOSED", "ERROR", "IN_TRANSIT", "DELIVERED", "CHECKED_IN")),
					told("With QueryType SHIPMENT.", many("ShipmentIdList")),
					told("ISO 8601, with QueryType DATE_RANGE.", one("LastUpdatedAfter")),
					told("ISO 8601, with QueryType DATE_RANGE.", one("LastUpdatedBefore")),
					need(one("QueryType", "SHIPMENT", "DATE_RANGE")),
					need(marketplaceID("MarketplaceId")),
				},
				Paging: byQueryType("ShipmentStatusList", "ShipmentIdList", "LastUpdatedAfter", "LastUpdatedBefore"),
				Items:  "payload.ShipmentData", Personal: []string{"ShipFromAddress"}, Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-shipment-items-by-shipment-id", Title: "Items of an inbound shipment (older API)",
			Item: &resource.Operation{
				ID: "getShipmentItemsByShipmentId", Path: "/fba/inbound/v0/shipments/{item}/items", Rate: 2, Burst: 30,
				Filters: []resource.Filter{told("Marketplace id.", one("MarketplaceId"))},
				Items:   "payload.ItemData", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-shipment-items", Title: "Items of inbound shipments over time (older API)",
			List: &resource.Operation{
				ID: "getShipmentItems", Path: "/fba/inbound/v0/shipmentItems", Rate: 2, Burst: 30,
				Filters: []resource.Filter{
					told("ISO 8601.", one("LastUpdatedAfter")),
					told("ISO 8601.", one("LastUpdatedBefore")),
					need(or("DATE_RANGE", one("QueryType", "DATE_RANGE"))),
					need(marketplaceID("MarketplaceId")),
				},
				Paging: byQueryType("LastUpdatedAfter", "LastUpdatedBefore"),
				Items:  "payload.ItemData", Accounts: sellersOnly(),
			},
		},
	}
}
