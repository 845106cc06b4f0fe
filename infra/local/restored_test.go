package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// A copy of the data folder from before a refresh is put back. Served as it is, it offers a token that was spent, and Sage ends
// the consent; readied, it offers nothing and asks for a person. Amazon's token, which is not used up, goes on in both.
func TestADataFolderThatIsPutBack(t *testing.T) {
	t.Parallel()
	for name, ready := range map[string]bool{"as it is": false, "readied": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := start(t, dir)
			v.app()
			shop := v.connected("shop")
			books := v.sageEntry(v.sageOwn("books", nil))
			v.sageConnect(books, sagesim.UserGB)
			orders, base := v.connector(shop), v.sageConnector(books, sagesim.BusinessGB)
			stopped(t, v)
			copied := folderOf(t, dir)

			v = start(t, dir)
			v.advance(6 * time.Minute)
			v.must(200, "GET", base+"/currencies/GBP", nil)
			stopped(t, v)
			putBack(t, dir, copied)
			if ready {
				var out, log bytes.Buffer
				if code := run(t.Context(), []string{"restored", "--data", dir}, &out, &log); code != 0 || out.String() != "1 entries ask for a new authorization\n" {
					t.Fatalf("%d %s%s", code, &out, &log)
				}
				out.Reset()
				if code := run(t.Context(), []string{"restored", "--data", dir}, &out, &log); code != 0 || !strings.HasPrefix(out.String(), "0 ") {
					t.Errorf("again: %d %s%s", code, &out, &log)
				}
			}

			v = start(t, dir)
			v.advance(time.Hour)
			a := v.do("GET", base+"/currencies/GBP", nil)
			v.must(200, "GET", "/v1/connectors/"+orders+"/orders", nil)
			reuses := v.reuses()
			if !ready {
				if reuses == 0 || a.status == http.StatusOK {
					t.Errorf("a copy that nobody readied: %d tokens offered twice, %d; this test shows nothing", reuses, a.status)
				}
				return
			}
			checkProblem(t, "a read", a, "reauthorization_required")
			if e := v.shown(books); reuses != 0 || e["status"] != "reauthorization_required" || e["cause"] != "rotation_unknown" {
				t.Errorf("%d tokens were offered twice; the entry is %v, %v", reuses, e["status"], e["cause"])
			}
			v.eventually("it is told", func() bool {
				kinds := strings.Join(v.events(books), " ")
				if !strings.Contains(kinds, "reauthorization_required") {
					v.advance(2 * time.Minute)
					v.schedule()
				}
				return strings.Contains(kinds, "reauthorization_required")
			})
			v.sageConnect(books, sagesim.UserGB)
			v.must(200, "GET", base+"/currencies/GBP", nil)
			stopped(t, v)
			var out, log bytes.Buffer
			if code := run(t.Context(), []string{"audit", "verify", "--data", dir}, &out, &log); code != 0 || !strings.Contains(out.String(), `"findings": []`) {
				t.Errorf("the trail: %d %.500s%s", code, &out, &log)
			}
		})
	}
}

// A copy is made after consent was exchanged and before the account was identified. What the code bought lies in the request, and
// was put in force, and spent, before the copy is put back. The Result URL that finished the authorization once finishes
// nothing in the copy.
func TestAConsentIsNotPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	books := v.sageEntry(v.sageOwn("books", nil))
	v.sageFault(object{"name": sagesim.FaultStatus, "endpoint": "api", "status": 503})
	result := v.allow(v.begin(books), sagesim.UserGB)
	if a := v.validate(books, result); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "is kept") {
		t.Fatalf("%d %s; this test shows nothing", a.status, a.body)
	}
	stopped(t, v)
	copied := folderOf(t, dir)

	v = start(t, dir)
	v.sageWell()
	v.advance(time.Minute) // the claim is over
	if a := v.validate(books, result); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	base := v.sageConnector(books, sagesim.BusinessGB)
	v.advance(6 * time.Minute)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	stopped(t, v)
	putBack(t, dir, copied)
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{"restored", "--data", dir}, &out, &log); code != 0 {
		t.Fatalf("%d %s%s", code, &out, &log)
	}

	v = start(t, dir)
	checkProblem(t, "the Result URL again", v.validate(books, result), "authorization_request_unknown")
	v.advance(time.Hour)
	v.schedule()
	if reuses := v.reuses(); reuses != 0 {
		t.Errorf("%d tokens or codes were offered twice", reuses)
	}
	v.sageConnect(books, sagesim.UserGB)
}

// Who readies a folder that a program serves would hear that all is well, and the program has offered what it found already.
func TestRestoredRefusesAFolderThatIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{"restored", "--data", dir}, &out, &log); code == 0 || !strings.Contains(log.String(), "stop it first") {
		t.Errorf("%d %s%s", code, &out, &log)
	}
	stopped(t, v)
	if code := run(t.Context(), []string{"restored", "--data", dir}, &out, &log); code != 0 {
		t.Errorf("stopped: %d %s%s", code, &out, &log)
	}
}

func stopped(t *testing.T, v *vault) {
	t.Helper()
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
}

// folderOf is what a folder holds of the vault's own; what the simulators know goes on.
func folderOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{"vault.db", "vault.db-wal", "queue.db", "queue.db-wal", "master.key"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			out[name] = body
		}
	}
	if len(out) < 3 {
		t.Fatalf("only %d files", len(out))
	}
	return out
}

func putBack(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for _, name := range []string{"vault.db", "vault.db-wal", "vault.db-shm", "queue.db", "queue.db-wal", "queue.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestoredNeedsAVault(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	for _, args := range [][]string{{"restored", "--data", t.TempDir()}, {"restored", "more"}, {"restored", "--nothing"}} {
		if code := run(t.Context(), args, &out, &log); code == 0 {
			t.Errorf("%v was taken: %s", args, &out)
		}
	}
}
