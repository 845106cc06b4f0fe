package secretstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// request is the union of the members of all actions.
type request struct {
	SecretID           string `json:"SecretId"`
	Name               string
	SecretString       *string
	ClientRequestToken string
	VersionID          string `json:"VersionId"`
	VersionStage       string
	MaxResults         int
	NextToken          string
	Filters            []struct {
		Key    string
		Values []string
	}
	ForceDeleteWithoutRecovery bool
	RecoveryWindowInDays       *int
}

// refusal is an error of the service.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, message string) error { return &refusal{http.StatusBadRequest, code, message} }

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := f.serve(r)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-4000-8000-000000000000")
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		w.Header().Set("X-Amzn-Errortype", refused.code)
		w.WriteHeader(refused.status)
		answer = map[string]string{"__type": refused.code, "Message": refused.message}
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
		answer = map[string]string{"__type": "InternalServiceError", "Message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone away is the client's test
}

func (f *Fake) serve(r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, refuse("SerializationException", "the body is not the JSON of a request")
	}
	action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !ok || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		return nil, refuse("MissingAuthenticationTokenException", "the request has no target or is not signed")
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(f.opts.Tick)
	f.calls[action]++
	if queue := f.faults[action]; len(queue) > 0 {
		f.faults[action] = queue[1:]
		return nil, &refusal{queue[0].status, queue[0].code, queue[0].message}
	}
	switch action {
	case "GetSecretValue":
		return f.get(in)
	case "PutSecretValue":
		return f.put(in)
	case "CreateSecret":
		return f.create(in)
	case "DeleteSecret":
		return f.remove(in)
	case "ListSecrets":
		return f.list(in)
	default:
		return nil, refuse("UnknownOperationException", "the fake has no "+action)
	}
}

// arn ends in six characters of the service's own; the fake always takes the same.
func arn(name string) string {
	return "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-AbCdEf"
}

func epoch(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }
