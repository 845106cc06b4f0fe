package engine

import (
	"bytes"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
)

// Page is one HTML page over the common frame of its simulator.
type Page struct{ body *template.Template }

// NewPage reads a page from the folder "pages", where its frame lies too.
func NewPage(files fs.FS, name string) Page {
	return Page{template.Must(template.ParseFS(files, "pages/frame.html", "pages/"+name))}
}

// PageHeaders keeps addresses that carry a state or a code out of other sites' logs and out of caches, and the
// pages out of frames.
func PageHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// No form-action: browsers apply it to the redirect after the form too, which leads to the application.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
}

// Render writes a page, whole or not at all.
func (p Page) Render(w http.ResponseWriter, log *slog.Logger, status int, data any) {
	var out bytes.Buffer
	if err := p.body.ExecuteTemplate(&out, "frame.html", data); err != nil {
		log.Error("rendering a page", "error", err)
		http.Error(w, "the simulator itself failed; see its log", http.StatusInternalServerError)
		return
	}
	PageHeaders(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	WriteBody(w, status, out.Bytes())
}

// WithQuery appends parameters, names and values by turns, in the given order and keeps what the address already had.
func WithQuery(address string, pairs ...string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	query := u.RawQuery
	for i := 0; i+1 < len(pairs); i += 2 {
		if query != "" {
			query += "&"
		}
		query += url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1])
	}
	u.RawQuery = query
	return u.String(), nil
}
