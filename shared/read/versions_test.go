package read_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/seal"
)

// A cursor that a newer version made is good: its holder is told to come again, and not to begin again.
func TestACursorOfANewerVersion(t *testing.T) {
	b := newBench(t)
	binding := seal.Binding{Purpose: "cursor", Tenant: b.entry.Tenant, Record: b.connector.ID, Provider: b.entry.Provider}
	for number, code := range map[int]string{1: "invalid_cursor", 2: "newer_version"} {
		sealed, err := b.Vault.Sealer.Seal(b.Context(), binding, fmt.Appendf(nil, `{"o":"nothing","schema":%d}`, number))
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Read.Read(b.Context(), b.Owner, b.query("orders", cursor(base64.RawURLEncoding.EncodeToString(sealed))))
		if fault.CodeOf(err) != code {
			t.Errorf("a cursor of form %d: %v; want %s", number, err, code)
		}
		sealed[0] = 2
		_, err = b.Read.Read(b.Context(), b.Owner, b.query("orders", cursor(base64.RawURLEncoding.EncodeToString(sealed))))
		if fault.CodeOf(err) != "invalid_cursor" { // nobody vouches for that byte
			t.Errorf("a cursor whose envelope was changed to a newer one: %v", err)
		}
	}
}
