package read

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/record"
)

// A run of pages ends before either of these is reached.
const (
	StreamTime  = 25 * time.Second // the gateway gives up at 30
	StreamBytes = 4 << 20          // an answer of a Lambda is at most 6 MB
)

// lastLine ends a run of pages.
type lastLine struct {
	Next    *string     `json:"next_cursor"`
	Meta    runMeta     `json:"meta"`
	Stopped *stopReason `json:"stopped,omitempty"` // why it ended early, when it was not for time or size
}

type runMeta struct {
	Pages     int       `json:"pages"`
	Items     int       `json:"items"`
	RequestID string    `json:"request_id,omitempty"` // the provider's, of the last page
	FetchedAt time.Time `json:"fetched_at"`
	Omitted   []string  `json:"omitted,omitempty"`
}

type stopReason struct {
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// Run reads page after page and returns newline delimited JSON: one item a line as the provider sent it, but without
// line breaks, and a last line with the cursor to go on from. Trouble on the first page is an error; later on it ends
// the run, with everything that was read and where to go on.
func (s *Service) Run(ctx context.Context, p record.Principal, q Query) (lines []byte, err error) {
	ctx, done := s.metered(ctx, metric.Run)
	defer func() { done(err) }()
	pl, err := s.plan(ctx, p, q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, StreamTime)
	defer cancel()
	var (
		out  bytes.Buffer
		last lastLine
		next = pl.params
	)
	for next != nil {
		pl.params = next
		page, following, err := s.patient(ctx, pl)
		if err != nil && last.Meta.Pages == 0 {
			return nil, err
		}
		if err != nil {
			last.Stopped = stopped(err)
			break
		}
		before := out.Len()
		for _, item := range page.Items {
			if err := json.Compact(&out, item); err != nil {
				return nil, err
			}
			out.WriteByte('\n')
		}
		if out.Len() > StreamBytes && last.Meta.Pages > 0 { // it was larger than the one before: it begins the next run
			out.Truncate(before)
			break
		}
		last.Meta.Pages++
		last.Meta.Items += len(page.Items)
		last.Meta.RequestID, last.Meta.FetchedAt, last.Meta.Omitted = page.Meta.RequestID, page.Meta.FetchedAt, page.Meta.Omitted
		next = following
		if size := out.Len() - before; out.Len()+size > StreamBytes || nearlyOver(ctx) {
			break
		}
	}
	return s.finish(ctx, pl, &out, last, next)
}

func (s *Service) finish(ctx context.Context, pl plan, out *bytes.Buffer, last lastLine, next url.Values) ([]byte, error) {
	if next != nil {
		// The run's time may be over by now; the cursor is written all the same.
		cursor, err := s.cursor(context.WithoutCancel(ctx), pl, next)
		if err != nil {
			return nil, err
		}
		last.Next = &cursor
	}
	line, err := json.Marshal(last)
	if err != nil {
		return nil, err
	}
	out.Write(line)
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// patient waits for its place in the rate, as long as the run has time for it.
func (s *Service) patient(ctx context.Context, pl plan) (Page, url.Values, error) {
	for {
		page, next, err := s.page(ctx, pl)
		wait := time.Duration(0)
		if err != nil {
			wait = fault.As(err).RetryAfter
		}
		deadline, _ := ctx.Deadline()
		if fault.KindOf(err) != fault.RateLimited || wait <= 0 || time.Until(deadline) < wait+5*time.Second {
			return page, next, err
		}
		waited := s.atProvider(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			waited()
		case <-ctx.Done():
			timer.Stop()
			waited()
			return page, next, err
		}
	}
}

// nearlyOver keeps the time that a slow page takes.
func nearlyOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < 6*time.Second
}

func stopped(err error) *stopReason {
	f := fault.As(err)
	return &stopReason{Code: f.Code, Detail: f.Detail, RetryAfter: int((f.RetryAfter + time.Second - 1) / time.Second)}
}
