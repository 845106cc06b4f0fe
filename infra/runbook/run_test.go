package runbook_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"

	"connectorvault/infra/local/program"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// asked skips a test that nobody asked for.
func asked(t *testing.T) {
	t.Helper()
	if os.Getenv("REQUIRE_ENGINES") != "1" {
		t.Skip("the runbook's commands are run under .ci/run runbook (REQUIRE_ENGINES=1)")
	}
	for _, tool := range []string{"bash", "aws", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(err)
		}
	}
}

// Every block for a stack is run, in the order of the page and in one shell, and so is each for the local program. Each ends well and
// prints what stands under it.
func TestTheCommandsOfTheRunbook(t *testing.T) {
	asked(t)
	blocks, _ := page(t)
	w := newWorld(t)
	dir := w.desk()
	w.deploy(dir)
	w.fill()
	w.night(dir)
	from, err := strconv.Atoi(cmp.Or(os.Getenv("RUNBOOK_FROM"), "0")) // a line of the page, for whoever mends one command
	w.OK(err)
	w.run(dir, slices.DeleteFunc(blocks, func(b block) bool { return b.line < from && b.section != "Before anything else" }))
	if from == 0 {
		w.restored()
	}
}

// desk is a folder with what an operator has: the page's functions, our programs under `go run`, the files with secrets that were made for
// a provider, and a copied data folder.
func (w *world) desk() string {
	w.Helper()
	dir := w.TempDir()
	bin := filepath.Join(dir, "bin")
	w.OK(os.MkdirAll(filepath.Join(dir, "docs"), 0o755))
	functions, err := os.ReadFile(filepath.Join(root, "docs", "runbook.sh"))
	w.OK(err)
	w.write(filepath.Join(dir, "docs", "runbook.sh"), string(functions))
	for _, name := range []string{"local", "restore"} {
		build := exec.CommandContext(w.Context(), "go", "build", "-o", filepath.Join(bin, "our-"+name), "./infra/"+name)
		build.Dir = root
		if said, err := build.CombinedOutput(); err != nil {
			w.Fatalf("%v %s", err, said)
		}
	}
	// `go run ./infra/NAME` is what was built of it; nothing else of go is used.
	w.write(filepath.Join(bin, "go"), "#!/bin/bash\n[ \"$1\" = run ] || { echo \"go $*\" >&2; exit 1; }\nname=${2#./infra/}\nshift 2\nexec our-\"$name\" \"$@\"\n")
	w.cli(dir)
	w.write(filepath.Join(dir, "amazon-app.json"), fmt.Sprintf(`{"application_id": %q, "client_id": %q, "client_secret": %q}`,
		amazonsim.SeededApplicationID, amazonsim.SeededClientID, amazonsim.SeededClientSecret))
	w.write(filepath.Join(dir, "sage-app.json"), fmt.Sprintf(`{"oauth_api_key": %q, "oauth_api_secret": %q}`, sagesim.SeedClientID, sagesim.SeedClientSecret))
	copied := filepath.Join(dir, "copied")
	w.OK(os.Mkdir(copied, 0o700))
	for _, name := range []string{"vault.db", "vault.db-wal", "queue.db", "queue.db-wal", "master.key", "clock"} { // the vault's own
		if body, err := os.ReadFile(filepath.Join(w.Dir, name)); err == nil {
			w.OK(os.WriteFile(filepath.Join(copied, name), body, 0o600))
		}
	}
	return dir
}

// cli puts an `aws` before the one that is installed. It says where AWS is, since the CLI takes SQS's address from no environment, and
// asks only once what the stack is made of, which does not change meanwhile. Version 1 is kept running (cli.py): most of the time
// would go into its starts.
func (w *world) cli(dir string) {
	w.Helper()
	aws, err := exec.LookPath("aws")
	w.OK(err)
	version, err := exec.CommandContext(w.Context(), aws, "--version").CombinedOutput()
	w.OK(err)
	drops, run := "nothing", aws+` "${args[@]}"`
	if strings.HasPrefix(string(version), "aws-cli/1.") {
		drops = "--cli-binary-format" // it takes payloads as they are and knows no option for it
		if port, kept := w.kept(dir); kept {
			run = `kept "${args[@]}"`
			w.write(filepath.Join(dir, "bin", "kept.sh"), `kept() {
  local said status=1
  said=$(mktemp "$TMPDIR/said-XXXXXXXX")
  exec 9<>/dev/tcp/127.0.0.1/`+port+`
  printf '%s\0' $# "$PWD" "$said" "$@" >&9
  read -r status <&9
  cat "$said.out"
  cat "$said.err" >&2
  rm -f "$said" "$said.out" "$said.err"
  return "$status"
}
`)
		}
	}
	w.write(filepath.Join(dir, "bin", "aws"), `#!/bin/bash
[ -e "${0%/*}/kept.sh" ] && . "${0%/*}/kept.sh"
args=(--endpoint-url "$AWS_ENDPOINT_URL")
while [ $# -gt 0 ]; do
  if [ "$1" = `+drops+` ]; then shift 2; else args+=("$1"); shift; fi
done
case "${args[2]} ${args[3]}" in
  "cloudformation describe-stack"*)
    kept=$TMPDIR/asked-$(printf '%s\n' "${args[@]}" | cksum | tr -dc 0-9)
    [ -s "$kept" ] || `+run+` >"$kept.$$" && { [ -s "$kept" ] || mv "$kept.$$" "$kept"; } && cat "$kept" ;;
  *) `+run+` ;;
esac
`)
}

// kept keeps the CLI running, and returns the port it listens on. Where the CLI is no package of the Python that is found, it is not kept.
func (w *world) kept(dir string) (port string, kept bool) {
	w.Helper()
	program, err := filepath.Abs("cli.py")
	w.OK(err)
	command := exec.CommandContext(w.Context(), "python3", program)
	command.Dir, command.Env = dir, w.environment(dir)
	_, err = command.StdinPipe() // it ends with us, however we end
	w.OK(err)
	out, err := command.StdoutPipe()
	w.OK(err)
	if err := command.Start(); err != nil {
		return "", false
	}
	w.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		w.Logf("the CLI is started for each command: %v", err)
	}
	return strings.TrimSpace(line), err == nil
}

func (w *world) write(path, text string) {
	w.Helper()
	w.OK(os.MkdirAll(filepath.Dir(path), 0o755))
	w.OK(os.WriteFile(path, []byte(text), 0o755)) //nolint:gosec // some are programs
}

// environment is the operator's.
func (w *world) environment(dir string) []string {
	env := []string{"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + dir,
		"AWS_ENDPOINT_URL=" + w.gate.URL, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region, "AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator",
		"AWS_EC2_METADATA_DISABLED=true", "STACK=" + stackName, "BEFORE=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}
	return env
}

// deploy makes the stack in moto.
func (w *world) deploy(dir string) {
	w.Helper()
	command := exec.CommandContext(w.Context(), filepath.Join(dir, "bin", "aws"), "cloudformation", "describe-stacks", "--stack-name", stackName)
	command.Dir, command.Env = dir, w.environment(dir)
	if said, err := command.CombinedOutput(); err == nil || !bytes.Contains(said, []byte(stackName)) {
		w.Fatalf("there is a stack already, or a failure of the CLI is not told: %v %s", err, said)
	}
	w.write(filepath.Join(dir, "template.json"), w.templateOf())
	w.aws(dir, "cloudformation", "create-stack", "--stack-name", stackName, "--template-body", "file://template.json")
	var said struct {
		Stacks []struct{ StackStatus string }
	}
	w.OK(json.Unmarshal(w.aws(dir, "cloudformation", "describe-stacks", "--stack-name", stackName), &said))
	if len(said.Stacks) != 1 || said.Stacks[0].StackStatus != "CREATE_COMPLETE" {
		w.Fatalf("the stack is %+v", said)
	}
}

// aws runs the CLI.
func (w *world) aws(dir string, args ...string) []byte {
	w.Helper()
	command := exec.CommandContext(w.Context(), filepath.Join(dir, "bin", "aws"), args...)
	command.Dir, command.Env = dir, w.environment(dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		w.Fatalf("aws %v: %v %s", args, err, &stderr)
	}
	return out
}

// request is the id of a request in the logs.
const request = "Kq3xEXAMPLErequest="

// night lets an alarm ring and writes what the functions log: lines as the program writes them, of the entries that there are.
func (w *world) night(dir string) {
	w.Helper()
	w.aws(dir, "cloudwatch", "put-metric-alarm", "--alarm-name", stackName+" RescueDeadLetters", "--namespace", "AWS/SQS", "--metric-name", "M", "--evaluation-periods", "1",
		"--comparison-operator", "GreaterThanThreshold", "--period", "60", "--statistic", "Sum", "--threshold", "0")
	w.aws(dir, "cloudwatch", "set-alarm-state", "--alarm-name", stackName+" RescueDeadLetters", "--state-value", "ALARM", "--state-reason", "it is a bad night")
	w.aws(dir, "secretsmanager", "create-secret", "--name", stackName+"/"+program.Tenant+"/keyring", "--secret-string", "{}")
	for group, lines := range map[string][]string{
		"/connector-vault/" + stackName + "/refresh": {
			`{"level":"INFO","msg":"token refreshed","tenant":"` + program.Tenant + `","entry":"` + w.shop + `","outcome":"success"}`,
			`{"level":"ERROR","msg":"message not carried out","op":"rescue","tenant":"` + program.Tenant + `","entry":"` + w.books + `"}`},
		"/connector-vault/" + stackName + "/read": {`{"level":"INFO","msg":"read","tenant":"` + program.Tenant + `","request_id":"` + request + `"}`},
		"/aws/vendedlogs/" + stackName + "/api":   {`{"request_id":"` + request + `","route":"GET /v1/connectors/{id}/{resource}","status":"200"}`},
	} {
		w.aws(dir, "logs", "create-log-stream", "--log-group-name", group, "--log-stream-name", "one")
		events := []map[string]any{}
		for _, line := range lines {
			events = append(events, map[string]any{"timestamp": time.Now().UnixMilli(), "message": line})
		}
		text, err := json.Marshal(events)
		w.OK(err)
		w.aws(dir, "logs", "put-log-events", "--log-group-name", group, "--log-stream-name", "one", "--log-events", string(text))
	}
}

// made makes something through the API and returns its id.
func (w *world) made(path string, body any) string {
	w.Helper()
	var out struct {
		ID string `json:"id"`
	}
	w.Ask("POST", path, body, &out)
	return out.ID
}

// run runs the blocks, each in the shell of those before it.
func (w *world) run(dir string, blocks []block) {
	w.Helper()
	var script strings.Builder
	script.WriteString("set -eE -o pipefail\ntrap 'echo \"block $block ends with $?\" >&2' ERR\n")
	ran := map[string]int{}
	for n, b := range blocks {
		ran[b.kind]++
		if b.kind == "account" {
			continue
		}
		file := filepath.Join(dir, fmt.Sprintf("block-%d", n))
		w.write(file+".sh", b.text+"\n")
		_, _ = fmt.Fprintf(&script, "block=%d; date +'%d %%s' >>times\n", n, b.line)
		_, _ = fmt.Fprintf(&script, ". %s.sh >%s.out 2>%s.err\n", file, file, file)
		if b.section == "The first tenant and its keys" && strings.Contains(b.text, "rm first.json") {
			script.WriteString("export KEY=$OWNER TENANT=" + program.Tenant + "\n") // what follows is about the tenant that has accounts
		}
	}
	env := append(w.environment(dir), "OWNER="+w.Ready.OwnerKey, "KEY="+w.Ready.OwnerKey, "TENANT="+program.Tenant, "ENTRY="+w.shop, "REQUEST="+request)
	for _, name := range []string{"LEAKED", "OLD", "LOUD"} {
		env = append(env, name+"="+w.made("/v1/keys", map[string]any{"role": "owner", "label": name}))
	}
	env = append(env, "WEBHOOK="+w.made("/v1/webhooks", map[string]any{"url": "http://127.0.0.1:9/hook"}),
		"PENDING="+w.made("/v1/vault-entries", map[string]any{"provider": "amazon", "alias": "pending", "environment": "test", "region": "na"}))
	ctx, cancel := context.WithTimeout(w.Context(), 8*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", script.String())
	command.Dir, command.Env = dir, env
	said, err := command.CombinedOutput()
	for n, b := range blocks {
		file := filepath.Join(dir, fmt.Sprintf("block-%d", n))
		out, outErr := os.ReadFile(file + ".out")
		if outErr != nil {
			continue // not run
		}
		errs, _ := os.ReadFile(file + ".err")
		for _, want := range b.prints {
			if !strings.Contains(string(out), want) {
				w.Errorf("docs/runbook.md, line %d, does not print %q but\n%s%s", b.line, want, out, errs)
			}
		}
		if err != nil && strings.Contains(string(said), fmt.Sprintf("block %d ends", n)) {
			w.Fatalf("docs/runbook.md, line %d: %s%s%s", b.line, said, out, errs)
		}
	}
	if err != nil {
		w.Fatalf("%v %s", err, said)
	}
	w.Logf("%d blocks were run against stand-ins of a stack, %d on the local program; %d need a real account", ran["stack"], ran["local"], ran["account"])
}

// restored looks at what the procedure of the page has left: the account whose tokens are used once asks for a person, and the other
// one is as it was.
func (w *world) restored() {
	w.Helper()
	v := vault.New(vault.Config{Items: w.items()})
	for entry, want := range map[string]record.Status{w.books: record.Reauth, w.shop: record.Active} {
		c, found, err := v.Credential(w.Context(), program.Tenant, entry)
		w.OK(err)
		if !found || c.Status != want || c.Lease != nil {
			w.Errorf("%s was put back as %+v", entry, c)
		}
	}
}
