package fleet

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
)

// invocations is the path of Lambda's operation Invoke.
var invocations = regexp.MustCompile(`^/2015-03-31/functions/(?:arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:)?([A-Za-z0-9_-]+)(?::([A-Za-z0-9_-]+))?/invocations$`)

// Invoked returns the function that a request to Lambda's API invokes, and its alias where the request names one.
func Invoked(r *http.Request) (name, alias string, ok bool) {
	if found := invocations.FindStringSubmatch(r.URL.Path); r.Method == http.MethodPost && found != nil {
		return found[1], found[2], true
	}
	return "", "", false
}

// ServeHTTP implements http.Handler: it is Lambda's API, as far as functions invoke functions.
func (f *Fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, alias, ok := Invoked(r)
	if !ok {
		refuse(w, http.StatusNotFound, "UnknownOperationException")
		return
	}
	if p, err := f.pool(name); err == nil && alias != "" && alias != p.Alias {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException")
		return
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil || len(payload) > maxPayload {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException")
		return
	}
	if r.Header.Get("X-Amz-Invocation-Type") == "Event" {
		if err := f.Send(name, payload); err != nil {
			refuse(w, http.StatusNotFound, "ResourceNotFoundException")
			return
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	result, err := f.Invoke(r.Context(), name, payload)
	switch {
	case errors.Is(err, ErrUnknown):
		refuse(w, http.StatusNotFound, "ResourceNotFoundException")
		return
	case errors.Is(err, ErrThrottled):
		refuse(w, http.StatusTooManyRequests, "TooManyRequestsException")
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, "ServiceException")
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	if result.Failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(result.Payload)
}

func refuse(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"Type": "User", "Message": kind}) // of two strings: it cannot fail
	_, _ = w.Write(body)
}
