package sage_test

import (
	"testing"

	"connectorvault/shared/provider/sage"
)

// Whatever comes back from the provider's host is judged, with the status that it had.
func FuzzJudge(f *testing.F) {
	f.Add(422, `[{"$severity":"error","$dataCode":"ValidationError","$message":"x","$source":"y"}]`)
	f.Add(404, `{"$severity":"error","$dataCode":"RecordNotFound"}`)
	f.Add(401, `{"error":"invalid_token"}`)
	f.Add(400, `[[[{"$dataCode":5}`)
	f.Add(500, "<html>")
	f.Add(429, "")
	adapter := sage.New(sage.Options{})
	f.Fuzz(func(t *testing.T, status int, body string) {
		verdict := adapter.Judge(status, nil, []byte(body))
		if verdict.Fault == nil || verdict.Fault.Code == "" || verdict.Fault.Provider == nil || verdict.Fault.Provider.Status != status {
			t.Fatalf("judged %+v", verdict)
		}
	})
}
