package amazon

import "connectorvault/shared/resource"

const notificationScope = "sellingpartnerapi::notifications"

// notificationResources are the reads of the Notifications API. Destinations belong to the application, not to an
// account, and are read with the application's own token.
func notificationResources() []resource.Resource {
	subscriptions := nextToken("pageSize", 100)
	subscriptions.Next = "payload.nextToken"
	return []resource.Resource{
		{
			Name: "get-subscriptions", Title: "Subscriptions to notifications",
			List: &resource.Operation{
				ID: "getSubscriptions", Path: "/notifications/v1/subscriptions", Rate: 1, Burst: 5,
				Filters: []resource.Filter{need(many("notificationTypes"))},
				Paging:  subscriptions, Items: "payload.subscriptions",
			},
		},
		{
			Name: "get-subscription", Title: "The subscription to a type of notification",
			Item: &resource.Operation{
				ID: "getSubscription", Path: "/notifications/v1/subscriptions/{item}", Rate: 1, Burst: 5,
				Filters: []resource.Filter{one("payloadVersion")}, Items: "payload",
			},
		},
		{
			Name: "get-subscription-by-id", Title: "A subscription by its id",
			Item: &resource.Operation{
				ID: "getSubscriptionById", Path: "/notifications/v1/subscriptions/{notificationType}/{item}", Rate: 1, Burst: 5,
				Filters: []resource.Filter{inPath("notificationType", "The type of notification.")},
				Items:   "payload", Grantless: notificationScope,
			},
		},
		{
			Name: "get-destinations", Title: "Destinations of the application's notifications",
			List: &resource.Operation{
				ID: "getDestinations", Path: "/notifications/v1/destinations", Rate: 1, Burst: 5, Items: "payload", Grantless: notificationScope,
			},
		},
		{
			Name: "get-destination", Title: "A destination of the application's notifications",
			Item: &resource.Operation{
				ID: "getDestination", Path: "/notifications/v1/destinations/{item}", Rate: 1, Burst: 5, Items: "payload", Grantless: notificationScope,
			},
		},
	}
}

// dataKioskResources are the reads of the Data Kiosk API: queries that were asked for, and their documents.
func dataKioskResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "get-queries", Title: "Data Kiosk queries",
			List: &resource.Operation{
				ID: "getQueries", Path: "/dataKiosk/2023-11-15/queries", Rate: 0.0222, Burst: 10,
				Filters: []resource.Filter{
					processingStatuses(),
					told("ISO 8601; 90 days ago at most.", one("createdSince")),
					told("ISO 8601.", one("createdUntil")),
				},
				Paging: paginated("paginationToken", "pageSize", 100), Items: "queries",
			},
		},
		{
			Name: "get-query", Title: "A Data Kiosk query",
			Item: &resource.Operation{ID: "getQuery", Path: "/dataKiosk/2023-11-15/queries/{item}", Rate: 2, Burst: 15},
		},
		{
			Name: "get-document", Title: "A Data Kiosk document, by the document's id", Document: true,
			Item: &resource.Operation{
				ID: "getDocument", Path: "/dataKiosk/2023-11-15/documents/{item}", Rate: 0.0167, Burst: 15, Items: "{documentId}",
			},
		},
	}
}
