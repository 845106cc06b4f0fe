// Package ident mints identifiers and unguessable values, and takes apart the ones that carry an address.
//
// The argument: every key of the store begins with a tenant, so a value that comes back from a browser (a state, a
// start handle) must say whose it is before anything can be looked up. Such a [Ticket] is an address, which proves
// nothing, and a secret, of which only a fingerprint is stored. Minting them in one place keeps lengths and alphabets
// equal, and makes randomness a parameter.
package ident

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"connectorvault/shared/secret"
)

// alphabet is Crockford's base 32 in lower case: nothing in it reads as something else, or spells a word.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// idBytes makes an identifier of 16 characters: 80 bits, enough that two never meet within one tenant.
const idBytes = 10

// idLength is the number of characters that idBytes encode to.
const idLength = 16

// Prefixes tell a person what an identifier names.
const (
	Tenant    = "t_"
	Entry     = "ve_"
	Connector = "con_"
	Request   = "ar_"
	Key       = "key_"
	Handle    = "h_"
	Token     = "ct_"   // a connector token
	Subject   = "oidc_" // who comes with a token of an issuer; no record
	Webhook   = "wh_"
	Event     = "ev_"
)

// Outside is the space of what belongs to no tenant: visits that no tenant has claimed yet, and the limits of an
// application, which several tenants may use. It is no tenant's id.
const Outside = Tenant + "0000000000000000"

// New returns prefix followed by 16 random characters.
func New(random io.Reader, prefix string) (string, error) {
	b := make([]byte, idBytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("reading randomness for an identifier: %w", err)
	}
	return prefix + encoding.EncodeToString(b), nil
}

// Valid reports whether id is prefix and 16 characters of our alphabet. It is checked before an id from outside
// becomes part of a store key.
func Valid(id, prefix string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != idLength {
		return false
	}
	return strings.Trim(rest, alphabet) == ""
}

// Secret returns 256 random bits as 43 characters that are safe in URLs, cookies and headers.
func Secret(random io.Reader) (secret.Text, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return secret.Text{}, fmt.Errorf("reading randomness for a secret: %w", err)
	}
	return secret.New(base64.RawURLEncoding.EncodeToString(b)), nil
}

// Ticket is a bearer value that carries its own address: tenant and record in the clear, then 256 secret bits.
type Ticket struct {
	Tenant string
	ID     string // with its prefix
	Secret secret.Text
}

// NewTicket mints a ticket for the record id of a tenant.
func NewTicket(random io.Reader, tenant, id string) (Ticket, error) {
	s, err := Secret(random)
	if err != nil {
		return Ticket{}, err
	}
	return Ticket{Tenant: tenant, ID: id, Secret: s}, nil
}

// Text returns the ticket as it travels: 16 characters of tenant, 16 of record, 43 of secret.
func (t Ticket) Text() secret.Text {
	return secret.New(tail(t.Tenant) + tail(t.ID) + t.Secret.Reveal())
}

// ParseTicket takes apart what Text made, of a record with the given prefix. It says only whether the form fits; who
// looks the record up compares the secret's fingerprint.
func ParseTicket(text, prefix string) (Ticket, bool) {
	const secretLength = 43
	if len(text) != 2*idLength+secretLength {
		return Ticket{}, false
	}
	t := Ticket{
		Tenant: Tenant + text[:idLength],
		ID:     prefix + text[idLength:2*idLength],
		Secret: secret.New(text[2*idLength:]),
	}
	if !Valid(t.Tenant, Tenant) || !Valid(t.ID, prefix) {
		return Ticket{}, false
	}
	if _, err := base64.RawURLEncoding.DecodeString(t.Secret.Reveal()); err != nil {
		return Ticket{}, false
	}
	return t, true
}

func tail(id string) string {
	if i := strings.LastIndexByte(id, '_'); i >= 0 {
		return id[i+1:]
	}
	return id
}
