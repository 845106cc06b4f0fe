package sagesim

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

//go:embed pages/*.html
var pageFiles embed.FS

// page is one HTML page over the common frame.
type page struct{ body *template.Template }

var (
	countryPage   = newPage("country.html")
	authorizePage = newPage("authorize.html")
	errorPage     = newPage("error.html")
	indexPage     = newPage("index.html")
)

func newPage(name string) page {
	return page{template.Must(template.ParseFS(pageFiles, "pages/frame.html", "pages/"+name))}
}

// pageHeaders keeps addresses that carry a state or a code out of other sites' logs and out of caches, and the
// pages out of frames.
func pageHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// No form-action: browsers apply it to the redirect after the form too, which leads to the application.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
}

// renderPage writes a page, whole or not at all.
func (s *Simulator) renderPage(w http.ResponseWriter, status int, p page, data any) {
	var out bytes.Buffer
	if err := p.body.ExecuteTemplate(&out, "frame.html", data); err != nil {
		s.log.Error("rendering a page", "error", err)
		http.Error(w, "the simulator itself failed; see its log", http.StatusInternalServerError)
		return
	}
	pageHeaders(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	engine.WriteBody(w, status, out.Bytes())
}

// hiddenField is a parameter that a form carries on.
type hiddenField struct{ Name, Value string }

// hiddenFields lists the parameters that were sent, but for the one that the form asks for.
func hiddenFields(a *authorization, but string) []hiddenField {
	var list []hiddenField
	for _, field := range a.fields() {
		if field.name != but && *field.value != "" {
			list = append(list, hiddenField{field.name, *field.value})
		}
	}
	return list
}

// option is one line of a select.
type option struct{ Key, Label string }

func countryOptions() []option {
	list := make([]option, 0, len(countries()))
	for _, code := range countries() {
		list = append(list, option{code, countryName(code)})
	}
	return list
}

// userOptions lists the users, those of a country first: the form's defaults succeed.
func (s *Simulator) userOptions(country string) []option {
	users := s.Users()
	slices.SortStableFunc(users, func(a, b User) int { return strings.Compare(elsewhere(a, country), elsewhere(b, country)) })
	list := make([]option, 0, len(users))
	for _, u := range users {
		list = append(list, option{u.ID, u.FirstName + " " + u.LastName + " · " + u.Email})
	}
	return list
}

func elsewhere(u User, country string) string {
	if u.Country == country {
		return "no"
	}
	return "yes"
}

// serveIndex says what is here.
func (s *Simulator) serveIndex(w http.ResponseWriter, r *http.Request) {
	apps, err := s.Apps(r.Context())
	if err != nil {
		s.internal(w, r, "listing applications", err)
		return
	}
	all, err := s.Businesses(r.Context())
	if err != nil {
		s.internal(w, r, "listing businesses", err)
		return
	}
	at := s.Endpoints()
	s.renderPage(w, http.StatusOK, indexPage, map[string]any{
		"Apps": apps, "Users": s.Users(), "Businesses": all,
		"Endpoints": []option{
			{"Authorize", at.Authorize}, {"Token", at.Token}, {"Revoke", at.Revoke}, {"API v3.1", at.API},
			{"Token of API v3", at.LegacyToken}, {"API v3, United Kingdom", at.LegacyAPI + "/uki" + legacyVersion},
		},
	})
}
