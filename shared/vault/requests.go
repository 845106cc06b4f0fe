package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// Attributes of an authorization request that conditions look at. The rest never changes and lies in the doc.
const (
	attrStage        = "stage"
	attrStateHash    = "state_hash"
	attrCookieHash   = "cookie_hash"
	attrCodeHash     = "code_hash"
	attrClaims       = "claims"
	attrClaimedBy    = "claimed_by"
	attrClaimedUntil = "claimed_until"
	attrAttempts     = "attempts"
	attrOpenRequest  = "request"
	attrDenied       = "denied"
)

// requestKept is how much longer than its life a request stays readable, so that a late caller hears "expired" and
// not "unknown".
const requestKept = time.Hour

// ErrClaimed means that an authorization request is not to be had: it is claimed, or has moved on.
var ErrClaimed = errors.New("the authorization request is claimed")

func requestKey(tenant, id string) store.Key {
	return store.Key{Partition: tenant, Sort: "request#" + id}
}

// openKey is the item that names an entry's open request, so that a new one can supersede it.
func openKey(tenant, entry string) store.Key {
	return store.Key{Partition: tenant, Sort: "open#" + entry}
}

// requestDoc is the part of a request that never changes.
type requestDoc struct {
	Entry, Provider, Principal, RedirectURI, HandleHash string
	Mode                                                record.Mode
	Verifier                                            []byte
	Challenge                                           string
	Callback, CallbackState, Account                    string
	Beta                                                bool
	CreatedAt, Expires                                  time.Time
}

// BeginRequest stores a new authorization request and supersedes the entry's open one, all or none.
func (v *Vault) BeginRequest(ctx context.Context, r record.Request) error {
	doc, err := encode(requestDoc{Entry: r.Entry, Provider: r.Provider, Principal: r.Principal, RedirectURI: r.RedirectURI,
		HandleHash: r.HandleHash, Mode: r.Mode, Verifier: r.Verifier, Challenge: r.Challenge, Callback: r.Callback, CallbackState: r.CallbackState, Account: r.Account,
		Beta: r.Beta, CreatedAt: r.CreatedAt, Expires: r.Expires})
	if err != nil {
		return err
	}
	ends := unix(r.Expires.Add(requestKept))
	put := store.Op{Verb: store.Put, Table: store.Requests, Key: requestKey(r.Tenant, r.ID), If: store.Absent(),
		Set: store.Attrs{attrDoc: doc, attrStage: string(r.Stage), attrStateHash: r.StateHash, attrCookieHash: r.CookieHash,
			attrTenant: r.Tenant, store.AttrExpires: ends}}
	for range 8 {
		before, supersede, err := v.openRequest(ctx, r)
		if err != nil {
			return err
		}
		point := store.Op{Verb: store.Put, Table: store.Requests, Key: openKey(r.Tenant, r.Entry), If: before,
			Set: store.Attrs{attrOpenRequest: r.ID, store.AttrExpires: ends}}
		err = v.applyAudited(ctx, r.Tenant, entrySubject(r.Entry), authorizationBegun(r, supersede), append([]store.Op{put, point}, supersede...)...)
		var failed *store.ConditionFailed
		switch {
		case !errors.As(err, &failed):
			return err
		case failed.Index == 0:
			return nil // the id is fresh, so it was made by an earlier try of ours, and a newer request has superseded it since
		}
	}
	return changedMeanwhile()
}

// ParkRequest stores a request that came from outside before anybody of ours asked for it; it belongs to no entry yet.
func (v *Vault) ParkRequest(ctx context.Context, r record.Request) error {
	doc, err := encode(requestDoc{Provider: r.Provider, HandleHash: r.HandleHash, Mode: r.Mode, Callback: r.Callback,
		CallbackState: r.CallbackState, Account: r.Account, Beta: r.Beta, CreatedAt: r.CreatedAt, Expires: r.Expires})
	if err != nil {
		return err
	}
	return v.apply(ctx, store.Op{Verb: store.Put, Table: store.Requests, Key: requestKey(r.Tenant, r.ID), If: store.Absent(),
		Set: store.Attrs{attrDoc: doc, attrStage: string(record.Open), attrCookieHash: r.CookieHash, attrTenant: r.Tenant,
			store.AttrExpires: unix(r.Expires.Add(requestKept))}})
}

// TakeParked uses a parked request up, once. ErrClaimed when somebody was first.
func (v *Vault) TakeParked(ctx context.Context, r record.Request) error {
	return v.moveRequest(ctx, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.Equal(attrStage, string(record.Open)), Set: store.Attrs{attrStage: string(record.Done)}})
}

// openRequest finds what a new request replaces: the condition on the pointer, and the write that ends the old one.
func (v *Vault) openRequest(ctx context.Context, r record.Request) (pointer *store.Cond, supersede []store.Op, err error) {
	attrs, err := v.get(ctx, store.Requests, openKey(r.Tenant, r.Entry))
	if errors.Is(err, store.ErrNotFound) {
		return store.Absent(), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	pointer = store.Equal(attrOpenRequest, attrs.String(attrOpenRequest))
	old, err := v.Request(ctx, r.Tenant, attrs.String(attrOpenRequest))
	if errors.Is(err, store.ErrNotFound) {
		return pointer, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	switch old.Stage {
	case record.Open, record.Started, record.Exchanged:
		return pointer, []store.Op{{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, old.ID),
			If: store.Equal(attrStage, string(old.Stage)), Set: store.Attrs{attrStage: string(record.Superseded)},
			Remove: []string{attrSealed}}}, nil
	default:
		return pointer, nil, nil
	}
}

// Request reads an authorization request; store.ErrNotFound when there is none.
func (v *Vault) Request(ctx context.Context, tenant, id string) (record.Request, error) {
	a, err := v.get(ctx, store.Requests, requestKey(tenant, id))
	if err != nil {
		return record.Request{}, err
	}
	var doc requestDoc
	if err := decode(a, &doc); err != nil {
		return record.Request{}, err
	}
	r := record.Request{Tenant: tenant, ID: id, Entry: doc.Entry, Provider: doc.Provider, Principal: doc.Principal, Mode: doc.Mode,
		RedirectURI: doc.RedirectURI, HandleHash: doc.HandleHash, Verifier: doc.Verifier, Challenge: doc.Challenge, Callback: doc.Callback,
		CallbackState: doc.CallbackState, Account: doc.Account, Beta: doc.Beta, CreatedAt: doc.CreatedAt, Expires: doc.Expires,
		Stage: record.Stage(a.String(attrStage)), StateHash: a.String(attrStateHash), CookieHash: a.String(attrCookieHash),
		CodeHash: a.String(attrCodeHash), ClaimedBy: a.String(attrClaimedBy), ClaimedUntil: fromMilli(a.Int(attrClaimedUntil)),
		Attempts: a.Int(attrAttempts), Sealed: a.Bytes(attrSealed), Failure: json.RawMessage(a.String(attrFailure))}
	if text := a.String(attrClaims); text != "" {
		if err := json.Unmarshal([]byte(text), &r.Claims); err != nil {
			return r, errors.New("decoding a request's claims failed")
		}
	}
	return r, nil
}

// StartRequest uses up a start handle: it sets the state and the browser's cookie, once. ErrClaimed when the handle
// was used before.
func (v *Vault) StartRequest(ctx context.Context, r record.Request, stateHash, cookieHash string) error {
	return v.moveRequest(ctx, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If:  store.Equal(attrStage, string(record.Open)),
		Set: store.Attrs{attrStage: string(record.Started), attrStateHash: stateHash, attrCookieHash: cookieHash}})
}

// ClaimRequest takes a request for exactly one exchange, with one code: from waiting, or from a claimant whose time is
// over. ErrClaimed when it is somebody else's, was used with another code, or has moved on.
func (v *Vault) ClaimRequest(ctx context.Context, r record.Request, owner string, until time.Time) error {
	claims, err := encode(r.Claims)
	if err != nil {
		return err
	}
	waiting := record.Open
	if r.Mode != record.ResultURL {
		waiting = record.Started
	}
	return v.moveRequest(ctx, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.All(
			store.Any(store.Lacks(attrCodeHash), store.Equal(attrCodeHash, r.CodeHash)),
			store.Any(store.Equal(attrStage, string(waiting)),
				store.All(store.Equal(attrStage, string(record.Taken)), store.AtMost(attrClaimedUntil, milli(v.Now()))))),
		Set: store.Attrs{attrStage: string(record.Taken), attrCodeHash: r.CodeHash, attrClaims: claims,
			attrClaimedBy: owner, attrClaimedUntil: milli(until)},
		Add: map[string]int64{attrAttempts: 1}})
}

// ReleaseRequest gives a claim back after an exchange that failed and may be tried again with the same code. code says why
// it failed.
func (v *Vault) ReleaseRequest(ctx context.Context, r record.Request, owner string, code ...string) error {
	waiting := record.Open
	if r.Mode != record.ResultURL {
		waiting = record.Started
	}
	return v.moveAudited(ctx, r, authorizationFailed(r, false, code...), store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If:  store.All(store.Equal(attrStage, string(record.Taken)), store.Equal(attrClaimedBy, owner)),
		Set: store.Attrs{attrStage: string(waiting)}, Remove: []string{attrClaimedBy, attrClaimedUntil}})
}

// SaveExchanged keeps the exchanged tokens in the request, and the claim with them: its owner goes on to identify the
// account. Its condition is the code alone: an answer that comes after its claim ran out is still the only one that
// the code will ever have.
func (v *Vault) SaveExchanged(ctx context.Context, r record.Request, owner string, until time.Time, sealed []byte) error {
	err := v.apply(ctx, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.All(store.Equal(attrCodeHash, r.CodeHash),
			store.Any(store.Equal(attrStage, string(record.Taken)), store.Equal(attrStage, string(record.Open)),
				store.Equal(attrStage, string(record.Started)))),
		Set: store.Attrs{attrStage: string(record.Exchanged), attrSealed: sealed, attrClaimedBy: owner, attrClaimedUntil: milli(until)}})
	var failed *store.ConditionFailed
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Old.String(attrStage) == string(record.Exchanged) && bytes.Equal(failed.Old.Bytes(attrSealed), sealed):
		return nil // an earlier try of ours, whose answer was lost
	default:
		return ErrClaimed
	}
}

// ClaimExchanged takes a request whose tokens are there and whose account is not yet identified.
func (v *Vault) ClaimExchanged(ctx context.Context, r record.Request, owner string, until time.Time) error {
	return v.moveRequest(ctx, store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.All(store.Equal(attrStage, string(record.Exchanged)), store.Equal(attrCodeHash, r.CodeHash),
			store.Any(store.Lacks(attrClaimedBy), store.AtMost(attrClaimedUntil, milli(v.Now())))),
		Set: store.Attrs{attrClaimedBy: owner, attrClaimedUntil: milli(until)}})
}

// ReleaseExchanged gives a claim back after an identification that may be tried again. code says why it failed.
func (v *Vault) ReleaseExchanged(ctx context.Context, r record.Request, owner string, code ...string) error {
	return v.moveAudited(ctx, r, authorizationFailed(r, false, code...), store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If:  store.All(store.Equal(attrStage, string(record.Exchanged)), store.Equal(attrClaimedBy, owner)),
		Set: store.Attrs{}, Remove: []string{attrClaimedBy, attrClaimedUntil}})
}

// FailRequest ends a request for good, with the answer to give from now on. Only its claimant can: another one may have
// kept tokens in it since, and a failure must not take them away.
func (v *Vault) FailRequest(ctx context.Context, r record.Request, owner string, answer json.RawMessage) error {
	return v.moveAudited(ctx, r, authorizationFailed(r, true, failureCode(answer)), store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.All(store.Equal(attrCodeHash, r.CodeHash), store.Equal(attrClaimedBy, owner),
			store.Any(store.Equal(attrStage, string(record.Taken)), store.Equal(attrStage, string(record.Exchanged)))),
		Set:    store.Attrs{attrStage: string(record.Failed), attrFailure: string(answer)},
		Remove: []string{attrSealed, attrClaimedBy, attrClaimedUntil}})
}

// DenyRequest notes, once a request, that consent was denied. The request stays as it is: whoever denied may think again.
func (v *Vault) DenyRequest(ctx context.Context, r record.Request, code string) error {
	err := v.moveAudited(ctx, r, authorizationDenied(r, code), store.Op{Verb: store.Update, Table: store.Requests, Key: requestKey(r.Tenant, r.ID),
		If: store.All(store.Exists(), store.Lacks(attrDenied)), Set: store.Attrs{attrDenied: true}})
	if errors.Is(err, ErrClaimed) {
		return nil // it is noted, or so old that there is nothing to note it in
	}
	return err
}

func (v *Vault) moveAudited(ctx context.Context, r record.Request, events []audit.Event, op store.Op) error {
	err := v.applyAudited(ctx, r.Tenant, entrySubject(r.Entry), events, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return ErrClaimed
	}
	return err
}

func (v *Vault) moveRequest(ctx context.Context, op store.Op) error {
	err := v.apply(ctx, op)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return ErrClaimed
	}
	return err
}
