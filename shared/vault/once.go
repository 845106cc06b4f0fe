package vault

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
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

// NewOnce names a creating request, so that its repeat is recognised: whose it is, the Idempotency-Key, the route and the
// body. nil for an empty key: a request that is not to be repeated.
func NewOnce(p record.Principal, key, route string, body any) (*Once, error) {
	if key == "" {
		return nil, nil //nolint:nilnil // no key, nothing to recognise
	}
	if len(key) > 200 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fault.New(fault.Invalid, "invalid_field", "The Idempotency-Key is not 1 to 200 printable characters.").
			On("Idempotency-Key").Do("Use a random identifier.")
	}
	canonical, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &Once{Principal: p.ID, Key: key, Request: secret.New(route + "\n" + string(canonical)).Fingerprint()}, nil
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

// Begin notes that a request which the store cannot carry out itself has begun: what makes its thing is a provider. A
// repeat finds the answer that Finish kept; until then it hears request_in_progress, for nobody knows whether the provider
// was reached, and asking twice would make two.
func (v *Vault) Begin(ctx context.Context, tenant string, once *Once) (answer string, err error) {
	if once == nil {
		return "", nil
	}
	err = v.apply(ctx, once.op(v.Now(), tenant, ""))
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		return "", err
	}
	answer, err = v.earlier(ctx, tenant, once)
	if err == nil && answer == "" {
		err = fault.New(fault.Conflict, "request_in_progress", "This request was begun before, and what became of it is not known.").
			On("Idempotency-Key").Do("Look whether it was made; if it was not, send it again under a fresh key.")
	}
	return answer, err
}

// Finish keeps the answer for repeats.
func (v *Vault) Finish(ctx context.Context, tenant string, once *Once, answer string) error {
	if once == nil {
		return nil
	}
	return v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: once.key(tenant),
		If: store.Equal("request", once.Request), Set: store.Attrs{"made": answer}})
}

// GiveUp takes the note back after a request that made nothing for certain: the note ends now.
func (v *Vault) GiveUp(ctx context.Context, tenant string, once *Once) error {
	if once == nil {
		return nil
	}
	return v.apply(ctx, store.Op{Verb: store.Update, Table: store.Transient, Key: once.key(tenant),
		If: store.Equal("request", once.Request), Set: store.Attrs{store.AttrExpires: unix(v.Now())}})
}

// Remember notes what a request made that no transaction of the store makes, for its repeats. An earlier note stays.
func (v *Vault) Remember(ctx context.Context, tenant string, once *Once, made string) error {
	if once == nil {
		return nil
	}
	err := v.apply(ctx, once.op(v.Now(), tenant, made))
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil
	}
	return err
}
