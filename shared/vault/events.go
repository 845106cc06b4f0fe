package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// EventPrefix begins the sort keys of events; the event's time follows, so that they lie in its order.
const EventPrefix = "event#"

const (
	eventTime = "2006-01-02T15:04:05.000Z" // of fixed width
	// eventMonths is how long an event is kept at least. It outlasts by far the time in which the same event can be found
	// out again.
	eventMonths = 13
	// eventTrim is how many events each new one may push out: more than one, so that there are never many too old.
	eventTrim = 3
	// eventSettled is the age from which an event is taken to be where every listing sees it.
	eventSettled = time.Minute
)

// Attributes of the item that keeps a tenant's events in order, and of the one that keeps an event from coming twice.
const (
	attrLast      = "last"       // time of the last event, in milliseconds
	attrLastEvent = "last_event" // its sort key
	attrEvent     = "event"      // sort key
	attrOwed      = "owed"       // the tenant's webhooks have not been told of it for certain
)

// eventsKey is the item that keeps a tenant's events in order.
func eventsKey(tenant string) store.Key { return store.Key{Partition: tenant, Sort: "events"} }

// raisedKey is the item that keeps an event from being published twice.
func raisedKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "raised#" + id}
}

// EventKey is an event's sort key: a listing goes on after it.
func EventKey(e record.Event) string { return EventPrefix + e.At.UTC().Format(eventTime) + "#" + e.ID }

// EventsSince is the key after which a listing begins with the events from a time on.
func EventsSince(t time.Time) string {
	return EventPrefix + t.Add(time.Millisecond-1).UTC().Format(eventTime)
}

// identify gives an event the id that it has whoever finds it out: it follows from what the event is about, and not from
// when or by whom it was noticed.
func identify(e record.Event) (string, error) {
	about := []any{e.Tenant, e.Kind, e.Provider, e.APIEnvironment, e.Entry, e.Generation}
	if e.Horizon != nil {
		about = append(about, e.Horizon.Name, e.Horizon.Detail, e.Horizon.At.UnixMilli(), e.DaysBefore)
	}
	text, err := encode(about)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(text))
	return ident.New(bytes.NewReader(sum[:]), ident.Event)
}

// Published says what became of publishing an event.
type Published struct {
	Event record.Event // as it lies among the tenant's events
	Fresh bool         // it was published just now
	// Owed: the tenant's webhooks have not been told of it for certain. It stays so until Announced is called, whoever comes
	// upon the event again: that is what makes telling them survive a process that dies in between.
	Owed bool
}

// Publish puts an event behind the tenant's last one, once: fresh is false when it was published before, by whomever.
func (v *Vault) Publish(ctx context.Context, e record.Event) (fresh bool, err error) {
	p, err := v.PublishOwed(ctx, e)
	return p.Fresh, err
}

// publishTries bounds how often an event is put behind another one's that came first. At each somebody gets in.
const publishTries = 100

// PublishOwed is Publish, and says besides whether webhooks have still to be told.
//
// A listing that is followed must never see an event appear behind the place where it was. So the events of a tenant
// are put in order by one item that holds the last one's time, and each is later than the one before, whatever the clocks
// of those who publish say.
func (v *Vault) PublishOwed(ctx context.Context, e record.Event) (p Published, err error) {
	if e.ID, err = identify(e); err != nil {
		return p, err
	}
	for try := range publishTries {
		if err := v.standBack(ctx, try); err != nil {
			return p, err
		}
		raised, err := v.get(ctx, store.Records, raisedKey(e.Tenant, e.ID))
		if err == nil {
			return v.earlierEvent(ctx, e, raised)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return p, err // nobody can say
		}
		at, err := v.publish(ctx, e)
		var failed *store.ConditionFailed
		if err == nil {
			v.trimEvents(ctx, e.Tenant)
			e.At = at
			return Published{Event: e, Fresh: true, Owed: true}, nil
		}
		if !errors.As(err, &failed) {
			return p, err
		}
	}
	return p, storeFault(store.ErrBusy) // too much of a crowd to get a word in
}

// earlierEvent is an event that was published before. It is looked up only if somebody has still to be told of it.
func (v *Vault) earlierEvent(ctx context.Context, e record.Event, raised store.Attrs) (Published, error) {
	p := Published{Event: e, Owed: raised.Bool(attrOwed)}
	if !p.Owed {
		return p, nil
	}
	key := store.Key{Partition: e.Tenant, Sort: raised.String(attrEvent)}
	attrs, err := v.get(ctx, store.Records, key)
	if errors.Is(err, store.ErrNotFound) {
		p.Owed = false // trimmed: it is history
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Event, err = eventOf(e.Tenant, store.Item{Key: key, Attrs: attrs})
	return p, err
}

// Announced notes that every webhook which is to hear of an event has its message.
func (v *Vault) Announced(ctx context.Context, e record.Event) error {
	err := v.apply(ctx, store.Op{Verb: store.Put, Table: store.Records, Key: raisedKey(e.Tenant, e.ID), If: store.Exists(),
		Set: store.Attrs{attrEvent: EventKey(e)}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil // trimmed meanwhile
	}
	return err
}

// publish tries once to be the next. A condition that fails means that somebody else was.
func (v *Vault) publish(ctx context.Context, e record.Event) (at time.Time, err error) {
	head, err := v.get(ctx, store.Records, eventsKey(e.Tenant))
	unmoved := store.Equal(attrLast, head.Int(attrLast))
	if errors.Is(err, store.ErrNotFound) {
		unmoved, err = store.Absent(), nil
	}
	if err != nil {
		return at, err
	}
	now := v.Now()
	last := max(milli(now), head.Int(attrLast)+1)
	e.At = fromMilli(last)
	doc, err := encode(e)
	if err != nil {
		return at, err
	}
	key := EventKey(e)
	ops := []store.Op{
		{Verb: store.Put, Table: store.Records, Key: raisedKey(e.Tenant, e.ID), If: store.Absent(), Set: store.Attrs{attrEvent: key, attrOwed: true}},
		{Verb: store.Put, Table: store.Records, Key: eventsKey(e.Tenant), If: unmoved, Set: store.Attrs{attrLast: last, attrLastEvent: key}},
		{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: e.Tenant, Sort: key}, If: store.Absent(),
			Set: store.Attrs{attrDoc: doc, attrTenant: e.Tenant}},
	}
	if before := head.String(attrLastEvent); before != "" && now.Sub(fromMilli(head.Int(attrLast))) < eventSettled {
		// A listing may, for a moment, see one part of a transaction and not the other. The event before this one is asked
		// for, so that this one is not to be seen before that.
		ops = append(ops, store.Op{Verb: store.Verify, Table: store.Records, Key: store.Key{Partition: e.Tenant, Sort: before}, If: store.Exists()})
	}
	return e.At, v.apply(ctx, ops...)
}

// trimEvents removes a few of the events that are too old. Their table lets nothing end by itself, since most of what lies
// there must never. What is not removed now is found when the next event comes.
func (v *Vault) trimEvents(ctx context.Context, tenant string) {
	items, _, err := v.Items.Query(ctx, store.Query{Table: store.Records, Partition: tenant, Prefix: EventPrefix, Limit: eventTrim})
	if err != nil {
		return
	}
	oldest := v.Now().AddDate(0, -eventMonths, 0)
	for _, item := range items {
		e, err := eventOf(tenant, item)
		if err != nil || !e.At.Before(oldest) {
			return
		}
		err = v.apply(ctx, store.Op{Verb: store.Delete, Table: store.Records, Key: item.Key},
			store.Op{Verb: store.Delete, Table: store.Records, Key: raisedKey(tenant, e.ID)})
		if err != nil {
			return
		}
	}
}

func eventOf(tenant string, item store.Item) (record.Event, error) {
	var e record.Event
	err := decode(item.Attrs, &e)
	e.Tenant = tenant
	return e, err
}

// Events lists a tenant's events that keep likes, the oldest first, after the key of one.
func (v *Vault) Events(ctx context.Context, tenant, after string, limit int, keep func(record.Event) bool) (Page[record.Event], error) {
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: EventPrefix, After: after}
	return list(ctx, v, q, limit, func(item store.Item) (record.Event, bool, error) {
		e, err := eventOf(tenant, item)
		return e, err == nil && keep(e), err
	})
}
