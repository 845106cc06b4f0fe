package issuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"connectorvault/shared/access"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
)

// Config says whose tokens are taken, and what their claims mean. A claim is named by its exact name, or by a path into
// objects: "/realm_access/roles".
type Config struct {
	Issuers     []string               `json:"issuers"`      // as tokens name them in iss
	Audience    string                 `json:"audience"`     // that a token must be for
	Tenant      string                 `json:"tenant"`       // of everybody who comes with a token, or:
	TenantClaim string                 `json:"tenant_claim"` // the claim that has the tenant's id
	RoleClaim   string                 `json:"role_claim"`   // a string, a list of strings, or scopes
	Roles       map[string]record.Role `json:"roles"`        // what its values mean
	// PersonalDataClaim gives the grant where it is true, or has PersonalDataValue if there is one; "" = nobody has it.
	PersonalDataClaim string `json:"personal_data_claim"`
	PersonalDataValue string `json:"personal_data_value"`
	// ConnectorsClaim has the ids of the connectors that a reader may read, or "*"; "" = readers may read all.
	ConnectorsClaim string `json:"connectors_claim"`
}

// ParseConfig reads a Config from JSON.
func ParseConfig(body []byte) (Config, error) {
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("it is not what it should be: %w", err)
	}
	return c, nil
}

// ParseRoles reads "VALUE=ROLE,VALUE=ROLE".
func ParseRoles(text string) (map[string]record.Role, error) {
	out := map[string]record.Role{}
	for _, pair := range strings.Split(text, ",") {
		value, role, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if _, twice := out[value]; !ok || value == "" || twice {
			return nil, errors.New("the roles are not written as VALUE=ROLE,VALUE=ROLE, each value once")
		}
		out[value] = record.Role(role)
	}
	return out, nil
}

// Validate says what is wrong with a Config.
func (c Config) Validate() error {
	if len(c.Issuers) == 0 || len(c.Issuers) > 5 {
		return errors.New("there are no issuers, or more than five")
	}
	for _, name := range c.Issuers {
		if err := checkAddress(name); err != nil {
			return fmt.Errorf("the issuer %q: %w", name, err)
		}
	}
	switch {
	case c.Audience == "":
		return errors.New("there is no audience: any token of the issuer, for whatever it was made, would be taken")
	case (c.Tenant == "") == (c.TenantClaim == ""):
		return errors.New("either a tenant is named or the claim that names it, and not both")
	case c.Tenant != "" && (!ident.Valid(c.Tenant, ident.Tenant) || c.Tenant == ident.Outside):
		return fmt.Errorf("%q is not the id of a tenant", c.Tenant)
	case c.RoleClaim == "" || len(c.Roles) == 0:
		return errors.New("no claim is mapped to roles: everybody would be nobody")
	case c.PersonalDataValue != "" && c.PersonalDataClaim == "":
		return errors.New("a value gives the grant of personal data, and no claim is named for it")
	}
	for value, role := range c.Roles {
		if value == "" || !slices.Contains(access.Roles(), role) {
			return fmt.Errorf("%q is mapped to %q, which is no role", value, role)
		}
	}
	return nil
}

// checkAddress takes https addresses, and http on this very machine, where nobody listens on the way.
func checkAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("it is no address of a host")
	}
	here := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && here {
		return nil
	}
	return errors.New("it is no https address")
}
