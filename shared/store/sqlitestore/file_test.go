package sqlitestore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
)

// meddle changes a file behind the store's back.
func meddle(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// made returns the path of a store with an item and a secret in it.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault.db")
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path, MasterKey: masterKey})
	if err != nil {
		t.Fatal(err)
	}
	key := store.Key{Partition: "t_1", Sort: "a"}
	if err := s.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"n": int64(1)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutSecret(t.Context(), "a", secret.New("value")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func reopen(ctx context.Context, path string, key []byte) error {
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: path, MasterKey: key})
	if err != nil {
		return err
	}
	return s.Close()
}

// wantLine holds an error to one line that names what a person needs to know.
func wantLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	if text := err.Error(); strings.Contains(text, "\n") || len(text) > 300 {
		t.Errorf("the error is no single line: %q", text)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

func TestReopenedStoreHasEverything(t *testing.T) {
	t.Parallel()
	path := made(t)
	s := openAt(t, path)
	item, err := s.Get(t.Context(), store.Records, store.Key{Partition: "t_1", Sort: "a"})
	if err != nil || item.Attrs.Int("n") != 1 {
		t.Errorf("the item is %v, %v", item, err)
	}
	value, err := s.GetSecret(t.Context(), "a")
	if err != nil || value.Reveal() != "value" {
		t.Errorf("the secret is gone or changed: %v", err)
	}
}

func TestWrongKeyIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	path := made(t)
	err := reopen(t.Context(), path, bytes.Repeat([]byte{8}, sqlitestore.KeySize))
	if !errors.Is(err, sqlitestore.ErrWrongKey) {
		t.Errorf("the answer is %v; want ErrWrongKey", err)
	}
	wantLine(t, err, "master key")
	wantLine(t, reopen(t.Context(), path, []byte("short")), "5 bytes instead of 32")
	if err := reopen(t.Context(), path, masterKey); err != nil {
		t.Errorf("the right key after wrong ones: %v", err)
	}
}

func TestWithoutKeySecretsAreRefused(t *testing.T) {
	t.Parallel()
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: made(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	_, getErr := s.GetSecret(t.Context(), "a")
	wantLine(t, getErr, "without a master key")
	wantLine(t, s.PutSecret(t.Context(), "a", secret.New("x")), "without a master key")
}

func TestSecretsAreBoundToTheirNames(t *testing.T) {
	t.Parallel()
	path := made(t)
	meddle(t, path, `INSERT INTO secrets SELECT 'b', value FROM secrets WHERE name = 'a'`)
	s := openAt(t, path)
	_, err := s.GetSecret(t.Context(), "b")
	wantLine(t, err, "does not open")
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, sqlitestore.ErrWrongKey) {
		t.Errorf("the answer is %v", err)
	}
	if _, err := s.GetSecret(t.Context(), "a"); err != nil {
		t.Errorf("the secret in its place: %v", err)
	}
}

// No byte of a secret lies in any file: not in the store, not in its log, not beside it.
func TestNoFileHoldsASecret(t *testing.T) {
	t.Parallel()
	const canary = "canary-5e11a9c4"
	folder := filepath.Join(t.TempDir(), "data")
	s, q, err := sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: folder, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "a"} {
		if err := s.PutSecret(t.Context(), name, secret.New(strings.Repeat(canary, 100))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteSecret(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	search := func() {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			seen[d.Name()] = true
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte(canary)) {
				t.Errorf("%s holds the secret", d.Name())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	search()
	if err := errors.Join(s.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	search()
	for _, name := range []string{"vault.db", "vault.db-wal", "queue.db", "master.key"} {
		if !seen[name] {
			t.Errorf("there was no file %s to search", name)
		}
	}
}

func TestEverythingIsClosedToOthers(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "deep", "data")
	s, q, err := sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: folder, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(s.Close(), q.Close()) }()
	if err := q.Send(t.Context(), "q", 0, sqlitestore.Outgoing{}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o; want %o", path, info.Mode().Perm(), want)
		}
		files++
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v: the folder, three files and four logs are expected", files, err)
	}
}

func TestAnOpenFileIsClosedToOthers(t *testing.T) {
	t.Parallel()
	path := made(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openAt(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}

func TestNewerFileIsRefusedUntouched(t *testing.T) {
	t.Parallel()
	path := made(t)
	meddle(t, path, `PRAGMA user_version = 99`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = reopen(t.Context(), path, masterKey)
	var newer *sqlitestore.NewerError
	if !errors.As(err, &newer) || newer.Found != 99 || newer.Known != 1 {
		t.Fatalf("the answer is %v; want a NewerError of 99 over 1", err)
	}
	wantLine(t, err, "newer release")
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, or %v", err)
	}

	folder := filepath.Dir(path)
	if err := os.WriteFile(filepath.Join(folder, sqlitestore.KeyFile), []byte(keyLine), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: folder, Random: rand.Reader})
	if !errors.As(err, &newer) {
		t.Errorf("opening its folder: %v", err)
	}
}

func TestNewerQueueIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q, err := sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	meddle(t, path, `PRAGMA user_version = 2`)
	_, err = sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: path})
	var newer *sqlitestore.NewerError
	if !errors.As(err, &newer) {
		t.Errorf("the answer is %v; want a NewerError", err)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(folder, "foreign.db")
	meddle(t, foreign, `CREATE TABLE things (x)`)
	queue := filepath.Join(folder, "queue.db")
	q, err := sqlitestore.OpenQueue(t.Context(), sqlitestore.QueueConfig{Path: queue})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	garbage := write("garbage.db", strings.Repeat("this is no database. ", 500))
	for path, says := range map[string]string{
		garbage: "not a database", foreign: "not a Connector Vault store", queue: "not a Connector Vault store",
		folder: "is not a file", filepath.Join(garbage, "below.db"): "not a directory",
	} {
		wantLine(t, reopen(t.Context(), path, masterKey), "opening the store", path, says)
	}
	wantLine(t, reopen(t.Context(), "", masterKey), "a path is required")
	content, err := os.ReadFile(garbage)
	if err != nil || !strings.HasPrefix(string(content), "this is no database") {
		t.Errorf("what was refused was changed too: %v", err)
	}
}

// A page of the file is overwritten: what lay there is an error, not a panic and not an absence.
func TestDamagedFileIsAnError(t *testing.T) {
	t.Parallel()
	path := made(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content); i++ {
		content[i] = 0xa5
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
	if err == nil {
		_, err = s.Get(t.Context(), store.Records, store.Key{Partition: "t_1", Sort: "a"})
		if closeErr := s.Close(); closeErr != nil {
			t.Error(closeErr)
		}
	}
	wantLine(t, err, "malformed")
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBusy) {
		t.Errorf("the answer is %v", err)
	}
}

func TestDamagedItemIsAnError(t *testing.T) {
	t.Parallel()
	for _, form := range []string{`'secret-looking text'`, `'null'`, `'{"a":1.5}'`, `'{"a":["@"]}'`, `'{"a":[]}'`, `'{"a":null}'`, `'{"a":99999999999999999999}'`} {
		path := made(t)
		meddle(t, path, `UPDATE items SET attrs = CAST(`+form+` AS BLOB)`)
		s := openAt(t, path)
		_, err := s.Get(t.Context(), store.Records, store.Key{Partition: "t_1", Sort: "a"})
		wantLine(t, err, "cannot be read")
		if strings.Contains(err.Error(), "secret-looking") {
			t.Errorf("the error quotes the item: %v", err)
		}
		if _, _, err := s.Query(t.Context(), store.Query{Table: store.Records, Partition: "t_1", Limit: 1}); err == nil {
			t.Errorf("a listing passes %s over", form)
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	put := func(table store.Table, sort string, attrs store.Attrs) {
		t.Helper()
		err := s.Apply(t.Context(), store.Op{Verb: store.Put, Table: table, Key: store.Key{Partition: "t_1", Sort: sort}, Set: attrs})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range store.Tables() {
		put(table, "over", store.Attrs{store.AttrExpires: now.Unix() - 1})
		put(table, "just over", store.Attrs{store.AttrExpires: now.Unix()})
		put(table, "alive", store.Attrs{store.AttrExpires: now.Unix() + 1})
		put(table, "forever", store.Attrs{})
		put(table, "odd", store.Attrs{store.AttrExpires: "0"})
	}
	purged := func(want int) {
		t.Helper()
		if n, err := s.Purge(t.Context()); err != nil || n != want {
			t.Errorf("purged %d, %v; want %d", n, err, want)
		}
	}
	left := func(table store.Table, want string) {
		t.Helper()
		items, _, err := s.Query(t.Context(), store.Query{Table: table, Partition: "t_1", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range items {
			names = append(names, item.Key.Sort)
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%s holds %s; want %s", table, got, want)
		}
	}
	purged(4)
	purged(0)
	left(store.Requests, "alive,forever,odd")
	left(store.Transient, "alive,forever,odd")
	left(store.Records, "alive,forever,just over,odd,over")
	left(store.Credentials, "alive,forever,just over,odd,over")
	now = now.Add(time.Second)
	purged(2)
	left(store.Requests, "forever,odd")
}

func TestBadCursorIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, cursor := range []string{"?", "e30x", "bm90IGpzb24"} {
		_, _, err := s.Due(t.Context(), "shard", 1, 10, cursor)
		wantLine(t, err, "the cursor is not one of ours")
	}
}
