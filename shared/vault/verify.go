package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/ident"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// Fault says what is wrong with a chain.
type Fault string

// What verification finds.
const (
	Changed    Fault = "changed"         // the event's MAC does not fit what is there, or what is before it
	Removed    Fault = "removed"         // there is no event of that number, and there was one
	Inserted   Fault = "inserted"        // there is an event of that number, and the chain ends before it
	HeadBroken Fault = "head_tampered"   // where the chain ends was changed, or taken away
	CutBroken  Fault = "anchor_tampered" // where retention cut the chain was changed, or taken away
	Unlisted   Fault = "unlisted"        // the event is missing, or another one, in the order of time
	Stray      Fault = "stray"           // an event in the order of time that its chain does not have
	NoChain    Fault = "no_chain"        // a record without any event: older than the audit, or robbed of it
	Rewound    Fault = "rewound"         // the chain is not the one of an earlier verification
	Illegible  Fault = "unreadable"      // what the store has there is in no form of ours
	NoKeyring  Fault = "no_keyring"      // the tenant has no keyring, so nothing of it can be verified
)

// Finding is one thing that is wrong.
type Finding struct {
	Subject audit.Subject `json:"subject"`
	Number  int64         `json:"number,omitempty"` // of the event; 0 = it is none of a single event
	Fault   Fault         `json:"fault"`
}

// HeadNote is where a chain ended when it was verified. Kept elsewhere, it shows later that the chain has not gone back.
type HeadNote struct {
	Subject audit.Subject `json:"subject"`
	Number  int64         `json:"number"`
	MAC     []byte        `json:"mac"`
	At      time.Time     `json:"time"` // of the event
}

// AuditReport is what a verification came to.
type AuditReport struct {
	Chains   int        `json:"chains"`
	Events   int        `json:"events"`
	Findings []Finding  `json:"findings"`
	Heads    []HeadNote `json:"heads"`
}

// macSize is how long the code of an event is.
const macSize = 32

// WellFormed reports whether a note can be one that a verification printed.
func (n HeadNote) WellFormed() bool {
	return slices.Contains(audit.Kinds(), n.Subject.Kind) && n.Subject.ID != "" && n.Number > 0 && len(n.MAC) == macSize && !n.At.IsZero()
}

// verifyTries is how often a chain that grows while it is read is read anew.
const verifyTries = 8

// VerifyAudit walks every chain of a tenant, and what lists and ends them. earlier are the heads of a verification before;
// it may be nil. It changes nothing, and may run beside everything else.
func (v *Vault) VerifyAudit(ctx context.Context, tenant string, earlier []HeadNote) (AuditReport, error) {
	r := AuditReport{Findings: []Finding{}, Heads: []HeadNote{}}
	if _, _, err := v.mac(ctx, tenant, "", nil); errors.Is(err, store.ErrNotFound) {
		r.Findings = append(r.Findings, Finding{Subject: tenantSubject(tenant), Fault: NoKeyring})
		return r, nil
	} else if err != nil {
		return r, err
	}
	subjects, err := v.subjects(ctx, tenant)
	if err != nil {
		return r, err
	}
	notes := map[audit.Subject]HeadNote{}
	for _, note := range earlier {
		notes[note.Subject] = note
		if !slices.Contains(subjects, note.Subject) {
			subjects = append(subjects, note.Subject)
		}
	}
	for _, s := range subjects {
		w, err := v.verifyChain(ctx, tenant, s, notes[s])
		if unreadable(err) { // where it begins or ends: the others are walked all the same
			r.Findings = append(r.Findings, Finding{Subject: s, Fault: Illegible})
			continue
		}
		if err != nil {
			return r, err
		}
		r.Findings = append(r.Findings, w.findings...)
		r.Events += w.seen
		if w.end.place != "" {
			r.Chains++
			r.Heads = append(r.Heads, HeadNote{Subject: s, Number: w.end.number, MAC: w.end.mac, At: fromMilli(w.end.at)})
		}
	}
	strays, err := v.strays(ctx, tenant)
	r.Findings = append(r.Findings, strays...)
	return r, err
}

// subjects are all that have a chain, or should have one: found by their records, by their events, and by the notes that
// are left of them, so that hiding one takes hiding it everywhere.
func (v *Vault) subjects(ctx context.Context, tenant string) ([]audit.Subject, error) {
	var out []audit.Subject
	found := map[audit.Subject]bool{}
	add := func(s audit.Subject) {
		if !found[s] {
			found[s] = true
			out = append(out, s)
		}
	}
	prefixes := []string{tombstonePrefix, anchorPrefix}
	for _, kind := range audit.Kinds() {
		prefixes = append(prefixes, subjectRecords[kind])
	}
	for _, prefix := range prefixes {
		err := v.scan(ctx, tenant, prefix, func(item store.Item) (string, error) {
			sort := strings.TrimPrefix(item.Key.Sort, prefix)
			if prefix == tombstonePrefix || prefix == anchorPrefix {
				kind, id, _ := strings.Cut(sort, "#")
				add(audit.Subject{Kind: audit.Kind(kind), ID: id})
			} else if s, ok := subjectOf(tenant, item.Key.Sort); ok {
				add(s)
			}
			return item.Key.Sort, nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := v.scan(ctx, tenant, chainPrefix, func(item store.Item) (string, error) {
		name, _ := cutLast(strings.TrimPrefix(item.Key.Sort, chainPrefix))
		kind, id, _ := strings.Cut(name, "#")
		s := audit.Subject{Kind: audit.Kind(kind), ID: id}
		add(s)
		return ChainPrefix(s) + "~", nil // to the next chain: this one is walked by itself
	})
	return out, err
}

func cutLast(s string) (before, after string) {
	if i := strings.LastIndexByte(s, '#'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func unreadable(err error) bool {
	var at *store.Unreadable
	return errors.As(err, &at)
}

// AuditedTenants are the tenants that the list of tenants has, whatever is left of their lines.
func (v *Vault) AuditedTenants(ctx context.Context) (ids []string, err error) {
	err = v.scan(ctx, ident.Outside, listPrefix, func(item store.Item) (string, error) {
		ids = append(ids, strings.TrimPrefix(item.Key.Sort, listPrefix))
		return item.Key.Sort, nil
	})
	return ids, err
}

// scan goes through a part of the tenant's records. look says after which key it goes on. An item that the store cannot read
// comes without attributes.
func (v *Vault) scan(ctx context.Context, tenant, prefix string, look func(store.Item) (after string, err error)) error {
	const scanPage = 100
	q := store.Query{Table: store.Records, Partition: tenant, Prefix: prefix, Limit: scanPage}
	for {
		items, more, err := v.Items.Query(ctx, q)
		var at *store.Unreadable
		switch {
		case errors.As(err, &at) && q.Limit > 1:
			q.Limit = 1 // what lies before it comes one by one
			continue
		case errors.As(err, &at):
			items, more, q.Limit = []store.Item{{Key: at.Key}}, true, scanPage
		case err != nil:
			return storeFault(err)
		}
		for _, item := range items {
			if item.Key.Sort <= q.After {
				continue
			}
			if q.After, err = look(item); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

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

// strays are events in the order of time that are in no chain, or are others there.
func (v *Vault) strays(ctx context.Context, tenant string) ([]Finding, error) {
	var out []Finding
	var batch []store.Item
	flush := func() error {
		found, err := v.straysOf(ctx, tenant, batch)
		out, batch = append(out, found...), nil
		return err
	}
	err := v.scan(ctx, tenant, AuditPrefix, func(item store.Item) (string, error) {
		if batch = append(batch, item); len(batch) == store.MaxGet {
			return item.Key.Sort, flush()
		}
		return item.Key.Sort, nil
	})
	if err == nil {
		err = flush()
	}
	return out, err
}

func (v *Vault) straysOf(ctx context.Context, tenant string, items []store.Item) (out []Finding, err error) {
	events, keys, asked := make([]audit.Event, len(items)), []store.Key{}, map[store.Key]bool{}
	for i, item := range items {
		e, err := auditEventOf(item.Attrs)
		key := chainKey(tenant, e.Subject, e.Number)
		if events[i] = e; err == nil && !asked[key] {
			keys, asked[key] = append(keys, key), true
		}
	}
	found, err := v.many(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if item.Attrs == nil {
			out = append(out, Finding{Subject: tenantSubject(tenant), Fault: Illegible})
			continue
		}
		e := events[i]
		if AuditKey(e) == item.Key.Sort && found[chainKey(tenant, e.Subject, e.Number)].String(attrDoc) == item.Attrs.String(attrDoc) {
			continue
		}
		if _, err := v.get(ctx, store.Records, item.Key); errors.Is(err, store.ErrNotFound) {
			continue // retention took it while we read
		}
		out = append(out, Finding{Subject: e.Subject, Number: e.Number, Fault: Stray})
	}
	return out, nil
}
