// Package record holds what a tenant's vault is made of: provider apps, vault entries, credentials, authorization
// requests, connectors and keys, with the states they can be in.
//
// The argument: these are the words of the product, and everything above and below speaks them, so they import
// nothing of ours that could differ between engines or providers. No record holds a secret in the clear: what must be
// kept is sealed bytes here, and opened only by the package that may.
package record

import (
	"maps"
	"slices"
	"time"
)

// APIEnvironment is the side of a provider that an entry uses.
type APIEnvironment string

// The sides.
const (
	Production APIEnvironment = "production"
	Sandbox    APIEnvironment = "sandbox"
)

// Tenant is one customer's space.
type Tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	Request   string    `json:"request,omitempty"`   // fingerprint of the request that made it
	FirstKey  string    `json:"first_key,omitempty"` // id of the key that the request was answered with
	Revision  int64     `json:"-"`
	// How far its deletion has come; zero = not so far.
	ClosedAt    time.Time `json:"closed_at,omitzero"`    // from then on nobody is let in
	RevokeUntil time.Time `json:"revoke_until,omitzero"` // so long providers are still told; then its keyring goes in any case
	DestroyedAt time.Time `json:"destroyed_at,omitzero"` // its keyring is destroyed: nothing of it opens any more
	DeletedAt   time.Time `json:"deleted_at,omitzero"`   // nothing is left but this record
}

// Closed reports whether the tenant is being deleted, or was.
func (t *Tenant) Closed() bool { return !t.ClosedAt.IsZero() }

// App is the OAuth application that the operator registered with a provider, for one side of it. Its secrets lie in
// the secret store under names made of the record's key and of Version.
type App struct {
	Tenant         string            `json:"-"`
	Provider       string            `json:"provider"`
	APIEnvironment APIEnvironment    `json:"api_environment"`
	Fields         map[string]string `json:"fields"` // the provider's public fields, such as application_id and client_id
	Draft          bool              `json:"draft"`  // not yet published: Amazon's consent page then wants version=beta
	SecretExpires  time.Time         `json:"client_secret_expires_at,omitzero"`
	ExpiryAssumed  bool              `json:"client_secret_expires_assumed,omitempty"` // nobody told us the date
	Registered     string            `json:"callback_registered,omitempty"`           // the callback address that was registered at the provider, by the operator's word
	Version        string            `json:"version"`
	Revision       int64             `json:"revision,omitempty"`           // grows with changes under which the secrets stay what they are
	Secret         string            `json:"secret_fingerprint,omitempty"` // tells whether a client secret is another one; "" = not noted
	Previous       *PreviousSecret   `json:"previous,omitempty"`           // the client secret before, while it works too; nil = none
	Client         string            `json:"client,omitempty"`             // what the provider's messages name it by; "" = it sends none
	ReadSecrets    []string          `json:"read_secrets,omitempty"`       // names of its secret fields that reads need too
	CreatedAt      time.Time         `json:"created_at"`
	UpdatedAt      time.Time         `json:"updated_at"`
}

// PreviousSecret is the client secret that an application had before the one in force. Where a provider lets both work for
// a while, it is what refreshes go by should the new one be refused.
type PreviousSecret struct {
	Version string    `json:"version"`
	Until   time.Time `json:"until"` // from then on it is not offered any more
}

// Overlapping is the secret before the one in force, if there is one that works at a moment.
func (a *App) Overlapping(now time.Time) *PreviousSecret {
	if a.Previous == nil || !now.Before(a.Previous.Until) {
		return nil
	}
	return a.Previous
}

// Entry is a vault entry as its owner sees and edits it: which account, of which provider, on which side. Whether it
// is authorized is the Credential's to say.
type Entry struct {
	Tenant         string            `json:"-"`
	ID             string            `json:"id"`
	Provider       string            `json:"provider"`
	Alias          string            `json:"alias"` // unique within tenant and environment
	Environment    string            `json:"environment"`
	APIEnvironment APIEnvironment    `json:"api_environment"`
	Settings       map[string]string `json:"settings"`        // the provider's own fields, normalized; none is secret
	Flags          []string          `json:"flags,omitempty"` // those of them that are true or false
	Secrets        SecretGroups      `json:"secrets,omitempty"`
	Material       *Material         `json:"material,omitempty"`  // what is public of those secrets; nil = nothing is
	Client         int64             `json:"client,omitempty"`    // which of the clients that it was given is in force; 0 = the first
	Clients        int64             `json:"clients,omitempty"`   // how many it was given so far; 0 = one
	Successor      *Successor        `json:"successor,omitempty"` // the client that waits beside it; nil = none
	Disabled       bool              `json:"disabled"`
	Connectors     int64             `json:"-"`                         // how many connectors use it; kept by the transactions that make and remove them
	ConnectorToken string            `json:"connector_token,omitempty"` // that it was made with, and that lost a use by it; "" = none
	CreatedBy      string            `json:"created_by"`
	CreatedAt      time.Time         `json:"created_at"`
	UpdatedAt      time.Time         `json:"updated_at"`
	Revision       int64             `json:"-"`
}

// SecretGroup says who may open a secret. Each group of an entry or app is one secret of the secret store.
type SecretGroup string

// The groups.
const (
	ClientSecrets SecretGroup = "client" // the token service alone
	ReadSecrets   SecretGroup = "read"   // reads too
)

// SecretGroups are the secrets of an entry or app, without their values.
type SecretGroups map[SecretGroup]StoredSecret

// StoredSecret says what lies in the secret store.
type StoredSecret struct {
	Version string   `json:"version"` // of the value that belongs to this record
	Fields  []string `json:"fields"`  // names, sorted
}

// Has reports whether a secret field is set.
func (g SecretGroups) Has(field string) bool {
	for _, stored := range g {
		if slices.Contains(stored.Fields, field) {
			return true
		}
	}
	return false
}

// HasSecret reports whether a secret field of the entry is set.
func (e *Entry) HasSecret(field string) bool { return e.Secrets.Has(field) }

// Material is what is public of an entry's secrets: which certificate it is, and how long it is good for.
type Material struct {
	Subject     string    `json:"subject,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256 of the leaf, hexadecimal
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Warnings    []string  `json:"warnings,omitempty"` // what is odd and may be right
}

// Successor is an OAuth client that was brought to take the place of the entry's own, and waits beside it.
type Successor struct {
	Number   int64             `json:"number"`
	Settings map[string]string `json:"settings"` // the client's fields that are no secrets
	Secrets  SecretGroups      `json:"secrets"`
	Material *Material         `json:"material,omitempty"`
	Reads    []Permission      `json:"reads,omitempty"`   // what a try showed
	TriedAt  time.Time         `json:"tried_at,omitzero"` // zero: the provider could not answer yet
	AddedBy  string            `json:"added_by"`
	AddedAt  time.Time         `json:"added_at"`
}

// ClientNumber is the number of the client in force; the first is 1.
func (e *Entry) ClientNumber() int64 { return max(1, e.Client) }

// Succeeded is the entry as it is once its successor is in force. There must be one.
func (e *Entry) Succeeded() Entry {
	next, after := e.Successor, *e
	after.Settings, after.Secrets = maps.Clone(e.Settings), maps.Clone(next.Secrets)
	maps.Copy(after.Settings, next.Settings)
	for name, value := range after.Settings {
		if value == "" { // the client before had it, this one has not
			delete(after.Settings, name)
		}
	}
	after.Client, after.Material, after.Successor = next.Number, next.Material, nil
	return after
}

// Status says whether an entry can be used.
type Status string

// The states of an entry.
const (
	Pending  Status = "pending"                  // made, never authorized
	Active   Status = "active"                   // authorized
	Reauth   Status = "reauthorization_required" // a person must authorize it anew; Cause says why
	Disabled Status = "disabled"                 // switched off by its owner; a flag apart from the rest
)

// Cause says why an entry needs a new authorization.
type Cause string

// The causes.
const (
	Revoked              Cause = "revoked"
	RotationUnknown      Cause = "rotation_unknown"
	AuthorizationExpired Cause = "authorization_expired"
)

// Health says how well an authorized entry's refreshes go.
type Health string

// The grades of health.
const (
	OK       Health = "ok"
	Degraded Health = "degraded" // refreshing fails, the access token still lives and is served
	Failing  Health = "failing"  // refreshing fails and there is no living access token
)

// Identity says how sure we are of the account.
type Identity string

// The grades of identity.
const (
	Verified Identity = "verified" // the provider's API confirmed it
	Claimed  Identity = "claimed"  // only the browser's word for it
)

// Account is the outside account that an entry is pinned to.
type Account struct {
	ID       string            `json:"id"` // Amazon: selling partner id
	Name     string            `json:"name,omitempty"`
	Members  []Member          `json:"members,omitempty"` // Amazon: marketplaces; Sage: businesses
	Details  map[string]string `json:"details,omitempty"`
	Reads    []Permission      `json:"reads,omitempty"` // what the account lets itself be read, where that was asked
	Identity Identity          `json:"identity"`
}

// Permission is what one try showed of what may be read.
type Permission struct {
	Resource string `json:"resource"`
	Allowed  *bool  `json:"allowed"`          // null: it could not be found out then
	Code     string `json:"code,omitempty"`   // why not: the provider's code, or ours where it has none
	Detail   string `json:"detail,omitempty"` // the same for a person
}

// Member is a part of an account that a connector can name.
type Member struct {
	Kind    string `json:"kind"` // "marketplace", "business"
	ID      string `json:"id"`
	Country string `json:"country,omitempty"`
	Name    string `json:"name,omitempty"` // store or business name
	Active  bool   `json:"active"`
}

// Intent is the note that a refresh token is about to be spent: written before the call, ended by a definite answer.
type Intent struct {
	Generation int64     // of the token set whose refresh token is spent
	Hash       string    // fingerprint of that refresh token
	At         time.Time // when
	Fence      int64     // under which lease
}

// Lease is the exclusive right to refresh an entry until a time.
type Lease struct {
	Owner string
	Until time.Time
	Fence int64 // grows with every lease; a write under an older fence is refused
}

// Failure is the last refresh that did not succeed.
type Failure struct {
	Outcome   string    `json:"outcome"`              // of the closed set of outcomes
	Code      string    `json:"code,omitempty"`       // the provider's error code
	Status    int       `json:"status,omitempty"`     // HTTP status
	RequestID string    `json:"request_id,omitempty"` // the provider's
	At        time.Time `json:"at"`
	Count     int64     `json:"count"`             // in a row
	RetryAt   time.Time `json:"retry_at,omitzero"` // nobody tries before
	Unsure    bool      `json:"unsure,omitempty"`  // whether the refresh token was spent; the next try tells
}

// Credential is an entry's authorization: one item, so that lease, intent, generation and sealed tokens change together.
type Credential struct {
	Tenant               string
	Entry                string
	Provider             string
	Status               Status // Active or Reauth
	Cause                Cause
	Generation           int64         // number of the token set in force; the first is 1
	Sealed               []byte        // the token set, bound to tenant, entry, provider and generation
	Lifetime             time.Duration // of the access token as issued
	Expires              time.Time     // of the access token
	Refreshed            time.Time     // when the set in force was stored
	Authorized           time.Time     // when a person last gave consent
	AuthorizationExpires time.Time     // when that consent ends by itself; zero = never, or unknown
	RefreshExpires       time.Time     // when the refresh token ends unless it is used before; zero = never, or unknown
	Fence                int64
	Lease                *Lease
	Intent               *Intent
	Account              *Account
	Failure              *Failure
	Notices              []Notice // events that are still to be published, in their order
	Commit               string   // id of the write that stored this generation
	Client               string   // fingerprint of the OAuth client that the authorization was given to; "" = not noted
	ClientNumber         int64    // Entry.ClientNumber of the client that got the token set; 0 = not noted
	DueAt                time.Time
}

// HealthAt grades the credential at a moment.
func (c *Credential) HealthAt(now time.Time) Health {
	switch {
	case c.Failure == nil:
		return OK
	case now.Before(c.Expires):
		return Degraded
	default:
		return Failing
	}
}

// Connector is a named use of a vault entry.
type Connector struct {
	Tenant    string              `json:"-"`
	ID        string              `json:"id"`
	Name      string              `json:"name"`
	Entry     string              `json:"vault_entry"`
	Provider  string              `json:"provider"`
	Settings  map[string][]string `json:"settings"`
	Singles   []string            `json:"singles,omitempty"` // the settings that take one value
	CreatedBy string              `json:"created_by"`
	CreatedAt time.Time           `json:"created_at"`
	UpdatedAt time.Time           `json:"updated_at"`
	Revision  int64               `json:"-"`
}
