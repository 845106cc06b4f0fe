package amazon

import "connectorvault/shared/resource"

const inboundPath = "/inbound/fba/2024-03-20"

// inboundPersonal are the people behind a plan: whom it is sent from, and who answers for it. Where Amazon's own
// warehouses are is nobody's secret.
func inboundPersonal() []string {
	return []string{"**.sourceAddress", "**.source.address", "**.contactInformation", "**.email", "**.phoneNumber"}
}

// inbound is an operation of the Fulfillment Inbound API of 2024-03-20.
func inbound(id, path string, burst int, items string, most int, filters ...resource.Filter) *resource.Operation {
	op := &resource.Operation{
		ID: id, Path: inboundPath + path, Rate: 2, Burst: burst, Filters: filters, Items: items,
		Personal: inboundPersonal(), Accounts: sellersOnly(),
	}
	if most > 0 {
		op.Paging = paginated("paginationToken", "pageSize", most)
	}
	return op
}

// withoutRate is for the operations whose usage plan Amazon does not state.
func withoutRate(op *resource.Operation) *resource.Operation {
	op.Rate, op.Burst = 0, 0
	return op
}

func planID() resource.Filter { return inPath("inboundPlanId", "The inbound plan.") }

func shipmentID() resource.Filter { return inPath("shipmentId", "The shipment of the plan.") }

// inboundResources are the reads of the Fulfillment Inbound API of 2024-03-20.
func inboundResources() []resource.Resource {
	plans, plan, shipment := "/inboundPlans", "/inboundPlans/{item}", "/inboundPlans/{inboundPlanId}/shipments/{item}"
	group := "/inboundPlans/{inboundPlanId}/packingGroups/{item}"
	return []resource.Resource{
		{
			Name: "list-inbound-plans", Title: "Inbound plans",
			List: inbound("listInboundPlans", plans, 6, "inboundPlans", 30,
				one("status", "ACTIVE", "VOIDED", "SHIPPED", "ERRORED"),
				one("sortBy", "LAST_UPDATED_TIME", "CREATION_TIME"),
				one("sortOrder", "ASC", "DESC")),
		},
		{Name: "get-inbound-plan", Title: "An inbound plan", Item: inbound("getInboundPlan", plan, 6, "", 0)},
		{Name: "list-inbound-plan-boxes", Title: "Boxes of a plan", Item: inbound("listInboundPlanBoxes", plan+"/boxes", 6, "boxes", 1000)},
		{Name: "list-inbound-plan-items", Title: "Items of a plan", Item: inbound("listInboundPlanItems", plan+"/items", 6, "items", 1000)},
		{Name: "list-inbound-plan-pallets", Title: "Pallets of a plan", Item: inbound("listInboundPlanPallets", plan+"/pallets", 6, "pallets", 1000)},
		{Name: "list-packing-group-boxes", Title: "Boxes of a packing group",
			Item: inbound("listPackingGroupBoxes", group+"/boxes", 30, "boxes", 100, planID())},
		{Name: "list-packing-group-items", Title: "Items of a packing group",
			Item: inbound("listPackingGroupItems", group+"/items", 30, "items", 100, planID())},
		{Name: "list-packing-options", Title: "Ways to pack a plan",
			Item: inbound("listPackingOptions", plan+"/packingOptions", 6, "packingOptions", 20)},
		{Name: "list-placement-options", Title: "Ways to place a plan",
			Item: inbound("listPlacementOptions", plan+"/placementOptions", 6, "placementOptions", 20)},
		{Name: "list-transportation-options", Title: "Ways to transport a plan",
			Item: inbound("listTransportationOptions", plan+"/transportationOptions", 6, "transportationOptions", 20,
				told("Needed unless shipmentId is given.", one("placementOptionId")),
				told("Needed unless placementOptionId is given.", one("shipmentId")))},
		{Name: "get-shipment", Title: "A shipment of a plan", Item: inbound("getShipment", shipment, 6, "", 0, planID())},
		{Name: "list-shipment-boxes", Title: "Boxes of a shipment",
			Item: inbound("listShipmentBoxes", shipment+"/boxes", 30, "boxes", 1000, planID())},
		{Name: "list-shipment-items", Title: "Items of a shipment",
			Item: inbound("listShipmentItems", shipment+"/items", 30, "items", 1000, planID())},
		{Name: "list-shipment-pallets", Title: "Pallets of a shipment",
			Item: inbound("listShipmentPallets", shipment+"/pallets", 30, "pallets", 1000, planID())},
		{Name: "list-shipment-content-update-previews", Title: "Previews of changes to a shipment's content",
			Item: inbound("listShipmentContentUpdatePreviews", shipment+"/contentUpdatePreviews", 30, "contentUpdatePreviews", 20, planID())},
		{Name: "get-shipment-content-update-preview", Title: "A preview of changes to a shipment's content",
			Item: inbound("getShipmentContentUpdatePreview",
				"/inboundPlans/{inboundPlanId}/shipments/{shipmentId}/contentUpdatePreviews/{item}", 30, "", 0, planID(), shipmentID())},
		{Name: "get-delivery-challan-document", Document: true,
			Title: "Delivery challan of a shipment in India; as a document its item is {inboundPlanId}/{shipmentId}",
			Item: inbound("getDeliveryChallanDocument", shipment+"/deliveryChallanDocument", 6,
				"{documentDownload.downloadType,documentDownload.expiration}", 0, planID())},
		{Name: "list-delivery-window-options", Title: "When a shipment can be delivered",
			Item: inbound("listDeliveryWindowOptions", shipment+"/deliveryWindowOptions", 30, "deliveryWindowOptions", 100, planID())},
		{Name: "get-self-ship-appointment-slots", Title: "Appointments for a shipment that one delivers oneself",
			Item: withoutRate(inbound("getSelfShipAppointmentSlots", shipment+"/selfShipAppointmentSlots", 0,
				"selfShipAppointmentSlotsAvailability", 100, planID()))},
		{Name: "list-item-compliance-details", Title: "Compliance details of items",
			List: withoutRate(inbound("listItemComplianceDetails", "/items/compliance", 0, "complianceDetails", 0, merchantSKUs(),
				need(marketplaceID("marketplaceId"))))},
		{Name: "list-prep-details", Title: "How items are prepared",
			List: withoutRate(inbound("listPrepDetails", "/items/prepDetails", 0, "mskuPrepDetails", 0, need(marketplaceID("marketplaceId")),
				merchantSKUs()))},
		{Name: "get-inbound-operation-status", Title: "What became of a change to a plan",
			Item: inbound("getInboundOperationStatus", "/operations/{item}", 6, "", 0)},
	}
}

// merchantSKUs is the one list that Amazon wants as a repeated name (Amazon facts 5.1).
func merchantSKUs() resource.Filter {
	return need(resource.Filter{Name: "mskus", List: resource.Multi, Max: 100, Help: "Merchant SKUs; repeat the name for each."})
}
