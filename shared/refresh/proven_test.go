package refresh_test

import (
	"net/http"
	"testing"

	"connectorvault/shared/bundle/bundletest"
)

// Whoever knows a client's id and not its secret is given no new one, and what they say of its end keeps it from nobody.
func TestANewSecretIsNotForWhoeverNamesTheClient(t *testing.T) {
	r := plainRack(t)
	in := bundletest.AppFields()
	in["client_secret"] = []byte(`"canary-that-somebody-made-up"`)
	in["client_secret_expires_at"] = []byte(`"` + r.Clock.Now().Add(900*day).UTC().Format("2006-01-02T15:04:05Z") + `"`)
	_, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, in)
	r.OK(err)
	r.Clock.Add(170 * day)
	r.OK(r.notice(bundletest.Notice{Client: appClient, Ends: r.Clock.Now().Add(10 * day)}))
	if n := r.rotations(); n != 1 {
		t.Errorf("a new secret was asked for %d times", n)
	}
	r.OK(r.notice(r.fresh(newSecret)))
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	r.wantsSecrets(bundletest.Other, "canary-that-somebody-made-up", "")

	// While the provider does not answer, nobody is judged: the message comes again.
	r.Clock.Add(day)
	r.Upstream.Token(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if r.notice(r.fresh(laterOne)) == nil {
		t.Error("the message is done with")
	}
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	r.Upstream.Token(nil)
	r.Upstream.TakeSecret(appClient, newSecret)
	r.OK(r.notice(r.fresh(laterOne)))
	r.wantsSecrets(bundletest.Tenant, laterOne, newSecret)
}
