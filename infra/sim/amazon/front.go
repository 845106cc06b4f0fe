package amazonsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
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
