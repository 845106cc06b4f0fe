package dynamostore

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/store"
)

// The names that the driver keeps for itself; no attribute may have one.
const (
	attrPartition = "pk"
	attrSort      = "sk"

	// attrMark makes an Update that only removes attributes create its item, as the promise says: DynamoDB makes an
	// item for an Update that sets something or does nothing at all, but not for one that only removes.
	attrMark = "_"
)

type values = map[string]types.AttributeValue

func encodeKey(k store.Key) values {
	return values{
		attrPartition: &types.AttributeValueMemberS{Value: k.Partition},
		attrSort:      &types.AttributeValueMemberS{Value: k.Sort},
	}
}

func encodeItem(k store.Key, attrs store.Attrs) values {
	item := make(values, len(attrs)+2)
	for name, v := range attrs {
		item[name] = encode(v)
	}
	item[attrPartition] = &types.AttributeValueMemberS{Value: k.Partition}
	item[attrSort] = &types.AttributeValueMemberS{Value: k.Sort}
	return item
}

// encode takes a value that [store.Attrs.Check] let pass.
func encode(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case int64:
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case []byte:
		if v == nil {
			v = []byte{} // a nil slice would travel as null
		}
		return &types.AttributeValueMemberB{Value: v}
	default:
		panic(fmt.Sprintf("dynamostore: a %T was not checked", v))
	}
}

func decodeItem(item values) (store.Item, error) {
	attrs, err := decodeAttrs(item)
	if err != nil {
		return store.Item{}, &store.Unreadable{Key: decodeKey(item), Why: err}
	}
	return store.Item{Key: decodeKey(item), Attrs: attrs}, nil
}

func decodeKey(item values) store.Key {
	var k store.Key
	if v, ok := item[attrPartition].(*types.AttributeValueMemberS); ok {
		k.Partition = v.Value
	}
	if v, ok := item[attrSort].(*types.AttributeValueMemberS); ok {
		k.Sort = v.Value
	}
	return k
}

func decodeAttrs(item values) (store.Attrs, error) {
	attrs := make(store.Attrs, len(item))
	for name, v := range item {
		if name == attrPartition || name == attrSort || name == attrMark {
			continue
		}
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			attrs[name] = v.Value
		case *types.AttributeValueMemberN:
			n, err := strconv.ParseInt(v.Value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: not a whole number of 64 bits", name)
			}
			attrs[name] = n
		case *types.AttributeValueMemberBOOL:
			attrs[name] = v.Value
		case *types.AttributeValueMemberB:
			attrs[name] = append([]byte{}, v.Value...)
		default:
			return nil, fmt.Errorf("attribute %s: type %T is not a store value", name, v)
		}
	}
	return attrs, nil
}
