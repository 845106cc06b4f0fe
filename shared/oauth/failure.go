package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"connectorvault/shared/fault"
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

// classify says what a failure means, by the answer's head and its error member alone. x/oauth2's error is dropped: its
// text may quote the body.
func (o *observer) classify(ctx context.Context, err error) *Failure {
	f := &Failure{Outcome: Transient, Status: o.status, RequestID: o.requestID, RetryAfter: o.retryAfter}
	if o.status == 0 {
		f.Spent, f.cause = o.wrote.Load(), transportCause(ctx, err)
		return f
	}
	refusal := o.refusal()
	f.Outcome = outcomeOf(o.status, refusal)
	// Whatever is not definite may come from a proxy after the server had taken the token.
	f.Spent = f.Outcome == Transient
	var loose *oauth2.RetrieveError
	if refusal == "" && errors.As(err, &loose) {
		refusal = loose.ErrorCode // from a form, or a member in another case: told, not believed
	}
	f.Code = identifier(refusal)
	return f
}

// refusal is the error code of an answer that is a refusal as RFC 6749, 5.2 writes it. It does not ask for the
// Content-Type, which endpoints get wrong; nothing but an endpoint answers with such an object.
func (o *observer) refusal() string { return text(o.members["error"]) }

// outcomeOf judges an answer that was not a success. Only an RFC 6749 code in a 4xx is definite: a bare 400 or 403
// may be a proxy's, and calling that revoked would cost a customer the account. Nor is a code in a 200, where some
// servers put it, or in a 5xx, where a gateway may have kept it: with those the server itself says that it is not
// refusing.
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

// transportCause keeps the kind of a transport error and drops its text, which names the URL. A transport of ours that
// knows what is wrong says so in a fault, whose words are meant to be seen.
func transportCause(ctx context.Context, err error) error {
	var (
		known     *fault.Error
		dns       *net.DNSError
		unknownCA *tls.CertificateVerificationError
		op        *net.OpError
	)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return known
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
