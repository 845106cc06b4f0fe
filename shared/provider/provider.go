// Package provider says what an adapter must do for one outside service.
//
// The argument: providers differ in data first (fields, hosts, resources, lifetimes) and in code second (a consent
// URL's parameters, a header, the meaning of a 403). The data is a [Descriptor]; the code is a handful of one- and
// two-method capabilities, found by type assertion where they are used, so that an adapter states only what its
// provider has. An adapter stores nothing, knows nothing of HTTP routes or Lambdas, and holds no credential between calls.
package provider

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// Descriptor is everything about a provider that is data.
type Descriptor struct {
	Name      string  // "amazon": in routes, records and metrics
	Title     string  // "Amazon Seller Central"
	AppFields []Field // of the operator's OAuth application; empty = there is none
	// AppFlag is the flag of an entry that says it uses that application instead of a client of its own; "" = every entry
	// uses it.
	AppFlag  string
	Sides    []record.APIEnvironment // that the provider has; empty = both
	ClientID string                  // the field that holds the OAuth client's id, of an application and of an entry alike
	Fields   []Field                 // of a vault entry
	Settings []Setting               // of a connector, beside "resources"
	// Member is the connector's setting that names a member of the account. A later authorization of the entry must still
	// reach every member that a connector names; "" = connectors name none.
	Member  string
	Regions []Region
	Modes   []record.Mode // doors to authorization
	// Rotates says that a refresh token is spent by use. It decides whether an intent left open by a dead owner means a possibly lost token.
	Rotates bool
	// OwnGrant says that an entry's client is the account: tokens are asked for with its own credentials (RFC 6749, 4.4),
	// nobody consents to anything, and there is no refresh token.
	OwnGrant bool
	// OwnerOnly says that entries hold credentials that only an owner may bring, change or remove.
	OwnerOnly         bool
	PKCE              bool
	CodeLife          time.Duration // of an authorization code
	AuthorizationLife time.Duration // of a consent; 0 = it does not end by itself
	RefreshLife       time.Duration // of an unused refresh token; 0 = not limited
	SecretLife        time.Duration // of an app's client secret from the day it is made; 0 = it does not end by itself
	SecretOverlap     time.Duration // how long an app's client secret works on once there is a newer one; 0 = not at all
	Concurrent        int           // calls at once that the provider takes of one application; 0 = not limited
	Rate              float64       // calls a second that it takes of one application, all operations together; 0 = not stated
	Burst             int           // of that rate
	Resources         []resource.Resource
	Notes             []string // what a person should know before connecting, one sentence each
	Needs             string   // the first release of the bundle that the adapter works with; "" = any
}

// Field is one thing that must be known before a provider can be used.
type Field struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Secret   bool     `json:"secret"`
	Required bool     `json:"required"`       // of an entry with AppFlag set, only where it is no field of the application
	Flag     bool     `json:"flag,omitempty"` // true or false
	Help     string   `json:"help,omitempty"`
	Default  string   `json:"default,omitempty"`
	Options  []string `json:"options,omitempty"`
	// Reads says of a secret that reads need it too. Others are opened by the token service alone.
	Reads bool `json:"-"`
	// Fixed says that an authorization belongs to the field's value: it stays as it is once there is one.
	Fixed bool `json:"fixed,omitempty"`
	// Client says that the field is part of a client which is replaced as a whole (Descriptor.OwnGrant): a client's secret and
	// certificate are of use together or not at all.
	Client bool `json:"client,omitempty"`
}

// Setting is one thing that a connector says of itself.
type Setting struct {
	Name   string `json:"name"`
	Label  string `json:"label"`
	Single bool   `json:"single"` // one value; otherwise a list
	Help   string `json:"help,omitempty"`
}

// Region is a part of a provider with hosts of its own.
type Region struct {
	Code         string        `json:"code"`
	Title        string        `json:"title"`
	Marketplaces []Marketplace `json:"marketplaces,omitempty"`
}

// Marketplace is a place of trade within a region.
type Marketplace struct {
	ID      string `json:"id"`
	Country string `json:"country"` // ISO 3166-1
	Name    string `json:"name"`
}

// UsesApp reports whether an entry uses the operator's application.
func (d *Descriptor) UsesApp(entry record.Entry) bool {
	return len(d.AppFields) > 0 && (d.AppFlag == "" || entry.Settings[d.AppFlag] == "true")
}

// ReadsNeedSecrets reports whether an entry or application may have secrets that reads need.
func (d *Descriptor) ReadsNeedSecrets() bool {
	reads := func(f Field) bool { return f.Secret && f.Reads }
	return slices.ContainsFunc(d.Fields, reads) || slices.ContainsFunc(d.AppFields, reads)
}

// Resource finds a resource by its name, or by another that it goes by.
func (d *Descriptor) Resource(name string) (resource.Resource, bool) {
	for _, r := range d.Resources {
		if r.Name == name || slices.Contains(r.Aliases, name) {
			return r, true
		}
	}
	return resource.Resource{}, false
}

// Mode reports whether the provider has that door.
func (d *Descriptor) Mode(m record.Mode) bool {
	for _, have := range d.Modes {
		if have == m {
			return true
		}
	}
	return false
}

// Adapter is our code for one provider. Everything beyond these two methods is a capability.
type Adapter interface {
	Descriptor() *Descriptor

	// Normalize checks an entry's Settings and fills in what follows from them: Amazon's region from its marketplace.
	// Of secret fields it sees which there are (Entry.HasSecret), not their values. It returns a *fault.Error that names
	// the field. It is called with every new and every changed entry.
	Normalize(entry *record.Entry) error
}

// AppCredentials is who asks at a token endpoint: the operator's application, or the client that an entry brings along
// where its AppFlag is not set. Only the token service sees one.
type AppCredentials struct {
	App     record.App             // the zero value where the entry brings its own
	Secrets map[string]secret.Text // of the application or of the entry, by field
	Version string                 // which of the application's secrets they are: App.Version, or that of App.Previous
}

// Consent is what a consent URL is made of.
type Consent struct {
	Entry       record.Entry
	App         record.App
	RedirectURI string
	State       secret.Text
	Challenge   string // PKCE; "" where the provider takes none
}

// Callback is what came back from a consent page.
type Callback struct {
	State  secret.Text
	Code   secret.Text
	Claims map[string]string // what else it said, such as the account; a claim, not a fact
	Denied string            // the provider's error code when consent was refused; "" otherwise
}

// Authorizer is the capability of accounts that are connected by consent in a browser.
type Authorizer interface {
	// ConsentURL returns the OAuth Request URL.
	ConsentURL(Consent) (string, error)

	// ParseCallback reads a redirect's query. Duplicate parameters have been refused before. A missing state or code
	// is a *fault.Error with code result_url_incomplete.
	ParseCallback(query url.Values) (Callback, error)
}

// Redirector is the capability of providers whose entries may name a redirect URI that is not ours.
type Redirector interface {
	// RedirectURI returns the entry's own, character for character; "" = ours.
	RedirectURI(entry record.Entry) string
}

// Challenger is the capability of providers whose PKCE is not for every entry.
type Challenger interface {
	// Challenges reports whether an entry's consent page takes a challenge. Where it does not, no verifier is sent either: a
	// server that looks at one would miss the challenge that belongs to it.
	Challenges(entry record.Entry) bool
}

// AppValidator is the capability of providers with an operator's OAuth application.
type AppValidator interface {
	// ValidateApp checks the application's fields as PUT /v1/provider-apps gives them and returns the public ones.
	ValidateApp(fields map[string]string, secrets map[string]secret.Text) error
}

// Rotator is the capability of providers that make a new client secret for an application when they are asked to, and send
// it by a message to a queue.
type Rotator interface {
	// ClientOf is what the provider's messages name an application by.
	ClientOf(app record.App) string

	// Rotation returns the call that asks for a new secret, and how long to wait before asking again. Its operation takes
	// the application's own token.
	Rotation(app record.App) (call Call, pause time.Duration)

	// ParseNotice reads a message of the queue. Its error says what is wrong with it and quotes nothing.
	ParseNotice(message secret.Text) (SecretNotice, error)
}

// SecretNotice is a provider's message about an application's client secret.
type SecretNotice struct {
	Client     string                 // whose
	Ends       time.Time              // when the secret ends that is in force at the provider
	Secrets    map[string]secret.Text // a new one, which that is, by field of the application; nil = it is only said that it ends
	BeforeEnds time.Time              // with a new one: until when the one before works; zero = not said
}

// Login is the Appstore's visit to our login URI.
type Login struct {
	Callback string // where the browser goes on
	State    string // to be handed back unchanged
	Account  string // a claim
	Beta     bool
}

// Storefront is the capability of providers whose own store starts an authorization (Amazon's Appstore).
type Storefront interface {
	// ParseLogin reads the login URI's query and refuses a callback that is not the provider's.
	ParseLogin(query url.Values) (Login, error)

	// ContinueURL returns where the browser goes on.
	ContinueURL(login Login, redirectURI string, state secret.Text) (string, error)
}

// TokenSource is the capability of providers with an OAuth token endpoint.
type TokenSource interface {
	// TokenClient returns the client that exchanges and refreshes for an entry. ctx is unused by adapters that need no I/O.
	TokenClient(entry record.Entry, app AppCredentials) oauth.Client
}

// Call is one call of a provider's API for one entry.
type Call struct {
	Op     resource.Operation
	Params url.Values  // values of Op's filters, path parameters included
	Body   []byte      // JSON; nil = none
	Access secret.Text // zero: the entry's own access token. Amazon's restricted data token goes here
	Base   string      // "": Reader.BaseURL of the entry. Another of the provider's own hosts, when the account may live there
	Accept string      // media type; "" = JSON
}

// Session is on whose behalf a call is made.
type Session struct {
	Target
	Access  secret.Text
	Secrets map[string]secret.Text // those of the entry, or of its application, that reads need
}

// Caller performs calls. It keeps to the operation's rate, refreshes a rejected token once, and returns every refusal
// as a *fault.Error.
type Caller func(ctx context.Context, call Call) (Answer, error)

// Answer is a provider's successful answer.
type Answer struct {
	Status    int
	Header    http.Header
	Body      []byte
	RequestID string
	Rate      float64 // requests a second as the provider now says; 0 = not said
}

// Identifier is the capability of finding out whose account was authorized.
type Identifier interface {
	// Identify asks the provider through call. claims are the callback's. A wrong region is a *fault.Error with code region_mismatch.
	Identify(ctx context.Context, entry record.Entry, claims map[string]string, call Caller) (record.Account, error)
}

// Target is the account that a read is for.
type Target struct {
	Entry     record.Entry
	Account   record.Account
	Connector record.Connector
}

// Verdict is what a provider's refusal means for us.
type Verdict struct {
	Fault         *fault.Error
	TokenRejected bool // the access token was the reason: refresh once, try once more
}

// Reader is the capability of answering reads.
type Reader interface {
	// BaseURL is where the entry's operations are called.
	BaseURL(entry record.Entry) string

	// Resolve returns the value of a filter default such as "$marketplace"; nil when there is none.
	Resolve(name string, target Target, now time.Time) []string

	// Sign puts the token and the provider's own headers on a request. A *fault.Error says what the session lacks.
	Sign(r *http.Request, on Session, call Call, now time.Time) error

	// Judge says what a refusal (status ≥ 400) means. body is at most 64 KiB of it.
	Judge(status int, header http.Header, body []byte) Verdict

	// RequestID and the current rate, from an answer's header.
	Meta(header http.Header) (requestID string, rate float64)
}

// Confirmer is the capability of providers whose answers say for whom they were made.
type Confirmer interface {
	// Confirm returns a *fault.Error when a successful answer is not what the session asked for.
	Confirm(on Session, call Call, header http.Header) error
}

// Dialer is the capability of providers whose entries have a way of their own to them: mutual TLS with the entry's own
// certificate.
type Dialer interface {
	// Dial returns the client that carries an entry's calls, those to the token endpoint included. It is the same one for
	// the same certificate, so that connections are kept, and another one for another. secrets are all of the entry's that
	// the caller may open. A *fault.Error says what is wrong with them.
	Dial(entry record.Entry, secrets map[string]secret.Text) (*http.Client, error)

	// Explain returns the *fault.Error of a call that got no answer, where the provider's way of refusing shows in the
	// transport's error: an alert of TLS. nil where it does not.
	Explain(err error) *fault.Error
}

// Checker is the capability of providers whose secrets can be checked before they are stored: certificates and their keys.
type Checker interface {
	// CheckSecrets looks at everything that can be wrong with an entry's secrets, and returns what is public of them. A
	// non-nil error is a *fault.Error that names the field. now is the moment that validity is held against.
	CheckSecrets(entry record.Entry, secrets map[string]secret.Text, now time.Time) (record.Material, error)
}

// Importer is the capability of providers that hand out an entry's fields in files of their own.
type Importer interface {
	// Import turns the content of such a file into fields of an entry, secret ones among them. A *fault.Error says what the
	// file lacks; it never quotes it.
	Import(file secret.Text) (map[string]secret.Text, error)
}

// Probe is a cheap read that shows one permission.
type Probe struct {
	Resource string
	Op       resource.Operation
	Params   url.Values
}

// Prober is the capability of saying what a credential may read.
type Prober interface {
	Probes(target Target, now time.Time) []Probe
}

// Document is where the bytes of a document lie.
type Document struct {
	URL      secret.Text   // presigned: whoever has it can read, so it is a secret
	Gzip     bool          // the bytes are gzip, or may be: the reader sniffs
	Life     time.Duration // how long the URL works
	Personal bool          // the document is personal data
	// Call fetches the document where it lies behind the account's own token; then there is no URL.
	Call *Call
}

// Librarian is the capability of documents.
type Librarian interface {
	// Locate finds the document of an item, by its id in our API. personal says whether the caller may see personal
	// data; a document that is personal data is refused with code personal_data_not_granted when not.
	Locate(ctx context.Context, target Target, res resource.Resource, item string, personal bool, call Caller) (Document, error)
}
