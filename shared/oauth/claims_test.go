package oauth_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/oauth"
	"connectorvault/shared/secret"
)

// TestClaims: members that the client names are kept as they were written; what is no identifier counts as not said.
func TestClaims(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`"c3c32d1c-41ba-483f-a3ff-49fdb57b9c38"`: "c3c32d1c-41ba-483f-a3ff-49fdb57b9c38",
		`"GB/5 Ä €"`:                             "GB/5 Ä €",
		`"\u0041"`:                               "A",
		`"007"`:                                  "007",
		`12345678901234567890`:                   "12345678901234567890",
		`-1`:                                     "-1",
		`1.50`:                                   "1.50",
		`0`:                                      "0",
		`"` + strings.Repeat("x", 256) + `"`:     strings.Repeat("x", 256),
		strings.Repeat("1", 256):                 strings.Repeat("1", 256),

		`"` + strings.Repeat("x", 257) + `"`: "",
		`"` + strings.Repeat("é", 129) + `"`: "",
		strings.Repeat("1", 257):             "",
		`""`:                                 "",
		`null`:                               "",
		`true`:                               "",
		`false`:                              "",
		`["a"]`:                              "",
		`{"a":"b"}`:                          "",
		`"two\nlines"`:                       "",
		`"tab\t"`:                            "",
		`"null\u0000"`:                       "",
		`"\u202eright to left"`:              "",
		`"no\u00a0break"`:                    "",
		"\"\xff\"":                           "",
		`"\ufffd"`:                           "",
		`"` + oldToken + `"`:                 "",
		`"for ` + oldToken + `"`:             "",
		`"` + clientSecret + `"`:             "",
		`"canary-access"`:                    "",
		`"the canary-refresh, again"`:        "",
	} {
		e := newEndpoint(t, saysJSON(200, `{"access_token":"canary-access","refresh_token":"canary-refresh","requested_by_id":`+said+`,"other":"x"}`))
		c := e.client(oauth.InParams)
		c.Claims = []string{"resource_owner_id", "requested_by_id"}
		tokens, err := c.Refresh(t.Context(), secret.New(oldToken))
		var wanted map[string]string // nil when nothing was said
		if want != "" {
			wanted = map[string]string{"requested_by_id": want}
		}
		if err != nil || !maps.Equal(tokens.Claims, wanted) || (tokens.Claims == nil) != (wanted == nil) {
			t.Errorf("%s is kept as %v, %v; want %v", said, tokens.Claims, err, wanted)
		}
	}
}

// Names are the client's alone, and case-sensitive; every way to get tokens keeps them.
func TestClaimsOfEveryCall(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, saysJSON(200, `{"access_token":"canary-access","refresh_token":"canary-refresh","a":1,"b":"two","C":"three","scope":"s"}`))
	for name, call := range calls {
		c := e.client(oauth.InParams)
		c.Claims = []string{"a", "b", "c", "d", "access_token", "refresh_token"}
		tokens, err := call(t.Context(), c)
		if want := map[string]string{"a": "1", "b": "two"}; err != nil || !maps.Equal(tokens.Claims, want) {
			t.Errorf("%s: %v, %v; want %v", name, tokens.Claims, err, want)
		}
		c.Claims = nil
		if tokens, err = call(t.Context(), c); err != nil || tokens.Claims != nil {
			t.Errorf("%s: %v, %v; want none", name, tokens.Claims, err)
		}
	}
}

// A form has no members to keep; the tokens in it are kept all the same.
func TestClaimsOfAForm(t *testing.T) {
	t.Parallel()
	for kind, body := range map[string]string{"application/x-www-form-urlencoded": "access_token=a&a=1", "application/json": `{"access_token":"a","a":"1","a":"2"}`} {
		e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) { says(200, kind, body)(w, r) })
		c := e.client(oauth.InParams)
		c.Claims = []string{"a"}
		tokens, err := c.Refresh(t.Context(), secret.New(oldToken))
		if err != nil || tokens.Access.Reveal() != "a" || tokens.Claims != nil {
			t.Errorf("%s: %v, %v", body, tokens.Claims, err)
		}
	}
}
