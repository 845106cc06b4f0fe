package amazon

import "connectorvault/shared/resource"

func relatedIdentifier() []resource.Filter {
	return []resource.Filter{
		told("Kind of identifier to filter by.", one("relatedIdentifierName")),
		told("Its value.", one("relatedIdentifierValue")),
	}
}

// financeResources are the Finances API of 2024-06-19, the older one that it replaces, and transfers.
func financeResources() []resource.Resource {
	return append([]resource.Resource{
		{
			Name: "transactions", Title: "Financial transactions",
			List: &resource.Operation{
				ID: "listTransactions", Path: "/finances/2024-06-19/transactions", Rate: 0.5, Burst: 10,
				Filters: append([]resource.Filter{
					told("ISO 8601, more than two minutes ago; 30 days ago unless a time or an identifier is given.",
						or(defaultMonthAgo, one("postedAfter"), "postedBefore", "relatedIdentifierName", "relatedIdentifierValue")),
					told("ISO 8601, more than two minutes ago and at most 180 days after postedAfter.", one("postedBefore")),
					told("Marketplace id; the first that the connector names, or else all.", or(defaultFirstNamed, one("marketplaceId"))),
					told("DEFERRED, RELEASED or DEFERRED_RELEASED.", one("transactionStatus")),
				}, relatedIdentifier()...),
				Paging: resource.Paging{Param: "nextToken", Next: "payload.nextToken"},
				Items:  "payload.transactions", Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-balances", Title: "Balances",
			List: &resource.Operation{
				ID: "listBalances", Path: "/finances/2024-06-19/balances", Rate: 0.5, Burst: 10,
				Filters: []resource.Filter{
					namedMarketplaceIDs("marketplaceIds"),
					told("AVAILABLE, RESERVED, TOTAL, DEFERRED or ACCOUNT_LEVEL_RESERVE.", one("balanceType")),
					one("accountType"),
					told("ISO 8601.", one("asOfDate")),
				},
				Paging: nextToken("", 0), Items: "balances", Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-summary", Title: "Sums of a period or a settlement",
			List: &resource.Operation{
				ID: "listSummary", Path: "/finances/2024-06-19/summary", Rate: 0.5, Burst: 10,
				Filters: append([]resource.Filter{
					namedMarketplaceIDs("marketplaceIds"),
					one("accountType"),
					told("ISO 8601.", one("periodStart")),
					told("ISO 8601.", one("periodEnd")),
				}, relatedIdentifier()...),
				Paging: nextToken("", 0), Items: "summaries", Accounts: sellersOnly(),
			},
		},
	}, append(financesV0Resources(), transferResources()...)...)
}

func financesV0Paging() resource.Paging {
	return resource.Paging{Param: "NextToken", Next: "payload.NextToken", Size: "MaxResultsPerPage", MaxSize: 100}
}

func posted() []resource.Filter {
	return []resource.Filter{
		told("ISO 8601, more than two minutes ago.", one("PostedAfter")),
		told("ISO 8601, more than two minutes ago.", one("PostedBefore")),
	}
}

func financesV0Resources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "list-financial-event-groups", Title: "Settlement periods (older API)",
			List: &resource.Operation{
				ID: "listFinancialEventGroups", Path: "/finances/v0/financialEventGroups", Rate: 0.5, Burst: 30,
				Filters: []resource.Filter{
					told("ISO 8601, more than two minutes ago.", one("FinancialEventGroupStartedBefore")),
					told("ISO 8601.", one("FinancialEventGroupStartedAfter")),
				},
				Paging: financesV0Paging(), Items: "payload.FinancialEventGroupList", Retires: financesV0Removal(), Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-financial-events-by-group-id", Title: "Financial events of a settlement period (older API)",
			Item: &resource.Operation{
				ID: "listFinancialEventsByGroupId", Path: "/finances/v0/financialEventGroups/{item}/financialEvents", Rate: 0.5, Burst: 30,
				Filters: posted(), Paging: financesV0Paging(), Items: "payload.FinancialEvents", Retires: financesV0Removal(),
				Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-financial-events-by-order-id", Title: "Financial events of an order (older API)",
			Item: &resource.Operation{
				ID: "listFinancialEventsByOrderId", Path: "/finances/v0/orders/{item}/financialEvents", Rate: 0.5, Burst: 30,
				Paging: financesV0Paging(), Items: "payload.FinancialEvents", Retires: financesV0Removal(), Accounts: sellersOnly(),
			},
		},
		{
			Name: "list-financial-events", Title: "Financial events (older API)",
			List: &resource.Operation{
				ID: "listFinancialEvents", Path: "/finances/v0/financialEvents", Rate: 0.5, Burst: 30,
				Filters: posted(), Paging: financesV0Paging(), Items: "payload.FinancialEvents", Retires: financesV0Removal(),
				Accounts: sellersOnly(),
			},
		},
	}
}
