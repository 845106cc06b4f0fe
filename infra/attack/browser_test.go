package attack_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browser is a person's: cookies, redirects one at a time, forms. Whoever presses a button has read the page.
type browser struct {
	t      *testing.T
	w      *world
	client *http.Client
	at     *url.URL
	status int
	header http.Header
	body   []byte
	page   *html.Node
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, w: w, client: &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: stay}}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// open goes to an address.
func (b *browser) open(address string) *browser {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.send(request)
	return b
}

func (b *browser) send(request *http.Request) {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if b.body, err = io.ReadAll(response.Body); err != nil {
		b.t.Fatal(err)
	}
	b.status, b.header, b.at = response.StatusCode, response.Header, request.URL
	if b.page, err = html.Parse(bytes.NewReader(b.body)); err != nil {
		b.t.Fatal(err)
	}
	if request.URL.Scheme+"://"+request.URL.Host != b.w.url {
		return
	}
	for _, cookie := range response.Cookies() {
		b.w.secrets.plant("a browser's cookie", cookie.Value)
	}
	if location := response.Header.Get("Location"); location != "" { // it is handed to this browser, with the state
		b.w.plantQuery(location)
		return
	}
	if !strings.HasSuffix(request.URL.Path, "/login") || response.StatusCode != http.StatusOK { // that page shows a handle
		b.w.secrets.saw("the page "+request.Method+" "+request.URL.Path, b.body)
	}
}

// press submits the form of the page, with fields changed, and returns where the answer leads; "" when it is a page.
func (b *browser) press(change url.Values) string {
	b.t.Helper()
	values, action, found := url.Values{}, "", false
	for n := range b.page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		name, value := attribute(n, "name"), attribute(n, "value")
		switch {
		case n.Data == "form" && !found:
			found, action = true, attribute(n, "action")
		case n.Data == "input" && name != "":
			values.Set(name, value)
		case n.Data == "option" && n.Parent != nil && n.Parent.Data == "select" && !values.Has(attribute(n.Parent, "name")):
			values.Set(attribute(n.Parent, "name"), value)
		case n.Data == "button" && name != "" && !values.Has(name):
			values.Set(name, value)
		}
	}
	if !found {
		b.t.Fatalf("no form at %s: %d %.300s", b.at, b.status, b.body)
	}
	for name := range change {
		values.Set(name, change.Get(name))
	}
	target, err := b.at.Parse(action)
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	b.send(request)
	return b.header.Get("Location")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
