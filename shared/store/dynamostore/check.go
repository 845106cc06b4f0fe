package dynamostore

import (
	"fmt"

	"connectorvault/shared/store"
)

// check refuses what no engine takes. What an Update leaves of an item is for DynamoDB to measure; what it sets is known
// here, and need not be sent to be refused.
func check(ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	for i, op := range ops {
		if err := store.CheckItem(op.Table, op.Key, op.Set); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
	}
	return nil
}
