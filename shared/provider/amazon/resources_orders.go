package amazon

import (
	"time"

	"connectorvault/shared/resource"
)

// orderPersonal are the parts of an order that tell of a natural person (model orders_2026-01-01). Whole objects are
// named where everything in them is about the buyer, so that a member which Amazon adds later stays inside. A tax
// registration is a person's where the buyer is one; a gift message and the link to a customization are what the
// buyer wrote.
func orderPersonal() []string {
	return []string{
		"buyer",
		"recipient",
		"tax.taxRegistrations.legalName",
		"tax.taxRegistrations.taxRegistrationNumber",
		"tax.taxRegistrations.taxRegistrationAddress",
		"orderItems.fulfillment.packing.giftOption.giftMessage",
		"orderItems.product.customization.customizedUrl",
		"packages.shipFromAddress",
	}
}

func orderIncluded() resource.Filter {
	return told("Parts to include. BUYER and RECIPIENT are personal data.", many("includedData",
		"BUYER", "RECIPIENT", "PROCEEDS", "EXPENSE", "PROMOTION", "CANCELLATION", "FULFILLMENT", "PACKAGES", "TAX", "PAYMENT",
		"FULFILLMENT_ORDERS"))
}

func orderPersonalValues() map[string][]string {
	return map[string][]string{"includedData": {"BUYER", "RECIPIENT"}}
}

// orderResources are the Orders API of 2026-01-01, and what is not deprecated of the one before it.
func orderResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "orders", Title: "Orders",
			List: &resource.Operation{
				ID: "searchOrders", Path: "/orders/2026-01-01/orders", Rate: 0.0056, Burst: 20,
				Filters: []resource.Filter{
					told("ISO 8601. Orders made from this time on.", one("createdAfter")),
					told("ISO 8601, at least two minutes ago. Only with createdAfter.", one("createdBefore")),
					told("ISO 8601. Orders changed from this time on; 30 days ago unless a time is given.",
						or(defaultMonthAgo, one("lastUpdatedAfter"), "createdBefore", "lastUpdatedBefore")),
					told("ISO 8601, at least two minutes ago. Only with lastUpdatedAfter.", one("lastUpdatedBefore")),
					many("fulfillmentStatuses", "PENDING_AVAILABILITY", "PENDING", "UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED",
						"CANCELLED", "UNFULFILLABLE"),
					upTo(50, namedMarketplaceIDs("marketplaceIds")),
					many("fulfilledBy", "MERCHANT", "AMAZON"),
					orderIncluded(),
				},
				OneOf:  [][]string{{"lastUpdatedAfter", "createdAfter"}},
				Paging: orderPaging(),
				Items:  "orders", Personal: orderPersonal(), PersonalValues: orderPersonalValues(), Accounts: sellersOnly(),
			},
			Item: &resource.Operation{
				ID: "getOrder", Path: "/orders/2026-01-01/orders/{item}", Rate: 0.5, Burst: 30,
				Filters: []resource.Filter{orderIncluded()},
				Items:   "order", Personal: orderPersonal(), PersonalValues: orderPersonalValues(), Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-order-regulated-info", Title: "Regulated information of an order",
			Item: &resource.Operation{
				ID: "getOrderRegulatedInfo", Path: "/orders/v0/orders/{item}/regulatedInfo", Rate: 0.5, Burst: 30,
				// What a buyer filled in to be allowed to buy: names, prescriptions, licences.
				Items: "payload", Personal: []string{"RegulatedInformation.Fields.FieldValue"}, Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-order-metrics", Title: "Sales figures over time",
			List: &resource.Operation{
				ID: "getOrderMetrics", Path: "/sales/v1/orderMetrics", Rate: 0.5, Burst: 15,
				Filters: []resource.Filter{
					need(marketplaceIDs("marketplaceIds")),
					need(told("Two ISO 8601 times joined by two hyphens: 2026-01-01T00:00:00Z--2026-02-01T00:00:00Z.", one("interval"))),
					told("IANA name, such as Europe/Berlin; needed when granularity is Day or longer.", one("granularityTimeZone")),
					need(one("granularity", "Hour", "Day", "Week", "Month", "Year", "Total")),
					one("buyerType", "B2B", "B2C", "All"),
					told("MFN (by the merchant) or AFN (by Amazon).", one("fulfillmentNetwork")),
					one("firstDayOfWeek", "Monday", "Sunday"),
					one("asin"),
					one("sku"),
					told("AmazonHaul, or All.", one("amazonProgram")),
				},
				Items: "payload", Accounts: sellersOnly(),
			},
		},
	}
}

func orderPaging() resource.Paging {
	p := paginated("paginationToken", "maxResultsPerPage", 100)
	p.TokenTTL = 24 * time.Hour
	return p
}
