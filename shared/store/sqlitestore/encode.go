package sqlitestore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"connectorvault/shared/store"
)

// The form of attributes in the file: one JSON object. A string and a bool are themselves, an int64 is a number written
// out in full, and a []byte is a list of one string in base64, so {"n":9007199254740993,"b":["AAE="]}.

func encodeAttrs(attrs store.Attrs) ([]byte, error) {
	form := make(map[string]any, len(attrs))
	for name, value := range attrs {
		if b, ok := value.([]byte); ok {
			value = [1]string{base64.StdEncoding.EncodeToString(b)}
		}
		form[name] = value
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(form); err != nil {
		return nil, fmt.Errorf("encoding attributes: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// decodeAttrs drops the decoder's own error, which can quote what it read.
func decodeAttrs(data []byte) (store.Attrs, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a float64 would lose the digits of a large number
	var form map[string]any
	if decoder.Decode(&form) != nil || form == nil {
		return nil, fmt.Errorf("an item in the file cannot be read: it is not a JSON object")
	}
	attrs := store.Attrs(form)
	for name, value := range attrs {
		var ok bool
		if attrs[name], ok = decodeValue(value); !ok {
			return nil, fmt.Errorf("an item in the file cannot be read: attribute %s has no known form", name)
		}
	}
	return attrs, nil
}

func decodeValue(value any) (any, bool) {
	switch v := value.(type) {
	case string, bool:
		return v, true
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	case []any:
		if len(v) != 1 {
			return nil, false
		}
		text, _ := v[0].(string)
		b, err := base64.StdEncoding.DecodeString(text)
		return b, err == nil
	}
	return nil, false
}
