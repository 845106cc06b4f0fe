package sage

import (
	"maps"
	"slices"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

var (
	// Sage's client ids are two identifiers joined by a slash today (Sage facts 1.2); only what cannot be one is refused.
	keyShape = provider.NewShape(`^[\x21-\x7e]{1,512}$`)
	// What a secret or a subscription key may look like is not stated; it travels in a form or in a header.
	secretShape = provider.NewShape(`^[\x21-\x7e]{1,512}$`)
)

func appFields() []provider.Field {
	return []provider.Field{
		{Name: fieldKey, Label: "OAuth API Key", Required: true,
			Help: "The client id of the application at Sage, as a rule two identifiers joined by a slash."},
		{Name: fieldSecret, Label: "OAuth API Secret", Required: true, Secret: true,
			Help: "The client secret of the same application."},
		{Name: fieldSignature, Label: "Signature Secret", Secret: true, Reads: true,
			Help: "For vault entries of profile legacy_v3 only; Sage no longer looks at signatures."},
		{Name: fieldSubscription, Label: "APIM Subscription Key", Secret: true, Reads: true,
			Help: "For vault entries of profile legacy_v3 only, which cannot be read without it."},
	}
}

// ValidateApp implements provider.AppValidator. Its error has code invalid_field.
func (a *Adapter) ValidateApp(fields map[string]string, secrets map[string]secret.Text) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != fieldKey {
			return invalid(name, "A Sage application has no such public field.").Do("Use " + fieldKey + "; all else of it is secret.")
		}
	}
	known := []string{fieldSecret, fieldSignature, fieldSubscription}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if !slices.Contains(known, name) {
			return invalid(name, "A Sage application has no such secret.").Do("Use " + fieldSecret + ", " + fieldSignature + " and " + fieldSubscription + ".")
		}
	}
	switch {
	case fields[fieldKey] == "":
		return invalid(fieldKey, "The OAuth API key is missing.").Do("Copy the client id from the application at Sage.")
	case !keyShape.MatchString(fields[fieldKey]):
		return badKey()
	case secrets[fieldSecret].IsZero():
		return invalid(fieldSecret, "The OAuth API secret is missing.").Do("Copy the client secret from the application at Sage.")
	}
	return checkSecrets(secrets)
}

func badKey() *fault.Error {
	return invalid(fieldKey, "The OAuth API key is too long, or has characters that no client id has.").
		Do("Copy the client id from the application at Sage, without spaces around it.")
}

// clientID is the id that a consent page and a token endpoint are told. app is the zero value where the entry brings
// its own.
func clientID(entry record.Entry, app record.App) string {
	if usesApp(entry) {
		return app.Fields[fieldKey]
	}
	return entry.Settings[fieldKey]
}

// TokenClient implements provider.TokenSource: client id and secret in the form, and never in a header (Sage facts
// 1.4). The older API has a token endpoint a country, and none that is known to revoke.
func (a *Adapter) TokenClient(entry record.Entry, app provider.AppCredentials) oauth.Client {
	client := oauth.Client{
		HTTP:     a.http,
		TokenURL: a.endpoints.token(entry),
		Style:    oauth.InParams,
		ID:       clientID(entry, app.App),
		Secret:   app.Secrets[fieldSecret],
		Claims:   []string{claimRequester, claimOwner},
	}
	if !isLegacy(entry) {
		client.RevokeURL = a.endpoints.revoke()
	}
	return client
}
