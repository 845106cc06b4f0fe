package clara

import (
	"maps"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// The fields of a vault entry, in the names that people know them by (Clara facts 4.4).
const (
	fieldCountry     = "country"
	fieldTokenKey    = "token_key"
	fieldSecretKey   = "secret_key" //nolint:gosec // the name of a field is no secret
	fieldCertificate = "client_certificate"
	fieldPrivateKey  = "private_key"
	fieldAuthorities = "ca_certificates"
	fieldTax         = "tax_identifier"
	fieldProjectEnd  = "project_expires_at"
)

var (
	tokenKeyShape = provider.NewShape(`^[!-~]{1,256}$`) // what HTTP Basic takes, without a colon: see Normalize
	taxShape      = provider.NewShape(`^[A-Z0-9&Ñ./-]{5,20}$`)
)

func entryFields() []provider.Field {
	return []provider.Field{
		{Name: fieldCountry, Label: "Country", Required: true, Fixed: true, Options: countries(),
			Help: "The country of the company's account at Clara; it decides which of Clara's hosts is asked."},
		{Name: fieldTokenKey, Client: true, Label: "Token Key", Required: true,
			Help: "The client id of the API project: clientId in Clara's download."},
		{Name: fieldSecretKey, Client: true, Label: "Secret Key", Required: true, Secret: true,
			Help: "The client secret of the same project: clientSecret in Clara's download."},
		{Name: fieldCertificate, Client: true, Label: "Public certificate for the client", Required: true, Secret: true, Reads: true,
			Help: "PEM, beginning with BEGIN CERTIFICATE: public-key.crt, or publicKey in Clara's download. If it is a chain, the client's own certificate comes first."},
		{Name: fieldPrivateKey, Client: true, Label: "Private certificate for the client", Required: true, Secret: true, Reads: true,
			Help: "The private key in PEM, without a password: private-key.key, or privateKey in Clara's download."},
		{Name: fieldAuthorities, Client: true, Label: "Public certificate from Clara's certificate authorities", Secret: true, Reads: true,
			Help: "PEM: ca-public-key.pem. These may vouch for Clara's hosts beside the system's own roots. Leave it out if Clara gave none."},
		{Name: fieldTax, Label: "Tax identifier",
			Help: "RFC, CNPJ or NIT of the company to read, where the project reaches several. Left out, Clara answers for the project's own."},
		{Name: fieldProjectEnd, Client: true, Label: "End of the API project",
			Help: "YYYY-MM-DD, as the dashboard shows it. The vault reminds of it before."},
	}
}

// Normalize implements provider.Adapter. Codes: invalid_field.
func (a *Adapter) Normalize(entry *record.Entry) error {
	given := entry.Settings
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(settingNames(), name) {
			return invalid(name, "A Clara vault entry has no such setting.").Do("Use: " + strings.Join(settingNames(), ", ") + ".")
		}
	}
	switch entry.APIEnvironment {
	case "":
		entry.APIEnvironment = record.Production
	case record.Production, record.Sandbox:
	default:
		return invalid("api_environment", "Clara has no such side.").Do("Use production or sandbox.")
	}
	country := strings.ToLower(strings.TrimSpace(given[fieldCountry]))
	if !slices.Contains(countries(), country) {
		return invalid(fieldCountry, "The country is missing, or Clara has no API there.").Do("Use one of: " + strings.Join(countries(), ", ") + ".")
	}
	// A colon would end the client's id in HTTP Basic, were it not encoded, which not every server undoes.
	key := strings.TrimSpace(given[fieldTokenKey])
	if !tokenKeyShape.MatchString(key) || strings.Contains(key, ":") {
		return invalid(fieldTokenKey, "The token key is missing, or has characters that no client id has.").
			Do("Copy clientId from the download of the API project.")
	}
	for _, f := range entryFields() {
		if f.Secret && f.Required && !entry.HasSecret(f.Name) {
			return missing(f)
		}
	}
	tax := strings.ToUpper(strings.TrimSpace(given[fieldTax]))
	if tax != "" && !taxShape.MatchString(tax) {
		return invalid(fieldTax, "That is no RFC, CNPJ or NIT.").Do("Give it as Clara shows it, or leave it out.")
	}
	end, err := normalizeEnd(given[fieldProjectEnd])
	if err != nil {
		return err
	}
	entry.Settings = map[string]string{fieldCountry: country, fieldTokenKey: key, fieldTax: tax, fieldProjectEnd: end}
	maps.DeleteFunc(entry.Settings, func(_, value string) bool { return value == "" })
	return nil
}

// normalizeEnd takes a date, or a time for the sake of programs that have one.
func normalizeEnd(given string) (string, error) {
	given = strings.TrimSpace(given)
	if given == "" {
		return "", nil
	}
	at, err := time.Parse(time.DateOnly, given)
	if err != nil {
		at, err = time.Parse(time.RFC3339, given)
	}
	if err != nil {
		return "", invalid(fieldProjectEnd, "That is no date.").Do("Give the end of the API project as YYYY-MM-DD, or leave it out.")
	}
	return at.UTC().Format(time.DateOnly), nil
}

// projectEnd is when the project ends: as nobody says at what hour, with the first of the day.
func projectEnd(entry record.Entry) (time.Time, bool) {
	at, err := time.Parse(time.DateOnly, entry.Settings[fieldProjectEnd])
	return at, err == nil
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

func missing(f provider.Field) *fault.Error {
	return invalid(f.Name, f.Label+" is missing.").Do(f.Help)
}

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(field)
}
