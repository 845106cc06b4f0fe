// Package tokens is what the token service is asked, and what it answers.
//
// The argument: only functions/refresh calls token endpoints, reads client secrets and writes token sets. The other
// functions ask it, over a Lambda invocation on AWS and over a plain call on one machine, so what they say to each
// other is written once and is the same bytes in both. No answer ever holds a token: who may read them opens the
// sealed set itself, after the answer says that a good one is in force.
package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/secret"
)

// Op is what the token service is asked to do.
type Op string

// The operations.
const (
	Refresh  Op = "refresh"  // make sure that an access token with enough life is in force
	Complete Op = "complete" // exchange a code for an authorization request, and put its tokens in force
	Adopt    Op = "adopt"    // put a refresh token in force that an owner brings
	Acquire  Op = "acquire"  // get the first token of an entry whose own client is the account
	Try      Op = "try"      // see whether the client that waits beside an entry's own works
	Promote  Op = "promote"  // put that client in force, with a token of its own
	Forget   Op = "forget"   // remove an entry and its tokens
	Due      Op = "due"      // do what the schedule noted for an entry
	Grant    Op = "grant"    // make sure that a token of the application's own is kept
	Rescue   Op = "rescue"   // store a sealed answer that the table had refused
	Revoke   Op = "revoke"   // tell a provider that a sealed refresh token is not needed any more
	Rotate   Op = "rotate"   // ask a provider for a new client secret of an application
	Deny     Op = "deny"     // note that consent was denied for an authorization request
)

// Call is one request to the token service.
type Call struct {
	Op     Op
	Tenant string
	Entry  string

	Force            bool  // Refresh: even when the token has enough life
	FailedGeneration int64 // Refresh: the set that a provider refused; when it is no longer in force there is no call. 0 = none named

	Request      string            // Complete: the authorization request
	Code         secret.Text       // Complete
	Claims       map[string]string // Complete, Adopt: what is said of the account besides
	RefreshToken secret.Text       // Adopt
	Principal    string            // Adopt: who brings it

	Scope string // Grant

	Pending        bool                  // Forget: only an entry that was never authorized
	Provider       string                // Rotate: whose application
	APIEnvironment record.APIEnvironment // Rotate: of which side

	Reason string // Deny: our code for it

	By audit.Actor // on whose behalf; the zero Actor = nobody's

	Client int64 // Try, Promote: the number of the client that is meant

	Rescued json.RawMessage // Rescue: the sealed answer

	NotBefore time.Time // through a queue: when it is to be delivered; the zero time = at once
}

// Answer is the token service's answer to a call that it carried out.
type Answer struct {
	Outcome    Outcome             `json:"outcome"`
	Generation int64               `json:"generation,omitempty"`
	Expires    time.Time           `json:"expires_at,omitzero"` // of the access token in force
	Fault      *fault.Error        `json:"fault,omitempty"`     // why not, when the outcome is none of the good ones
	Reads      []record.Permission `json:"reads,omitempty"`     // Try: what the client may read
	Took       time.Duration       `json:"took,omitempty"`      // the provider's part
}

// Outcome is how a refresh ended. The set is closed.
type Outcome string

// The outcomes.
const (
	Success         Outcome = "success"
	AlreadyFresh    Outcome = "already_fresh" // there was nothing to do
	LostRace        Outcome = "lost_race"     // somebody else did it, and its result is in force
	Transient       Outcome = "transient"
	RateLimited     Outcome = "rate_limited"
	Misconfigured   Outcome = "client_misconfigured"
	Revoked         Outcome = "revoked"
	RotationUnknown Outcome = "rotation_unknown"
)

// Invoke carries out a call and waits for it. A call that the service refused or could not carry out comes back as
// the *fault.Error of the answer.
type Invoke func(ctx context.Context, call Call) (Answer, error)

// Nudge asks for a call to be carried out and does not wait.
type Nudge func(ctx context.Context, call Call) error

// OnBehalf makes calls say on whose behalf they are, as their context knows it.
func OnBehalf(invoke Invoke) Invoke {
	if invoke == nil {
		return nil
	}
	return func(ctx context.Context, call Call) (Answer, error) {
		return invoke(ctx, behalf(ctx, call))
	}
}

// NudgeOnBehalf is OnBehalf for calls that are not waited for.
func NudgeOnBehalf(nudge Nudge) Nudge {
	if nudge == nil {
		return nil
	}
	return func(ctx context.Context, call Call) error { return nudge(ctx, behalf(ctx, call)) }
}

func behalf(ctx context.Context, call Call) Call {
	if by := audit.ActorOf(ctx); by.Kind != audit.Unknown {
		call.By = by
	}
	return call
}

// wire is a Call as it travels. Its secrets are in the clear: an invocation is the one place they are meant for, so
// nothing but Encode and Decode touches it.
type wire struct {
	Op               Op                `json:"op"`
	Tenant           string            `json:"tenant"`
	Entry            string            `json:"entry,omitempty"`
	Force            bool              `json:"force,omitempty"`
	FailedGeneration int64             `json:"failed_generation,omitempty"`
	Request          string            `json:"request,omitempty"`
	Code             string            `json:"code,omitempty"`
	Claims           map[string]string `json:"claims,omitempty"`
	RefreshToken     string            `json:"refresh_token,omitempty"`
	Principal        string            `json:"principal,omitempty"`
	Scope            string            `json:"scope,omitempty"`
	Pending          bool              `json:"pending,omitempty"`
	Provider         string            `json:"provider,omitempty"`
	APIEnvironment   string            `json:"api_environment,omitempty"`
	Client           int64             `json:"client,omitempty"`
	Rescued          json.RawMessage   `json:"rescued,omitempty"`
	NotBefore        time.Time         `json:"not_before,omitzero"`
	Reason           string            `json:"reason,omitempty"`
	By               audit.Actor       `json:"by,omitzero"`
	Schema           int64             `json:"schema,omitempty"`
}

// Encode returns a call as it travels. The bytes hold secrets: they go to the token service and nowhere else.
func Encode(c Call) ([]byte, error) {
	b, err := json.Marshal(wire{Op: c.Op, Tenant: c.Tenant, Entry: c.Entry, Force: c.Force, FailedGeneration: c.FailedGeneration,
		Request: c.Request, Code: c.Code.Reveal(), Claims: c.Claims, RefreshToken: c.RefreshToken.Reveal(),
		Principal: c.Principal, Scope: c.Scope, Provider: c.Provider, APIEnvironment: string(c.APIEnvironment), Client: c.Client, Rescued: c.Rescued, NotBefore: c.NotBefore,
		Reason: c.Reason, By: c.By, Pending: c.Pending, Schema: schema.Call.Carried()})
	if err != nil {
		return nil, errors.New("encoding a call to the token service failed")
	}
	return b, nil
}

// Decode reads what Encode made. Its error never quotes the input; it is fault.Newer for a call of a newer version.
func Decode(b []byte) (Call, error) {
	if err := readable(schema.Call, b); err != nil {
		return Call{}, err
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil || w.Op == "" {
		return Call{}, errors.New("the call to the token service cannot be read")
	}
	return Call{Op: w.Op, Tenant: w.Tenant, Entry: w.Entry, Force: w.Force, FailedGeneration: w.FailedGeneration,
		Request: w.Request, Code: secret.New(w.Code), Claims: w.Claims, RefreshToken: secret.New(w.RefreshToken),
		Principal: w.Principal, Scope: w.Scope, Provider: w.Provider, APIEnvironment: record.APIEnvironment(w.APIEnvironment), Client: w.Client, Rescued: w.Rescued, NotBefore: w.NotBefore,
		Reason: w.Reason, By: w.By, Pending: w.Pending}, nil
}

// Err returns the answer's fault as an error; nil when there is none. (A nil *fault.Error in an error is not nil.)
func (a Answer) Err() error {
	if a.Fault == nil {
		return nil
	}
	return a.Fault
}

// reply is what the token service says to a call, as it travels.
type reply struct {
	Answer Answer       `json:"answer,omitzero"`
	Error  *fault.Error `json:"error,omitempty"`
	Schema int64        `json:"schema,omitempty"`
}

// readable looks at the number of a message before anything else of it is taken for what it was. What has none that can be
// read is left to whoever reads the rest.
func readable(kind schema.Kind, b []byte) error {
	var numbered struct {
		Schema int64 `json:"schema"`
	}
	if err := json.Unmarshal(b, &numbered); err == nil && kind.Newer(numbered.Schema) {
		return fault.Newer(string(kind), numbered.Schema, schema.Of(kind).Reads)
	}
	return nil
}

// EncodeReply returns the outcome of a call as it travels. An error that is none of ours travels without its text.
func EncodeReply(a Answer, err error) ([]byte, error) {
	r := reply{Answer: a, Schema: schema.Reply.Carried()}
	if err != nil {
		r.Error = fault.As(err)
	}
	return json.Marshal(r)
}

// DecodeReply reads what EncodeReply made.
func DecodeReply(b []byte) (Answer, error) {
	if err := readable(schema.Reply, b); err != nil {
		return Answer{}, err
	}
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		return Answer{}, errors.New("the token service's reply cannot be read")
	}
	if r.Error != nil {
		return Answer{}, r.Error
	}
	return r.Answer, nil
}

// NotYet is the error of a caller who did not wait for the end of a call. The call goes on.
func NotYet(cause error) *fault.Error {
	return fault.Wrap(cause, fault.Unavailable, "provider_unavailable", "The provider has not answered yet.").
		Do("Try again in a moment.").After(2 * time.Second)
}
