package sqlitestore_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/store/storetest"
)

// masterKey is the key of every store that tests make.
var masterKey = bytes.Repeat([]byte{7}, sqlitestore.KeySize)

func open(t testing.TB) *sqlitestore.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "vault.db"))
}

func openAt(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path, MasterKey: masterKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestItems(t *testing.T) {
	t.Parallel()
	storetest.RunItems(t, func(t *testing.T) store.Items { return open(t) })
}

func TestDueIndex(t *testing.T) {
	t.Parallel()
	storetest.RunDueIndex(t, func(t *testing.T) interface {
		store.Items
		store.DueIndex
	} {
		return open(t)
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	storetest.RunSecrets(t, func(t *testing.T) store.Secrets { return open(t) }, storetest.SecretsOptions{})
}
