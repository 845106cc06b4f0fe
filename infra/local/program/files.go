package program

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"connectorvault/shared/issuer"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/transport"
)

func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("the data folder cannot be made: %w", err)
	}
	return nil
}

// Ready is what the ready file says.
type Ready struct {
	URL        string          `json:"url"`
	OwnerKey   string          `json:"owner_key"`
	Simulators catalog.Options `json:"simulators"`
	// Controls are where simulators are steered that have an address of their own for it, by provider.
	Controls map[string]string `json:"simulator_controls,omitempty"`
}

// writeReady writes the ready file whole, or not at all.
func writeReady(path string, r Ready) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temporary, append(body, '\n'), 0o600); err != nil {
		return fmt.Errorf("the ready file cannot be written: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("the ready file cannot be written: %w", err)
	}
	return nil
}

// readIssuers reads the file that says whose tokens let in; nil when there is none. They are of this program's one tenant
// unless it says otherwise.
func readIssuers(path string, now func() time.Time) (*issuer.Verifier, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no issuer, nobody to verify
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the issuers' file cannot be read: %w", err)
	}
	config, err := issuer.ParseConfig(body)
	if err != nil {
		return nil, fmt.Errorf("the issuers' file %s: %w", path, err)
	}
	if config.Tenant == "" && config.TenantClaim == "" {
		config.Tenant = Tenant
	}
	verifier, err := issuer.New(config, transport.Client(), now)
	if err != nil {
		return nil, fmt.Errorf("the issuers' file %s: %w", path, err)
	}
	return verifier, nil
}

// readEndpoints reads the file that replaces providers' addresses. What it returns lays them over others: an address that
// the file does not name stays.
func readEndpoints(path string) (over func(catalog.Options) (catalog.Options, error), err error) {
	if path == "" {
		return func(o catalog.Options) (catalog.Options, error) { return o, nil }, nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the endpoints file cannot be read: %w", err)
	}
	over = func(o catalog.Options) (catalog.Options, error) {
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil {
			return o, fmt.Errorf("the endpoints file %s is not what it should be: %w", path, err)
		}
		if err := o.Validate(); err != nil {
			return o, fmt.Errorf("the endpoints file %s: %w", path, err)
		}
		return o, nil
	}
	_, err = over(catalog.Options{}) // what is wrong with it is said before anything is started
	return over, err
}
