package refresh

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
)

func outcomeOf(cause record.Cause) tokens.Outcome {
	if cause == record.RotationUnknown {
		return tokens.RotationUnknown
	}
	return tokens.Revoked
}

// failureFault tells a caller of a refresh that did not succeed, and when to try again.
func failureFault(f record.Failure, wait time.Duration) *fault.Error {
	said := fault.Provider{Status: f.Status, Code: f.Code, RequestID: f.RequestID}
	wait = max(wait, time.Second)
	if f.Status == 0 && f.Code != "" {
		return unheard(f, wait)
	}
	switch tokens.Outcome(f.Outcome) {
	case tokens.Misconfigured:
		return fault.New(fault.Misconfigured, "client_misconfigured", "The provider refuses the application's own credentials.").
			Do("An owner checks the client id and secret (an expired secret is the usual cause) and gives them again: of the application, or of the vault entry where it has a client of its own.").
			Said(said).After(wait)
	case tokens.RateLimited:
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's token endpoint asks us to wait.").
			Do("Try again later.").Said(said).After(wait)
	default:
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's token endpoint does not answer as it should.").
			Do(hope(f)).Said(said).After(wait)
	}
}

// unheard tells of a token endpoint that nobody has spoken with, because our side and the host's did not come
// together first; the code says over what.
func unheard(f record.Failure, wait time.Duration) *fault.Error {
	kind := fault.Unavailable
	if f.Outcome == string(tokens.Misconfigured) {
		kind = fault.Misconfigured
	}
	return fault.New(kind, f.Code, "No token was had: our side and the provider's token endpoint did not come together, and the code says over what.").
		Do("Do what belongs to the code, then try again; what the entry may read is not lost.").After(wait)
}

// broken is what the transport itself knows of why there was no answer, where a provider's does (provider.Dialer); nil where
// there was one.
func broken(cause error) *fault.Error {
	var failure *oauth.Failure
	var known *fault.Error
	if !errors.As(cause, &failure) || failure.Status != 0 || !errors.As(failure.Unwrap(), &known) {
		return nil
	}
	return known
}

// ofTheClient is a POST of a client that is itself the grant. What a server says against the grant is said against the
// client: nobody could authorize it again, and an owner can bring another.
func ofTheClient(post func(context.Context, oauth.Client) (oauth.Tokens, error)) func(context.Context, oauth.Client) (oauth.Tokens, error) {
	return func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		issued, err := post(ctx, c)
		var failure *oauth.Failure
		if errors.As(err, &failure) && failure.Outcome == oauth.Revoked {
			refused := *failure
			refused.Outcome = oauth.Misconfigured
			err = &refused
		}
		return issued, err
	}
}

// hope says what a failure leaves of the authorization.
func hope(f record.Failure) string {
	if f.Unsure {
		return "Try again later. The answer may have been lost on its way; the next try shows whether the authorization still stands."
	}
	return "Try again later; the authorization is not lost."
}

func unavailable(cause error) *fault.Error {
	return fault.Wrap(cause, fault.Unavailable, "provider_unavailable",
		"The token was not refreshed in time.").Do("Try again in a moment.").After(2 * time.Second)
}

func storeUnavailable(cause error) *fault.Error {
	return fault.Wrap(cause, fault.Unavailable, "store_unavailable", "The vault's keys cannot be read now.").
		Do("Try again in a moment.").After(2 * time.Second)
}

func again(entry string) string {
	return "Start again: POST /v1/vault-entries/" + entry + "/authorize."
}

// RequestUnknown is the answer to a state that names no authorization request of ours.
func RequestUnknown() *fault.Error {
	return fault.New(fault.Invalid, "authorization_request_unknown", "This consent belongs to no authorization request of ours.").
		On("result_url").Do("Start again with POST /v1/vault-entries/{id}/authorize and use the URL of that attempt.")
}

// RequestExpired is the answer to a consent that comes too late.
func RequestExpired(entry string) *fault.Error {
	return fault.New(fault.Gone, "authorization_request_expired", "The authorization request has expired; it lives ten minutes.").
		On("result_url").Do(again(entry))
}

// RequestSuperseded is the answer to the consent of an attempt that a newer one replaced.
func RequestSuperseded(entry string) *fault.Error {
	return fault.New(fault.Gone, "authorization_request_superseded", "A newer authorization request has taken the place of this one.").
		On("result_url").Do("Use the URL of the newest attempt, or start again: POST /v1/vault-entries/" + entry + "/authorize.")
}

// RequestUsed is the answer to a second code for one request: somebody may be mixing consents up, or on purpose.
func RequestUsed(entry string) *fault.Error {
	return fault.New(fault.Conflict, "authorization_request_used", "The authorization request was already used with another code.").
		On("result_url").Do(again(entry))
}

// exchangeFault tells what became of a code that was not exchanged.
func exchangeFault(r record.Request, f *oauth.Failure) *fault.Error {
	said := fault.Provider{Status: f.Status, Code: f.Code, RequestID: f.RequestID}
	switch {
	case f.Outcome == oauth.Revoked:
		return fault.New(fault.Conflict, "authorization_code_spent", "The provider says that the authorization code was used before or has expired.").
			Do(again(r.Entry)).Said(said)
	case f.Outcome == oauth.Misconfigured:
		return fault.New(fault.Misconfigured, "client_misconfigured", "The provider refuses the application's own credentials.").
			Do("An owner corrects them with PUT /v1/provider-apps/" + r.Provider + ", or where the vault entry has a client of its own with PATCH /v1/vault-entries/" + r.Entry +
				"; then send the same Result URL again, or start again if the code has expired meanwhile.").Said(said)
	case f.Spent:
		return fault.New(fault.Unavailable, "provider_unavailable",
			"The provider's token endpoint did not give a usable answer; the authorization code may be spent.").
			Do("Send the same Result URL again, or reload the page. If the code turns out to be spent, start again: POST /v1/vault-entries/" +
				r.Entry + "/authorize.").Said(said).After(max(f.RetryAfter, time.Second))
	default:
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's token endpoint cannot take the code now.").
			Do("Send the same Result URL again, or reload the page, within the life of the code.").Said(said).After(max(f.RetryAfter, time.Second))
	}
}

// adoptFault tells why a refresh token that an owner brought is not put in force.
func adoptFault(cause error) *fault.Error {
	var f *oauth.Failure
	if !errors.As(cause, &f) {
		return unavailable(cause)
	}
	if known := broken(cause); known != nil {
		return known
	}
	said := fault.Provider{Status: f.Status, Code: f.Code, RequestID: f.RequestID}
	if f.Outcome == oauth.Revoked {
		return fault.New(fault.Invalid, "refresh_token_refused", "The provider does not accept this refresh token for this application.").
			On("refresh_token").Do("Authorize the application anew at the provider and enter the refresh token that it shows.").Said(said)
	}
	return failureFault(record.Failure{Outcome: string(f.Outcome), Code: f.Code, Status: f.Status, RequestID: f.RequestID}, f.RetryAfter)
}

// otherClient is the answer where the application was replaced by another one after an entry was authorized.
func otherClient(entry record.Entry) *fault.Error {
	return fault.New(fault.Misconfigured, "client_misconfigured", "The application was replaced by another one; this vault entry was authorized for the one before.").
		Do("Register the earlier application again with PUT /v1/provider-apps/" + entry.Provider + ", or authorize the entry anew: POST /v1/vault-entries/" +
			entry.ID + "/authorize.").After(10 * time.Second)
}

// notRefreshable is the answer for a set that came without a refresh token: when it ends, a person is needed.
func notRefreshable(entry string) *fault.Error {
	return fault.New(fault.ReauthRequired, "reauthorization_required", "The provider gave no refresh token with this authorization.").
		Do("Authorize it again: POST /v1/vault-entries/" + entry + "/authorize.")
}
