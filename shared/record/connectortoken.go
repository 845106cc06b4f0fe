package record

import "time"

// TokenHolder is the role of whoever shows a connector token. It stands beside the others: what it may do is to connect
// accounts, within what the token says.
const TokenHolder Role = "connector_token"

// ConnectorToken is a credential that lets its holder connect accounts of named providers in one environment, so many
// times, until it ends. It is kept as a fingerprint. But for Revoked and UsesLeft it never changes.
type ConnectorToken struct {
	Tenant         string         `json:"-"`
	ID             string         `json:"id"`
	Label          string         `json:"label,omitempty"`
	Providers      []string       `json:"providers"` // sorted
	Environment    string         `json:"environment"`
	APIEnvironment APIEnvironment `json:"api_environment,omitempty"` // "" = both sides
	Uses           int64          `json:"uses"`                      // entries that can be made with it
	UsesLeft       int64          `json:"-"`                         // kept by the transactions that make and remove entries
	CreatedBy      string         `json:"created_by"`                // the principal
	CreatorRole    Role           `json:"creator_role"`              // what only some may connect, its holder may if they may
	Hash           string         `json:"-"`
	CreatedAt      time.Time      `json:"created_at"`
	Expires        time.Time      `json:"expires_at"`
	Revoked        bool           `json:"revoked"`
}

// Living reports whether the token opens anything at a moment. One whose uses are all taken does: what was begun with it can
// be finished.
func (t *ConnectorToken) Living(now time.Time) bool { return !t.Revoked && now.Before(t.Expires) }

// MaySee reports whether a vault entry is there for the principal: for the holder of a connector token, those that were made
// with it.
func (p *Principal) MaySee(e Entry) bool {
	return p.Role != TokenHolder || p.ID != "" && e.ConnectorToken == p.ID
}
