package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
)

// Front is what every request goes through before a simulator sees it.
type Front struct {
	Log      *slog.Logger
	Watch    func(context.Context) (context.Context, error)                        // [Switches.Watch]
	Internal func(w http.ResponseWriter, r *http.Request, doing string, err error) // answers for a failure of the simulator itself
	Status   int                                                                   // that the log has where a handler named none
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

// Observe logs each request, reads the switches once for it, and turns a panic into a 500. The query stays out of
// the log: it may carry a code, a state or a signature.
func (f Front) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w, status: f.Status}
		defer f.logRequest(recorder, r)
		defer f.rescue(recorder, r)
		ctx, err := f.Watch(r.Context())
		if err != nil {
			f.Internal(recorder, r, "reading switches", err)
			return
		}
		next.ServeHTTP(recorder, r.WithContext(ctx))
	})
}

func (f Front) logRequest(w *statusRecorder, r *http.Request) {
	f.Log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", w.status)
}

// rescue answers for a handler that panicked; it must be deferred itself. The panic by which a switch closes the
// connection goes on.
func (f Front) rescue(w http.ResponseWriter, r *http.Request) {
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
	f.Internal(w, r, "serving a request", err)
}

// Failed reports a failure of the simulator itself, as opposed to one that it simulates.
func Failed(w http.ResponseWriter, r *http.Request, log *slog.Logger, doing string, err error) {
	log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, doing, slog.String("error", err.Error()))
	http.Error(w, "the simulator itself failed; see its log", http.StatusInternalServerError)
}

// HangUp closes the connection without writing anything more: net/http does so for this panic.
func HangUp() { panic(http.ErrAbortHandler) }

// WriteBody writes an answer that says how long it is.
func WriteBody(w http.ResponseWriter, status int, body []byte) {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
	}
}
