package cloud_test

import (
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
)

// life is what a tenant does beside connecting and reading, to its end: repeats, second thoughts, a client secret that is
// replaced over Amazon's queue, keys, a new key of its keyring, and a deletion that leaves no secret.
func life(b *bed) {
	owner := b.tenant("Life")
	owner.app()
	shop, orders := owner.seller("shop")
	ledger, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)

	// A repeat makes nothing anew, and an entry that is not made leaves no secret.
	body := object{"provider": "amazon", "alias": "second shop", "environment": "production", "region": "na", "marketplace": "US"}
	first := owner.send("POST", "/v1/vault-entries", body, "Idempotency-Key: 0123456789abcdef")
	again := owner.send("POST", "/v1/vault-entries", body, "Idempotency-Key: 0123456789abcdef")
	if first.status != http.StatusCreated || first.text("id") != again.text("id") {
		b.Errorf("a repeat: %v, then %v", first, again)
	}
	before := b.kept(owner)
	taken := owner.send("POST", "/v1/vault-entries", object{"provider": "sage", "alias": "books", "environment": "production", "country_code": "GB",
		"oauth_api_key": sagesim.SeedClientID, "oauth_api_secret": sagesim.SeedClientSecret, "oauth_callback_url": publicURL + "/oauth/sage/callback"})
	if after := b.kept(owner); taken.status != http.StatusConflict || len(after) != len(before) {
		b.Errorf("a second entry of a name: %v; secrets %v, then %v", taken, before, after)
	}

	// An authorization that is begun anew ends the one before; a visit from Amazon's store waits for a principal.
	for range 2 {
		owner.must("POST", "/v1/vault-entries/"+first.text("id")+"/authorize", object{"mode": "browser"})
	}
	visit := url.Values{"amazon_callback_uri": {"https://sellercentral.amazon.com/apps/authorize/confirm/" + amazonsim.SeededApplicationID},
		"amazon_state": {"state-of-a-visit"}, "selling_partner_id": {amazonsim.SellerNorthAmerica}}
	if got := b.client("").send("GET", "/oauth/amazon/login?"+visit.Encode(), nil); got.status != http.StatusOK {
		b.Errorf("a visit from the store: %v", got)
	}
	visit.Set("amazon_callback_uri", "https://evil.example/apps/authorize/confirm/x")
	if got := b.client("").send("GET", "/oauth/amazon/login?"+visit.Encode(), nil); got.status < 400 {
		b.Errorf("a visit that leads elsewhere: %v", got)
	}

	// The client secret is replaced: asked for over the API, brought by the queue, used by the next refresh.
	b.feed("SecretsQueue")
	had := len(b.kept(owner))
	owner.must("POST", "/v1/provider-apps/amazon/rotate-secret", object{})
	b.eventually("Amazon's message was carried out", func() bool {
		return len(b.kept(owner)) > had && b.waiting("SecretsQueue", "ApproximateNumberOfMessages")+b.waiting("SecretsQueue", "ApproximateNumberOfMessagesNotVisible") == 0
	})
	owner.must("POST", "/v1/vault-entries/"+shop+"/refresh", nil)

	// Another owner, and the first one's key goes. A new key of the keyring opens what the older one sealed.
	made := owner.must("POST", "/v1/keys", object{"role": "owner", "label": "second"})
	second := b.client(made.text("key"))
	second.tenant = owner.tenant
	for _, key := range second.items("/v1/keys") {
		if id, _ := key["id"].(string); id != made.text("id") {
			second.must("DELETE", "/v1/keys/"+id, nil)
		}
	}
	b.operate(object{"operation": "rotate_keyring", "tenant": owner.tenant})
	second.must("GET", "/v1/connectors/"+orders+"/orders?limit=1", nil)
	b.operate(object{"operation": "verify", "tenant": owner.tenant})

	// An entry goes, and what it had at the provider; then the tenant.
	second.must("DELETE", "/v1/connectors/"+books, nil)
	second.must("DELETE", "/v1/vault-entries/"+ledger, nil)
	families, err := b.sage.Families(b.Context(), ledger)
	b.ok(err)
	if len(families) != 1 || !families[0].Revoked {
		b.Errorf("after a deletion the authorization at the provider is %+v", families)
	}
	b.operate(object{"operation": "delete", "tenant": owner.tenant, "at_once": true})
	b.eventually("the tenant is gone", func() bool {
		b.operate(object{"operation": "finish"})
		return len(b.kept(owner)) == 0
	})
	b.eventually("its key is refused", func() bool { return second.send("GET", "/v1/connectors", nil).status == http.StatusForbidden })
	b.unseen(owner.key, second.key)
	b.knownWays()
}

// kept are the names of a tenant's secrets.
func (b *bed) kept(c *client) []string {
	b.Helper()
	var out []string
	pages := secretsmanager.NewListSecretsPaginator(b.secrets, &secretsmanager.ListSecretsInput{
		Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{"vault/" + c.tenant + "/"}}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		b.ok(err)
		for _, s := range page.SecretList {
			if s.DeletedDate == nil {
				out = append(out, aws.ToString(s.Name))
			}
		}
	}
	return out
}
