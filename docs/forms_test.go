package docs_test

import (
	"fmt"
	"strings"
	"testing"

	"connectorvault/shared/schema"
)

func TestEveryFormIsListed(t *testing.T) {
	t.Parallel()
	page := read(t, "upgrades.md")
	rows := 0
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 6 {
			rows++
		}
	}
	if rows != len(schema.Kinds()) {
		t.Errorf("%d kinds are listed, and there are %d", rows, len(schema.Kinds()))
	}
	for _, kind := range schema.Kinds() {
		n := schema.Of(kind)
		if row := fmt.Sprintf("| `%s` | %d | %d |", kind, n.Writes, n.Reads); !strings.Contains(page, row) {
			t.Errorf("upgrades.md does not say %q", row)
		}
	}
}
