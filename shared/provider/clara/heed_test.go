package clara_test

import (
	"errors"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
)

// What the token endpoint says of the certificate is one error, whatever its status; everything else it says arrives whole.
func TestTheTokenEndpointSpeaksOfTheCertificate(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	client, server := clients.client(t), root.server(t)
	const rejected = "client_certificate_missing_or_rejected"
	long := `{"pad":"` + strings.Repeat("x", 5000) + `","error":"invalid_client"}`
	for what, row := range map[string]struct{ line, body, code, said string }{
		"511":                         {"511 Network Authentication Required", "", rejected, ""},
		"511 that says a secret":      {"511 Network Authentication Required", `{"error":"invalid_client"}`, rejected, ""},
		"495":                         {"495 SSL Certificate Error", "<html>", rejected, ""},
		"496":                         {"496 SSL Certificate Required", "<html>", rejected, ""},
		"401 with words":              {"401 Unauthorized", `{"error":"invalid_client","message":"A client certificate is required"}`, rejected, ""},
		"403 with words":              {"403 Forbidden", `{"message":"mTLS is needed"}`, rejected, ""},
		"a page":                      {"400 Bad Request", "<html>No required SSL certificate was sent</html>", rejected, ""},
		"401 about the secret":        {"401 Unauthorized", `{"error":"invalid_client"}`, "", "invalid_client"},
		"401 with much to say":        {"401 Unauthorized", long, "", "invalid_client"},
		"words after much to say":     {"401 Unauthorized", strings.Replace(long, `","error`, ` client certificate","error`, 1), "", "invalid_client"},
		"400 about the grant":         {"400 Bad Request", `{"error":"unsupported_grant_type"}`, "", "unsupported_grant_type"},
		"503 that speaks of one":      {"503 Service Unavailable", `{"message":"client certificate"}`, "", ""},
		"a token that comes too late": {"200 OK", `{"error":"client certificate","access_token":""}`, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := listen(t, behind(mutual(server, clients), status(row.line, row.body)))
			a := adapterFor(p.url, root)
			_, err := a.TokenClient(entry(), provider.AppCredentials{Secrets: secretsOf(t, client)}).ClientCredentials(t.Context(), "")
			var failure *oauth.Failure
			var known *fault.Error
			if !errors.As(err, &failure) || failure.Code != row.said {
				t.Fatalf("%v, want what it said: %q", err, row.said)
			}
			if found := errors.As(err, &known); found != (row.code != "") || found && (known.Code != row.code || known.Kind != fault.Misconfigured || known.Action == "") {
				t.Errorf("%v, want %q", err, row.code)
			}
			if (row.code == "") == (failure.Status == 0) {
				t.Errorf("the status is %d", failure.Status)
			}
		})
	}
}
