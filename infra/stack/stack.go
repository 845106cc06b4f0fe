// Package stack reads the templates of the stack as data, for tests.
//
// The argument: the template says a second time what the code says first: the routes, the tables, the names of
// variables, and above all what each function may touch. Nothing at run time tells when the two part, until a request
// is denied in production. So the template is read the way CloudFormation reads it, as far as these questions need,
// and tests hold the code against it.
//
// Every condition of the template counts as false, which is what it is with the parameters' defaults, but for those that
// are true with them, and those that give a function more to do: what it may then touch is what is to be looked at.
package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is a template with its references resolved: Ref of a resource is its logical id, an attribute is
// "LogicalId.Attribute", a function's alias, which is what others invoke, is "LogicalId.Alias", a parameter is its default, or its
// name when it has none.
type Template struct {
	Resources  map[string]Resource
	Parameters map[string]Parameter
	Groups     []Group // of parameters, as consoles show them
}

// Parameter is what a deployment is told.
type Parameter struct {
	Type, Description, AllowedPattern, ConstraintDescription string
	Default                                                  any
	AllowedValues                                            []any
	MinValue, MaxValue                                       *float64
}

// Group is a group of parameters.
type Group struct{ Parameters []string }

// Takes says why CloudFormation would not take a value.
func (p Parameter) Takes(value string) error {
	pattern, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$") // a pattern is for the whole value
	if err != nil {
		return err
	}
	if p.AllowedPattern != "" && !pattern.MatchString(value) {
		return fmt.Errorf("%q is not %s", value, p.ConstraintDescription)
	}
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, func(v any) bool { return fmt.Sprint(v) == value }) {
		return fmt.Errorf("%q is none of %v", value, p.AllowedValues)
	}
	if p.Type != "Number" {
		return nil
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
		return fmt.Errorf("%q is no number, or out of its bounds", value)
	}
	return nil
}

// Resource is one resource of a template.
type Resource struct {
	Type       string
	Properties map[string]any
	Metadata   map[string]any
	Deletion   string // DeletionPolicy
	Condition  string
}

// What pseudo parameters are, here.
var pseudo = map[string]any{
	"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "111122223333", "AWS::StackName": StackName, "AWS::NoValue": nil,
}

// switchedOn are the conditions that count as true. Watched is true with the parameters' defaults.
var switchedOn = map[string]bool{"TakesSecrets": true, "Watched": true}

// StackName is what the stack is called, here.
const StackName = "vault"

// SecretARN is the ARN of a secret, with the six characters that Secrets Manager adds to each.
func SecretARN(name string) string {
	return "arn:aws:secretsmanager:eu-central-1:111122223333:secret:" + name + "-AbC123"
}

// Load reads a template.
func Load(path string) (*Template, error) { return LoadWith(path) }

// LoadWith reads a template in which these conditions count as true too.
func LoadWith(path string, conditions ...string) (*Template, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the caller is a test and names a file of the project
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := resolver{parameters: map[string]any{}, on: maps.Clone(switchedOn)}
	for _, name := range conditions {
		r.on[name] = true
	}
	declared := object(r.value(section(&document, "Parameters")))
	for name, p := range declared {
		r.parameters[name] = object(p)["Default"]
		if name == "StackName" { // what the stack gives to the one nested in it
			r.parameters[name] = StackName
		}
	}
	globals := object(object(r.value(section(&document, "Globals")))["Function"])
	t := &Template{Resources: map[string]Resource{}, Parameters: map[string]Parameter{}}
	if err := decode(declared, &t.Parameters); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	shown := object(object(r.value(section(&document, "Metadata")))["AWS::CloudFormation::Interface"])
	if err := decode(shown["ParameterGroups"], &t.Groups); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, raw := range object(r.value(section(&document, "Resources"))) {
		fields := object(raw)
		resource := Resource{Properties: object(fields["Properties"]), Metadata: object(fields["Metadata"])}
		resource.Type, _ = fields["Type"].(string)
		resource.Deletion, _ = fields["DeletionPolicy"].(string)
		resource.Condition, _ = fields["Condition"].(string)
		if resource.Type == "AWS::Serverless::Function" {
			resource.Properties = merge(globals, resource.Properties)
		}
		t.Resources[name] = resource
	}
	if len(t.Resources) == 0 {
		return nil, fmt.Errorf("%s has no resources", path)
	}
	return t, nil
}

func section(document *yaml.Node, name string) *yaml.Node {
	if len(document.Content) == 0 {
		return nil
	}
	top := document.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value == name {
			return top[i+1]
		}
	}
	return nil
}

// merge lays b over a, members of members too, as SAM lays a function over the globals.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range b {
		under, both := out[name].(map[string]any)
		over, alike := value.(map[string]any)
		if both && alike {
			value = merge(under, over)
		}
		out[name] = value
	}
	return out
}

type resolver struct {
	parameters map[string]any
	on         map[string]bool // conditions that count as true
}

// value turns a node into plain data.
func (r *resolver) value(n *yaml.Node) any {
	if n == nil {
		return nil
	}
	switch n.Tag {
	case "!Ref":
		return r.ref(n.Value)
	case "!GetAtt":
		return n.Value
	case "!Sub":
		return r.substitute(n.Value)
	case "!If":
		if r.on[n.Content[0].Value] {
			return r.value(n.Content[1])
		}
		return r.value(n.Content[2])
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = r.value(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range n.Content {
			if value := r.value(item); value != nil || item.Tag == "!!null" { // what is AWS::NoValue is not there
				out = append(out, value)
			}
		}
		return out
	default:
		var out any
		if err := n.Decode(&out); err != nil {
			return n.Value
		}
		return out
	}
}

func (r *resolver) ref(name string) any {
	if value, ok := pseudo[name]; ok {
		return value
	}
	if value := r.parameters[name]; value != nil {
		return value
	}
	return name
}

var placeholder = regexp.MustCompile(`\$\{[^}]+\}`)

func (r *resolver) substitute(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if literal, ok := strings.CutPrefix(found, "${!"); ok { // what is to stay as it is
			return "${" + literal
		}
		return fmt.Sprint(r.ref(found[2 : len(found)-1]))
	})
}

// Of lists the resources of a type, by logical id.
func (t *Template) Of(kind string) map[string]Resource {
	out := map[string]Resource{}
	for name, r := range t.Resources {
		if r.Type == kind {
			out[name] = r
		}
	}
	return out
}

// Decode copies a resource's properties into v, by the names that they have in JSON.
func (r Resource) Decode(v any) error { return decode(r.Properties, v) }

func decode(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
