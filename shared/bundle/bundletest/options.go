package bundletest

import (
	"io"
	"time"

	"connectorvault/shared/provider"
)

// Options change a bench. The zero value is the usual one.
type Options struct {
	Now   func() time.Time // nil: the bench's own Clock
	Plain bool             // the provider is reached without a network, as package synctest needs it
	Log   io.Writer        // where the services log; nil = nowhere

	Describe []func(*provider.Descriptor) // changes of the provider: OwnClients, Businesses, or a test's own
	Echo     bool                         // the provider's answers say for which business they were made, and are held to it
	Revokes  bool                         // the provider has a revocation endpoint
	Claims   []string                     // members of a token answer that are kept
}

// The fields that OwnClients adds.
const (
	FieldShared    = "shared_app"    // flag: the operator's application is used
	FieldClient    = "client_id"     // of the entry's own client
	FieldSecret    = "client_secret" // likewise; the token service alone opens it
	FieldBackup    = "backup_secret" // lies in the same group
	FieldSignature = "signature"     // opened by reads too
	FieldCallback  = "callback_url"  // where the entry's consent comes back to
)

// SettingBusiness is what Businesses adds to connectors.
const SettingBusiness = "business"

// EchoHeader says for which business a call or an answer is.
const EchoHeader = "X-Business"

// OwnClients lets entries bring a client of their own, with secrets in both groups and a callback of their own. The
// signature is the application's too, where an entry uses that.
func OwnClients(d *provider.Descriptor) {
	d.AppFlag, d.ClientID = FieldShared, FieldClient
	d.AppFields = append(d.AppFields, provider.Field{Name: FieldSignature, Label: "Signature", Secret: true, Reads: true})
	d.Fields = append(d.Fields,
		provider.Field{Name: FieldShared, Label: "Use the application", Flag: true, Fixed: true},
		provider.Field{Name: FieldClient, Label: "Client id", Fixed: true},
		provider.Field{Name: FieldSecret, Label: "Client secret", Secret: true},
		provider.Field{Name: FieldBackup, Label: "Another client secret", Secret: true},
		provider.Field{Name: FieldSignature, Label: "Signature", Secret: true, Reads: true},
		provider.Field{Name: FieldCallback, Label: "Callback URL"})
}

// Businesses gives connectors a business, a member of the account.
func Businesses(d *provider.Descriptor) {
	d.Member = SettingBusiness
	d.Settings = append(d.Settings, provider.Setting{Name: SettingBusiness, Label: "Business", Single: true})
}

// Limits lets the provider take so many calls at once, and so many a second, of one client.
func Limits(concurrent int, rate float64, burst int) func(*provider.Descriptor) {
	return func(d *provider.Descriptor) {
		d.ClientID, d.Concurrent, d.Rate, d.Burst = FieldClient, concurrent, rate, burst
	}
}
