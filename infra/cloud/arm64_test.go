package cloud_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/cloud/rights"
	sagesim "connectorvault/infra/sim/sage"
)

// emulated is Lambda's processor, on this machine: its own, or qemu's user mode, which carries out a program of another processor
// as a process of this one.
func emulated(t *testing.T) machine {
	t.Helper()
	if runtime.GOARCH == "arm64" {
		return own
	}
	emulator := os.Getenv("ARM64_EMULATOR") // .ci/run arm64 brings it
	if emulator == "" {
		var err error
		if emulator, err = exec.LookPath("qemu-aarch64-static"); err != nil {
			t.Skip("there is no qemu-aarch64-static; .ci/run arm64 brings one")
		}
	}
	emulator, err := filepath.Abs(emulator)
	if err != nil {
		t.Fatal(err)
	}
	return machine{architecture: "arm64", under: []string{emulator}}
}

// TestArm64 runs each program once as it is deployed, to the byte: it starts, answers what it is for, and ends when it is told to.
// What the programs do in full is TestCloud's, on this machine's own processor, which is ten times as fast.
func TestArm64(t *testing.T) {
	asked(t)
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("instances are processes of Linux")
	}
	b := deployOn(t, rights.NewRecord(), emulated(t))
	owner := b.tenant("Example Trading") // tenant

	// admin, behind the authorizer.
	if got := owner.must("POST", "/v1/preflight", object{"provider": "sage"}); !strings.Contains(string(got.body), "sage") {
		b.Errorf("the preflight is %v", got)
	}
	hook := owner.must("POST", "/v1/webhooks", object{"url": "https://hooks.example.com/vault"}).text("id")

	// callback: the document, and a page of its own making.
	browser := b.client("")
	if got := browser.send("GET", "/openapi.yaml", nil); got.status != http.StatusOK || !strings.Contains(string(got.body), "\nopenapi: 3.1") {
		b.Errorf("the document is %v", got)
	}
	begun := owner.must("POST", "/v1/vault-entries/"+owner.ledger("to be connected")+"/authorize", object{"mode": "browser"})
	if got := browser.at("GET", begun.text("start_url"), nil); got.status != http.StatusOK || !strings.Contains(string(got.body), "<dd>to be connected</dd>") {
		b.Errorf("the start page at %q is %v", begun.text("start_url"), got)
	}

	// validate, and refresh, which exchanges the code; then read, with what it bought.
	_, connector := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	if got := owner.must("GET", "/v1/connectors/"+connector+"/contacts?limit=1", nil); !strings.Contains(string(got.body), `"items":[{`) {
		b.Errorf("the read is %v", got)
	}

	// notify: a message of a webhook that is gone by now.
	owner.must("POST", "/v1/webhooks/"+hook+"/test", nil)
	owner.must("DELETE", "/v1/webhooks/"+hook, nil)
	stop := b.feed("WebhookQueue")
	b.eventually("notify has dealt with it", func() bool {
		return len(b.fleet.Starts("NotifyFunction")) > 0 &&
			b.waiting("WebhookQueue", "ApproximateNumberOfMessages")+b.waiting("WebhookQueue", "ApproximateNumberOfMessagesNotVisible") == 0
	})
	stop()

	// planner: it asks each queue how much it holds, and reads the due index of each provider.
	planned, err := b.fleet.Invoke(b.Context(), "PlannerFunction", []byte(`{"operation": "plan"}`))
	b.ok(err)
	if planned.Failed || !strings.Contains(string(planned.Payload), `"sage":{"planned":`) {
		b.Errorf("the planner says %s", planned.Payload)
	}

	b.unseen(owner.key)
	b.knownWays()
	var all figures
	all.take(b)
	all.print(t, b.machine)
	b.ends()
}

// ends tells every instance to end. Who asked Lambda for a last moment uses it; everybody else ends at once.
func (b *bed) ends() {
	b.Helper()
	for folder, f := range b.functions {
		want := "signal: terminated"
		if folder == "refresh" {
			want = "signal: killed" // it stores what was bought, and waits for its end
		}
		began := time.Now()
		var ended []string
		b.eventually(folder+" has an instance that is free", func() bool { // the last one to answer is about to be
			var err error
			ended, err = b.fleet.Terminate(f.ID)
			b.ok(err)
			return len(ended) > 0
		})
		for _, how := range ended {
			if how != want {
				b.Errorf("%s, told to end, came to %q after %s; want %q", folder, how, time.Since(began), want)
			}
		}
	}
}
