package clarasim

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// htmlPage is what a gateway before the provider says, in a format that no client expects.
const htmlPage = "<!DOCTYPE html>\n<html><head><title>Clara</title></head>\n" +
	"<body><h1>We will be back shortly</h1></body></html>\n"

// injectBefore applies the switches that act before a request is looked at. Where one answers, the answer names it.
func (s *Simulator) injectBefore(w http.ResponseWriter, r *http.Request, where scope) (answer, error) {
	ctx := r.Context()
	if err := s.delay(ctx, where); err != nil {
		return answer{}, err
	}
	for _, name := range []string{FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503, FaultCertificateMissing} {
		f, on, err := s.fire(ctx, name, where)
		if err != nil {
			return answer{}, err
		}
		if !on {
			continue
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		return s.faultAnswer(f), nil
	}
	return answer{}, nil
}

func (s *Simulator) faultAnswer(f Fault) answer {
	refused := errInternal
	switch f.Name {
	case FaultReset:
		return answer{fault: f.Name}
	case FaultHTMLBefore:
		return answer{status: statusOr(f, http.StatusBadGateway), contentType: "text/html", body: []byte(htmlPage), fault: f.Name}
	case FaultStatus:
		return answer{status: f.Status, fault: f.Name}
	case FaultThrottled:
		refused = errTooMany
	case FaultError503:
		refused = errUnavailable
	case FaultCertificateMissing:
		refused = errMissing(statusOr(f, http.StatusNetworkAuthenticationRequired))
	}
	return answer{status: refused.status, body: refused.body(s.now(), false), fault: f.Name}
}

func statusOr(f Fault, status int) int {
	if f.Status != 0 {
		return f.Status
	}
	return status
}

// hangUp closes the connection without writing anything more: net/http does so for this panic.
func hangUp() { panic(http.ErrAbortHandler) }

// delay applies the switches that make a request wait.
func (s *Simulator) delay(ctx context.Context, where scope) error {
	f, on, err := s.fire(ctx, FaultHold, where)
	if err != nil {
		return err
	}
	if on {
		s.count(context.WithoutCancel(ctx), where, "held")
		s.hold(ctx, f.ID)
		if err := s.refreshSwitches(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	f, on, err = s.fire(ctx, FaultSlow, where)
	if on {
		pause(ctx, min(time.Duration(f.DelayMS)*time.Millisecond, faultLongestWait))
	}
	return err
}

// hold waits for a switch to be deleted by whichever process.
func (s *Simulator) hold(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(ctx, faultLongestWait)
	defer cancel()
	for ctx.Err() == nil {
		var one int
		if err := s.state.QueryRowContext(ctx, `SELECT 1 FROM faults WHERE id = ?`, id).Scan(&one); err != nil {
			return
		}
		pause(ctx, faultPollInterval)
	}
}

// pause waits in real time: it stands for the network, which does not follow the simulated clock.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
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
			a.status, a.contentType, a.body = statusOr(f, http.StatusOK), "text/html", []byte(htmlPage)
		case FaultEmpty:
			a.body = nil
		case FaultTruncated:
			a.body = a.body[:len(a.body)/2]
		}
		return a, name
	}
	return a, ""
}
