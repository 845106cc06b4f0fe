package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"unicode/utf8"

	"connectorvault/shared/store"
)

// Get implements [store.Items].
func (s *Store) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	if err := store.CheckKey(table, key); err != nil {
		return store.Item{}, fmt.Errorf("reading an item: %w", err)
	}
	attrs, err := load(ctx, s.stmt.get, table, key)
	if err != nil {
		return store.Item{}, fmt.Errorf("reading an item: %w", err)
	}
	if attrs == nil {
		return store.Item{}, store.ErrNotFound
	}
	return store.Item{Key: key, Attrs: attrs}, nil
}

// GetMany implements [store.Items]. A key that is named twice is answered once.
func (s *Store) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	if len(keys) > store.MaxGet {
		return nil, fmt.Errorf("reading items: %d keys are more than %d", len(keys), store.MaxGet)
	}
	items := make([]store.Item, 0, len(keys))
	seen := make(map[store.Key]bool, len(keys))
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		item, err := s.Get(ctx, table, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// Query implements [store.Items].
func (s *Store) Query(ctx context.Context, q store.Query) (items []store.Item, more bool, err error) {
	if err := checkQuery(q); err != nil {
		return nil, false, fmt.Errorf("listing items: %w", err)
	}
	// The first key after q.After in byte order is q.After with a zero byte behind it.
	from := q.Prefix
	if q.After != "" {
		from = max(from, q.After+"\x00")
	}
	rows, err := s.stmt.query.QueryContext(ctx, string(q.Table), q.Partition, from, prefixEnd(q.Prefix), q.Limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("listing items: %w", mapped(ctx, err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if len(items) == q.Limit {
			return items, true, nil
		}
		var sort string
		var data sql.RawBytes
		if err := rows.Scan(&sort, &data); err != nil {
			return nil, false, fmt.Errorf("listing items: %w", mapped(ctx, err))
		}
		key := store.Key{Partition: q.Partition, Sort: sort}
		attrs, err := decodeAttrs(data)
		if err != nil {
			return nil, false, fmt.Errorf("listing items: %w", &store.Unreadable{Key: key, Why: err})
		}
		items = append(items, store.Item{Key: key, Attrs: attrs})
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("listing items: %w", mapped(ctx, err))
	}
	return items, false, nil
}

func checkQuery(q store.Query) error {
	if q.Limit <= 0 || q.Limit == math.MaxInt {
		return errors.New("a limit is required")
	}
	if !utf8.ValidString(q.Prefix) || !utf8.ValidString(q.After) {
		return errors.New("a prefix and a sort key are UTF-8")
	}
	return store.CheckKey(q.Table, store.Key{Partition: q.Partition, Sort: "any"})
}

// prefixEnd is the least value above every text that begins with prefix. UTF-8 has no byte 0xff, so the last byte can
// always be raised; and SQLite orders every blob above every text.
func prefixEnd(prefix string) any {
	if prefix == "" {
		return []byte{0}
	}
	end := []byte(prefix)
	end[len(end)-1]++
	return string(end)
}

// Apply implements [store.Items].
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return fmt.Errorf("writing items: %w", err)
	}
	tx, err := s.file.write.BeginTx(ctx, nil) // immediate: from here on nobody else writes
	if err != nil {
		return fmt.Errorf("writing items: %w", mapped(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	after, err := s.judge(ctx, tx, ops)
	if err != nil {
		var refusal *store.ConditionFailed
		if errors.As(err, &refusal) {
			return refusal
		}
		return fmt.Errorf("writing items: %w", err)
	}
	for i, op := range ops {
		if err := s.write(ctx, tx, op, after[i]); err != nil {
			return fmt.Errorf("writing items: %w", mapped(ctx, err))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("writing items: %w", mapped(ctx, err))
	}
	return nil
}

// judge tests every condition and works out what each item would become, before anything is written.
func (s *Store) judge(ctx context.Context, tx *sql.Tx, ops []store.Op) ([]store.Attrs, error) {
	after := make([]store.Attrs, len(ops))
	for i, op := range ops {
		var old store.Attrs
		if op.If != nil || op.Verb == store.Update {
			var err error
			if old, err = load(ctx, tx.StmtContext(ctx, s.stmt.load), op.Table, op.Key); err != nil {
				return nil, err
			}
		}
		if !op.If.Holds(old) {
			return nil, &store.ConditionFailed{Index: i, Old: old}
		}
		var err error
		if after[i], err = changed(old, op); err != nil {
			return nil, fmt.Errorf("write %d: %w", i, err)
		}
	}
	return after, nil
}

// changed returns the item as op leaves it; it may reuse old.
func changed(old store.Attrs, op store.Op) (store.Attrs, error) {
	switch op.Verb {
	case store.Put:
		return op.Set, store.CheckItem(op.Table, op.Key, op.Set)
	case store.Update:
		attrs := old
		if attrs == nil {
			attrs = store.Attrs{}
		}
		maps.Copy(attrs, op.Set)
		for _, name := range op.Remove {
			delete(attrs, name)
		}
		for name, delta := range op.Add {
			n, isNumber := attrs[name].(int64)
			if _, has := attrs[name]; has && !isNumber {
				return nil, fmt.Errorf("attribute %s is not a number to add to", name)
			}
			if sum := n + delta; (sum > n) != (delta > 0) && delta != 0 {
				return nil, fmt.Errorf("attribute %s would overflow", name)
			}
			attrs[name] = n + delta
		}
		return attrs, store.CheckItem(op.Table, op.Key, attrs)
	default:
		return nil, nil
	}
}

func (s *Store) write(ctx context.Context, tx *sql.Tx, op store.Op, attrs store.Attrs) error {
	table, key := string(op.Table), op.Key
	switch op.Verb {
	case store.Put, store.Update: // below
	case store.Verify:
		return nil
	case store.Delete:
		_, err := tx.StmtContext(ctx, s.stmt.remove).ExecContext(ctx, table, key.Partition, key.Sort)
		return err
	}
	data, err := encodeAttrs(attrs)
	if err != nil {
		return err
	}
	var dueShard, dueAt, expires any
	shard, hasShard := attrs[store.AttrDueShard]
	at, hasAt := attrs[store.AttrDueAt]
	if op.Table == store.Credentials && hasShard && hasAt {
		dueShard, dueAt = shard, at
	}
	if end, ok := attrs[store.AttrExpires].(int64); ok && (op.Table == store.Requests || op.Table == store.Transient) {
		expires = end
	}
	_, err = tx.StmtContext(ctx, s.stmt.save).ExecContext(ctx, table, key.Partition, key.Sort, data, dueShard, dueAt, expires)
	return err
}

// load reads an item's attributes; nil when there is none.
func load(ctx context.Context, stmt *sql.Stmt, table store.Table, key store.Key) (store.Attrs, error) {
	var data []byte
	err := stmt.QueryRowContext(ctx, string(table), key.Partition, key.Sort).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, mapped(ctx, err)
	}
	attrs, err := decodeAttrs(data)
	if err != nil {
		return nil, &store.Unreadable{Key: key, Why: err}
	}
	return attrs, nil
}
