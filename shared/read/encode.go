package read

import (
	"bytes"
	"encoding/json"
)

// Encode writes a page as JSON, with the items as they are. The encoder of the standard library would check them again,
// and write some of their characters in another way than the provider did.
func (p Page) Encode() ([]byte, error) {
	meta, err := json.Marshal(p.Meta)
	if err != nil {
		return nil, err
	}
	next, err := json.Marshal(p.Next)
	if err != nil {
		return nil, err
	}
	size := len(meta) + len(next) + 64
	for _, item := range p.Items {
		size += len(item) + 1
	}
	var out bytes.Buffer
	out.Grow(size)
	out.WriteString(`{"items":[`)
	for i, item := range p.Items {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(item)
	}
	out.WriteString(`],"next_cursor":`)
	out.Write(next)
	out.WriteString(`,"meta":`)
	out.Write(meta)
	out.WriteByte('}')
	return out.Bytes(), nil
}
