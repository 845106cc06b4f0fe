package amazon

import "connectorvault/shared/resource"

// sellerResources are the Sellers API: the account itself. Its rate is one call a minute.
func sellerResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "marketplaces", Title: "Marketplaces that the account takes part in",
			List: &resource.Operation{
				ID: "getMarketplaceParticipations", Path: "/sellers/v1/marketplaceParticipations", Rate: 0.016, Burst: 15,
				Items: "payload", Accounts: sellersOnly(),
			},
		},
		{
			Name: "get-account", Title: "The account's business data",
			List: &resource.Operation{
				ID: "getAccount", Path: "/sellers/v1/account", Rate: 0.016, Burst: 15,
				// A sole trader's business name and address are a person's.
				Items: "payload", Personal: []string{"primaryContact", "business.name", "business.nonLatinName",
					"business.registeredBusinessAddress", "business.companyTaxIdentificationNumber"},
				Accounts: sellersOnly(),
			},
		},
	}
}
