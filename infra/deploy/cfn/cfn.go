// Package cfn reads a template as CloudFormation does, once SAM has transformed it, for the test of the deployment.
//
// The argument: the stand-in for CloudFormation makes some kinds of resources and skips others without a word. So somebody else
// has to know what the template asks for: which resources stand under the given parameters, what their properties come to, and
// which must be there first. It is written against the language and not against the stand-in, so where the two disagree one of
// them is wrong, and a test says so.
//
// Package stack reads the same template before the transform, by names and without values. This one has values.
package cfn

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is a template with the values of its parameters.
type Template struct {
	Parameters map[string]any // values, the pseudo parameters too
	Conditions map[string]any
	Resources  map[string]Resource
	Outputs    map[string]Output

	raw map[string]any
}

// Resource is one resource as the template writes it.
type Resource struct {
	Type                string
	Properties          map[string]any
	Condition           string
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
	UpdatePolicy        map[string]any
	Raw                 map[string]any `json:"-"` // all of it
}

// Output is one output as the template writes it.
type Output struct {
	Condition, Description string
	Value                  any
}

// Parse reads a transformed template. given are parameters and pseudo parameters; what is not given has its default.
func Parse(text []byte, given map[string]string) (*Template, error) {
	t := &Template{Parameters: map[string]any{"AWS::NoValue": nil}}
	var in struct {
		Parameters map[string]struct {
			Type    string
			Default any
		}
		Conditions map[string]any
		Resources  map[string]map[string]any
		Outputs    map[string]Output
	}
	if err := decode(text, &in); err != nil {
		return nil, err
	}
	if err := decode(text, &t.raw); err != nil {
		return nil, err
	}
	for name, p := range in.Parameters {
		t.Parameters[name] = p.Default
	}
	for name, value := range given {
		p, declared := in.Parameters[name]
		if !declared && !strings.HasPrefix(name, "AWS::") {
			return nil, fmt.Errorf("the template has no parameter %s", name)
		}
		t.Parameters[name] = value
		if p.Type == "Number" {
			t.Parameters[name] = json.Number(value)
		}
	}
	for name := range in.Parameters {
		if t.Parameters[name] == nil {
			return nil, fmt.Errorf("the parameter %s has no value", name)
		}
	}
	t.Conditions, t.Outputs, t.Resources = in.Conditions, in.Outputs, map[string]Resource{}
	for id, raw := range in.Resources {
		r := Resource{Raw: raw}
		part, err := json.Marshal(raw)
		if err == nil {
			err = decode(part, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		t.Resources[id] = r
	}
	return t, nil
}

// decode keeps numbers as they are written.
func decode(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	return d.Decode(v)
}

// With is the template with other resources and without outputs, as text: what of it is carried out at once.
func (t *Template) With(resources map[string]map[string]any) ([]byte, error) {
	out := maps.Clone(t.raw)
	out["Resources"] = resources
	delete(out, "Outputs")
	return json.Marshal(out)
}

// Holds reports whether a condition is true; that without a name is.
func (t *Template) Holds(condition string) (bool, error) {
	if condition == "" {
		return true, nil
	}
	c, ok := t.Conditions[condition]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", condition)
	}
	return t.truth(c)
}

func (t *Template) truth(c any) (bool, error) {
	if m, _ := c.(map[string]any); len(m) == 1 && m["Condition"] != nil {
		return t.Holds(Text(m["Condition"]))
	}
	name, in, ok := function(c)
	if !ok {
		return false, fmt.Errorf("%v is no condition", c)
	}
	parts, _ := in.([]any)
	var truths []bool
	if name != "Fn::Equals" {
		for _, part := range parts {
			v, err := t.truth(part)
			if err != nil {
				return false, err
			}
			truths = append(truths, v)
		}
	}
	switch {
	case name == "Fn::Equals" && len(parts) == 2:
		var values [2]string
		for i, part := range parts {
			v, err := t.Resolve(part, nothing)
			if err != nil {
				return false, err
			}
			values[i] = Text(v)
		}
		return values[0] == values[1], nil
	case name == "Fn::Not" && len(truths) == 1:
		return !truths[0], nil
	case name == "Fn::And" && len(truths) > 1:
		return !slices.Contains(truths, false), nil
	case name == "Fn::Or" && len(truths) > 1:
		return slices.Contains(truths, true), nil
	}
	return false, fmt.Errorf("%v is no condition that is known here", c)
}

// nothing is what conditions may refer to beside parameters.
func nothing(id, _ string) (any, error) { return nil, fmt.Errorf("a condition refers to %s", id) }

// Stands reports whether a resource is there under the parameters.
func (t *Template) Stands(id string) (bool, error) { return t.Holds(t.Resources[id].Condition) }

// function takes an intrinsic function apart.
func function(v any) (name string, argument any, ok bool) {
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return "", nil, false
	}
	for name, argument = range m {
		if name == "Ref" || strings.HasPrefix(name, "Fn::") {
			return name, argument, true
		}
	}
	return "", nil, false
}

// Of is what a resource is to others: its Ref where attribute is empty, or an attribute.
type Of func(id, attribute string) (any, error)

// Resolve is what a value of the template comes to.
func (t *Template) Resolve(v any, of Of) (any, error) {
	out, _, err := t.resolve(v, of)
	return out, err
}

// resolve also says whether there is a value at all; NoValue is none.
func (t *Template) resolve(v any, of Of) (out any, there bool, err error) {
	if name, argument, ok := function(v); ok {
		return t.call(name, argument, of)
	}
	return members(v, func(member any) (any, bool, error) { return t.resolve(member, of) })
}

// members puts in the place of each member of a value what each says of it, and leaves out those of which there is nothing.
func members(v any, each func(member any) (out any, there bool, err error)) (any, bool, error) {
	switch v := v.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, member := range v {
			value, there, err := each(member)
			if err != nil {
				return nil, false, err
			}
			if there {
				made[key] = value
			}
		}
		return made, true, nil
	case []any:
		made := []any{}
		for _, member := range v {
			value, there, err := each(member)
			if err != nil {
				return nil, false, err
			}
			if there {
				made = append(made, value)
			}
		}
		return made, true, nil
	}
	return v, true, nil
}

func (t *Template) call(name string, argument any, of Of) (any, bool, error) {
	parts, _ := argument.([]any)
	switch name {
	case "Ref":
		id, _ := argument.(string)
		return t.refer(id, "", of)
	case "Fn::GetAtt":
		if text, ok := argument.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			return t.refer(id, attribute, of)
		}
		if len(parts) == 2 {
			return t.refer(Text(parts[0]), Text(parts[1]), of)
		}
	case "Fn::If":
		if len(parts) == 3 {
			holds, err := t.Holds(Text(parts[0]))
			if err != nil {
				return nil, false, err
			}
			if holds {
				return t.resolve(parts[1], of)
			}
			return t.resolve(parts[2], of)
		}
	case "Fn::Join":
		if len(parts) == 2 {
			v, err := t.Resolve(parts[1], of)
			if err != nil {
				return nil, false, err
			}
			var texts []string
			list, _ := v.([]any)
			for _, part := range list {
				texts = append(texts, Text(part))
			}
			return strings.Join(texts, Text(parts[0])), true, nil
		}
	case "Fn::Sub":
		text, own := "", map[string]any{}
		switch {
		case len(parts) == 2:
			text = Text(parts[0])
			own, _ = parts[1].(map[string]any)
		default:
			text, _ = argument.(string)
		}
		return t.substitute(text, own, of)
	}
	return nil, false, fmt.Errorf("%s of %v is not known here", name, argument)
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

func (t *Template) substitute(text string, own map[string]any, of Of) (any, bool, error) {
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		parts := placeholder.FindStringSubmatch(found)
		if parts[1] == "!" {
			return "${" + parts[2] + "}"
		}
		var value any
		var err error
		if mine, ok := own[parts[2]]; ok {
			value, err = t.Resolve(mine, of)
		} else {
			id, attribute, _ := strings.Cut(parts[2], ".")
			value, _, err = t.refer(id, attribute, of)
		}
		if err != nil {
			failed = err
		}
		return Text(value)
	})
	return out, true, failed
}

func (t *Template) refer(id, attribute string, of Of) (any, bool, error) {
	if value, ok := t.Parameters[id]; ok && attribute == "" {
		return value, id != "AWS::NoValue", nil
	}
	if _, ok := t.Resources[id]; !ok {
		return nil, false, fmt.Errorf("there is nothing called %s", id)
	}
	value, err := of(id, attribute)
	return value, true, err
}

// Text is a plain value as text, as it stands where a text is asked for.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// Needs lists the resources that one refers to, or names as such, under the parameters: what must be there before it is.
func (t *Template) Needs(id string) ([]string, error) {
	r := t.Resources[id]
	found := map[string]bool{}
	of := func(other, _ string) (any, error) {
		stands, err := t.Stands(other)
		if err == nil && !stands {
			err = fmt.Errorf("%s refers to %s, which is not there", id, other)
		}
		found[other] = true
		return "", err
	}
	for _, part := range []any{r.Properties, r.UpdatePolicy} {
		if m, _ := part.(map[string]any); m == nil {
			continue
		}
		if _, err := t.Resolve(part, of); err != nil {
			return nil, err
		}
	}
	switch named := r.DependsOn.(type) {
	case string:
		found[named] = true
	case []any:
		for _, other := range named {
			found[Text(other)] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Chosen is a value with what the parameters choose in the place of each Fn::If, and without what they choose no value for. All
// else is as it is written.
func (t *Template) Chosen(v any) (any, error) {
	out, _, err := t.chosen(v)
	return out, err
}

// chosen also says whether there is a value at all.
func (t *Template) chosen(v any) (out any, there bool, err error) {
	name, argument, _ := function(v)
	parts, _ := argument.([]any)
	switch {
	case name == "Ref" && argument == "AWS::NoValue":
		return nil, false, nil
	case name != "Fn::If" || len(parts) != 3:
		return members(v, t.chosen)
	}
	holds, err := t.Holds(Text(parts[0]))
	if err != nil {
		return nil, false, err
	}
	if holds {
		return t.chosen(parts[1])
	}
	return t.chosen(parts[2])
}

// Replace puts values in the place of references that known knows, and leaves all else as it is written.
func Replace(v any, known func(id, attribute string) (any, bool)) any {
	name, argument, ok := function(v)
	parts, _ := argument.([]any)
	switch {
	case ok && name == "Ref":
		if value, ok := known(Text(argument), ""); ok {
			return value
		}
		return v
	case ok && name == "Fn::GetAtt" && len(parts) == 2:
		if value, ok := known(Text(parts[0]), Text(parts[1])); ok {
			return value
		}
		return v
	case ok && name == "Fn::Sub" && len(parts) == 0:
		return map[string]any{name: placeholder.ReplaceAllStringFunc(Text(argument), func(found string) string {
			id, attribute, _ := strings.Cut(found[2:len(found)-1], ".")
			if value, ok := known(id, attribute); ok {
				return Text(value)
			}
			return found
		})}
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			out[key] = Replace(member, known)
		}
		return out
	case []any:
		out := []any{}
		for _, member := range v {
			out = append(out, Replace(member, known))
		}
		return out
	}
	return v
}
