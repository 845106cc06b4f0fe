// Package sage is the adapter for Sage Accounting: its API of version 3.1, and the one before it for as long as that
// answers.
//
// The argument: with Sage the danger is a success. A call that names no business is answered for another one, the user's
// leading business, and a refresh token that is spent and lost ends an account that worked a moment ago. So every call
// for a business names it, and an answer is passed on only when it says that it was made for that business; and the
// descriptor says that tokens rotate, from which the token service draws everything else. What can be read is a table,
// taken from Sage's own list of operations. The older version differs in hosts, headers and in how an account is known;
// it is the same adapter with another profile, since whoever uses it has the same account.
//
// Authorization: https://developer.sage.com/accounting/guides/authenticating/authentication.
// The API: https://developer.sage.com/accounting/reference.
// The facts behind every constant are in the Sage fact sheet; comments give its sections.
package sage

import (
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// Name is the provider's name in routes, records and metrics.
const Name = "sage"

// The lifetimes that Sage states (Sage facts 1.3, 1.4).
const (
	codeLife    = 60 * time.Second
	refreshLife = 31 * 24 * time.Hour
)

// What Sage takes of one application, all accounts together (Sage facts 2.6): 1,296,000 requests a day, which are 900
// a minute, and so many at once.
const (
	rate       = 15
	burst      = 900
	concurrent = 150
)

const userAgent = "ConnectorVault/1.0"

// Options is what an adapter needs.
type Options struct {
	HTTP      *http.Client // for the token endpoint; nil = a client with a timeout of 20 s
	Random    io.Reader    // for the nonces of signatures; safe for concurrent use; nil = the system's
	Endpoints Endpoints    // the zero value is Sage's own
}

// Adapter is the adapter for Sage Accounting. It holds no credential and is safe for concurrent use.
type Adapter struct {
	http       *http.Client
	random     io.Reader
	endpoints  Endpoints
	descriptor provider.Descriptor
}

// Everything Sage's accounts can do.
var (
	_ provider.Adapter          = (*Adapter)(nil)
	_ provider.Authorizer       = (*Adapter)(nil)
	_ provider.Redirector       = (*Adapter)(nil)
	_ provider.Challenger       = (*Adapter)(nil)
	_ provider.AppValidator     = (*Adapter)(nil)
	_ provider.Checker          = (*Adapter)(nil)
	_ provider.TokenSource      = (*Adapter)(nil)
	_ provider.Identifier       = (*Adapter)(nil)
	_ provider.ConnectorChecker = (*Adapter)(nil)
	_ provider.Reader           = (*Adapter)(nil)
	_ provider.Confirmer        = (*Adapter)(nil)
	_ provider.Prober           = (*Adapter)(nil)
	_ provider.Librarian        = (*Adapter)(nil)
	_ provider.Watcher          = (*Adapter)(nil)
)

// New returns the adapter.
func New(options Options) *Adapter {
	a := &Adapter{http: options.HTTP, random: options.Random, endpoints: options.Endpoints, descriptor: describe()}
	if a.http == nil {
		a.http = &http.Client{Timeout: 20 * time.Second}
	}
	if a.random == nil {
		a.random = rand.Reader
	}
	return a
}

// Descriptor implements provider.Adapter.
func (a *Adapter) Descriptor() *provider.Descriptor { return &a.descriptor }

func describe() provider.Descriptor {
	return provider.Descriptor{
		Name:      Name,
		Title:     "Sage Accounting",
		AppFields: appFields(),
		AppFlag:   settingProviderApp,
		Sides:     []record.APIEnvironment{record.Production}, // Sage has no sandbox host (Sage facts 1.1)
		ClientID:  fieldKey,
		Fields:    entryFields(),
		Settings: []provider.Setting{{Name: connectorBusiness, Label: "Business", Single: true,
			Help: "The id of one business of the account, 32 hexadecimal digits; they are in the vault entry's account.members. Entries of profile legacy_v3 have none."}},
		Member: connectorBusiness,
		// No own refresh token: one that a person brings may be in use elsewhere, and whichever side refreshes first ends
		// the other's.
		Modes:       []record.Mode{record.Browser, record.ResultURL},
		Rotates:     true, // each refresh ends the token that it was bought with (Sage facts 1.5)
		PKCE:        true,
		CodeLife:    codeLife,
		RefreshLife: refreshLife,
		Concurrent:  concurrent,
		Rate:        rate,
		Burst:       burst,
		Resources:   resources(),
		Notes: []string{
			"One consent covers every business that the user may see, now and later; each connector names the one that it reads.",
			"Sign in at Sage as the user who may see the business, and the areas of it that are to be read.",
			"The country must be the business's own: consent for a business of another country fails.",
			"After you allow access, the code in the address works for one minute and once; if you paste the Result URL, paste it at once.",
			"The callback URL must be registered at Sage for the application, letter by letter.",
			"Sage has no sandbox: use a trial or developer business, which is on the production side too.",
			"A refresh token that is not used for 31 days ends the authorization; the vault uses it before.",
			"To revoke access, delete the vault entry, which revokes its refresh token at Sage; an access token lives on for up to five minutes.",
			"Profile legacy_v3 is Sage's API before version 3.1, which needs the APIM subscription key, the country, and the owner's consent for each business. Sage announced its end for 31 July 2026; use v3.1.",
		},
	}
}
