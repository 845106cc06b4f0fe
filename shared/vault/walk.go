package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"slices"

	"connectorvault/shared/audit"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// verifyTries is how often a chain that grows while it is read is read anew.
const verifyTries = 8

// verifyChain walks one chain. One that somebody is writing to just now is walked anew.
func (v *Vault) verifyChain(ctx context.Context, tenant string, s audit.Subject, earlier HeadNote) (walk, error) {
	for try := 1; ; try++ {
		w := walk{Vault: v, tenant: tenant, subject: s, earlier: earlier}
		if err := w.run(ctx); err != nil {
			return w, err
		}
		if len(w.findings) == 0 || try == verifyTries {
			return w, nil
		}
		after, err := v.chainEnd(ctx, tenant, s)
		if err != nil {
			return w, err
		}
		cut, err := v.get(ctx, store.Records, anchorKey(tenant, s))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return w, err
		}
		if bytes.Equal(after.mac, w.end.mac) && after.place == w.end.place && cut.Int(attrAuditNumber) == w.start {
			return w, nil
		}
	}
}

// walk is one way through a chain.
type walk struct {
	*Vault
	tenant   string
	subject  audit.Subject
	earlier  HeadNote
	findings []Finding

	start  int64 // number of the last event that retention took
	end    chainEnd
	seen   int
	number int64  // of the event before
	mac    []byte // as it is stored
	at     int64
	held   bool // the earlier head was met
}

func (w *walk) finds(f Fault, number int64) {
	w.findings = append(w.findings, Finding{Subject: w.subject, Number: number, Fault: f})
}

// each finds the same of several events, of so many at most that somebody who writes a large number costs nobody dear.
func (w *walk) each(f Fault, from, to int64) {
	for number := from; number <= to && number-from < 1000; number++ {
		w.finds(f, number)
	}
}

func (w *walk) run(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	var err error
	if w.end, err = w.chainEnd(ctx, w.tenant, w.subject); err != nil {
		return err
	}
	var batch []store.Item
	flush := func() error {
		defer func() { batch = nil }()
		return w.listed(ctx, batch)
	}
	err = w.scan(ctx, w.tenant, ChainPrefix(w.subject), func(item store.Item) (string, error) {
		if err := w.event(ctx, item); err != nil {
			return "", err
		}
		if batch = append(batch, item); len(batch) == store.MaxGet {
			return item.Key.Sort, flush()
		}
		return item.Key.Sort, nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = w.finish(ctx)
	}
	return err
}

// begin reads where retention has cut the chain.
func (w *walk) begin(ctx context.Context) error {
	attrs, err := w.get(ctx, store.Records, anchorKey(w.tenant, w.subject))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	cut := endOf(audit.Anchor, attrs)
	whole, err := w.sealed(ctx, audit.Anchor, cut)
	if !whole {
		w.finds(CutBroken, cut.number)
	}
	w.start, w.number, w.mac, w.at = cut.number, cut.number, cut.mac, cut.at
	w.held = w.earlier.Number > 0 && w.earlier.Number <= cut.number
	return err
}

// sealed reports whether a place is as it was written.
func (w *walk) sealed(ctx context.Context, p audit.Place, at chainEnd) (bool, error) {
	if at.key == "" {
		return false, nil
	}
	_, want, err := w.Vault.mac(ctx, w.tenant, at.key, audit.PlaceMessage(p, w.tenant, w.subject, at.number, at.mac, at.at))
	if errors.Is(err, seal.ErrUnknownKey) {
		return false, nil
	}
	return err == nil && hmac.Equal(want, at.seal), err
}

// event looks at the next event.
func (w *walk) event(ctx context.Context, item store.Item) error {
	w.seen++
	e, readErr := auditEventOf(item.Attrs)
	_, digits := cutLast(item.Key.Sort)
	number := int64(0)
	for _, d := range []byte(digits) {
		number = number*10 + int64(d-'0')
	}
	if item.Key != chainKey(w.tenant, w.subject, number) {
		w.finds(Inserted, number)
		return nil
	}
	w.each(Removed, w.number+1, number-1)
	if item.Attrs == nil {
		w.finds(Illegible, number)
		w.number, w.mac = number, nil
		return nil
	}
	whole, err := w.whole(ctx, number, item.Attrs)
	if err != nil {
		return err
	}
	follows := number > w.number+1 || w.found(Changed, w.number) || w.found(CutBroken, w.number) || w.found(Illegible, w.number) ||
		bytes.Equal(item.Attrs.Bytes(attrAuditBefore), w.mac)
	sound := readErr == nil && e.Number == number && e.Subject == w.subject && milli(e.At) > w.at
	if !whole || !follows || !sound {
		w.finds(Changed, number)
	}
	stored := item.Attrs.Bytes(attrAuditMAC)
	if number == w.earlier.Number {
		w.held = bytes.Equal(stored, w.earlier.MAC)
	}
	w.number, w.mac = number, stored
	if whole && sound {
		w.at = milli(e.At)
	}
	return nil
}

// whole reports whether an event is as it was written, where it was written.
func (w *walk) whole(ctx context.Context, number int64, a store.Attrs) (bool, error) {
	key := a.String(attrAuditKey)
	if key == "" {
		return false, nil
	}
	_, want, err := w.Vault.mac(ctx, w.tenant, key, audit.EventMessage(w.tenant, w.subject, number, a.Bytes(attrAuditBefore), a.String(attrDoc)))
	if errors.Is(err, seal.ErrUnknownKey) {
		return false, nil
	}
	return err == nil && hmac.Equal(want, a.Bytes(attrAuditMAC)), err
}

// listed looks for events in the order of time.
func (w *walk) listed(ctx context.Context, items []store.Item) error {
	if len(items) == 0 {
		return nil
	}
	keys, numbers := make([]store.Key, 0, len(items)), map[store.Key]store.Item{}
	for _, item := range items {
		e, err := auditEventOf(item.Attrs)
		if err != nil {
			continue // it was found to be changed
		}
		key := store.Key{Partition: w.tenant, Sort: AuditKey(e)}
		if _, twice := numbers[key]; !twice {
			keys, numbers[key] = append(keys, key), item
		}
	}
	found, err := w.many(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		item := numbers[key]
		other, there := found[key]
		if !there || other.String(attrDoc) != item.Attrs.String(attrDoc) {
			e, _ := auditEventOf(item.Attrs)
			w.finds(Unlisted, e.Number)
		}
	}
	return nil
}

// many reads those of the items that are there and can be read.
func (v *Vault) many(ctx context.Context, keys []store.Key) (map[store.Key]store.Attrs, error) {
	found := map[store.Key]store.Attrs{}
	for part := range slices.Chunk(keys, store.MaxGet) {
		items, err := v.Items.GetMany(ctx, store.Records, part)
		if unreadable(err) {
			items, err = v.oneByOne(ctx, part)
		}
		if err != nil {
			return nil, storeFault(err)
		}
		for _, item := range items {
			found[item.Key] = item.Attrs
		}
	}
	return found, nil
}

func (v *Vault) oneByOne(ctx context.Context, keys []store.Key) (items []store.Item, err error) {
	for _, key := range keys {
		item, err := v.Items.Get(ctx, store.Records, key)
		switch {
		case err == nil:
			items = append(items, item)
		case !errors.Is(err, store.ErrNotFound) && !unreadable(err):
			return nil, err
		}
	}
	return items, nil
}

// finish holds the end of the way against where the chain says that it ends.
func (w *walk) finish(ctx context.Context) error {
	if w.end.place == "" {
		switch {
		case w.number > 0:
			w.finds(HeadBroken, w.number) // events, and no end: it was taken away
		case w.end.record:
			w.finds(NoChain, 0)
		case w.earlier.Number > 0 && !w.held && !w.earlier.At.Before(w.Now().AddDate(0, -auditMonths, 0)):
			w.finds(Rewound, w.earlier.Number) // all of it is gone, before its time
		}
		return nil
	}
	whole, err := w.sealed(ctx, w.end.place, w.end)
	if err != nil {
		return err
	}
	switch {
	case !whole, w.end.number == w.number && !bytes.Equal(w.end.mac, w.mac) && !w.found(Changed, w.number) && !w.found(Illegible, w.number):
		w.finds(HeadBroken, w.end.number)
	case w.end.number < w.number:
		w.each(Inserted, w.end.number+1, w.number)
	case w.end.number > w.number:
		w.each(Removed, w.number+1, w.end.number)
	}
	if w.earlier.Number > 0 && !w.held {
		w.finds(Rewound, w.earlier.Number)
	}
	return nil
}

func (w *walk) found(f Fault, number int64) bool {
	return slices.Contains(w.findings, Finding{Subject: w.subject, Number: number, Fault: f})
}
