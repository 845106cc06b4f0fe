package webhook_test

import (
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/webhook"
)

// A newer message is left to a newer function: what this one does not know of it would be missing from what it sends.
func TestANewerMessage(t *testing.T) {
	t.Parallel()
	body, err := webhook.Message{Tenant: "t_0000000000000001", Webhook: "wh_0000000000000001", Event: record.Event{ID: "evt_1"}, Sent: time.Now()}.Encode()
	if err != nil || strings.Contains(string(body), "schema") {
		t.Fatalf("%s, %v", body, err)
	}
	for schema, newer := range map[string]bool{`"schema":1`: false, `"schema":2`: true, `"schema":2,"tenant":7`: true} {
		_, err := webhook.Decode([]byte(strings.Replace(string(body), "{", "{"+schema+",", 1)))
		if fault.IsNewer(err) != newer {
			t.Errorf("%s: %v", schema, err)
		}
	}
}
