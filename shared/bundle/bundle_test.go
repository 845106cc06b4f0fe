package bundle_test

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"connectorvault/shared/bundle"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/store/sqlitestore"
)

func TestOneSetOfPartsMakesEveryUseCase(t *testing.T) {
	t.Parallel()
	engine, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "vault.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	b := bundle.New(bundle.Parts{Items: engine, Due: engine, Secrets: engine, Catalog: catalog.New(catalog.Options{}), Now: time.Now, Random: rand.Reader,
		Logger: slog.New(slog.DiscardHandler), PublicURL: "https://vault.example"})
	if b.HTTP == nil {
		t.Error("there is no client for providers")
	}
	admin, authorize, read, refresh := b.Admin(), b.Authorize(), b.Read(), b.Refresh()
	if admin.Vault != b.Vault || authorize.Vault != b.Vault || read.Vault != b.Vault || refresh.Vault != b.Vault || authorize.PublicURL != "https://vault.example" {
		t.Error("the use cases stand on different vaults")
	}
	var names []string
	for _, adapter := range admin.Providers() {
		names = append(names, adapter.Descriptor().Name)
	}
	if len(names) != len(b.Catalog.Names()) || names[0] != b.Catalog.Names()[0] {
		t.Errorf("the providers are %v", names)
	}
	// What is sealed through one of them opens through the vault.
	tenant := ident.Tenant + "0000000000000001"
	if err := b.Keyring.Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	key, text, err := b.Vault.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner})
	if err != nil {
		t.Fatal(err)
	}
	if p, ok, err := b.Vault.Authenticate(t.Context(), text); err != nil || !ok || p.ID != key.ID {
		t.Errorf("the key is %+v %t %v", p, ok, err)
	}
}
