package vaulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

const claimTime = time.Minute

// requested is an authorization request that waits for its code, as its claimant knows it.
func (r *rig) requested(e record.Entry, mode record.Mode) record.Request {
	r.Helper()
	now := r.clock.Now()
	q := record.Request{Tenant: e.Tenant, ID: r.id(ident.Request), Entry: e.ID, Provider: e.Provider, Principal: "key_1", Mode: mode,
		StateHash: "state", HandleHash: "handle", Stage: record.Open, CreatedAt: now, Expires: now.Add(10 * time.Minute)}
	r.ok(r.BeginRequest(r.Context(), q))
	if mode != record.ResultURL {
		r.ok(r.StartRequest(r.Context(), q, "state", "cookie"))
	}
	return withCode(q, "code")
}

func withCode(q record.Request, code string) record.Request {
	q.CodeHash, q.Claims = code, map[string]string{"account": "A1"}
	return q
}

func (r *rig) request(q record.Request) record.Request {
	r.Helper()
	read, err := r.Request(r.Context(), q.Tenant, q.ID)
	r.ok(err)
	return read
}

func (r *rig) claim(v *vault.Vault, q record.Request, owner string) error {
	return v.ClaimRequest(r.Context(), q, owner, r.clock.Now().Add(claimTime))
}

// tokens are sealed into a request.
func (r *rig) tokens(q record.Request, name string) []byte {
	r.Helper()
	sealed, err := r.SealInto(r.Context(), q, tokensOf(name))
	r.ok(err)
	return sealed
}

func (r *rig) save(q record.Request, owner, name string) {
	r.Helper()
	r.ok(r.SaveExchanged(r.Context(), q, owner, r.clock.Now().Add(claimTime), r.tokens(q, name)))
}

// exchanged is a request that holds the first tokens of an entry.
func (r *rig) exchanged(e record.Entry) record.Request {
	r.Helper()
	q := r.requested(e, record.ResultURL)
	r.ok(r.claim(r.Vault, q, "owner"))
	r.save(q, "owner", "first")
	return q
}

// claimRace: of fifty that have the code, one may exchange it.
func claimRace(r *rig) {
	for _, mode := range []record.Mode{record.ResultURL, record.Browser} {
		for _, goes := range []delivery{plainly, twice} {
			q := r.requested(r.entry(), mode)
			if goes == twice {
				q = r.requested(record.Entry{Tenant: q.Tenant, ID: q.Entry, Provider: q.Provider}, mode) // which supersedes the one before
			}
			winner := r.one(together(50, func(i int) error {
				return r.claim(r.process(goes), q, fmt.Sprint("owner", i))
			}), vault.ErrClaimed)
			read := r.request(q)
			r.same(read.Stage, record.Taken)
			r.same(read.ClaimedBy, fmt.Sprint("owner", winner))
			r.same(read.ClaimedUntil, r.clock.Now().Add(claimTime))
			r.same(read.CodeHash, "code")
		}
	}
}

// claimCode: the first code that a request was claimed with is its only one, for good.
func claimCode(r *rig) {
	q := r.requested(r.entry(), record.ResultURL)
	other := withCode(q, "another code")
	refused := func(q record.Request, owner string) {
		r.Helper()
		before := r.snapshot()
		for _, goes := range deliveries {
			p := r.process(goes)
			r.is(insist(func() error { return r.claim(p, q, owner) }), vault.ErrClaimed)
			r.unchanged(before)
		}
	}
	r.ok(r.claim(r.Vault, q, "owner"))
	refused(q, "owner")
	refused(q, "next")
	refused(other, "next")
	r.clock.add(claimTime - time.Millisecond)
	refused(q, "next")
	r.clock.add(time.Millisecond)
	refused(other, "next")
	r.ok(r.claim(r.Vault, q, "next"))
	before := r.snapshot()
	r.is(r.ReleaseRequest(r.Context(), q, "owner"), vault.ErrClaimed)
	r.unchanged(before)
	p := r.process(twice)
	r.ok(p.ReleaseRequest(r.Context(), q, "next"))
	refused(other, "owner")
	r.ok(r.claim(r.Vault, q, "owner"))
	r.save(q, "owner", "first")
	r.clock.add(time.Hour)
	refused(q, "owner")

	// A browser's request is not to be had before its browser has started it, nor an older one once there is a newer.
	now := r.clock.Now()
	waiting := record.Request{Tenant: r.tenant, ID: r.id(ident.Request), Entry: r.entry().ID, Provider: "fake", Mode: record.Browser,
		Stage: record.Open, CreatedAt: now, Expires: now.Add(time.Minute)}
	r.ok(r.BeginRequest(r.Context(), waiting))
	refused(withCode(waiting, "code"), "owner")
	old := r.requested(record.Entry{Tenant: r.tenant, ID: waiting.Entry, Provider: "fake"}, record.ResultURL)
	refused(withCode(waiting, "code"), "owner")
	r.requested(record.Entry{Tenant: r.tenant, ID: waiting.Entry, Provider: "fake"}, record.ResultURL)
	refused(old, "owner")
}

// turn is what has become of a request since an owner claimed it, and what that owner may still do.
type turn struct {
	name    string
	happens func(r *rig, q record.Request)

	saves bool // the tokens that its exchange gave are kept
	fails bool // it may end the request
}

var turns = []turn{
	{"its claim lives", func(*rig, record.Request) {}, true, true},
	{"its claim ran out", func(r *rig, _ record.Request) { r.clock.add(claimTime) }, true, true},
	{"it gave its claim back", func(r *rig, q record.Request) { r.ok(r.ReleaseRequest(r.Context(), q, "owner")) }, true, false},
	{"another has claimed it", func(r *rig, q record.Request) {
		r.clock.add(claimTime)
		r.ok(r.claim(r.Vault, q, "another"))
	}, true, false},
	{"another had claimed it and gave it back", func(r *rig, q record.Request) {
		r.clock.add(claimTime)
		r.ok(r.claim(r.Vault, q, "another"))
		r.ok(r.ReleaseRequest(r.Context(), q, "another"))
	}, true, false},
	{"another ended it", func(r *rig, q record.Request) {
		r.clock.add(claimTime)
		r.ok(r.claim(r.Vault, q, "another"))
		r.ok(r.FailRequest(r.Context(), q, "another", json.RawMessage(`{"code":"authorization_code_spent"}`)))
	}, false, false},
	{"another kept its tokens", func(r *rig, q record.Request) {
		r.clock.add(claimTime)
		r.ok(r.claim(r.Vault, q, "another"))
		r.save(q, "another", "other")
	}, false, false},
	{"a newer request took its place", func(r *rig, q record.Request) {
		r.ok(r.ReleaseRequest(r.Context(), q, "owner"))
		r.requested(record.Entry{Tenant: q.Tenant, ID: q.Entry, Provider: q.Provider}, record.ResultURL)
	}, false, false},
	{"it is done", func(r *rig, q record.Request) {
		r.save(q, "owner", "first")
		e, err := r.Entry(r.Context(), q.Tenant, q.Entry)
		r.ok(err)
		r.ok(r.Authorize(r.Context(), nil, r.authorization(e, nil, "first"), &q))
	}, false, false},
}

// eachTurn runs a subtest for every turn, with what makes a request that has taken it.
func (r *rig) eachTurn(test func(r *rig, t turn, taken func() record.Request)) {
	for _, t := range turns {
		r.sub(t.name, func(r *rig) {
			test(r, t, func() record.Request {
				r.Helper()
				q := r.requested(r.entry(), record.ResultURL)
				r.ok(r.claim(r.Vault, q, "owner"))
				t.happens(r, q)
				return q
			})
		})
	}
}

// lateExchange: the tokens that a code gave are the only ones it will ever give, so they are kept with the claim or
// without it, unless there are others or the request has ended. Then they take nothing away.
func lateExchange(r *rig) {
	r.eachTurn(func(r *rig, t turn, taken func() record.Request) {
		for _, goes := range deliveries {
			q := taken()
			before, want := r.snapshot(), r.request(q)
			sealed, until := r.tokens(q, "late"), r.clock.Now().Add(claimTime)
			p := r.process(goes)
			err := insist(func() error { return p.SaveExchanged(r.Context(), q, "owner", until, sealed) })
			if !t.saves {
				r.is(err, vault.ErrClaimed)
				r.unchanged(before)
				continue
			}
			r.ok(err)
			want.Stage, want.Sealed, want.ClaimedBy, want.ClaimedUntil = record.Exchanged, sealed, "owner", until
			r.same(r.request(q), want)
			before = r.snapshot()
			r.ok(p.SaveExchanged(r.Context(), q, "owner", until, sealed)) // again, from the rescue queue
			r.is(r.FailRequest(r.Context(), q, "another", json.RawMessage(`{}`)), vault.ErrClaimed)
			r.unchanged(before)
		}
		q := taken()
		before := r.snapshot()
		r.is(r.SaveExchanged(r.Context(), withCode(q, "another code"), "owner", r.clock.Now(), r.tokens(q, "late")), vault.ErrClaimed)
		r.unchanged(before)
	})
}

// failingRequests: a failure takes nothing away from whoever came after, and once noted it stays.
func failingRequests(r *rig) {
	answer := json.RawMessage(`{"code":"wrong_account"}`)
	r.eachTurn(func(r *rig, t turn, taken func() record.Request) {
		for _, goes := range []delivery{plainly, twice, unsent} {
			q := taken()
			before, want := r.snapshot(), r.request(q)
			r.is(r.FailRequest(r.Context(), q, "imposter", answer), vault.ErrClaimed)
			r.is(r.FailRequest(r.Context(), withCode(q, "another code"), "owner", answer), vault.ErrClaimed)
			r.unchanged(before)
			p := r.process(goes)
			err := insist(func() error { return p.FailRequest(r.Context(), q, "owner", answer) })
			if !t.fails {
				r.is(err, vault.ErrClaimed)
				r.unchanged(before)
				continue
			}
			r.ok(err)
			want.Stage, want.Failure, want.Sealed, want.ClaimedBy, want.ClaimedUntil = record.Failed, answer, nil, "", time.Time{}
			r.same(r.request(q), want)
			before = r.snapshot()
			r.is(r.claim(r.Vault, q, "owner"), vault.ErrClaimed)
			r.is(r.FailRequest(r.Context(), q, "owner", json.RawMessage(`{}`)), vault.ErrClaimed)
			r.unchanged(before)
		}
	})
	r.sub("with tokens in it", func(r *rig) {
		q := r.exchanged(r.entry())
		r.ok(r.FailRequest(r.Context(), q, "owner", answer))
		if read := r.request(q); read.Stage != record.Failed || len(read.Sealed) != 0 {
			r.Errorf("the request is %+v", read)
		}
	})
}

// claimExchanged: the identification is claimed as the exchange was.
func claimExchanged(r *rig) {
	q := r.exchanged(r.entry())
	claim := func(v *vault.Vault, owner string) error {
		return v.ClaimExchanged(r.Context(), q, owner, r.clock.Now().Add(claimTime))
	}
	before := r.snapshot()
	r.is(claim(r.Vault, "next"), vault.ErrClaimed)
	r.is(r.ReleaseExchanged(r.Context(), q, "next"), vault.ErrClaimed)
	r.is(r.ClaimExchanged(r.Context(), withCode(q, "another code"), "owner", r.clock.Now().Add(time.Hour)), vault.ErrClaimed)
	r.unchanged(before)
	p := r.process(twice)
	r.ok(p.ReleaseExchanged(r.Context(), q, "owner"))
	winner := r.one(together(20, func(i int) error { return claim(r.process(twice), fmt.Sprint("owner", i)) }), vault.ErrClaimed)
	r.same(r.request(q).ClaimedBy, fmt.Sprint("owner", winner))
	r.clock.add(claimTime - time.Millisecond)
	r.is(claim(r.Vault, "next"), vault.ErrClaimed)
	r.clock.add(time.Millisecond)
	r.is(r.ClaimExchanged(r.Context(), withCode(q, "another code"), "next", r.clock.Now().Add(time.Hour)), vault.ErrClaimed)
	r.ok(claim(r.Vault, "next"))

	open := r.requested(r.entry(), record.ResultURL)
	before = r.snapshot()
	r.is(r.ClaimExchanged(r.Context(), open, "owner", r.clock.Now().Add(time.Hour)), vault.ErrClaimed)
	r.unchanged(before)
}

// authorizing: the credential and the end of the request are one write, however it goes, and known when it comes again.
func authorizing(r *rig) {
	for _, again := range []bool{false, true} {
		for _, goes := range deliveries {
			var before *record.Credential
			e := r.entry()
			if again { // over an entry that a person has to authorize anew
				r.ok(r.Authorize(r.Context(), nil, r.authorization(e, nil, "lost"), nil))
				r.ok(r.Fail(r.Context(), r.acquire(e, "dead"), r.failure(), record.Reauth, record.RotationUnknown, true))
				r.acquire(e, "dying")
				now := r.credential(e)
				before = &now
			}
			q := r.exchanged(e)
			made, want := r.authorization(e, before, "first"), r.request(q)
			p := r.process(goes)
			r.ok(insist(func() error { return p.Authorize(r.Context(), before, made, &q) }))
			r.stands(r.credential(e), made)
			r.inForce(e, "first")
			want.Stage, want.Sealed = record.Done, nil
			r.same(r.request(q), want)

			done := r.snapshot()
			r.ok(p.Authorize(r.Context(), before, made, &q))
			r.unchanged(done)
		}
	}
}

// authorizingTooLate: of the three things that must hold, each alone stops all of it.
func authorizingTooLate(r *rig) {
	for _, test := range []struct {
		name    string
		happens func(r *rig, e record.Entry, q *record.Request)
		first   bool // it was read as never authorized
		want    error
	}{
		{"the entry is gone", func(r *rig, e record.Entry, _ *record.Request) { r.remove(e) }, false, vault.ErrEntryGone},
		{"the entry is gone before its first", func(r *rig, e record.Entry, _ *record.Request) { r.remove(e) }, true, vault.ErrEntryGone},
		{"a refresh was stored", func(r *rig, e record.Entry, _ *record.Request) {
			own := r.acquire(e, "owner")
			_, err := r.Commit(r.Context(), own, r.bought(own, "bought"))
			r.ok(err)
		}, false, vault.ErrOvertaken},
		{"it was authorized anew", func(r *rig, e record.Entry, _ *record.Request) { r.authorizeAnew(e) }, false, vault.ErrOvertaken},
		{"it was authorized for the first time", func(*rig, record.Entry, *record.Request) {}, true, vault.ErrOvertaken},
		{"a newer request took its place", func(r *rig, e record.Entry, _ *record.Request) { r.requested(e, record.ResultURL) }, false, vault.ErrClaimed},
		{"the request has failed", func(r *rig, _ record.Entry, q *record.Request) {
			r.ok(r.FailRequest(r.Context(), *q, "owner", json.RawMessage(`{}`)))
		}, false, vault.ErrClaimed},
		{"the code is another", func(_ *rig, _ record.Entry, q *record.Request) { *q = withCode(*q, "another code") }, false, vault.ErrClaimed},
	} {
		r.sub(test.name, func(r *rig) {
			e, now := r.authorized()
			q := r.exchanged(e)
			before := &now
			if test.first {
				before = nil
			}
			test.happens(r, e, &q)
			made := r.authorization(e, before, "late")
			left := r.snapshot()
			for _, goes := range deliveries {
				p := r.process(goes)
				r.is(insist(func() error { return p.Authorize(r.Context(), before, made, &q) }), test.want)
				r.unchanged(left)
			}
		})
	}
	r.sub("the request waits for its code", func(r *rig) {
		e := r.entry()
		q := r.requested(e, record.ResultURL)
		left := r.snapshot()
		r.is(r.Authorize(r.Context(), nil, r.authorization(e, nil, "early"), &q), vault.ErrClaimed)
		r.unchanged(left)
	})
}

// authorizeRace: people, and a refresh, at once.
func authorizeRace(r *rig) {
	for _, goes := range []delivery{plainly, twice, unheard} {
		e, now := r.authorized()
		q := r.exchanged(e)
		own := r.acquire(e, "owner")
		made := make([]record.Credential, 6)
		for i := range made {
			made[i] = r.authorization(e, &now, fmt.Sprint(i))
		}
		set := r.bought(own, "bought")
		answers := together(len(made)+1, func(i int) error {
			p := r.process(goes)
			return insist(func() error {
				if i == len(made) {
					_, err := p.Commit(r.Context(), own, set)
					return err
				}
				err := p.Authorize(r.Context(), &now, made[i], &q)
				if errors.Is(err, vault.ErrClaimed) {
					return vault.ErrOvertaken // the same write did both
				}
				return err
			})
		})
		winner := r.one(answers, vault.ErrOvertaken)
		if winner == len(made) {
			r.inForce(e, "bought")
			r.same(r.request(q).Stage, record.Exchanged)
			continue
		}
		r.inForce(e, fmt.Sprint(winner))
		r.same(r.request(q).Stage, record.Done)
	}
}
