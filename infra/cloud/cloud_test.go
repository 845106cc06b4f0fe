// Package cloud_test runs the bundle as it is deployed: the programs that sam build makes, in instances of their own, behind a
// gateway, on real engines, and with the providers and AWS under the names that they have in the world.
//
// The argument: what is tested in parts may still not be deployable. A variable that the template does not set, a right that a
// role lacks, a client that ignores the proxy, work that is left to a process which then stands still: all of it shows in the
// built programs alone, and only when they have nothing but their environment. So nothing here reaches into them. They are
// started with the environment that the template gives them, hear of the world through HTTPS_PROXY and SSL_CERT_FILE, and are
// asked over HTTP. Each part is a package: fleet runs instances, network is the world, rights is IAM, sources are queues and
// schedule. The database is dynoxide, Secrets Manager and SQS are moto's.
//
// It builds nine programs and runs some fifty processes, so it is asked for: REQUIRE_ENGINES=1, as .ci/run cloud does.
package cloud_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	programs "connectorvault/infra/build"
	"connectorvault/infra/stack"
)

const root = "../.."

// built is where the programs are, one folder a function.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "connector-vault-cloud-") //nolint:usetesting // for all tests of this binary
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		built = dir
		return m.Run()
	}())
}

// asked skips a test that nobody asked for.
func asked(t *testing.T) {
	t.Helper()
	if os.Getenv("REQUIRE_ENGINES") != "1" {
		t.Skip("the built programs run under .ci/run cloud (REQUIRE_ENGINES=1)")
	}
}

// size is a program that was built.
type size struct {
	folder string
	bytes  int64
}

// machine is what programs are built for, and run on.
type machine struct {
	architecture string
	under        []string // what carries them out; empty where this machine does it itself
}

// own is this machine.
var own = machine{architecture: runtime.GOARCH}

// builds are the programs of an architecture, each made once.
var builds sync.Map // architecture → func() ([]size, error)

// build makes every program, as it is deployed but for the processor.
func build(on machine) ([]size, error) {
	made, _ := builds.LoadOrStore(on.architecture, sync.OnceValues(func() ([]size, error) { return buildFor(on) }))
	return made.(func() ([]size, error))() //nolint:errcheck,forcetypeassert // nothing else is stored
}

func buildFor(on machine) ([]size, error) {
	template, err := stack.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	functions, err := template.Functions()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var out []size
	for folder := range functions {
		program := on.bootstrap(folder)
		if err := programs.Function(ctx, root, folder, on.architecture, program); err != nil {
			return nil, err
		}
		info, err := os.Stat(program)
		if err != nil {
			return nil, err
		}
		out = append(out, size{folder, info.Size()})
	}
	return out, nil
}

func (m machine) bootstrap(folder string) string {
	return filepath.Join(built, m.architecture, folder, "bootstrap")
}
