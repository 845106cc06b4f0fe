package bundle_test

import (
	"log/slog"
	"testing"

	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
)

// An entry's dates are what its provider says: the end of an application that it does not use is none of them.
func TestDatesAreTheProvidersToSay(t *testing.T) {
	t.Parallel()
	b := bundle.New(bundle.Parts{Catalog: catalog.New(catalog.Options{}), Logger: slog.New(slog.DiscardHandler)})
	for name, want := range map[string]bool{"amazon": true, "sage": false, "nobody": true} {
		usesApp, announced := b.Vault.Dates(record.Entry{Provider: name})
		if usesApp != want || len(announced) > 0 {
			t.Errorf("%s: uses the application: %t, announced: %v", name, usesApp, announced)
		}
	}
	legacy := record.Entry{Provider: "sage", Settings: map[string]string{"profile": "legacy_v3", "use_provider_app": "true"}}
	if _, announced := b.Vault.Dates(legacy); len(announced) != 1 || announced[0].Name != record.RetirementEnd {
		t.Errorf("announced for an old API: %v", announced)
	}
}
