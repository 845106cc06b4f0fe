package engine

import (
	"context"
	"fmt"
)

// CallCount says how often something was asked and how it ended. What operations and outcomes are called, each simulator says.
type CallCount struct {
	Endpoint  string `json:"endpoint"`
	Operation string `json:"operation"`
	Outcome   string `json:"outcome"`
	Count     int    `json:"count"`
}

// Calls returns the counters of all processes that share the state.
func (st *State) Calls(ctx context.Context) ([]CallCount, error) {
	rows, err := st.QueryContext(ctx, `SELECT endpoint, operation, outcome, count FROM calls ORDER BY 1, 2, 3`)
	list, err := Collect(rows, err, func(scan func(...any) error) (CallCount, error) {
		var c CallCount
		err := scan(&c.Endpoint, &c.Operation, &c.Outcome, &c.Count)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading counters: %w", err)
	}
	return list, nil
}

// ResetCalls sets every counter to nothing.
func (st *State) ResetCalls(ctx context.Context) error {
	_, err := st.ExecContext(ctx, `DELETE FROM calls`)
	return err
}

// Count counts also when the client has already gone: what happened has happened. Nobody is refused because counting failed.
func (st *State) Count(ctx context.Context, endpoint, operation, outcome string) {
	ctx = context.WithoutCancel(ctx)
	_, err := st.ExecContext(ctx, `INSERT INTO calls(endpoint, operation, outcome, count) VALUES(?, ?, ?, 1)
		ON CONFLICT(endpoint, operation, outcome) DO UPDATE SET count = count + 1`, endpoint, operation, outcome)
	if err != nil {
		st.log.ErrorContext(ctx, "counting a call", "error", err)
	}
}
