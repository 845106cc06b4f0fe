package clarasim

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
)

// htmlPage is what a gateway before the provider says, in a format that no client expects.
const htmlPage = "<!DOCTYPE html>\n<html><head><title>Clara</title></head>\n" +
	"<body><h1>We will be back shortly</h1></body></html>\n"

// injectBefore applies the switches that act before a request is looked at. Where one answers, the answer names it.
func (s *Simulator) injectBefore(w http.ResponseWriter, r *http.Request, where scope) (answer, error) {
	ctx := r.Context()
	held := func() { s.count(ctx, where, "held") }
	if err := s.switches.Delay(ctx, where.list(), held); err != nil {
		return answer{}, err
	}
	f, on, err := s.switches.First(ctx, where.list(), FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503,
		FaultCertificateMissing)
	if err != nil || !on {
		return answer{}, err
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	return s.faultAnswer(f), nil
}

func (s *Simulator) faultAnswer(f Fault) answer {
	refused := errInternal
	switch f.Name {
	case FaultReset:
		return answer{fault: f.Name}
	case FaultHTMLBefore:
		return answer{status: cmp.Or(f.Status, http.StatusBadGateway), contentType: "text/html", body: []byte(htmlPage), fault: f.Name}
	case FaultStatus:
		return answer{status: f.Status, fault: f.Name}
	case FaultThrottled:
		refused = errTooMany
	case FaultError503:
		refused = errUnavailable
	case FaultCertificateMissing:
		refused = errMissing(cmp.Or(f.Status, http.StatusNetworkAuthenticationRequired))
	}
	return answer{status: refused.status, body: refused.body(s.now(), false), fault: f.Name}
}

// spoil applies the switches that lose or damage an answer whose effects are already stored. It returns what is left and the
// name of the switch; write does the rest.
func (s *Simulator) spoil(ctx context.Context, where scope, a answer) (left answer, name string) {
	for _, name := range []string{FaultDrop, FaultHTMLAfter, FaultEmpty, FaultTruncated, FaultCut} {
		f, on, err := s.fire(ctx, name, where)
		if err != nil {
			s.log.ErrorContext(ctx, "reading switches", "error", err)
			continue
		}
		if !on {
			continue
		}
		switch name {
		case FaultHTMLAfter:
			a.status, a.contentType, a.body = cmp.Or(f.Status, http.StatusOK), "text/html", []byte(htmlPage)
		case FaultEmpty:
			a.body = nil
		case FaultTruncated:
			a.body = a.body[:len(a.body)/2]
		}
		return a, name
	}
	return a, ""
}
