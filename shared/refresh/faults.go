package refresh

import (
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
)

// NotAuthorized is the answer for an entry that nobody has authorized yet.
func NotAuthorized(entry string) *fault.Error {
	return fault.New(fault.ReauthRequired, "reauthorization_required", "This vault entry has not been authorized yet.").
		Do("Authorize it: POST /v1/vault-entries/" + entry + "/authorize.")
}

// Reauthorize is the answer for an entry whose grant is gone, with the cause named.
func Reauthorize(c record.Credential) *fault.Error {
	why := map[record.Cause]string{
		record.Revoked:              "The provider says that its authorization was revoked or has ended.",
		record.RotationUnknown:      "The refresh token was spent and its answer never arrived.",
		record.AuthorizationExpired: "Its authorization has expired.",
	}[c.Cause]
	return fault.New(fault.ReauthRequired, "reauthorization_required", "This vault entry must be authorized again. "+why).
		Do("Authorize it: POST /v1/vault-entries/" + c.Entry + "/authorize.")
}

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
	switch tokens.Outcome(f.Outcome) {
	case tokens.Misconfigured:
		return fault.New(fault.Misconfigured, "client_misconfigured", "The provider refuses the application's own credentials.").
			Do("An owner checks the client id and secret (an expired secret is the usual cause) and registers them again.").
			Said(said).After(wait)
	case tokens.RateLimited:
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's token endpoint asks us to wait.").
			Do("Try again later.").Said(said).After(wait)
	default:
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's token endpoint does not answer as it should.").
			Do("Try again later; the authorization is not lost.").Said(said).After(wait)
	}
}

func unavailable(cause error) *fault.Error {
	return fault.Wrap(cause, fault.Unavailable, "provider_unavailable",
		"The token was not refreshed in time.").Do("Try again in a moment.").After(2 * time.Second)
}
