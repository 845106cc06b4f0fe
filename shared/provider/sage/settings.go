package sage

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// The fields of a vault entry, in the names that people know them by. The first four are an application's own and are
// fields of the operator's application too.
const (
	fieldKey          = "oauth_api_key"
	fieldSecret       = "oauth_api_secret" //nolint:gosec // the name of a field is no secret
	fieldSignature    = "signature_secret"
	fieldSubscription = "apim_subscription_key"

	settingCountry     = "country_code"
	settingCallback    = "oauth_callback_url"
	settingScope       = "scope"
	settingProfile     = "profile"
	settingProviderApp = "provider_app"
)

// The profiles.
const (
	current = "v3.1"
	legacy  = "legacy_v3"
)

// The scopes (Sage facts 1.2).
const (
	readOnly   = "readonly"
	fullAccess = "full_access"
)

const maxCallback = 2048

func entryFields() []provider.Field {
	return []provider.Field{
		{Name: fieldKey, Label: "OAuth API Key", Required: true, Fixed: true,
			Help: "The client id of your application at Sage, as a rule two identifiers joined by a slash. Leave it out when provider_app is true."},
		{Name: fieldSecret, Label: "OAuth API Secret", Required: true, Secret: true,
			Help: "The client secret of the same application."},
		{Name: fieldSignature, Label: "Signature Secret", Secret: true, Reads: true,
			Help: "Profile legacy_v3 only, and there it may be left out: Sage no longer looks at signatures."},
		{Name: fieldSubscription, Label: "APIM Subscription Key", Secret: true, Reads: true,
			Help: "Needed by profile legacy_v3 and by nothing else."},
		{Name: settingCountry, Label: "Country Code", Options: slices.Sorted(maps.Keys(countries())),
			Help: "The country of the business; the consent page then does not ask for it. Sage's own page names CA, GB and IE today; the others are served by the API and may be refused at consent. UK is taken for GB. Profile legacy_v3 needs it."},
		{Name: settingCallback, Label: "OAuth Callback URL",
			Help: "As registered at Sage, letter by letter. One that is not this vault's own can be completed by pasting the Result URL only. With provider_app it may be left out, which means this vault's own."},
		{Name: settingScope, Label: "Scope", Default: readOnly, Options: []string{readOnly, fullAccess},
			Help: "readonly is enough for everything that can be read here."},
		{Name: settingProfile, Label: "Profile", Fixed: true, Default: current, Options: []string{current, legacy},
			Help: "v3.1 is Sage's present API. legacy_v3 is the one before it, whose end Sage announced for 31 July 2026."},
		{Name: settingProviderApp, Label: "Use the provider app", Flag: true, Fixed: true,
			Help: "true: the application that the operator has registered for Sage is used, and the entry brings no key and no secrets of its own."},
	}
}

// Normalize implements provider.Adapter. An entry uses the operator's application or brings a client of its own, and
// never some of each: a key of one with the secret of the other would be refused at Sage without saying why.
// Codes: invalid_field.
func (a *Adapter) Normalize(entry *record.Entry) error {
	given := entry.Settings
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(settingNames(), name) {
			return invalid(name, "A Sage vault entry has no such setting.").Do("Use: " + strings.Join(settingNames(), ", ") + ".")
		}
	}
	if err := normalizeSide(entry); err != nil {
		return err
	}
	profile, err := choice(settingProfile, given[settingProfile], current, legacy)
	if err != nil {
		return err
	}
	scope, err := choice(settingScope, given[settingScope], readOnly, fullAccess)
	if err != nil {
		return err
	}
	country, err := normalizeCountry(given[settingCountry], profile == legacy)
	if err != nil {
		return err
	}
	shared, err := choice(settingProviderApp, given[settingProviderApp], "false", "true")
	if err != nil {
		return err
	}
	if err := checkClient(entry, shared == "true", profile == legacy); err != nil {
		return err
	}
	settings := map[string]string{
		fieldKey: given[fieldKey], settingCountry: country, settingCallback: given[settingCallback],
		settingScope: scope, settingProfile: profile, settingProviderApp: shared,
	}
	if shared == "false" {
		delete(settings, settingProviderApp)
	}
	maps.DeleteFunc(settings, func(_, value string) bool { return value == "" })
	entry.Settings = settings
	return nil
}

// settingNames are the fields that are not secret, in their order.
func settingNames() []string {
	var names []string
	for _, f := range entryFields() {
		if !f.Secret {
			names = append(names, f.Name)
		}
	}
	return names
}

func normalizeSide(entry *record.Entry) error {
	switch entry.APIEnvironment {
	case "", record.Production:
		entry.APIEnvironment = record.Production
		return nil
	default:
		return invalid("api_environment", "Sage has no such side: every business, also one to try with, is on the production side.").
			Do("Use production, and connect a trial or developer business to try.")
	}
}

// choice is one of the values, the first when nothing was given.
func choice(field, given string, values ...string) (string, error) {
	value := strings.ToLower(cmp.Or(strings.TrimSpace(given), values[0]))
	if !slices.Contains(values, value) {
		return "", invalid(field, field+" is none of: "+strings.Join(values, ", ")+".").Do("Use one of them, or leave it out to mean " + values[0] + ".")
	}
	return value, nil
}

func normalizeCountry(given string, needed bool) (string, error) {
	code := strings.ToUpper(strings.TrimSpace(given))
	if code == "UK" {
		code = "GB"
	}
	known := slices.Sorted(maps.Keys(countries()))
	switch {
	case code == "" && needed:
		return "", invalid(settingCountry, "The country is missing; with profile "+legacy+" it decides which of Sage's hosts are asked.").
			Do("Give the country of the business, one of: " + strings.Join(known, ", ") + ".")
	case code != "" && !slices.Contains(known, code):
		return "", invalid(settingCountry, "Sage Accounting is not known in a country of that code.").
			Do("Use one of: " + strings.Join(known, ", ") + "; or leave it out, and the consent page asks for it.")
	}
	return code, nil
}

// checkClient checks whose client the entry uses, and that everything of it is there.
func checkClient(entry *record.Entry, shared, legacy bool) error {
	has := map[string]bool{fieldKey: entry.Settings[fieldKey] != ""}
	for _, name := range []string{fieldSecret, fieldSignature, fieldSubscription} {
		has[name] = entry.HasSecret(name)
	}
	callback := entry.Settings[settingCallback]
	if callback != "" {
		if err := checkCallback(callback); err != nil {
			return err
		}
	}
	if shared {
		for _, name := range []string{fieldKey, fieldSecret, fieldSignature, fieldSubscription} {
			if has[name] {
				return invalid(name, "The entry uses the operator's application and brings "+name+" of its own too.").
					Do("Leave " + name + " out, or set " + settingProviderApp + " to false.")
			}
		}
		return nil
	}
	switch {
	case !has[fieldKey]:
		return invalid(fieldKey, "The OAuth API key is missing.").
			Do("Copy the client id from your application at Sage, or set " + settingProviderApp + " to true to use the operator's application.")
	case !keyShape.MatchString(entry.Settings[fieldKey]):
		return badKey()
	case !has[fieldSecret]:
		return invalid(fieldSecret, "The OAuth API secret is missing.").Do("Copy the client secret from your application at Sage.")
	case callback == "":
		return invalid(settingCallback, "The OAuth callback URL is missing.").Do("Give the one that is registered at Sage for your application.")
	case legacy && !has[fieldSubscription]:
		return invalid(fieldSubscription, "The APIM subscription key is missing; profile legacy_v3 cannot be read without it.").
			Do("Copy the primary or secondary key of your subscription at Sage, or use profile v3.1, which needs none.")
	}
	return nil
}

// CheckSecrets implements provider.Checker: secrets travel in a form or in a header, and what cannot is none of Sage's.
func (a *Adapter) CheckSecrets(_ record.Entry, secrets map[string]secret.Text, _ time.Time) (record.Material, error) {
	return record.Material{}, checkSecrets(secrets)
}

func checkSecrets(secrets map[string]secret.Text) error {
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if value := secrets[name]; !value.IsZero() && !secretShape.MatchString(value.Reveal()) {
			return invalid(name, name+" is too long, or has characters that no key of Sage's has.").
				Do("Copy it from the application at Sage, without spaces around it.")
		}
	}
	return nil
}

// checkCallback refuses what no callback registered at Sage can be. The address is compared there letter by letter
// (Sage facts 1.2), so it is never changed here.
func checkCallback(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || len(address) > maxCallback ||
		strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }):
		return badCallback("The callback URL is not an absolute URL, or is longer than any.")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return badCallback("The callback URL does not begin with https.")
	case badPort(u.Port()):
		return badCallback("The callback URL's port is none.")
	case u.User != nil:
		return badCallback("The callback URL has a user name in it.")
	case strings.ContainsAny(address, "?#"):
		return badCallback("The callback URL has a query or a part after '#'.")
	}
	return nil
}

func badPort(port string) bool {
	n, err := strconv.Atoi(port)
	return port != "" && (err != nil || n < 1 || n > 65535)
}

func badCallback(detail string) *fault.Error {
	return invalid(settingCallback, detail).
		Do("Give it as registered at Sage: https, a host and a path, such as https://vault.example/oauth/sage/callback. http is for this machine alone.")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isLegacy reports whether an entry uses the API before version 3.1. The settings have been normalized.
func isLegacy(entry record.Entry) bool { return entry.Settings[settingProfile] == legacy }

// usesApp reports whether an entry uses the operator's application.
func usesApp(entry record.Entry) bool { return entry.Settings[settingProviderApp] == "true" }

// RedirectURI implements provider.Redirector.
func (a *Adapter) RedirectURI(entry record.Entry) string { return entry.Settings[settingCallback] }

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(field)
}
