package amazonsim

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
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
// Codes, access tokens and client secrets are kept as hashes, since they are only ever compared. Refresh tokens
// are kept as they are: LWA gives the same one back on every refresh (Amazon facts 3.2).
// All times are Unix milliseconds of the simulated clock.
const schema = `
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS apps(
	application_id TEXT PRIMARY KEY, name TEXT NOT NULL, client_id TEXT, draft INTEGER NOT NULL,
	origin TEXT NOT NULL, redirect_uris TEXT NOT NULL, login_uri TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS apps_client ON apps(client_id) WHERE client_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS secrets(
	client_id TEXT NOT NULL, hash TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	PRIMARY KEY(client_id, hash));
CREATE TABLE IF NOT EXISTS grants(
	id TEXT PRIMARY KEY, application_id TEXT NOT NULL, seller TEXT NOT NULL, region TEXT NOT NULL, kind TEXT NOT NULL,
	refresh_token TEXT NOT NULL UNIQUE, authorized_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS codes(
	hash TEXT PRIMARY KEY, grant_id TEXT NOT NULL, redirect_uri TEXT NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tokens(
	hash TEXT PRIMARY KEY, kind TEXT NOT NULL, grant_id TEXT NOT NULL, application_id TEXT NOT NULL, client_id TEXT NOT NULL,
	secret_hash TEXT NOT NULL, scope TEXT NOT NULL, resources TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS tokens_expiry ON tokens(expires_at);
CREATE TABLE IF NOT EXISTS amazon_states(
	hash TEXT PRIMARY KEY, application_id TEXT NOT NULL, seller TEXT NOT NULL, region TEXT NOT NULL,
	expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS buckets(key TEXT PRIMARY KEY, level REAL NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pages(token TEXT PRIMARY KEY, owner TEXT NOT NULL, cursor TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reports(
	id TEXT PRIMARY KEY, owner TEXT NOT NULL, document_id TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, created_at INTEGER NOT NULL,
	outcome TEXT NOT NULL, cancelled_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS faults(id INTEGER PRIMARY KEY AUTOINCREMENT, spec TEXT NOT NULL, remaining INTEGER NOT NULL, spent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS calls(
	endpoint TEXT NOT NULL, operation TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
	PRIMARY KEY(endpoint, operation, outcome));
CREATE TABLE IF NOT EXISTS sandbox_items(
	seller TEXT NOT NULL, marketplace TEXT NOT NULL, sku TEXT NOT NULL, name TEXT NOT NULL, quantity INTEGER NOT NULL,
	updated_at INTEGER NOT NULL, PRIMARY KEY(seller, marketplace, sku));
CREATE TABLE IF NOT EXISTS sandbox_tokens(seller TEXT NOT NULL, token TEXT NOT NULL, PRIMARY KEY(seller, token));
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
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
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

// digest is how codes, tokens and secrets are kept.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
