package trail_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/local/trail"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

const tenant = "t_0000000000000001"

// folder is a data folder with a tenant and a key, and a way to write to its table behind the vault's back.
func folder(t *testing.T) (dir string, key record.APIKey, items *sqlitestore.Store) {
	t.Helper()
	dir = t.TempDir()
	items, queue, err := sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: dir, Now: time.Now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = items.Close(); _ = queue.Close() })
	ring := keyring.New(keyring.Config{Secrets: items, Now: time.Now, Random: rand.Reader})
	v := vault.New(vault.Config{Items: items, Sealer: ring, Now: time.Now, Random: rand.Reader})
	if err := errors.Join(ring.Create(t.Context(), tenant), v.CreateTenant(t.Context(), record.Tenant{ID: tenant, Name: "shop"})); err != nil {
		t.Fatal(err)
	}
	if key, _, err = v.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner, Label: "first"}); err != nil {
		t.Fatal(err)
	}
	return dir, key, items
}

func verify(t *testing.T, dir, against string) (map[string]vault.AuditReport, string, error) {
	t.Helper()
	var out bytes.Buffer
	err := trail.Verify(t.Context(), dir, against, &out)
	var got map[string]vault.AuditReport
	if jsonErr := json.Unmarshal(out.Bytes(), &got); jsonErr != nil && out.Len() > 0 {
		t.Fatal(jsonErr)
	}
	return got, out.String(), err
}

func TestATrailIsVerified(t *testing.T) {
	t.Parallel()
	dir, key, items := folder(t)
	got, text, err := verify(t, dir, "") // beside whoever has the folder open
	if err != nil || got[tenant].Chains != 2 || got[tenant].Events != 2 || len(got[tenant].Findings) != 0 {
		t.Fatalf("it came to %s %v", text, err)
	}
	earlier := filepath.Join(t.TempDir(), "earlier.json")
	if err := os.WriteFile(earlier, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, text, err := verify(t, dir, earlier); err != nil {
		t.Errorf("against itself it came to %s %v", text, err)
	}
	for _, sort := range []string{"key#" + key.ID, "chain#key#" + key.ID + "#000000000001"} {
		if err := items.Apply(t.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: tenant, Sort: sort}}); err != nil {
			t.Fatal(err)
		}
	}
	got, text, err = verify(t, dir, "")
	if !errors.Is(err, trail.ErrFindings) || len(got[tenant].Findings) != 1 || got[tenant].Findings[0].Fault != vault.Stray {
		t.Errorf("it came to %s %v", text, err)
	}
	got, text, err = verify(t, dir, earlier)
	if !errors.Is(err, trail.ErrFindings) || len(got[tenant].Findings) != 2 || got[tenant].Findings[0].Fault != vault.Rewound || got[tenant].Findings[0].Subject.ID != key.ID {
		t.Errorf("against the earlier one it came to %s %v", text, err)
	}
}

func TestWhatCannotBeVerifiedIsSaid(t *testing.T) {
	t.Parallel()
	dir, _, _ := folder(t)
	if _, _, err := verify(t, t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "no vault") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, _, err := verify(t, dir, filepath.Join(dir, "none.json")); err == nil {
		t.Error("a file that is not there was read")
	}
	if _, _, err := verify(t, dir, filepath.Join(dir, sqlitestore.KeyFile)); err == nil {
		t.Error("a file that is something else was read")
	}
}
