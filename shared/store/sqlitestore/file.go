package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"connectorvault/shared/store"
)

// busyTimeout is how long a writer waits for the others before it gives up with [store.ErrBusy].
const busyTimeout = 10 * time.Second

// NewerError says that a later release of the program wrote the file.
type NewerError struct {
	Found, Known int // schema versions
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the file was written by a newer release of Connector Vault (its format is %d, this program knows up to %d): "+
		"install that release again, or restore a backup made before the upgrade", e.Found, e.Known)
}

// kind is a sort of file: what it is called, how it is told from others, and the steps from each schema version to the next.
type kind struct {
	name          string
	applicationID int32
	migrations    []string // migrations[v] leads from version v to v+1; what has been released is never edited
}

func storeKind() kind {
	return kind{name: "store", applicationID: 0x43564b31, migrations: []string{`
		CREATE TABLE items (
			tbl TEXT NOT NULL, partition TEXT NOT NULL, sort TEXT NOT NULL,
			attrs BLOB NOT NULL,  -- see encode.go
			due_shard TEXT, due_at INTEGER,  -- copies, in Credentials and when both are there
			expires_at INTEGER,  -- a copy, in Requests and Transient
			PRIMARY KEY (tbl, partition, sort)
		) STRICT, WITHOUT ROWID;
		CREATE INDEX items_due ON items (due_shard, due_at, partition, sort) WHERE due_shard IS NOT NULL;
		CREATE INDEX items_expires ON items (expires_at) WHERE expires_at IS NOT NULL;
		CREATE TABLE secrets (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
	`}}
}

// file is an open SQLite file: one connection that writes, several that read.
//
// Writers must queue anyway; letting them queue for a connection, in order, is fairer and cheaper than letting them poll
// for the file's lock. Readers never wait for a writer (WAL).
type file struct {
	write, read *sql.DB
}

func openFile(ctx context.Context, path string, k kind) (*file, error) {
	if path == "" {
		return nil, errors.New("a path is required")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving the path: %w", err)
	}
	if err := ensurePrivate(path); err != nil {
		return nil, err
	}
	f := &file{}
	if f.write, err = openPool(path, 1, url.Values{"_txlock": {"immediate"}, "_synchronous": {"FULL"}}); err != nil {
		return nil, err
	}
	if f.read, err = openPool(path, max(4, runtime.GOMAXPROCS(0)), url.Values{"_query_only": {"1"}}); err != nil {
		return nil, errors.Join(err, f.write.Close())
	}
	if err := migrate(ctx, f.write, k); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.close())
	}
	return f, nil
}

func (f *file) close() error { return errors.Join(f.read.Close(), f.write.Close()) }

// preparation is a statement to be prepared on one side of a file.
type preparation struct {
	db   *sql.DB
	into **sql.Stmt
	text string
}

func prepareAll(ctx context.Context, all []preparation) error {
	for _, p := range all {
		var err error
		if *p.into, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("preparing %q: %w", p.text, mapped(ctx, err))
		}
	}
	return nil
}

// ensureFolder makes the folder of a file, closed to others. One that is there is left as it is: it may be anybody's, and
// our files in it are closed by themselves.
func ensureFolder(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	return nil
}

// ensurePrivate makes an empty file that only its owner may read, whatever the umask, and closes an existing one to others.
//
// SQLite gives the -wal and -shm files the same mode. The file is made under another name and linked into place: to open
// and close the file itself would drop the locks that this process may hold on it through another connection.
func ensurePrivate(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = createPrivate(path, nil)
		return err
	}
	if err != nil {
		return fmt.Errorf("looking for the file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return fmt.Errorf("closing the file to others: %w", err)
		}
	}
	return nil
}

// createPrivate makes a file with that content and mode 0600 in one step, on the disk before it returns. Nothing
// is changed when there is one already: of several that try at once, one makes it and all find it whole.
func createPrivate(path string, content []byte) error {
	if err := ensureFolder(path); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, writeErr := temp.Write(content)
	if err := errors.Join(writeErr, temp.Chmod(0o600), temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("writing a new file: %w", err)
	}
	switch err := os.Link(temp.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("putting a new file in its place: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in the folder survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the folder: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("writing the folder: %w", err)
	}
	return nil
}

func openPool(path string, connections int, params url.Values) (*sql.DB, error) {
	params.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	params.Set("_defensive", "1")
	params.Add("_pragma", "journal_size_limit(67108864)")
	params.Add("_pragma", "trusted_schema(0)")
	connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode())
	if err != nil {
		return nil, fmt.Errorf("naming the file: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate brings the schema up to date. A newer file is refused before anything in it is touched.
func migrate(ctx context.Context, db *sql.DB, k kind) error {
	if _, err := version(ctx, db, k); err != nil {
		return err
	}
	if err := switchToWAL(ctx, db); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a migration: %w", mapped(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	found, err := version(ctx, tx, k) // again: another process may have been first
	if err != nil {
		return err
	}
	for v := found; v < len(k.migrations); v++ {
		text := fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", k.migrations[v], k.applicationID, v+1)
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("migrating from format %d: %w", v, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing a migration: %w", mapped(ctx, err))
	}
	return nil
}

// version reads the schema version; 0 is an empty file.
func version(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, k kind) (int, error) {
	var found, applicationID, objects int
	const text = `SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),
		(SELECT count(*) FROM sqlite_schema)`
	if err := db.QueryRowContext(ctx, text).Scan(&found, &applicationID, &objects); err != nil {
		return 0, fmt.Errorf("reading the format: %w", mapped(ctx, err))
	}
	if applicationID != int(k.applicationID) && (applicationID != 0 || found != 0 || objects != 0) {
		return 0, fmt.Errorf("the file is not a Connector Vault %s", k.name)
	}
	if known := len(k.migrations); found > known {
		return 0, &NewerError{Found: found, Known: known}
	}
	return found, nil
}

// switchToWAL asks again while it is refused: SQLite does not wait when two processes switch a new file at once.
func switchToWAL(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil && mode == "wal" {
			return nil
		}
		if err == nil {
			return fmt.Errorf("the file system does not allow a write-ahead log (journal mode %s)", mode)
		}
		if !isBusy(err) {
			return fmt.Errorf("switching on the write-ahead log: %w", mapped(ctx, err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("switching on the write-ahead log: %w", mapped(ctx, err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func isBusy(err error) bool {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return false
	}
	primary := failure.Code() & 0xff
	return primary == lib.SQLITE_BUSY || primary == lib.SQLITE_LOCKED
}

// mapped puts the driver's errors into the words of package store. An interrupted statement means that ctx ended.
func mapped(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	case isBusy(err):
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}
