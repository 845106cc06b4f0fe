package api

import (
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// Event is an event as the API shows it.
type Event struct {
	ID             string                `json:"id"`
	Kind           record.EventKind      `json:"kind"`
	Time           time.Time             `json:"time"`
	Subject        string                `json:"subject"` // "vault_entry" or "provider_app"
	Provider       string                `json:"provider"`
	APIEnvironment record.APIEnvironment `json:"api_environment"`
	Entry          string                `json:"vault_entry,omitempty"`
	Alias          string                `json:"alias,omitempty"`
	Environment    string                `json:"environment,omitempty"`
	Disabled       bool                  `json:"disabled,omitempty"`
	Generation     int64                 `json:"generation,omitempty"`
	Cause          record.Cause          `json:"cause,omitempty"`
	Horizon        *record.Horizon       `json:"horizon,omitempty"`
	DaysBefore     int                   `json:"days_before,omitempty"`
	Cursor         string                `json:"cursor"` // a list goes on after this event
}

// EventOf shows an event.
func EventOf(e record.Event) Event {
	out := Event{ID: e.ID, Kind: e.Kind, Time: e.At, Subject: "vault_entry", Provider: e.Provider, APIEnvironment: e.APIEnvironment, Entry: e.Entry,
		Alias: e.Alias, Environment: e.Environment, Disabled: e.Disabled, Generation: e.Generation, Cause: e.Cause, Horizon: e.Horizon,
		DaysBefore: e.DaysBefore, Cursor: EncodeCursor(vault.EventKey(e))}
	if e.Entry == "" {
		out.Subject = "provider_app"
	}
	return out
}
