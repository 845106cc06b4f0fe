// Package metrictest reads lines of metrics as CloudWatch does, for tests.
//
// The argument: a line that CloudWatch cannot read is dropped without a word, and the alarm over it stays green for ever. So
// whoever tests what is counted reads it by the rules of the format and not by those of the writer: what a directive names must
// be there, a dimension as text and a value as a number, and within the limits that the format has.
package metrictest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/metric"
)

// Point is one value of one metric under one set of dimensions.
type Point struct {
	Namespace, Name, Unit string
	Dimensions            map[string]string
	Value                 float64
}

// Series names what CloudWatch keeps apart: "Reads Operation=list".
func (p Point) Series() string {
	out := p.Name
	for _, name := range slices.Sorted(maps.Keys(p.Dimensions)) {
		out += " " + name + "=" + p.Dimensions[name]
	}
	return out
}

// SetName names a metric with the names of a set of dimensions: "Reads [Operation]".
func SetName(name string, dimensions []string) string {
	return name + " [" + strings.Join(slices.Sorted(slices.Values(dimensions)), " ") + "]"
}

// Sets lists all metrics of the program with all their sets, by SetName.
func Sets() []string {
	var out []string
	for _, d := range metric.All() {
		for _, set := range d.Sets {
			var names []string
			for _, dimension := range set {
				names = append(names, string(dimension))
			}
			out = append(out, SetName(d.Name, names))
		}
	}
	return out
}

// The format's limits (Amazon's specification; aws facts 6.1).
const (
	maxDimensions = 30
	maxMetrics    = 100
	maxLine       = 1 << 20
	maxValue      = 1024
)

// units are those of CloudWatch that are used.
var units = []string{"Count", "Milliseconds", "Seconds"}

// Points reads what is metrics of a text of lines. Others are left out.
func Points(t testing.TB, text string) []Point {
	t.Helper()
	var out []Point
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"_aws"`) {
			out = append(out, points(t, line)...)
		}
	}
	return out
}

// Seen is Points by SetName, with how many there are.
func Seen(t testing.TB, text string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, p := range Points(t, text) {
		out[SetName(p.Name, slices.Collect(maps.Keys(p.Dimensions)))]++
	}
	return out
}

func points(t testing.TB, line string) []Point {
	t.Helper()
	var root map[string]any
	var head struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if json.Unmarshal([]byte(line), &root) != nil || json.Unmarshal([]byte(line), &head) != nil {
		t.Errorf("a line is no JSON: %.300s", line)
		return nil
	}
	if head.AWS.Timestamp <= 0 || len(head.AWS.CloudWatchMetrics) == 0 || len(line) > maxLine {
		t.Errorf("a line has no time, says nothing, or is too long: %.300s", line)
	}
	if root["level"] != nil {
		t.Errorf("a line has a level, by which it can be kept back: %.300s", line)
	}
	var out []Point
	for _, d := range head.AWS.CloudWatchMetrics {
		if d.Namespace == "" || len(d.Dimensions) == 0 || len(d.Metrics) == 0 || len(d.Metrics) > maxMetrics {
			t.Errorf("a directive says too little or too much: %.300s", line)
		}
		for _, m := range d.Metrics {
			value, ok := root[m.Name].(float64)
			if !ok || !slices.Contains(units, m.Unit) {
				t.Errorf("%s has no value, or no unit that is one: %.300s", m.Name, line)
			}
			for _, set := range d.Dimensions {
				out = append(out, Point{Namespace: d.Namespace, Name: m.Name, Unit: m.Unit, Value: value, Dimensions: dimensions(t, root, set)})
			}
		}
	}
	return out
}

// dimensions are the values of a set.
func dimensions(t testing.TB, root map[string]any, set []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if len(set) > maxDimensions {
		t.Errorf("a set has %d dimensions", len(set))
	}
	for _, name := range set {
		text, ok := root[name].(string)
		if !ok || text == "" || len(text) > maxValue {
			t.Errorf("the dimension %s is no short text: %v", name, root[name])
		}
		out[name] = text
	}
	return out
}
