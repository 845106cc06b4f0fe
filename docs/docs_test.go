// Package docs_test holds the documents to what the program is: their links lead somewhere, and no error code is
// missing or made up.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeInSource = regexp.MustCompile(`(?:fault\.(?:New|Wrap)|return Wrap)\((?s:[^"]{0,80}?)"([a-z][a-z_]+)",`)
	codeInTable  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	link         = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

func TestEveryErrorCodeIsExplained(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	for _, root := range []string{"../shared", "../functions"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			body, err := os.ReadFile(path)
			for _, m := range codeInSource.FindAllSubmatch(body, -1) {
				used[string(m[1])] = path
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	page := read(t, "errors.md")
	var listed []string
	for _, m := range codeInTable.FindAllStringSubmatch(page, -1) {
		listed = append(listed, m[1])
	}
	if len(used) < 30 || len(listed) < 30 {
		t.Fatalf("%d codes found in the source, %d on the page: the search is broken", len(used), len(listed))
	}
	for code, path := range used {
		if !slices.Contains(listed, code) {
			t.Errorf("%s of %s is not explained in errors.md", code, path)
		}
	}
	for _, code := range listed {
		if used[code] == "" {
			t.Errorf("errors.md explains %s, which nothing says", code)
		}
	}
}

// Whoever looks for something begins with the README's table.
func TestTheReadmeSaysWhereThingsAre(t *testing.T) {
	t.Parallel()
	page := read(t, "../README.md")
	for _, root := range []string{"functions", "infra"} {
		folders, err := os.ReadDir("../" + root)
		if err != nil || len(folders) < 8 {
			t.Fatalf("%d folders in %s, %v", len(folders), root, err)
		}
		for _, folder := range folders {
			name := folder.Name() // of a function its name alone, in the row of all
			if root == "infra" {
				name = "infra/" + name
			}
			if folder.IsDir() && !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"/…`") {
				t.Errorf("README.md does not say what %s/%s is for", root, folder.Name())
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md") {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	readme := read(t, "../README.md")
	for _, command := range []string{"\ngo run ./infra/local demo\n", "\ngo run ./infra/local\n", "\ngo test ./...\n"} {
		if !strings.Contains(readme, command) {
			t.Errorf("the README does not say %q", command)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A blank line ends a table, and what follows is shown as text: rows begin a table only with a line of dashes under the first.
func TestTablesAreWhole(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%v %v", pages, err)
	}
	for _, page := range pages {
		lines := strings.Split(read(t, page), "\n")
		for i, line := range lines {
			first := strings.HasPrefix(line, "|") && (i == 0 || !strings.HasPrefix(lines[i-1], "|"))
			if first && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "| ---")) {
				t.Errorf("%s, line %d: a row outside of a table", page, i+1)
			}
		}
	}
}
