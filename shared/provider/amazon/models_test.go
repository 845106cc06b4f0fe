package amazon_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/resource"
)

// modelsDir is the folder with Amazon's own models and the list of their operations, which are Amazon's and not kept
// with the code.
func modelsDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("AMAZON_MODELS_DIR")
	if dir == "" {
		t.Skip("AMAZON_MODELS_DIR is not set: the resources are not compared with Amazon's models")
	}
	return dir
}

// listed is a line of operations.tsv.
type listed struct {
	model, id, method, path string
	rate                    float64
	burst                   int
	paging                  string
	required                []string
}

func readOperations(t *testing.T) []listed {
	t.Helper()
	f, err := os.Open(filepath.Join(modelsDir(t), "operations.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all []listed
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		if len(c) < 12 || c[2] != "GET" || c[7] != "" {
			continue
		}
		rate, _ := strconv.ParseFloat(c[4], 64) // empty: not stated
		burst, _ := strconv.Atoi(c[5])
		op := listed{model: c[0], id: c[1], method: c[2], path: c[3], rate: rate, burst: burst, paging: c[6]}
		if c[11] != "" {
			op.required = strings.Split(c[11], ",")
		}
		all = append(all, op)
	}
	if len(all) < 70 {
		t.Fatalf("operations.tsv has %d operations that read, which is too few to be all", len(all))
	}
	return all
}

// operations returns every operation of the adapter with the resource it belongs to.
func operations(d *provider.Descriptor) map[string]resource.Resource {
	byPath := map[string]resource.Resource{}
	for _, r := range d.Resources {
		for _, op := range []*resource.Operation{r.List, r.Item} {
			if op != nil {
				byPath[op.ID+" "+anyItem(op.Path)] = r
			}
		}
	}
	return byPath
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// anyItem makes paths comparable: we call the last parameter {item}.
func anyItem(path string) string { return placeholder.ReplaceAllString(path, "{}") }

func TestEveryReadOfAmazonIsThere(t *testing.T) {
	t.Parallel()
	d := amazon.New(amazon.Options{}).Descriptor()
	ours := operations(d)
	for _, want := range readOperations(t) {
		r, ok := ours[want.id+" "+anyItem(want.path)]
		if !ok {
			t.Errorf("%s %s is not there", want.id, want.path)
			continue
		}
		op := operationOf(r, want.id)
		if op.Rate != want.rate || op.Burst != want.burst {
			t.Errorf("%s has rate %v and burst %d, Amazon says %v and %d", want.id, op.Rate, op.Burst, want.rate, want.burst)
		}
		if op.Paging.Param != want.paging {
			t.Errorf("%s pages by %q, Amazon by %q", want.id, op.Paging.Param, want.paging)
		}
	}
	if got, want := len(ours), len(readOperations(t)); got != want {
		t.Errorf("we have %d operations that read, Amazon %d", got, want)
	}
}

func operationOf(r resource.Resource, id string) resource.Operation {
	if r.List != nil && r.List.ID == id {
		return *r.List
	}
	return *r.Item
}

func TestRequiredParametersAreAmazons(t *testing.T) {
	t.Parallel()
	ours := operations(amazon.New(amazon.Options{}).Descriptor())
	for _, want := range readOperations(t) {
		op := operationOf(ours[want.id+" "+anyItem(want.path)], want.id)
		var got []string
		for _, f := range op.Filters {
			if f.Required {
				got = append(got, f.Name)
			}
		}
		if strings.Contains(op.Path, "{item}") {
			got = append(got, lastPlaceholder(want.path))
		}
		slices.Sort(got)
		required := slices.Sorted(slices.Values(want.required))
		if !slices.Equal(got, required) {
			t.Errorf("%s requires %v, Amazon %v", want.id, got, required)
		}
	}
}

func lastPlaceholder(path string) string {
	all := placeholder.FindAllString(path, -1)
	return strings.Trim(all[len(all)-1], "{}")
}

// The parts of a Swagger 2.0 model that say what may be asked.
type (
	parameter struct {
		Ref        string   `json:"$ref"`
		Name       string   `json:"name"`
		In         string   `json:"in"`
		Type       string   `json:"type"`
		Required   bool     `json:"required"`
		Enum       []string `json:"enum"`
		Collection string   `json:"collectionFormat"`
		MaxItems   int      `json:"maxItems"`
		Maximum    int      `json:"maximum"`
		Items      struct {
			Enum []string `json:"enum"`
		} `json:"items"`
	}
	method struct {
		ID         string      `json:"operationId"`
		Parameters []parameter `json:"parameters"`
		Deprecated bool        `json:"deprecated"`
	}
	pathItem struct {
		Get        *method     `json:"get"`
		Parameters []parameter `json:"parameters"`
	}
	model struct {
		Paths      map[string]pathItem  `json:"paths"`
		Parameters map[string]parameter `json:"parameters"`
	}
)

func TestFiltersAreThoseOfTheModels(t *testing.T) {
	t.Parallel()
	ours := operations(amazon.New(amazon.Options{}).Descriptor())
	files, err := filepath.Glob(filepath.Join(modelsDir(t), "*.json"))
	if err != nil || len(files) < 11 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var m model
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for path, item := range m.Paths {
			if item.Get == nil || item.Get.Deprecated {
				continue
			}
			r, ok := ours[item.Get.ID+" "+anyItem(path)]
			if !ok {
				t.Errorf("%s is not there", item.Get.ID)
				continue
			}
			compare(t, operationOf(r, item.Get.ID), path, append(item.Parameters, item.Get.Parameters...), m.Parameters)
		}
	}
}

func compare(t *testing.T, op resource.Operation, path string, params []parameter, shared map[string]parameter) {
	t.Helper()
	known := map[string]bool{}
	for _, p := range params {
		if p.Ref != "" {
			p = shared[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
		}
		known[p.Name] = true
		switch {
		case p.In == "header", p.Name == op.Paging.Param:
		case p.Name == op.Paging.Size:
			if p.Maximum != 0 && p.Maximum != op.Paging.MaxSize {
				t.Errorf("%s: pages of at most %d, the model says %d", op.ID, op.Paging.MaxSize, p.Maximum)
			}
		case p.In == "path" && strings.Contains(op.Path, "{item}") && p.Name == lastPlaceholder(path):
		default:
			compareFilter(t, op, p)
		}
	}
	for _, f := range op.Filters {
		if !known[f.Name] {
			t.Errorf("%s: the model has no parameter %s", op.ID, f.Name)
		}
	}
}

func compareFilter(t *testing.T, op resource.Operation, p parameter) {
	t.Helper()
	i := slices.IndexFunc(op.Filters, func(f resource.Filter) bool { return f.Name == p.Name })
	if i < 0 {
		t.Errorf("%s: %s is missing", op.ID, p.Name)
		return
	}
	f := op.Filters[i]
	enum := append(p.Enum, p.Items.Enum...)
	if p.Type == "boolean" {
		enum = []string{"true", "false"}
	}
	if !slices.Equal(slices.Sorted(slices.Values(enum)), slices.Sorted(slices.Values(f.Values))) {
		t.Errorf("%s: %s may be %v, the model says %v", op.ID, p.Name, f.Values, enum)
	}
	if f.Required != p.Required {
		t.Errorf("%s: %s required is %t, the model says %t", op.ID, p.Name, f.Required, p.Required)
	}
	style := resource.Single
	if p.Type == "array" {
		style = resource.CSV
	}
	if p.Collection == "multi" {
		style = resource.Multi
	}
	if f.List != style || f.Max != p.MaxItems {
		t.Errorf("%s: %s is list style %d of at most %d, the model says %d and %d", op.ID, p.Name, f.List, f.Max, style, p.MaxItems)
	}
	if (p.In == "path") != (f.In == resource.InPath) {
		t.Errorf("%s: %s is in the wrong place", op.ID, p.Name)
	}
}
