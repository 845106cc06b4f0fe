// Package runbook_test holds docs/runbook.md to what it promises: that whoever follows it to the letter gets what it says.
//
// The argument: a runbook is read when nobody has time to find out that it is wrong. So its commands are run: each block says in its
// mark where, and whatever is run nowhere says why. Blocks for a deployed stack run in order, in one shell, with the AWS CLI as it is
// installed, against stand-ins that hold what a stack has: tables with the items of accounts that were really connected, queues
// with messages in their dead letters, logs, alarms that ring, secrets, and the local program where the API is. That takes a minute
// and programs of others, so it is asked for: REQUIRE_ENGINES=1, as .ci/run runbook does. That every alarm has its three steps
// is looked at always.
package runbook_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectorvault/infra/stack"
)

const root = "../.."

// block is one block of commands of the page.
type block struct {
	line    int    // of its first line in the page
	kind    string // local, stack or account
	why     string // account: why it is run nowhere
	text    string
	section string
	prints  []string // parts of what is printed
}

// section is a part of the page under a heading.
type section struct {
	title string
	text  string
}

var fence = regexp.MustCompile("^( *)```(.*)$")

// page reads the runbook: its blocks and sections, in order.
func page(t *testing.T) ([]block, []section) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	sections := []section{{}}
	mark, indent, inside := "", "", []string(nil)
	for n, line := range strings.Split(string(body), "\n") {
		at := &sections[len(sections)-1]
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && mark == "" && m[2] == "":
			t.Fatalf("line %d: a block without a mark", n+1)
		case m != nil && mark == "":
			mark, indent, inside = m[2], m[1], nil
		case m != nil && m[2] != "":
			t.Fatalf("line %d: a block within a block", n+1)
		case m != nil:
			text := strings.Join(inside, "\n")
			kind, why, _ := strings.Cut(strings.TrimPrefix(mark, "sh "), " ")
			switch {
			case mark == "text prints" && len(blocks) > 0:
				blocks[len(blocks)-1].prints = inside
			case strings.HasPrefix(mark, "sh "):
				blocks = append(blocks, block{line: n + 1 - len(inside), kind: kind, why: why, text: text, section: at.title})
			default:
				t.Errorf("line %d: a block is marked %q", n+1, mark)
			}
			mark = ""
		case mark != "":
			inside = append(inside, strings.TrimPrefix(line, indent))
		case strings.HasPrefix(line, "#"):
			sections = append(sections, section{title: strings.TrimSpace(strings.TrimLeft(line, "#"))})
		}
		sections[len(sections)-1].text += line + "\n"
	}
	if mark != "" {
		t.Fatal("the last block has no end")
	}
	return blocks, sections
}

func TestEveryBlockSaysWhereItRuns(t *testing.T) {
	t.Parallel()
	blocks, _ := page(t)
	count := map[string]int{}
	for _, b := range blocks {
		count[b.kind]++
		switch {
		case b.kind == "account" && len(b.why) < 10:
			t.Errorf("line %d: why does nobody run it?", b.line)
		case (b.kind == "stack" || b.kind == "local") && b.why != "":
			t.Errorf("line %d: %q after its mark", b.line, b.why)
		case !slices.Contains([]string{"account", "stack", "local"}, b.kind):
			t.Errorf("line %d: %q is no place to run it", b.line, b.kind)
		case b.kind == "account" && len(b.prints) > 0:
			t.Errorf("line %d: nobody sees that it prints %q", b.line, b.prints)
		case strings.TrimSpace(b.text) == "":
			t.Errorf("line %d: an empty block", b.line)
		}
	}
	t.Logf("blocks run against stand-ins of a stack: %d, on the local program: %d, nowhere: %d", count["stack"], count["local"], count["account"])
	if count["stack"] < 50 || count["local"] < 2 || count["account"] > 25 {
		t.Errorf("they are %v: is the page read as it is written?", count)
	}
}

// alarms are the names of all alarms that the templates make.
func alarms(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, name := range []string{"template.yaml", "infra/observability.yaml"} {
		template, err := stack.Load(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for id := range template.Of("AWS::CloudWatch::Alarm") {
			out[strings.TrimSuffix(id, "Alarm")] = true
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d alarms were found: the search is broken", len(out))
	}
	return out
}

var (
	step   = regexp.MustCompile(`(?m)^(\d+)\. \S`)
	listed = regexp.MustCompile(`^[A-Z][A-Za-z]+(, [A-Z][A-Za-z]+)*$`)
)

// Every alarm has one section, with three first steps, of which at least one can be pasted; and no section is of an alarm that there
// is not.
func TestEveryAlarmHasItsFirstThreeSteps(t *testing.T) {
	t.Parallel()
	_, sections := page(t)
	have := alarms(t)
	seen := map[string]bool{}
	under := false
	for _, s := range sections {
		if s.title == "Alarms" {
			under = true
			continue
		}
		if !under {
			continue
		}
		if !listed.MatchString(s.title) {
			t.Errorf("%q is no heading of alarms", s.title)
			continue
		}
		for _, name := range strings.Split(s.title, ", ") {
			if !have[name] {
				t.Errorf("there is no alarm %s, and a section on what to do when it rings", name)
			}
			if seen[name] {
				t.Errorf("%s has two sections", name)
			}
			seen[name] = true
		}
		var numbers []string
		for _, m := range step.FindAllStringSubmatch(s.text, -1) {
			numbers = append(numbers, m[1])
		}
		if !slices.Equal(numbers, []string{"1", "2", "3"}) {
			t.Errorf("%s has the steps %v; three are wanted", s.title, numbers)
		}
		if !strings.Contains(s.text, "   ```sh stack\n") {
			t.Errorf("%s has nothing to paste that a test runs", s.title)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !seen[name] {
			t.Errorf("nothing says what to do first when %s rings", name)
		}
	}
}

var (
	anchored = regexp.MustCompile(`\]\(([a-z-]*\.?[a-z]*)#([^)]+)\)`)
	strange  = regexp.MustCompile(`[^a-z0-9 -]`)
)

// anchor is how a heading is addressed.
func anchor(title string) string {
	return strings.ReplaceAll(strange.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// A link into a page leads to a heading that is there.
func TestLinksLeadToHeadings(t *testing.T) {
	t.Parallel()
	pages := map[string]map[string]bool{}
	headings := func(name string) map[string]bool {
		if pages[name] == nil {
			pages[name] = map[string]bool{}
			body, err := os.ReadFile(filepath.Join(root, "docs", name))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, line := range strings.Split(string(body), "\n") {
				if strings.HasPrefix(line, "#") {
					pages[name][anchor(strings.TrimSpace(strings.TrimLeft(line, "#")))] = true
				}
			}
		}
		return pages[name]
	}
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range names {
		body, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range anchored.FindAllStringSubmatch(string(body), -1) {
			name := m[1]
			if name == "" {
				name = filepath.Base(page)
			}
			if !headings(name)[m[2]] {
				t.Errorf("%s links to %s, which has no heading %s", filepath.Base(page), name, m[2])
			}
			count++
		}
	}
	if count < 40 {
		t.Errorf("only %d links were found", count)
	}
}

var (
	comment = regexp.MustCompile(`(?m)(^|\s)//.*$`)
	looked  = regexp.MustCompile(`lines ([a-z]+) (?:'([^']+)'|"([^"$]+)"|([A-Za-z_]+))`)
	// What no source of ours has: words of Lambda, of Go and of AWS.
	foreign = []string{"panic", `"level":"ERROR"`, `"status":"timeout"`, "ThrottlingException"}
)

// What the page looks for in a log is what the functions write there.
func TestTheLogsSayWhatIsLookedFor(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, folder := range []string{"shared", "functions"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
				return err
			}
			body, err := os.ReadFile(path)
			source.Write(comment.ReplaceAll(body, nil))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	template, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, _ := page(t)
	count := 0
	for _, b := range blocks {
		for _, m := range looked.FindAllStringSubmatch(b.text, -1) {
			count++
			text := m[2] + m[3] + m[4]
			member, value, isMember := strings.Cut(strings.TrimPrefix(text, `"`), `":`)
			value = strings.Trim(value, `"`)
			switch {
			case slices.Contains(foreign, text):
			case m[1] == "api" && isMember && !strings.Contains(string(template), `"`+member+`":"$context.`):
				t.Errorf("line %d: the access log has no %s", b.line, member)
			case m[1] == "api" && !isMember && !strings.Contains(string(template), text):
				t.Errorf("line %d: no route has %q", b.line, text)
			case m[1] == "api":
			case isMember:
				known := member == "msg" || strings.Contains(source.String(), `"`+member+`"`)
				if !known || value > "9" && !strings.Contains(source.String(), `"`+value+`"`) {
					t.Errorf("line %d: nothing says %s", b.line, text)
				}
			case !strings.Contains(source.String(), text):
				t.Errorf("line %d: nothing writes %q", b.line, text)
			}
		}
	}
	if count < 25 {
		t.Errorf("only %d searches were found", count)
	}
}

var (
	limits  = regexp.MustCompile(`(?m)^limit (\w+) 0`)
	kept    = regexp.MustCompile(`(?m)(?:^ask .* |> *)(\w+\.json)$`)
	deploys = regexp.MustCompile(`\bsam (build|deploy)\b[^\n)]*`)
)

// A block can be pasted whole: it does not take back what it has just done, and does not throw away what is shown once. And what is
// deployed is the stage that the rest is about.
func TestBlocksCanBePasted(t *testing.T) {
	t.Parallel()
	blocks, _ := page(t)
	stops, files, stages := 0, 0, 0
	for _, b := range blocks {
		for _, m := range limits.FindAllStringSubmatch(b.text, -1) {
			stops++
			if strings.Contains(b.text, "unlimit "+m[1]) {
				t.Errorf("line %d stops %s and lets it run again at once", b.line, m[1])
			}
		}
		for _, m := range kept.FindAllStringSubmatch(b.text, -1) {
			files++
			if strings.Contains(b.text, "rm "+m[1]) {
				t.Errorf("line %d removes %s before anybody has read it", b.line, m[1])
			}
		}
		for _, command := range deploys.FindAllString(b.text, -1) {
			stages++
			if !strings.Contains(command, `--config-env "$STAGE"`) {
				t.Errorf("line %d: %s is not said of which stage", b.line, command)
			}
		}
	}
	if stops < 5 || files < 3 || stages < 6 {
		t.Errorf("%d switches, %d files and %d deployments were found", stops, files, stages)
	}
}
