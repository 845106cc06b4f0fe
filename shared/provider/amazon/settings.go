package amazon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// The settings of an Amazon vault entry.
const (
	settingMarketplace = "marketplace"  // country code, normalized to ISO: it decides the consent page
	settingRegion      = "region"       // na, eu, fe: it decides the API's host
	settingAccountType = "account_type" // seller, vendor
)

// The kinds of account.
const (
	seller = "seller"
	vendor = "vendor"
)

func entryFields(p places) []provider.Field {
	return []provider.Field{
		{Name: settingMarketplace, Label: "Marketplace", Options: p.countries(),
			Help: "The country whose Seller Central or Vendor Central you sign in to. It decides the region. UK is taken for GB."},
		{Name: settingRegion, Label: "Selling Region", Fixed: true, Options: []string{"na", "eu", "fe"},
			Help: "Needed only when no marketplace is given: North America (na), Europe with the Middle East, Africa and India (eu), Far East (fe)."},
		{Name: settingAccountType, Label: "Account type", Fixed: true, Default: seller, Options: []string{seller, vendor},
			Help: "seller for Seller Central, vendor for Vendor Central."},
	}
}

// Normalize implements provider.Adapter. A marketplace decides the region; a region alone stands for its largest
// marketplace; both must fit together. Codes: unknown_marketplace, region_mismatch, invalid_field.
func (a *Adapter) Normalize(entry *record.Entry) error {
	for _, name := range slices.Sorted(maps.Keys(entry.Settings)) {
		if name != settingMarketplace && name != settingRegion && name != settingAccountType {
			return invalid(name, "An Amazon vault entry has no such setting.").
				Do("Use " + settingMarketplace + ", " + settingRegion + " and " + settingAccountType + ".")
		}
	}
	switch entry.APIEnvironment {
	case "":
		entry.APIEnvironment = record.Production
	case record.Production, record.Sandbox:
	default:
		return invalid("api_environment", "The side of Amazon is neither production nor sandbox.").Do("Use production or sandbox.")
	}
	where, err := a.locate(entry.Settings[settingMarketplace], entry.Settings[settingRegion])
	if err != nil {
		return err
	}
	kind := strings.ToLower(strings.TrimSpace(entry.Settings[settingAccountType]))
	if kind == "" {
		kind = seller
	}
	if kind != seller && kind != vendor {
		return invalid(settingAccountType, "The account type is neither seller nor vendor.").Do("Use seller or vendor.")
	}
	entry.Settings = map[string]string{settingMarketplace: where.Country, settingRegion: where.Region, settingAccountType: kind}
	return nil
}

func (a *Adapter) locate(marketplace, region string) (place, error) {
	region = strings.ToLower(strings.TrimSpace(region))
	if region != "" && !knownRegion(region) {
		return place{}, invalid(settingRegion, "Amazon has no such selling region.").Do("Use na, eu or fe.")
	}
	if strings.TrimSpace(marketplace) == "" {
		if region == "" {
			return place{}, invalid(settingMarketplace, "Neither a marketplace nor a selling region was given.").
				Do("Give the marketplace as a country code such as DE, or the region as na, eu or fe.")
		}
		return a.places.of(region), nil
	}
	where, known := a.places.find(marketplace)
	if !known {
		return place{}, fault.New(fault.Invalid, "unknown_marketplace", "Amazon has no marketplace of that code.").
			On(settingMarketplace).Do("Use one of: " + strings.Join(a.places.countries(), ", ") + ".")
	}
	if region != "" && region != where.Region {
		return place{}, fault.New(fault.Invalid, "region_mismatch",
			fmt.Sprintf("The marketplace %s belongs to region %s, not %s.", where.Country, where.Region, region)).
			On(settingRegion).Do("Leave the region out, or give " + where.Region + ".")
	}
	return where, nil
}

// home returns the entry's marketplace. The settings have been normalized, so a marketplace that is not there was
// taken out of the table after the entry was made; its region still stands.
func (a *Adapter) home(entry record.Entry) place {
	if where, known := a.places.find(entry.Settings[settingMarketplace]); known {
		return where
	}
	return a.places.of(entry.Settings[settingRegion])
}

func isVendor(entry record.Entry) bool { return entry.Settings[settingAccountType] == vendor }

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(field)
}
