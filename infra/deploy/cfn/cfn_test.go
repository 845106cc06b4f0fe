package cfn_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/deploy/cfn"
)

const template = `{
 "Parameters": {"Name": {"Type": "String", "Default": ""}, "Most": {"Type": "Number", "Default": -1}},
 "Conditions": {
  "Named": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]},
  "Limited": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Most"}, -1]}]},
  "Both": {"Fn::And": [{"Condition": "Named"}, {"Condition": "Limited"}]},
  "Either": {"Fn::Or": [{"Condition": "Named"}, {"Condition": "Limited"}]}
 },
 "Resources": {
  "Queue": {"Type": "Q", "Condition": "Named", "DeletionPolicy": "Retain"},
  "Other": {"Type": "Q", "DependsOn": ["Last"]},
  "Last": {"Type": "Q", "DependsOn": "Other"},
  "Role": {"Type": "R", "UpdatePolicy": {"Group": {"Ref": "Other"}}, "Properties": {
   "List": [{"Ref": "AWS::NoValue"}, {"Fn::If": ["Named", {"Fn::GetAtt": ["Queue", "Arn"]}, {"Ref": "AWS::NoValue"}]}, "x"],
   "Most": {"Fn::If": ["Limited", {"Ref": "Most"}, {"Ref": "AWS::NoValue"}]},
   "Text": {"Fn::Sub": "${AWS::Region}/${Name}/${Other}/${Other.Arn}/${!Literal}"},
   "Own": {"Fn::Sub": ["${Mine}-${Name}", {"Mine": {"Ref": "Other"}}]},
   "Joined": {"Fn::Join": ["+", ["a", {"Ref": "Other"}]]}
  }}
 }
}`

func of(id, attribute string) (any, error) {
	if attribute == "" {
		return "the-" + id, nil
	}
	return "arn:" + id, nil
}

func parse(t *testing.T, given map[string]string) *cfn.Template {
	t.Helper()
	out, err := cfn.Parse([]byte(template), given)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]string
		want  string
	}{
		{map[string]string{"AWS::Region": "here"}, `{"Joined":"a+the-Other","List":["x"],"Own":"the-Other-","Text":"here//the-Other/arn:Other/${Literal}"}`},
		{map[string]string{"AWS::Region": "here", "Name": "n", "Most": "5"}, `{"Joined":"a+the-Other","List":["arn:Queue","x"],"Most":5,"Own":"the-Other-n","Text":"here/n/the-Other/arn:Other/${Literal}"}`},
	} {
		template := parse(t, c.given)
		got, err := template.Resolve(template.Resources["Role"].Properties, of)
		if text, _ := json.Marshal(got); err != nil || string(text) != c.want {
			t.Errorf("%v:\n%s %v\n%s", c.given, text, err, c.want)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]string
		want  string // Named, Limited, Both, Either, and whether the queue stands
	}{
		{nil, "[false false false false false]"},
		{map[string]string{"Name": "n"}, "[true false false true true]"},
		{map[string]string{"Most": "0"}, "[false true false true false]"},
		{map[string]string{"Name": "n", "Most": "0"}, "[true true true true true]"},
		{map[string]string{"Most": "-1"}, "[false false false false false]"},
	} {
		template := parse(t, c.given)
		var got []bool
		for _, name := range []string{"Named", "Limited", "Both", "Either"} {
			holds, err := template.Holds(name)
			if err != nil {
				t.Error(err)
			}
			got = append(got, holds)
		}
		stands, err := template.Stands("Queue")
		if got = append(got, stands); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v: %v %v", c.given, got, err)
		}
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"Role": "[Other Queue]", "Other": "[Last]", "Last": "[Other]", "Queue": "[]"} {
		if got, err := parse(t, map[string]string{"Name": "n", "AWS::Region": "here"}).Needs(id); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s needs %v %v", id, got, err)
		}
	}
	if got, err := parse(t, map[string]string{"AWS::Region": "here"}).Needs("Role"); err != nil || slices.Contains(got, "Queue") {
		t.Errorf("what does not stand is needed: %v %v", got, err)
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	for want, given := range map[string]map[string]string{
		`{"List":["x"]}`: nil,
		`{"List":[{"Fn::GetAtt":["Queue","Arn"]},"x"],"Most":{"Ref":"Most"}}`: {"Name": "n", "Most": "5"},
	} {
		template := parse(t, given)
		whole := template.Resources["Role"].Properties
		got, err := template.Chosen(map[string]any{"List": whole["List"], "Most": whole["Most"]})
		if text, _ := json.Marshal(got); err != nil || string(text) != want {
			t.Errorf("%v: %s, %v; want %s", given, text, err, want)
		}
	}
	template := parse(t, nil)
	if got, err := template.Chosen([]any{map[string]any{"Fn::If": []any{"None", "a", "b"}}}); err == nil {
		t.Errorf("a condition that there is not chooses %v", got)
	}
	if got, err := template.Chosen(template.Resources["Role"].Properties["Own"]); err != nil || fmt.Sprint(got) != fmt.Sprint(template.Resources["Role"].Properties["Own"]) {
		t.Errorf("another function becomes %v, %v", got, err)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	template := parse(t, nil)
	known := func(id, attribute string) (any, bool) {
		value, _ := of(id, attribute)
		return value, id == "Other"
	}
	text, _ := json.Marshal(cfn.Replace(template.Resources["Role"].Properties, known))
	for _, has := range []string{`"Fn::Sub":"${AWS::Region}/${Name}/the-Other/arn:Other/${!Literal}"`, `{"Fn::GetAtt":["Queue","Arn"]}`, `["a","the-Other"]`, `{"Ref":"Most"}`} {
		if !strings.Contains(string(text), has) {
			t.Errorf("%s is not in %s", has, text)
		}
	}
}

// What CloudFormation would refuse, and what is not known here, is an error.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := cfn.Parse([]byte(template), map[string]string{"Nmae": "n"}); err == nil {
		t.Error("a parameter that there is not is taken")
	}
	if _, err := cfn.Parse([]byte(`{"Parameters": {"Name": {"Type": "String"}}, "Resources": {}}`), nil); err == nil {
		t.Error("a parameter without a value is taken")
	}
	if _, err := cfn.Parse([]byte(`{`), nil); err == nil {
		t.Error("half a template is taken")
	}
	template := parse(t, nil)
	for _, text := range []string{
		`{"Ref": "Nobody"}`, `{"Fn::GetAtt": ["Nobody", "Arn"]}`, `{"Fn::Sub": "${Nobody}"}`, `{"Fn::Sub": ["${Mine}", {"Mine": {"Ref": "Nobody"}}]}`, `{"Fn::If": ["Nothing", 1, 2]}`,
		`{"Fn::Select": [0, ["a"]]}`, `{"Fn::If": ["Named", 1]}`, `{"Fn::Join": ["", {"Ref": "Nobody"}]}`, `[{"Ref": "Nobody"}]`,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if got, err := template.Resolve(v, of); err == nil {
			t.Errorf("%s is %v", text, got)
		}
	}
	for name, text := range map[string]string{"Odd": `{"Fn::Odd": []}`, "Plain": `"true"`, "Short": `{"Fn::Equals": [1]}`, "Inner": `{"Fn::Not": [{"Fn::Odd": []}]}`, "Resource": `{"Fn::Equals": [{"Ref": "Other"}, ""]}`} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		template.Conditions[name] = v
		if _, err := template.Holds(name); err == nil {
			t.Errorf("%s is a condition", text)
		}
	}
	// A reference to what does not stand is what CloudFormation ends a deployment for.
	template.Resources["Lost"] = cfn.Resource{Type: "R", Properties: map[string]any{"Arn": map[string]any{"Fn::GetAtt": []any{"Queue", "Arn"}}}}
	if needs, err := template.Needs("Lost"); err == nil {
		t.Errorf("it needs %v, which is not there", needs)
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	template := parse(t, nil)
	text, err := template.With(map[string]map[string]any{"Other": template.Resources["Other"].Raw})
	if err != nil || !strings.Contains(string(text), `"Resources":{"Other"`) || !strings.Contains(string(text), `"Parameters"`) {
		t.Errorf("%s %v", text, err)
	}
}
