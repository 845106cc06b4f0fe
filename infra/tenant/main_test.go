package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/bundle"
	"connectorvault/shared/keyring"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store/sqlitestore"
)

// vaultOf opens a vault on an empty folder.
func vaultOf(t *testing.T) *bundle.Bundle {
	t.Helper()
	now := func() time.Time { return time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC) }
	items, queue, err := sqlitestore.OpenFolder(t.Context(), sqlitestore.FolderConfig{Path: t.TempDir(), Now: now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(items.Close(), queue.Close()); err != nil {
			t.Error(err)
		}
	})
	return bundle.New(bundle.Parts{Items: items, Due: items, Secrets: items, Catalog: catalog.New(catalog.Options{}), Now: now,
		Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
}

// do runs one command line and returns what it wrote.
func do(t *testing.T, b *bundle.Bundle, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, messages bytes.Buffer
	err = run(t.Context(), func() (*bundle.Bundle, error) { return b, nil }, args, &out, &messages)
	return out.String(), messages.String(), err
}

func principal(t *testing.T, b *bundle.Bundle, key string) (record.Principal, bool) {
	t.Helper()
	p, ok, err := b.Vault.Authenticate(t.Context(), secret.New(strings.TrimSuffix(key, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return p, ok
}

var tenantID = regexp.MustCompile(`t_[0-9a-z]{16}`)

func TestTheFirstKeyWorksAndIsShownOnce(t *testing.T) {
	t.Parallel()
	b := vaultOf(t)
	key, messages, err := do(t, b, "create", "Example Trading")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := principal(t, b, key)
	if !ok || p.Role != record.Owner || p.PersonalData || p.Tenant != tenantID.FindString(messages) {
		t.Errorf("the key stands for %+v, %t; the messages say %s", p, ok, messages)
	}
	if strings.Contains(messages, strings.TrimSpace(key)) {
		t.Error("the key stands in the messages too")
	}
	tenant, err := b.Vault.Tenant(t.Context(), p.Tenant)
	if err != nil || tenant.Name != "Example Trading" {
		t.Errorf("the tenant is %+v: %v", tenant, err)
	}
	if _, err := b.Keyring.Seal(t.Context(), seal.Binding{Purpose: "test", Tenant: p.Tenant, Record: "r"}, []byte("x")); err != nil {
		t.Errorf("the tenant cannot seal: %v", err)
	}
}

func TestKeysAreMadeAndEnded(t *testing.T) {
	t.Parallel()
	b := vaultOf(t)
	first, _, err := do(t, b, "create", "Example Trading")
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := principal(t, b, first)
	second, _, err := do(t, b, "--personal-data", "key", owner.Tenant, "warehouse")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := principal(t, b, second)
	if !ok || !p.PersonalData || p.Tenant != owner.Tenant || p.ID == owner.ID {
		t.Errorf("the second key stands for %+v, %t", p, ok)
	}
	if _, _, err := do(t, b, "revoke", owner.Tenant, p.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := principal(t, b, second); ok {
		t.Error("a key that was ended works")
	}
	if _, ok := principal(t, b, first); !ok {
		t.Error("another key ended with it")
	}
}

func TestRotationAddsAKey(t *testing.T) {
	t.Parallel()
	b := vaultOf(t)
	first, _, err := do(t, b, "create", "Example Trading")
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := principal(t, b, first)
	if _, _, err := do(t, b, "rotate", owner.Tenant); err != nil {
		t.Fatal(err)
	}
	text, err := b.Secrets.GetSecret(t.Context(), keyring.Name(owner.Tenant))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Decode(text)
	if err != nil || len(ring) != 2 {
		t.Errorf("the ring has %d keys: %v", len(ring), err)
	}
}

func TestMistakesChangeNothing(t *testing.T) {
	t.Parallel()
	b := vaultOf(t)
	for _, args := range [][]string{nil, {"destroy"}, {"create"}, {"create", "a", "b"}, {"key", "t_0000000000000009", "x"},
		{"rotate", "t_0000000000000009"}, {"revoke", "t_0000000000000009", "key_0000000000000009"}} {
		out, _, err := do(t, b, args...)
		if err == nil || out != "" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	unopened := errors.New("no environment")
	err := run(context.Background(), func() (*bundle.Bundle, error) { return nil, unopened }, []string{"create", "x"}, &bytes.Buffer{}, &bytes.Buffer{})
	if !errors.Is(err, unopened) {
		t.Errorf("a vault that cannot be opened is %v", err)
	}
}
