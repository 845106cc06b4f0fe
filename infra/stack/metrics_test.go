package stack_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/stack"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
)

// namespace is what the template calls the program's own metrics.
const namespace = "ConnectorVault/" + stack.StackName

// named is a metric of the program's own that an alarm or a widget names.
type named struct {
	by     string
	metric string
	values map[string]string // dimension → value; "" = all of them
}

func (n named) set() string {
	return metrictest.SetName(n.metric, slices.Collect(maps.Keys(n.values)))
}

// alarms lists what alarms name, those that calculate too.
func alarms(t *testing.T) []named {
	t.Helper()
	type stat struct {
		Namespace, MetricName string
		Dimensions            []struct{ Name, Value string }
	}
	var out []named
	for id, r := range loadFile(t, "infra/observability.yaml").Of("AWS::CloudWatch::Alarm") {
		var in struct {
			stat
			Metrics []struct {
				MetricStat struct{ Metric stat }
			}
		}
		if err := r.Decode(&in); err != nil {
			t.Fatal(err)
		}
		all := []stat{in.stat}
		for _, m := range in.Metrics {
			all = append(all, m.MetricStat.Metric)
		}
		for _, s := range all {
			if !strings.HasPrefix(s.Namespace, "ConnectorVault") {
				continue
			}
			if s.Namespace != namespace {
				t.Errorf("%s looks in %s", id, s.Namespace)
			}
			n := named{by: id, metric: s.MetricName, values: map[string]string{}}
			for _, d := range s.Dimensions {
				n.values[d.Name] = d.Value
			}
			out = append(out, n)
		}
	}
	return out
}

// A search for all metrics of a name under a set of dimensions.
var search = regexp.MustCompile(`^SEARCH\('\{"([^"]+)"([A-Za-z,]*)\} MetricName="([A-Za-z]+)"', '(Sum|Average|Maximum|p[0-9]+)', [0-9]+\)$`)

// widgets lists what the dashboard names.
func widgets(t *testing.T) []named {
	t.Helper()
	var out []named
	for _, r := range loadFile(t, "infra/observability.yaml").Of("AWS::CloudWatch::Dashboard") {
		var dashboard struct {
			Widgets []struct {
				X, Y, Width, Height int
				Properties          struct {
					Title   string
					Metrics [][]any
				}
			}
		}
		body, _ := r.Properties["DashboardBody"].(string)
		if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
			t.Fatalf("the dashboard is no JSON: %v", err)
		}
		places := map[[2]int]string{}
		for _, w := range dashboard.Widgets {
			if other, taken := places[[2]int{w.X, w.Y}]; taken {
				t.Errorf("%q lies over %q", w.Properties.Title, other)
			}
			places[[2]int{w.X, w.Y}] = w.Properties.Title
			last := []string{}
			for _, row := range w.Properties.Metrics {
				if expression, ok := expressionOf(row); ok {
					found := search.FindStringSubmatch(expression)
					if found == nil || found[1] != namespace {
						t.Errorf("%q searches for %s", w.Properties.Title, expression)
						continue
					}
					n := named{by: w.Properties.Title, metric: found[3], values: map[string]string{}}
					for _, name := range strings.Split(strings.Trim(found[2], ","), ",") {
						n.values[name] = ""
					}
					out = append(out, n)
					continue
				}
				if last = repeated(last, row); last[0] == namespace {
					n := named{by: w.Properties.Title, metric: last[1], values: map[string]string{}}
					for i := 2; i+1 < len(last); i += 2 {
						n.values[last[i]] = last[i+1]
					}
					out = append(out, n)
				}
			}
		}
	}
	return out
}

func expressionOf(row []any) (string, bool) {
	if len(row) != 1 {
		return "", false
	}
	options, _ := row[0].(map[string]any)
	text, ok := options["expression"].(string)
	return text, ok
}

// repeated writes a row out that says with dots what the one before it says.
func repeated(last []string, row []any) []string {
	var out []string
	for i, field := range row {
		switch text, ok := field.(string); {
		case !ok: // how it is drawn
		case text == ".":
			out = append(out, last[i])
		case text == "...":
			out = append(out, last[:len(last)-1]...)
			if i == len(row)-1 || !isText(row[i+1]) {
				out = append(out, last[len(last)-1])
			}
		default:
			out = append(out, text)
		}
	}
	return out
}

func isText(v any) bool { _, ok := v.(string); return ok }

// An alarm over a metric that nobody writes is silent for ever: name, set of dimensions and each value are the program's.
func TestAlarmsAndWidgetsNameWhatIsWritten(t *testing.T) {
	t.Parallel()
	definitions := map[string]metric.Definition{}
	for _, d := range metric.All() {
		definitions[d.Name] = d
	}
	sets := metrictest.Sets()
	over, drawn := alarms(t), widgets(t)
	if len(over) < 10 || len(drawn) < 15 {
		t.Errorf("only %d alarms and %d lines of the dashboard are over metrics: the search is broken", len(over), len(drawn))
	}
	for _, n := range append(over, drawn...) {
		if !slices.Contains(sets, n.set()) {
			t.Errorf("%s looks at %s, which is not written", n.by, n.set())
			continue
		}
		d := definitions[n.metric]
		values := map[string][]string{"Provider": {"amazon", "sage", "clara"}}
		for _, o := range d.Operations {
			values["Operation"] = append(values["Operation"], o.String())
		}
		for _, o := range d.Outcomes {
			values["Outcome"] = append(values["Outcome"], o.String())
		}
		for dimension, value := range n.values {
			if value != "" && !slices.Contains(values[dimension], value) {
				t.Errorf("%s looks at %s where %s is %q, which it never is", n.by, n.metric, dimension, value)
			}
		}
	}
	for _, n := range over {
		if slices.ContainsFunc(slices.Collect(maps.Values(n.values)), func(v string) bool { return v == "" }) {
			t.Errorf("%s names a dimension without a value", n.by)
		}
	}
}

// What nobody looks at is not worth its price.
func TestEverythingThatIsWrittenIsLookedAt(t *testing.T) {
	t.Parallel()
	looked := map[string]bool{}
	for _, n := range append(alarms(t), widgets(t)...) {
		looked[n.set()] = true
	}
	for _, set := range metrictest.Sets() {
		if !looked[set] {
			t.Errorf("%s is written and paid for, and neither an alarm nor the dashboard has it", set)
		}
	}
}

// Logs are for people: what is counted does not depend on how a message is worded.
func TestNothingIsCountedInLogs(t *testing.T) {
	t.Parallel()
	if found := loadFile(t, "infra/observability.yaml").Of("AWS::Logs::MetricFilter"); len(found) > 0 {
		t.Errorf("there are filters of logs: %v", slices.Collect(maps.Keys(found)))
	}
	for id, f := range functions(t) {
		if f.Environment["CV_METRICS_NAMESPACE"] != namespace {
			t.Errorf("%s counts in %q", id, f.Environment["CV_METRICS_NAMESPACE"])
		}
	}
}

func TestEveryAlarmSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for id, r := range loadFile(t, "infra/observability.yaml").Of("AWS::CloudWatch::Alarm") {
		if text, _ := r.Properties["AlarmDescription"].(string); len(text) < 20 {
			t.Errorf("%s says %q", id, text)
		}
	}
}

// Traces of Lambda are sent where an operator wants them, and only then may a function send any.
func TestTracesAreAsked(t *testing.T) {
	t.Parallel()
	sends := []string{"xray:PutTelemetryRecords *", "xray:PutTraceSegments *"}
	for _, conditions := range [][]string{nil, {"Traces"}} {
		template, err := stack.LoadWith(filepath.Join(root, "template.yaml"), conditions...)
		if err != nil {
			t.Fatal(err)
		}
		all, err := template.Functions()
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range all {
			var got []string
			for _, grant := range f.Role.Grants() {
				if strings.HasPrefix(grant, "xray:") {
					got = append(got, grant)
				}
			}
			if conditions == nil && len(got) > 0 || conditions != nil && !slices.Equal(got, sends) {
				t.Errorf("with %v, %s may %v", conditions, name, got)
			}
			if mode := template.Resources[f.ID].Properties["Tracing"]; mode != "PassThrough" {
				t.Errorf("without a word of the operator, %s traces: %v", name, mode)
			}
		}
	}
}
