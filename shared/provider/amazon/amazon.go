// Package amazon is the adapter for Amazon's Selling Partner API: Seller Central and Vendor Central accounts.
//
// The argument: what is peculiar about Amazon is mostly where things are. Consent is given on the host of a
// marketplace, tokens come from one endpoint for the whole world, and data from one of three regions; a single
// authorization covers one region. So an entry's marketplace decides its region, its region decides its host, and an
// authorization that landed in another region is named as such, because Amazon itself only says "access denied". What
// a 403 means is the rest: one table here turns Amazon's five reasons for one status into five different answers.
//
// Authorization: https://developer-docs.amazon.com/sp-api/docs/website-authorization-workflow and
// https://developer-docs.amazon.com/sp-api/docs/selling-partner-appstore-authorization-workflow.
// Errors and rates: https://developer-docs.amazon.com/sp-api/docs/usage-plans-and-rate-limits.
// The facts behind every constant are in the Amazon fact sheet; comments give its sections.
package amazon

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// Name is the provider's name in routes, records and metrics.
const Name = "amazon"

// The lifetimes that Amazon states (Amazon facts 13).
const (
	codeLife          = 5 * time.Minute
	authorizationLife = 365 * 24 * time.Hour
	clientSecretLife  = 180 * 24 * time.Hour
	secretOverlap     = 7 * 24 * time.Hour // Amazon facts 3.4
)

// Options is what an adapter needs.
type Options struct {
	HTTP      *http.Client // for the token endpoint; nil = a client with a timeout of 20 s
	Endpoints Endpoints    // the zero value is Amazon's own
}

// Adapter is the adapter for Amazon. It holds no credential and is safe for concurrent use.
type Adapter struct {
	http       *http.Client
	endpoints  Endpoints
	places     places
	descriptor provider.Descriptor
	agent      string
}

// Everything Amazon's accounts can do.
var (
	_ provider.Adapter      = (*Adapter)(nil)
	_ provider.Authorizer   = (*Adapter)(nil)
	_ provider.AppValidator = (*Adapter)(nil)
	_ provider.Storefront   = (*Adapter)(nil)
	_ provider.TokenSource  = (*Adapter)(nil)
	_ provider.Identifier   = (*Adapter)(nil)
	_ provider.Reader       = (*Adapter)(nil)
	_ provider.Prober       = (*Adapter)(nil)
	_ provider.Librarian    = (*Adapter)(nil)
	_ provider.Rotator      = (*Adapter)(nil)
)

// New returns the adapter. It panics when marketplaces.json, which is compiled in and which an operator may edit, is
// not a table of marketplaces: nothing could be connected with it.
func New(options Options) *Adapter {
	a := &Adapter{
		http:      options.HTTP,
		endpoints: options.Endpoints,
		places:    mustPlaces(marketplaceTable),
		agent:     userAgent(),
	}
	if a.http == nil {
		a.http = &http.Client{Timeout: 20 * time.Second}
	}
	a.descriptor = describe(a.places)
	return a
}

// Descriptor implements provider.Adapter.
func (a *Adapter) Descriptor() *provider.Descriptor { return &a.descriptor }

func describe(p places) provider.Descriptor {
	return provider.Descriptor{
		Name:              Name,
		Title:             "Amazon Seller Central",
		AppFields:         appFields(),
		Fields:            entryFields(p),
		Regions:           p.regions(),
		Modes:             []record.Mode{record.Browser, record.ResultURL, record.Appstore, record.RefreshToken},
		Rotates:           false, // the refresh answer carries the same token again (Amazon facts 3.2)
		PKCE:              false, // the consent page takes no challenge (Amazon facts 2.1)
		CodeLife:          codeLife,
		AuthorizationLife: authorizationLife,
		SecretLife:        clientSecretLife,
		SecretOverlap:     secretOverlap,
		Settings: []provider.Setting{{Name: connectorMarketplaces, Label: "Marketplaces",
			Help: "Marketplace ids or country codes; leave it out to mean the entry's own."}},
		Resources: resources(),
		Notes: []string{
			"One authorization covers every marketplace of one region; an account in two regions is two vault entries.",
			"Sign in as the primary user of the account: Amazon lets nobody else authorize an application.",
			"The consent page lets you switch accounts; check that the account and region shown are the ones you mean.",
			"After you press Confirm, the code in the address works for five minutes and once.",
			"Amazon's consent page sends nothing back when you cancel; start again when you are ready.",
			"What can be read is decided by the roles of the application; a role that is added later needs a new authorization.",
			"An authorization ends after 365 days; renew it before. To revoke it, disable the application in Seller Central under Manage Your Apps.",
		},
	}
}

// userAgent names us the way Amazon asks for (Amazon facts 5.1): it refuses calls whose user agent is absent or over
// 500 characters, and wants the signs of its own syntax escaped within a part.
func userAgent() string {
	version := strings.TrimPrefix(runtime.Version(), "go")
	if i := strings.IndexByte(version, ' '); i >= 0 {
		version = version[:i]
	}
	return "ConnectorVault/1.0 (Language=Go/" + escapeAgent(version) + "; Platform=" + escapeAgent(runtime.GOOS) + ")"
}

func escapeAgent(part string) string {
	return strings.NewReplacer(`\`, `\\`, `/`, `\/`, `(`, `\(`, `=`, `\=`, `)`, `\)`, `;`, `\;`).Replace(part)
}
