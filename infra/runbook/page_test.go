// Package runbook_test holds docs/runbook.md to what it promises: that whoever follows it to the letter gets what it says.
//
// The argument: a runbook is read when nobody has time to find out that it is wrong. So its commands are run: each block says in its
// mark where, and whatever is run nowhere says why. Blocks for a deployed stack run in order, in one shell, with the AWS CLI as it is
// installed, against stand-ins that hold what a stack has: tables with the items of accounts that were really connected, queues
// with messages in their dead letters, logs, alarms that ring, secrets, and the local program where the API is. That takes minutes
// and programs of others, so it is asked for: REQUIRE_ENGINES=1, as .ci/run runbook does. That every alarm has its three steps
// is looked at always.
package runbook_test

import (
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
	body, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := anchored.FindAllStringSubmatch(string(body), -1)
	for _, m := range found {
		name := m[1]
		if name == "" {
			name = "runbook.md"
		}
		if !headings(name)[m[2]] {
			t.Errorf("%s has no heading %s", name, m[2])
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d links were found", len(found))
	}
}
