package sagesim

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// htmlPage is what a gateway before the provider says, in a format that no client expects.
const htmlPage = "<!DOCTYPE html>\n<html><head><title>Sage</title></head>\n" +
	"<body><h1>We will be back shortly</h1></body></html>\n"

// injectBefore applies the switches that act before a request is looked at. It returns the name of the one that has
// answered, or "".
func (s *Simulator) injectBefore(w http.ResponseWriter, r *http.Request, where scope, refuse func(Fault)) (string, error) {
	ctx := r.Context()
	if err := s.delay(ctx, where); err != nil {
		return "", err
	}
	for _, name := range []string{FaultReset, FaultHTMLBefore, FaultStatus, FaultThrottled, FaultError500, FaultError503} {
		f, on, err := s.fire(ctx, name, where)
		if err != nil {
			return "", err
		}
		if !on {
			continue
		}
		s.count(ctx, where.endpoint, where.operation, "fault "+name)
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		switch name {
		case FaultReset: // the caller closes the connection, when it has noted what happened
		case FaultHTMLBefore:
			w.Header().Set("Content-Type", "text/html")
			writeBody(w, statusOr(f, http.StatusBadGateway), []byte(htmlPage))
		case FaultStatus:
			writeBody(w, f.Status, nil)
		default:
			refuse(f)
		}
		return name, nil
	}
	return "", nil
}

func statusOr(f Fault, status int) int {
	if f.Status != 0 {
		return f.Status
	}
	return status
}

// hangUp closes the connection without writing anything: net/http does so for this panic.
func hangUp() { panic(http.ErrAbortHandler) }

// delay applies the switches that make a request wait.
func (s *Simulator) delay(ctx context.Context, where scope) error {
	f, on, err := s.fire(ctx, FaultHold, where)
	if err != nil {
		return err
	}
	if on {
		s.count(ctx, where.endpoint, where.operation, "held")
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
		s.count(ctx, where.endpoint, where.operation, "fault "+name)
		switch name {
		case FaultHTMLAfter:
			w.Header().Set("Content-Type", "text/html")
			return statusOr(f, http.StatusOK), []byte(htmlPage), name
		case FaultEmpty:
			return status, nil, name
		case FaultTruncated:
			return status, body[:len(body)/2], name
		}
		return status, body, name
	}
	return status, body, ""
}
