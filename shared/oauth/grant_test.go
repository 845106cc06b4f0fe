package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/secret"
)

// Without a scope there is no such parameter: some servers take an empty one for a wrong one.
func TestClientCredentialsWithoutAScope(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"own","expires_in":3600}`))
	if _, err := e.client(oauth.InHeader).ClientCredentials(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	post := e.posts()[0]
	if post.PostForm.Encode() != (url.Values{"grant_type": {"client_credentials"}}).Encode() {
		t.Errorf("sent were %v", post.PostForm)
	}
	if id, password, ok := post.BasicAuth(); !ok || id != url.QueryEscape(clientID) || password != url.QueryEscape(clientSecret) {
		t.Error("the client is not in the header")
	}
}

type knowing struct{ err error }

func (k knowing) RoundTrip(*http.Request) (*http.Response, error) { return nil, k.err }

// What a transport of ours knows of its failure is passed on; anything else is told by its kind alone.
func TestATransportThatKnows(t *testing.T) {
	t.Parallel()
	known := fault.New(fault.Misconfigured, "known", "It is known.").Do("Act.")
	for err, code := range map[error]string{known: "known", errors.New("https://canary.example"): "internal_error"} {
		c := oauth.Client{HTTP: &http.Client{Transport: knowing{err}}, TokenURL: "https://provider.example/token", ID: clientID, Secret: secret.New(clientSecret)}
		_, got := c.ClientCredentials(t.Context(), "")
		var failure *oauth.Failure
		if !errors.As(got, &failure) || failure.Outcome != oauth.Transient || failure.Spent || fault.CodeOf(got) != code || strings.Contains(got.Error(), "canary") {
			t.Errorf("got %v, want %s", got, code)
		}
	}
}
