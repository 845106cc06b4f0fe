// Package secretstest gives tests a Secrets Manager: a fake that keeps the real one's quotas, and moto.
//
// The argument for a fake, where DynamoDB has none: the properties that the vault is built around are the quotas (a
// hundred young versions, fifty writes a second) and the lag of reads, and no emulator has either. The fake speaks the
// service's protocol, so that the SDK's own errors and retries are part of every test, and its clock only moves when it is told to.
package secretstest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"connectorvault/shared/store/enginetest"
)

// Options are what a fake does beside keeping secrets. The zero value is consistent at once and stands still.
type Options struct {
	Lag      time.Duration // how long reads and listings show the state before
	Deleting time.Duration // how long the name of a deleted secret stays taken
	Tick     time.Duration // how far the clock moves at each request; 0 = only by Step
}

// The service's quotas (fact sheet aws 2.1).
const (
	MaxVersions   = 100            // versions of a secret, unless more are young
	Young         = 24 * time.Hour // a version younger than this is never removed
	WritesASecond = 50             // PutSecretValue and its kin, together, over the whole account; also creations, and deletions
	maxValue      = 64 << 10       // bytes
	maxList       = 100            // names a page
	minToken      = 32             // characters of a version id
	maxToken      = 64
	labelCurrent  = "AWSCURRENT"
	labelPrevious = "AWSPREVIOUS"
	targetPrefix  = "secretsmanager."
	contentType   = "application/x-amz-json-1.1"
)

// Fake is a Secrets Manager of one account. It is safe for concurrent use.
type Fake struct {
	opts   Options
	server *httptest.Server

	mu      sync.Mutex
	now     time.Time              // guarded by mu
	secrets map[string]*kept       // by name; guarded by mu
	writes  map[string][]time.Time // by quota: the last second's; guarded by mu
	faults  map[string][]fault     // by action, first to come first; guarded by mu
	calls   map[string]int         // by action; guarded by mu
}

// New starts a fake that ends with the test. Its clock begins at 1 January 2026.
func New(t testing.TB, opts Options) *Fake {
	t.Helper()
	f := &Fake{
		opts: opts, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		secrets: map[string]*kept{}, writes: map[string][]time.Time{}, faults: map[string][]fault{}, calls: map[string]int{},
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// Client returns a client of the fake. options are applied last.
func (f *Fake) Client(options ...func(*secretsmanager.Options)) *secretsmanager.Client {
	return client(f.server.URL, options)
}

func client(url string, options []func(*secretsmanager.Options)) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{Region: "us-east-1", BaseEndpoint: &url, HTTPClient: enginetest.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		})}, options...)
}

// Now is the fake's time.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Step moves the fake's time on.
func (f *Fake) Step(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// Wait steps instead of waiting; it fits where a driver takes a func to wait with.
func (f *Fake) Wait(ctx context.Context, d time.Duration) error {
	f.Step(d)
	return ctx.Err()
}

// fault is an answer that is given instead of doing anything.
type fault struct {
	status        int
	code, message string
}

// Fail makes the next times calls of an action, as in "PutSecretValue", fail with a code of the service; status is 400 or 500.
func (f *Fake) Fail(action string, times, status int, code, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range times {
		f.faults[action] = append(f.faults[action], fault{status, code, message})
	}
}

// Calls counts the requests for an action, failed ones too.
func (f *Fake) Calls(action string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[action]
}

// Versions counts the versions that are kept of a secret; 0 when there is none.
func (f *Fake) Versions(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.secrets[name]; s != nil {
		return len(s.versions)
	}
	return 0
}

// moto serves Secrets Manager, and much else, from memory. It keeps no quota, and reads never lag.
var moto = &enginetest.Program{
	Name: "moto_server", How: "pip install 'moto[server]==5.2.1'",
	Command: func(_ string, port int) ([]string, error) {
		binary, err := exec.LookPath("moto_server")
		if err != nil {
			return nil, fmt.Errorf("looking for it on the path: %w", err)
		}
		return []string{binary, "-H", "127.0.0.1", "-p", strconv.Itoa(port)}, nil
	},
}

// MotoURL is where moto_server is, for whoever asks it for more than secrets.
func MotoURL(t testing.TB) string {
	t.Helper()
	return moto.URL(t)
}

// Moto returns a client of moto_server, which all tests of a binary share: use names of your own. Where it is missing
// the test is skipped, or fails if REQUIRE_ENGINES is 1.
func Moto(t testing.TB, options ...func(*secretsmanager.Options)) *secretsmanager.Client {
	t.Helper()
	return client(moto.URL(t), options)
}
