// Package version is the number of this bundle's release, and how an adapter says which it needs.
//
// The argument: a deployment holds what was built on one day, and an adapter may lean on what a later day brought. Whoever is
// about to connect an account should hear of that before they begin, so both numbers are data, and comparing them is all
// that there is to it.
package version

import (
	"fmt"
	"strconv"
	"strings"
)

// Bundle is the release that this code is of: major, minor and patch (https://semver.org).
const Bundle = "0.5.0"

// Meets reports whether a release is at least the one that is needed; "" needs none. A number that is none meets nothing.
func Meets(have, need string) bool {
	if need == "" {
		return true
	}
	a, errA := numbers(have)
	b, errB := numbers(need)
	if errA != nil || errB != nil {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return true
}

func numbers(text string) (out [3]uint64, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != len(out) {
		return out, fmt.Errorf("%q is not of the form 1.2.3", text)
	}
	for i, part := range parts {
		if out[i], err = strconv.ParseUint(part, 10, 32); err != nil {
			return out, err
		}
	}
	return out, nil
}
