package build_test

import (
	"bytes"
	"debug/buildinfo"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/build"
)

const root = "../.."

// A shell and Go read the same out of the file.
func TestTheFileMeansTheSameToAShell(t *testing.T) {
	t.Parallel()
	if len(build.Environment()) != 3 {
		t.Fatalf("the file sets %q", build.Environment())
	}
	for _, variable := range build.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		command := exec.Command("sh", "-c", `set -a; . ./environment; set +a; sh -c 'printf %s "$`+name+`"'`)
		command.Env = []string{"PATH=" + os.Getenv("PATH")}
		said, err := command.CombinedOutput()
		if err != nil || string(said) != value || value == "" {
			t.Errorf("%s is %q to Go and %q to a shell: %v", name, value, said, err)
		}
	}
}

// flags are words of the compiler's that whoever builds functions would write down.
var flags = []string{"-buildid", "lambda.norpc", "nethttpomithttp2", "-trimpath", "GOARM64"}

// Two ways to build a function are two programs, and one of them is tested.
func TestTheFlagsStandNowhereElse(t *testing.T) {
	t.Parallel()
	looked := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, name) // below it
		if d.IsDir() {
			if d.Name() == "node_modules" || d.Name() == ".git" || strings.HasPrefix(d.Name(), ".connectorvault") || d.Name() == ".aws-sam" || relative == filepath.Join("infra", "build") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		looked++
		for _, flag := range flags {
			if bytes.Contains(text, []byte(flag)) {
				t.Errorf("%s has %s; read infra/build/environment instead", relative, flag)
			}
		}
		return err
	})
	if err != nil || looked < 400 {
		t.Fatalf("%d files were looked at: %v", looked, err)
	}
}

// Those who build without Go read the file.
func TestWhoBuildsReadsTheFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{".ci/run", "docs/operations.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !regexp.MustCompile(`(?m)set -a; \. infra/build/environment; set \+a`).Match(text) {
			t.Errorf("%s does not read infra/build/environment: %v", name, err)
		}
	}
}

// What a program tells of its making is what the file says, and nothing of where and when it was made.
func TestAProgramIsBuiltAsTheFileSays(t *testing.T) {
	t.Parallel()
	if os.Getenv("REQUIRE_BUILD") != "1" {
		t.Skip("compiling everything anew takes a minute; .ci/run build does it (REQUIRE_BUILD=1)")
	}
	program := filepath.Join(t.TempDir(), "bootstrap")
	if err := build.Function(t.Context(), root, "authorizer", "arm64", program); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
		if strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("it tells %s", s.Key)
		}
	}
	for key, want := range map[string]string{"-trimpath": "true", "-tags": "lambda.norpc,nethttpomithttp2", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "arm64", "GOARM64": "v8.2"} {
		if settings[key] != want {
			t.Errorf("%s is %q; want %q", key, settings[key], want)
		}
	}
	here, err := filepath.Abs(root)
	text, readErr := os.ReadFile(program)
	if err != nil || readErr != nil {
		t.Fatal(err, readErr)
	}
	if strings.Contains(string(text), here) {
		t.Errorf("it tells of %s", here)
	}
	if slices.Contains(text[:4], 0) || len(text) < 1<<20 {
		t.Error("that is no program")
	}
	err = build.Function(t.Context(), root, "nobody", "arm64", program)
	if err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a function that there is not: %v", err)
	}
}
