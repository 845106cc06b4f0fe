package stack_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/stack"
	"connectorvault/shared/route"
)

// statement is one of a role's policies.
type statement struct {
	Effect, Action string
	Resource       any
}

func statements(t *testing.T, r stack.Resource) []statement {
	t.Helper()
	var in struct {
		ManagedPolicyArns []string
		Policies          []struct {
			PolicyDocument struct{ Statement []statement }
		}
	}
	if err := r.Decode(&in); err != nil {
		t.Fatalf("a statement has more than one action: %v", err)
	}
	if len(in.ManagedPolicyArns) > 0 {
		t.Errorf("policies of AWS's own: %v", in.ManagedPolicyArns)
	}
	var out []statement
	for _, p := range in.Policies {
		out = append(out, p.PolicyDocument.Statement...)
	}
	return out
}

// A right is added and taken by itself: one action a statement, in every role.
func TestEachStatementAllowsOneAction(t *testing.T) {
	t.Parallel()
	roles := load(t).Of("AWS::IAM::Role")
	if len(roles) < 10 {
		t.Errorf("there are %d roles", len(roles))
	}
	for id, r := range roles {
		seen := map[string]bool{}
		all := statements(t, r)
		if len(all) == 0 {
			t.Errorf("%s allows nothing", id)
		}
		for _, s := range all {
			key := s.Action + fmt.Sprint(s.Resource)
			if s.Effect != "Allow" || !strings.Contains(s.Action, ":") || strings.ContainsAny(s.Action, "*?") || s.Resource == nil || seen[key] {
				t.Errorf("%s: %+v", id, s)
			}
			seen[key] = true
		}
	}
}

// inSteps are the functions that requests of the API reach: those of the routes, and the authorizer.
func inSteps() []string {
	out := []string{"authorizer"}
	for _, r := range route.Table() {
		if !slices.Contains(out, string(r.Function)) {
			out = append(out, string(r.Function))
		}
	}
	slices.Sort(out)
	return out
}

// Requests move to a new version of these in steps, and alarms of that very version, and of the API, end the move. The others
// have no such steps. All are published, and by one name.
func TestRequestsMoveInSteps(t *testing.T) {
	t.Parallel()
	template := load(t)
	if got := template.Parameters["Deployments"].Default; got != "Canary10Percent5Minutes" {
		t.Errorf("by default, deployments are %v", got)
	}
	for name, f := range functions(t) {
		p := template.Resources[f.ID].Properties
		if p["AutoPublishAlias"] != "live" || p["AutoPublishAliasAllProperties"] != true {
			t.Errorf("%s is not published, or not with all that it is", name)
		}
		var steps map[string]any
		if slices.Contains(inSteps(), name) {
			steps = map[string]any{"Type": "Canary10Percent5Minutes", "Role": "DeploymentRole.Arn",
				"Alarms": []any{strings.TrimSuffix(f.ID, "Function") + "DeploymentAlarm", "ApiDeploymentAlarm"}}
		}
		if got, _ := p["DeploymentPreference"].(map[string]any); !reflect.DeepEqual(got, steps) {
			t.Errorf("%s is deployed by %v, and not by %v", name, got, steps)
		}
		if steps == nil {
			continue
		}
		alarm := template.Resources[strings.TrimSuffix(f.ID, "Function")+"DeploymentAlarm"]
		want := []any{map[string]any{"Name": "FunctionName", "Value": f.ID}, map[string]any{"Name": "Resource", "Value": f.ID + ":live"},
			map[string]any{"Name": "ExecutedVersion", "Value": f.ID + ".Version.Version"}}
		if alarm.Type != "AWS::CloudWatch::Alarm" || alarm.Properties["Namespace"] != "AWS/Lambda" || alarm.Properties["MetricName"] != "Errors" ||
			!reflect.DeepEqual(alarm.Properties["Dimensions"], want) || alarm.Properties["TreatMissingData"] != "notBreaching" {
			t.Errorf("%s: what ends its deployment is %v", name, alarm.Properties)
		}
	}
	if got := template.Resources["ApiDeploymentAlarm"].Properties; got["Namespace"] != "AWS/ApiGateway" || got["MetricName"] != "5xx" ||
		!reflect.DeepEqual(got["Dimensions"], []any{map[string]any{"Name": "ApiId", "Value": "Api"}}) {
		t.Errorf("the API's is %v", got)
	}
}

// Who deploys moves the aliases of these functions, and no other.
func TestTheDeploymentRoleMovesTheseAliasesAlone(t *testing.T) {
	t.Parallel()
	var direct, aliases, versions []any
	all := functions(t)
	for _, name := range inSteps() {
		direct = append(direct, all[name].ID+".Arn")
		aliases = append(aliases, all[name].ID+".Arn:live")
		versions = append(versions, all[name].ID+".Arn:*")
	}
	want := map[string][]any{"lambda:GetAlias": append(slices.Clone(direct), aliases...), "lambda:UpdateAlias": append(slices.Clone(direct), aliases...),
		"lambda:GetProvisionedConcurrencyConfig": versions, "cloudwatch:DescribeAlarms": {"*"}}
	r := load(t).Resources["DeploymentRole"]
	for _, s := range statements(t, r) {
		got, many := s.Resource.([]any)
		if !many {
			got = []any{s.Resource}
		}
		text := func(v any) string { return fmt.Sprint(v) }
		less := func(a, b any) int { return cmp.Compare(text(a), text(b)) }
		if slices.SortFunc(got, less); want[s.Action] != nil {
			slices.SortFunc(want[s.Action], less)
		}
		if !reflect.DeepEqual(got, want[s.Action]) {
			t.Errorf("%s on %v, and not on %v", s.Action, got, want[s.Action])
		}
		delete(want, s.Action)
	}
	if len(want) > 0 {
		t.Errorf("it lacks %v", slices.Sorted(maps.Keys(want)))
	}
	if trust := fmt.Sprint(r.Properties["AssumeRolePolicyDocument"]); !strings.Contains(trust, "codedeploy.amazonaws.com") || strings.Contains(trust, "*") {
		t.Errorf("it is for %s", trust)
	}
}

// Whoever deploys is told what each parameter is, and a value that cannot be meant is refused at once.
func TestParametersExplainThemselves(t *testing.T) {
	t.Parallel()
	template := load(t)
	var grouped []string
	for _, g := range template.Groups {
		grouped = append(grouped, g.Parameters...)
	}
	slices.Sort(grouped)
	if want := slices.Sorted(maps.Keys(template.Parameters)); !slices.Equal(grouped, want) {
		t.Errorf("the groups have %v, the parameters are %v", grouped, want)
	}
	operations, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range template.Parameters {
		if p.Description == "" || p.Default == nil {
			t.Errorf("%s has no description, or no default", name)
		}
		bounded := p.AllowedPattern != "" && p.ConstraintDescription != "" || len(p.AllowedValues) > 0 || p.Type == "Number" && p.MinValue != nil
		if p.Type != "String" && p.Type != "Number" || !bounded {
			t.Errorf("%s takes anything", name)
		}
		if p.AllowedPattern != "" && !strings.HasPrefix(p.AllowedPattern, "^") {
			t.Errorf("the pattern of %s looks at a part of the value", name)
		}
		if err := p.Takes(fmt.Sprint(p.Default)); err != nil {
			t.Errorf("the default of %s: %v", name, err)
		}
		if !strings.Contains(string(operations), "`"+name) {
			t.Errorf("docs/operations.md does not have %s", name)
		}
	}
}

func TestParametersRefuse(t *testing.T) {
	t.Parallel()
	parameters := load(t).Parameters
	for name, values := range map[string][]string{
		"DomainName": {"https://vault.example.com", "Vault.example.com", "vault", "vault.example.com/"}, "CertificateArn": {"arn:aws:iam::1:role/x", "x"},
		"HostedZoneId": {"/hostedzone/Z1", "z1"}, "AmazonSecretQueue": {"yes", ""}, "AlarmEmail": {"nobody", "a b@example.com", "a@b"}, "LogLevel": {"debug", "TRACE"},
		"Providers": {"", "amazon,", "amazon sage", "quickbooks"}, "LogRetentionDays": {"0", "91"}, "RequestsPerSecond": {"0", "-5", "many"}, "ReadConcurrency": {"-2"},
		"OidcIssuers": {"http://login.example.com", "https://a.example,", "login.example.com"}, "OidcTenant": {"t_1", "tenant"}, "OidcRoles": {"admins", "admins=root"},
		"Deployments": {"Canary", "allatonce", ""},
	} {
		for _, value := range values {
			if err := parameters[name].Takes(value); err == nil {
				t.Errorf("%s takes %q", name, value)
			}
		}
	}
	for name, value := range map[string]string{"DomainName": "vault.example.com", "AlarmEmail": "operations@example.com", "Providers": "amazon,sage", "ReadConcurrency": "0",
		"OidcIssuers": "https://login.example.com/realms/main,https://id.example.com", "OidcRoles": "vault-owner=owner,vault-reader=reader"} {
		if err := parameters[name].Takes(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// samconfig reads samconfig.toml as far as it is written: tables, and values that JSON would write the same way.
func samconfig(t *testing.T) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "samconfig.toml"))
	if err != nil {
		t.Fatal(err)
	}
	out, table, open := map[string]map[string]any{"": {}}, "", ""
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); open == "" && (line == "" || strings.HasPrefix(line, "#")) {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok && open == "" && strings.HasSuffix(name, "]") {
			table = strings.TrimSuffix(name, "]")
			out[table] = map[string]any{}
			continue
		}
		if open += line; strings.Count(open, "[") > strings.Count(open, "]") {
			continue
		}
		name, value, _ := strings.Cut(open, "=")
		var v any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(value, ",]", "]")), &v); err != nil {
			t.Fatalf("samconfig.toml: %s: %v", open, err)
		}
		out[table][strings.TrimSpace(name)], open = v, ""
	}
	return out
}

// A stage that is named on the command line finds all that it needs, and nothing that the template refuses.
func TestStages(t *testing.T) {
	t.Parallel()
	config := samconfig(t)
	parameters := load(t).Parameters
	names := map[any]string{}
	for _, stage := range []string{"default", "staging", "production"} {
		of := func(command string) map[string]any {
			table, ok := config[stage+"."+command+".parameters"]
			if !ok {
				t.Errorf("%s has no settings for %s", stage, command)
			}
			return table
		}
		name := of("global")["stack_name"]
		if other, taken := names[name]; taken || name == nil {
			t.Errorf("%s and %s are one stack", stage, other)
		}
		names[name] = stage
		if of("build")["cached"] != false || of("build")["use_container"] != nil {
			t.Errorf("%s is built from a cache, or in a container", stage)
		}
		if of("validate")["lint"] != true {
			t.Errorf("%s is not linted", stage)
		}
		deploy := of("deploy")
		if !reflect.DeepEqual(deploy["capabilities"], []any{"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}) || deploy["resolve_s3"] != true || of("package")["resolve_s3"] != true {
			t.Errorf("%s cannot be deployed: %v", stage, deploy)
		}
		if deploy["disable_rollback"] == true {
			t.Errorf("%s stays as it is when a deployment fails", stage)
		}
		if stage == "production" && deploy["confirm_changeset"] != true {
			t.Error("production changes without anybody looking")
		}
		given, _ := deploy["parameter_overrides"].([]any)
		if stage != "default" && len(given) == 0 {
			t.Errorf("%s has no parameters of its own", stage)
		}
		for _, g := range given {
			name, value, _ := strings.Cut(fmt.Sprint(g), "=")
			p, ok := parameters[name]
			if !ok {
				t.Errorf("%s sets %s, which the template does not know", stage, name)
				continue
			}
			if err := p.Takes(value); err != nil {
				t.Errorf("%s: %s: %v", stage, name, err)
			}
		}
	}
	for table := range config {
		if stage, _, _ := strings.Cut(table, "."); table != "" && !slices.Contains(slices.Collect(maps.Values(names)), stage) {
			t.Errorf("%s is of no stage", table)
		}
	}
	if text := fmt.Sprint(config); regexp.MustCompile(`(?i)secret=|token=|password|AKIA`).MatchString(text) {
		t.Error("samconfig.toml holds a secret")
	}
}
