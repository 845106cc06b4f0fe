package fault

import (
	"errors"
	"fmt"
	"time"
)

// newerPause is how long to wait where a newer version is at work too: the next call may well be one of its own.
const newerPause = 5 * time.Second

// Newer is the answer to what a newer version of the vault has written, while both run or after going back: it is whole, and
// this version leaves it alone. what is the kind; found is its number, known the highest that this version reads.
func Newer(what string, found, known int64) *Error {
	return newer(fmt.Errorf("%s has schema %d, this version reads up to %d", what, found, known))
}

// Unknown is [Newer] for what has no number, or no kind, that this version knows.
func Unknown(what string) *Error {
	return newer(fmt.Errorf("this version knows no %s", what))
}

func newer(cause error) *Error {
	return Wrap(cause, Unavailable, "newer_version", "A newer version of the vault wrote this, and the one that answers cannot read it.").
		Do("Try again: while the vault is being upgraded both versions answer.").After(newerPause)
}

// IsNewer reports whether an error comes from [Newer], whatever was said around it.
func IsNewer(err error) bool {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return false
		}
		if e.Code == "newer_version" {
			return true
		}
		err = e.cause
	}
	return false
}
