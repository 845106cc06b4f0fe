package sagesim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
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

// statusRecorder remembers the status for the log. Unwrap lets http.ResponseController through.
type statusRecorder struct {
	http.ResponseWriter

	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe logs each request, reads the switches once for it, and turns a panic into a 500. The query stays out of
// the log: it may carry a code or a state.
func (s *Simulator) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer s.logRequest(recorder, r)
		defer s.rescue(recorder, r)
		w.Header().Set("X-Request-Id", s.uuid())
		ctx, err := s.switches.Watch(r.Context())
		if err != nil {
			s.internal(recorder, r, "reading switches", err)
			return
		}
		next.ServeHTTP(recorder, r.WithContext(ctx))
	})
}

func (s *Simulator) logRequest(w *statusRecorder, r *http.Request) {
	s.log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", w.status)
}

// rescue answers for a handler that panicked; it must be deferred itself. The panic by which a switch closes the
// connection goes on.
func (s *Simulator) rescue(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	err, isError := cause.(error)
	if !isError {
		err = fmt.Errorf("%v", cause)
	}
	if errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	s.internal(w, r, "serving a request", err)
}

// internal reports a failure of the simulator itself, as opposed to one that it simulates.
func (s *Simulator) internal(w http.ResponseWriter, r *http.Request, doing string, err error) {
	s.log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, doing, slog.String("error", err.Error()))
	http.Error(w, "the simulator itself failed; see its log", http.StatusInternalServerError)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
	}
}
