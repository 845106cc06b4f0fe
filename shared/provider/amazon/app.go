package amazon

import (
	"maps"
	"slices"

	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// The fields of the operator's application (Amazon facts 1).
const (
	appID           = "application_id"
	appClientID     = "client_id"
	appClientSecret = "client_secret"
)

var (
	applicationIDShape = provider.NewShape(`^amzn1\.(sp\.solution|sellerapps\.app)\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	clientIDShape      = provider.NewShape(`^amzn1\.application-oa2-client\.[0-9A-Za-z]{1,128}$`)
	// Amazon's secrets begin with amzn1.oa2-cs.v1 today and did not always: only what cannot travel is refused.
	clientSecretShape = provider.NewShape(`^[\x21-\x7e]{8,512}$`)
)

func appFields() []provider.Field {
	return []provider.Field{
		{Name: appID, Label: "Application ID", Required: true,
			Help: "From the Solution Provider Portal: amzn1.sp.solution.… or amzn1.sellerapps.app.…, not the LWA client id."},
		{Name: appClientID, Label: "LWA client identifier", Required: true,
			Help: "Under LWA credentials of the application: amzn1.application-oa2-client.…"},
		{Name: appClientSecret, Label: "LWA client secret", Required: true, Secret: true,
			Help: "Beside the client identifier. It works for 180 days; the old one works seven more days after a new one is made."},
	}
}

// ValidateApp implements provider.AppValidator. Amazon shows a bare error page for a wrong application id, so its
// shape is checked here, where it can still be explained. Its error has code invalid_field.
func (a *Adapter) ValidateApp(fields map[string]string, secrets map[string]secret.Text) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != appID && name != appClientID {
			return invalid(name, "An Amazon application has no such public field.").
				Do("Use " + appID + " and " + appClientID + "; " + appClientSecret + " is a secret.")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if name != appClientSecret {
			return invalid(name, "An Amazon application has no such secret.").Do("Use " + appClientSecret + ".")
		}
	}
	switch {
	case fields[appID] == "":
		return invalid(appID, "The application id is missing.").Do("Copy it from the Solution Provider Portal.")
	case clientIDShape.MatchString(fields[appID]):
		return invalid(appID, "This is the LWA client identifier, not the application id; Amazon would answer MD1000.").
			Do("Copy the App ID, amzn1.sp.solution.…, from the Solution Provider Portal.")
	case !applicationIDShape.MatchString(fields[appID]):
		return invalid(appID, "The application id has not the form amzn1.sp.solution.<uuid> or amzn1.sellerapps.app.<uuid>.").
			Do("Copy it from the Solution Provider Portal.")
	case !clientIDShape.MatchString(fields[appClientID]):
		return invalid(appClientID, "The LWA client identifier has not the form amzn1.application-oa2-client.<letters and digits>.").
			Do("Copy it from LWA credentials of the application.")
	case secrets[appClientSecret].IsZero():
		return invalid(appClientSecret, "The LWA client secret is missing.").Do("Copy it from LWA credentials of the application.")
	case !clientSecretShape.MatchString(secrets[appClientSecret].Reveal()):
		return invalid(appClientSecret, "The LWA client secret is too short, too long, or has characters that no secret of Amazon's has.").
			Do("Copy it from LWA credentials of the application, without spaces around it.")
	}
	return nil
}

// TokenClient implements provider.TokenSource: one endpoint for every region, client id and secret in the form
// (Amazon facts 3).
func (a *Adapter) TokenClient(_ record.Entry, app provider.AppCredentials) oauth.Client {
	return oauth.Client{
		HTTP:     a.http,
		TokenURL: a.endpoints.token(),
		Style:    oauth.InParams,
		ID:       app.App.Fields[appClientID],
		Secret:   app.Secrets[appClientSecret],
	}
}
