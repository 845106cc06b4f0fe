package dynamostore_test

import (
	"testing"

	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/vault/vaulttest"
)

func TestVault(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		vaulttest.Run(t, func(t *testing.T) vaulttest.Engine { return e.Store(t) })
	})
}
