package issuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// claims are the members of a token's payload, by their exact names.
type claims map[string]json.RawMessage

// parseClaims reads a payload and refuses one in which a member stands twice, at any depth: which of the two counts would
// depend on who reads.
func parseClaims(payload []byte) (claims, error) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if err := onlyOnce(decoder); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the claims")
	}
	var out claims
	if err := json.Unmarshal(payload, &out); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, errors.New("there are no claims")
	}
	return out, nil
}

// onlyOnce reads one value.
func onlyOnce(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	opening, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if opening == '{' {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			text, _ := name.(string)
			if seen[text] {
				return errors.New("a member stands twice")
			}
			seen[text] = true
		}
		if err := onlyOnce(decoder); err != nil {
			return err
		}
	}
	_, err = decoder.Token() // the closing one
	return err
}

// find returns a claim; nil when there is none. A name that begins with a slash leads into objects, a member a step
// (RFC 6901): "/realm_access/roles".
func (c claims) find(name string) json.RawMessage {
	path, nested := strings.CutPrefix(name, "/")
	if !nested {
		return c[name]
	}
	var value json.RawMessage
	for i, step := range strings.Split(path, "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if i > 0 {
			c = nil
			if json.Unmarshal(value, &c) != nil {
				return nil
			}
		}
		if value = c[step]; value == nil {
			return nil
		}
	}
	return value
}

func (c claims) text(name string) (string, bool) {
	var value *string
	if json.Unmarshal(c.find(name), &value) != nil || value == nil {
		return "", false
	}
	return *value, true
}

// texts reads a claim that is a string or a list of strings; nil for anything else. Scopes are words in one string (RFC
// 8693, 4.2).
func (c claims) texts(name string) []string {
	if one, ok := c.text(name); ok {
		if name == "scope" || name == "scp" {
			return strings.Fields(one)
		}
		return []string{one}
	}
	var values []*string
	if json.Unmarshal(c.find(name), &values) != nil {
		return nil
	}
	out := make([]string, 0, len(values))
	for _, value := range values {
		if value == nil {
			return nil
		}
		out = append(out, *value)
	}
	return out
}

func (c claims) number(name string) (float64, bool) {
	var value *float64
	if json.Unmarshal(c.find(name), &value) != nil || value == nil {
		return 0, false
	}
	return *value, true
}
