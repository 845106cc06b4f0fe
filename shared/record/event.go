package record

import "time"

// Horizon is a date on which something of an entry ends.
type Horizon struct {
	Name    string    `json:"name"` // one of those below
	At      time.Time `json:"at"`
	Assumed bool      `json:"assumed,omitempty"` // nobody told us the date: it is the usual one
	Detail  string    `json:"detail,omitempty"`  // what ends, where the name alone does not say it
}

// What ends.
const (
	AuthorizationEnd = "authorization" // a person's consent
	RefreshTokenEnd  = "refresh_token" // the refresh token, unless it is used
	ClientSecretEnd  = "client_secret" // the secret of the operator's application, which many entries share
	RetirementEnd    = "retirement"    // something of the provider's; Detail says what
	CertificateEnd   = "certificate"   // the entry's own certificate
	ProjectEnd       = "project"       // what the provider made the entry's client for
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventAuthorized EventKind = "authorized"               // a person gave consent, or brought a token
	EventExpiring   EventKind = "expiring"                 // a date of the horizon has come near
	EventReauth     EventKind = "reauthorization_required" // an entry is of no use until a person authorizes it again
	EventRecovered  EventKind = "recovered"                // an entry that was of no use works again
)

// Event is something that a tenant should hear of. What it is about is in it as it was then.
type Event struct {
	Tenant         string         `json:"-"`
	ID             string         `json:"id"` // the same however often the same thing is found out
	Kind           EventKind      `json:"kind"`
	At             time.Time      `json:"time"` // grows from event to event of a tenant
	Provider       string         `json:"provider"`
	APIEnvironment APIEnvironment `json:"api_environment"`
	Entry          string         `json:"vault_entry,omitempty"` // "": it is about the provider app
	Alias          string         `json:"alias,omitempty"`
	Environment    string         `json:"environment,omitempty"`
	Disabled       bool           `json:"disabled,omitempty"`    // the entry was switched off
	Generation     int64          `json:"generation,omitempty"`  // the token set that came, failed, or was followed by one that works
	Cause          Cause          `json:"cause,omitempty"`       // EventReauth
	Horizon        *Horizon       `json:"horizon,omitempty"`     // EventExpiring
	DaysBefore     int            `json:"days_before,omitempty"` // EventExpiring: the mark that was passed
}

// Notice is an event that is owed: it lies in the credential from the write that made it true until it is published.
// One of kind EventRecovered is owed once a generation follows its own.
type Notice struct {
	Kind       EventKind `json:"kind"`
	Generation int64     `json:"generation"`
	Cause      Cause     `json:"cause,omitempty"`
}
