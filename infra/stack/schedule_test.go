package stack_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
)

// schedule is a schedule as the template says it.
type schedule struct {
	Type       string
	Properties struct {
		ScheduleExpression, Input, RoleArn string
		FlexibleTimeWindow                 struct{ Mode string }
		RetryPolicy                        struct{ MaximumEventAgeInSeconds, MaximumRetryAttempts int }
		DeadLetterConfig                   struct{ Arn string }
	}
}

// Each schedule says one thing that is written out, to one function, with a role that may invoke this function alone; what it
// cannot hand over is kept. What a schedule cannot ask for, it cannot be made to.
func TestSchedulesAskForOneThingEach(t *testing.T) {
	t.Parallel()
	template := load(t)
	want := map[string]string{
		"PlannerFunction": `rate(1 minute) {"operation": "plan"} PlannerScheduleRole.Arn`,
		"RefreshFunction": `rate(1 minute) {"operation": "sweep_orphans"} RefreshScheduleRole.Arn`,
		"TenantFunction":  `rate(1 hour) {"operation": "finish"} TenantScheduleRole.Arn`,
	}
	got := map[string]string{}
	for id, r := range template.Of("AWS::Serverless::Function") {
		var in struct{ Events map[string]schedule }
		if err := r.Decode(&in); err != nil {
			t.Fatal(err)
		}
		for name, e := range in.Events {
			if e.Type == "Schedule" {
				t.Errorf("%s of %s is a rule, which needs a policy that lets EventBridge in", name, id)
			}
			if e.Type != "ScheduleV2" {
				continue
			}
			p := e.Properties
			got[id] += strings.Join([]string{p.ScheduleExpression, p.Input, p.RoleArn}, " ")
			if p.FlexibleTimeWindow.Mode != "OFF" || p.RetryPolicy.MaximumEventAgeInSeconds != 60 || p.DeadLetterConfig.Arn != "ScheduleDeadLetters.Arn" {
				t.Errorf("%s: %+v", id, p)
			}
			policies, _ := template.Resources[strings.TrimSuffix(p.RoleArn, ".Arn")].Properties["Policies"].([]any)
			statements := []any{map[string]any{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": id + ".Alias"},
				map[string]any{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "ScheduleDeadLetters.Arn"}}
			if len(policies) != 1 || !reflect.DeepEqual(policies[0].(map[string]any)["PolicyDocument"].(map[string]any)["Statement"], statements) {
				t.Errorf("the schedule of %s may %v", id, policies)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the schedules are %v", got)
	}
	if others := template.Of("AWS::Scheduler::Schedule"); len(others) != 0 {
		t.Errorf("there are other schedules: %v", others)
	}
}

// For each provider of the catalog the template has a queue of what is due, with what is set aside of it, a mapping to the token
// service, and a parameter that says how much may be done at once: and whoever must know of them does. Adding a provider to the
// catalog makes this test name what is missing.
func TestEveryProviderHasItsQueue(t *testing.T) {
	t.Parallel()
	template, alarms := load(t), loadFile(t, "infra/observability.yaml")
	all := functions(t)
	var mapped struct {
		Events map[string]struct {
			Type       string
			Properties struct {
				Queue                 string
				BatchSize             int
				FunctionResponseTypes []string
				ScalingConfig         struct{ MaximumConcurrency int }
			}
		}
	}
	if err := template.Resources["RefreshFunction"].Decode(&mapped); err != nil {
		t.Fatal(err)
	}
	names := catalog.New(catalog.Options{}).Names()
	for _, name := range names {
		title := strings.ToUpper(name[:1]) + name[1:]
		queue, dead := title+"DueQueue", title+"DueDeadLetters"
		for _, id := range []string{queue, dead} {
			if template.Resources[id].Type != "AWS::SQS::Queue" {
				t.Errorf("%s: there is no %s", name, id)
			}
		}
		m := mapped.Events[title+"Due"]
		most := m.Properties.ScalingConfig.MaximumConcurrency
		if m.Type != "SQS" || m.Properties.Queue != queue+".Arn" || m.Properties.BatchSize != 2 || most < 2 || most > 1000 {
			t.Errorf("%s: the token service gets %+v", name, m)
		}
		if got := pairs(all["planner"].Environment["CV_REFRESHES"])[name]; got != fmt.Sprint(most) {
			t.Errorf("%s: the planner counts with %s refreshes at once; there are %d", name, got, most)
		}
		for _, folder := range []string{"planner", "refresh"} {
			if got := pairs(all[folder].Environment["CV_QUEUES_DUE"])[name]; got != queue {
				t.Errorf("%s: %s knows the queue %q", name, folder, got)
			}
			// The token service sends what it could not revoke, where there is something to revoke.
			sends := folder == "planner" || revokes(t, name)
			if all[folder].Role.Allows("sqs:SendMessage", queue+".Arn") != sends {
				t.Errorf("%s: %s may send to %s: %t", name, folder, queue, !sends)
			}
			if all[folder].Role.Allows("sqs:ReceiveMessage", queue+".Arn") != (folder == "refresh") {
				t.Errorf("%s: who takes from %s is not the token service alone", name, queue)
			}
		}
		if !all["planner"].Role.Allows("sqs:GetQueueAttributes", queue+".Arn") {
			t.Errorf("%s: the planner may not ask %s how much it holds", name, queue)
		}
		for id, named := range map[string]any{"QueuesOnlyOverTLS": queue, "DueLateAlarm": queue, "DueDeadLettersAlarm": dead} {
			resource, ok := template.Resources[id]
			if !ok {
				resource = alarms.Resources[id]
			}
			if !slices.Contains(values(resource.Properties), named) {
				t.Errorf("%s: %s does not know of %s", name, id, named)
			}
		}
	}
	for variable, folder := range map[string]string{"CV_QUEUES_DUE": "planner", "CV_REFRESHES": "planner"} {
		if got := slices.Sorted(maps.Keys(pairs(all[folder].Environment[variable]))); !slices.Equal(got, names) {
			t.Errorf("%s is for %v; the catalog has %v", variable, got, names)
		}
	}
}

// revokes reports whether a provider can be told that a refresh token is not needed any more.
func revokes(t *testing.T, name string) bool {
	t.Helper()
	adapter, _ := catalog.New(catalog.Options{}).Adapter(name)
	source, ok := adapter.(provider.TokenSource)
	if !ok {
		t.Fatalf("%s has no token endpoint", name)
	}
	return source.TokenClient(record.Entry{}, provider.AppCredentials{}).RevokeURL != ""
}

// The planner can open nothing, and reads and writes nothing but what it plans with.
func TestThePlannerMayPlanAlone(t *testing.T) {
	t.Parallel()
	for _, grant := range functions(t)["planner"].Role.Grants() {
		action, resource, _ := strings.Cut(grant, " ")
		switch {
		case strings.HasPrefix(action, "logs:") && resource == "PlannerLogs.Arn":
		case action == "dynamodb:Query" && resource == "CredentialsTable.Arn/index/due":
		case (action == "sqs:SendMessage" || action == "sqs:GetQueueAttributes") && strings.HasSuffix(resource, "DueQueue.Arn"):
		default:
			t.Errorf("it may %s", grant)
		}
	}
}

// pairs reads a variable of the form "amazon=AmazonDueQueue,sage=…".
func pairs(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		out[name] = value
	}
	return out
}

// values are all values in v, however deep.
func values(v any) []any {
	switch v := v.(type) {
	case map[string]any:
		var out []any
		for _, item := range v {
			out = append(out, values(item)...)
		}
		return out
	case []any:
		var out []any
		for _, item := range v {
			out = append(out, values(item)...)
		}
		return out
	default:
		return []any{v}
	}
}
