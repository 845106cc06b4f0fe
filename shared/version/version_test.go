package version_test

import (
	"testing"

	"connectorvault/shared/version"
)

func TestMeets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, need string
		want       bool
	}{
		{"1.2.3", "", true}, {"1.2.3", "1.2.3", true}, {"1.2.3", "1.2.2", true}, {"1.2.3", "1.1.9", true}, {"2.0.0", "1.99.99", true}, {"1.10.0", "1.9.0", true},
		{"1.2.3", "1.2.4", false}, {"1.2.3", "1.3.0", false}, {"1.2.3", "2.0.0", false}, {"1.9.0", "1.10.0", false},
		{"1.2", "1.2.0", false}, {"1.2.0", "1.2", false}, {"", "0.0.0", false}, {"1.2.3-rc1", "1.2.3", false}, {"1.2.-3", "0.0.0", false}, {"1.2.3.4", "1.2.3", false},
	} {
		if got := version.Meets(test.have, test.need); got != test.want {
			t.Errorf("%q meets %q: %t", test.have, test.need, got)
		}
	}
	if !version.Meets(version.Bundle, "0.0.0") {
		t.Errorf("%q is no release", version.Bundle)
	}
}
