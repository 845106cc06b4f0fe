package api

import (
	"encoding/json"
	"slices"
	"time"

	"connectorvault/shared/record"
)

// App is a provider app as the API shows it: what is public of it, and when its secret ends.
type App struct {
	Provider       string                `json:"provider"`
	APIEnvironment record.APIEnvironment `json:"api_environment"`
	Fields         map[string]string     `json:"fields"`
	Draft          bool                  `json:"draft"`
	SecretExpires  time.Time             `json:"client_secret_expires_at,omitzero"`
	ExpiryAssumed  bool                  `json:"client_secret_expires_assumed"` // nobody told us: it is the usual date
	Registered     string                `json:"callback_registered,omitempty"` // the callback address that the operator registered at the provider
	CreatedAt      time.Time             `json:"created_at"`
	UpdatedAt      time.Time             `json:"updated_at"`
}

// AppOf shows a provider app.
func AppOf(a record.App) App {
	return App{Provider: a.Provider, APIEnvironment: a.APIEnvironment, Fields: a.Fields, Draft: a.Draft, SecretExpires: a.SecretExpires,
		ExpiryAssumed: a.ExpiryAssumed, Registered: a.Registered, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}
}

// Connector is a connector as the API shows it.
type Connector struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Entry     string    `json:"vault_entry"`
	Provider  string    `json:"provider"`
	Settings  Settings  `json:"settings"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ConnectorOf shows a connector.
func ConnectorOf(c record.Connector) Connector {
	return Connector{ID: c.ID, Name: c.Name, Entry: c.Entry, Provider: c.Provider, Settings: Settings{c.Settings, c.Singles},
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

// Settings are a connector's settings: lists, and one string where there is one value.
type Settings struct {
	values  map[string][]string
	singles []string
}

// MarshalJSON implements json.Marshaler.
func (s Settings) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(s.values))
	for name, values := range s.values {
		out[name] = values
		if len(values) == 1 && slices.Contains(s.singles, name) {
			out[name] = values[0]
		}
	}
	return json.Marshal(out)
}
