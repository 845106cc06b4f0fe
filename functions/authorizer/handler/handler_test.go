package handler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/authorizer/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func TestAKeyIsLetInAsWhoItIs(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	log := &strings.Builder{}
	h := handler.New(b.Vault, slog.New(slog.NewJSONHandler(log, nil)))
	mint := func(k record.APIKey) (record.APIKey, string) {
		k.Tenant, k.Role = bundletest.Tenant, record.Owner
		key, text, err := b.Vault.CreateKey(b.Context(), k)
		b.OK(err)
		return key, text.Reveal()
	}
	ask := func(header string) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
		return h.Handle(b.Context(), events.APIGatewayV2CustomAuthorizerV2Request{Headers: map[string]string{"authorization": header}})
	}
	key, text := mint(record.APIKey{PersonalData: true})
	plain, plainText := mint(record.APIKey{})
	revoked, revokedText := mint(record.APIKey{})
	b.OK(b.Vault.RevokeKey(b.Context(), bundletest.Tenant, revoked.ID))
	_, expiredText := mint(record.APIKey{Expires: b.Clock.Now().Add(time.Second)})
	b.Clock.Add(time.Second)

	for header, want := range map[string]string{"Bearer " + text: key.ID, "bearer " + text: key.ID, "BEARER  " + text + " ": key.ID, "Bearer " + plainText: plain.ID} {
		got, err := ask(header)
		if err != nil || !got.IsAuthorized || got.Context["key"] != want || got.Context["tenant"] != bundletest.Tenant || got.Context["role"] != "owner" {
			t.Errorf("%.20s: %+v %v", header, got, err)
		}
		if personal := got.Context["personal_data"]; personal != map[bool]string{true: "true", false: "false"}[want == key.ID] {
			t.Errorf("%s may see personal data: %v", want, personal)
		}
	}
	flipped := []byte(text)
	flipped[40] ^= 1
	for name, header := range map[string]string{"nothing": "", "a key alone": text, "another scheme": "Basic " + text, "an empty key": "Bearer ", "a cut key": "Bearer " + text[:len(text)-1],
		"a changed key": "Bearer " + string(flipped), "revoked": "Bearer " + revokedText, "expired": "Bearer " + expiredText, "two keys": "Bearer " + text + " " + text,
		"a huge key": "Bearer " + strings.Repeat("x", 9000), "NUL": "Bearer \x00"} {
		if got, err := ask(header); err != nil || got.IsAuthorized || got.Context != nil {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	// Who has a good key must not read that it is bad because the store is down.
	b.Store.Fail(func(string, store.Table) bool { return true })
	if got, err := ask("Bearer " + text); err == nil || got.IsAuthorized {
		t.Errorf("with the store down: %+v", got)
	}
	if strings.Contains(log.String(), text) || !strings.Contains(log.String(), "ERROR") {
		t.Errorf("the log has %s", log)
	}
}

// A further kind of credential is found by how its text begins, and its principal travels like any other.
func TestAFurtherKindOfCredential(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	asked := 0
	other := handler.Authenticator{Mark: "cvx_", Find: func(_ context.Context, text secret.Text) (record.Principal, bool, error) {
		asked++
		switch text.Reveal() {
		case "cvx_good":
			return record.Principal{Tenant: bundletest.Tenant, ID: "ct_1", Role: "connector_token"}, true, nil
		case "cvx_unsure":
			return record.Principal{}, false, errors.New("no answer")
		default:
			return record.Principal{Tenant: bundletest.Tenant, ID: "ct_2", Role: record.Owner}, false, nil
		}
	}}
	h := handler.New(b.Vault, slog.New(slog.DiscardHandler), handler.OfIssuers(b.Vault, nil), other)
	for text, want := range map[string]struct {
		ok, fails bool
	}{"cvx_good": {true, false}, "cvx_bad": {false, false}, "cvx_unsure": {false, true}, "cvk_good": {false, false}, "xcvx_good": {false, false}, "eyJhbGciOiJub25lIn0.e30.": {false, false}} {
		got, err := h.Handle(b.Context(), events.APIGatewayV2CustomAuthorizerV2Request{Headers: map[string]string{"authorization": "Bearer " + text}})
		if got.IsAuthorized != want.ok || (err != nil) != want.fails || !want.ok && got.Context != nil || want.ok && got.Context["role"] != "connector_token" {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	if asked != 3 {
		t.Errorf("it was asked %d times", asked)
	}
}

func TestTheUseOfAKeyIsNoted(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	log := &strings.Builder{}
	h := handler.New(b.Vault, slog.New(slog.NewJSONHandler(log, nil)))
	key, text, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: bundletest.Tenant, Role: record.Reader, Connectors: []string{"con_1", "con_2"}})
	b.OK(err)
	writes := 0
	b.Store.Fail(func(what string, _ store.Table) bool {
		if what == "apply" {
			writes++
		}
		return false
	})
	ask := func() {
		t.Helper()
		got, err := h.Handle(b.Context(), events.APIGatewayV2CustomAuthorizerV2Request{Headers: map[string]string{"authorization": "Bearer " + text.Reveal()}})
		if err != nil || !got.IsAuthorized || got.Context["connectors"] != "con_1,con_2" {
			t.Fatalf("%+v %v", got, err)
		}
	}
	used := func() time.Time {
		one := []record.APIKey{key}
		b.OK(b.Vault.WithLastUse(b.Context(), bundletest.Tenant, one))
		return one[0].LastUsed
	}
	began := b.Clock.Now()
	for range 10 {
		ask()
	}
	if writes != 1 {
		t.Errorf("ten requests made %d writes", writes)
	}
	if !used().Equal(began) {
		t.Errorf("the last use was %s", used())
	}
	b.Clock.Add(vault.UseNoted)
	ask()
	if !used().Equal(began.Add(vault.UseNoted)) {
		t.Errorf("the last use was %s", used())
	}
	// A note that fails fails no request, and is no reason to try with each.
	b.Clock.Add(vault.UseNoted)
	tries := 0
	b.Store.Fail(func(_ string, table store.Table) bool {
		if table == store.Transient {
			tries++
		}
		return table == store.Transient
	})
	for range 5 {
		ask()
	}
	if tries != 1 || !strings.Contains(log.String(), "was not noted") || strings.Contains(log.String(), text.Reveal()) {
		t.Errorf("%d tries: %s", tries, log)
	}
	b.Store.Fail(nil)
	_, ok, err := b.Vault.Authenticate(b.Context(), text)
	if !ok || err != nil {
		t.Errorf("the key was changed by it: %v", err)
	}
}

// What the authorizer looked at is counted, by kind, and never by what it was.
func TestCredentialsAreCounted(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	out := &bytes.Buffer{}
	h := handler.New(b.Vault, slog.New(slog.DiscardHandler), handler.OfIssuers(b.Vault, nil))
	h.Metrics = metric.New(metric.Config{Out: out, Namespace: "authorizer", Now: b.Clock.Now})
	_, text, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: bundletest.Tenant, Role: record.Owner})
	b.OK(err)
	ask := func(header, want string) {
		t.Helper()
		_, _ = h.Handle(b.Context(), events.APIGatewayV2CustomAuthorizerV2Request{Headers: map[string]string{"authorization": header}})
		if points := metrictest.Points(t, out.String()); len(points) != 2 || points[0].Series() != "Authentications "+want || strings.Contains(out.String(), "canary") {
			t.Errorf("%.12s: %s", header, out)
		}
		out.Reset()
	}
	ask("Bearer "+text.Reveal(), "Operation=key Outcome=success")
	ask("Bearer "+vault.KeyMark+"canary", "Operation=key Outcome=rejected")
	ask("Bearer "+vault.TokenMark+"canary", "Operation=connector_token Outcome=rejected")
	ask("Bearer eyJcanary.canary.canary", "Operation=issuer_token Outcome=rejected")
	ask("Bearer canary", "Operation=unknown Outcome=rejected")
	ask("", "Operation=unknown Outcome=rejected")
	b.Store.Fail(func(string, store.Table) bool { return true })
	ask("Bearer "+text.Reveal(), "Operation=key Outcome=failed")
}
