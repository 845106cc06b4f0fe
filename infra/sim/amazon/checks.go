package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// checkToken judges the access token (Amazon facts 5.3).
func (s *Simulator) checkToken(ctx context.Context, c *call, text string) error {
	switch {
	case text == "":
		return errTokenMissing
	case c.token.kind == "":
		return errTokenInvalid
	case c.now.UnixMilli() >= c.token.expiresAt:
		return errTokenExpired
	case c.token.kind != kindGrantless && c.grant.Revoked:
		return errTokenInvalid
	}
	valid, err := s.secretValid(ctx, s.state, c.token.clientID, c.token.secretHash)
	if err != nil {
		return err
	}
	if !valid {
		return errSecretExpired
	}
	return s.apiFaults(ctx, c, map[string]*apiError{
		FaultTokenExpired: errTokenExpired, FaultRevokedGrant: errTokenInvalid, FaultSecretExpired: errSecretExpired,
	})
}

// checkAuthorization asks whether this selling partner granted this application this operation here.
func (s *Simulator) checkAuthorization(ctx context.Context, c *call) error {
	if err := s.apiFaults(ctx, c, map[string]*apiError{FaultMissingRole: errDenied, FaultWrongRegion: errDenied}); err != nil {
		return err
	}
	// The hosted sandbox takes a token of another region and of any kind of partner (Amazon facts 9.3).
	if c.sandbox {
		return nil
	}
	if c.op.audience == grantless {
		if c.token.kind != kindGrantless || c.token.scope != c.op.scope {
			return errDenied
		}
		return nil
	}
	if c.token.kind == kindGrantless {
		return errDenied
	}
	if c.token.kind == kindRestricted {
		allowed, err := restrictedAllows(c)
		if err != nil {
			return err
		}
		if !allowed {
			return errDenied
		}
	}
	if c.grant.Region != c.region || (c.seller.Vendor && c.op.audience == sellers) {
		return errDenied
	}
	return nil
}

// apiFaults applies switches that look like a refusal.
func (s *Simulator) apiFaults(ctx context.Context, c *call, refusals map[string]*apiError) error {
	for name, refusal := range refusals {
		_, on, err := s.fire(ctx, name, c.where)
		if err != nil {
			return err
		}
		if on {
			return refusal
		}
	}
	return nil
}

// queryMarketplaces collects marketplace ids under the spellings the APIs use.
func queryMarketplaces(query url.Values) []string {
	var ids []string
	for _, name := range []string{"marketplaceIds", "MarketplaceIds", "marketplaceId", "MarketplaceId"} {
		ids = append(ids, csv(query, name)...)
	}
	return ids
}

// checkMarketplaces refuses the marketplaces of other regions (Amazon facts 5.3, 9.3). An id that is no
// marketplace at all is bad input; the static sandbox lets it through, since its examples use such ids.
func (s *Simulator) checkMarketplaces(c *call, ids []string) error {
	for _, id := range ids {
		m, known := marketplaceByID(id)
		switch {
		case known && m.region != c.region:
			return errForeignMarkets
		case !known && !c.sandbox:
			return invalidInput("Invalid marketplace id.")
		}
	}
	return nil
}

// csv reads an array parameter: comma separated, in one or several occurrences (Amazon facts 5.1).
func csv(query url.Values, name string) []string {
	var list []string
	for _, value := range query[name] {
		if value != "" {
			list = append(list, strings.Split(value, ",")...)
		}
	}
	return list
}

// takeQuota takes one token from the bucket of operation × application × selling partner (Amazon facts 5.4).
func (s *Simulator) takeQuota(ctx context.Context, c *call) error {
	if c.op.rate <= 0 {
		return nil
	}
	off, err := s.switchOn(ctx, s.state, FaultNoThrottling)
	if err != nil || off {
		return err
	}
	key := strings.Join([]string{c.owner(), c.op.method, c.op.path}, "|")
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		level, updated := c.op.burst, c.now.UnixMilli()
		err := tx.QueryRowContext(ctx, `SELECT level, updated_at FROM buckets WHERE key = ?`, key).Scan(&level, &updated)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("reading bucket: %w", err)
		}
		elapsed := max(0, c.now.UnixMilli()-updated)
		level = min(c.op.burst, level+float64(elapsed)/1000*c.op.rate)
		if level < 1 {
			return errThrottled
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO buckets(key, level, updated_at) VALUES(?, ?, ?)`,
			key, level-1, max(updated, c.now.UnixMilli()))
		if err != nil {
			return fmt.Errorf("writing bucket: %w", err)
		}
		return nil
	})
}

// restrictedResource is one entry of a Restricted Data Token (Amazon facts 5.5).
type restrictedResource struct {
	Method       string   `json:"method"`
	Path         string   `json:"path"`
	DataElements []string `json:"dataElements,omitempty"`
}

// restrictedAllows says whether the RDT names this very path, or the operation's template.
func restrictedAllows(c *call) (bool, error) {
	resource, err := restrictedMatch(c)
	return resource != nil, err
}

func restrictedMatch(c *call) (*restrictedResource, error) {
	if c.token.kind != kindRestricted {
		return nil, nil
	}
	var resources []restrictedResource
	if err := json.Unmarshal([]byte(c.token.resources), &resources); err != nil {
		return nil, fmt.Errorf("decoding restricted resources: %w", err)
	}
	i := slices.IndexFunc(resources, func(r restrictedResource) bool {
		return r.Method == c.op.method && (r.Path == c.path || r.Path == c.op.path)
	})
	if i < 0 {
		return nil, nil
	}
	return &resources[i], nil
}
