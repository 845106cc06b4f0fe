package metric

import (
	"log/slog"
	"slices"

	"connectorvault/shared/fault"
)

// Dimension is what a metric is kept apart by.
type Dimension string

// The dimensions.
const (
	Provider    Dimension = "Provider"
	ByOperation Dimension = "Operation"
	ByOutcome   Dimension = "Outcome"
)

// Other is the one name of all providers that are not shipped.
const Other = "other"

// Operation is what was done. Its values are those below: a number that is none of them is the last of its metric's.
type Operation uint8

// The operations.
const (
	Refresh           Operation = iota // TokenRequests: with a refresh token
	Exchange                           // with a code
	ClientCredentials                  // with a client's own credentials
	Start                              // Authorizations: the start page's form
	Callback                           // the redirect endpoint
	Validate                           // a pasted Result URL
	List                               // Reads
	Item
	Run // of pages
	Document
	Create
	Check
	Key // Authentications
	ConnectorToken
	IssuerToken
	Unknown // none of the kinds that there are, or no credential at all
)

var operationNames = [...]string{"refresh", "exchange", "client_credentials", "start", "callback", "validate", "list", "item", "run", "document",
	"create", "check", "key", "connector_token", "issuer_token", "unknown"}

// String returns the dimension's value.
func (o Operation) String() string {
	if int(o) >= len(operationNames) {
		return Other
	}
	return operationNames[o]
}

// Outcome is how it ended.
type Outcome uint8

// The outcomes.
const (
	Success       Outcome = iota
	Revoked               // the provider takes the grant, or the code, no more
	Reauthorize           // a person must authorize the account anew
	Denied                // consent was not given
	Rejected              // whoever asked has to ask otherwise
	Misconfigured         // the application, or the entry's own client, is refused
	RateLimited           // by the provider, or by us for its sake
	Refused               // the provider understood and said no
	Unavailable           // the provider, or a store, cannot answer now
	Postponed             // it comes again
	GivenUp               // it does not
	Failed                // ours
)

var outcomeNames = [...]string{"success", "revoked", "reauthorization_required", "denied", "rejected", "client_misconfigured", "rate_limited", "refused",
	"unavailable", "postponed", "given_up", "failed"}

// String returns the dimension's value.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return Other
	}
	return outcomeNames[o]
}

// OutcomeOf is how something ended that gave err.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Success
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Gone, fault.TooLarge:
		return Rejected
	case fault.ReauthRequired:
		return Reauthorize
	case fault.Misconfigured:
		return Misconfigured
	case fault.RateLimited:
		return RateLimited
	case fault.Unavailable:
		return Unavailable
	case fault.Refused:
		return Refused
	default:
		return Failed
	}
}

// Counter is something that is only counted: each is worth an alarm or a look by itself, so it has no dimension.
type Counter uint8

// The counters.
const (
	TokenLost            Counter = iota // a fresh set could be neither stored nor rescued
	TokenRescued                        // a fresh set went to the rescue queue
	AuthorizationRevoked                // an authorization is gone: Revoked, or ended, by its provider's word
	RotationUnknown                     // an authorization is gone since an answer was lost
	ClientMisconfigured                 // a provider refused a client
	LeaseConflict                       // a refresh waited for another process's
	FenceRejected                       // a refusal came after its lease and was not noted
	SecretStoreBusy                     // the secret store refused a call for the number of calls
	SecretStoreError                    // the secret store failed otherwise
	SealError                           // something sealed did not open, or could not be sealed
)

var counterNames = [...]string{"TokenLost", "TokenRescued", "Revoked", "RotationUnknown", "ClientMisconfigured", "LeaseConflict", "FenceRejected",
	"SecretStoreBusy", "SecretStoreErrors", "SealErrors"}

// String returns the metric's name.
func (c Counter) String() string { return counterNames[c] }

// Definition returns the counter as a metric.
func (c Counter) Definition() Definition {
	return Definition{Name: c.String(), Unit: "Count", Sets: [][]Dimension{{}}}
}

// Definition is a metric: under which sets of dimensions CloudWatch keeps it, and what their values can be. CloudWatch adds
// nothing up by itself, so what is to be asked for without a dimension has a set without it.
type Definition struct {
	Name       string
	Unit       string
	Sets       [][]Dimension
	Operations []Operation // the last stands for whatever is none of them
	Outcomes   []Outcome   // likewise
}

// The metrics that are more than a counter.
var (
	TokenRequests = Definition{Name: "TokenRequests", Unit: "Count", Sets: [][]Dimension{{Provider, ByOperation, ByOutcome}},
		Operations: []Operation{Refresh, Exchange, ClientCredentials}, Outcomes: []Outcome{Success, Revoked, Misconfigured, RateLimited, Unavailable}}
	TokenRequestTime = Definition{Name: "TokenRequestTime", Unit: "Milliseconds", Sets: [][]Dimension{{Provider}}}

	Reads = Definition{Name: "Reads", Unit: "Count", Sets: [][]Dimension{{Provider, ByOutcome}, {ByOperation}},
		Operations: []Operation{List, Item, Run, Document, Create, Check},
		Outcomes:   []Outcome{Success, Rejected, Reauthorize, Misconfigured, RateLimited, Refused, Unavailable, Failed}}
	ReadProviderTime = Definition{Name: "ReadProviderTime", Unit: "Milliseconds", Sets: [][]Dimension{{Provider}}}
	ReadOwnTime      = Definition{Name: "ReadOwnTime", Unit: "Milliseconds", Sets: [][]Dimension{{}}}

	Authorizations = Definition{Name: "Authorizations", Unit: "Count", Sets: [][]Dimension{{ByOperation, ByOutcome}},
		Operations: []Operation{Start, Callback, Validate}, Outcomes: []Outcome{Success, Denied, Rejected, Misconfigured, Unavailable, Failed}}
	Authentications = Definition{Name: "Authentications", Unit: "Count", Sets: [][]Dimension{{ByOperation, ByOutcome}, {ByOutcome}},
		Operations: []Operation{Key, ConnectorToken, IssuerToken, Unknown}, Outcomes: []Outcome{Success, Rejected, Failed}}

	WebhookDeliveries = Definition{Name: "WebhookDeliveries", Unit: "Count", Sets: [][]Dimension{{ByOutcome}},
		Outcomes: []Outcome{Success, Postponed, GivenUp, Failed}}
	DueLag = Definition{Name: "DueLagSeconds", Unit: "Seconds", Sets: [][]Dimension{{}}}
)

// All lists every metric that there is.
func All() []Definition {
	out := []Definition{TokenRequests, TokenRequestTime, Reads, ReadProviderTime, ReadOwnTime, Authorizations, Authentications, WebhookDeliveries, DueLag}
	for c := range counterNames {
		out = append(out, Counter(c).Definition())
	}
	return out
}

// Most is how many metrics CloudWatch can come to keep for this one, with so many providers. Each is paid for.
func (d Definition) Most(providers int) int {
	sizes := map[Dimension]int{Provider: providers + 1, ByOperation: len(d.Operations), ByOutcome: len(d.Outcomes)}
	sum := 0
	for _, set := range d.Sets {
		n := 1
		for _, dimension := range set {
			n *= sizes[dimension]
		}
		sum += n
	}
	return sum
}

// operation is the dimension's value, one of the metric's own.
func (d Definition) operation(o Operation) slog.Attr {
	if !slices.Contains(d.Operations, o) {
		o = d.Operations[len(d.Operations)-1]
	}
	return slog.String(string(ByOperation), o.String())
}

// outcome is the dimension's value, one of the metric's own.
func (d Definition) outcome(o Outcome) slog.Attr {
	if !slices.Contains(d.Outcomes, o) {
		o = d.Outcomes[len(d.Outcomes)-1]
	}
	return slog.String(string(ByOutcome), o.String())
}
