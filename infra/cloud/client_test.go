package cloud_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type object = map[string]any

// client is a program with a key.
type client struct {
	*bed

	tenant, key string
	http        *http.Client
}

func (b *bed) client(key string) *client {
	return &client{bed: b, key: key, http: &http.Client{Timeout: time.Minute, Transport: b.network.Transport("program"),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what the bundle answers.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// String implements fmt.Stringer, for messages.
func (a answer) String() string { return fmt.Sprintf("%d %.400s", a.status, a.body) }

func (a answer) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal(a.body, &problem) // the gateway's own answers have none
	return problem.Code
}

// text is a member of the answer.
func (a answer) text(name string) string {
	var members object
	_ = json.Unmarshal(a.body, &members)
	s, _ := members[name].(string)
	return s
}

// send makes a request of the bundle; header lines are "Name: value".
func (c *client) send(method, path string, body any, header ...string) answer {
	c.Helper()
	return c.at(method, publicURL+path, body, header...)
}

// at makes a request of anybody.
func (c *client) at(method, address string, body any, header ...string) answer {
	c.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		c.ok(err)
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(c.Context(), method, address, reader)
	c.ok(err)
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		c.Errorf("%s %s: %v", method, address, err)
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		c.Errorf("%s %s: %v", method, address, err)
	}
	return answer{response.StatusCode, response.Header, read}
}

// must makes a request that has to succeed.
func (c *client) must(method, path string, body any) answer {
	c.Helper()
	got := c.send(method, path, body)
	if got.status >= http.StatusBadRequest {
		c.keep()
		c.Fatalf("%s %s: %v", method, path, got)
	}
	return got
}

// items are those of a list's first page.
func (c *client) items(path string) []object {
	c.Helper()
	var list struct{ Items []object }
	c.ok(json.Unmarshal(c.must("GET", path, nil).body, &list))
	return list.Items
}
