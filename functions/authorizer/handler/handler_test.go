package handler_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/authorizer/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
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
