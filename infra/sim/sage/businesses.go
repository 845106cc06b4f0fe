package sagesim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// Business is one set of books. It belongs to one user.
type Business struct {
	ID      string `json:"id"`
	User    string `json:"user"`
	Name    string `json:"name"`
	Country string `json:"country"`
	Lead    bool   `json:"lead"`
	Active  bool   `json:"active"` // whether its subscription is
	Removed bool   `json:"removed"`
}

// BusinessChange changes the business with this id, or makes one for the user where the id is empty or unknown.
// Absent members stay as they are.
type BusinessChange struct {
	ID      string `json:"id"`
	User    string `json:"user"` // of a new one
	Name    string `json:"name"`
	Lead    bool   `json:"lead"` // true makes it the lead business; another one's being made so takes it away
	Active  *bool  `json:"active"`
	Removed *bool  `json:"removed"`
}

// Businesses lists every business, also those that were removed from their users.
func (s *Simulator) Businesses(ctx context.Context) ([]Business, error) {
	return businesses(ctx, s.state, ``)
}

// ChangeBusiness does what happens to a user's businesses outside of any authorization.
func (s *Simulator) ChangeBusiness(ctx context.Context, change BusinessChange) (Business, error) {
	var b Business
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var err error
		b, err = s.businessToChange(ctx, tx, change)
		if err != nil {
			return err
		}
		if change.Name != "" {
			b.Name = change.Name
		}
		if change.Active != nil {
			b.Active = *change.Active
		}
		if change.Removed != nil {
			b.Removed = *change.Removed
		}
		if change.Lead {
			b.Lead = true
			if _, err := tx.ExecContext(ctx, `UPDATE businesses SET lead = 0 WHERE user = ?`, b.User); err != nil {
				return fmt.Errorf("changing the lead business: %w", err)
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE businesses SET name = ?, lead = ?, active = ?, removed = ? WHERE id = ?`,
			b.Name, b.Lead, b.Active, b.Removed, b.ID)
		return err
	})
	return b, err
}

func (s *Simulator) businessToChange(ctx context.Context, tx *sql.Tx, change BusinessChange) (Business, error) {
	known, err := businesses(ctx, tx, ``)
	if err != nil {
		return Business{}, err
	}
	if i := slices.IndexFunc(known, func(b Business) bool { return b.ID == change.ID }); i >= 0 {
		return known[i], nil
	}
	if change.User == "" {
		return Business{}, fmt.Errorf("business %q: %w", change.ID, engine.ErrNotFound)
	}
	owner, ok := s.user(change.User)
	if !ok {
		return Business{}, fmt.Errorf("user %q: %w", change.User, engine.ErrNotFound)
	}
	b := Business{ID: change.ID, User: owner.ID, Name: "Added Business Ltd", Country: owner.Country, Active: true}
	if b.ID == "" {
		b.ID = s.randomHex(16)
	}
	if !isRecordID(b.ID) {
		return Business{}, errors.New("a business id is 32 hexadecimal digits")
	}
	return b, insertBusiness(ctx, tx, b, len(known))
}

func isRecordID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

func insertBusiness(ctx context.Context, tx *sql.Tx, b Business, position int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO businesses(id, user, position, name, country, lead, active, removed) VALUES(?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.User, position, b.Name, b.Country, b.Lead, b.Active, b.Removed)
	if err != nil {
		return fmt.Errorf("storing business: %w", err)
	}
	return nil
}

// businesses reads those that a condition selects.
func businesses(ctx context.Context, q engine.Querier, where string, args ...any) ([]Business, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, user, name, country, lead, active, removed FROM businesses `+where+` ORDER BY position, id`, args...)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (Business, error) {
		var b Business
		err := scan(&b.ID, &b.User, &b.Name, &b.Country, &b.Lead, &b.Active, &b.Removed)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading businesses: %w", err)
	}
	return list, nil
}

// businessesOf lists those that a user has now, the lead business first. When the lead was removed, the next one leads.
func businessesOf(ctx context.Context, q engine.Querier, user string) ([]Business, error) {
	list, err := businesses(ctx, q, `WHERE user = ? AND removed = 0`, user)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b Business) int { return leads(b) - leads(a) })
	for i := range list {
		list[i].Lead = i == 0
	}
	return list, nil
}

func leads(b Business) int {
	if b.Lead {
		return 1
	}
	return 0
}

// siteOf is the resource_owner_id of a business, which API v3 wants in X-Site (Sage facts 3.2).
func siteOf(businessID string) string { return engine.Digest("site " + businessID)[:32] }
