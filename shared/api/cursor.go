package api

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"connectorvault/shared/fault"
)

// EncodeCursor makes a cursor of the sort key that a listing of records stopped at. It tells nothing that the page did
// not, and whoever changes it lists their own records from elsewhere.
func EncodeCursor(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

// DecodeCursor reads a cursor of a listing whose sort keys begin with prefix; "" is the beginning.
func DecodeCursor(cursor, prefix string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !strings.HasPrefix(string(after), prefix) || len(after) > 200 || !utf8.Valid(after) {
		return "", fault.New(fault.Invalid, "invalid_cursor", "The cursor is not one of this list.").
			On("cursor").Do("Begin again without a cursor.")
	}
	return string(after), nil
}
