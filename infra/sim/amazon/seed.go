package amazonsim

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// The seeded applications. Their identifiers are fixed so that a bundle can be configured before it starts;
// the secrets guard nothing but this simulator. Any loopback redirect or login URI is accepted for them.
const (
	SeededApplicationID = "amzn1.sp.solution.5eed0000-0000-4000-8000-000000000001"
	SeededClientID      = "amzn1.application-oa2-client.5eed0000000040008000000000000001"
	SeededClientSecret  = "amzn1.oa2-cs.v1.5eed000000000000000000000000000000000000000000000000000000000001" // #nosec G101 -- simulated

	// The draft application needs version=beta in every consent URL (Amazon facts 2.1).
	DraftApplicationID = "amzn1.sp.solution.5eed0000-0000-4000-8000-000000000002"
	DraftClientID      = "amzn1.application-oa2-client.5eed0000000040008000000000000002"
	DraftClientSecret  = "amzn1.oa2-cs.v1.5eed000000000000000000000000000000000000000000000000000000000002" // #nosec G101 -- simulated
)

// The seeded selling partners.
const (
	SellerNorthAmerica = "A1SYNSELLERNA1"
	SellerEurope       = "A1SYNSELLEREU1"
	SellerFarEast      = "A1SYNSELLERFE1"
	SellerGlobal       = "A1SYNSELLERGL1" // in every region; each region is authorized separately
	VendorGroup        = "SYNVG"          // a vendor group code, not a merchant token
)

// Seller is one simulated selling partner.
type Seller struct {
	ID           string   `json:"selling_partner_id"`
	Name         string   `json:"store_name"`
	Vendor       bool     `json:"vendor"`
	Email        string   `json:"email"`
	Countries    []string `json:"countries"`
	Marketplaces []string `json:"marketplace_ids"`
	Regions      []string `json:"regions"`
}

// Sellers returns the seeded selling partners.
func (s *Simulator) Sellers() []Seller {
	return []Seller{
		newSeller(SellerNorthAmerica, "Blue Heron Outdoors", "US", "CA", "MX"),
		newSeller(SellerEurope, "Alpenglanz Handel", "GB", "DE", "FR", "IT", "ES"),
		newSeller(SellerFarEast, "Sakura Goods", "JP"),
		newSeller(SellerGlobal, "Meridian Trading", "US", "CA", "GB", "DE", "FR", "AU", "SG"),
		newVendor(VendorGroup, "Synthetic Vendor Group", "US", "DE"),
	}
}

func newSeller(id, name string, countries ...string) Seller {
	seller := Seller{ID: id, Name: name, Countries: countries, Email: strings.ToLower(id) + "@example.com"}
	for _, country := range countries {
		m := marketplaceByCountry(country)
		seller.Marketplaces = append(seller.Marketplaces, m.id)
		if !slices.Contains(seller.Regions, m.region) {
			seller.Regions = append(seller.Regions, m.region)
		}
	}
	return seller
}

func newVendor(id, name string, countries ...string) Seller {
	vendor := newSeller(id, name, countries...)
	vendor.Vendor = true
	return vendor
}

func (s *Simulator) seller(id string) (Seller, bool) {
	sellers := s.Sellers()
	i := slices.IndexFunc(sellers, func(seller Seller) bool { return seller.ID == id })
	if i < 0 {
		return Seller{}, false
	}
	return sellers[i], true
}

// marketplacesIn returns the seller's marketplaces of one region.
func (seller Seller) marketplacesIn(region string) []marketplace {
	var found []marketplace
	for _, id := range seller.Marketplaces {
		if m, ok := marketplaceByID(id); ok && m.region == region {
			found = append(found, m)
		}
	}
	return found
}

// account is one line of the sign-in form: a login at a selling partner in one region.
type account struct {
	key     string // what the form sends: "<selling partner id>@<region>", "+assistant" for a login that is not primary
	seller  Seller
	region  string
	primary bool
}

// assistantSuffix marks the seeded login that is not the primary user and may not consent (Amazon facts 2.6).
const assistantSuffix = "+assistant"

// accounts lists the logins, those of the wanted region first.
func (s *Simulator) accounts(region string) []account {
	var list []account
	for _, seller := range s.Sellers() {
		for _, r := range seller.Regions {
			list = append(list, account{key: seller.ID + "@" + r, seller: seller, region: r, primary: true})
		}
	}
	for _, id := range []string{SellerNorthAmerica, SellerEurope} {
		seller, _ := s.seller(id)
		r := seller.Regions[0]
		list = append(list, account{key: seller.ID + "@" + r + assistantSuffix, seller: seller, region: r})
	}
	slices.SortStableFunc(list, func(a, b account) int { return rank(a, region) - rank(b, region) })
	return list
}

func rank(a account, region string) int {
	switch {
	case !a.primary:
		return 2
	case region != "" && a.region != region:
		return 1
	}
	return 0
}

func (s *Simulator) account(key string) (account, bool) {
	list := s.accounts("")
	i := slices.IndexFunc(list, func(a account) bool { return a.key == key })
	if i < 0 {
		return account{}, false
	}
	return list[i], true
}

// seed makes the fixed applications and the key that signs document URLs. It is harmless when repeated.
func (s *Simulator) seed(ctx context.Context) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		key, err := engine.Meta(ctx, tx, metaSigningKey)
		if err != nil {
			return err
		}
		if key == "" {
			if err := engine.SetMeta(ctx, tx, metaSigningKey, s.opaque("", 32)); err != nil {
				return err
			}
		}
		seeds := []seedApp{
			{App{ApplicationID: SeededApplicationID, Name: "Connector Vault (simulated)", ClientID: SeededClientID}, SeededClientSecret},
			{App{ApplicationID: DraftApplicationID, Name: "Connector Vault Draft (simulated)", ClientID: DraftClientID, Draft: true}, DraftClientSecret},
		}
		for _, seed := range seeds {
			if err := s.seedApp(ctx, tx, seed); err != nil {
				return err
			}
		}
		return nil
	})
}

type seedApp struct {
	app    App
	secret string
}

func (s *Simulator) seedApp(ctx context.Context, tx *sql.Tx, seed seedApp) error {
	_, found, err := appByID(ctx, tx, seed.app.ApplicationID)
	if err != nil || found {
		return err
	}
	seed.app.Origin = originSeeded
	if err := s.insertApp(ctx, tx, seed.app); err != nil {
		return err
	}
	return s.insertSecret(ctx, tx, seed.app.ClientID, seed.secret, 0)
}
