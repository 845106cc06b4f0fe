package refresh_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/keyring"
	"connectorvault/shared/refresh"
	"connectorvault/shared/seal"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
	"connectorvault/shared/vault/vaulttest"
)

// nextProcess is a process of the version after this one, which is what the test looks with from now on.
func (b *bed) nextProcess(f faults) *process {
	b.Helper()
	next := vaulttest.Next{Writes: 2}
	return b.tuned(f, func(cfg *refresh.Config) {
		below := cfg.Secrets.(items)
		sealer := keyring.New(keyring.Config{Secrets: below, Now: b.now, Random: rand.Reader})
		cfg.Vault = vault.New(vault.Config{Items: next.Items(below), Due: below, Sealer: sealer, Now: b.now, Random: rand.Reader, Forms: next.Forms()})
		b.vault = cfg.Vault
	})
}

// TestAnOlderWorkerSpendsNothingOverANewerRecord: it asks nobody, changes nothing, and its message comes again.
func TestAnOlderWorkerSpendsNothingOverANewerRecord(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		older, next := b.process(faults{}), b.nextProcess(faults{})
		next.wantOutcome(next.refresh(), tokens.Success)
		b.wantForce(2)
		before := shown(b.credential())
		for _, call := range []tokens.Call{
			{Op: tokens.Refresh, Tenant: tenant, Entry: b.entry.ID, Force: true}, {Op: tokens.Due, Tenant: tenant, Entry: b.entry.ID},
			{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID},
		} {
			_, err := older.do(call)
			b.wantFault(err, fault.Unavailable, "newer_version")
		}
		b.wantPosts(1)
		if after := shown(b.credential()); after != before {
			b.Errorf("the older worker changed the credential from %s to %s", before, after)
		}
	})
}

// TestALateAnswerOfAnOlderWorkerIsNotLost: while it waited for its answer, a successor of the newer version took the lease.
// What it bought goes to rescue at once; older workers pass it on, and the newer one puts it in force.
func TestALateAnswerOfAnOlderWorkerIsNotLost(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		slow := make(chan struct{})
		older := b.process(faults{trip: func(_ *http.Request, trip func() (*http.Response, error)) (*http.Response, error) {
			answer, err := trip() // the provider has spent the token
			<-slow
			return answer, err
		}})
		first := make(chan heard, 1)
		go func() { first <- older.hear(b.Context(), b.refreshCall()) }()
		b.pass(leaseLife + time.Second) // beyond every deadline: the process stood still
		next := b.nextProcess(faults{})
		second := make(chan heard, 1)
		go func() { second <- next.hear(b.Context(), b.refreshCall()) }()
		b.pass(time.Second) // the successor has the lease, in the second form, and holds off
		if c := b.credential(); c.Fence != 2 {
			b.Fatalf("the fence is %d; want the successor's", c.Fence)
		}
		began := b.now()
		close(slow)
		got := <-first
		if len(older.rescues()) == 0 {
			b.Fatalf("the late answer did not go to rescue: %+v", got)
		}
		b.ok(got.err)
		b.wantFault(got.answer.Err(), fault.Unavailable, "store_unavailable")
		if waited := b.now().Sub(began); waited > time.Second {
			b.Errorf("it was tried for %s, and no waiting makes a newer version", waited)
		}
		call := older.rescues()[0]
		_, err := older.do(call)
		b.wantFault(err, fault.Unavailable, "newer_version") // the queue brings it again
		answer, err := next.do(call)
		b.ok(err)
		next.wantOutcome(answer, tokens.Success)
		h := <-second
		b.ok(h.err)
		b.wantPosts(1)
		b.wantReuses(0)
		b.wantForce(2)
	})
}

// TestANewerRescuedAnswerIsPassedOn: what an older worker does not know of a rescued set would be lost if it stored it.
func TestANewerRescuedAnswerIsPassedOn(t *testing.T) {
	bubble(t, func(b *bed) {
		p, call := refused(b)
		before := shown(b.credential())
		for _, request := range []string{"", "ar_1"} {
			var body map[string]any
			b.ok(json.Unmarshal(call.Rescued, &body))
			body["schema"] = 2
			text, err := json.Marshal(body)
			b.ok(err)
			_, err = p.do(tokens.Call{Op: tokens.Rescue, Tenant: tenant, Entry: b.entry.ID, Request: request, Rescued: text})
			b.wantFault(err, fault.Unavailable, "newer_version")
		}
		if after := shown(b.credential()); after != before {
			b.Errorf("it changed the credential from %s to %s", before, after)
		}
		_, err := p.do(call)
		b.ok(err)
		b.wantForce(2)
	})
}

// TestAnOperationOfTomorrow: a newer function may ask for what this one has never heard of.
func TestAnOperationOfTomorrow(t *testing.T) {
	bubble(t, func(b *bed) {
		_, err := b.process(faults{}).do(tokens.Call{Op: "tomorrow", Tenant: tenant})
		b.wantFault(err, fault.Unavailable, "newer_version")
	})
}

// TestANewerRevocationIsPassedOn: so is what a newer version keeps for telling a provider later.
func TestANewerRevocationIsPassedOn(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		for number, newer := range map[string]bool{"1": false, "2": true} {
			sealed, err := b.vault.Sealer.Seal(b.Context(), seal.Binding{Purpose: "revocation", Tenant: tenant, Record: b.entry.ID}, []byte(`{"schema":`+number+`}`))
			b.ok(err)
			body, err := json.Marshal(sealed)
			b.ok(err)
			_, err = p.do(tokens.Call{Op: tokens.Revoke, Tenant: tenant, Entry: b.entry.ID, Rescued: body})
			if err == nil || fault.IsNewer(err) != newer {
				b.Errorf("of form %s: %v", number, err)
			}
		}
		b.wantPosts(0)
	})
}
