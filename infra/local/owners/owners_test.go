package owners_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/local/owners"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// asHolder makes the test binary hold the lock of the file that the variable names, until it is killed.
const asHolder = "CONNECTOR_VAULT_TEST_AS_HOLDER"

func TestMain(m *testing.M) {
	if path := os.Getenv(asHolder); path != "" {
		f, err := owners.Hold(path)
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("held\n")
		time.Sleep(time.Minute)
		_ = f.Close()
		return
	}
	os.Exit(m.Run())
}

type bench struct {
	*bundletest.Bench
	dir string
}

func newBench(t *testing.T) bench {
	t.Helper()
	t.Parallel()
	return bench{bundletest.New(t, bundletest.Options{}), filepath.Join(t.TempDir(), "processes")}
}

func (b bench) works(key secret.Text) bool {
	b.Helper()
	p, ok, err := b.Vault.Authenticate(b.Context(), key)
	b.OK(err)
	if ok && (p.Tenant != bundletest.Tenant || p.Role != record.Owner || !p.PersonalData) {
		b.Errorf("the key is %+v", p)
	}
	return ok
}

func (b bench) mint() *owners.Owner {
	b.Helper()
	o, err := owners.Mint(b.Context(), b.Vault, bundletest.Tenant, b.dir)
	b.OK(err)
	return o
}

func (b bench) files() []string {
	b.Helper()
	list, err := os.ReadDir(b.dir)
	b.OK(err)
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func TestAKeyWorksAsLongAsItsProcess(t *testing.T) {
	b := newBench(t)
	o := b.mint()
	if !b.works(o.Key) || len(b.files()) != 1 {
		t.Fatalf("the key works: %t, files: %v", b.works(o.Key), b.files())
	}
	b.OK(o.Sweep(b.Context())) // its own key stays
	if !b.works(o.Key) {
		t.Error("its own sweep revoked it")
	}
	b.OK(o.Close(b.Context()))
	if b.works(o.Key) || len(b.files()) != 0 {
		t.Errorf("after the end it works: %t, files: %v", b.works(o.Key), b.files())
	}
}

func TestProcessesLeaveEachOthersKeysAlone(t *testing.T) {
	b := newBench(t)
	one, two := b.mint(), b.mint()
	for range 3 {
		b.OK(one.Sweep(b.Context()))
		b.OK(two.Sweep(b.Context()))
	}
	if !b.works(one.Key) || !b.works(two.Key) {
		t.Error("a living process's key was revoked")
	}
	b.OK(one.Close(b.Context()))
	if b.works(one.Key) || !b.works(two.Key) {
		t.Error("the wrong key was revoked")
	}
	b.OK(two.Close(b.Context()))
}

func TestTheKeyOfAKilledProcessIsRevoked(t *testing.T) {
	b := newBench(t)
	if runtime.GOOS == "windows" {
		t.Skip("the lock is another one there")
	}
	watcher := b.mint()
	key, text, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: bundletest.Tenant, Role: record.Owner, PersonalData: true})
	b.OK(err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asHolder+"="+filepath.Join(b.dir, key.ID))
	out, err := command.StdoutPipe()
	b.OK(err)
	b.OK(command.Start())
	told := make([]byte, 5)
	_, err = out.Read(told)
	b.OK(err)
	b.OK(watcher.Sweep(b.Context()))
	if !b.works(text) {
		t.Error("the key of a process that runs was revoked")
	}
	b.OK(command.Process.Kill())
	_ = command.Wait() // says that it was killed
	b.OK(watcher.Sweep(b.Context()))
	if b.works(text) || len(b.files()) != 1 || !b.works(watcher.Key) {
		t.Errorf("the dead one's key works: %t, files: %v", b.works(text), b.files())
	}
}

func TestASweepTouchesNothingThatIsNoKey(t *testing.T) {
	b := newBench(t)
	o := b.mint()
	for _, name := range []string{"notes.txt", "key_short", "key_0123456789abcdef.new", ".hidden"} {
		b.OK(os.WriteFile(filepath.Join(b.dir, name), nil, 0o600))
	}
	b.OK(o.Sweep(b.Context()))
	if n := len(b.files()); n != 5 {
		t.Errorf("left are %v", b.files())
	}
	unknown := filepath.Join(b.dir, ident.Key+"0123456789abcdef") // its key was never stored, or is long gone
	b.OK(os.WriteFile(unknown, nil, 0o600))
	b.OK(o.Sweep(b.Context()))
	if strings.Contains(strings.Join(b.files(), " "), "key_0123456789abcdef ") {
		t.Errorf("left are %v", b.files())
	}
}

func TestNobodyElseMayLookIntoTheFolder(t *testing.T) {
	b := newBench(t)
	o := b.mint()
	info, err := os.Stat(b.dir)
	b.OK(err)
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the folder is %s", info.Mode())
	}
	for _, name := range b.files() {
		body, err := os.ReadFile(filepath.Join(b.dir, name))
		b.OK(err)
		if strings.Contains(string(body), o.Key.Reveal()) || strings.Contains(name, o.Key.Reveal()[10:]) {
			t.Error("the key lies in the folder")
		}
	}
}
