// Package sqlitestore keeps the vault's items, due index, secrets and queues in SQLite files on one machine.
//
// The argument: the vault must run whole on one machine with one command and lose nothing to a crash, and an emulator
// of DynamoDB would be a second database to trust. SQLite gives the promises of [store.Items] directly: a transaction
// begun with BEGIN IMMEDIATE is alone among writers, in this process and in every other on the same file, so loading
// an item, judging its condition and writing it is one step; WAL lets reads go on meanwhile and see every answered
// write; synchronous=FULL puts a write on the disk before it is answered. The driver is pure Go, so nothing is linked.
//
// What DynamoDB would refuse (empty keys, items over 400 KB, strings that are not UTF-8) is refused here too, lest a
// program that works on one machine fail in the cloud.
package sqlitestore

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/store"
)

// Config says where the store lies.
type Config struct {
	Path      string           // the file, made when it is missing, with its folder. Beside it lie -wal and -shm. Required
	Now       func() time.Time // the clock that Purge goes by; nil: time.Now
	MasterKey []byte           // 32 bytes that seal the values of secrets; nil: items only, the methods of [store.Secrets] refuse
}

// Store keeps items and secrets in one file. It is safe for concurrent use, also by several processes.
type Store struct {
	file *file
	now  func() time.Time
	aead cipher.AEAD // nil without a master key
	stmt statements
}

var (
	_ store.Items    = (*Store)(nil)
	_ store.DueIndex = (*Store)(nil)
	_ store.Secrets  = (*Store)(nil)
)

// statements are prepared once; those on the reading side never write.
type statements struct {
	get, query, due            *sql.Stmt // reading side
	secretGet, secretList      *sql.Stmt
	load, save, remove         *sql.Stmt // writing side
	secretPut, secretCreate    *sql.Stmt
	secretDelete, purgeExpired *sql.Stmt
}

// Open opens the store, makes it when the file is missing, and brings an older one up to date. It returns a
// [*NewerError] for a file that a later release wrote and [ErrWrongKey] when MasterKey is not the one the file was made with.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if cfg.MasterKey != nil {
		var err error
		if s.aead, err = newAEAD(cfg.MasterKey); err != nil {
			return nil, fmt.Errorf("opening the store: %w", err)
		}
	}
	f, err := openFile(ctx, cfg.Path, storeKind())
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s.file = f
	if err = s.prepare(ctx); err == nil {
		err = s.checkKey(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), f.close())
	}
	return s, nil
}

// Close waits for running calls and closes the file.
func (s *Store) Close() error {
	if err := s.file.close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

func (s *Store) prepare(ctx context.Context) error {
	read, write := s.file.read, s.file.write
	return prepareAll(ctx, []preparation{
		{read, &s.stmt.get, `SELECT attrs FROM items WHERE tbl = ? AND partition = ? AND sort = ?`},
		{read, &s.stmt.query, `SELECT sort, attrs FROM items
			WHERE tbl = ? AND partition = ? AND sort >= ? AND sort < ? ORDER BY sort LIMIT ?`},
		{read, &s.stmt.due, `SELECT due_at, partition, sort FROM items
			WHERE due_shard = ? AND due_at <= ? AND (due_at, partition, sort) > (?, ?, ?)
			ORDER BY due_at, partition, sort LIMIT ?`},
		{read, &s.stmt.secretGet, `SELECT value FROM secrets WHERE name = ?`},
		{read, &s.stmt.secretList, `SELECT name FROM secrets WHERE name >= ? AND name < ? ORDER BY name LIMIT ?`},
		{write, &s.stmt.load, `SELECT attrs FROM items WHERE tbl = ? AND partition = ? AND sort = ?`},
		{write, &s.stmt.save, `INSERT INTO items (tbl, partition, sort, attrs, due_shard, due_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tbl, partition, sort) DO UPDATE SET attrs = excluded.attrs,
			due_shard = excluded.due_shard, due_at = excluded.due_at, expires_at = excluded.expires_at`},
		{write, &s.stmt.remove, `DELETE FROM items WHERE tbl = ? AND partition = ? AND sort = ?`},
		{write, &s.stmt.secretPut, `INSERT INTO secrets (name, value) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`},
		{write, &s.stmt.secretCreate, `INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`},
		{write, &s.stmt.secretDelete, `DELETE FROM secrets WHERE name = ?`},
		{write, &s.stmt.purgeExpired, `DELETE FROM items WHERE (tbl, partition, sort) IN
			(SELECT tbl, partition, sort FROM items WHERE expires_at <= ? LIMIT ?)`},
	})
}

// purgeBatch bounds how long one step of Purge keeps other writers waiting.
const purgeBatch = 500

// Purge removes the items of Requests and Transient whose time is over and says how many they were. Until it runs, such
// items are still read, as they are on DynamoDB.
func (s *Store) Purge(ctx context.Context) (removed int, err error) {
	now := s.now().Unix()
	for {
		result, err := s.stmt.purgeExpired.ExecContext(ctx, now, purgeBatch)
		if err != nil {
			return removed, fmt.Errorf("purging: %w", mapped(ctx, err))
		}
		n, err := result.RowsAffected()
		if err != nil {
			return removed, fmt.Errorf("counting what was purged: %w", err)
		}
		removed += int(n)
		if n < purgeBatch {
			return removed, nil
		}
	}
}
