package record

import (
	"slices"
	"time"
)

// Role is what a key may do.
type Role string

// The roles, the mightiest first. What each may do is shared/access's to say.
const (
	Owner    Role = "owner"
	Admin    Role = "admin"
	Operator Role = "operator"
	Reader   Role = "reader"
)

// APIKey is a key of ours, kept as a fingerprint.
type APIKey struct {
	Tenant       string `json:"-"`
	ID           string `json:"id"`
	Role         Role   `json:"role"`
	PersonalData bool   `json:"personal_data"` // may ask for personal data
	Label        string `json:"label"`
	// Connectors are the ids of the only ones that it may read; empty = all. Readers alone have any.
	Connectors []string `json:"connectors,omitempty"`
	CreatedBy  string   `json:"created_by,omitempty"` // the principal; "" = the operator, or the local program
	// Subject is who holds the key, where one holder has several: what one of them began, another may finish. "" = the key
	// speaks for itself alone.
	Subject   string    `json:"subject,omitempty"`
	Hash      string    `json:"-"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at,omitzero"`
	Revoked   bool      `json:"revoked"`
	LastUsed  time.Time `json:"-"` // to some minutes; zero = never, or not looked up
}

// Living reports whether the key opens anything at a moment.
func (k *APIKey) Living(now time.Time) bool {
	return !k.Revoked && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Principal is who is asking, as the authorizer found out.
type Principal struct {
	Tenant       string
	ID           string // of the key, or its subject; of a token of an issuer, what stands for its subject
	Role         Role
	PersonalData bool
	Connectors   []string // ids of the only ones that may be read; empty = all
}

// MayRead reports whether a connector is one of those that the principal may read.
func (p *Principal) MayRead(connector string) bool {
	return len(p.Connectors) == 0 || slices.Contains(p.Connectors, connector)
}
