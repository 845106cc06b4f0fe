package deploy_test

import (
	"maps"
	"strings"

	"connectorvault/infra/deploy/cfn"
)

// changeable are the kinds that make changes too, or makes another of.
var changeable = map[string]bool{
	"AWS::AppConfig::HostedConfigurationVersion": true, "AWS::CloudWatch::Alarm": true, "AWS::Lambda::Alias": true,
	"AWS::Lambda::EventInvokeConfig": true, "AWS::Logs::MetricFilter": true, "AWS::Scheduler::Schedule": true,
	"AWS::SNS::TopicPolicy": true, "AWS::SQS::QueuePolicy": true,
}

// make makes a resource that moto's CloudFormation skips, by calls of its service, or changes the one that is there.
func (s *standing) make(id string) {
	s.Helper()
	r := s.template.Resources[id]
	resolved, err := s.template.Resolve(r.Properties, s.of)
	s.ok(err)
	p, _ := resolved.(object)
	before := s.made[id]
	if before != nil && cfnText(before.properties) == cfnText(p) {
		return
	}
	m := &thing{attributes: map[string]string{}, properties: maps.Clone(p)}
	s.made[id] = m
	if before != nil && !changeable[r.Type] {
		s.Fatalf("%s changes, which is a %s, and nobody knows how", id, r.Type)
	}
	// one is for services of which an answer has the id under a name.
	one := func(service, operation string, in any, name string) object {
		out := s.call(service, operation, in.(object))
		m.ref = cfn.Text(out[name])
		return out
	}
	name := s.name + "-" + id
	switch r.Type {
	case "AWS::ApiGatewayV2::Api":
		m.attributes["ApiEndpoint"] = cfn.Text(one("apigatewayv2", "create_api", p, "ApiId")["ApiEndpoint"])
	case "AWS::ApiGatewayV2::Authorizer":
		one("apigatewayv2", "create_authorizer", p, "AuthorizerId")
	case "AWS::ApiGatewayV2::Integration":
		one("apigatewayv2", "create_integration", p, "IntegrationId")
	case "AWS::ApiGatewayV2::Route":
		one("apigatewayv2", "create_route", p, "RouteId")
	case "AWS::ApiGatewayV2::Stage":
		one("apigatewayv2", "create_stage", p, "StageName")
	case "AWS::ApiGatewayV2::DomainName":
		one("apigatewayv2", "create_domain_name", p, "DomainName")
		// moto does not say where it would lead.
		m.attributes["RegionalDomainName"], m.attributes["RegionalHostedZoneId"] = "d-example.execute-api."+region+".amazonaws.com", "Z1EXAMPLE"
	case "AWS::ApiGatewayV2::ApiMapping":
		one("apigatewayv2", "create_api_mapping", p, "ApiMappingId")
	case "AWS::AppConfig::Application":
		one("appconfig", "create_application", p, "Id")
	case "AWS::AppConfig::ConfigurationProfile":
		one("appconfig", "create_configuration_profile", p, "Id")
	case "AWS::AppConfig::HostedConfigurationVersion": // what changes in it is another one
		one("appconfig", "create_hosted_configuration_version", p, "VersionNumber")
	case "AWS::CloudWatch::Alarm":
		s.call("cloudwatch", "put_metric_alarm", p)
		m.ref = cfn.Text(p["AlarmName"])
	case "AWS::CodeDeploy::Application":
		in := lower(p).(object)
		in["applicationName"], m.ref = name, name
		s.call("codedeploy", "create_application", in)
	case "AWS::CodeDeploy::DeploymentGroup":
		in := lower(p).(object)
		in["deploymentGroupName"], m.ref = name, name
		s.call("codedeploy", "create_deployment_group", in)
	case "AWS::Lambda::Alias":
		operation := "create_alias"
		if before != nil {
			operation = "update_alias"
		}
		one("lambda", operation, p, "AliasArn")
	case "AWS::Lambda::EventInvokeConfig":
		s.call("lambda", "put_function_event_invoke_config", p)
		m.ref = name
	case "AWS::Logs::MetricFilter":
		in := lower(p).(object)
		in["filterName"], m.ref = name, name
		s.call("logs", "put_metric_filter", in)
	case "AWS::Scheduler::Schedule":
		m.ref = cfn.Text(p["Name"])
		if !strings.HasPrefix(m.ref, s.name+"-") { // a second stack in the account would have the same
			s.Errorf("%s is called %q, which does not have the stack's name", id, m.ref)
		}
		operation := "create_schedule"
		if before != nil {
			operation = "update_schedule"
		}
		s.call("scheduler", operation, p)
	case "AWS::SNS::Subscription":
		one("sns", "subscribe", p, "SubscriptionArn")
	case "AWS::SNS::TopicPolicy":
		for _, topic := range p["Topics"].([]any) {
			s.call("sns", "set_topic_attributes", object{"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": cfnText(p["PolicyDocument"])})
		}
	case "AWS::SQS::QueuePolicy":
		for _, queue := range p["Queues"].([]any) {
			s.call("sqs", "set_queue_attributes", object{"QueueUrl": queue, "Attributes": object{"Policy": cfnText(p["PolicyDocument"])}})
		}
	default:
		s.Fatalf("%s is of the kind %s, which is listed as skipped, and nobody knows how to make it", id, r.Type)
	}
}

// complete does for a table what moto's CloudFormation leaves out of it: recovery to a point in time, and expiry.
func (s *standing) complete(id string) {
	s.Helper()
	p := s.template.Resources[id].Properties
	if recovery, ok := p["PointInTimeRecoverySpecification"]; ok {
		s.call("dynamodb", "update_continuous_backups", object{"TableName": s.ref(id), "PointInTimeRecoverySpecification": recovery})
	}
	if expiry, ok := p["TimeToLiveSpecification"]; ok && s.made[id].attributes["expires"] == "" {
		s.call("dynamodb", "update_time_to_live", object{"TableName": s.ref(id), "TimeToLiveSpecification": expiry})
		s.made[id].attributes["expires"] = strings.TrimSpace(cfnText(expiry))
	}
}
