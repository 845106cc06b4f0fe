package rights

import (
	"encoding/json"
	"fmt"
)

// dynamodb reads a call of DynamoDB. A transaction needs the rights of its parts, and none of its own.
func dynamodb(operation string, body []byte) ([]Call, error) {
	type part struct{ TableName string }
	var in struct {
		TableName, IndexName string
		RequestItems         map[string]json.RawMessage
		TransactItems        []struct{ Put, Update, Delete, ConditionCheck, Get *part }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	table := func(name string) string { return logical(name) + ".Arn" }
	switch operation {
	case "TransactWriteItems", "TransactGetItems":
		var out []Call
		for _, item := range in.TransactItems {
			for action, p := range map[string]*part{"PutItem": item.Put, "UpdateItem": item.Update, "DeleteItem": item.Delete,
				"ConditionCheckItem": item.ConditionCheck, "GetItem": item.Get} {
				if p != nil {
					out = append(out, Call{"dynamodb:" + action, table(p.TableName)})
				}
			}
		}
		if len(out) != len(in.TransactItems) || len(out) == 0 {
			return nil, fmt.Errorf("a transaction of %d parts has %d that are known", len(in.TransactItems), len(out))
		}
		return out, nil
	case "BatchGetItem", "BatchWriteItem":
		var out []Call
		for name := range in.RequestItems {
			out = append(out, Call{"dynamodb:" + operation, table(name)})
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("%s names no table", operation)
		}
		return out, nil
	}
	if in.TableName == "" {
		return nil, fmt.Errorf("%s names no table", operation)
	}
	resource := table(in.TableName)
	if in.IndexName != "" {
		resource += "/index/" + in.IndexName
	}
	return []Call{{"dynamodb:" + operation, resource}}, nil
}
