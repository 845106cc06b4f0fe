package vault_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func (r *rig) connectorToken(once *vault.Once) (record.ConnectorToken, secret.Text) {
	r.Helper()
	token, text, err := r.CreateConnectorToken(r.Context(), record.ConnectorToken{Tenant: tenant, Providers: []string{"amazon"}, Environment: "production",
		Uses: 3, CreatedBy: "key_1", CreatorRole: record.Owner, Expires: r.clock.Now().Add(time.Hour)}, once)
	r.ok(err)
	return token, text
}

func (r *rig) wantHolder(text secret.Text, want bool) record.Principal {
	r.Helper()
	p, ok, err := r.AuthenticateConnectorToken(r.Context(), text)
	r.ok(err)
	if ok != want || !ok && p.Tenant+p.ID+string(p.Role) != "" {
		r.Fatalf("the token is accepted: %t %+v; want %t", ok, p, want)
	}
	return p
}

func TestConnectorTokens(t *testing.T) {
	each(t, func(r *rig) {
		once := &vault.Once{Principal: "key_1", Key: "k", Request: "same"}
		token, text := r.connectorToken(once)
		r.same(r.wantHolder(text, true), record.Principal{Tenant: tenant, ID: token.ID, Role: record.TokenHolder})
		read, err := r.ConnectorToken(r.Context(), tenant, token.ID)
		r.ok(err)
		r.same(read, token)
		_, err = r.ConnectorToken(r.Context(), other, token.ID)
		r.fault(err, fault.NotFound, "not_found")
		_, _, err = r.CreateConnectorToken(r.Context(), token, once)
		r.fault(err, fault.Conflict, "connector_token_shown_once")
		_, _, err = r.CreateConnectorToken(r.Context(), token, &vault.Once{Principal: "key_1", Key: "k", Request: "other"})
		r.fault(err, fault.Conflict, "idempotency_key_reused")

		// Using it up does not end it; revoking and time do.
		for i := range 3 {
			e := r.newEntry(fmt.Sprint(i))
			e.ConnectorToken = token.ID
			_, err := r.CreateEntry(r.Context(), e, nil)
			r.ok(err)
		}
		r.wantHolder(text, true)
		second, secondText := r.connectorToken(nil)
		r.ok(r.RevokeConnectorToken(r.Context(), token))
		r.wantHolder(text, false)
		read, err = r.ConnectorToken(r.Context(), tenant, token.ID)
		r.ok(err)
		if !read.Revoked || read.UsesLeft != 0 || read.Hash != token.Hash {
			r.Errorf("it is %+v", read)
		}
		r.ok(r.RevokeConnectorToken(r.Context(), record.ConnectorToken{Tenant: tenant, ID: "ct_none"}))
		r.clock.Add(time.Hour - 1)
		r.wantHolder(secondText, true)
		r.clock.Add(1)
		r.wantHolder(secondText, false)

		page, err := r.ConnectorTokens(r.Context(), tenant, "", 10)
		r.ok(err)
		if len(page.Items) != 2 || !strings.Contains(token.ID+second.ID, page.Items[0].ID) || page.Items[0].Tenant != tenant {
			r.Errorf("listed are %+v", page.Items)
		}
		r.everyItem(func(_ store.Table, item store.Item) {
			if strings.Contains(fmt.Sprint(item.Attrs), text.Reveal()[36:79]) {
				r.Error("a token's secret part is stored")
			}
		})
	})
}

func TestForeignConnectorTokensAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	_, text := r.connectorToken(nil)
	good := text.Reveal()
	for i := range good { // any one character changed
		with := "0"
		if good[i] == '0' {
			with = "1"
		}
		if _, ok, err := r.AuthenticateConnectorToken(t.Context(), secret.New(good[:i]+with+good[i+1:])); ok || err != nil {
			t.Errorf("a token with another character %d: %t, %v", i, ok, err)
		}
	}
	for _, bad := range []string{"", "cvt_", "cvt_12345678", good[:len(good)-1], good + "0", " " + good, "Bearer " + good, good[4:], vault.KeyMark + good[4:]} {
		r.wantHolder(secret.New(bad), false)
		r.wantPrincipal(secret.New(bad), false)
	}
	// One whose checksum is right for another secret; the same of a key.
	r.wantHolder(secret.New(otherSecret(good)), false)
	_, key, err := r.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner})
	r.ok(err)
	r.wantPrincipal(secret.New(otherSecret(key.Reveal())), false)
	r.wantPrincipal(text, false) // a token is no key
	r.wantHolder(key, false)     // and a key no token
	_, stranger := newRig(t, plain).connectorToken(nil)
	r.wantHolder(stranger, false)
}

// otherSecret is a text with another secret part, and the checksum that belongs to it.
func otherSecret(text string) string {
	body := text[:36] + strings.Repeat("A", 43)
	return body + fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body)))
}

// An entry whose token has no record any more can be removed.
func TestAnEntryOutlivesItsToken(t *testing.T) {
	each(t, func(r *rig) {
		token, _ := r.connectorToken(nil)
		e := r.newEntry("one")
		e.ConnectorToken = token.ID
		e, err := r.CreateEntry(r.Context(), e, nil)
		r.ok(err)
		e, err = r.Entry(r.Context(), tenant, e.ID)
		r.ok(err)
		r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: tenant, Sort: "token#" + token.ID}}))
		r.ok(r.DeleteEntry(r.Context(), e, 0))
		_, err = r.Entry(r.Context(), tenant, e.ID)
		r.fault(err, fault.NotFound, "not_found")
		_, err = r.ConnectorToken(r.Context(), tenant, token.ID)
		r.fault(err, fault.NotFound, "not_found")
	})
}
