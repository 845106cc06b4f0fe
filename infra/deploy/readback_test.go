package deploy_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"connectorvault/infra/deploy/cfn"
	"connectorvault/infra/stack"
)

// dropped are properties that moto does not keep, by kind. One that it begins to keep fails the test, and is then looked at like
// the others. What they must be is held by package stack's tests.
var dropped = map[string][]string{
	"AWS::CloudFormation::Stack":       {"TemplateURL", "Tags"},
	"AWS::CodeDeploy::DeploymentGroup": {"AlarmConfiguration"},
	"AWS::DynamoDB::Table":             {"SSESpecification"},
	"AWS::Events::Rule":                {"Description"},
	"AWS::Lambda::EventInvokeConfig":   {"Qualifier"},
	"AWS::Lambda::EventSourceMapping":  {"FunctionName"}, // the version that the alias leads to, instead of it
	"AWS::Lambda::Function":            {"Architectures", "LoggingConfig", "Tags"},
	"AWS::Lambda::Permission":          {"FunctionName"}, // the function, instead of its alias
	"AWS::Lambda::Version":             {"Description"},
}

// nothingElse fails the test when moto skips what is not listed, or makes what is.
func (s *standing) nothingElse() {
	s.Helper()
	probe := map[string]map[string]any{}
	for id := range s.made {
		r := s.template.Resources[id]
		if _, there := s.found[s.called(id)]; there == skipped[r.Type] {
			s.Errorf("%s, which is a %s, is made by moto: %t", id, r.Type, there)
		}
		if skipped[r.Type] {
			raw, _ := cfn.Replace(r.Raw, func(other, attribute string) (any, bool) {
				if s.made[other] == nil || s.template.Resources[other].Type == "" {
					return nil, false
				}
				value, err := s.of(other, attribute)
				return value, err == nil
			}).(map[string]any)
			delete(raw, "DependsOn")
			probe[id] = raw
		}
	}
	if s.nested == nil {
		return
	}
	for id := range s.nested.template.Resources {
		r := s.nested.template.Resources[id]
		stands, err := s.nested.template.Stands(id)
		s.ok(err)
		if _, there := s.nested.found[id]; there != (stands && !skipped[r.Type]) {
			s.Errorf("%s of the inner stack, which is a %s, is made by moto: %t", id, r.Type, there)
		}
	}
	// Those that are listed were made by calls; would moto have made them too?
	text, err := s.template.With(probe)
	s.ok(err)
	s.put("probe.json", text)
	name := s.name + "-probe"
	given := []object{}
	for parameter, value := range s.template.Parameters {
		if !strings.HasPrefix(parameter, "AWS::") {
			given = append(given, object{"ParameterKey": parameter, "ParameterValue": cfn.Text(value)})
		}
	}
	s.call("cloudformation", "create_stack", object{"StackName": name, "Parameters": given, "TemplateURL": "https://s3." + region + ".amazonaws.com/" + bucket + "/probe.json"})
	for _, r := range list(s.call("cloudformation", "describe_stack_resources", object{"StackName": name})["StackResources"]) {
		if r["ResourceType"] != nil { // it names what it skips, and nothing more
			s.Errorf("moto makes %s, which is listed as skipped: %s", r["ResourceType"], r["LogicalResourceId"])
		}
	}
	s.call("cloudformation", "delete_stack", object{"StackName": name})
}

// readBack holds what is there against the template's properties.
func (s *standing) readBack() {
	s.Helper()
	seen := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(s.made)) {
		r := s.template.Resources[id]
		properties, err := s.template.Resolve(r.Properties, s.of)
		s.ok(err)
		want, _ := properties.(object)
		got := s.has(id, r.Type, want)
		if got == nil {
			s.Errorf("%s is not looked at, which is a %s", id, r.Type)
		}
		seen[r.Type]++
		for name, value := range want {
			is := same(value, got[name])
			switch drops := slices.Contains(dropped[r.Type], name); {
			case drops && is:
				s.Errorf("%s: moto keeps %s now", id, name)
			case !drops && !is:
				s.Errorf("%s: %s is\n%s and not\n%s", id, name, cfnText(got[name]), cfnText(value))
			}
		}
	}
	if s.nested != nil {
		if len(seen) < 20 || seen["AWS::DynamoDB::Table"] < 4 || seen["AWS::ApiGatewayV2::Route"] < 40 {
			s.Errorf("few things were looked at: %v", seen)
		}
		s.nested.readBack()
	}
}

// same reports whether what is wanted is there: every member of objects, lists in any order, numbers and truths in any form.
func same(want, got any) bool {
	switch want := want.(type) {
	case object:
		if text, ok := got.(string); ok {
			_ = json.Unmarshal([]byte(text), &got) // policies are texts of their own
		}
		got, ok := got.(object)
		for name, value := range want {
			ok = ok && same(value, got[name])
		}
		return ok
	case []any:
		got, ok := got.([]any)
		if !ok {
			return false
		}
		left := slices.DeleteFunc(slices.Clone(got), func(v any) bool { return v == nil }) // moto leaves a place for NoValue
		if len(left) != len(want) {
			return false
		}
		for _, w := range want {
			at := slices.IndexFunc(left, func(g any) bool { return same(w, g) })
			if at < 0 {
				return false
			}
			left = slices.Delete(left, at, at+1)
		}
		return true
	}
	if w, err := strconv.ParseFloat(cfn.Text(want), 64); err == nil {
		g, err := strconv.ParseFloat(cfn.Text(got), 64)
		return err == nil && w == g
	}
	return strings.EqualFold(cfn.Text(want), cfn.Text(got)) && got != nil
}

// part is a member of a member.
func part(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(object)
		v = m[name]
	}
	return v
}

// has is what there is of a resource, by the names of the template's properties. want is only looked at for finding it.
func (s *standing) has(id, kind string, want object) object {
	s.Helper()
	ref := s.ref(id)
	switch kind {
	case "AWS::DynamoDB::Table":
		got := s.call("dynamodb", "describe_table", object{"TableName": ref})["Table"].(object)
		got["BillingMode"] = part(got, "BillingModeSummary", "BillingMode")
		got["SSESpecification"] = object{"SSEEnabled": part(got, "SSEDescription", "Status") == "ENABLED"}
		backups := s.call("dynamodb", "describe_continuous_backups", object{"TableName": ref})
		got["PointInTimeRecoverySpecification"] = object{"PointInTimeRecoveryEnabled": part(backups, "ContinuousBackupsDescription", "PointInTimeRecoveryDescription", "PointInTimeRecoveryStatus") == "ENABLED"}
		expiry := part(s.call("dynamodb", "describe_time_to_live", object{"TableName": ref}), "TimeToLiveDescription")
		got["TimeToLiveSpecification"] = object{"AttributeName": part(expiry, "AttributeName"), "Enabled": part(expiry, "TimeToLiveStatus") == "ENABLED"}
		if len(list(want["GlobalSecondaryIndexes"])) != len(list(got["GlobalSecondaryIndexes"])) {
			s.Errorf("%s has other indexes than it should", id)
		}
		return got
	case "AWS::SQS::Queue":
		return s.call("sqs", "get_queue_attributes", object{"QueueUrl": ref, "AttributeNames": []string{"All"}})["Attributes"].(object)
	case "AWS::SQS::QueuePolicy":
		got := object{"Queues": want["Queues"]}
		for _, queue := range want["Queues"].([]any) {
			policy := part(s.call("sqs", "get_queue_attributes", object{"QueueUrl": queue, "AttributeNames": []string{"Policy"}}), "Attributes", "Policy")
			if got["PolicyDocument"] == nil || same(want["PolicyDocument"], got["PolicyDocument"]) {
				got["PolicyDocument"] = policy
			}
		}
		return got
	case "AWS::IAM::Role":
		got := s.call("iam", "get_role", object{"RoleName": ref})["Role"].(object)
		policies := []any{}
		for _, name := range s.call("iam", "list_role_policies", object{"RoleName": ref})["PolicyNames"].([]any) {
			policies = append(policies, s.call("iam", "get_role_policy", object{"RoleName": ref, "PolicyName": name}))
		}
		got["Policies"] = policies
		if attached := s.call("iam", "list_attached_role_policies", object{"RoleName": ref})["AttachedPolicies"].([]any); len(attached) > 0 {
			s.Errorf("%s has policies that it was not given: %v", id, attached)
		}
		return got
	case "AWS::Lambda::Function":
		got := s.call("lambda", "get_function_configuration", object{"FunctionName": ref})
		got["ReservedConcurrentExecutions"] = s.call("lambda", "get_function_concurrency", object{"FunctionName": ref})["ReservedConcurrentExecutions"]
		if code := want["Code"].(object); got["CodeSha256"] == s.uploaded[cfn.Text(code["S3Key"])] {
			got["Code"] = code
		}
		tags := []any{}
		for name, value := range s.call("lambda", "list_tags", object{"Resource": got["FunctionArn"]})["Tags"].(object) {
			tags = append(tags, object{"Key": name, "Value": value})
		}
		got["Tags"] = tags
		return got
	case "AWS::Lambda::Version":
		got := s.call("lambda", "get_function_configuration", object{"FunctionName": want["FunctionName"], "Qualifier": s.made[id].attributes["Version"]})
		delete(got, "Description") // of the function
		return got
	case "AWS::Lambda::Alias":
		got := s.call("lambda", "get_alias", object{"FunctionName": want["FunctionName"], "Name": want["Name"]})
		got["FunctionName"] = strings.Split(cfn.Text(got["AliasArn"]), ":")[6]
		return got
	case "AWS::Lambda::EventInvokeConfig":
		got := s.call("lambda", "get_function_event_invoke_config", object{"FunctionName": want["FunctionName"], "Qualifier": want["Qualifier"]})
		parts := strings.Split(cfn.Text(got["FunctionArn"]), ":")
		got["FunctionName"], got["Qualifier"] = parts[6], parts[len(parts)-1]
		return got
	case "AWS::Lambda::EventSourceMapping":
		for _, got := range list(s.call("lambda", "list_event_source_mappings", object{"EventSourceArn": want["EventSourceArn"]})["EventSourceMappings"]) {
			got["FunctionName"] = got["FunctionArn"]
			return got
		}
	case "AWS::Lambda::Permission":
		arn := cfn.Text(want["FunctionName"])
		policy := s.call("lambda", "get_policy", object{"FunctionName": arn})["Policy"]
		var document object
		s.ok(json.Unmarshal([]byte(cfn.Text(policy)), &document))
		for _, statement := range list(document["Statement"]) {
			got := object{"Action": statement["Action"], "Principal": part(statement, "Principal", "Service"), "FunctionName": statement["Resource"]}
			for _, condition := range []string{"ArnLike", "StringEquals"} {
				if source := part(statement, "Condition", condition, "AWS:SourceArn"); source != nil {
					got["SourceArn"] = source
				}
			}
			if same(want["SourceArn"], got["SourceArn"]) {
				return got
			}
		}
		return object{"Policy": policy}
	case "AWS::Logs::LogGroup":
		for _, g := range list(s.call("logs", "describe_log_groups", object{"logGroupNamePrefix": ref})["logGroups"]) {
			if g["logGroupName"] == ref {
				return object{"LogGroupName": ref, "RetentionInDays": g["retentionInDays"]}
			}
		}
	case "AWS::Events::Rule":
		got := s.call("events", "describe_rule", object{"Name": ref})
		got["Targets"] = s.call("events", "list_targets_by_rule", object{"Rule": ref})["Targets"]
		delete(got, "Description")
		return got
	case "AWS::CloudFormation::Stack":
		parameters := object{}
		for _, p := range list(list(s.call("cloudformation", "describe_stacks", object{"StackName": ref})["Stacks"])[0]["Parameters"]) {
			parameters[cfn.Text(p["ParameterKey"])] = cmp.Or(cfn.Text(p["ParameterValue"]), "")
		}
		return object{"Parameters": parameters}
	case "AWS::Route53::RecordSet":
		for _, got := range list(s.call("route53", "list_resource_record_sets", object{"HostedZoneId": want["HostedZoneId"]})["ResourceRecordSets"]) {
			if strings.TrimSuffix(cfn.Text(got["Name"]), ".") == want["Name"] && got["Type"] == want["Type"] {
				got["Name"], got["HostedZoneId"] = want["Name"], want["HostedZoneId"]
				return got
			}
		}
	case "AWS::SNS::Topic":
		return s.call("sns", "get_topic_attributes", object{"TopicArn": ref})["Attributes"].(object)
	case "AWS::SNS::TopicPolicy":
		got := object{"Topics": want["Topics"]}
		for _, topic := range want["Topics"].([]any) {
			got["PolicyDocument"] = part(s.call("sns", "get_topic_attributes", object{"TopicArn": topic}), "Attributes", "Policy")
		}
		return got
	case "AWS::SNS::Subscription":
		for _, got := range list(s.call("sns", "list_subscriptions_by_topic", object{"TopicArn": want["TopicArn"]})["Subscriptions"]) {
			return got
		}
	case "AWS::CloudWatch::Alarm":
		for _, got := range list(s.call("cloudwatch", "describe_alarms", object{"AlarmNames": []string{ref}})["MetricAlarms"]) {
			return got
		}
	case "AWS::CloudWatch::Dashboard":
		got := s.call("cloudwatch", "get_dashboard", object{"DashboardName": ref})
		if !json.Valid([]byte(cfn.Text(got["DashboardBody"]))) {
			s.Errorf("%s is no JSON", id)
		}
		return got
	case "AWS::Logs::MetricFilter":
		for _, got := range list(s.call("logs", "describe_metric_filters", object{"logGroupName": want["LogGroupName"], "filterNamePrefix": ref})["metricFilters"]) {
			return upper(got).(object)
		}
	case "AWS::CodeDeploy::Application":
		return upper(s.call("codedeploy", "get_application", object{"applicationName": ref})["application"]).(object)
	case "AWS::CodeDeploy::DeploymentGroup":
		return upper(s.call("codedeploy", "get_deployment_group", object{"applicationName": want["ApplicationName"], "deploymentGroupName": ref})["deploymentGroupInfo"]).(object)
	case "AWS::Scheduler::Schedule":
		return s.call("scheduler", "get_schedule", object{"Name": ref})
	case "AWS::AppConfig::Application":
		return s.call("appconfig", "get_application", object{"ApplicationId": ref})
	case "AWS::AppConfig::ConfigurationProfile":
		return s.call("appconfig", "get_configuration_profile", object{"ApplicationId": want["ApplicationId"], "ConfigurationProfileId": ref})
	case "AWS::AppConfig::HostedConfigurationVersion":
		number, err := json.Number(ref).Int64()
		s.ok(err)
		return s.call("appconfig", "get_hosted_configuration_version", object{"ApplicationId": want["ApplicationId"], "ConfigurationProfileId": want["ConfigurationProfileId"], "VersionNumber": number})
	}
	return s.ofAPI(id, kind, want)
}

// ofAPI is has, for what the API is made of.
func (s *standing) ofAPI(id, kind string, want object) object {
	s.Helper()
	ref, api := s.ref(id), want["ApiId"]
	var got object
	switch strings.TrimPrefix(kind, "AWS::ApiGatewayV2::") {
	case "Api":
		return s.call("apigatewayv2", "get_api", object{"ApiId": ref})
	case "Authorizer":
		got = s.call("apigatewayv2", "get_authorizer", object{"ApiId": api, "AuthorizerId": ref})
	case "Integration":
		got = s.call("apigatewayv2", "get_integration", object{"ApiId": api, "IntegrationId": ref})
	case "Route":
		got = s.call("apigatewayv2", "get_route", object{"ApiId": api, "RouteId": ref})
	case "Stage":
		got = s.call("apigatewayv2", "get_stage", object{"ApiId": api, "StageName": ref})
	case "DomainName":
		return s.call("apigatewayv2", "get_domain_name", object{"DomainName": ref})
	case "ApiMapping":
		got = s.call("apigatewayv2", "get_api_mapping", object{"DomainName": want["DomainName"], "ApiMappingId": ref})
	default:
		return nil
	}
	got["ApiId"], got["DomainName"] = api, want["DomainName"]
	return got
}

// upper has the names of members as templates have them.
func upper(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, member := range v {
			out[strings.ToUpper(name[:1])+name[1:]] = upper(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, member := range v {
			out[i] = upper(member)
		}
		return out
	}
	return v
}

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
