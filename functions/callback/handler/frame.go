package handler

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the style
	"encoding/base64"
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
)

// style is put into each page, so that nothing is fetched; its hash is all the style that the policy allows.
//
//go:embed style.css
var style string

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// line ends a line of a page, for whoever reads its source.
var line = g.Raw("\n")

// lines puts each element on a line of its own.
func lines(elements ...g.Node) g.Node {
	var out g.Group
	for _, e := range elements {
		out = append(out, e, line)
	}
	return out
}

// document is a page around what it says.
func document(title string, says ...g.Node) g.Node {
	return lines(g.Raw("<!doctype html>"), h.HTML(h.Lang("en"), line,
		lines(h.Head(h.Meta(h.Charset("utf-8")), h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.TitleEl(g.Text(title+" · Connector Vault")), h.StyleEl(g.Raw(style)))),
		lines(h.Body(h.Main(line, lines(h.P(h.Class("mark"), g.Text("Connector Vault"))), lines(says...))))))
}

// page makes a page that no other site can frame, that runs nothing and fetches nothing, and whose forms go where
// formAction says. Nothing of it is kept by the browser, and its address goes nowhere as a referrer.
func page(status int, document g.Node, formAction string) (lambdahttp.Response, error) {
	var body bytes.Buffer
	if err := document.Render(&body); err != nil {
		return lambdahttp.Response{}, err
	}
	policy := "default-src 'none'; style-src " + styleHash + "; base-uri 'none'; frame-ancestors 'none'; form-action " + formAction
	return lambdahttp.Response{Status: status, Body: body.Bytes(), Header: http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {policy},
		"X-Frame-Options":         {"DENY"},
		"Referrer-Policy":         {"no-referrer"},
		"Cache-Control":           {"no-store"},
		// Another window that opened us, or that we opened, learns nothing of this one.
		"Cross-Origin-Opener-Policy": {"same-origin"},
	}}, nil
}

// problemPage shows an error to a person in a browser.
func problemPage(r *lambdahttp.Request, err error) (lambdahttp.Response, error) {
	f := fault.As(err)
	response, failed := page(lambdahttp.Status(f), problem(f, r.ID), "'none'")
	if failed != nil {
		return response, failed
	}
	if after := lambdahttp.Problem(err, r.ID).Header.Get("Retry-After"); after != "" {
		response.Header.Set("Retry-After", after)
	}
	return response, nil
}
