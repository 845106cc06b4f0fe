package lambdahttp_test

import (
	"encoding/json"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
)

// What encoding/json would take for something else than whoever looked at it before.
func TestAMemberIsThereOnceAndByItsName(t *testing.T) {
	t.Parallel()
	for body, field := range map[string]string{
		`{"name":"a"}`: "",
		`{"name":"a","many":{"a":["x","x"],"b":["a"]},"flag":true}`: "",
		`{"many":{"name":["name"],"many":[]}}`:                      "",
		`{"name":"a","name":"b"}`:                                   "name",
		`{"name":"a","NAME":"b"}`:                                   "NAME",
		`{"Name":"a"}`:                                              "Name",
		`{"na\u006de":"a","name":"b"}`:                              "name",
		`{"many":{"a":["x"],"a":["y"]}}`:                            "a",
		`{"flag":false,"many":{},"flag":true}`:                      "flag",
	} {
		err := (&lambdahttp.Request{Body: []byte(body)}).Decode(&things{})
		if f := fault.As(err); (err == nil) != (field == "") || err != nil && (f.Kind != fault.Invalid || f.Field != field || f.Action == "") {
			t.Errorf("%s: %v", body, err)
		}
	}
	var object map[string]json.RawMessage
	for body, taken := range map[string]bool{`{"a":1,"A":2}`: true, `{"a":{"b":1,"b":2}}`: false, `{"a":[{"b":1},{"b":2}]}`: true, `{"a":[{"b":1,"b":2}]}`: false, `{"a":1,"a":1}`: false} {
		if err := (&lambdahttp.Request{Body: []byte(body)}).Decode(&object); (err == nil) != taken {
			t.Errorf("%s: %v", body, err)
		}
	}
}
