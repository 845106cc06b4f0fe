package engine

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// schema is of the tables that every simulator has.
const schema = `
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults(id INTEGER PRIMARY KEY AUTOINCREMENT, spec TEXT NOT NULL, remaining INTEGER NOT NULL, spent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS calls(
	endpoint TEXT NOT NULL, operation TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
	PRIMARY KEY(endpoint, operation, outcome));
`

// openAttempts bounds the wait for another process that is switching the same new file to WAL: SQLite answers
// "busy" there without consulting the busy timeout.
const openAttempts = 40

// State is a simulator's one SQLite file. Only small, short transactions run on it; no transaction is open while a
// request is slow or held.
type State struct {
	*sql.DB

	log *slog.Logger
}

// OpenState opens the file, and makes it when absent. The simulator's own tables are applied on every opening, so each of their
// statements must be harmless when repeated.
func OpenState(path, tables string, log *slog.Logger) (*State, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the file: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("making the file: %w", err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening SQLite: %w", err)
	}
	// One connection a process: requests of one process queue in database/sql, which is fair, instead of in
	// SQLite's busy handler, which sleeps. Code must therefore never use the State itself inside Update.
	db.SetMaxOpenConns(1)
	for attempt := 1; ; attempt++ {
		_, err := db.ExecContext(context.Background(), schema+tables)
		if err == nil {
			return &State{DB: db, log: log}, nil
		}
		if attempt == openAttempts {
			return nil, errors.Join(fmt.Errorf("applying schema: %w", err), db.Close())
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Update runs f in one BEGIN IMMEDIATE transaction, which is what makes "exactly one" true across processes.
func (st *State) Update(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := st.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit; it is here for errors and for panics
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// Querier is a *State or a *sql.Tx.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Collect reads every row of a query.
func Collect[T any](rows *sql.Rows, err error, scan func(func(...any) error) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // reading is over; rows.Err has told what went wrong
	var list []T
	for rows.Next() {
		item, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

// Found tells "no such row" from a failure.
func Found[T any](item T, err error) (T, bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, false, nil
	}
	return item, err == nil, err
}

// Meta returns a value that was kept under a name, "" for one that never was.
func Meta(ctx context.Context, q Querier, name string) (string, error) {
	var value string
	err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return value, nil
}

// SetMeta keeps a value under a name.
func SetMeta(ctx context.Context, q Querier, name, value string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO meta(name, value) VALUES(?, ?)
		ON CONFLICT(name) DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// Digest is how codes, tokens and secrets are kept that are only ever compared.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
