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

// Function is a Lambda function of the template.
type Function struct {
	ID                  string // logical
	Folder              string // under functions/
	Handler, Runtime    string
	Architectures       []string
	Timeout, MemorySize int
	Environment         map[string]string
	Role                Role
	LogGroup            string
}

// Functions lists the functions by the names of their folders.
func (t *Template) Functions() (map[string]Function, error) {
	out := map[string]Function{}
	for id, r := range t.Of("AWS::Serverless::Function") {
		var in struct {
			CodeURI                string `json:"CodeUri"`
			Handler, Runtime, Role string
			Architectures          []string
			Timeout, MemorySize    int
			Environment            struct{ Variables map[string]string }
			LoggingConfig          struct{ LogGroup string }
		}
		if err := r.Decode(&in); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		roleID, ok := strings.CutSuffix(in.Role, ".Arn")
		if !ok {
			return nil, fmt.Errorf("%s has no role of the template", id)
		}
		role, err := t.role(roleID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		folder := strings.TrimSuffix(strings.TrimPrefix(in.CodeURI, "functions/"), "/")
		if _, twice := out[folder]; twice {
			return nil, fmt.Errorf("two functions are built from %s: both would be the same program", in.CodeURI)
		}
		out[folder] = Function{ID: id, Folder: folder, Handler: in.Handler, Runtime: in.Runtime, Architectures: in.Architectures, Timeout: in.Timeout,
			MemorySize: in.MemorySize, Environment: in.Environment.Variables, Role: role, LogGroup: in.LoggingConfig.LogGroup}
	}
	return out, nil
}

// Role is what a function may do.
type Role struct {
	ID     string
	grants []grant
}

type grant struct{ actions, resources []string }

func (t *Template) role(id string) (Role, error) {
	var in struct {
		ManagedPolicyArns []string
		Policies          []struct {
			PolicyDocument struct {
				Statement []struct {
					Effect           string
					Action, Resource any
				}
			}
		}
	}
	if err := t.Resources[id].Decode(&in); err != nil {
		return Role{}, err
	}
	if len(in.ManagedPolicyArns) > 0 {
		return Role{}, fmt.Errorf("%s has managed policies, whose extent nobody here decides", id)
	}
	role := Role{ID: id}
	for _, p := range in.Policies {
		for _, s := range p.PolicyDocument.Statement {
			if s.Effect != "Allow" {
				return role, fmt.Errorf("%s has a statement that is not Allow, which is not read here", id)
			}
			role.grants = append(role.grants, grant{actions: list(s.Action), resources: list(s.Resource)})
		}
	}
	return role, nil
}

// Allows reports whether the role may do action on resource, as IAM matches them.
func (r Role) Allows(action, resource string) bool {
	fits := func(value string) func(string) bool {
		return func(pattern string) bool { return Matches(pattern, value) }
	}
	return slices.ContainsFunc(r.grants, func(g grant) bool {
		return slices.ContainsFunc(g.actions, fits(action)) && slices.ContainsFunc(g.resources, fits(resource))
	})
}

// Grants lists every pair of an action and a resource pattern that the role has.
func (r Role) Grants() []string {
	var out []string
	for _, g := range r.grants {
		for _, action := range g.actions {
			for _, resource := range g.resources {
				out = append(out, action+" "+resource)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Matches reports whether a pattern of IAM covers a value.
func Matches(pattern, value string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, ".*"), `\?`, ".")
	return regexp.MustCompile("^" + quoted + "$").MatchString(value)
}

// Route is a route of the HTTP API.
type Route struct {
	Key    string // "GET /v1/providers"
	Folder string // of the function that answers it
	Open   bool   // no authorizer stands before it
}

// Routes lists the routes, by key.
func (t *Template) Routes() (map[string]Route, error) {
	functions, err := t.Functions()
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for folder, f := range functions {
		folders[f.ID+".Alias"] = folder // and never the function itself, whose latest state nobody has let requests to
	}
	out := map[string]Route{}
	for id, r := range t.Of("AWS::ApiGatewayV2::Route") {
		var in struct {
			RouteKey, Target, AuthorizationType string
			AuthorizerID                        string `json:"AuthorizerId"`
		}
		if err := r.Decode(&in); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		integration := t.Resources[strings.TrimPrefix(in.Target, "integrations/")]
		target, _ := integration.Properties["IntegrationUri"].(string)
		route := Route{Key: in.RouteKey, Folder: folders[target]}
		switch {
		case in.AuthorizationType == "NONE" && in.AuthorizerID == "":
			route.Open = true
		case in.AuthorizationType != "CUSTOM" || t.Resources[in.AuthorizerID].Type != "AWS::ApiGatewayV2::Authorizer":
			return nil, fmt.Errorf("%s is neither open nor behind the authorizer", id)
		}
		if _, twice := out[route.Key]; twice {
			return nil, fmt.Errorf("%s is there twice", route.Key)
		}
		out[route.Key] = route
	}
	return out, nil
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, fmt.Sprint(item))
		}
		return out
	default:
		return nil
	}
}
