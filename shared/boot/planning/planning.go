// Package planning starts the function that finds what is due.
//
// The argument: it looks at what concerns every tenant each minute, so it has nothing at hand but the due index and the queues: no
// provider but by the name of its queue, no secret, and no table.
package planning

import (
	"os"
	"strconv"
	"time"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/queue"
	"connectorvault/shared/planner"
	"connectorvault/shared/vault"
)

// MustLoad makes the planner from the process's environment, or ends the process with what is missing.
func MustLoad() *planner.Planner {
	p, err := Load(os.LookupEnv)
	environment.ExitOn(err)
	return p
}

// Load makes the planner.
func Load(lookup environment.Lookup) (*planner.Planner, error) {
	v := environment.Of(lookup)
	config, log := environment.AWS(v), environment.Logger(v)
	queues, workers := queue.DueOf(v, config), workersOf(v)
	for _, name := range queues.Providers() {
		if workers[name] < 1 {
			v.Wrong("CV_REFRESHES does not say how many refreshes there may be at once at " + name)
		}
	}
	for name := range workers {
		if queues[name] == nil {
			v.Wrong("CV_QUEUES_DUE has no queue for " + name)
		}
	}
	index, metrics := environment.Tables(v, config), environment.Metrics(v)
	_ = environment.Tracer(v, log) // what is done here is too little for spans
	return planner.New(planner.Config{Vault: vault.New(vault.Config{Due: index, Now: time.Now}), Providers: queues.Providers(),
		Workers: func(provider string) int { return workers[provider] }, Waiting: queues.Waiting, Send: queues.Send, Now: time.Now, Logger: log,
		Metrics: metrics}), v.Err()
}

// workersOf is how many refreshes there may be at once, by provider.
func workersOf(v *environment.Variables) map[string]int {
	out := map[string]int{}
	for provider, text := range v.Pairs("CV_REFRESHES") {
		out[provider], _ = strconv.Atoi(text) // what is no number is missed
	}
	return out
}
