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
	ExpiryAssumed  bool                  `json:"client_secret_expires_assumed"`  // nobody told us: it is the usual date
	PreviousUntil  time.Time             `json:"previous_secret_until,omitzero"` // the secret before works too, and is kept until then
	Registered     string                `json:"callback_registered,omitempty"`  // the callback address that the operator registered at the provider
	CreatedAt      time.Time             `json:"created_at"`
	UpdatedAt      time.Time             `json:"updated_at"`
}

// AppOf shows a provider app as it is at a moment.
func AppOf(a record.App, now time.Time) App {
	var until time.Time
	if before := a.Overlapping(now); before != nil {
		until = before.Until
	}
	return App{PreviousUntil: until, Provider: a.Provider, APIEnvironment: a.APIEnvironment, Fields: a.Fields, Draft: a.Draft, SecretExpires: a.SecretExpires,
		ExpiryAssumed: a.ExpiryAssumed, Registered: a.Registered, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}
}

// Rotation is the answer to whoever asked for a new client secret.
type Rotation struct {
	App    App    `json:"provider_app"` // as it is until the secret comes
	Status string `json:"status"`
	Next   string `json:"next"` // what happens now, for a person
}

// RotationOf says what happens next.
func RotationOf(a record.App, now time.Time) Rotation {
	return Rotation{App: AppOf(a, now), Status: "requested", Next: "The provider sends the new client secret to this deployment's queue, as a rule within minutes. " +
		"It takes the place of this one by itself: client_secret_expires_at then shows another date, and previous_secret_until how long this one works beside it. " +
		"If nothing comes within a day, make a client secret at the provider and register it with PUT."}
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
