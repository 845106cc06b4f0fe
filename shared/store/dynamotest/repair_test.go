package dynamotest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/store/enginetest"
)

// When this fails, dynoxide has been mended, and the repair can go.
func TestTheRepairOfDynoxideIsNeeded(t *testing.T) {
	t.Parallel()
	e := dynamotest.Dynoxide
	names := e.Tables(t)
	repaired := dynamostore.New(e.Client(t), names)
	bare := dynamostore.New(e.Client(t, func(o *dynamodb.Options) { o.HTTPClient = enginetest.Client() }), names)
	for _, sort := range []string{"a", "ab", "a\x00b", "b"} {
		op := store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: "p", Sort: sort}, Set: store.Attrs{"x": "y"}}
		if err := repaired.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	q := store.Query{Table: store.Records, Partition: "p", Prefix: "a\x00", Limit: 9}
	items, _, err := repaired.Query(t.Context(), q)
	if err != nil || len(items) != 1 || items[0].Key.Sort != "a\x00b" {
		t.Errorf("repaired: %d items, %v", len(items), err)
	}
	if items, _, err = bare.Query(t.Context(), q); err != nil || len(items) == 1 {
		t.Errorf("as it is: %d items, %v", len(items), err)
	}
}
