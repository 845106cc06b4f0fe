package amazonsim

import (
	"context"
	"net/http"
	"strconv"

	"connectorvault/infra/sim/engine"
)

// htmlBadRequest is the kind of answer that requests broken below the API get (Amazon facts 5.1).
const htmlBadRequest = "<!DOCTYPE html>\n<html><head><title>400 Bad Request</title></head>\n" +
	"<body><center><h1>400 Bad Request</h1></center><hr><center>CloudFront</center></body></html>\n"

// injectBefore applies the switches that act before a request is looked at. It reports whether it has answered.
func (s *Simulator) injectBefore(w http.ResponseWriter, r *http.Request, where scope, operation string) bool {
	ctx := r.Context()
	held := func() { s.state.Count(ctx, where.endpoint, operation, "held") }
	if err := s.switches.Delay(ctx, where.list(), held); err != nil {
		s.internal(w, r, "reading switches", err)
		return true
	}
	f, on, err := s.switches.First(ctx, where.list(), FaultReset, FaultHTML400, FaultError500, FaultError503, FaultThrottled, FaultStatus)
	if err != nil {
		s.internal(w, r, "reading switches", err)
		return true
	}
	if on {
		s.state.Count(ctx, where.endpoint, operation, "fault "+f.Name)
		s.answerFault(w, where.endpoint, f)
	}
	return on
}

func (s *Simulator) answerFault(w http.ResponseWriter, endpoint string, f Fault) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	switch {
	case f.Name == FaultReset:
		engine.HangUp()
	case f.Name == FaultStatus:
		engine.WriteBody(w, f.Status, nil)
	case f.Name == FaultHTML400:
		w.Header().Set("Content-Type", "text/html")
		engine.WriteBody(w, http.StatusBadRequest, []byte(htmlBadRequest))
	case endpoint == endpointToken:
		s.writeTokenError(w, tokenFaultAnswer(f.Name))
	case endpoint == endpointDocuments:
		failure := apiFaultAnswer(f.Name)
		s.writeStoreError(w, failure.status, failure.code, failure.message)
	default:
		s.writeReply(w, apiFaultAnswer(f.Name).reply())
	}
}

// tokenFaultAnswer uses the codes of Amazon's helper; their statuses are unverified (Amazon facts 3.3).
func tokenFaultAnswer(name string) *tokenError {
	switch name {
	case FaultThrottled:
		return &tokenError{status: http.StatusTooManyRequests, code: "temporarily_unavailable", text: "Request rate exceeded"}
	case FaultError503:
		return &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "The service is temporarily unavailable"}
	}
	return &tokenError{status: http.StatusInternalServerError, code: "server_error", text: "The authorization server met an unexpected condition"}
}

func apiFaultAnswer(name string) *apiError {
	switch name {
	case FaultThrottled:
		return errThrottled
	case FaultError503:
		return &apiError{http.StatusServiceUnavailable, "ServiceUnavailable", "Service is temporarily unavailable.", ""}
	}
	return &apiError{http.StatusInternalServerError, "InternalFailure", "We encountered an internal error. Please try again.", ""}
}

// writeSpoiled writes an answer whose effects are already committed, unless a switch loses or damages it.
func (s *Simulator) writeSpoiled(w http.ResponseWriter, r *http.Request, where scope, status int, body []byte) {
	ctx := context.WithoutCancel(r.Context())
	for _, name := range []string{FaultDrop, FaultEmptyBody, FaultTruncated, FaultGarbled} {
		_, on, err := s.fire(ctx, name, where)
		if err != nil {
			s.log.ErrorContext(ctx, "reading switches", "error", err)
			continue
		}
		if !on {
			continue
		}
		switch name {
		case FaultDrop:
			engine.HangUp()
		case FaultEmptyBody:
			body = nil
		case FaultTruncated:
			body = body[:len(body)/2]
		case FaultGarbled:
			w.Header().Set("Content-Type", "text/html")
			status, body = http.StatusOK, []byte(htmlBadRequest)
		}
	}
	engine.WriteBody(w, status, body)
}
