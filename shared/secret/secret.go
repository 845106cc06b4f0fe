// Package secret holds values that must never be seen: tokens, client secrets, keys, authorization codes.
//
// The argument for a type of its own: a string that is a secret looks like any other string to a formatter, a
// logger or an encoder, so keeping it out of their output would depend on everybody remembering. A [Text] prints
// as a placeholder whatever is done to it, and [Text.Reveal], which is easy to search for, is the only way out.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Placeholder is what every formatter, logger and encoder shows in place of a secret.
const Placeholder = "[secret]"

// Text is a secret string. The zero value holds the empty string.
//
// The value lies behind a pointer: fmt does not call the methods of values in unexported fields, and what it
// prints of such a field by reflection is then an address, not the secret.
type Text struct{ value *string }

// New returns a Text that holds s.
func New(s string) Text { return Text{value: &s} }

// Reveal returns the secret itself. Call it where the value leaves for the one place it is meant for, and nowhere else.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the secret is empty. It also serves encoding/json's omitzero.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// Equal compares two secrets in constant time.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// Fingerprint returns the hexadecimal SHA-256 of the secret. It stands in for the secret where one must be
// recognised again later (an intent, a claimed code). Only secrets with enough entropy to resist guessing have
// any business being fingerprinted.
func (t Text) Fingerprint() string {
	sum := sha256.Sum256([]byte(t.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Format implements fmt.Formatter: every verb prints the placeholder.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Placeholder) }

// String implements fmt.Stringer for callers that ask without fmt.
func (t Text) String() string { return Placeholder }

// GoString implements fmt.GoStringer for callers that ask without fmt.
func (t Text) GoString() string { return Placeholder }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(Placeholder) }

// MarshalText implements encoding.TextMarshaler, and through it JSON and XML.
func (t Text) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// MarshalBinary refuses: a placeholder in a binary encoding would be taken for a value.
func (t Text) MarshalBinary() ([]byte, error) {
	return nil, errors.New("secret: a secret has no binary encoding")
}

// UnmarshalText implements encoding.TextUnmarshaler, so that a request's body decodes straight into a Text.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}
