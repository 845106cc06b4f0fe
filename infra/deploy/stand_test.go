package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"connectorvault/infra/deploy/cfn"
)

// standing is a stack that stands, or is being made.
type standing struct {
	*bed
	name     string
	template *cfn.Template
	nested   *standing // the stack in it
	stands   bool
	handed   map[string]map[string]any // what moto has of it, as it was handed over
	replaced map[string]int            // how often a resource gave way to another
	found    map[string]string         // what moto has made, by what it is called in its stack
	made     map[string]*thing
}

// thing is a resource that was made, by moto or by a call.
type thing struct {
	ref        string
	attributes map[string]string
	properties any // that it was made from, where it was made by a call
}

// transformed is a template as SAM makes it, with parameters.
func (b *bed) transformed(name, build string, parameters map[string]string) *cfn.Template {
	b.Helper()
	return b.read(filepath.Join(root, "template.yaml"), name, b.upload(build), parameters)
}

func (b *bed) read(path, name string, places, parameters map[string]string) *cfn.Template {
	b.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // a file of the project
	b.ok(err)
	if parameters == nil {
		parameters = map[string]string{}
	}
	var out json.RawMessage
	b.ask(object{"do": "transform", "template": string(text), "parameters": parameters, "places": places}, &out)
	given := maps.Clone(parameters)
	maps.Copy(given, map[string]string{"AWS::StackName": name, "AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"})
	template, err := cfn.Parse(out, given)
	b.ok(err)
	return template
}

// deploy makes a stack. Two of one name may not be.
func (b *bed) deploy(name, build string, parameters map[string]string) *standing {
	b.Helper()
	s := &standing{bed: b, name: name, made: map[string]*thing{}, handed: map[string]map[string]any{}, replaced: map[string]int{}}
	s.update(build, parameters)
	return s
}

// update deploys it again, with other programs or other parameters.
func (s *standing) update(build string, parameters map[string]string) {
	s.Helper()
	s.template = s.transformed(s.name, build, parameters)
	s.bring(parameters)
}

// bring has everything made that stands under the parameters, in the order of what needs what.
func (s *standing) bring(parameters map[string]string) {
	s.Helper()
	needs := map[string][]string{}
	for id := range s.template.Resources {
		stands, err := s.template.Stands(id)
		s.ok(err)
		if stands {
			needs[id], err = s.template.Needs(id)
			s.ok(err)
		}
	}
	done := map[string]bool{}
	for len(done) < len(needs) {
		var next []string
		for id, all := range needs {
			if !done[id] && !slices.ContainsFunc(all, func(other string) bool { return !done[other] }) {
				next = append(next, id)
			}
		}
		if len(next) == 0 {
			s.Fatalf("%d resources wait for each other", len(needs)-len(done))
		}
		slices.Sort(next)
		s.hand(next, parameters)
		for _, id := range next {
			if skipped[s.template.Resources[id].Type] {
				s.make(id)
			}
			done[id] = true
		}
	}
	// What is not there any more goes at the end, as it does on AWS.
	for id := range s.handed {
		if _, stands := needs[id]; !stands {
			delete(s.handed, id)
			delete(s.made, id)
		}
	}
	s.carryOut(parameters)
}

// hand gives moto those of some resources that it does not skip, if they are new or not as they were.
func (s *standing) hand(ids []string, parameters map[string]string) {
	s.Helper()
	changed := false
	for _, id := range ids {
		r := s.template.Resources[id]
		if skipped[r.Type] {
			continue
		}
		properties, err := s.template.Resolve(r.Properties, s.of)
		s.ok(err)
		var written any = r.Raw
		if r.Type == "AWS::IAM::Role" { // of a policy that a condition takes away, moto's update makes one that is nothing
			written, err = s.template.Chosen(written)
			s.ok(err)
		}
		raw, _ := cfn.Replace(written, s.known).(map[string]any)
		// moto looks at what is written and not at what it comes to, so what it comes to is written beside.
		raw["Metadata"] = object{"resolved": cfnText(properties)}
		was, there := s.handed[id]
		if there && cfnText(was) == cfnText(raw) {
			continue
		}
		if there && r.Type == "AWS::Lambda::Version" {
			s.replaced[id]++ // any property of it that changes means another one, and moto replaces nothing
		}
		if there && r.Type == "AWS::IAM::Role" {
			defer s.rewrite(id)
		}
		s.handed[id], changed = raw, true
	}
	if changed {
		s.carryOut(parameters)
	}
	for _, id := range ids {
		if !skipped[s.template.Resources[id].Type] {
			s.learn(id)
		}
	}
}

// rewrite gives a role the policies that it has now, which moto's CloudFormation leaves as they were.
func (s *standing) rewrite(id string) {
	s.Helper()
	properties, err := s.template.Resolve(s.template.Resources[id].Properties, s.of)
	s.ok(err)
	for _, p := range list(properties.(object)["Policies"]) {
		s.call("iam", "put_role_policy", object{"RoleName": s.ref(id), "PolicyName": p["PolicyName"], "PolicyDocument": cfnText(p["PolicyDocument"])})
	}
}

// known are the references to what moto does not make.
func (s *standing) known(id, attribute string) (any, bool) {
	if !skipped[s.template.Resources[id].Type] || s.made[id] == nil {
		return nil, false
	}
	value, err := s.of(id, attribute)
	s.ok(err)
	return value, true
}

// called is what a resource is called in moto's stack.
func (s *standing) called(id string) string {
	if n := s.replaced[id]; n > 0 {
		return fmt.Sprintf("%sReplaced%d", id, n)
	}
	return id
}

// carryOut makes or updates the stack in moto as far as it was handed over.
func (s *standing) carryOut(parameters map[string]string) {
	s.Helper()
	resources := map[string]map[string]any{}
	for id, raw := range s.handed {
		resources[s.called(id)] = raw
	}
	text, err := s.template.With(resources)
	s.ok(err)
	s.put(s.name+".json", text)
	given := []object{}
	for name, value := range parameters {
		given = append(given, object{"ParameterKey": name, "ParameterValue": value})
	}
	operation := "update_stack"
	if !s.stands {
		operation, s.stands = "create_stack", true
	}
	s.call("cloudformation", operation, object{"StackName": s.name, "Parameters": given, "Capabilities": []string{"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"},
		"TemplateURL": "https://s3." + region + ".amazonaws.com/" + bucket + "/" + s.name + ".json"})
	s.found = map[string]string{}
	for _, r := range list(s.call("cloudformation", "describe_stack_resources", object{"StackName": s.name})["StackResources"]) {
		s.found[cfn.Text(r["LogicalResourceId"])] = cfn.Text(r["PhysicalResourceId"])
	}
}

// learn takes down what moto called a resource.
func (s *standing) learn(id string) {
	s.Helper()
	physical, there := s.found[s.called(id)]
	if !there {
		s.Errorf("moto does not make %s, which is a %s", id, s.template.Resources[id].Type)
	}
	if s.made[id] == nil || s.made[id].ref != physical || s.template.Resources[id].Type == "AWS::Lambda::Version" {
		s.made[id] = &thing{ref: physical, attributes: map[string]string{}}
	}
	switch s.template.Resources[id].Type {
	case "AWS::CloudFormation::Stack":
		s.inner(id)
	case "AWS::Lambda::Version":
		// moto does not say which it made: the newest.
		newest := 0
		function := s.ref(strings.SplitN(id, "Version", 2)[0])
		for _, v := range list(s.call("lambda", "list_versions_by_function", object{"FunctionName": function})["Versions"]) {
			if n, err := strconv.Atoi(cfn.Text(v["Version"])); err == nil {
				newest = max(newest, n)
			}
		}
		s.made[id].attributes["Version"] = strconv.Itoa(newest)
	case "AWS::DynamoDB::Table":
		s.complete(id)
	}
}

// inner looks into the stack that is in this one. moto has made it whole, but for what it skips.
func (s *standing) inner(id string) {
	s.Helper()
	properties, err := s.template.Resolve(s.template.Resources[id].Properties, s.of)
	s.ok(err)
	parameters := map[string]string{}
	for name, value := range properties.(object)["Parameters"].(object) {
		parameters[name] = cfn.Text(value)
	}
	n := &standing{bed: s.bed, name: s.ref(id), stands: true, made: map[string]*thing{}, handed: map[string]map[string]any{}, replaced: map[string]int{}}
	n.template = s.read(filepath.Join(root, "infra", "observability.yaml"), n.name, nil, parameters)
	n.found = map[string]string{}
	for _, r := range list(s.call("cloudformation", "describe_stack_resources", object{"StackName": n.name})["StackResources"]) {
		n.found[cfn.Text(r["LogicalResourceId"])] = cfn.Text(r["PhysicalResourceId"])
	}
	var later []string
	for _, inner := range slices.Sorted(maps.Keys(n.template.Resources)) {
		stands, err := n.template.Stands(inner)
		s.ok(err)
		switch {
		case !stands:
		case skipped[n.template.Resources[inner].Type]:
			later = append(later, inner)
		default:
			n.handed[inner] = n.template.Resources[inner].Raw
			n.learn(inner)
		}
	}
	for _, inner := range later {
		n.make(inner)
	}
	for name, o := range n.template.Outputs {
		value, err := n.template.Resolve(o.Value, n.of)
		s.ok(err)
		s.made[id].attributes["Outputs."+name] = cfn.Text(value)
	}
	s.nested = n
}

// ref is what a resource is called in the account.
func (s *standing) ref(id string) string {
	s.Helper()
	if s.made[id] == nil {
		s.Fatalf("%s is not there", id)
	}
	return s.made[id].ref
}

// of implements cfn.Of. Attributes are asked for where the things themselves are.
func (s *standing) of(id, attribute string) (any, error) {
	m := s.made[id]
	if m == nil {
		return nil, fmt.Errorf("%s is not there yet", id)
	}
	if attribute == "" {
		return m.ref, nil
	}
	if value, ok := m.attributes[attribute]; ok {
		return value, nil
	}
	value := ""
	switch s.template.Resources[id].Type + "." + attribute {
	case "AWS::DynamoDB::Table.Arn":
		value = cfn.Text(s.call("dynamodb", "describe_table", object{"TableName": m.ref})["Table"].(object)["TableArn"])
	case "AWS::SQS::Queue.Arn":
		value = cfn.Text(s.call("sqs", "get_queue_attributes", object{"QueueUrl": m.ref, "AttributeNames": []string{"QueueArn"}})["Attributes"].(object)["QueueArn"])
	case "AWS::SQS::Queue.QueueName":
		value = m.ref[strings.LastIndex(m.ref, "/")+1:]
	case "AWS::KMS::Key.Arn":
		value = cfn.Text(s.key(m.ref)["KeyArn"])
	case "AWS::IAM::Role.Arn":
		value = cfn.Text(s.call("iam", "get_role", object{"RoleName": m.ref})["Role"].(object)["Arn"])
	case "AWS::Lambda::Function.Arn":
		value = cfn.Text(s.call("lambda", "get_function_configuration", object{"FunctionName": m.ref})["FunctionArn"])
	case "AWS::Events::Rule.Arn":
		value = cfn.Text(s.call("events", "describe_rule", object{"Name": m.ref})["Arn"])
	case "AWS::Logs::LogGroup.Arn":
		for _, g := range list(s.call("logs", "describe_log_groups", object{"logGroupNamePrefix": m.ref})["logGroups"]) {
			if g["logGroupName"] == m.ref {
				value = strings.TrimSuffix(cfn.Text(g["arn"]), ":*") // AWS has it in the attribute, and moto has not
			}
		}
	}
	if value == "" {
		return nil, fmt.Errorf("nobody knows %s.%s", id, attribute)
	}
	m.attributes[attribute] = value
	return value, nil
}

// list is a list of objects.
func list(v any) []object {
	var out []object
	all, _ := v.([]any)
	for _, item := range all {
		if m, ok := item.(object); ok {
			out = append(out, m)
		}
	}
	return out
}
