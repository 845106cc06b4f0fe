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

func TestAConnectorTokenIsLetInAsItsHolder(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	log := &strings.Builder{}
	h := handler.New(b.Vault, slog.New(slog.NewJSONHandler(log, nil)))
	token, secret, err := b.Vault.CreateConnectorToken(b.Context(), record.ConnectorToken{Tenant: bundletest.Tenant, Providers: []string{bundletest.Name},
		Environment: "test", Uses: 1, CreatorRole: record.Owner, Expires: b.Clock.Now().Add(time.Hour)}, nil)
	b.OK(err)
	text := secret.Reveal()
	ask := func() (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
		return h.Handle(b.Context(), events.APIGatewayV2CustomAuthorizerV2Request{Headers: map[string]string{"authorization": "Bearer " + text}})
	}
	got, err := ask()
	if err != nil || !got.IsAuthorized || got.Context["key"] != token.ID || got.Context["tenant"] != bundletest.Tenant ||
		got.Context["role"] != "connector_token" || got.Context["personal_data"] != "false" {
		t.Errorf("%+v %v", got, err)
	}
	b.Store.Fail(func(string, store.Table) bool { return true })
	if got, err := ask(); err == nil || got.IsAuthorized {
		t.Errorf("with the store down: %+v", got)
	}
	b.Store.Fail(nil)
	b.OK(b.Vault.RevokeConnectorToken(b.Context(), token))
	if got, err := ask(); err != nil || got.IsAuthorized || got.Context != nil {
		t.Errorf("revoked: %+v %v", got, err)
	}
	if strings.Contains(log.String(), text) {
		t.Errorf("the log has %s", log)
	}
}
