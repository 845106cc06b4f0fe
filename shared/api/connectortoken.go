package api

import (
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// ConnectorToken is a connector token as the API shows it: everything but its secret part.
type ConnectorToken struct {
	ID             string                 `json:"id"`
	Prefix         string                 `json:"prefix"` // how its text begins
	Label          string                 `json:"label"`
	Providers      []string               `json:"providers"`
	Environment    string                 `json:"environment"`
	APIEnvironment *record.APIEnvironment `json:"api_environment"` // null: both
	Uses           int64                  `json:"uses"`
	UsesLeft       int64                  `json:"uses_left"`
	Status         string                 `json:"status"` // active, used_up, expired or revoked
	CreatedAt      time.Time              `json:"created_at"`
	CreatedBy      string                 `json:"created_by"`
	ExpiresAt      time.Time              `json:"expires_at"`
}

// ConnectorTokenOf shows a connector token at a moment.
func ConnectorTokenOf(t record.ConnectorToken, now time.Time) ConnectorToken {
	out := ConnectorToken{ID: t.ID, Prefix: vault.ConnectorTokenText(t.Tenant, t.ID), Label: t.Label, Providers: t.Providers,
		Environment: t.Environment, Uses: t.Uses, UsesLeft: t.UsesLeft, Status: "active", CreatedAt: t.CreatedAt,
		CreatedBy: t.CreatedBy, ExpiresAt: t.Expires}
	if t.APIEnvironment != "" {
		out.APIEnvironment = &t.APIEnvironment
	}
	switch {
	case t.Revoked:
		out.Status = "revoked"
	case !t.Living(now):
		out.Status = "expired"
	case t.UsesLeft < 1:
		out.Status = "used_up"
	}
	return out
}
