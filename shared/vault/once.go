package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/store"
)

// onceLife is how long a repeated request is recognised.
const onceLife = 24 * time.Hour

// Once makes a creating request repeatable: who asked, under which Idempotency-Key, for what. It is stored in the
// transaction that creates, so there is no moment at which one is there and the other is not.
type Once struct {
	Principal string
	Key       string // the Idempotency-Key header
	Request   string // fingerprint of the request's body and route
}

func (o *Once) key(tenant string) store.Key {
	return store.Key{Partition: tenant, Sort: "once#" + o.Principal + "#" + o.Key}
}

func (o *Once) op(now time.Time, tenant, made string) store.Op {
	return store.Op{Verb: store.Put, Table: store.Transient, Key: o.key(tenant),
		If:  store.Any(store.Absent(), store.AtMost(store.AttrExpires, unix(now))),
		Set: store.Attrs{"request": o.Request, "made": made, store.AttrExpires: unix(now.Add(onceLife))}}
}

// Earlier returns the id that an earlier try of the same request made; "" when there was none.
// idempotency_key_reused when the key was used for something else.
func (v *Vault) Earlier(ctx context.Context, tenant string, once *Once) (string, error) {
	if once == nil {
		return "", nil
	}
	return v.earlier(ctx, tenant, once)
}

func (v *Vault) earlier(ctx context.Context, tenant string, once *Once) (string, error) {
	attrs, err := v.get(ctx, store.Transient, once.key(tenant))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if attrs.Int(store.AttrExpires) <= unix(v.Now()) {
		return "", nil
	}
	if attrs.String("request") != once.Request {
		return "", fault.New(fault.Conflict, "idempotency_key_reused", "This Idempotency-Key was used for a different request.").
			On("Idempotency-Key").Do("Use a fresh key for a new request.")
	}
	return attrs.String("made"), nil
}
