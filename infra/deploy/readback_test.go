package deploy_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"connectorvault/infra/deploy/cfn"
)

// dropped are properties that moto does not keep, by kind. One that it begins to keep fails the test, and is then looked at like
// the others. What they must be is held by package stack's tests.
var dropped = map[string][]string{
	"AWS::CloudFormation::Stack":       {"TemplateURL", "Tags"},
	"AWS::CodeDeploy::DeploymentGroup": {"AlarmConfiguration"},
	"AWS::DynamoDB::Table":             {"SSESpecification"},
	"AWS::Events::Rule":                {"Description"},
	"AWS::KMS::Key":                    {"Description", "EnableKeyRotation", "KeyPolicy", "PendingWindowInDays"}, // it keeps the policy in a form that it cannot read itself, and so answers no question about the key
	"AWS::Lambda::EventInvokeConfig":   {"Qualifier"},
	"AWS::Lambda::EventSourceMapping":  {"FunctionName"}, // the version that the alias leads to, instead of it
	"AWS::Lambda::Function":            {"Architectures", "LoggingConfig", "Tags", "TracingConfig"},
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
	case "AWS::KMS::Key":
		return s.key(ref)
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
		if part(got, "TracingConfig", "Mode") == "PassThrough" { // which moto says of every function
			delete(got, "TracingConfig")
		}
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

// key is what moto says of a key of KMS.
func (s *standing) key(ref string) object {
	s.Helper()
	for _, key := range list(s.call("kms", "list_keys", object{})["Keys"]) {
		if key["KeyId"] == ref {
			return key
		}
	}
	s.Fatalf("there is no key %s", ref)
	return nil
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
