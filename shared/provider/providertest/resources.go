package providertest

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

// ours are the parameters of our own API, which no filter may be called.
var ours = []string{"limit", "cursor", "personal_data", "item"}

var placeholder = regexp.MustCompile(`\{([^}]*)\}`)

func resources(t *testing.T, h Harness) {
	seen := map[string]bool{}
	for _, r := range h.Adapter.Descriptor().Resources {
		t.Run(r.Name, func(t *testing.T) {
			if !kebabShape.MatchString(r.Name) || seen[r.Name] {
				t.Error("the name is not in kebab case, or is there twice")
			}
			if found, _ := h.Adapter.Descriptor().Resource(r.Name); found.Name != r.Name {
				t.Errorf("under its name one finds %q", found.Name)
			}
			seen[r.Name] = true
			aliases(t, r, seen)
			if r.Title == "" || (r.List == nil && r.Item == nil) {
				t.Error("it has no title, or nothing can be read")
			}
			if r.List != nil {
				operation(t, h, *r.List, false)
			}
			if r.Item != nil {
				operation(t, h, *r.Item, true)
			}
			if r.Create != nil {
				creation(t, *r.Create)
			}
		})
	}
}

// aliases are names as others are, and lead to nothing else.
func aliases(t *testing.T, r resource.Resource, seen map[string]bool) {
	t.Helper()
	for _, name := range r.Aliases {
		if !kebabShape.MatchString(name) || seen[name] {
			t.Errorf("the alias %q is not in kebab case, or is a name already", name)
		}
		seen[name] = true
	}
}

// operations are all that read.
func operations(h Harness) []resource.Operation {
	var all []resource.Operation
	for _, r := range h.Adapter.Descriptor().Resources {
		for _, op := range []*resource.Operation{r.List, r.Item} {
			if op != nil {
				all = append(all, *op)
			}
		}
	}
	return all
}

func operation(t *testing.T, h Harness, op resource.Operation, item bool) {
	t.Helper()
	if op.Method != "" && op.Method != "GET" {
		t.Errorf("%s reads by %s", op.ID, op.Method)
	}
	if has := strings.Contains(op.Path, "{item}"); has != item {
		t.Errorf("%s: an item in the path: %t", op.ID, has)
	}
	for _, f := range op.Filters {
		if f.In == resource.InBody {
			t.Errorf("%s sends %s in a body", op.ID, f.Name)
		}
	}
	common(t, op)
	paging(t, op)
	personal(t, op)
	buildable(t, h, op)
}

func creation(t *testing.T, op resource.Operation) {
	t.Helper()
	if op.Method == "" || op.Method == "GET" {
		t.Errorf("%s asks for something by GET", op.ID)
	}
	common(t, op)
}

// common is what holds for every operation.
func common(t *testing.T, op resource.Operation) {
	t.Helper()
	if op.ID == "" || !strings.HasPrefix(op.Path, "/") || strings.ContainsAny(op.Path, "?# ") {
		t.Errorf("%q has no id, or its path %q is none", op.ID, op.Path)
	}
	if op.Rate < 0 || op.Burst < 0 || (op.Rate > 0) != (op.Burst > 0) {
		t.Errorf("%s has rate %v and burst %d", op.ID, op.Rate, op.Burst)
	}
	inPath := []string{}
	for _, m := range placeholder.FindAllStringSubmatch(op.Path, -1) {
		inPath = append(inPath, m[1])
	}
	var names []string
	for _, f := range op.Filters {
		if f.Name == "" || slices.Contains(names, f.Name) || slices.Contains(ours, f.Name) {
			t.Errorf("%s: the filter %q has no name, is there twice, or is called like a parameter of ours", op.ID, f.Name)
		}
		if (f.In == resource.InPath) != slices.Contains(inPath, f.Name) {
			t.Errorf("%s: %s is in the path, or is not", op.ID, f.Name)
		}
		filter(t, op, f, names)
		names = append(names, f.Name)
	}
	for _, name := range inPath {
		if name != "item" && !slices.Contains(names, name) {
			t.Errorf("%s: nothing fills {%s}", op.ID, name)
		}
	}
	for _, group := range op.OneOf {
		subset(t, op, "a group", group, names)
	}
	for _, f := range op.Filters {
		subset(t, op, "what "+f.Name+" yields to", f.Yields, names)
	}
}

func filter(t *testing.T, op resource.Operation, f resource.Filter, before []string) {
	t.Helper()
	if f.List == resource.Single && f.Max != 0 {
		t.Errorf("%s: %s is one value of at most %d", op.ID, f.Name, f.Max)
	}
	if other, same := strings.CutPrefix(f.Default, "="); same {
		subset(t, op, "the default of "+f.Name, []string{other}, before)
		return
	}
	if f.Default == "" || strings.HasPrefix(f.Default, "$") || len(f.Values) == 0 {
		return
	}
	values := []string{f.Default}
	if f.List != resource.Single {
		values = strings.Split(f.Default, ",")
	}
	subset(t, op, "the default of "+f.Name, values, f.Values)
}

func subset(t *testing.T, op resource.Operation, what string, some, all []string) {
	t.Helper()
	for _, s := range some {
		if !slices.Contains(all, s) {
			t.Errorf("%s: %s has %q, which is none of %v", op.ID, what, s, all)
		}
	}
}

func paging(t *testing.T, op resource.Operation) {
	t.Helper()
	p := op.Paging
	if (p.Param == "") != (p.Next == "") {
		t.Errorf("%s: the token comes from %q and goes to %q", op.ID, p.Next, p.Param)
	}
	if p.Param == "" && (p.Size != "" || p.Alone || len(p.Drop) > 0 || len(p.Add) > 0 || p.TokenTTL != 0) {
		t.Errorf("%s: there are no pages, yet %+v", op.ID, p)
	}
	var names []string
	for _, f := range op.Filters {
		names = append(names, f.Name)
		if f.Name == p.Param || f.Name == p.Size {
			t.Errorf("%s: %s is a filter and of paging", op.ID, f.Name)
		}
	}
	subset(t, op, "what paging drops", p.Drop, names)
}

func personal(t *testing.T, op resource.Operation) {
	t.Helper()
	for _, path := range op.Personal {
		for _, step := range strings.Split(path, ".") {
			if step == "" || strings.TrimSpace(step) != step {
				t.Errorf("%s: %q is no path", op.ID, path)
			}
		}
	}
	for name, values := range op.PersonalValues {
		i := slices.IndexFunc(op.Filters, func(f resource.Filter) bool { return f.Name == name })
		if i < 0 {
			t.Errorf("%s has no filter %s", op.ID, name)
			continue
		}
		if len(op.Filters[i].Values) > 0 {
			subset(t, op, "personal values of "+name, values, op.Filters[i].Values)
		}
	}
}

// buildable calls the operation on paper: with what is required, and what follows from an entry, it makes an address
// on the provider's own host, and so does the page after it.
func buildable(t *testing.T, h Harness, op resource.Operation) {
	t.Helper()
	reader, ok := h.Adapter.(provider.Reader)
	if !ok {
		return
	}
	for _, e := range normalized(t, h) {
		target := provider.Target{Entry: e, Account: h.Account}
		params := resource.WithDefaults(op, example(op), func(name string) []string { return reader.Resolve(name, target, now()) })
		base, err := url.Parse(reader.BaseURL(e))
		if err != nil {
			t.Fatal(err)
		}
		build := func(params url.Values) {
			u, err := resource.Build(op, base.String(), params)
			if err != nil {
				t.Errorf("%s cannot be called with %v: %v", op.ID, params, err)
			} else if u.Host != base.Host || strings.Contains(u.Path, "{") {
				t.Errorf("%s is called at %s", op.ID, u)
			}
		}
		build(params)
		if op.Paging.Param != "" {
			build(resource.NextParams(op, params, "token+/="))
		}
	}
}

// example gives a value to what is required and follows from nothing.
func example(op resource.Operation) url.Values {
	params := url.Values{}
	if strings.Contains(op.Path, "{item}") {
		params.Set("item", "an item/1")
	}
	value := func(name string) {
		for _, f := range op.Filters {
			if f.Name == name && len(f.Values) > 0 {
				params.Set(name, f.Values[0])
				return
			}
		}
		params.Set(name, "x")
	}
	defaulted := map[string]bool{}
	for _, f := range op.Filters {
		defaulted[f.Name] = f.Default != ""
		if f.Required && f.Default == "" {
			value(f.Name)
		}
	}
	for _, group := range op.OneOf {
		if !slices.ContainsFunc(group, func(name string) bool { return defaulted[name] || params.Has(name) }) {
			value(group[0])
		}
	}
	return params
}

// probes asks for nothing that cannot be called, and for no personal data.
func probes(t *testing.T, h Harness, e record.Entry, reader provider.Reader) {
	prober, ok := h.Adapter.(provider.Prober)
	if !ok {
		return
	}
	// An entry is checked without a connector.
	on := session(h, e)
	on.Connector = record.Connector{}
	for _, p := range prober.Probes(on.Target, now()) {
		if _, known := h.Adapter.Descriptor().Resource(p.Resource); !known {
			t.Errorf("the probe of %q shows nothing that can be read", p.Resource)
		}
		if _, err := resource.Build(p.Op, reader.BaseURL(e), p.Params); err != nil {
			t.Errorf("the probe of %s cannot be called: %v", p.Resource, err)
		}
		signable(t, p, on, reader)
		if _, dropped := resource.WithoutPersonal(p.Op, p.Params); len(dropped) > 0 {
			t.Errorf("the probe of %s asks for %v", p.Resource, dropped)
		}
	}
}

func signable(t *testing.T, p provider.Probe, on provider.Session, reader provider.Reader) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Sign(r, on, provider.Call{Op: p.Op, Params: p.Params}, now()); err != nil {
		t.Errorf("the probe of %s cannot be signed: %v", p.Resource, err)
	}
}
