package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"connectorvault/shared/secret"
)

// Outcome is the class of a token endpoint's answer. Together with the outcomes that need no call (success,
// already_fresh, lost_race) these are the closed set of the refresh cycle.
type Outcome string

// The outcomes that an answer can have.
const (
	Transient     Outcome = "transient"            // try later: 5xx, timeout, an answer that is none
	RateLimited   Outcome = "rate_limited"         // try later, the endpoint said so
	Misconfigured Outcome = "client_misconfigured" // our application's fault; no account is affected
	Revoked       Outcome = "revoked"              // the grant is gone
)

// Failure is a token endpoint's refusal, or the lack of an answer.
type Failure struct {
	Outcome    Outcome
	Status     int           // HTTP status; 0 when there was no answer
	Code       string        // RFC 6749's error code, if the answer had one
	RetryAfter time.Duration // 0 when not said
	RequestID  string        // the provider's
	// Spent reports whether the server may have taken the code or the refresh token: the request may have reached it
	// and no definite answer came back. What is merely refused is not spent.
	Spent bool
	cause error // never holds an answer's body
}

// Error implements error. It holds nothing of the answer but its status and code.
func (f *Failure) Error() string {
	text := fmt.Sprintf("token endpoint: %s, status %d", f.Outcome, f.Status)
	if f.Code != "" {
		text += ", error " + f.Code
	}
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns the transport's error, if that was it.
func (f *Failure) Unwrap() error { return f.cause }

// definite are RFC 6749's error codes with what they say of the grant. A code that is not here is judged by its status.
var definite = map[string]Outcome{
	"invalid_grant":           Revoked,
	"invalid_client":          Misconfigured,
	"unauthorized_client":     Misconfigured,
	"invalid_request":         Misconfigured,
	"unsupported_grant_type":  Misconfigured,
	"invalid_scope":           Misconfigured,
	"access_denied":           Misconfigured,
	"slow_down":               RateLimited,
	"server_error":            Transient,
	"ServerError":             Transient, // Amazon's spelling (Amazon facts 3.3)
	"temporarily_unavailable": Transient,
}

// observer is a transport that remembers what x/oauth2 does not pass on: whether bytes left, and the answer's head.
type observer struct {
	base       http.RoundTripper
	wrote      atomic.Bool
	status     int
	requestID  string
	retryAfter time.Duration
}

// RoundTrip implements http.RoundTripper.
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{WroteHeaders: func() { o.wrote.Store(true) }}
	base := o.base
	if base == nil {
		base = http.DefaultTransport //nolint:forbidigo // what a client without a transport means; its timeout still holds
	}
	resp, err := base.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return nil, err
	}
	o.status = resp.StatusCode
	o.requestID = identifier(first(resp.Header, "x-amzn-RequestId", "X-Request-Id"))
	o.retryAfter = retryAfter(resp.Header)
	return resp, nil
}

// classify turns x/oauth2's error into a Failure, and drops its text, which may quote the body.
func (o *observer) classify(ctx context.Context, err error) *Failure {
	f := &Failure{Status: o.status, RequestID: o.requestID, RetryAfter: o.retryAfter}
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		f.Code = identifier(refused.ErrorCode)
		f.Outcome = outcomeOf(o.status, f.Code)
		// A 5xx or an unreadable answer may come from a proxy after the server had taken the token.
		f.Spent = f.Outcome == Transient
	case o.status != 0: // a 2xx that held no token, or a body that broke off
		f.Outcome, f.Spent = Transient, true
	default:
		f.Outcome, f.Spent = Transient, o.wrote.Load()
		f.cause = transportCause(ctx, err)
	}
	return f
}

// outcomeOf judges an answer that was not a success. Only an RFC 6749 code in a 4xx is definite: a bare 400 or 403
// may be a proxy's, and calling that revoked would cost a customer the account.
func outcomeOf(status int, code string) Outcome {
	if status == http.StatusTooManyRequests {
		return RateLimited
	}
	if status < 400 || status >= 500 {
		return Transient
	}
	if outcome, known := definite[code]; known {
		return outcome
	}
	return Transient
}

// transportCause keeps the kind of a transport error and drops its text, which names the URL.
func transportCause(ctx context.Context, err error) error {
	var (
		dns       *net.DNSError
		unknownCA *tls.CertificateVerificationError
		op        *net.OpError
	)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &dns):
		return errors.New("the host's name cannot be resolved")
	case errors.As(err, &unknownCA):
		return errors.New("the server's certificate is not trusted")
	case errors.As(err, &op):
		return fmt.Errorf("network: %s failed", op.Op)
	default:
		return errors.New("the connection broke")
	}
}

// retryAfter reads the header's seconds form (RFC 9110, 10.2.3); a date counts as not said, our clock may be stepped.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}

// forget takes out what holds a secret that was sent.
func (f *Failure) forget(sent ...secret.Text) {
	for _, s := range sent {
		if s.IsZero() {
			continue
		}
		for _, text := range []*string{&f.Code, &f.RequestID} {
			if strings.Contains(*text, s.Reveal()) {
				*text = ""
			}
		}
	}
}

// identifier passes on what looks like a provider's name for something, and nothing else. These values go into logs and
// answers as they come, so an endpoint that says back what it was sent must not get it there.
func identifier(text string) string {
	const most = 64 // tokens and codes are longer
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) {
		return ""
	}
	return text
}

func first(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}
