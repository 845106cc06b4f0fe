package refresh

import (
	"context"
	"sync"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// overlaps remembers which of an application's two secrets an endpoint took last, where it refused the other. Without it
// every refresh would be two POSTs for as long as the one in force is refused. A process's own memory is enough: one that
// does not know finds it out with one POST more, which spends nothing, and a note that all could read would be a write in
// the way of every refresh. What is remembered holds for a while, so that a secret that works a little later than it is
// known is not passed over for days.
type overlaps struct {
	mu   sync.Mutex
	took map[string]took // guarded by mu; by application
}

type took struct {
	record  string // version of the application's record
	version string // of its secrets
	at      time.Time
}

const (
	worksFor    = time.Hour
	maxOverlaps = 4096 // when it is full it starts anew
)

func overlapKey(app record.App) string {
	return app.Tenant + "|" + app.Provider + "|" + string(app.APIEnvironment)
}

// choose is the version of the secrets to go by.
func (o *overlaps) choose(app record.App, now time.Time) string {
	before := app.Overlapping(now)
	if before == nil {
		return app.Version
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	last, known := o.took[overlapKey(app)]
	if known && last.record == app.Version && last.version == before.Version && now.Sub(last.at) < worksFor {
		return before.Version
	}
	return app.Version
}

func (o *overlaps) note(app record.App, version string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.took == nil || len(o.took) >= maxOverlaps {
		o.took = map[string]took{}
	}
	o.took[overlapKey(app)] = took{record: app.Version, version: version, at: now}
}

// noteWorks remembers which secrets were taken after others had been refused. That it is those before the ones in force is
// an operator's to know: once their time is over, nothing is left.
func (s *Service) noteWorks(ctx context.Context, as provider.AppCredentials) {
	if as.App.Version == "" {
		return // the entry brings its own client
	}
	s.works.note(as.App, as.Version, s.Now())
	if before := as.App.Overlapping(s.Now()); before != nil && as.Version == before.Version {
		s.Logger.ErrorContext(ctx, "the client secret in force is refused and the one before is used", "tenant", as.App.Tenant,
			"provider", as.App.Provider, "api_environment", string(as.App.APIEnvironment), "until", before.Until)
		// Whoever registers the next one must not keep this one in place of the one that works.
		if err := s.Vault.NoteRefusedSecret(ctx, as.App, before.Until); err != nil {
			s.Logger.WarnContext(ctx, "that a client secret is refused is not noted", "tenant", as.App.Tenant, "provider", as.App.Provider, "error", err.Error())
		}
	}
}
