package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatIsAskedIsSaidWhole(t *testing.T) {
	t.Parallel()
	all := map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary-key", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{"", all, "say what to restore"},
		{"records", all, "two tables"},
		{"records --from a --to a", all, "two tables"},
		{"records --from a --to b c", all, "two tables"},
		{"records --from a --to b --records c", all, "with --records"},
		{"credentials --from a --to b", all, "with --records"},
		{"secrets --from a --to b", all, "say records"},
		{"records --from a --to b", nil, "lacks AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION"},
		{"records --colour red", all, "not defined"},
	} {
		var out, log bytes.Buffer
		err := run(t.Context(), strings.Fields(c.args), func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }, &out, &log)
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 || strings.Contains(err.Error()+log.String(), "canary") {
			t.Errorf("%q: %v %s", c.args, err, &out)
		}
	}
}
