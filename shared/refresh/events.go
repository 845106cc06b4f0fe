package refresh

import (
	"context"
	"log/slog"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// tellBudget is how long publishing may keep a caller, whose answer is decided, from hearing it. What is not told by then
// is told by the schedule.
const tellBudget = 3 * time.Second

// settle publishes what the write that has just been made says. Nothing depends on it: the notices stay in the credential
// until they are told, and the schedule comes by for them.
func (s *Service) settle(ctx context.Context, tenant, entry string) {
	ctx, cancel := context.WithTimeout(ctx, tellBudget)
	defer cancel()
	err := s.tellAll(ctx, tenant, entry)
	if err != nil && fault.KindOf(err) != fault.NotFound { // an entry that is gone has nothing to say
		s.logUntold(ctx, tenant, entry, err)
	}
}

func (s *Service) logUntold(ctx context.Context, tenant, entry string, err error) {
	s.Logger.WarnContext(ctx, "an event was not published and waits", "tenant", tenant, "entry", entry, "error", err.Error())
}

func (s *Service) tellAll(ctx context.Context, tenant, id string) error {
	c, found, err := s.Vault.Credential(ctx, tenant, id)
	if err != nil || !found || len(c.Notices) == 0 {
		return err
	}
	entry, err := s.Vault.Entry(ctx, tenant, id)
	if err != nil {
		return err
	}
	told, err := s.tell(ctx, entry, c)
	if err != nil {
		return err
	}
	at := c.DueAt // a failure's pause, and what else was decided since
	switch {
	case c.Status == record.Reauth:
		at = time.Time{}
	case c.Failure == nil:
		at, err = s.afterTelling(ctx, entry, c)
	}
	if err != nil {
		return err
	}
	return s.Vault.Reschedule(ctx, c, at, told...)
}

// afterTelling is when the schedule looks at an entry of which everything else was told. Whoever is new, or was of no use, may
// have passed a mark that nobody looked at: then the look that is due soon stays, and tells it.
func (s *Service) afterTelling(ctx context.Context, entry record.Entry, c record.Credential) (time.Time, error) {
	adapter, _, err := s.adapter(entry)
	if err != nil {
		return time.Time{}, err
	}
	state, err := s.state(ctx, entry, c, adapter)
	if err != nil {
		return time.Time{}, err
	}
	now := s.Now()
	for _, k := range clocks(state) {
		if mark, _ := k.passed(now); mark != 0 {
			return c.DueAt, nil
		}
	}
	return s.nextLook(state), nil
}

// tell publishes a credential's notices, each once whoever else does the same, and returns those that need not be kept
// any longer.
func (s *Service) tell(ctx context.Context, entry record.Entry, c record.Credential) (told []record.Notice, err error) {
	for _, n := range c.Notices {
		if n.Kind == record.EventRecovered && c.Generation <= n.Generation {
			continue // owed, and not true yet
		}
		e := about(entry)
		e.Kind, e.Generation, e.Cause = n.Kind, n.Generation, n.Cause
		if err := s.publish(ctx, e); err != nil {
			return told, err
		}
		told = append(told, n)
	}
	return told, nil
}

// about begins an event of an entry.
func about(entry record.Entry) record.Event {
	return record.Event{Tenant: entry.Tenant, Provider: entry.Provider, APIEnvironment: entry.APIEnvironment, Entry: entry.ID,
		Alias: entry.Alias, Environment: entry.Environment, Disabled: entry.Disabled}
}

// publish publishes an event and sees to it that webhooks are told of it. Whoever comes upon an event that was published and
// not announced does the rest.
func (s *Service) publish(ctx context.Context, e record.Event) error {
	published, err := s.Vault.PublishOwed(ctx, e)
	if err != nil {
		return err
	}
	if published.Fresh {
		s.logEvent(ctx, e)
	}
	if !published.Owed || s.Announce == nil {
		return nil
	}
	return s.announce(ctx, published.Event)
}

// announce queues a message for each webhook that is to hear of an event, and notes that this was done. Dying between the two
// queues them again: a receiver knows an event that comes twice by its id.
func (s *Service) announce(ctx context.Context, e record.Event) error {
	hooks, err := s.Vault.Webhooks(ctx, e.Tenant)
	if err != nil {
		return err
	}
	var messages []webhook.Message
	for _, w := range hooks {
		if !w.Disabled && w.Wants(e.Kind) {
			messages = append(messages, webhook.Message{Tenant: e.Tenant, Webhook: w.ID, Event: e, Sent: s.Now().UTC()})
		}
	}
	if len(messages) > 0 {
		if err := s.Announce(ctx, messages); err != nil {
			return err
		}
	}
	return s.Vault.Announced(ctx, e)
}

// logEvent logs what an operator should see: once, as it is published once.
func (s *Service) logEvent(ctx context.Context, e record.Event) {
	about := []any{"event", string(e.Kind), "tenant", e.Tenant, "provider", e.Provider, "api_environment", string(e.APIEnvironment)}
	if e.Entry != "" {
		about = append(about, "entry", e.Entry, "environment", e.Environment)
	}
	switch e.Kind {
	case record.EventExpiring:
		s.Logger.Log(ctx, slog.LevelWarn, "a date comes near", append(about, "horizon", e.Horizon.Name, "detail", e.Horizon.Detail,
			"at", e.Horizon.At, "assumed", e.Horizon.Assumed, "days_before", e.DaysBefore)...)
	case record.EventReauth:
		s.Logger.Log(ctx, slog.LevelError, "an entry must be authorized again", append(about, "cause", string(e.Cause))...)
	case record.EventRecovered:
		s.Logger.Log(ctx, slog.LevelInfo, "an entry works again", about...)
	case record.EventAuthorized, record.EventTest: // logged where it was done; never published
	}
}

// marks are the days before a date of the horizon at which a tenant hears of it.
var marks = []int{30, 14, 7, 1}

const (
	day = 24 * time.Hour
	// over is how long after a date it is still told that it came near, should nobody have looked until then. Later it is
	// history. It ends long before the events do that keep the same one from coming twice.
	over = 30 * day
)

// clock is a date that the schedule watches.
type clock struct {
	record.Horizon
	from time.Time // earlier marks do not count
}

// clocks are the dates of an entry. Those of its refresh token count from when it should have been used to keep it:
// whatever lies before passes every time, and means nothing.
func clocks(state vault.EntryState) []clock {
	horizon := state.Horizons()
	out := make([]clock, len(horizon))
	for i, h := range horizon {
		out[i].Horizon = h
		if c := state.Credential; h.Name == record.RefreshTokenEnd {
			out[i].from = c.Refreshed.Add(c.RefreshExpires.Sub(c.Refreshed) / 2)
		}
	}
	return out
}

// passed returns the mark that was passed last, 0 for none, and when the next one is; the zero time after the last. Only
// the last counts: who comes under watch with five days left needs no word of thirty.
func (c clock) passed(now time.Time) (mark int, next time.Time) {
	for _, days := range marks {
		at := c.At.Add(-time.Duration(days) * day)
		if at.After(now) {
			return mark, at
		}
		if at.After(c.from) {
			mark = days
		}
	}
	if now.After(c.At.Add(over)) {
		mark = 0
	}
	return mark, time.Time{}
}

// state puts together what decides on an entry's dates.
func (s *Service) state(ctx context.Context, entry record.Entry, c record.Credential, adapter provider.Adapter) (vault.EntryState, error) {
	state := vault.EntryState{Entry: entry, Credential: &c}
	usesApp, announced := provider.Dates(adapter, entry)
	state.Announced = announced
	if !usesApp {
		return state, nil
	}
	app, found, err := s.Vault.App(ctx, entry.Tenant, entry.Provider, entry.APIEnvironment)
	if found {
		state.App = &app
	}
	return state, err
}

// raise publishes the marks that were passed. That of the refresh token is raised only when it is not being kept alive;
// lost says so.
func (s *Service) raise(ctx context.Context, state vault.EntryState, lost bool) error {
	now := s.Now()
	for _, c := range clocks(state) {
		mark, _ := c.passed(now)
		if mark == 0 || c.Name == record.RefreshTokenEnd && !lost {
			continue
		}
		e := about(state.Entry)
		if c.Name == record.ClientSecretEnd { // many entries' date, and one event
			e = record.Event{Tenant: e.Tenant, Provider: e.Provider, APIEnvironment: e.APIEnvironment}
		}
		e.Kind, e.Horizon, e.DaysBefore = record.EventExpiring, &c.Horizon, mark
		if err := s.publish(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
