package provider_test

import (
	"sync"
	"testing"

	"connectorvault/shared/provider"
)

func TestAShapeIsCompiledWhenItIsUsed(t *testing.T) {
	t.Parallel()
	shape := provider.NewShape(`^[a-z]{1,8}$`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for text, want := range map[string]bool{"a": true, "abcdefgh": true, "": false, "abcdefghi": false, "A": false, "a\n": false} {
				if shape.MatchString(text) != want {
					t.Errorf("%q: %v", text, !want)
				}
			}
		})
	}
	all.Wait()
	broken := provider.NewShape(`(`) // costs nobody anything who does not use it
	defer func() {
		if recover() == nil {
			t.Error("a pattern that is none matches something")
		}
	}()
	broken.MatchString("")
}
