package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-lambda-go/events"

	planning "connectorvault/functions/planner/handler"
	tokening "connectorvault/functions/refresh/handler"
	"connectorvault/infra/prices"
	"connectorvault/shared/planner"
	"connectorvault/shared/vault"
)

var (
	entries = flag.Int("entries", 300, "how many come due")
	work    = flag.Int("work", 300, "how many messages are worked through")
	report  = flag.Bool("report", false, "print what was counted")
)

// What is not counted here but stated: half a second for a message, most of it the provider's, and the memory of the functions.
const (
	aMessage = 500 * time.Millisecond
	memory   = 0.5 // GB
	atOnce   = 2   // messages a batch
)

// counts are what one function did for one provider, or for all.
type counts struct {
	function, provider string
	invocations, pages int
	messages, batches  int // that were sent, or worked on
	posts, secrets     int64
	used               usage
	took               time.Duration
}

// TestSweep lets entries come due, has them planned, and works on them.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	f := w.fill(*entries, *work)
	q := newQueues()
	planned, plan := w.plan(q)
	w.wantPlanned(f, q, plan)
	w.wantNoCopies(q)
	all := []counts{planned}
	for _, k := range kinds() {
		if f.entries[k.name] > 0 {
			all = append(all, w.work(f, q, k))
		}
	}
	w.wantWorked(f, all[1:])
	if *report {
		fmt.Print(w.report(f, plan, all))
	}
}

// planner makes the planner's function over a meter. A look passes on what its workers can carry out within minutes, so here there are as
// many as entries: everything is planned, and counted, at once.
func (w *world) planner(m *meter, q *queues) *planning.Handler {
	w.Helper()
	b := w.bundle(m)
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return planning.New(planner.New(planner.Config{Vault: vault.New(vault.Config{Due: b.Due, Now: time.Now}), Providers: names,
		Workers: func(string) int { return max(1, *entries) }, Waiting: q.waiting, Send: q.send, Now: time.Now, Logger: b.Logger}))
}

// plan has everything planned by one look that has as much time and room as it takes.
func (w *world) plan(q *queues) (counts, planner.Plan) {
	w.Helper()
	m := &meter{}
	function := w.planner(m, q)
	began := time.Now()
	plan, err := function.Handle(w.Context(), json.RawMessage(`{"operation": "plan"}`))
	w.ok(err)
	out := counts{function: "planner", provider: "all", invocations: 1, used: m.read(), took: time.Since(began)}
	for name, part := range plan.Providers {
		out.pages += part.Pages
		out.messages += part.Planned
		out.batches += q.batches[name]
	}
	return out, plan
}

// wantPlanned fails the test unless each entry is in the queue of its provider, once.
func (w *world) wantPlanned(f filled, q *queues, plan planner.Plan) {
	w.Helper()
	seen := make(map[string]bool, *entries)
	for name, part := range plan.Providers {
		if part.Planned != f.entries[name] || part.Left+part.Failed != 0 || part.Full {
			w.Errorf("of %d entries of %s: %+v", f.entries[name], name, *part)
		}
		for _, body := range q.lists[name] {
			seen[entryOf(body)] = true
		}
	}
	if len(seen) != *entries {
		w.Errorf("%d entries of %d are in the queues", len(seen), *entries)
	}
}

// wantNoCopies looks again at once: what is full gets nothing.
func (w *world) wantNoCopies(q *queues) {
	w.Helper()
	copies := newQueues()
	again, err := planner.New(planner.Config{Vault: w.bundle(nil).Vault, Providers: []string{kinds()[0].name}, Workers: func(string) int { return 2 },
		Waiting: q.waiting, Send: copies.send, Now: time.Now, Logger: w.bundle(nil).Logger}).Plan(w.Context())
	w.ok(err)
	for name, part := range again.Providers {
		if full := len(q.lists[name]) >= planner.FullAt(2); part.Full != full || full && len(copies.lists[name]) > 0 {
			w.Errorf("with %d messages in the queue, of %s: %+v", len(q.lists[name]), name, *part)
		}
	}
}

// entryOf is the entry that a message is about.
func entryOf(body string) string {
	_, rest, _ := strings.Cut(body, `"entry":"`)
	entry, _, _ := strings.Cut(rest, `"`)
	return entry
}

// work works through the messages of a provider that are about whole entries, two at a time, as the queue hands them out.
func (w *world) work(f filled, q *queues, k kind) counts {
	w.Helper()
	m := &meter{}
	b := w.bundle(m)
	service := b.Refresh()
	function := tokening.New(service, b.Logger)
	list := slices.DeleteFunc(q.lists[k.name], func(body string) bool {
		var n int
		_, err := fmt.Sscanf(entryOf(body), "ve_%d", &n)
		original := w.isOriginal(f, k, n)
		return err != nil || !f.isWhole(n) && !original
	})
	posts, secrets, began := w.endpoints.posts.Load(), w.secrets.reads.Load(), time.Now()
	out := counts{function: "refresh", provider: k.name, messages: len(list), invocations: (len(list) + atOnce - 1) / atOnce}
	next := make(chan []string)
	var working sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		working.Go(func() {
			for bodies := range next {
				if err := deliver(w.Context(), function, bodies); err != nil {
					w.Error(err)
				}
			}
		})
	}
	for bodies := range slices.Chunk(list, atOnce) {
		next <- bodies
	}
	close(next)
	working.Wait()
	w.ok(service.Drain(w.Context()))
	out.posts, out.secrets = w.endpoints.posts.Load()-posts, w.secrets.reads.Load()-secrets
	out.used, out.took = m.read(), time.Since(began)
	return out
}

// isOriginal reports whether entry n is the first of its kind, which is always whole.
func (w *world) isOriginal(f filled, k kind, n int) bool {
	first := 0
	for _, other := range kinds() {
		if other.name == k.name {
			return n == first
		}
		first += f.entries[other.name]
	}
	return false
}

// deliver hands a batch to the function. An error says that something of it is to come again.
func deliver(ctx context.Context, function *tokening.Handler, bodies []string) error {
	var event events.SQSEvent
	for i, body := range bodies {
		event.Records = append(event.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: body, EventSource: "aws:sqs"})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	out, err := function.Handle(ctx, payload)
	if err != nil {
		return err
	}
	if answer, ok := out.(events.SQSEventResponse); !ok || len(answer.BatchItemFailures) > 0 {
		return fmt.Errorf("of a batch comes again: %+v", out)
	}
	return nil
}

// wantWorked fails the test unless each entry was dealt with as its kind is: one call for what is read, none for what is not. Then
// what was worked on is due no more.
func (w *world) wantWorked(f filled, all []counts) {
	w.Helper()
	worked := map[string]int{}
	for _, c := range all {
		posts := 0
		if isUsed(c.provider) {
			posts = c.messages
		}
		if c.messages != f.whole[c.provider] || int(c.posts) != posts || c.used.refused != 0 {
			w.Errorf("%d whole entries of %s: %+v", f.whole[c.provider], c.provider, c)
		}
		worked[c.provider] = c.messages
	}
	if *entries > sample {
		return // a second look at all is as long as the first
	}
	_, plan := w.plan(newQueues())
	for name, part := range plan.Providers {
		more := 0
		if !isUsed(name) {
			more = 2 + worked[name]/100 // what is let sleep is looked at once a day, which may be now
		}
		if left := f.entries[name] - worked[name]; part.Planned < left || part.Planned > left+more {
			w.Errorf("of %d entries of %s %d were worked on, and %d are due still", f.entries[name], name, worked[name], part.Planned)
		}
	}
}

// isUsed reports whether a provider's entries were read with.
func isUsed(provider string) bool {
	return slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == provider && k.used })
}

// report is what was counted, and what it costs.
func (w *world) report(f filled, plan planner.Plan, all []counts) string {
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, "%d entries were due at once, on dynoxide; they were made in %s, with %s, %d processors.\n\n", *entries, round(f.took), runtime.Version(), runtime.NumCPU())
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprint(table, c, "\t")
		}
		_, _ = fmt.Fprintln(table)
	}
	row("function", "provider", "invocations", "pages", "messages", "batches", "requests", "read units", "write units", "of them index", "token calls", "secrets", "time")
	for _, c := range all {
		if c.function == "planner" {
			for _, k := range kinds() {
				if part := plan.Providers[k.name]; part != nil {
					row("planner", k.name, "", part.Pages, part.Planned, (part.Planned+9)/10, "", "", "", "", "", "", "")
				}
			}
		}
		row(c.function, c.provider, c.invocations, c.pages, c.messages, c.batches, c.used.requests, c.used.reads, c.used.writes, c.used.index, c.posts, c.secrets, round(c.took))
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(&out, "\nPages, messages and batches of the planner are for all entries. ")
	if f.every > 1 {
		_, _ = fmt.Fprintf(&out, "Of the messages, those of one entry in %d were worked on; below they stand for all.\n", f.every)
	} else {
		_, _ = fmt.Fprintf(&out, "All messages were worked on.\n")
	}
	_, _ = fmt.Fprintf(&out, "Units are what the engine says that requests took. %s\n\n", limits())
	w.costs(&out, f, all)
	return out.String()
}

// limits says what bounds a look in service.
func limits() string {
	const look = 45 * time.Second // the function's timeout, less what it keeps for the end
	var most []string
	for _, k := range kinds() {
		most = append(most, fmt.Sprintf("%d of %s", planner.MostOf(k.workers), k.name))
	}
	return fmt.Sprintf("The planner was given as much time and room as it took; in service a look has %s, and passes on %s at most.", look, strings.Join(most, ", "))
}

// costs adds up what a million of such entries would cost on AWS, the messages that were not worked on as those that were.
func (w *world) costs(out *strings.Builder, f filled, all []counts) {
	w.Helper()
	_, _ = fmt.Fprintf(out, "What a million of them cost on AWS, in %s, with nothing free taken off; a message is taken to last %s, a function to have %.1f GB:\n\n",
		prices.Region, aMessage, memory)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	services := []string{"Lambda", "DynamoDB", "SQS", "EventBridge Scheduler", "Secrets Manager"}
	_, _ = fmt.Fprintln(table, strings.Join(append([]string{"function", "provider", "messages"}, append(services, "together")...), "\t")+"\t")
	var sum prices.USD
	for _, c := range all {
		used, messages := c.usage(), c.messages
		if c.function == "refresh" {
			messages = f.entries[c.provider]
			used = used.Times(float64(messages) / float64(c.messages))
		}
		toMillion := 1e6 / float64(*entries)
		bill, err := prices.Cost(used.Times(toMillion))
		w.ok(err)
		sum += bill.Total()
		_, _ = fmt.Fprintf(table, "%s\t%s\t%.0f\t", c.function, c.provider, float64(messages)*toMillion)
		for _, service := range services {
			_, _ = fmt.Fprintf(table, "%s\t", bill.Service(service))
		}
		_, _ = fmt.Fprintf(table, "%s\t\n", bill.Total())
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(out, "\nTogether %s.\n", sum)
}

// usage is what is paid for.
func (c counts) usage() prices.Usage {
	out := prices.Usage{prices.LambdaRequests: float64(c.invocations), prices.DynamoReads: c.used.reads, prices.DynamoWrites: c.used.writes,
		prices.SecretCalls: float64(c.secrets)}
	if c.function == "planner" {
		out[prices.LambdaGBSeconds] = c.took.Seconds() * memory
		out[prices.SQSRequests] = float64(c.batches + len(kinds())) // one for each provider asks how much there is
		out[prices.SchedulerInvocations] = 1
		return out
	}
	out[prices.LambdaGBSeconds] = float64(c.messages) * aMessage.Seconds() * memory
	out[prices.SQSRequests] = 2 * float64(c.invocations) // each batch is received and deleted
	return out
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
