package amazonsim

// audience is who may call an operation.
type audience int

const (
	sellers   audience = iota // sellers only; a vendor's token gets 403 with empty details (Amazon facts 5.3)
	partners                  // sellers and vendors
	grantless                 // no selling partner: the token comes from client_credentials with the scope
)

// operation is one operation of SP-API with its default usage plan (Amazon facts 5.4, 7).
type operation struct {
	id       string // operationId; with the API in front where two APIs use the same
	method   string
	path     string
	rate     float64 // tokens a second; 0 = no stated plan, never throttled
	burst    float64
	audience audience
	scope    string // grantless only
	empty    string // answer of operations without data of their own; $name is a path parameter
}

// operationTable holds every read operation, and the few others that reading needs. Rates and bursts are the
// default values of Amazon's usage plans.
var operationTable = [...]operation{
	// application
	{"rotateApplicationClientSecret", "POST", "/applications/2023-11-30/clientSecret", 0.0167, 1, grantless, "sellingpartnerapi::client_credential:rotation", ""},
	// catalogItems
	{"searchCatalogItems", "GET", "/catalog/2022-04-01/items", 2, 2, partners, "", ""},
	{"getCatalogItem", "GET", "/catalog/2022-04-01/items/{asin}", 2, 2, partners, "", ""},
	// dataKiosk
	{"getQueries", "GET", "/dataKiosk/2023-11-15/queries", 0.0222, 10, partners, "", `{"queries":[]}`},
	{"getQuery", "GET", "/dataKiosk/2023-11-15/queries/{queryId}", 2, 15, partners, "", `{"queryId":"$queryId","query":"query{}","createdTime":"2026-01-01T00:00:00Z","processingStatus":"DONE"}`},
	{"getDocument", "GET", "/dataKiosk/2023-11-15/documents/{documentId}", 0.0167, 15, partners, "", ""},
	// definitionsProductTypes
	{"searchDefinitionsProductTypes", "GET", "/definitions/2020-09-01/productTypes", 5, 10, partners, "", `{"productTypes":[],"productTypeVersion":"LATEST"}`},
	{"getDefinitionsProductType", "GET", "/definitions/2020-09-01/productTypes/{productType}", 5, 10, partners, "", `{"productType":"$productType","marketplaceIds":[],"requirements":"LISTING"}`},
	// fbaInventory
	{"getInventorySummaries", "GET", "/fba/inventory/v1/summaries", 2, 2, sellers, "", ""},
	// feeds
	{"getFeeds", "GET", "/feeds/2021-06-30/feeds", 0.0222, 10, partners, "", ""},
	{"getFeed", "GET", "/feeds/2021-06-30/feeds/{feedId}", 2, 15, partners, "", ""},
	{"getFeedDocument", "GET", "/feeds/2021-06-30/documents/{feedDocumentId}", 0.0222, 10, partners, "", ""},
	// financesV0
	{"listFinancialEventGroups", "GET", "/finances/v0/financialEventGroups", 0.5, 30, sellers, "", `{"payload":{"FinancialEventGroupList":[]}}`},
	{"listFinancialEventsByGroupId", "GET", "/finances/v0/financialEventGroups/{eventGroupId}/financialEvents", 0.5, 30, sellers, "", `{"payload":{"FinancialEvents":{}}}`},
	{"listFinancialEventsByOrderId", "GET", "/finances/v0/orders/{orderId}/financialEvents", 0.5, 30, sellers, "", `{"payload":{"FinancialEvents":{}}}`},
	{"listFinancialEvents", "GET", "/finances/v0/financialEvents", 0.5, 30, sellers, "", `{"payload":{"FinancialEvents":{}}}`},
	// finances
	{"listTransactions", "GET", "/finances/2024-06-19/transactions", 0.5, 10, sellers, "", ""},
	{"listBalances", "GET", "/finances/2024-06-19/balances", 0.5, 10, sellers, "", ""},
	{"listSummary", "GET", "/finances/2024-06-19/summary", 0.5, 10, sellers, "", ""},
	// fulfillmentInboundV0
	{"getPrepInstructions", "GET", "/fba/inbound/v0/prepInstructions", 2, 30, sellers, "", `{"payload":{"SKUPrepInstructionsList":[],"InvalidSKUList":[],"ASINPrepInstructionsList":[],"InvalidASINList":[]}}`},
	{"getLabels", "GET", "/fba/inbound/v0/shipments/{shipmentId}/labels", 2, 30, sellers, "", ""},
	{"getBillOfLading", "GET", "/fba/inbound/v0/shipments/{shipmentId}/billOfLading", 2, 30, sellers, "", ""},
	{"getShipments", "GET", "/fba/inbound/v0/shipments", 2, 30, sellers, "", `{"payload":{"ShipmentData":[]}}`},
	{"getShipmentItemsByShipmentId", "GET", "/fba/inbound/v0/shipments/{shipmentId}/items", 2, 30, sellers, "", `{"payload":{"ItemData":[]}}`},
	{"getShipmentItems", "GET", "/fba/inbound/v0/shipmentItems", 2, 30, sellers, "", `{"payload":{"ItemData":[]}}`},
	// fulfillmentInbound
	{"listInboundPlans", "GET", "/inbound/fba/2024-03-20/inboundPlans", 2, 6, sellers, "", `{"inboundPlans":[]}`},
	{"getInboundPlan", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}", 2, 6, sellers, "", `{"inboundPlanId":"$inboundPlanId","status":"ACTIVE"}`},
	{"listInboundPlanBoxes", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/boxes", 2, 6, sellers, "", `{"boxes":[]}`},
	{"listInboundPlanItems", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/items", 2, 6, sellers, "", `{"items":[]}`},
	{"listPackingGroupBoxes", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/packingGroups/{packingGroupId}/boxes", 2, 30, sellers, "", `{"boxes":[]}`},
	{"listPackingGroupItems", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/packingGroups/{packingGroupId}/items", 2, 30, sellers, "", `{"items":[]}`},
	{"listPackingOptions", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/packingOptions", 2, 6, sellers, "", `{"packingOptions":[]}`},
	{"listInboundPlanPallets", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/pallets", 2, 6, sellers, "", `{"pallets":[]}`},
	{"listPlacementOptions", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/placementOptions", 2, 6, sellers, "", `{"placementOptions":[]}`},
	{"getShipment", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}", 2, 6, sellers, "", `{"shipmentId":"$shipmentId","status":"WORKING"}`},
	{"listShipmentBoxes", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/boxes", 2, 30, sellers, "", `{"boxes":[]}`},
	{"listShipmentContentUpdatePreviews", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/contentUpdatePreviews", 2, 30, sellers, "", `{"contentUpdatePreviews":[]}`},
	{"getShipmentContentUpdatePreview", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/contentUpdatePreviews/{contentUpdatePreviewId}", 2, 30, sellers, "", `{"contentUpdatePreviewId":"$contentUpdatePreviewId"}`},
	{"getDeliveryChallanDocument", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/deliveryChallanDocument", 2, 6, sellers, "", ""},
	{"listDeliveryWindowOptions", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/deliveryWindowOptions", 2, 30, sellers, "", `{"deliveryWindowOptions":[]}`},
	{"listShipmentItems", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/items", 2, 30, sellers, "", `{"items":[]}`},
	{"listShipmentPallets", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/pallets", 2, 30, sellers, "", `{"pallets":[]}`},
	{"getSelfShipAppointmentSlots", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/selfShipAppointmentSlots", 0, 0, sellers, "", `{"selfShipAppointmentSlotsAvailability":{}}`},
	{"listTransportationOptions", "GET", "/inbound/fba/2024-03-20/inboundPlans/{inboundPlanId}/transportationOptions", 2, 6, sellers, "", `{"transportationOptions":[]}`},
	{"listItemComplianceDetails", "GET", "/inbound/fba/2024-03-20/items/compliance", 0, 0, sellers, "", `{"complianceDetails":[]}`},
	{"listPrepDetails", "GET", "/inbound/fba/2024-03-20/items/prepDetails", 0, 0, sellers, "", `{"mskuPrepDetails":[]}`},
	{"getInboundOperationStatus", "GET", "/inbound/fba/2024-03-20/operations/{operationId}", 2, 6, sellers, "", `{"operation":"createInboundPlan","operationId":"$operationId","operationProblems":[],"operationStatus":"SUCCESS"}`},
	// fulfillmentOutbound
	{"listAllFulfillmentOrders", "GET", "/fba/outbound/2020-07-01/fulfillmentOrders", 2, 30, sellers, "", `{"payload":{"fulfillmentOrders":[]}}`},
	{"getPackageTrackingDetails", "GET", "/fba/outbound/2020-07-01/tracking", 2, 30, sellers, "", `{"payload":{}}`},
	{"listReturnReasonCodes", "GET", "/fba/outbound/2020-07-01/returnReasonCodes", 2, 30, sellers, "", `{"payload":{"reasonCodeDetails":[]}}`},
	{"getFulfillmentOrder", "GET", "/fba/outbound/2020-07-01/fulfillmentOrders/{sellerFulfillmentOrderId}", 2, 30, sellers, "", `{"payload":{}}`},
	{"getFeatures", "GET", "/fba/outbound/2020-07-01/features", 2, 30, sellers, "", `{"payload":{"features":[]}}`},
	{"getFeatureInventory", "GET", "/fba/outbound/2020-07-01/features/inventory/{featureName}", 2, 30, sellers, "", `{"payload":{"featureName":"$featureName","featureSkus":[]}}`},
	{"getFeatureSKU", "GET", "/fba/outbound/2020-07-01/features/inventory/{featureName}/{sellerSku}", 2, 30, sellers, "", `{"payload":{"featureName":"$featureName","isEligible":false}}`},
	{"fulfillmentOutbound.getOrder", "GET", "/fulfillment/outbound/2026-07-04/orders/{orderId}", 2, 30, sellers, "", `{"orderId":"$orderId"}`},
	{"fulfillmentOutbound.listOrders", "GET", "/fulfillment/outbound/2026-07-04/orders", 2, 30, sellers, "", `{"orders":[]}`},
	// listingsItems
	{"getListingsItem", "GET", "/listings/2021-08-01/items/{sellerId}/{sku}", 5, 10, partners, "", ""},
	{"searchListingsItems", "GET", "/listings/2021-08-01/items/{sellerId}", 5, 5, partners, "", ""},
	// listingsRestrictions
	{"getListingsRestrictions", "GET", "/listings/2021-08-01/restrictions", 5, 10, partners, "", `{"restrictions":[]}`},
	// notifications
	{"getSubscriptions", "GET", "/notifications/v1/subscriptions", 1, 5, partners, "", `{"payload":{"subscriptions":[]}}`},
	{"getSubscription", "GET", "/notifications/v1/subscriptions/{notificationType}", 1, 5, partners, "", `{"payload":{}}`},
	{"getSubscriptionById", "GET", "/notifications/v1/subscriptions/{notificationType}/{subscriptionId}", 1, 5, grantless, "sellingpartnerapi::notifications", `{"payload":{}}`},
	{"getDestinations", "GET", "/notifications/v1/destinations", 1, 5, grantless, "sellingpartnerapi::notifications", `{"payload":[]}`},
	{"getDestination", "GET", "/notifications/v1/destinations/{destinationId}", 1, 5, grantless, "sellingpartnerapi::notifications", `{"payload":{}}`},
	// ordersV0
	{"ordersV0.getOrders", "GET", "/orders/v0/orders", 0.0167, 20, sellers, "", ""},
	{"ordersV0.getOrder", "GET", "/orders/v0/orders/{orderId}", 0.5, 30, sellers, "", ""},
	{"ordersV0.getOrderBuyerInfo", "GET", "/orders/v0/orders/{orderId}/buyerInfo", 0.5, 30, sellers, "", ""},
	{"ordersV0.getOrderAddress", "GET", "/orders/v0/orders/{orderId}/address", 0.5, 30, sellers, "", ""},
	{"ordersV0.getOrderItems", "GET", "/orders/v0/orders/{orderId}/orderItems", 0.5, 30, sellers, "", ""},
	{"ordersV0.getOrderItemsBuyerInfo", "GET", "/orders/v0/orders/{orderId}/orderItems/buyerInfo", 0.5, 30, sellers, "", ""},
	{"ordersV0.getOrderRegulatedInfo", "GET", "/orders/v0/orders/{orderId}/regulatedInfo", 0.5, 30, sellers, "", `{"payload":{"AmazonOrderId":"$orderId","RequiresDosageLabel":false}}`},
	// orders
	{"searchOrders", "GET", "/orders/2026-01-01/orders", 0.0056, 20, sellers, "", ""},
	{"getOrder", "GET", "/orders/2026-01-01/orders/{orderId}", 0.5, 30, sellers, "", ""},
	// productPricingV0
	{"getPricing", "GET", "/products/pricing/v0/price", 0.5, 1, sellers, "", `{"payload":[]}`},
	{"getCompetitivePricing", "GET", "/products/pricing/v0/competitivePrice", 0.5, 1, sellers, "", `{"payload":[]}`},
	{"getListingOffers", "GET", "/products/pricing/v0/listings/{SellerSKU}/offers", 1, 2, sellers, "", `{"payload":{}}`},
	{"getItemOffers", "GET", "/products/pricing/v0/items/{Asin}/offers", 0.5, 1, sellers, "", `{"payload":{}}`},
	// reports
	{"getReports", "GET", "/reports/2021-06-30/reports", 0.0222, 10, partners, "", ""},
	{"createReport", "POST", "/reports/2021-06-30/reports", 0.0167, 15, partners, "", ""},
	{"cancelReport", "DELETE", "/reports/2021-06-30/reports/{reportId}", 0.0222, 10, partners, "", ""},
	{"getReport", "GET", "/reports/2021-06-30/reports/{reportId}", 2, 15, partners, "", ""},
	{"getReportSchedules", "GET", "/reports/2021-06-30/schedules", 0.0222, 10, partners, "", ""},
	{"getReportSchedule", "GET", "/reports/2021-06-30/schedules/{reportScheduleId}", 0.0222, 10, partners, "", ""},
	{"getReportDocument", "GET", "/reports/2021-06-30/documents/{reportDocumentId}", 0.0167, 15, partners, "", ""},
	// sales
	{"getOrderMetrics", "GET", "/sales/v1/orderMetrics", 0.5, 15, sellers, "", ""},
	// sellers
	{"getMarketplaceParticipations", "GET", "/sellers/v1/marketplaceParticipations", 0.016, 15, sellers, "", ""},
	{"getAccount", "GET", "/sellers/v1/account", 0.016, 15, sellers, "", ""},
	// tokens
	{"createRestrictedDataToken", "POST", "/tokens/2021-03-01/restrictedDataToken", 1, 10, partners, "", ""},
	// tracking
	{"getShipmentTracking", "GET", "/tracking/2026-01-30/shipments/track", 0, 0, grantless, "sellingpartnerapi::shipments:track", `{}`},
	// transfers
	{"listPayouts", "GET", "/finances/transfers/2024-06-01/payouts", 0.5, 10, sellers, "", `{"payouts":[]}`},
	{"getPaymentMethods", "GET", "/finances/transfers/2024-06-01/paymentMethods", 0.5, 30, sellers, "", `{"paymentMethods":[]}`},
	{"listExpectedPayouts", "GET", "/finances/transfers/2024-06-01/payouts/expected", 0.5, 10, sellers, "", `{"expectedPayouts":[]}`},
}

// Operation describes one operation that the simulator answers.
type Operation struct {
	ID, Method, Path string
	Rate, Burst      float64 // tokens a second, tokens; 0 = no stated plan
	Scope            string  // of grantless operations
}

// Operations lists what the simulator answers.
func Operations() []Operation {
	list := make([]Operation, 0, len(operationTable))
	for _, op := range operationTable {
		list = append(list, Operation{op.id, op.method, op.path, op.rate, op.burst, op.scope})
	}
	return list
}
