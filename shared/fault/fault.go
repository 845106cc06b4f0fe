// Package fault is the error that crosses our own boundaries: a kind and a stable code for the program, a sentence
// and an action for the person.
//
// The argument: an error has two readers. The caller needs to know what was wrong, which field, and what to do now,
// and must learn nothing of our inside; the operator needs the cause. An [Error] carries both and shows only the
// first. An error that is not an Error is Internal, and nothing of its text reaches a caller.
package fault

import (
	"errors"
	"time"
)

// Kind says what class of trouble an error is. It decides the HTTP status, whether trying again helps, and whether
// anybody is woken.
type Kind int

// The kinds. The zero value is Internal, so an error nobody classified is never shown.
const (
	Internal       Kind = iota // ours; details stay inside
	Invalid                    // the request is wrong; it will stay wrong
	Forbidden                  // the caller lacks a right
	NotFound                   // no such thing for this tenant
	Conflict                   // the state of things forbids it
	Gone                       // it was here and has ended (expired, superseded)
	ReauthRequired             // a person must authorize the account anew
	Misconfigured              // the operator's application or credentials are at fault, no account is
	RateLimited                // wait, then try again
	Unavailable                // a provider or a store cannot answer now
	Refused                    // the provider understood and said no
	TooLarge                   // an answer or a request over a limit
)

// kindNames are the kinds as they travel between functions.
var kindNames = [...]string{"internal", "invalid", "forbidden", "not_found", "conflict", "gone", "reauthorization_required",
	"misconfigured", "rate_limited", "unavailable", "refused", "too_large"}

// String returns the kind's name.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A kind that a newer function knows and we do not is Internal.
func (k *Kind) UnmarshalText(text []byte) error {
	*k = Internal
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
		}
	}
	return nil
}

// Provider is what a provider itself said about a failure. None of it is secret: bodies are never kept whole.
type Provider struct {
	Status    int    `json:"status,omitempty"`     // HTTP status
	Code      string `json:"code,omitempty"`       // the provider's own error code
	Message   string `json:"message,omitempty"`    // the provider's own message
	Details   string `json:"details,omitempty"`    // the provider's own details
	RequestID string `json:"request_id,omitempty"` // what the provider's support asks for
}

// Error is a failure with a kind, a stable code and words for a person.
//
// Its JSON form is how one function of ours tells another; the cause does not travel.
type Error struct {
	Kind       Kind          `json:"kind"`
	Code       string        `json:"code"`                  // stable, snake case; programs act on it
	Detail     string        `json:"detail"`                // one sentence: what was wrong
	Field      string        `json:"field,omitempty"`       // the request's field, if one is at fault
	Action     string        `json:"action,omitempty"`      // what to do now
	RetryAfter time.Duration `json:"retry_after,omitempty"` // with RateLimited and Unavailable: how long to wait; 0 = not known
	Provider   *Provider     `json:"provider,omitempty"`    // set when a provider caused it
	cause      error         // for operators' logs only
}

// New returns an error of a kind with a code and a sentence.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Wrap is [New] with a cause, which is for logs and errors.Is and is never shown.
func Wrap(cause error, kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail, cause: cause}
}

// On names the request's field at fault.
func (e *Error) On(field string) *Error { e.Field = field; return e }

// Do says what the person should do now.
func (e *Error) Do(action string) *Error { e.Action = action; return e }

// After says how long to wait before trying again.
func (e *Error) After(d time.Duration) *Error { e.RetryAfter = d; return e }

// Said attaches what the provider said.
func (e *Error) Said(p Provider) *Error { e.Provider = &p; return e }

// Because attaches a cause for logs.
func (e *Error) Because(cause error) *Error { e.cause = cause; return e }

// Error implements error. It holds what a caller may see and the cause, so it belongs in logs; the edge writes the
// fields, never this.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Detail
	if e.Field != "" {
		text += " (field " + e.Field + ")"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// As finds the Error in err's chain. An error without one comes back as Internal with code "internal_error", its
// text kept as the cause.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Wrap(err, Internal, "internal_error", "Something failed on our side.").
		Do("Try again; if it stays, give the operator the request id.")
}

// KindOf returns err's kind; Internal when it has none.
func KindOf(err error) Kind { return As(err).Kind }

// CodeOf returns err's code; "" for nil.
func CodeOf(err error) string {
	if err == nil {
		return ""
	}
	return As(err).Code
}
