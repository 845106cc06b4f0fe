package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/tidwall/gjson"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// usage is what requests to the engine took.
type usage struct {
	requests, refused int
	reads, writes     float64 // capacity units, those of the index among them
	index             float64 // of the writes, those of the index
}

// meter stands between the SDK and the engine, and has it say of each request what it took.
type meter struct {
	next dynamodb.HTTPClient

	mu   sync.Mutex
	used usage // guarded by mu
}

// Do implements dynamodb.HTTPClient.
func (m *meter) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	body = append([]byte(`{"ReturnConsumedCapacity":"INDEXES",`), bytes.TrimLeft(body, " \n")[1:]...)
	request = request.Clone(request.Context())
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := m.next.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	_, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used.requests++
	if response.StatusCode != http.StatusOK {
		m.used.refused++
		return response, nil
	}
	said := gjson.GetBytes(answer, "ConsumedCapacity")
	if !said.Exists() {
		return nil, fmt.Errorf("the engine does not say what a %s took", operation)
	}
	each := []gjson.Result{said}
	if said.IsArray() {
		each = said.Array()
	}
	for _, table := range each {
		units := table.Get("CapacityUnits").Float()
		switch operation {
		case "GetItem", "BatchGetItem", "Query":
			m.used.reads += units
		default:
			m.used.writes += units
			m.used.index += table.Get("GlobalSecondaryIndexes.due.CapacityUnits").Float()
		}
	}
	return response, nil
}

func (m *meter) read() usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// queues stand in for SQS: what is sent lies in lists, encoded as it travels.
type queues struct {
	mu      sync.Mutex
	lists   map[string][]string // by provider; guarded by mu
	batches map[string]int      // of ten messages at most; guarded by mu
}

func newQueues() *queues {
	return &queues{lists: map[string][]string{}, batches: map[string]int{}}
}

func (q *queues) send(_ context.Context, provider string, calls []tokens.Call) error {
	bodies := make([]string, len(calls))
	for i, call := range calls {
		body, err := tokens.Encode(call)
		if err != nil {
			return err
		}
		bodies[i] = string(body)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lists[provider] = append(q.lists[provider], bodies...)
	q.batches[provider] += (len(bodies) + 9) / 10
	return nil
}

func (q *queues) waiting(_ context.Context, provider string) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lists[provider]), nil
}

// counted is a store of secrets that counts what is read.
type counted struct {
	store.Secrets
	reads atomic.Int64
}

func (c *counted) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	c.reads.Add(1)
	return c.Secrets.GetSecret(ctx, name)
}

// endpoints stand in for the providers' token endpoints. Each answer has tokens of its own.
type endpoints struct{ posts atomic.Int64 }

// Lengths of tokens, about as the providers' are.
const (
	amazonToken = 370
	sageToken   = 1200
)

// RoundTrip implements http.RoundTripper.
func (e *endpoints) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		_, _ = io.Copy(io.Discard, request.Body)
		_ = request.Body.Close()
	}
	n, body := e.posts.Add(1), ""
	switch {
	case strings.HasSuffix(request.URL.Path, "/auth/o2/token"):
		body = fmt.Sprintf(`{"access_token": "%s", "refresh_token": "%s", "token_type": "bearer", "expires_in": 3600}`,
			token("Atza|", n, amazonToken), token("Atzr|", 0, amazonToken))
	case request.URL.Path == "/token":
		body = fmt.Sprintf(`{"access_token": "%s", "refresh_token": "%s", "token_type": "bearer", "expires_in": 300, "refresh_token_expires_in": 2678400, "scope": "readonly"}`,
			token("a", n, sageToken), token("r", n, sageToken))
	default:
		return nil, fmt.Errorf("nobody answers at %s", request.URL.Path)
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
}

// token is one of a length, and different for each n.
func token(kind string, n int64, length int) string {
	text := fmt.Sprintf("%sEXAMPLE-%d-", kind, n)
	return text + strings.Repeat("x", length-len(text))
}
