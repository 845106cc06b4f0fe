package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"connectorvault/shared/audit"
	"connectorvault/shared/ident"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// Sort keys of what the audit keeps, all in the tenant's own partition of the records. An event lies there twice: in its
// chain, and in the order of time.
const (
	// AuditPrefix begins the keys of events in the order of time.
	AuditPrefix = "audit#"

	chainPrefix     = "chain#"
	tombstonePrefix = "tombstone#"
	anchorPrefix    = "anchor#"
)

const (
	auditID = "ae_"
	// auditMonths is how long an audit event is kept at least.
	auditMonths = 13
	// auditTries bounds how often a change is tried again because somebody else's was the next of the chain.
	auditTries = 32
)

// Attributes of audit events, and of what says where a chain ends. They stand beside a record's document and not in it.
const (
	attrAuditNumber = "audit_number"
	attrAuditMAC    = "audit_mac"    // of the event
	attrAuditBefore = "audit_before" // of the event before; so each can be checked by itself, whatever became of the others
	attrAuditAt     = "audit_at"     // its time in milliseconds
	attrAuditKey    = "audit_key"    // names the key of the MAC beside it: the event's, or the place's
	attrAuditSeal   = "audit_seal"   // of the place: audit.PlaceMessage
)

// subjectName is a subject as sort keys name it.
func subjectName(s audit.Subject) string { return string(s.Kind) + "#" + s.ID }

// ChainPrefix begins the keys of a chain's events.
func ChainPrefix(s audit.Subject) string { return chainPrefix + subjectName(s) + "#" }

func chainKey(tenant string, s audit.Subject, number int64) store.Key {
	return store.Key{Partition: tenant, Sort: ChainPrefix(s) + fmt.Sprintf("%012d", number)}
}

// AuditKey is an event's sort key in the order of time: a listing goes on after it.
func AuditKey(e audit.Event) string {
	return AuditPrefix + e.At.UTC().Format(eventTime) + "#" + e.ID
}

// ChainKey is an event's sort key in its chain.
func ChainKey(e audit.Event) string { return chainKey("", e.Subject, e.Number).Sort }

func tombstoneKey(tenant string, s audit.Subject) store.Key {
	return store.Key{Partition: tenant, Sort: tombstonePrefix + subjectName(s)}
}

func anchorKey(tenant string, s audit.Subject) store.Key {
	return store.Key{Partition: tenant, Sort: anchorPrefix + subjectName(s)}
}

// subjectRecords says where the record of each kind of subject lies. A chain's head is in it.
var subjectRecords = map[audit.Kind]string{
	audit.VaultEntry: "entry#", audit.ProviderApp: "app#", audit.Connector: "connector#", audit.Key: "key#",
	audit.ConnectorToken: "token#", audit.Tenant: "tenant",
}

func subjectKey(tenant string, s audit.Subject) store.Key {
	sort := subjectRecords[s.Kind]
	if s.Kind != audit.Tenant {
		sort += strings.Replace(s.ID, "/", "#", 1)
	}
	return store.Key{Partition: tenant, Sort: sort}
}

// subjectOf is subjectKey read backwards; ok is false for what has no chain.
func subjectOf(tenant, sort string) (s audit.Subject, ok bool) {
	if sort == subjectRecords[audit.Tenant] {
		return audit.Subject{Kind: audit.Tenant, ID: tenant}, true
	}
	for _, kind := range audit.Kinds() {
		if id, found := strings.CutPrefix(sort, subjectRecords[kind]); found && kind != audit.Tenant {
			return audit.Subject{Kind: kind, ID: strings.Replace(id, "#", "/", 1)}, true
		}
	}
	return s, false
}

func entrySubject(id string) audit.Subject { return audit.Subject{Kind: audit.VaultEntry, ID: id} }

// chainEnd is where a chain ends: in the subject's record, or in a tombstone where that was.
type chainEnd struct {
	place  audit.Place // "" = there is no chain yet
	record bool        // there is a record
	number int64
	mac    []byte
	at     int64
	key    string
	seal   []byte
}

func endOf(place audit.Place, a store.Attrs) chainEnd {
	end := chainEnd{number: a.Int(attrAuditNumber), mac: a.Bytes(attrAuditMAC), at: a.Int(attrAuditAt), key: a.String(attrAuditKey), seal: a.Bytes(attrAuditSeal)}
	if _, has := a[attrAuditNumber]; has {
		end.place = place
	}
	return end
}

// unmoved is the condition that nothing was added to a chain.
func (e chainEnd) unmoved(place audit.Place) *store.Cond {
	if e.place == place {
		return store.Equal(attrAuditMAC, e.mac)
	}
	return store.Lacks(attrAuditMAC)
}

// end finds where a chain ends.
func (v *Vault) chainEnd(ctx context.Context, tenant string, s audit.Subject) (chainEnd, error) {
	attrs, err := v.get(ctx, store.Records, subjectKey(tenant, s))
	if err == nil {
		end := endOf(audit.Head, attrs)
		end.record = true
		return end, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return chainEnd{}, err
	}
	attrs, err = v.get(ctx, store.Records, tombstoneKey(tenant, s))
	if errors.Is(err, store.ErrNotFound) {
		return chainEnd{}, nil
	}
	return endOf(audit.Tombstone, attrs), err
}

// mac authenticates under the tenant's keys. Where there are none, nothing is changed: no event, no change.
func (v *Vault) mac(ctx context.Context, tenant, key string, message []byte) (used string, mac []byte, err error) {
	macer, ok := v.Sealer.(seal.MACer)
	if !ok {
		return "", nil, errors.New("this vault has no key for audit events, and changes nothing without them")
	}
	used, mac, err = macer.MAC(ctx, tenant, key, message)
	if err != nil && !errors.Is(err, seal.ErrUnknownKey) {
		err = storeFault(err)
	}
	return used, mac, err
}

// place are the attributes that say where a chain ends, or where retention has cut it.
func (v *Vault) place(ctx context.Context, p audit.Place, tenant string, s audit.Subject, number int64, mac []byte, at int64) (store.Attrs, error) {
	key, sealed, err := v.mac(ctx, tenant, "", audit.PlaceMessage(p, tenant, s, number, mac, at))
	if err != nil {
		return nil, err
	}
	return store.Attrs{attrAuditNumber: number, attrAuditMAC: mac, attrAuditAt: at, attrAuditKey: key, attrAuditSeal: sealed}, nil
}

// applyAudited writes what ops say together with the events that tell of it, all or none. One of the ops may be on the
// subject's record, and then gets the chain's new head into its own hands; otherwise a write of the head is added. Added
// ops stand behind the caller's, so the index of a condition that fails is the caller's own.
//
// A chain has one next event. Of two who want to write it one has to look again, which says nothing of the caller's own
// conditions: these were not what failed.
func (v *Vault) applyAudited(ctx context.Context, tenant string, s audit.Subject, events []audit.Event, ops ...store.Op) error {
	if len(events) == 0 {
		return v.apply(ctx, ops...)
	}
	events, err := v.complete(ctx, s, events)
	if err != nil {
		return err
	}
	record := subjectKey(tenant, s)
	at := -1
	for i, op := range ops {
		if op.Table == store.Records && op.Key == record {
			at = i
		}
	}
	for try := range auditTries {
		if err := v.standBack(ctx, try); err != nil {
			return err
		}
		end, err := v.chainEnd(ctx, tenant, s)
		if err != nil {
			return err
		}
		all, err := v.withEvents(ctx, tenant, s, end, events, at, ops)
		if err != nil {
			// A tenant that is being deleted may have lost its keys, and its trail goes with it; what is left must go all the same.
			if closed, closedErr := v.Closed(ctx, tenant); closedErr == nil && closed {
				return v.apply(ctx, ops...)
			}
			return err
		}
		err = v.apply(ctx, all...)
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) {
			return err
		}
		ours, lookErr := v.wrote(ctx, tenant, s, end.number+1, events[0].ID)
		switch {
		case lookErr != nil:
			return lookErr
		case ours:
			return nil // an earlier try of ours, whose answer was lost, and something was written after it
		case failed.Index < len(ops) && (failed.Index != at || !ops[at].If.Holds(failed.Old)):
			return failed
		}
	}
	return storeFault(store.ErrBusy)
}

// complete gives events what every event has. The caller's stay as they are.
func (v *Vault) complete(ctx context.Context, s audit.Subject, events []audit.Event) ([]audit.Event, error) {
	out := append([]audit.Event{}, events...)
	for i := range out {
		id, err := ident.New(v.Random, auditID)
		if err != nil {
			return nil, err
		}
		out[i].ID, out[i].Subject, out[i].Actor = id, s, audit.ActorOf(ctx)
		if out[i].Outcome == "" {
			out[i].Outcome = audit.Success
		}
	}
	return out, nil
}

// wrote reports whether an event of ours is in its place.
func (v *Vault) wrote(ctx context.Context, tenant string, s audit.Subject, number int64, id string) (bool, error) {
	attrs, err := v.get(ctx, store.Records, chainKey(tenant, s, number))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var e audit.Event
	err = decode(attrs, &e)
	return err == nil && e.ID == id, err
}

// withEvents adds events to ops, which it leaves alone. at is the op on the subject's record, or -1.
func (v *Vault) withEvents(ctx context.Context, tenant string, s audit.Subject, end chainEnd, events []audit.Event, at int, ops []store.Op) ([]store.Op, error) {
	number, mac, time := end.number, end.mac, max(milli(v.Now())-1, end.at)
	puts := make([]store.Op, 0, 2*len(events)+2)
	for _, e := range events {
		number++
		time++ // each is later than the one before, so that a chain's events lie in the order of time as in their own
		e.Number, e.At = number, fromMilli(time)
		doc, err := encode(e)
		if err != nil {
			return nil, err
		}
		key, code, err := v.mac(ctx, tenant, "", audit.EventMessage(tenant, s, number, mac, doc))
		if err != nil {
			return nil, err
		}
		set := store.Attrs{attrDoc: doc, attrAuditMAC: code, attrAuditBefore: append([]byte{}, mac...), attrAuditKey: key}
		mac = code
		puts = append(puts,
			store.Op{Verb: store.Put, Table: store.Records, Key: chainKey(tenant, s, number), If: store.Absent(), Set: set},
			store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: tenant, Sort: AuditKey(e)}, If: store.Absent(), Set: set})
	}
	where := audit.Head
	if at >= 0 && ops[at].Verb == store.Delete || at < 0 && !end.record {
		where = audit.Tombstone
	}
	head, err := v.place(ctx, where, tenant, s, number, mac, time)
	if err != nil {
		return nil, err
	}
	all := append([]store.Op{}, ops...)
	record := subjectKey(tenant, s)
	if at >= 0 {
		all[at] = withHead(all[at], end, head)
	} else if where == audit.Head {
		all = append(all, store.Op{Verb: store.Update, Table: store.Records, Key: record, If: store.All(store.Exists(), end.unmoved(audit.Head)), Set: head})
	}
	switch {
	case where == audit.Tombstone:
		all = append(all, store.Op{Verb: store.Put, Table: store.Records, Key: tombstoneKey(tenant, s), If: end.unmoved(audit.Tombstone), Set: head})
	case end.place == audit.Tombstone: // what was gone is there again, and its chain goes on
		all = append(all, store.Op{Verb: store.Delete, Table: store.Records, Key: tombstoneKey(tenant, s), If: end.unmoved(audit.Tombstone)})
	}
	return append(all, puts...), nil
}

// withHead lets an op on the subject's record move the chain's head, on the condition that nobody has moved it since.
func withHead(op store.Op, end chainEnd, head store.Attrs) store.Op {
	unmoved := end.unmoved(audit.Head)
	if op.If != nil {
		unmoved = store.All(op.If, unmoved)
	}
	op.If = unmoved
	if op.Verb == store.Delete {
		return op
	}
	if op.Verb == store.Verify { // a condition on the record: now it also gets the head
		op.Verb = store.Update
	}
	set := store.Attrs{}
	for name, value := range op.Set {
		set[name] = value
	}
	for name, value := range head {
		set[name] = value
	}
	op.Set = set
	return op
}

// one is a single event.
func one(action audit.Action, detail map[string]string) []audit.Event {
	return []audit.Event{{Action: action, Detail: plainly(detail)}}
}

// plainly leaves out what is empty.
func plainly(detail map[string]string) map[string]string {
	for name, value := range detail {
		if value == "" {
			delete(detail, name)
		}
	}
	return detail
}

func auditEventOf(a store.Attrs) (audit.Event, error) {
	var e audit.Event
	return e, decode(a, &e)
}

// failureCode reads the code of a stored answer.
func failureCode(answer []byte) string {
	var f struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(answer), &f); err != nil {
		return ""
	}
	return f.Code
}
