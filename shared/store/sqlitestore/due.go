package sqlitestore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"connectorvault/shared/store"
)

// Due implements [store.DueIndex]. Here the index never lags.
func (s *Store) Due(ctx context.Context, shard string, until int64, limit int, cursor string) ([]store.Due, string, error) {
	if limit <= 0 || limit == math.MaxInt {
		return nil, "", errors.New("listing what is due: a limit is required")
	}
	after := store.Due{At: math.MinInt64} // every real key is above the empty one
	if cursor != "" {
		var err error
		if after, err = decodeCursor(cursor); err != nil {
			return nil, "", fmt.Errorf("listing what is due: %w", err)
		}
	}
	rows, err := s.stmt.due.QueryContext(ctx, shard, until, after.At, after.Key.Partition, after.Key.Sort, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing what is due: %w", mapped(ctx, err))
	}
	defer func() { _ = rows.Close() }()
	var due []store.Due
	for rows.Next() {
		if len(due) == limit {
			next, err := encodeCursor(due[limit-1])
			return due, next, err
		}
		var d store.Due
		if err := rows.Scan(&d.At, &d.Key.Partition, &d.Key.Sort); err != nil {
			return nil, "", fmt.Errorf("listing what is due: %w", mapped(ctx, err))
		}
		due = append(due, d)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("listing what is due: %w", mapped(ctx, err))
	}
	return due, "", nil
}

func encodeCursor(last store.Due) (string, error) {
	data, err := json.Marshal(last)
	if err != nil {
		return "", fmt.Errorf("encoding a cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

func decodeCursor(cursor string) (last store.Due, err error) {
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(data, &last) != nil {
		return last, errors.New("the cursor is not one of ours")
	}
	return last, nil
}
