package clara

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"connectorvault/shared/record"
)

const tokenPath = "/oauth/token" //nolint:gosec // the path of a token endpoint is no token

// The sides of the API, which share hosts (Clara facts 4.2).
const (
	productionPath = "/api"
	sandboxPath    = "/api-test"
)

// countries are those that Clara works in, by the code in its hosts.
func countries() []string { return []string{"mx", "br", "co"} }

// Endpoints replaces Clara's addresses, for a simulator or a proxy. What is empty stays Clara's own.
type Endpoints struct {
	// Base replaces https://public-api.{country}.clara.com, by country.
	Base map[string]string `json:"base,omitempty"`
	// CAFile names a file of PEM certificates that may vouch for the hosts, beside the system's roots.
	CAFile string `json:"ca_file,omitempty"`
}

// Validate reports a country that is none of Clara's, an address that is no https URL, and a file that holds no
// certificate. There is no http here: without TLS nothing of Clara's would be safe.
func (e Endpoints) Validate() error {
	for _, country := range slices.Sorted(maps.Keys(e.Base)) {
		if !slices.Contains(countries(), country) {
			return fmt.Errorf("clara endpoints: base.%q is none of %s", country, strings.Join(countries(), ", "))
		}
		if e.Base[country] == "" {
			continue
		}
		u, err := url.Parse(e.Base[country])
		if err != nil || u.Hostname() == "" || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("clara endpoints: base.%s is not an https address", country)
		}
	}
	_, err := e.authorities()
	return err
}

// authorities are those of the file.
func (e Endpoints) authorities() ([]*x509.Certificate, error) {
	if e.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(e.CAFile)
	if err != nil {
		return nil, fmt.Errorf("clara endpoints: ca_file cannot be read: %w", err)
	}
	found, problem := authorities(string(text))
	if problem != nil {
		return nil, fmt.Errorf("clara endpoints: ca_file holds no certificate, or something else: %s", problem.Detail)
	}
	return found, nil
}

// host is where an entry's country is served.
func (e Endpoints) host(entry record.Entry) string {
	country := entry.Settings[fieldCountry]
	if base := e.Base[country]; base != "" {
		return strings.TrimSuffix(base, "/")
	}
	return "https://public-api." + country + ".clara.com"
}

func (e Endpoints) token(entry record.Entry) string { return e.host(entry) + tokenPath }

func (e Endpoints) api(entry record.Entry) string {
	if entry.APIEnvironment == record.Sandbox {
		return e.host(entry) + sandboxPath
	}
	return e.host(entry) + productionPath
}
