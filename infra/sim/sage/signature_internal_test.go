package sagesim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// SignForTest signs a GET of an address, for tests of the front.
func SignForTest(address, query, nonce, site, secret, token string) string {
	at, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	r := signedRequest{method: http.MethodGet, scheme: at.Scheme, host: at.Host, path: at.EscapedPath(), query: query, nonce: nonce, site: site}
	signature, _ := r.sign(secret, token)
	return signature
}

// The vectors were computed with another language's HMAC, URL and Base64 libraries.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request                        signedRequest
		secret, token, base, signature string
	}{
		{
			signedRequest{method: "get", scheme: "http", host: "127.0.0.1:8099", path: "/legacy/uki/sageone/accounts/v3/contacts",
				query: "search=M%C3%B6we+%26+Co&items_per_page=5", nonce: "00ff00ff00ff00ff00ff00ff00ff00ff", site: "5a5a"},
			"s3cret/+=", "tok.en~1",
			"GET&http%3A%2F%2F127.0.0.1%3A8099%2Flegacy%2Fuki%2Fsageone%2Faccounts%2Fv3%2Fcontacts&body%3D%26items_per_page%3D5%26search%3DM%25C3%25B6we%2520%2526%2520Co&00ff00ff00ff00ff00ff00ff00ff00ff&5a5a",
			"qwk/hmyWSzaesDcD5UmAClt+tLM=",
		},
		{
			signedRequest{method: "POST", scheme: "https", host: "api.example.com:443", path: "/uki/sageone/accounts/v3/contacts",
				query: "a=2&a1=x&a=1", body: []byte(`{"a":1}`), nonce: "abc", site: "site id"},
			"secret", "token",
			"POST&https%3A%2F%2Fapi.example.com%2Fuki%2Fsageone%2Faccounts%2Fv3%2Fcontacts&a%3D1%26a%3D2%26a1%3Dx%26body%3DeyJhIjoxfQ%253D%253D&abc&site%20id",
			"KbRx1iZv7xczEywnITXfo4LSnQw=",
		},
		{
			signedRequest{method: "GET", scheme: "https", host: "api.example.com:8443", path: "/accounts/v1/x", query: "q=a+b", nonce: "n"},
			"s", "t", "GET&https%3A%2F%2Fapi.example.com%3A8443%2Faccounts%2Fv1%2Fx&q%3Da%2520b&n", "yLFKwICJGF/fBh+xqCztZyi9h7w=",
		},
	} {
		base, ok := test.request.baseString()
		if !ok || base != test.base {
			t.Errorf("base string\n%s, want\n%s", base, test.base)
		}
		if !test.request.matches(test.secret, test.token, test.signature) {
			t.Errorf("%s does not match", test.signature)
		}
		if test.request.matches(test.secret, test.token, test.signature+"\n") || test.request.matches(test.secret, test.token, "") {
			t.Error("something else matches")
		}
	}
}

// dataFolder is where material about Sage lies, for whoever has it.
func dataFile(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("SAGE_DATA_DIR")
	if dir == "" {
		t.Skip("SAGE_DATA_DIR is not set")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPublishedSigningVectors(t *testing.T) {
	t.Parallel()
	var file struct {
		Vectors []struct {
			ID         string            `json:"id"`
			Method     string            `json:"method"`
			URL        string            `json:"url"`
			BodyParams map[string]string `json:"body_params"`
			RawBody    string            `json:"raw_body"`
			Site       string            `json:"x_site"`
			Nonce      string            `json:"nonce"`
			Secret     string            `json:"signing_secret"`
			Token      string            `json:"access_token"`
			Base       string            `json:"signature_base_string"`
			Signature  string            `json:"signature_base64"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(dataFile(t, "sage-signing-vectors.json"), &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		at, err := url.Parse(v.URL)
		if err != nil {
			t.Fatal(err)
		}
		r := signedRequest{method: v.Method, scheme: at.Scheme, host: at.Host, path: at.EscapedPath(), query: at.RawQuery, body: []byte(v.RawBody), nonce: v.Nonce, site: v.Site, form: url.Values{}}
		for name, value := range v.BodyParams {
			r.form.Set(name, value)
		}
		if base, _ := r.baseString(); base != v.Base {
			t.Errorf("%s: base string\n%s, want\n%s", v.ID, base, v.Base)
		}
		if !r.matches(v.Secret, v.Token, v.Signature) {
			t.Errorf("%s: the signature does not match", v.ID)
		}
	}
	if len(file.Vectors) == 0 {
		t.Error("no vectors")
	}
}
