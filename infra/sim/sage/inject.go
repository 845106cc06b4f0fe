package sagesim

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"connectorvault/infra/sim/engine"
)

// htmlPage is what a gateway before the provider says, in a format that no client expects.
const htmlPage = "<!DOCTYPE html>\n<html><head><title>Sage</title></head>\n" +
	"<body><h1>We will be back shortly</h1></body></html>\n"

// injectBefore applies the switches that act before a request is looked at. It returns the name of the one that has
// answered, or "".
func (s *Simulator) injectBefore(w http.ResponseWriter, r *http.Request, where scope, refuse func(Fault)) (string, error) {
	ctx := r.Context()
	held := func() { s.state.Count(ctx, where.endpoint, where.operation, "held") }
	if err := s.switches.Delay(ctx, where.list(), held); err != nil {
		return "", err
	}
	f, on, err := s.switches.First(ctx, where.list(), FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503)
	if err != nil || !on {
		return "", err
	}
	s.state.Count(ctx, where.endpoint, where.operation, "fault "+f.Name)
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	switch f.Name {
	case FaultReset: // the caller closes the connection, when it has noted what happened
	case FaultHTMLBefore:
		w.Header().Set("Content-Type", "text/html")
		engine.WriteBody(w, cmp.Or(f.Status, http.StatusBadGateway), []byte(htmlPage))
	case FaultStatus:
		engine.WriteBody(w, f.Status, nil)
	default:
		refuse(f)
	}
	return f.Name, nil
}

// spoil applies the switches that lose or damage an answer whose effects are already stored. It returns what is to be
// written instead and the name of the switch; for FaultDrop the caller hangs up.
func (s *Simulator) spoil(w http.ResponseWriter, r *http.Request, where scope, status int, body []byte) (instead int, as []byte, name string) {
	ctx := context.WithoutCancel(r.Context())
	for _, name := range []string{FaultDrop, FaultHTMLAfter, FaultEmpty, FaultTruncated} {
		f, on, err := s.fire(ctx, name, where)
		if err != nil {
			s.log.ErrorContext(ctx, "reading switches", "error", err)
			continue
		}
		if !on {
			continue
		}
		s.state.Count(ctx, where.endpoint, where.operation, "fault "+name)
		switch name {
		case FaultHTMLAfter:
			w.Header().Set("Content-Type", "text/html")
			return cmp.Or(f.Status, http.StatusOK), []byte(htmlPage), name
		case FaultEmpty:
			return status, nil, name
		case FaultTruncated:
			return status, body[:len(body)/2], name
		}
		return status, body, name
	}
	return status, body, ""
}
