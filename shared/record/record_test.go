package record_test

import (
	"encoding/json"
	"testing"

	"connectorvault/shared/record"
)

func TestASecretFieldIsSetInWhateverGroupItLies(t *testing.T) {
	t.Parallel()
	groups := record.SecretGroups{record.ClientSecrets: {Version: "v_1", Fields: []string{"a", "b"}}, record.ReadSecrets: {Version: "v_2", Fields: []string{"c"}}}
	entry := record.Entry{Secrets: groups}
	for field, want := range map[string]bool{"a": true, "b": true, "c": true, "": false, "d": false, "A": false, "v_1": false} {
		if groups.Has(field) != want || entry.HasSecret(field) != want {
			t.Errorf("%q is set: %t, %t", field, groups.Has(field), entry.HasSecret(field))
		}
	}
	if record.SecretGroups(nil).Has("a") || (&record.Entry{}).HasSecret("a") {
		t.Error("nothing has a secret")
	}
}

// Records that were stored before there were secrets and flags are read as having none, and are stored as they were.
func TestAnEntryWithoutSecretsIsStoredAsItAlwaysWas(t *testing.T) {
	t.Parallel()
	var entry record.Entry
	if err := json.Unmarshal([]byte(`{"id":"ve_1","settings":{"region":"eu"}}`), &entry); err != nil || entry.HasSecret("a") || len(entry.Flags) != 0 {
		t.Fatalf("it is read as %+v, %v", entry, err)
	}
	body, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"secrets", "flags"} {
		if _, has := members[name]; has {
			t.Errorf("%s is stored: %s", name, body)
		}
	}
}
