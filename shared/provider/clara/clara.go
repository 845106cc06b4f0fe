// Package clara is the adapter for Clara, whose API takes OAuth 2.0 over mutual TLS.
//
// The argument: whoever connects Clara holds a certificate, a key and a secret that open a company's spending, and each call
// shows one of them to somebody. So the other side proves who it is before anything is said: its chain and its name are
// checked for every connection, against the system's roots and what the owner trusts besides, a side that does not ask
// for our certificate is told nothing, and no redirect is followed. Nothing in this package can switch that off. Our own
// certificate is presented whether or not the other side lists its issuer, since Go would otherwise stay silent and be
// told that it has none; and there is one transport for one certificate, so that a new one is in force with the next call
// and the old one is never seen again. Everything that can be wrong with certificate and key is found when they are
// saved, by name, because a handshake only says that it failed.
//
// The documents: https://developers.clara.team. The facts behind every constant are in the Clara fact sheet; comments
// give its sections.
package clara

import (
	"crypto/x509"
	"net/http"

	"connectorvault/shared/provider"
)

// Name is the provider's name in routes, records and metrics.
const Name = "clara"

const userAgent = "ConnectorVault/1.0"

// Options is what an adapter needs.
type Options struct {
	// HTTP is a pattern for the clients of entries: its timeouts, its proxy and how it reaches a host are taken over, and
	// nothing that concerns TLS. nil = a client with a timeout of 20 s and the environment's proxies.
	HTTP      *http.Client
	Endpoints Endpoints // the zero value is Clara's own
	// Roots are the authorities that may vouch for Clara's hosts, beside those that the endpoints and an entry name; nil = the
	// system's. It is called for every new client, and its pool is not changed.
	Roots func() *x509.CertPool
}

// Adapter is the adapter for Clara. It keeps connections, each made with one entry's certificate and used for that entry
// alone, and is safe for concurrent use.
type Adapter struct {
	endpoints  Endpoints
	clients    *clients
	descriptor provider.Descriptor
}

// Everything Clara's accounts can do.
var (
	_ provider.Adapter     = (*Adapter)(nil)
	_ provider.TokenSource = (*Adapter)(nil)
	_ provider.Dialer      = (*Adapter)(nil)
	_ provider.Checker     = (*Adapter)(nil)
	_ provider.Importer    = (*Adapter)(nil)
	_ provider.Identifier  = (*Adapter)(nil)
	_ provider.Reader      = (*Adapter)(nil)
	_ provider.Prober      = (*Adapter)(nil)
	_ provider.Librarian   = (*Adapter)(nil)
	_ provider.Watcher     = (*Adapter)(nil)
)

// New returns the adapter. Endpoints that Validate refuses make an adapter that reaches nobody.
func New(options Options) *Adapter {
	extra, err := options.Endpoints.authorities()
	return &Adapter{endpoints: options.Endpoints, descriptor: describe(),
		clients: &clients{pattern: options.HTTP, roots: options.Roots, extra: extra, broken: err}}
}

// Descriptor implements provider.Adapter.
func (a *Adapter) Descriptor() *provider.Descriptor { return &a.descriptor }

func describe() provider.Descriptor {
	return provider.Descriptor{
		Name:      Name,
		Title:     "Clara",
		ClientID:  fieldTokenKey,
		Fields:    entryFields(),
		OwnGrant:  true,
		OwnerOnly: true,
		Resources: resources(),
		Notes: []string{
			"Ask Clara for an API project, or make one in its dashboard as the owner; its files can be downloaded once, so bring them here at once.",
			"Give the project the read permissions that you need; the vault entry shows which it has.",
			"A project lives for at most 360 days, and its certificate for a time of its own: whichever ends first ends the connection.",
			"The sandbox has the same hosts and credentials of its own.",
			"To read another company of the group, make an entry with its tax identifier.",
			"To revoke access, delete the API project at Clara; an access token that was issued before may live on for a while.",
		},
	}
}
