package authorize_test

import (
	"bytes"
	"net/url"
	"testing"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/secret"
)

// Each step at which an authorization request was used, or was to be, is counted as what came of it.
func TestStepsOfAnAuthorizationAreCounted(t *testing.T) {
	b := newBench(t)
	var out bytes.Buffer
	b.Authorize.Metrics = metric.New(metric.Config{Out: &out, Namespace: "authorize", Now: b.Clock.Now})
	counted := func(what, want string) {
		t.Helper()
		got := ""
		for _, p := range metrictest.Points(t, out.String()) {
			got += p.Series()
		}
		if got != want {
			t.Errorf("%s is counted as %q, want %q", what, got, want)
		}
		for _, canary := range []string{"canary", "acct", "state", "https"} {
			if bytes.Contains(out.Bytes(), []byte(canary)) {
				t.Errorf("%s is in %s", canary, out.String())
			}
		}
		out.Reset()
	}
	const of = "Authorizations Operation="
	pasted := b.Entry("pasted")
	result := b.pasting(pasted, "acct-1")
	u, err := url.Parse(result)
	b.OK(err)
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, u.Query(), secret.Text{})
	b.OK(err)
	counted("a page to copy from, which uses nothing up,", "")
	_ = b.validate(b.Owner, pasted, "https://canary.example/")
	counted("what is none of ours", of+"validate Outcome=rejected")
	b.OK(b.validate(b.Owner, pasted, result))
	counted("a Result URL", of+"validate Outcome=success")

	browsed := b.Entry("browsed")
	j := b.start(browsed)
	counted("a start", of+"start Outcome=success")
	_, _, err = b.Authorize.Start(b.Context(), j.handle, secret.Text{})
	if err == nil {
		t.Error("a handle is used twice")
	}
	counted("a start that was made", of+"start Outcome=rejected")
	_, _ = b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-2"), secret.New("canary-cookie"))
	counted("another browser", of+"callback Outcome=rejected")
	_, _ = b.Authorize.Return(b.Context(), bundletest.Name, url.Values{"state": {j.query.Get("state")}, "error": {"access_denied"}}, j.cookie)
	counted("a person who says no", of+"callback Outcome=denied")
	j = b.start(browsed)
	out.Reset()
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-2"), j.cookie)
	b.OK(err)
	counted("a person who says yes", of+"callback Outcome=success")
}
