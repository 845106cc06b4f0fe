// Package build makes the functions' programs as they are deployed.
//
// The argument: a program that is tested must be the one that is deployed, and SAM takes a compiler's flags from its
// environment alone. So that environment is one file beside this one, and whoever builds a function reads it: a person before
// sam build, .ci/run, and tests through this package. A test looks for flags that stand anywhere else.
//
// What is in it: -trimpath and an empty build id make the same sources the same bytes wherever they lie, -buildvcs=false
// whatever was last committed beside them, and without cgo no machine's C library comes along. lambda.norpc leaves out
// how Lambda spoke to Go before there were Runtime APIs. nethttpomithttp2 leaves out HTTP/2: an instance makes one request after
// the other, which HTTP/1.1 does as well, and what is tested on one machine speaks no other. -s -w leaves out what debuggers
// read. GOARM64 names the oldest processors that Lambda has.
package build

import (
	"context"
	_ "embed" // the environment
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed environment
var environment string

// Environment is what the file sets, as NAME=value.
func Environment() []string {
	var out []string
	for line := range strings.Lines(environment) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			out = append(out, name+"="+strings.Trim(value, `"`))
		}
	}
	return out
}

// Function builds the function of a folder of the project for an architecture of Linux.
func Function(ctx context.Context, root, folder, architecture, program string) error {
	command := exec.CommandContext(ctx, "go", "build", "-o", program, ".") //nolint:gosec // folders of the project
	command.Dir = filepath.Join(root, "functions", folder)                 // as SAM does: its CodeUri
	command.Env = append(append(os.Environ(), Environment()...), "GOOS=linux", "GOARCH="+architecture)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", folder, err, said)
	}
	return nil
}
