package sagesim

import (
	"embed"
	"net/http"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

//go:embed pages/*.html
var pageFiles embed.FS

var (
	countryPage   = engine.NewPage(pageFiles, "country.html")
	authorizePage = engine.NewPage(pageFiles, "authorize.html")
	errorPage     = engine.NewPage(pageFiles, "error.html")
	indexPage     = engine.NewPage(pageFiles, "index.html")
)

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
	indexPage.Render(w, s.log, http.StatusOK, map[string]any{
		"Apps": apps, "Users": s.Users(), "Businesses": all,
		"Endpoints": []option{
			{"Authorize", at.Authorize}, {"Token", at.Token}, {"Revoke", at.Revoke}, {"API v3.1", at.API},
			{"Token of API v3", at.LegacyToken}, {"API v3, United Kingdom", at.LegacyAPI + "/uki" + legacyVersion},
		},
	})
}
