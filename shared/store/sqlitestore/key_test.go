package sqlitestore_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"connectorvault/shared/store/sqlitestore"
)

const keyLine = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n" // masterKey as its file holds it

func TestMasterKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "master.key")
	var first []byte
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			key, err := sqlitestore.LoadOrCreateMasterKey(path, rand.Reader)
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = key
			}
			if err != nil || len(key) != sqlitestore.KeySize || !bytes.Equal(key, first) {
				t.Errorf("a key of %d bytes, equal %t, %v", len(key), bytes.Equal(key, first), err)
			}
		})
	}
	running.Wait()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v", left, err)
	}

	if err := os.WriteFile(path, []byte(keyLine), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := sqlitestore.LoadOrCreateMasterKey(path, nil); err != nil || !bytes.Equal(key, masterKey) {
		t.Errorf("reading a key: equal %t, %v", bytes.Equal(key, masterKey), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = sqlitestore.LoadOrCreateMasterKey(path, rand.Reader)
	wantLine(t, err, path, "can be read by others")
}

func TestBadMasterKeyFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	for _, content := range []string{"", "not base64 canary", keyLine + keyLine, "AAAA\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sqlitestore.LoadOrCreateMasterKey(path, rand.Reader)
		wantLine(t, err, path, "does not hold a master key")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the error quotes the file: %v", err)
		}
	}
	other := filepath.Join(t.TempDir(), "master.key")
	if _, err := sqlitestore.LoadOrCreateMasterKey(other, iotest.ErrReader(errors.New("no randomness"))); err == nil {
		t.Error("a key was made without randomness")
	}
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made without randomness: %v", err)
	}
}

// A store whose key was lost is not given a new one, which would only hide the loss.
func TestLostKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	cfg := sqlitestore.FolderConfig{Path: t.TempDir(), Random: rand.Reader}
	s, q, err := sqlitestore.OpenFolder(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	keyPath := filepath.Join(cfg.Path, sqlitestore.KeyFile)
	if err := os.Rename(keyPath, keyPath+".away"); err != nil {
		t.Fatal(err)
	}
	_, _, err = sqlitestore.OpenFolder(t.Context(), cfg)
	wantLine(t, err, keyPath, "missing")
	if _, err := os.Stat(keyPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
	if err := os.Rename(keyPath+".away", keyPath); err != nil {
		t.Fatal(err)
	}
	s, q, err = sqlitestore.OpenFolder(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
}
