package main

import "time"

// part is what one function is asked for in the course of an operation.
type part struct {
	Invocations   int
	StoreCalls    int     // that it waits for, one after the other
	ProviderCalls int     // likewise
	SecretCalls   int     // with nothing remembered but the tenant's keyring
	Sends         int     // to queues
	Reads         float64 // request units of DynamoDB
	Writes        float64 // likewise, those of indexes with them
	LogBytes      int     // of its own lines
}

// The functions' folders.
const (
	authorizer = "authorizer"
	reading    = "read"
	tokens     = "refresh"
	delivering = "notify"
	tenancy    = "tenant"
	planning   = "planner"
)

// operation is something that is done once, with the function that does it.
type operation struct {
	Function string
	part
}

// What one of each takes, as TestTheFiguresAreMeasured counts it on the running bundle with the simulated providers. That test
// fails when the code takes more, and when it takes so much less that the figure says nothing.
var (
	// Letting a caller in, when the gateway does not remember the key.
	letIn = operation{authorizer, part{Invocations: 1, StoreCalls: 2, Reads: 2, Writes: 1, LogBytes: 0}}

	// A read of a list, by a process that has not read the entry for a while.
	reads = map[string]operation{
		"amazon": {reading, part{Invocations: 1, StoreCalls: 5, ProviderCalls: 1, Reads: 3, Writes: 2, LogBytes: 525}},
		"sage":   {reading, part{Invocations: 1, StoreCalls: 5, ProviderCalls: 1, Reads: 3, Writes: 2, LogBytes: 525}},
		"clara":  {reading, part{Invocations: 1, StoreCalls: 4, ProviderCalls: 1, SecretCalls: 1, Reads: 3, Writes: 1, LogBytes: 525}},
	}
	// A refresh that the schedule asks for, because the token was read with.
	refreshes = map[string]operation{
		"amazon": {tokens, part{Invocations: 1, StoreCalls: 10, ProviderCalls: 1, SecretCalls: 2, Reads: 8, Writes: 6, LogBytes: 200}},
		"sage":   {tokens, part{Invocations: 1, StoreCalls: 10, ProviderCalls: 1, SecretCalls: 2, Reads: 8, Writes: 10, LogBytes: 200}},
		"clara":  {tokens, part{Invocations: 1, StoreCalls: 10, ProviderCalls: 1, SecretCalls: 2, Reads: 8, Writes: 6, LogBytes: 200}},
	}
	// A look at an entry that is let sleep on.
	looks = map[string]operation{
		"amazon": {tokens, part{Invocations: 1, StoreCalls: 6, Reads: 5, Writes: 4}},
		"sage":   {tokens, part{Invocations: 1, StoreCalls: 6, Reads: 5, Writes: 6}},
		"clara":  {tokens, part{Invocations: 1, StoreCalls: 6, Reads: 5, Writes: 4}},
	}
	// A look that finds that a date comes near: an event, for one webhook.
	event = operation{tokens, part{Invocations: 1, StoreCalls: 12, Sends: 1, Reads: 9, Writes: 12, LogBytes: 320}}
	// Its delivery.
	delivery = operation{delivering, part{Invocations: 1, StoreCalls: 2, ProviderCalls: 1, SecretCalls: 1, Reads: 1, Writes: 1}}
	// A look of the planner that finds nothing: each shard of three providers, and how much their queues hold.
	plan = operation{planning, part{Invocations: 1, StoreCalls: 48, Sends: 3, Reads: 24, LogBytes: 550}}
	// The minute's turn of the search for secrets that no record names, when it is not time for it.
	sweep = operation{tokens, part{Invocations: 1, StoreCalls: 1, Reads: 1}}
	// The daily search for secrets that no record names, for one secret.
	search = operation{tokens, part{StoreCalls: 3, SecretCalls: 1, Reads: 3, Writes: 1}}
	// The hourly look for deletions that were begun.
	finish = operation{tenancy, part{Invocations: 1, StoreCalls: 1, Reads: 1}}
)

// What is kept of one entry that is connected and has a connector, with its audit trail, and how many secrets there are of an entry
// that brings its own client; one that uses its tenant's application has none.
var (
	storedBytes = map[string]float64{"amazon": 9_500, "sage": 14_000, "clara": 9_000}
	ownSecrets  = map[string]float64{"amazon": 0, "sage": 1, "clara": 1}
)

// How long an access token lives.
var lifetimes = map[string]time.Duration{"amazon": time.Hour, "sage": 5 * time.Minute, "clara": time.Hour}
