package clarasim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// schema is applied on every opening; every statement must be harmless when repeated.
//
// Secrets and private keys are kept as they are: unlike Clara, which shows them once, the simulator gives a download again. Access
// tokens are not kept at all; they are signed. Times are Unix seconds of the simulated clock, but for token_calls.wall.
const schema = `
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS projects(
	client_id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, country TEXT NOT NULL, side TEXT NOT NULL,
	permissions TEXT NOT NULL, tax_identifiers TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS credentials(
	client_id TEXT NOT NULL, n INTEGER NOT NULL, secret TEXT NOT NULL, certificate TEXT NOT NULL, private_key TEXT NOT NULL,
	ca TEXT NOT NULL, fingerprint TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, created_at INTEGER NOT NULL,
	deleted_at INTEGER NOT NULL, PRIMARY KEY(client_id, n));
CREATE INDEX IF NOT EXISTS credentials_fingerprint ON credentials(fingerprint);
CREATE TABLE IF NOT EXISTS handshakes(
	fingerprint TEXT NOT NULL, version TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(fingerprint, version));
CREATE TABLE IF NOT EXISTS token_calls(
	seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, wall INTEGER NOT NULL, country TEXT NOT NULL, client_id TEXT NOT NULL,
	credential INTEGER NOT NULL, fingerprint TEXT NOT NULL, grant_type TEXT NOT NULL, outcome TEXT NOT NULL, why TEXT NOT NULL,
	fault TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS faults(id INTEGER PRIMARY KEY AUTOINCREMENT, spec TEXT NOT NULL, remaining INTEGER NOT NULL, spent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS calls(
	endpoint TEXT NOT NULL, operation TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
	PRIMARY KEY(endpoint, operation, outcome));
CREATE TABLE IF NOT EXISTS requests(seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
`

// openAttempts bounds the wait for another process that is switching the same new file to WAL: SQLite answers
// "busy" there without consulting the busy timeout.
const openAttempts = 40

// state is the one SQLite file. Only small, short transactions run on it; no transaction is open while a
// request is slow or held.
type state struct {
	db *sql.DB
}

func openState(path string) (*state, error) {
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
	// SQLite's busy handler, which sleeps. Code must therefore never use db inside update.
	db.SetMaxOpenConns(1)
	for attempt := 1; ; attempt++ {
		_, err := db.ExecContext(context.Background(), schema)
		if err == nil {
			return &state{db: db}, nil
		}
		if attempt == openAttempts {
			return nil, errors.Join(fmt.Errorf("applying schema: %w", err), db.Close())
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (st *state) close() error { return st.db.Close() }

// update runs f in one BEGIN IMMEDIATE transaction, which is what makes "exactly one" true across processes.
func (st *state) update(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := st.db.BeginTx(ctx, nil)
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

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// collect reads every row of a query.
func collect[T any](rows *sql.Rows, err error, scan func(func(...any) error) (T, error)) ([]T, error) {
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

// found tells "no such row" from a failure.
func found[T any](item T, err error) (T, bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, false, nil
	}
	return item, err == nil, err
}

// metaValue returns "" for a name that was never set.
func metaValue(ctx context.Context, q querier, name string) (string, error) {
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

func setMeta(ctx context.Context, q querier, name, value string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO meta(name, value) VALUES(?, ?)
		ON CONFLICT(name) DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
