package runbook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shell runs a script after the page's functions, where `aws` is what the script before them makes of it.
func shell(t *testing.T, script string, env ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the page's functions are for bash, which is not here")
	}
	functions, err := filepath.Abs(filepath.Join(root, "docs", "runbook.sh"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "bash", "-c", ". "+functions+"\n"+script)
	command.Dir, command.Env = t.TempDir(), append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}, env...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// A stage is the stack that samconfig.toml deploys for it.
func TestAStageIsItsStack(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(filepath.Join(root, "samconfig.toml"))
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`\[(\w+)\.global\.parameters\]\nstack_name = "([^"]+)"`).FindAllStringSubmatch(string(config), -1)
	if len(stages) != 3 {
		t.Fatalf("samconfig.toml has the stages %v", stages)
	}
	for _, stage := range stages {
		if out, err := shell(t, "", "STAGE="+stage[1]); err != nil || out != "stack "+stage[2]+"\n" {
			t.Errorf("%s is %q: %v", stage[1], out, err)
		}
	}
	for want, env := range map[string][]string{"connector-vault": nil, "another": {"STACK=another", "STAGE=production"}} {
		if out, err := shell(t, "", env...); err != nil || out != "stack "+want+"\n" {
			t.Errorf("%v is %q: %v", env, out, err)
		}
	}
}

// answering is an `aws` that is asked to invoke a function, and answers.
func answering(answer, failed string) string {
	return "output() { echo name; }\naws() { printf %s '" + answer + "' >\"${@: -1}\"; echo " + failed + "; }\n"
}

// A refusal is no answer: whoever reads a key from the file finds no file, and is told.
func TestAskTellsARefusalFromAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, failed, file, want string }{
		"an answer":               {`{"tenant":"t_1"}`, "None", "", `{"tenant":"t_1"}` + "\n0 "},
		"an answer in a file":     {`{"owner_key":"canary"}`, "None", "a.json", `0 a.json -rw-------`},
		"a refusal":               {`{"error":{"code":"invalid_field"}}`, "None", "", `{"error":{"code":"invalid_field"}}` + "\n1 "},
		"a refusal in a file":     {`{"error":{"code":"invalid_field"}}`, "None", "a.json", `{"error":{"code":"invalid_field"}}` + "\n1 "},
		"a function that failed":  {`{"errorMessage":"it"}`, "Unhandled", "a.json", `{"errorMessage":"it"}` + "\n1 "},
		"a name that is an error": {`{"items":[{"name":"\"error\""}]}`, "None", "", `{"items":[{"name":"\"error\""}]}` + "\n0 "},
	} {
		out, err := shell(t, answering(c.answer, c.failed)+"umask 022\nask '{}' "+c.file+`; echo $? $(ls *.json 2>/dev/null) $(ls -l | sed -n 's/^\(-[rw-]*\).*/\1/p')`)
		if got := strings.TrimPrefix(out, "stack connector-vault\n"); err != nil || strings.TrimSpace(got) != strings.TrimSpace(c.want) {
			t.Errorf("%s: %q, want %q: %v", name, got, c.want, err)
		}
	}
}

// A message that is being tried is not seen in its queue, and waits all the same.
func TestWaitingCountsWhatIsBeingTried(t *testing.T) {
	t.Parallel()
	out, err := shell(t, `queues() { printf 'RescueQueue\ta\nRescueDeadLetters\tb\nOther\tc\n'; }
aws() {
  case "$*" in
    *"--queue-url a"*) printf '1\t2\t4\n' ;;
    *"--queue-url b"*) printf '0\t0\t0\n' ;;
    *) return 1 ;;
  esac
}
waiting Rescue`)
	want := "stack connector-vault\nRescueQueue 7\nRescueDeadLetters 0\nOther cannot be asked\n"
	if err != nil || out != want {
		t.Errorf("%q, want %q: %v", out, want, err)
	}
}
