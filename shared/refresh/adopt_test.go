package refresh_test

import (
	"context"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

func (b *bed) adoption(token secret.Text) tokens.Call {
	return tokens.Call{Op: tokens.Adopt, Tenant: tenant, Entry: b.entry.ID, RefreshToken: token, Claims: map[string]string{"name": "Own shop"}, Principal: "key_1"}
}

// TestAdopt puts an owner's own refresh token in force after seeing that it works, and whose it is.
func TestAdopt(t *testing.T) {
	for _, rotates := range []bool{false, true} {
		bubbleNamed(t, map[bool]string{false: "not rotating", true: "rotating"}[rotates], func(b *bed) {
			b.issuer.rotates = rotates
			_, token := b.issuer.grantTo(account)
			p := b.process(faults{})
			got, err := p.do(b.adoption(token))
			b.ok(err)
			p.wantOutcome(got, tokens.Success)
			b.wantForce(1)
			if c := b.credential(); c.Account.ID != account || c.Account.Name != "Own shop" {
				b.Errorf("the account is %+v", c.Account)
			}
			if b.inForce().Refresh.Equal(token) == rotates {
				b.Error("the refresh token in force is the wrong one")
			}
			b.wantPosts(1)
		})
	}
}

func TestAdoptRefusals(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.rotates = false
		b.authorized()
		before := shown(b.credential())
		p := b.process(faults{})
		_, err := p.do(b.adoption(secret.New(canary + "-never-issued")))
		if problem := b.wantFault(err, fault.Invalid, "refresh_token_refused"); problem.Field != "refresh_token" {
			b.Errorf("the field at fault is %q", problem.Field)
		}
		_, foreign := b.issuer.grantTo("ACCOUNT-2")
		_, err = p.do(b.adoption(foreign))
		b.wantFault(err, fault.Conflict, "account_mismatch")
		_, token := b.issuer.grantTo(account)
		b.issuer.next(refuses(503, ""))
		_, err = p.do(b.adoption(token))
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
		b.issuer.takes(secondSecret)
		_, err = p.do(b.adoption(token))
		b.wantFault(err, fault.Misconfigured, "client_misconfigured")
		gone := b.adoption(token)
		gone.Entry = "ve_0000000000000000"
		_, err = p.do(gone)
		b.wantFault(err, fault.NotFound, "not_found")
		if after := shown(b.credential()); after != before {
			b.Errorf("a refused token changed the credential from %s to %s", before, after)
		}
	})
}

// TestAdoptReadsTheSecretAgain after invalid_client, as every POST does.
func TestAdoptReadsTheSecretAgain(t *testing.T) {
	bubble(t, func(b *bed) {
		b.issuer.rotates = false
		b.authorized()
		p := b.process(faults{})
		p.wantOutcome(p.refresh(), tokens.Success)
		b.changeSecret()
		_, token := b.issuer.grantTo(account)
		_, err := p.do(b.adoption(token))
		b.ok(err)
		b.wantPosts(3)
		b.wantForce(3)
	})
}

// TestForget removes the entry with everything, unless a connector uses it.
func TestForget(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		r := b.begin()
		p := b.process(faults{})
		call := tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID}
		used, err := b.vault.CreateConnector(b.Context(), record.Connector{Tenant: tenant, ID: b.id(ident.Connector), Name: "orders",
			Entry: b.entry.ID, Provider: "fake", CreatedAt: b.now(), UpdatedAt: b.now()}, nil)
		b.ok(err)
		_, err = p.do(call)
		b.wantFault(err, fault.Conflict, "vault_entry_in_use")
		b.wantForce(1)
		used, err = b.vault.Connector(b.Context(), tenant, used.ID)
		b.ok(err)
		b.ok(b.vault.DeleteConnector(b.Context(), used))
		_, err = p.do(call)
		b.ok(err)
		if _, found, err := b.vault.Credential(b.Context(), tenant, b.entry.ID); found || err != nil {
			b.Errorf("the credential of a deleted entry is there (%v)", err)
		}
		_, err = p.do(call)
		b.wantFault(err, fault.NotFound, "not_found")
		_, err = p.do(b.completion(r, b.issuer.consent(account)))
		b.wantFault(err, fault.NotFound, "not_found")
		_, err = p.do(b.refreshCall())
		b.wantFault(err, fault.NotFound, "not_found")
		b.wantPosts(0)
	})
}

// TestForgetMeetsAChange: the entry was edited between reading and deleting; it is read again.
func TestForgetMeetsAChange(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		edits := 2
		p := b.process(faults{apply: func(_ context.Context, write string, apply func() error) error {
			if write == wForget && edits > 0 {
				edits--
				before, err := b.vault.Entry(b.Context(), tenant, b.entry.ID)
				b.ok(err)
				after := before
				after.Settings = map[string]string{"edit": b.id("")}
				_, err = b.vault.UpdateEntry(b.Context(), before, after)
				b.ok(err)
			}
			return apply()
		}})
		_, err := p.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
		b.ok(err)
		if edits != 0 {
			b.Error("the entry was deleted over a change that was not read")
		}
	})
}

// TestForgetDuringARefresh: the answer that comes after the deletion brings nothing back.
func TestForgetDuringARefresh(t *testing.T) {
	bubble(t, func(b *bed) {
		b.authorized()
		one, two := b.process(faults{}), b.process(faults{})
		b.issuer.next(after(5*time.Second, normally))
		ended := make(chan heard, 1)
		go func() { ended <- one.hear(b.Context(), b.refreshCall()) }()
		b.pass(time.Second)
		_, err := two.do(tokens.Call{Op: tokens.Forget, Tenant: tenant, Entry: b.entry.ID})
		b.ok(err)
		b.wantFault((<-ended).err, fault.NotFound, "not_found")
		if _, found, err := b.vault.Credential(b.Context(), tenant, b.entry.ID); found || err != nil {
			b.Errorf("the credential of a deleted entry is there (%v)", err)
		}
		if len(one.rescues()) != 0 {
			b.Error("the answer for a deleted entry went to rescue")
		}
	})
}

// TestGrant keeps an application's own token, and has it anew when it is nearly over, for each scope apart.
func TestGrant(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.process(faults{})
		call := tokens.Call{Op: tokens.Grant, Tenant: tenant, Entry: b.entry.ID, Scope: "one"}
		grant := func(want tokens.Outcome) {
			b.Helper()
			got, err := p.do(call)
			b.ok(err)
			p.wantOutcome(got, want)
		}
		grant(tokens.Success)
		grant(tokens.AlreadyFresh)
		call.Scope = "two"
		grant(tokens.Success)
		b.wantPosts(2)
		b.pass(3*time.Minute + 59*time.Second)
		grant(tokens.AlreadyFresh)
		b.pass(time.Second)
		grant(tokens.Success)
		b.wantPosts(3)
		call.Force = true
		grant(tokens.Success)
		call.Force = false
		b.register(secondSecret) // another version of the application has tokens of its own
		b.issuer.takes(secondSecret)
		grant(tokens.Success)
		b.issuer.next(refuses(503, ""))
		call.Force = true
		_, err := p.do(call)
		b.wantFault(err, fault.Unavailable, "provider_unavailable")
	})
}
