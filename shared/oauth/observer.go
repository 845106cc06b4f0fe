package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// mostAnswer is how much of an answer is kept. None comes near it, so what is longer is no answer.
const mostAnswer = 1 << 20

// observer is a transport for one request. It remembers what x/oauth2 does not pass on: whether bytes left, the
// answer's head, and its members as they were written.
type observer struct {
	base       http.RoundTripper
	wrote      atomic.Bool
	status     int
	requestID  string
	retryAfter time.Duration
	members    map[string]json.RawMessage // of an answer that is a JSON object
}

// RoundTrip implements http.RoundTripper. The answer that it returns is whole, in memory, and in the form that x/oauth2
// reads. JSON is told by its look: endpoints that label it otherwise, or put a byte order mark before it, mean it all
// the same.
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{WroteHeaders: func() { o.wrote.Store(true) }}
	base := o.base
	if base == nil {
		base = http.DefaultTransport //nolint:forbidigo // what a client without a transport means; its timeout still holds
	}
	r = r.Clone(httptrace.WithClientTrace(r.Context(), trace))
	r.Header.Set("Accept", "application/json") // Sage facts 1.4
	resp, err := base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	o.status = resp.StatusCode
	o.requestID = identifier(first(resp.Header, "x-amzn-RequestId", "X-Request-Id"))
	o.retryAfter = retryAfter(resp.Header)
	body, err := whole(resp)
	if err != nil {
		return nil, err
	}
	if o.members = members(body); o.members != nil {
		resp.Header.Set("Content-Type", "application/json")
		body = readable(o.members)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// whole reads an answer's body to its end. One that is too long is as good as none.
func whole(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols { // nothing ends the body of this one, not even the deadline
		return nil, errors.New("the protocol was switched")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err != nil || len(body) > mostAnswer {
		return nil, err
	}
	return body, nil
}

// members reads an answer that is one JSON object and nothing else; nil for any other. One that says a member twice is
// another, since which of the two counts is anybody's guess (RFC 6749, 3.2 allows none).
func members(body []byte) map[string]json.RawMessage {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !json.Valid(body) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if open, _ := d.Token(); open != json.Delim('{') {
		return nil
	}
	found := map[string]json.RawMessage{}
	for d.More() {
		var value json.RawMessage
		token, _ := d.Token() // it is valid: this is a name, and a value follows
		name, _ := token.(string)
		if _, twice := found[name]; twice || d.Decode(&value) != nil {
			return nil
		}
		found[name] = value
	}
	return found
}

// readable writes an answer as x/oauth2 can read it. For a lifetime that is no whole number x/oauth2 refuses the whole
// answer, and with it tokens that nobody gets twice.
func readable(found map[string]json.RawMessage) []byte {
	if said, ok := found["expires_in"]; ok {
		var v any
		_ = json.Unmarshal(said, &v)
		found["expires_in"] = strconv.AppendInt(nil, int64(seconds(v)/time.Second), 10)
	}
	body, _ := json.Marshal(found) // what was just decoded
	return body
}

// text is a member that is a string; empty for any other.
func text(member json.RawMessage) (s string) {
	if json.Unmarshal(member, &s) != nil {
		return ""
	}
	return s
}

func first(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// retryAfter reads the header's seconds form (RFC 9110, 10.2.3); a date counts as not said, our clock may be stepped.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil && !errors.Is(err, strconv.ErrRange) || n < 0 { // out of range it is the largest
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}
