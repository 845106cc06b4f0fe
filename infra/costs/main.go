// Command costs prints what a month of the vault costs on AWS, by the number of its entries.
//
//	go run ./infra/costs                       the tables of docs/costs.md
//	go run ./infra/costs --lines 1000          each thing that is paid for, of a month with so many entries
//	go run ./infra/costs --write docs/costs.md  puts the tables into the page, where they stand
//	go run ./infra/costs --sage 100 --hour 100 another use; --help lists what can be said
//
// The argument: a table of costs is three things that grow old apart. What an operation takes is measured by a test, which fails
// when the code takes more. What AWS asks for it stands in package prices, with month and source. How the vault is used is
// assumed, and each assumption is a flag. Free allowances are not taken off, and starts of functions are not counted.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"connectorvault/infra/prices"
)

func main() {
	if err := run(os.Args[1:], ".", os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "costs: "+err.Error())
		os.Exit(1)
	}
}

// run is main without the process, for the project at root.
func run(args []string, root string, stdout, stderr io.Writer) error {
	a := defaults()
	flags := flag.NewFlagSet("costs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	sizes := flags.String("entries", "10,1000,100000", "`numbers` of entries, a column each")
	lines := flags.Float64("lines", 0, "print each line of a month with `n` entries instead")
	write := flags.String("write", "", "`page` to put the tables into, where they stand")
	percent := func(into *float64, name, what string) {
		flags.Func(name, fmt.Sprintf("`percent` of %s (default %g)", what, *into*100), func(text string) error {
			n, err := strconv.ParseFloat(text, 64)
			if err == nil && !(n >= 0 && n <= 100) {
				err = errors.New("a share is 0 to 100")
			}
			*into = n / 100
			return err
		})
	}
	percent(&a.Minute, "minute", "the entries that are read each minute")
	percent(&a.Hour, "hour", "the entries that are read each hour; the rest is idle")
	percent(&a.Sage, "sage", "the entries that are Sage's")
	percent(&a.Clara, "clara", "the entries that are Clara's; the rest is Amazon's")
	percent(&a.OwnClients, "own-clients", "Sage's entries that bring a client of their own")
	for _, f := range []struct {
		into *float64
		name string
		what string
	}{
		{&a.EntriesTenant, "tenant", "entries of one tenant"},
		{&a.Events, "events", "events of an entry a month, each to one webhook"},
		{&a.AnswerKB, "answer-kb", "kilobytes of what a read answers"},
		{&a.StoreMillis, "store-ms", "milliseconds that a call of DynamoDB takes"},
		{&a.Provider, "provider-ms", "milliseconds that a provider takes to answer"},
		{&a.KeptMonths, "log-months", "months for which logs are kept"},
	} {
		flags.Float64Var(f.into, f.name, *f.into, f.what)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if a.Minute+a.Hour > 1 || a.Sage+a.Clara > 1 || !(a.EntriesTenant > 0) || flags.NArg() > 0 {
		return errors.New("the shares of uses and of providers come to 100 at most, a tenant has entries, and there is nothing beside flags")
	}
	f, err := readFixed(root)
	if err != nil {
		return fmt.Errorf("run it from the project's root: %w", err)
	}
	if *lines > 0 {
		return printLines(stdout, *lines, a, f)
	}
	var tables bytes.Buffer
	if err := errors.Join(printTable(&tables, *sizes, a, f), printKinds(&tables, a, f)); err != nil {
		return err
	}
	if *write == "" {
		_, err = stdout.Write(tables.Bytes())
		return err
	}
	page, err := os.ReadFile(*write)
	if err != nil {
		return err
	}
	if page, err = replaced(string(page), tables.String()); err != nil {
		return fmt.Errorf("%s: %w", *write, err)
	}
	return os.WriteFile(*write, page, 0o644) //nolint:gosec // a page of the documents
}

// What stands around the tables in a page.
const (
	before = "<!-- go run ./infra/costs -->\n\n"
	after  = "\n<!-- until here -->\n"
)

// replaced is a page with other tables in it.
func replaced(page, tables string) ([]byte, error) {
	head, rest, begins := strings.Cut(page, before)
	_, tail, ends := strings.Cut(rest, after)
	if !begins || !ends {
		return nil, errors.New("the page does not say where the tables stand")
	}
	return []byte(head + before + tables + after + tail), nil
}

// printTable prints the costs by service.
func printTable(out io.Writer, sizes string, a assumed, f fixed) error {
	head, under := "| a month with", "| ---"
	var columns []float64
	var bills []prices.Bill
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(n > 0) {
			return fmt.Errorf("%q is no number of entries", text)
		}
		bill, err := monthOf(n, a, f)
		if err != nil {
			return err
		}
		columns, bills = append(columns, n), append(bills, bill)
		head, under = head+" | "+grouped(n)+" entries", under+" | ---:"
	}
	rows := []string{head + " |", under + " |"}
	row := func(name string, value func(i int) string) {
		line := "| " + name
		for i := range bills {
			line += " | " + value(i)
		}
		rows = append(rows, line+" |")
	}
	for _, service := range prices.Services() {
		row(service, func(i int) string { return bills[i].Service(service).String() })
	}
	row("**together**", func(i int) string { return "**" + bills[i].Total().String() + "**" })
	row("an entry", func(i int) string { return fine(float64(bills[i].Total()) / columns[i]) })
	_, err := fmt.Fprintln(out, strings.Join(rows, "\n"))
	return err
}

// printKinds prints what one more entry of each kind costs.
func printKinds(out io.Writer, a assumed, f fixed) error {
	rows := []string{"", "| one more entry of | idle | read each hour | read each minute |", "| --- | ---: | ---: | ---: |"}
	for _, provider := range []string{"amazon", "sage", "clara"} {
		line := "| " + strings.ToUpper(provider[:1]) + provider[1:]
		for _, how := range []use{idle, hourly, eachMinute} {
			cost, err := oneMore(provider, how, a, f)
			if err != nil {
				return err
			}
			line += " | " + fine(float64(cost))
		}
		rows = append(rows, line+" |")
	}
	own, err := prices.Cost(prices.Usage{prices.Secrets: ownSecrets["sage"]})
	if err != nil {
		return err
	}
	rows = append(rows, "", "A client of its own adds "+own.Total().String()+" to an entry of Sage.")
	_, err = fmt.Fprintln(out, strings.Join(rows, "\n"))
	return err
}

// printLines prints everything that is paid for.
func printLines(out io.Writer, n float64, a assumed, f fixed) error {
	bill, err := monthOf(n, a, f)
	if err != nil {
		return err
	}
	rows := []string{"| service | what | how many | cost |", "| --- | --- | ---: | ---: |"}
	for _, line := range bill.Lines {
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", line.Price.Service, line.Price.Unit, grouped(line.Count), line.Cost))
	}
	rows = append(rows, fmt.Sprintf("| **together** | | | **%s** |", bill.Total()))
	_, err = fmt.Fprintln(out, strings.Join(rows, "\n"))
	return err
}

// fine writes millionths of a dollar with as many places as say something.
func fine(micro float64) string {
	if micro >= 1e6 {
		return fmt.Sprintf("$%.2f", micro/1e6)
	}
	return fmt.Sprintf("$%.4f", micro/1e6)
}

// grouped writes a number with commas.
func grouped(n float64) string {
	if n < 10 && n != float64(int64(n)) {
		return strconv.FormatFloat(n, 'f', 2, 64)
	}
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
