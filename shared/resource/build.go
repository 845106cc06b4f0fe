package resource

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"connectorvault/shared/fault"
)

// Build returns the URL of one call: the base, the operation's path with its placeholders filled, and the query.
// Every parameter is checked first, because a provider's own words for a wrong one are rarely a sentence. A non-nil
// error is a *fault.Error that names the parameter.
func Build(op Operation, base string, params url.Values) (*url.URL, error) {
	if err := checkNames(op, params); err != nil {
		return nil, err
	}
	if err := checkPresence(op, params); err != nil {
		return nil, err
	}
	query, err := buildQuery(op, params)
	if err != nil {
		return nil, err
	}
	path, err := buildPath(op, params)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSuffix(base, "/") + path)
	if err != nil {
		return nil, fault.New(fault.Internal, "internal_error", "The address of an operation cannot be formed.")
	}
	// "+" for a space is a custom of HTML forms; "%20" is understood by every reader of a query.
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return u, nil
}

// WithDefaults returns params with what the operation sends when the caller says nothing. resolve answers for a
// default that begins with "$"; nil from it leaves the parameter out. What follows a page is left as it is: a token
// is good for the parameters that it came with, and a default such as a date would have moved on.
func WithDefaults(op Operation, params url.Values, resolve func(name string) []string) url.Values {
	out := clone(params)
	if hasToken(op, out) {
		return out
	}
	for _, f := range op.Filters {
		if f.Default == "" || f.In == InBody || out.Has(f.Name) || rivalGiven(op, params, f) {
			continue
		}
		values := f.defaults(resolve)
		if other, same := strings.CutPrefix(f.Default, "="); same {
			values = out[other]
		}
		if len(values) > 0 {
			out[f.Name] = values
		}
	}
	return out
}

// NextParams returns the parameters of the page after the one that params asked for. The token goes through verbatim.
func NextParams(op Operation, params url.Values, token string) url.Values {
	next := url.Values{}
	if !op.Paging.Alone {
		next = clone(params)
		for _, name := range op.Paging.Drop {
			next.Del(name)
		}
	}
	for name, value := range op.Paging.Add {
		next.Set(name, value)
	}
	next.Set(op.Paging.Param, token)
	return next
}

func (f Filter) defaults(resolve func(string) []string) []string {
	switch {
	case strings.HasPrefix(f.Default, "$"):
		return resolve(f.Default)
	case f.List == Single:
		return []string{f.Default}
	default:
		return strings.Split(f.Default, ",")
	}
}

// rivalGiven reports whether another filter of one of f's groups was given, or one that f's default yields to.
func rivalGiven(op Operation, params url.Values, f Filter) bool {
	given := func(name string) bool { return name != f.Name && params.Has(name) }
	for _, group := range op.OneOf {
		if slices.Contains(group, f.Name) && slices.ContainsFunc(group, given) {
			return true
		}
	}
	return slices.ContainsFunc(f.Yields, given)
}

func clone(params url.Values) url.Values {
	if params == nil {
		return url.Values{}
	}
	return maps.Clone(params)
}

func hasToken(op Operation, params url.Values) bool {
	return op.Paging.Param != "" && params.Get(op.Paging.Param) != ""
}

func checkNames(op Operation, params url.Values) error {
	known := []string{}
	for _, f := range op.Filters {
		if f.In != InBody {
			known = append(known, f.Name)
		}
	}
	inPath := placeholders(op.Path)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if slices.Contains(known, name) || slices.Contains(inPath, name) || op.Paging.owns(name) {
			continue
		}
		problem := invalid(name, fmt.Sprintf("%s has no filter %q.", op.ID, clip(name)))
		if len(known) == 0 {
			return problem.Do("Leave it out; this read takes no filters.")
		}
		return problem.Do("Leave it out, or use one of: " + strings.Join(known, ", ") + ".")
	}
	return nil
}

func (p Paging) owns(name string) bool {
	if name == "" {
		return false
	}
	_, added := p.Add[name]
	return name == p.Param || name == p.Size || added
}

// replaces reports whether a page that follows does without a filter, or with a value of paging's own.
func (p Paging) replaces(name string) bool {
	_, added := p.Add[name]
	return added || slices.Contains(p.Drop, name)
}

// checkPresence asks for what must be there. Beside a token it asks for less: a token that must be alone stands for
// everything else, and so does one for what it drops.
func checkPresence(op Operation, params url.Values) error {
	following := hasToken(op, params)
	if following && op.Paging.Alone {
		return nil
	}
	for _, f := range op.Filters {
		if !f.Required || f.In == InBody || params.Has(f.Name) || (following && op.Paging.replaces(f.Name)) {
			continue
		}
		return invalid(f.Name, fmt.Sprintf("%s needs %s.", op.ID, f.Name)).Do(f.ask())
	}
	if following {
		return nil
	}
	for _, group := range op.OneOf {
		given := 0
		for _, name := range group {
			if params.Has(name) {
				given++
			}
		}
		if given == 0 && len(group) == 1 {
			return invalid(group[0], fmt.Sprintf("%s needs %s.", op.ID, group[0])).Do("Give " + group[0] + ".")
		}
		if given != 1 {
			names := strings.Join(group, ", ")
			return invalid(group[0], fmt.Sprintf("%s needs exactly one of %s; %d were given.", op.ID, names, given)).
				Do("Give exactly one of: " + names + ".")
		}
	}
	return nil
}

func (f Filter) ask() string {
	switch {
	case len(f.Values) > 0:
		return "Give " + f.Name + " as one of: " + strings.Join(f.Values, ", ") + "."
	case f.Help != "":
		return "Give " + f.Name + ": " + f.Help
	default:
		return "Give " + f.Name + "."
	}
}

func buildQuery(op Operation, params url.Values) (url.Values, error) {
	query := url.Values{}
	if op.Paging.Alone && hasToken(op, params) {
		query.Set(op.Paging.Param, params.Get(op.Paging.Param))
		return query, nil
	}
	for _, f := range op.Filters {
		if f.In != InQuery || !params.Has(f.Name) {
			continue
		}
		if added, ok := op.Paging.Add[f.Name]; ok && hasToken(op, params) && params.Get(f.Name) == added {
			query.Set(f.Name, added) // a value of paging's own, which no caller may say
			continue
		}
		values, err := f.values(params[f.Name])
		if err != nil {
			return nil, err
		}
		if f.List == CSV {
			values = []string{strings.Join(values, ",")}
		}
		query[f.Name] = values
	}
	if size := op.Paging.Size; size != "" && params.Has(size) {
		if err := op.Paging.checkSize(params.Get(size)); err != nil {
			return nil, err
		}
		query.Set(size, params.Get(size))
	}
	for name, value := range op.Paging.Add {
		if hasToken(op, params) {
			query.Set(name, value)
		}
	}
	if hasToken(op, params) {
		query.Set(op.Paging.Param, params.Get(op.Paging.Param))
	}
	return query, nil
}

func (p Paging) checkSize(given string) error {
	n, err := strconv.Atoi(given)
	if err == nil && n >= 1 && (p.MaxSize == 0 || n <= p.MaxSize) {
		return nil
	}
	problem := invalid(p.Size, "The page size is not a whole number that this read takes.")
	if p.MaxSize == 0 {
		return problem.Do("Give a whole number from 1.")
	}
	return problem.Do(fmt.Sprintf("Give a whole number from 1 to %d.", p.MaxSize))
}

// values checks what was given for a filter and takes a comma separated list apart. Only CSV is taken apart: where
// the provider repeats the name, a value may hold a comma of its own.
func (f Filter) values(given []string) ([]string, error) {
	values := given
	if f.List == CSV {
		values = strings.Split(strings.Join(given, ","), ",")
	}
	if f.List == Single && len(values) > 1 {
		return nil, invalid(f.Name, f.Name+" was given more than once.").Do("Give it once.")
	}
	if f.Max > 0 && len(values) > f.Max {
		return nil, invalid(f.Name, fmt.Sprintf("%s has %d values and takes at most %d.", f.Name, len(values), f.Max)).
			Do(fmt.Sprintf("Ask in portions of at most %d.", f.Max))
	}
	for _, v := range values {
		if v == "" {
			return nil, invalid(f.Name, f.Name+" has an empty value.").Do("Give a value, or leave " + f.Name + " out.")
		}
		if len(f.Values) > 0 && !slices.Contains(f.Values, v) {
			return nil, invalid(f.Name, fmt.Sprintf("%s cannot be %q.", f.Name, clip(v))).
				Do("Use one of: " + strings.Join(f.Values, ", ") + ".")
		}
	}
	return values, nil
}

// steps reports whether a value, as the part of a path, leads away from where it stands.
func steps(value string) bool {
	parts := strings.FieldsFunc(value, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.Contains(parts, ".") || slices.Contains(parts, "..")
}

// buildPath fills the placeholders. Each value stays one segment: a slash in it is escaped, and a value that is a step
// ("." or "..") or has one between its slashes is refused, since servers take the step even when it is escaped, and then
// something else is read than what was asked for.
func buildPath(op Operation, params url.Values) (string, error) {
	path := op.Path
	for _, name := range placeholders(op.Path) {
		values := params[name]
		if len(values) != 1 || values[0] == "" {
			return "", invalid(name, fmt.Sprintf("%s needs exactly one %s.", op.ID, name)).Do("Give " + name + " once.")
		}
		if steps(values[0]) {
			return "", invalid(name, name+" is not an identifier.").Do("Give the identifier as the provider wrote it.")
		}
		if i := slices.IndexFunc(op.Filters, func(f Filter) bool { return f.Name == name }); i >= 0 {
			if _, err := op.Filters[i].values(values); err != nil {
				return "", err
			}
		}
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(values[0]), 1)
	}
	return path, nil
}

func placeholders(path string) []string {
	var names []string
	for _, part := range strings.Split(path, "{")[1:] {
		if name, _, closed := strings.Cut(part, "}"); closed {
			names = append(names, name)
		}
	}
	return names
}

// clip keeps a caller's own text short when it is said back.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(clip(field))
}
