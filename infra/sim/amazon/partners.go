package amazonsim

import "context"

// marketplaceBody is a marketplace as the Sellers API prints it.
type marketplaceBody struct {
	ID       string `json:"id"`
	Country  string `json:"countryCode"`
	Name     string `json:"name"`
	Currency string `json:"defaultCurrencyCode"`
	Language string `json:"defaultLanguageCode"`
	Domain   string `json:"domainName"`
}

type participationBody struct {
	Marketplace   marketplaceBody `json:"marketplace"`
	StoreName     string          `json:"storeName"`
	Participation struct {
		Participating bool `json:"isParticipating"`
		Suspended     bool `json:"hasSuspendedListings"`
	} `json:"participation"`
}

// getMarketplaceParticipations lists the stores of the region. It names no seller id (Amazon facts 6).
func (s *Simulator) getMarketplaceParticipations(_ context.Context, c *call) (reply, error) {
	return ok(map[string]any{"payload": participations(c)}), nil
}

func participations(c *call) []participationBody {
	list := []participationBody{}
	for _, m := range c.seller.marketplacesIn(c.region) {
		p := participationBody{
			Marketplace: marketplaceBody{m.id, m.country, m.name, m.currency, m.language, m.domain},
			StoreName:   c.seller.Name,
		}
		p.Participation.Participating = true
		list = append(list, p)
	}
	return list
}

// getAccount shows the business behind the account.
func (s *Simulator) getAccount(_ context.Context, c *call) (reply, error) {
	country := c.seller.Countries[0]
	if here := c.seller.marketplacesIn(c.region); len(here) > 0 {
		country = here[0].country
	}
	address := map[string]string{
		"addressLine1": "1 Simulated Street", "countryCode": country, "city": "Sample City", "postalCode": "00001",
	}
	return ok(map[string]any{"payload": map[string]any{
		"marketplaceParticipationList": participations(c), "businessType": "PRIVATE_LIMITED", "sellingPlan": "PROFESSIONAL",
		"business": map[string]any{
			"name": c.seller.Name + " Ltd", "registeredBusinessAddress": address, "companyRegistrationNumber": "SYN-0001",
		},
		"primaryContact": map[string]any{"name": "Account Owner", "address": address},
	}}), nil
}
