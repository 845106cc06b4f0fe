package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// browser is as much of one as the journey needs: it keeps cookies, follows redirects, and submits a page's form with
// the values that stand in it.
type browser struct {
	client *http.Client
	at     *url.URL
	page   *html.Node
}

// maxPage is more than any page of ours or the simulator's has.
const maxPage = 1 << 20

// newBrowser takes nil for the usual transport.
func newBrowser(transport http.RoundTripper) *browser {
	jar, _ := cookiejar.New(nil) // fails with options only
	return &browser{client: &http.Client{Jar: jar, Timeout: time.Minute, Transport: transport}}
}

func (b *browser) open(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return b.load(request)
}

func (b *browser) load(request *http.Request) error {
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	b.at = response.Request.URL
	if b.page, err = html.Parse(io.LimitReader(response.Body, maxPage)); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the page at %s%s says %q", b.at.Host, b.at.Path, b.heading())
	}
	return nil
}

// address is what the address bar shows.
func (b *browser) address() string { return b.at.String() }

// heading is the page's first heading.
func (b *browser) heading() string {
	for _, name := range []string{"h1", "title"} {
		if n := find(b.page, name); n != nil {
			return strings.Join(strings.Fields(words(n)), " ")
		}
	}
	return ""
}

// submit presses the first button of the page's form.
func (b *browser) submit(ctx context.Context) error {
	form := find(b.page, "form")
	if form == nil {
		return fmt.Errorf("the page at %s%s, %q, has no form", b.at.Host, b.at.Path, b.heading())
	}
	values, pressed := url.Values{}, false
	for n := range form.Descendants() {
		name, value := attr(n, "name"), attr(n, "value")
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "input" && name != "" && attr(n, "type") != "submit":
			values.Set(name, value)
		case n.Data == "select" && name != "":
			if option := find(n, "option"); option != nil {
				values.Set(name, attr(option, "value"))
			}
		case n.Data == "button" && !pressed:
			pressed = true
			if name != "" {
				values.Set(name, value)
			}
		}
	}
	if !pressed {
		return errors.New("the form has no button")
	}
	target, err := b.at.Parse(attr(form, "action"))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	return b.load(request)
}

func find(n *html.Node, name string) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			return d
		}
	}
	return nil
}

func words(n *html.Node) string {
	text := ""
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text += d.Data
		}
	}
	return text
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
