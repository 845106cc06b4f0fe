package vault

import (
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
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

// EntryDisabled is the answer for an entry that its owner switched off.
func EntryDisabled(entry string) *fault.Error {
	return fault.New(fault.Conflict, "vault_entry_disabled", "This vault entry is disabled.").
		Do("Enable it: PATCH /v1/vault-entries/" + entry + " with {\"disabled\": false}.")
}
