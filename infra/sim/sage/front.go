package sagesim

import (
	"net/http"
	"strings"

	"connectorvault/infra/sim/engine"
)

// Handler serves everything from one listener.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(authorizePath, s.serveAuthorize)
	mux.HandleFunc(tokenPath, s.serveToken)
	mux.HandleFunc(revokePath, s.serveRevoke)
	mux.HandleFunc(legacyTokenPath, s.serveLegacyToken)
	mux.Handle(controlPrefix, s.controlHandler())
	mux.HandleFunc("GET /{$}", s.serveIndex)
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// API paths bypass the mux: it would clean "//" and redirect, which an API does not.
		path := r.URL.EscapedPath()
		if rest, ok := strings.CutPrefix(path, apiPath+"/"); ok {
			s.serveAPI(w, r, rest)
			return
		}
		if rest, ok := strings.CutPrefix(path, legacyPath+"/"); ok && path != legacyTokenPath {
			s.serveLegacyAPI(w, r, rest)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// observe is what every request goes through.
func (s *Simulator) observe(next http.Handler) http.Handler {
	front := engine.Front{Log: s.log, Watch: s.switches.Watch, Internal: s.internal, Status: http.StatusOK}
	return front.Observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", s.uuid())
		next.ServeHTTP(w, r)
	}))
}

// internal reports a failure of the simulator itself, as opposed to one that it simulates.
func (s *Simulator) internal(w http.ResponseWriter, r *http.Request, doing string, err error) {
	engine.Failed(w, r, s.log, doing, err)
}
