package refresh_test

import (
	"net/http"
	"testing"
	"time"

	"connectorvault/shared/bundle/bundletest"
)

const madeUp = "canary-that-somebody-made-up"

// Whoever knows a client's id and not its secret is given no new one.
func TestANewSecretIsNotForWhoeverNamesTheClient(t *testing.T) {
	r := plainRack(t)
	in := bundletest.AppFields()
	in["client_secret"] = []byte(`"` + madeUp + `"`)
	_, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, in)
	r.OK(err)
	r.Clock.Add(day)
	r.OK(r.notice(r.fresh(newSecret)))
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	r.wantsSecrets(bundletest.Other, madeUp, "")

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
	r.wantsSecrets(bundletest.Other, madeUp, "")
}

// What they say of its end keeps the next secret from nobody.
func TestAnEndThatSomebodyMadeUpCountsForNothing(t *testing.T) {
	r := plainRack(t)
	_, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, bundletest.AppFields())
	r.OK(err)
	in := bundletest.AppFields()
	in["client_secret"] = []byte(`"` + madeUp + `"`)
	in["client_secret_expires_at"] = []byte(`"` + r.Clock.Now().Add(900*day).UTC().Format(time.RFC3339) + `"`)
	_, err = r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, in)
	r.OK(err)
	r.Clock.Add(170 * day)
	r.OK(r.notice(bundletest.Notice{Client: appClient, Ends: r.Clock.Now().Add(10 * day)}))
	if n := r.rotations(); n != 1 {
		t.Errorf("a new secret was asked for %d times", n)
	}
	r.OK(r.notice(r.fresh(newSecret)))
	r.wantsSecrets(bundletest.Other, newSecret, bundletest.ClientSecret)
	if got := r.secretOf(bundletest.Tenant, r.appOf(bundletest.Tenant).Version); got != madeUp {
		t.Errorf("whoever made one up has %s", got)
	}
}
