package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// Attributes of a credential.
const (
	attrEntry        = "entry"
	attrProvider     = "provider"
	attrStatus       = "status"
	attrCause        = "cause"
	attrGeneration   = "generation"
	attrSealed       = "sealed"
	attrLifetime     = "lifetime"
	attrExpiresMilli = "access_expires"
	attrRefreshed    = "refreshed"
	attrAuthorized   = "authorized"
	attrConsentEnds  = "authorization_expires"
	attrRefreshEnds  = "refresh_expires"
	attrFence        = "fence"
	attrLeaseOwner   = "lease_owner"
	attrLeaseUntil   = "lease_until"
	attrIntent       = "intent"
	attrAccount      = "account"
	attrFailure      = "failure"
	attrCommit       = "commit"
	attrClient       = "client"
	attrClientNumber = "client_number"
)

// revival is how long storing a set may take that finds its entry given up: whoever brings it may have come at the very end
// of its time, and there is no other.
const revival = 2 * time.Second

// DueShards is how many shards a provider has in the due index. The planner asks each, so the number may grow, never shrink.
const DueShards = 16

// ErrFenced means that the lease under which a write was tried is over, or the generation has moved on.
var ErrFenced = errors.New("the lease is over")

// ErrHeld means that somebody else holds the lease.
var ErrHeld = errors.New("the lease is held")

// ErrOvertaken means that another token set was stored meanwhile: the one in hand is not needed.
var ErrOvertaken = errors.New("a newer token set is in force")

func credentialKey(tenant, entry string) store.Key {
	return store.Key{Partition: tenant + "#" + entry, Sort: "credential"}
}

// DueShardOf is where an entry lies in the due index. A provider's entries lie apart from others', so that whoever finds one knows
// whose queue is meant without reading it; and they are spread, so that no partition of the index grows hot.
func DueShardOf(provider, entry string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(entry))
	return DueShard(provider, int(h.Sum32()%DueShards))
}

// DueShard names a provider's shard n, from 0 to DueShards-1.
func DueShard(provider string, n int) string { return fmt.Sprintf("%s#%02d", provider, n) }

// Credential reads an entry's credential, strongly; found is false when it was never authorized.
func (v *Vault) Credential(ctx context.Context, tenant, entry string) (c record.Credential, found bool, err error) {
	attrs, err := v.get(ctx, store.Credentials, credentialKey(tenant, entry))
	if errors.Is(err, store.ErrNotFound) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	c, err = credentialOf(tenant, entry, attrs)
	return c, err == nil, err
}

// CredentialsOf reads the credentials of up to 100 entries; those never authorized are missing.
func (v *Vault) CredentialsOf(ctx context.Context, tenant string, entries []record.Entry) (map[string]record.Credential, error) {
	out, _, err := v.credentialsOf(ctx, tenant, entries)
	return out, err
}

// credentialsOf is CredentialsOf, and under Showing says which entries have one that a newer version wrote.
func (v *Vault) credentialsOf(ctx context.Context, tenant string, entries []record.Entry) (out map[string]record.Credential, newer map[string]bool, err error) {
	out, newer = map[string]record.Credential{}, map[string]bool{}
	if len(entries) == 0 {
		return out, newer, nil
	}
	if ctx.Value(showingKey{}) != nil {
		ctx = store.Marking(ctx)
	}
	keys := make([]store.Key, len(entries))
	for i, e := range entries {
		keys[i] = credentialKey(tenant, e.ID)
	}
	items, err := v.Items.GetMany(ctx, store.Credentials, keys)
	if err != nil {
		return nil, nil, storeFault(err)
	}
	for _, item := range items {
		if item.Newer != 0 {
			_, id, _ := cutKey(item.Key.Partition)
			newer[id] = true
			continue
		}
		id := item.Attrs.String(attrEntry)
		if out[id], err = credentialOf(tenant, id, item.Attrs); err != nil {
			return nil, nil, err
		}
	}
	return out, newer, nil
}

func credentialOf(tenant, entry string, a store.Attrs) (record.Credential, error) {
	c := record.Credential{
		Tenant: tenant, Entry: entry, Provider: a.String(attrProvider),
		Status: record.Status(a.String(attrStatus)), Cause: record.Cause(a.String(attrCause)),
		Generation: a.Int(attrGeneration), Sealed: a.Bytes(attrSealed),
		Lifetime: time.Duration(a.Int(attrLifetime)) * time.Millisecond, Expires: fromMilli(a.Int(attrExpiresMilli)),
		Refreshed: fromMilli(a.Int(attrRefreshed)), Authorized: fromMilli(a.Int(attrAuthorized)),
		AuthorizationExpires: fromMilli(a.Int(attrConsentEnds)), RefreshExpires: fromMilli(a.Int(attrRefreshEnds)),
		Fence: a.Int(attrFence), Commit: a.String(attrCommit), Client: a.String(attrClient), ClientNumber: a.Int(attrClientNumber),
	}
	if due := a.Int(store.AttrDueAt); due != 0 {
		c.DueAt = time.Unix(due, 0).UTC()
	}
	if owner := a.String(attrLeaseOwner); owner != "" {
		c.Lease = &record.Lease{Owner: owner, Until: fromMilli(a.Int(attrLeaseUntil)), Fence: c.Fence}
	}
	for name, into := range map[string]any{attrIntent: &c.Intent, attrAccount: &c.Account, attrFailure: &c.Failure} {
		if text := a.String(name); text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return c, fmt.Errorf("decoding a credential's %s: %w", name, err)
			}
		}
	}
	var err error
	c.Notices, err = noticesOf(a)
	return c, err
}

// Acquire takes the lease and notes the intent, in one conditional write: the generation and the fence are still those
// of c, and no lease is alive. It returns the credential as it then stands; ErrHeld when somebody else was first.
func (v *Vault) Acquire(ctx context.Context, c record.Credential, owner string, until time.Time, intent record.Intent) (record.Credential, error) {
	intent.Fence = c.Fence + 1
	note, err := encode(intent)
	if err != nil {
		return c, err
	}
	err = v.apply(ctx, store.Op{Verb: store.Update, Table: store.Credentials, Key: credentialKey(c.Tenant, c.Entry),
		If: store.All(store.Equal(attrGeneration, c.Generation), store.Equal(attrFence, c.Fence),
			store.Any(store.Lacks(attrLeaseOwner), store.AtMost(attrLeaseUntil, milli(v.Now())))),
		Set: store.Attrs{attrFence: intent.Fence, attrLeaseOwner: owner, attrLeaseUntil: milli(until), attrIntent: note}})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return c, ErrHeld
	}
	if err != nil {
		return c, err
	}
	c.Fence, c.Intent = intent.Fence, &intent
	c.Lease = &record.Lease{Owner: owner, Until: until, Fence: intent.Fence}
	return c, nil
}

// NewSet is a token set to be put in force.
type NewSet struct {
	Sealed   []byte // under Generation
	Lifetime time.Duration
	Expires  time.Time
	// RefreshExpires is when the refresh token ends unless it is used before; zero = never, or unknown.
	RefreshExpires time.Time
	DueAt          time.Time // when the schedule looks again; zero = never
	Commit         string    // id of this write, kept with the set
}

// Commit puts generation c.Generation+1 in force. Its condition is the generation alone: with single-use tokens the
// late answer is the only living one, so it is stored with or without the lease. It ends the intent, the lease and
// the last failure, and makes the entry active. ErrOvertaken when the generation has moved on. Where the entry was of no
// use, the same write notes that it has recovered.
func (v *Vault) Commit(ctx context.Context, c record.Credential, set NewSet) (record.Credential, error) {
	next := c
	next.Generation, next.Sealed, next.Lifetime, next.Expires = c.Generation+1, set.Sealed, set.Lifetime, set.Expires
	next.Refreshed, next.DueAt, next.Commit, next.RefreshExpires = v.Now().UTC(), set.DueAt, set.Commit, set.RefreshExpires
	next.Status, next.Cause, next.Lease, next.Intent, next.Failure = record.Active, "", nil, nil, nil
	asRead := store.Equal(attrGeneration, c.Generation)
	if c.Status != "" { // no condition of ours: it only decides whether there is something to tell
		asRead = store.All(asRead, store.Equal(attrStatus, string(c.Status)))
	}
	op := store.Op{Verb: store.Update, Table: store.Credentials, Key: credentialKey(c.Tenant, c.Entry),
		If:     asRead,
		Set:    setAttrs(next),
		Remove: []string{attrCause, attrLeaseOwner, attrLeaseUntil, attrIntent, attrFailure}}
	withDue(&op, next)
	err := notify(&op, &next, recovery(c, next.Refreshed)...)
	if err == nil {
		err = v.applyAudited(ctx, c.Tenant, entrySubject(c.Entry), entryRecovered(c), op)
	}
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		// Another status than was read: this set is the recovery, or nobody needed it to be. Either way it is stored.
		if now := record.Status(failed.Old.String(attrStatus)); failed.Index == 0 && now != c.Status && store.Equal(attrGeneration, c.Generation).Holds(failed.Old) {
			c.Status = now
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revival) // it was late already
			defer cancel()
			return v.Commit(ctx, c, set)
		}
		if failed.Old.String(attrCommit) == set.Commit {
			return next, nil // ours, and something was written after it
		}
		return c, ErrOvertaken
	}
	return next, err
}

// setAttrs are the attributes that a new token set changes.
func setAttrs(c record.Credential) store.Attrs {
	return store.Attrs{
		attrStatus: string(c.Status), attrGeneration: c.Generation, attrSealed: c.Sealed, attrCommit: c.Commit,
		attrLifetime: c.Lifetime.Milliseconds(), attrExpiresMilli: milli(c.Expires), attrRefreshed: milli(c.Refreshed),
		attrRefreshEnds: milli(c.RefreshExpires),
	}
}

func withDue(op *store.Op, c record.Credential) {
	if c.DueAt.IsZero() {
		op.Remove = append(op.Remove, store.AttrDueAt, store.AttrDueShard)
		return
	}
	op.Set[store.AttrDueAt], op.Set[store.AttrDueShard] = unix(c.DueAt), DueShardOf(c.Provider, c.Entry)
}

// Fail ends a lease without a new token set: it notes the failure, and the status it leads to. keepIntent leaves the
// intent standing, because the token may have been spent. Everything here is fenced: ErrFenced when the lease is over
// or the generation moved, and then nothing is noted, since it would be about the past. What a tenant should hear of it
// is noted by the same write, and the schedule comes by for it.
func (v *Vault) Fail(ctx context.Context, c record.Credential, failure record.Failure, status record.Status, cause record.Cause, keepIntent bool) error {
	note, err := encode(failure)
	if err != nil {
		return err
	}
	op := store.Op{Verb: store.Update, Table: store.Credentials, Key: credentialKey(c.Tenant, c.Entry),
		If: store.All(store.Equal(attrGeneration, c.Generation), store.Equal(attrFence, c.Fence),
			store.Equal(attrLeaseOwner, c.Lease.Owner)),
		Set:    store.Attrs{attrFailure: note, attrStatus: string(status)},
		Remove: []string{attrLeaseOwner, attrLeaseUntil}}
	if cause != "" {
		op.Set[attrCause] = string(cause)
	}
	if !keepIntent {
		op.Remove = append(op.Remove, attrIntent)
	}
	notices, reauth := []record.Notice{}, entryReauth(c, failure, status, cause)
	if status == record.Reauth && c.Status != record.Reauth {
		notices = append(notices, record.Notice{Kind: record.EventReauth, Generation: c.Generation, Cause: cause})
	}
	c.Status, c.Failure = status, &failure
	if err := notify(&op, &c, append(notices, recovery(c, v.Now())...)...); err != nil {
		return err
	}
	if c.DueAt = failure.RetryAt; status != record.Active {
		c.DueAt = v.Now().Add(NoticePause)
	}
	withDue(&op, c)
	err = v.applyAudited(ctx, c.Tenant, entrySubject(c.Entry), reauth, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return ErrFenced
	}
	return err
}

// Reschedule sets when the schedule looks at a credential again, and takes away the notices that were told meanwhile, if
// the generation is still c's. A stale one is no error: whoever moved it set its own time.
func (v *Vault) Reschedule(ctx context.Context, c record.Credential, at time.Time, told ...record.Notice) error {
	c.DueAt = at
	op := store.Op{Verb: store.Update, Table: store.Credentials, Key: credentialKey(c.Tenant, c.Entry),
		If: store.Equal(attrGeneration, c.Generation), Set: store.Attrs{}}
	for _, n := range told {
		op.Remove = append(op.Remove, noticeName(n))
	}
	withDue(&op, c)
	err := v.apply(ctx, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}

// Due is an entry whose time has come.
type Due struct {
	Tenant, Entry string
	At            time.Time
}

// DueEntries lists a shard's entries that are due until a time; next is "" on the last page.
func (v *Vault) DueEntries(ctx context.Context, shard string, until time.Time, limit int, cursor string) (entries []Due, next string, err error) {
	found, next, err := v.Config.Due.Due(ctx, shard, unix(until), limit, cursor)
	if err != nil {
		return nil, "", storeFault(err)
	}
	for _, d := range found {
		tenant, entry, ok := cutKey(d.Key.Partition)
		if ok {
			entries = append(entries, Due{Tenant: tenant, Entry: entry, At: time.Unix(d.At, 0).UTC()})
		}
	}
	return entries, next, nil
}

func cutKey(partition string) (tenant, entry string, ok bool) {
	for i := range partition {
		if partition[i] == '#' {
			return partition[:i], partition[i+1:], true
		}
	}
	return "", "", false
}
