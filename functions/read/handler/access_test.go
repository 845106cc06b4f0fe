package handler_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// reads are the log's lines of reads.
func (b *bench) reads() (lines []map[string]any) {
	b.Helper()
	for line := range strings.Lines(b.log.String()) {
		var in map[string]any
		b.OK(json.Unmarshal([]byte(line), &in))
		if in["msg"] == "read" {
			lines = append(lines, in)
		}
	}
	return lines
}

func TestEachReadLeavesALineWithoutItsQuery(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "up-9")
		_, _ = w.Write([]byte(`{"orders":[{"id":"1"},{"id":"2"}]}`))
	})
	b.get("/orders?limit=2")
	b.get("/orders/canary-item")
	b.get("/orders", "accept", "application/x-ndjson")
	b.get("/orders?personal_data=true&canary-name=canary-value")
	b.get("/canary_resource?x=canary-query")
	b.get("/orders?item=canary-item&cursor=canary-cursor")
	b.get("/orders?since=canary-query")
	b.get("/orders?since=canary-query", "accept", "application/x-ndjson")
	lines := b.reads()
	if len(lines) != 8 {
		t.Fatalf("%d lines of eight reads:\n%s", len(lines), b.log)
	}
	for i, line := range lines {
		if line["principal"] != b.Owner.ID || line["connector"] != strings.TrimPrefix(b.path, "/v1/connectors/") || line["request_id"] == "" || line["tenant"] == "" {
			t.Errorf("line %d is %v", i, line)
		}
	}
	if first := lines[0]; first["resource"] != "orders" || first["items"] != 2.0 || first["provider_request_id"] != "up-9" || first["code"] != nil {
		t.Errorf("the first line is %v", first)
	}
	if run := lines[2]; run["items"] != 2.0 || run["provider_request_id"] != "up-9" {
		t.Errorf("the line of a run is %v", run)
	}
	if wrong := lines[4]; wrong["resource"] != nil || wrong["code"] == nil {
		t.Errorf("the line of what there is not is %v", wrong)
	}
	if lines[3]["personal_data"] != true {
		t.Errorf("the line of personal data is %v", lines[3])
	}
	if strings.Contains(b.log.String(), "canary") {
		t.Errorf("the log has something of a query:\n%s", b.log)
	}
}
