package amazon

import (
	"fmt"
	"net/url"
	"strings"

	"connectorvault/shared/record"
)

// The standard addresses (Amazon facts 2.1, 2.4, 3, 4).
const (
	consentPath  = "/apps/authorize/consent"
	confirmPath  = "/apps/authorize/confirm/"
	tokenPath    = "/auth/o2/token"
	tokenAddress = "https://api.amazon.com" + tokenPath
)

// Endpoints replaces Amazon's addresses, for a simulator or a proxy. What is empty stays Amazon's own.
//
// An address without a path gets the standard one; with a path it is used as given. API has a base address a region
// ("na", "eu", "fe"), which serves sandbox entries too.
type Endpoints struct {
	Consent string            `json:"consent,omitempty"`
	Token   string            `json:"token,omitempty"`
	API     map[string]string `json:"api,omitempty"`
}

// Validate reports the first address that is not an absolute http or https URL, or a region that Amazon has not.
func (e Endpoints) Validate() error {
	addresses := map[string]string{"consent": e.Consent, "token": e.Token}
	for region, address := range e.API {
		if !knownRegion(region) {
			return fmt.Errorf("amazon endpoints: api has no region %q", region)
		}
		addresses["api."+region] = address
	}
	for name, address := range addresses {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
			return fmt.Errorf("amazon endpoints: %s is not an http or https address", name)
		}
	}
	return nil
}

func (e Endpoints) token() string {
	if e.Token == "" {
		return tokenAddress
	}
	return withPath(e.Token, tokenPath)
}

// api returns where operations are called. Amazon's sandbox has hosts of its own; a replacement serves both sides.
func (e Endpoints) api(region string, side record.APIEnvironment) string {
	if base := e.API[region]; base != "" {
		return base
	}
	if side == record.Sandbox {
		return "https://sandbox.sellingpartnerapi-" + region + ".amazon.com"
	}
	return "https://sellingpartnerapi-" + region + ".amazon.com"
}

// withPath appends the standard path to an address that has none.
func withPath(address, path string) string {
	u, err := url.Parse(address)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return address
	}
	u.Path = path
	return u.String()
}
