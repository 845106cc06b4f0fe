package clara

import (
	"encoding/json"
	"encoding/pem"
	"strings"

	"crypto/x509"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
)

const maxFile = 256 << 10

// members are the names in Clara's downloads of each field: those of its own, and then those that tools around it use
// (Clara facts 4.4).
func members() map[string][]string {
	return map[string][]string{
		fieldTokenKey:    {"clientId", "client_id"},
		fieldSecretKey:   {"clientSecret", "client_secret"},
		fieldCertificate: {"publicKey", "public_key", "certificate", "clientCertificate"},
		fieldPrivateKey:  {"privateKey", "private_key"},
		fieldAuthorities: {"caPublicKey", "ca_public_key", "caCertificate", "ca"},
	}
}

// Import implements provider.Importer. The file is Clara's one JSON object, with the credentials inside or at the top; or
// one of the separate files, which holds some of the fields: token-data.json, or PEM. Codes: import_unreadable.
func (a *Adapter) Import(file secret.Text) (map[string]secret.Text, error) {
	text := strings.TrimSpace(strings.TrimPrefix(file.Reveal(), "\ufeff"))
	var fields map[string]secret.Text
	switch {
	case len(text) > maxFile:
		return nil, notImported("The file is larger than any that Clara gives out.")
	case strings.HasPrefix(text, "{") && json.Valid([]byte(text)):
		fields = fromJSON(gjson.Parse(text))
	case strings.HasPrefix(text, "{"):
		return nil, notImported("The file looks like JSON and is none: perhaps its end is missing.")
	default:
		fields = fromPEM(clean(text))
	}
	if len(fields) == 0 {
		return nil, notImported("The file holds none of an API project's fields.")
	}
	return fields, nil
}

func fromJSON(file gjson.Result) map[string]secret.Text {
	from := file
	if inside := file.Get("credentials"); inside.IsObject() {
		from = inside
	}
	fields := map[string]secret.Text{}
	for field, names := range members() {
		for _, name := range names {
			value := from.Get(name)
			if value.Type != gjson.String || strings.TrimSpace(value.Str) == "" {
				continue
			}
			text := strings.TrimSpace(value.Str)
			if field != fieldTokenKey && field != fieldSecretKey {
				text = clean(text) + "\n"
			}
			fields[field] = secret.New(text)
			break
		}
	}
	return fields
}

// fromPEM sorts the blocks of a file: what may sign for others are authorities, the rest is the client's.
func fromPEM(text string) map[string]secret.Text {
	blocks, _ := blocksOf(text)
	parts := map[string]string{}
	for _, b := range blocks {
		field := fieldCertificate
		switch c, err := x509.ParseCertificate(b.Bytes); {
		case strings.HasSuffix(b.Type, keyBlock):
			field = fieldPrivateKey
		case b.Type != certBlock || err != nil:
			continue
		case c.IsCA:
			field = fieldAuthorities
		}
		parts[field] += string(pem.EncodeToMemory(b))
	}
	fields := map[string]secret.Text{}
	for field, part := range parts {
		fields[field] = secret.New(part)
	}
	return fields
}

func notImported(detail string) *fault.Error {
	return fault.New(fault.Invalid, "import_unreadable", detail).
		Do("Give the JSON file of the API project as Clara's dashboard saved it, or one of its .crt, .pem and .key files.")
}
