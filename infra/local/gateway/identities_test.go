package gateway

import (
	"fmt"
	"testing"
)

// Whatever is sent as Authorization, what is remembered of it has an end, and none of it is a key.
func TestWhatIsRememberedOfKeysHasAnEnd(t *testing.T) {
	t.Parallel()
	var known identities
	for i := range 3 * maxIdentities {
		authorization := fmt.Sprintf("Bearer key %d", i)
		known.put(authorization, map[string]any{"tenant": "t_1"})
		if _, ok := known.get(authorization); !ok || len(known.seen) > maxIdentities {
			t.Fatalf("%d are remembered, the last one: %t", len(known.seen), ok)
		}
		if _, plain := known.seen[authorization]; plain {
			t.Fatal("a key is remembered as it is")
		}
	}
	if _, ok := known.get("Bearer other"); ok {
		t.Error("somebody else is let in")
	}
}
