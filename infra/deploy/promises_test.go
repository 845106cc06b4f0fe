package deploy_test

import (
	"cmp"
	"encoding/base64"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"connectorvault/infra/deploy/cfn"
	"connectorvault/infra/stack"
)

// routesAreGuarded asks the API itself: every route of /v1 has the authorizer, each leads to an alias, and only pages are open.
func (s *standing) routesAreGuarded() {
	s.Helper()
	api := s.ref("Api")
	integrations := map[string]string{}
	for _, i := range list(s.call("apigatewayv2", "get_integrations", object{"ApiId": api})["Items"]) {
		integrations["integrations/"+cfn.Text(i["IntegrationId"])] = cfn.Text(i["IntegrationUri"])
	}
	routes := list(s.call("apigatewayv2", "get_routes", object{"ApiId": api})["Items"])
	if len(routes) < 40 {
		s.Errorf("there are %d routes", len(routes))
	}
	for _, r := range routes {
		_, path, _ := strings.Cut(cfn.Text(r["RouteKey"]), " ")
		guarded := r["AuthorizationType"] == "CUSTOM" && r["AuthorizerId"] == s.ref("Authorizer")
		open := r["AuthorizationType"] == "NONE" && r["AuthorizerId"] == nil
		if strings.HasPrefix(path, "/v1/") != guarded || guarded == open {
			s.Errorf("%s is guarded: %t, and open: %t", r["RouteKey"], guarded, open)
		}
		if uri := integrations[cfn.Text(r["Target"])]; !strings.HasSuffix(uri, ":live") {
			s.Errorf("%s leads to %q", r["RouteKey"], uri)
		}
	}
	uri := cfn.Text(s.call("apigatewayv2", "get_authorizer", object{"ApiId": api, "AuthorizerId": s.ref("Authorizer")})["AuthorizerUri"])
	if !strings.HasSuffix(uri, ":live/invocations") {
		s.Errorf("the authorizer is %s", uri)
	}
}

// aliasesAreInvoked: whoever invokes a function, and whoever is let, names its alias.
func (s *standing) aliasesAreInvoked() {
	s.Helper()
	looked := 0
	for id := range s.made {
		r := s.template.Resources[id]
		properties, err := s.template.Resolve(r.Properties, s.of)
		s.ok(err)
		p := properties.(object)
		var named []any
		switch r.Type {
		case "AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping":
			named = []any{p["FunctionName"]}
		case "AWS::Lambda::EventInvokeConfig":
			named = []any{":" + cfn.Text(p["Qualifier"])}
		case "AWS::ApiGatewayV2::Integration":
			named = []any{p["IntegrationUri"]}
		case "AWS::ApiGatewayV2::Authorizer":
			named = []any{strings.TrimSuffix(cfn.Text(p["AuthorizerUri"]), "/invocations")}
		case "AWS::Scheduler::Schedule":
			named = []any{part(p, "Target", "Arn")}
		case "AWS::Events::Rule":
			for _, target := range list(p["Targets"]) {
				named = append(named, target["Arn"])
			}
		case "AWS::IAM::Role":
			for _, policy := range list(p["Policies"]) {
				for _, statement := range list(part(policy, "PolicyDocument", "Statement")) {
					if statement["Action"] == "lambda:InvokeFunction" {
						named = append(named, statement["Resource"])
					}
				}
			}
		}
		looked += len(named)
		for _, name := range named {
			if !strings.HasSuffix(cfn.Text(name), ":live") {
				s.Errorf("%s names %v and not an alias", id, name)
			}
		}
	}
	if looked < 20 {
		s.Errorf("only %d names of functions were looked at", looked)
	}
}

// version is what an alias leads to.
type version struct{ Version, CodeSha256 string }

// published are the versions that the aliases lead to, by function.
func (s *standing) published() map[string]version {
	s.Helper()
	out := map[string]version{}
	for id := range s.made {
		if s.template.Resources[id].Type != "AWS::Lambda::Function" {
			continue
		}
		number := s.call("lambda", "get_alias", object{"FunctionName": s.ref(id), "Name": "live"})["FunctionVersion"]
		got := s.call("lambda", "get_function_configuration", object{"FunctionName": s.ref(id), "Qualifier": number})
		out[id] = version{cfn.Text(number), cfn.Text(got["CodeSha256"])}
	}
	return out
}

// publishedIsWhatRuns: what the aliases lead to is what was deployed last, program and configuration.
func (s *standing) publishedIsWhatRuns() {
	s.Helper()
	for id, v := range s.published() {
		latest := s.call("lambda", "get_function_configuration", object{"FunctionName": s.ref(id)})
		live := s.call("lambda", "get_function_configuration", object{"FunctionName": s.ref(id), "Qualifier": v.Version})
		for _, name := range []string{"CodeSha256", "Environment", "MemorySize", "Timeout", "Role", "Runtime", "Handler", "Description"} {
			if cfnText(latest[name]) != cfnText(live[name]) {
				s.Errorf("%s: what runs has the %s\n%s and not\n%s", id, name, cfnText(live[name]), cfnText(latest[name]))
			}
		}
	}
}

// environmentsAreThoseOfPackageStack: the tests that run the functions give them what package stack reads in the template.
func (s *standing) environmentsAreThoseOfPackageStack() {
	s.Helper()
	if s.name != stack.StackName {
		return // with other parameters, which package stack does not read
	}
	template, err := stack.Load(filepath.Join(root, "template.yaml"))
	s.ok(err)
	functions, err := template.Functions()
	s.ok(err)
	for folder, f := range functions {
		got, _ := part(s.call("lambda", "get_function_configuration", object{"FunctionName": s.ref(f.ID)}), "Environment", "Variables").(object)
		if len(got) != len(f.Environment) {
			s.Errorf("%s has %d variables, and package stack reads %d", folder, len(got), len(f.Environment))
		}
		for name, value := range f.Environment {
			if id, attribute, _ := strings.Cut(value, "."); template.Resources[id].Type != "" {
				switch {
				case s.made[id] == nil: // it is there under another parameter
					value = ""
				case attribute == "Alias":
					value = s.ref(id + "Aliaslive")
				default:
					v, err := s.of(id, attribute)
					s.ok(err)
					value = cfn.Text(v)
				}
			}
			parts := strings.Split(value, ",")
			for i, pair := range parts { // lists of name=queue
				if key, id, ok := strings.Cut(pair, "="); ok && s.made[id] != nil {
					parts[i] = key + "=" + s.ref(id)
				}
			}
			value = strings.Join(parts, ",")
			if got[name] != value {
				s.Errorf("%s finds %s=%v, and package stack says %s", folder, name, got[name], value)
			}
		}
	}
}

// policiesFit: IAM takes no more than 10,240 characters of policies within a role, spaces not counted. The names of a long stack
// and of AWS's longest Region are longer than here.
func (s *standing) policiesFit() {
	s.Helper()
	const most, longer = 10240, 12
	for id := range s.made {
		if s.template.Resources[id].Type != "AWS::IAM::Role" {
			continue
		}
		size := 0
		for _, p := range s.has(id, "AWS::IAM::Role", nil)["Policies"].([]any) {
			text := cfnText(part(p, "PolicyDocument"))
			size += len(text) + longer*strings.Count(text, "arn:")
		}
		if size > most {
			s.Errorf("the policies of %s have %d characters, and IAM takes %d", id, size, most)
		}
	}
	if n := len(s.template.Resources); n > 500 {
		s.Errorf("%d resources are more than CloudFormation takes", n)
	}
}

// outputs: each can be told, and leads to what there is.
func (s *standing) outputs() {
	s.Helper()
	domain := cfn.Text(s.template.Parameters["DomainName"])
	public := cmp.Or(domain, strings.TrimPrefix(s.made["Api"].attributes["ApiEndpoint"], "https://"))
	want := map[string]string{
		"PublicUrl": "https://" + public, "AmazonRedirectUri": "https://" + public + "/oauth/amazon/callback", "AmazonLoginUri": "https://" + public + "/oauth/amazon/login",
		"SageRedirectUri": "https://" + public + "/oauth/sage/callback", "TenantFunction": s.ref("TenantFunctionAliaslive"),
	}
	for name, o := range s.template.Outputs {
		holds, err := s.template.Holds(o.Condition)
		s.ok(err)
		if !holds {
			continue
		}
		value, err := s.template.Resolve(o.Value, s.of)
		s.ok(err)
		if text := cfn.Text(value); text == "" || o.Description == "" || want[name] != "" && want[name] != text {
			s.Errorf("the output %s is %q", name, text)
		}
		if name == "FirstKeyCommand" && (!strings.Contains(cfn.Text(value), s.ref("TenantFunctionAliaslive")) || strings.Contains(cfn.Text(value), "${")) {
			s.Errorf("the command is %s", value)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		s.Errorf("outputs are missing: %v", slices.Sorted(maps.Keys(want)))
	}
}

// digest is how Lambda names a program.
func digest(sum [32]byte) string { return base64.StdEncoding.EncodeToString(sum[:]) }
