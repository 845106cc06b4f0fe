package sagesim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(quote(m.name))
		out.WriteByte(':')
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// get returns nil for a member that the object lacks.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// has says whether there is such a member, if only with null.
func (o object) has(name string) bool {
	return slices.ContainsFunc(o, func(m member) bool { return m.name == name })
}

// is says whether a member is, refers to, or lists what is asked for.
func (o object) is(name, want string) bool {
	switch v := o.get(name).(type) {
	case string:
		return v == want
	case bool:
		return strconv.FormatBool(v) == want
	case object:
		return v.is("id", want)
	case []object:
		for _, item := range v {
			if item.is("id", want) {
				return true
			}
		}
	}
	return false
}

// money is an amount of hundredths. The wire has it as a string without trailing zeros but one (Sage facts 2.4).
type money int64

func (m money) String() string {
	sign, n := "", int64(m)
	if n < 0 {
		sign, n = "-", -n
	}
	cents := strings.TrimRight(strconv.FormatInt(n%100+100, 10)[1:], "0")
	if cents == "" {
		cents = "0"
	}
	return sign + strconv.FormatInt(n/100, 10) + "." + cents
}

// MarshalJSON implements json.Marshaler.
func (m money) MarshalJSON() ([]byte, error) { return []byte(`"` + m.String() + `"`), nil }

// stamp and day write times as the wire has them (Sage facts 2.4). A time that is not there is null.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func day(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.DateOnly)
}

// readTime takes a date, or a time with an offset or without.
func readTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
