package sqlitestore_test

import (
	"testing"

	"connectorvault/shared/vault/vaulttest"
)

func TestVault(t *testing.T) {
	t.Parallel()
	vaulttest.Run(t, func(t *testing.T) vaulttest.Engine { return open(t) })
}
