package sage

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectorvault/shared/secret"
)

// vector is a request with what is signed of it. Of the base strings some are published by Sage, and no signature is
// with all its inputs (Sage facts 3.4).
type vector struct {
	Name      string            `json:"name"`
	Request   string            `json:"request"` // method and address
	Nonce     string            `json:"nonce"`
	Form      map[string]string `json:"form"` // of the API before the older one; it has no body and no site
	Body      string            `json:"body"`
	Site      string            `json:"site"`
	Base      string            `json:"base"`
	Signature string            `json:"signature"`
}

func (v vector) check(t *testing.T, key, token secret.Text) {
	t.Helper()
	method, address, _ := strings.Cut(v.Request, " ")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	extra, rest := url.Values{"body": {base64.StdEncoding.EncodeToString([]byte(v.Body))}}, []string{v.Nonce, v.Site}
	if v.Form != nil {
		extra, rest = url.Values{}, []string{v.Nonce}
		for name, value := range v.Form {
			extra.Set(name, value)
		}
	}
	base, err := baseString(method, u, extra, rest...)
	if err != nil || base != v.Base {
		t.Errorf("the base string is\n%s, want\n%s, %v", base, v.Base, err)
	}
	if got := digest(base, key, token); got != v.Signature {
		t.Errorf("the signature is %s, want %s", got, v.Signature)
	}
	if v.Form != nil {
		return
	}
	if got, err := sign(method, u, []byte(v.Body), v.Nonce, v.Site, key, token); got != v.Signature || err != nil {
		t.Errorf("signed %s, %v", got, err)
	}
}

func TestSigningVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/signing-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Secret, Token string
		Vectors       []vector
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 9 {
		t.Errorf("there are %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			v.check(t, secret.New(file.Secret), secret.New(file.Token))
		})
	}
}

// The same vectors where they were collected, if they lie beside the project.
func TestCollectedVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(DataDir(), "sage-signing-vectors.json"))
	if err != nil {
		t.Skip("Sage's data does not lie beside the project; the project's own vectors are checked")
	}
	var file struct {
		Vectors []struct {
			ID, Version, Method, URL, Nonce string
			Form                            map[string]string `json:"body_params"`
			Body                            string            `json:"raw_body"`
			Site                            string            `json:"x_site"`
			Secret                          string            `json:"signing_secret"`
			Token                           string            `json:"access_token"`
			Base                            string            `json:"signature_base_string"`
			Signature                       string            `json:"signature_base64"`
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("there are none")
	}
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			vector{Request: v.Method + " " + v.URL, Nonce: v.Nonce, Form: v.Form, Body: v.Body, Site: v.Site, Base: v.Base, Signature: v.Signature}.
				check(t, secret.New(v.Secret), secret.New(v.Token))
		})
	}
}

// DataDir is where Sage's own data lies, which is not kept with the code.
func DataDir() string {
	if dir := os.Getenv("SAGE_DATA_DIR"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "..", "shared", "data", "sage")
}

// What the vectors do not show.
func TestBaseString(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ method, address, want string }{
		"path in lower case":        {"get", "https://API.Example/UKI/Contacts/CUSTOMER", "GET&https%3A%2F%2Fapi.example%2Fuki%2Fcontacts%2Fcustomer&body%3D&n&s"},
		"the scheme's own port":     {"GET", "https://api.example:443/x", "GET&https%3A%2F%2Fapi.example%2Fx&body%3D&n&s"},
		"another port":              {"GET", "http://127.0.0.1:8080/x", "GET&http%3A%2F%2F127.0.0.1%3A8080%2Fx&body%3D&n&s"},
		"the other scheme's":        {"GET", "http://api.example:443/x", "GET&http%3A%2F%2Fapi.example%3A443%2Fx&body%3D&n&s"},
		"values with = and &":       {"GET", "https://a.example/x?q=a%3Db%26c", "GET&https%3A%2F%2Fa.example%2Fx&body%3D%26q%3Da%253Db%2526c&n&s"},
		"unreserved ones stay":      {"GET", "https://a.example/x?q=~-._*", "GET&https%3A%2F%2Fa.example%2Fx&body%3D%26q%3D~-._%252A&n&s"},
		"beyond ASCII":              {"GET", "https://a.example/x?q=%C3%A9", "GET&https%3A%2F%2Fa.example%2Fx&body%3D%26q%3D%25C3%25A9&n&s"},
		"sorted by name, not pair":  {"GET", "https://a.example/x?a-b=1&a=2", "GET&https%3A%2F%2Fa.example%2Fx&a%3D2%26a-b%3D1%26body%3D&n&s"},
		"and then by value":         {"GET", "https://a.example/x?z=2&z=1", "GET&https%3A%2F%2Fa.example%2Fx&body%3D%26z%3D1%26z%3D2&n&s"},
		"an escaped slash in paths": {"GET", "https://a.example/x%2Fy", "GET&https%3A%2F%2Fa.example%2Fx%252fy&body%3D&n&s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(test.address)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := baseString(test.method, u, url.Values{"body": {""}}, "n", "s"); err != nil || got != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

// A query that no reader would take apart in one way is not signed.
func TestUnreadableQueryIsNotSigned(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"a=%zz", "a=1;b=2"} {
		_, err := sign("GET", &url.URL{Scheme: "https", Host: "a.example", RawQuery: query}, nil, "n", "s", secret.New("canary"), secret.New("canary"))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// FuzzPercent holds the encoder against the readers of what it writes: both of net/url read back the very text, and
// nothing stands in it that is not unreserved.
func FuzzPercent(f *testing.F) {
	for _, text := range []string{"", "a b+c", "~-._*", "é", "\x00\xff", "%41", "a=b&c", "/?#[]@"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded := percent(text)
		if strings.ContainsAny(encoded, "+ &=/?#[]@!$'()*,;:<>\"") {
			t.Fatalf("%q is written %q", text, encoded)
		}
		for name, read := range map[string]func(string) (string, error){"path": url.PathUnescape, "query": url.QueryUnescape} {
			if back, err := read(encoded); err != nil || back != text {
				t.Fatalf("%q is written %q, which a %s reads as %q, %v", text, encoded, name, back, err)
			}
		}
		if encoded != strings.ReplaceAll(url.QueryEscape(text), "+", "%20") {
			t.Fatalf("%q is written %q", text, encoded)
		}
	})
}

// FuzzBaseString takes a base string apart again: it holds every parameter of the query, however it was written.
func FuzzBaseString(f *testing.F) {
	f.Add("a=1&b=2", "body")
	f.Add("a=%2B+%20&a=&=x", "")
	f.Add("q=%C3%A9&%5B%5D=%3D", "{\"a\":1}")
	f.Fuzz(func(t *testing.T, query, body string) {
		want, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(body))
		base, err := baseString("GET", &url.URL{Scheme: "https", Host: "a.example", Path: "/x", RawQuery: query}, url.Values{"body": {encoded}}, "n", "s")
		parts := strings.Split(base, "&")
		if err != nil || len(parts) != 5 {
			t.Fatalf("%q, %v", base, err)
		}
		params, err := url.PathUnescape(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.ParseQuery(params)
		if err != nil {
			t.Fatal(err)
		}
		want["body"] = append(want["body"], encoded)
		for name, values := range want {
			if len(got[name]) != len(values) {
				t.Fatalf("%s is %q in %q, want %q", name, got[name], params, values)
			}
			for _, value := range values {
				if !strings.Contains("&"+params+"&", "&"+percent(name)+"="+percent(value)+"&") {
					t.Fatalf("%s=%q is not in %q", name, value, params)
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%q has more than %v", params, want)
		}
	})
}
