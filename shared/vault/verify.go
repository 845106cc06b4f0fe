package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/ident"
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
