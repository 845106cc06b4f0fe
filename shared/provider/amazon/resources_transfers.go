package amazon

import "connectorvault/shared/resource"

// transferResources are the Transfers API: what was and will be paid out, and where to.
func transferResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "list-payouts", Title: "Payouts",
			List: &resource.Operation{
				ID: "listPayouts", Path: "/finances/transfers/2024-06-01/payouts", Rate: 0.5, Burst: 10,
				Filters: []resource.Filter{
					namedMarketplaceIDs("marketplaceIds"),
					told("ISO 8601.", one("createdAfter")),
					told("ISO 8601.", one("createdBefore")),
					one("payoutId"),
					one("accountType"),
				},
				Paging: nextToken("", 0), Items: "payouts", Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-expected-payouts", Title: "Payouts to come",
			List: &resource.Operation{
				ID: "listExpectedPayouts", Path: "/finances/transfers/2024-06-01/payouts/expected", Rate: 0.5, Burst: 10,
				Filters: []resource.Filter{namedMarketplaceIDs("marketplaceIds"), one("accountType")},
				Paging:  nextToken("", 0), Items: "expectedPayouts", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-payment-methods", Title: "Where payouts go",
			List: &resource.Operation{
				ID: "getPaymentMethods", Path: "/finances/transfers/2024-06-01/paymentMethods", Rate: 0.5, Burst: 30,
				Filters: []resource.Filter{
					need(marketplaceID("marketplaceId")),
					many("paymentMethodTypes", "BANK_ACCOUNT", "CARD", "SELLER_WALLET"),
				},
				Items: "paymentMethods", Personal: []string{"accountHolderName"}, Accounts: sellersOnly(),
			},
		},
	}
}
