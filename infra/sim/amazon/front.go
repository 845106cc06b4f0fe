package amazonsim

import (
	"net/http"
	"strings"

	"connectorvault/infra/sim/engine"
)

// sandboxPrefix stands before the region in the addresses of the API's sandbox.
const sandboxPrefix = "/sandbox"

// Handler serves everything from one listener.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/apps/authorize/consent", s.serveConsent)
	mux.HandleFunc("GET /apps/authorize/confirm/{application}", s.serveAppstoreConfirm)
	mux.HandleFunc("/apps/store/{application}", s.serveStorePage)
	mux.HandleFunc("/auth/o2/token", s.serveToken)
	mux.HandleFunc("GET /documents/{document}", s.serveDocument)
	mux.Handle(controlPrefix, s.controlHandler())
	mux.HandleFunc("GET /{$}", s.serveIndex)
	for _, region := range regionNames {
		// The regional consent path is a convenience: the real regions have hosts of their own, one listener has not.
		mux.HandleFunc("/"+region+"/apps/authorize/consent", s.serveConsent)
	}
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// API paths bypass the mux: it would clean "//" and redirect, and SP-API does neither.
		if target, ok := splitAPI(r.URL.EscapedPath()); ok {
			s.serveAPI(w, r, target)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// apiTarget is which of the API's hosts a request was meant for, and the path it would have there.
type apiTarget struct {
	sandbox bool
	region  string
	path    string // escaped, as sent
}

// splitAPI takes "/eu/orders/…" and "/sandbox/eu/orders/…" apart.
func splitAPI(path string) (apiTarget, bool) {
	rest, sandbox := strings.CutPrefix(path, sandboxPrefix)
	region, rest, ok := splitRegion(rest)
	if !ok || strings.HasPrefix(rest, "/apps/authorize/") {
		return apiTarget{}, false
	}
	return apiTarget{sandbox: sandbox, region: region, path: rest}, true
}

// splitRegion takes "/eu/orders/…" apart.
func splitRegion(path string) (region, rest string, ok bool) {
	for _, region := range regionNames {
		if rest, found := strings.CutPrefix(path, "/"+region+"/"); found {
			return region, "/" + rest, true
		}
	}
	return "", "", false
}

// observe is what every request goes through.
func (s *Simulator) observe(next http.Handler) http.Handler {
	return engine.Front{Log: s.log, Watch: s.switches.Watch, Internal: s.internal, Status: http.StatusOK}.Observe(next)
}

// internal reports a failure of the simulator itself, as opposed to one that it simulates.
func (s *Simulator) internal(w http.ResponseWriter, r *http.Request, doing string, err error) {
	engine.Failed(w, r, s.log, doing, err)
}
