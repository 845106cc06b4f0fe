package amazonsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// models are the operations of a folder of Amazon's OpenAPI (Swagger 2.0) files with the request/response pairs
// that the hosted static sandbox answers with (Amazon facts 9.2). The files are Amazon's and are read, not copied.
type models struct{ operations []modelOperation }

type modelOperation struct {
	operation

	examples []example
	dynamic  bool
}

// example is one pair: when each condition holds, this is the answer.
type example struct {
	conditions []condition
	status     int
	body       json.RawMessage // nil: none
}

// condition is one parameter that an example names.
type condition struct {
	name  string
	in    string // "path", "query", "header" or "body"
	value any    // nil: anything goes
}

// The parts of an OpenAPI file that matter here.
type (
	modelFile struct {
		BasePath   string                                `json:"basePath"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Parameters map[string]modelParameter             `json:"parameters"`
	}
	modelParameter struct {
		Ref  string `json:"$ref"`
		Name string `json:"name"`
		In   string `json:"in"`
	}
	modelMethod struct {
		ID         string                   `json:"operationId"`
		Parameters []modelParameter         `json:"parameters"`
		Responses  map[string]modelResponse `json:"responses"`
		Sandbox    *modelSandbox            `json:"x-amzn-api-sandbox"`
	}
	modelResponse struct {
		Sandbox *modelSandbox `json:"x-amzn-api-sandbox"`
	}
	modelSandbox struct {
		Static  []modelPair     `json:"static"`
		Dynamic json.RawMessage `json:"dynamic"`
	}
	modelPair struct {
		Request  json.RawMessage `json:"request"`
		Response json.RawMessage `json:"response"`
	}
)

// loadModels reads every JSON file of a folder. A file without paths is not a model and is passed over.
func loadModels(folder string) (*models, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing models: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no models in %s", folder)
	}
	known := &models{}
	for _, name := range names {
		if err := known.load(name); err != nil {
			return nil, fmt.Errorf("reading %s: %w", filepath.Base(name), err)
		}
	}
	return known, nil
}

func (m *models) load(name string) error {
	text, err := os.ReadFile(name) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	var file modelFile
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	paths := make([]string, 0, len(file.Paths))
	for path := range file.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if err := m.addPath(file, path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (m *models) addPath(file modelFile, path string) error {
	item := file.Paths[path]
	var shared modelMethod // what a path item says for all its methods
	for name, into := range map[string]any{"parameters": &shared.Parameters, "x-amzn-api-sandbox": &shared.Sandbox} {
		if text, found := item[name]; found {
			if err := json.Unmarshal(text, into); err != nil {
				return err
			}
		}
	}
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		text, found := item[method]
		if !found {
			continue
		}
		var spec modelMethod
		if err := json.Unmarshal(text, &spec); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		spec.Parameters = append(spec.Parameters, shared.Parameters...)
		op := modelOperation{operation: operation{
			id: spec.ID, method: strings.ToUpper(method), path: strings.TrimRight(file.BasePath, "/") + path, audience: partners,
		}}
		op.dynamic = shared.Sandbox.isDynamic() || spec.Sandbox.isDynamic()
		if err := op.addExamples(file, spec); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		m.operations = append(m.operations, op)
	}
	return nil
}

func (s *modelSandbox) isDynamic() bool { return s != nil && len(s.Dynamic) > 0 }

// addExamples takes the pairs in the order of their statuses: where two pairs fit equally, success wins.
func (op *modelOperation) addExamples(file modelFile, spec modelMethod) error {
	statuses := make([]string, 0, len(spec.Responses))
	for status := range spec.Responses {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	for _, text := range statuses {
		box := spec.Responses[text].Sandbox
		status, err := strconv.Atoi(text)
		if box == nil || err != nil { // "default" has no status to answer with
			continue
		}
		op.dynamic = op.dynamic || box.isDynamic()
		for _, pair := range box.Static {
			conditions, err := readConditions(pair.Request, func(name string) string { return placeOf(file, spec, op.path, name) })
			if err != nil {
				return err
			}
			answer := example{conditions: conditions, status: status, body: pair.Response}
			if text := string(pair.Response); text == "" || text == "null" || status == http.StatusNoContent {
				answer.body = nil
			}
			op.examples = append(op.examples, answer)
		}
	}
	return nil
}

// placeOf says where a parameter travels. Examples call every body "body", whatever its parameter is called.
func placeOf(file modelFile, spec modelMethod, path, name string) string {
	for _, p := range spec.Parameters {
		if p.Ref != "" {
			p = file.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
		}
		if p.Name == name {
			return p.In
		}
	}
	switch {
	case name == "body":
		return "body"
	case strings.Contains(path, "{"+name+"}"):
		return "path"
	}
	return "query"
}

func readConditions(text json.RawMessage, place func(string) string) ([]condition, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var request struct {
		Parameters map[string]map[string]json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(text, &request); err != nil {
		return nil, err
	}
	var list []condition
	for name, parts := range request.Parameters {
		c := condition{name: name, in: place(name)}
		if value, found := parts["value"]; found {
			var err error
			if c.value, err = decodeNumbers(value); err != nil {
				return nil, err
			}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b condition) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// decodeNumbers decodes JSON and keeps numbers as they are written, so that they compare as text.
func decodeNumbers(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// find looks a request up among the models; the path with the most fixed segments wins.
func (m *models) find(method, escaped string) (operation, map[string]string, bool) {
	op, vars := m.lookUp(method, escaped)
	if op == nil {
		return operation{}, nil, false
	}
	return op.operation, vars, true
}

func (m *models) lookUp(method, escaped string) (*modelOperation, map[string]string) {
	var best *modelOperation
	var bestVars map[string]string
	for i := range m.operations {
		op := &m.operations[i]
		if op.method != method {
			continue
		}
		vars, fits := matchPath(op.path, escaped, true)
		if fits && (best == nil || literals(op.path) > literals(best.path)) {
			best, bestVars = op, vars
		}
	}
	return best, bestVars
}

var errNoExample = invalidInput("Could not match input arguments")

// answerStatic answers with the example that fits best: the one that names most.
func (s *Simulator) answerStatic(ctx context.Context, c *call, r *http.Request) (reply, error) {
	op, _ := s.models.lookUp(r.Method, c.path)
	if answer, found := dynamicAnswers()[op.id]; found && op.dynamic {
		return answer(s, ctx, c, r)
	}
	var body any
	if len(c.body) > 0 {
		var err error
		if body, err = decodeNumbers(c.body); err != nil {
			return reply{}, errUnreadableRequest
		}
	}
	best, bestScore := -1, -1
	for i, e := range op.examples {
		if score, fits := e.score(c, r, body); fits && score > bestScore {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		return reply{}, errNoExample
	}
	found := op.examples[best]
	return reply{status: found.status, raw: found.body, noBody: found.body == nil}, nil
}

// score says whether every parameter that the example names is as it says, and how much it names. What a request
// has beyond that is allowed (Amazon facts 9.3).
func (e example) score(c *call, r *http.Request, body any) (int, bool) {
	total := 0
	for _, cond := range e.conditions {
		if cond.value == nil {
			continue
		}
		var fits bool
		switch cond.in {
		case "body":
			fits = within(cond.value, body)
		case "path":
			fits = printed(cond.value) == c.vars[cond.name]
		case "header":
			fits = printed(cond.value) == r.Header.Get(cond.name)
		default:
			fits = sameValues(cond.value, csv(c.query, cond.name))
		}
		if !fits {
			return 0, false
		}
		total += leaves(cond.value)
	}
	return total, true
}

// sameValues compares an example's value, a list or not, with what the query holds, in any order. An empty text
// stands for an absent parameter.
func sameValues(want any, got []string) bool {
	list, isList := want.([]any)
	if !isList {
		list = []any{want}
	}
	texts := make([]string, 0, len(list))
	for _, value := range list {
		if text := printed(value); text != "" {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	return slices.Equal(texts, slices.Sorted(slices.Values(got)))
}

func printed(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return fmt.Sprint(value)
}

// within says whether everything that want has is in got; got may have more members.
func within(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		members, isObject := got.(map[string]any)
		if !isObject {
			return len(want) == 0
		}
		for name, value := range want {
			if other, found := members[name]; !found || !within(value, other) {
				return false
			}
		}
		return true
	case []any:
		values, isList := got.([]any)
		return isList && slices.EqualFunc(want, values, within)
	}
	return printed(want) == printed(got)
}

// leaves counts the values of a condition.
func leaves(value any) int {
	n := 0
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			n += leaves(member)
		}
	case []any:
		for _, element := range value {
			n += leaves(element)
		}
	default:
		n = 1
	}
	return n
}
