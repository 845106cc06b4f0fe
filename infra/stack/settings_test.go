package stack_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// member is what a mapping has under a name; an empty node when it has nothing.
func member(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{}
}

var inText = regexp.MustCompile(`\$\{([A-Za-z0-9]+)[}.]`)

// refersTo collects what a part of a template refers to, but for the members of a mapping that are left out.
func refersTo(n *yaml.Node, into map[string]bool, but ...string) {
	switch {
	case n.Tag == "!Ref":
		into[n.Value] = true
	case n.Tag == "!Sub" && n.Kind == yaml.ScalarNode:
		for _, m := range inText.FindAllStringSubmatch(n.Value, -1) {
			into[m[1]] = true
		}
	case n.Tag == "!If":
		into["condition "+n.Content[0].Value] = true
	case n.Tag == "!Condition":
		into["condition "+n.Value] = true
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains(but, n.Content[i-1].Value) {
			continue
		}
		refersTo(c, into)
	}
}

// Whatever parameter shapes a version of a function is in Settings: only what changes there is published. The test of the template
// as SAM makes it (infra/deploy) says the same, where SAM is.
func TestSettingsHaveWhatShapesAVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	template := document.Content[0]
	resources, conditions := member(template, "Resources"), member(template, "Conditions")
	content := strings.Split(member(member(member(resources, "Settings"), "Properties"), "Content").Value, "\n")
	of := map[string]bool{}
	ofTheFunction := []string{"ReservedConcurrentExecutions", "Tags", "DeploymentPreference", "Events"} // itself, and no version's
	refersTo(member(member(template, "Globals"), "Function"), of, ofTheFunction...)
	functions := 0
	for i := 0; i+1 < len(resources.Content); i += 2 {
		if r := resources.Content[i+1]; member(r, "Type").Value == "AWS::Serverless::Function" {
			refersTo(member(r, "Properties"), of, ofTheFunction...)
			functions++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if condition, ok := strings.CutPrefix(name, "condition "); ok {
			refersTo(member(conditions, condition), of)
		}
	}
	parameters := load(t).Parameters
	shaping := 0
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if _, ok := parameters[name]; !ok {
			continue
		}
		shaping++
		if !slices.Contains(content, name+" ${"+name+"}") {
			t.Errorf("functions depend on %s, which Settings does not have: a deployment that changes it reaches nobody", name)
		}
	}
	if functions < 9 || shaping < 15 {
		t.Errorf("%d functions depend on %d parameters: the test sees too little", functions, shaping)
	}
}
