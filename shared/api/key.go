package api

import (
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// Key is an API key as the API shows it: everything but its secret part.
type Key struct {
	ID           string      `json:"id"`
	Prefix       string      `json:"prefix"` // how its text begins
	Role         record.Role `json:"role"`
	Label        string      `json:"label"`
	PersonalData bool        `json:"personal_data"`
	Connectors   []string    `json:"connectors"` // null: all
	Status       string      `json:"status"`     // active, expired or revoked
	CreatedAt    time.Time   `json:"created_at"`
	CreatedBy    *string     `json:"created_by"` // null: no principal of the tenant
	ExpiresAt    *time.Time  `json:"expires_at"` // null: it does not
	LastUsedAt   *time.Time  `json:"last_used_at"`
}

// KeyOf shows a key at a moment.
func KeyOf(k record.APIKey, now time.Time) Key {
	out := Key{ID: k.ID, Prefix: vault.KeyPrefix(k.Tenant, k.ID), Role: k.Role, Label: k.Label, PersonalData: k.PersonalData, Connectors: k.Connectors,
		Status: "active", CreatedAt: k.CreatedAt}
	switch {
	case k.Revoked:
		out.Status = "revoked"
	case !k.Living(now):
		out.Status = "expired"
	}
	if k.CreatedBy != "" {
		out.CreatedBy = &k.CreatedBy
	}
	if !k.Expires.IsZero() {
		out.ExpiresAt = &k.Expires
	}
	if !k.LastUsed.IsZero() {
		out.LastUsedAt = &k.LastUsed
	}
	return out
}
