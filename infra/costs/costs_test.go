package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/prices"
)

const root = "../.."

func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	if err := run(args, root, &out, &log); err != nil {
		t.Fatalf("%v: %v %s", args, err, &log)
	}
	return out.String()
}

// The page shows what the program prints. When this fails: go run ./infra/costs --write docs/costs.md
func TestThePageShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "costs.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := printed(t)
	if !strings.Contains(string(page), before+want+after) {
		t.Errorf("docs/costs.md is not what go run ./infra/costs prints; go run ./infra/costs --write docs/costs.md mends it. It prints:\n%s", want)
	}
	written := filepath.Join(t.TempDir(), "costs.md")
	if err := os.WriteFile(written, []byte("above\n"+before+"old"+after+"below\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = printed(t, "--write", written)
	if got, err := os.ReadFile(written); err != nil || string(got) != "above\n"+before+want+after+"below\n" {
		t.Errorf("written was %s %v", got, err)
	}
}

func bill(t *testing.T, n float64, change func(*assumed)) prices.Bill {
	t.Helper()
	f, err := readFixed(root)
	if err != nil {
		t.Fatal(err)
	}
	a := defaults()
	change(&a)
	b, err := monthOf(n, a, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Some lines by hand, for a thousand entries of Amazon that are read each hour.
func TestSomeLinesByHand(t *testing.T) {
	t.Parallel()
	b := bill(t, 1000, func(a *assumed) { a.Minute, a.Hour, a.Sage, a.Clara, a.Events = 0, 1, 0, 0, 0 })
	count := map[prices.Item]float64{}
	for _, line := range b.Lines {
		count[line.Price.Item] = line.Count
	}
	const (
		read    = 1000 * 720
		refresh = 1000.0 * 43_200 / 55
		look    = 1000 * 30
	)
	near := func(what string, item prices.Item, want float64) {
		t.Helper()
		if got := count[item]; got < want*0.999 || got > want*1.001 {
			t.Errorf("%s: %g, not %g", what, got, want)
		}
	}
	near("requests", prices.HTTPRequests, read)
	near("data out", prices.DataOut, read*20/1e6)
	near("invocations", prices.LambdaRequests, read+read+refresh+look+2*43_200+720) // authorizer and read; 100 tenants' keys are let in anew each time
	near("writes", prices.DynamoWrites, read*(letIn.Writes+reads["amazon"].Writes)+refresh*refreshes["amazon"].Writes+look*looks["amazon"].Writes+30*200*search.Writes)
	near("secrets", prices.Secrets, 200)
	near("scheduler", prices.SchedulerInvocations, 2*43_200+720)
	f, _ := readFixed(root)
	near("queue requests", prices.SQSRequests, 3*(refresh+look)+3*43_200+float64(f.queues)*5*3*43_200)
	near("storage", prices.DynamoStorage, 1000*storedBytes["amazon"]/1e9)
	seconds := read*1.0*(3+5*5+400)/1000 + read*0.5*(3+2*5)/1000 + refresh*0.5*(3+10*5+400)/1000 + look*0.5*(3+6*5)/1000 +
		43_200*0.5*(3+48*5)/1000 + 43_200*0.5*(3+1*5)/1000 + 720*0.5*(3+5)/1000 + 30*200*0.5*(3*5)/1000
	near("compute", prices.LambdaGBSeconds, seconds)
}

// A Sage token lives five minutes: read once an hour it is bought by the read and once more, and read each minute it is kept warm.
func TestHowOftenIsRefreshed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider            string
		how                 use
		read, refresh, look float64
		waits               bool
	}{
		{"amazon", idle, 0, 0, 30, false},
		{"amazon", hourly, 720, 785, 30, false},
		{"amazon", eachMinute, 43_200, 785, 30, false},
		{"clara", hourly, 720, 785, 30, false},
		{"sage", idle, 0, 1, 30, false},
		{"sage", hourly, 720, 1440, 720, true},
		{"sage", eachMinute, 43_200, 10_800, 30, false},
	} {
		read, refresh, look, waits := rates(c.provider, c.how)
		if read != c.read || float64(int(refresh)) != c.refresh || look != c.look || waits != c.waits {
			t.Errorf("%s %d: %g %g %g %t", c.provider, c.how, read, refresh, look, waits)
		}
	}
}

// More of anything costs more, and each assumption counts.
func TestEachAssumptionCounts(t *testing.T) {
	t.Parallel()
	usual := bill(t, 1000, func(*assumed) {}).Total()
	for name, change := range map[string]func(*assumed){
		"minute": func(a *assumed) { a.Minute += 0.1 }, "hour": func(a *assumed) { a.Hour += 0.1 }, "clara": func(a *assumed) { a.Clara += 0.1 },
		"own clients": func(a *assumed) { a.OwnClients = 1 }, "tenants": func(a *assumed) { a.EntriesTenant = 5 }, "events": func(a *assumed) { a.Events = 50 },
		"answers": func(a *assumed) { a.AnswerKB = 50 }, "store": func(a *assumed) { a.StoreMillis = 10 }, "provider": func(a *assumed) { a.Provider = 900 },
		"logs": func(a *assumed) { a.KeptMonths = 12 },
	} {
		if got := bill(t, 1000, change).Total(); got <= usual {
			t.Errorf("%s: %s, and usually %s", name, got, usual)
		}
	}
	if more := bill(t, 1001, func(*assumed) {}).Total(); more <= usual {
		t.Errorf("one more costs %s, and without it is %s", more, usual)
	}
}

func TestTheTemplatesAreRead(t *testing.T) {
	t.Parallel()
	f, err := readFixed(root)
	if err != nil || f.queues < 3 || f.alarms < 40 || f.metrics < 5 || f.dashboards != 1 || f.memory[reading] != 1024 || f.memory[tokens] != 512 {
		t.Errorf("%+v %v", f, err)
	}
	if _, err := readFixed(t.TempDir()); err == nil {
		t.Error("a folder without templates was read")
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--minute 101", "--minute -1", "--minute x", "--minute 60 --hour 60", "--sage 60 --clara 60", "--tenant 0", "--entries 0", "--entries ten",
		"more", "--write nowhere/at/all.md", "--events -1"} {
		var out, log bytes.Buffer
		if err := run(strings.Fields(args), root, &out, &log); err == nil {
			t.Errorf("%s was taken: %s", args, &out)
		}
	}
	if got := printed(t, "--lines", "10"); !strings.Contains(got, "| Lambda | GB-second |") || !strings.Contains(got, "**together**") {
		t.Errorf("lines:\n%s", got)
	}
	if got := printed(t, "--entries", "5"); strings.Count(got, "entries |") != 1 {
		t.Errorf("one column:\n%s", got)
	}
}

func TestNumbersAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0.25: "0.25", 3: "3", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%g: %s", n, got)
		}
	}
	if fine(1_340_000) != "$1.34" || fine(42_400) != "$0.0424" {
		t.Errorf("%s %s", fine(1_340_000), fine(42_400))
	}
	if month != 720*time.Hour {
		t.Error("a month has thirty days")
	}
}
