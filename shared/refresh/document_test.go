package refresh_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheDocumentNamesTests: what docs/refresh-cycle.md calls proved is a test that exists.
func TestTheDocumentNamesTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/refresh-cycle.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, folder := range []string{".", "../planner", "../../infra/stack"} {
		found, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	named := regexp.MustCompile(`Test[A-Z][A-Za-z]+`).FindAllString(string(page), -1)
	if len(named) < 30 {
		t.Fatalf("%d tests are named: the search is broken", len(named))
	}
	for _, name := range named {
		if !strings.Contains(source.String(), "func "+name+"(t *testing.T)") {
			t.Errorf("%s is named and does not exist", name)
		}
	}
}
