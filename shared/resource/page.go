package resource

import (
	"encoding/json"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
)

// Page takes an answer apart: the items, byte for byte as the provider sent them, and the next page's token, "" at
// the end. A list that is not there is empty. An answer that is not JSON is a *fault.Error.
func Page(op Operation, answer []byte) (items []json.RawMessage, next string, err error) {
	// encoding/json and not gjson: it refuses nesting that would run a recursive reader out of stack.
	if !json.Valid(answer) {
		return nil, "", fault.New(fault.Unavailable, "provider_unavailable", "The provider's answer is not JSON.").
			Do("Try again in a minute.")
	}
	if op.Paging.Next != "" {
		next = gjson.GetBytes(answer, op.Paging.Next).String()
	}
	if op.Items == "" {
		return []json.RawMessage{answer}, next, nil
	}
	found := gjson.GetBytes(answer, op.Items)
	switch {
	case !found.Exists() || found.Type == gjson.Null:
		return []json.RawMessage{}, next, nil
	case !found.IsArray():
		return []json.RawMessage{json.RawMessage(found.Raw)}, next, nil
	}
	items = []json.RawMessage{}
	found.ForEach(func(_, item gjson.Result) bool {
		items = append(items, json.RawMessage(item.Raw))
		return true
	})
	return items, next, nil
}
