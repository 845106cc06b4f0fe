package dynamostore_test

import (
	"testing"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/store/storetest"
)

func TestItems(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		storetest.RunItems(t, func(t *testing.T) store.Items { return e.Store(t) })
	})
}

func TestDueIndex(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		storetest.RunDueIndex(t, func(t *testing.T) interface {
			store.Items
			store.DueIndex
		} {
			return e.Store(t)
		})
	})
}
