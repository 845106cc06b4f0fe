// Package deploy_test deploys the template: SAM's own transform, moto's CloudFormation, and both of the stack's templates.
//
// The argument: a template that every linter likes may still not come up. A reference may lead nowhere, a condition take away
// what something else needs, a policy be larger than IAM takes, a parameter that is changed reach nobody. There is no AWS here to
// try it on, so it is tried on moto, which carries templates out, checks names and types as it goes, and can be asked afterwards
// what there is. What is asked is held against the template's own properties, and never against a copy of them.
//
// moto makes some kinds of resources and skips others without a word. Those are listed, with the version of moto that skips
// them: one that is skipped and not listed fails the test, and one that is listed and made does too. What is listed is made by
// calls of the services' own API, from the template's properties, when what it refers to is there; what refers to it is handed to
// moto only then. So the whole stack comes up step by step, in the order that CloudFormation would find.
//
// Nothing here proves that AWS takes the template. It needs moto_server and Python with aws-sam-translator and boto3, and is asked
// for: REQUIRE_ENGINES=1, as .ci/run deploy does.
package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/deploy/cfn"
)

// skipped are the kinds of resources that moto's CloudFormation does not make, as of this version of it.
const motoVersion = "5.2.1"

var skipped = map[string]bool{
	"AWS::ApiGatewayV2::Api": true, "AWS::ApiGatewayV2::ApiMapping": true, "AWS::ApiGatewayV2::Authorizer": true,
	"AWS::ApiGatewayV2::DomainName": true, "AWS::ApiGatewayV2::Integration": true, "AWS::ApiGatewayV2::Route": true, "AWS::ApiGatewayV2::Stage": true,
	"AWS::AppConfig::Application": true, "AWS::AppConfig::ConfigurationProfile": true, "AWS::AppConfig::HostedConfigurationVersion": true,
	"AWS::CloudWatch::Alarm": true, "AWS::CodeDeploy::Application": true, "AWS::CodeDeploy::DeploymentGroup": true,
	"AWS::Lambda::Alias": true, "AWS::Lambda::EventInvokeConfig": true, "AWS::Logs::MetricFilter": true, "AWS::Scheduler::Schedule": true,
	"AWS::SNS::Subscription": true, "AWS::SNS::TopicPolicy": true, "AWS::SQS::QueuePolicy": true,
}

// everything switches on whatever a parameter can.
var everything = map[string]string{
	"DomainName": "vault.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
	"AmazonSecretQueue": "true", "AlarmEmail": "operations@example.com", "LogLevel": "DEBUG", "LogRetentionDays": "30", "Providers": "amazon,clara",
	"OidcIssuers": "https://login.example.com/realms/main,https://id.example.com", "OidcAudience": "connector-vault", "OidcTenant": "t_1000000000000000",
	"OidcRoleClaim": "/realm_access/roles", "OidcRoles": "vault-owner=owner,vault-reader=reader", "OidcPersonalDataClaim": "personal_data",
	"OidcPersonalDataValue": "yes", "OidcConnectorsClaim": "connectors", "ReadConcurrency": "40", "RefreshConcurrency": "20",
	"RequestsPerSecond": "200", "RequestBurst": "400", "Deployments": "Linear10PercentEvery1Minute",
	"Tracing": "Active", "TracesEndpoint": "https://collector.example.com", "AmazonRefreshes": "40", "SageRefreshes": "2", "ClaraRefreshes": "10",
}

// TestTheTemplateIsDeployed deploys it as it comes, and with everything on.
func TestTheTemplateIsDeployed(t *testing.T) {
	b := newBed(t)
	for name, parameters := range map[string]map[string]string{"vault": nil, "everything": everything} {
		t.Run(name, func(t *testing.T) {
			if name == "everything" {
				parameters = maps.Clone(parameters)
				zone := b.in(t).call("route53", "create_hosted_zone", object{"Name": "example.com", "CallerReference": name})
				parameters["HostedZoneId"] = strings.TrimPrefix(cfn.Text(part(zone, "HostedZone", "Id")), "/hostedzone/")
			}
			s := b.in(t).deploy(name, "one", parameters)
			s.nothingElse()
			s.readBack()
			s.routesAreGuarded()
			s.aliasesAreInvoked()
			s.publishedIsWhatRuns()
			s.environmentsAreThoseOfPackageStack()
			s.policiesFit()
			s.outputs()
		})
	}
}

// A parameter that is changed, and a program that is, reach what runs: the alias moves to a version that has them.
func TestALaterDeploymentUpdates(t *testing.T) {
	b := newBed(t)
	s := b.in(t).deploy("later", "one", nil)
	before := s.published()

	s.update("two", nil) // other programs
	second := s.published()
	for id, version := range second {
		if before[id].Version == version.Version || version.CodeSha256 == before[id].CodeSha256 {
			t.Errorf("the alias of %s stayed at version %s when its program changed", id, version.Version)
		}
	}
	s.publishedIsWhatRuns()

	for _, parameters := range []map[string]string{{"LogLevel": "WARN"}, {"LogLevel": "WARN", "AmazonSecretQueue": "true"}} {
		was := s.published()
		s.update("two", parameters)
		for id, version := range s.published() {
			if version.Version == was[id].Version {
				t.Errorf("%v: the alias of %s stayed at version %s", parameters, id, version.Version)
			}
		}
		s.publishedIsWhatRuns()
	}
	s.readBack()
	// Going back is one command, while the version before is there.
	id := "AdminFunction"
	s.call("lambda", "update_alias", object{"FunctionName": s.ref(id), "Name": "live", "FunctionVersion": before[id].Version})
	if got := s.published()[id]; got != before[id] {
		t.Errorf("the alias went back to %v and not to %v", got, before[id])
	}
}

// What may hold the only copy of something stays when the stack is deleted; nothing else does.
func TestADeletedStackLeavesWhatIsRetained(t *testing.T) {
	b := newBed(t)
	s := b.in(t).deploy("deleted", "one", map[string]string{"AmazonSecretQueue": "true"})
	s.call("cloudformation", "delete_stack", object{"StackName": s.name})
	queues := fmt.Sprint(s.call("sqs", "list_queues", object{"QueueNamePrefix": s.name + "-"}))
	tables := fmt.Sprint(s.call("dynamodb", "list_tables", object{}))
	kept := 0
	for id, r := range s.template.Resources {
		all := map[string]string{"AWS::SQS::Queue": queues, "AWS::DynamoDB::Table": tables}[r.Type]
		stands, err := s.template.Stands(id)
		if err != nil || !stands || all == "" {
			continue
		}
		name := s.ref(id)[strings.LastIndex(s.ref(id), "/")+1:]
		if is, want := strings.Contains(all, name), r.DeletionPolicy == "Retain"; is != want {
			t.Errorf("%s is there after the stack was deleted: %t", id, is)
		}
		if r.DeletionPolicy == "Retain" {
			kept++
			if r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s goes when it is replaced", id)
			}
		}
	}
	if kept < 6 {
		t.Errorf("only %d tables and queues are kept", kept)
	}
}

// What may be switched on or off by itself leaves nothing that refers to what is not there: each choice alone, and all but each.
func TestEveryChoiceStandsByItself(t *testing.T) {
	b := newBed(t)
	template := b.in(t).transformed("choices", "one", nil)
	defaults := maps.Clone(template.Parameters)
	all := maps.Clone(everything)
	all["HostedZoneId"] = "Z1EXAMPLE"
	try := func(what string, given map[string]string) {
		template.Parameters = maps.Clone(defaults)
		for name, value := range given {
			template.Parameters[name] = value
		}
		anything := func(id, _ string) (any, error) {
			stands, err := template.Stands(id)
			if err == nil && !stands {
				err = fmt.Errorf("%s is not there", id)
			}
			return "x", err
		}
		for id := range template.Resources {
			stands, err := template.Stands(id)
			if err == nil && stands {
				_, err = template.Needs(id)
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		for name, o := range template.Outputs {
			holds, err := template.Holds(o.Condition)
			if err == nil && holds {
				_, err = template.Resolve(o.Value, anything)
			}
			if err != nil {
				t.Errorf("%s: the output %s: %v", what, name, err)
			}
		}
	}
	for name, value := range all {
		try(name+" alone", map[string]string{name: value})
		others := maps.Clone(all)
		delete(others, name)
		try("all but "+name, others)
	}
}

// Whatever parameter shapes a function is in Settings: what is not reaches nobody, since only what changes there is published.
func TestSettingsHaveEveryParameterOfAFunction(t *testing.T) {
	b := newBed(t)
	template := b.in(t).transformed("settings", "one", nil)
	content := cfnText(template.Resources["Settings"].Properties["Content"])
	names := slices.Sorted(maps.Keys(template.Parameters))
	for id, r := range template.Resources {
		if r.Type != "AWS::Lambda::Function" {
			continue
		}
		properties := maps.Clone(r.Properties)
		for _, name := range []string{"ReservedConcurrentExecutions", "Tags", "Code"} { // of the function itself, and no version's
			delete(properties, name)
		}
		text := cfnText(properties)
		for condition, c := range template.Conditions {
			if strings.Contains(text, `["`+condition+`",`) {
				text += cfnText(c)
			}
		}
		for _, name := range names {
			uses := strings.Contains(text, `"`+name+`"`) || strings.Contains(text, "${"+name+"}")
			if uses && !strings.HasPrefix(name, "AWS::") && !strings.Contains(content, name+" ${"+name+"}") {
				t.Errorf("%s depends on %s, which Settings does not have", id, name)
			}
		}
		if !strings.Contains(cfnText(properties["Description"]), "${Settings}") {
			t.Errorf("%s does not change with Settings", id)
		}
		versions := 0
		for _, v := range template.Resources {
			if v.Type == "AWS::Lambda::Version" && cfnText(v.Properties["FunctionName"]) == `{"Ref":"`+id+`"}` {
				versions++
				if v.Properties["Description"] == nil || !strings.Contains(cfnText(v.Properties["Description"]), "${Settings}") {
					t.Errorf("the version of %s is not published anew with Settings", id)
				}
			}
		}
		if versions != 1 {
			t.Errorf("%s has %d versions", id, versions)
		}
	}
}

func cfnText(v any) string {
	text, _ := json.Marshal(v) // it was read from JSON
	return string(text)
}
