// Package openapitest reads the description of the HTTP API as data, for tests.
//
// The argument: several tests hold the document to something (the routes, the template, the answers of the running
// program), and each must mean the same by an operation, an example and a schema. What validates is a library that
// others wrote, for the version of JSON Schema that OpenAPI 3.1 has; here its schemas are only made stricter first,
// since a document that is right leaves no member of an answer out.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"connectorvault/shared/openapi"
)

// Object is a JSON object.
type Object = map[string]any

// Document is the description of the API.
type Document struct {
	Root     Object
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// Operation is one method of one path.
type Operation struct {
	Key       string // as package route has it: "GET /v1/providers"
	ID        string
	Node      Object
	pointer   string
	ofThePath []any // parameters that all methods of the path have
}

// Example is a request and the answer that it must get.
type Example struct {
	Operation  Operation
	Name       string // "" of an operation that answers with nothing to compare
	Parameters map[string]any
	Body       any // nil: none
	Status     int
	Type       string // of the answer's content; "" of none
	Answer     any
	Schema     string // of the answer, as Validate takes it
}

// methods are those that a path can have.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

const resource = "mem:///openapi.json"

// Read reads the document that the function serves.
func Read() (*Document, error) {
	var root, strict Object
	for _, into := range []*Object{&root, &strict} {
		var node any
		if err := yaml.Unmarshal(openapi.Document(), &node); err != nil {
			return nil, err
		}
		text, err := json.Marshal(node) // so that its values are those of JSON
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, err
		}
	}
	d := &Document{Root: root, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	d.compiler.AssertFormat()
	tighten(strict, strict["components"].(Object)["schemas"].(Object))
	return d, d.compiler.AddResource(resource, strict)
}

// tighten lets objects have the members that are described and no others.
func tighten(node any, schemas Object) {
	switch n := node.(type) {
	case []any:
		for _, item := range n {
			tighten(item, schemas)
		}
	case Object:
		if parts, ok := n["allOf"].([]any); ok {
			merge(n, parts, schemas)
		}
		_, open := n["additionalProperties"]
		if _, described := n["properties"].(Object); described && !open && n["type"] != nil {
			n["additionalProperties"] = false
		}
		for _, child := range n {
			tighten(child, schemas)
		}
	}
}

// merge makes one schema of several that hold together, none of which could be strict alone.
func merge(into Object, parts []any, schemas Object) {
	properties, required := Object{}, []any{}
	for _, p := range parts {
		part, _ := p.(Object)
		if ref, ok := part["$ref"].(string); ok {
			part, _ = schemas[ref[strings.LastIndex(ref, "/")+1:]].(Object)
		}
		named, _ := part["properties"].(Object)
		maps.Copy(properties, named)
		needed, _ := part["required"].([]any)
		required = append(required, needed...)
	}
	delete(into, "allOf")
	into["type"], into["properties"], into["required"] = "object", properties, required
}

// Resolve follows references; what is none stays.
func (d *Document) Resolve(node any) Object {
	n, _ := node.(Object)
	for range 10 {
		ref, ok := n["$ref"].(string)
		if !ok {
			return n
		}
		var at any = d.Root
		for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			at = at.(Object)[unescape.Replace(name)]
		}
		n, _ = at.(Object)
	}
	return n
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// Components are the shared parts of a kind, such as "schemas".
func (d *Document) Components(kind string) Object {
	c, _ := d.Root["components"].(Object)
	of, _ := c[kind].(Object)
	return of
}

// Operations lists the operations by their keys.
func (d *Document) Operations() map[string]Operation {
	out := map[string]Operation{}
	paths, _ := d.Root["paths"].(Object)
	for path, item := range paths {
		node, _ := item.(Object)
		shared, _ := node["parameters"].([]any)
		for _, method := range methods {
			operation, ok := node[method].(Object)
			if !ok {
				continue
			}
			id, _ := operation["operationId"].(string)
			o := Operation{Key: strings.ToUpper(method) + " " + path, ID: id, Node: operation, ofThePath: shared,
				pointer: "/paths/" + escape.Replace(path) + "/" + method}
			out[o.Key] = o
		}
	}
	return out
}

// Parameters lists an operation's parameters, those of its path too.
func (d *Document) Parameters(o Operation) []Object {
	own, _ := o.Node["parameters"].([]any)
	var out []Object
	for _, p := range slices.Concat(o.ofThePath, own) {
		out = append(out, d.Resolve(p))
	}
	return out
}

// Response is what an operation may answer with a status.
func (d *Document) Response(o Operation, status string) Object {
	responses, _ := o.Node["responses"].(Object)
	return d.Resolve(responses[status])
}

// Examples lists what an operation answers, and to what. Of answers that many operations share, see SharedExamples.
func (d *Document) Examples(o Operation) ([]Example, error) {
	var out []Example
	requests := examplesOf(o.Node, "requestBody", "application/json")
	used := map[string]bool{}
	responses, _ := o.Node["responses"].(Object)
	for _, code := range slices.Sorted(maps.Keys(responses)) {
		response, _ := responses[code].(Object)
		content, _ := response["content"].(Object)
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			found := examplesOf(response, "", kind)
			for _, name := range slices.Sorted(maps.Keys(found)) {
				e, err := d.example(o, code, found[name])
				if err != nil {
					return nil, fmt.Errorf("%s %s: %w", o.ID, name, err)
				}
				e.Name, e.Type = name, kind
				e.Schema = o.pointer + "/responses/" + code + "/content/" + escape.Replace(kind) + "/schema"
				if request, ok := requests[name]; ok {
					e.Body, used[name] = d.Resolve(request)["value"], true
				}
				out = append(out, e)
			}
		}
	}
	for name := range requests {
		if !used[name] {
			return nil, fmt.Errorf("%s: nothing is said of what %s is answered with", o.ID, name)
		}
	}
	if len(out) > 0 && !slices.Contains(slices.Collect(maps.Keys(responses)), "204") {
		return out, nil
	}
	for _, code := range slices.Sorted(maps.Keys(responses)) {
		if status, err := strconv.Atoi(code); err == nil && status < 400 {
			return append(out, Example{Operation: o, Status: status}), nil
		}
	}
	return nil, fmt.Errorf("%s never succeeds", o.ID)
}

func (d *Document) example(o Operation, code string, node any) (Example, error) {
	status, err := strconv.Atoi(code)
	if err != nil {
		return Example{}, fmt.Errorf("the status %s has an example", code)
	}
	resolved := d.Resolve(node)
	parameters, _ := resolved["x-parameters"].(Object)
	value, ok := resolved["value"]
	if !ok {
		return Example{}, fmt.Errorf("an example of %s has no value", code)
	}
	return Example{Operation: o, Status: status, Parameters: parameters, Answer: value}, nil
}

// SharedExample is one of an answer that many operations have.
type SharedExample struct {
	Response, Name, Type string
	Answer               any
	Schema               string
}

// SharedExamples lists them.
func (d *Document) SharedExamples() []SharedExample {
	var out []SharedExample
	responses := d.Components("responses")
	for _, response := range slices.Sorted(maps.Keys(responses)) {
		node, _ := responses[response].(Object)
		content, _ := node["content"].(Object)
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			found := examplesOf(node, "", kind)
			for _, name := range slices.Sorted(maps.Keys(found)) {
				out = append(out, SharedExample{Response: response, Name: name, Type: kind, Answer: d.Resolve(found[name])["value"],
					Schema: "/components/responses/" + response + "/content/" + escape.Replace(kind) + "/schema"})
			}
		}
	}
	return out
}

func examplesOf(node Object, under, kind string) Object {
	if under != "" {
		node, _ = node[under].(Object)
	}
	content, _ := node["content"].(Object)
	media, _ := content[kind].(Object)
	out, _ := media["examples"].(Object)
	return out
}

// RequestSchema is the schema of an operation's body, as Validate takes it.
func (o Operation) RequestSchema() string {
	return o.pointer + "/requestBody/content/application~1json/schema"
}

// Validate holds a value against the schema at a place of the document, and lets it have no member that is not there.
func (d *Document) Validate(pointer string, value any) error {
	schema := d.compiled[pointer]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile(resource + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer)); err != nil {
			return err
		}
		d.compiled[pointer] = schema
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(decoded)
}
