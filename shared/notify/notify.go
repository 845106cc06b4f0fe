// Package notify delivers events to tenants' endpoints.
//
// The argument: an endpoint is somebody else's machine. It may be slow, gone, hostile, or back tomorrow, and none of that may
// cost anything but its own deliveries. So each try is one call with one end, which says when to come again, and nothing is
// kept between tries but the message in its queue: when the next one is due follows from how long ago the message was sent.
// docs/webhooks.md has the steps, and what happens when a process dies after each.
package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/outbound"
	"connectorvault/shared/record"
	"connectorvault/shared/trace"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// Config is what the service needs.
type Config struct {
	Vault  *vault.Vault
	HTTP   *http.Client                      // reaches the public internet alone: outbound.Client
	Jitter func(time.Duration) time.Duration // a part of a duration, drawn anew each time; nil: none
	Now    func() time.Time
	Logger *slog.Logger

	Metrics *metric.Recorder // nil: nothing is counted
	Tracer  trace.Tracer     // nil: nobody looks
}

// Service delivers. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service.
func New(cfg Config) *Service {
	if cfg.Jitter == nil {
		cfg.Jitter = func(time.Duration) time.Duration { return 0 }
	}
	return &Service{cfg}
}

// Jitter draws a part of a duration, so that what failed together is not tried together.
func Jitter(random io.Reader) func(time.Duration) time.Duration {
	return func(most time.Duration) time.Duration {
		var draw [4]byte
		if _, err := io.ReadFull(random, draw[:]); err != nil {
			return 0
		}
		return most / (1 << 16) * time.Duration(binary.BigEndian.Uint32(draw[:])>>16)
	}
}

// MaxWait is how long a queue can be made to keep a message from being delivered again: SQS allows twelve hours from the moment at
// which it was received, and some of that is over when we say so.
const MaxWait = 12*time.Hour - 10*time.Minute

// tries are the moments after its sending at which a message is tried: the example of Standard Webhooks 1.0.0, with pauses no
// longer than MaxWait. The last one is three days and some hours after the first.
var tries = []time.Duration{
	0,
	5 * time.Second,
	5*time.Minute + 5*time.Second,
	35 * time.Minute,
	2*time.Hour + 35*time.Minute,
	7*time.Hour + 35*time.Minute,
	17*time.Hour + 35*time.Minute,
	29 * time.Hour,
	40 * time.Hour,
	51 * time.Hour,
	62 * time.Hour,
	73 * time.Hour,
}

// maxBody is how much of an answer is read, so that the connection ends well; all of it is thrown away.
const maxBody = 4 << 10

// Deliver tries once to deliver a message. done: it need not come again. Otherwise it comes again after a while. An error is ours,
// and says nothing of the endpoint: the message comes again as its queue has it.
func (s *Service) Deliver(ctx context.Context, m webhook.Message) (done bool, again time.Duration, err error) {
	ctx, span := trace.Begin(ctx, s.Tracer, trace.Delivery)
	outcome, tried := metric.Failed, true
	defer func() { span.End(err) }()
	defer func() {
		if tried {
			s.counted(ctx, m, outcome, err)
		}
	}()
	w, err := s.Vault.Webhook(ctx, m.Tenant, m.Webhook)
	if fault.KindOf(err) == fault.NotFound {
		tried = false
		return true, 0, nil // deleted meanwhile
	}
	if err != nil {
		return false, 0, err
	}
	if w.Disabled || !w.Wants(m.Event.Kind) {
		tried = false
		return true, 0, nil // the event is in the list still
	}
	request, err := s.request(ctx, w, m)
	if err != nil {
		return false, 0, err
	}
	d := record.Delivery{Event: m.Event.ID, Kind: m.Event.Kind, At: s.Now().UTC()}
	wait := s.send(request, &d) // cut short by ourselves, nothing is noted: no store answers under a context that is over
	switch {
	case d.Delivered:
		outcome = metric.Success
		s.noteDelivered(ctx, w, d)
		return true, 0, nil
	case d.Status == http.StatusGone:
		outcome = metric.GivenUp
		return s.gone(ctx, w, d)
	}
	if next, more := s.next(m, wait); more {
		outcome = metric.Postponed
		d.Next = d.At.Add(next)
		return false, next, s.Vault.NoteDelivery(ctx, w, d, w.FailingSince)
	}
	outcome = metric.GivenUp
	return s.giveUp(ctx, w, d)
}

// counted counts a try. What went wrong on our side says nothing of the endpoint.
func (s *Service) counted(ctx context.Context, m webhook.Message, outcome metric.Outcome, err error) {
	if err != nil {
		outcome = metric.Failed
	}
	s.Metrics.Delivery(ctx, outcome, metric.About{Tenant: m.Tenant})
}

// request makes the signed request of one try. Its body is the same at every try.
func (s *Service) request(ctx context.Context, w record.Webhook, m webhook.Message) (*http.Request, error) {
	secrets, err := s.Vault.OpenWebhookSecrets(ctx, w)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(api.WebhookMessageOf(w.ID, m.Event))
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("a webhook has a URL that cannot be called") // without the error's words, which quote it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "ConnectorVault-Webhooks")
	return r, webhook.Sign(r.Header, m.Event.ID, s.Now(), body, secrets...)
}

// send makes the call, and says in d what came of it. wait is how long the endpoint asks to be left alone.
func (s *Service) send(r *http.Request, d *record.Delivery) (wait time.Duration) {
	response, err := s.HTTP.Do(r)
	if err != nil {
		d.Problem = problem(err)
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	d.Status = response.StatusCode
	d.Delivered = d.Status >= 200 && d.Status <= 299
	_, _ = io.CopyN(io.Discard, response.Body, maxBody) // whatever it says, the status has said it
	switch {
	case d.Delivered:
	case d.Status >= 300 && d.Status <= 399:
		d.Problem = "The endpoint answered with a redirect, which is not followed."
	default:
		d.Problem = "The endpoint answered with status " + strconv.Itoa(d.Status) + "."
	}
	return retryAfter(response.Header.Get("Retry-After"), d.At)
}

// problem says in a sentence of our own why no answer came. The error's words are not passed on: they hold the URL, the address that
// a name led to, and what the other side chose to write into its certificate.
func problem(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, outbound.ErrNotPublic):
		return "The endpoint's address is not on the public internet."
	case errors.As(err, &name):
		return "The endpoint's name was not found."
	case errors.As(err, &certificate):
		return "The endpoint's certificate was not accepted."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "The endpoint did not answer in time."
	default:
		return "The connection to the endpoint failed."
	}
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, int(MaxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), MaxWait)
	}
	return 0
}

// next is how long from now a message is tried again; more is false when it is not. A test is tried once: whoever asked for it is there to ask
// again.
func (s *Service) next(m webhook.Message, wait time.Duration) (next time.Duration, more bool) {
	if m.Event.Kind == record.EventTest {
		return 0, false
	}
	age := s.Now().Sub(m.Sent)
	for i, at := range tries[1:] {
		if at <= age {
			continue
		}
		pause := at - tries[i]
		next = max(at-age, wait) + s.Jitter(pause/10)
		return min(max(next, time.Second), MaxWait), true
	}
	return 0, false
}

// noteDelivered notes a success. It arrived whatever becomes of the note, and must not come again for it.
func (s *Service) noteDelivered(ctx context.Context, w record.Webhook, d record.Delivery) {
	if err := s.Vault.NoteDelivery(ctx, w, d, time.Time{}); err != nil {
		s.Logger.WarnContext(ctx, "a delivery was not noted", "tenant", w.Tenant, "webhook", w.ID, "event", d.Event, "error", err.Error())
	}
}

// gone switches a webhook off whose endpoint says that it wants no more, unless somebody changed it since it was asked.
func (s *Service) gone(ctx context.Context, w record.Webhook, d record.Delivery) (done bool, again time.Duration, err error) {
	d.Problem = "The endpoint answered 410: it wants no more. The webhook is switched off."
	off := w
	off.Disabled, off.Gone, off.UpdatedAt = true, true, s.Now().UTC()
	if _, err := s.Vault.UpdateWebhook(ctx, w, off, nil); err != nil {
		return false, 0, err // it comes again, and finds what the webhook is then
	}
	s.Logger.WarnContext(ctx, "a webhook's endpoint wants no more and is switched off", "tenant", w.Tenant, "webhook", w.ID)
	return true, 0, s.Vault.NoteDelivery(ctx, w, d, w.FailingSince)
}

// giveUp notes that a message is not tried again. Its event stays in the list of events.
func (s *Service) giveUp(ctx context.Context, w record.Webhook, d record.Delivery) (done bool, again time.Duration, err error) {
	failing := w.FailingSince
	if failing.IsZero() {
		failing = d.At
	}
	if err := s.Vault.NoteDelivery(ctx, w, d, failing); err != nil {
		return false, 0, err
	}
	s.Logger.WarnContext(ctx, "an event was not delivered to a webhook and is given up", "tenant", w.Tenant, "webhook", w.ID,
		"event", d.Event, "kind", string(d.Kind), "status", d.Status, "problem", d.Problem)
	return true, 0, nil
}
