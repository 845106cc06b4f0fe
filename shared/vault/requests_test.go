package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func (r *rig) newRequest(e record.Entry, mode record.Mode) record.Request {
	r.Helper()
	now := r.clock.Now()
	return record.Request{
		Tenant: tenant, ID: r.id(ident.Request), Entry: e.ID, Provider: e.Provider, Principal: "key_1", Mode: mode, RedirectURI: "https://vault.example/cb",
		StateHash: "state", HandleHash: "handle", Verifier: []byte{1, 2}, Challenge: "challenge", Stage: record.Open, CreatedAt: now, Expires: now.Add(10 * time.Minute),
	}
}

// begin stores a request and returns it as its claimant knows it: with a code and what came with it.
func (r *rig) begin(e record.Entry, mode record.Mode) record.Request {
	r.Helper()
	req := r.newRequest(e, mode)
	r.ok(r.BeginRequest(r.Context(), req))
	return r.withCode(req, "code-1")
}

func (r *rig) withCode(req record.Request, code string) record.Request {
	req.CodeHash, req.Claims = code, map[string]string{"selling_partner_id": "A1SELLER"}
	return req
}

func (r *rig) request(req record.Request) record.Request {
	r.Helper()
	read, err := r.Request(r.Context(), tenant, req.ID)
	r.ok(err)
	return read
}

func (r *rig) wantStage(req record.Request, want record.Stage) {
	r.Helper()
	if got := r.request(req).Stage; got != want {
		r.Fatalf("the request is %s; want %s", got, want)
	}
}

func (r *rig) claim(req record.Request, owner string) error {
	return r.ClaimRequest(r.Context(), req, owner, r.clock.Now().Add(30*time.Second))
}

// exchanged brings a request to where its tokens are in it.
func (r *rig) exchanged(e record.Entry) record.Request {
	r.Helper()
	req := r.begin(e, record.ResultURL)
	r.ok(r.claim(req, "a"))
	sealed, err := r.SealInto(r.Context(), req, tokenSet(1))
	r.ok(err)
	r.ok(r.SaveExchanged(r.Context(), req, "a", r.clock.Now().Add(30*time.Second), sealed))
	return req
}

func TestRequestIsReadAsItWasMade(t *testing.T) {
	each(t, func(r *rig) {
		made := r.newRequest(r.entry("shop"), record.ResultURL)
		r.ok(r.BeginRequest(r.Context(), made))
		read := r.request(made)
		read.Failure = nil // no answer yet, in whatever form
		r.same(read, made)
		_, err := r.Request(r.Context(), other, made.ID)
		r.is(err, store.ErrNotFound)
	})
}

// A request stays readable for an hour after its end, so that a late caller hears what became of it.
func TestRequestsEndByThemselves(t *testing.T) {
	each(t, func(r *rig) {
		req := r.begin(r.entry("shop"), record.ResultURL)
		r.clock.Add(time.Hour + 10*time.Minute - time.Second)
		_, err := r.engine.Purge(r.Context())
		r.ok(err)
		if !r.request(req).Expires.Before(r.clock.Now()) {
			r.Error("a request that has ended does not say so")
		}
		r.clock.Add(time.Second)
		_, err = r.engine.Purge(r.Context())
		r.ok(err)
		_, err = r.Request(r.Context(), tenant, req.ID)
		r.is(err, store.ErrNotFound)
	})
}

func TestNewRequestSupersedes(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		first := r.begin(e, record.ResultURL)
		apart := r.begin(r.entry("another"), record.ResultURL)
		second := r.begin(e, record.ResultURL)
		r.wantStage(first, record.Superseded)
		r.wantStage(second, record.Open)
		r.wantStage(apart, record.Open)
		r.is(r.claim(first, "a"), vault.ErrClaimed)
		r.ok(r.claim(second, "a"))

		third := r.begin(e, record.ResultURL) // the second is being exchanged, and goes on
		r.wantStage(second, record.Taken)
		r.ok(r.SaveExchanged(r.Context(), second, "a", r.clock.Now(), []byte{9}))
		r.ok(r.claim(third, "b"))
	})
}

func TestNewRequestSupersedesTokensThatNobodyIdentified(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		old := r.exchanged(e)
		r.begin(e, record.Browser)
		r.wantStage(old, record.Superseded)
		if len(r.request(old).Sealed) != 0 {
			r.Error("a superseded request keeps its tokens")
		}
		r.is(r.ClaimExchanged(r.Context(), old, "b", r.clock.Now().Add(time.Hour)), vault.ErrClaimed)
	})
}

func TestBeginRace(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		requests := make([]record.Request, 6)
		for i := range requests {
			requests[i] = r.newRequest(e, record.ResultURL)
		}
		for _, err := range together(len(requests), func(i int) error { return r.BeginRequest(r.Context(), requests[i]) }) {
			r.ok(err)
		}
		open := 0
		for _, req := range requests {
			if r.request(req).Stage == record.Open {
				open++
			}
		}
		if open != 1 {
			r.Errorf("%d requests are open; want one", open)
		}
	})
}

func TestStartHandleIsUsedOnce(t *testing.T) {
	each(t, func(r *rig) {
		req := r.begin(r.entry("shop"), record.Browser)
		r.is(r.claim(req, "a"), vault.ErrClaimed) // nobody has pressed Continue
		r.wantOne(together(10, func(i int) error {
			return r.StartRequest(r.Context(), req, fmt.Sprint("state", i), fmt.Sprint("cookie", i))
		}), func(err error) bool { return errors.Is(err, vault.ErrClaimed) })
		read := r.request(req)
		if read.Stage != record.Started || read.StateHash[len("state"):] != read.CookieHash[len("cookie"):] {
			r.Errorf("the request is %+v", read)
		}
		r.ok(r.claim(req, "a"))
		r.is(r.StartRequest(r.Context(), req, "s", "c"), vault.ErrClaimed)
	})
}

func TestRequestIsClaimedOnce(t *testing.T) {
	each(t, func(r *rig) {
		req := r.begin(r.entry("shop"), record.ResultURL)
		r.wantOne(together(20, func(i int) error { return r.claim(req, fmt.Sprint("owner", i)) }),
			func(err error) bool { return errors.Is(err, vault.ErrClaimed) })
		read := r.request(req)
		if read.Stage != record.Taken || read.Attempts != 1 || read.CodeHash != "code-1" || !read.ClaimedUntil.Equal(r.clock.Now().Add(30*time.Second)) {
			r.Errorf("the request is %+v", read)
		}
		r.same(read.Claims, req.Claims)
		unknown := req
		unknown.ID = "ar_none"
		r.is(r.claim(unknown, "a"), vault.ErrClaimed)
		if _, err := r.Request(r.Context(), tenant, "ar_none"); !errors.Is(err, store.ErrNotFound) {
			r.Errorf("claiming made a request, or %v", err)
		}
	})
}

// A claimant that died leaves the request to the next, with the same code and no other.
func TestClaimRunsOut(t *testing.T) {
	each(t, func(r *rig) {
		req := r.begin(r.entry("shop"), record.ResultURL)
		r.ok(r.claim(req, "a"))
		r.clock.Add(30*time.Second - time.Millisecond)
		r.is(r.claim(req, "b"), vault.ErrClaimed)
		r.clock.Add(time.Millisecond)
		r.is(r.claim(r.withCode(req, "code-2"), "b"), vault.ErrClaimed)
		r.ok(r.claim(req, "b"))
		if read := r.request(req); read.Attempts != 2 || read.ClaimedBy != "b" {
			r.Errorf("the request is %+v", read)
		}
	})
}

func TestClaimIsGivenBack(t *testing.T) {
	each(t, func(r *rig) {
		for mode, waiting := range map[record.Mode]record.Stage{record.ResultURL: record.Open, record.Browser: record.Started, record.Appstore: record.Started} {
			req := r.begin(r.entry(string(mode)), mode)
			if mode != record.ResultURL {
				r.ok(r.StartRequest(r.Context(), req, "s", "c"))
			}
			r.ok(r.claim(req, "a"))
			r.is(r.ReleaseRequest(r.Context(), req, "b"), vault.ErrClaimed)
			r.ok(r.ReleaseRequest(r.Context(), req, "a"))
			r.wantStage(req, waiting)
			r.is(r.ReleaseRequest(r.Context(), req, "a"), vault.ErrClaimed)
			r.is(r.claim(r.withCode(req, "code-2"), "c"), vault.ErrClaimed) // the same state with another code
			r.ok(r.claim(req, "c"))
		}
	})
}

func TestExchangedTokensAreKept(t *testing.T) {
	each(t, func(r *rig) {
		req := r.exchanged(r.entry("shop"))
		read := r.request(req)
		set, err := r.OpenFrom(r.Context(), read)
		r.ok(err)
		if read.Stage != record.Exchanged || !set.Access.Equal(tokenSet(1).Access) {
			r.Errorf("the request is %s, or holds other tokens", read.Stage)
		}
		r.is(r.claim(req, "b"), vault.ErrClaimed)
		r.ok(r.SaveExchanged(r.Context(), req, "a", r.clock.Now(), read.Sealed)) // once more, after a lost answer
		r.is(r.SaveExchanged(r.Context(), req, "b", r.clock.Now(), []byte("others")), vault.ErrClaimed)
		r.same(r.request(req).Sealed, read.Sealed)
	})
}

// An answer that comes after its claim ran out, or was given back, is still the only one that the code will ever have.
func TestLateExchangeIsKept(t *testing.T) {
	each(t, func(r *rig) {
		req := r.begin(r.entry("late"), record.ResultURL)
		r.ok(r.claim(req, "a"))
		r.clock.Add(time.Minute)
		r.ok(r.claim(req, "b"))
		r.ok(r.SaveExchanged(r.Context(), req, "a", r.clock.Now(), []byte("a's")))
		r.is(r.ReleaseRequest(r.Context(), req, "b"), vault.ErrClaimed)
		r.wantStage(req, record.Exchanged)

		req = r.begin(r.entry("released"), record.ResultURL)
		r.ok(r.claim(req, "a"))
		r.ok(r.ReleaseRequest(r.Context(), req, "a"))
		r.is(r.SaveExchanged(r.Context(), r.withCode(req, "code-2"), "a", r.clock.Now(), []byte("x")), vault.ErrClaimed)
		r.ok(r.SaveExchanged(r.Context(), req, "a", r.clock.Now(), []byte("a's")))
		r.wantStage(req, record.Exchanged)

		never := r.begin(r.entry("never"), record.ResultURL)
		r.is(r.SaveExchanged(r.Context(), never, "a", r.clock.Now(), []byte("x")), vault.ErrClaimed)
	})
}

func TestIdentificationIsClaimedOnce(t *testing.T) {
	each(t, func(r *rig) {
		req := r.exchanged(r.entry("shop"))
		claim := func(owner string) error {
			return r.ClaimExchanged(r.Context(), req, owner, r.clock.Now().Add(30*time.Second))
		}
		r.is(claim("b"), vault.ErrClaimed) // who exchanged goes on to identify
		r.clock.Add(30 * time.Second)
		r.wantOne(together(10, func(i int) error { return claim(fmt.Sprint("owner", i)) }), func(err error) bool { return errors.Is(err, vault.ErrClaimed) })
		owner := r.request(req).ClaimedBy
		r.is(r.ReleaseExchanged(r.Context(), req, "nobody"), vault.ErrClaimed)
		r.ok(r.ReleaseExchanged(r.Context(), req, owner))
		r.is(r.ClaimExchanged(r.Context(), r.withCode(req, "code-2"), "b", r.clock.Now().Add(time.Minute)), vault.ErrClaimed)
		r.ok(claim("b"))
		r.wantStage(req, record.Exchanged)
	})
}

func TestFailedRequestKeepsItsAnswer(t *testing.T) {
	each(t, func(r *rig) {
		answer := json.RawMessage(`{"code":"consent_denied"}`)
		req := r.exchanged(r.entry("shop"))
		r.is(r.FailRequest(r.Context(), r.withCode(req, "code-2"), "a", answer), vault.ErrClaimed)
		r.is(r.FailRequest(r.Context(), req, "b", answer), vault.ErrClaimed)
		r.ok(r.FailRequest(r.Context(), req, "a", answer))
		read := r.request(req)
		if read.Stage != record.Failed || string(read.Failure) != string(answer) || len(read.Sealed) != 0 || read.ClaimedBy != "" {
			r.Errorf("the request is %+v", read)
		}
		r.is(r.claim(req, "a"), vault.ErrClaimed)
		r.is(r.SaveExchanged(r.Context(), req, "a", r.clock.Now(), []byte("x")), vault.ErrClaimed)
		open := r.begin(r.entry("open"), record.ResultURL)
		r.is(r.FailRequest(r.Context(), open, "a", answer), vault.ErrClaimed)
	})
}

func TestParkedRequestIsTakenOnce(t *testing.T) {
	each(t, func(r *rig) {
		now := r.clock.Now()
		req := record.Request{
			Tenant: tenant, ID: r.id(ident.Request), Provider: "amazon", Mode: record.Appstore, HandleHash: "handle", CookieHash: "cookie", Stage: record.Open,
			Callback: "https://sellercentral.example/confirm", CallbackState: "amazon state", Account: "A1SELLER", Beta: true, CreatedAt: now, Expires: now.Add(10 * time.Minute),
		}
		r.ok(r.ParkRequest(r.Context(), req))
		read := r.request(req)
		read.Failure = nil
		r.same(read, req)
		r.wantOne(together(10, func(int) error { return r.TakeParked(r.Context(), req) }), func(err error) bool { return errors.Is(err, vault.ErrClaimed) })
		r.wantStage(req, record.Done)
	})
}

// The request that led to an authorization is done with it, all or none.
func TestAuthorizeEndsItsRequest(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		req := r.exchanged(e)
		r.ok(r.Authorize(r.Context(), nil, r.firstOf(e), &req))
		read := r.request(req)
		if read.Stage != record.Done || len(read.Sealed) != 0 {
			r.Errorf("the request is %s with %d bytes of tokens", read.Stage, len(read.Sealed))
		}
		r.wantTokens(e, 1)

		second := r.entry("second")
		taken := r.begin(r.entry("third"), record.ResultURL)
		r.ok(r.claim(taken, "a"))
		for name, req := range map[string]record.Request{
			"taken and not exchanged": taken, "done before": req,
			"not exchanged": r.begin(second, record.ResultURL), "another's code": r.withCode(r.exchanged(second), "code-2"), "unknown": r.newRequest(second, record.ResultURL),
		} {
			if err := r.Authorize(r.Context(), nil, r.firstOf(second), &req); !errors.Is(err, vault.ErrClaimed) {
				r.Errorf("%s: %v; want ErrClaimed", name, err)
			}
			if _, found, err := r.Credential(r.Context(), tenant, second.ID); found || err != nil {
				r.Errorf("%s: an authorization is in force, or %v", name, err)
			}
		}
	})
}

// After a lost answer the request says how it stands.
func TestLostAnswersOfRequests(t *testing.T) {
	t.Parallel()
	lossy := &forgetful{}
	r := newRig(t, func(items store.Items) store.Items { lossy.Items = items; return lossy })
	e := r.entry("shop")
	first := r.newRequest(e, record.ResultURL)
	lossy.losesNext()
	r.is(r.BeginRequest(t.Context(), first), errLost)
	req := r.begin(e, record.ResultURL)
	r.wantStage(first, record.Superseded)
	r.ok(r.claim(req, "a"))
	lossy.losesNext()
	r.is(r.SaveExchanged(t.Context(), req, "a", r.clock.Now(), []byte("sealed")), errLost)
	r.ok(r.SaveExchanged(t.Context(), req, "a", r.clock.Now(), []byte("sealed")))
	lossy.losesNext()
	r.is(r.Authorize(t.Context(), nil, r.firstOf(e), &req), errLost)
	r.wantStage(req, record.Done)
	r.is(r.Authorize(t.Context(), nil, r.firstOf(e), &req), vault.ErrOvertaken)
	r.wantTokens(e, 1)
}
