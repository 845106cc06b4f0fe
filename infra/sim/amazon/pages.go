package amazonsim

import (
	"embed"
	"net/http"
	"slices"

	"connectorvault/infra/sim/engine"
)

//go:embed pages/*.html
var pageFiles embed.FS

var (
	consentPage   = engine.NewPage(pageFiles, "consent.html")
	errorPage     = engine.NewPage(pageFiles, "error.html")
	cancelledPage = engine.NewPage(pageFiles, "cancelled.html")
	storePage     = engine.NewPage(pageFiles, "store.html")
	indexPage     = engine.NewPage(pageFiles, "index.html")
)

// renderPage writes a page. Every page has status 200, those of errors too (Amazon facts 2.6).
func (s *Simulator) renderPage(w http.ResponseWriter, p engine.Page, data any) {
	p.Render(w, s.log, http.StatusOK, data)
}

// accountOption is one line of the sign-in form.
type accountOption struct{ Key, Label string }

func options(list []account) []accountOption {
	out := make([]accountOption, 0, len(list))
	for _, a := range list {
		label := a.seller.Name + " · " + regionTitle(a.region) + " · " + a.seller.ID
		switch {
		case !a.primary:
			label += " (not the primary user)"
		case a.seller.Vendor:
			label += " (vendor)"
		}
		out = append(out, accountOption{a.key, label})
	}
	return out
}

func regionTitle(region string) string {
	switch region {
	case "na":
		return "North America"
	case "eu":
		return "Europe"
	}
	return "Far East"
}

// showConsent is the sign-in and the consent in one form whose defaults succeed.
func (s *Simulator) showConsent(w http.ResponseWriter, r *http.Request, app App, req consentRequest) {
	list := s.accounts(req.region)
	if req.vendor {
		slices.SortStableFunc(list, func(a, b account) int { return vendorsFirst(a) - vendorsFirst(b) })
	}
	s.renderPage(w, consentPage, map[string]any{
		"App": app, "Path": r.URL.Path, "Accounts": options(list), "Email": list[0].seller.Email,
		"State": req.state, "RedirectURI": req.redirectURI, "Version": req.version,
	})
}

func vendorsFirst(a account) int {
	if a.seller.Vendor && a.primary {
		return 0
	}
	return 1
}

// serveIndex says what is here.
func (s *Simulator) serveIndex(w http.ResponseWriter, r *http.Request) {
	apps, err := s.Apps(r.Context())
	if err != nil {
		s.internal(w, r, "listing applications", err)
		return
	}
	type entry struct{ Name, Address string }
	at := s.Endpoints()
	list := []entry{{"Consent", at.Consent}, {"Token", at.Token}}
	for _, region := range regionNames {
		list = append(list, entry{"API, " + regionTitle(region), at.API[region]})
	}
	for _, region := range regionNames {
		list = append(list, entry{"API sandbox, " + regionTitle(region), s.SandboxEndpoints().API[region]})
	}
	s.renderPage(w, indexPage, map[string]any{
		"Endpoints": list, "Apps": apps, "Sellers": slices.Clone(s.Sellers()),
	})
}
