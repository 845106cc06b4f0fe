package stack

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

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
