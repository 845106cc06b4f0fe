package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/store"
)

const attrTAT = "tat"

// Bucket names a shared token bucket: callers of one app, account and operation draw from it together.
type Bucket struct {
	Tenant string
	Name   string
	Rate   float64 // tokens a second; > 0
	Burst  int     // size; ≥ 1
}

// Take draws one token. wait is 0 when it was granted, and otherwise how long until there is one.
//
// The bucket is a GCRA: the item holds one time, the theoretical arrival time (TAT) of the next request at the
// sustained rate, and a request is granted while that time lies no more than the burst ahead. Granting is one
// conditional write, so nobody can draw the same token twice, on whatever machine; a write that was carried out
// twice (local parts, trap 1) costs a token and nothing else.
func (v *Vault) Take(ctx context.Context, b Bucket) (wait time.Duration, err error) {
	step := int64(float64(time.Second/time.Microsecond) / b.Rate)
	tolerance := step * int64(max(b.Burst, 1)-1)
	key := store.Key{Partition: b.Tenant, Sort: "bucket#" + b.Name}
	for range 10 {
		now := v.Now().UnixMicro()
		ends := store.Attrs{store.AttrExpires: (now+tolerance+2*step)/1e6 + 60}
		// A full bucket, or none yet: its time starts from now.
		fresh := store.Attrs{attrTAT: now + step, store.AttrExpires: ends[store.AttrExpires]}
		err = v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: key,
			If: store.Any(store.Lacks(attrTAT), store.Less(attrTAT, now)), Set: fresh})
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) {
			return 0, err
		}
		if tat := failed.Old.Int(attrTAT); tat > now+tolerance {
			return time.Duration(tat-tolerance-now) * time.Microsecond, nil
		}
		// A running one: its time moves on from where it stands, which is not before now, for it never goes back.
		err = v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: key,
			If: store.AtMost(attrTAT, now+tolerance), Set: ends, Add: map[string]int64{attrTAT: step}})
		if !errors.As(err, &failed) {
			return 0, err
		}
	}
	return time.Duration(step) * time.Microsecond, nil // too much of a crowd to get a write in: treat as no token
}

// Drain empties a bucket: the provider said that it gives nothing now, whatever we had counted.
func (v *Vault) Drain(ctx context.Context, b Bucket) error {
	step := int64(float64(time.Second/time.Microsecond) / b.Rate)
	tolerance := step * int64(max(b.Burst, 1)-1)
	now := v.Now().UnixMicro()
	return v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: store.Key{Partition: b.Tenant, Sort: "bucket#" + b.Name},
		Set: store.Attrs{attrTAT: now + tolerance + step, store.AttrExpires: (now+tolerance+2*step)/1e6 + 60}})
}
