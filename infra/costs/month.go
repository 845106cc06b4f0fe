package main

import (
	"maps"
	"math"
	"slices"
	"time"

	"connectorvault/infra/prices"
)

// A month has thirty days.
const (
	days    = 30
	hours   = 24 * days
	minutes = 60 * hours
	month   = days * 24 * time.Hour
)

// use is how often an entry is read.
type use int

const (
	idle use = iota
	hourly
	eachMinute
)

// assumed is what nothing here can measure, and whoever knows better says otherwise.
type assumed struct {
	Minute, Hour  float64 // shares of the entries that are read each minute, and each hour; the rest is idle
	Sage, Clara   float64 // shares of the entries by provider; the rest is Amazon's
	OwnClients    float64 // share of Sage's entries with a client of their own
	EntriesTenant float64 // entries of one tenant
	Events        float64 // of an entry a month, each to one webhook
	AnswerKB      float64 // of a read
	StoreMillis   float64 // one call of DynamoDB, as a function waits for it
	Provider      float64 // milliseconds, likewise of a provider
	KeptMonths    float64 // of logs
}

func defaults() assumed {
	return assumed{Minute: 0.05, Hour: 0.25, Sage: 0.3, Clara: 0.1, OwnClients: 0, EntriesTenant: 10, Events: 1, AnswerKB: 20, StoreMillis: 5, Provider: 400, KeptMonths: 3}
}

const (
	baseMillis   = 3   // what an invocation takes beside waiting
	platformLog  = 700 // bytes that Lambda logs of each invocation, at its beginning and its end
	accessLog    = 500 // bytes of the API's line for a request
	eventBytes   = 3 * 1024
	eventMonths  = 13                  // for which events are kept, and what the audit trail says
	secretLife   = 10 * time.Minute    // for which a process remembers a secret
	pollers      = 5                   // of a queue, as Lambda starts with
	pollSeconds  = 20                  // that each waits for messages
	refreshMonth = 31 * 24 * time.Hour // how long Sage's refresh tokens live unused; they are used at half of that
)

// work adds up what a month takes.
type work struct {
	assumed
	fixed fixed
	usage prices.Usage
}

// add counts an operation n times. waits is what its function waits for besides, in milliseconds.
func (w *work) add(op operation, n, waits float64) {
	p := op.part
	millis := float64(p.Invocations)*baseMillis + float64(p.StoreCalls)*w.StoreMillis + float64(p.ProviderCalls)*w.Provider + waits
	w.usage = w.usage.Add(prices.Usage{
		prices.LambdaRequests:  float64(p.Invocations),
		prices.LambdaGBSeconds: millis / 1000 * w.fixed.memory[op.Function] / 1024,
		prices.DynamoReads:     p.Reads,
		prices.DynamoWrites:    p.Writes,
		prices.SQSRequests:     float64(p.Sends),
		prices.LogIngestion:    float64(p.LogBytes+p.Invocations*platformLog) / 1e9,
	}.Times(n))
}

// millis is how long an operation takes.
func (w *work) millis(op operation) float64 {
	return baseMillis + float64(op.StoreCalls)*w.StoreMillis + float64(op.ProviderCalls)*w.Provider
}

// message counts what a message takes that a queue brings: sent, received and deleted, each by itself.
func (w *work) message(n float64) { w.usage = w.usage.Add(prices.Usage{prices.SQSRequests: 3 * n}) }

// rates are how often an entry is read in a month, refreshed, and looked at besides. A read token is followed by the next one
// when it has a fifth of its life left, or five minutes. One that dies between two reads is bought by the read, which waits for
// it, and followed by one more, which nobody uses.
func rates(provider string, how use) (read, refresh, look float64, waits bool) {
	life := lifetimes[provider]
	warm := float64(month) / float64(life-min(life/5, 5*time.Minute))
	switch {
	case how == idle && provider == "sage":
		return 0, float64(month) / float64(refreshMonth/2), days, false
	case how == idle:
		return 0, 0, days, false
	case how == hourly && life < time.Hour:
		return hours, 2 * hours, hours, true
	case how == hourly:
		return hours, warm, days, false
	default:
		return minutes, warm, days, false
	}
}

// entries counts what n entries of a provider take that are used alike, without what the stack takes anyhow.
func (w *work) entries(provider string, how use, n float64) {
	read, refresh, look, waits := rates(provider, how)
	waited := 0.0
	if waits {
		waited = w.millis(refreshes[provider])
	}
	w.add(reads[provider], n*read, waited)
	w.add(refreshes[provider], n*refresh, 0)
	w.add(looks[provider], n*look, 0)
	w.add(event, n*w.Events, 0)
	w.add(delivery, n*w.Events, 0)
	w.message(n * (refresh + look + w.Events))

	// The gateway remembers a key for a minute, and tenants have a key that reads.
	tenants := n / w.EntriesTenant
	w.add(letIn, min(n*read, tenants*minutes), 0)
	w.usage = w.usage.Add(prices.Usage{
		prices.HTTPRequests: n * read,
		prices.LogIngestion: n * read * accessLog / 1e9,
		prices.DataOut:      n * read * w.AnswerKB / 1e6,
	})
	w.remembered(n*read, w.millis(reads[provider])+waited, tenants, float64(1+reads[provider].SecretCalls))
	w.remembered(n*refresh, w.millis(refreshes[provider]), tenants, float64(refreshes[provider].SecretCalls))

	kept := n * (storedBytes[provider] + eventMonths*w.Events*eventBytes) / 1e9
	own := 1.0
	if provider == "sage" {
		own = w.OwnClients
	}
	secrets := n * ownSecrets[provider] * own
	w.usage = w.usage.Add(prices.Usage{prices.DynamoStorage: kept, prices.DynamoRecovery: kept, prices.Secrets: secrets})
	w.searched(secrets)
}

// remembered counts calls for secrets: each instance remembers a secret for ten minutes, and there are as many instances as the
// load keeps busy.
func (w *work) remembered(n, millis, tenants, each float64) {
	instances := max(1, math.Ceil(n/month.Seconds()*millis/1000))
	calls := each * min(n, instances*tenants*float64(month/secretLife))
	w.usage = w.usage.Add(prices.Usage{prices.SecretCalls: calls, prices.KeyRequests: calls}) // each is opened with the stack's key
}

// searched counts the daily search for secrets that no record names.
func (w *work) searched(secrets float64) {
	daily := search
	daily.SecretCalls = 0 // a page lists a hundred, and a value is read where something is amiss
	w.add(daily, days*secrets, 0)
	w.usage = w.usage.Add(prices.Usage{prices.SecretCalls: days * secrets / 100})
}

// stack counts what is taken whether or not anybody connects anything, and what tenants take: a keyring and an application each.
func (w *work) stack(tenants float64) {
	w.add(plan, minutes, 0)
	w.add(sweep, minutes, 0)
	w.add(finish, hours, 0)
	w.usage = w.usage.Add(prices.Usage{
		prices.SQSRequests:          float64(w.fixed.queues) * pollers * float64(month/time.Second) / pollSeconds,
		prices.SchedulerInvocations: 2*minutes + hours,
		prices.AlarmMetrics:         float64(w.fixed.alarms),
		prices.CustomMetrics:        float64(w.fixed.metrics),
		prices.Dashboards:           float64(w.fixed.dashboards),
		prices.Secrets:              2 * tenants,
		prices.Keys:                 1,
	})
	w.searched(2 * tenants)
}

// kept counts the logs that lie there, once it is known how much comes in.
func (w *work) kept() {
	w.usage = w.usage.Add(prices.Usage{prices.LogStorage: w.usage[prices.LogIngestion] * w.KeptMonths})
}

// shares are the parts of the entries by provider and by use.
func (a assumed) shares() (map[string]float64, map[use]float64) {
	return map[string]float64{"amazon": 1 - a.Sage - a.Clara, "sage": a.Sage, "clara": a.Clara},
		map[use]float64{idle: 1 - a.Hour - a.Minute, hourly: a.Hour, eachMinute: a.Minute}
}

// monthOf is the bill of a month with n entries.
func monthOf(n float64, a assumed, f fixed) (prices.Bill, error) {
	w := &work{assumed: a, fixed: f}
	providers, uses := a.shares()
	for _, provider := range slices.Sorted(maps.Keys(providers)) {
		for _, how := range []use{idle, hourly, eachMinute} {
			w.entries(provider, how, n*providers[provider]*uses[how])
		}
	}
	w.stack(math.Ceil(n / a.EntriesTenant))
	w.kept()
	return prices.Cost(w.usage)
}

// oneMore is what a thousandth of a thousand further entries of one kind costs.
func oneMore(provider string, how use, a assumed, f fixed) (prices.USD, error) {
	const many = 1000
	w := &work{assumed: a, fixed: f}
	w.entries(provider, how, many)
	w.kept()
	bill, err := prices.Cost(w.usage)
	return bill.Total() / many, err
}
