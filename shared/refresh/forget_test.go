package refresh_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

var revoking = bundletest.Options{Revokes: true}

func (r *rack) remove(e record.Entry) error {
	r.Helper()
	err := r.Admin.DeleteEntry(r.Context(), r.Owner, e.ID)
	if err != nil {
		r.hides("an error", err.Error())
	}
	return err
}

func (r *rack) gone(e record.Entry) bool {
	_, err := r.Vault.Entry(context.WithoutCancel(r.Context()), e.Tenant, e.ID)
	return fault.KindOf(err) == fault.NotFound
}

func (r *rack) wantRevoked(want ...string) {
	r.Helper()
	if got := r.Upstream.Revoked(); !slices.Equal(got, want) {
		r.Errorf("given back were %v; want %v", got, want)
	}
}

// secretsOf are the names of an entry's secrets.
func (r *rack) secretsOf(e record.Entry) []string {
	r.Helper()
	return slices.DeleteFunc(r.Secrets.Names(r.Context()), func(name string) bool { return !strings.Contains(name, e.ID) })
}

func TestTheNewestTokenOfADeletedEntryIsGivenBackOnceTheEntryIsGone(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	r.App()
	own, shared, other := r.own("own"), r.Active("shared", bundletest.FieldShared, true), r.own("other")
	r.wants(own, tokens.Success)
	want := []string{r.inForce(own), r.inForce(shared)}
	stays := r.inForce(other)
	r.OK(r.update(own, "disabled", true)) // switched off is not gone
	r.OK(r.remove(own))
	r.OK(r.remove(shared))
	r.wantRevoked(want...)
	if got := r.Upstream.Living(); !slices.Contains(got, stays) || slices.Contains(got, want[0]) || slices.Contains(got, want[1]) {
		t.Errorf("alive are %v: a client did not prove itself, or another one's went", got)
	}
	if len(r.secretsOf(own)) != 0 || len(r.secretsOf(other)) != 2 {
		t.Errorf("there are %v and %v", r.secretsOf(own), r.secretsOf(other))
	}

	newest, inTime := r.inForce(other), false
	r.Upstream.OnRevoke(func(http.ResponseWriter, *http.Request) { inTime = r.gone(other) })
	r.OK(r.remove(other))
	r.wantRevoked(append(want, newest)...)
	if !inTime {
		t.Error("the token was given back while the entry was there")
	}
	r.Fault(r.remove(other), fault.NotFound, "not_found")
	r.wantRevoked(append(want, newest)...)
}

func TestADeletionThatIsRefusedGivesNothingBack(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	e := r.own("own")
	c := r.Connector(e, nil)
	r.Fault(r.remove(e), fault.Conflict, "vault_entry_in_use")
	forget := tokens.Call{Op: tokens.Forget, Tenant: e.Tenant, Entry: e.ID}
	_, err := r.Tokens.Do(r.Context(), forget) // whoever asked had not seen the connector yet
	r.Fault(err, fault.Conflict, "vault_entry_in_use")
	r.Fault(r.Admin.DeleteEntry(r.Context(), r.Alien, e.ID), fault.NotFound, "not_found")
	forget.Tenant = bundletest.Other
	_, err = r.Tokens.Do(r.Context(), forget)
	r.Fault(err, fault.NotFound, "not_found")
	r.OK(r.Admin.DeleteConnector(r.Context(), r.Owner, c.ID))
	r.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Credentials })
	r.Fault(r.remove(e), fault.Unavailable, "store_unavailable")
	r.Store.Fail(nil)
	r.wantRevoked()
	if len(r.secretsOf(e)) != 2 {
		t.Errorf("there are %v", r.secretsOf(e))
	}
	r.wants(e, tokens.Success) // and it works on
}

func TestWhatWasNeverAuthorizedOrIsNotAnyMoreHasNothingToGiveBack(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	pending := r.Entry("pending", bundletest.OwnClient("client-7")...)
	r.OK(r.remove(pending))
	lost := r.own("lost")
	r.Upstream.Token(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	})
	r.wants(lost, tokens.Revoked)
	r.OK(r.remove(lost))
	r.wantRevoked()
	for _, e := range []record.Entry{pending, lost} {
		if !r.gone(e) || len(r.secretsOf(e)) != 0 {
			t.Errorf("%s is gone: %t, and there are %v", e.Alias, r.gone(e), r.secretsOf(e))
		}
	}
	none := newRack(t, bundletest.Options{}) // a provider without such an endpoint
	e := none.own("own")
	none.OK(none.remove(e))
	none.wantRevoked()
	if seen := none.Upstream.Seen("/revoke"); len(seen) != 0 || len(none.secretsOf(e)) != 0 {
		t.Errorf("%d requests, and there are %v", len(seen), none.secretsOf(e))
	}
}

func TestADeletionDoesNotDependOnTheProviderNorOnTheSecretStore(t *testing.T) {
	for name, trouble := range map[string]func(*rack){
		"it hangs": func(r *rack) {
			r.Upstream.OnRevoke(func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
		},
		"it fails":     func(r *rack) { r.Upstream.OnRevoke(refusing(http.StatusInternalServerError, "server_error")) },
		"it refuses":   func(r *rack) { r.Upstream.OnRevoke(refusing(http.StatusUnauthorized, "invalid_client")) },
		"no such type": func(r *rack) { r.Upstream.OnRevoke(refusing(http.StatusBadRequest, "unsupported_token_type")) },
		"it is away": func(r *rack) {
			r.Upstream.Client.Transport = &failing{r.Upstream.Client.Transport, func(q *http.Request) bool { return q.URL.Path == "/revoke" }}
		},
		"it says the token back": func(r *rack) {
			r.Upstream.OnRevoke(func(w http.ResponseWriter, q *http.Request) {
				answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": q.FormValue("token") + q.FormValue("client_secret")})
			})
		},
		"secrets cannot be read": func(r *rack) {
			r.Secrets.Before(func(op, name string) error {
				if op == "get" && strings.Contains(name, "/entry/") {
					return bundletest.ErrStore
				}
				return nil
			})
		},
		"secrets are not there": func(r *rack) {
			for _, name := range r.Secrets.Names(r.Context()) {
				if strings.Contains(name, "/entry/") {
					r.OK(r.Secrets.DeleteSecret(r.Context(), name))
				}
			}
		},
		"secrets cannot be removed": func(r *rack) {
			r.Secrets.Before(func(op, _ string) error {
				if op == "delete" {
					return bundletest.ErrStore
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			asleep(t, revoking, func(r *rack) {
				e := r.own("own")
				trouble(r)
				started := time.Now()
				r.OK(r.remove(e))
				if took := time.Since(started); !r.gone(e) || took > 10*time.Second {
					t.Errorf("after %s it is gone: %t", took, r.gone(e))
				}
				if _, found, err := r.Vault.Credential(r.Context(), e.Tenant, e.ID); found || err != nil {
					t.Errorf("its tokens are there: %t, %v", found, err)
				}
				if n := len(r.Upstream.Revoked()); n > 1 {
					t.Errorf("the provider was told %d times", n)
				}
				r.Secrets.Before(nil)
				left := r.secretsOf(e)
				if (len(left) > 0) != (name == "secrets cannot be removed") {
					t.Errorf("there are %v", left)
				}
				// What stayed is found: not at once, and a day later.
				if n, err := r.Tokens.SweepOrphans(r.Context()); n != 0 || err != nil {
					t.Errorf("%d were removed at once, %v", n, err)
				}
				time.Sleep(24 * time.Hour)
				if n, err := r.Tokens.SweepOrphans(r.Context()); n != len(left) || err != nil || len(r.secretsOf(e)) != 0 {
					t.Errorf("%d were removed, %v, and there are %v", n, err, r.secretsOf(e))
				}
			})
		})
	}
}

func refusing(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, map[string]any{"error": code}) }
}

// held makes the token endpoint carry a request out, and not answer before a gate opens.
func (r *rack) held() (open func()) {
	gate := make(chan struct{})
	r.Upstream.Token(func(w http.ResponseWriter, q *http.Request) {
		r.Upstream.Token(nil)
		r.Upstream.ServeHTTP(w, q)
		<-gate
	})
	return func() { close(gate) }
}

func TestARefreshUnderWayWhenItsEntryIsDeletedLeavesNoToken(t *testing.T) {
	asleep(t, revoking, func(r *rack) {
		e := r.own("own")
		first, open := r.inForce(e), r.held()
		var refreshed error
		var running sync.WaitGroup
		running.Go(func() {
			_, refreshed = r.Tokens.Do(r.Context(), tokens.Call{Op: tokens.Refresh, Tenant: e.Tenant, Entry: e.ID, FailedGeneration: 1})
		})
		synctest.Wait()
		process := r.NewTokens() // another one, which knows nothing of it
		_, err := process.Do(r.Context(), tokens.Call{Op: tokens.Forget, Tenant: e.Tenant, Entry: e.ID})
		r.OK(err)
		if got := r.Upstream.Living(); len(got) != 1 {
			r.Fatalf("alive are %v: the refresh has bought nothing", got)
		}
		open()
		running.Wait()
		r.Fault(refreshed, fault.NotFound, "not_found")
		if got := r.Upstream.Revoked(); len(got) != 2 || got[0] != first || got[1] == first {
			r.Errorf("given back were %v", got)
		}
		if got := r.Upstream.Living(); len(got) != 0 {
			r.Errorf("alive are %v", got)
		}
	})
}

// Where the provider does not rotate there is one token, and it was given back already.
func TestARefreshUnderWayThatBroughtNoOtherTokenGivesNothingBack(t *testing.T) {
	asleep(t, revoking, func(r *rack) {
		e := r.own("own")
		first := r.inForce(e)
		gate := make(chan struct{})
		r.Upstream.Token(func(w http.ResponseWriter, _ *http.Request) {
			<-gate
			answer(w, http.StatusOK, map[string]any{"access_token": "canary-access", "token_type": "bearer", "expires_in": 300})
		})
		var running sync.WaitGroup
		running.Go(func() { _, _ = r.refresh(e) })
		synctest.Wait()
		r.OK(r.remove(e))
		close(gate)
		running.Wait()
		r.wantRevoked(first)
	})
}

func TestAnAuthorizationUnderWayWhenItsEntryIsDeletedLeavesNoToken(t *testing.T) {
	for _, mode := range []record.Mode{record.ResultURL, record.RefreshToken} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := newRack(t, revoking)
			e := r.Entry("own", bundletest.OwnClient("client-7")...)
			r.Upstream.Client.Transport = &failing{r.Upstream.Client.Transport, func(q *http.Request) bool {
				if q.URL.Path == "/eu/me" {
					r.OK(r.remove(e))
				}
				return false
			}}
			var err error
			if mode == record.ResultURL {
				err = r.validate(r.consented(e, "acct-1"))
			} else {
				_, err = r.Tokens.Do(r.Context(), tokens.Call{Op: tokens.Adopt, Tenant: e.Tenant, Entry: e.ID, RefreshToken: r.Upstream.Issue("acct-1").Refresh})
			}
			r.Fault(err, fault.NotFound, "not_found")
			if got := r.Upstream.Living(); len(got) != 0 || len(r.Upstream.Revoked()) != 1 {
				t.Errorf("alive are %v, given back were %v", got, r.Upstream.Revoked())
			}
			if !r.gone(e) || len(r.secretsOf(e)) != 0 {
				t.Errorf("it is gone: %t, and there are %v", r.gone(e), r.secretsOf(e))
			}
		})
	}
}

// Between looking at the tokens and removing them a newer set may be stored; that is the one to give back.
func TestATokenThatIsStoredWhileTheEntryIsBeingDeletedIsGivenBack(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	e := r.own("own")
	var once atomic.Bool
	r.Store.AfterGet(func(table store.Table, _ store.Key) {
		if table == store.Credentials && once.CompareAndSwap(false, true) {
			r.Install(e, r.Upstream.Issue("acct-own"), time.Hour)
		}
	})
	newest := ""
	r.Upstream.OnRevoke(func(_ http.ResponseWriter, q *http.Request) { newest = q.FormValue("token") })
	r.OK(r.remove(e))
	r.wantRevoked(newest)
	if newest != "canary-refresh-2" {
		t.Errorf("given back was %q", newest)
	}
}

func TestOfManyWhoDeleteAnEntryAtOnceNoneFails(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	e := r.own("own")
	token := r.inForce(e)
	for _, err := range together(6, func(i int) error {
		service := r.Tokens
		if i%2 == 0 {
			service = r.NewTokens()
		}
		_, err := service.Do(r.Context(), tokens.Call{Op: tokens.Forget, Tenant: e.Tenant, Entry: e.ID})
		return err
	}) {
		if err != nil {
			r.Fault(err, fault.NotFound, "not_found")
		}
	}
	got := slices.Compact(r.Upstream.Revoked()) // telling it twice harms nobody
	if !slices.Equal(got, []string{token}) || !r.gone(e) {
		t.Errorf("given back were %v, it is gone: %t", got, r.gone(e))
	}
	if len(r.secretsOf(e)) != 0 {
		t.Errorf("there are %v", r.secretsOf(e))
	}
}

// What the provider did not hear when an entry was deleted, it hears later: the call that brings it carries the token sealed.
func TestARevocationThatWasNotHeardIsRepeated(t *testing.T) {
	t.Parallel()
	r := newRack(t, revoking)
	r.App()
	own, shared := r.own("own"), r.Active("shared", bundletest.FieldShared, true)
	want := []string{r.inForce(own), r.inForce(shared)}
	var later []tokens.Call
	r.Tokens.Enqueue = func(_ context.Context, provider string, calls []tokens.Call) error {
		if provider != own.Provider {
			t.Errorf("it waits in the queue of %q", provider)
		}
		later = append(later, calls...)
		return nil
	}
	r.Upstream.OnRevoke(refusing(http.StatusServiceUnavailable, ""))
	r.OK(r.remove(own))
	r.OK(r.remove(shared))
	if len(later) != 2 {
		t.Fatalf("%d revocations wait", len(later))
	}
	for _, call := range later {
		body, err := tokens.Encode(call)
		r.OK(err)
		r.hides("a message", string(body))
		if call.Op != tokens.Revoke || !call.NotBefore.After(r.Clock.Now()) {
			t.Errorf("it waits as %s until %s", call.Op, call.NotBefore)
		}
		if _, err := r.Tokens.Do(r.Context(), call); err == nil {
			t.Error("the provider heard nothing, and the call is done with")
		}
	}
	r.Upstream.OnRevoke(nil)
	told := len(r.Upstream.Revoked())
	for _, call := range later {
		_, err := r.Tokens.Do(r.Context(), call)
		r.OK(err)
	}
	if got := r.Upstream.Revoked()[told:]; !slices.Equal(got, want) {
		t.Errorf("given back were %v; want %v", got, want)
	}
	// Sealed for one entry, it opens for no other.
	mixed := later[0]
	mixed.Entry = later[1].Entry
	if _, err := r.Tokens.Do(r.Context(), mixed); err == nil {
		t.Error("a revocation opens under another entry")
	}
	// What the provider refuses for good is not repeated.
	third := r.own("third")
	r.Upstream.OnRevoke(refusing(http.StatusBadRequest, "unsupported_token_type"))
	r.OK(r.remove(third))
	if len(later) != 2 {
		t.Error("a refusal is repeated")
	}
}
