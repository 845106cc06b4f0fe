package trail_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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

const neighbour = "t_0000000000000002"

// house is a folder with two tenants, each with one key, and what was printed of it when it was whole.
type house struct {
	*testing.T
	*vault.Vault
	dir, earlier string
	items        *sqlitestore.Store
}

func newHouse(t *testing.T) house {
	t.Helper()
	dir, _, items := folder(t)
	ring := keyring.New(keyring.Config{Secrets: items, Now: time.Now, Random: rand.Reader})
	h := house{t, vault.New(vault.Config{Items: items, Sealer: ring, Now: time.Now, Random: rand.Reader}), dir, filepath.Join(t.TempDir(), "earlier.json"), items}
	h.ok(errors.Join(ring.Create(t.Context(), neighbour), h.CreateTenant(t.Context(), record.Tenant{ID: neighbour, Name: "other"})))
	_, _, err := h.CreateKey(t.Context(), record.APIKey{Tenant: neighbour, Role: record.Owner, Label: "first"})
	h.ok(err)
	_, text, err := verify(t, dir, "")
	h.ok(err)
	h.write(text)
	return h
}

func (h house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h house) write(text string) {
	h.Helper()
	h.ok(os.WriteFile(h.earlier, []byte(text), 0o600))
}

// behind changes the store's file behind everybody's back.
func (h house) behind(statement string) {
	h.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, sqlitestore.StoreFile))
	h.ok(err)
	defer func() { _ = db.Close() }()
	done, err := db.ExecContext(h.Context(), statement)
	h.ok(err)
	if n, _ := done.RowsAffected(); n == 0 {
		h.Fatalf("%s changed nothing", statement)
	}
}

func (h house) destroy(tenant string) {
	h.Helper()
	h.ok(h.items.DeleteSecret(h.Context(), keyring.Name(tenant)))
}

// finds verifies, alone or against what was printed earlier, and compares the faults of each tenant.
func (h house) finds(against string, want map[string]string) {
	h.Helper()
	got, text, err := verify(h.T, h.dir, against)
	found := map[string]string{}
	bad := false
	for tenant, report := range got {
		var faults []string
		for _, f := range report.Findings {
			faults, bad = append(faults, string(f.Subject.Kind)+" "+string(f.Fault)), true
		}
		found[tenant] = strings.Join(faults, ", ")
	}
	if fmt.Sprint(found) != fmt.Sprint(want) || bad != errors.Is(err, trail.ErrFindings) || !bad && err != nil {
		h.Errorf("found was %v, want %v: %s %v", found, want, text, err)
	}
}

func TestATenantWithoutAKeyringIsAFinding(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.destroy(tenant)
	want := map[string]string{tenant: "tenant no_keyring", neighbour: ""}
	h.finds("", want)
	h.finds(h.earlier, want)

	// The list keeps a tenant from being hidden, and the earlier verification one that the list does not have.
	h.behind("delete from items where partition = '" + tenant + "'")
	h.finds("", want)
	h.finds(h.earlier, want)
	h.behind("delete from items where sort = 'tenant#" + tenant + "'")
	h.finds("", map[string]string{neighbour: ""})
	h.finds(h.earlier, want)
}

func TestADeletedTenantIsAccountedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before, err := h.Tenant(t.Context(), tenant)
	h.ok(err)
	after := before
	after.ClosedAt = time.Now().UTC()
	after, err = h.UpdateTenant(t.Context(), before, after)
	h.ok(err)
	h.finds(h.earlier, map[string]string{tenant: "", neighbour: ""}) // closed, and its keyring is there still

	// A record that says so is not enough as long as the keyring is there.
	h.behind("delete from items where partition = '" + tenant + "' and sort like '%key#%'")
	h.finds(h.earlier, map[string]string{tenant: "key rewound, key stray", neighbour: ""})
	h.destroy(tenant)
	h.finds(h.earlier, map[string]string{neighbour: ""})
	deleted := after
	deleted.DeletedAt, deleted.Name = time.Now().UTC(), ""
	_, err = h.UpdateTenant(t.Context(), after, deleted)
	h.ok(err)
	h.finds(h.earlier, map[string]string{neighbour: ""})
	h.finds("", map[string]string{neighbour: ""})
}

func TestWhatCannotBeReadIsAFinding(t *testing.T) {
	t.Parallel()
	const all = "update items set attrs = x'00ff' where "
	for _, c := range []struct{ name, where, want string }{
		{"an event", "sort like 'chain#key#%'", "key unreadable, key stray"},
		{"a record", "sort like 'key#%'", "key unreadable"},
		{"an event in the order of time", "sort like 'audit#%' and cast(attrs as text) like '%key.created%'", "key unlisted, tenant unreadable"},
		{"the tenant's record", "sort = 'tenant'", "tenant unreadable"},
		{"all of it", "true", "key unreadable, tenant unreadable, tenant unreadable, tenant unreadable"},
	} {
		h := newHouse(t)
		h.behind(all + "partition = '" + tenant + "' and " + c.where)
		got, text, err := verify(t, h.dir, "")
		var faults []string
		for _, f := range got[tenant].Findings {
			faults = append(faults, string(f.Subject.Kind)+" "+string(f.Fault))
		}
		if !errors.Is(err, trail.ErrFindings) || strings.Join(faults, ", ") != c.want || len(got[neighbour].Findings) > 0 || got[neighbour].Events != 2 {
			t.Errorf("%s: %v %v %s", c.name, faults, err, text)
		}
	}
	// What follows on an event that cannot be read is not found to be changed by that.
	h := newHouse(t)
	keys, err := h.Keys(t.Context(), tenant, "", 1)
	h.ok(err)
	h.ok(h.RevokeKey(t.Context(), tenant, keys.Items[0].ID))
	h.behind(all + "partition = '" + tenant + "' and sort like 'chain#key#%#000000000001'")
	h.finds("", map[string]string{tenant: "key unreadable, key stray", neighbour: ""})

	h = newHouse(t)
	h.behind(all + "true") // the list of tenants too
	h.behind("delete from secrets where name like '" + neighbour + "%'")
	got, text, err := verify(t, h.dir, h.earlier)
	if !errors.Is(err, trail.ErrFindings) || len(got) != 2 || got[neighbour].Findings[0].Fault != vault.NoKeyring || got[tenant].Findings[0].Fault != vault.Illegible {
		t.Errorf("it came to %s %v", text, err)
	}
}

// A keyring that does not open is trouble with one tenant, and the others are verified.
func TestOneTenantsTroubleIsNotTheOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.behind("update secrets set value = x'00ff' where name like '" + tenant + "%'")
	got, text, err := verify(t, h.dir, h.earlier)
	if err == nil || !strings.Contains(err.Error(), "the tenant "+tenant+" could not be verified") || len(got) != 1 || got[neighbour].Events != 2 {
		t.Errorf("it came to %s %v", text, err)
	}
}

func TestWhatIsHeldAgainstIsWhatWasPrinted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	whole, err := os.ReadFile(h.earlier)
	h.ok(err)
	h.finds(h.earlier, map[string]string{tenant: "", neighbour: ""})
	replace := func(old, with string) string {
		if !bytes.Contains(whole, []byte(old)) {
			t.Errorf("nothing printed is %s", old)
		}
		return strings.Replace(string(whole), old, with, 1)
	}
	for name, text := range map[string]string{
		"empty":               "",
		"null":                "null",
		"no tenant":           "{}",
		"no head":             `{"` + tenant + `": {"chains": 0, "events": 0, "findings": [], "heads": []}}`,
		"a list":              "[]",
		"half":                string(whole[:len(whole)/2]),
		"twice":               string(whole) + string(whole),
		"another member":      replace(`"chains"`, `"also": 1, "chains"`),
		"an answer, wrapped":  `{"heads": ` + string(whole) + `}`,
		"no id of a tenant":   replace(tenant, "tenant"),
		"no number":           replace(`"number": 1`, `"number": 0`),
		"no kind of ours":     replace(`"kind": "key"`, `"kind": "kee"`),
		"a code that is cut":  replace(`"mac": "`, `"mac": "AAAA`),
		"fewer heads than it": replace(`"chains": 2`, `"chains": 3`),
	} {
		h.write(text)
		got, _, err := verify(t, h.dir, h.earlier)
		if err == nil || errors.Is(err, trail.ErrFindings) || got != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}
