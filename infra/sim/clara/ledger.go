package clarasim

import (
	"context"
	"fmt"
	"time"

	"connectorvault/infra/sim/engine"
)

// outcomeIssued is the outcome of a call that gave a token. The others are error codes, and "fault:" with the name of a switch.
const outcomeIssued = "issued"

// TokenCall is one line of the ledger of the token endpoint. It has numbers where tokens would be.
type TokenCall struct {
	Seq         int64  `json:"seq"`
	At          int64  `json:"at"`   // simulated time, Unix seconds
	Wall        int64  `json:"wall"` // real time when it was decided, Unix nanoseconds
	Country     string `json:"country"`
	ClientID    string `json:"client_id"`
	Credential  int    `json:"credential"`  // whose secret was shown; 0 where nothing was issued
	Fingerprint string `json:"fingerprint"` // of the certificate that was shown
	GrantType   string `json:"grant_type"`  // "" where none was sent
	Outcome     string `json:"outcome"`
	Why         string `json:"why,omitempty"` // of a refusal; the answer says less
	Fault       string `json:"fault,omitempty"`
	ExpiresAt   int64  `json:"expires_at,omitempty"`
}

// TokenCounters sum the ledger up.
type TokenCounters struct {
	Issued  int64 `json:"issued"`
	Refused int64 `json:"refused"`
	Faults  int64 `json:"faults"` // calls that a switch answered
}

// TokenCallFilter limits what is read of the ledger. Empty members match anything.
type TokenCallFilter struct {
	ClientID, Outcome string
	After             int64 // only those with a greater seq
	Limit             int   // 0 = all
}

// TokenCalls reads the ledger of all processes that share the state, oldest first.
func (s *Simulator) TokenCalls(ctx context.Context, filter TokenCallFilter) ([]TokenCall, error) {
	filters := []engine.Filter{
		{Column: "client_id", Value: filter.ClientID}, {Column: "outcome", Value: filter.Outcome},
	}
	query := `SELECT seq, at, wall, country, client_id, credential, fingerprint, grant_type, outcome, why, fault, expires_at FROM token_calls`
	list, err := engine.Lines(ctx, s.state, query, filters, filter.After, filter.Limit, func(scan func(...any) error) (TokenCall, error) {
		var c TokenCall
		err := scan(&c.Seq, &c.At, &c.Wall, &c.Country, &c.ClientID, &c.Credential, &c.Fingerprint, &c.GrantType, &c.Outcome, &c.Why, &c.Fault, &c.ExpiresAt)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return list, nil
}

// TokenCounters sums up the ledger of all processes that share the state.
func (s *Simulator) TokenCounters(ctx context.Context) (TokenCounters, error) {
	var n TokenCounters
	err := s.state.QueryRowContext(ctx, `SELECT COALESCE(SUM(outcome = 'issued'), 0), COALESCE(SUM(outcome <> 'issued' AND outcome NOT LIKE 'fault:%'), 0),
		COALESCE(SUM(outcome LIKE 'fault:%'), 0) FROM token_calls`).Scan(&n.Issued, &n.Refused, &n.Faults)
	if err != nil {
		return TokenCounters{}, fmt.Errorf("summing up the ledger: %w", err)
	}
	return n, nil
}

// ResetTokenCalls empties the ledger. Its numbers go on.
func (s *Simulator) ResetTokenCalls(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM token_calls`)
	return err
}

// enter writes a line and returns its number.
func (s *Simulator) enter(ctx context.Context, q engine.Querier, c TokenCall) (int64, error) {
	result, err := q.ExecContext(ctx, `INSERT INTO token_calls(at, wall, country, client_id, credential, fingerprint, grant_type, outcome, why, fault, expires_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)`,
		s.seconds(), time.Now().UnixNano(), c.Country, c.ClientID, c.Credential, c.Fingerprint, c.GrantType, c.Outcome, c.Why, c.ExpiresAt)
	if err != nil {
		return 0, fmt.Errorf("writing the ledger: %w", err)
	}
	return result.LastInsertId()
}

// enterFault notes which switch lost or damaged an answer.
func (s *Simulator) enterFault(ctx context.Context, seq int64, name string) {
	if _, err := s.state.ExecContext(ctx, `UPDATE token_calls SET fault = ? WHERE seq = ?`, name, seq); err != nil {
		s.log.ErrorContext(ctx, "writing the ledger", "error", err)
	}
}
