package seal_test

import (
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
)

// What a newer version sealed was not tampered with, and a keyring that it wrote is no broken one.
func TestWhatANewerVersionSealed(t *testing.T) {
	t.Parallel()
	for first, newer := range map[byte]bool{0: false, 1: false, 2: true, 255: true} {
		if _, err := (seal.Keyring{}).Open(seal.Binding{}, []byte{first, 1, 'k'}); err == nil || fault.IsNewer(err) != newer {
			t.Errorf("an envelope that begins with %d: %v", first, err)
		}
	}
	for text, newer := range map[string]bool{`{"schema":2,"keys":[]}`: true, `{"schema":1}`: false, `{}`: false, `[]`: false, `x`: false} {
		if _, err := seal.Decode(secret.New(text)); err == nil || fault.IsNewer(err) != newer {
			t.Errorf("a keyring %s: %v", text, err)
		}
	}
}
