// Package rights holds calls of AWS against the roles of the template, as AWS does, and remembers them.
//
// The argument: a role that lacks a right fails at a customer's, in the middle of the first refresh that needs it, since no
// stand-in for an AWS service asks for rights. Tests of single functions ask for them where the code calls the store; what
// really goes over the wire is known only on the wire. So the calls of the programs are read there: which action on which
// resource, each part of a transaction for itself. What the caller's role does not allow is answered as AWS answers it. What was
// done is kept, so that rights which nobody uses can be found too.
//
// Resources are named as package stack names them: the ARN of the table RecordsTable is "RecordsTable.Arn".
package rights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"connectorvault/infra/cloud/fleet"
	"connectorvault/infra/stack"
)

// Call is one action on one resource.
type Call struct{ Action, Resource string }

// String implements fmt.Stringer.
func (c Call) String() string { return c.Action + " " + c.Resource }

// Record is what functions did and what they were refused. It is safe for concurrent use.
type Record struct {
	mu      sync.Mutex
	done    map[string]map[Call]int // by function; guarded by mu
	refused map[string]map[Call]int // likewise; guarded by mu
}

// NewRecord returns an empty one.
func NewRecord() *Record {
	return &Record{done: map[string]map[Call]int{}, refused: map[string]map[Call]int{}}
}

// Note remembers a call that a function, or the platform with the function's role, has done.
func (r *Record) Note(function string, c Call) { r.note(r.done, function, c) }

func (r *Record) note(in map[string]map[Call]int, function string, c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in[function] == nil {
		in[function] = map[Call]int{}
	}
	in[function][c]++
}

// Refused lists what functions were refused: function, action and resource.
func (r *Record) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, function := range slices.Sorted(maps.Keys(r.refused)) {
		for c := range r.refused[function] {
			out = append(out, function+" "+c.String())
		}
	}
	slices.Sort(out)
	return out
}

// Done lists the actions that functions did, each once, with how often: function, action and table, queue or kind of secret.
func (r *Record) Done() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for function, calls := range r.done {
		for c, n := range calls {
			out[function+" "+c.Action] += n
		}
	}
	return out
}

// Unused lists the grants of a function's role that nothing used: "action resource-pattern".
func (r *Record) Unused(f stack.Function) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, grant := range f.Role.Grants() {
		action, pattern, _ := strings.Cut(grant, " ")
		used := false
		for c := range r.done[f.Folder] {
			used = used || stack.Matches(action, c.Action) && stack.Matches(pattern, c.Resource)
		}
		if !used {
			out = append(out, grant)
		}
	}
	return out
}

// maxCall is more than any call of a function.
const maxCall = 8 << 20

// Guard lets through what the caller's role allows. function tells which function a request comes from; nothing else is let
// through at all.
func (r *Record) Guard(function func(*http.Request) (stack.Function, bool), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f, known := function(req)
		body, err := io.ReadAll(io.LimitReader(req.Body, maxCall))
		if err != nil || !known {
			deny(w, "an unknown caller")
			return
		}
		calls, err := Read(req, body)
		if err != nil {
			deny(w, err.Error())
			return
		}
		allowed := true
		for _, c := range calls {
			if !f.Role.Allows(c.Action, c.Resource) {
				r.note(r.refused, f.Folder, c)
				allowed = false
			}
		}
		if !allowed {
			deny(w, "the role of "+f.Folder)
			return
		}
		for _, c := range calls {
			r.Note(f.Folder, c)
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, req)
	})
}

// deny answers as the services' JSON protocols do.
func deny(w http.ResponseWriter, who string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
	w.WriteHeader(http.StatusBadRequest)
	body, _ := json.Marshal(map[string]string{"__type": "com.amazon.coral.service#AccessDeniedException", "message": who + " is not authorized"})
	_, _ = w.Write(body)
}

// Read tells what a request asks for. What it cannot read is an error, for what nobody reads nobody refuses.
func Read(r *http.Request, body []byte) ([]Call, error) {
	if name, alias, ok := fleet.Invoked(r); ok {
		resource := name + ".Arn"
		if alias != "" {
			resource = name + ".Alias" // a right to the one is none to the other
		}
		return []Call{{"lambda:InvokeFunction", resource}}, nil
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch service {
	case "DynamoDB_20120810":
		return dynamodb(operation, body)
	case "secretsmanager":
		return secrets(operation, body)
	case "AmazonSQS":
		return queues(operation, body)
	}
	return nil, fmt.Errorf("the call %q is of no service that is read here", r.Header.Get("X-Amz-Target"))
}

// secrets reads a call of Secrets Manager.
func secrets(operation string, body []byte) ([]Call, error) {
	var in struct {
		Name     string
		SecretID string `json:"SecretId"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	resource := "*"
	if operation != "ListSecrets" {
		resource = stack.SecretARN(in.Name + in.SecretID)
	}
	return []Call{{"secretsmanager:" + operation, resource}}, nil
}

// queues reads a call of SQS. A queue's resource is its name: whoever makes the queues names them as the template does.
func queues(operation string, body []byte) ([]Call, error) {
	var in struct {
		QueueURL string `json:"QueueUrl"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	return []Call{{"sqs:" + strings.TrimSuffix(operation, "Batch"), logical(path.Base(in.QueueURL)) + ".Arn"}}, nil
}

// logical is the logical id of a thing that carries it before the first dash.
func logical(name string) string {
	id, _, _ := strings.Cut(name, "-")
	return id
}
