// Package archtest_test holds every package to its place.
//
// The argument: layers are kept for as long as somebody looks, and nobody looks at every import. So the rules are data
// (layers_test.go), and this test reads every Go file of the project, with no build and no network, and holds it
// against them: who may import whom, who may read the environment and the clock, and that each package says what it is
// for.
package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "connectorvault"
)

// file is a Go file of the project.
type file struct {
	folder  string // of the package, from the root: "shared/vault"
	name    string
	syntax  *ast.File
	imports []string
}

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// helps reports whether a package exists for tests: by convention its name ends so.
func helps(folder string) bool { return strings.HasSuffix(folder, "test") }

// sources parses the project once.
var sources = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "node_modules" || base == "testdata" || base != "." && base != ".." && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		f := file{folder: filepath.ToSlash(folder), name: d.Name(), syntax: parsed}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value) // the parser took it
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return err
	})
	return files, err
})

func all(t *testing.T) []file {
	t.Helper()
	files, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files were found: the search is broken", len(files))
	}
	return files
}

// packages lists the folders that hold a package, leaving out those of tests alone.
func packages(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, f := range all(t) {
		if !f.isTest() {
			found[f.folder] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// within reports whether a folder or import path is under, or below it.
func within(name, under string) bool { return name == under || strings.HasPrefix(name, under+"/") }

func TestEveryPackageHasALayer(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, folder := range packages(t) {
		if name, ok := strings.CutPrefix(folder, "shared/"); ok {
			have[name] = true
			if _, ok := layers[name]; !ok {
				t.Errorf("shared/%s has no layer: give it one, as low as what it imports allows", name)
			}
		}
	}
	for name := range layers {
		if !have[name] {
			t.Errorf("shared/%s has a layer and does not exist", name)
		}
	}
}

// The design draws the layers for people: each package in the row of its layer, but for those that tests share.
func TestTheDesignDrawsTheLayers(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]string{} // package → the beginning of its row
	rows := regexp.MustCompile("(?m)^\\| (\\d(?:, \\d)*)[^|]*\\| (`[^|]*`) \\|").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		for _, name := range strings.Fields(row[2]) {
			drawn[strings.Trim(name, "`")] = row[1]
		}
	}
	if len(rows) < 6 {
		t.Fatalf("the table has %d rows: the search is broken", len(rows))
	}
	for name, layer := range layers {
		at, ok := drawn[name]
		if !ok {
			at, ok = drawn[path.Dir(name)+"/…"]
		}
		switch {
		case helps(name), within(name, "boot") && name != "boot": // below boot, as its row says
		case !ok:
			t.Errorf("docs/design.md has no shared/%s", name)
		case !strings.Contains(at, strconv.Itoa(layer)):
			t.Errorf("shared/%s is of layer %d; docs/design.md draws it in %s", name, layer, at)
		}
	}
	for name := range drawn {
		if _, ok := layers[name]; !ok && !strings.HasSuffix(name, "/…") {
			t.Errorf("docs/design.md draws shared/%s, which does not exist", name)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		own, layered := strings.CutPrefix(f.folder, "shared/")
		if f.isTest() || !layered {
			continue
		}
		for _, imported := range f.imports {
			other, ours := strings.CutPrefix(imported, module+"/shared/")
			if ours && layers[other] >= layers[own] {
				t.Errorf("%s/%s, of layer %d, imports shared/%s, of layer %d", f.folder, f.name, layers[own], other, layers[other])
			}
		}
	}
}

func TestOnlyWhoMayImports(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		for _, imported := range f.imports {
			for what, allowed := range foreign {
				mine := within(module+"/"+f.folder, what) // a package and its own tests
				if !within(imported, what) || mine || f.isTest() && within(what, module) {
					continue
				}
				if !slices.ContainsFunc(allowed, func(folder string) bool { return within(f.folder, folder) }) {
					t.Errorf("%s/%s imports %s; it is for %s", f.folder, f.name, imported, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

// A function is wiring and its own handler; none calls another but through the token service.
func TestFunctionsStandAlone(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		parts := strings.Split(f.folder, "/")
		if parts[0] != "functions" || f.isTest() {
			continue
		}
		for _, imported := range f.imports {
			own := within(imported, path.Join(module, "functions", parts[1]))
			if within(imported, module) && !own && !within(imported, module+"/shared") {
				t.Errorf("%s/%s imports %s: a function stands on shared alone", f.folder, f.name, imported)
			}
		}
	}
}

// Traces are linked where somebody asked for them: what sends them stands behind a tag of its own, so that no other program
// carries it.
func TestWhatSendsTracesIsAskedFor(t *testing.T) {
	t.Parallel()
	found := 0
	for _, f := range all(t) {
		needs := slices.ContainsFunc(f.imports, func(imported string) bool {
			return within(imported, "go.opentelemetry.io") || within(imported, module+"/shared/oteltrace")
		})
		if !needs {
			continue
		}
		found++
		tagged := slices.ContainsFunc(f.syntax.Comments, func(c *ast.CommentGroup) bool {
			return c.Pos() < f.syntax.Package && slices.ContainsFunc(c.List, func(line *ast.Comment) bool { return line.Text == "//go:build otel" })
		})
		if !tagged {
			t.Errorf("%s/%s is in every program; it is for those built with the tag otel", f.folder, f.name)
		}
	}
	if found < 3 {
		t.Errorf("only %d files send traces: the search is broken", found)
	}
}

// What a function links, over all steps, must be fit for a Lambda.
func TestFunctionsLinkNoMachineParts(t *testing.T) {
	t.Parallel()
	for folder, linked := range links(t) {
		for name, by := range linked {
			if within(name, "modernc.org") || within(name, module+"/infra") || within(name, module) && helps(name) {
				t.Errorf("%s links %s, through %s", folder, name, by)
			}
		}
	}
}

// A function links what it needs, and of what is large, or dangerous to have at hand, nothing else.
func TestFunctionsLinkWhatTheyNeed(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for folder, linked := range links(t) {
		function := strings.Split(folder, "/")[1]
		for name, by := range linked {
			for what, allowed := range linkedBy {
				if !within(name, what) {
					continue
				}
				found[what+" "+function] = true
				if !slices.Contains(allowed, function) {
					t.Errorf("%s links %s, through %s; it is for %s", folder, name, by, strings.Join(allowed, ", "))
				}
			}
		}
	}
	for what, allowed := range linkedBy {
		for _, function := range allowed {
			if !found[what+" "+function] {
				t.Errorf("%s does not link %s, and may", function, what)
			}
		}
	}
}

// links are the packages that each package of the functions links, each with who brought it. Packages of others are not looked
// into.
func links(t *testing.T) map[string]map[string]string {
	t.Helper()
	imports := map[string][]string{}
	for _, f := range all(t) {
		if !f.isTest() {
			imports[module+"/"+f.folder] = append(imports[module+"/"+f.folder], f.imports...)
		}
	}
	out := map[string]map[string]string{}
	for _, folder := range packages(t) {
		if within(folder, "functions") {
			out[folder] = map[string]string{}
			reach(imports, module+"/"+folder, out[folder])
		}
	}
	return out
}

func reach(imports map[string][]string, from string, seen map[string]string) {
	for _, to := range imports[from] {
		if _, known := seen[to]; !known {
			seen[to] = from
			reach(imports, to, seen)
		}
	}
}

func TestHelpersOfTestsAreForTests(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		if f.isTest() || helps(f.folder) {
			continue
		}
		for _, imported := range f.imports {
			if within(imported, module) && helps(imported) {
				t.Errorf("%s/%s imports %s, which is for tests", f.folder, f.name, imported)
			}
			if imported == "testing" {
				t.Errorf("%s/%s imports testing: a package for tests has a name that ends in test", f.folder, f.name)
			}
		}
	}
}

// uses finds the places where a file names one of a standard package's functions.
func uses(f file, imported string, names ...string) []string {
	if !slices.Contains(f.imports, imported) {
		return nil
	}
	local := path.Base(imported)
	for _, spec := range f.syntax.Imports {
		if spec.Path.Value == strconv.Quote(imported) && spec.Name != nil {
			local = spec.Name.Name
		}
	}
	var out []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(names, s.Sel.Name) {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				out = append(out, local+"."+s.Sel.Name)
			}
		}
		return true
	})
	return out
}

func TestOnlyBootReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		if f.isTest() || environments[f.folder] != "" || !within(f.folder, "shared") && !within(f.folder, "functions") {
			continue
		}
		for _, use := range append(uses(f, "os", "Getenv", "LookupEnv", "Environ", "ExpandEnv"), uses(f, "syscall", "Getenv", "Environ")...) {
			t.Errorf("%s/%s reads the environment with %s: package boot does, and passes on what it finds", f.folder, f.name, use)
		}
	}
}

func TestTheClockIsGiven(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		if f.isTest() || helps(f.folder) || clocks[f.folder] != "" || !within(f.folder, "shared") && !within(f.folder, "functions") {
			continue
		}
		for _, use := range uses(f, "time", "Now", "Since") {
			t.Errorf("%s/%s uses %s: take a func() time.Time", f.folder, f.name, use)
		}
	}
}

// Whoever is not checked may be anybody, and a test that trusts everybody proves nothing: it is given the authority of its
// own server instead.
func TestEverybodyIsChecked(t *testing.T) {
	t.Parallel()
	for _, f := range all(t) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok && name.Name == "InsecureSkipVerify" {
				t.Errorf("%s/%s has a TLS configuration that checks nobody", f.folder, f.name)
			}
			return true
		})
	}
}

func TestNamesSaySomething(t *testing.T) {
	t.Parallel()
	for _, folder := range packages(t) {
		if slices.Contains(empty, path.Base(folder)) {
			t.Errorf("%s: the name does not say what is in it", folder)
		}
	}
}

var sentence = regexp.MustCompile(`[.!?](\s|$)`)

// Each package says what it is, and each of shared why it is there.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	comments := map[string]string{}
	for _, f := range all(t) {
		if f.isTest() || f.syntax.Doc == nil {
			continue
		}
		if comments[f.folder] != "" {
			t.Errorf("%s has two package comments", f.folder)
		}
		comments[f.folder] = f.syntax.Doc.Text()
	}
	for _, folder := range packages(t) {
		least := 1
		if within(folder, "shared") {
			least = 2
		}
		if got := len(sentence.FindAllString(comments[folder], -1)); got < least {
			t.Errorf("%s: the package comment has %d sentences: say what it is and why it is", folder, got)
		}
	}
}
