package amazon

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"connectorvault/shared/provider"
)

// marketplaceTable is marketplaces.json: a table that an operator may edit before deploying, since Amazon adds
// marketplaces and moves consent hosts without telling anybody (Amazon facts 2.2). A host that is "" is not known.
//
//go:embed marketplaces.json
var marketplaceTable []byte

// place is a marketplace with the hosts where its accounts give consent.
type place struct {
	Country string   `json:"country"` // ISO 3166-1
	Aliases []string `json:"aliases"` // other codes that people and Amazon use
	Name    string   `json:"name"`
	ID      string   `json:"id"` // Amazon's marketplaceId
	Region  string   `json:"region"`
	Default bool     `json:"default"` // stands for its region when only the region is known
	Seller  string   `json:"seller"`  // consent host of Seller Central
	Vendor  string   `json:"vendor"`  // consent host of Vendor Central
}

type places []place

// regionTitles are Amazon's regions in the order in which people expect them (Amazon facts 4).
var regionTitles = [...]struct{ code, title string }{
	{"na", "North America"},
	{"eu", "Europe, Middle East, Africa and India"},
	{"fe", "Far East"},
}

func knownRegion(code string) bool {
	for _, r := range regionTitles {
		if r.code == code {
			return true
		}
	}
	return false
}

func regionTitle(code string) string {
	for _, r := range regionTitles {
		if r.code == code {
			return r.title
		}
	}
	return code
}

var (
	countryShape = provider.NewShape(`^[A-Z]{2}$`)
	hostShape    = provider.NewShape(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// parsePlaces reads the table and refuses one that would send a browser or a token to the wrong place.
func parsePlaces(table []byte) (places, error) {
	var all places
	if err := json.Unmarshal(table, &all); err != nil {
		return nil, fmt.Errorf("marketplaces: %w", err)
	}
	seen := map[string]bool{}
	defaults := map[string]int{}
	for _, p := range all {
		if err := p.check(); err != nil {
			return nil, err
		}
		for _, code := range append([]string{p.Country, p.ID}, p.Aliases...) {
			if seen[code] {
				return nil, fmt.Errorf("marketplaces: %s is there twice", code)
			}
			seen[code] = true
		}
		if p.Default {
			defaults[p.Region]++
		}
	}
	for _, r := range regionTitles {
		if defaults[r.code] != 1 {
			return nil, fmt.Errorf("marketplaces: region %s has %d default marketplaces and needs one", r.code, defaults[r.code])
		}
	}
	return all, nil
}

func (p place) check() error {
	switch {
	case !countryShape.MatchString(p.Country):
		return fmt.Errorf("marketplaces: %q is not a country code", p.Country)
	case p.ID == "" || p.Name == "":
		return fmt.Errorf("marketplaces: %s lacks an id or a name", p.Country)
	case !knownRegion(p.Region):
		return fmt.Errorf("marketplaces: %s has no region %q", p.Country, p.Region)
	case !hostShape.MatchString(p.Seller):
		return fmt.Errorf("marketplaces: the seller host of %s is not a host name", p.Country)
	case p.Vendor != "" && !hostShape.MatchString(p.Vendor):
		return fmt.Errorf("marketplaces: the vendor host of %s is not a host name", p.Country)
	}
	return nil
}

func mustPlaces(table []byte) places {
	all, err := parsePlaces(table)
	if err != nil {
		panic(err)
	}
	return all
}

// find looks a marketplace up by country code, alias or marketplace id, in any case.
func (all places) find(code string) (place, bool) {
	code = strings.ToUpper(strings.TrimSpace(code))
	for _, p := range all {
		if code == p.Country || code == p.ID || slices.Contains(p.Aliases, code) {
			return p, true
		}
	}
	return place{}, false
}

// of returns the marketplace that stands for a region.
func (all places) of(region string) place {
	for _, p := range all {
		if p.Region == region && p.Default {
			return p
		}
	}
	return place{}
}

// hosts reports whether a host is one where Amazon asks for consent.
func (all places) hosts(host string) bool {
	for _, p := range all {
		if host != "" && (host == p.Seller || host == p.Vendor) {
			return true
		}
	}
	return false
}

func (all places) countries() []string {
	var codes []string
	for _, p := range all {
		codes = append(codes, p.Country)
	}
	return codes
}

func (all places) regions() []provider.Region {
	var list []provider.Region
	for _, r := range regionTitles {
		region := provider.Region{Code: r.code, Title: r.title}
		for _, p := range all {
			if p.Region == r.code {
				region.Marketplaces = append(region.Marketplaces, provider.Marketplace{ID: p.ID, Country: p.Country, Name: p.Name})
			}
		}
		list = append(list, region)
	}
	return list
}
