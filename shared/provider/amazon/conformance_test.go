package amazon_test

import (
	"net/url"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/providertest"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	settings := func(pairs ...string) record.Entry {
		e := record.Entry{Settings: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			e.Settings[pairs[i]] = pairs[i+1]
		}
		return e
	}
	sandbox := settings("region", "na")
	sandbox.APIEnvironment = record.Sandbox
	providertest.Run(t, providertest.Harness{
		Adapter: amazon.New(amazon.Options{}),
		Entries: []record.Entry{settings("marketplace", "uk"), settings("region", "fe", "account_type", "vendor"), sandbox},
		Refused: []record.Entry{settings(), settings("marketplace", "XX"), settings("region", "moon"), settings("marketplace", "DE", "region", "fe")},
		App: provider.AppCredentials{
			App:     record.App{Fields: map[string]string{"application_id": applicationID, "client_id": "amzn1.application-oa2-client.0123456789abcdef"}},
			Secrets: map[string]secret.Text{"client_secret": secret.New("amzn1.oa2-cs.v1.0123456789abcdef")},
		},
		Callback: func(state, code string) url.Values {
			return url.Values{"state": {state}, "spapi_oauth_code": {code}, "selling_partner_id": {"A1SYNSELLER0001"}}
		},
		Account: record.Account{ID: "A1SYNSELLER0001"},
	})
}
