package sagesim

import (
	"context"
	"fmt"
	"time"

	"connectorvault/infra/sim/engine"
)

// The outcomes of a call of a token endpoint, beside the error codes and "fault:" with the name of a switch.
const (
	outcomeIssued  = "issued"
	outcomeReuse   = "reuse"   // what was offered had been spent; answered invalid_grant
	outcomeGrace   = "grace"   // the same, answered with tokens
	outcomeExpired = "expired" // answered invalid_grant
	outcomeRevoked = "revoked" // answered invalid_grant
)

// TokenCall is one line of the ledger of token traffic. It has numbers where tokens would be.
type TokenCall struct {
	Seq       int64  `json:"seq"`
	At        int64  `json:"at"`   // simulated time, Unix seconds
	Wall      int64  `json:"wall"` // real time when it was decided, Unix nanoseconds
	GrantType string `json:"grant_type"`
	ClientID  string `json:"client_id"`
	User      string `json:"user"`
	Family    string `json:"family"`
	Label     string `json:"label"`
	Parent    int64  `json:"parent"` // number of the refresh token that was offered; 0 for a code, and for one that was never issued
	Issued    int64  `json:"issued"` // number of the refresh token that the answer holds; 0 for none
	Outcome   string `json:"outcome"`
	Fault     string `json:"fault,omitempty"` // the switch that lost or damaged the answer after all was stored
}

// TokenCounters sum the ledger up.
type TokenCounters struct {
	Issued            int64 `json:"issued"`
	Reuses            int64 `json:"reuses"` // refresh tokens and codes offered again, but for those in a grace window
	FamilyRevocations int64 `json:"family_revocations"`
}

// TokenCallFilter limits what is read of the ledger. Empty members match anything.
type TokenCallFilter struct {
	ClientID, User, Family, Label, Outcome string
	After                                  int64 // only those with a greater seq
	Limit                                  int   // 0 = all
}

// TokenCalls reads the ledger of all processes that share the state, oldest first.
func (s *Simulator) TokenCalls(ctx context.Context, filter TokenCallFilter) ([]TokenCall, error) {
	filters := []engine.Filter{
		{Column: "client_id", Value: filter.ClientID}, {Column: "user", Value: filter.User}, {Column: "family", Value: filter.Family},
		{Column: "label", Value: filter.Label}, {Column: "outcome", Value: filter.Outcome},
	}
	query := `SELECT seq, at, wall, grant_type, client_id, user, family, label, parent, issued, outcome, fault FROM token_calls`
	list, err := engine.Lines(ctx, s.state, query, filters, filter.After, filter.Limit, func(scan func(...any) error) (TokenCall, error) {
		var c TokenCall
		err := scan(&c.Seq, &c.At, &c.Wall, &c.GrantType, &c.ClientID, &c.User, &c.Family, &c.Label, &c.Parent, &c.Issued, &c.Outcome, &c.Fault)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return list, nil
}

// The names of counters.
const (
	counterIssued      = "issued"
	counterReuses      = "reuses"
	counterRevocations = "family_revocations"
)

// TokenCounters reads the counters of all processes that share the state.
func (s *Simulator) TokenCounters(ctx context.Context) (TokenCounters, error) {
	type counter struct {
		name  string
		count int64
	}
	rows, err := s.state.QueryContext(ctx, `SELECT name, count FROM token_counters`)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (counter, error) {
		var c counter
		err := scan(&c.name, &c.count)
		return c, err
	})
	if err != nil {
		return TokenCounters{}, fmt.Errorf("reading the counters: %w", err)
	}
	var sum TokenCounters
	for _, c := range list {
		switch c.name {
		case counterIssued:
			sum.Issued = c.count
		case counterReuses:
			sum.Reuses = c.count
		case counterRevocations:
			sum.FamilyRevocations = c.count
		}
	}
	return sum, nil
}

// ResetTokenCalls empties the ledger and sets the counters to nothing. Sequence numbers go on.
func (s *Simulator) ResetTokenCalls(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM token_calls; DELETE FROM token_counters`)
	return err
}

// enter writes a line of the ledger and returns its number.
func (s *Simulator) enter(ctx context.Context, q engine.Querier, c TokenCall) (int64, error) {
	result, err := q.ExecContext(ctx, `INSERT INTO token_calls(at, wall, grant_type, client_id, user, family, label, parent, issued, outcome, fault)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, s.seconds(0), time.Now().UnixNano(), c.GrantType, c.ClientID, c.User, c.Family, c.Label,
		c.Parent, c.Issued, c.Outcome, c.Fault)
	if err != nil {
		return 0, fmt.Errorf("writing the ledger: %w", err)
	}
	switch c.Outcome {
	case outcomeIssued:
		err = bump(ctx, q, counterIssued)
	case outcomeReuse:
		err = bump(ctx, q, counterReuses)
	}
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

func bump(ctx context.Context, q engine.Querier, counter string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO token_counters(name, count) VALUES(?, 1) ON CONFLICT(name) DO UPDATE SET count = count + 1`, counter)
	if err != nil {
		return fmt.Errorf("counting: %w", err)
	}
	return nil
}

// enterFault adds to a line what became of the answer.
func (s *Simulator) enterFault(ctx context.Context, seq int64, fault string) {
	_, err := s.state.ExecContext(ctx, `UPDATE token_calls SET fault = ? WHERE seq = ?`, fault, seq)
	if err != nil {
		s.log.ErrorContext(ctx, "writing the ledger", "error", err)
	}
}
