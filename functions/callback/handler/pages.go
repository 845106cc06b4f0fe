package handler

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
)

//go:embed pages/*.html pages/style.css
var files embed.FS

// style is put into each page, so that nothing is fetched; its hash is all the style that the policy allows.
var style = template.CSS(mustRead("pages/style.css")) //nolint:gosec // our own file, compiled in

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var pages = template.Must(template.New("").ParseFS(files, "pages/*.html"))

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // compiled in: it is there or the program is broken
	}
	return string(b)
}

// page makes a page that no other site can frame, that runs nothing and fetches nothing, and whose forms go where
// formAction says. Nothing of it is kept by the browser, and its address goes nowhere as a referrer.
func page(status int, name string, data any, formAction string) (lambdahttp.Response, error) {
	var body bytes.Buffer
	err := pages.ExecuteTemplate(&body, name+".html", struct {
		Style template.CSS
		Data  any
	}{style, data})
	if err != nil {
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
	response, failed := page(lambdahttp.Status(f), "problem", struct {
		*fault.Error
		RequestID string
	}{f, r.ID}, "'none'")
	if failed != nil {
		return response, failed
	}
	if after := lambdahttp.Problem(err, r.ID).Header.Get("Retry-After"); after != "" {
		response.Header.Set("Retry-After", after)
	}
	return response, nil
}
