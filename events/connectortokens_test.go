package events_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"testing"
	"time"

	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
)

const (
	tokenID = "ct_1000000000000001"
	handed  = "ve_1000000000000021" // made with the connector token, never authorized

	secretOfToken = "EXAMPLE-connector-token-no-real-secret-AAAA"
)

// seedConnectorToken makes the samples' connector token, whose id and secret are drawn from a source that holds just those,
// and an entry that one of its three uses went into.
func seedConnectorToken(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	secretBits, err := base64.RawURLEncoding.DecodeString(secretOfToken)
	if err != nil {
		t.Fatal(err)
	}
	id := []byte{0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x01} // 1000000000000001 in base 32
	drawing := *b.Vault
	drawing.Random = io.MultiReader(bytes.NewReader(append(id, secretBits...)), rand.Reader)
	token, _, err := drawing.CreateConnectorToken(t.Context(), record.ConnectorToken{Tenant: tenant, Label: "For the Smiths", Providers: []string{amazon.Name},
		Environment: "production", Uses: 3, CreatedBy: keyID, CreatorRole: record.Owner, Expires: noon.AddDate(0, 0, 3)}, nil)
	if err != nil || token.ID != tokenID {
		t.Fatalf("the token is %s: %v", token.ID, err)
	}
	_, err = b.Vault.CreateEntry(t.Context(), record.Entry{Tenant: tenant, ID: handed, Provider: amazon.Name, Alias: "handed", Environment: "production",
		APIEnvironment: record.Production, Settings: map[string]string{"marketplace": "US", "region": "na", "account_type": "seller"},
		ConnectorToken: tokenID, CreatedBy: tokenID, CreatedAt: noon, UpdatedAt: noon.Add(time.Second), Revision: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func hasUses(t *testing.T, w *world, want int64) {
	t.Helper()
	token, err := w.vault.ConnectorToken(t.Context(), tenant, tokenID)
	if err != nil || token.UsesLeft != want {
		t.Errorf("%d uses are left: %v", token.UsesLeft, err)
	}
}
